//! The changes of a table's rows as the rows of a sweep
//! (`docs/decisions/0030-changes-of-a-table.md`).
//!
//! A change is an event with the row after it and the row before it, both numbers of events;
//! their columns are gathered into change rows, over which the sweep runs. Where all requests
//! know the same, every change is made once and placed by its key; else each request has its
//! own.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use evenkeel_types::definition::SourceWindows;
use evenkeel_types::{Column, DataType, Expr, NO_SLOT, Value};

use super::Sweep;
use super::live::know_the_same;
use crate::evaluate::{Evaluator, Requests};
use crate::events::SourceEvents;
use crate::key_numbers::NO_KEY;
use crate::keyed::{KeyEvents, KeyedEvents};

/// A change, by numbers of events.
#[derive(Clone, Copy)]
struct Change {
    /// The version, or the delete.
    event: u32,
    /// The row after it; of a delete the row that it ends.
    row: u32,
    /// The row before it, or [`NO_SLOT`].
    old: u32,
}

/// The versions of a table by primary key, and what of their changes is read.
struct Versions<'a> {
    evaluator: &'a Evaluator,
    windows: &'a SourceWindows,
    events: &'a SourceEvents,
    by_row: Rc<KeyedEvents>,
    /// The number of each event's row.
    row_of: Vec<u32>,
    by_key: Rc<KeyedEvents>,
    /// The number of each event's key.
    key_of: Vec<u32>,
    /// The slots of the change row that are read.
    read: BTreeSet<usize>,
}

impl Evaluator {
    /// The aggregates of windows that are all over changes, a column per aggregate.
    pub(super) fn changes(&self, windows: &SourceWindows, requests: &Requests) -> Vec<Column> {
        let versions = Versions::new(self, windows);
        if know_the_same(versions.events, requests) {
            versions.at_once(requests)
        } else {
            versions.one_by_one(requests)
        }
    }

    /// Which keys rows of a table come to and leave: of each change an event whose row has the
    /// key, and the event that changed it.
    pub(crate) fn changed_keys(&self, windows: &SourceWindows) -> Vec<(u32, u32)> {
        let versions = Versions::new(self, windows);
        let mut changes = Vec::new();
        for row in (0u32..).take(versions.by_row.len()) {
            versions.of_row(row, i64::MAX, None, &mut changes);
        }
        let mut changed: Vec<(u32, u32)> = changes.iter().map(|c| (c.row, c.event)).collect();
        let left = changes.iter().filter(|c| c.old != NO_SLOT);
        changed.extend(left.map(|c| (c.old, c.event)));
        changed
    }

    /// Marks the requests that have the time of a change of their own key.
    pub(crate) fn mark_changes(
        &self,
        windows: &SourceWindows,
        requests: &Requests,
        marks: &mut [bool],
    ) {
        let versions = Versions::new(self, windows);
        let times = versions.events.times();
        let placed = self.placed(windows.source.id, &windows.key_columns, requests);
        let mut changes = Vec::new();
        if know_the_same(versions.events, requests) {
            for row in (0u32..).take(versions.by_row.len()) {
                versions.of_row(row, i64::MAX, None, &mut changes);
            }
            let of = |c: &Change| (versions.key_of[c.row as usize], times[c.event as usize]);
            let changed: BTreeSet<(u32, i64)> = changes.iter().map(of).collect();
            for (key, of_key) in placed.keys() {
                for &(time, request) in of_key {
                    marks[request as usize] |= changed.contains(&(key, time));
                }
            }
            return;
        }
        for (key, of_key) in placed.keys() {
            for &(time, request) in of_key {
                changes.clear();
                let known_at = requests.known_at(request as usize);
                versions.of_key(key, time, known_at, &mut changes);
                let last = changes.last();
                marks[request as usize] |= last.is_some_and(|c| times[c.event as usize] == time);
            }
        }
    }
}

