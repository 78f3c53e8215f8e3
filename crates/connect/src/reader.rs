//! Reading a source file row by row, whatever its format.

use std::sync::Arc;

use crate::batch::{BatchBuilder, RowBatch};
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::format::Format;
use crate::options::{ColumnSpec, FileOptions};
use crate::parquet_file::ParquetRows;
use crate::text_file::{CsvRows, JsonRows, TextBatches, TextRows};

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

/// The rows of one file as batches of at most [`batch_rows`](field@FileOptions::batch_rows) rows, in order.
/// After an error there is nothing more; rows before it were delivered (of Parquet: the
/// batches before it).
pub struct RowReader {
    file: SourceFile,
    specs: Arc<[ColumnSpec]>,
    decoder: Decoder,
    progress: Progress,
    done: bool,
}

enum Decoder {
    Parquet(Box<ParquetRows>),
    Csv(Box<TextBatches<CsvRows>>),
    JsonLines(Box<TextBatches<JsonRows>>),
}

impl RowReader {
    pub(crate) fn open(
        file: &SourceFile,
        columns: &[ColumnSpec],
        options: &FileOptions,
    ) -> Result<RowReader, ConnectError> {
        let specs: Arc<[ColumnSpec]> = Arc::from(columns);
        let builder = BatchBuilder::new(Arc::clone(&specs));
        let rows = options.batch_rows();
        let decoder =
            match file.format() {
                Format::Parquet => {
                    Decoder::Parquet(Box::new(ParquetRows::open(file, &specs, options)?))
                }
                Format::Csv | Format::Tsv => Decoder::Csv(Box::new(TextBatches::new(
                    CsvRows::open(file, &specs, options)?,
                    builder,
                    rows,
                ))),
                Format::JsonLines | Format::Debezium => Decoder::JsonLines(Box::new(
                    TextBatches::new(JsonRows::open(file, &specs, options)?, builder, rows),
                )),
            };
        let rows_total = match &decoder {
            Decoder::Parquet(rows) => Some(rows.rows_total()),
            Decoder::Csv(_) | Decoder::JsonLines(_) => None,
        };
        Ok(RowReader {
            file: file.clone(),
            specs,
            decoder,
            progress: Progress {
                bytes_total: file.bytes(),
                rows_total,
                ..Progress::default()
            },
            done: false,
        })
    }

    /// The declared columns, in the order of a batch's.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.specs
    }

    /// How far it is; ask between batches.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Declared columns that the file does not have, of JSON lines: that no row so far had.
    /// Worth a warning at the end.
    pub fn columns_not_seen(&self) -> Vec<&str> {
        let indices = match &self.decoder {
            Decoder::Parquet(rows) => rows.columns_not_seen(),
            Decoder::Csv(batches) => batches.rows().columns_not_seen(),
            Decoder::JsonLines(batches) => batches.rows().columns_not_seen(),
        };
        indices
            .into_iter()
            .map(|i| self.specs[i].name.as_str())
            .collect()
    }

    fn advance(&mut self) -> Result<Option<RowBatch>, ConnectError> {
        let batch = match &mut self.decoder {
            Decoder::Parquet(rows) => rows.next_batch()?,
            Decoder::Csv(batches) => batches.next_batch()?,
            Decoder::JsonLines(batches) => batches.next_batch()?,
        };
        match &batch {
            Some(batch) => self.progress.rows += (batch.rows.len() + batch.rejected.len()) as u64,
            None => self.file.check_unchanged()?,
        }
        let total = self.progress.bytes_total;
        self.progress.bytes = match (&self.decoder, &batch) {
            (_, None) => total,
            (Decoder::Csv(batches), _) => batches.rows().packed_bytes(),
            (Decoder::JsonLines(batches), _) => batches.rows().packed_bytes(),
            (Decoder::Parquet(rows), _) => {
                let share = u128::from(total) * u128::from(self.progress.rows)
                    / u128::from(rows.rows_total().max(1));
                u64::try_from(share).unwrap_or(total)
            }
        }
        .min(total);
        Ok(batch)
    }
}

impl Iterator for RowReader {
    type Item = Result<RowBatch, ConnectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.advance().transpose();
        self.done = !matches!(batch, Some(Ok(_)));
        batch
    }
}
