//! Parquet files: opening them with care, and their rows as declared columns.

mod footer;
mod rows;

use std::fs::File;
use std::path::Path;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Compression;

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
    let columns = metadata
        .metadata()
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    for column in columns {
        // Brotli would double the time to build this crate, LZO has no open decoder.
        if let codec @ (Compression::BROTLI(_) | Compression::LZO) = column.compression() {
            return Err(ConnectError::Codec {
                path: path.to_owned(),
                codec: codec.to_string(),
            });
        }
    }
    Ok((file, metadata))
}
