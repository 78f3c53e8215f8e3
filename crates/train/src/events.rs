//! A source's events as columns, read from the log: what the sweeps run over.
//!
//! Built for one cut. Reads the log only, never the blocks that online reads use. Only what is
//! asked for is kept, column by column; what is needed to tell ties or versions of an identity
//! apart is made when there are any. Knows which events hold, for the cut alone or for the cut
//! and a time that bounds what was visible (`docs/decisions/0001-versions-of-an-identity.md`).

mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{EventColumns, EventParts, FrameColumn};
use evenkeel_types::definition::{SourceDef, SourceKind};
use evenkeel_types::{
    Column, ColumnData, LoggedEvent, Operation, Origin, Partition, Position, Value,
};
use evenkeel_view::{SourceProgram, Version};
use rustc_hash::FxHashMap;

use crate::runs::Runs;
use crate::steps::Steps;

/// The events of one source that are in a cut, numbered in log order.
pub(crate) struct SourceEvents {
    program: SourceProgram,
    /// One per source row slot; those that are not kept stay empty.
    columns: Vec<Column>,
    wanted: BTreeSet<usize>,
    kept: BTreeSet<usize>,
    /// Those of `kept` that come from the log.
    stored: Vec<usize>,
    /// A stored column that holds nothing but the event times so far, and is asked for where events
    /// tie alone: it is not kept besides.
    told_by_time: Option<usize>,
    times: Vec<i64>,
    visible: Steps,
    operations: Vec<Operation>,
    in_order_of_time: bool,
    positions: Runs<Position>,
    /// Where they decide about identity or order.
    origins: Option<Runs<Origin>>,
    has_deletes: bool,
    has_removals: bool,
    /// Further events of an identity, by its first.
    rivals: BTreeMap<u32, Vec<u32>>,
    /// Versions of the identities with rivals or with a removal, by any of their events.
    versions: FxHashMap<u32, Arc<[Version]>>,
    /// With `DEDUPLICATE WITHIN`: per event id, an event of each identity by time.
    by_id: FxHashMap<Box<[u8]>, BTreeMap<i64, u32>>,
    /// With `DEDUPLICATE WITHIN`: the event ids.
    ids: Vec<Box<[u8]>>,
}

impl SourceEvents {
    /// No events yet. `wanted` are the source row slots that will be asked for.
    pub(crate) fn new(def: Arc<SourceDef>, wanted: impl IntoIterator<Item = usize>) -> Self {
        let program = SourceProgram::new(Arc::clone(&def));
        let wanted: BTreeSet<usize> = wanted.into_iter().collect();
        let mut slots = wanted.clone();
        slots.extend(def.event_id.iter().chain(&def.sequence_by));
        let by_origin = def.event_id.is_empty();
        let mut kept = program.with_inputs(slots);
        let mut told_by_time = None;
        if by_origin && def.kind == SourceKind::Stream {
            // The whole row decides among the events of one time.
            let is_time = def.event_time < def.stored && !kept.contains(&def.event_time);
            told_by_time = is_time.then_some(def.event_time);
            kept.extend(0..def.stored);
        }
        SourceEvents {
            columns: def.row_types().iter().map(Column::new).collect(),
            stored: kept.range(..def.stored).copied().collect(),
            told_by_time,
            wanted,
            kept,
            program,
            times: Vec::new(),
            visible: Steps::default(),
            operations: Vec::new(),
            in_order_of_time: true,
            positions: Runs::default(),
            origins: by_origin.then(Runs::default),
            has_deletes: false,
            has_removals: false,
            rivals: BTreeMap::new(),
            versions: FxHashMap::default(),
            by_id: FxHashMap::default(),
            ids: Vec::new(),
        }
    }

    /// The source.
    pub(crate) fn def(&self) -> &Arc<SourceDef> {
        self.program.def()
    }

    /// What of the logged events is read.
    pub(crate) fn parts(&self) -> EventParts {
        let slots = 0..self.def().stored;
        EventParts {
            columns: slots.map(|slot| self.kept.contains(&slot)).collect(),
            origin: self.origins.is_some(),
        }
    }

    /// Adds an event of the cut.
    pub(crate) fn push(&mut self, logged: &LoggedEvent) {
        self.refuse_too_many(1);
        let time = logged.event.event_time.0;
        for at in 0..self.stored.len() {
            let slot = self.stored[at];
            let value = logged.event.row.get(slot).unwrap_or(&Value::Null);
            if self.told_by_time == Some(slot) {
                if *value == Value::Timestamp(time) {
                    continue;
                }
                self.tell_times_apart(slot);
            }
            self.columns[slot].push(value);
        }
        self.in_order_of_time &= self.times.last() <= Some(&time);
        self.times.push(time);
        self.visible.push(logged.visible_at().0);
        self.positions.push(&logged.position);
        if let Some(origins) = &mut self.origins {
            origins.push(&logged.event.origin);
        }
        self.operations.push(logged.event.operation);
        self.has_deletes |= logged.event.operation == Operation::Delete;
        self.has_removals |= logged.event.operation == Operation::Remove;
    }

