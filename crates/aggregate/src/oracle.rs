//! What windows and aggregates mean, computed the plainest way: every event is asked
//! whether it is in the window, numbers are big rationals, values are sorted and counted.
//!
//! Owns its own calendar, its own rounding and its own estimator: it shares no arithmetic
//! with [`crate::history`], [`crate::sweep`] and the states, so that their agreement proves
//! something. `verify` runs it on users' data; it is as slow as it is plain.

mod calendar;
mod function;
mod rational;
mod window;

pub use function::{Input, evaluate};
pub use window::frame_members;
