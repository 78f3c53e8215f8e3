//! Composed views: expressions over a request and over other views of one entity, read at
//! the same time.
//!
//! Rules beyond `docs/semantics.md`: the request's columns may be written `request.x`; a
//! view that needs a request itself is put in place of its name, so its request columns
//! become this view's too, and no input of a composed view ever needs a request.

use std::sync::Arc;

use evenkeel_types::definition::{ComposedBody, EntityDef, ViewBody};
use evenkeel_types::{Expr, ExprKind, Field};

use super::Binder;
use super::entity::{UniqueNames, refuse_pseudo};
use super::expression::{self, Plain, flatten};
use super::features::{self, Column, Columns};
use super::inputs::{Inputs, REQUEST_BASE};
use super::relation::{Read, Slot, Target};
use super::report::{Report, in_words};
use super::scope::{Meaning, Role, Scope, ScopeRelation};
use crate::ast::{
    self, BinaryOperator, EntityRef, Ident, Join, JoinConstraint, JoinKind, Query, RequestColumn,
    SelectItem,
};

/// The name of the request among the relations; a view of that name needs an alias.
const REQUEST: &str = "request";
/// What it is, in words.
const COMPOSED: &str = "a view over other views";

/// Views of one entity that are read at one time, with the names of their features.
pub(super) struct Together {
    /// The entity, if they are about one.
    pub(super) entity: Option<Arc<EntityDef>>,
    pub(super) inputs: Inputs,
    /// Over provisional slots: see [`Inputs::finish`].
    pub(super) scope: Scope,
    /// Whether nothing is wrong with how they are joined.
    is_complete: bool,
}

impl Together {
    pub(super) fn key(&self) -> &[Field] {
        self.entity.as_ref().map_or(&[], |e| &e.keys)
    }
}

/// A composed view: its features in order and how they are evaluated.
pub(super) struct ComposedView {
    /// The entity, if it is about one.
    pub(super) entity: Option<Arc<EntityDef>>,
    pub(super) columns: Vec<Column>,
    pub(super) body: ViewBody,
}

/// What a composed view is written with, besides its query.
pub(super) struct Written<'a> {
    pub(super) name: &'a Ident,
    pub(super) entity: Option<&'a EntityRef>,
    pub(super) request: &'a [RequestColumn],
    pub(super) is_on_demand: bool,
}

