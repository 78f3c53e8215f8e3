//! Tests of the lake over a log in memory, whose files know what a power cut leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod evolution;
mod faults;
mod maintenance;
mod rows;
mod support;
