//! What the engine is asked and what it answers, as data. The command line prints it; a
//! server will send it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use evenkeel_store::Reheats;
pub use evenkeel_train::{KnowledgeMode, LabelReport, SpineSource, TrainReport, TrainingSet};
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{Cut, EventTime, Field, Status, Value, VisibleAt};
pub use evenkeel_view::{Fact, Step};

use crate::comparison::ComparisonRecord;
use crate::push::{PushAnswer, RowAnswer};

/// One object that `apply` would create or change, or leaves as it is.
#[derive(Clone, Debug)]
pub struct Change {
    /// `entity`, `stream`, `table`, `feature view`, `feature service`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
    /// Its version after the change.
    pub version: u32,
    /// What happens to it.
    pub kind: ChangeKind,
    /// What it is, in words: the kind of view, window edges, cost; where inferred columns
    /// come from.
    pub notes: Vec<String>,
    /// Of a source from a file: the whole statement, as it is or will be frozen.
    pub statement: Option<String>,
    /// Where the file is not as the frozen columns are: the statement with the file's.
    pub statement_now: Option<String>,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Create,
    /// Its meaning changes: a new version.
    NewVersion,
    /// Only its comment, owner, tags, defaults or connection change.
    Metadata,
    /// Nothing.
    Unchanged,
    /// It is registered but no longer in the files; it stays.
    NotInFiles,
}

/// How far an ingestion is.
#[derive(Clone, Debug, Default)]
pub struct IngestProgress {
    /// The file being read.
    pub file: String,
    /// Bytes read of all files.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
    /// Rows read.
    pub rows: u64,
}

/// What an ingestion did.
#[derive(Clone, Debug, Default)]
pub struct IngestReport {
    /// The source.
    pub source: String,
    /// Files read.
    pub files: u64,
    /// Rows read.
    pub rows: u64,
    /// Events logged.
    pub recorded: u64,
    /// Rows that were logged already.
    pub duplicates: u64,
    /// Rows that the source's `WHERE` left out.
    pub left_out: u64,
    /// Rows whose identity was known with another payload: logged; the loser is a dead letter.
    pub conflicts: u64,
    /// Rows rejected to the dead letters, by reason code.
    pub rejected: BTreeMap<String, u64>,
    /// The first rejected row in words: place and reason.
    pub first_rejected: Option<String>,
    /// The greatest event time of the rows that are events.
    pub greatest_time: Option<EventTime>,
}

impl IngestReport {
    /// Counts what became of rows that were pushed; `name` is what a rejected one is called.
    pub fn count(&mut self, answer: &PushAnswer, name: impl Fn(usize) -> String) {
        for (i, row) in answer.rows.iter().enumerate() {
            self.rows += 1;
            match row {
                RowAnswer::Logged(_) => self.recorded += 1,
                RowAnswer::Conflict(_) => {
                    self.recorded += 1;
                    self.conflicts += 1;
                }
                RowAnswer::Duplicate => self.duplicates += 1,
                RowAnswer::LeftOut => self.left_out += 1,
                RowAnswer::Rejected { code, reason } => {
                    *self.rejected.entry((*code).to_owned()).or_default() += 1;
                    self.first_rejected
                        .get_or_insert_with(|| format!("{}: {reason}", name(i)));
                }
            }
        }
        self.greatest_time = self.greatest_time.max(answer.session.time);
    }

    /// Adds what became of further rows.
    pub fn add(&mut self, more: IngestReport) {
        self.files += more.files;
        self.rows += more.rows;
        self.recorded += more.recorded;
        self.duplicates += more.duplicates;
        self.left_out += more.left_out;
        self.conflicts += more.conflicts;
        for (code, rows) in more.rejected {
            *self.rejected.entry(code).or_default() += rows;
        }
        self.first_rejected = self.first_rejected.take().or(more.first_rejected);
        self.greatest_time = self.greatest_time.max(more.greatest_time);
    }

    /// Rows rejected in all.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// What is read: a service or a list of features as an anonymous service.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// What is read.
    pub service: std::sync::Arc<ServiceDef>,
    /// One row per entity: the service's inputs, in their order; NULL where not given.
    pub rows: Vec<Vec<Value>>,
    /// `t`.
    pub as_of: EventTime,
    /// The cut; `None`: everything applied.
    pub cut: Option<Cut>,
    /// `known_at`: only what was visible then.
    pub known_at: Option<VisibleAt>,
}

/// One feature value of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value; NULL unless the status is PRESENT.
    pub value: Value,
    /// Its status.
    pub status: Status,
    /// For a row view the time of its row, for a window view the time of the latest event of
    /// the key up to `t`, for a state view that of the latest version of any row that ever had
    /// the key.
    pub event_time: Option<EventTime>,
}

/// The answers of a read: rows in the request's order, features in the service's.
#[derive(Clone, Debug)]
pub struct GetAnswer {
    /// Names and types of the features.
    pub features: Vec<Field>,
    /// One row per entity.
    pub rows: Vec<Vec<Answer>>,
    /// `t`
    pub as_of: EventTime,
    /// `K`
    pub cut: Cut,
    /// What bounded the knowledge besides.
    pub known_at: Option<VisibleAt>,
    /// `D` of the service.
    pub definition: [u8; 16],
}

