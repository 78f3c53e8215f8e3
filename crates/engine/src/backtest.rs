//! Backtests: what a service would have served at its triggers beside what is known now
//! (`docs/decisions/0034-trial-runs-and-backtests.md`).
//!
//! Owns which events are the triggers and what is said of the difference; values are the training
//! path's. Nothing is written but the result that was asked for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_connect::value_to_json;
use evenkeel_train::{Backtest, BacktestRows, Difference, Evaluator, Spine};
use evenkeel_types::definition::{ServiceDef, SourceDef};
use evenkeel_types::{Column, Cut, Field, SourceId, Value};
use evenkeel_view::Uses;

use crate::error::EngineError;
use crate::function;
use crate::offline::Offline;
use crate::reads::source_of;
use crate::trial::parts::{Notes, Parts, Rows, digest_of, table_of};
use crate::trial::{History, Progress, errors_in, refuse_format};

/// Separates these digests from others; changes when what is hashed does.
const DOMAIN: &[u8] = b"evenkeel backtest 1";
/// What the columns of what is known now end with.
pub const LATEST_SUFFIX: &str = "__latest";

/// Where a service is read.
#[derive(Clone, Debug)]
pub enum Triggers {
    /// At the events of a source; `None`: of the only one that the service reads and that has
    /// its inputs.
    Source(Option<String>),
    /// At the rows of a file.
    Spine {
        /// The file.
        path: PathBuf,
        /// As for a training set.
        time_column: Option<String>,
        /// As for a training set.
        known_at_column: Option<String>,
    },
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct BacktestOptions {
    /// Where.
    pub triggers: Triggers,
    /// Over what.
    pub history: History,
    /// Where the rows go.
    pub out: Option<PathBuf>,
    /// Rows of a part.
    pub part_rows: usize,
}

/// What a backtest found.
#[derive(Clone, Debug)]
pub struct BacktestReport {
    /// The service.
    pub service: Arc<ServiceDef>,
    /// The source whose events it was read at, if it was one.
    pub source: Option<String>,
    /// The cut.
    pub cut: Cut,
    /// Rows.
    pub rows: u64,
    /// Of which some feature differs.
    pub differing: u64,
    /// What lateness makes, by feature; the first is what would have been served.
    pub features: Vec<(Field, Difference)>,
    /// ERRORs in what would have been served, by feature.
    pub errors: Vec<u64>,
    /// Where the rows are.
    pub out: Option<PathBuf>,
    /// Digest of all rows, independent of files.
    pub digest: String,
    /// Rows that an earlier run had done.
    pub resumed: u64,
}

impl Offline {
    /// Reads a service at its triggers, as served and as known now.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; [`EngineError::NothingToTry`] if there are no triggers; if they
    /// lack an input of the service, the log cannot be read, or the result not be written.
    pub fn backtest(
        &self,
        service: &Arc<ServiceDef>,
        options: &BacktestOptions,
        progress: Progress<'_>,
    ) -> Result<BacktestReport, EngineError> {
        options.history.refuse_empty()?;
        refuse_format(options.out.as_deref())?;
        let mut reach = |stage: &str, done, total| match progress(stage, done, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Stopped),
        };
        let columns = Columns::of(service)?;
        let source = self.trigger_source(service, &options.triggers)?;
        let mut uses = Evaluator::uses_of(service, &[], None);
        if let Some(source) = &source {
            Backtest::use_source(service, source, &mut uses).map_err(EngineError::train)?;
        }
        let mut parts = Parts::beside(options.out.as_deref())?;
        let asked = asked(service, source.as_deref(), options)?;
        let (cut, words) = self.begun_cut(&options.history, &parts, &asked)?;
        let sources: Vec<SourceId> = uses.sources().into_keys().collect();
        let log = self.events(&sources)?;
        let evaluator = self.load(&log, &uses, &cut, &mut reach)?;
        let backtest = rows_of(service, source.as_deref(), options, &evaluator)?;
        if backtest.is_empty() {
            return Err(EngineError::NothingToTry {
                view: service.name.clone(),
                period: options.history.in_words(),
            });
        }
        parts.begin(&asked, &words)?;
        let total = backtest.len() as u64;
        let whole = parts.run(
            &columns.all,
            (backtest.len(), options.part_rows),
            &mut |range| {
                let rows = function::taking(|| backtest.rows(&evaluator, range))?;
                Ok(columns.compared(rows.map_err(EngineError::train)?))
            },
            &mut |done| reach(&service.name, done, total),
        )?;
        let notes = whole.rows.notes;
        let table = table_of(&columns.all, whole.rows.columns)?;
        let digest = digest_of(&table)?;
        if let Some(out) = &options.out {
            reach("writing", 0, 1)?;
            table.write(out).map_err(EngineError::connect)?;
        }
        parts.remove()?;
        Ok(BacktestReport {
            service: Arc::clone(service),
            source: source.map(|s| s.name.clone()),
            cut,
            rows: table.len() as u64,
            differing: notes.differing,
            features: columns
                .features
                .into_iter()
                .zip(notes.differences)
                .collect(),
            errors: notes.errors,
            out: options.out.clone(),
            digest,
            resumed: whole.resumed,
        })
    }

