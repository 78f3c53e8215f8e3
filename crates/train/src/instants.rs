//! The instants of a view: at which times which keys have something new, from the events that
//! hold at a cut (`docs/decisions/0034-trial-runs-and-backtests.md`).
//!
//! Invariant: whether a key is in a sample depends on the key and the share alone, so that all
//! instants of a key are in it or none.

use std::cmp::Ordering;
use std::ops::Range;

use evenkeel_types::definition::{
    SourceDef, SourceWindows, Trigger, TriggerSide, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{Column, Position, SourceId, Value};
use evenkeel_view::encode_key;
use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::evaluate::{Evaluator, Requests};

/// A share of all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    millionths: u32,
}

impl Sample {
    /// Every key.
    pub const ALL: Sample = Sample {
        millionths: Sample::WHOLE,
    };
    const WHOLE: u32 = 1_000_000;

    /// So many millionths of the keys; none if that is nothing, or more than all.
    pub fn of_millionths(millionths: u32) -> Option<Self> {
        (1..=Sample::WHOLE)
            .contains(&millionths)
            .then_some(Sample { millionths })
    }

    /// Of a million.
    pub fn millionths(self) -> u32 {
        self.millionths
    }

    /// Whether the key of these canonical bytes is in it.
    pub fn contains(self, key: &[u8]) -> bool {
        let place = (u128::from(xxh3_64(key)) * u128::from(Sample::WHOLE)) >> 64;
        place < u128::from(self.millionths)
    }
}

/// Instants in the order of time, then of the bytes of the key; each once.
#[derive(Clone, Debug)]
pub struct Instants {
    /// The key's columns.
    pub keys: Vec<Column>,
    /// The times.
    pub times: Vec<i64>,
    /// When what was known last of each could be known: visible times.
    pub visible: Vec<i64>,
    /// The event of each that was known last.
    pub events: Vec<(SourceId, Position)>,
    /// How many keys there are.
    pub distinct_keys: u64,
}

impl Instants {
    /// How many.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// No instants, of the same key.
    pub fn none(&self) -> Self {
        Instants {
            keys: self.keys.iter().map(|c| c.gather(&[])).collect(),
            times: Vec::new(),
            visible: Vec::new(),
            events: Vec::new(),
            distinct_keys: 0,
        }
    }

    /// Requests for some of them, at everything in the cut.
    pub fn requests(&self, range: Range<usize>) -> Requests {
        let numbers: Vec<u32> = (0..u32::MAX).skip(range.start).take(range.len()).collect();
        let keys = self.keys.iter().map(|c| c.gather(&numbers)).collect();
        Requests::new(keys, self.times[range].to_vec(), None)
    }
}

/// One instant, its key by number.
#[derive(Clone, Copy)]
struct Instant {
    time: i64,
    key: u32,
    visible: i64,
    source: SourceId,
    position: Position,
}

/// Instants as they are found.
struct Collected<'a> {
    evaluator: &'a Evaluator,
    range: Range<i64>,
    sample: Sample,
    /// The numbers of keys by their bytes; none for those that are not in the sample.
    numbers: FxHashMap<Vec<u8>, Option<u32>>,
    keys: Vec<(Vec<u8>, Vec<Value>)>,
    found: Vec<Instant>,
}

impl Evaluator {
    /// The instants of a view with times in a range, of a sample of its keys.
    pub fn instants(&self, view: &ViewDef, range: Range<i64>, sample: Sample) -> Instants {
        let mut collected = Collected::new(self, range, sample);
        collected.add_view(view);
        collected.finish(view)
    }

    /// The instants that another view of the same key has, and this one has not.
    pub fn further_instants(
        &self,
        view: &ViewDef,
        other: &ViewDef,
        range: Range<i64>,
        sample: Sample,
    ) -> Instants {
        let mut collected = Collected::new(self, range, sample);
        collected.add_view(view);
        let own = collected.found.drain(..).map(|i| (i.time, i.key));
        let own: FxHashSet<(i64, u32)> = own.collect();
        collected.add_view(other);
        let is_further = |i: &Instant| !own.contains(&(i.time, i.key));
        collected.found.retain(is_further);
        collected.finish(other)
    }
}

impl<'a> Collected<'a> {
    fn new(evaluator: &'a Evaluator, range: Range<i64>, sample: Sample) -> Self {
        Collected {
            evaluator,
            range,
            sample,
            numbers: FxHashMap::default(),
            keys: Vec::new(),
            found: Vec::new(),
        }
    }

