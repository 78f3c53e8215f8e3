//! The definition language: SQL text to a syntax tree with exact places, and back.
//!
//! Knows no stores, no clock and no files. Errors say what was found, what was expected and
//! what to write instead, with the place underlined; a file's errors are found all at once.

pub mod ast;
mod error;
mod keyword;

pub use error::{Diagnostic, Related, Severity, line_and_column};
