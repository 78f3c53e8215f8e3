//! The changes of a table's rows, by any key of theirs: what windows with `OLD`, `NEW` and `op`
//! are over (`docs/decisions/0030-changes-of-a-table.md`).
//!
//! The index by the windows' key says which rows ever had it; the index by primary key has the
//! versions of each, neighbours in event-time order. A change is made of two of these for the
//! read, as an entry of a history that only the read sees. Invariant: nothing but the versions
//! that are known decides which two are neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_aggregate::{Aggregates, Entry, EntryView, History, SignatureError};
use evenkeel_types::definition::{SourceDef, SourceWindows, WindowRows};
use evenkeel_types::{AggregateCall, DataType, Expr, ExprKind, Field, Value};

use crate::look_back::of_frame;
use crate::plan::{FrameCalls, IndexId, IndexPlan, add_call};
use crate::point::Reader;
use crate::source::encode_key;

/// Aggregates over the changes of one key.
#[derive(Debug)]
pub(crate) struct CompiledChanges {
    /// The index by primary key.
    by_row: IndexId,
    /// The columns of the primary key in the index by the windows' key.
    primary_key: Vec<usize>,
    /// The columns of the windows' key in the index by primary key.
    key: Vec<usize>,
    /// What a change is made of, a column per slot of the change row that is read.
    parts: Vec<Part>,
    types: Arc<[DataType]>,
    /// The columns by name.
    pub(crate) fields: Vec<Field>,
    /// Over those columns.
    pub(crate) aggregates: Aggregates,
    pub(crate) frames: Vec<FrameCalls>,
    /// How long before the read the oldest change in a window can be; `None`: any time.
    look_back: Option<i64>,
}

/// Where a column of a change comes from: a column of the index by primary key.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Of the row after the change; of a delete of the one that it ends.
    Row(usize),
    /// Of the version or the delete itself.
    Event(usize),
    /// Of the row before.
    Old(usize),
    Operation,
}

impl CompiledChanges {
    /// Those of `windows` that are over changes. `of_key` is the index by their key, `of_row`
    /// the one by primary key.
    pub(crate) fn compile(
        windows: &SourceWindows,
        of_key: &IndexPlan,
        (by_row, of_row): (IndexId, &IndexPlan),
    ) -> Result<Self, SignatureError> {
        let source = &windows.source;
        let calls = || {
            let slots = windows.aggregates.iter().enumerate();
            slots.filter(|(_, a)| a.rows == WindowRows::Changes)
        };
        let mut read: BTreeSet<usize> = windows.filter.iter().flat_map(Expr::columns).collect();
        for (_, aggregate) in calls() {
            let call = &aggregate.call;
            read.extend(call.args.iter().chain(&call.filter).flat_map(Expr::columns));
        }
        let read: Vec<usize> = read.into_iter().collect();
        let types = source.change_types();
        let mut changes = CompiledChanges {
            by_row,
            primary_key: of_key.columns_of(&source.primary_key),
            key: of_row.columns_of(&windows.key_columns),
            parts: read.iter().map(|&s| Part::of(source, of_row, s)).collect(),
            types: read.iter().map(|&slot| types[slot].clone()).collect(),
            fields: read.iter().map(|&slot| field(source, slot)).collect(),
            aggregates: Aggregates::new(),
            frames: Vec::new(),
            look_back: Some(0),
        };
        let localize = |expr: &Expr| {
            expr.clone().map(&mut |mut e| {
                if let ExprKind::Column(slot) = &mut e.kind {
                    *slot = read
                        .binary_search(slot)
                        .expect("every slot that is read has a column");
                }
                e
            })
        };
        let condition = windows.filter.as_ref().map(&localize);
        let condition = changes.aggregates.register_where(condition.as_ref());
        for (slot, aggregate) in calls() {
            let call = AggregateCall {
                args: aggregate.call.args.iter().map(&localize).collect(),
                filter: aggregate.call.filter.as_ref().map(&localize),
                ..aggregate.call.clone()
            };
            let spec = changes.aggregates.register(&call, condition)?;
            add_call(&mut changes.frames, &aggregate.frame, spec, slot);
            let back = of_frame(&aggregate.frame);
            changes.look_back = changes.look_back.zip(back).map(|(a, b)| a.max(b));
        }
        Ok(changes)
    }

