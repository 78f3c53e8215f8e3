//! Runs of batch views: the query as of a time, its rows written by whoever may.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use evenkeel_engine::batch::{BatchView, QueryColumns, RunCounts, RunRecord, RunRows};
use evenkeel_engine::push::{ConsideredRows, RowAnswer};
use evenkeel_engine::{EngineError, Offline};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{EventTime, Field};

use crate::error::SqlError;
use crate::run::{GoOn, Limits, Query, columns, run};

/// Rows that are best written at a time.
pub const ROWS_PER_WRITE: usize = 10_000;
/// Pieces that are made ready ahead of the one that is written.
const PIECES_AHEAD: usize = 2;

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
    &'a mut dyn FnMut(&Arc<SourceDef>, ConsideredRows) -> Result<Vec<RowAnswer>, E>;

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
    /// How many rows are written at a time: [`ROWS_PER_WRITE`].
    pub rows_per_write: usize,
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
            failed: made.failed(),
            ..RunCounts::default()
        };
        std::thread::scope(|scope| {
            let (ahead, pieces) = sync_channel(PIECES_AHEAD);
            scope.spawn(|| {
                // Nobody takes more after an error.
                let _ = piece_ranges(made.len(), self.rows_per_write)
                    .try_for_each(|rows| ahead.send(made.piece(rows)));
                drop(ahead);
            });
            write_all(
                &batch.table,
                &made,
                pieces,
                go_on,
                write,
                progress,
                &mut counts,
            )
        })?;
        record.finish(offline, counts).map_err(store)?;
        Ok(RunReport { record, counts })
    }
}

/// So many rows, cut into pieces.
fn piece_ranges(rows: usize, rows_per_piece: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..rows).step_by(rows_per_piece.max(1));
    starts.map(move |start| start..rows.min(start.saturating_add(rows_per_piece.max(1))))
}

/// Writes pieces of a run's rows as they come, and counts what became of them.
fn write_all<E: From<SqlError>>(
    table: &Arc<SourceDef>,
    rows: &RunRows,
    pieces: Receiver<ConsideredRows>,
    go_on: &GoOn,
    write: WriteRows<'_, E>,
    progress: &mut dyn FnMut(u64, u64),
    counts: &mut RunCounts,
) -> Result<(), E> {
    let mut done = 0;
    for piece in pieces {
        if !go_on() {
            return Err(E::from(SqlError::Stopped));
        }
        for answer in write(table, piece)? {
            match answer {
                RowAnswer::Logged(_) if done < rows.versions() => counts.written += 1,
                RowAnswer::Logged(_) => counts.deleted += 1,
                RowAnswer::Duplicate => counts.ignored += 1,
                RowAnswer::Conflict(_) | RowAnswer::LeftOut | RowAnswer::Rejected { .. } => {
                    counts.failed += 1;
                }
            }
            done += 1;
        }
        progress(done as u64, rows.len() as u64);
    }
    // What nobody has answered for is not called finished.
    match done == rows.len() {
        true => Ok(()),
        false => Err(E::from(SqlError::Stopped)),
    }
}
