//! Views over events: window views, state views and row views, which are told apart when all
//! of it is bound.
//!
//! Rules beyond `docs/semantics.md`:
//! - a view with windows and look-ups, or with a plain column, is a row view; one whose
//!   columns are key columns and windows alone is a window view; without any window it is a
//!   row view;
//! - a plain key column is no feature, unless it is given another name than its own or the
//!   entity's;
//! - `WHERE` behind `ASOF FULL JOIN` filters the joined rows; to filter a side before
//!   joining, a sub-select does;
//! - windows beside a `WHERE` on looked-up columns are refused: `WHERE` filters before
//!   windows, and what is looked up is known only after;
//! - in a full join, `USING` columns are whichever side has them.

use std::sync::Arc;

use evenkeel_types::definition::{EntityDef, SourceDef, SourceKind, ViewBody, WindowRows};
use evenkeel_types::{Expr, Interval};

use super::Binder;
use super::base::{self, Base};
use super::expression::{self, Plain, flatten};
use super::features::Column;
use super::relation::{Placed, Read, Target};
use super::report::{Report, in_words};
use super::rows::{Rows, TriggerRows, conjuncts};
use super::scope::{Scope, ScopeRelation};
use super::state;
use super::window::Windows;
use crate::ast::{self, BinaryOperator, EntityRef, Join, JoinKind, Query, RelationSource, Span};
use crate::error::Diagnostic;

/// The name by which a relation is known, whatever it is.
fn alias_of(relation: &ast::Relation) -> String {
    match (&relation.alias, &relation.source) {
        (Some(alias), _) => alias.value.clone(),
        (None, RelationSource::Named { name, .. }) => name.value.clone(),
        (None, RelationSource::Subquery(query)) => {
            query.from.as_ref().map(alias_of).unwrap_or_default()
        }
    }
}

/// A view over events: its features in order and how they are evaluated.
pub(super) struct EventView {
    pub(super) columns: Vec<Column>,
    pub(super) body: ViewBody,
}