impl Binder<'_> {
    /// An on-demand view, or a feature view over other views.
    pub(super) fn composed_view(
        &self,
        written: &Written<'_>,
        query: &Query,
        report: &mut Report,
    ) -> Option<ComposedView> {
        if let Some(filter) = &query.filter {
            report.hinted::<()>(
                "a view over other views has no rows to filter",
                filter.span,
                "leave `WHERE` out, and choose with `CASE WHEN ... THEN ... END`",
            );
        }
        refuse_clauses(query, COMPOSED, report);
        let together = self.together(written, query, report)?;
        let key = together.key();
        let columns = select(query, key, &together.scope, COMPOSED, report);
        if !together.is_complete {
            return None;
        }
        let columns = columns?;
        let inputs = &together.inputs;
        let exprs = inputs.finish(key.len(), columns.iter().map(|c| c.expr.clone()).collect());
        Some(ComposedView {
            entity: together.entity,
            columns,
            body: ViewBody::Composed(ComposedBody {
                request: together.inputs.request,
                inputs: together.inputs.views,
                columns: exprs,
            }),
        })
    }

    /// The views that a query reads, and what their columns stand for.
    pub(super) fn together(
        &self,
        written: &Written<'_>,
        query: &Query,
        report: &mut Report,
    ) -> Option<Together> {
        let relations: Vec<&ast::Relation> = query
            .from
            .iter()
            .chain(query.joins.iter().map(|j| &j.relation))
            .collect();
        let reads: Vec<Option<Read<'_>>> = relations
            .iter()
            .map(|r| {
                let read = self.read(r, report)?;
                composable(&read, written.is_on_demand, report)?;
                Some(read)
            })
            .collect();
        let reads: Vec<Read<'_>> = reads.into_iter().collect::<Option<_>>()?;
        let entity = self.entity_of(written, &reads, report)?;
        let key: &[Field] = entity.as_ref().map_or(&[], |e| &e.keys);
        if reads.is_empty() && written.request.is_empty() {
            return report.hinted(
                format!("view `{}` reads nothing", written.name),
                written.name.span,
                "write `FROM` with the views that it is made of, or `REQUEST (column TYPE)`",
            );
        }

        let mut inputs = Inputs::default();
        let mut scope = Scope::default();
        bind_request(written, key, &mut inputs, &mut scope, report);
        if reads.is_empty()
            && let Some(entity) = &entity
        {
            let mut relation = ScopeRelation::new(entity.name.clone());
            for (i, field) in key.iter().enumerate() {
                relation.add(
                    field.name.clone(),
                    Expr::column(i, field.data_type.clone()),
                    Role::Key,
                );
            }
            scope.relations.push(relation);
        }
        for read in &reads {
            super::lookup::unique_alias(read, &scope, report)?;
            let Target::View(view) = &read.target else {
                continue;
            };
            let features = inputs.add(view, read, report)?;
            let meaning = |slot| match slot {
                Slot::Feature(i) => Meaning::Expr(features[i].clone()),
                Slot::Key(i) => Meaning::Expr(Expr::column(i, read.target.data_type(slot))),
                Slot::Source(_) | Slot::RowTime => Meaning::Refused {
                    message: "a view that is read at the request's time has no row time here"
                        .to_owned(),
                    hint: "write `read_time()`, or select the time as a column of that view"
                        .to_owned(),
                },
            };
            let placed = read.place(&meaning, report)?;
            if !placed.filter.is_empty() {
                report.hinted::<()>(
                    "views are read, not filtered: there is one answer for the key",
                    read.name_span,
                    "leave the filter out, and choose with `CASE WHEN ... THEN ... END`",
                );
            }
            scope.relations.push(placed.relation);
        }
        check_mapping(written, key, &scope, report)?;
        let mut is_complete = true;
        for join in &query.joins {
            is_complete &= check_join(join, key, &scope, report).is_some();
        }
        Some(Together {
            entity,
            inputs,
            scope,
            is_complete,
        })
    }

    /// The entity that all inputs are about, or the one that is named.
    fn entity_of(
        &self,
        written: &Written<'_>,
        reads: &[Read<'_>],
        report: &mut Report,
    ) -> Option<Option<Arc<EntityDef>>> {
        let mut entity = match written.entity {
            Some(reference) => Some(self.entity(&reference.name, report)?),
            None => None,
        };
        for read in reads {
            let Target::View(view) = &read.target else {
                continue;
            };
            let Some(name) = &view.entity else {
                continue;
            };
            match &entity {
                Some(entity) if entity.name == *name => {}
                Some(entity) => {
                    return report.hinted(
                        format!(
                            "view `{}` is about `{name}`, and this view about `{}`",
                            view.name, entity.name
                        ),
                        read.name_span,
                        "views of one entity are read together; to look another one up write a row view with `ASOF JOIN`, or put both into a feature service",
                    );
                }
                None => entity = self.catalog.entities.get(name).cloned(),
            }
        }
        Some(entity)
    }
}

/// Clauses that mean something among events only.
pub(super) fn refuse_clauses(query: &Query, what: &str, report: &mut Report) {
    if let Some(group_by) = &query.group_by {
        report.hinted::<()>(
            format!("{what} has no rows to group"),
            group_by.span,
            "leave it out: there is one answer for the key",
        );
    }
    for window in &query.windows {
        report.hinted::<()>(
            format!("{what} has no events for a window"),
            window.span,
            "put the window into a view over the source",
        );
    }
}

