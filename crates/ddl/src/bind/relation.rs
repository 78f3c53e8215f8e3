//! What stands in `FROM` and behind a join: a source, a view or a sub-select of one, with
//! the names that its columns have.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::definition::{LookupTarget, SourceDef, Trigger, ViewBody, ViewDef};
use evenkeel_types::{DataType, Expr};

use super::Binder;
use super::entity::refuse_pseudo;
use super::expression::{self, Plain};
use super::report::{Report, in_words};
use super::rows::conjuncts;
use super::scope::{
    Meaning, PSEUDO_COLUMNS, Role, Scope, ScopeColumn, ScopeRelation, unknown_column,
};
use crate::ast::{self, Ident, NumberLit, Query, RelationSource, SelectItem, Span};
use crate::error::Diagnostic;

/// A source or a view.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Source(Arc<SourceDef>),
    View(Arc<ViewDef>),
}

/// A column of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A slot of the source row.
    Source(usize),
    /// A feature of the view.
    Feature(usize),
    /// A key column of the view.
    Key(usize),
    /// The time of a row view's row; of other views a name that means nothing but in a time
    /// condition.
    RowTime,
}

/// A relation with its name, found but not yet put anywhere.
#[derive(Clone, Debug)]
pub(super) struct Read<'a> {
    /// The alias, or the name.
    pub(super) alias: String,
    /// Where the alias, or else the name, stands.
    pub(super) alias_span: Span,
    /// Where the name stands.
    pub(super) name_span: Span,
    pub(super) target: Target,
    /// The sub-select, if it is one.
    query: Option<&'a Query>,
    /// `x WHERE (...)`.
    filter: Option<&'a ast::Expr>,
}

/// A relation put somewhere: its columns stand for expressions.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) relation: ScopeRelation,
    /// The conjuncts of its own filters.
    pub(super) filter: Vec<Expr>,
}

impl Target {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        match self {
            Target::Source(source) => &source.name,
            Target::View(view) => &view.name,
        }
    }

    /// Its columns, each with all its names. A name occurs once.
    fn columns(&self) -> Vec<(String, Slot, Role)> {
        let mut columns: Vec<(String, Slot, Role)> = Vec::new();
        match self {
            Target::Source(source) => {
                for (i, column) in source.columns.iter().enumerate() {
                    columns.push((column.name.clone(), Slot::Source(i), Role::Plain));
                }
                for (name, slot) in [
                    ("event_time", source.event_time_slot()),
                    ("visible_at", source.visible_at_slot()),
                ] {
                    columns.push((name.to_owned(), Slot::Source(slot), Role::Pseudo));
                }
            }
            Target::View(view) => {
                for (i, feature) in view.features.iter().enumerate() {
                    columns.push((feature.name.clone(), Slot::Feature(i), Role::Plain));
                }
                for (i, key) in view.key.iter().enumerate() {
                    columns.push((key.name.clone(), Slot::Key(i), Role::Key));
                }
                // A view over `departures` of the entity `airport (dest)` is also asked by
                // `dest`: that is what its own text says.
                for (i, name) in key_names_in_text(view).into_iter().enumerate() {
                    columns.push((name, Slot::Key(i), Role::Key));
                }
                columns.push(("event_time".to_owned(), Slot::RowTime, Role::Pseudo));
            }
        }
        let mut seen: Vec<String> = Vec::new();
        columns.retain(|(name, _, _)| {
            let is_new = !seen.contains(name);
            seen.push(name.clone());
            is_new
        });
        columns
    }

    /// The type of a column.
    pub(super) fn data_type(&self, slot: Slot) -> DataType {
        match (self, slot) {
            (Target::Source(source), Slot::Source(i)) => source
                .columns
                .get(i)
                .map_or(DataType::Timestamp, |c| c.data_type.clone()),
            (Target::View(view), Slot::Feature(i)) => view.features[i].data_type.clone(),
            (Target::View(view), Slot::Key(i)) => view.key[i].data_type.clone(),
            _ => DataType::Timestamp,
        }
    }

    /// The column over the target's own row: source row or features. Keys and row times of
    /// views are in neither.
    pub(super) fn own(&self, slot: Slot) -> Meaning {
        let column = |i| Meaning::Expr(Expr::column(i, self.data_type(slot)));
        match slot {
            Slot::Source(i) | Slot::Feature(i) => column(i),
            Slot::Key(_) => Meaning::Refused {
                message: "a key of a view cannot be used here: only its features can".to_owned(),
                hint: "write the condition on the key behind `ON`".to_owned(),
            },
            Slot::RowTime if self.has_row_time() => Meaning::Refused {
                message: "the row time of a view can only be used in `MATCH_CONDITION`".to_owned(),
                hint: "select the time as a column of that view".to_owned(),
            },
            Slot::RowTime => Meaning::Refused {
                message: format!(
                    "`{}` has an answer at any time: there is no time of a row",
                    self.name()
                ),
                hint: "use the time of the left row".to_owned(),
            },
        }
    }

    /// Whether it is a state view.
    pub(super) fn is_state(&self) -> bool {
        match self {
            Target::Source(_) => false,
            Target::View(view) => {
                matches!(&view.body, ViewBody::Window(body) if body.is_state())
            }
        }
    }

    /// Whether its rows have times; window, state and composed views have none.
    pub(super) fn has_row_time(&self) -> bool {
        match self {
            Target::Source(_) => true,
            Target::View(view) => matches!(view.body, ViewBody::Row(_)),
        }
    }

    /// The target of a look-up.
    pub(super) fn lookup(self, key_columns: Vec<usize>) -> LookupTarget {
        match self {
            Target::Source(source) => LookupTarget::Source {
                source,
                key_columns,
            },
            Target::View(view) => LookupTarget::View(view),
        }
    }
}

