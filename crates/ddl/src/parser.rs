//! Tokens to the syntax tree: recursive descent for statements, precedence climbing for
//! expressions.
//!
//! Invariants: a statement is returned only if nothing in it is wrong; every diagnostic's
//! span lies in the text; no input makes the parser recurse deeper than `NESTING_MAX`
//! levels or builds a tree higher than [`DEPTH_MAX`]. After an error the parser goes on behind the
//! next semicolon (or at what is plainly the start of the next statement), so the errors of
//! all statements are found at once.

mod call;
mod create;
mod expr;
mod interval;
mod query;
mod service;
mod source;
mod spine;
mod types;
mod view;
mod window;

use std::collections::BTreeMap;

use evenkeel_types::Interval;

pub(crate) use self::expr::power;

use crate::ast::{ColumnList, Expr, Ident, NumberLit, Span, SpineQuery, Statement, StringLit};
use crate::error::{DIAGNOSTICS_MAX, Diagnostic};
use crate::keyword::is_not_a_column;
use crate::lexer::{Symbol, Token, TokenKind, ident_value, lex, string_value};
use crate::suggest::did_you_mean;

/// The largest text that is read, in bytes. A project's definitions are kilobytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// How high the tree of an expression may be (`a + b + c` is three high), without
/// parentheses. Keeps the stack small wherever a tree is walked.
pub const DEPTH_MAX: usize = 128;
/// How deep queries may be nested, how deep types, and how deep windows and filters of
/// aggregates.
pub const QUERY_DEPTH_MAX: usize = 16;
/// Levels of expressions that are read inside of each other: those of the highest tree with
/// parentheses around each, so that what is printed can always be read.
const NESTING_MAX: usize = 2 * DEPTH_MAX;

/// Errors are boxed, so that results stay small on the way up.
type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads all statements of a text. Statements with errors are not among those returned;
/// the diagnostics are in the order of the text, at most [`DIAGNOSTICS_MAX`] of them.
pub fn parse_statements(text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
    let mut parser = match Parser::new(text) {
        Ok(parser) => parser,
        Err(diagnostic) => return (Vec::new(), vec![*diagnostic]),
    };
    let statements = parser.statements();
    (statements, parser.finish())
}

/// Reads a text that is one expression.
pub fn parse_expression(text: &str) -> Result<Expr, Vec<Diagnostic>> {
    parse_whole(text, "the expression", Parser::expr)
}

/// Reads a text that is one spine query: `SELECT columns, LABEL x FROM v WITHIN INTERVAL ...
/// FROM source [WHERE expr]`, with or without a semicolon.
pub fn parse_spine_query(text: &str) -> Result<SpineQuery, Vec<Diagnostic>> {
    parse_whole(text, "the query", Parser::spine_query)
}

/// Reads a text that is one length of time, as it is given on a command line: `3 hours`,
/// `24h`, `1 day 2 hours`, `01:30:00`, `INTERVAL '3' HOUR`.
pub fn parse_interval(text: &str) -> Result<Interval, Vec<Diagnostic>> {
    let is_literal = text
        .trim_start()
        .get(.."interval".len())
        .is_some_and(|word| word.eq_ignore_ascii_case("interval"));
    if is_literal {
        return parse_whole(text, "the length of time", |parser| {
            parser.interval_literal().map(|literal| literal.value)
        });
    }
    interval::parse_length(text).map_err(|problem| vec![*problem.at(Span::new(0, text.len()))])
}

fn parse_whole<'a, T>(
    text: &'a str,
    what: &str,
    parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>,
) -> Result<T, Vec<Diagnostic>> {
    let mut parser = Parser::new(text).map_err(|diagnostic| vec![*diagnostic])?;
    let result = parse(&mut parser).and_then(|value| {
        parser.eat_symbol(Symbol::Semicolon);
        if parser.kind() == TokenKind::End {
            Ok(value)
        } else {
            Err(parser.unexpected(&format!("the end of {what}")))
        }
    });
    match result {
        Ok(value) if parser.diagnostics.is_empty() => Ok(value),
        Ok(_) => Err(parser.finish()),
        Err(diagnostic) => {
            parser.report(*diagnostic);
            Err(parser.finish())
        }
    }
}

/// Words that start a statement; at the start of a line they end the one before.
const STATEMENT_WORDS: [&str; 3] = ["CREATE", "DROP", "ALTER"];

