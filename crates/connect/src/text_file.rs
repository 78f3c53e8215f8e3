//! Text files read record by record: CSV and JSON lines.

mod csv;
mod json_lines;
mod split;

use std::io;

pub(crate) use csv::{CsvReader, CsvRecord, CsvRows};
pub(crate) use json_lines::{JsonRows, Line, LineReader};
pub(crate) use split::{Field, Split, split_record};

use crate::batch::{BatchBuilder, RowBatch};
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::growing_file::Place;

/// Bytes of records after which a batch ends, so that long records do not fill the memory.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;

/// What follows in a text file.
pub(crate) enum Step {
    /// A record of this many bytes was added to the batch.
    Row(usize),
    /// Nothing.
    End,
}

/// A text file of one format.
pub(crate) trait TextRows {
    /// Reads the next record into the batch.
    fn step(&mut self, batch: &mut BatchBuilder) -> Result<Step, ConnectError>;
    /// Bytes of the file read so far.
    fn packed_bytes(&self) -> u64;
    /// Where the next record begins.
    fn place(&self) -> Place;
    /// Declared columns that no row had so far.
    fn columns_not_seen(&self) -> Vec<usize>;
}

/// Batches of a text file. Damage ends a batch: the rows before it are delivered first.
pub(crate) struct TextBatches<R> {
    rows: R,
    builder: BatchBuilder,
    batch_rows: usize,
    damage: Option<ConnectError>,
    at_end: bool,
}

impl<R: TextRows> TextBatches<R> {
    pub(crate) fn new(rows: R, builder: BatchBuilder, batch_rows: usize) -> Self {
        TextBatches {
            rows,
            builder,
            batch_rows,
            damage: None,
            at_end: false,
        }
    }

    pub(crate) fn rows(&self) -> &R {
        &self.rows
    }

    pub(crate) fn next_batch(&mut self) -> Result<Option<RowBatch>, ConnectError> {
        if let Some(damage) = self.damage.take() {
            self.at_end = true;
            return Err(damage);
        }
        let mut bytes = 0;
        while !self.at_end && self.builder.len() < self.batch_rows && bytes < BATCH_BYTES_MAX {
            match self.rows.step(&mut self.builder) {
                Ok(Step::Row(length)) => bytes += length,
                Ok(Step::End) => self.at_end = true,
                Err(damage) if self.builder.len() == 0 => {
                    self.at_end = true;
                    return Err(damage);
                }
                Err(damage) => {
                    self.damage = Some(damage);
                    break;
                }
            }
        }
        Ok((self.builder.len() > 0).then(|| self.builder.take()))
    }
}

/// The error for bytes that cannot be unpacked.
pub(crate) fn damaged(file: &SourceFile, row: u64, source: io::Error) -> ConnectError {
    ConnectError::Damaged {
        path: file.path().to_owned(),
        place: if row == 0 {
            "before its first row".to_owned()
        } else {
            format!("after row {}", row - 1)
        },
        source: Box::new(source),
    }
}
