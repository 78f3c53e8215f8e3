//! Queries over stores in temporary folders.

mod queries;
mod slices;
mod support;
