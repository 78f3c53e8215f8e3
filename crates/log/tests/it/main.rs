//! The log from outside: what was acknowledged is read back, whatever happens in between.

mod reading;
mod support;
