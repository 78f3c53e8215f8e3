//! A piece of the log: the records that emissions are made for next, with what was known at each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use evenkeel_log::{EventParts, Events, LogReader, LoggedBackfill, ReadOptions, Sequence};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, LoggedEvent, Offset, Position, SourceId};

use super::PARTITION;
use super::lane::World;
use super::place::record_of;
use super::size::bytes_of;
use super::stream::{Stream, emitted_until};
use crate::error::EngineError;

/// Records that bring something; fewer where others wait for their turn.
pub(crate) const PIECE_RECORDS: usize = 4_096;
const PIECE_RECORDS_SHARED: usize = 1_024;
/// After about so many bytes of them a piece ends, too: they are held.
const ROOTS_BYTES: usize = 8 << 20;
/// Records that are read.
const RECORDS_MAX: usize = 16_384;
/// Of a record with more emissions than so many the end is looked for.
const READ_MAX: u64 = 4_096;

/// See the module.
pub(super) struct Piece {
    pub(super) records: Arc<Records>,
    /// The number of the stream that is next.
    pub(super) next: usize,
    emitted: BTreeMap<SourceId, Arc<Emitted>>,
}

/// What others logged: whoever evaluates it ahead has it, too.
pub(super) struct Records {
    /// The first one.
    pub(super) from: u64,
    pub(super) roots: Vec<Root>,
    /// The first record behind it.
    pub(super) end: u64,
    /// Everything that others logged before it.
    pub(super) begin: Cut,
    /// Everything that others logged up to its end.
    pub(super) cut: Cut,
    /// What others logged within it, in the order of the log.
    pub(super) passed: Vec<(SourceId, Position)>,
}

/// A record that others logged.
pub(super) struct Root {
    pub(super) record: u64,
    pub(super) what: Rooted,
    /// So many of what others logged within the piece are up to it.
    pub(super) passed: usize,
}

/// What a record is.
pub(super) enum Rooted {
    Event(Box<LoggedEvent>),
    Backfill(LoggedBackfill),
}

/// What a stream emitted for the records of the piece: what it is is read when it is needed.
#[derive(Default)]
pub(super) struct Emitted {
    /// The offset of the first.
    first: u64,
    /// The records for which there are some, each with how many there are up to its last one.
    ends: Vec<(u64, u64)>,
}

impl Emitted {
    /// Nothing yet, from an offset on.
    pub(super) fn from(first: u64) -> Self {
        Emitted {
            first,
            ends: Vec::new(),
        }
    }

