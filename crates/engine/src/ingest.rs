//! Files into the log: decoded here, judged and logged by whoever takes their rows, batch by
//! batch.
//!
//! A row is logged once, however often its file is ingested: its identity and payload are
//! known. Rejected rows go to the dead letters in the commit of the events around them;
//! the loser of a conflict follows in the next, and is found again when a store is opened
//! whose process died in between.
//!
//! Who takes the rows is an engine, or a server that holds one's store
//! (`docs/decisions/0018-files-beside-a-server.md`); a report is the same either way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use evenkeel_connect::{
    ColumnSpec, Debezium, FileOptions, FileRow, FileRows, FileSet, Format, SourceFile,
    value_to_json,
};
use evenkeel_log::{Batch, DeadLetter};
use evenkeel_store::StoreError;
use evenkeel_types::definition::{OptionValue, SourceDef};
use evenkeel_types::{DataType, EventTime, LoggedEvent, Origin, Position, Value, Zone};

use crate::api::{IngestProgress, IngestReport};
use crate::batch::refuse_by_hand;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::CheckpointWritten;
use crate::push::{ConsideredRows, Earlier, PushAnswer, Pusher, Write, Written, append};
use crate::reads::refuse_derived;
use crate::recorder::Recorder;

/// Batches of a file that are decoded ahead of the one that is taken.
const BATCHES_AHEAD: usize = 2;
/// Batches of files that are logged before derived streams emit for them: a thread that helps stays for that long.
/// What is new in memory is looked after between them, so they are few.
const UNEMITTED_BATCHES_MAX: usize = 4;

/// Makes of the rows of a file what their sink takes, on another thread than it.
pub type Prepare<P> = Box<dyn Fn(FileRows) -> P + Send>;

/// Takes the rows of files into a source: judges, logs and applies them.
pub trait RowSink {
    /// Why it cannot.
    type Error: From<EngineError>;
    /// What it takes.
    type Prepared: Send;

    /// What makes of rows what it takes: as much of the work as needs nobody to wait.
    ///
    /// # Errors
    /// If it takes no rows of the source.
    fn prepare(&self, source: &Arc<SourceDef>) -> Result<Prepare<Self::Prepared>, Self::Error>;

    /// Takes rows that were prepared: as [`RowSink::take`].
    fn take_prepared(
        &mut self,
        source: &Arc<SourceDef>,
        rows: Self::Prepared,
    ) -> Result<IngestReport, Self::Error>;

    /// Takes rows of files, in their order: what became of them. When it answers they are
    /// durable and applied.
    fn take(
        &mut self,
        source: &Arc<SourceDef>,
        parts: Vec<FileRows>,
    ) -> Result<IngestReport, Self::Error>;

    /// Nothing came: what is under way beside it may end.
    fn rest(&mut self) {}

    /// Nothing more comes: what is opened next should have nothing to replay.
    fn finish(&mut self) -> Result<(), Self::Error>;

    /// Now.
    fn now(&self) -> EventTime;
}

/// An engine that takes many rows. Its checkpoints are written beside it.
pub struct Intake<'e> {
    engine: &'e mut Engine,
    pusher: Pusher,
    /// The checkpoint that is being written.
    checkpoint: Option<JoinHandle<Result<CheckpointWritten, StoreError>>>,
    /// Batches that were written and not emitted for.
    unemitted: usize,
}

impl<'e> Intake<'e> {
    /// Of an engine.
    pub fn new(engine: &'e mut Engine) -> Self {
        Intake {
            engine,
            pusher: Pusher::default(),
            checkpoint: None,
            unemitted: 0,
        }
    }

    /// Writes rows that were considered: when it answers they are durable and applied.
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn write_considered(
        &mut self,
        source: &Arc<SourceDef>,
        rows: ConsideredRows,
    ) -> Result<PushAnswer, EngineError> {
        let source = Arc::clone(source);
        self.write(Write::Considered { source, rows }, true)
    }

    fn write(&mut self, write: Write, emits: bool) -> Result<PushAnswer, EngineError> {
        self.look_after_checkpoint();
        let written = self
            .engine
            .write_beside_checkpoint(&mut self.pusher, write, emits)?;
        if emits {
            self.unemitted = 0;
        }
        match written {
            Written::Pushed(answer) => Ok(answer),
            _ => unreachable!("rows are answered as pushed"),
        }
    }