impl<'a> Versions<'a> {
    fn new(evaluator: &'a Evaluator, windows: &'a SourceWindows) -> Self {
        let source = &windows.source;
        let events = evaluator.events(source.id);
        let by_row = evaluator.keyed(source.id, &source.primary_key);
        let by_key = evaluator.keyed(source.id, &windows.key_columns);
        let numbers = |keyed: &KeyedEvents, slots: &[usize]| {
            let parts = slots.iter().map(|&slot| events.columns()[slot].clone());
            keyed.find(&parts.collect::<Vec<_>>(), events.len())
        };
        let calls = windows.aggregates.iter().map(|a| &a.call);
        let inputs = calls.flat_map(|call| call.args.iter().chain(&call.filter));
        let read = inputs.chain(&windows.filter).flat_map(Expr::columns);
        Versions {
            row_of: numbers(&by_row, &source.primary_key),
            key_of: numbers(&by_key, &windows.key_columns),
            evaluator,
            windows,
            events,
            by_row,
            by_key,
            read: read.collect(),
        }
    }

    /// The changes of one row up to a time, given what was visible at another.
    fn of_row(&self, row: u32, until: i64, known_at: Option<i64>, out: &mut Vec<Change>) {
        let KeyEvents { numbers, times } = self.by_row.of(row);
        let end = times.partition_point(|&time| time <= until);
        let retain = self
            .windows
            .source
            .retain_gap(&self.windows.source.primary_key);
        let mut before: Option<(u32, i64)> = None;
        for (&event, &time) in numbers[..end].iter().zip(&times[..end]) {
            if !self.events.holds(event, known_at) {
                continue;
            }
            let kept = before
                .filter(|(_, then)| retain.is_none_or(|gap| time.saturating_sub(*then) <= gap));
            let old = kept.map_or(NO_SLOT, |(old, _)| old);
            before = (!self.events.is_delete(event)).then_some((event, time));
            let row = match before {
                Some(_) => event,
                // The end of no row changes nothing.
                None if old == NO_SLOT => continue,
                None => old,
            };
            out.push(Change { event, row, old });
        }
    }

    /// The columns of change rows; those that nobody reads stay empty.
    fn columns(&self, changes: &[Change]) -> Vec<Column> {
        let source = &self.windows.source;
        let gather = |slot: usize, number: fn(&Change) -> u32| {
            let numbers: Vec<u32> = changes.iter().map(number).collect();
            self.events.columns()[slot].gather_optional(&numbers)
        };
        let column = |(slot, data_type): (usize, DataType)| match slot {
            slot if !self.read.contains(&slot) => Column::new(&data_type),
            slot if slot == source.operation_slot() => self.operations(changes),
            slot if slot >= source.row_width() => gather(slot - source.row_width(), |c| c.old),
            slot if source.is_event_slot(slot) => gather(slot, |c| c.event),
            slot => gather(slot, |c| c.row),
        };
        source
            .change_types()
            .into_iter()
            .enumerate()
            .map(column)
            .collect()
    }

    fn operations(&self, changes: &[Change]) -> Column {
        let mut column = Column::new(&DataType::String);
        let [insert, update, delete] = ["insert", "update", "delete"].map(Value::string);
        for change in changes {
            column.push(match change {
                _ if self.events.is_delete(change.event) => &delete,
                Change { old: NO_SLOT, .. } => &insert,
                _ => &update,
            });
        }
        column
    }

    /// A sweep over change rows, none so far.
    fn sweep<'s>(&'s self, requests: &'s Requests) -> Sweep<'s> {
        let columns = Cow::Owned(self.columns(&[]));
        Sweep::over(self.windows, self.events, columns, requests)
    }

