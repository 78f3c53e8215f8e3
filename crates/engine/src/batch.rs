//! Batch views: a query that runs on a schedule, whose results are rows of a table.
//!
//! Owns which runs there were and what of a run's rows is written; does not understand the query:
//! whoever has an engine for it brings [`QueryColumns`] and the rows. Invariants: nobody but runs writes the
//! table; a run is recorded with its cut before anything of it is written, so that a run that was killed, made again, writes the same
//! rows under the same identities, and what is there already is there once
//! (`docs/decisions/0028-batch-views.md`).

mod record;
mod rows;

use std::fmt;
use std::sync::Arc;

use evenkeel_ddl::{BATCH_CONNECTOR, batch_table};
use evenkeel_types::definition::{Catalog, OptionValue, SourceDef, ViewDef};
use evenkeel_types::{Field, Schedule, Zone};

use crate::definitions::unknown;
use crate::error::EngineError;

/// Columns of the table that are of runs, behind the key: operation, time, revision.
const RUN_COLUMNS: usize = 3;

pub use record::{RunCounts, RunRecord};
pub use rows::RunRows;

/// Understands the queries of batch views.
pub trait QueryColumns: fmt::Debug + Send + Sync {
    /// The columns that a query gives, over what is defined.
    ///
    /// # Errors
    /// In words, if it is no query over these.
    fn columns(&self, query: &str, catalog: &Catalog) -> Result<Vec<Field>, String>;
}

/// Refuses rows that somebody brings for the table of a batch view.
///
/// # Errors
/// [`EngineError::OnlyRuns`], if it is one.
pub fn refuse_by_hand(source: &SourceDef) -> Result<(), EngineError> {
    match text_of(source, "connector") {
        Some(BATCH_CONNECTOR) => Err(EngineError::OnlyRuns {
            table: source.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn text_of<'a>(source: &'a SourceDef, option: &str) -> Option<&'a str> {
    match source.options.get(option) {
        Some(OptionValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// A batch view.
#[derive(Clone, Debug)]
pub struct BatchView {
    /// The view over its results.
    pub view: Arc<ViewDef>,
    /// The table of its results.
    pub table: Arc<SourceDef>,
    /// What it runs.
    pub query: String,
    /// When; none: whenever somebody asks for it.
    pub schedule: Option<Schedule>,
}

impl BatchView {
    /// The last time of its schedule.
    ///
    /// # Errors
    /// [`EngineError::NotDue`], if it has none so far.
    pub fn last_due(&self, now: i64) -> Result<i64, EngineError> {
        let schedule = self.schedule.as_ref();
        let last = schedule.and_then(|schedule| schedule.last_until(now));
        last.ok_or_else(|| EngineError::NotDue {
            view: self.view.name.clone(),
            schedule: schedule.map(|schedule| schedule.text().to_owned()),
        })
    }

    /// The batch view of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(catalog: &Catalog, name: &str) -> Result<Self, EngineError> {
        let all = BatchView::all(catalog);
        let names: Vec<String> = all.iter().map(|b| b.view.name.clone()).collect();
        let mut found = all.into_iter().filter(|batch| batch.view.name == name);
        found
            .next()
            .ok_or_else(|| unknown("batch view", name, &names))
    }

    /// All of them, by name.
    pub fn all(catalog: &Catalog) -> Vec<Self> {
        let views = catalog.views.values();
        let newest = views.filter_map(|versions| versions.values().next_back());
        newest
            .filter_map(|view| {
                let table = catalog.sources.get(&batch_table(&view.name))?;
                let text = |key: &str| text_of(table, key);
                if text("connector") != Some(BATCH_CONNECTOR) {
                    return None;
                }
                // The view may be another one by now, beside the table of before.
                let features = view.features.iter().map(|feature| &feature.name);
                let first = table.primary_key.len() + RUN_COLUMNS;
                let columns = table.columns.get(first..table.stored)?;
                if !features.eq(columns.iter().map(|column| &column.name)) {
                    return None;
                }
                let zone = Zone::named(text("schedule_zone").unwrap_or("UTC"))?;
                let schedule = text("schedule").map(|text| Schedule::parse(text, &zone));
                Some(BatchView {
                    view: Arc::clone(view),
                    table: Arc::clone(table),
                    query: text("query")?.to_owned(),
                    schedule: schedule.transpose().ok()?,
                })
            })
            .collect()
    }
}
