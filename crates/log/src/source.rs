//! Reading logged events, wherever they are kept.
//!
//! Owns the seam between who needs events and what has them: the log, or the log and what
//! keeps its older part elsewhere. Invariant of every implementation: the events of a source
//! that [`EventSource::events`] answers are those that the log acknowledged, each once.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_types::{Cut, LoggedEvent, Offset, Position, SourceId};

use crate::error::LogError;
use crate::events::{Events, Next};
use crate::reader::{LogReader, ReadOptions};

/// See the module.
pub trait EventSource {
    /// The events that are wanted, those of each source in the order in which they were logged.
    ///
    /// # Errors
    /// If they cannot be read.
    fn events(&self, options: ReadOptions) -> Result<Box<dyn EventStream>, LogError>;

    /// The event at a position; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError>;

    /// Whether these sources can be read one after the other for hardly more than all at once costs.
    /// What is read does not depend on it.
    fn are_apart(&self, sources: &[SourceId]) -> bool {
        sources.len() < 2
    }
}

/// Events that are asked for one by one, not in a pass over all in between.
const ONE_BY_ONE: usize = 64;

/// The events of a source at some positions, by position: a few are looked for one by one, many
/// in one pass. Where nothing is logged there is none.
///
/// # Errors
/// If they cannot be read.
pub fn events_at(
    events: &dyn EventSource,
    source: SourceId,
    positions: &[Position],
) -> Result<BTreeMap<Position, LoggedEvent>, LogError> {
    let mut found = BTreeMap::new();
    if positions.len() < ONE_BY_ONE {
        for &position in positions {
            if let Some(logged) = events.event_at(source, position)? {
                found.insert(position, logged);
            }
        }
        return Ok(found);
    }
    let wanted: BTreeSet<Position> = positions.iter().copied().collect();
    let (mut after, mut until) = (Cut::empty(), Cut::empty());
    for position in wanted.iter().rev() {
        after.set_end(source, position.partition, position.offset);
    }
    for position in &wanted {
        until.set_end(source, position.partition, Offset(position.offset.0 + 1));
    }
    let options = ReadOptions {
        sources: Some(vec![source]),
        after,
        until: Some(until),
        ..ReadOptions::default()
    };
    let mut stream = events.events(options)?;
    let mut logged = LoggedEvent::blank();
    while stream.next_into(&mut logged)? {
        if wanted.contains(&logged.position) {
            let event = std::mem::replace(&mut logged, LoggedEvent::blank());
            found.insert(event.position, event);
        }
    }
    Ok(found)
}

/// Events, one after the other.
pub trait EventStream: Send {
    /// Reads the next event into another; false once there is no more.
    ///
    /// # Errors
    /// If it cannot be read.
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError>;

    /// The same; where several events stand column by column, all of them at once.
    ///
    /// # Errors
    /// If they cannot be read.
    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError>;
}

impl EventStream for Events {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        Events::next_into(self, logged)
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        Events::next_columns(self, logged)
    }
}

impl EventSource for LogReader {
    fn events(&self, options: ReadOptions) -> Result<Box<dyn EventStream>, LogError> {
        Ok(Box::new(self.read(options)))
    }

    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        self.event(source, position)
    }

    fn are_apart(&self, sources: &[SourceId]) -> bool {
        LogReader::are_apart(self, sources, &Cut::empty())
    }
}