impl Binder<'_> {
    /// A feature view whose first relation is a source or a row view.
    pub(super) fn event_view(
        &self,
        view: &ast::CreateFeatureView,
        entity: &Arc<EntityDef>,
        first: &Read<'_>,
        report: &mut Report,
    ) -> Option<EventView> {
        let query = &view.query;
        let (full, joins) = match query.joins.split_first() {
            Some((join, rest)) if join.kind == JoinKind::AsOfFull => (Some(join), rest),
            _ => (None, query.joins.as_slice()),
        };
        let mut base = match full {
            Some(join) => self.full_join(first, join, entity, &view.entity, report)?,
            None => self.trigger(first, entity, &view.entity, report)?,
        };
        let mut is_complete = true;
        for join in joins {
            let names = base.scope.relations.len();
            if self.join(join, &mut base, report).is_none() {
                is_complete = false;
                if base.scope.relations.len() == names {
                    base.scope
                        .relations
                        .push(ScopeRelation::unknown(alias_of(&join.relation)));
                }
            }
        }
        is_complete &= filter(query, &mut base, report).is_some();
        let rows = match &query.group_by {
            None => WindowRows::Events,
            Some(group_by) => {
                state::check(view, group_by, &first.target, &base, report)?;
                WindowRows::Live
            }
        };
        let windows = Windows::new(&query.windows);
        let mut used: Vec<String> = Vec::new();
        let columns = self.select(query, entity, &mut base, rows, &windows, &mut used, report);
        let emit_when = self.emit_when(query, &mut base, &windows, &mut used, report);
        windows.check(|name| used.iter().any(|u| u == name), report);
        let without = self.without(query, first, &mut base, report);
        if !is_complete {
            return None;
        }
        let mut emitted = emit_when?;
        emitted.extend(without?);
        finish(view, columns?, (base, emitted), first, report)
    }

    /// The trigger of a view without a full join.
    fn trigger(
        &self,
        first: &Read<'_>,
        entity: &EntityDef,
        written: &EntityRef,
        report: &mut Report,
    ) -> Option<Base> {
        let (rows, placed) = match &first.target {
            Target::Source(source) => {
                let placed = first.place(&|slot| first.target.own(slot), report)?;
                let rows = Rows::new(TriggerRows::Source {
                    source: source.clone(),
                    filter: Vec::new(),
                });
                (rows, placed)
            }
            Target::View(view) => {
                let ViewBody::Row(body) = &view.body else {
                    return None;
                };
                let (rows, columns) = Rows::of_view(&view.name, body);
                let meaning = |slot| base::inlined(&rows, &columns, &first.target, slot);
                let placed = first.place(&meaning, report)?;
                (rows, placed)
            }
        };
        let Placed { relation, filter } = placed;
        let scope = Scope::single(relation);
        let slots = base::key_columns(entity, written, &scope, &rows, report)?;
        let mut base = Base::new(rows, scope, slots);
        for conjunct in filter {
            base.add_filter(conjunct);
        }
        Some(base)
    }

    /// A join behind the first relation.
    fn join(&self, join: &Join, base: &mut Base, report: &mut Report) -> Option<()> {
        match join.kind {
            JoinKind::AsOf => self.lookup(join, &mut base.scope, &mut base.rows, report),
            JoinKind::AsOfFull => report.hinted(
                "`ASOF FULL JOIN` can only be the first join",
                join.kind_span,
                "write the two sources that bring rows first, and look the others up with `ASOF JOIN`",
            ),
            kind => {
                let target = self.read(&join.relation, &mut Report::default());
                let hint = match target.map(|t| t.target) {
                    Some(Target::View(_)) => {
                        "write `ASOF JOIN ... ON ...`: the view is read at the time of each row"
                    }
                    _ => {
                        "write `ASOF JOIN` to look up the latest row at the time of each row, or `ASOF FULL JOIN` for a row at each event of either side"
                    }
                };
                report.hinted(
                    format!(
                        "{} does not join events: which rows belong together depends on the time",
                        join_words(kind)
                    ),
                    join.kind_span,
                    hint,
                )
            }
        }
    }
}

/// `WHERE`: conjuncts of the trigger alone, and the rest with a warning.
fn filter(query: &Query, base: &mut Base, report: &mut Report) -> Option<()> {
    let Some(written) = &query.filter else {
        return Some(());
    };
    let mut parts = Vec::new();
    flatten(written, BinaryOperator::And, &mut parts);
    let scope = base.scope.clone();
    let mut is_complete = true;
    for part in parts {
        let mut context = Plain::new(&scope, "`WHERE`")
            .with_aggregate_hint("use `FILTER (WHERE ...)` in the aggregate, or read the aggregate from a view of its own");
        let Some(bound) = expression::bind_condition(part, &mut context, report) else {
            is_complete = false;
            continue;
        };
        for conjunct in conjuncts(bound) {
            let is_late = base.add_filter(conjunct);
            if is_late {
                base.late_filter = base.late_filter.or(Some(part.span));
            }
            if is_late && base.rows.source().is_some() {
                report.push::<()>(
                    Diagnostic::warning(
                        "this filters after matching: rows whose look-up does not fit do not exist",
                        part.span,
                    )
                    .with_hint(
                        "to look up the latest row that fits, write `ASOF JOIN x WHERE (...)`",
                    ),
                );
            }
        }
    }
    is_complete.then_some(())
}

fn join_words(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "`JOIN`",
        JoinKind::Left => "`LEFT JOIN`",
        JoinKind::Right => "`RIGHT JOIN`",
        JoinKind::Full => "`FULL JOIN`",
        JoinKind::Cross => "`CROSS JOIN`",
        JoinKind::Comma => "a comma",
        JoinKind::AsOf => "`ASOF JOIN`",
        JoinKind::AsOfFull => "`ASOF FULL JOIN`",
    }
}

