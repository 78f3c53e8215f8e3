//! The naive oracle: each value from scratch, by its definition.
//!
//! It holds all logged events of the sources and, for every value, filters, groups, sorts
//! and counts them anew. It shares with the read path and the training path only the
//! definitions and the scalar expression evaluator; identities, ties, frames and aggregates
//! it decides by itself. Cost: linear in the events of the sources that a view reads, for
//! every value. Reference: `docs/semantics.md`, nothing else.

mod versions;
mod windows;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::definition::{
    DerivedDef, Lookup, LookupTarget, RowBody, SourceDef, SourceKind, Trigger, TriggerSide,
    ViewBody, ViewDef,
};
use evenkeel_types::{EventTime, Expr, Knowledge, LoggedEvent, Position, SourceId, Value};

use versions::{Candidate, Remembered};

use crate::row::ViewRow;

/// See the module.
pub struct Oracle<'a> {
    events: BTreeMap<SourceId, Vec<&'a LoggedEvent>>,
    /// Events as they would be if they held, in the order of a source's events.
    candidates: RefCell<BTreeMap<SourceId, Rc<Vec<Rc<Candidate>>>>>,
    /// What held, for the knowledge that was asked with last.
    live: RefCell<VecDeque<Remembered>>,
}

impl<'a> Oracle<'a> {
    /// An oracle over these events, of any sources in any order.
    pub fn new(events: impl IntoIterator<Item = &'a LoggedEvent>) -> Self {
        let mut by_source: BTreeMap<SourceId, Vec<&LoggedEvent>> = BTreeMap::new();
        for event in events {
            by_source.entry(event.source).or_default().push(event);
        }
        Oracle {
            events: by_source,
            candidates: RefCell::default(),
            live: RefCell::default(),
        }
    }

    /// Reads a view: `key` in the order of the entity's key columns, `request` in the order
    /// of a composed view's request columns.
    pub fn read(
        &self,
        view: &ViewDef,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
        request: &[Value],
    ) -> ViewRow {
        match &view.body {
            ViewBody::Window(body) => {
                let mut scope = key.to_vec();
                scope.extend(self.windows(&body.windows, key, t, knowledge));
                ViewRow::found(evaluate_all(&body.columns, &scope, t))
            }
            ViewBody::Row(body) => {
                let row = self.last_row(body, key, t, t, knowledge, &mut |_, _| true);
                match row {
                    None => ViewRow::not_found(view.features.len()),
                    Some((time, _)) if body.ttl.is_some_and(|ttl| time <= ttl.before(t)) => {
                        ViewRow::outside_max_age(view.features.len(), time)
                    }
                    Some((time, values)) => ViewRow::found_at(values, time),
                }
            }
            ViewBody::Composed(body) => {
                let mut scope = key.to_vec();
                scope.extend_from_slice(request);
                for input in &body.inputs {
                    scope.extend(self.read(input, key, t, knowledge, &[]).values);
                }
                ViewRow::found(evaluate_all(&body.columns, &scope, t))
            }
        }
    }

    /// The last row of a row view with time `<= until` that its filter and `accept` let
    /// pass, evaluated with read time `t`: its time and features.
    fn last_row(
        &self,
        body: &RowBody,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
        accept: &mut dyn FnMut(i64, &[Value]) -> bool,
    ) -> Option<(i64, Vec<Value>)> {
        for (time, scope) in self.trigger_rows(&body.trigger, key, until, t, knowledge) {
            let Some(values) = self.row_of(body, scope, (time, t), knowledge) else {
                continue;
            };
            if accept(time, &values) {
                return Some((time, values));
            }
        }
        None
    }

    /// The features of a row that a trigger brings at a time, evaluated with read time `t`; none if
    /// the filter leaves it out.
    fn row_of(
        &self,
        body: &RowBody,
        mut scope: Vec<Value>,
        (time, t): (i64, i64),
        knowledge: &Knowledge,
    ) -> Option<Vec<Value>> {
        for windows in &body.windows {
            let key: Vec<Value> = windows
                .key_columns
                .iter()
                .map(|&slot| scope[slot].clone())
                .collect();
            let values = self.windows(windows, &key, time, knowledge);
            scope.extend(values);
        }
        for lookup in &body.lookups {
            let found = self.look_up(lookup, &scope, time, knowledge);
            scope.extend(found);
        }
        let passes = body.filter.as_ref().is_none_or(|f| is_true(f, &scope, t));
        passes.then(|| evaluate_all(&body.columns, &scope, t))
    }