    /// So many events will be added, at most: makes room for them.
    pub(crate) fn expect_more(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(0);
        for &slot in &self.stored {
            if self.told_by_time != Some(slot) {
                self.columns[slot].reserve(count);
            }
        }
        self.times.reserve(count);
        self.visible.expect_more(count);
        self.operations.reserve(count);
    }

    /// Whether events have the columns and types that the source has now.
    pub(crate) fn is_of_newest(&self, several: &EventColumns) -> bool {
        several.schema_version == self.def().schema.version()
    }

    /// Adds events of the cut that [are of the newest](SourceEvents::is_of_newest) schema.
    pub(crate) fn extend(&mut self, mut several: EventColumns) {
        let count = several.len();
        self.refuse_too_many(count);
        for at in 0..self.stored.len() {
            let slot = self.stored[at];
            let values = several.take_column(slot);
            if self.told_by_time == Some(slot) {
                if are_times(values.as_ref(), several.times()) {
                    continue;
                }
                self.tell_times_apart(slot);
            }
            let column = &mut self.columns[slot];
            match values {
                Some(FrameColumn::Typed(values)) if values.has_type_of(column) => {
                    column.append(values);
                }
                Some(FrameColumn::Typed(values)) => values.iter().for_each(|v| column.push(&v)),
                Some(FrameColumn::Mixed(values)) => values.iter().for_each(|v| column.push(v)),
                // It was added to the source later.
                None => (0..count).for_each(|_| column.push(&Value::Null)),
            }
        }
        let times = several.times();
        let follows = self.times.last() <= times.first();
        self.in_order_of_time &= follows && times.is_sorted();
        self.times.extend_from_slice(times);
        match several.visible_together() {
            Some(visible) => self.visible.push_run(visible.0, count),
            None => (0..count).for_each(|event| self.visible.push(several.visible_at(event).0)),
        }
        self.positions.push_run(&several.first(), count);
        if let Some(origins) = &mut self.origins {
            for (events, first) in several.origin_runs() {
                origins.push_run(&first, events.len());
            }
        }
        let operations = several.operations();
        self.operations.extend_from_slice(operations);
        self.has_deletes |= operations.contains(&Operation::Delete);
        self.has_removals |= operations.contains(&Operation::Remove);
    }

    /// Keeps the column that held nothing but the event times by itself: now it holds something else.
    fn tell_times_apart(&mut self, slot: usize) {
        self.told_by_time = None;
        self.columns[slot] = timestamps(self.times.clone());
    }

    fn refuse_too_many(&self, more: usize) {
        // A source of more than four billion events is swept in parts long before.
        assert!(
            self.times.len() + more < u32::MAX as usize,
            "fewer than 2^32 events"
        );
    }

    /// Completes the columns, and finds the events that are one identity's. To be called once,
    /// after the last event.
    pub(crate) fn complete(&mut self) {
        let length = self.len();
        self.program.compute(&mut self.columns, &self.kept, length);
        let def = Arc::clone(self.def());
        if self.kept.contains(&def.event_time_slot()) {
            self.columns[def.event_time_slot()] = timestamps(self.times.clone());
        }
        if self.kept.contains(&def.visible_at_slot()) {
            let steps = self.visible.iter();
            let visible = steps.flat_map(|(events, visible)| events.map(move |_| visible));
            self.columns[def.visible_at_slot()] = timestamps(visible.collect());
        }
        self.find_rivals();
        if def.deduplicate_within.is_some() {
            for number in (0..).take(length) {
                let id: Box<[u8]> = self.program.event_id(&self.row(number)).into();
                let times = self.by_id.entry(id.clone()).or_default();
                times.entry(self.times[number as usize]).or_insert(number);
                self.ids.push(id);
            }
        }
    }

    fn origin(&self, number: u32) -> Origin {
        match &self.origins {
            Some(origins) => origins.get(number),
            None => Origin::Log(self.positions.get(number)),
        }
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Where an event is in the log.
    pub(crate) fn position(&self, number: u32) -> Position {
        self.positions.get(number)
    }

    /// Event times.
    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    /// The greatest event time of each partition.
    pub(crate) fn greatest_times(&self) -> BTreeMap<Partition, i64> {
        let mut greatest: BTreeMap<Partition, i64> = BTreeMap::new();
        for (numbers, position) in self.positions.iter() {
            let times = &self.times[numbers.start as usize..numbers.end as usize];
            if let Some(&time) = times.iter().max() {
                let entry = greatest.entry(position.partition).or_insert(time);
                *entry = (*entry).max(time);
            }
        }
        greatest
    }

    /// The events that hold, in the order of time and ties.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let mut events: Vec<(i64, u32)> = (0..)
            .zip(&self.times)
            .filter(|&(n, _)| !self.is_delete(n) && self.holds(n, None))
            .map(|(n, time)| (*time, n))
            .collect();
        self.sort(&mut events);
        events.into_iter().map(|(_, number)| number).collect()
    }

