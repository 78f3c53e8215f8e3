//! Several events of one source, by column: those of a frame, or of whatever keeps them elsewhere.

use std::ops::Range;

use evenkeel_types::{
    Column, LoggedEvent, Operation, Origin, Partition, Position, SourceId, VisibleAt,
};

use crate::body::{Columnar, FrameColumn};
use crate::layout::FrameHeader;

/// Events whose offsets follow each other in one partition, by column.
#[derive(Debug)]
pub struct EventColumns {
    /// Their source.
    pub source: SourceId,
    /// The version of the source's schema that they are of.
    pub schema_version: u32,
    partition: Partition,
    /// The apply timeline: that of all events, or one of each.
    logged_at: Vec<VisibleAt>,
    events: Columnar,
}

/// What [`EventColumns`] are made of that stand in no frame.
#[derive(Debug)]
pub struct EventColumnsParts {
    /// Their source.
    pub source: SourceId,
    /// The version of the source's schema that they are of.
    pub schema_version: u32,
    /// The position of the first: the others follow.
    pub first: Position,
    /// The apply timeline: that of all events, or one of each.
    pub logged_at: Vec<VisibleAt>,
    /// Event times.
    pub times: Vec<i64>,
    /// What they do.
    pub operations: Vec<Operation>,
    /// Revisions; empty if all are 0.
    pub revisions: Vec<u32>,
    /// Declared visible times; empty if there are none.
    pub known_at: Vec<Option<VisibleAt>>,
    /// The first event of each run of origins that count on, and where it came from; none if
    /// that is its own position.
    pub origins: Vec<(usize, Option<Origin>)>,
    /// The stored columns; none where one is not wanted.
    pub columns: Vec<Option<Column>>,
}

impl EventColumns {
    pub(crate) fn of_frame(header: &FrameHeader, logged_at: VisibleAt, events: Columnar) -> Self {
        EventColumns {
            source: SourceId(header.source),
            schema_version: header.schema_version,
            partition: Partition(header.partition),
            logged_at: vec![logged_at],
            events,
        }
    }

    /// Events from their parts.
    ///
    /// # Panics
    /// If there are none, or the lengths differ: a broken invariant of the caller.
    pub fn from_parts(parts: EventColumnsParts) -> Self {
        let count = parts.times.len();
        let is_of_each = |length: usize| length == 0 || length == count;
        let columns = parts.columns.iter().flatten();
        assert!(
            count > 0
                && parts.operations.len() == count
                && (parts.logged_at.len() == 1 || parts.logged_at.len() == count)
                && is_of_each(parts.revisions.len())
                && is_of_each(parts.known_at.len())
                && parts.origins.first().is_some_and(|(first, _)| *first == 0)
                && columns.into_iter().all(|column| column.len() == count),
            "every event has its values"
        );
        EventColumns {
            source: parts.source,
            schema_version: parts.schema_version,
            partition: parts.first.partition,
            logged_at: parts.logged_at,
            events: Columnar::from_parts(
                parts.first,
                parts.times,
                parts.operations,
                parts.revisions,
                parts.known_at,
                parts.origins,
                parts.columns,
            ),
        }
    }

    /// Number of events; not 0.
    pub fn len(&self) -> usize {
        self.events.times().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Event times.
    pub fn times(&self) -> &[i64] {
        self.events.times()
    }

    /// What they do.
    pub fn operations(&self) -> &[Operation] {
        self.events.operations()
    }

    /// The position of the first: the others follow.
    pub fn first(&self) -> Position {
        Position::new(self.partition.0, self.events.first())
    }

    /// Where they came from: runs of origins that count on, each by its first.
    pub fn origin_runs(&self) -> impl Iterator<Item = (Range<usize>, Origin)> + '_ {
        self.events.origin_runs()
    }

    fn logged_at(&self, event: usize) -> VisibleAt {
        match self.logged_at.as_slice() {
            [together] => *together,
            each => each[event],
        }
    }

    /// When reads could see an event: [`LoggedEvent::visible_at`].
    pub fn visible_at(&self, event: usize) -> VisibleAt {
        match self.events.known_at(event) {
            Some(declared) if !self.operations()[event].is_correction() => {
                VisibleAt(declared.0.max(self.times()[event]))
            }
            _ => self.logged_at(event),
        }
    }

    /// [`EventColumns::visible_at`] of all events, where they were visible when they were logged,
    /// and were logged at once.
    pub fn visible_together(&self) -> Option<VisibleAt> {
        match self.logged_at.as_slice() {
            [together] if self.events.declares_nothing() => Some(*together),
            _ => None,
        }
    }

    /// Takes a stored column; none if it is not wanted, was taken, or is behind the last.
    pub fn take_column(&mut self, slot: usize) -> Option<FrameColumn> {
        self.events.take_column(slot)
    }

    /// One event, in place of another; columns that were taken are NULL.
    pub fn event_into(&self, number: usize, logged: &mut LoggedEvent) {
        self.events.event_into(number, None, &mut logged.event);
        logged.source = self.source;
        logged.position = Position::new(self.partition.0, self.events.first() + number as u64);
        logged.logged_at = self.logged_at(number);
        logged.schema_version = self.schema_version;
    }
}
