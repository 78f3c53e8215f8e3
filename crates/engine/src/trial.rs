//! Trial runs: a view that is not registered, over the events that there are
//! (`docs/decisions/0034-trial-runs-and-backtests.md`).
//!
//! Owns where a view is read, what is said of its values, and how it compares with what is
//! published. Values come from the training path, the proof from a [`replay`]. Invariant:
//! nothing is written but the result that was asked for.

pub(crate) mod parts;
mod replay;

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_connect::{TableFormat, value_to_json};
use evenkeel_train::{Answers, Evaluator, Instants, Requests};
use evenkeel_types::definition::{ViewBody, ViewDef};
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Column, Cut, DataType, Field, SourceId, Value};
use evenkeel_view::{Found, Uses};
use serde_json::Value as Json;

use crate::api::ChangeKind;
use crate::batch::BatchView;
use crate::definitions::{ChangePlan, unknown};
use crate::error::EngineError;
use crate::function;
use crate::machine::Machine;
use crate::offline::Offline;
use parts::{Notes, Parts, Rows, digest_of, table_of};

pub use evenkeel_train::{Bin, Difference, DifferenceExample, Profile, Sample};
pub use replay::{Replay, ReplayReport};

/// Instants of a part of a result, unless a test wants others.
pub const PART_INSTANTS: usize = 50_000;
/// What a row costs is said of at least so many.
const COST_ROWS_MIN: u64 = 1_000;
/// Separates these digests from others; changes when what is hashed does.
const DOMAIN: &[u8] = b"evenkeel trial 1";

/// Is told stage, done and total, and may stop it.
pub type Progress<'p> = &'p mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>;

/// Which part of history is looked at.
#[derive(Clone, Debug)]
pub struct History {
    /// Events from this time on, microseconds; `i64::MIN`: from the first.
    pub from: i64,
    /// Events before this time; `i64::MAX`: to the last.
    pub to: i64,
    /// Of which keys.
    pub sample: Sample,
    /// What is known; `None`: everything applied, or what was applied when the same was begun.
    pub cut: Option<Cut>,
}

/// How a view is tried.
#[derive(Clone, Debug)]
pub struct TrialOptions {
    /// On what.
    pub history: History,
    /// Where the rows go: Parquet, CSV or Arrow by its ending.
    pub out: Option<PathBuf>,
    /// Whether the events are replayed, too.
    pub replay: bool,
    /// Instants of a part.
    pub part_instants: usize,
}

/// What a trial found.
#[derive(Clone, Debug)]
pub struct TrialReport {
    /// The view.
    pub view: Arc<ViewDef>,
    /// The cut.
    pub cut: Cut,
    /// Keys with an instant.
    pub keys: u64,
    /// Instants.
    pub instants: u64,
    /// Rows: of a row view only the instants at which it has one.
    pub rows: u64,
    /// What the features look like.
    pub features: Vec<(Field, Profile)>,
    /// Beside the newest published version, if there is one that is another.
    pub comparison: Option<Comparison>,
    /// The version that is published and the same.
    pub published_as: Option<u32>,
    /// The replay, if one was asked for.
    pub replay: Option<ReplayReport>,
    /// Where the rows are.
    pub out: Option<PathBuf>,
    /// Digest of all rows, independent of files.
    pub digest: String,
    /// Instants that an earlier run had done.
    pub resumed: u64,
    /// Microseconds of computing per row, if there were enough of them.
    pub micros_per_row: Option<f64>,
}

/// Features beside those of the published version.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// That version.
    pub version: u32,
    /// Of each feature that both have, with one type: at the instants of either, rows or not.
    pub features: Vec<(Field, Difference)>,
    /// Only the new version has them.
    pub added: Vec<String>,
    /// Only the published version has them.
    pub removed: Vec<String>,
    /// They have another type.
    pub retyped: Vec<String>,
    /// Instants at which only the new version has a row of its own.
    pub rows_only_new: u64,
    /// At which only the published version has one: later readers of the new version see the row before.
    pub rows_only_published: u64,
}