fn composable(read: &Read<'_>, is_on_demand: bool, report: &mut Report) -> Option<()> {
    match &read.target {
        Target::Source(source) => report.hinted(
            format!(
                "`{}` is a source, and this view is made of other views",
                source.name
            ),
            read.name_span,
            "put what you want of it into a feature view of its own and read that",
        ),
        Target::View(view) if matches!(view.body, ViewBody::Row(_)) && !is_on_demand => report
            .hinted(
                format!(
                    "`{}` is a row view, and the first relation is not",
                    view.name
                ),
                read.name_span,
                "write `CREATE ON DEMAND FEATURE VIEW`: it reads views of every kind",
            ),
        Target::View(_) => Some(()),
    }
}

fn bind_request(
    written: &Written<'_>,
    key: &[Field],
    inputs: &mut Inputs,
    scope: &mut Scope,
    report: &mut Report,
) {
    let mut names = UniqueNames::new("request column");
    let mut relation = ScopeRelation::new(REQUEST);
    for column in written.request {
        if !names.add(&column.name, report) {
            continue;
        }
        refuse_pseudo(&column.name, "a request column", report);
        let data_type = &column.data_type.data_type;
        if key.iter().any(|k| k.name == column.name.value) {
            report.hinted::<()>(
                format!(
                    "`{}` is the entity's key: every request has it",
                    column.name
                ),
                column.name.span,
                "leave it out of `REQUEST`",
            );
        }
        if !data_type.is_storable() {
            report.hinted::<()>(
                format!("a request column cannot be of type {data_type}"),
                column.data_type.span,
                "use a scalar, an array or a vector",
            );
        }
        let slot = REQUEST_BASE + inputs.request.len();
        inputs
            .request
            .push(Field::new(column.name.value.clone(), data_type.clone()));
        relation.add(
            column.name.value.clone(),
            Expr::column(slot, data_type.clone()),
            Role::Plain,
        );
    }
    if !written.request.is_empty() {
        scope.relations.push(relation);
    }
}

/// `ENTITY e (columns)` of a composed view names the keys in order.
fn check_mapping(
    written: &Written<'_>,
    key: &[Field],
    scope: &Scope,
    report: &mut Report,
) -> Option<()> {
    let Some(list) = written.entity.and_then(|e| e.columns.as_ref()) else {
        return Some(());
    };
    let names: Vec<&str> = key.iter().map(|k| k.name.as_str()).collect();
    let is_key = |(i, name): (usize, &Ident)| {
        scope.relations.iter().any(|r| {
            r.column(&name.value).is_some_and(|c| {
                c.role == Role::Key
                    && matches!(&c.meaning, Meaning::Expr(e) if e.kind == ExprKind::Column(i))
            })
        })
    };
    if list.columns.len() == key.len() && list.columns.iter().enumerate().all(is_key) {
        return Some(());
    }
    report.hinted(
        "a view over other views has their key",
        list.span,
        format!(
            "write {} in parentheses, or leave them out",
            in_words(&names)
        ),
    )
}

