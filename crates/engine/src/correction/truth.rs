//! Files that say what a source's events are: read twice, as digests and as rows.
//!
//! Invariant: a truth is whole. A row that can be no event of the source refuses all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_connect::{FileOptions, FileSet};
use evenkeel_types::definition::{OptionValue, SourceDef};
use evenkeel_types::{Event, Origin, Partition, VisibleAt};
use evenkeel_view::SourceProgram;
use rustc_hash::FxHashMap;

use super::Period;
use super::held::{content_of, identity_of, refuse_more, version_of};
use super::matching::Row;
use crate::error::EngineError;
use crate::ingest::{file_options, stored_columns};
use crate::recorder::{Recorder, Verdict};

/// Rows that can be no events which an error names.
const REJECTED_SHOWN: usize = 5;

/// Files with the truth about a source.
#[derive(Debug)]
pub struct Truth {
    files: FileSet,
    options: FileOptions,
    /// Of each file, once its rows were read.
    digests: Vec<[u8; 16]>,
}

/// The truth's rows of a period.
#[derive(Debug, Default)]
pub(super) struct TruthRows {
    pub(super) rows: Vec<Row>,
    /// Of all files.
    pub(super) read: u64,
    pub(super) left_out: u64,
    pub(super) outside: u64,
}

/// What judges rows.
pub(super) struct Judge<'a> {
    pub(super) program: &'a SourceProgram,
    pub(super) recorder: &'a Recorder,
    pub(super) now: VisibleAt,
}