/// What the columns of the source that hold a view's key are called.
fn key_names_in_text(view: &ViewDef) -> Vec<String> {
    let (source, key_columns) = match &view.body {
        ViewBody::Window(body) => (&body.windows.source, &body.windows.key_columns),
        ViewBody::Row(body) => match &body.trigger {
            Trigger::Source(side) | Trigger::Full { left: side, .. } => {
                (&side.source, &side.key_columns)
            }
        },
        ViewBody::Composed(_) => return Vec::new(),
    };
    key_columns
        .iter()
        .filter_map(|k| Some(source.columns.get(*k)?.name.clone()))
        .collect()
}

impl Binder<'_> {
    /// Finds a relation. `None` without a word if what it names has errors of its own.
    pub(super) fn read<'a>(
        &self,
        relation: &'a ast::Relation,
        report: &mut Report,
    ) -> Option<Read<'a>> {
        match &relation.source {
            RelationSource::Named { name, version } => {
                let target = self.target(name, version.as_ref(), report)?;
                let alias = relation.alias.as_ref().unwrap_or(name);
                Some(Read {
                    alias: alias.value.clone(),
                    alias_span: alias.span,
                    name_span: name.span,
                    target,
                    query: None,
                    filter: relation.filter.as_ref(),
                })
            }
            RelationSource::Subquery(query) => {
                let inner = self.subquery(query, report)?;
                let (alias, alias_span) = match &relation.alias {
                    Some(alias) => (alias.value.clone(), alias.span),
                    None => (inner.alias, inner.alias_span),
                };
                Some(Read {
                    alias,
                    alias_span,
                    name_span: inner.name_span,
                    target: inner.target,
                    query: Some(query),
                    filter: relation.filter.as_ref(),
                })
            }
        }
    }

    /// A sub-select: plain columns of one relation, and `WHERE`.
    fn subquery<'a>(&self, query: &'a Query, report: &mut Report) -> Option<Read<'a>> {
        let only = "a sub-select has plain columns of one relation and `WHERE`: put the rest into a view of its own";
        let refused = query
            .joins
            .first()
            .map(|j| ("a join", j.span))
            .or(query.group_by.as_ref().map(|g| ("`GROUP BY`", g.span)))
            .or(query.windows.first().map(|w| ("a window", w.span)));
        if let Some((what, span)) = refused {
            return report.hinted(format!("a sub-select cannot have {what}"), span, only);
        }
        let Some(from) = &query.from else {
            return report.hinted("a sub-select needs `FROM`", query.span, only);
        };
        if let RelationSource::Subquery(_) = from.source {
            return report.hinted(
                "a sub-select cannot have a sub-select",
                from.span,
                "write both conditions into one `WHERE`",
            );
        }
        if let Some(filter) = &from.filter {
            return report.hinted(
                "the condition stands inside the `FROM` of a sub-select",
                filter.span,
                "write it behind: `(SELECT ... FROM x WHERE ...)`",
            );
        }
        self.read(from, report)
    }

    /// The source or view of a name.
    fn target(
        &self,
        name: &Ident,
        version: Option<&NumberLit>,
        report: &mut Report,
    ) -> Option<Target> {
        if let Some(source) = self.catalog.sources.get(&name.value) {
            if let Some(version) = version {
                return report.hinted(
                    format!("{} `{name}` has no versions", kind_of(source)),
                    version.span,
                    format!("write `{name}`; only views have versions"),
                );
            }
            return Some(Target::Source(source.clone()));
        }
        self.view(name, version, report).map(Target::View)
    }

    /// The view of a name and version.
    pub(super) fn view(
        &self,
        name: &Ident,
        version: Option<&NumberLit>,
        report: &mut Report,
    ) -> Option<Arc<ViewDef>> {
        // No view has a version beyond those numbers.
        let number = version.map(|written| u32::try_from(written.value).unwrap_or(u32::MAX));
        if let Some(view) = self.find_view(&name.value, number) {
            return Some(view.clone());
        }
        if self.is_broken(&name.value) {
            return None;
        }
        match version {
            Some(version) if self.has_view(&name.value) => {
                let known: Vec<String> = [self.catalog, self.existing]
                    .into_iter()
                    .filter_map(|c| c.views.get(&name.value))
                    .flat_map(|versions| versions.keys())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .map(|v| format!("{name}@{v}"))
                    .collect();
                report.hinted(
                    format!("view `{name}` has no version {}", version.value),
                    version.span,
                    format!("there is {}", in_words(&known)),
                )
            }
            _ => report.push(self.unknown_relation(name)),
        }
    }

    fn unknown_relation(&self, name: &Ident) -> Diagnostic {
        let error = Diagnostic::error(format!("there is no source or view `{name}`"), name.span);
        if self.catalog.entities.contains_key(&name.value) {
            return Diagnostic::error(
                format!("`{name}` is an entity, not a source or a view"),
                name.span,
            )
            .with_hint("read the source that its events are in");
        }
        let names: Vec<&str> = self
            .catalog
            .sources
            .keys()
            .chain(self.catalog.views.keys())
            .map(String::as_str)
            .collect();
        let hint = super::report::did_you_mean(&name.value, names).unwrap_or_else(|| {
            "define it: `CREATE STREAM`, `CREATE TABLE` or `CREATE FEATURE VIEW`".to_owned()
        });
        error.with_hint(hint)
    }

    /// Refuses a view that needs request columns.
    pub(super) fn refuse_request(&self, read: &Read<'_>, report: &mut Report) -> Option<()> {
        let Target::View(view) = &read.target else {
            return Some(());
        };
        refuse_request(view, read.name_span, report)
    }
}

