//! The log from outside: what was acknowledged is read back, whatever happens in between.

mod crash;
mod damage;
mod disk;
mod faults;
mod reading;
mod support;