impl ChangePlan {
    /// Views by their names, in the order of the plan, as they will be; batch views are left out.
    pub fn views(&self, names: &BTreeSet<String>) -> Vec<Arc<ViewDef>> {
        let views = self.changes.iter().filter(|c| {
            c.object == "feature view"
                && c.kind != ChangeKind::NotInFiles
                && names.contains(&c.name)
        });
        let views = views.filter_map(|c| self.catalog.view_version(&c.name, c.version));
        let batch = BatchView::all(&self.catalog);
        let is_batch = |view: &ViewDef| batch.iter().any(|b| b.view.digest == view.digest);
        views.filter(|view| !is_batch(view)).cloned().collect()
    }

    /// A view by its name, as it will be.
    ///
    /// # Errors
    /// If there is none.
    pub fn view(&self, name: &str) -> Result<Arc<ViewDef>, EngineError> {
        let found = self.catalog.view(name).cloned();
        found.ok_or_else(|| unknown("feature view", name, self.catalog.views.keys()))
    }

    /// The views that change, or are new.
    pub fn changed_views(&self) -> BTreeSet<String> {
        let changed = self.changes.iter().filter(|c| {
            c.object == "feature view"
                && matches!(c.kind, ChangeKind::Create | ChangeKind::NewVersion)
        });
        changed.map(|c| c.name.clone()).collect()
    }

    /// Everything that is defined once it is applied.
    pub fn catalog(&self) -> &evenkeel_types::definition::Catalog {
        &self.catalog
    }
}

