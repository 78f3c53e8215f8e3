//! A source's events as columns, read from the log: what the sweeps run over.
//!
//! Built for one cut. Reads the log only, never the blocks that online reads use. Knows which
//! events hold, for the cut alone or for the cut and a time that bounds what was visible
//! (`docs/decisions/0001-versions-of-an-identity.md`).

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Column, LoggedEvent, Operation, Position, Value};
use evenkeel_view::{SourceProgram, Version, encode_key, winner};
use rustc_hash::FxHashMap;

/// The events of one source that are in a cut, numbered in log order.
pub(crate) struct SourceEvents {
    program: SourceProgram,
    /// One per source row slot; those that nobody wants stay empty.
    columns: Vec<Column>,
    wanted: Vec<usize>,
    times: Vec<i64>,
    visible: Vec<i64>,
    orders: Vec<Box<[u8]>>,
    positions: Vec<Position>,
    operations: Vec<Operation>,
    /// The first event of each identity.
    identities: FxHashMap<Box<[u8]>, u32>,
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
    pub(crate) fn new(def: Arc<SourceDef>, wanted: Vec<usize>) -> Self {
        SourceEvents {
            columns: def.row_types().iter().map(Column::new).collect(),
            program: SourceProgram::new(def),
            wanted,
            times: Vec::new(),
            visible: Vec::new(),
            orders: Vec::new(),
            positions: Vec::new(),
            operations: Vec::new(),
            identities: FxHashMap::default(),
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

    /// Adds an event of the cut.
    pub(crate) fn push(&mut self, logged: &LoggedEvent) {
        // A source of more than four billion events is swept in parts long before.
        let number = u32::try_from(self.times.len()).expect("fewer than 2^32 events");
        let row = self.program.row(logged);
        let identity = self.program.identity(&logged.event, &row);
        match self.identities.get(identity.as_slice()) {
            Some(&first) => self.rivals.entry(first).or_default().push(number),
            None => {
                if logged.event.operation == Operation::Remove {
                    self.rivals.insert(number, Vec::new());
                }
                self.identities.insert(identity.into(), number);
            }
        }
        for &slot in &self.wanted {
            self.columns[slot].push(&row[slot]);
        }
        self.times.push(logged.event.event_time.0);
        self.visible.push(logged.visible_at().0);
        self.orders.push(self.program.order(logged, &row).into());
        self.positions.push(logged.position);
        self.operations.push(logged.event.operation);
        if self.def().deduplicate_within.is_some() {
            let id: Box<[u8]> = self.program.event_id(&row).into();
            let times = self.by_id.entry(id.clone()).or_default();
            times.entry(logged.event.event_time.0).or_insert(number);
            self.ids.push(id);
        }
    }

    /// The positions whose payloads [`SourceEvents::settle`] needs.
    pub(crate) fn contested(&self) -> Vec<Position> {
        self.rivals
            .iter()
            .flat_map(|(first, rest)| std::iter::once(first).chain(rest))
            .map(|&number| self.positions[number as usize])
            .collect()
    }

    /// Learns the payloads of the contested events, in the order of
    /// [`SourceEvents::contested`]. To be called once, after the last event.
    pub(crate) fn settle(&mut self, contested: &[LoggedEvent]) {
        let mut payloads = contested.iter();
        for (&first, rest) in &self.rivals {
            let numbers: Vec<u32> = std::iter::once(first).chain(rest.iter().copied()).collect();
            let versions: Arc<[Version]> = numbers
                .iter()
                .zip(payloads.by_ref())
                .map(|(&number, logged)| Version {
                    revision: logged.event.revision,
                    removed: logged.event.operation == Operation::Remove,
                    payload: self.program.payload(&logged.event).into_boxed_slice(),
                    position: logged.position,
                    visible_at: logged.visible_at(),
                    entry: u64::from(number),
                })
                .collect();
            for number in numbers {
                self.versions.insert(number, Arc::clone(&versions));
            }
        }
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Event times.
    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    /// Places in the log.
    pub(crate) fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// The events that hold, in the order of time and ties.
    pub(crate) fn in_order(&self) -> Vec<Option<u32>> {
        let mut numbers: Vec<u32> = (0..)
            .take(self.len())
            .filter(|&n| !self.is_delete(n) && self.holds(n, None))
            .collect();
        let order = |&n: &u32| (self.times[n as usize], &self.orders[n as usize]);
        numbers.sort_by(|a, b| order(a).cmp(&order(b)));
        numbers.into_iter().map(Some).collect()
    }

    /// Visible times.
    pub(crate) fn visible(&self) -> &[i64] {
        &self.visible
    }

    /// Whether the event is a table row's end.
    pub(crate) fn is_delete(&self, number: u32) -> bool {
        self.operations[number as usize] == Operation::Delete
    }

    /// The event's source row; NULL in the slots that nobody wants.
    pub(crate) fn row(&self, number: u32) -> Vec<Value> {
        self.columns
            .iter()
            .map(|c| {
                if c.is_empty() {
                    Value::Null
                } else {
                    c.get(number as usize)
                }
            })
            .collect()
    }

    /// A source row slot; none if nobody wants it.
    pub(crate) fn column(&self, slot: usize) -> Option<&Column> {
        self.wanted.contains(&slot).then(|| &self.columns[slot])
    }

    /// All source row slots; those that nobody wants are empty.
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the answer of [`SourceEvents::holds`] can be another for another time.
    pub(crate) fn is_contested(&self, number: u32) -> bool {
        self.versions.contains_key(&number) || self.droppers(number).next().is_some()
    }

    /// Whether the event holds, given what of the cut was visible at `known_at`.
    pub(crate) fn holds(&self, number: u32, known_at: Option<i64>) -> bool {
        self.is_visible(number, known_at)
            && self.wins(number, known_at)
            && !self
                .droppers(number)
                .any(|other| self.identity_holds(other, known_at))
    }

    fn is_visible(&self, number: u32, known_at: Option<i64>) -> bool {
        known_at.is_none_or(|k| self.visible[number as usize] <= k)
    }

    fn wins(&self, number: u32, known_at: Option<i64>) -> bool {
        self.winner(number, known_at) == Some(number)
    }

    /// Whether any version of the event's identity holds, dropped or not.
    fn identity_holds(&self, number: u32, known_at: Option<i64>) -> bool {
        self.winner(number, known_at).is_some()
    }

    fn winner(&self, number: u32, known_at: Option<i64>) -> Option<u32> {
        match self.versions.get(&number) {
            None => self.is_visible(number, known_at).then_some(number),
            Some(versions) => {
                let known = versions
                    .iter()
                    .filter(|v| known_at.is_none_or(|k| v.visible_at.0 <= k));
                let winner = winner(known).filter(|v| !v.removed)?;
                u32::try_from(winner.entry).ok()
            }
        }
    }

    /// Events of the same id that precede this one by at most `DEDUPLICATE WITHIN`, one of
    /// each identity.
    fn droppers(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let found = self.def().deduplicate_within.and_then(|within| {
            let time = self.times[number as usize];
            let times = self.by_id.get(&self.ids[number as usize])?;
            Some(
                times
                    .range(time.saturating_sub(within)..time)
                    .map(|(_, n)| *n),
            )
        });
        found.into_iter().flatten()
    }
}

/// The events of a source by key, each key's in their total order.
pub(crate) struct KeyedEvents {
    by_key: FxHashMap<Box<[u8]>, Vec<u32>>,
}

impl KeyedEvents {
    /// Groups the events by the key made of these (wanted) slots; events without one are in
    /// no group. Removals are in none either.
    pub(crate) fn new(events: &SourceEvents, key_columns: &[usize]) -> Self {
        let mut by_key: FxHashMap<Box<[u8]>, Vec<u32>> = FxHashMap::default();
        let mut parts = Vec::with_capacity(key_columns.len());
        for index in 0..events.len() {
            if events.operations[index] == Operation::Remove {
                continue;
            }
            parts.clear();
            parts.extend(
                key_columns
                    .iter()
                    .map(|&slot| events.columns[slot].get(index)),
            );
            let Some(key) = encode_key(&parts) else {
                continue;
            };
            let number = u32::try_from(index).expect("fewer than 2^32 events");
            match by_key.get_mut(key.as_slice()) {
                Some(numbers) => numbers.push(number),
                None => {
                    by_key.insert(key.into(), vec![number]);
                }
            }
        }
        #[expect(clippy::iter_over_hash_type, reason = "each group is sorted by itself")]
        for numbers in by_key.values_mut() {
            let order = |&n: &u32| (events.times[n as usize], &events.orders[n as usize]);
            if !numbers.is_sorted_by_key(order) {
                numbers.sort_by(|a, b| order(a).cmp(&order(b)));
            }
        }
        KeyedEvents { by_key }
    }

    /// The events of a key in order.
    pub(crate) fn of_key(&self, key: &[u8]) -> &[u32] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }
}
