//! The rows of a Parquet file as declared columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};
use evenkeel_types::{Column, Value, Zone};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use serde_json::Map;

use crate::arrow_values::{Converted, convert, slot_to_json};
use crate::batch::{RejectedRow, RowBatch};
use crate::columns::resolve_all;
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::guard::guarded;
use crate::options::{ColumnSpec, FileOptions, TimeUnit};
use crate::strings::Strings;
use crate::text_file::BATCH_BYTES_MAX;
use crate::value::{Context, ValueError};

/// Batches of a Parquet file's declared columns.
pub(crate) struct ParquetRows {
    file: SourceFile,
    reader: ParquetRecordBatchReader,
    specs: Arc<[ColumnSpec]>,
    /// Where each declared column is among those that are read.
    places: Vec<Option<usize>>,
    zone: Zone,
    time_unit: Option<TimeUnit>,
    strings: Strings,
    next_row: u64,
    rows_total: u64,
}

impl ParquetRows {
    pub(crate) fn open(
        file: &SourceFile,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Result<Self, ConnectError> {
        let (handle, metadata) = super::open(file.path())?;
        let schema = Arc::clone(metadata.schema());
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let found = resolve_all(file.path(), &names, specs, options.missing_columns)?;
        for (spec, place) in specs.iter().zip(&found) {
            if let Some(place) = place {
                check_type(file, spec, schema.field(*place), options)?;
            }
        }
        let mut wanted: Vec<usize> = found.iter().copied().flatten().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let places = found
            .iter()
            .map(|place| place.and_then(|p| wanted.binary_search(&p).ok()))
            .collect();
        let rows_total = rows(&metadata);
        let batch_rows = batch_rows(&metadata, options);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let reader = guarded(|| {
            builder
                .with_projection(mask)
                .with_batch_size(batch_rows)
                .build()
        })
        .map_err(|source| ConnectError::Damaged {
            path: file.path().to_owned(),
            place: "in its footer".to_owned(),
            source,
        })?;
        Ok(ParquetRows {
            file: file.clone(),
            reader,
            specs: Arc::clone(specs),
            places,
            zone: options.zone.clone(),
            time_unit: options.time_unit,
            strings: Strings::new(),
            next_row: 0,
            rows_total,
        })
    }

    pub(crate) fn rows_total(&self) -> u64 {
        self.rows_total
    }

    pub(crate) fn columns_not_seen(&self) -> Vec<usize> {
        (0..self.places.len())
            .filter(|&i| self.places[i].is_none())
            .collect()
    }

    pub(crate) fn next_batch(&mut self) -> Result<Option<RowBatch>, ConnectError> {
        let reader = &mut self.reader;
        let place = || match self.next_row {
            0 => "before its first row".to_owned(),
            row => format!("after row {}", row - 1),
        };
        let damaged = |source| ConnectError::Damaged {
            path: self.file.path().to_owned(),
            place: place(),
            source,
        };
        let Some(batch) = guarded(|| reader.next().transpose()).map_err(damaged)? else {
            return Ok(None);
        };
        let first = self.next_row;
        self.next_row += batch.num_rows() as u64;
        self.convert(&batch, first).map(Some)
    }

    fn convert(&mut self, batch: &RecordBatch, first: u64) -> Result<RowBatch, ConnectError> {
        let context = Context {
            zone: &self.zone,
            time_unit: self.time_unit,
        };
        let mut columns = Vec::with_capacity(self.specs.len());
        let mut wrong: Vec<Option<(usize, ValueError)>> = Vec::new();
        for (i, spec) in self.specs.iter().enumerate() {
            let converted = match self.places[i] {
                Some(place) => convert(
                    batch.column(place).as_ref(),
                    &spec.data_type,
                    &context,
                    &mut self.strings,
                )
                .map_err(|reason| {
                    refused(&self.file, spec, batch.column(place).data_type(), reason)
                })?,
                None => Converted {
                    column: Column::repeat(&spec.data_type, &Value::Null, batch.num_rows()),
                    errors: Vec::new(),
                },
            };
            collect_errors(spec, i, &converted, &mut wrong, batch.num_rows());
            columns.push(converted.column);
        }
        if wrong.is_empty() {
            return Ok(RowBatch {
                rows: (first..first + batch.num_rows() as u64).collect(),
                columns,
                rejected: Vec::new(),
            });
        }
        Ok(self.without_wrong(batch, first, &columns, &wrong))
    }

    fn without_wrong(
        &self,
        batch: &RecordBatch,
        first: u64,
        columns: &[Column],
        wrong: &[Option<(usize, ValueError)>],
    ) -> RowBatch {
        let mut kept = Vec::new();
        let mut rejected = Vec::new();
        for (i, error) in (0u32..).zip(wrong) {
            match error {
                None => kept.push(i),
                Some((column, reason)) => rejected.push(RejectedRow {
                    row: first + u64::from(i),
                    line: None,
                    column: Some(self.specs[*column].name.clone()),
                    reason: reason.clone(),
                    record: record(batch, i as usize),
                }),
            }
        }
        RowBatch {
            rows: kept.iter().map(|i| first + u64::from(*i)).collect(),
            columns: columns.iter().map(|c| c.gather(&kept)).collect(),
            rejected,
        }
    }
}

/// Notes the first wrong column of each row. `wrong` stays empty while nothing is.
fn collect_errors(
    spec: &ColumnSpec,
    index: usize,
    converted: &Converted,
    wrong: &mut Vec<Option<(usize, ValueError)>>,
    rows: usize,
) {
    let mut note = |row: usize, error: ValueError| {
        if wrong.is_empty() {
            wrong.resize(rows, None);
        }
        wrong[row].get_or_insert((index, error));
    };
    for (row, error) in &converted.errors {
        note(*row, error.clone());
    }
    if spec.required && !converted.column.states().is_empty() {
        for row in 0..rows {
            if converted.column.get(row).is_null()
                && converted
                    .errors
                    .binary_search_by_key(&row, |(i, _)| *i)
                    .is_err()
            {
                note(row, ValueError::Missing);
            }
        }
    }
}

/// An error if the column's type in the file is not read as the declared one.
fn check_type(
    file: &SourceFile,
    spec: &ColumnSpec,
    field: &arrow_schema::Field,
    options: &FileOptions,
) -> Result<(), ConnectError> {
    let none = new_empty_array(field.data_type());
    let context = Context {
        zone: &options.zone,
        time_unit: options.time_unit,
    };
    convert(
        none.as_ref(),
        &spec.data_type,
        &context,
        &mut Strings::small(),
    )
    .map(drop)
    .map_err(|reason| refused(file, spec, field.data_type(), reason))
}

fn refused(
    file: &SourceFile,
    spec: &ColumnSpec,
    found: &arrow_schema::DataType,
    reason: String,
) -> ConnectError {
    ConnectError::ColumnType {
        path: file.path().to_owned(),
        column: spec.name.clone(),
        found: found.to_string().into(),
        wanted: spec.data_type.to_string().into(),
        reason,
    }
}

fn rows(metadata: &ArrowReaderMetadata) -> u64 {
    u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
}

/// Rows of a batch: fewer where rows are long.
fn batch_rows(metadata: &ArrowReaderMetadata, options: &FileOptions) -> usize {
    let bytes: u64 = metadata
        .metadata()
        .row_groups()
        .iter()
        .map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0))
        .fold(0, u64::saturating_add);
    let row_bytes = bytes / rows(metadata).max(1) + 1;
    let fitting = (BATCH_BYTES_MAX as u64 / row_bytes).max(1);
    options
        .batch_rows()
        .min(usize::try_from(fitting).unwrap_or(usize::MAX))
}

/// A row of what was read as a JSON object.
fn record(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let members =
        schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array): (_, &ArrayRef)| {
                (field.name().clone(), slot_to_json(array.as_ref(), row))
            });
    serde_json::Value::Object(members.collect::<Map<_, _>>()).to_string()
}