    /// Derived streams emit for what was written.
    fn emit(&mut self) {
        if self.unemitted > 0 {
            self.unemitted = 0;
            self.engine.emit();
        }
    }

    /// Ends the checkpoint that was written, and begins the next if enough is new for one. What is
    /// new while one is written has its share of the memory; if that is used up, its end is waited
    /// for.
    fn look_after_checkpoint(&mut self) {
        let must_wait = self.engine.is_checkpoint_due();
        let is_written = self
            .checkpoint
            .as_ref()
            .is_some_and(JoinHandle::is_finished);
        if must_wait || is_written {
            self.end_checkpoint();
        }
        if self.checkpoint.is_some() || !self.engine.is_checkpoint_worth_it() {
            return;
        }
        if self.engine.is_untold() {
            // Tried again at the next write, and at the end.
            let _ = self.engine.tell();
        }
        if let Some(checkpoint) = self.engine.begin_checkpoint_now() {
            self.checkpoint = Some(beside(move || checkpoint.write()));
        }
    }

    /// Waits for the checkpoint that is being written.
    fn end_checkpoint(&mut self) {
        let Some(thread) = self.checkpoint.take() else {
            return;
        };
        match thread.join() {
            Ok(Ok(written)) => {
                // What it gives back holds the tables: they may be closed as soon as this is done.
                drop(self.engine.end_checkpoint(written));
            }
            // What is written is durable and seen, whatever becomes of a checkpoint: the next
            // write finds the hot tier closed.
            Ok(Err(error)) => self.engine.checkpoint_failed(&error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Works on another thread.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "an intake is the edge: one thread writes a checkpoint"
    )]
    std::thread::spawn(work)
}

impl Drop for Intake<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.emit();
            self.end_checkpoint();
        }
    }
}

impl RowSink for Intake<'_> {
    type Error = EngineError;
    type Prepared = ConsideredRows;

    fn prepare(&self, source: &Arc<SourceDef>) -> Result<Prepare<ConsideredRows>, EngineError> {
        let row_bytes = self.engine.project().limits.row_bytes;
        let recorder = Recorder::new(Arc::clone(source), row_bytes)?;
        Ok(Box::new(move |rows| ConsideredRows::of(&recorder, rows)))
    }

    fn take_prepared(
        &mut self,
        source: &Arc<SourceDef>,
        rows: ConsideredRows,
    ) -> Result<IngestReport, EngineError> {
        let origins = rows.origins();
        let mut report = IngestReport {
            source: source.name.clone(),
            ..IngestReport::default()
        };
        // More comes, and nobody reads meanwhile.
        self.unemitted += 1;
        let emits = self.unemitted >= UNEMITTED_BATCHES_MAX;
        let source = Arc::clone(source);
        let answer = self.write(Write::Considered { source, rows }, emits)?;
        report.count(&answer, |i| origins[i].to_string());
        Ok(report)
    }

    fn take(
        &mut self,
        source: &Arc<SourceDef>,
        parts: Vec<FileRows>,
    ) -> Result<IngestReport, EngineError> {
        let rows: Vec<FileRow> = parts.into_iter().flat_map(FileRows::in_order).collect();
        let origins = origins_of(&rows);
        let source = Arc::clone(source);
        let mut report = IngestReport {
            source: source.name.clone(),
            ..IngestReport::default()
        };
        let answer = self.write(Write::Files { source, rows }, true)?;
        report.count(&answer, |i| origins[i].to_string());
        Ok(report)
    }

    fn rest(&mut self) {
        self.emit();
        self.look_after_checkpoint();
    }

    fn finish(&mut self) -> Result<(), EngineError> {
        self.emit();
        self.end_checkpoint();
        self.engine.checkpoint()
    }

    fn now(&self) -> EventTime {
        self.engine.now()
    }
}

/// Where rows of files came from.
pub fn origins_of(rows: &[FileRow]) -> Vec<Origin> {
    let origin = |row: &FileRow| Origin::File {
        digest: row.file,
        row: row.number,
    };
    rows.iter().map(origin).collect()
}

