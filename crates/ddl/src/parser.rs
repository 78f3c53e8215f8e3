//! Tokens to the syntax tree: recursive descent for statements, precedence climbing for
//! expressions.
//!
//! Invariants: a statement is returned only if nothing in it is wrong; every diagnostic's
//! span lies in the text; no input makes the parser recurse deeper than `NESTING_MAX`
//! levels or builds a tree higher than [`DEPTH_MAX`]. After an error the parser goes on behind the
//! next semicolon (or at what is plainly the start of the next statement), so the errors of
//! all statements are found at once.

mod batch;
mod call;
mod column;
mod complaint;
mod create;
mod dataset;
mod expr;
mod function;
mod interval;
mod model;
mod option;
mod primary;
mod pushed;
mod query;
mod segment;
mod service;
mod source;
mod spine;
mod timer;
mod token;
mod types;
mod view;
mod window;

use evenkeel_types::Interval;

use self::complaint::too_deep;
pub(crate) use self::expr::power;

use evenkeel_types::DataType;

use crate::ast::{Expr, Query, Span, SpineQuery, Statement};
use crate::error::{DIAGNOSTICS_MAX, Diagnostic};
use crate::lexer::{Symbol, Token, TokenKind, lex};

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

/// Reads a text that is one query: what `CREATE SEGMENT` has behind `AS`, with or without a
/// semicolon.
pub fn parse_query(text: &str) -> Result<Query, Vec<Diagnostic>> {
    parse_whole(text, "the query", Parser::query)
}

/// Reads a text that is one type: `BIGINT`, `DECIMAL(10, 2)`, `ARRAY<STRING>`.
pub fn parse_type(text: &str) -> Result<DataType, Vec<Diagnostic>> {
    parse_whole(text, "the type", |parser| {
        parser.type_name("a column").map(|name| name.data_type)
    })
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
    /// Whether the query is a derived stream's, which may wait for watermarks.
    waits: bool,
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
            waits: false,
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
}
