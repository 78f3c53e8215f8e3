//! Whether what was logged since a dataset was built changes it.
//!
//! Two exact counts. Late events: those behind the cut, in the sources that the dataset reads,
//! that are not dated after the last moment that a row looks at in them; the tail of the log
//! says it. Rows that differ: the dataset's rows evaluated at its cut and at today's, with its
//! own definitions, compared value by value. An event that is dated later touches no row,
//! unless it contests an earlier one by where it came from; then rows are compared, too.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_log::{EventParts, ReadOptions};
use evenkeel_train::NamedLabel;
use evenkeel_train::dataset::TrainingRows;
use evenkeel_types::{Column, Cut, LoggedEvent, Origin};
use serde::Serialize;

use super::DatasetName;
use super::build::{BuildSpine, Meant, compared, dataset_of};
use super::folder::DatasetFolder;
use super::manifest::DatasetManifest;
use super::reading::{feature_of, pinned_service, pinned_view};
use super::rebuild::Found;
use crate::error::EngineError;
use crate::offline::Offline;

/// Late events of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LateEvents {
    /// The source.
    pub source: String,
    /// How many.
    pub events: u64,
}

/// How many rows differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DifferingRows {
    /// Rows of which some value differs; none if it cannot be told.
    pub rows: Option<u64>,
    /// Per feature and label the rows where it differs, if any.
    pub columns: BTreeMap<String, u64>,
    /// Why it cannot be told.
    pub reason: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Staleness {
    /// The cut up to which was looked.
    pub cut: String,
    /// Late events, of sources that have any.
    pub late: Vec<LateEvents>,
    /// Why it cannot be told which events are late: the store has less than the dataset.
    pub behind: Option<String>,
    /// Whether rows differ; none if nobody asked.
    pub differing: Option<DifferingRows>,
}

impl Staleness {
    /// Late events of all sources; none if it cannot be told.
    pub fn late_events(&self) -> Option<u64> {
        let late = self.late.iter().map(|l| l.events);
        self.behind.is_none().then(|| late.sum())
    }
}

/// What is behind a dataset's cut.
struct Tail {
    late: Vec<LateEvents>,
    /// Whether an event may contest an earlier one.
    may_contest: bool,
}

impl Offline {
    /// How many late events a dataset has: the log behind its cut is read.
    ///
    /// # Errors
    /// If the log cannot be read, or has less than the dataset's cut.
    pub fn late_events(&self, manifest: &DatasetManifest) -> Result<Staleness, EngineError> {
        let tail = self.tail(manifest)?;
        Ok(Staleness {
            cut: self.format_cut(self.cut()),
            late: tail.late,
            behind: self.behind(manifest)?,
            differing: None,
        })
    }

