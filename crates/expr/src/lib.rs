//! Typed, total, row-wise, bit-stable expressions.
//!
//! Owns the closed list of functions that a feature definition may use ([`functions`]),
//! the building of typed expressions ([`build`]) and their evaluation ([`Program`]), one
//! row at a time or a batch at a time. Both loops run the same definition of each function,
//! so they cannot drift apart. Functions that definitions bring along are called through
//! `ColumnFunction` of `types`; what stands behind it is not known here.
//!
//! Knows no SQL text (argument positions only, never spans), no views, no stores, no clock:
//! `read_time()` is handed in.
//!
//! Invariant: the value of an expression on a row depends on that row and the read time
//! alone. There is no failed batch: what has no answer is `Value::Error` on that row.
//! Transcendental functions come from the `libm` crate, never from the platform.

mod batch;
pub mod build;
mod cast;
mod coerce;
mod decimal;
mod error;
mod external;
mod function;
mod kernel;
mod like;
mod limits;
mod program;
mod reference;

pub use batch::ReadTime;
pub use error::BuildError;
pub use function::{Function, Group, functions};
pub use limits::{
    ARRAY_ELEMENTS_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, LANGUAGE_VERSION,
    STRING_BYTES_MAX, UNICODE_VERSION,
};
pub use program::Program;
pub use reference::function_reference;
