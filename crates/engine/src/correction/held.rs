//! What the log has of identities: the version of each that holds, as digests.
//!
//! Owns the choice among versions as the read path makes it (`evenkeel_view::winner`), with
//! payloads read again only where two of one revision differ. Reads the log, never the hot
//! tier.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use evenkeel_log::{EventSource, LogReader, ReadOptions, events_at};
use evenkeel_types::codec::canonical_row;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, Event, EventTime, LoggedEvent, Operation, Partition, Position, Value};
use evenkeel_view::SourceProgram;
use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_128;

use super::matching::Known;
use crate::error::EngineError;
use crate::ingest::{fetch, nothing_at};

/// Positions by partition, in intervals that do not overlap.
pub(super) type Places = BTreeMap<Partition, Vec<Range<u64>>>;

/// The best version of an identity so far.
struct Best {
    held: Known,
    /// Event time of the version.
    time: i64,
    payload: u128,
}

/// A source's log up to a cut. See the module.
pub(super) struct Holdings<'a> {
    pub(super) log: &'a LogReader,
    pub(super) program: &'a SourceProgram,
    pub(super) cut: &'a Cut,
    /// Identities that are in memory, at most.
    pub(super) events_max: usize,
}

/// Digest of what an event says: its time, whether it is a delete, its columns.
pub(super) fn content_of(event: &Event) -> u128 {
    let mut bytes = vec![u8::from(event.operation == Operation::Delete)];
    bytes.extend(event.event_time.0.to_be_bytes());
    bytes.extend(canonical_row(&event.row));
    xxh3_128(&bytes)
}

/// Digest of an event's identity.
pub(super) fn identity_of(program: &SourceProgram, event: &Event, row: &[Value]) -> u128 {
    xxh3_128(&program.identity(event, row))
}

/// Of a table without event id: digest of primary key and time.
pub(super) fn version_of(program: &SourceProgram, event: &Event, row: &[Value]) -> Option<u128> {
    let def = program.def();
    if def.primary_key.is_empty() || !def.event_id.is_empty() {
        return None;
    }
    let mut bytes = program.key(row, &def.primary_key)?;
    bytes.extend(event.event_time.0.to_be_bytes());
    Some(xxh3_128(&bytes))
}

/// Refuses to have more events in memory than may be.
pub(super) fn refuse_more(
    source: &SourceDef,
    events: usize,
    events_max: usize,
) -> Result<(), EngineError> {
    if events <= events_max {
        return Ok(());
    }
    Err(EngineError::TooManyCompared {
        source_name: source.name.clone(),
        events_max,
    })
}

/// Whether a position is among them.
pub(super) fn is_in(places: &Places, position: Position) -> bool {
    let ranges = places.get(&position.partition);
    ranges.is_some_and(|ranges| ranges.iter().any(|r| r.contains(&position.offset.0)))
}

