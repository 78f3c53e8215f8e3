//! Parquet files: opening them with care, and their rows as declared columns.

mod footer;
mod rows;

use std::fs::File;
use std::path::Path;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

pub(crate) use rows::ParquetRows;

use crate::error::{ConnectError, FileAction};
use crate::guard::guarded;

/// A Parquet file whose footer was read.
pub(crate) fn open(path: &Path) -> Result<(File, ArrowReaderMetadata), ConnectError> {
    let mut file = File::open(path).map_err(ConnectError::io(FileAction::Open, path))?;
    let damaged = |source| ConnectError::Damaged {
        path: path.to_owned(),
        place: "in its footer".to_owned(),
        source,
    };
    footer::check(&mut file).map_err(|e| damaged(Box::new(e)))?;
    let metadata =
        guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())).map_err(damaged)?;
    Ok((file, metadata))
}
