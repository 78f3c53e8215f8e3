//! Queries over stores in temporary folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod batch;
mod queries;
mod slices;
mod support;
