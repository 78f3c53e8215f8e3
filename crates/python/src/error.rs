//! What goes wrong, as exceptions of `evenkeel`: code, message, hint, place.

use std::error::Error;

use evenkeel_connect::ConnectError;
use evenkeel_ddl::{Diagnostic, line_and_column};
use evenkeel_engine::{DefinitionFile, EngineError};
use evenkeel_types::time::TimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Where something is wrong.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a definition; lines and columns from 1.
    Text {
        file: String,
        from: (usize, usize),
        to: (usize, usize),
    },
    /// In a row, from 0.
    Row { row: u64, column: Option<String> },
}

/// What becomes an exception.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    hint: Option<String>,
    place: Option<Box<Place>>,
    /// The mistakes underlined in their texts, where there are any.
    underlined: Option<String>,
}

impl Failure {
    /// What is asked for is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure {
            code: "INVALID",
            message: message.into(),
            hint: None,
            place: None,
            underlined: None,
        }
    }

    /// A value in a row is wrong.
    pub(crate) fn in_row(row: u64, column: Option<String>, reason: &str) -> Self {
        let message = match &column {
            Some(column) => format!("row {row}, column `{column}`: {reason}"),
            None => format!("row {row}: {reason}"),
        };
        Failure {
            place: Some(Box::new(Place::Row { row, column })),
            ..Failure::invalid(message)
        }
    }

    /// The store was closed.
    pub(crate) fn closed() -> Self {
        Failure::invalid("the store is closed").with_hint("open it again with `evenkeel.open`")
    }

    /// The engine met a defect while it was written to.
    pub(crate) fn broken() -> Self {
        Failure {
            code: "STORAGE",
            ..Failure::invalid("the store met a defect and is not used any more")
        }
        .with_hint("open it again: what was logged is there")
    }

    /// The same with a hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of the engine; `texts` are what its places are in.
    pub(crate) fn engine(error: EngineError, texts: &[DefinitionFile]) -> Self {
        let hint = error.hint();
        match error {
            EngineError::Definitions(found) => Failure::definitions(&found, texts),
            error => Failure {
                code: error.code(),
                hint,
                ..Failure::invalid(chain(&error))
            },
        }
    }

    /// Mistakes, underlined in their texts.
    pub(crate) fn definitions(found: &[(String, Diagnostic)], texts: &[DefinitionFile]) -> Self {
        let underlined: Vec<String> = found
            .iter()
            .map(|(file, d)| {
                d.render(text_of(file, texts), file, false)
                    .trim_end()
                    .to_owned()
            })
            .collect();
        let first = found.iter().find(|(_, d)| d.is_error());
        Failure {
            code: "DEFINITIONS",
            message: first.map_or_else(String::new, |(_, d)| d.message.clone()),
            hint: first.and_then(|(_, d)| d.hint.clone()),
            place: first.map(|(file, d)| {
                let text = text_of(file, texts);
                Box::new(Place::Text {
                    file: file.clone(),
                    from: line_and_column(text, d.span.start),
                    to: line_and_column(text, d.span.end),
                })
            }),
            underlined: Some(underlined.join("\n")),
        }
    }

    fn raise(self, py: Python<'_>) -> PyResult<PyErr> {
        let place = match self.place {
            None => None,
            Some(place) => {
                let dict = PyDict::new(py);
                match *place {
                    Place::Text { file, from, to } => {
                        dict.set_item("file", file)?;
                        dict.set_item("line", from.0)?;
                        dict.set_item("column", from.1)?;
                        dict.set_item("end_line", to.0)?;
                        dict.set_item("end_column", to.1)?;
                    }
                    Place::Row { row, column } => {
                        dict.set_item("row", row)?;
                        dict.set_item("column", column)?;
                    }
                }
                Some(dict)
            }
        };
        let parts = (self.code, self.message, self.hint, place, self.underlined);
        let error = py
            .import("evenkeel._errors")?
            .getattr("error_of")?
            .call1(parts)?;
        Ok(PyErr::from_value(error))
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| failure.raise(py).unwrap_or_else(|error| error))
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::engine(error, &[])
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let code = match error {
            ConnectError::Io { .. } => "STORAGE",
            _ => "INVALID",
        };
        Failure {
            code,
            ..Failure::invalid(chain(&error))
        }
    }
}

impl From<TimeError> for Failure {
    fn from(error: TimeError) -> Self {
        Failure::invalid(error.to_string())
    }
}

/// The text that a place is in; items of a list are their own.
fn text_of<'a>(file: &'a str, texts: &'a [DefinitionFile]) -> &'a str {
    let known = texts.iter().find(|t| t.name == file);
    known.map_or(file, |t| t.text.as_str())
}

/// An error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    text
}
