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

/// A row that could not be decoded, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecoded {
    /// Why.
    pub reason: String,
    /// The record as it came, as JSON where it can be.
    pub record: Vec<u8>,
}

/// Some rows of a file.
#[derive(Clone, Debug)]
pub struct FileRows {
    /// The file: its digest, or the id of one that grows.
    pub file: [u8; 16],
    /// The rows.
    pub rows: RowBatch,
}

/// One row of a file: its values, one per declared column, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRow {
    /// The file: its digest, or the id of one that grows.
    pub file: [u8; 16],
    /// Its number in the file, from 0.
    pub number: u64,
    /// Its values.
    pub values: Result<Vec<Value>, Undecoded>,
}

impl RejectedRow {
    /// Why it is rejected, with its place in the file.
    pub fn in_words(&self) -> String {
        let reason = &self.reason;
        match (self.line, &self.column) {
            (Some(line), Some(column)) => format!("line {line}, column `{column}`: {reason}"),
            (Some(line), None) => format!("line {line}: {reason}"),
            (None, Some(column)) => format!("row {}, column `{column}`: {reason}", self.row),
            (None, None) => format!("row {}: {reason}", self.row),
        }
    }
}

impl FileRows {
    /// The rows in their order, what is wrong with them in words.
    pub fn in_order(self) -> impl Iterator<Item = FileRow> + Send {
        let file = self.file;
        self.rows.in_order().map(move |(number, values)| FileRow {
            file,
            number,
            values: values.map_err(|rejected| Undecoded {
                reason: rejected.in_words(),
                record: rejected.record.into_bytes(),
            }),
        })
    }
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
        self.batch.len()
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
    /// Its rows, accepted and rejected, in the order of their numbers.
    pub fn in_order(self) -> impl Iterator<Item = (u64, Result<Vec<Value>, RejectedRow>)> + Send {
        let RowBatch {
            rows,
            columns,
            rejected,
        } = self;
        let mut accepted = rows.into_iter().enumerate().peekable();
        let mut rejected = rejected.into_iter().peekable();
        std::iter::from_fn(move || {
            let is_accepted = match (accepted.peek(), rejected.peek()) {
                (Some((_, row)), Some(next)) => *row < next.row,
                (found, _) => found.is_some(),
            };
            if is_accepted {
                let (slot, row) = accepted.next()?;
                let values = columns.iter().map(|c| c.get(slot)).collect();
                return Some((row, Ok(values)));
            }
            rejected.next().map(|found| (found.row, Err(found)))
        })
    }

    /// Those of its rows whose numbers are in a range.
    pub fn within(mut self, numbers: std::ops::Range<u64>) -> RowBatch {
        self.rejected
            .retain(|rejected| numbers.contains(&rejected.row));
        let from = self.rows.partition_point(|row| *row < numbers.start);
        let to = self
            .rows
            .partition_point(|row| *row < numbers.end)
            .max(from);
        if from > 0 || to < self.rows.len() {
            // A batch has at most `BATCH_ROWS_MAX` rows.
            let kept: Vec<u32> = (0..u32::MAX).take(to).skip(from).collect();
            self.columns = self.columns.iter().map(|c| c.gather(&kept)).collect();
            self.rows = self.rows[from..to].to_vec();
        }
        self
    }

    /// Rows, accepted and rejected.
    pub fn len(&self) -> usize {
        self.rows.len() + self.rejected.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn empty(specs: &[ColumnSpec]) -> Self {
        RowBatch {
            rows: Vec::new(),
            columns: specs.iter().map(|s| Column::new(&s.data_type)).collect(),
            rejected: Vec::new(),
        }
    }
}

/// Rows in two parts, in their order; neither is empty if there are two rows. None: there is no
/// row.
pub fn file_rows_halves(mut parts: Vec<FileRows>) -> Option<[Vec<FileRows>; 2]> {
    parts.retain(|part| !part.rows.is_empty());
    if parts.len() > 1 {
        let second = parts.split_off(parts.len() / 2);
        return Some([parts, second]);
    }
    let FileRows { file, rows } = parts.pop()?;
    let rejected = rows.rejected.iter().map(|rejected| rejected.row);
    let mut numbers: Vec<u64> = rows.rows.iter().copied().chain(rejected).collect();
    numbers.sort_unstable();
    let middle = numbers[numbers.len() / 2];
    let part = |rows| vec![FileRows { file, rows }];
    let first = rows.clone().within(0..middle);
    Some([part(first), part(rows.within(middle..u64::MAX))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_halved_until_each_stands_alone() {
        let part = |file: u8, numbers: std::ops::Range<u64>| FileRows {
            file: [file; 16],
            rows: RowBatch {
                rows: numbers.collect(),
                columns: Vec::new(),
                rejected: Vec::new(),
            },
        };
        let mut pieces = vec![vec![part(1, 5..12), part(2, 0..0), part(3, 0..1)]];
        let mut seen = Vec::new();
        while let Some(parts) = pieces.pop() {
            let rows = |part: &FileRows| -> Vec<(u8, u64)> {
                part.rows
                    .rows
                    .iter()
                    .map(|row| (part.file[0], *row))
                    .collect()
            };
            let rows: Vec<_> = parts.iter().flat_map(rows).collect();
            if rows.len() == 1 {
                seen.extend(rows);
                continue;
            }
            let halves = file_rows_halves(parts).unwrap();
            assert!(
                halves
                    .iter()
                    .all(|half| half.iter().any(|part| !part.rows.is_empty()))
            );
            pieces.extend(halves.into_iter().rev());
        }
        let wanted: Vec<(u8, u64)> = (5..12).map(|row| (1, row)).chain([(3, 0)]).collect();
        assert_eq!(seen, wanted);
    }
}
