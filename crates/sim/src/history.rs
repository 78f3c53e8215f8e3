//! A history: what every client asked and was answered, when, and the log at the end.

use std::collections::BTreeMap;

use evenkeel_types::{Cut, EventTime, Offset, Partition, Position, SourceId};

/// A tick of one clock of all clients: what has a smaller one happened before.
pub type Moment = u64;

/// An event of the workload. It counts once for a key of each entity, and adds a power of
/// two of its own there, so that a sum says which events are in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Event {
    /// With the time its identity.
    pub id: String,
    /// When it happened.
    pub at: EventTime,
    /// Of two payloads under one identity the one with the smaller version holds.
    pub version: String,
    /// Its key of each entity.
    pub keys: [u64; 2],
    /// Which power of two it adds there.
    pub bits: [u32; 2],
}

/// A row of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// An event.
    Event(Event),
    /// What the source's `WHERE` leaves out.
    Filtered,
    /// What is no event of the source.
    Wrong,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Logged there.
    Logged(Position),
    /// Logged there; its identity has another payload, too.
    Conflict(Position),
    /// It is in the log already.
    Duplicate,
    /// Left out.
    LeftOut,
    /// A dead letter.
    Rejected,
}

/// What a write or an answer promises to the reads after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// What must be known.
    pub positions: Cut,
    /// A read without a time of its own is not before this one.
    pub time: Option<EventTime>,
}

/// The cut that holds what either holds.
pub fn join(into: &mut Cut, other: &Cut) {
    for (source, partition, end) in other.iter() {
        let known = into.end(source, partition);
        into.set_end(source, partition, end.max(known));
    }
}

impl Token {
    /// Takes what another promises, too.
    pub fn join(&mut self, other: &Token) {
        join(&mut self.positions, &other.positions);
        self.time = self.time.max(other.time);
    }
}

/// A push.
#[derive(Clone, Debug)]
pub struct Push {
    /// Who: its pushes and reads follow each other.
    pub client: usize,
    /// Where to.
    pub source: SourceId,
    /// When it was sent.
    pub start: Moment,
    /// The rows.
    pub rows: Vec<Row>,
    /// What came back.
    pub reply: PushReply,
}

/// The answer to a push.
#[derive(Clone, Debug)]
pub enum PushReply {
    /// It is acknowledged.
    Answered {
        /// When.
        end: Moment,
        /// What became of each row.
        outcomes: Vec<Outcome>,
        /// What reads with it must know.
        token: Token,
    },
    /// Refused as a whole: nothing of it was done.
    Refused,
    /// Nobody knows whether it is logged.
    Unknown,
}

/// How much an answer must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Any cut.
    Eventual,
    /// What the question names.
    AtLeast,
    /// What was acknowledged before.
    Strong,
    /// The same.
    StrongNow,
    /// The same, and watermarks are beyond a time.
    Complete(EventTime),
}

/// A feature: count and sum over the events of a source, of all times or of the last so many
/// microseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The source.
    pub source: SourceId,
    /// How long the window is.
    pub window: Option<i64>,
}

/// A count and a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// The sum of their powers of two.
    pub sum: u128,
}

/// A read.
#[derive(Clone, Debug)]
pub struct Question {
    /// The number of the entity.
    pub entity: usize,
    /// Its keys.
    pub keys: Vec<u64>,
    /// What is read of each.
    pub features: Vec<Feature>,
    /// How much it must know.
    pub level: Level,
    /// What it brings.
    pub token: Token,
    /// The time, if it names one.
    pub as_of: Option<EventTime>,
    /// The cut, if it names one.
    pub cut: Option<Cut>,
    /// Whether an answer that knows less is welcome.
    pub degraded: bool,
}

/// What a promise lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// A position.
    Position {
        /// Of which source.
        source: SourceId,
        /// Of which partition.
        partition: Partition,
        /// The end that the cut must have.
        wanted: Offset,
        /// The end that it has.
        reached: Offset,
    },
    /// A watermark.
    Watermark {
        /// Of which source.
        source: SourceId,
        /// What it must pass.
        wanted: EventTime,
        /// Where it is; none before the first event.
        reached: Option<EventTime>,
    },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it knows.
    pub cut: Cut,
    /// The time that it is of.
    pub as_of: EventTime,
    /// What it says it lacks.
    pub degraded: Option<Unmet>,
    /// Per key its features.
    pub values: Vec<Vec<Tally>>,
}

/// What came back for a read.
#[derive(Clone, Debug)]
pub enum ReadReply {
    /// An answer.
    Answered(Answer),
    /// The promise was not met in time.
    Unmet(Unmet),
    /// The question contradicts itself: the cut that it names lacks what it must hold.
    CutLacks(Unmet),
    /// Refused: nothing was read.
    Refused,
}

/// A read with its answer.
#[derive(Clone, Debug)]
pub struct Read {
    /// Who.
    pub client: usize,
    /// Whether it goes on where this client's earlier reads and pushes were.
    pub in_session: bool,
    /// When it was sent.
    pub start: Moment,
    /// When the answer was there.
    pub end: Moment,
    /// The question.
    pub question: Question,
    /// What came back.
    pub reply: ReadReply,
}

/// The log at the end.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The events of each partition, by offset.
    pub events: BTreeMap<(SourceId, Partition), Vec<Event>>,
    /// How many rows of each source are dead letters because they are no event.
    pub rejected: BTreeMap<SourceId, u64>,
    /// The positions that dead letters of conflicts name.
    pub conflicts: BTreeMap<SourceId, Vec<Position>>,
}

impl Log {
    /// The cut of everything.
    pub fn ends(&self) -> Cut {
        let mut cut = Cut::empty();
        for (&(source, partition), events) in &self.events {
            cut.set_end(source, partition, Offset(events.len() as u64));
        }
        cut
    }

    /// The event at a position.
    pub fn at(&self, source: SourceId, position: Position) -> Option<&Event> {
        let events = self.events.get(&(source, position.partition))?;
        events.get(usize::try_from(position.offset.0).ok()?)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Pushes, in any order.
    pub pushes: Vec<Push>,
    /// Reads, in any order.
    pub reads: Vec<Read>,
    /// The log at the end.
    pub log: Log,
    /// How late the events of each source may be: its watermark is so far behind.
    pub lateness: BTreeMap<SourceId, i64>,
}
