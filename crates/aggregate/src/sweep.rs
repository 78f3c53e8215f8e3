//! Windows over sorted events for sorted read times, in one pass: what training runs.
//!
//! [`index_ranges`] turns a frame into half-open ranges of event indices that never run
//! backwards; [`Inputs`] computes calls over such ranges: counts and sums from running totals
//! that all frames share, the rest by [`slide`]. Cost: linear in events plus reads for what
//! can be taken back and for extremes and ends; a logarithm more for distinct values,
//! quantiles and the most frequent.
//!
//! Knows no visibility: the caller brings the events that are known, in order.
//!
//! Invariant: a value is that of the [`crate::Aggregator`] over the events of the range.

mod by_value;
mod inputs;
mod ranges;
mod slide;
mod totals;

pub use inputs::Inputs;
pub use ranges::{index_ranges, retain_floors};
pub use slide::slide;
