//! What goes into the log and what comes back: batches, dead letters, and the places they
//! were given.

use evenkeel_types::{
    Event, EventTime, LoggedEvent, Offset, Origin, Partition, Position, SourceId, VisibleAt,
};

/// As the origin of an event: "its own position in the log". [`crate::Log::append`] puts
/// the position there; no event is ever read with it.
pub const OWN_POSITION: Origin = Origin::Log(Position::new(u32::MAX, u64::MAX));

/// The global number of a record (event, dead letter, redriven mark, backfill or correlation id), from 0: the apply
/// order over all partitions of all sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// The number of a dead letter of its source, from 0, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub u64);

/// A part of an append: records of one kind and one source.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Events of one partition, in their order.
    Events {
        /// The source.
        source: SourceId,
        /// The partition; not `u32::MAX`.
        partition: Partition,
        /// The version of the source's schema that the rows follow.
        schema_version: u32,
        /// The events. [`OWN_POSITION`] as origin is filled in.
        events: Vec<Event>,
    },
    /// Records that could not become events, or lost a conflict.
    DeadLetters {
        /// The source.
        source: SourceId,
        /// The letters.
        letters: Vec<DeadLetter>,
    },
    /// Dead letters that were driven again: they leave the list of open ones.
    Redriven {
        /// The source.
        source: SourceId,
        /// Their ids.
        ids: Vec<DeadLetterId>,
    },
    /// Periods of which a source is to be made again from what is known by then.
    Backfills {
        /// The source.
        source: SourceId,
        /// The periods.
        backfills: Vec<Backfill>,
    },
    /// What those who logged events of the same append call them.
    Correlations {
        /// The source.
        source: SourceId,
        /// The names.
        correlations: Vec<Correlation>,
    },
}

/// What whoever logged an event calls it, for the messages that come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// How many records of the append come before the event.
    pub event: u64,
    /// The name; empty if it was forgotten with the event.
    pub id: String,
}

/// That everything of a period is to be made again: from a time on, up to another that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The first time in it.
    pub from: EventTime,
    /// The first time behind it.
    pub until: EventTime,
}

/// A backfill with its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedBackfill {
    /// The source.
    pub source: SourceId,
    /// Its place in the order of all records.
    pub sequence: Sequence,
    /// What is to be made again.
    pub backfill: Backfill,
}

impl Batch {
    /// How many records it holds.
    pub fn count(&self) -> usize {
        match self {
            Batch::Events { events, .. } => events.len(),
            Batch::DeadLetters { letters, .. } => letters.len(),
            Batch::Redriven { ids, .. } => ids.len(),
            Batch::Backfills { backfills, .. } => backfills.len(),
            Batch::Correlations { correlations, .. } => correlations.len(),
        }
    }

    /// The source.
    pub fn source(&self) -> SourceId {
        match self {
            Batch::Events { source, .. }
            | Batch::DeadLetters { source, .. }
            | Batch::Redriven { source, .. }
            | Batch::Backfills { source, .. }
            | Batch::Correlations { source, .. } => *source,
        }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The batch's source.
    pub source: SourceId,
    /// The batch's partition; 0 for other batches than events.
    pub partition: Partition,
    /// Events: the offset of the first; they follow each other without gaps. Dead letters:
    /// the id of the first. Redriven marks, backfills and correlation ids: their number in the source.
    pub first: u64,
    /// How many records.
    pub count: u64,
    /// The global number of the first record; they follow each other without gaps.
    pub first_sequence: Sequence,
    /// The apply timeline at these records.
    pub logged_at: VisibleAt,
}

impl Appended {
    /// The position of the batch's event number `index`, from 0.
    pub fn position(&self, index: u64) -> Position {
        Position {
            partition: self.partition,
            offset: Offset(self.first + index),
        }
    }

    /// The first offset after the batch.
    pub fn end(&self) -> Offset {
        Offset(self.first + self.count)
    }

    /// The events of the batch that was appended here, as they will be read.
    pub fn logged(
        self,
        schema_version: u32,
        events: impl IntoIterator<Item = Event>,
    ) -> impl Iterator<Item = LoggedEvent> {
        let events = (0..).zip(events);
        events.map(move |(index, event)| self.logged_event(schema_version, index, event))
    }

    /// The batch's event number `index`, from 0, as it will be read.
    pub fn logged_event(&self, schema_version: u32, index: u64, mut event: Event) -> LoggedEvent {
        let position = self.position(index);
        if event.origin == OWN_POSITION {
            event.origin = Origin::Log(position);
        }
        LoggedEvent {
            source: self.source,
            position,
            logged_at: self.logged_at,
            schema_version,
            event,
        }
    }
}

/// A record that did not become an event, or an event that lost a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record came from, if that is known.
    pub origin: Option<Origin>,
    /// Why, as a word that counts are kept by: `CONFLICT`.
    pub code: String,
    /// Why, for people.
    pub reason: String,
    /// The record as it came.
    pub record: Vec<u8>,
    /// The event's position, if it had one (conflicts).
    pub position: Option<Position>,
}

/// A dead letter with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedDeadLetter {
    /// The source.
    pub source: SourceId,
    /// Its number.
    pub id: DeadLetterId,
    /// The apply timeline when it was logged.
    pub logged_at: VisibleAt,
    /// Whether it was driven again since.
    pub redriven: bool,
    /// The letter.
    pub letter: DeadLetter,
}
