//! State views: `GROUP BY` over a table, aggregates over the rows that live at the read time.
//!
//! Rules beyond `docs/semantics.md`: what is grouped by is the key of the view's entity; there
//! is one table, and no windows.

use evenkeel_types::Expr;
use evenkeel_types::definition::{SourceDef, SourceKind};

use super::base::Base;
use super::events::is_same_set;
use super::expression::{self, Plain};
use super::features::Column;
use super::relation::Target;
use super::report::{Report, in_words};
use super::rows::stored_slot;
use crate::ast::{self, GroupBy, Span};

/// Refuses what is no state view: `GROUP BY` is written, and `base` is what it is over.
pub(super) fn check(
    view: &ast::CreateFeatureView,
    group_by: &GroupBy,
    target: &Target,
    base: &Base,
    report: &mut Report,
) -> Option<()> {
    let source = table_of(group_by, target, base, report)?;
    let query = &view.query;
    if let Some(join) = query.joins.first() {
        return report.hinted(
            "a state view is over one table, without joins",
            join.kind_span,
            "look the view up from another view instead: `ASOF JOIN` it there",
        );
    }
    if let Some(window) = query.windows.first() {
        return report.hinted(
            "a state view has no windows: it is over the rows that live at the read time",
            window.span,
            "leave `WINDOW` out, or leave `GROUP BY` out for windows over the table's changes",
        );
    }
    if let Some(ttl) = &view.ttl {
        return report.hinted(
            "a state view has no `TTL`: it has an answer at any time",
            ttl.span,
            "leave it out",
        );
    }
    let grouped = slots(group_by, source, base, report)?;
    if !is_same_set(&grouped, &base.key_columns) {
        let key = names(source, &base.key_columns);
        return report.hinted(
            format!(
                "a state view is grouped by the key of its entity, {}",
                in_words(&key)
            ),
            group_by.span,
            format!(
                "write `GROUP BY {}`, or make a view of the entity whose key it is",
                key.join(", ")
            ),
        );
    }
    Some(())
}

/// The table that is grouped.
fn table_of<'a>(
    group_by: &GroupBy,
    target: &Target,
    base: &'a Base,
    report: &mut Report,
) -> Option<&'a SourceDef> {
    match (base.rows.source(), target) {
        (Some(source), Target::Source(_)) if source.kind == SourceKind::Table => Some(source),
        (Some(source), Target::View(view)) if source.kind == SourceKind::Table => report.hinted(
            format!(
                "`GROUP BY` is over a table, and `{}` is a view",
                view.name
            ),
            group_by.span,
            format!("read the table itself: `FROM {}`", source.name),
        ),
        _ => report.hinted(
            "only a view over a table has `GROUP BY`: over events each aggregate says its window, and the key is the entity's",
            group_by.span,
            "leave it out and write `count(*) OVER (LAST 24 HOURS)`, or `OVER (ALL HISTORY)`",
        ),
    }
}

/// The columns that are grouped by.
fn slots(
    group_by: &GroupBy,
    source: &SourceDef,
    base: &Base,
    report: &mut Report,
) -> Option<Vec<usize>> {
    let mut slots = Vec::new();
    for expr in &group_by.exprs {
        let mut context = Plain::new(&base.scope, "`GROUP BY`")
            .with_aggregate_hint("name the columns of the key");
        let key: Expr = expression::bind(expr, &mut context, report)?;
        let slot = base.rows.trigger_slot(&key);
        let Some(slot) = slot.and_then(|slot| stored_slot(source, slot)) else {
            return report.hinted(
                "a state view is grouped by plain columns of its table",
                expr.span,
                "name a column; if there is none, compute one in the table: `name TYPE AS (...)`",
            );
        };
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    Some(slots)
}

/// Refuses columns that are neither keys nor made of aggregates; to be called for a view that
/// has such.
pub(super) fn refuse_columns<T>(
    columns: &[Column],
    base: &Base,
    span: Span,
    report: &mut Report,
) -> Option<T> {
    let plain = columns.iter().find(|column| {
        let slots = column.expr.columns();
        let of_row = |slot: &usize| *slot < base.rows.trigger_width();
        slots
            .iter()
            .any(|s| of_row(s) && !base.key_columns.contains(s))
    });
    match plain {
        Some(column) => report.hinted(
            format!(
                "`{}` of a state view is neither a key nor made of aggregates",
                column.name
            ),
            span,
            format!(
                "aggregate it, as in `max({0}) AS {0}`, or put a condition on it into `WHERE`",
                column.name
            ),
        ),
        None => report.hinted(
            "a state view has at least one aggregate",
            span,
            "write `count(*) AS n`",
        ),
    }
}

fn names<'a>(source: &'a SourceDef, key_columns: &[usize]) -> Vec<&'a str> {
    let columns = key_columns.iter().filter_map(|k| source.columns.get(*k));
    columns.map(|c| c.name.as_str()).collect()
}
