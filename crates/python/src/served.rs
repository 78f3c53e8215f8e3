//! What the client of a server needs of the engine: mistakes underlined as in this process, and
//! what kind of file a spine is.

use std::path::PathBuf;

use evenkeel_connect::TableFormat;
use evenkeel_ddl::ast::Span;
use evenkeel_ddl::{Diagnostic, Related, Severity};
use evenkeel_engine::DefinitionFile;
use pyo3::prelude::*;

use crate::error::Failure;
use crate::reports;

/// A mistake as servers tell it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Mistake {
    text: String,
    severity: String,
    message: String,
    hint: Option<String>,
    from: usize,
    to: usize,
    related: Option<Beside>,
    file: Option<String>,
}

/// Another place that has to do with it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Beside {
    from: usize,
    to: usize,
    message: String,
}

impl Mistake {
    fn diagnostic(self) -> (String, Diagnostic) {
        let span = |start: usize, end: usize| Span { start, end };
        let diagnostic = Diagnostic {
            severity: match self.severity.as_str() {
                "warning" => Severity::Warning,
                _ => Severity::Error,
            },
            message: self.message,
            span: span(self.from, self.to),
            hint: self.hint,
            related: self.related.map(|beside| Related {
                span: span(beside.from, beside.to),
                message: beside.message,
            }),
            file: self.file,
        };
        (self.text, diagnostic)
    }
}

/// Names with what was sent as files.
fn files(texts: Vec<(String, String)>) -> Vec<DefinitionFile> {
    let texts = texts.into_iter();
    texts
        .map(|(name, text)| DefinitionFile { name, text })
        .collect()
}

/// The exception of mistakes in texts, which are names with what was sent.
#[pyfunction]
pub(crate) fn mistakes<'py>(
    py: Python<'py>,
    found: Vec<Mistake>,
    texts: Vec<(String, String)>,
) -> Bound<'py, PyAny> {
    let found: Vec<_> = found.into_iter().map(Mistake::diagnostic).collect();
    let error = PyErr::from(Failure::definitions(&found, &files(texts)));
    error.into_value(py).into_bound(py).into_any()
}

/// Warnings, underlined in their texts.
#[pyfunction]
pub(crate) fn warnings(found: Vec<Mistake>, texts: Vec<(String, String)>) -> Vec<String> {
    let found: Vec<_> = found.into_iter().map(Mistake::diagnostic).collect();
    reports::warnings(&found, &files(texts))
}

/// The content type of a spine's file, by its extension.
#[pyfunction]
pub(crate) fn content_type(path: PathBuf) -> PyResult<&'static str> {
    Ok(match TableFormat::of(&path).map_err(Failure::from)? {
        TableFormat::Parquet => "application/vnd.apache.parquet",
        TableFormat::Csv => "text/csv",
        TableFormat::Arrow => "application/vnd.apache.arrow.file",
        TableFormat::ArrowStream => "application/vnd.apache.arrow.stream",
    })
}
