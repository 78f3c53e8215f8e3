//! `AFTER` and `WAIT FOR WATERMARK` of a derived stream: for which time its rows are, what must not have
//! come until then, and what they wait for (`docs/decisions/0042-timers.md`).
//!
//! What must not have come is one more look-up, at the time of the row, as old as the row is late at most,
//! that has to find nothing. Invariant: nothing of it can be selected.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_expr::build;
use evenkeel_types::definition::{
    LookupTarget, MaxAge, SourceKind, Timer, Trigger, ViewBody, ViewDef,
};
use evenkeel_types::{Expr, Interval, SourceId};

use super::Binder;
use super::base::Base;
use super::expression::{built, flatten};
use super::relation::{Read, Target};
use super::report::Report;
use crate::ast::{
    self, After, BinaryOperator, ExprKind as E, IntervalLit, Join, JoinConstraint, Query,
};

impl Binder<'_> {
    /// The conditions under which `WITHOUT` lets a row be, each over a look-up that is added.
    pub(super) fn without(
        &self,
        query: &Query,
        first: &Read<'_>,
        base: &mut Base,
        report: &mut Report,
    ) -> Option<Vec<Expr>> {
        let Some(after) = &query.after else {
            return Some(Vec::new());
        };
        let errors_before = report.error_count();
        let age = exact(&after.length, "AFTER", report);
        refuse_times(query, after, report);
        refuse_evaluated(first, after, report);
        let mut conditions = Vec::new();
        for join in &after.without {
            // Behind the select list: nobody can name what is not there.
            let mut scope = base.scope.clone();
            let slot = base.rows.next_lookup_slot();
            let found = self.lookup(join, &mut scope, &mut base.rows, report);
            let (Some(()), Some(age)) = (found, age) else {
                continue;
            };
            let limit = MaxAge {
                age,
                inclusive: false,
            };
            let key = base.rows.limit_last(limit).and_then(stream_key);
            let Some((key, data_type)) = key else {
                report.hinted::<()>(
                    "what must not have come are events of a stream",
                    join.relation.span,
                    "name a stream; of a table or a view write a derived stream first: `CREATE STREAM ... AS SELECT`",
                );
                continue;
            };
            let is_missing = build::is_null(Expr::column(slot + key, data_type));
            conditions.extend(built(is_missing, join.span, &[], report));
        }
        (report.error_count() == errors_before).then_some(conditions)
    }
}

/// The timer of a query, given its look-ups: those of its joins and, behind them, of its `WITHOUT`s.
pub(super) fn timer(query: &Query, body: &ViewBody) -> Option<Timer> {
    let ViewBody::Row(body) = body else {
        return None;
    };
    let without = query.after.iter().flat_map(|after| &after.without);
    let without = without.map(|join| (join, true));
    let joins = query.joins.iter().map(|join| (join, false)).chain(without);
    let mut waits_for: BTreeMap<SourceId, Option<Interval>> = BTreeMap::new();
    // Those of a view that is read come before.
    let lookups = body.lookups.iter().rev();
    for (lookup, (join, is_absent)) in lookups.zip(joins.collect::<Vec<_>>().into_iter().rev()) {
        if join.wait.is_none() && !is_absent {
            continue;
        }
        let timeout = join.wait.and_then(|wait| Some(wait.timeout?.value));
        for source in sources_of(&lookup.target) {
            let known = waits_for.entry(source).or_insert(timeout);
            // Who waits longer waits for both.
            *known = match (*known, timeout) {
                (Some(a), Some(b)) if b.micros > a.micros => Some(b),
                (Some(a), Some(_)) => Some(a),
                _ => None,
            };
        }
    }
    let after = query.after.as_ref().map(|after| after.length.value);
    (after.is_some() || !waits_for.is_empty()).then(|| Timer {
        after: after.unwrap_or_default(),
        waits_for,
    })
}

/// The sources that a look-up reads.
fn sources_of(target: &LookupTarget) -> BTreeSet<SourceId> {
    match target {
        LookupTarget::Source { source, .. } => BTreeSet::from([source.id]),
        LookupTarget::View(view) => read_by(view),
    }
}