    /// The events that held when they were visible themselves, of each identity the first: what a
    /// trigger was when it came, whatever corrected or removed it since. In the order of time and ties.
    pub(crate) fn as_they_came(&self) -> Vec<u32> {
        let visible = |number: u32| Some(self.visible.get(number));
        let held = |number: u32| self.holds(number, visible(number));
        let held_first = |number: u32| {
            let is_before = |version: &Version| {
                u32::try_from(version.entry).is_ok_and(|other| {
                    (visible(other), other) < (visible(number), number) && held(other)
                })
            };
            let versions = self.versions.get(&number);
            held(number) && !versions.is_some_and(|versions| versions.iter().any(is_before))
        };
        let mut events: Vec<(i64, u32)> = (0..)
            .zip(&self.times)
            .filter(|&(n, _)| !self.is_delete(n) && held_first(n))
            .map(|(n, time)| (*time, n))
            .collect();
        self.sort(&mut events);
        events.into_iter().map(|(_, number)| number).collect()
    }

    /// Sorts events, with their times, into the order of time and ties.
    pub(crate) fn sort(&self, events: &mut [(i64, u32)]) {
        if !events.is_sorted_by_key(|(time, _)| *time) {
            events.sort_unstable();
        }
        let mut rest = events;
        while let Some(&(time, _)) = rest.first() {
            // Most events are alone at their time.
            let same = rest.iter().take_while(|(t, _)| *t == time).count();
            let (ties, later) = rest.split_at_mut(same);
            if same > 1 {
                ties.sort_by_cached_key(|(_, number)| self.order(*number));
            }
            rest = later;
        }
    }

    /// Whether they were logged in the order of their times.
    pub(crate) fn in_order_of_time(&self) -> bool {
        self.in_order_of_time
    }

    /// Whether an event comes before another in the order of time and ties.
    pub(crate) fn is_before(&self, number: u32, other: u32) -> bool {
        let times = [number, other].map(|n| self.times[n as usize]);
        times[0] < times[1] || times[0] == times[1] && self.order(number) < self.order(other)
    }

    /// What decides among the events of one time.
    fn order(&self, number: u32) -> Vec<u8> {
        let row = self.row(number);
        let stored = &row[..self.def().stored];
        let position = self.positions.get(number);
        self.program
            .order_at(&row, stored, &self.origin(number), position)
    }

    /// When an event was visible.
    pub(crate) fn visible_at(&self, number: u32) -> i64 {
        self.visible.get(number)
    }

    /// Whether every event was visible at its time.
    pub(crate) fn were_visible_at_once(&self) -> bool {
        self.visible.iter().all(|(events, visible)| {
            let times = &self.times[events.start as usize..events.end as usize];
            times.iter().all(|time| visible <= *time)
        })
    }

    /// What each event does.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether any event removes another.
    pub(crate) fn has_removals(&self) -> bool {
        self.has_removals
    }

    /// Whether any event is a table row's end.
    pub(crate) fn has_deletes(&self) -> bool {
        self.has_deletes
    }

    /// Whether the event is a table row's end.
    pub(crate) fn is_delete(&self, number: u32) -> bool {
        self.has_deletes && self.operations[number as usize] == Operation::Delete
    }

    /// The event's source row; NULL in the slots that are not kept.
    pub(crate) fn row(&self, number: u32) -> Vec<Value> {
        let value = |(slot, column): (usize, &Column)| match column.is_empty() {
            true if self.told_by_time == Some(slot) => {
                Value::Timestamp(self.times[number as usize])
            }
            true => Value::Null,
            false => column.get(number as usize),
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// A source row slot; none if nobody wants it.
    pub(crate) fn column(&self, slot: usize) -> Option<&Column> {
        self.wanted.contains(&slot).then(|| &self.columns[slot])
    }

    /// All source row slots; those that are not kept are empty.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }
}

fn timestamps(times: Vec<i64>) -> Column {
    Column::from_parts(ColumnData::Timestamp(times), Vec::new())
}

/// Whether a column of a frame holds the times of its events and nothing else.
fn are_times(values: Option<&FrameColumn>, times: &[i64]) -> bool {
    let Some(FrameColumn::Typed(values)) = values else {
        return false;
    };
    values.states().is_empty() && matches!(values.data(), ColumnData::Timestamp(v) if v == times)
}