impl Offline {
    /// Tries a view of a plan.
    ///
    /// # Errors
    /// [`EngineError::NotTried`] with what is possible; [`EngineError::NothingToTry`] if it has no
    /// instant; [`EngineError::Stopped`]; if the log cannot be read, or the result not written.
    pub fn try_view(
        &self,
        plan: &ChangePlan,
        view: &Arc<ViewDef>,
        options: &TrialOptions,
        progress: Progress<'_>,
    ) -> Result<TrialReport, EngineError> {
        self.refuse_to_try(plan, view)?;
        options.history.refuse_empty()?;
        refuse_format(options.out.as_deref())?;
        let newest = self.catalog().view(&view.name);
        // Over the sources as they will be.
        let published = newest.and_then(|v| plan.catalog.view_version(&v.name, v.version));
        let published_as = published.filter(|p| p.digest == view.digest);
        let published = published.filter(|p| p.digest != view.digest);
        let trial = Trial {
            view,
            published: published.filter(|p| p.key == view.key),
        };
        let mut parts = Parts::beside(options.out.as_deref())?;
        let asked = trial.asked(options);
        let (cut, words) = self.begun_cut(&options.history, &parts, &asked)?;
        let mut reach = |stage: &str, done, total| match progress(stage, done, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Stopped),
        };
        let uses = Uses::of(trial.views());
        let sources: Vec<SourceId> = uses.sources().into_keys().collect();
        let log = self.events(&sources)?;
        let evaluator = self.load(&log, &uses, &cut, &mut reach)?;
        let History {
            from, to, sample, ..
        } = options.history;
        let instants = evaluator.instants(view, from..to, sample);
        if instants.is_empty() {
            return Err(EngineError::NothingToTry {
                view: view.name.clone(),
                period: options.history.in_words(),
            });
        }
        // Where only the published version has something new, readers may see it, too.
        let further = match trial.published {
            Some(published) => evaluator.further_instants(view, published, from..to, sample),
            None => instants.none(),
        };
        parts.begin(&asked, &words)?;
        let fields = trial.fields();
        let total = instants.len() + further.len();
        let clock = Machine::default().clock;
        let mut computed = (0, 0);
        let whole = parts.run(
            &fields,
            (total, options.part_instants),
            &mut |range| {
                function::forget();
                let (started, length) = (clock.now_micros(), range.len() as u64);
                let own = instants.len();
                let mut rows = trial.rows(
                    &evaluator,
                    &instants,
                    range.start.min(own)..range.end.min(own),
                );
                let range = range.start.max(own) - own..range.end.max(own) - own;
                rows.notes
                    .add(trial.compared_at(&evaluator, &further, range));
                computed.0 += length;
                computed.1 += clock.now_micros().saturating_sub(started).max(0);
                function::taken(rows)
            },
            &mut |done| reach(&view.name, done, total as u64),
        )?;
        let Rows { columns, notes } = whole.rows;
        let features = trial.profiles(&columns, &notes);
        let table = table_of(&fields, columns)?;
        let digest = digest_of(&table)?;
        let replay = if options.replay {
            let replay = Replay {
                view,
                evaluator: &evaluator,
                log: &log,
                cut: &cut,
                cut_in_words: &words,
                instants: &instants,
            };
            Some(replay.run(&mut reach)?)
        } else {
            None
        };
        if let Some(out) = &options.out {
            reach("writing", 0, 1)?;
            table.write(out).map_err(EngineError::connect)?;
        }
        parts.remove()?;
        Ok(TrialReport {
            view: Arc::clone(view),
            cut,
            keys: instants.distinct_keys,
            instants: instants.len() as u64,
            rows: table.len() as u64,
            features,
            comparison: published.map(|p| trial.comparison(p, notes)),
            published_as: published_as.map(|p| p.version),
            replay,
            out: options.out.clone(),
            digest,
            resumed: whole.resumed,
            micros_per_row: (computed.0 >= COST_ROWS_MIN)
                .then(|| computed.1 as f64 / computed.0 as f64),
        })
    }

    /// The cut of what was begun already, or the one that is wanted; in words, too.
    pub(crate) fn begun_cut(
        &self,
        history: &History,
        parts: &Parts,
        asked: &str,
    ) -> Result<(Cut, String), EngineError> {
        let wanted = self.known(history.cut.as_ref())?;
        let words = self.format_cut(&wanted);
        if history.cut.is_some() {
            return Ok((wanted, words));
        }
        // A cut of another store is no cut here: then it begins anew.
        let begun = parts.begun(asked).and_then(|words| {
            let cut = self.parse_cut(&words).ok()?;
            self.refuse_beyond(&cut).ok()?;
            Some((cut, words))
        });
        Ok(begun.unwrap_or((wanted, words)))
    }

    /// The events of a cut that are used.
    pub(crate) fn load(
        &self,
        log: &dyn evenkeel_log::EventSource,
        uses: &Uses,
        cut: &Cut,
        reach: &mut dyn FnMut(&str, u64, u64) -> Result<(), EngineError>,
    ) -> Result<Evaluator, EngineError> {
        let used = uses.sources();
        let ends = cut.iter().filter(|(id, ..)| used.contains_key(id));
        let total = ends.map(|(.., end)| end.0).sum();
        Evaluator::load(
            log,
            uses,
            cut,
            &mut |done| match reach("reading the log", done, total) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        )
        .map_err(EngineError::train)
    }

    /// Refuses views that have no instants in this store, with what to do.
    fn refuse_to_try(&self, plan: &ChangePlan, view: &ViewDef) -> Result<(), EngineError> {
        let refuse = |reason: String| {
            Err(EngineError::NotTried {
                view: view.name.clone(),
                reason,
            })
        };
        let batch = BatchView::all(&plan.catalog);
        if batch.iter().any(|b| b.view.digest == view.digest) {
            return refuse(
                "what a batch view gives is recorded when it runs: look at its query with \
                 `evenkeel sql`, and try the views that read it"
                    .to_owned(),
            );
        }
        if let ViewBody::Composed(body) = &view.body
            && !body.request.is_empty()
        {
            return refuse(
                "it is computed of a request, and no event brings one: apply it, and give requests \
                 with `evenkeel train`, as rows of a spine, or with `evenkeel get`"
                    .to_owned(),
            );
        }
        for (id, (source, _)) in Uses::of([view]).sources() {
            if self.catalog().source_by_id(id).is_none() {
                let next = match source.derived {
                    Some(_) => "apply that: it begins with the first event of the log",
                    None => "apply that, and ingest its events",
                };
                return refuse(format!(
                    "it reads `{}`, which is not in the store: {next}",
                    source.name
                ));
            }
        }
        Ok(())
    }
}