    /// The source whose events are the triggers; none if they are rows of a file.
    fn trigger_source(
        &self,
        service: &ServiceDef,
        triggers: &Triggers,
    ) -> Result<Option<Arc<SourceDef>>, EngineError> {
        let name = match triggers {
            Triggers::Spine { .. } => return Ok(None),
            Triggers::Source(name) => name,
        };
        if let Some(name) = name {
            return Ok(Some(source_of(self.catalog(), name)?));
        }
        let uses = Evaluator::uses_of(service, &[], None);
        let read = uses.sources().into_values().map(|(source, _)| source);
        let fits: Vec<Arc<SourceDef>> = read
            .filter(|source| Backtest::use_source(service, source, &mut Uses::default()).is_ok())
            .collect();
        match fits.as_slice() {
            [only] => Ok(Some(Arc::clone(only))),
            _ => Err(EngineError::Triggers {
                service: service.name.clone(),
                inputs: service.inputs.iter().map(|f| f.name.clone()).collect(),
                fitting: fits.iter().map(|s| s.name.clone()).collect(),
            }),
        }
    }
}

/// What is asked, but for the cut: a digest.
fn asked(
    service: &ServiceDef,
    source: Option<&SourceDef>,
    options: &BacktestOptions,
) -> Result<String, EngineError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&service.digest);
    options.history.hash(&mut hasher);
    hasher.update(&(options.part_rows as u64).to_be_bytes());
    match (source, &options.triggers) {
        (Some(source), _) => {
            hasher.update(source.name.as_bytes());
        }
        (None, triggers) => {
            // Rows of another file are another backtest, whatever its name.
            let spine = read_spine(triggers)?;
            let range = options.history.from..options.history.to;
            let rows = Backtest::of_spine(service, spine, &range).map_err(EngineError::train)?;
            hasher.update(&rows.digest().map_err(EngineError::train)?);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn read_spine(triggers: &Triggers) -> Result<Spine, EngineError> {
    match triggers {
        Triggers::Spine {
            path,
            time_column,
            known_at_column,
        } => Spine::read(path, time_column.as_deref(), known_at_column.as_deref())
            .map_err(EngineError::train),
        Triggers::Source(_) => unreachable!("the events of a source are no file"),
    }
}

fn rows_of<'a>(
    service: &'a ServiceDef,
    source: Option<&SourceDef>,
    options: &BacktestOptions,
    evaluator: &Evaluator,
) -> Result<Backtest<'a>, EngineError> {
    let range = options.history.from..options.history.to;
    let rows = match source {
        Some(source) => Backtest::of_source(service, source, evaluator, &range),
        None => Backtest::of_spine(service, read_spine(&options.triggers)?, &range),
    };
    rows.and_then(|rows| rows.sampled(options.history.sample))
        .map_err(EngineError::train)
}

/// The columns of the result.
struct Columns {
    /// What the service is asked with, and the times.
    inputs: Vec<Field>,
    features: Vec<Field>,
    /// Inputs and times, then each feature as served and as known now.
    all: Vec<Field>,
}

impl Columns {
    fn of(service: &ServiceDef) -> Result<Self, EngineError> {
        let features = service.features();
        let both = features.iter().flat_map(|feature| {
            let latest = format!("{}{LATEST_SUFFIX}", feature.name);
            [
                feature.clone(),
                Field::new(latest, feature.data_type.clone()),
            ]
        });
        let both: Vec<Field> = both.collect();
        let inputs = Backtest::input_fields(service, &both);
        let all: Vec<Field> = inputs.iter().cloned().chain(both).collect();
        let mut names = BTreeSet::new();
        if let Some(twice) = all.iter().find(|field| !names.insert(&field.name)) {
            return Err(EngineError::ColumnTwice {
                name: twice.name.clone(),
            });
        }
        Ok(Columns {
            inputs,
            features,
            all,
        })
    }

    fn compared(&self, rows: BacktestRows) -> Rows {
        let BacktestRows {
            inputs: mut columns,
            served,
            latest,
        } = rows;
        let (keys, times) = columns.split_at(self.inputs.len() - 2);
        let key_of = |row: usize| {
            let fields = self.inputs.iter().zip(keys);
            let key =
                fields.map(|(f, c): (&Field, &Column)| value_to_json(&f.data_type, &c.get(row)));
            let time = match times[0].get(row) {
                Value::Timestamp(time) => time,
                _ => 0,
            };
            (key.collect(), time)
        };
        let mut differs = vec![false; times[0].len()];
        let mut notes = Notes::default();
        for (feature, (first, second)) in self.features.iter().zip(served.iter().zip(&latest)) {
            let difference = Difference::between(&feature.data_type, first, second, &key_of);
            if difference.differ > 0 {
                mark_differing(first, second, &mut differs);
            }
            notes.errors.push(errors_in(first));
            notes.differences.push(difference);
        }
        notes.differing = differs.iter().filter(|d| **d).count() as u64;
        for (served, latest) in served.into_iter().zip(latest) {
            columns.push(served);
            columns.push(latest);
        }
        Rows { columns, notes }
    }
}

/// Marks the rows in which two columns differ.
fn mark_differing(first: &Column, second: &Column, differs: &mut [bool]) {
    for (row, differs) in differs.iter_mut().enumerate() {
        *differs |= !first.get(row).same_bits(&second.get(row));
    }
}