/// Views are joined by all keys of their entity, whatever the kind of join.
fn check_join(join: &Join, key: &[Field], scope: &Scope, report: &mut Report) -> Option<()> {
    let names: Vec<&str> = key.iter().map(|k| k.name.as_str()).collect();
    let using = format!("write a comma, or `JOIN ... USING ({})`", names.join(", "));
    match join.kind {
        JoinKind::Comma => return Some(()),
        JoinKind::Inner | JoinKind::Left => {}
        JoinKind::AsOf
        | JoinKind::AsOfFull
        | JoinKind::Right
        | JoinKind::Full
        | JoinKind::Cross => {
            return report.hinted(
                "views of one entity are read at one time, each with one answer",
                join.kind_span,
                using,
            );
        }
    }
    let mut found: Vec<usize> = Vec::new();
    let span = match &join.constraint {
        None => join.kind_span,
        Some(JoinConstraint::Using(list)) => {
            for name in &list.columns {
                let parts = std::slice::from_ref(name);
                found.extend(key_of(scope, parts, name.span, key.len(), report)?);
            }
            list.span
        }
        Some(JoinConstraint::On(on)) => {
            let mut parts = Vec::new();
            flatten(on, BinaryOperator::And, &mut parts);
            for part in parts {
                let pair = match &part.kind {
                    ast::ExprKind::Binary {
                        operator: BinaryOperator::Equal,
                        left,
                        right,
                        ..
                    } => match (&left.kind, &right.kind) {
                        (ast::ExprKind::Name(a), ast::ExprKind::Name(b)) => {
                            let a = key_of(scope, a, left.span, key.len(), report)?;
                            let b = key_of(scope, b, right.span, key.len(), report)?;
                            a.filter(|a| b == Some(*a))
                        }
                        _ => None,
                    },
                    _ => None,
                };
                let Some(index) = pair else {
                    return report.hinted(
                        "views are joined by the key of their entity",
                        part.span,
                        using,
                    );
                };
                found.push(index);
            }
            on.span
        }
    };
    if (0..key.len()).all(|i| found.contains(&i)) {
        return Some(());
    }
    report.hinted(
        format!(
            "views are joined by the whole key of their entity: {}",
            in_words(&names)
        ),
        span,
        using,
    )
}

/// Which key a name is; `Some(None)` if it is something else.
fn key_of(
    scope: &Scope,
    parts: &[Ident],
    span: ast::Span,
    keys: usize,
    report: &mut Report,
) -> Option<Option<usize>> {
    let found = scope.resolve(parts, span, report)?;
    Some(match found.expr.kind {
        ExprKind::Column(slot) if slot < keys => Some(slot),
        _ => None,
    })
}

/// The select list. Key columns need not be in it, and are not in the answer.
pub(super) fn select(
    query: &Query,
    key: &[Field],
    scope: &Scope,
    place: &str,
    report: &mut Report,
) -> Option<Vec<Column>> {
    let mut context = Plain::new(scope, place)
        .with_read_time()
        .with_aggregate_hint("put the aggregate into a view over the source and read that");
    let mut columns = Columns::new(key);
    let mut is_complete = true;
    for item in &query.select {
        let SelectItem::Expr { expr, alias } = item else {
            let is_left_out = |relation: &ScopeRelation, _: &str, _: &Expr| {
                relation.name == REQUEST && matches!(item, SelectItem::Wildcard(_))
            };
            let added = features::star(item, scope, is_left_out, &mut columns, report);
            is_complete &= added.is_some();
            continue;
        };
        let bound = expression::bind(expr, &mut context, report);
        let name = features::name(expr, alias.as_ref(), report);
        let (Some(bound), Some((name, span))) = (bound, name) else {
            is_complete = false;
            continue;
        };
        let is_key = matches!(bound.kind, ExprKind::Column(slot) if slot < key.len());
        if !is_key || !is_key_name(expr, alias.as_ref(), &bound, &name, key) {
            columns.add(name, span, &bound, report)?;
        }
    }
    is_complete.then(|| columns.into_list())
}

/// Whether a key column keeps its name, and so is no feature.
fn is_key_name(
    expr: &ast::Expr,
    alias: Option<&Ident>,
    bound: &Expr,
    name: &str,
    key: &[Field],
) -> bool {
    let written = match &expr.kind {
        ast::ExprKind::Name(parts) => parts.last().map(|p| p.value.as_str()),
        _ => None,
    };
    let own = match bound.kind {
        ExprKind::Column(slot) => key.get(slot).map(|k| k.name.as_str()),
        _ => None,
    };
    alias.is_none() || own == Some(name) || written == Some(name)
}
