//! Rows as they come out of a file: batches of columns, and the rows that were rejected.
//!
//! Invariant: every column of a batch has one slot per accepted row, and every row of the
//! file is either accepted or rejected, never both, never neither.

use evenkeel_types::Column;

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