impl Truth {
    /// Opens the files that a path or pattern names, to be read as the source's own.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn open(source: &SourceDef, base: &Path, pattern: &str) -> Result<Self, EngineError> {
        let reads_files = matches!(
            source.options.get("connector"),
            Some(OptionValue::Text(connector)) if connector == "file"
        );
        let options = if reads_files {
            file_options(source)?.1
        } else {
            FileOptions {
                zone: source.zone.clone(),
                ..FileOptions::default()
            }
        };
        let files = FileSet::expand(base, pattern, &options).map_err(EngineError::connect)?;
        Ok(Truth {
            files,
            options,
            digests: Vec::new(),
        })
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.files.files().iter().map(|file| file.path().to_owned())
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.bytes()
    }

    /// The rows of a period, as digests. `progress` is told the bytes read.
    ///
    /// # Errors
    /// If a file cannot be read; [`EngineError::Truth`]; if the period has more rows than may be.
    pub(super) fn rows(
        &mut self,
        judge: &Judge<'_>,
        period: &Period,
        events_max: usize,
        progress: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<TruthRows, EngineError> {
        self.digests = self.digests_now()?;
        let mut found = TruthRows::default();
        let mut rejected = 0;
        let mut examples = Vec::new();
        let mut by_id: FxHashMap<u128, Row> = FxHashMap::default();
        let has_ids = !judge.program.def().event_id.is_empty();
        self.visit(judge, progress, &mut |number, origin, verdict| {
            found.read += 1;
            let mut reject = |code: &str, reason: String| {
                rejected += 1;
                if examples.len() < REJECTED_SHOWN {
                    examples.push(format!("{origin}: {code}: {reason}"));
                }
            };
            let event = match verdict {
                Verdict::Event(recordable) => recordable.event,
                Verdict::LeftOut => {
                    found.left_out += 1;
                    return Ok(());
                }
                Verdict::Rejected { code, reason, .. } => {
                    reject(code, reason);
                    return Ok(());
                }
            };
            if !period.contains(event.event_time) {
                found.outside += 1;
                return Ok(());
            }
            let row = row_of(judge.program, &event, number);
            if has_ids && let Some(same) = by_id.insert(row.identity, row) {
                // The same twice is said once.
                if same.content != row.content {
                    let other = same.number + 1;
                    let reason = format!(
                        "row {other} of the files has the same event id and time, and says otherwise"
                    );
                    reject("CONFLICT", reason);
                }
                by_id.insert(same.identity, same);
                return Ok(());
            }
            found.rows.push(row);
            refuse_more(judge.program.def(), found.rows.len(), events_max)
        })?;
        if rejected > 0 {
            return Err(EngineError::Truth {
                source_name: judge.program.def().name.clone(),
                rejected,
                examples,
            });
        }
        Ok(found)
    }

    /// The events of some rows of the period: `take` gets each, in the order of the numbers.
    ///
    /// # Errors
    /// If a file cannot be read, or is not what it was.
    pub(super) fn events(
        &self,
        judge: &Judge<'_>,
        wanted: &[Row],
        take: &mut dyn FnMut(usize, Event, Partition) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut next = 0;
        if !wanted.is_empty() {
            self.visit(judge, &mut |_| Ok(()), &mut |number, _, verdict| {
                let Some(row) = wanted.get(next).filter(|row| row.number == number) else {
                    return Ok(());
                };
                match verdict {
                    Verdict::Event(recordable)
                        if row_of(judge.program, &recordable.event, number) == *row =>
                    {
                        next += 1;
                        take(next - 1, recordable.event, recordable.partition)
                    }
                    _ => Err(self.changed()),
                }
            })?;
        }
        if next < wanted.len() {
            return Err(self.changed());
        }
        Ok(())
    }

    /// Refuses files that are not what they were when their rows were read.
    pub(super) fn refuse_changed(&self) -> Result<(), EngineError> {
        if self.digests_now()? == self.digests {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn digests_now(&self) -> Result<Vec<[u8; 16]>, EngineError> {
        let files = self.files.files().iter();
        files
            .map(|file| file.digest(&mut |_| ()).map_err(EngineError::connect))
            .collect()
    }

    fn changed(&self) -> EngineError {
        let path = self.paths().next().unwrap_or_default();
        EngineError::TruthChanged { path }
    }

    /// Every row of every file with its number among all, where it came from, and what becomes
    /// of it. A file with the bytes of another says nothing more.
    fn visit(
        &self,
        judge: &Judge<'_>,
        progress: &mut dyn FnMut(u64) -> Result<(), EngineError>,
        visit: &mut dyn FnMut(u64, &Origin, Verdict) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let columns = stored_columns(judge.program.def());
        let (mut number, mut bytes) = (0, 0);
        for (index, (file, &digest)) in self.files.files().iter().zip(&self.digests).enumerate() {
            if self.digests[..index].contains(&digest) {
                continue;
            }
            let reader = file.read(&columns, &self.options);
            let mut reader = reader.map_err(EngineError::connect)?;
            while let Some(batch) = reader.next() {
                let batch = batch.map_err(EngineError::connect)?;
                for (row, values) in batch.in_order() {
                    let origin = Origin::File { digest, row };
                    let verdict = match values {
                        Ok(values) => judge.recorder.judge(values, origin.clone(), judge.now),
                        Err(rejected) => Verdict::Rejected {
                            stored: Vec::new(),
                            code: "DECODE",
                            reason: rejected.in_words(),
                        },
                    };
                    visit(number, &origin, verdict)?;
                    number += 1;
                }
                progress(bytes + reader.progress().bytes)?;
            }
            bytes += file.bytes();
        }
        Ok(())
    }
}

fn row_of(program: &SourceProgram, event: &Event, number: u64) -> Row {
    let mut row = program.columns(&event.row);
    row[program.def().event_time_slot()] = evenkeel_types::Value::Timestamp(event.event_time.0);
    Row {
        identity: identity_of(program, event, &row),
        content: content_of(event),
        version: version_of(program, event, &row),
        number,
    }
}

/// The compiled rules of a source.
pub(super) fn rules(
    source: &Arc<SourceDef>,
    row_bytes: usize,
) -> Result<(SourceProgram, Recorder), EngineError> {
    let recorder = Recorder::new(Arc::clone(source), row_bytes)?;
    Ok((SourceProgram::new(Arc::clone(source)), recorder))
}
