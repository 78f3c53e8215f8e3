//! Files and decoders: source files (Parquet, CSV, JSON lines) into declared columns, and
//! whole tables (Parquet, CSV, Arrow IPC) in and out.
//!
//! Knows nothing of features, SQL, views or the log. The only crate that names arrow and
//! parquet. Nothing is silently coerced: a value that is not exactly what its column
//! declares rejects its row, a column that cannot be read exactly refuses its file.

mod arrow_values;
mod atomic_file;
mod batch;
mod columns;
mod error;
mod file_set;
mod format;
mod guard;
mod infer;
mod input;
mod options;
mod parquet_file;
mod reader;
mod strings;
mod suggest;
mod table;
mod text_file;
mod value;

pub use batch::{RejectedRow, RowBatch};
pub use columns::COLUMNS_MAX;
pub use error::{Cause, ConnectError, FileAction};
pub use file_set::{FILES_MAX, FileSet, SourceFile};
pub use format::{Compression, Format, TableFormat};
pub use infer::{EventTimeGuess, InferredColumn, InferredSchema, UNIQUE_VALUES_MAX};
pub use input::RECORD_BYTES_MAX;
pub use options::{BATCH_ROWS_MAX, ColumnSpec, FileOptions, MissingColumns, TimeUnit};
pub use reader::{Progress, RowReader};
pub use suggest::Suggestion;
pub use table::{TABLE_ROWS_MAX, Table, TableOptions, TableType};
pub use value::{
    JSON_DEPTH_MAX, VALUE_TEXT_MAX, ValueError, json_to_value, text_to_value, value_to_json,
    value_to_text,
};
