//! Tests of models through the public interface: against answers of onnxruntime as a check of
//! meaning, against themselves for equal bits, and against files that mean harm.

mod fixtures;
mod hostile;
mod reference;
mod refusals;
