//! Tables from Parquet and CSV files.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::column::{CHUNK_ROWS, TableColumn};
use super::texts::Texts;
use super::{TABLE_ROWS_MAX, TableOptions};
use crate::columns::COLUMNS_MAX;
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::format::{Compression, Format};
use crate::guard::guarded;
use crate::infer::TextGuess;
use crate::input::RECORD_BYTES_MAX;
use crate::options::FileOptions;
use crate::parquet_file;
use crate::text_file::{CsvReader, CsvRecord};
use crate::value::ValueError;

/// What a table file holds: its schema's metadata, columns and number of rows.
pub(super) type Contents = (SchemaRef, Vec<TableColumn>, usize);

pub(super) fn parquet(path: &Path) -> Result<Contents, ConnectError> {
    let (file, metadata) = parquet_file::open(path)?;
    let schema = Arc::clone(metadata.schema());
    let damaged = |row: usize| {
        move |source| ConnectError::Damaged {
            path: path.to_owned(),
            place: format!("behind row {row}"),
            source,
        }
    };
    let mut reader = guarded(|| {
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(CHUNK_ROWS)
            .build()
    })
    .map_err(damaged(0))?;
    let mut batches = Batches::new(path, &schema)?;
    while let Some(batch) = guarded(|| reader.next().transpose()).map_err(damaged(batches.rows))? {
        batches.push(&batch)?;
    }
    Ok(batches.finish())
}

/// Collects record batches into columns.
pub(super) struct Batches<'p> {
    path: &'p Path,
    schema: SchemaRef,
    columns: Vec<TableColumn>,
    pub(super) rows: usize,
}

impl<'p> Batches<'p> {
    pub(super) fn new(path: &'p Path, schema: &SchemaRef) -> Result<Self, ConnectError> {
        if schema.fields().len() > COLUMNS_MAX {
            return Err(ConnectError::TooManyColumns {
                path: path.to_owned(),
                columns: schema.fields().len(),
                limit: COLUMNS_MAX,
            });
        }
        Ok(Batches {
            path,
            schema: Arc::clone(schema),
            columns: schema
                .fields()
                .iter()
                .map(|field| TableColumn::Arrow {
                    field: Arc::clone(field),
                    chunks: Vec::new(),
                })
                .collect(),
            rows: 0,
        })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), ConnectError> {
        self.rows = self.rows.saturating_add(batch.num_rows());
        if self.rows > TABLE_ROWS_MAX {
            return Err(ConnectError::TooManyRows {
                path: self.path.to_owned(),
                limit: TABLE_ROWS_MAX,
            });
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            if let TableColumn::Arrow { chunks, .. } = column {
                chunks.push(Arc::clone(array));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Contents {
        (self.schema, self.columns, self.rows)
    }
}

pub(super) fn csv(path: &Path, options: &TableOptions) -> Result<Contents, ConnectError> {
    let file_options = FileOptions {
        format: Some(Format::Csv),
        compression: Some(Compression::None),
        ..FileOptions::default()
    };
    let file = SourceFile::open(path, &file_options)?;
    let mut reader = CsvReader::open(&file, &file_options)?;
    let header = reader.header().to_vec();
    if header.len() > COLUMNS_MAX {
        return Err(ConnectError::TooManyColumns {
            path: path.to_owned(),
            columns: header.len(),
            limit: COLUMNS_MAX,
        });
    }
    let mut texts: Vec<Texts> = header.iter().map(|_| Texts::default()).collect();
    let mut guesses: Vec<TextGuess> = header.iter().map(|_| TextGuess::new()).collect();
    loop {
        let (consumed, length, malformed) = match reader.next_record()? {
            CsvRecord::End => break,
            CsvRecord::TooLong(_) => {
                return Err(line_error(
                    path,
                    reader.place().1,
                    ValueError::RecordLength {
                        limit: RECORD_BYTES_MAX,
                    },
                ));
            }
            CsvRecord::Whole {
                consumed,
                length,
                malformed,
            } => (consumed, length, malformed),
        };
        let (row, line) = reader.place();
        if row >= TABLE_ROWS_MAX as u64 {
            return Err(ConnectError::TooManyRows {
                path: path.to_owned(),
                limit: TABLE_ROWS_MAX,
            });
        }
        let record = std::str::from_utf8(reader.record(length))
            .map_err(|_| line_error(path, line, ValueError::NotUtf8))?;
        let fields = reader.fields();
        if let Some(field) = malformed {
            let field = field + 1;
            return Err(line_error(path, line, ValueError::AfterQuote { field }));
        }
        if fields.len() != header.len() {
            let (found, wanted) = (fields.len(), header.len());
            return Err(line_error(
                path,
                line,
                ValueError::FieldCount { found, wanted },
            ));
        }
        for ((field, texts), guess) in fields.iter().zip(&mut texts).zip(&mut guesses) {
            let text = field.text(record);
            if field.quoted || text != options.null_text {
                guess.see(&text);
            }
            texts.push(&text, field.quoted);
        }
        reader.consume(consumed);
    }
    let rows = texts.first().map_or(0, Texts::len);
    let columns = header
        .into_iter()
        .zip(texts)
        .zip(guesses)
        .map(|((name, texts), guess)| TableColumn::Text {
            data_type: options
                .fields
                .iter()
                .find(|f| f.name == name)
                .map_or_else(|| guess.data_type(), |f| f.data_type.clone()),
            name,
            texts: Arc::new(texts),
        })
        .collect();
    Ok((Arc::new(Schema::empty()), columns, rows))
}

fn line_error(path: &Path, line: u64, source: ValueError) -> ConnectError {
    ConnectError::TableLine {
        path: path.to_owned(),
        line,
        source,
    }
}
