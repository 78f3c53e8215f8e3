//! Tests of models through the public interface: against answers of onnxruntime as a check of
//! meaning, against themselves for equal bits, and against files that mean harm.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod fixtures;
mod hostile;
mod reference;
mod refusals;
mod written;