    /// The offset behind the last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.all()
    }

    /// Takes what comes next of those for records before one; the record that has so many that where they
    /// end is better looked for.
    fn read(&mut self, mut events: Events, before: u64) -> Result<Option<u64>, EngineError> {
        let (mut logged, mut of_one) = (LoggedEvent::blank(), 0);
        while events.next_into(&mut logged).map_err(EngineError::log)? {
            let record = record_of(&logged.event).unwrap_or(u64::MAX);
            if record >= before {
                break;
            }
            of_one = match self.ends.last() {
                Some((last, _)) if *last == record => of_one + 1,
                _ => 1,
            };
            self.take(record, 1);
            if of_one == READ_MAX {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Takes the next ones, of one record.
    pub(super) fn take(&mut self, record: u64, count: u64) {
        let end = self.all() + count;
        match self.ends.last_mut() {
            Some((last, of_last)) if *last == record => *of_last = end,
            _ => self.ends.push((record, end)),
        }
    }

    fn all(&self) -> u64 {
        self.ends.last().map_or(0, |(_, end)| *end)
    }

    /// The offset behind the last for a record or an earlier one.
    pub(super) fn until(&self, record: u64) -> u64 {
        self.first + self.before(record + 1)
    }

    /// How many there are for records before one.
    fn before(&self, record: u64) -> u64 {
        let behind = self.ends.partition_point(|(of, _)| *of < record);
        behind.checked_sub(1).map_or(0, |last| self.ends[last].1)
    }
}

/// What the pieces of some streams are taken from.
pub(super) struct Pieces {
    /// What makes the streams emit.
    wanted: BTreeSet<SourceId>,
    /// The streams, also those that are only read: backfills of them are records, too.
    streams: Vec<SourceId>,
    /// The sources that are looked at. What streams emitted is passed over, whole frames at once.
    sources: Vec<SourceId>,
    /// A read that ended with a piece, and the record that it goes on with: a frame of many events is
    /// decoded once. In a lock that nobody waits for, as a read cannot be shared.
    open: Mutex<Option<(u64, Reading)>>,
}

struct Reading {
    events: Events,
    /// The first record that was not there when it began.
    whole: u64,
}

impl Pieces {
    /// Pieces for some streams, which `wanted` makes emit; with `only` the log is read for these sources alone,
    /// so that what is damaged in others does not matter.
    pub(super) fn new(
        catalog: &Catalog,
        streams: Vec<SourceId>,
        wanted: BTreeSet<SourceId>,
        only: Option<BTreeSet<SourceId>>,
    ) -> Self {
        let derived: BTreeSet<SourceId> = catalog.derived().map(|def| def.id).collect();
        let all = || catalog.sources.values().map(|def| def.id).collect();
        let looked_at = &only.unwrap_or_else(all) - &derived;
        Pieces {
            sources: looked_at.into_iter().collect(),
            wanted,
            streams,
            open: Mutex::default(),
        }
    }

    /// The backfills from a record on, in the order of the log.
    fn backfills(&self, log: &LogReader, from: u64) -> Result<Vec<LoggedBackfill>, EngineError> {
        let mut found = Vec::new();
        for stream in &self.streams {
            let of_stream = log.backfills(*stream, Sequence(from));
            found.extend(of_stream.map_err(EngineError::log)?);
        }
        found.sort_by_key(|backfill| backfill.sequence);
        Ok(found)
    }

    fn reading(&mut self, log: &LogReader, from: u64) -> Reading {
        let open = self
            .open
            .get_mut()
            .unwrap_or_else(|broken| broken.into_inner());
        if let Some((next, reading)) = open.take()
            && next == from
        {
            return reading;
        }
        let looked_at = self.sources.iter().copied();
        let unread = looked_at.filter(|id| !self.wanted.contains(id));
        let whole = log.next_sequence().0;
        let events = log.read(ReadOptions {
            sources: Some(self.sources.clone()),
            from: Sequence(from),
            parts: unread.map(|id| (id, EventParts::default())).collect(),
            ..ReadOptions::default()
        });
        Reading { events, whole }
    }

    /// The events from a record on, and before another one; none if nothing was logged since. `base`
    /// is what others logged before it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn take(
        &mut self,
        world: &World,
        (from, until): (u64, u64),
        (base, applied): (&Cut, Cut),
    ) -> Result<Option<Records>, EngineError> {
        let (log, catalog) = (&world.log, &*world.catalog);
        let roots_max = match world.is_shared {
            true => PIECE_RECORDS_SHARED.min(world.piece_records),
            false => world.piece_records,
        };
        let mut taken = Records {
            from,
            roots: Vec::new(),
            end: from,
            begin: base.clone(),
            cut: base.clone(),
            passed: Vec::new(),
        };
        if from >= until {
            return Ok(None);
        }
        let mut reading = self.reading(log, from);
        // Afterwards, so that none is missing before the end of what is read.
        let mut backfills = self.backfills(log, from)?.into_iter().peekable();
        let mut logged = LoggedEvent::blank();
        let (mut records, mut bytes) = (0, 0);
        loop {
            let is_much = taken.roots.len() >= roots_max || bytes >= ROOTS_BYTES;
            if is_much || records >= RECORDS_MAX {
                let open = self
                    .open
                    .get_mut()
                    .unwrap_or_else(|broken| broken.into_inner());
                *open = Some((taken.end, reading));
                break;
            }
            let events = &mut reading.events;
            let found = match events.next_into(&mut logged) {
                Ok(found) => found,
                // What is before it can be emitted for.
                Err(_) if taken.end > from => break,
                Err(error) => return Err(EngineError::log(error)),
            };
            if !found {
                // Dead letters are records, too.
                taken.end = taken.end.max(reading.whole.min(until));
                break;
            }
            let record = events.sequence().0;
            if record >= until {
                taken.end = until;
                break;
            }
            while let Some(backfill) = backfills.next_if(|b| b.sequence.0 < record) {
                taken.take_backfill(backfill);
            }
            let Position { partition, offset } = logged.position;
            // Nothing behind what is not applied is looked at: it would be passed over for ever.
            if applied.end(logged.source, partition) <= offset {
                break;
            }
            records += 1;
            taken.end = record + 1;
            taken
                .cut
                .set_end(logged.source, partition, Offset(offset.0 + 1));
            taken.passed.push((logged.source, logged.position));
            if self.wanted.contains(&logged.source)
                && let Some(def) = catalog.source_by_id(logged.source)
            {
                let mut event = logged.clone();
                def.schema
                    .upgrade(&mut event)
                    .map_err(|reason| EngineError::schema(def, reason))?;
                bytes += bytes_of(&event.event);
                taken.roots.push(Root {
                    record,
                    what: Rooted::Event(Box::new(event)),
                    passed: taken.passed.len(),
                });
            }
        }
        let end = taken.end;
        backfills
            .take_while(|backfill| backfill.sequence.0 < end)
            .for_each(|backfill| taken.take_backfill(backfill));
        Ok((taken.end > from).then_some(taken))
    }
}

impl Records {
    fn take_backfill(&mut self, backfill: LoggedBackfill) {
        let record = backfill.sequence.0;
        self.end = self.end.max(record + 1);
        self.roots.push(Root {
            record,
            what: Rooted::Backfill(backfill),
            passed: self.passed.len(),
        });
    }
}

impl Piece {
    /// For the first of the streams.
    pub(super) fn of(records: Arc<Records>) -> Self {
        Piece {
            records,
            next: 0,
            emitted: BTreeMap::new(),
        }
    }

    /// Takes what a stream emitted for its records, from an offset on. What this process emitted itself it has
    /// counted, if that is all.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn take_emitted(
        &mut self,
        log: &LogReader,
        def: &SourceDef,
        (from, counted): (u64, Option<Emitted>),
    ) -> Result<(), EngineError> {
        let end = log.end(def.id, PARTITION).0;
        let emitted = match counted.filter(|counted| counted.end() == end) {
            Some(counted) => {
                debug_assert!(
                    self.read_emitted(log, def, from)
                        .map_or(true, |read| read.ends == counted.ends),
                    "what was counted is what is logged"
                );
                counted
            }
            None => self.read_emitted(log, def, from)?,
        };
        self.emitted.insert(def.id, Arc::new(emitted));
        Ok(())
    }

    fn read_emitted(
        &self,
        log: &LogReader,
        def: &SourceDef,
        from: u64,
    ) -> Result<Emitted, EngineError> {
        let mut emitted = Emitted::from(from);
        let mut next = from;
        while next < log.end(def.id, PARTITION).0
            && let Some(record) = emitted.read(records_from(log, def, next), self.records.end)?
        {
            next = emitted_until(log, def, record)?;
            emitted.take(record, next - from - emitted.all());
        }
        Ok(emitted)
    }

    /// How much a stream emitted.
    pub(super) fn emitted_of(&self, stream: SourceId) -> u64 {
        self.emitted.get(&stream).map_or(0, |emitted| emitted.all())
    }

    /// The offsets of what a stream emitted for a record.
    pub(super) fn emitted_for(&self, stream: SourceId, record: u64) -> Range<u64> {
        let Some(emitted) = self.emitted.get(&stream) else {
            return 0..0;
        };
        let (before, until) = (emitted.before(record), emitted.before(record + 1));
        emitted.first + before..emitted.first + until
    }

    /// What the streams before the next one emitted.
    pub(super) fn emitted_before(
        &self,
        streams: &[Stream],
    ) -> impl Iterator<Item = (SourceId, Arc<Emitted>)> {
        let before = streams[..self.next].iter().map(|stream| stream.def.id);
        before.filter_map(|id| Some((id, Arc::clone(self.emitted.get(&id)?))))
    }
}

/// What a stream emitted from an offset on, of which the records are read alone.
fn records_from(log: &LogReader, def: &SourceDef, offset: u64) -> Events {
    let mut after = Cut::empty();
    after.set_end(def.id, PARTITION, Offset(offset));
    let only_origins = EventParts {
        columns: Vec::new(),
        origin: true,
    };
    log.read(ReadOptions {
        sources: Some(vec![def.id]),
        after,
        parts: BTreeMap::from([(def.id, only_origins)]),
        ..ReadOptions::default()
    })
}
