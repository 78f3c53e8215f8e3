//! Which names mean what at a place: relations by alias, each with its columns.
//!
//! A column is an expression over the row that is being built, so that a view read in `FROM`
//! and a plain source look alike. Names are looked for in all relations; a name found in two
//! is ambiguous, except the pseudo-columns, which without an alias are the first relation's.

use std::collections::BTreeSet;

use evenkeel_types::{DataType, Expr};

use super::report::{Report, did_you_mean, in_words};
use crate::ast::{Ident, Span};

/// The pseudo-columns of a source.
pub(super) const PSEUDO_COLUMNS: [&str; 2] = ["event_time", "visible_at"];

/// The row of a table before a change, and after it.
pub(super) const OLD: &str = "old";
/// See [`OLD`].
pub(super) const NEW: &str = "new";

/// Relations with their columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) relations: Vec<ScopeRelation>,
}

/// A relation, by its alias.
#[derive(Clone, Debug)]
pub(super) struct ScopeRelation {
    /// Its alias; empty for what has no name (the request).
    pub(super) name: String,
    /// Its columns. One name may occur twice (a key under two names never clashes, it is
    /// left out instead).
    pub(super) columns: Vec<ScopeColumn>,
    /// Columns that `USING` merged into the left side's: found with the alias only.
    pub(super) merged: BTreeSet<String>,
    /// Its columns are not known, since it has errors: no name is said to be missing.
    is_unknown: bool,
    /// Its columns are found behind its name only, and no hint names them.
    is_aside: bool,
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    /// Its name.
    pub(super) name: String,
    /// What stands for it.
    pub(super) meaning: Meaning,
    /// What kind of column.
    pub(super) role: Role,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    /// An expression.
    Expr(Expr),
    /// Nothing that can be used here.
    Refused {
        /// Why.
        message: String,
        /// What to write instead.
        hint: String,
    },
}

/// Kinds of column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A column or a feature: `*` gives it.
    Plain,
    /// A key column of a view: found by name, not part of `*`.
    Key,
    /// `event_time`, `visible_at`: found by name, not part of `*`.
    Pseudo,
}

/// A name that was found.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    /// What it stands for.
    pub(super) expr: Expr,
    /// Parts of the name behind the column: fields of a struct.
    pub(super) fields: &'a [Ident],
}

impl ScopeRelation {
    /// A relation without columns yet.
    pub(super) fn new(name: impl Into<String>) -> Self {
        ScopeRelation {
            name: name.into(),
            columns: Vec::new(),
            merged: BTreeSet::new(),
            is_unknown: false,
            is_aside: false,
        }
    }

    /// A relation without columns yet, which are found behind its name only.
    pub(super) fn aside(name: impl Into<String>) -> Self {
        ScopeRelation {
            is_aside: true,
            ..ScopeRelation::new(name)
        }
    }

    /// A relation whose columns are not known.
    pub(super) fn unknown(name: impl Into<String>) -> Self {
        ScopeRelation {
            is_unknown: true,
            ..ScopeRelation::new(name)
        }
    }

    /// Whether its columns are not known.
    pub(super) fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Adds a column.
    pub(super) fn add(&mut self, name: impl Into<String>, expr: Expr, role: Role) {
        self.columns.push(ScopeColumn {
            name: name.into(),
            meaning: Meaning::Expr(expr),
            role,
        });
    }

    /// Adds a name that is known and refused.
    pub(super) fn refuse(
        &mut self,
        name: impl Into<String>,
        role: Role,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.columns.push(ScopeColumn {
            name: name.into(),
            meaning: Meaning::Refused {
                message: message.into(),
                hint: hint.into(),
            },
            role,
        });
    }

    /// The column of a name.
    pub(super) fn column(&self, name: &str) -> Option<&ScopeColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Names for a hint.
    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns
            .iter()
            .filter(|c| c.role != Role::Pseudo)
            .map(|c| c.name.as_str())
    }
}

impl Scope {
    /// A scope of one relation.
    pub(super) fn single(relation: ScopeRelation) -> Self {
        Scope {
            relations: vec![relation],
        }
    }

    /// The relation of an alias.
    pub(super) fn relation(&self, name: &str) -> Option<&ScopeRelation> {
        self.relations.iter().find(|r| r.name == name)
    }

