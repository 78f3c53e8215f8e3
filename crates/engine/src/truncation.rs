//! Truncating the log: the bodies of events that the lake has leave it.
//!
//! Owns which segments may be truncated, and the proof that nothing is lost: every event of a segment is
//! read from the log and from the lake, the way it will be read from then on, and compared byte by byte,
//! before the segment is replaced. Invariant: whatever ends it, what was logged is read as before
//! (`docs/decisions/0035-truncation-of-the-log.md`).

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{Log, LogSegment, ReadOptions, Sequence, event_to_bytes};
use evenkeel_types::{LoggedEvent, SourceId, VisibleAt};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Offline;

/// After so many events it is asked whether to go on.
const ASK_EVERY: u64 = 4096;

/// Which segments are truncated.
#[derive(Clone, Copy, Debug, Default)]
pub struct TruncateOptions {
    /// Only those of which everything was logged before this time.
    pub before: Option<VisibleAt>,
    /// Compare only, change nothing.
    pub dry_run: bool,
}

/// What became of the log.
#[derive(Clone, Debug, Default)]
pub struct TruncateReport {
    /// Segments that were truncated now, or would be.
    pub truncated: u64,
    /// Segments that were truncated before.
    pub before: u64,
    /// Segments that stay whole.
    pub whole: u64,
    /// Events that were compared.
    pub events: u64,
    /// Bytes of what was truncated now, before and after; after a dry run the latter are unknown, and 0.
    pub bytes: (u64, u64),
    /// Why the first of those that stay does.
    pub stays: Option<String>,
}

/// What truncating needs, apart from the engine.
pub struct LogTruncation {
    log: Arc<Log>,
    offline: Offline,
    /// The first record that is not in the hot tier's checkpoint.
    checkpointed: Sequence,
}

impl Engine {
    /// What truncating the log needs, as of now: it is done with no hold on this.
    ///
    /// # Errors
    /// If the store is open for reading only.
    pub fn log_truncation(&self) -> Result<LogTruncation, EngineError> {
        Ok(LogTruncation {
            log: self.writer()?,
            offline: self.offline(),
            checkpointed: Sequence(self.hot().state().next_sequence),
        })
    }
}

impl LogTruncation {
    /// Truncates the segments that may be, from the oldest on, up to the first that may not; for the one that
    /// is appended to another is begun. `progress` is told how many records were compared, and how many
    /// there are in the log.
    ///
    /// # Errors
    /// [`EngineError::Stopped`], [`EngineError::LakeDiffers`]; if log or lake cannot be read or
    /// written. What was truncated before stays so.
    pub fn run(
        &self,
        options: &TruncateOptions,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<TruncateReport, EngineError> {
        let mut report = TruncateReport::default();
        let mut segments = self.log.segments().map_err(EngineError::log)?;
        let mut number = 0;
        while let Some(segment) = segments.get(number) {
            if segment.is_truncated {
                report.before += 1;
                number += 1;
                continue;
            }
            report.stays = self.reason_to_stay(segment, options)?;
            if report.stays.is_some() {
                break;
            }
            if !options.dry_run && self.log.is_written(segment) {
                // It is looked at once more: something may have been appended to it meanwhile.
                self.log.begin_segment().map_err(EngineError::log)?;
                segments = self.log.segments().map_err(EngineError::log)?;
                continue;
            }
            let total = self.log.next_sequence().0;
            self.compare(segment, &mut |events| {
                progress(report.events + events, total)
            })?;
            report.events += segment.end.0 - segment.first.0;
            if !options.dry_run {
                let bytes = self.log.truncate(segment).map_err(EngineError::log)?;
                report.bytes.0 += bytes.bytes_before;
                report.bytes.1 += bytes.bytes_after;
            }
            report.truncated += 1;
            number += 1;
        }
        report.whole = (segments.len() - number) as u64;
        Ok(report)
    }

    /// Why a segment must stay as it is.
    fn reason_to_stay(
        &self,
        segment: &LogSegment,
        options: &TruncateOptions,
    ) -> Result<Option<String>, EngineError> {
        if options
            .before
            .is_some_and(|before| segment.last_logged_at >= before)
        {
            return Ok(Some(format!(
                "its last event was logged at {}",
                segment.last_logged_at
            )));
        }
        if segment.end > self.checkpointed {
            return Ok(Some(
                "the hot tier's checkpoint does not have all of it yet".to_owned(),
            ));
        }
        let is_in =
            |(id, partition, end): &(SourceId, _, _)| *end > segment.after.end(*id, *partition);
        let ends: Vec<_> = segment.until.iter().filter(is_in).collect();
        let mut sources: Vec<SourceId> = ends.iter().map(|(id, ..)| *id).collect();
        sources.dedup();
        let events = self.offline.events_of_tables(&sources)?;
        for (id, partition, end) in ends {
            let Some(def) = self.offline.catalog().source_by_id(id) else {
                return Ok(Some(format!("source {} is not defined", id.0)));
            };
            if events.covered().end(id, partition) < end {
                return Ok(Some(format!(
                    "the lake does not have all events of `{}` that are in it: `evenkeel flush`",
                    def.name
                )));
            }
        }
        Ok(None)
    }

    /// Compares each event of a segment with what the lake has in its place.
    fn compare(
        &self,
        segment: &LogSegment,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let options = ReadOptions {
            from: segment.first,
            after: segment.after.clone(),
            until: Some(segment.until.clone()),
            ..ReadOptions::default()
        };
        let mut here = self.log.read(options.clone());
        let mut there = self.log.read_older(options);
        let (mut logged, mut older) = (LoggedEvent::blank(), LoggedEvent::blank());
        let mut events: u64 = 0;
        while here.next_into(&mut logged).map_err(EngineError::log)? {
            let found = there.next_into(&mut older).map_err(EngineError::log)?;
            if !found || !self.is_same(&mut logged, &mut older)? {
                let def = self.offline.catalog().source_by_id(logged.source);
                return Err(EngineError::LakeDiffers {
                    source_name: def.map_or_else(String::new, |def| def.name.clone()),
                    position: logged.position,
                });
            }
            events += 1;
            if events.is_multiple_of(ASK_EVERY) && progress(events).is_break() {
                return Err(EngineError::Stopped);
            }
        }
        Ok(())
    }

    fn is_same(
        &self,
        logged: &mut LoggedEvent,
        older: &mut LoggedEvent,
    ) -> Result<bool, EngineError> {
        let Some(def) = self.offline.catalog().source_by_id(logged.source) else {
            return Ok(false);
        };
        let upgraded = |event: &mut LoggedEvent| {
            let upgraded = def.schema.upgrade(event);
            upgraded.map_err(|reason| EngineError::schema(def, reason))
        };
        upgraded(logged)?;
        upgraded(older)?;
        let bytes = |event: &LoggedEvent| {
            event_to_bytes(&event.event, event.position).map_err(EngineError::log)
        };
        Ok(logged.source == older.source
            && logged.position == older.position
            && logged.logged_at == older.logged_at
            && bytes(logged)? == bytes(older)?)
    }
}