impl History {
    pub(crate) fn refuse_empty(&self) -> Result<(), EngineError> {
        if self.from < self.to {
            return Ok(());
        }
        Err(EngineError::EmptyPeriod {
            from: format_timestamp(self.from),
            to: format_timestamp(self.to),
        })
    }

    /// What is looked at, for who found nothing there.
    pub(crate) fn in_words(&self) -> String {
        let mut words = String::new();
        if self.from > i64::MIN {
            words.push_str(&format!(" from {}", format_timestamp(self.from)));
        }
        if self.to < i64::MAX {
            words.push_str(&format!(" before {}", format_timestamp(self.to)));
        }
        if self.sample != Sample::ALL {
            words.push_str(" in the sample");
        }
        words
    }

    pub(crate) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.from.to_be_bytes());
        hasher.update(&self.to.to_be_bytes());
        hasher.update(&self.sample.millionths().to_be_bytes());
        // Which one it is is beside what was asked: another begins anew.
        hasher.update(&[u8::from(self.cut.is_some())]);
    }
}

/// A view under trial.
struct Trial<'a> {
    view: &'a Arc<ViewDef>,
    /// What it is compared with, at the same keys.
    published: Option<&'a Arc<ViewDef>>,
}

impl Trial<'_> {
    fn views(&self) -> impl Iterator<Item = &ViewDef> {
        [Some(self.view), self.published]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// What is asked, but for the cut: a digest.
    fn asked(&self, options: &TrialOptions) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        for view in self.views() {
            hasher.update(&view.digest);
        }
        options.history.hash(&mut hasher);
        hasher.update(&(options.part_instants as u64).to_be_bytes());
        for field in self.fields() {
            hasher.update(format!("{} {}\0", field.name, field.data_type).as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The columns of the result: key, time, features.
    fn fields(&self) -> Vec<Field> {
        let features = self.view.features.iter();
        let features = features.map(|f| Field::new(f.name.clone(), f.data_type.clone()));
        let mut fields: Vec<Field> = self.view.key.iter().cloned().chain(features).collect();
        let mut time = evenkeel_train::TIME_COLUMN.to_owned();
        while fields.iter().any(|f| f.name == time) {
            time.push('_');
        }
        let at = self.view.key.len();
        fields.insert(at, Field::new(time, DataType::Timestamp));
        fields
    }

    /// The features that the published version has, too: their places in both.
    fn shared(&self) -> Vec<(usize, usize)> {
        let Some(published) = self.published else {
            return Vec::new();
        };
        let features = self.view.features.iter().enumerate();
        features
            .filter_map(|(at, feature)| {
                let mut of_published = published.features.iter();
                let other = of_published
                    .position(|p| (&p.name, &p.data_type) == (&feature.name, &feature.data_type))?;
                Some((at, other))
            })
            .collect()
    }

    /// The rows of some instants, and how both versions compare there.
    fn rows(&self, evaluator: &Evaluator, instants: &Instants, range: Range<usize>) -> Rows {
        let requests = instants.requests(range);
        let answers = evaluator.read(self.view, &requests, &[]);
        let mut notes = self.compared(evaluator, &requests, &answers);
        let has_row = has_rows(self.view, &answers, &requests.times);
        let kept: Vec<u32> = (0..)
            .zip(has_row)
            .filter_map(|(number, has_row)| has_row.then_some(number))
            .collect();
        let keep = |column: &Column| column.gather(&kept);
        let features: Vec<Column> = answers.columns.iter().map(keep).collect();
        notes.errors = features.iter().map(errors_in).collect();
        let times = kept.iter().map(|&i| requests.times[i as usize]);
        let times: Vec<Value> = times.map(Value::Timestamp).collect();
        let mut columns: Vec<Column> = requests.keys.iter().map(keep).collect();
        columns.push(Column::from_values(&DataType::Timestamp, &times));
        columns.extend(features);
        Rows { columns, notes }
    }

    /// How both versions compare at instants that the published one alone has.
    fn compared_at(
        &self,
        evaluator: &Evaluator,
        instants: &Instants,
        range: Range<usize>,
    ) -> Notes {
        if range.is_empty() {
            return Notes::default();
        }
        let requests = instants.requests(range);
        let answers = evaluator.read(self.view, &requests, &[]);
        self.compared(evaluator, &requests, &answers)
    }

    /// How what a reader sees differs, whether there is a row of these instants or an older one.
    fn compared(&self, evaluator: &Evaluator, requests: &Requests, answers: &Answers) -> Notes {
        let mut notes = Notes::default();
        let Some(published) = self.published else {
            return notes;
        };
        let other = evaluator.read(published, requests, &[]);
        let both = has_rows(self.view, answers, &requests.times).zip(has_rows(
            published,
            &other,
            &requests.times,
        ));
        for (first, second) in both {
            notes.rows_only_first += u64::from(first && !second);
            notes.rows_only_second += u64::from(second && !first);
        }
        let key_of = |row: usize| -> (Vec<Json>, i64) {
            (self.key_at(&requests.keys, row), requests.times[row])
        };
        for (at, of_other) in self.shared() {
            let (first, second) = (&answers.columns[at], &other.columns[of_other]);
            let data_type = &self.view.features[at].data_type;
            let difference = Difference::between(data_type, first, second, &key_of);
            notes.differences.push(difference);
        }
        notes
    }

    fn key_at(&self, keys: &[Column], row: usize) -> Vec<Json> {
        let fields = self.view.key.iter().zip(keys);
        fields
            .map(|(field, column)| value_to_json(&field.data_type, &column.get(row)))
            .collect()
    }

    fn profiles(&self, columns: &[Column], notes: &Notes) -> Vec<(Field, Profile)> {
        let columns = columns[self.view.key.len() + 1..].iter();
        let features = self.view.features.iter().zip(columns);
        features
            .enumerate()
            .map(|(at, (feature, column))| {
                let errors = notes.errors.get(at).copied().unwrap_or_default();
                let field = Field::new(feature.name.clone(), feature.data_type.clone());
                let profile = Profile::of(&field.data_type, column, errors);
                (field, profile)
            })
            .collect()
    }

    /// How the features compare with those of a published version. Where its keys are others,
    /// none of them can be.
    fn comparison(&self, published: &ViewDef, notes: Notes) -> Comparison {
        let shared = self.shared();
        let names = |view: &ViewDef| -> Vec<String> {
            view.features.iter().map(|f| f.name.clone()).collect()
        };
        let (new, old) = (names(self.view), names(published));
        let is_shared = |name: &String| {
            let mut places = shared.iter();
            places.any(|(at, _)| self.view.features[*at].name == *name)
        };
        let of = |at: usize| {
            let feature = &self.view.features[at];
            Field::new(feature.name.clone(), feature.data_type.clone())
        };
        Comparison {
            version: published.version,
            features: shared
                .iter()
                .map(|(at, _)| of(*at))
                .zip(notes.differences)
                .collect(),
            added: new.iter().filter(|n| !old.contains(n)).cloned().collect(),
            removed: old.iter().filter(|n| !new.contains(n)).cloned().collect(),
            retyped: new
                .iter()
                .filter(|n| old.contains(n) && !is_shared(n))
                .cloned()
                .collect(),
            rows_only_new: notes.rows_only_first,
            rows_only_published: notes.rows_only_second,
        }
    }
}

/// Refuses a file that could not be written when everything is done.
pub(crate) fn refuse_format(out: Option<&Path>) -> Result<(), EngineError> {
    out.map(TableFormat::of)
        .transpose()
        .map(|_| ())
        .map_err(EngineError::connect)
}

/// At which times there is a row: a row view has one if it is of that time, others always.
fn has_rows<'a>(
    view: &ViewDef,
    answers: &'a Answers,
    times: &'a [i64],
) -> impl Iterator<Item = bool> + 'a {
    let is_row_view = matches!(view.body, ViewBody::Row(_));
    let rows = answers.found.iter().zip(times).enumerate();
    rows.map(move |(row, (found, time))| {
        !is_row_view || *found == Found::Row && answers.times.get(row) == Some(*time)
    })
}

/// How many values of a column are ERROR.
pub(crate) fn errors_in(column: &Column) -> u64 {
    let values = column.iter();
    values.filter(|v| matches!(v, Value::Error(_))).count() as u64
}
