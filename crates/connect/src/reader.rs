//! Reading a source file row by row, whatever its format.

use crate::batch::RowBatch;
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::options::{ColumnSpec, FileOptions};

/// How far a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file (as on disk) that were read, about.
    pub bytes: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
    /// Rows delivered, accepted or rejected.
    pub rows: u64,
    /// Rows of the file, where the format says (Parquet).
    pub rows_total: Option<u64>,
}

/// The rows of one file as batches. After an error there is nothing more; rows before it
/// were delivered.
pub struct RowReader {
    progress: Progress,
}

impl RowReader {
    pub(crate) fn open(
        _file: &SourceFile,
        _columns: &[ColumnSpec],
        _options: &FileOptions,
    ) -> Result<RowReader, ConnectError> {
        todo!()
    }

    /// How far it is; ask between batches.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Declared columns that no row so far had, in order: worth a warning at the end.
    pub fn columns_not_seen(&self) -> Vec<&str> {
        todo!()
    }
}

impl Iterator for RowReader {
    type Item = Result<RowBatch, ConnectError>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
