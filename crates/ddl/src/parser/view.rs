//! `CREATE FEATURE VIEW` and `CREATE ON DEMAND FEATURE VIEW`.

use super::{Parsed, Parser};
use crate::ast::{
    CreateFeatureView, CreateOnDemandView, EntityRef, FeatureDef, IntervalLit, Metadata, OnLate,
    RequestColumn, Span, StringLit,
};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

/// The clauses of a view, between its column list and `AS`, in any order.
#[derive(Default)]
struct Clauses {
    entity: Option<EntityRef>,
    ttl: Option<IntervalLit>,
    materialized: Option<Span>,
    emit_to: Option<StringLit>,
    on_late: Option<OnLate>,
    request: Option<Vec<RequestColumn>>,
    metadata: Metadata,
}

/// Words that clauses of a view start with.
const CLAUSE_WORDS: [&str; 9] = [
    "ENTITY",
    "TTL",
    "MATERIALIZED",
    "EMIT",
    "REQUEST",
    "COMMENT",
    "OWNER",
    "TAGS",
    "AS",
];

impl Parser<'_> {
    /// Behind `CREATE FEATURE VIEW`, which is at `keywords`.
    pub(super) fn feature_view(&mut self, keywords: Span) -> Parsed<CreateFeatureView> {
        let name = if self.view_is_nameless() {
            None
        } else {
            Some(self.name("the name of the view")?)
        };
        let features = self.feature_list()?;
        let mut clauses = self.view_clauses(false)?;
        let Some(entity) = clauses.entity else {
            let mut diagnostic =
                self.unexpected_word("`ENTITY` and the view's entity", &CLAUSE_WORDS);
            if self.is_word("AS")
                || diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_))
            {
                diagnostic.hint = Some(
                    "say whose features these are, such as `ENTITY airport (origin)`".to_owned(),
                );
            }
            return Err(diagnostic);
        };
        self.as_query_word()?;
        let query = self.query()?;
        self.behind_query(&mut clauses.metadata, &mut clauses.on_late)?;
        Ok(CreateFeatureView {
            name,
            keywords,
            features,
            entity,
            ttl: clauses.ttl,
            materialized: clauses.materialized,
            emit_to: clauses.emit_to,
            on_late: clauses.on_late,
            metadata: clauses.metadata,
            query,
        })
    }

    /// `ENTITY` with another name behind it starts the clause; else it is the view's name.
    fn view_is_nameless(&self) -> bool {
        let starts_clause = self.is_word("ENTITY")
            && self.is_name_at(1)
            && !CLAUSE_WORDS.iter().any(|word| self.is_word_at(1, word));
        starts_clause || self.is_symbol(Symbol::LeftParen) || self.is_word("AS")
    }

    /// Behind `CREATE ON DEMAND FEATURE VIEW`.
    pub(super) fn on_demand_view(&mut self) -> Parsed<CreateOnDemandView> {
        let name = self.name("the name of the view")?;
        let features = self.feature_list()?;
        let mut clauses = self.view_clauses(true)?;
        self.as_query_word()?;
        let query = self.query()?;
        while self.metadata_clause(&mut clauses.metadata)? {}
        Ok(CreateOnDemandView {
            name,
            features,
            entity: clauses.entity,
            request: clauses.request.unwrap_or_default(),
            metadata: clauses.metadata,
            query,
        })
    }

    fn as_query_word(&mut self) -> Parsed<()> {
        if self.eat_word("AS").is_some() {
            return Ok(());
        }
        let mut diagnostic = self.unexpected_word("`AS` and a query", &CLAUSE_WORDS);
        if self.is_word("SELECT") {
            diagnostic.hint = Some("write `AS` before `SELECT`".to_owned());
        } else if self.is_word("WITH") {
            diagnostic.hint = Some(
                "a view has no options; its clauses are `ENTITY`, `TTL`, `MATERIALIZED`, `EMIT \
                 TO`, `ON LATE`"
                    .to_owned(),
            );
        }
        Err(diagnostic)
    }

    fn view_clauses(&mut self, on_demand: bool) -> Parsed<Clauses> {
        let mut clauses = Clauses::default();
        loop {
            let start = self.span();
            if self.metadata_clause(&mut clauses.metadata)? {
                continue;
            }
            if self.eat_word("ENTITY").is_some() {
                let entity = self.entity_ref(start)?;
                self.set(&mut clauses.entity, entity, start, "ENTITY");
            } else if self.eat_word("REQUEST").is_some() {
                if !on_demand {
                    self.report(
                        Diagnostic::error("a feature view has no request columns", start)
                            .with_hint("write `CREATE ON DEMAND FEATURE VIEW`"),
                    );
                }
                let columns =
                    self.request_columns("a column of the request", "the columns of the request")?;
                self.set(&mut clauses.request, columns, start, "REQUEST");
            } else if self.eat_word("TTL").is_some() {
                let length = self.length_of_time()?;
                self.set(&mut clauses.ttl, length, start, "TTL");
                self.refuse_on_demand(on_demand, start);
            } else if self.eat_word("MATERIALIZED").is_some() {
                self.set(&mut clauses.materialized, start, start, "MATERIALIZED");
                self.refuse_on_demand(on_demand, start);
            } else if self.eat_words(&["EMIT", "TO"]).is_some() {
                let topic = self.string("the name of a topic")?;
                self.set(&mut clauses.emit_to, topic, start, "EMIT TO");
                self.refuse_on_demand(on_demand, start);
            } else if let Some(clause) = self.on_late()? {
                self.set(&mut clauses.on_late, clause, clause.span, "ON LATE");
                self.refuse_on_demand(on_demand, start);
            } else {
                return Ok(clauses);
            }
        }
    }

    fn refuse_on_demand(&mut self, on_demand: bool, start: Span) {
        if on_demand {
            let span = self.since(start);
            self.report(
                Diagnostic::error(
                    format!(
                        "`{}` has no meaning in an on-demand view",
                        span.text(self.source)
                    ),
                    span,
                )
                .with_hint(
                    "leave it out: such a view is computed when it is read, and stored nowhere",
                ),
            );
        }
    }

    /// Behind `ENTITY`.
    pub(super) fn entity_ref(&mut self, start: Span) -> Parsed<EntityRef> {
        let name = self.name("the name of an entity")?;
        let columns = if self.is_symbol(Symbol::LeftParen) {
            Some(self.column_list("a column of the source")?)
        } else {
            None
        };
        Ok(EntityRef {
            name,
            columns,
            span: self.since(start),
        })
    }

    /// The column list of a view; empty if there is none.
    fn feature_list(&mut self) -> Parsed<Vec<FeatureDef>> {
        if !self.is_symbol(Symbol::LeftParen) {
            return Ok(Vec::new());
        }
        let (features, _) = self.parenthesised("a feature", Self::feature)?;
        let names = features.iter().map(|feature| &feature.name);
        self.report_twice(
            "feature",
            names.map(|name| (name.value.as_str(), name.span)),
        );
        Ok(features)
    }

    fn feature(&mut self) -> Parsed<FeatureDef> {
        let name = self.ident("the name of a feature")?;
        let mut feature = FeatureDef {
            span: name.span,
            name,
            default: None,
            expect: None,
            metadata: Metadata::default(),
        };
        loop {
            let start = self.span();
            if self.metadata_clause(&mut feature.metadata)? {
                continue;
            }
            if self.eat_word("DEFAULT").is_some() {
                let value = self.expr()?;
                self.set(&mut feature.default, value, start, "DEFAULT");
            } else if self.eat_word("EXPECT").is_some() {
                let expr = self.parenthesised_expr(" and a condition")?;
                self.set(&mut feature.expect, expr, start, "EXPECT");
            } else if self.kind() == TokenKind::Word && self.starts_type(0) {
                let span = self.span();
                return Err(Box::new(
                    Diagnostic::error("a feature has the type of what it is computed from", span)
                        .with_hint("leave the type out, or write `CAST(... AS ...)` in the query"),
                ));
            } else {
                break;
            }
        }
        feature.span = self.since(feature.span);
        Ok(feature)
    }
}
