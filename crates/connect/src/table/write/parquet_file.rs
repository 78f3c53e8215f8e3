//! Tables into Parquet files: row group by row group, in each column by column, so that no more
//! than a chunk waits in memory.
//!
//! Columns of numbers are encoded by [`chunk`], the others by the library.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType as ArrowType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};

use super::{array, chunk};
use crate::atomic_file::AtomicFile;
use crate::error::{Cause, ConnectError};
use crate::format::TableFormat;
use crate::guard::guarded;
use crate::table::Table;
use crate::table::column::{CHUNK_ROWS, TableColumn};

/// What Parquet files say that they were created by: never a version, so that the same table
/// is the same bytes as long as its encoding is.
const CREATED_BY: &str = "evenkeel";
/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 2 * CHUNK_ROWS;

/// Writes the rows of a table behind each other into the file.
pub(super) fn write(
    table: &Table,
    schema: &SchemaRef,
    file: AtomicFile,
    encode: &impl Fn(Cause) -> ConnectError,
) -> Result<AtomicFile, ConnectError> {
    let properties = parquet_properties(schema);
    let (mut writer, of_library) = guarded(|| {
        ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))?.into_serialized_writer()
    })
    .map_err(encode)?;
    let leaves: Vec<ColumnDescPtr> = writer.schema_descr().columns().to_vec();
    let fields = schema.fields();
    let all_numbers = fields.iter().all(|f| chunk::has_numbers(f.data_type()));
    for (number, start) in (0..table.rows).step_by(ROW_GROUP_ROWS).enumerate() {
        let rows = start..table.rows.min(start + ROW_GROUP_ROWS);
        let by_library = match all_numbers {
            true => Vec::new(),
            false => guarded(|| of_library.create_column_writers(number)).map_err(encode)?,
        };
        let mut by_library = by_library.into_iter();
        let mut group = guarded(|| writer.next_row_group()).map_err(encode)?;
        let mut leaves = leaves.as_slice();
        for (column, field) in table.columns.iter().zip(fields) {
            let arrays = arrays(table, column, rows.clone())?;
            let is_of_field =
                |leaf: &&ColumnDescPtr| leaf.path().parts().first() == Some(field.name());
            let (of_field, later) = leaves.split_at(leaves.iter().take_while(is_of_field).count());
            leaves = later;
            let writers = by_library.by_ref().take(of_field.len()).collect();
            match of_field {
                [leaf] if chunk::has_numbers(field.data_type()) => {
                    guarded(|| put_numbers(&mut group, &arrays, leaf)).map_err(encode)?;
                }
                _ => {
                    let put = || put_by_library(&mut group, &arrays, field, writers);
                    guarded(put).map_err(encode)?;
                }
            }
        }
        guarded(|| group.close()).map_err(encode)?;
    }
    guarded(|| writer.into_inner()).map_err(encode)
}

/// Some rows of a column.
fn arrays(
    table: &Table,
    column: &TableColumn,
    rows: Range<usize>,
) -> Result<Vec<ArrayRef>, ConnectError> {
    let end = rows.end;
    rows.step_by(CHUNK_ROWS)
        .map(|start| {
            let rows = start..end.min(start + CHUNK_ROWS);
            array(table, column, rows, TableFormat::Parquet)
        })
        .collect()
}

fn put_numbers(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    arrays: &[ArrayRef],
    leaf: &ColumnDescPtr,
) -> Result<(), Cause> {
    let chunk = chunk::encode(arrays, leaf)?;
    // Only as part of a page the library takes bytes that are there already.
    let page = Page::DictionaryPage {
        buf: chunk.bytes.into(),
        num_values: 0,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    Ok(group.append_column(page.buffer(), chunk.close)?)
}

fn put_by_library(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    arrays: &[ArrayRef],
    field: &Field,
    mut writers: Vec<ArrowColumnWriter>,
) -> Result<(), ParquetError> {
    for array in arrays {
        for (leaf, writer) in compute_leaves(field, array)?.iter().zip(&mut writers) {
            writer.write(leaf)?;
        }
    }
    for writer in writers {
        writer.close()?.append_to_row_group(group)?;
    }
    Ok(())
}

/// How the library encodes columns: what takes little time, in files that are not larger than
/// those that others write (`docs/performance.md`).
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

/// Of types whose values seldom repeat so often that a dictionary pays, those that
/// [`chunk`] leaves to the library.
fn encoding_without_dictionary(data_type: &ArrowType) -> Option<Encoding> {
    match data_type {
        ArrowType::Float32 => Some(Encoding::PLAIN),
        ArrowType::Timestamp(_, _) => Some(Encoding::DELTA_BINARY_PACKED),
        _ => None,
    }
}
