//! What can go wrong with a file or a table, one variant per place, with what to do next.
//! What can go wrong with a single value is [`crate::ValueError`]; it rejects a row, never a
//! file.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::suggest::Suggestion;
use crate::value::ValueError;

/// The cause of damage that a decoder reported.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What was being done to a file when the operating system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the actions")]
pub enum FileAction {
    List,
    Open,
    Read,
    Create,
    Write,
    Sync,
    Rename,
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileAction::List => "list",
            FileAction::Open => "open",
            FileAction::Read => "read",
            FileAction::Create => "create",
            FileAction::Write => "write",
            FileAction::Sync => "sync",
            FileAction::Rename => "rename",
        })
    }
}

/// Why a file or a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A path or pattern names nothing.
    #[error("no file matches `{pattern}`{hint}")]
    NoFile {
        /// The path or pattern, with its directory.
        pattern: String,
        /// A neighbouring file of a similar name.
        hint: Suggestion,
    },
    /// A directory where files are needed.
    #[error("`{0}` is a directory: name its files, for example `{0}/*.parquet`", path.display())]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A glob pattern that cannot be read.
    #[error("`{pattern}` is not a file pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where and why.
        source: glob::PatternError,
    },
    /// A pattern matches more files than [`crate::FILES_MAX`].
    #[error("`{pattern}` matches more than {limit} files: load them in several steps")]
    TooManyFiles {
        /// The pattern.
        pattern: String,
        /// The limit.
        limit: usize,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: FileAction,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory to write into does not exist.
    #[error("cannot write `{}`: its directory does not exist, create it first", path.display())]
    NoDirectory {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// Neither an option nor the extension says what the file is.
    #[error("what `{}` holds cannot be told from its name: use the extension {expected}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What is understood.
        expected: &'static str,
    },
    /// Compression around a format that compresses inside.
    #[error("`{}` is a compressed {format} file: {format} compresses inside, unpack it first", path.display())]
    OuterCompression {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// An option that no file source has.
    #[error("`{option}` is not an option of a file source{hint}")]
    UnknownOption {
        /// The option.
        option: String,
        /// A similar one.
        hint: Suggestion,
    },
    /// A value that an option does not take.
    #[error("`{value}` is not a value of the option `{option}`: use {expected}")]
    OptionValue {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A needed option is missing.
    #[error("a file source needs the option `{option}`")]
    MissingOption {
        /// The option.
        option: &'static str,
    },
    /// A column that nobody asked for, in a message.
    #[error("{table} has a column `{column}` that is not asked for{hint}")]
    NotAsked {
        /// The message.
        table: String,
        /// The column.
        column: String,
        /// The column that may be meant.
        hint: Suggestion,
    },
    /// A row of a message that is none of a file.
    #[error("{table}: row {row}: {reason}")]
    MessageRow {
        /// The message.
        table: String,
        /// The row in it, from 0.
        row: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A declared column that the file does not have.
    #[error("`{}` has no column `{column}`{hint}; its columns are {columns}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The declared column.
        column: String,
        /// The columns that the file has.
        columns: String,
        /// A similar column.
        hint: Suggestion,
    },
    /// A declared column that matches several of the file's columns, but none exactly.
    #[error("`{column}` matches several columns of `{}`: {matches}; write it exactly", path.display())]
    AmbiguousColumn {
        /// The file.
        path: PathBuf,
        /// The declared column.
        column: String,
        /// The file's columns that match.
        matches: String,
    },
    /// Two columns of one name.
    #[error("`{}` has more than one column `{column}`: rename one", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A column's type in the file cannot become the declared type without guessing.
    #[error("column `{column}` of `{}` is {found}, which is not read as {wanted}: {reason}", path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type in the file.
        found: Box<str>,
        /// The declared type.
        wanted: Box<str>,
        /// Why not, and what to declare instead.
        reason: String,
    },
    /// The file's bytes are not what its format says. Rows before the place were delivered.
    #[error("`{}` is damaged {place}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where: `after row 8192`, `in the footer`.
        place: String,
        /// What the decoder said.
        source: Cause,
    },
    /// Another library's arrays.
    #[error("the data cannot be taken over (after {rows} rows)")]
    NotTaken {
        /// Rows that came before.
        rows: usize,
        /// What was wrong.
        source: Cause,
    },
    /// A Parquet file packed in a way that is not compiled in.
    #[error("`{}` is packed with {codec}, which is not read: write it with zstd, snappy, gzip or lz4", path.display())]
    Codec {
        /// The file.
        path: PathBuf,
        /// The codec's name.
        codec: String,
    },
    /// A quote that is never closed would swallow the rest of the file.
    #[error("a quote that opens in line {line} of `{}` is not closed", path.display())]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A JSON array where there should be one object per line.
    #[error("`{}` holds one JSON array, not one object per line: write its elements as lines", path.display())]
    JsonArray {
        /// The file.
        path: PathBuf,
    },
    /// A record says that the table was emptied: which rows ended is not in the file.
    #[error(
        "row {row} of `{}` says that the table was emptied (TRUNCATE), and not which rows ended: write \
         a record with `op` `d` for each, in place of it, in another file",
        path.display()
    )]
    Emptied {
        /// The file.
        path: PathBuf,
        /// The record, from 0.
        row: u64,
    },
    /// Columns are not told by files of this format.
    #[error("the columns of `{}` cannot be told from {format}: declare them", path.display())]
    NotInferred {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
    },
    /// The file has no header line.
    #[error("`{}` is empty: a header line with column names is needed", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// More columns than [`crate::COLUMNS_MAX`].
    #[error("`{}` has {columns} columns, more than {limit}", path.display())]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// How many.
        columns: usize,
        /// The limit.
        limit: usize,
    },
    /// More rows than [`crate::TABLE_ROWS_MAX`].
    #[error("`{}` has more than {limit} rows", path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The file changed between its digest and the end of reading.
    #[error("`{}` changed while it was read: load it again when it is complete", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A table has no such column.
    #[error("{table} has no column `{column}`{hint}")]
    NoTableColumn {
        /// The table, as text.
        table: String,
        /// The column.
        column: String,
        /// A similar column.
        hint: Suggestion,
    },
    /// A table already has a column of this name.
    #[error("{table} already has a column `{column}`: rename one of them")]
    ColumnExists {
        /// The table, as text.
        table: String,
        /// The column.
        column: String,
    },
    /// A column of another length than the table.
    #[error("column `{column}` has {found} rows, {table} has {wanted}")]
    ColumnLength {
        /// The table, as text.
        table: String,
        /// The column.
        column: String,
        /// Its rows.
        found: usize,
        /// The table's rows.
        wanted: usize,
    },
    /// A value of a table's column is not of the type asked for.
    #[error("column `{column}` of {table}, row {row}, is not {data_type}")]
    TableValue {
        /// The table, as text.
        table: String,
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The type asked for.
        data_type: String,
        /// Why.
        source: Box<ValueError>,
    },
    /// A table's column has an arrow type with no counterpart, or not the one asked for.
    #[error("column `{column}` of {table} is {found}, which is not read as {wanted}: {reason}")]
    TableType {
        /// The table, as text.
        table: String,
        /// The column.
        column: String,
        /// Its arrow type.
        found: Box<str>,
        /// The type asked for.
        wanted: Box<str>,
        /// Why not.
        reason: String,
    },
    /// A row of a CSV table cannot be read.
    #[error("line {line} of `{}` cannot be read", path.display())]
    TableLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Why.
        source: ValueError,
    },
    /// The format cannot hold a column of this type.
    #[error("a column of type {data_type} (`{column}`) cannot be written to {format}")]
    NotWritable {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
        /// The format.
        format: &'static str,
    },
    /// Values of a union or run-end encoded column have no canonical bytes.
    #[error("a column of type {data_type} (`{column}`) has no canonical digest: leave it out")]
    NoDigest {
        /// The column.
        column: String,
        /// Its arrow type.
        data_type: String,
    },
    /// The encoder refused; nothing was written.
    #[error("`{}` could not be encoded", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: Cause,
    },
}

impl ConnectError {
    pub(crate) fn io(
        action: FileAction,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| ConnectError::Io {
            action,
            path,
            source,
        }
    }
}
