//! What can go wrong in the engine, with what to do about it.

mod hint;
mod kind;

use std::path::PathBuf;

use evenkeel_aggregate::SignatureError;
use evenkeel_connect::ConnectError;
use evenkeel_ddl::Diagnostic;
use evenkeel_lake::LakeError;
use evenkeel_log::LogError;
use evenkeel_train::TrainError;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Position, SchemaError};

pub use kind::ErrorKind;

use crate::forget::ForgetError;
use crate::trigger::WaitsError;

/// A failure of a command.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EngineError {
    #[error("`{}` is not a folder", path.display())]
    NoFolder { path: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{}` is not valid: {reason}", path.display())]
    ProjectFile { path: PathBuf, reason: String },
    #[error(
        "there is no environment `{name}`: the project file has {}",
        list(known)
    )]
    UnknownEnvironment { name: String, known: Vec<String> },
    #[error("`{pattern}` is not a pattern of files: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("`{}` has {bytes} bytes, a definition file may have {bytes_max}", path.display())]
    DefinitionFileTooLarge {
        path: PathBuf,
        bytes: u64,
        bytes_max: u64,
    },
    #[error("{_0}")]
    Function(Box<crate::function::FunctionFailure>),
    #[error("it needs functions that are not called yet")]
    Calls(Box<crate::function::FunctionCalls>),
    #[error("there are {} errors in the definitions", .0.len())]
    Definitions(Vec<(String, Diagnostic)>),
    #[error("the project has no definitions: no `*.sql` file in `{}`", root.display())]
    NoDefinitions { root: PathBuf },
    #[error(transparent)]
    Forget(#[from] ForgetError),
    #[error(transparent)]
    Waits(#[from] WaitsError),
    #[error("registry record `{}` is damaged: {reason}", path.display())]
    Registry { path: PathBuf, reason: String },
    #[error("another command changed the registry in `{}` at the same time", path.display())]
    RegistryRace { path: PathBuf },
    #[error("{object} `{name}` cannot change like this: {reason}")]
    Incompatible {
        object: &'static str,
        name: String,
        reason: String,
    },
    #[error("`{text}` names no dataset: {reason}")]
    DatasetName { text: String, reason: String },
    #[error("`{}` is damaged: {reason}", path.display())]
    Dataset { path: PathBuf, reason: String },
    #[error("`{}` is damaged: {reason}", path.display())]
    Run { path: PathBuf, reason: String },
    #[error("`{source_name}` declares no comparison with the truth")]
    NotCompared { source_name: String },
    #[error("`{}` is damaged: {reason}", path.display())]
    Record { path: PathBuf, reason: String },
    #[error(
        "the lake does not have event {position} of `{source_name}` as the log does; nothing of its segment was truncated"
    )]
    LakeDiffers {
        source_name: String,
        position: Position,
    },
    #[error(
        "the backup's log was truncated by the lake `{wanted}`, and `{found}` does not have what it lacks"
    )]
    OtherLake {
        wanted: String,
        found: String,
        #[source]
        source: Box<EngineError>,
    },
    #[error("`{table}` has the results of a batch view: only its runs write it")]
    OnlyRuns { table: String },
    #[error("the query of `{view}` gives two rows for the key {key}")]
    RunKeyTwice { view: String, key: String },
    #[error("{}", not_due(view, schedule.as_deref()))]
    NotDue {
        view: String,
        schedule: Option<String>,
    },
    #[error("the dataset `{name}:{version}` is built already, and never built otherwise")]
    DatasetBuilt { name: String, version: u32 },
    #[error(
        "`{dataset}` is split by entity, and its service reads several: by {}; which of them is in one part is not said",
        keys.iter().map(|key| format!("({key})")).collect::<Vec<_>>().join(" and by ")
    )]
    SplitEntity { dataset: String, keys: Vec<String> },
    #[error("the dataset `{name}` is being built by somebody else")]
    DatasetBusy { name: String },
    #[error("the dataset `{dataset}` cannot be read as it was built: {reason}")]
    DatasetGone { dataset: String, reason: String },
    #[error(
        "the cut lacks what it must know of `{}`: {} wanted, {} there",
        _0.source,
        _0.wanted,
        _0.reached
    )]
    CutLacks(Box<crate::serving::Unmet>),
    #[error("a key of `{entity}` cannot be asked: {reason}")]
    SegmentKey { entity: String, reason: String },
    #[error("the view `{view}` is what it was in version {version} already, as version {newest}")]
    NothingToRollBack {
        view: String,
        version: u32,
        newest: u32,
    },
    #[error(
        "the definition of `{view}@{version}` has another meaning now: {}",
        what_changed(changed)
    )]
    RollbackMeansAnother {
        view: String,
        version: u32,
        /// What it read and is not the newest any more.
        changed: Vec<String>,
    },
    #[error("the input `{input}` is no column of `{source_name}`")]
    CallInput { source_name: String, input: String },
    #[error("what `{function}` gives for the row is not known before it is recorded in `{stream}`")]
    CallRecorded { function: String, stream: String },
    #[error("the input `{input}` ({data_type}) is no column of `{source_name}`")]
    TriggerInput {
        source_name: String,
        input: String,
        data_type: String,
    },
    #[error("`{table}` is written by somebody else at the same time")]
    RowInUse { table: String },
    #[error("`{text}` is no id of a result")]
    ResultId { text: String },
    #[error("`{source_name}` has no trigger at {position}")]
    NoTrigger {
        source_name: String,
        position: Position,
    },
    #[error(
        "the result of `{source_name}` at {position} is gone: results are kept for {kept_hours} hours"
    )]
    ResultGone {
        source_name: String,
        position: Position,
        kept_hours: u32,
    },
    #[error("`{text}` is no name of a frozen segment")]
    FrozenName { text: String },
    #[error("`{}` is damaged: {reason}", path.display())]
    Frozen { path: PathBuf, reason: String },
    #[error("the segment `{name}` is being frozen by somebody else")]
    SegmentBusy { name: String },
    #[error("the backup `{}` cannot be used: {reason}", path.display())]
    Backup { path: PathBuf, reason: String },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("the pin `{}` is damaged: {reason}", path.display())]
    Pin { path: PathBuf, reason: String },
    #[error("the hot tier cannot be used: {0}")]
    Store(#[from] evenkeel_store::StoreError),
    #[error("the hot tier could not be written and cannot be opened again yet")]
    HotTierClosed {
        #[source]
        source: Box<EngineError>,
    },
    #[error(
        "more than {events_max} events of `{source_name}` would be compared at once, which is the limit"
    )]
    TooManyCompared {
        source_name: String,
        events_max: usize,
    },
    #[error("what was written is in the log, but reads do not see it yet: {reason}")]
    NotApplied { reason: String },
    #[error("it needs events that left the hot tier and are not brought back yet")]
    Cold(Box<evenkeel_store::ColdNeeds>),
    #[error("the hot tier cannot be read: {0}")]
    Unreadable(#[from] evenkeel_view::ReadError),
    #[error("there is no service `{view}`: it is a view")]
    ViewForService { view: String },
    #[error("there is no {what} `{name}`")]
    Unknown {
        what: &'static str,
        name: String,
        nearest: Option<String>,
    },
    #[error(
        "`{text}` is not a number of partitions for `{source_name}`: 1 to {}",
        evenkeel_ddl::PARTITIONS_MAX
    )]
    Partitions { source_name: String, text: String },
    #[error("source `{source_name}` has no file: its connector is `{connector}`")]
    NotAFileSource {
        source_name: String,
        connector: String,
    },
    #[error("`{}` cannot be followed: only text files that are not compressed grow line by line", path.display())]
    CannotGrow { path: PathBuf },
    #[error("`{text}` is not a cut: {reason}")]
    Cut { text: String, reason: String },
    #[error(
        "the cut reaches beyond what is applied: {wanted} of {name}/{partition}, applied up to {applied}"
    )]
    CutBeyond {
        name: String,
        partition: u32,
        wanted: u64,
        applied: u64,
    },
    #[error("{rows} entities in one read: at most {rows_max} are allowed")]
    TooManyEntities { rows: usize, rows_max: usize },
    #[error("row {row} gives {got} inputs, `{service}` takes {wanted}")]
    Inputs {
        service: String,
        row: usize,
        got: usize,
        wanted: usize,
    },
    #[error("there is no store `{}` yet", path.display())]
    NoStore { path: PathBuf },
    #[error("the store in `{}` was made by a newer version (format {format})", path.display())]
    StoreFormat { path: PathBuf, format: u32 },
    #[error("the log: {0}")]
    Log(#[source] Box<LogError>),
    #[error("`{name}` is no name of a pin: letters, digits, `-`, `_` and `.`")]
    PinName { name: String },
    #[error("{0}")]
    Lake(#[source] Box<LakeError>),
    #[error("the file: {0}")]
    Connect(#[source] Box<ConnectError>),
    #[error("the training set: {0}")]
    Train(#[source] Box<TrainError>),
    #[error("an event in the log does not fit its source `{source_name}`: {reason}")]
    EventDoesNotFit { source_name: String, reason: String },
    #[error("an event in the log does not fit its source `{source_name}`")]
    Schema {
        source_name: String,
        #[source]
        reason: SchemaError,
    },
    #[error("dead letter {id} of `{source_name}` is not there or was driven again already")]
    NoDeadLetter { source_name: String, id: u64 },
    #[error("the store in `{}` is open for reading only", path.display())]
    ReadOnly { path: PathBuf },
    #[error("a view's aggregate")]
    Signature(#[source] Box<SignatureError>),
    #[error(
        "events of `{source_name}` came while its definition was changed as only that of a source without events can be"
    )]
    EventsCame { source_name: String },
    #[error(
        "the event of `{result}` is logged, and `{}` has not emitted for it: {} wanted, {} there",
        unmet.source,
        unmet.wanted,
        unmet.reached
    )]
    NotEmitted {
        result: String,
        unmet: Box<crate::serving::Unmet>,
    },
    #[error("`{stream}` cannot end yet: it is to emit for {behind} records of the log")]
    StillEmitting { stream: String, behind: u64 },
    #[error("`{view}` is evaluated at the read: nothing of it is stored that could be made again")]
    NotMaterialised { view: String },
    #[error("`{stream}` has ended: it emits nothing any more")]
    StreamEnded { stream: String },
    #[error("`{stream}` does not go on, so its backfill is not done: {reason}")]
    NotBackfilled { stream: String, reason: String },
    #[error("`{source_name}` is a derived stream: its events are made of those of `{trigger}`")]
    DerivedSource {
        source_name: String,
        trigger: String,
    },
    #[error("`{source_name}` is defined otherwise than when these rows were decoded")]
    SourceChanged { source_name: String },
    #[error(
        "the hot tier was opened again, or could not be written, while definitions were built for it"
    )]
    HotTierChanged,
    #[error("what reads or writes the hot tier has not ended")]
    HotTierInUse,
    #[error("it failed {failures} times and is tried again after {writes} more writes: {reason}")]
    HotTierRests {
        failures: u32,
        writes: u32,
        reason: String,
    },
    #[error(
        "{rejected} rows of the truth can be no events of `{source_name}`, so it is not whole:\n{}",
        examples.join("\n")
    )]
    Truth {
        source_name: String,
        rejected: u64,
        examples: Vec<String>,
    },
    #[error("`{}` changed while it was read", path.display())]
    TruthChanged { path: PathBuf },
    #[error("nothing is between {from} and {to}: the end of a period is not in it")]
    EmptyPeriod { from: String, to: String },
    #[error("the result would have two columns `{name}`")]
    ColumnTwice { name: String },
    #[error("`{}` is not what a trial or a backtest left", path.display())]
    NotParts { path: PathBuf },
    #[error("another trial or backtest writes to `{}`", path.display())]
    PartsBusy { path: PathBuf },
    #[error("`{view}` cannot be tried: {reason}")]
    NotTried { view: String, reason: String },
    #[error(
        "which events are the triggers of `{service}`: {}",
        triggers(inputs, fitting)
    )]
    Triggers {
        service: String,
        inputs: Vec<String>,
        fitting: Vec<String>,
    },
    #[error("nothing happened to `{view}`{period}: no event there brings a key of it")]
    NothingToTry { view: String, period: String },
    #[error("`{name}`: {reason}")]
    PeriodTime { name: &'static str, reason: String },
    #[error("`{text}` are no positions")]
    PositionWords { text: String },
    #[error("`{source_name}` has no positions {range}: it ends at {applied}")]
    Positions {
        source_name: String,
        range: String,
        applied: u64,
    },
    #[error("it was stopped")]
    Stopped,
    #[error("nothing to verify: no view has an event")]
    NothingToVerify,
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl EngineError {
    /// Whether the hot tier is not opened again because something still uses it.
    pub fn is_in_use(&self) -> bool {
        matches!(self, EngineError::HotTierClosed { source }
            if matches!(**source, EngineError::HotTierInUse))
    }

    pub(crate) fn log(error: LogError) -> Self {
        let error = match error {
            LogError::Lake { source } => match source.downcast::<LakeError>() {
                Ok(error) => return EngineError::Lake(error),
                Err(source) => LogError::Lake { source },
            },
            error => error,
        };
        EngineError::Log(Box::new(error))
    }

    /// The failure of the lake that it comes of, if it does.
    fn lake_cause(&self) -> Option<&LakeError> {
        if let EngineError::Lake(error) = self {
            return Some(error);
        }
        let first = std::error::Error::source(self);
        let mut causes = std::iter::successors(first, |&cause| cause.source());
        causes.find_map(|cause| {
            let of_engine = cause.downcast_ref::<EngineError>();
            let of_engine = of_engine.and_then(EngineError::lake_cause);
            of_engine.or_else(|| cause.downcast_ref())
        })
    }

    /// The error with its causes and what to do next, on one line.
    pub(crate) fn with_hint(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}; {hint}", chain(self)),
            None => chain(self),
        }
    }

    pub(crate) fn schema(source: &SourceDef, reason: SchemaError) -> Self {
        EngineError::Schema {
            source_name: source.name.clone(),
            reason,
        }
    }

    pub(crate) fn lake(error: LakeError) -> Self {
        EngineError::Lake(Box::new(error))
    }

    pub(crate) fn connect(error: ConnectError) -> Self {
        EngineError::Connect(Box::new(error))
    }

    pub(crate) fn train(error: TrainError) -> Self {
        match error {
            TrainError::Stopped => EngineError::Stopped,
            // Queries read the log as training does.
            TrainError::Log(error) => EngineError::log(*error),
            error => EngineError::Train(Box::new(error)),
        }
    }

    pub(crate) fn signature(error: SignatureError) -> Self {
        EngineError::Signature(Box::new(error))
    }
}

fn not_due(view: &str, schedule: Option<&str>) -> String {
    match schedule {
        Some(schedule) => format!("the schedule `{schedule}` of `{view}` has no time so far"),
        None => format!("`{view}` has no schedule: it runs when it is asked for"),
    }
}

fn triggers(inputs: &[String], fitting: &[String]) -> String {
    let named = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    if fitting.is_empty() {
        return format!("none of its sources has all of {}", named(inputs));
    }
    format!("{} have its inputs", named(fitting))
}

fn what_changed(changed: &[String]) -> String {
    if changed.is_empty() {
        return "a source that it reads has changed".to_owned();
    }
    let names: Vec<String> = changed.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "it read {}, which is not the newest any more",
        names.join(" and ")
    )
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some messages end with their cause's.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