    /// The greatest time of the events of a source that hold, given what is known.
    pub fn greatest_time(&self, source: &SourceDef, knowledge: &Knowledge) -> Option<EventTime> {
        let live = self.live(source, knowledge);
        live.iter().map(|held| EventTime(held.time)).max()
    }

    /// Which of some versions of one event holds, given what is known, and the columns that a derived
    /// stream selects for it: none if its `WHERE` leaves it out, or its row is not due before a time.
    pub fn emitted(
        &self,
        derived: &DerivedDef,
        versions: &[&LoggedEvent],
        knowledge: &Knowledge,
        due_until: Option<EventTime>,
    ) -> Option<(Position, Option<Vec<Value>>)> {
        let side = derived.trigger();
        let live = self.live(&side.source, knowledge);
        let is_one = |c: &&Rc<Candidate>| {
            let mut versions = versions.iter();
            versions.any(|version| version.position == c.logged.position)
        };
        let held = live.iter().find(is_one)?;
        let (row, time) = (&held.row, derived.time_of(EventTime(held.time)).0);
        let passes = |filter: &Expr| is_true(filter, row, time);
        let is_due = derived.is_due(EventTime(held.time), due_until);
        let selected = match is_due && side.filter.as_ref().is_none_or(passes) {
            true => self.row_of(derived.body(), row.clone(), (time, time), knowledge),
            false => None,
        };
        Some((held.logged.position, selected))
    }

