//! From the log to the lake.
//!
//! Invariant: where a flush begins is what the table says when it is opened, so it does not
//! matter how the one before ended.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use evenkeel_lake::{LakeError, Table, TableColumns};
use evenkeel_log::{LogSegment, ReadOptions};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, LoggedEvent, Offset};

use super::clustering_of;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::reads::source_of;

/// How often a source is begun anew because somebody else wrote its table.
const ATTEMPTS: usize = 8;
/// About the bytes of a data file's events in memory; two files' are there at a time.
pub(super) const FILE_BYTES_MAX: usize = 256 << 20;

/// What a flush did.
#[derive(Debug, Default)]
pub struct FlushReport {
    /// The sources that have events and were flushed.
    pub sources: Vec<FlushedSource>,
    /// The sources that could not be: what was added of them before stays.
    pub failed: Vec<FailedFlush>,
}

/// A source that could not be flushed.
#[derive(Debug)]
pub struct FailedFlush {
    /// Its name.
    pub source: String,
    /// Why.
    pub error: EngineError,
}

/// What was flushed of a source.
#[derive(Clone, Debug)]
pub struct FlushedSource {
    /// Its name.
    pub name: String,
    /// Where its table is.
    pub address: String,
    /// Events that were added.
    pub events: u64,
    /// Files that were added.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The version of the table.
    pub version: u64,
    /// What it covers.
    pub covered: Cut,
}

/// What one thread has made for the other.
struct Full {
    columns: TableColumns,
    ends: Cut,
}

impl Offline {
    /// Brings the tables of some sources (none named: of all) up to what is applied. Each data
    /// file is durable, with the positions that the table covers then, before the next is begun.
    /// `progress` is told a source, how many of its events were read, and how many there are;
    /// and may stop it. A source that cannot be flushed keeps no other from it.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if there is no such source, or somebody else writes the lake.
    /// What was added before stays.
    pub fn flush(
        &self,
        names: &[String],
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<FlushReport, EngineError> {
        let sources: Vec<Arc<SourceDef>> = if names.is_empty() {
            self.catalog().sources.values().cloned().collect()
        } else {
            let named = names.iter().map(|name| source_of(self.catalog(), name));
            named.collect::<Result<_, _>>()?
        };
        let mut report = FlushReport::default();
        let lake = self.cold().lake()?;
        let hold = lake.hold().map_err(EngineError::lake)?;
        for source in sources {
            lake.remove_leftovers(&hold, &source.name);
            match self.flush_source(&source, progress) {
                Ok(flushed) => report.sources.extend(flushed),
                Err(EngineError::Stopped) => return Err(EngineError::Stopped),
                Err(error) => report.failed.push(FailedFlush {
                    source: source.name.clone(),
                    error,
                }),
            }
        }
        Ok(report)
    }

    fn flush_source(
        &self,
        source: &Arc<SourceDef>,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<FlushedSource>, EngineError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.flush_over_newest(source, progress) {
                Err(EngineError::Lake(error)) if error.is_conflict() && attempts < ATTEMPTS => {}
                done => return done,
            }
        }
    }

    /// Refuses a new table for a source of which the log was truncated: the old one has what the log
    /// has no more.
    fn refuse_if_truncated(&self, source: &SourceDef) -> Result<(), EngineError> {
        let segments = self.log().segments().map_err(EngineError::log)?;
        let has_lost = |segment: &LogSegment| {
            let mut ends = segment.until.iter().filter(|(id, ..)| *id == source.id);
            segment.is_truncated
                && ends.any(|(id, partition, end)| end > segment.after.end(id, partition))
        };
        match segments.iter().any(has_lost) {
            true => Err(EngineError::lake(LakeError::Lacks {
                table: source.name.clone(),
                reason: "there is no such table".to_owned(),
            })),
            false => Ok(()),
        }
    }