/// Those that a view reads.
fn read_by(view: &ViewDef) -> BTreeSet<SourceId> {
    match &view.body {
        ViewBody::Window(body) => BTreeSet::from([body.windows.source.id]),
        ViewBody::Composed(body) => body.inputs.iter().flat_map(|view| read_by(view)).collect(),
        ViewBody::Row(body) => {
            let lookups = body.lookups.iter();
            let looked_up = lookups.flat_map(|lookup| sources_of(&lookup.target));
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            looked_up
                .chain(sides.into_iter().map(|side| side.source.id))
                .collect()
        }
    }
}

/// Refuses lengths of time that cannot be waited for.
pub(super) fn check(query: &Query, report: &mut Report) -> Option<()> {
    let without = query.after.iter().flat_map(|after| &after.without);
    let waits = query.joins.iter().chain(without);
    let timeouts = waits.filter_map(|join| join.wait.as_ref()?.timeout.as_ref());
    let mut lengths: Vec<Option<Interval>> = Vec::new();
    lengths.extend(timeouts.map(|timeout| exact(timeout, "TIMEOUT", report)));
    lengths.iter().all(Option::is_some).then_some(())
}

/// The slot of the key of a stream that is looked up, and its type.
fn stream_key(target: &LookupTarget) -> Option<(usize, evenkeel_types::DataType)> {
    match target {
        LookupTarget::Source {
            source,
            key_columns,
        } if source.kind == SourceKind::Stream && source.deduplicate_within.is_none() => {
            let key = *key_columns.first()?;
            Some((key, source.row_types().get(key)?.clone()))
        }
        _ => None,
    }
}

/// A length of time that is above zero and needs no calendar: equal times apart stay apart.
fn exact(length: &IntervalLit, clause: &str, report: &mut Report) -> Option<Interval> {
    let value = length.value;
    if !value.is_exact() {
        return report.hinted(
            format!("`{clause}` needs an exact length, and months are not equally long"),
            length.span,
            "write days: `INTERVAL '30' DAY`",
        );
    }
    if value.is_negative() || value.is_zero() {
        return report.hinted(
            format!("`{clause}` must be above zero"),
            length.span,
            "write how much later: `INTERVAL '30' MINUTE`",
        );
    }
    Some(value)
}

/// Look-ups are at the time of the row; who compares times means that of the event.
fn refuse_times(query: &Query, after: &After, report: &mut Report) {
    let joins = query.joins.iter().chain(&after.without);
    for span in joins.filter_map(compared) {
        report.hinted::<()>(
            "with `AFTER` everything is looked up at the time of the row, which is later than its event",
            span,
            "leave the comparison of times out; for what was known at the event write a derived stream of it first, and read that",
        );
    }
}

/// Where a join compares times.
fn compared(join: &Join) -> Option<ast::Span> {
    if let Some(condition) = &join.match_condition {
        return Some(condition.span);
    }
    let Some(JoinConstraint::On(on)) = &join.constraint else {
        return None;
    };
    let mut parts = Vec::new();
    flatten(on, BinaryOperator::And, &mut parts);
    let is_equality = |part: &&ast::Expr| {
        matches!(
            part.kind,
            E::Binary {
                operator: BinaryOperator::Equal,
                ..
            }
        )
    };
    let other = parts.into_iter().find(|part| !is_equality(part));
    other.map(|part| part.span)
}

/// Rows of a view are of the time of their event.
fn refuse_evaluated(first: &Read<'_>, after: &After, report: &mut Report) {
    if let Target::View(view) = &first.target
        && let ViewBody::Row(body) = &view.body
        && !(body.lookups.is_empty() && body.windows.is_empty())
    {
        report.hinted::<()>(
            format!(
                "the rows of `{}` are made at the time of their event, and `AFTER` makes rows of a later time",
                view.name
            ),
            after.length.span,
            format!(
                "write a derived stream of its rows first: `CREATE STREAM {0}_rows AS SELECT ... FROM {0}`",
                view.name
            ),
        );
    }
}
