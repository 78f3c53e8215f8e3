//! Rows as they come out of a file: batches of columns, and the rows that were rejected.
//!
//! Invariant: every column of a batch has one slot per accepted row, and every row of the
//! file is either accepted or rejected, never both, never neither.

use std::sync::Arc;

use evenkeel_types::{Column, Value};

use crate::options::ColumnSpec;
use crate::value::ValueError;

/// Some rows of a file.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// The accepted rows' numbers in the file, from 0, ascending.
    pub rows: Vec<u64>,
    /// One column per declared column, with one slot per accepted row.
    pub columns: Vec<Column>,
    /// The rejected rows between them, ascending.
    pub rejected: Vec<RejectedRow>,
}

/// A row that cannot be what the source declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its number in the file, from 0 (blank lines and the header are not counted).
    pub row: u64,
    /// Its first line in a text file, from 1.
    pub line: Option<u64>,
    /// The declared column with the first offending value; none if the row as a whole
    /// cannot be read.
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: ValueError,
    /// The original record as JSON text: of CSV an object of its fields as texts (an array
    /// if they do not fit the header), of JSON lines the line, of Parquet an object of the
    /// declared columns. What is no JSON is a JSON string; what is not even UTF-8 is
    /// `{"base64": ...}`.
    pub record: String,
}

/// Collects the rows of one batch from a file that is read row by row.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    specs: Arc<[ColumnSpec]>,
    batch: RowBatch,
}

impl BatchBuilder {
    pub(crate) fn new(specs: Arc<[ColumnSpec]>) -> Self {
        BatchBuilder {
            batch: RowBatch::empty(&specs),
            specs,
        }
    }

    /// Rows so far, accepted and rejected.
    pub(crate) fn len(&self) -> usize {
        self.batch.rows.len() + self.batch.rejected.len()
    }

    /// Adds a row whose values are one per declared column, or the index of the first column
    /// with a wrong one (none: the row as a whole) and what is wrong. `record` is asked only
    /// for rejected rows.
    pub(crate) fn push(
        &mut self,
        row: u64,
        line: u64,
        values: Result<&[Value], (Option<usize>, ValueError)>,
        record: impl FnOnce() -> String,
    ) {
        let checked = values.and_then(|values| {
            self.specs
                .iter()
                .zip(values)
                .position(|(spec, value)| spec.required && value.is_null())
                .map_or(Ok(values), |i| Err((Some(i), ValueError::Missing)))
        });
        match checked {
            Ok(values) => {
                self.batch.rows.push(row);
                for (column, value) in self.batch.columns.iter_mut().zip(values) {
                    column.push(value);
                }
            }
            Err((column, reason)) => self.batch.rejected.push(RejectedRow {
                row,
                line: Some(line),
                column: column.map(|i| self.specs[i].name.clone()),
                reason,
                record: record(),
            }),
        }
    }

    /// The batch so far; the builder starts again.
    pub(crate) fn take(&mut self) -> RowBatch {
        std::mem::replace(&mut self.batch, RowBatch::empty(&self.specs))
    }
}

impl RowBatch {
    fn empty(specs: &[ColumnSpec]) -> Self {
        RowBatch {
            rows: Vec::new(),
            columns: specs.iter().map(|s| Column::new(&s.data_type)).collect(),
            rejected: Vec::new(),
        }
    }
}
