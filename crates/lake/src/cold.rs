//! The events of a store: of some sources the older ones from their tables, and the rest from
//! the log.
//!
//! Invariant: what a table's version covers is read from that version, everything after it from
//! the log, so that each event comes once, whatever is flushed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_log::{EventSource, EventStream, LogError, LogReader, Next, ReadOptions, Sequence};
use evenkeel_types::{Cut, LoggedEvent, Position, SourceId};

use crate::error::LakeError;
use crate::file_events::Wanted;
use crate::table::{Table, TableEvents};

/// See the module. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ColdAndLog {
    log: LogReader,
    tables: Arc<BTreeMap<SourceId, Table>>,
    covered: Cut,
}

impl ColdAndLog {
    /// The log, and versions of tables for what they cover.
    ///
    /// # Errors
    /// If a table cannot be read, or is not that of this log.
    pub fn new(log: LogReader, tables: Vec<Table>) -> Result<Self, LakeError> {
        let ends = log.ends();
        let mut covered = Cut::empty();
        let mut used = BTreeMap::new();
        for table in tables {
            let of_table = match table.covered(&log) {
                Ok(of_table) => of_table,
                // The same, once the log has gone on: what is flushed says so.
                Err(LakeError::Otherwise { .. }) => continue,
                Err(error) => return Err(error),
            };
            // It was flushed since this log was opened, or the log is of a backup: then what it has
            // there may never have been logged here. Then the log is read, which asks the table for
            // what was truncated and for nothing behind it.
            let is_ahead = |(source, partition, end)| end > ends.end(source, partition);
            if of_table.iter().any(is_ahead) {
                continue;
            }
            for (source, partition, end) in of_table.iter() {
                covered.set_end(source, partition, end);
            }
            used.insert(table.id(), table);
        }
        Ok(ColdAndLog {
            log,
            tables: Arc::new(used),
            covered,
        })
    }

    /// The log.
    pub fn log(&self) -> &LogReader {
        &self.log
    }

    /// What is read from tables.
    pub fn covered(&self) -> &Cut {
        &self.covered
    }

    fn wanted(&self, table: &Table, options: &ReadOptions) -> Wanted {
        let source = table.id();
        let mut until = Cut::empty();
        for (id, partition, end) in self.covered.iter().filter(|(id, _, _)| *id == source) {
            let asked = options.until.as_ref().map(|cut| cut.end(id, partition));
            until.set_end(id, partition, asked.map_or(end, |asked| asked.min(end)));
        }
        Wanted {
            source,
            after: options.after.clone(),
            until: Some(until),
            event_times: options.event_times.clone(),
            parts: options.parts.get(&source).cloned(),
            sequences: false,
        }
    }
}

impl EventSource for ColdAndLog {
    fn events(&self, mut options: ReadOptions) -> Result<Box<dyn EventStream>, LogError> {
        // Numbers of the apply order are the log's own.
        if options.from > Sequence(0) {
            return self.log.events(options);
        }
        let is_wanted = |id: &SourceId| {
            let sources = options.sources.as_ref();
            sources.is_none_or(|sources| sources.contains(id))
        };
        let mut cold = Vec::new();
        for (_, table) in self.tables.iter().filter(|(id, _)| is_wanted(id)) {
            cold.push(table.read(self.wanted(table, &options)).map_err(of_lake)?);
        }
        cold.reverse();
        for (source, partition, end) in self.covered.iter() {
            let after = options.after.end(source, partition).max(end);
            options.after.set_end(source, partition, after);
        }
        Ok(Box::new(Both {
            cold,
            hot: self.log.events(options)?,
        }))
    }

    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        self.log.event(source, position)
    }

    fn are_apart(&self, sources: &[SourceId]) -> bool {
        // Each table is one source's anyway.
        self.log.are_apart(sources, &self.covered)
    }
}

/// What tables have, then what the log has.
struct Both {
    /// The last is read first.
    cold: Vec<TableEvents>,
    hot: Box<dyn EventStream>,
}

impl Both {
    /// Reads the next event of a table; false once there is no more.
    fn next_cold(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        while let Some(cold) = self.cold.last_mut() {
            if cold.next_into(logged).map_err(of_lake)?.is_some() {
                return Ok(true);
            }
            self.cold.pop();
        }
        Ok(false)
    }
}

impl EventStream for Both {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        Ok(self.next_cold(logged)? || self.hot.next_into(logged)?)
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        while let Some(cold) = self.cold.last_mut() {
            match cold.next_columns(logged).map_err(of_lake)? {
                Next::End => self.cold.pop(),
                found => return Ok(found),
            };
        }
        self.hot.next_columns(logged)
    }
}

pub(crate) fn of_lake(source: LakeError) -> LogError {
    LogError::Lake {
        source: Box::new(source),
    }
}