    fn flush_over_newest(
        &self,
        source: &Arc<SourceDef>,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<FlushedSource>, EngineError> {
        let ends = self.cut().of_source(source.id);
        let logged: Cut = only(self.cut(), source);
        if logged == Cut::empty() {
            return Ok(None);
        }
        let cold = self.cold();
        let lake = cold.lake()?;
        let mut table = match cold.table(&lake, source)? {
            Some(table) => table,
            None => {
                let Some(identity) = &cold.identity else {
                    return Ok(None);
                };
                self.refuse_if_truncated(source)?;
                let clustering = clustering_of(self.catalog(), source);
                Table::create(&lake, source, identity, &clustering).map_err(EngineError::lake)?
            }
        };
        table.follow_schema().map_err(EngineError::lake)?;
        let covered = table.covered(self.log()).map_err(EngineError::lake)?;
        let log_ends = self.log().ends();
        for (id, partition, end) in covered.iter() {
            let log_end = log_ends.end(id, partition);
            if end > log_end {
                return Err(EngineError::lake(LakeError::Ahead {
                    table: source.name.clone(),
                    partition: partition.0,
                    covered: end.0,
                    logged: log_end.0,
                }));
            }
        }
        let mut flushed = FlushedSource {
            name: source.name.clone(),
            address: lake.address_of(&source.name),
            events: 0,
            files: 0,
            bytes: 0,
            version: 0,
            covered: covered.clone(),
        };
        let total = covered.iter().fold(0u64, |sum, (_, partition, end)| {
            sum + end.0.min(ends.end(partition).0)
        });
        let total = logged.iter().map(|(_, _, end)| end.0).sum::<u64>() - total;
        let mut reading = Reading {
            offline: self,
            source,
            table: table.clone(),
            ends: covered,
        };
        // One thread reads the log, the other makes and writes files.
        thread::scope(|scope| {
            let (full, filled) = sync_channel::<Result<Full, EngineError>>(1);
            let reader = scope.spawn(move || reading.run(&full));
            let mut done = 0;
            for next in filled {
                let next = next?;
                if progress(&source.name, done, total).is_break() {
                    return Err(EngineError::Stopped);
                }
                let appended = table.append(&next.columns, &next.ends);
                let appended = appended.map_err(EngineError::lake)?;
                done += appended.file.events;
                flushed.events += appended.file.events;
                flushed.files += 1;
                flushed.bytes += appended.file.bytes;
                flushed.covered = next.ends;
            }
            drop(reader);
            Ok(())
        })?;
        flushed.version = table.version();
        cold.note_covered(source.id, &flushed.covered);
        Ok(Some(flushed))
    }
}

/// The part of a cut that is one source's.
fn only(cut: &Cut, source: &SourceDef) -> Cut {
    let mut part = Cut::empty();
    for (id, partition, end) in cut.iter().filter(|(id, _, _)| *id == source.id) {
        part.set_end(id, partition, end);
    }
    part
}

/// Reads what a table does not have.
struct Reading<'a> {
    offline: &'a Offline,
    source: &'a SourceDef,
    table: Table,
    ends: Cut,
}

impl Reading<'_> {
    /// Sends files' events until there are no more, or nobody wants them.
    fn run(&mut self, full: &SyncSender<Result<Full, EngineError>>) {
        if let Err(error) = self.send_all(full) {
            // Who is gone has an error of its own.
            let _ = full.send(Err(error));
        }
    }

    fn send_all(
        &mut self,
        full: &SyncSender<Result<Full, EngineError>>,
    ) -> Result<(), EngineError> {
        let events_max = self.offline.cold().settings.file_events.max(1);
        let options = ReadOptions {
            sources: Some(vec![self.source.id]),
            after: self.ends.clone(),
            until: Some(self.offline.cut().clone()),
            ..ReadOptions::default()
        };
        let mut events = self.offline.log().read(options);
        let mut logged = LoggedEvent::blank();
        let mut columns = self.table.columns();
        while events.next_into(&mut logged).map_err(EngineError::log)? {
            self.source
                .schema
                .upgrade(&mut logged)
                .map_err(|reason| EngineError::schema(self.source, reason))?;
            columns
                .push(&logged, events.sequence())
                .map_err(EngineError::lake)?;
            let position = logged.position;
            let end = Offset(position.offset.0 + 1);
            self.ends.set_end(self.source.id, position.partition, end);
            if columns.len() >= events_max || columns.bytes() >= FILE_BYTES_MAX {
                let filled = std::mem::replace(&mut columns, self.table.columns());
                if !self.send(full, filled) {
                    return Ok(());
                }
            }
        }
        if !columns.is_empty() {
            self.send(full, columns);
        }
        Ok(())
    }

    /// Whether somebody takes it.
    fn send(&self, full: &SyncSender<Result<Full, EngineError>>, columns: TableColumns) -> bool {
        let ends = self.ends.clone();
        full.send(Ok(Full { columns, ends })).is_ok()
    }
}
