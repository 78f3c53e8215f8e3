//! Queries: what is selected, from where, joined how.

use super::expr::power;
use super::{Parsed, Parser};
use crate::ast::{
    GroupBy, Ident, Join, JoinConstraint, JoinKind, NumberLit, Query, Relation, RelationSource,
    SelectItem, Span,
};
use crate::error::Diagnostic;
use crate::keyword::is_not_a_bare_alias;
use crate::lexer::{Symbol, TokenKind};

/// Words that may stand before `JOIN`.
const JOIN_WORDS: [&str; 11] = [
    "NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "SEMI", "ANTI", "ASOF",
    "LATERAL",
];

/// Clauses of general SQL that a definition has no use for, with what to write instead.
const NOT_HERE: [(&str, &str); 9] = [
    (
        "HAVING",
        "select the value and test it in a view over this one",
    ),
    (
        "QUALIFY",
        "select the value and test it in a view over this one",
    ),
    (
        "ORDER",
        "rows have no order here; windows are ordered by event time",
    ),
    ("LIMIT", "a view has a value for every key"),
    ("OFFSET", "a view has a value for every key"),
    ("FETCH", "a view has a value for every key"),
    ("UNION", "write one view for each source"),
    ("EXCEPT", "filter with `WHERE`"),
    ("INTERSECT", "filter with `WHERE`"),
];

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Parsed<Query> {
        self.nested_query(Self::query_inner)
    }

    fn query_inner(&mut self) -> Parsed<Query> {
        let start = self.span();
        self.select_word()?;
        let select = self.select_list()?;
        let mut joins = Vec::new();
        let from = match self.eat_word("FROM") {
            Some(_) => {
                let first = self.relation()?;
                self.joins(&mut joins)?;
                Some(first)
            }
            None => None,
        };
        let filter = match self.eat_word("WHERE") {
            Some(_) => Some(self.expr()?),
            None => None,
        };
        let group_start = self.span();
        let group_by = match self.eat_words(&["GROUP", "BY"]) {
            Some(_) => {
                let mut exprs = Vec::new();
                loop {
                    exprs.push(self.child(power::LOWEST, &mut 0)?);
                    if self.eat_symbol(Symbol::Comma).is_none() {
                        break;
                    }
                }
                Some(GroupBy {
                    exprs,
                    span: self.since(group_start),
                })
            }
            None => None,
        };
        let windows = match self.eat_word("WINDOW") {
            Some(_) => self.named_windows()?,
            None => Vec::new(),
        };
        self.query_end(from.is_some())?;
        Ok(Query {
            select,
            from,
            joins,
            filter,
            group_by,
            windows,
            emit_when: None,
            after: None,
            span: self.since(start),
        })
    }

    /// `SELECT`, and the mistakes around it.
    fn select_word(&mut self) -> Parsed<()> {
        if self.is_word("WITH") {
            return Err(Box::new(
                Diagnostic::error("a query cannot define others with `WITH`", self.span())
                    .with_hint("make each of them a feature view; views can read views"),
            ));
        }
        if self.is_symbol(Symbol::LeftParen) && self.is_word_at(1, "SELECT") {
            return Err(Box::new(
                Diagnostic::error("expected `SELECT`, found `(`", self.span())
                    .with_hint("write the query without parentheses around it"),
            ));
        }
        self.expect_word("SELECT", " and a query")?;
        if self.is_word("DISTINCT")
            && (self.is_name_at(1) && !self.is_word_at(1, "FROM") && !self.is_word_at(1, "AS"))
        {
            return Err(Box::new(
                Diagnostic::error("`SELECT DISTINCT` has no meaning here", self.span())
                    .with_hint("a view has one row for each key; leave `DISTINCT` out"),
            ));
        }
        Ok(())
    }

    /// After the last clause: another clause here is one too many.
    pub(super) fn query_end(&mut self, has_from: bool) -> Parsed<()> {
        if let Some((word, hint)) = NOT_HERE.iter().find(|(word, _)| self.is_word(word)) {
            return Err(Box::new(
                Diagnostic::error(format!("`{word}` has no meaning here"), self.span())
                    .with_hint(*hint),
            ));
        }
        let misplaced = ["WHERE", "GROUP", "WINDOW", "FROM", "JOIN", "ASOF"]
            .into_iter()
            .find(|word| self.is_word(word));
        let Some(word) = misplaced else {
            return Ok(());
        };
        let mut diagnostic = self.unexpected("the end of the query");
        diagnostic.hint = Some(if !has_from && word != "FROM" {
            format!("`FROM` comes before `{word}`")
        } else {
            "the order is `SELECT`, `FROM`, joins, `WHERE`, `GROUP BY`, `WINDOW`, each once"
                .to_owned()
        });
        Err(diagnostic)
    }

    fn select_list(&mut self) -> Parsed<Vec<SelectItem>> {
        let mut items = Vec::new();
        loop {
            items.push(self.select_item()?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        self.after_select_item(&["FROM"])?;
        Ok(items)
    }

    /// Two items with nothing between them: is it a name without `AS`, or a missing comma?
    pub(super) fn after_select_item(&mut self, clauses: &[&str]) -> Parsed<()> {
        let ends = [
            "FROM",
            "WHERE",
            "GROUP",
            "WINDOW",
            "HAVING",
            "ORDER",
            "LIMIT",
            "UNION",
            "COMMENT",
            "OWNER",
            "TAGS",
            "ON",
            "INTERSECT",
            "EXCEPT",
            "QUALIFY",
        ]
        .iter()
        .any(|word| self.is_word(word));
        let starts_item = matches!(
            self.kind(),
            TokenKind::Word | TokenKind::QuotedIdent | TokenKind::String | TokenKind::Number
        ) && !self.text().starts_with('.');
        if ends || !starts_item || self.starts_statement() {
            return Ok(());
        }
        let text = self.text();
        let mut diagnostic =
            self.unexpected_word(&format!("`,`, `AS` or `{}`", clauses[0]), clauses);
        if diagnostic.hint.is_none() {
            diagnostic.hint = Some(if self.is_name_at(0) {
                format!("write `AS {text}` to name the column, or put a `,` before `{text}`")
            } else {
                format!("is a `,` missing before `{text}`?")
            });
        }
        Err(diagnostic)
    }

    pub(super) fn select_item(&mut self) -> Parsed<SelectItem> {
        if let Some(span) = self.eat_symbol(Symbol::Star) {
            return Ok(SelectItem::Wildcard(span));
        }
        let start = self.span();
        if self.is_name_at(0)
            && self.is_symbol_at(1, Symbol::Point)
            && self.is_symbol_at(2, Symbol::Star)
        {
            let qualifier = self.ident("a relation")?;
            self.bump();
            self.bump();
            return Ok(SelectItem::QualifiedWildcard {
                qualifier,
                span: self.since(start),
            });
        }
        let expr = self.expr()?;
        let alias = match self.eat_word("AS") {
            Some(_) => Some(self.name("a name for the column")?),
            None => None,
        };
        Ok(SelectItem::Expr { expr, alias })
    }

    /// `name [@version] [[AS] alias]`, `(SELECT ...) [[AS] alias]`
    pub(super) fn relation(&mut self) -> Parsed<Relation> {
        let start = self.span();
        let source = if self.is_symbol(Symbol::LeftParen) {
            let open = self.expect_symbol(Symbol::LeftParen, "")?;
            if !self.is_word("SELECT") {
                return Err(self.unexpected_word("`SELECT` and a query", &["SELECT"]));
            }
            let query = self.query()?;
            self.close(open, Symbol::RightParen, false)?;
            RelationSource::Subquery(Box::new(query))
        } else {
            let name = self.name("the name of a source or view")?;
            RelationSource::Named {
                name,
                version: self.version()?,
            }
        };
        let alias = self.relation_alias()?;
        Ok(Relation {
            source,
            alias,
            filter: None,
            span: self.since(start),
        })
    }

    /// `@2`
    pub(super) fn version(&mut self) -> Parsed<Option<NumberLit>> {
        match self.eat_symbol(Symbol::At) {
            Some(_) => self.number("the number of a version").map(Some),
            None => Ok(None),
        }
    }

    fn relation_alias(&mut self) -> Parsed<Option<Ident>> {
        if self.eat_word("AS").is_some() {
            return self.name("a name for the relation").map(Some);
        }
        let is_alias = match self.kind() {
            TokenKind::QuotedIdent => true,
            TokenKind::Word => {
                !is_not_a_bare_alias(&self.text().to_ascii_lowercase())
                    && !JOIN_WORDS.iter().any(|word| self.is_word(word))
                    && !self.at_trailing_clause()
                    && !self.starts_statement()
            }
            _ => false,
        };
        if is_alias {
            self.ident("a name for the relation").map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether a clause of the statement around the query starts here.
    fn at_trailing_clause(&self) -> bool {
        self.is_string_at(1)
            || self.is_word("TAGS") && self.is_symbol_at(1, Symbol::LeftParen)
            || self.is_words(&["TTL", "INTERVAL"])
            || self.is_words(&["EMIT", "TO"])
            || self.at_timer()
            || self.is_word("ENTITY") && self.is_name_at(1)
            || self.is_word("REQUEST") && self.is_symbol_at(1, Symbol::LeftParen)
    }

    fn joins(&mut self, joins: &mut Vec<Join>) -> Parsed<()> {
        loop {
            let start = self.span();
            let kind = if self.eat_symbol(Symbol::Comma).is_some() {
                JoinKind::Comma
            } else {
                match self.join_kind()? {
                    Some(kind) => kind,
                    None => return Ok(()),
                }
            };
            let kind_span = self.since(start);
            joins.push(self.join(kind, kind_span)?);
        }
    }

    /// The words up to `JOIN`.
    fn join_kind(&mut self) -> Parsed<Option<JoinKind>> {
        let start = self.span();
        let mut words = Vec::new();
        while let Some(word) = JOIN_WORDS
            .into_iter()
            .find(|word| self.is_word(word) && words.len() < JOIN_WORDS.len())
        {
            words.push(word);
            self.bump();
        }
        if words.is_empty() && !self.is_word("JOIN") {
            return Ok(None);
        }
        self.expect_word("JOIN", "")?;
        let span = self.since(start);
        let is_as_of = words.contains(&"ASOF");
        words.retain(|word| !["ASOF", "OUTER"].contains(word));
        let kind = match (is_as_of, words.as_slice()) {
            (true, [] | ["LEFT"]) => JoinKind::AsOf,
            (true, ["FULL"]) => JoinKind::AsOfFull,
            (true, _) => {
                return Err(Box::new(
                    Diagnostic::error(
                        format!("there is no `{}`", span.text(self.source)),
                        span,
                    )
                    .with_hint(
                        "write `ASOF JOIN`, which keeps unmatched rows, and filter with `WHERE`; \
                         or `ASOF FULL JOIN`",
                    ),
                ));
            }
            (false, [] | ["INNER"]) => JoinKind::Inner,
            (false, ["LEFT"]) => JoinKind::Left,
            (false, ["RIGHT"]) => JoinKind::Right,
            (false, ["FULL"]) => JoinKind::Full,
            (false, ["CROSS"]) => JoinKind::Cross,
            (false, _) => {
                return Err(Box::new(
                    Diagnostic::error(format!("there is no `{}`", span.text(self.source)), span)
                        .with_hint("look rows up as of a time with `ASOF JOIN`"),
                ));
            }
        };
        Ok(Some(kind))
    }

    pub(super) fn join(&mut self, kind: JoinKind, kind_span: Span) -> Parsed<Join> {
        let is_as_of = matches!(kind, JoinKind::AsOf | JoinKind::AsOfFull);
        let mut relation = self.relation()?;
        if is_as_of && self.is_word("WHERE") && self.is_symbol_at(1, Symbol::LeftParen) {
            let start = relation.span;
            self.bump();
            relation.filter = Some(self.parenthesised_expr(" and a condition")?);
            if relation.alias.is_none() {
                relation.alias = self.relation_alias()?;
            }
            relation.span = self.since(start);
        }
        let mut match_condition = None;
        let mut constraint = None;
        let mut wait = None;
        loop {
            if self.is_words(&["ON", "LATE"])
                && (self.is_word_at(2, "KEEP") || self.is_word_at(2, "REVISE"))
            {
                break;
            }
            if let Some(word) = self.eat_word("MATCH_CONDITION") {
                if !self.is_symbol(Symbol::LeftParen) {
                    let mut diagnostic = self.unexpected("`(` and a condition");
                    diagnostic.hint = Some("write `MATCH_CONDITION (a.time >= b.time)`".to_owned());
                    return Err(diagnostic);
                }
                let expr = self.parenthesised_expr("")?;
                self.set(&mut match_condition, expr, word, "MATCH_CONDITION");
            } else if let Some(word) = self.eat_word("ON") {
                let expr = self.expr()?;
                self.set(&mut constraint, JoinConstraint::On(expr), word, "ON");
            } else if let Some(word) = self.eat_word("USING") {
                let columns = self.column_list("a column")?;
                self.set(
                    &mut constraint,
                    JoinConstraint::Using(columns),
                    word,
                    "USING",
                );
            } else if self.at_wait() {
                let clause = self.wait()?;
                self.set(&mut wait, clause, clause.span, "WAIT FOR WATERMARK");
            } else {
                break;
            }
        }
        if is_as_of && constraint.is_none() {
            return Err(self.no_constraint(kind_span.to(relation.span)));
        }
        Ok(Join {
            kind,
            kind_span,
            relation,
            match_condition,
            constraint,
            wait,
            span: self.since(kind_span),
        })
    }

    fn no_constraint(&self, span: Span) -> Box<Diagnostic> {
        if let TokenKind::Bad(_) = self.kind() {
            return self.unexpected("`ON`");
        }
        let hint = if self.is_word("WHERE") && !self.is_symbol_at(1, Symbol::LeftParen) {
            "put the condition on the right side in parentheses, `WHERE (...)`, then `ON` and the \
             keys"
        } else {
            "write `ON a.key = b.key` or `USING (key)`"
        };
        Box::new(
            Diagnostic::error("an as-of join needs the keys that both sides share", span)
                .with_hint(hint),
        )
    }
}
