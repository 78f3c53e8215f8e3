//! `CREATE STREAM` and `CREATE TABLE`.

use super::types::ELSEWHERE;
use super::{Parsed, Parser};
use crate::ast::{
    ColumnDef, Constraint, ConstraintKind, CreateSource, EventTimeClause, Ident, IntervalLit,
    Metadata, Retain, SourceBody, SourceClauses, SourceKind, Span, StringLit,
};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};
use crate::suggest::did_you_mean;

/// What clauses of a source start with.
const CLAUSES: [&str; 10] = [
    "PRIMARY KEY",
    "EVENT ID",
    "EVENT TIME",
    "WATERMARK FOR",
    "KNOWN AT",
    "SEQUENCE BY",
    "DEDUPLICATE WITHIN",
    "MAX FUTURE",
    "HOT RETENTION",
    "RETAIN INTERVAL",
];

/// What the parentheses of a source hold.
#[derive(Default)]
struct Items {
    columns: Vec<ColumnDef>,
    clauses: SourceClauses,
}

impl Parser<'_> {
    /// Behind `CREATE STREAM` or `CREATE TABLE`.
    pub(super) fn source(&mut self, kind: SourceKind) -> Parsed<CreateSource> {
        let what = match kind {
            SourceKind::Stream => "stream",
            SourceKind::Table => "table",
        };
        let name = self.name(&format!("the name of the {what}"))?;
        let mut metadata = Metadata::default();
        let body = if self.is_symbol(Symbol::LeftParen) || self.is_word("FROM") {
            self.declared(kind, &mut metadata)?
        } else {
            while self.metadata_clause(&mut metadata)? {}
            self.derived(kind, &name, &mut metadata)?
        };
        Ok(CreateSource {
            kind,
            name,
            body,
            metadata,
        })
    }

    /// Columns and clauses, those of a file, or both.
    fn declared(&mut self, kind: SourceKind, metadata: &mut Metadata) -> Parsed<SourceBody> {
        let mut items = Items::default();
        if self.is_symbol(Symbol::LeftParen) {
            self.parenthesised("a column or a clause", |parser| {
                parser.source_item(kind, &mut items)
            })?;
        }
        let names = items.columns.iter().map(|column| &column.name);
        self.report_twice("column", names.map(|name| (name.value.as_str(), name.span)));
        let path = match self.eat_word("FROM") {
            Some(_) => Some(self.file_path()?),
            None => None,
        };
        let mut options = None;
        let mut filter = None;
        loop {
            if self.metadata_clause(metadata)? {
                continue;
            }
            if let Some(word) = self.eat_word("WITH") {
                let found = self.with_options()?;
                self.set(&mut options, found, word, "WITH");
            } else if let Some(word) = self.eat_word("WHERE") {
                let expr = self.expr()?;
                self.set(&mut filter, expr, word, "WHERE");
            } else {
                break;
            }
        }
        let Items { columns, clauses } = items;
        let (clauses, options) = (Box::new(clauses), options.unwrap_or_default());
        Ok(match path {
            None => SourceBody::Declared {
                columns,
                clauses,
                options,
                filter,
            },
            Some(path) => SourceBody::FromFile {
                columns,
                clauses,
                path,
                options,
                filter,
            },
        })
    }

    /// Behind `FROM`.
    fn file_path(&mut self) -> Parsed<StringLit> {
        if self.eat_word("FILE").is_none() {
            let mut diagnostic = self.unexpected_word("`FILE` and a path", &["FILE"]);
            if self.is_string_at(0) {
                diagnostic.hint = Some(format!("write `FROM FILE {}`", self.text()));
            }
            return Err(diagnostic);
        }
        self.string("the path of a file")
    }

    fn derived(
        &mut self,
        kind: SourceKind,
        name: &Ident,
        metadata: &mut Metadata,
    ) -> Parsed<SourceBody> {
        let Some(word) = self.eat_word("AS") else {
            let mut diagnostic =
                self.unexpected_word("`(` and columns, `FROM FILE` or `AS`", &["FROM", "AS"]);
            if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
                diagnostic.hint = Some(format!(
                    "such as `{} (id STRING, at TIMESTAMP, EVENT TIME at)`",
                    name
                ));
            }
            return Err(diagnostic);
        };
        if kind == SourceKind::Table {
            return Err(Box::new(
                Diagnostic::error("a table cannot be made from a query", word).with_hint(
                    "write `CREATE STREAM ... AS SELECT`, or `CREATE FEATURE VIEW` for values \
                     that are read",
                ),
            ));
        }
        let query = self.emitted_query()?;
        let mut on_late = None;
        self.behind_query(metadata, &mut on_late)?;
        Ok(SourceBody::Query { query, on_late })
    }

    fn source_item(&mut self, kind: SourceKind, items: &mut Items) -> Parsed<()> {
        if self.source_clause(kind, &mut items.clauses)? {
            return Ok(());
        }
        let column = self.column()?;
        items.columns.push(column);
        Ok(())
    }

    /// A clause among the columns; false if a column comes next. A column may be called
    /// like the first word of a clause: the second word decides.
    fn source_clause(&mut self, kind: SourceKind, clauses: &mut SourceClauses) -> Parsed<bool> {
        let start = self.span();
        if self.eat_words(&["PRIMARY", "KEY"]).is_some() {
            self.primary_key(kind, start, clauses)?;
        } else if self.eat_words(&["EVENT", "ID"]).is_some() {
            let columns = self.column_list("a column")?;
            self.set(&mut clauses.event_id, columns, start, "EVENT ID");
        } else if self.eat_words(&["EVENT", "TIME"]).is_some() {
            let clause = self.event_time(start)?;
            self.set(&mut clauses.event_time, clause, start, "EVENT TIME");
        } else if self.eat_words(&["WATERMARK", "FOR"]).is_some() {
            let clause = self.watermark(start)?;
            self.set(&mut clauses.event_time, clause, start, "EVENT TIME");
        } else if self.eat_words(&["KNOWN", "AT"]).is_some() {
            let expr = self.expr()?;
            self.set(&mut clauses.known_at, expr, start, "KNOWN AT");
        } else if self.eat_words(&["SEQUENCE", "BY"]).is_some() {
            let columns = self.column_list("a column")?;
            self.set(&mut clauses.sequence_by, columns, start, "SEQUENCE BY");
        } else if self.eat_words(&["DEDUPLICATE", "WITHIN"]).is_some() {
            let length = self.length_of_time()?;
            self.set(
                &mut clauses.deduplicate_within,
                length,
                start,
                "DEDUPLICATE WITHIN",
            );
        } else if self.eat_words(&["MAX", "FUTURE"]).is_some()
            || self.is_words(&["MAX_FUTURE", "INTERVAL"]) && self.eat_word("MAX_FUTURE").is_some()
        {
            let length = self.length_of_time()?;
            self.set(&mut clauses.max_future, length, start, "MAX FUTURE");
        } else if self.eat_words(&["HOT", "RETENTION"]).is_some() {
            let length = self.length_of_time()?;
            self.set(&mut clauses.hot_retention, length, start, "HOT RETENTION");
        } else if self.is_words(&["RETAIN", "INTERVAL"]) {
            clauses.retain.push(self.retain()?);
        } else if let Some(kind) = self.constraint_kind() {
            self.bump();
            let expr = self.parenthesised_expr(" and a condition")?;
            clauses.constraints.push(Constraint {
                kind,
                expr,
                span: self.since(start),
            });
        } else {
            return self.no_source_clause().map(|()| false);
        }
        Ok(true)
    }

    fn primary_key(
        &mut self,
        kind: SourceKind,
        start: Span,
        clauses: &mut SourceClauses,
    ) -> Parsed<()> {
        let words = self.since(start);
        let columns = self.column_list("a column")?;
        if kind == SourceKind::Stream {
            let columns = columns.span.text(self.source).to_owned();
            self.report(
                Diagnostic::error("a stream has no `PRIMARY KEY`: its rows are events", words)
                    .with_hint(format!(
                        "write `EVENT ID {columns}` to know an event that comes twice; or \
                         `CREATE TABLE` if a row replaces the one before it",
                    )),
            );
        }
        self.set(&mut clauses.primary_key, columns, words, "PRIMARY KEY");
        Ok(())
    }

    fn constraint_kind(&self) -> Option<ConstraintKind> {
        let is_call = self.is_symbol_at(1, Symbol::LeftParen);
        if is_call && self.is_word("CHECK") {
            Some(ConstraintKind::Check)
        } else if is_call && self.is_word("EXPECT") {
            Some(ConstraintKind::Expect)
        } else {
            None
        }
    }

    /// Clauses of other systems, and misspelt ones.
    fn no_source_clause(&mut self) -> Parsed<()> {
        if let Some(misspelt) = self.misspelt_clause() {
            return Err(misspelt);
        }
        let hint = if self.is_word("UNIQUE") && self.is_symbol_at(1, Symbol::LeftParen) {
            "write `EVENT ID (...)`, in a table `PRIMARY KEY (...)`"
        } else if self.is_words(&["FOREIGN", "KEY"]) {
            "leave it out: what belongs together is said where it is looked up"
        } else if self.is_word("CONSTRAINT") && self.is_word_at(2, "CHECK") {
            "write `CHECK (...)` without a name"
        } else if self.is_words(&["PARTITION", "BY"]) || self.is_words(&["PARTITIONED", "BY"]) {
            "leave it out: entities decide how events are divided"
        } else if self.is_word("TTL") && self.is_word_at(1, "INTERVAL") {
            "write `RETAIN INTERVAL ... FOR (key columns)`"
        } else if self.is_words(&["LATENESS", "INTERVAL"]) {
            "write it behind the event time, without a `,`: `EVENT TIME t LATENESS INTERVAL ...`"
        } else {
            return Ok(());
        };
        let span = self.span().to(self.token_at(1).span);
        let span = if self.is_symbol_at(1, Symbol::LeftParen) {
            self.span()
        } else {
            span
        };
        Err(Box::new(
            Diagnostic::error(
                format!("`{}` has no meaning here", span.text(self.source)),
                span,
            )
            .with_hint(hint),
        ))
    }

    /// Two words that are nearly the start of a clause, and are no column and its type.
    fn misspelt_clause(&self) -> Option<Box<Diagnostic>> {
        if !self.is_name_at(0) || !self.is_name_at(1) || self.starts_type(1) {
            return None;
        }
        let span = self.span().to(self.token_at(1).span);
        let words = span.text(self.source);
        if ELSEWHERE.iter().any(|(name, _)| self.is_word_at(1, name)) {
            return None;
        }
        let meant = did_you_mean(words, CLAUSES)?;
        let message = format!("`{words}` is neither a clause nor a column with its type");
        Some(Box::new(
            Diagnostic::error(message, span).with_hint(format!("did you mean `{meant}`?")),
        ))
    }

    /// Behind `EVENT TIME`.
    fn event_time(&mut self, start: Span) -> Parsed<EventTimeClause> {
        let column = self.ident("the column of the event time")?;
        let mut zone = None;
        let mut lateness = None;
        loop {
            if let Some(word) = self.eat_word("IN") {
                let name = self.string("the name of a zone, such as `'Europe/Berlin'`")?;
                self.set(&mut zone, name, word, "IN");
            } else if let Some(word) = self.eat_word("LATENESS") {
                let length = self.length_of_time()?;
                self.set(&mut lateness, length, word, "LATENESS");
            } else {
                break;
            }
        }
        Ok(EventTimeClause {
            column,
            zone,
            lateness,
            span: self.since(start),
        })
    }

    /// Behind `WATERMARK FOR`: `c AS c [- INTERVAL ...]`, as in Flink.
    fn watermark(&mut self, start: Span) -> Parsed<EventTimeClause> {
        let column = self.ident("the column of the event time")?;
        self.expect_word("AS", " and the watermark")?;
        let again = self.ident("the same column")?;
        if again.value != column.value {
            self.report(
                Diagnostic::error(
                    format!(
                        "the watermark of `{}` is made from that column, not from `{}`",
                        column.value, again.value
                    ),
                    again.span,
                )
                .with_hint(format!(
                    "write `WATERMARK FOR {column} AS {column} - INTERVAL '10' MINUTE`"
                )),
            );
        }
        let lateness: Option<IntervalLit> = match self.eat_symbol(Symbol::Minus) {
            Some(_) => Some(self.interval_literal()?),
            None => None,
        };
        Ok(EventTimeClause {
            column,
            zone: None,
            lateness,
            span: self.since(start),
        })
    }

    fn retain(&mut self) -> Parsed<Retain> {
        let start = self.expect_word("RETAIN", "")?;
        let interval = self.length_of_time()?;
        let keys = match self.eat_word("FOR") {
            Some(_) => Some(self.column_list("a key column")?),
            None => None,
        };
        Ok(Retain {
            interval,
            keys,
            span: self.since(start),
        })
    }
}
