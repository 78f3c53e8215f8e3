//! Any SQL over what a store has: events, slices of sources and views as of a time, datasets,
//! dead letters.
//!
//! The only crate that names DataFusion. What it computes is outside the promise of equal bits;
//! what it reads is not.
