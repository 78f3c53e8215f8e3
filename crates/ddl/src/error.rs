//! What is wrong with a definition, where, and what to write instead.
//!
//! One type for the parser and the binder, so that `check` shows them alike. Rendering is in
//! the style of rustc: the message, the place, the line, the range underlined, the hint.
//! Knows nothing of SQL. Invariant: rendering never fails, whatever the span and the text.

mod render;

use std::fmt;

use crate::ast::Span;

/// Errors of one text that are reported; what follows the last is not read.
pub const DIAGNOSTICS_MAX: usize = 100;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The definition cannot be applied.
    Error,
    /// The definition works, but perhaps not as meant.
    Warning,
}

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, names in backticks.
    pub message: String,
    /// The exact place.
    pub span: Span,
    /// What to write instead.
    pub hint: Option<String>,
    /// Another place that has to do with it, and how.
    pub related: Option<Related>,
    /// The file, where the caller has set it; it goes before the name that
    /// [`Diagnostic::render`] is given.
    pub file: Option<String>,
}

/// Another place that has to do with a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    /// The place, in the same text.
    pub span: Span,
    /// How it is related (`first given here`).
    pub message: String,
}

impl Diagnostic {
    /// An error with a message and a place.
    pub fn error(message: impl Into<String>, span: Span) -> Self {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            span,
            hint: None,
            related: None,
            file: None,
        }
    }

    /// A warning with a message and a place.
    pub fn warning(message: impl Into<String>, span: Span) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(message, span)
        }
    }

    /// The same with a hint: what to write instead.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another place.
    #[must_use]
    pub fn with_related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related = Some(Related {
            span,
            message: message.into(),
        });
        self
    }

    /// The same in a named file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Whether it keeps the definition from being applied.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Several lines for a person: the message, ` --> file:line:column`, the line with the
    /// range underlined, the hint; ends in a newline. `source` is the text that the span is
    /// in, `file` its name. Columns count characters from 1. With `color`, ANSI colours.
    pub fn render(&self, source: &str, file: &str, color: bool) -> String {
        render::render(self, source, file, color)
    }
}

impl fmt::Display for Diagnostic {
    /// The message alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// The line and column of a byte of the text, both from 1; the column counts characters.
pub fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let (line, start) = render::line_of(source, at);
    (
        line,
        source
            .get(start..at.min(source.len()))
            .unwrap_or("")
            .chars()
            .count()
            + 1,
    )
}