/// Whether both are the same slots, in any order.
pub(super) fn is_same_set(a: &[usize], b: &[usize]) -> bool {
    a.len() == b.len() && a.iter().all(|x| b.contains(x))
}

/// Refuses the rows of a table by another key than its own.
pub(super) fn other_key<T>(source: &SourceDef, span: Span, report: &mut Report) -> Option<T> {
    let names: Vec<&str> = source
        .primary_key
        .iter()
        .map(|k| source.columns[*k].name.as_str())
        .collect();
    report.hinted(
        format!(
            "a key has one row of the table `{}` only if it is its primary key {}",
            source.name,
            in_words(&names)
        ),
        span,
        "make the primary key the key of the entity, or aggregate: the rows that live with `GROUP BY`, the changes with windows",
    )
}

/// Decides the kind and puts the body together. What decides behind windows and look-ups which rows
/// are emitted is `emitted`.
fn finish(
    view: &ast::CreateFeatureView,
    columns: Vec<Column>,
    (mut base, emitted): (Base, Vec<Expr>),
    first: &Read<'_>,
    report: &mut Report,
) -> Option<EventView> {
    let mut exprs: Vec<Expr> = columns.iter().map(|c| c.expr.clone()).collect();
    let is_filtered = !base.rows.filter.is_empty();
    base.rows.filter.extend(emitted);
    base.rows.prune(&mut exprs);
    let own_window = base.rows.has_own_windows();
    if own_window && is_filtered {
        return report.hinted(
            "the windows would have to count only rows whose look-ups fit",
            base.late_filter.unwrap_or(first.name_span),
            "filter by columns of the events themselves, or use `FILTER (WHERE ...)`; aggregate over a derived stream: `CREATE STREAM ... AS SELECT`",
        );
    }
    // A derived stream has no key: what it has are rows, whatever is in them.
    let is_window_view =
        !base.key_columns.is_empty() && base.rows.is_windows_only(&base.key_columns, &exprs);
    let body = if is_window_view {
        let source = base.rows.source()?.clone();
        if let Some(ttl) = &view.ttl {
            return report.hinted(
                "a window view has no `TTL`: its windows say how far back they reach, and it has an answer at any time",
                ttl.span,
                "leave it out",
            );
        }
        if let Some(span) = base.rows.other_partition(&base.key_columns) {
            return other_partition(span, &base, &source, report);
        }
        ViewBody::Window(base.rows.finish_window(source, base.key_columns, exprs))
    } else if let Some(group_by) = &view.query.group_by {
        return state::refuse_columns(&columns, &base, group_by.span, report);
    } else {
        if let Some(source) = base.rows.source().cloned()
            && source.kind == SourceKind::Table
            && !is_same_set(&base.key_columns, &source.primary_key)
        {
            return other_key(&source, view.entity.span, report);
        }
        let ttl = match &view.ttl {
            None => None,
            Some(ttl) => Some(positive(ttl, report)?),
        };
        ViewBody::Row(Box::new(base.rows.finish_row(base.key_columns, exprs, ttl)))
    };
    Some(EventView { columns, body })
}

/// A window view's windows are over its key.
fn other_partition<T>(
    span: Span,
    base: &Base,
    source: &SourceDef,
    report: &mut Report,
) -> Option<T> {
    let names: Vec<&str> = base
        .key_columns
        .iter()
        .map(|k| source.columns[*k].name.as_str())
        .collect();
    report.hinted(
        format!(
            "the windows of a window view are over its key {}",
            in_words(&names)
        ),
        span,
        "leave `PARTITION BY` out, or make a view of the entity whose key it is",
    )
}

fn positive(ttl: &ast::IntervalLit, report: &mut Report) -> Option<Interval> {
    if ttl.value.is_negative() || ttl.value.is_zero() {
        return report.hinted(
            "`TTL` must be above zero",
            ttl.span,
            "write how old the newest row may be: `TTL INTERVAL '1' DAY`",
        );
    }
    Some(ttl.value)
}
