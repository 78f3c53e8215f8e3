//! Files and decoders: source files (Parquet, CSV, JSON lines) into declared columns, and
//! whole tables (Parquet, CSV, Arrow IPC) in and out.
//!
//! Knows nothing of features, SQL, views or the log. The only crate that names arrow and
//! parquet, but for the files of the lake.
//!
//! Nothing is silently coerced: a value that is not exactly what its column declares rejects
//! its row, with the original record; a column whose type cannot be read exactly refuses its
//! file. By declared type:
//!
//! | type | CSV | JSON | Parquet, checked value by value where it narrows |
//! | --- | --- | --- | --- |
//! | BOOLEAN | `true`, `false`, any case | booleans | booleans |
//! | INT, BIGINT | digits and a sign | numbers without `.` and exponent | integers of any width; floats and decimals of scale 0 if the value is whole |
//! | FLOAT, DOUBLE | the nearest; `NaN`, `inf`, `Infinity` | numbers; `"NaN"`, `"Infinity"`, `"-Infinity"` | floats up to the width; integers that are exactly one |
//! | DECIMAL | exactly | numbers by their digits, strings | decimals of any scale, integers |
//! | STRING | any | strings | text; bytes that are UTF-8 |
//! | BYTES | base64 | base64 | bytes |
//! | DATE | `2026-01-31` | the same | dates, text |
//! | TIMESTAMP | see [`evenkeel_types::time::parse_timestamp`]; numbers with `time_unit` | the same | timestamps, dates (midnight), text; numbers with `time_unit` |
//! | arrays, vectors | JSON | arrays | lists of any kind |
//!
//! Times without a zone are local to the source's zone. NULL is an unquoted empty field (or
//! the option `null`), JSON's `null` or a key that is not there, and Parquet's NULL.
//!
//! Hostile input is bounded: records by [`RECORD_BYTES_MAX`], nesting by [`JSON_DEPTH_MAX`],
//! columns by [`COLUMNS_MAX`], rows of a batch by [`BATCH_ROWS_MAX`]; what a binary file
//! announces is held against the bytes that it has before the decoders see it, and a panic
//! of theirs is an error.

mod arrow_exchange;
mod arrow_values;
mod atomic_file;
mod batch;
mod change;
mod columns;
mod debezium;
mod error;
mod file_set;
mod format;
mod growing_file;
mod guard;
mod infer;
mod input;
mod options;
mod parquet_file;
mod reader;
mod row_decoder;
mod strings;
mod suggest;
mod table;
mod text_file;
mod value;

pub use arrow_exchange::{arrow_to_column, arrow_type_of, column_to_arrow};
pub use atomic_file::AtomicFile;
pub use batch::{FileRow, FileRows, RejectedRow, RowBatch, Undecoded, file_rows_halves};
pub use change::{ChangeError, place_in_log, time_text};
pub use columns::COLUMNS_MAX;
pub use debezium::Debezium;
pub use error::{Cause, ConnectError, FileAction};
pub use file_set::{FILES_MAX, FileSet, SourceFile, Stamp};
pub use format::{Compression, Format, TableFormat};
pub use growing_file::{GrowingFile, GrowingRows, Place};
pub use infer::{EventTimeGuess, InferredColumn, InferredSchema, UNIQUE_VALUES_MAX};
pub use input::RECORD_BYTES_MAX;
pub use options::{
    BATCH_ROWS_MAX, ChangeColumns, ColumnSpec, FileOptions, MissingColumns, TimeUnit,
};
pub use reader::{Progress, RowReader};
pub use row_decoder::{RowDecoder, RowError};
pub use suggest::{Suggestion, nearest};
pub use table::{
    CArray, CSchema, CStream, ROW_FILE, ROW_NUMBER, ROW_REASON, ROW_RECORD, StreamColumn,
    StreamLayout, StreamPart, TABLE_ROWS_MAX, Table, TableOptions, TableType, file_rows_message,
};
pub use value::{
    JSON_DEPTH_MAX, Json, VALUE_TEXT_MAX, ValueError, append_json, json_to_value, parse_json,
    text_to_value, value_to_json, value_to_text,
};