    /// All requests know the same: all changes, placed by their keys.
    fn at_once(&self, requests: &Requests) -> Vec<Column> {
        let mut changes = Vec::new();
        for row in (0u32..).take(self.by_row.len()) {
            self.of_row(row, i64::MAX, None, &mut changes);
        }
        let key_of: Vec<u32> = changes
            .iter()
            .map(|c| self.key_of[c.row as usize])
            .collect();
        let events: Vec<u32> = changes.iter().map(|c| c.event).collect();
        let by_key = self.by_key.placed(self.events, &key_of, &events);
        let mut sweep = self.sweep(requests);
        sweep.take_rows(self.columns(&changes), changes.len());
        let mut reads = Vec::new();
        let source = &self.windows.source;
        let placed = self
            .evaluator
            .placed(source.id, &self.windows.key_columns, requests);
        for (key, of_key) in placed.keys() {
            reads.clear();
            reads.extend(of_key.iter().map(|(_, read)| *read));
            let segment = sweep.select(by_key.of(key), |_| true);
            sweep.append_segment(segment, &reads);
        }
        sweep.finish()
    }

    /// Each request knows something of its own.
    fn one_by_one(&self, requests: &Requests) -> Vec<Column> {
        let source = &self.windows.source;
        let mut sweep = self.sweep(requests);
        // Requests with the changes of theirs, until there are enough to gather them.
        let mut changes: Vec<Change> = Vec::new();
        let mut waiting: Vec<(u32, usize)> = Vec::new();
        let placed = self
            .evaluator
            .placed(source.id, &self.windows.key_columns, requests);
        for (key, of_key) in placed.keys() {
            for &(t, read) in of_key {
                self.of_key(key, t, requests.known_at(read as usize), &mut changes);
                waiting.push((read, changes.len()));
                if changes.len() >= super::SWEEP_ROWS_MAX {
                    self.run(&mut sweep, &mut changes, &mut waiting);
                }
            }
        }
        self.run(&mut sweep, &mut changes, &mut waiting);
        sweep.finish()
    }

    /// The changes of a key up to a time in order, given what was visible at another.
    fn of_key(&self, key: u32, t: i64, known_at: Option<i64>, out: &mut Vec<Change>) {
        if key == NO_KEY {
            return;
        }
        let KeyEvents { numbers, times } = self.by_key.of(key);
        let end = times.partition_point(|&time| time <= t);
        let rows: BTreeSet<u32> = numbers[..end]
            .iter()
            .map(|&n| self.row_of[n as usize])
            .filter(|row| *row != NO_KEY)
            .collect();
        let mut found = Vec::new();
        for row in rows {
            self.of_row(row, t, known_at, &mut found);
        }
        found.retain(|change| self.key_of[change.row as usize] == key);
        let mut order: Vec<(i64, u32)> = found
            .iter()
            .map(|c| (self.events.times()[c.event as usize], c.event))
            .collect();
        self.events.sort(&mut order);
        found.sort_unstable_by_key(|change| change.event);
        out.extend(order.iter().filter_map(|(_, event)| {
            let place = found
                .binary_search_by_key(event, |change| change.event)
                .ok()?;
            Some(found[place])
        }));
    }

    /// Sweeps over the changes of the requests that wait, and lets them go.
    fn run(
        &self,
        sweep: &mut Sweep<'_>,
        changes: &mut Vec<Change>,
        waiting: &mut Vec<(u32, usize)>,
    ) {
        sweep.flush();
        sweep.take_rows(self.columns(changes), changes.len());
        let mut start = 0;
        for (read, end) in waiting.drain(..) {
            let times = changes[start..end].iter();
            let times: Vec<i64> = times
                .map(|c| self.events.times()[c.event as usize])
                .collect();
            // The number of a change is its place.
            let numbers: Vec<u32> = (0u32..).take(end).skip(start).collect();
            let of_read = KeyEvents {
                numbers: &numbers,
                times: &times,
            };
            let segment = sweep.select(of_read, |_| true);
            sweep.append_segment(segment, &[read]);
            start = end;
        }
        sweep.flush();
        changes.clear();
    }
}