/// How one value came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The view and the feature.
    pub feature: String,
    /// The answer.
    pub answer: Answer,
    /// `t`
    pub as_of: EventTime,
    /// `K`
    pub cut: Cut,
    /// Windows with the events inside them; triggers; look-ups.
    pub evidence: Vec<Step>,
}

/// The state of one source.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// `stream` or `table`.
    pub kind: &'static str,
    /// Events logged.
    pub events: u64,
    /// Dead letters that were not re-driven.
    pub dead_letters: u64,
    /// Ends by partition.
    pub ends: Vec<(u32, u64)>,
    /// The greatest event time.
    pub greatest_time: Option<EventTime>,
    /// The greatest event time minus the declared lateness: no earlier event is expected.
    pub watermark: Option<EventTime>,
    /// The apply timeline's last time.
    pub visible_at: Option<VisibleAt>,
    /// Of a derived stream: how many records of the log it has not been emitted for.
    pub emission_lag: Option<u64>,
    /// For a derived stream: why it does not go on; none if it does.
    pub emission_failure: Option<String>,
    /// What the last comparison with the truth found, if it is compared on a schedule and was.
    pub compared: Option<ComparisonRecord>,
}

/// The state of a store.
#[derive(Clone, Debug)]
pub struct StoreStatus {
    /// Its directory.
    pub store: PathBuf,
    /// Per source.
    pub sources: Vec<SourceStatus>,
    /// Views: name, version, kind, features.
    pub views: Vec<(String, u32, &'static str, usize)>,
    /// Services: name, version, features.
    pub services: Vec<(String, u32, usize)>,
    /// Segments: name, version, entity.
    pub segments: Vec<(String, u32, String)>,
    /// Training datasets that are defined or built: name, version, whether it is built.
    pub datasets: Vec<(String, u32, bool)>,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
    /// What had left the hot tier and was brought back, since the store was opened.
    pub brought_back: Reheats,
    /// What recovery found when the store was opened, in words.
    pub recovery: Option<String>,
    /// Why nothing is emitted; none if what can be is.
    pub emission_failure: Option<String>,
    /// For each key that a server was asked to forget and that is not forgotten: why.
    pub not_forgotten: Vec<String>,
}

/// A rejected row.
#[derive(Clone, Debug)]
pub struct DeadLetterRow {
    /// Its number, to re-drive it.
    pub id: u64,
    /// Reason code: `DECODE`, `OPERATION`, `REQUIRED`, `EVENT_TIME`, `CHECK`, `FUTURE`, `CONFLICT`, ...
    pub reason: String,
    /// The reason in words.
    pub text: String,
    /// Where it came from.
    pub origin: String,
    /// The original record, as JSON.
    pub record: String,
    /// When it was rejected.
    pub logged_at: VisibleAt,
}

/// What to verify.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The seed of the sample.
    pub seed: u64,
    /// How many values to compare between the read path and the training path.
    pub values: u64,
    /// How many of them to compare with the naive oracle, too.
    pub oracle_values: u64,
    /// How many cuts: the current one and earlier ones.
    pub cuts: usize,
    /// Services to verify; empty: every view.
    pub services: Vec<String>,
    /// Events that are held in memory, at most: with more the oracle is asked at an older cut, of so many.
    pub held_events: u64,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        VerifyOptions {
            seed: 1,
            values: 100_000,
            oracle_values: 500,
            cuts: 3,
            services: Vec::new(),
            held_events: 400_000,
        }
    }
}

/// A value that was not the same everywhere.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// View and feature.
    pub feature: String,
    /// The key.
    pub key: Vec<Value>,
    /// `t`
    pub time: EventTime,
    /// `K` in words.
    pub cut: String,
    /// `known_at`, if the read had one.
    pub known_at: Option<VisibleAt>,
    /// What each path answered: name, value, status.
    pub answers: Vec<(&'static str, Value, Status)>,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// The sample's seed.
    pub seed: u64,
    /// Values compared between read path and training path.
    pub values_checked: u64,
    /// Values compared with the oracle, too.
    pub oracle_checked: u64,
    /// Entities and times in the sample.
    pub points: u64,
    /// Cuts.
    pub cuts: u64,
    /// Whether there was more than is held: the oracle was asked at an older cut alone, and emissions of
    /// streams over more than that were not compared.
    pub is_sampled: bool,
    /// Emissions of derived streams that were compared with what their queries say at their cuts, and
    /// events for which there had to be one.
    pub emissions_checked: u64,
    /// Emissions of these that stay as they are, and would be others by what came later.
    pub revised_by_late_input: u64,
    /// How many values differed.
    pub mismatches: u64,
    /// The first of them.
    pub examples: Vec<Mismatch>,
    /// Digest over every answer of the read path in canonical order.
    pub answers_digest: String,
}

/// A training set to build.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// The features.
    pub service: std::sync::Arc<ServiceDef>,
    /// The rows.
    pub spine: SpineSource,
    /// Latest or as served.
    pub knowledge: KnowledgeMode,
    /// The cut; `None`: everything applied.
    pub cut: Option<Cut>,
    /// The file to write: Parquet, CSV or Arrow IPC by its ending.
    pub out: PathBuf,
    /// Also write a status column per feature.
    pub statuses: bool,
}
