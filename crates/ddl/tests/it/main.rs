//! The definition language from outside: text cases with their expected output, and
//! properties of all input.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod bind;
mod cases;
mod definition;
mod errors;
mod functions;
mod limits;
mod models;
mod property;
