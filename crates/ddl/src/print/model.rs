//! `CREATE MODEL`.

use std::fmt::{self, Write};

use super::statement::metadata;
use crate::ast::CreateModel;

pub(super) fn print(f: &mut dyn Write, model: &CreateModel) -> fmt::Result {
    write!(f, "CREATE MODEL {} FROM {}", model.name, model.path)?;
    for (word, text) in [
        ("OUTPUT", &model.output),
        ("CLASS", &model.class),
        ("DIGEST", &model.digest),
    ] {
        if let Some(text) = text {
            write!(f, " {word} {text}")?;
        }
    }
    metadata(f, &model.metadata)
}

impl fmt::Display for CreateModel {
    /// Canonical SQL on one line, without a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self)
    }
}