    fn add_view(&mut self, view: &ViewDef) {
        match &view.body {
            ViewBody::Window(body) => {
                let windows = &body.windows;
                self.add_events(&windows.source, &windows.key_columns);
                if windows.has(WindowRows::Live) || windows.has(WindowRows::Changes) {
                    self.add_changes(windows);
                }
            }
            ViewBody::Row(body) => {
                let mut side =
                    |side: &TriggerSide| self.add_events(&side.source, &side.key_columns);
                match &body.trigger {
                    Trigger::Source(only) => side(only),
                    Trigger::Full { left, right } => {
                        side(left);
                        side(right);
                    }
                }
            }
            ViewBody::Composed(body) => {
                for input in &body.inputs {
                    self.add_view(input);
                }
            }
        }
    }

    /// The events of a source, at the keys that they have.
    fn add_events(&mut self, source: &SourceDef, key_columns: &[usize]) {
        let events = self.evaluator.events(source.id);
        let keyed = self.evaluator.keyed(source.id, key_columns);
        // As many keys as events at most, of which there are fewer than 2^32.
        for key in 0..keyed.len() as u32 {
            let of_key = keyed.of(key);
            let from = of_key.times.partition_point(|t| *t < self.range.start);
            let to = of_key.times.partition_point(|t| *t < self.range.end);
            for &number in &of_key.numbers[from..to] {
                if events.holds(number, None) {
                    self.add(source.id, key_columns, (number, number));
                }
            }
        }
    }

    /// The changes of a table's rows, at the keys that rows come to and leave.
    fn add_changes(&mut self, windows: &SourceWindows) {
        let changed = self.evaluator.changed_keys(windows);
        let events = self.evaluator.events(windows.source.id);
        for (row, event) in changed {
            if self.range.contains(&events.times()[event as usize]) {
                self.add(windows.source.id, &windows.key_columns, (row, event));
            }
        }
    }

    /// The instant of an event, at the key that the row of another has.
    fn add(&mut self, source: SourceId, key_columns: &[usize], (row, event): (u32, u32)) {
        let events = self.evaluator.events(source);
        let values: Vec<Value> = key_columns
            .iter()
            .map(|&slot| events.columns()[slot].get(row as usize))
            .collect();
        let Some(key) = self.number(values) else {
            return;
        };
        self.found.push(Instant {
            time: events.times()[event as usize],
            key,
            visible: events.visible_at(event),
            source,
            position: events.position(event),
        });
    }

    /// The number of a key; none if it is no key, or not in the sample.
    fn number(&mut self, values: Vec<Value>) -> Option<u32> {
        let bytes = encode_key(&values)?;
        if let Some(known) = self.numbers.get(&bytes) {
            return *known;
        }
        let number = self.sample.contains(&bytes).then(|| {
            self.keys.push((bytes.clone(), values));
            self.keys.len() as u32 - 1
        });
        self.numbers.insert(bytes, number);
        number
    }

    fn finish(self, view: &ViewDef) -> Instants {
        let Collected {
            keys, mut found, ..
        } = self;
        let by_key = |a: &Instant, b: &Instant| match a.key == b.key {
            true => Ordering::Equal,
            false => keys[a.key as usize].0.cmp(&keys[b.key as usize].0),
        };
        found.sort_by(|a, b| {
            let known = |i: &Instant| (i.visible, i.source, i.position);
            let order = a.time.cmp(&b.time).then_with(|| by_key(a, b));
            order.then_with(|| known(a).cmp(&known(b)))
        });
        let mut instants: Vec<Instant> = Vec::with_capacity(found.len());
        for instant in found {
            match instants.last_mut() {
                Some(last) if (last.time, last.key) == (instant.time, instant.key) => {
                    *last = instant;
                }
                _ => instants.push(instant),
            }
        }
        let part = |at: usize| {
            let values = instants.iter().map(|i| &keys[i.key as usize].1[at]);
            Column::from_values(&view.key[at].data_type, values)
        };
        Instants {
            keys: (0..view.key.len()).map(part).collect(),
            times: instants.iter().map(|i| i.time).collect(),
            visible: instants.iter().map(|i| i.visible).collect(),
            events: instants.iter().map(|i| (i.source, i.position)).collect(),
            distinct_keys: keys.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_sample_contains_a_smaller_one() {
        assert!(Sample::of_millionths(0).is_none() && Sample::of_millionths(1_000_001).is_none());
        let small = Sample::of_millionths(50_000).unwrap();
        let large = Sample::of_millionths(400_000).unwrap();
        let keys: Vec<Vec<u8>> = (0..10_000)
            .map(|i| encode_key(&[Value::BigInt(i)]).unwrap())
            .collect();
        let count = |sample: Sample| keys.iter().filter(|k| sample.contains(k)).count();
        assert!(keys.iter().all(|k| Sample::ALL.contains(k)));
        assert!(keys.iter().all(|k| !small.contains(k) || large.contains(k)));
        assert!((400..600).contains(&count(small)), "{}", count(small));
        assert!((3_800..4_200).contains(&count(large)), "{}", count(large));
        // The hash is stated: a key is in the same samples for ever.
        assert_eq!(xxh3_64(&keys[7]) >> 32, 1_199_205_307);
    }
}
