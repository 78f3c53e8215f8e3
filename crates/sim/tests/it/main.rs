//! The checker is checked: it passes what a correct store does, and finds every kind of
//! damage that is planted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod model;