impl Holdings<'_> {
    /// What holds at times of a period, and the removals of the period, by identity.
    ///
    /// # Errors
    /// If the log cannot be read, or `progress` stops it.
    pub(super) fn of_period(
        &self,
        period: &Range<i64>,
        progress: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<FxHashMap<u128, Known>, EngineError> {
        let Some(last) = period
            .end
            .checked_sub(1)
            .filter(|last| *last >= period.start)
        else {
            return Ok(FxHashMap::default());
        };
        let times = EventTime(period.start)..=EventTime(last);
        let mut best = FxHashMap::default();
        if self.program.def().event_id.is_empty() {
            // An origin is one identity, whatever time its versions say.
            let mut identities = FxHashSet::default();
            self.scan(Some(times), progress, |_, identity, _| {
                identities.insert(identity);
                self.refuse_more(identities.len())
            })?;
            self.scan(None, progress, |logged, identity, row| {
                if identities.contains(&identity) {
                    self.meet(&mut best, &logged, identity, row)?;
                }
                Ok(())
            })?;
        } else {
            self.scan(Some(times), progress, |logged, identity, row| {
                self.meet(&mut best, &logged, identity, row)?;
                self.refuse_more(best.len())
            })?;
        }
        best.retain(|_, best| period.contains(&best.time));
        Ok(held(best))
    }

    /// Of the identities with a version at some places: what holds, and what would hold without
    /// the versions there.
    ///
    /// # Errors
    /// As [`Holdings::of_period`].
    pub(super) fn with_and_without(
        &self,
        places: &Places,
        progress: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<Vec<(Known, Option<Known>)>, EngineError> {
        let mut identities = FxHashSet::default();
        self.scan(None, progress, |logged, identity, _| {
            if is_in(places, logged.position) {
                identities.insert(identity);
            }
            self.refuse_more(identities.len())
        })?;
        let (mut with, mut without) = (FxHashMap::default(), FxHashMap::default());
        self.scan(None, progress, |logged, identity, row| {
            if identities.contains(&identity) {
                self.meet(&mut with, &logged, identity, row)?;
                if !is_in(places, logged.position) {
                    self.meet(&mut without, &logged, identity, row)?;
                }
            }
            Ok(())
        })?;
        let mut without = held(without);
        let pairs = held(with)
            .into_iter()
            .map(|(identity, held)| (held, without.remove(&identity)));
        Ok(pairs.collect())
    }

    /// How many events of a period are logged that are not in another cut.
    ///
    /// # Errors
    /// As [`Holdings::of_period`].
    pub(super) fn since(
        &self,
        cut: &Cut,
        times: RangeInclusive<EventTime>,
    ) -> Result<u64, EngineError> {
        let options = ReadOptions {
            sources: Some(vec![self.program.def().id]),
            after: cut.clone(),
            until: Some(self.cut.clone()),
            event_times: Some(times),
            ..ReadOptions::default()
        };
        self.log.read(options).try_fold(0, |count, logged| {
            logged.map_err(EngineError::log)?;
            Ok(count + 1)
        })
    }

    fn refuse_more(&self, events: usize) -> Result<(), EngineError> {
        refuse_more(self.program.def(), events, self.events_max)
    }

    /// Reads the source's events; each comes with its identity's digest and its source row.
    fn scan(
        &self,
        event_times: Option<RangeInclusive<EventTime>>,
        progress: &mut dyn FnMut(u64) -> Result<(), EngineError>,
        mut visit: impl FnMut(LoggedEvent, u128, &[Value]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let def = self.program.def();
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            until: Some(self.cut.clone()),
            event_times,
            ..ReadOptions::default()
        };
        for (number, logged) in (0u64..).zip(self.log.read(options)) {
            let mut logged = logged.map_err(EngineError::log)?;
            let upgraded = def.schema.upgrade(&mut logged);
            upgraded.map_err(|reason| EngineError::schema(def, reason))?;
            let row = self.program.row(&logged);
            let identity = identity_of(self.program, &logged.event, &row);
            visit(logged, identity, &row)?;
            if number % PROGRESS_EVENTS == 0 {
                progress(number)?;
            }
        }
        Ok(())
    }

    /// Takes a version of an identity, if it holds against those before it.
    fn meet(
        &self,
        best: &mut FxHashMap<u128, Best>,
        logged: &LoggedEvent,
        identity: u128,
        row: &[Value],
    ) -> Result<(), EngineError> {
        let event = &logged.event;
        let payload = self.program.payload(event);
        let digest = xxh3_128(&payload);
        let is_live = event.operation != Operation::Remove;
        let new = Best {
            held: Known {
                position: logged.position,
                content: is_live.then(|| content_of(event)),
                version: version_of(self.program, event, row).filter(|_| is_live),
                revision: event.revision,
            },
            time: event.event_time.0,
            payload: digest,
        };
        let Some(known) = best.get_mut(&identity) else {
            best.insert(identity, new);
            return Ok(());
        };
        let holds = match event.revision.cmp(&known.held.revision) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal if known.payload == digest => false,
            std::cmp::Ordering::Equal => {
                let earlier = fetch(self.log, self.program.def(), known.held.position)?;
                payload < self.program.payload(&earlier.event)
            }
        };
        if holds {
            *known = new;
        }
        Ok(())
    }
}

/// Events that hold until they are corrected, by position.
#[derive(Default)]
pub(super) struct Held(BTreeMap<Position, LoggedEvent>);

impl Held {
    /// Reads them: a few one by one, many in one pass.
    pub(super) fn read(
        events: &dyn EventSource,
        source: &SourceDef,
        places: impl Iterator<Item = Position>,
    ) -> Result<Self, EngineError> {
        let places: Vec<Position> = places.collect();
        let found = events_at(events, source.id, &places).map_err(EngineError::log)?;
        let upgraded = found.into_iter().map(|(position, mut logged)| {
            source
                .schema
                .upgrade(&mut logged)
                .map_err(|reason| EngineError::schema(source, reason))?;
            Ok((position, logged))
        });
        upgraded.collect::<Result<_, EngineError>>().map(Held)
    }

    /// The event at a position that was read.
    ///
    /// # Errors
    /// If nothing was there.
    pub(super) fn event(
        &self,
        source: &SourceDef,
        position: Position,
    ) -> Result<&LoggedEvent, EngineError> {
        let event = self.0.get(&position);
        event.ok_or_else(|| nothing_at(source, position))
    }
}

/// Events between two calls of a progress.
const PROGRESS_EVENTS: u64 = 8_192;

fn held(best: FxHashMap<u128, Best>) -> FxHashMap<u128, Known> {
    let held = best
        .into_iter()
        .map(|(identity, best)| (identity, best.held));
    held.collect()
}
