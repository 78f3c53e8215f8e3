//! Rows and files into a source.

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_connect::{ColumnSpec, RowBatch};
use evenkeel_engine::api::IngestReport;
use evenkeel_engine::batch::refuse_by_hand;
use evenkeel_engine::push::{PushedRow, Undecoded, Write, Written};
use evenkeel_engine::{Engine, SessionToken};
use evenkeel_types::Value;
use evenkeel_types::definition::SourceDef;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use crate::error::Failure;
use crate::reports;
use crate::rows;
use crate::table::Table;

/// Rows of one commit: readers wait for one at most.
const COMMIT_ROWS: usize = 1 << 14;

/// A row's values, or why there are none.
type Decoded = Result<Vec<Value>, Undecoded>;

#[pymethods]
impl Store {
    /// Pushes a table's rows.
    fn ingest_table<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        table: &Table,
        producer: Option<(String, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let def = self.read(py, |engine| Ok(engine.source(source)?))?;
        let batch = py.detach(|| table.0.rows(&columns(&def), &def.zone));
        let batch = batch.map_err(Failure::from)?;
        self.push(py, &def, in_order(batch), producer)
    }

    /// Pushes dictionaries.
    fn ingest_rows<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        rows: Vec<Bound<'py, PyDict>>,
        producer: Option<(String, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let def = self.read(py, |engine| Ok(engine.source(source)?))?;
        let decoded = rows::declared(py, &rows, &columns(&def), &def.zone)?;
        let decoded = rows
            .iter()
            .zip(decoded)
            .map(|(row, values)| match values {
                Ok(values) => Ok(Ok(values)),
                Err((column, reason)) => rows::undecoded(row, column.as_deref(), &reason).map(Err),
            })
            .collect::<PyResult<Vec<Decoded>>>()?;
        self.push(py, &def, decoded.into_iter(), producer)
    }

    /// Ingests files: those of the source's definition, or one given instead.
    fn ingest_files<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        path: Option<PathBuf>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = self.write(py, |engine, _| {
            Ok(engine.ingest(source, path.as_deref(), &mut |_| ())?)
        })?;
        reports::ingest(py, &report, None)
    }

    /// Judges dead letters again; none named: all.
    fn redrive<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        ids: Option<Vec<u64>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = self.write(py, |engine, pusher| {
            let source = engine.source(source)?;
            match engine.write(pusher, Write::Redrive { source, ids })? {
                Written::Redriven(report) => Ok(report),
                _ => Err(Failure::broken()),
            }
        })?;
        reports::ingest(py, &report, None)
    }
}

impl Store {
    /// Pushes rows in commits of [`COMMIT_ROWS`].
    fn push<'py>(
        &self,
        py: Python<'py>,
        source: &Arc<SourceDef>,
        mut rows: impl Iterator<Item = Decoded> + Send,
        producer: Option<(String, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        refuse_by_hand(source).map_err(Failure::from)?;
        let producer = producer.map(|(id, first)| (Arc::<str>::from(id), first));
        let mut report = IngestReport {
            source: source.name.clone(),
            ..IngestReport::default()
        };
        let mut session = SessionToken::default();
        let words = loop {
            let first = report.rows;
            let commit: Vec<PushedRow> = (first..)
                .zip(rows.by_ref().take(COMMIT_ROWS))
                .map(|(i, values)| PushedRow {
                    values,
                    producer: producer
                        .as_ref()
                        .map(|(id, number)| (Arc::clone(id), number.saturating_add(i))),
                })
                .collect();
            let is_last = commit.len() < COMMIT_ROWS;
            let source = Arc::clone(source);
            let (answer, words) = self.write(py, |engine, pusher| {
                let rows = commit;
                let Written::Pushed(answer) = engine.write(pusher, Write::Push { source, rows })?
                else {
                    return Err(Failure::broken());
                };
                join(&mut session, &answer.session);
                let words = words(engine, &session);
                Ok((answer, words))
            })?;
            report.count(&answer, |i| format!("row {}", first + i as u64));
            if is_last {
                break words;
            }
        };
        reports::ingest(py, &report, words.as_deref())
    }
}

fn words(engine: &Engine, session: &SessionToken) -> Option<String> {
    (*session != SessionToken::default()).then(|| engine.format_session(session))
}

fn join(session: &mut SessionToken, other: &SessionToken) {
    for (source, partition, end) in other.positions.iter() {
        let known = session.positions.end(source, partition);
        session.positions.set_end(source, partition, end.max(known));
    }
    session.time = session.time.max(other.time);
}

pub(super) fn columns(def: &SourceDef) -> Vec<ColumnSpec> {
    def.columns[..def.stored]
        .iter()
        .map(|c| ColumnSpec::new(c.name.clone(), c.data_type.clone()))
        .collect()
}

/// Accepted and rejected rows in their order.
fn in_order(batch: RowBatch) -> impl Iterator<Item = Decoded> + Send {
    batch.in_order().map(|(_, values)| {
        values.map_err(|rejected| {
            let column = rejected.column.unwrap_or_default();
            Undecoded {
                reason: format!("column `{column}`: {}", rejected.reason),
                record: rejected.record.into_bytes(),
            }
        })
    })
}
