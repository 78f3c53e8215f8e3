//! Tables into Parquet and Arrow IPC files.
//!
//! Invariant: rows are written in pieces of a fixed length, so that the bytes do not depend
//! on how the table came to be.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType as ArrowType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::Table;
use super::column::{CHUNK_ROWS, TableColumn};
use crate::atomic_file::AtomicFile;
use crate::error::{Cause, ConnectError};
use crate::format::TableFormat;
use crate::guard::guarded;

/// What Parquet files say that they were created by: never a version, so that the same table
/// is the same bytes as long as its encoding is.
const CREATED_BY: &str = "evenkeel";
/// Rows of a row group: until one is written, all its columns are encoded in memory.
const ROW_GROUP_ROWS: usize = 2 * CHUNK_ROWS;

pub(super) fn arrow(table: &Table, path: &Path, format: TableFormat) -> Result<(), ConnectError> {
    let schema = schema(table, format)?;
    let file = AtomicFile::create(path)?;
    let encode = |source: Cause| ConnectError::Encode {
        path: path.to_owned(),
        source,
    };
    let file = match format {
        TableFormat::Parquet => {
            let properties = parquet_properties(&schema);
            let mut writer =
                guarded(|| ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)))
                    .map_err(encode)?;
            each_batch(table, &schema, format, |batch| {
                guarded(|| writer.write(batch)).map_err(encode)
            })?;
            guarded(|| writer.into_inner()).map_err(encode)?
        }
        TableFormat::ArrowStream => {
            let mut writer = guarded(|| StreamWriter::try_new(file, &schema)).map_err(encode)?;
            each_batch(table, &schema, format, |batch| {
                guarded(|| writer.write(batch)).map_err(encode)
            })?;
            guarded(|| writer.into_inner()).map_err(encode)?
        }
        TableFormat::Arrow | TableFormat::Csv => {
            let mut writer = guarded(|| FileWriter::try_new(file, &schema)).map_err(encode)?;
            each_batch(table, &schema, format, |batch| {
                guarded(|| writer.write(batch)).map_err(encode)
            })?;
            guarded(|| writer.into_inner()).map_err(encode)?
        }
    };
    file.commit()
}

/// How columns are encoded: what takes little time, in files that are not larger than those
/// that others write (`docs/performance.md`).
fn parquet_properties(schema: &Schema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        let Some(encoding) = encoding_without_dictionary(field.data_type()) else {
            continue;
        };
        let column = ColumnPath::from(field.name().clone());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    }
    properties.build()
}

/// Of types whose values seldom repeat so often that a dictionary pays: whole numbers stand as
/// what they differ by, in as few bits as a few of them need.
fn encoding_without_dictionary(data_type: &ArrowType) -> Option<Encoding> {
    match data_type {
        ArrowType::Float32 | ArrowType::Float64 => Some(Encoding::PLAIN),
        ArrowType::Int32 | ArrowType::Int64 | ArrowType::Date32 | ArrowType::Timestamp(_, _) => {
            Some(Encoding::DELTA_BINARY_PACKED)
        }
        _ => None,
    }
}

/// The table as an IPC stream in memory.
pub(super) fn stream(table: &Table) -> Result<Vec<u8>, ConnectError> {
    let format = TableFormat::ArrowStream;
    let schema = schema(table, format)?;
    let encode = |source: Cause| ConnectError::Encode {
        path: table.label.clone().into(),
        source,
    };
    let mut writer = guarded(|| StreamWriter::try_new(Vec::new(), &schema)).map_err(encode)?;
    each_batch(table, &schema, format, |batch| {
        guarded(|| writer.write(batch)).map_err(encode)
    })?;
    guarded(|| writer.into_inner()).map_err(encode)
}

pub(super) fn schema(table: &Table, format: TableFormat) -> Result<SchemaRef, ConnectError> {
    let fields = table
        .columns
        .iter()
        .map(|column| {
            column
                .arrow_field()
                .ok_or_else(|| not_writable(column, format))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let metadata = table.schema.metadata().clone();
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata)))
}

fn not_writable(column: &TableColumn, format: TableFormat) -> ConnectError {
    ConnectError::NotWritable {
        column: column.name().to_owned(),
        data_type: column.table_type().to_string(),
        format: format.name(),
    }
}

pub(super) fn each_batch(
    table: &Table,
    schema: &SchemaRef,
    format: TableFormat,
    mut write: impl FnMut(&RecordBatch) -> Result<(), ConnectError>,
) -> Result<(), ConnectError> {
    let joined = join_dictionaries(table, schema, format)?;
    for rows in table.row_ranges() {
        let arrays = table
            .columns
            .iter()
            .zip(&joined)
            .map(|(column, joined)| match joined {
                Some(array) => Ok(array.slice(rows.start, rows.len())),
                None => array(table, column, rows.clone(), format),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
            .map_err(|e| ConnectError::Encode {
                path: table.label.clone().into(),
                source: Box::new(e),
            })?;
        write(&batch)?;
    }
    Ok(())
}

/// An Arrow file has one dictionary per column: columns with several get a common one.
fn join_dictionaries(
    table: &Table,
    schema: &SchemaRef,
    format: TableFormat,
) -> Result<Vec<Option<ArrayRef>>, ConnectError> {
    table
        .columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            let joined = format == TableFormat::Arrow && has_dictionary(field.data_type());
            joined
                .then(|| array(table, column, 0..table.rows, format))
                .transpose()
        })
        .collect()
}

fn has_dictionary(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::Dictionary(_, _) => true,
        ArrowType::List(f)
        | ArrowType::LargeList(f)
        | ArrowType::ListView(f)
        | ArrowType::LargeListView(f)
        | ArrowType::FixedSizeList(f, _)
        | ArrowType::Map(f, _) => has_dictionary(f.data_type()),
        ArrowType::Struct(fields) => fields.iter().any(|f| has_dictionary(f.data_type())),
        _ => false,
    }
}

fn array(
    table: &Table,
    column: &TableColumn,
    rows: std::ops::Range<usize>,
    format: TableFormat,
) -> Result<ArrayRef, ConnectError> {
    match column.array(rows, &table.options) {
        Ok(Some(array)) => Ok(array),
        Ok(None) => Err(not_writable(column, format)),
        Err(e) => match column.table_type() {
            super::TableType::Known(data_type) => Err(table.no_values(column, &data_type, e)),
            super::TableType::Opaque(_) => Err(not_writable(column, format)),
        },
    }
}
