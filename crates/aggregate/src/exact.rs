//! Exact arithmetic for sums: a fixed-point accumulator without a fixed range, and the one
//! rounding at the end.
//!
//! Invariant: nothing here rounds but the functions of [`round`], and each of them once.
//! The idea of a superaccumulator with lazily carried digits is from R. Neal, "Fast exact
//! summation using small and large superaccumulators" (arXiv 1505.05571); here the window of
//! digits is small and moves, because most features need few digits.

mod accumulator;
pub(crate) mod digits;
pub(crate) mod round;

pub(crate) use accumulator::{Accumulator, parts_of_f64};
