//! The canonical digest of a table.
//!
//! BLAKE3 over, in order: [`DOMAIN`], the number of columns and of rows, and per column its
//! name, its type's name and the BLAKE3 of its values' canonical encodings in row order.
//! Numbers are little-endian `u64`, names are preceded by their length in bytes. Columns
//! whose arrow type has no counterpart, or of whose values one has none (a time finer than a
//! microsecond), are encoded by their logical arrow values: every spine has a digest.

use evenkeel_types::DataType;
use evenkeel_types::codec::encode_column;

use super::column::TableColumn;
use super::{Table, TableType};
use crate::arrow_values::encode_slot;
use crate::error::ConnectError;

/// Separates these digests from others; changes when the encoding does.
const DOMAIN: &[u8] = b"evenkeel table 1";

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
    let mut values = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for rows in table.row_ranges() {
        bytes.clear();
        encode_column(&table.values(column, rows, data_type)?, &mut bytes);
        values.update(&bytes);
    }
    Ok(*values.finalize().as_bytes())
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
