//! The canonical digest of a table.
//!
//! BLAKE3 over, in order: [`DOMAIN`], the number of columns and of rows, and per column its
//! name, its type's name and the BLAKE3 of its values' canonical encodings in row order.
//! Numbers are little-endian `u64`, names are preceded by their length in bytes. Columns
//! whose arrow type has no counterpart, or of whose values one has none (a time finer than a
//! microsecond), are encoded by their logical arrow values: every spine has a digest.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::{DataType as ArrowType, TimeUnit as ArrowUnit};
use evenkeel_types::codec::{ENCODED_64, encode_column, encode_doubles, encode_integers};
use evenkeel_types::time::{TIME_MAX, TIME_MIN};
use evenkeel_types::{DataType, Zone};

use super::column::TableColumn;
use super::{Table, TableType};
use crate::arrow_values::encode_slot;
use crate::error::ConnectError;

/// Separates these digests from others; changes when the encoding does.
const DOMAIN: &[u8] = b"evenkeel table 1";
/// So many values are encoded at once.
const PIECE_VALUES: usize = 1 << 12;

pub(super) fn digest(table: &Table) -> Result<[u8; 32], ConnectError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&(table.columns.len() as u64).to_le_bytes());
    hasher.update(&(table.rows as u64).to_le_bytes());
    for column in &table.columns {
        named(column.name(), &mut hasher);
        let name = match column.table_type() {
            TableType::Known(data_type) => match known(table, column, &data_type) {
                Ok(values) => {
                    named(&data_type.to_string(), &mut hasher);
                    hasher.update(&values);
                    continue;
                }
                Err(e) => match column {
                    TableColumn::Arrow { field, .. } => field.data_type().to_string(),
                    TableColumn::Text { .. } => return Err(e),
                },
            },
            TableType::Opaque(name) => name,
        };
        named(&format!("arrow {name}"), &mut hasher);
        hasher.update(&opaque(column, &name)?);
    }
    Ok(*hasher.finalize().as_bytes())
}

fn known(
    table: &Table,
    column: &TableColumn,
    data_type: &DataType,
) -> Result<[u8; 32], ConnectError> {
    if let Some(digest) = plain(table, column) {
        return Ok(digest);
    }
    let mut values = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for rows in table.row_ranges() {
        bytes.clear();
        encode_column(&table.values(column, rows, data_type)?, &mut bytes);
        values.update(&bytes);
    }
    Ok(*values.finalize().as_bytes())
}

/// [`known`] of numbers and times that are all there and stand in arrow's arrays as they are encoded:
/// straight from there, in pieces that stay in the processor's cache.
fn plain(table: &Table, column: &TableColumn) -> Option<[u8; 32]> {
    let TableColumn::Arrow { field, chunks } = column else {
        return None;
    };
    let utc = table.options.zone == Zone::utc();
    let is_plain = match field.data_type() {
        ArrowType::Int64 | ArrowType::Float64 => true,
        ArrowType::Timestamp(ArrowUnit::Microsecond, zone) => zone.is_some() || utc,
        _ => false,
    };
    if !is_plain || chunks.iter().any(|chunk| chunk.null_count() > 0) {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    let mut bytes = vec![0; PIECE_VALUES * ENCODED_64];
    for chunk in chunks {
        if let Some(doubles) = chunk.as_primitive_opt::<Float64Type>() {
            for piece in doubles.values().chunks(PIECE_VALUES) {
                let bytes = &mut bytes[..piece.len() * ENCODED_64];
                encode_doubles(piece, bytes);
                hasher.update(bytes);
            }
            continue;
        }
        let integers = match chunk.as_primitive_opt::<Int64Type>() {
            Some(integers) => integers.values(),
            None => {
                let times = chunk
                    .as_primitive_opt::<TimestampMicrosecondType>()?
                    .values();
                let fits = |all: bool, t: &i64| all & (TIME_MIN..=TIME_MAX).contains(t);
                times.iter().fold(true, fits).then_some(times)?
            }
        };
        for piece in integers.chunks(PIECE_VALUES) {
            let bytes = &mut bytes[..piece.len() * ENCODED_64];
            encode_integers(piece, bytes);
            hasher.update(bytes);
        }
    }
    Some(*hasher.finalize().as_bytes())
}

fn named(name: &str, hasher: &mut blake3::Hasher) {
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
}

fn opaque(column: &TableColumn, name: &str) -> Result<[u8; 32], ConnectError> {
    let mut values = blake3::Hasher::new();
    let mut bytes = Vec::new();
    if let TableColumn::Arrow { chunks, .. } = column {
        for chunk in chunks {
            for i in 0..chunk.len() {
                bytes.clear();
                if !encode_slot(chunk.as_ref(), i, &mut bytes) {
                    return Err(ConnectError::NoDigest {
                        column: column.name().to_owned(),
                        data_type: name.to_owned(),
                    });
                }
                values.update(&bytes);
            }
        }
    }
    Ok(*values.finalize().as_bytes())
}
