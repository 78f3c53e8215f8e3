//! Reading logged events, wherever they are kept.
//!
//! Owns the seam between who needs events and what has them: the log, or the log and what
//! keeps its older part elsewhere. Invariant of every implementation: the events of a source
//! that [`EventSource::events`] answers are those that the log acknowledged, each once.

use evenkeel_types::{LoggedEvent, Position, SourceId};

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
}
