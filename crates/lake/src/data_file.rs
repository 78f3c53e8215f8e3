//! The bytes of a data file, and its name.
//!
//! Invariant: the name says what the bytes are: bytes that do not have the digest in the name
//! are damaged.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use evenkeel_connect::column_to_arrow;
use evenkeel_types::ColumnData;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_128;

use crate::columns::TableColumns;
use crate::error::LakeError;
use crate::layout::own;
use crate::statistics::statistics_of;

/// Rows of a row group: what a reader skips or reads as a whole.
pub const ROW_GROUP_ROWS: usize = 65_536;
/// Readers see a file's bounds in its statistics; those of pages would be as large as the pages.
const STATISTICS: EnabledStatistics = EnabledStatistics::Chunk;

/// A file that is not written yet.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
    pub(crate) events: usize,
    /// In Delta's JSON.
    pub(crate) statistics: String,
}

/// Makes the file of some events.
///
/// # Errors
/// If a column cannot be kept.
pub(crate) fn encode(table: &str, events: &TableColumns) -> Result<Encoded, LakeError> {
    let failed = |source: parquet::errors::ParquetError| LakeError::Write {
        table: table.to_owned(),
        source: Box::new(source),
    };
    let layout = &events.layout;
    let options = ArrowWriterOptions::new()
        .with_properties(properties()?)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(
        Vec::with_capacity(events.bytes() / 4),
        Arc::clone(&layout.arrow),
        options,
    )
    .map_err(failed)?;
    let order = events.clustered();
    for rows in order.chunks(ROW_GROUP_ROWS) {
        let mut arrays = Vec::with_capacity(layout.fields.len());
        for (field, column) in layout.fields.iter().zip(&events.columns) {
            let array = column_to_arrow(&field.data_type, &column.gather(rows));
            arrays.push(array.ok_or_else(|| LakeError::Column {
                table: table.to_owned(),
                column: field.name.clone(),
                reason: "its values take more than two gigabytes in one file".to_owned(),
            })?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&layout.arrow), arrays);
        let batch = batch.map_err(|source| failed(source.into()))?;
        writer.write(&batch).map_err(failed)?;
        writer.flush().map_err(failed)?;
    }
    let bytes = Bytes::from(writer.into_inner().map_err(failed)?);
    Ok(Encoded {
        name: name_of(events, &bytes),
        events: events.len(),
        statistics: statistics_of(layout, &events.columns),
        bytes,
    })
}

fn properties() -> Result<WriterProperties, LakeError> {
    let offset = ColumnPath::from("_offset");
    let sequence = ColumnPath::from("_sequence");
    let number = ColumnPath::from("_origin_number");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(STATISTICS)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("evenkeel ", env!("CARGO_PKG_VERSION")).to_owned());
    // Every value occurs once, near the others of the file: differences take few bits, which no
    // compression makes fewer.
    for column in [offset, sequence, number] {
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(column, Compression::UNCOMPRESSED);
    }
    Ok(properties.build())
}

/// `NUMBER-DIGEST.parquet`, with the number of the first event in the apply order: the names of a
/// table's files are in the order in which their events were logged.
fn name_of(events: &TableColumns, bytes: &[u8]) -> String {
    let first = match events.columns[own::SEQUENCE].data() {
        ColumnData::BigInt(numbers) => numbers.first().copied().unwrap_or(0),
        _ => unreachable!("its type is that of the layout"),
    };
    format!("{first:020}-{:032x}.parquet", xxh3_128(bytes))
}

/// Checks bytes against the name of their file.
///
/// # Errors
/// If they are not those of the file.
pub(crate) fn check(path: &str, bytes: &[u8]) -> Result<(), LakeError> {
    let damaged = |reason: String| LakeError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let digest = path
        .strip_suffix(".parquet")
        .and_then(|name| name.rsplit_once('-'))
        .and_then(|(_, digest)| u128::from_str_radix(digest, 16).ok())
        .ok_or_else(|| damaged("its name has no digest".to_owned()))?;
    let found = xxh3_128(bytes);
    if found != digest {
        return Err(damaged(format!("its bytes have the digest {found:032x}")));
    }
    Ok(())
}
