//! The log from outside: what was acknowledged is read back, whatever happens in between.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests may"
)]

mod crash;
mod damage;
mod disk;
mod faults;
mod file_systems;
mod fixture;
mod reading;
mod rewriting;
mod room;
mod support;
mod truncation;
