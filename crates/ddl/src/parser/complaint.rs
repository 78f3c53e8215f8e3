//! Saying what was found, what was expected, and what to write instead.

use std::collections::BTreeMap;

use super::Parser;
use crate::ast::Span;
use crate::error::Diagnostic;
use crate::lexer::{Token, TokenKind};
use crate::suggest::did_you_mean;

impl Parser<'_> {
    /// The error of a token that should have been something else. `expected` is a noun
    /// phrase, with keywords and symbols in backticks.
    pub(super) fn unexpected(&self, expected: &str) -> Box<Diagnostic> {
        let Token { kind, span } = self.token();
        if let TokenKind::Bad(index) = kind {
            return Box::new(self.bad[index].clone());
        }
        // The end of the text may be lines below: what is missing belongs behind the last word.
        let span = match kind {
            TokenKind::End => self.previous_span().after(),
            _ => span,
        };
        let mut diagnostic =
            Diagnostic::error(format!("expected {expected}, found {}", self.found()), span);
        if let Some(hint) = self.unclosed_string_hint() {
            diagnostic = diagnostic.with_hint(hint);
        }
        Box::new(diagnostic)
    }

    /// The same, with the nearest of these keywords in the hint if one is near.
    pub(super) fn unexpected_word(&self, expected: &str, words: &[&str]) -> Box<Diagnostic> {
        let mut diagnostic = self.unexpected(expected);
        if self.kind() == TokenKind::Word
            && let Some(word) = did_you_mean(self.text(), words.iter().copied())
        {
            diagnostic.hint = Some(format!("did you mean `{word}`?"));
        }
        diagnostic
    }

    /// The current token in words.
    pub(super) fn found(&self) -> String {
        match self.kind() {
            TokenKind::End => "the end of the text".to_owned(),
            TokenKind::String | TokenKind::EscapedString => {
                format!("the string `{}`", shortened(self.text()))
            }
            _ => format!("`{}`", shortened(self.text())),
        }
    }

    /// A string over several lines just before an error is probably one that was not closed
    /// where it should have been.
    pub(super) fn unclosed_string_hint(&self) -> Option<String> {
        let previous = self.tokens.get(self.at.checked_sub(1)?)?;
        let is_string = matches!(
            previous.kind,
            TokenKind::String | TokenKind::EscapedString | TokenKind::QuotedIdent
        );
        if !is_string || !previous.span.text(self.source).contains('\n') {
            return None;
        }
        let (line, _) = crate::error::line_and_column(self.source, previous.span.start);
        Some(format!(
            "the string before this starts in line {line}: is its closing quote missing?"
        ))
    }

    /// Reports every name that was there before, and goes on.
    pub(super) fn report_twice<'n>(
        &mut self,
        what: &str,
        names: impl Iterator<Item = (&'n str, Span)>,
    ) {
        let mut seen = BTreeMap::new();
        for (name, span) in names {
            match seen.get(name) {
                Some(first) => self.report(
                    Diagnostic::error(format!("the {what} `{name}` is given twice"), span)
                        .with_related(*first, "first given here"),
                ),
                None => {
                    seen.insert(name, span);
                }
            }
        }
    }
}

/// The error of something beyond a limit of depth.
pub(super) fn too_deep(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error("this is nested too many levels deep", span)
            .with_hint("divide it: computed columns of a source and chained views can hold parts"),
    )
}

/// A token's text for a message: one line, not too long.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let line = text.split(['\n', '\r']).next().unwrap_or("");
    if line.len() == text.len() && text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    let cut: String = line.chars().take(CHARS_MAX).collect();
    format!("{cut}...")
}