    /// What a name of one or more parts stands for.
    pub(super) fn resolve<'a>(
        &self,
        parts: &'a [Ident],
        span: Span,
        report: &mut Report,
    ) -> Option<Found<'a>> {
        let (first, rest) = parts.split_first()?;
        if let Some((second, fields)) = rest.split_first()
            && let Some(relation) = self.relation(&first.value)
        {
            let Some(column) = relation.column(&second.value) else {
                if relation.is_unknown {
                    return None;
                }
                return report.push(unknown_column(second, relation));
            };
            let expr = column.expr(span, report)?;
            return Some(Found { expr, fields });
        }
        let expr = self.unqualified(first, rest.first(), report)?;
        Some(Found { expr, fields: rest })
    }

    /// What a name without an alias stands for. `next` is what follows it behind a point.
    fn unqualified(&self, name: &Ident, next: Option<&Ident>, report: &mut Report) -> Option<Expr> {
        let found: Vec<(&ScopeRelation, &ScopeColumn)> = self
            .relations
            .iter()
            .filter(|r| !r.is_aside && !r.merged.contains(&name.value))
            .filter_map(|r| Some((r, r.column(&name.value)?)))
            .collect();
        match found.as_slice() {
            [] => self.unknown(name, next, report),
            [(_, column)] => column.expr(name.span, report),
            // Each relation has its own; alone they are those of the rows that are built.
            [(_, first), ..] if PSEUDO_COLUMNS.contains(&name.value.as_str()) => {
                first.expr(name.span, report)
            }
            [(_, first), others @ ..] if others.iter().all(|o| first.is_same(o.1)) => {
                first.expr(name.span, report)
            }
            several => {
                let written: Vec<String> = several
                    .iter()
                    .map(|(r, c)| format!("{}.{}", r.name, c.name))
                    .collect();
                report.hinted(
                    format!("`{name}` is ambiguous: it is a column of several relations"),
                    name.span,
                    format!("write one of {}", in_words(&written)),
                )
            }
        }
    }

    fn unknown(&self, name: &Ident, next: Option<&Ident>, report: &mut Report) -> Option<Expr> {
        if self.relations.iter().any(|r| r.is_unknown) {
            return None;
        }
        let told: Vec<&ScopeRelation> = self.relations.iter().filter(|r| !r.is_aside).collect();
        let aliases: Vec<&str> = told
            .iter()
            .map(|r| r.name.as_str())
            .filter(|n| !n.is_empty())
            .collect();
        if next.is_some() {
            let hint = match name.value.as_str() {
                OLD | NEW => Some("`OLD` and `NEW` are the row before and after a change: they stand in aggregates of windows over a table, and in their `FILTER`".to_owned()),
                other => did_you_mean(other, aliases),
            };
            return report.push(with_hint(
                crate::error::Diagnostic::error(
                    format!("there is no relation or column `{name}` here"),
                    name.span,
                ),
                hint,
            ));
        }
        if self.relation(&name.value).is_some() {
            return report.hinted(
                format!("`{name}` is a relation, not a column"),
                name.span,
                format!("write `{name}.column`"),
            );
        }
        if let [relation] = told.as_slice()
            && !relation.name.is_empty()
        {
            return report.push(unknown_column(name, relation));
        }
        let names: BTreeSet<&str> = told.iter().flat_map(|r| r.names()).collect();
        let hint = if told.is_empty() {
            Some("only constants can be used here".to_owned())
        } else {
            crate::suggest::did_you_mean(&name.value, names.iter().copied())
                .map(|n| format!("did you mean `{n}`?"))
        };
        report.push(with_hint(
            crate::error::Diagnostic::error(
                if aliases.is_empty() {
                    format!("there is no column `{name}` here")
                } else {
                    format!("there is no column `{name}` in {}", in_words(&aliases))
                },
                name.span,
            ),
            hint,
        ))
    }
}

impl ScopeColumn {
    /// Whether two columns stand for one thing.
    fn is_same(&self, other: &ScopeColumn) -> bool {
        match (&self.meaning, &other.meaning) {
            (Meaning::Expr(a), Meaning::Expr(b)) => a == b,
            _ => false,
        }
    }

    /// What the name stands for, if it can be used here.
    pub(super) fn expr(&self, span: Span, report: &mut Report) -> Option<Expr> {
        match &self.meaning {
            Meaning::Expr(expr) => Some(expr.clone()),
            Meaning::Refused { message, hint } => {
                report.hinted(message.clone(), span, hint.clone())
            }
        }
    }
}

/// The error of a column that a relation does not have.
pub(super) fn unknown_column(name: &Ident, relation: &ScopeRelation) -> crate::error::Diagnostic {
    with_hint(
        crate::error::Diagnostic::error(
            format!("`{}` has no column `{name}`", relation.name),
            name.span,
        ),
        did_you_mean(&name.value, relation.names()),
    )
}

/// A diagnostic with a hint, where there is one.
pub(super) fn with_hint(
    diagnostic: crate::error::Diagnostic,
    hint: Option<String>,
) -> crate::error::Diagnostic {
    match hint {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    }
}

/// The types of the columns, for messages.
pub(super) fn type_in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "a bare NULL".to_owned(),
        other => other.to_string(),
    }
}
