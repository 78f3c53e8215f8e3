//! The parser's place in the tokens: looking, taking what may be there, and taking what
//! must be there.

use super::complaint::shortened;
use super::{Parsed, Parser};
use crate::ast::{ColumnList, Ident, NumberLit, Span, StringLit};
use crate::error::Diagnostic;
use crate::keyword::is_not_a_column;
use crate::lexer::{Symbol, Token, TokenKind, ident_value, string_value};

impl<'a> Parser<'a> {
    // The current token, and those after it.

    pub(super) fn token(&self) -> Token {
        self.token_at(0)
    }

    pub(super) fn token_at(&self, ahead: usize) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + ahead).min(last)]
    }

    pub(super) fn kind(&self) -> TokenKind {
        self.token().kind
    }

    pub(super) fn span(&self) -> Span {
        self.token().span
    }

    pub(super) fn previous_span(&self) -> Span {
        match self.at.checked_sub(1) {
            Some(previous) => self.tokens[previous].span,
            None => Span::new(0, 0),
        }
    }

    /// From `start` to the end of the last token taken.
    pub(super) fn since(&self, start: Span) -> Span {
        Span::new(start.start, self.previous_span().end.max(start.start))
    }

    pub(super) fn text(&self) -> &'a str {
        self.span().text(self.source)
    }

    pub(super) fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    pub(super) fn is_symbol(&self, symbol: Symbol) -> bool {
        self.kind() == TokenKind::Symbol(symbol)
    }

    pub(super) fn is_symbol_at(&self, ahead: usize, symbol: Symbol) -> bool {
        self.token_at(ahead).kind == TokenKind::Symbol(symbol)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(super) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.token_at(ahead);
        token.kind == TokenKind::Word && token.span.text(self.source).eq_ignore_ascii_case(word)
    }

    /// Whether these words come next, in this order.
    pub(super) fn is_words(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_word_at(ahead, word))
    }

    pub(super) fn is_name_at(&self, ahead: usize) -> bool {
        matches!(
            self.token_at(ahead).kind,
            TokenKind::Word | TokenKind::QuotedIdent
        )
    }

    pub(super) fn is_string_at(&self, ahead: usize) -> bool {
        matches!(
            self.token_at(ahead).kind,
            TokenKind::String | TokenKind::EscapedString
        )
    }

    // Taking what may be there.

    pub(super) fn eat_symbol(&mut self, symbol: Symbol) -> Option<Span> {
        self.is_symbol(symbol).then(|| self.bump().span)
    }

    pub(super) fn eat_word(&mut self, word: &str) -> Option<Span> {
        self.is_word(word).then(|| self.bump().span)
    }

    /// Takes all of these words, or nothing.
    pub(super) fn eat_words(&mut self, words: &[&str]) -> Option<Span> {
        if !self.is_words(words) {
            return None;
        }
        let start = self.span();
        for _ in words {
            self.bump();
        }
        Some(self.since(start))
    }

    // Taking what must be there.

    pub(super) fn expect_symbol(&mut self, symbol: Symbol, purpose: &str) -> Parsed<Span> {
        self.eat_symbol(symbol)
            .ok_or_else(|| self.unexpected(&format!("`{}`{purpose}", symbol.text())))
    }

    pub(super) fn expect_word(&mut self, word: &str, purpose: &str) -> Parsed<Span> {
        self.eat_word(word)
            .ok_or_else(|| self.unexpected_word(&format!("`{word}`{purpose}"), &[word]))
    }

    pub(super) fn ident(&mut self, what: &str) -> Parsed<Ident> {
        let Token { kind, span } = self.token();
        let text = self.text();
        let (value, quoted) = match kind {
            TokenKind::Word => (text.to_ascii_lowercase(), false),
            TokenKind::QuotedIdent => (ident_value(text), true),
            _ => {
                let mut diagnostic = self.unexpected(what);
                if let TokenKind::String = kind {
                    diagnostic.hint =
                        Some("names are written without quotes, or in `\"`".to_owned());
                }
                return Err(diagnostic);
            }
        };
        if value.is_empty() {
            return Err(Box::new(
                Diagnostic::error("a name cannot be empty", span)
                    .with_hint("write the name between the quotes"),
            ));
        }
        self.bump();
        Ok(Ident {
            value,
            quoted,
            span,
        })
    }

    pub(super) fn string(&mut self, what: &str) -> Parsed<StringLit> {
        let Token { kind, span } = self.token();
        if !matches!(kind, TokenKind::String | TokenKind::EscapedString) {
            let mut diagnostic = self.unexpected(what);
            if matches!(kind, TokenKind::Word | TokenKind::QuotedIdent) && diagnostic.hint.is_none()
            {
                let text = self.text().trim_matches('"');
                diagnostic.hint = Some(format!("strings are written in `'`: `'{text}'`"));
            }
            return Err(diagnostic);
        }
        let value = string_value(self.text(), span.start)?;
        self.bump();
        Ok(StringLit { value, span })
    }

    pub(super) fn number(&mut self, what: &str) -> Parsed<NumberLit> {
        let span = self.span();
        if self.kind() != TokenKind::Number {
            return Err(self.unexpected(what));
        }
        let value = self.text().parse().map_err(|_| {
            Box::new(
                Diagnostic::error(
                    format!("expected {what}, found `{}`", shortened(self.text())),
                    span,
                )
                .with_hint("write a whole number"),
            )
        })?;
        self.bump();
        Ok(NumberLit { value, span })
    }

    /// `(item, item, ...)`: at least one item. `what` names an item.
    pub(super) fn parenthesised<T>(
        &mut self,
        what: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<(Vec<T>, Span)> {
        if self.is_name_at(0) || self.is_string_at(0) || self.kind() == TokenKind::Number {
            let mut diagnostic = self.unexpected(&format!("`(` before {what}"));
            diagnostic.hint = Some(format!("put it in parentheses: `({})`", self.text()));
            return Err(diagnostic);
        }
        let open = self.expect_symbol(Symbol::LeftParen, &format!(" before {what}"))?;
        let mut items = Vec::new();
        loop {
            if let Some(hint) = self.list_end_hint(open, items.is_empty(), what) {
                return Err(hint);
            }
            items.push(item(self)?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        self.close(open, Symbol::RightParen, true)?;
        Ok((items, self.since(open)))
    }

    /// The error of a list that ends where an item should be: `()` or `(a, )`.
    pub(super) fn list_end_hint(
        &self,
        open: Span,
        is_empty: bool,
        what: &str,
    ) -> Option<Box<Diagnostic>> {
        if !self.is_symbol(Symbol::RightParen) {
            return None;
        }
        if is_empty {
            let span = open.to(self.span());
            return Some(Box::new(Diagnostic::error(
                format!("expected {what} between the parentheses"),
                span,
            )));
        }
        let comma = self.previous_span();
        Some(Box::new(
            Diagnostic::error(format!("expected {what} after this `,`"), comma)
                .with_hint("remove the `,`"),
        ))
    }

    /// The closing parenthesis or bracket that belongs to `open`. `list`: a comma could
    /// stand here too.
    pub(super) fn close(&mut self, open: Span, symbol: Symbol, list: bool) -> Parsed<Span> {
        if let Some(span) = self.eat_symbol(symbol) {
            return Ok(span);
        }
        let closing = symbol.text();
        let expected = if list {
            format!("`,` or `{closing}`")
        } else {
            format!("`{closing}`")
        };
        let mut diagnostic = self.unexpected(&expected);
        let starts_item = matches!(
            self.kind(),
            TokenKind::Word
                | TokenKind::QuotedIdent
                | TokenKind::Number
                | TokenKind::String
                | TokenKind::EscapedString
        );
        if diagnostic.hint.is_none() {
            let text = shortened(self.text());
            let starts_clause = self.kind() == TokenKind::Word
                && is_not_a_column(&self.text().to_ascii_lowercase());
            if list && starts_item && !starts_clause && !self.starts_statement() {
                diagnostic.hint = Some(format!("is a `,` missing before `{text}`?"));
            } else if !matches!(self.kind(), TokenKind::Bad(_)) {
                diagnostic.hint = Some(format!("close it with `{closing}`"));
            }
        }
        if !matches!(self.kind(), TokenKind::Bad(_)) {
            diagnostic = Box::new(diagnostic.with_related(open, "opened here"));
        }
        Err(diagnostic)
    }

    /// `(a, b)`: names.
    pub(super) fn column_list(&mut self, what: &str) -> Parsed<ColumnList> {
        let (columns, span) = self.parenthesised(what, |parser| parser.ident(what))?;
        Ok(ColumnList { columns, span })
    }
}
