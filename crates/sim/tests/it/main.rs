//! The checker is checked: it passes what a correct store does, and finds every kind of
//! damage that is planted.

mod damage;
mod model;