    /// The change of a row, if it is one and of this key: `old` is the version before, if it
    /// is known, be it a delete.
    fn change(
        &self,
        of_row: &IndexPlan,
        key: &[Value],
        event: &EntryView<'_>,
        old: Option<&EntryView<'_>>,
    ) -> Option<Vec<Value>> {
        let lives = |entry: &EntryView<'_>| {
            let column = of_row.live_column();
            column.is_none_or(|column| entry.value(column) == Value::Boolean(true))
        };
        let old = old.filter(|entry| lives(entry));
        let (row, operation) = match (lives(event), old) {
            (true, Some(_)) => (event, "update"),
            (true, None) => (event, "insert"),
            // The end of no row changes nothing.
            (false, old) => (old?, "delete"),
        };
        let has_key = self
            .key
            .iter()
            .zip(key)
            .all(|(&column, part)| row.value(column).same_bits(part));
        let value = |part: &Part| match part {
            Part::Row(column) => row.value(*column),
            Part::Event(column) => event.value(*column),
            Part::Old(column) => old.map_or(Value::Null, |old| old.value(*column)),
            Part::Operation => Value::string(operation),
        };
        has_key.then(|| self.parts.iter().map(value).collect())
    }
}

impl Part {
    fn of(source: &SourceDef, of_row: &IndexPlan, slot: usize) -> Self {
        let column = |slot: usize| of_row.columns_of(&[slot])[0];
        let width = source.row_width();
        match slot {
            slot if slot == source.operation_slot() => Part::Operation,
            slot if slot >= width => Part::Old(column(slot - width)),
            slot if source.is_event_slot(slot) => Part::Event(column(slot)),
            slot => Part::Row(column(slot)),
        }
    }
}

/// A slot of a change row by name.
fn field(source: &SourceDef, slot: usize) -> Field {
    let data_type = source.change_types()[slot].clone();
    if slot == source.operation_slot() {
        return Field::new("op", data_type);
    }
    let name = |slot: usize| match source.columns.get(slot) {
        Some(column) => column.name.as_str(),
        None if slot == source.event_time_slot() => "event_time",
        None => "visible_at",
    };
    match slot.checked_sub(source.row_width()) {
        Some(old) => Field::new(format!("OLD.{}", name(old)), data_type),
        None => Field::new(name(slot), data_type),
    }
}

impl Reader<'_> {
    /// The changes of a key up to `t` that a window can reach. `of_key` has the key's versions.
    pub(crate) fn changes(
        &self,
        changes: &CompiledChanges,
        index: IndexId,
        of_key: &History,
        key: &[Value],
        t: i64,
    ) -> History {
        let mut found = History::new(Arc::clone(&changes.types));
        let since = changes
            .look_back
            .map_or(i64::MIN, |back| t.saturating_sub(back));
        for row in self.rows_of_key(changes, index, of_key, t).values() {
            self.changes_of_row(changes, row, key, (since, t), &mut found);
        }
        found
    }

    /// The primary keys of the rows that ever had a key up to `t`.
    fn rows_of_key(
        &self,
        changes: &CompiledChanges,
        index: IndexId,
        of_key: &History,
        t: i64,
    ) -> BTreeMap<Vec<u8>, Vec<Value>> {
        let sight = self.sight(index);
        let rows = of_key.descending(t, false, &sight).filter_map(|entry| {
            let parts = changes.primary_key.iter();
            let row: Vec<Value> = parts.map(|&column| entry.value(column)).collect();
            Some((encode_key(&row)?, row))
        });
        rows.collect()
    }

    /// Adds the changes of one row that are of a key.
    fn changes_of_row(
        &self,
        changes: &CompiledChanges,
        row: &[Value],
        key: &[Value],
        (since, t): (i64, i64),
        found: &mut History,
    ) {
        let Some(versions) = self.history(changes.by_row, row) else {
            return;
        };
        let of_row = self.index(changes.by_row);
        let sight = self.sight(changes.by_row);
        let mut newest_first = versions.descending(t, false, &sight).peekable();
        while let Some(event) = newest_first.next().filter(|e| e.time() >= since) {
            // What `RETAIN` has let go by then is not there before the change.
            let is_kept = |old: &&EntryView<'_>| {
                let gap = event.time().saturating_sub(old.time());
                of_row.retain().is_none_or(|retain| gap <= retain)
            };
            let old = newest_first.peek().filter(is_kept);
            if let Some(values) = changes.change(of_row, key, &event, old) {
                found.insert(&Entry {
                    time: event.time(),
                    order: event.order().order,
                    position: event.position(),
                    visible_at: event.visible_at(),
                    contested: false,
                    id: event.id(),
                    values: &values,
                });
            }
        }
    }
}