/// Refuses a view that needs request columns: there is no request where it is read.
pub(super) fn refuse_request(view: &ViewDef, span: Span, report: &mut Report) -> Option<()> {
    if let ViewBody::Composed(body) = &view.body
        && let Some(first) = body.request.first()
    {
        return report.hinted(
            format!(
                "view `{}` needs the request column `{}`, and there is no request here",
                view.name, first.name
            ),
            span,
            "read it in an on-demand view or a service",
        );
    }
    Some(())
}

/// `stream` or `table`.
pub(super) fn kind_of(source: &SourceDef) -> &'static str {
    match source.kind {
        evenkeel_types::definition::SourceKind::Stream => "stream",
        evenkeel_types::definition::SourceKind::Table => "table",
    }
}

impl Read<'_> {
    /// Puts the relation somewhere: `meaning` says what each of its columns stands for.
    pub(super) fn place(
        &self,
        meaning: &dyn Fn(Slot) -> Meaning,
        report: &mut Report,
    ) -> Option<Placed> {
        let mut inner = ScopeRelation::new(self.alias.clone());
        for (name, slot, role) in self.target.columns() {
            inner.columns.push(ScopeColumn {
                name,
                meaning: meaning(slot),
                role,
            });
        }
        let mut filter = Vec::new();
        let mut is_complete = true;
        let relation = match self.query {
            None => inner,
            Some(query) => {
                inner.name = match query.from.as_ref().map(|f| (&f.alias, &f.source)) {
                    Some((Some(alias), _)) => alias.value.clone(),
                    Some((None, RelationSource::Named { name, .. })) => name.value.clone(),
                    _ => inner.name,
                };
                let scope = Scope::single(inner);
                if let Some(written) = &query.filter {
                    match condition(written, &scope, report) {
                        Some(bound) => filter.extend(conjuncts(bound)),
                        None => is_complete = false,
                    }
                }
                self.pick(query, &scope.relations[0], report)?
            }
        };
        if let Some(written) = self.filter {
            let scope = Scope::single(relation.clone());
            match condition(written, &scope, report) {
                Some(bound) => filter.extend(conjuncts(bound)),
                None => is_complete = false,
            }
        }
        is_complete.then_some(Placed { relation, filter })
    }

    /// The columns that a sub-select selects.
    fn pick(
        &self,
        query: &Query,
        inner: &ScopeRelation,
        report: &mut Report,
    ) -> Option<ScopeRelation> {
        let mut picked = ScopeRelation::new(self.alias.clone());
        let mut is_complete = true;
        for item in &query.select {
            let (name, column) = match item {
                SelectItem::Wildcard(_) => {
                    picked.columns.extend(inner.columns.iter().cloned());
                    continue;
                }
                SelectItem::QualifiedWildcard { qualifier, span } => {
                    if qualifier.value == inner.name {
                        picked.columns.extend(inner.columns.iter().cloned());
                    } else {
                        is_complete = false;
                        report
                            .error::<()>(format!("there is no relation `{qualifier}` here"), *span);
                    }
                    continue;
                }
                SelectItem::Expr { expr, alias } => {
                    let Some(name) = plain_name(expr, &inner.name) else {
                        is_complete = false;
                        report.hinted::<()>(
                            "a sub-select selects plain columns only",
                            expr.span,
                            "compute it in the outer `SELECT`, or as a computed column of the source",
                        );
                        continue;
                    };
                    let Some(column) = inner.column(&name.value) else {
                        is_complete = false;
                        report.push::<()>(unknown_column(name, inner));
                        continue;
                    };
                    (alias.as_ref().unwrap_or(name), column)
                }
            };
            if PSEUDO_COLUMNS.contains(&name.value.as_str()) && column.name != name.value {
                is_complete = false;
                refuse_pseudo(name, "another column", report);
                continue;
            }
            if let Some(role) = picked.column(&name.value).map(|c| c.role)
                && role != Role::Pseudo
            {
                is_complete = false;
                report.hinted::<()>(
                    format!("column `{name}` is selected twice"),
                    name.span,
                    format!("give one another name: `{name} AS ...`"),
                );
                continue;
            }
            picked.columns.push(ScopeColumn {
                name: name.value.clone(),
                ..column.clone()
            });
        }
        // The times stay known whatever is selected.
        for column in &inner.columns {
            if column.role == Role::Pseudo && picked.column(&column.name).is_none() {
                picked.columns.push(column.clone());
            }
        }
        is_complete.then_some(picked)
    }
}

/// A condition over one relation.
fn condition(written: &ast::Expr, scope: &Scope, report: &mut Report) -> Option<Expr> {
    let mut context = Plain::new(scope, "the filter of a relation")
        .with_aggregate_hint("compute it in a view of its own and read that");
    expression::bind_condition(written, &mut context, report)
}

/// The column of `x` or `alias.x`.
fn plain_name<'a>(expr: &'a ast::Expr, alias: &str) -> Option<&'a Ident> {
    match &expr.kind {
        ast::ExprKind::Name(parts) => match parts.as_slice() {
            [name] => Some(name),
            [qualifier, name] if qualifier.value == alias => Some(name),
            _ => None,
        },
        _ => None,
    }
}
