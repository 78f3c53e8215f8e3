//! Events under a seed, and the definitions that they are for.

use std::collections::BTreeMap;

use evenkeel_types::{EventTime, LoggedEvent, Position, SourceId, Value};

use crate::history::{Event, Feature, Log};
use crate::random::Random;

/// The sources; a source's number is its place here. Those of `taps` are told apart by
/// producer and sequence, the others by event id; `rides` has several partitions.
pub const SOURCES: [&str; 3] = ["rides", "taps", "calls"];
/// The entities.
pub const ENTITIES: [&str; 2] = ["driver", "place"];
/// The first event's time at the earliest.
pub const START: i64 = 1_772_323_200_000_000;
/// An hour in microseconds.
pub const HOUR: i64 = 3_600_000_000;

const MINUTE: i64 = HOUR / 60;
/// Minutes after [`START`] in which events happen.
const MINUTES: u64 = 180;
/// Payloads under one identity, at most.
const RIVALS: u32 = 3;
/// Sums of powers of two below this one fit into a BIGINT.
const BITS: u32 = 60;
/// Keys of an entity that get events at a time.
const KEYS: usize = 6;

/// What a store must define, with one window view per source and entity: count and sum of the
/// last hour, and of everything.
pub const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE ENTITY place (place BIGINT);
CREATE STREAM rides (id STRING, version STRING, driver BIGINT, place BIGINT, driver_bit BIGINT,
  place_bit BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at LATENESS INTERVAL '5' MINUTE)
  WHERE id <> 'ignored' WITH (partitions = '3');
CREATE STREAM taps (id STRING, version STRING, driver BIGINT, place BIGINT, driver_bit BIGINT,
  place_bit BIGINT, at TIMESTAMP, EVENT TIME at LATENESS INTERVAL '10' MINUTE)
  WHERE id <> 'ignored';
CREATE STREAM calls (id STRING, version STRING, driver BIGINT, place BIGINT, driver_bit BIGINT,
  place_bit BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at) WHERE id <> 'ignored';
