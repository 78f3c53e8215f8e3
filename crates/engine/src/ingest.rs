//! Files into the log: decode, judge, log, apply, batch by batch.
//!
//! A row is logged once, however often its file is ingested: its identity and payload are
//! known. Rejected rows go to the dead letters in the commit of the events around them;
//! the loser of a conflict follows in the next, and is found again when a store is opened
//! whose process died in between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use evenkeel_connect::{
    ColumnSpec, FileOptions, FileSet, RejectedRow, RowBatch, SourceFile, value_to_json,
};
use evenkeel_log::{Batch, DeadLetter};
use evenkeel_types::definition::{OptionValue, SourceDef};
use evenkeel_types::{DataType, EventTime, LoggedEvent, Origin, Position, Value, VisibleAt};

use crate::api::{IngestProgress, IngestReport};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::{Accepted, Group};
use crate::push::{Pusher, Write, Written};
use crate::recorder::{Recorder, Verdict};

impl Engine {
    /// Ingests the files of a source: those of its definition, or one given instead.
    pub fn ingest(
        &mut self,
        source: &str,
        path_override: Option<&Path>,
        progress: &mut dyn FnMut(&IngestProgress),
    ) -> Result<IngestReport, EngineError> {
        let def = self.source_def(source)?;
        let (pattern, options) = file_options(&def)?;
        let files = match path_override {
            None => FileSet::expand(&self.project().root, &pattern, &options),
            Some(path) => FileSet::expand(Path::new(""), &path.to_string_lossy(), &options),
        }
        .map_err(EngineError::connect)?;
        self.heal()?;
        let mut intake = Intake::new(self, def)?;
        let mut so_far = IngestProgress {
            bytes_total: files.bytes(),
            ..IngestProgress::default()
        };
        for file in files.files() {
            so_far.file = file.path().display().to_string();
            intake.file(self, file, &options, &mut so_far, progress)?;
        }
        self.checkpoint()?;
        Ok(intake.report)
    }

    /// Drives dead letters again: their original records are judged by today's definition.
    /// Those that become events are done; the others stay.
    pub fn redrive(&mut self, source: &str, ids: &[u64]) -> Result<IngestReport, EngineError> {
        let source = self.source_def(source)?;
        let write = Write::Redrive {
            source,
            ids: Some(ids.to_vec()),
        };
        match self.write(&mut Pusher::default(), write)? {
            Written::Redriven(report) => Ok(report),
            Written::Pushed(_) => unreachable!("dead letters are answered with a report"),
        }
    }
}

/// What takes the rows of files into one source: judged row by row, logged in groups.
pub(crate) struct Intake {
    pub(crate) def: Arc<SourceDef>,
    recorder: Recorder,
    pub(crate) report: IngestReport,
    /// Origins that are dead letters already.
    dead: BTreeSet<Origin>,
    /// What is judged and not yet logged.
    pending: Group,
    pub(crate) rows_pending: u64,
    /// The greatest event time of all rows judged.
    pub(crate) greatest_time: Option<EventTime>,
}

impl Intake {
    pub(crate) fn new(engine: &Engine, def: Arc<SourceDef>) -> Result<Self, EngineError> {
        // Refused before anything is read where the store is open for reading only.
        engine.log()?;
        let recorder = Recorder::new(Arc::clone(&def), engine.project().limits.row_bytes)?;
        let dead = engine
            .open_letters(&def)?
            .into_iter()
            .filter_map(|l| l.letter.origin)
            .collect();
        let report = IngestReport {
            source: def.name.clone(),
            ..IngestReport::default()
        };
        Ok(Intake {
            def,
            recorder,
            report,
            dead,
            pending: Group::default(),
            rows_pending: 0,
            greatest_time: None,
        })
    }

    fn file(
        &mut self,
        engine: &mut Engine,
        file: &SourceFile,
        options: &FileOptions,
        so_far: &mut IngestProgress,
        progress: &mut dyn FnMut(&IngestProgress),
    ) -> Result<(), EngineError> {
        let digest = file.digest(&mut |_| ()).map_err(EngineError::connect)?;
        let columns = stored_columns(&self.def);
        let mut reader = file.read(&columns, options).map_err(EngineError::connect)?;
        let bytes_before = so_far.bytes_done;
        let rows_before = so_far.rows;
        while let Some(batch) = reader.next() {
            let batch = batch.map_err(EngineError::connect)?;
            self.batch(engine, &batch, digest, 0)?;
            self.commit(engine)?;
            let done = reader.progress();
            so_far.bytes_done = bytes_before + done.bytes;
            so_far.rows = rows_before + done.rows;
            progress(so_far);
        }
        self.report.files += 1;
        so_far.bytes_done = bytes_before + file.bytes();
        progress(so_far);
        Ok(())
    }