/// Ingests the files of a source: those of its definition, relative to the project's folder, or
/// one given instead.
///
/// # Errors
/// If there is no such file, or it cannot be read as the source's; of whoever takes the rows.
pub fn ingest_files<S: RowSink>(
    sink: &mut S,
    source: &Arc<SourceDef>,
    root: &Path,
    path_override: Option<&Path>,
    progress: &mut dyn FnMut(&IngestProgress),
) -> Result<IngestReport, S::Error> {
    refuse_by_hand(source)?;
    let (pattern, options) = file_options(source)?;
    let files = match path_override {
        None => FileSet::expand(root, &pattern, &options),
        Some(path) => FileSet::expand(Path::new(""), &path.to_string_lossy(), &options),
    }
    .map_err(EngineError::connect)?;
    let mut report = IngestReport {
        source: source.name.clone(),
        ..IngestReport::default()
    };
    let mut so_far = IngestProgress {
        bytes_total: files.bytes(),
        ..IngestProgress::default()
    };
    for file in files.files() {
        so_far.file = file.path().display().to_string();
        ingest_file(
            sink,
            source,
            file,
            &options,
            &mut report,
            &mut |bytes, rows| {
                progress(&IngestProgress {
                    bytes_done: so_far.bytes_done + bytes,
                    rows: so_far.rows + rows,
                    ..so_far.clone()
                });
            },
        )?;
        so_far.bytes_done += file.bytes();
        so_far.rows = report.rows;
        report.files += 1;
        progress(&so_far);
    }
    sink.finish()?;
    Ok(report)
}

fn ingest_file<S: RowSink>(
    sink: &mut S,
    source: &Arc<SourceDef>,
    file: &SourceFile,
    options: &FileOptions,
    report: &mut IngestReport,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), S::Error> {
    let digest = file.digest(&mut |_| ());
    let digest = digest.map_err(EngineError::connect)?;
    let columns = stored_columns(source);
    let reader = file.read(&columns, options);
    let mut reader = reader.map_err(EngineError::connect)?;
    let prepare = sink.prepare(source)?;
    let (ahead, batches) = sync_channel(BATCHES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(batch) = reader.next() {
                let rows = batch.map(|rows| prepare(FileRows { file: digest, rows }));
                // Nobody takes more after an error.
                if ahead.send((rows, reader.progress())).is_err() {
                    break;
                }
            }
        });
        for (rows, done) in batches {
            let rows = rows.map_err(EngineError::connect)?;
            report.add(sink.take_prepared(source, rows)?);
            progress(done.bytes, done.rows);
        }
        Ok(())
    })
}

impl Engine {
    /// Ingests the files of a source: those of its definition, or one given instead.
    pub fn ingest(
        &mut self,
        source: &str,
        path_override: Option<&Path>,
        progress: &mut dyn FnMut(&IngestProgress),
    ) -> Result<IngestReport, EngineError> {
        let def = self.source_def(source)?;
        // Refused before anything is read where the store is open for reading only.
        self.log()?;
        let root = self.project().root.clone();
        ingest_files(&mut Intake::new(self), &def, &root, path_override, progress)
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
            _ => unreachable!("dead letters are answered with a report"),
        }
    }
}

impl Engine {
    /// Logs dead letters for payloads that lost a conflict.
    pub(crate) fn log_conflicts(
        &self,
        def: &SourceDef,
        losers: &[Position],
    ) -> Result<(), EngineError> {
        let letters = losers
            .iter()
            .map(|&position| self.conflict_letter(def, position, &Earlier::default()))
            .collect::<Result<Vec<_>, EngineError>>()?;
        if letters.is_empty() {
            return Ok(());
        }
        let batch = Batch::DeadLetters {
            source: def.id,
            letters,
        };
        append(self.log()?, &[batch]).map(drop)
    }

    /// The dead letter of a payload that lost a conflict; what is known need not be read.
    pub(crate) fn conflict_letter(
        &self,
        def: &SourceDef,
        position: Position,
        known: &Earlier,
    ) -> Result<DeadLetter, EngineError> {
        let logged = fetch_unless_known(self.reader(), def, position, known)?;
        Ok(DeadLetter {
            origin: Some(logged.event.origin.clone()),
            code: "CONFLICT".to_owned(),
            reason:
                "another event of this identity holds: one with a smaller payload, or a correction"
                    .to_owned(),
            record: record_of(def, &logged.event.row).into_bytes(),
            position: Some(position),
        })
    }
}

