//! The aggregates of a key's windows: over events, over rows that live and over changes.

use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel_aggregate::oracle as naive;
use evenkeel_types::codec::canonical_row;
use evenkeel_types::definition::{SourceDef, SourceWindows, WindowAggregate, WindowRows};
use evenkeel_types::{AggregateCall, Knowledge, Value};

use super::versions::Candidate;
use super::{Oracle, evaluate_all, has_key, is_retained, is_true};

impl Oracle<'_> {
    /// The aggregates of one key's windows that end at `t`.
    pub(super) fn windows(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        if windows.has(WindowRows::Changes) {
            return self.windows_and_changes(windows, key, t, knowledge);
        }
        let live = self.live(&windows.source, knowledge);
        let has_a_key = !key.iter().any(Value::is_missing);
        // RETAIN looks at the versions of a table too, deletes included.
        let events: Vec<&Rc<Candidate>> = live
            .iter()
            .filter(|e| has_a_key && has_key(&e.row, &windows.key_columns, key))
            .collect();
        let times: Vec<i64> = events.iter().map(|e| e.time).collect();
        let passes: Vec<bool> = events
            .iter()
            .map(|e| {
                !e.is_delete
                    && windows
                        .filter
                        .as_ref()
                        .is_none_or(|f| is_true(f, &e.row, t))
            })
            .collect();
        let retain = windows.source.retain_gap(&windows.key_columns);
        let lives = match windows.has(WindowRows::Live) {
            true => are_latest(&windows.source, &live, &events, t),
            false => Vec::new(),
        };
        let frame = |aggregate: &WindowAggregate| match aggregate.rows {
            WindowRows::Events => {
                naive::frame_members(&aggregate.frame, retain, &times, &passes, t)
            }
            // Changes are no events; see `windows_and_changes`.
            WindowRows::Changes => Vec::new(),
            WindowRows::Live => (0..events.len())
                .filter(|&i| passes[i] && lives[i])
                .filter(|&i| retain.is_none_or(|gap| is_retained(&times, times[i], t, gap)))
                .collect(),
        };
        let rows: Vec<&[Value]> = events.iter().map(|e| e.row.as_slice()).collect();
        let value = |aggregate: &WindowAggregate| {
            evaluate_call(&aggregate.call, &frame(aggregate), &times, &rows, t)
        };
        windows.aggregates.iter().map(value).collect()
    }

    /// [`Oracle::windows`] where some are over changes.
    fn windows_and_changes(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let (events, changes) = (
            windows.only(WindowRows::Events),
            windows.only(WindowRows::Changes),
        );
        let events = self.windows(&events, key, t, knowledge);
        let changes = self.changes(&changes, key, t, knowledge);
        let (mut events, mut changes) = (events.into_iter(), changes.into_iter());
        let value = |aggregate: &WindowAggregate| match aggregate.rows {
            WindowRows::Changes => changes.next(),
            WindowRows::Events | WindowRows::Live => events.next(),
        };
        let values = windows.aggregates.iter().filter_map(value);
        values.collect()
    }

    /// The aggregates of one key's windows over the changes of a table.
    fn changes(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let source = &windows.source;
        let live = self.live(source, knowledge);
        let mut times = Vec::new();
        let mut rows = Vec::new();
        let mut latest: BTreeMap<Vec<u8>, &Candidate> = BTreeMap::new();
        for event in live.iter() {
            // A version without a primary key is of no row.
            let Some(row_key) = row_key(source, event) else {
                continue;
            };
            let before = latest.insert(row_key, event);
            let Some(row) = change_row(source, event, before) else {
                continue;
            };
            let has_a_key = !key.iter().any(Value::is_missing);
            if has_a_key && has_key(&row, &windows.key_columns, key) {
                times.push(event.time);
                rows.push(row);
            }
        }
        let filter = windows.filter.as_ref();
        let passes: Vec<bool> = rows
            .iter()
            .map(|row| filter.is_none_or(|f| is_true(f, row, t)))
            .collect();
        let retain = source.retain_gap(&windows.key_columns);
        let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
        let value = |aggregate: &WindowAggregate| {
            let members = naive::frame_members(&aggregate.frame, retain, &times, &passes, t);
            evaluate_call(&aggregate.call, &members, &times, &rows, t)
        };
        windows.aggregates.iter().map(value).collect()
    }
}

/// The bytes of a version's primary key; none if a part of it is missing.
fn row_key(source: &SourceDef, version: &Candidate) -> Option<Vec<u8>> {
    let parts = source.primary_key.iter();
    let key: Vec<Value> = parts.map(|&slot| version.row[slot].clone()).collect();
    let is_whole = !key.iter().any(Value::is_missing);
    is_whole.then(|| canonical_row(&key))
}

/// The change row of a version and the version before it; none if a row that is not there
/// ends.
fn change_row(
    source: &SourceDef,
    event: &Candidate,
    before: Option<&Candidate>,
) -> Option<Vec<Value>> {
    let retain = source.retain_gap(&source.primary_key);
    let old = before
        .filter(|old| retain.is_none_or(|gap| event.time - old.time <= gap))
        .filter(|old| !old.is_delete);
    let mut row = match (event.is_delete, old) {
        (false, _) => event.row.clone(),
        (true, Some(old)) => old.row.clone(),
        (true, None) => return None,
    };
    for slot in [
        source.event_time,
        source.event_time_slot(),
        source.visible_at_slot(),
    ] {
        row[slot] = event.row[slot].clone();
    }
    let operation = match (event.is_delete, old) {
        (true, _) => "delete",
        (false, Some(_)) => "update",
        (false, None) => "insert",
    };
    match old {
        Some(old) => row.extend(old.row.iter().cloned()),
        None => row.resize(source.operation_slot(), Value::Null),
    }
    row.push(Value::string(operation));
    Some(row)
}

/// Which versions are the rows of their primary keys at `t`: none of all versions that hold,
/// which are in order, and are not after `t` comes later, and `RETAIN` has not let it go.
fn are_latest(
    source: &SourceDef,
    all: &[Rc<Candidate>],
    versions: &[&Rc<Candidate>],
    t: i64,
) -> Vec<bool> {
    let mut latest: BTreeMap<Vec<u8>, &Rc<Candidate>> = BTreeMap::new();
    for version in all.iter().filter(|version| version.time <= t) {
        if let Some(key) = row_key(source, version) {
            latest.insert(key, version);
        }
    }
    let retain = source.retain_gap(&source.primary_key);
    let is_latest = |version: &Rc<Candidate>| {
        let key = row_key(source, version);
        key.and_then(|key| latest.get(&key))
            .is_some_and(|latest| Rc::ptr_eq(latest, version))
            && retain.is_none_or(|gap| t - version.time <= gap)
    };
    versions.iter().map(|version| is_latest(version)).collect()
}

/// A call over those of some rows, in their total order, that are in its window.
fn evaluate_call(
    call: &AggregateCall,
    members: &[usize],
    times: &[i64],
    rows: &[&[Value]],
    t: i64,
) -> Value {
    let passes = |row: &[Value]| call.filter.as_ref().is_none_or(|f| is_true(f, row, t));
    let inputs: Vec<naive::Input> = members
        .iter()
        .filter(|&&i| passes(rows[i]))
        .map(|&i| naive::Input {
            time: times[i],
            order: i.to_be_bytes().to_vec(),
            values: evaluate_all(&call.args, rows[i], t),
        })
        .collect();
    naive::evaluate(call, &inputs)
}
