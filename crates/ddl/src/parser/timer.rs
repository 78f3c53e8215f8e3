//! `EMIT WHEN` and `AFTER` behind the query of a derived stream, `WAIT FOR WATERMARK` behind its joins.

use super::{Parsed, Parser};
use crate::ast::{After, JoinKind, Query, WatermarkWait};
use crate::error::Diagnostic;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// Whether such a clause, or a part of one, starts here. All of it are names elsewhere.
    pub(super) fn at_timer(&self) -> bool {
        self.at_after()
            || self.is_words(&["EMIT", "WHEN"])
            || self.is_word("WITHOUT")
            || self.at_wait()
    }

    fn at_after(&self) -> bool {
        self.is_word("AFTER")
            && (self.is_word_at(1, "INTERVAL") || self.token_at(1).kind == TokenKind::Number)
    }

    /// The query of a derived stream.
    pub(super) fn emitted_query(&mut self) -> Parsed<Box<Query>> {
        self.waits = true;
        let parsed = self.query();
        let parsed = parsed.and_then(|mut query| {
            self.timer(&mut query)?;
            Ok(Box::new(query))
        });
        self.waits = false;
        parsed
    }

    /// The clauses behind a query, which becomes theirs.
    fn timer(&mut self, query: &mut Query) -> Parsed<()> {
        loop {
            let start = self.span();
            if self.eat_words(&["EMIT", "WHEN"]).is_some() {
                let condition = self.expr()?;
                self.set(&mut query.emit_when, condition, start, "EMIT WHEN");
            } else if self.at_after() {
                let after = self.after()?;
                self.set(&mut query.after, after, start, "AFTER");
            } else {
                return Ok(());
            }
        }
    }

    /// `AFTER INTERVAL ... [WITHOUT x ON ...]...`
    fn after(&mut self) -> Parsed<After> {
        let start = self.expect_word("AFTER", "")?;
        let length = self.length_of_time()?;
        let mut without = Vec::new();
        while let Some(word) = self.eat_word("WITHOUT") {
            without.push(self.join(JoinKind::AsOf, word)?);
        }
        Ok(After {
            length,
            without,
            span: self.since(start),
        })
    }

    pub(super) fn at_wait(&self) -> bool {
        self.is_words(&["WAIT", "FOR", "WATERMARK"])
    }

    /// `WAIT FOR WATERMARK [TIMEOUT INTERVAL ...]`
    pub(super) fn wait(&mut self) -> Parsed<WatermarkWait> {
        let start = self.span();
        self.eat_words(&["WAIT", "FOR", "WATERMARK"]);
        let timeout = match self.eat_word("TIMEOUT") {
            Some(_) => Some(self.length_of_time()?),
            None => None,
        };
        let span = self.since(start);
        if !self.waits {
            self.report(
                Diagnostic::error("only a derived stream waits for watermarks", span).with_hint(
                    "leave it out: who reads says what is waited for, with `consistency`; or write it in `CREATE STREAM ... AS SELECT`",
                ),
            );
        }
        Ok(WatermarkWait { timeout, span })
    }

    /// Says of such a clause where it cannot stand where it may.
    pub(super) fn refuse_timer(&self) -> Parsed<()> {
        if !self.at_timer() {
            return Ok(());
        }
        let word = self.text().to_ascii_uppercase();
        Err(Box::new(
            Diagnostic::error(format!("`{word}` has no meaning here"), self.span()).with_hint(
                "the order is `CREATE STREAM name AS SELECT ...`, then `EMIT WHEN`, then `AFTER INTERVAL ... WITHOUT x ON ...`, then `ON LATE`: rows that come later, or not, are those of derived streams",
            ),
        ))
    }
}