CREATE FEATURE VIEW rides_of_driver ENTITY driver AS
SELECT driver, count(*) OVER h AS n_1h, sum(driver_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(driver_bit) OVER a AS bits FROM rides WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
CREATE FEATURE VIEW rides_of_place ENTITY place AS
SELECT place, count(*) OVER h AS n_1h, sum(place_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(place_bit) OVER a AS bits FROM rides WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
CREATE FEATURE VIEW taps_of_driver ENTITY driver AS
SELECT driver, count(*) OVER h AS n_1h, sum(driver_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(driver_bit) OVER a AS bits FROM taps WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
CREATE FEATURE VIEW taps_of_place ENTITY place AS
SELECT place, count(*) OVER h AS n_1h, sum(place_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(place_bit) OVER a AS bits FROM taps WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
CREATE FEATURE VIEW calls_of_driver ENTITY driver AS
SELECT driver, count(*) OVER h AS n_1h, sum(driver_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(driver_bit) OVER a AS bits FROM calls WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
CREATE FEATURE VIEW calls_of_place ENTITY place AS
SELECT place, count(*) OVER h AS n_1h, sum(place_bit) OVER h AS bits_1h, count(*) OVER a AS n,
  sum(place_bit) OVER a AS bits FROM calls WINDOW h AS (LAST 1 HOURS), a AS (ALL HISTORY);
";

/// How late the events of each source may be, in microseconds.
pub fn lateness() -> BTreeMap<SourceId, i64> {
    let minutes = [5, 10, 0].map(|minutes| minutes * MINUTE);
    (0..).map(SourceId).zip(minutes).collect()
}

/// The number of a source in a history; it is not that of a store.
pub fn source_id(name: &str) -> Option<SourceId> {
    let at = SOURCES.iter().position(|source| *source == name)?;
    u32::try_from(at).ok().map(SourceId)
}

/// A key with the events that it has.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u64,
    bit: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Workload {
    random: Random,
    /// The keys that get events, by source and entity.
    slots: BTreeMap<(SourceId, usize), Vec<Slot>>,
    /// The next new key of each entity.
    next_key: [u64; ENTITIES.len()],
}

impl Workload {
    /// A workload under a seed. Workloads with different `first_key`s, a million apart, have no
    /// keys in common, so that several clients may make events at once.
    pub fn new(seed: u64, first_key: u64) -> Self {
        Workload {
            random: Random(seed),
            slots: BTreeMap::new(),
            next_key: [first_key; ENTITIES.len()],
        }
    }

    /// The features of a source, in the order of [`DEFINITIONS`].
    pub fn features(source: SourceId) -> [Feature; 2] {
        [Some(HOUR), None].map(|window| Feature { source, window })
    }

    /// A time in which events happen, or not long after.
    pub fn time(&mut self) -> EventTime {
        EventTime(START + self.random.below(MINUTES + 60).cast_signed() * MINUTE)
    }

    /// The keys of an entity so far, and one that has no event.
    pub fn keys(&self, entity: usize, first_key: u64) -> std::ops::RangeInclusive<u64> {
        first_key..=self.next_key[entity]
    }

    /// A new event. Three of four are in the order of time, more or less, by `progress` of 100.
    pub fn event(&mut self, source: SourceId, id: String, progress: u64) -> Event {
        let late = self.random.one_in(4);
        let about = progress.min(99) * MINUTES / 100;
        let minute = match late {
            true => self.random.below(about + 1),
            false => about,
        };
        let (mut keys, mut bits) = ([0; 2], [0; 2]);
        for entity in 0..ENTITIES.len() {
            let slot = self.slot(source, entity);
            keys[entity] = slot.key;
            bits[entity] = slot.bit;
        }
        Event {
            id,
            at: EventTime(START + minute.cast_signed() * MINUTE),
            version: self.version(0),
            keys,
            bits,
        }
    }

    /// Another payload under the identity of an event: number 1 or 2.
    pub fn rival(&mut self, event: &Event, number: u32) -> Event {
        Event {
            version: self.version(number),
            bits: event.bits.map(|bit| bit + number % RIVALS),
            ..event.clone()
        }
    }

    /// Versions of one event differ, and are in any order.
    fn version(&mut self, number: u32) -> String {
        format!("{:03}-{number}", self.random.below(1_000))
    }

    fn slot(&mut self, source: SourceId, entity: usize) -> Slot {
        let at = self.random.below(KEYS as u64) as usize;
        let slots = self.slots.entry((source, entity)).or_default();
        while slots.len() < KEYS {
            slots.push(Slot { key: 0, bit: BITS });
        }
        let slot = &mut slots[at];
        if slot.bit + RIVALS > BITS {
            let key = self.next_key[entity];
            self.next_key[entity] += 1;
            *slot = Slot { key, bit: 0 };
        }
        let taken = *slot;
        slot.bit += RIVALS;
        taken
    }
}

impl Log {
    /// Takes the next event of a partition.
    ///
    /// # Errors
    /// If it is none of the workload's, or not the next.
    pub fn take_event(&mut self, source: &str, logged: &LoggedEvent) -> Result<(), String> {
        let wrong = || format!("{source}: {logged:?}");
        let source = source_id(source).ok_or_else(wrong)?;
        let place = (source, logged.position.partition);
        let events = self.events.entry(place).or_default();
        if events.len() as u64 != logged.position.offset.0 {
            return Err(wrong());
        }
        events.push(event_of(logged).ok_or_else(wrong)?);
        Ok(())
    }

    /// Takes a dead letter: of a conflict with the position of what lost, else of a row that
    /// is no event.
    ///
    /// # Errors
    /// If the source is none of the workload's.
    pub fn take_letter(&mut self, source: &str, loser: Option<Position>) -> Result<(), String> {
        let source = source_id(source).ok_or_else(|| source.to_owned())?;
        match loser {
            Some(position) => self.conflicts.entry(source).or_default().push(position),
            None => *self.rejected.entry(source).or_default() += 1,
        }
        Ok(())
    }
}

/// The event that was logged; `None` if it is none of the workload's.
fn event_of(logged: &LoggedEvent) -> Option<Event> {
    let text = |i: usize| match logged.event.row.get(i)? {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    };
    let number = |i: usize| match logged.event.row.get(i)? {
        Value::BigInt(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    Some(Event {
        id: text(0)?,
        version: text(1)?,
        keys: [number(2)?, number(3)?],
        bits: [number(4)?.trailing_zeros(), number(5)?.trailing_zeros()],
        at: logged.event.event_time,
    })
}
