//! Models of tabular data in the ONNX format, evaluated to the same bits on every machine.
//!
//! Owns the reading of a file's bytes, the checking of its graph, and the operators. Knows no SQL,
//! no files and no clock; what it gives is a `ColumnFunction` that expressions call.
//!
//! Invariant: the value of a row depends on that row and the model alone. Operations run in one
//! order, without contraction, with the mathematics of `libm`; each row is a batch of its own.
//! What is not understood is refused by name when a model is read, never guessed.

mod answer;
mod call;
mod error;
mod function;
mod graph;
mod limits;
mod operator;
mod proto;
mod tensor;
mod wire;

pub use answer::Choice;
pub use error::ModelError;
pub use function::{Description, Model};
pub use limits::{ARGUMENTS_MAX, ELEMENTS_MAX, MODEL_BYTES_MAX, NODES_MAX, RANK_MAX, WORK_MAX};

/// The operators that are supported, by the set they are of: for the documentation.
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    operator::OPERATORS
        .iter()
        .map(|operator| (operator.domain, operator.name))
}
