//! Statements: which one it is, entities, `DROP`, `ALTER`, and what all objects have in
//! common.

use super::{Parsed, Parser, STATEMENT_WORDS};
use crate::ast::{
    Alter, ColumnChange, CreateEntity, Drop, Ident, Metadata, ObjectKind, OnLate, OnLateKind,
    Planned, PlannedKind, RequestColumn, SourceKind, Span, Statement, StatementKind, Tag,
};
use crate::error::Diagnostic;
use crate::keyword::is_not_a_column;
use crate::lexer::{Symbol, TokenKind};

/// Words that may follow `CREATE`, `DROP` or `ALTER`.
pub(super) const OBJECT_WORDS: [&str; 14] = [
    "ENTITY", "STREAM", "TABLE", "FEATURE", "ON", "BATCH", "PUSHED", "FUNCTION", "MODEL",
    "SEGMENT", "TRAINING", "SECRET", "SOURCE", "VIEW",
];

/// Mistaken words after `CREATE`, with what to write.
const CREATE_MISTAKES: [(&[&str], &str); 11] = [
    (
        &["SOURCE"],
        "write `CREATE STREAM` for things that happened, `CREATE TABLE` for versions of rows",
    ),
    (&["VIEW"], "write `CREATE FEATURE VIEW`"),
    (
        &["MATERIALIZED", "VIEW"],
        "write `CREATE FEATURE VIEW name ENTITY ... MATERIALIZED AS SELECT ...`",
    ),
    (&["SERVICE"], "write `CREATE FEATURE SERVICE`"),
    (&["DEMAND"], "write `CREATE ON DEMAND FEATURE VIEW`"),
    (&["DATASET"], "write `CREATE TRAINING DATASET`"),
    (
        &["OR", "REPLACE"],
        "leave `OR REPLACE` out: applying a changed definition makes a new version",
    ),
    (
        &["EXTERNAL"],
        "write `CREATE TABLE name (...) WITH (connector = 'file', path = '...')`",
    ),
    (&["FILE"], "write `CREATE STREAM name FROM FILE 'path'`"),
    (
        &["INDEX"],
        "there are no indexes to define: keys are found by their entity",
    ),
    (&["FEATURES"], "write `CREATE FEATURE VIEW`"),
];

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let start = self.span();
        let kind = if self.eat_word("CREATE").is_some() {
            self.create(start)?
        } else if self.eat_word("DROP").is_some() {
            StatementKind::Drop(self.drop_object()?)
        } else if self.eat_word("ALTER").is_some() {
            StatementKind::Alter(self.alter()?)
        } else {
            return Err(self.no_statement());
        };
        Ok(Statement {
            kind,
            span: self.since(start),
        })
    }

    fn no_statement(&self) -> Box<Diagnostic> {
        let mut diagnostic = self.unexpected_word("`CREATE`, `DROP` or `ALTER`", &STATEMENT_WORDS);
        let hint = if self.is_word("SELECT") || self.is_word("WITH") {
            "a definition is a statement: `CREATE FEATURE VIEW name ENTITY ... AS SELECT ...`"
        } else if self.is_word("INSERT") || self.is_word("UPDATE") || self.is_word("DELETE") {
            "definitions hold no data: rows come from the connectors of sources"
        } else {
            return diagnostic;
        };
        diagnostic.hint = Some(hint.to_owned());
        diagnostic
    }

    /// Behind `CREATE`, which is at `start`.
    fn create(&mut self, start: Span) -> Parsed<StatementKind> {
        if self.eat_word("ENTITY").is_some() {
            return self.entity().map(StatementKind::CreateEntity);
        }
        for (word, kind) in [("STREAM", SourceKind::Stream), ("TABLE", SourceKind::Table)] {
            if self.eat_word(word).is_some() {
                let source = self.source(kind)?;
                return Ok(StatementKind::CreateSource(Box::new(source)));
            }
        }
        if self.eat_words(&["FEATURE", "VIEW"]).is_some() {
            let view = self.feature_view(self.since(start))?;
            return Ok(StatementKind::CreateFeatureView(Box::new(view)));
        }
        if self.eat_words(&["FEATURE", "SERVICE"]).is_some() {
            return self.service().map(StatementKind::CreateFeatureService);
        }
        if self
            .eat_words(&["ON", "DEMAND", "FEATURE", "VIEW"])
            .is_some()
        {
            let view = self.on_demand_view()?;
            return Ok(StatementKind::CreateOnDemandView(Box::new(view)));
        }
        if self.eat_words(&["TRAINING", "DATASET"]).is_some() {
            let dataset = self.training_dataset()?;
            return Ok(StatementKind::CreateTrainingDataset(Box::new(dataset)));
        }
        if self.eat_word("SEGMENT").is_some() {
            let segment = self.segment()?;
            return Ok(StatementKind::CreateSegment(Box::new(segment)));
        }
        if self.eat_word("MODEL").is_some() {
            let model = self.model()?;
            return Ok(StatementKind::CreateModel(Box::new(model)));
        }
        if self.eat_words(&["BATCH", "FEATURE", "VIEW"]).is_some() {
            let view = self.batch_view()?;
            return Ok(StatementKind::CreateBatchView(Box::new(view)));
        }
        if self.eat_words(&["PUSHED", "FEATURE", "VIEW"]).is_some() {
            let view = self.pushed_view()?;
            return Ok(StatementKind::CreatePushedView(Box::new(view)));
        }
        if self.eat_word("FUNCTION").is_some() {
            let function = self.create_function()?;
            return Ok(StatementKind::CreateFunction(Box::new(function)));
        }
        let planned: [(&[&str], PlannedKind); 1] = [(&["SECRET"], PlannedKind::Secret)];
        for (words, kind) in planned {
            if self.eat_words(words).is_some() {
                return Ok(StatementKind::Planned(self.planned(kind, start)?));
            }
        }
        Err(self.no_object())
    }

    fn no_object(&mut self) -> Box<Diagnostic> {
        for (words, hint) in CREATE_MISTAKES {
            if self.is_words(words) {
                let span = self.span().to(self.token_at(words.len() - 1).span);
                let words = words.join(" ");
                return Box::new(
                    Diagnostic::error(format!("there is no `CREATE {words}`"), span)
                        .with_hint(hint),
                );
            }
        }
        if self.eat_word("FEATURE").is_some() {
            return self.unexpected_word("`VIEW` or `SERVICE`", &["VIEW", "SERVICE"]);
        }
        if self.eat_word("BATCH").is_some() || self.eat_word("PUSHED").is_some() {
            return self.unexpected_word("`FEATURE VIEW`", &["FEATURE"]);
        }
        if self.eat_word("TRAINING").is_some() {
            return self.unexpected_word("`DATASET`", &["DATASET"]);
        }
        if self.eat_word("ON").is_some() {
            return self.unexpected_word("`DEMAND FEATURE VIEW`", &["DEMAND"]);
        }
        let mut diagnostic = self.unexpected_word(
            "`ENTITY`, `STREAM`, `TABLE`, `FEATURE VIEW`, `ON DEMAND FEATURE VIEW` or `FEATURE \
             SERVICE`",
            &[
                "ENTITY",
                "STREAM",
                "TABLE",
                "FEATURE",
                "ON DEMAND",
                "BATCH",
                "PUSHED",
            ],
        );
        if self.is_word("TEMP") || self.is_word("TEMPORARY") {
            diagnostic.hint = Some("nothing is temporary here; leave it out".to_owned());
        }
        diagnostic
    }

    /// The name of an object or an alias: a word that is not plainly the start of another
    /// clause, or anything in double quotes.
    pub(super) fn name(&mut self, what: &str) -> Parsed<Ident> {
        if self.kind() == TokenKind::Word && is_not_a_column(&self.text().to_ascii_lowercase()) {
            return Err(self.unexpected(what));
        }
        if self.is_words(&["IF", "NOT", "EXISTS"]) {
            let span = self.span().to(self.token_at(2).span);
            return Err(Box::new(
                Diagnostic::error("`IF NOT EXISTS` has no meaning here", span)
                    .with_hint("leave it out: applying compares definitions with what exists"),
            ));
        }
        let name = self.ident(what)?;
        if self.is_symbol(Symbol::Point) {
            return Err(Box::new(
                Diagnostic::error(
                    "names of objects have no qualifier",
                    name.span.to(self.token_at(1).span),
                )
                .with_hint("write the name alone"),
            ));
        }
        Ok(name)
    }

    /// Behind `CREATE ENTITY`.
    fn entity(&mut self) -> Parsed<CreateEntity> {
        let name = self.name("the name of the entity")?;
        let keys = self.request_columns("a key column", "the entity's key columns")?;
        let mut metadata = Metadata::default();
        while self.metadata_clause(&mut metadata)? {}
        Ok(CreateEntity {
            name,
            keys,
            metadata,
        })
    }

    /// `(name TYPE [COMMENT '...'], ...)`
    pub(super) fn request_columns(&mut self, what: &str, list: &str) -> Parsed<Vec<RequestColumn>> {
        if !self.is_symbol(Symbol::LeftParen) {
            let mut diagnostic = self.unexpected(&format!("`(` and {list}"));
            if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
                diagnostic.hint = Some("such as `(user_id STRING)`".to_owned());
            }
            return Err(diagnostic);
        }
        let (columns, _) = self.parenthesised(what, |parser| {
            let name = parser.ident(what)?;
            let data_type = parser.type_name(&format!("`{}`", name.value))?;
            let comment = match parser.eat_word("COMMENT") {
                Some(_) => Some(parser.string("a comment")?),
                None => None,
            };
            Ok(RequestColumn {
                span: parser.since(name.span),
                name,
                data_type,
                comment,
            })
        })?;
        Ok(columns)
    }

    /// One of `COMMENT`, `OWNER`, `TAGS`; false if none comes next.
    pub(super) fn metadata_clause(&mut self, metadata: &mut Metadata) -> Parsed<bool> {
        if let Some(word) = self.eat_word("COMMENT") {
            let text = self.string("a comment")?;
            self.set(&mut metadata.comment, text, word, "COMMENT");
        } else if let Some(word) = self.eat_word("OWNER") {
            let text = self.string("the name of an owner")?;
            self.set(&mut metadata.owner, text, word, "OWNER");
        } else if let Some(word) = self.eat_word("TAGS") {
            let (tags, _) = self.parenthesised("a tag, such as `'tier' = 'gold'`", |parser| {
                let key = if parser.kind() == TokenKind::Word {
                    let key = parser.ident("a tag")?;
                    crate::ast::StringLit {
                        value: key.value,
                        span: key.span,
                    }
                } else {
                    parser.string("a tag, such as `'tier' = 'gold'`")?
                };
                parser.expect_symbol(Symbol::Equal, " and the value of the tag")?;
                let value = parser.string("the value of the tag")?;
                Ok(Tag { key, value })
            })?;
            if !metadata.tags.is_empty() {
                self.report(
                    Diagnostic::error("`TAGS` is given twice", word)
                        .with_hint("put all tags into one list"),
                );
            }
            metadata.tags = tags;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Fills a clause that may be given once; a second one is reported and reading goes on.
    pub(super) fn set<T>(&mut self, slot: &mut Option<T>, value: T, span: Span, clause: &str) {
        if slot.is_some() {
            self.report(
                Diagnostic::error(format!("`{clause}` is given twice"), span)
                    .with_hint("remove one of them"),
            );
        }
        *slot = Some(value);
    }

    /// `ON LATE KEEP | REVISE`
    pub(super) fn on_late(&mut self) -> Parsed<Option<OnLate>> {
        let start = self.span();
        if self.eat_words(&["ON", "LATE"]).is_none() {
            return Ok(None);
        }
        let kind = if self.eat_word("KEEP").is_some() {
            OnLateKind::Keep
        } else if self.eat_word("REVISE").is_some() {
            OnLateKind::Revise
        } else {
            return Err(self.unexpected_word("`KEEP` or `REVISE`", &["KEEP", "REVISE"]));
        };
        Ok(Some(OnLate {
            kind,
            span: self.since(start),
        }))
    }

    /// What may stand behind the query of a statement, and its timer: metadata and `ON LATE`.
    pub(super) fn behind_query(
        &mut self,
        metadata: &mut Metadata,
        on_late: &mut Option<OnLate>,
    ) -> Parsed<()> {
        loop {
            if self.metadata_clause(metadata)? {
                continue;
            }
            match self.on_late()? {
                Some(clause) => self.set(on_late, clause, clause.span, "ON LATE"),
                None => return self.refuse_timer(),
            }
        }
    }

    /// A statement that does not exist yet: its name, and the rest unread.
    fn planned(&mut self, kind: PlannedKind, start: Span) -> Parsed<Planned> {
        let keywords = self.since(start);
        let name = if self.is_name_at(0) {
            Some(self.name("a name")?)
        } else {
            None
        };
        let first = self.span();
        let mut last = first;
        while !matches!(
            self.kind(),
            TokenKind::End | TokenKind::Symbol(Symbol::Semicolon)
        ) && !self.starts_statement()
        {
            last = self.bump().span;
        }
        let rest = if self.span() == first {
            ""
        } else {
            first.to(last).text(self.source)
        };
        Ok(Planned {
            kind,
            name,
            keywords,
            rest: rest.to_owned(),
        })
    }

    fn object_kind(&mut self) -> Parsed<ObjectKind> {
        let kinds: [(&[&str], ObjectKind); 6] = [
            (&["ENTITY"], ObjectKind::Entity),
            (&["STREAM"], ObjectKind::Stream),
            (&["TABLE"], ObjectKind::Table),
            (&["FEATURE", "VIEW"], ObjectKind::FeatureView),
            (
                &["ON", "DEMAND", "FEATURE", "VIEW"],
                ObjectKind::FeatureView,
            ),
            (&["FEATURE", "SERVICE"], ObjectKind::FeatureService),
        ];
        for (words, kind) in kinds {
            if self.eat_words(words).is_some() {
                return Ok(kind);
            }
        }
        let mut diagnostic = self.unexpected_word(
            "`STREAM`, `TABLE`, `ENTITY`, `FEATURE VIEW` or `FEATURE SERVICE`",
            &["STREAM", "TABLE", "ENTITY", "FEATURE"],
        );
        if self.is_word("VIEW") || self.is_word("SERVICE") {
            diagnostic.hint = Some(format!("write `FEATURE {}`", self.text()));
        } else if self.is_word("SOURCE") {
            diagnostic.hint = Some("write `STREAM` or `TABLE`".to_owned());
        }
        Err(diagnostic)
    }

    /// Behind `DROP`.
    fn drop_object(&mut self) -> Parsed<Drop> {
        let kind = self.object_kind().map_err(|mut unknown| {
            unknown.hint.get_or_insert_with(|| {
                "only derived streams end, with `DROP STREAM`; of anything else delete the `CREATE` statement".to_owned()
            });
            unknown
        })?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]).is_some();
        let name = self.name("a name")?;
        Ok(Drop {
            kind,
            if_exists,
            name,
        })
    }

    /// Behind `ALTER`.
    fn alter(&mut self) -> Parsed<Alter> {
        let start = self.span();
        let kind = self.object_kind()?;
        if !matches!(kind, ObjectKind::Stream | ObjectKind::Table) {
            let span = self.since(start);
            return Err(Box::new(
                Diagnostic::error("only streams and tables can be altered", span)
                    .with_hint("change the definition and apply it: that makes a new version"),
            ));
        }
        let name = self.name("a name")?;
        let mut changes = Vec::new();
        loop {
            changes.push(self.column_change()?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        Ok(Alter {
            kind,
            name,
            changes,
        })
    }

    /// `ADD [COLUMN] column` or `ALTER [COLUMN] name TYPE type`.
    fn column_change(&mut self) -> Parsed<ColumnChange> {
        if self.eat_word("ADD").is_some() {
            // A column may be called `column`.
            let is_type_alone = self.starts_type(1) && !self.is_name_at(2);
            if self.is_word("COLUMN") && self.is_name_at(1) && !is_type_alone {
                self.bump();
            }
            return Ok(ColumnChange::Add(self.column()?));
        }
        if self.eat_word("ALTER").is_some() {
            // A column may be called `column`, and one may be called `type`.
            let is_its_name = self.is_word_at(1, "TYPE") && !self.is_word_at(2, "TYPE");
            if self.is_word("COLUMN") && self.is_name_at(1) && !is_its_name {
                self.bump();
            }
            let column = self.name("a column")?;
            self.expect_word("TYPE", " and the column's type from now on")?;
            let data_type = self.type_name(&format!("`{}`", column.value))?;
            return Ok(ColumnChange::Type { column, data_type });
        }
        let expected = "`ADD COLUMN` or `ALTER COLUMN`";
        let mut diagnostic = self.unexpected_word(expected, &["ADD", "ALTER"]);
        if self.is_word("DROP") || self.is_word("RENAME") {
            diagnostic.hint = Some(
                "the events have the column: leave it, and do not read it in the views; a \
                 computed column may give it another name"
                    .to_owned(),
            );
        } else if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            diagnostic.hint =
                Some("for other changes write the definition anew and apply it".to_owned());
        }
        Err(diagnostic)
    }
}
