//! What columns a file has: names, types and nullability from its rows, and guesses at the
//! event time and the event id.
//!
//! The rows are read twice: first for the types, then as these types for everything else, so
//! that what is counted is what reading the file will give.
//!
//! Invariant: the same rows give the same answer, on every machine.

mod json_type;
mod statistics;
mod text_type;
mod types;

use evenkeel_types::Field;

pub use statistics::UNIQUE_VALUES_MAX;
use statistics::{guess_event_id, guess_event_time, measure};
pub(crate) use text_type::TextGuess;

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
    /// Rows among them that could not be read.
    pub rejected: u64,
    /// Columns that could be the event time, the likeliest first.
    pub event_time: Vec<EventTimeGuess>,
    /// Columns with a value in every row, and a different one in each, that could be the
    /// event id: the likeliest first.
    pub event_id: Vec<String>,
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct InferredColumn {
    /// Name and type.
    pub field: Field,
    /// Rows in which it is NULL or missing.
    pub nulls: u64,
    /// Whether no value occurs twice among the rows looked at; not known for types that are
    /// no keys, and beyond [`UNIQUE_VALUES_MAX`] rows.
    pub unique: Option<bool>,
    /// Whether it is a FLOAT or DOUBLE column of whole numbers only: of a Parquet file it
    /// may be declared BIGINT.
    pub whole: bool,
    /// The first value that is not NULL, as text.
    pub example: Option<String>,
}

/// A column that could be the event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTimeGuess {
    /// The column.
    pub column: String,
    /// For a column of numbers: what they seem to count. It takes the option `time_unit`,
    /// and the column declared as TIMESTAMP.
    pub time_unit: Option<TimeUnit>,
}

pub(crate) fn infer(
    file: &SourceFile,
    options: &FileOptions,
    rows_max: Option<u64>,
) -> Result<InferredSchema, ConnectError> {
    let found = types::find(file, options, rows_max)?;
    let measured = measure(file, options, rows_max, &found.fields)?;
    Ok(InferredSchema {
        event_time: guess_event_time(&measured.columns),
        event_id: guess_event_id(&measured.columns, measured.rows),
        columns: measured.columns.into_iter().map(|m| m.column).collect(),
        skipped: found.skipped,
        rows: measured.rows,
        complete: measured.complete,
        rejected: measured.rejected,
    })
}