/// The event of a source at a position that is known to hold one, with the columns and types
/// that the source has now.
pub(crate) fn fetch(
    reader: &evenkeel_log::LogReader,
    def: &SourceDef,
    position: Position,
) -> Result<LoggedEvent, EngineError> {
    fetch_unless_known(reader, def, position, &Earlier::default())
}

/// The same; what is known is not read.
pub(crate) fn fetch_unless_known(
    reader: &evenkeel_log::LogReader,
    def: &SourceDef,
    position: Position,
    known: &Earlier,
) -> Result<LoggedEvent, EngineError> {
    let found = match known.get(&(def.id, position)) {
        Some(known) => Some(known.clone()),
        None => reader.event(def.id, position).map_err(EngineError::log)?,
    };
    let mut logged = found.ok_or_else(|| nothing_at(def, position))?;
    def.schema
        .upgrade(&mut logged)
        .map_err(|reason| EngineError::schema(def, reason))?;
    Ok(logged)
}

/// Nothing is where an event must be.
pub(crate) fn nothing_at(def: &SourceDef, position: Position) -> EngineError {
    EngineError::EventDoesNotFit {
        source_name: def.name.clone(),
        reason: format!("nothing is logged at {position}"),
    }
}

/// The files and the options of a source's definition.
pub(crate) fn file_options(def: &SourceDef) -> Result<(String, FileOptions), EngineError> {
    refuse_derived(def)?;
    let (pattern, mut options) = file_options_of(&def.name, &def.options, &def.zone)?;
    let key = def.primary_key.iter().map(|slot| &def.columns[*slot].name);
    options.changes.key = key.cloned().collect();
    Ok((pattern, options))
}

/// The files and the options of a source with these options and this zone.
///
/// # Errors
/// If it reads no files, or an option is none of files.
pub fn file_options_of(
    source: &str,
    options: &BTreeMap<String, OptionValue>,
    zone: &Zone,
) -> Result<(String, FileOptions), EngineError> {
    let connector = match options.get("connector") {
        Some(OptionValue::Text(text)) => text.clone(),
        _ => "none".to_owned(),
    };
    if connector != "file" {
        return Err(EngineError::NotAFileSource {
            source_name: source.to_owned(),
            connector,
        });
    }
    FileOptions::from_source(&options_of_file(options), zone).map_err(EngineError::connect)
}

/// A source's options without those that are no matter of the file: what its rows mean, and
/// what the log does with the events.
pub(crate) fn options_of_file(
    options: &BTreeMap<String, OptionValue>,
) -> BTreeMap<String, OptionValue> {
    let mut options = options.clone();
    let is_other =
        |name: &str| matches!(name, "partitions" | "zone") || name.starts_with("compare_");
    options.retain(|name, _| !is_other(name));
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
            let zeros_are_null =
                || def.options.get("zero_dates") == Some(&OptionValue::Text("null".to_owned()));
            if text.is_empty() || (is_zero_date(data_type, text) && zeros_are_null()) {
                return Ok(Value::Null);
            }
            evenkeel_connect::text_to_value(data_type, text, &def.zone)
        }
        other => evenkeel_connect::json_to_value(data_type, other, &def.zone),
    }
}

/// Whether a text is a date with a month or a day of zeros, as a database has it (`2026-00-10`).
fn is_zero_date(data_type: &DataType, text: &str) -> bool {
    let month_and_day = text.get(4..10).filter(|part| part.starts_with('-'));
    matches!(data_type, DataType::Date | DataType::Timestamp)
        && month_and_day.is_some_and(|part| part.starts_with("-00") || part.ends_with("-00"))
}

