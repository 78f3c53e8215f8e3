//! What columns a file has: names, types and nullability from its rows, and guesses at the
//! event time and the event id.
//!
//! Invariant: the same rows give the same answer, on every machine.

use evenkeel_types::Field;

use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::options::{FileOptions, TimeUnit};

/// What a file looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct InferredSchema {
    /// The columns that can be read, in the file's order.
    pub columns: Vec<InferredColumn>,
    /// Columns that no type fits, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Rows looked at.
    pub rows: u64,
    /// Whether these are all rows.
    pub complete: bool,
    /// Rows that could not be read at all.
    pub rejected: u64,
    /// Columns that could be the event time, the likeliest first.
    pub event_time: Vec<EventTimeGuess>,
    /// Columns with a different value in every row that could be the event id, the likeliest
    /// first.
    pub event_id: Vec<String>,
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct InferredColumn {
    /// Name and type.
    pub field: Field,
    /// Rows in which it is NULL or missing.
    pub nulls: u64,
    /// Whether no value occurs twice among the rows looked at; not known for floats, lists,
    /// and beyond [`crate::UNIQUE_VALUES_MAX`] rows.
    pub unique: Option<bool>,
    /// Whether every value is a whole number (for DOUBLE columns: they may be declared BIGINT).
    pub whole: bool,
    /// The first value that is not NULL, as text.
    pub example: Option<String>,
}

/// A column that could be the event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTimeGuess {
    /// The column.
    pub column: String,
    /// For a number: what it seems to count. It needs the option `time_unit`, and the
    /// column declared as TIMESTAMP.
    pub time_unit: Option<TimeUnit>,
}

pub(crate) fn infer(
    _file: &SourceFile,
    _options: &FileOptions,
    _rows_max: Option<u64>,
) -> Result<InferredSchema, ConnectError> {
    todo!()
}
