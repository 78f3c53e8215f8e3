//! Any SQL over what a store has: events, slices of sources and views as of a time, datasets,
//! dead letters.
//!
//! The only crate that names DataFusion, and asynchrony ends in it. What is computed here is outside the
//! promise of equal bits; what is read for it is not: the rows of tables and the features of keys are
//! those that training reads. Invariant: a query reads, and nothing else; without
//! [`Query::files`] it reads nothing but the store.

mod batch;
mod bounds;
mod error;
mod failure;
mod names;
mod provider;
mod relation;
mod run;
mod text;

pub use batch::{BatchRun, ROWS_PER_WRITE, RunReport, SqlColumns};
pub use error::SqlError;
pub use run::{GoOn, Limits, Query, Rows, run};