    /// Late events, and exactly how many rows differ.
    ///
    /// # Errors
    /// As [`Offline::late_events`]; [`EngineError::Stopped`].
    pub fn staleness(
        &self,
        manifest: &DatasetManifest,
        spine: &BuildSpine,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Staleness, EngineError> {
        let tail = self.tail(manifest)?;
        let none = DifferingRows {
            rows: Some(0),
            columns: BTreeMap::new(),
            reason: None,
        };
        let behind = self.behind(manifest)?;
        let differing = if let Some(reason) = &behind {
            DifferingRows {
                rows: None,
                columns: BTreeMap::new(),
                reason: Some(reason.clone()),
            }
        } else if tail.late.is_empty() && !tail.may_contest {
            none
        } else {
            self.differing(manifest, spine, values_max, progress)?
        };
        Ok(Staleness {
            cut: self.format_cut(self.cut()),
            late: tail.late,
            behind,
            differing: Some(differing),
        })
    }

    /// Why a store that has less than a dataset, as after a restore, cannot tell.
    fn behind(&self, manifest: &DatasetManifest) -> Result<Option<String>, EngineError> {
        let cut = self.parse_cut(&manifest.cut)?;
        Ok(self.known(Some(&cut)).err().map(|error| error.to_string()))
    }

    fn tail(&self, manifest: &DatasetManifest) -> Result<Tail, EngineError> {
        let after = self.parse_cut(&manifest.cut)?;
        let mut tail = Tail {
            late: Vec::new(),
            may_contest: false,
        };
        for moment in &manifest.moments {
            let Some(source) = self.catalog().sources.get(&moment.source) else {
                continue;
            };
            let by_origin = source.event_id.is_empty();
            let parts = EventParts {
                columns: Vec::new(),
                origin: by_origin,
            };
            let mut events = self.log().read(ReadOptions {
                sources: Some(vec![source.id]),
                after: after.clone(),
                until: Some(self.cut().clone()),
                parts: BTreeMap::from([(source.id, parts)]),
                ..ReadOptions::default()
            });
            let mut late = 0;
            let mut logged = LoggedEvent::blank();
            while events.next_into(&mut logged).map_err(EngineError::log)? {
                late += u64::from(logged.event.event_time.0 <= moment.until);
                tail.may_contest |=
                    by_origin && logged.event.origin != Origin::Log(logged.position);
            }
            if late > 0 {
                tail.late.push(LateEvents {
                    source: moment.source.clone(),
                    events: late,
                });
            }
        }
        Ok(tail)
    }

    fn differing(
        &self,
        manifest: &DatasetManifest,
        spine: &BuildSpine,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<DifferingRows, EngineError> {
        let unknown = |reason: String| DifferingRows {
            rows: None,
            columns: BTreeMap::new(),
            reason: Some(reason),
        };
        let meant = match self.pinned_now(manifest) {
            Ok(meant) => meant,
            Err(error) => return Ok(unknown(crate::error::chain(&error))),
        };
        let cut = self.parse_cut(&manifest.cut)?;
        let then = self.pinned_rows(manifest, &meant, spine, &cut, values_max, progress)?;
        // A column that is wider now gives the rows of a query other types: they are asked for
        // as they were then.
        let then = match (then, &manifest.spine.file) {
            (Err(_), None) => self.rows_of_then(manifest, spine, &cut, values_max, progress)?,
            (then, _) => then,
        };
        let then = match then {
            Ok(then) => then,
            Err((_, reason)) => return Ok(unknown(format!("the spine: {reason}"))),
        };
        // A query's rows are those of its cut, whatever was logged since.
        let spine = match &manifest.spine.file {
            Some(_) => meant.spine(self.root(), spine)?,
            None => return self.differing_query(&meant, &then, &cut, values_max, progress),
        };
        let plan = meant.plan(spine, self.cut(), values_max);
        let now = self.training_rows(&plan, &meant.labels, progress)?;
        compare(&meant, &then, &now)
    }

    /// The rows of a dataset with the definitions that it was built with.
    fn rows_of_then(
        &self,
        manifest: &DatasetManifest,
        spine: &BuildSpine,
        cut: &Cut,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Found<TrainingRows>, EngineError> {
        let (catalog, meant) = match self.pinned(manifest)? {
            Ok(pinned) => pinned,
            Err(found) => return Ok(Err(found)),
        };
        let at = self.with_catalog(catalog);
        at.pinned_rows(manifest, &meant, spine, cut, values_max, progress)
    }

    /// The same of a query: its rows then, read now.
    fn differing_query(
        &self,
        meant: &Meant,
        then: &TrainingRows,
        cut: &Cut,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<DifferingRows, EngineError> {
        let evenkeel_types::definition::DatasetSpine::Query(sql) = &meant.def.spine else {
            unreachable!("a spine that is no file is a query");
        };
        let plan = meant.plan(
            evenkeel_train::SpineSource::Query(sql.clone()),
            self.cut(),
            values_max,
        );
        let now = self.training_rows_of(&plan, &meant.labels, cut, progress)?;
        compare(meant, then, &now)
    }

    /// What a manifest's names meant, over the definitions that there are now.
    fn pinned_now(&self, manifest: &DatasetManifest) -> Result<Meant, EngineError> {
        let name = DatasetName {
            name: manifest.dataset.clone(),
            version: Some(manifest.version),
        };
        let def = dataset_of(self.catalog(), &name)?;
        let service = pinned_service(manifest, self.catalog())?;
        let labels = def.labels.iter().map(|label| {
            let entry = manifest
                .labels
                .iter()
                .find(|entry| entry.name == label.name);
            let pinned = entry.and_then(|entry| entry.view.as_ref());
            let gone = || EngineError::DatasetGone {
                dataset: manifest.title(),
                reason: format!("label `{}` is not in its manifest", label.name),
            };
            let pinned = pinned.ok_or_else(gone)?;
            let view = pinned_view(manifest, pinned, self.catalog())?;
            Ok(NamedLabel {
                feature: feature_of(&view, &label.feature).ok_or_else(gone)?,
                view,
                within: label.within,
                keys: pinned.key.clone(),
                name: label.name.clone(),
            })
        });
        Ok(Meant {
            labels: labels.collect::<Result<_, EngineError>>()?,
            service: std::sync::Arc::new(service),
            def,
        })
    }

    /// The manifest of a dataset of the store.
    ///
    /// # Errors
    /// If it was not built, or is damaged.
    pub fn dataset(&self, name: &DatasetName) -> Result<DatasetManifest, EngineError> {
        DatasetFolder::of(self.store()).manifest(name)
    }
}

/// Compares two evaluations of the same rows.
fn compare(
    meant: &Meant,
    then: &TrainingRows,
    now: &TrainingRows,
) -> Result<DifferingRows, EngineError> {
    let mut differs = vec![false; then.times.len()];
    let mut columns = BTreeMap::new();
    // As they are now: a type may have become wider, and never another.
    for field in compared(&meant.service, now) {
        let of = |rows: &TrainingRows| -> Result<Column, EngineError> {
            let column = rows.set.table.column_as(&field.name, &field.data_type);
            column.map_err(EngineError::connect)
        };
        let (before, after) = (of(then)?, of(now)?);
        let mut count = 0;
        for (row, differs) in differs.iter_mut().enumerate() {
            if before.get(row) != after.get(row) {
                *differs = true;
                count += 1;
            }
        }
        if count > 0 {
            columns.insert(field.name, count);
        }
    }
    Ok(DifferingRows {
        rows: Some(differs.iter().filter(|d| **d).count() as u64),
        columns,
        reason: None,
    })
}