/// Words that may go on with a statement, for hints at misspelt ones.
const CLAUSE_WORDS: [&str; 12] = [
    "COMMENT",
    "OWNER",
    "TAGS",
    "WITH",
    "FROM",
    "WHERE",
    "GROUP",
    "WINDOW",
    "ASOF",
    "JOIN",
    "ON",
    "MATCH_CONDITION",
];

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    /// The diagnostics of bad tokens, by index.
    bad: Vec<Diagnostic>,
    /// The current token.
    at: usize,
    diagnostics: Vec<Diagnostic>,
    /// Expressions that are open.
    depth: usize,
    /// Queries, types, windows and filters that are open.
    query_depth: usize,
    /// `CASE`s that are open: in them `END` is no column.
    cases: usize,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Parsed<Self> {
        if source.len() > TEXT_BYTES_MAX {
            let message = format!(
                "a text of {} bytes is too large: at most {TEXT_BYTES_MAX} are read",
                source.len()
            );
            return Err(Box::new(
                Diagnostic::error(message, Span::new(0, 0))
                    .with_hint("divide the definitions among several files"),
            ));
        }
        let (tokens, bad) = lex(source);
        Ok(Parser {
            source,
            tokens,
            bad,
            at: 0,
            diagnostics: Vec::new(),
            depth: 0,
            query_depth: 0,
            cases: 0,
        })
    }

    /// The diagnostics, in the order of the text.
    fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self.diagnostics
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX && !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            while self.eat_symbol(Symbol::Semicolon).is_some() {}
            if self.kind() == TokenKind::End || self.diagnostics.len() >= DIAGNOSTICS_MAX {
                return statements;
            }
            let known = self.diagnostics.len();
            let first = self.at;
            (self.depth, self.query_depth, self.cases) = (0, 0, 0);
            match self.statement() {
                Ok(statement) => {
                    self.statement_end();
                    if self.diagnostics.len() == known {
                        statements.push(statement);
                    }
                }
                Err(diagnostic) => {
                    self.report(*diagnostic);
                    self.recover(first);
                }
            }
        }
    }

    /// A semicolon, or the end of the text.
    fn statement_end(&mut self) {
        if self.kind() == TokenKind::End || self.eat_symbol(Symbol::Semicolon).is_some() {
            return;
        }
        let starts_next = STATEMENT_WORDS.iter().any(|word| self.is_word(word));
        let place = if starts_next {
            self.previous_span().after()
        } else {
            self.span()
        };
        let mut diagnostic = *self.unexpected_word("`;`", &CLAUSE_WORDS);
        if let TokenKind::Bad(_) = self.kind() {
            // Its own diagnostic says more.
        } else if starts_next {
            diagnostic.span = place;
            diagnostic.message = "expected `;` after this statement".to_owned();
            diagnostic.hint = Some("end the statement with `;`".to_owned());
        } else if self.kind() == TokenKind::Symbol(Symbol::RightParen) {
            diagnostic.hint = Some("there is one `)` too many".to_owned());
        } else if let Some(hint) = self.misplaced_clause_hint() {
            diagnostic.hint = Some(hint);
        }
        self.report(diagnostic);
        if !starts_next {
            self.recover(self.at);
        }
    }

    /// What to say about a clause that is in the wrong place, or twice what may be once.
    fn misplaced_clause_hint(&self) -> Option<String> {
        if self.is_symbol(Symbol::Comma) {
            return Some("write one statement for each".to_owned());
        }
        if self.is_name_at(0) && self.is_symbol_at(1, Symbol::LeftParen) {
            let before = self.text();
            return (!self.is_word("WITH")).then(|| format!("is a `,` missing before `{before}`?"));
        }
        let clause = [
            "ENTITY",
            "TTL",
            "MATERIALIZED",
            "EMIT",
            "REQUEST",
            "VERSION",
        ]
        .into_iter()
        .find(|word| self.is_word(word))?;
        Some(format!("`{clause}` belongs before `AS`"))
    }

    /// Skips to the next statement, reporting on the way only a comment that hides the rest
    /// of the text. `first` is the first token of the statement that went wrong.
    fn recover(&mut self, first: usize) {
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Symbol(Symbol::Semicolon) => return,
                TokenKind::Bad(index) if self.text().starts_with("/*") => {
                    let diagnostic = self.bad[index].clone();
                    self.report(diagnostic);
                }
                _ if self.at > first && self.starts_statement() => return,
                _ => {}
            }
            self.bump();
        }
    }

    /// Whether the current token is plainly the first of a statement: at the start of its
    /// line, and followed by a kind of object.
    fn starts_statement(&self) -> bool {
        let before = self.source[..self.span().start].trim_end_matches([' ', '\t']);
        (before.is_empty() || before.ends_with('\n'))
            && STATEMENT_WORDS.iter().any(|word| self.is_word(word))
            && create::OBJECT_WORDS
                .iter()
                .any(|word| self.is_word_at(1, word))
    }

    // The current token, and those after it.

    fn token(&self) -> Token {
        self.token_at(0)
    }

    fn token_at(&self, ahead: usize) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + ahead).min(last)]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn span(&self) -> Span {
        self.token().span
    }

    fn previous_span(&self) -> Span {
        match self.at.checked_sub(1) {
            Some(previous) => self.tokens[previous].span,
            None => Span::new(0, 0),
        }
    }

    /// From `start` to the end of the last token taken.
    fn since(&self, start: Span) -> Span {
        Span::new(start.start, self.previous_span().end.max(start.start))
    }

    fn text(&self) -> &'a str {
        self.span().text(self.source)
    }

    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn is_symbol(&self, symbol: Symbol) -> bool {
        self.kind() == TokenKind::Symbol(symbol)
    }

    fn is_symbol_at(&self, ahead: usize, symbol: Symbol) -> bool {
        self.token_at(ahead).kind == TokenKind::Symbol(symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.token_at(ahead);
        token.kind == TokenKind::Word && token.span.text(self.source).eq_ignore_ascii_case(word)
    }

    /// Whether these words come next, in this order.
    fn is_words(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_word_at(ahead, word))
    }

    fn is_name_at(&self, ahead: usize) -> bool {
        matches!(
            self.token_at(ahead).kind,
            TokenKind::Word | TokenKind::QuotedIdent
        )
    }

    fn is_string_at(&self, ahead: usize) -> bool {
        matches!(
            self.token_at(ahead).kind,
            TokenKind::String | TokenKind::EscapedString
        )
    }

    // Taking what may be there.

    fn eat_symbol(&mut self, symbol: Symbol) -> Option<Span> {
        self.is_symbol(symbol).then(|| self.bump().span)
    }

    fn eat_word(&mut self, word: &str) -> Option<Span> {
        self.is_word(word).then(|| self.bump().span)
    }

    /// Takes all of these words, or nothing.
    fn eat_words(&mut self, words: &[&str]) -> Option<Span> {
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

    fn expect_symbol(&mut self, symbol: Symbol, purpose: &str) -> Parsed<Span> {
        self.eat_symbol(symbol)
            .ok_or_else(|| self.unexpected(&format!("`{}`{purpose}", symbol.text())))
    }

    fn expect_word(&mut self, word: &str, purpose: &str) -> Parsed<Span> {
        self.eat_word(word)
            .ok_or_else(|| self.unexpected_word(&format!("`{word}`{purpose}"), &[word]))
    }

    fn ident(&mut self, what: &str) -> Parsed<Ident> {
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

    fn string(&mut self, what: &str) -> Parsed<StringLit> {
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

    fn number(&mut self, what: &str) -> Parsed<NumberLit> {
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
    fn parenthesised<T>(
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
    fn list_end_hint(&self, open: Span, is_empty: bool, what: &str) -> Option<Box<Diagnostic>> {
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
    fn close(&mut self, open: Span, symbol: Symbol, list: bool) -> Parsed<Span> {
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
    fn column_list(&mut self, what: &str) -> Parsed<ColumnList> {
        let (columns, span) = self.parenthesised(what, |parser| parser.ident(what))?;
        Ok(ColumnList { columns, span })
    }

    // Saying what is wrong.

    /// The error of a token that should have been something else. `expected` is a noun
    /// phrase, with keywords and symbols in backticks.
    fn unexpected(&self, expected: &str) -> Box<Diagnostic> {
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
    fn unexpected_word(&self, expected: &str, words: &[&str]) -> Box<Diagnostic> {
        let mut diagnostic = self.unexpected(expected);
        if self.kind() == TokenKind::Word
            && let Some(word) = did_you_mean(self.text(), words.iter().copied())
        {
            diagnostic.hint = Some(format!("did you mean `{word}`?"));
        }
        diagnostic
    }

    /// The current token in words.
    fn found(&self) -> String {
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
    fn unclosed_string_hint(&self) -> Option<String> {
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

    // Depth.

    /// An expression inside of others; an error beyond `NESTING_MAX`.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_MAX {
            return Err(too_deep(self.span()));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// A query, type, window or filter inside of others; an error beyond [`QUERY_DEPTH_MAX`].
    fn nested_query<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.query_depth >= QUERY_DEPTH_MAX {
            return Err(too_deep(self.span()));
        }
        self.query_depth += 1;
        let result = parse(self);
        self.query_depth -= 1;
        result
    }

    /// Reports every name that was there before, and goes on.
    fn report_twice<'n>(&mut self, what: &str, names: impl Iterator<Item = (&'n str, Span)>) {
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

fn too_deep(span: Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error("this is nested too many levels deep", span)
            .with_hint("divide it: computed columns of a source and chained views can hold parts"),
    )
}

/// A token's text for a message: one line, not too long.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let line = text.split(['\n', '\r']).next().unwrap_or("");
    if line.len() == text.len() && text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    let cut: String = line.chars().take(CHARS_MAX).collect();
    format!("{cut}...")
}
