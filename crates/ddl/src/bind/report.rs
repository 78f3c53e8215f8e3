//! Collecting what is wrong, and finding the name that was meant.
//!
//! Binding goes on after an error: whoever reports one answers `None`, and whoever gets a
//! `None` answers `None` too without a word. So each mistake is told once, at its own place.

use super::callable::Callables;
use crate::ast::Span;
use crate::error::{DIAGNOSTICS_MAX, Diagnostic};
use crate::suggest;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The first [`DIAGNOSTICS_MAX`].
    errors: Vec<Diagnostic>,
    /// The first [`DIAGNOSTICS_MAX`].
    warnings: Vec<Diagnostic>,
    /// How many errors there were.
    error_count: usize,
    callables: Callables,
}

impl Report {
    /// Nothing was found yet, in a statement that may call these.
    pub(super) fn of(callables: Callables) -> Self {
        Report {
            callables,
            ..Report::default()
        }
    }

    /// A report of something that is tried.
    pub(super) fn apart(&self) -> Self {
        Report::of(self.callables.clone())
    }

    /// What may be called.
    pub(super) fn callables(&self) -> &Callables {
        &self.callables
    }

    /// From now on columns may be what functions gave once.
    pub(super) fn record_columns(&mut self) {
        self.callables = self.callables.recording();
    }

    /// A column is bound, or none is any more.
    pub(super) fn bind_column(&mut self, column: Option<Span>) {
        self.callables.bind_column(column);
    }

    /// From now on nothing but the functions of the language may be called.
    pub(super) fn refuse_calls(&mut self, place: &'static str) {
        self.callables = self.callables.refused_in(place);
    }

    /// Tells an error; the answer is what its finder answers.
    pub(super) fn error<T>(&mut self, message: impl Into<String>, span: Span) -> Option<T> {
        self.push(Diagnostic::error(message, span))
    }

    /// Tells an error with what to write instead.
    pub(super) fn hinted<T>(
        &mut self,
        message: impl Into<String>,
        span: Span,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.push(Diagnostic::error(message, span).with_hint(hint))
    }

    /// Tells a diagnostic, once: a window with an error may be used in many places.
    pub(super) fn push<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        let told = if diagnostic.is_error() {
            self.error_count += 1;
            &mut self.errors
        } else {
            &mut self.warnings
        };
        if told.len() < DIAGNOSTICS_MAX && !told.contains(&diagnostic) {
            told.push(diagnostic);
        }
        None
    }

    /// Everything that was told, at another place: of what was written out of one statement.
    pub(super) fn move_to(&mut self, span: Span) {
        for diagnostic in self.errors.iter_mut().chain(&mut self.warnings) {
            diagnostic.span = span;
            diagnostic.related = None;
        }
    }

    /// Whether an error was told.
    pub(super) fn has_errors(&self) -> bool {
        self.error_count > 0
    }

    /// How many errors there were so far, repeated ones too.
    pub(super) fn error_count(&self) -> usize {
        self.error_count
    }

    /// Errors and warnings, each in the order of their places.
    pub(super) fn into_parts(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        self.errors.sort_by_key(|d| d.span);
        self.warnings.sort_by_key(|d| d.span);
        (self.errors, self.warnings)
    }
}

/// `did you mean ...?`, or else a list of what there is.
pub(super) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    /// Any shorter name is near to any other.
    const COMPARED_MIN: usize = 3;
    if name.chars().count() >= COMPARED_MIN
        && let Some(found) = suggest::did_you_mean(name, candidates.clone())
    {
        return Some(format!("did you mean `{found}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    /// A longer list helps nobody.
    const LISTED_MAX: usize = 16;
    (!all.is_empty() && all.len() <= LISTED_MAX).then(|| format!("there is {}", in_words(&all)))
}

/// Names in backticks: `a`, `b` and `c`.
pub(super) fn in_words(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// `1 column`, `2 columns`.
pub(super) fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_well() {
        assert_eq!(in_words(&["a"]), "`a`");
        assert_eq!(in_words(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(
            did_you_mean("zzzzzz", ["a", "b"]).as_deref(),
            Some("there is `a` and `b`")
        );
    }
}
