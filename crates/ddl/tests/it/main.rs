//! The definition language from outside: text cases with their expected output, and
//! properties of all input.

mod bind;
mod cases;
mod definition;
mod errors;
mod limits;
mod property;