/// The stored columns of a dead letter's record; the reason in words if it has none.
pub(crate) fn decode_record(def: &SourceDef, record: &[u8]) -> Result<Vec<Value>, String> {
    let json: serde_json::Value =
        serde_json::from_slice(record).map_err(|e| format!("the record is not JSON: {e}"))?;
    let object = json.as_object().ok_or("the record is not a JSON object")?;
    let columns = &def.columns[..def.stored];
    if !columns
        .iter()
        .all(|column| object.contains_key(&column.name))
        && let Ok((_, options)) = file_options(def)
        && options.format == Some(Format::Debezium)
    {
        let text =
            std::str::from_utf8(record).map_err(|e| format!("the record is no text: {e}"))?;
        return Debezium::new(&stored_columns(def).into(), &options).values_of(text);
    }
    columns
        .iter()
        .map(|column| match object.get(&column.name) {
            None => Ok(Value::Null),
            Some(value) => decode_field(def, &column.data_type, value)
                .map_err(|e| format!("column `{}`: {e}", column.name)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;
    use crate::push::PushedRow;

    #[test]
    fn zero_dates_of_dead_letters_are_what_the_source_says_by_now() {
        let source = |option: &str| {
            let sql = format!(
                "CREATE TABLE t (id INT, name STRING, born DATE, seen TIMESTAMP, op STRING, at TIMESTAMP, place BIGINT,
                 PRIMARY KEY (id), EVENT TIME at, SEQUENCE BY (place)) WITH (connector = 'mysql', table = 'd.t',
                 url = 'mysql://a@localhost:3306', operation = 'op', change_time = 'at', change_position = 'place'{option})"
            );
            let (statements, errors) = evenkeel_ddl::parse_statements(&sql);
            assert!(errors.is_empty(), "{errors:?}");
            let catalog = evenkeel_types::definition::Catalog::default();
            let bound = evenkeel_ddl::bind(&statements[0], &catalog, &catalog).unwrap();
            match bound.definition {
                evenkeel_types::definition::Definition::Source(source) => source,
                other => panic!("{other:?}"),
            }
        };
        let record = |born: &str, seen: &str| {
            let at = "2026-03-01T10:00:00Z";
            serde_json::json!({"id": 1, "name": "0000-00-00", "born": born, "seen": seen, "op": "r", "at": at, "place": 1})
                .to_string()
                .into_bytes()
        };
        let (refusing, allowing) = (source(""), source(", zero_dates = 'null'"));
        for (born, seen) in [
            ("0000-00-00", "0000-00-00 00:00:00"),
            ("2026-00-10", "2026-10-00 09:00:00.5"),
        ] {
            let record = record(born, seen);
            assert!(decode_record(&refusing, &record).is_err());
            let row = decode_record(&allowing, &record).unwrap();
            assert_eq!(
                row[1..4],
                [Value::string("0000-00-00"), Value::Null, Value::Null]
            );
        }
        let dated = record("2026-10-10", "2026-10-10 00:00:00");
        let row = decode_record(&allowing, &dated).unwrap();
        assert_eq!(row, decode_record(&refusing, &dated).unwrap());
        assert!(!row[2].is_missing() && !row[3].is_missing());
    }

    #[test]
    fn a_checkpoint_that_is_written_ends_though_nothing_comes() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
        let definitions = "
            CREATE ENTITY shop (shop BIGINT);
            CREATE STREAM sales (n BIGINT, shop BIGINT, at TIMESTAMP, EVENT ID (n), EVENT TIME at);
            CREATE FEATURE VIEW sold ENTITY shop AS
            SELECT shop, count(*) OVER (ALL HISTORY) AS sales FROM sales;";
        write("a.sql", definitions).unwrap();
        write("evenkeel.toml", "[limits]\nmemory_bytes = 60000\n").unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let source = engine.source("sales").unwrap();
        let mut intake = Intake::new(&mut engine);
        let mut next = 0..;
        while intake.checkpoint.is_none() {
            let rows = next.by_ref().take(10).map(|n| PushedRow {
                values: Ok(vec![
                    Value::BigInt(n),
                    Value::BigInt(n % 3),
                    Value::Timestamp(n),
                ]),
                producer: None,
            });
            let (source, rows) = (Arc::clone(&source), rows.collect());
            intake.write(Write::Push { source, rows }, true).unwrap();
        }
        assert!(intake.engine.unwritten_bytes().1 > 0);
        // Nothing is written any more, and what the checkpoint has leaves the memory.
        while intake.checkpoint.is_some() {
            intake.rest();
        }
        assert_eq!(intake.engine.unwritten_bytes().1, 0);
    }
}
