//! Runs of batch views: the query as of a time, its rows written by whoever may.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::batch::{BatchView, QueryColumns, RunCounts, RunRecord, RunRows};
use evenkeel_engine::push::{PushedRow, RowAnswer};
use evenkeel_engine::{EngineError, Offline};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{EventTime, Field};

use crate::error::SqlError;
use crate::run::{GoOn, Limits, Query, columns, run};

/// Rows that are written at a time.
const WRITTEN_ROWS: usize = 10_000;

/// The query engine, for the columns of batch views.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqlColumns;

impl QueryColumns for SqlColumns {
    fn columns(&self, query: &str, catalog: &Catalog) -> Result<Vec<Field>, String> {
        columns(catalog, query).map_err(|error| {
            let place = match &error {
                SqlError::Mistake(found) => query.get(found.span.start..found.span.end),
                _ => None,
            };
            let place = place.filter(|place| !place.is_empty() && place.len() < 80);
            let place = place.map_or_else(String::new, |place| format!(" (at `{place}`)"));
            let hint = error.hint().map_or_else(String::new, |h| format!("; {h}"));
            format!("{error}{place}{hint}")
        })
    }
}

/// Writes rows of a table, and says what became of each.
type WriteRows<'a, E> =
    &'a mut dyn FnMut(&Arc<SourceDef>, Vec<PushedRow>) -> Result<Vec<RowAnswer>, E>;

/// A run that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct BatchRun<'a> {
    /// The batch view.
    pub view: &'a str,
    /// As of when.
    pub at: EventTime,
    /// Now: nothing runs as of later.
    pub now: EventTime,
    /// Whether a run that was finished is made once more, with what is known now.
    pub again: bool,
    /// How much the query may take.
    pub limits: Limits,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The run.
    pub record: RunRecord,
    /// What became of its rows.
    pub counts: RunCounts,
}

impl BatchRun<'_> {
    /// Runs it, unless it was finished before. `progress` is told how many of how many are written,
    /// and `go_on` may stop it: made again, it goes on.
    ///
    /// # Errors
    /// If there is no such view, the query fails, or a row cannot be written.
    pub fn run<E: From<SqlError>>(
        &self,
        offline: &Offline,
        go_on: &GoOn,
        write: WriteRows<'_, E>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RunReport, E> {
        let store = |error: EngineError| E::from(SqlError::store(error));
        let batch = BatchView::of(offline.catalog(), self.view).map_err(store)?;
        if self.at > self.now {
            return Err(E::from(SqlError::RunInFuture {
                at: self.at.to_string(),
            }));
        }
        let record = RunRecord::begin(offline, &batch, self.at, self.again);
        let mut record = record.map_err(store)?;
        if let Some(counts) = record.finished {
            // All of it is there.
            let counts = RunCounts {
                written: 0,
                deleted: 0,
                ignored: counts.written + counts.ignored + counts.deleted,
                ..counts
            };
            return Ok(RunReport { record, counts });
        }
        let rows = run(
            offline,
            &Query {
                text: batch.query.clone(),
                at: self.at,
                cut: Some(record.cut(offline).map_err(store)?),
                files: false,
                limits: self.limits,
            },
            go_on,
        )?;
        let table = rows.table;
        let mut reading = |_| match go_on() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let made = RunRows::of(offline, &batch, &record, &table, &mut reading).map_err(store)?;
        // Not before: of a query that fails, nothing is half written.
        record.record(offline).map_err(store)?;
        let mut counts = RunCounts {
            rows: table.len() as u64,
            failed: made.failed,
            ..RunCounts::default()
        };
        let (total, versions) = (made.rows.len(), made.versions);
        let mut rest = made.rows.into_iter();
        let mut done = 0;
        while done < total {
            if !go_on() {
                return Err(E::from(SqlError::Stopped));
            }
            let piece: Vec<PushedRow> = rest.by_ref().take(WRITTEN_ROWS).collect();
            for answer in write(&batch.table, piece)? {
                match answer {
                    RowAnswer::Logged(_) if done < versions => counts.written += 1,
                    RowAnswer::Logged(_) => counts.deleted += 1,
                    RowAnswer::Duplicate => counts.ignored += 1,
                    RowAnswer::Conflict(_) | RowAnswer::LeftOut | RowAnswer::Rejected { .. } => {
                        counts.failed += 1;
                    }
                }
                done += 1;
            }
            progress(done as u64, total as u64);
        }
        record.finish(offline, counts).map_err(store)?;
        Ok(RunReport { record, counts })
    }
}