    /// Judges the rows of a file, those before row number `from` left out.
    pub(crate) fn batch(
        &mut self,
        engine: &Engine,
        batch: &RowBatch,
        digest: [u8; 16],
        from: u64,
    ) -> Result<(), EngineError> {
        let timeline = engine.timeline();
        for (slot, &row) in batch.rows.iter().enumerate() {
            if row >= from {
                let stored: Vec<Value> = batch.columns.iter().map(|c| c.get(slot)).collect();
                self.row(engine, stored, Origin::File { digest, row }, timeline)?;
            }
        }
        for rejected in batch.rejected.iter().filter(|r| r.row >= from) {
            let origin = Origin::File {
                digest,
                row: rejected.row,
            };
            let reason = reason_of(rejected);
            self.report.rows += 1;
            self.rows_pending += 1;
            self.reject(origin, "DECODE", reason, rejected.record.clone());
        }
        Ok(())
    }

    fn row(
        &mut self,
        engine: &Engine,
        stored: Vec<Value>,
        origin: Origin,
        timeline: VisibleAt,
    ) -> Result<(), EngineError> {
        self.report.rows += 1;
        self.rows_pending += 1;
        match self
            .recorder
            .judge(stored.clone(), origin.clone(), timeline)
        {
            Verdict::Event { event, partition } => {
                self.greatest_time = self.greatest_time.max(Some(event.event_time));
                let accepted = self.pending.accept(engine, &self.def, *event, partition)?;
                if matches!(accepted, Accepted::Duplicate { .. }) {
                    self.report.duplicates += 1;
                }
            }
            Verdict::LeftOut => self.report.left_out += 1,
            Verdict::Rejected { code, reason } => {
                let record = record_of(&self.def, &stored);
                self.reject(origin, code, reason, record);
            }
        }
        Ok(())
    }

    fn reject(&mut self, origin: Origin, code: &str, reason: String, record: String) {
        *self.report.rejected.entry(code.to_owned()).or_default() += 1;
        if self.report.first_rejected.is_none() {
            self.report.first_rejected = Some(format!("{origin}: {reason}"));
        }
        if self.dead.insert(origin.clone()) {
            let letter = DeadLetter {
                origin: Some(origin),
                code: code.to_owned(),
                reason,
                record: record.into_bytes(),
                position: None,
            };
            self.pending.reject(self.def.id, letter);
        }
    }

    /// Logs what is pending, applies it, and logs the losers of its conflicts.
    pub(crate) fn commit(&mut self, engine: &mut Engine) -> Result<(), EngineError> {
        engine.heal()?;
        self.rows_pending = 0;
        let pending = std::mem::take(&mut self.pending);
        let losers = engine.append(pending.into_batches())?;
        self.report.recorded += losers.recorded;
        self.report.conflicts += losers.positions.len() as u64;
        engine.log_conflicts(&self.def, &losers.positions)?;
        let told = losers.positions.into_iter().map(|p| (self.def.id, p));
        engine.forget_told(&told.collect::<Vec<_>>());
        engine.checkpoint_if_due()
    }
}

/// What an append did.
#[derive(Debug, Default)]
pub(crate) struct AppendOutcome {
    /// Events logged and applied.
    pub(crate) recorded: u64,
    /// Positions of payloads that lost a conflict.
    pub(crate) positions: Vec<Position>,
}

impl Engine {
    /// Logs batches in one commit and applies their events.
    pub(crate) fn append(&mut self, batches: Vec<Batch>) -> Result<AppendOutcome, EngineError> {
        let batches: Vec<Batch> = batches.into_iter().filter(|b| b.count() > 0).collect();
        if batches.is_empty() {
            return Ok(AppendOutcome::default());
        }
        let appended = self.log()?.append(&batches).map_err(EngineError::log)?;
        let mut outcome = AppendOutcome::default();
        for (batch, place) in batches.into_iter().zip(appended) {
            let Batch::Events {
                schema_version,
                events,
                ..
            } = batch
            else {
                continue;
            };
            for logged in place.logged(schema_version, events) {
                outcome.recorded += 1;
                outcome.positions.extend(self.apply_logged(logged)?);
            }
        }
        Ok(outcome)
    }

    /// Dead letters for payloads that lost a conflict.
    pub(crate) fn log_conflicts(
        &mut self,
        def: &SourceDef,
        losers: &[Position],
    ) -> Result<(), EngineError> {
        let letters = losers
            .iter()
            .map(|&position| self.conflict_letter(def, position))
            .collect::<Result<Vec<_>, EngineError>>()?;
        self.append(vec![Batch::DeadLetters {
            source: def.id,
            letters,
        }])?;
        Ok(())
    }

