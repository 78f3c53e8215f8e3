//! `CREATE BATCH FEATURE VIEW`: its head is ours, its query is taken as text.

use super::{Parsed, Parser};
use crate::ast::{CreateBatchView, Metadata, Span, StringLit};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

/// Words that clauses of a batch view start with.
const CLAUSE_WORDS: [&str; 6] = ["ENTITY", "SCHEDULE", "COMMENT", "OWNER", "TAGS", "AS"];

impl Parser<'_> {
    /// Behind `CREATE BATCH FEATURE VIEW`.
    pub(super) fn batch_view(&mut self) -> Parsed<CreateBatchView> {
        let name = self.name("the name of the view")?;
        let features = if self.is_symbol(Symbol::LeftParen) {
            self.request_columns("a feature", "the features")?
        } else {
            Vec::new()
        };
        let (mut entity, mut schedule, mut zone) = (None, None, None);
        let mut metadata = Metadata::default();
        loop {
            let start = self.span();
            if self.metadata_clause(&mut metadata)? {
                continue;
            }
            if self.eat_word("ENTITY").is_some() {
                let found = self.entity_ref(start)?;
                self.set(&mut entity, found, start, "ENTITY");
            } else if self.eat_word("SCHEDULE").is_some() {
                let found = self.string("a schedule such as '0 3 * * *'")?;
                self.set(&mut schedule, found, start, "SCHEDULE");
                if self.eat_word("IN").is_some() {
                    zone = Some(self.string("a time zone")?);
                }
            } else {
                break;
            }
        }
        let missing = |parser: &Self, clause: &str, hint: &str| {
            let mut diagnostic = parser.unexpected_word(clause, &CLAUSE_WORDS);
            if parser.is_word("AS") || diagnostic.hint.is_none() {
                diagnostic.hint = Some(hint.to_owned());
            }
            diagnostic
        };
        let Some(entity) = entity else {
            let hint = "say whose features these are, such as `ENTITY airport (origin)`";
            return Err(missing(self, "`ENTITY` and the view's entity", hint));
        };
        if self.eat_word("AS").is_none() {
            return Err(self.unexpected_word("`AS` and a query", &CLAUSE_WORDS));
        }
        Ok(CreateBatchView {
            name,
            features,
            entity,
            schedule,
            zone,
            query: self.foreign_query()?,
            metadata,
        })
    }

    /// Everything up to the semicolon, in which only texts, quoted names and comments are
    /// understood.
    fn foreign_query(&mut self) -> Parsed<StringLit> {
        let start = self.span();
        let mut end = start;
        loop {
            match self.kind() {
                TokenKind::End | TokenKind::Symbol(Symbol::Semicolon) => break,
                // A text, a name or a comment without its end would take the rest with it.
                TokenKind::Bad(index) if self.text().starts_with(['\'', '"', '/']) => {
                    return Err(Box::new(self.bad[index].clone()));
                }
                _ => {}
            }
            end = self.span();
            self.bump();
        }
        let span = Span::new(start.start, end.end);
        let value = span.text(self.source).trim().to_owned();
        if value.is_empty() {
            return Err(Box::new(
                Diagnostic::error("there is no query", start).with_hint("write `AS SELECT ...`"),
            ));
        }
        Ok(StringLit { value, span })
    }
}