    /// The rows that a trigger brings for a key up to a time, newest first.
    fn trigger_rows(
        &self,
        trigger: &Trigger,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<(i64, Vec<Value>)> {
        match trigger {
            Trigger::Source(side) => {
                let mut rows = self.side_rows(side, key, until, t, knowledge);
                rows.reverse();
                if side.source.kind == SourceKind::Table {
                    // The state: the newest version, unless it is a delete or is filtered.
                    rows.truncate(1);
                }
                rows.into_iter()
                    .filter_map(|(time, row)| Some((time, row?)))
                    .collect()
            }
            Trigger::Full { left, right } => {
                let left_rows = self.side_rows(left, key, until, t, knowledge);
                let right_rows = self.side_rows(right, key, until, t, knowledge);
                let mut times: Vec<i64> = left_rows
                    .iter()
                    .chain(&right_rows)
                    .map(|(time, _)| *time)
                    .collect();
                times.sort_unstable();
                times.dedup();
                times.reverse();
                let latest = |rows: &[(i64, Option<Vec<Value>>)], width: usize, t: i64| {
                    rows.iter()
                        .rfind(|(time, _)| *time <= t)
                        .and_then(|(_, row)| row.clone())
                        .unwrap_or_else(|| vec![Value::Null; width])
                };
                times
                    .into_iter()
                    .map(|t| {
                        let mut scope = latest(&left_rows, left.source.row_width(), t);
                        scope.extend(latest(&right_rows, right.source.row_width(), t));
                        (t, scope)
                    })
                    .collect()
            }
        }
    }

    /// One side's events of a key up to a time in order; `None` where a table's row is
    /// deleted or does not pass the side's filter.
    fn side_rows(
        &self,
        side: &TriggerSide,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<(i64, Option<Vec<Value>>)> {
        let passes = |row: &[Value]| side.filter.as_ref().is_none_or(|f| is_true(f, row, t));
        let is_table = side.source.kind == SourceKind::Table;
        self.retained(
            &side.source,
            &side.key_columns,
            key,
            (until, t),
            knowledge,
            |live| {
                let row = (!live.is_delete && passes(&live.row)).then(|| live.row.clone());
                (is_table || row.is_some()).then_some((live.time, row))
            },
        )
    }

    /// The columns that a look-up adds to the scope.
    fn look_up(
        &self,
        lookup: &Lookup,
        scope: &[Value],
        at: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let nothing = vec![Value::Null; lookup.target.width()];
        let key: Vec<Value> = lookup
            .keys
            .iter()
            .map(|e| Program::compile(e).eval_row(scope, at))
            .collect();
        if key.iter().any(Value::is_missing) {
            return nothing;
        }
        let until = if lookup.strict { at - 1 } else { at };
        let young_enough = |time: i64| {
            lookup.max_age.is_none_or(|limit| {
                let oldest = limit.age.before(at);
                time > oldest || (limit.inclusive && time == oldest)
            })
        };
        let passes = |row: &[Value]| lookup.filter.as_ref().is_none_or(|f| is_true(f, row, at));
        match &lookup.target {
            LookupTarget::Source {
                source,
                key_columns,
            } => {
                let all =
                    self.retained(source, key_columns, &key, (until, at), knowledge, |live| {
                        Some((live.time, live.is_delete, live.row.clone()))
                    });
                let found = match source.kind {
                    SourceKind::Table => all.into_iter().next_back().filter(|(_, d, _)| !d),
                    SourceKind::Stream => all.into_iter().rfind(|(_, _, row)| passes(row)),
                };
                found
                    .filter(|(time, _, row)| young_enough(*time) && passes(row))
                    .map_or(nothing, |(_, _, row)| row)
            }
            LookupTarget::View(view) => match &view.body {
                ViewBody::Row(body) => {
                    // `>` excludes rows at the trigger's time; the read time stays.
                    let row = self.last_row(body, &key, until, at, knowledge, &mut |_, values| {
                        passes(values)
                    });
                    row.filter(|(time, _)| {
                        young_enough(*time) && body.ttl.is_none_or(|ttl| *time > ttl.before(at))
                    })
                    .map_or(nothing, |(_, values)| values)
                }
                _ => {
                    let row = self.read(view, &key, at, knowledge, &[]);
                    if passes(&row.values) {
                        row.values
                    } else {
                        nothing
                    }
                }
            },
        }
    }

    /// What `take` makes of the events of a key with time `<= until`, in order, but for those
    /// that `RETAIN` has let go at `t`.
    fn retained<T>(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        key: &[Value],
        (until, t): (i64, i64),
        knowledge: &Knowledge,
        take: impl Fn(&Candidate) -> Option<T>,
    ) -> Vec<T> {
        if key.iter().any(Value::is_missing) {
            return Vec::new();
        }
        let live = self.live(source, knowledge);
        let of_key: Vec<&Rc<Candidate>> = live
            .iter()
            .filter(|e| has_key(&e.row, key_columns, key))
            .collect();
        let times: Vec<i64> = of_key.iter().map(|e| e.time).collect();
        let retain = source.retain_gap(key_columns);
        of_key
            .into_iter()
            .filter(|e| e.time <= until)
            .filter(|e| retain.is_none_or(|gap| is_retained(&times, e.time, t, gap)))
            .filter_map(|e| take(e))
            .collect()
    }
}

fn has_key(row: &[Value], key_columns: &[usize], key: &[Value]) -> bool {
    key_columns
        .iter()
        .zip(key)
        .all(|(&slot, part)| row[slot].same_bits(part))
}

/// Whether no gap longer than `gap` lies between an event at `time` and `t`, `times` being
/// the times of all events of its key.
fn is_retained(times: &[i64], time: i64, t: i64, gap: i64) -> bool {
    let mut between: Vec<i64> = times
        .iter()
        .copied()
        .filter(|x| (time..=t).contains(x))
        .collect();
    between.sort_unstable();
    between.push(t);
    between.windows(2).all(|pair| pair[1] - pair[0] <= gap)
}

fn is_true(expr: &Expr, row: &[Value], read_time: i64) -> bool {
    matches!(
        Program::compile(expr).eval_row(row, read_time),
        Value::Boolean(true)
    )
}

fn evaluate_all(exprs: &[Expr], row: &[Value], read_time: i64) -> Vec<Value> {
    exprs
        .iter()
        .map(|e| Program::compile(e).eval_row(row, read_time))
        .collect()
}