    /// The dead letter of a payload that lost a conflict.
    pub(crate) fn conflict_letter(
        &self,
        def: &SourceDef,
        position: Position,
    ) -> Result<DeadLetter, EngineError> {
        let logged = self.event_at(def, position)?;
        Ok(DeadLetter {
            origin: Some(logged.event.origin.clone()),
            code: "CONFLICT".to_owned(),
            reason: "another event has this identity and a smaller payload".to_owned(),
            record: record_of(def, &logged.event.row).into_bytes(),
            position: Some(position),
        })
    }

    /// The event at a position that is known to hold one.
    pub(crate) fn event_at(
        &self,
        def: &SourceDef,
        position: Position,
    ) -> Result<LoggedEvent, EngineError> {
        fetch(self.reader(), def, position)
    }
}

/// The event of a source at a position that is known to hold one, with the columns and types
/// that the source has now.
pub(crate) fn fetch(
    reader: &evenkeel_log::LogReader,
    def: &SourceDef,
    position: Position,
) -> Result<LoggedEvent, EngineError> {
    let mut logged = reader
        .event(def.id, position)
        .map_err(EngineError::log)?
        .ok_or_else(|| EngineError::EventDoesNotFit {
            source_name: def.name.clone(),
            reason: format!("nothing is logged at {position}"),
        })?;
    def.schema
        .upgrade(&mut logged)
        .map_err(|reason| EngineError::schema(def, reason))?;
    Ok(logged)
}

/// The files and the options of a source's definition.
pub(crate) fn file_options(def: &SourceDef) -> Result<(String, FileOptions), EngineError> {
    let connector = match def.options.get("connector") {
        Some(OptionValue::Text(text)) => text.clone(),
        _ => "none".to_owned(),
    };
    if connector != "file" {
        return Err(EngineError::NotAFileSource {
            source_name: def.name.clone(),
            connector,
        });
    }
    FileOptions::from_source(&options_of_file(&def.options), &def.zone)
        .map_err(EngineError::connect)
}

/// A source's options without those that are no matter of the file: what its rows mean, and
/// what the log does with the events.
pub(crate) fn options_of_file(
    options: &BTreeMap<String, OptionValue>,
) -> BTreeMap<String, OptionValue> {
    let mut options = options.clone();
    options.retain(|name, _| !matches!(name.as_str(), "operation" | "partitions" | "zone"));
    options
}

/// The columns of a source as files and pushes have them.
pub fn stored_columns(def: &SourceDef) -> Vec<ColumnSpec> {
    let added = def.schema.first_width();
    let columns = def.columns[..def.stored].iter().enumerate();
    columns
        .map(|(slot, c)| {
            let spec = ColumnSpec::new(c.name.clone(), c.data_type.clone());
            // Files from before it was added do not have it.
            if slot < added { spec } else { spec.optional() }
        })
        .collect()
}

fn reason_of(rejected: &RejectedRow) -> String {
    let place = match (rejected.line, &rejected.column) {
        (Some(line), Some(column)) => format!("line {line}, column `{column}`: "),
        (Some(line), None) => format!("line {line}: "),
        (None, Some(column)) => format!("row {}, column `{column}`: ", rejected.row),
        (None, None) => format!("row {}: ", rejected.row),
    };
    format!("{place}{}", rejected.reason)
}

/// A row as a JSON object of its stored columns.
pub(crate) fn record_of(def: &SourceDef, stored: &[Value]) -> String {
    let mut object = serde_json::Map::new();
    for (column, value) in def.columns.iter().zip(stored) {
        object.insert(column.name.clone(), value_to_json(&column.data_type, value));
    }
    serde_json::Value::Object(object).to_string()
}

/// A field of a dead letter's record. The records of text files hold texts, whatever the
/// column's type; an empty one is NULL, as in the file.
fn decode_field(
    def: &SourceDef,
    data_type: &DataType,
    value: &serde_json::Value,
) -> Result<Value, evenkeel_connect::ValueError> {
    match value {
        serde_json::Value::String(text) if *data_type != DataType::String => {
            if text.is_empty() {
                return Ok(Value::Null);
            }
            evenkeel_connect::text_to_value(data_type, text, &def.zone)
        }
        other => evenkeel_connect::json_to_value(data_type, other, &def.zone),
    }
}

/// The stored columns of a dead letter's record; the reason in words if it has none.
pub(crate) fn decode_record(def: &SourceDef, record: &[u8]) -> Result<Vec<Value>, String> {
    let json: serde_json::Value =
        serde_json::from_slice(record).map_err(|e| format!("the record is not JSON: {e}"))?;
    let object = json.as_object().ok_or("the record is not a JSON object")?;
    def.columns[..def.stored]
        .iter()
        .map(|column| match object.get(&column.name) {
            None => Ok(Value::Null),
            Some(value) => decode_field(def, &column.data_type, value)
                .map_err(|e| format!("column `{}`: {e}", column.name)),
        })
        .collect()
}
