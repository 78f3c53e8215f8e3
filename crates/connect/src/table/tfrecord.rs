//! TFRecord files of `tf.train.Example`: one record per row.
//!
//! A record is its length (`u64`, little-endian), the masked CRC-32C of that, the bytes, and
//! theirs. The bytes are a protobuf message, written by hand: `Example { features: Features {
//! feature: map<string, Feature> } }`, a `Feature` being a list of bytes (1), of `float` (2) or
//! of `int64` (3). A NULL is a feature that is not there. The features stand in the order of
//! the columns, so the same table is the same bytes.

use std::io::Write;
use std::path::Path;

use evenkeel_types::{DataType, Value};

use super::{Table, TableType};
use crate::atomic_file::AtomicFile;
use crate::error::{ConnectError, FileAction};
use crate::value::value_to_text;

const FORMAT: &str = "TFRecord";

pub(super) fn write(table: &Table, path: &Path) -> Result<(), ConnectError> {
    let types = table
        .columns
        .iter()
        .map(|column| match column.table_type() {
            TableType::Known(data_type) => Ok(data_type),
            TableType::Opaque(name) => Err(not_writable(column.name(), name)),
        })
        .collect::<Result<Vec<DataType>, _>>()?;
    let mut file = AtomicFile::create(path)?;
    let mut record = Vec::new();
    let mut features = Vec::new();
    for rows in table.row_ranges() {
        let values = table
            .columns
            .iter()
            .zip(&types)
            .map(|(column, data_type)| table.values(column, rows.clone(), data_type))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..rows.len() {
            features.clear();
            for ((column, data_type), values) in table.columns.iter().zip(&types).zip(&values) {
                let value = values.get(row);
                if value.is_missing() {
                    continue;
                }
                let feature = feature(data_type, &value)
                    .ok_or_else(|| not_writable(column.name(), data_type.to_string()))?;
                let mut entry = Vec::new();
                field(1, column.name().as_bytes(), &mut entry);
                field(2, &feature, &mut entry);
                field(1, &entry, &mut features);
            }
            record.clear();
            field(1, &features, &mut record);
            frame(&record, &mut file).map_err(|e| ConnectError::io(FileAction::Write, path)(e))?;
        }
    }
    file.commit()
}

fn not_writable(column: &str, data_type: String) -> ConnectError {
    ConnectError::NotWritable {
        column: column.to_owned(),
        data_type,
        format: FORMAT,
    }
}

fn frame(record: &[u8], file: &mut AtomicFile) -> std::io::Result<()> {
    let length = (record.len() as u64).to_le_bytes();
    file.write_all(&length)?;
    file.write_all(&masked(crc32c(&length)).to_le_bytes())?;
    file.write_all(record)?;
    file.write_all(&masked(crc32c(record)).to_le_bytes())
}

/// A `Feature` of a value; none if it has no form.
fn feature(data_type: &DataType, value: &Value) -> Option<Vec<u8>> {
    let (element, values) = match (data_type, value) {
        (DataType::Array(element) | DataType::Vector { element, .. }, Value::Array(values)) => {
            (element.as_ref(), values.to_vec())
        }
        _ => (data_type, vec![value.clone()]),
    };
    let mut list = Vec::new();
    let number = match element {
        DataType::Boolean
        | DataType::Int
        | DataType::BigInt
        | DataType::Date
        | DataType::Timestamp => {
            let mut packed = Vec::new();
            for value in &values {
                // Negative numbers are varints of 64 bits.
                varint(integer(value)?.cast_unsigned(), &mut packed);
            }
            field(1, &packed, &mut list);
            3
        }
        DataType::Float | DataType::Double => {
            let mut packed = Vec::new();
            for value in &values {
                packed.extend(float(value)?.to_le_bytes());
            }
            field(1, &packed, &mut list);
            2
        }
        DataType::Decimal { .. } | DataType::String | DataType::Bytes => {
            for value in &values {
                match value {
                    Value::String(text) => field(1, text.as_bytes(), &mut list),
                    Value::Bytes(bytes) => field(1, bytes, &mut list),
                    other => field(1, value_to_text(element, other)?.as_bytes(), &mut list),
                }
            }
            1
        }
        _ => return None,
    };
    let mut out = Vec::new();
    field(number, &list, &mut out);
    Some(out)
}

fn integer(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Boolean(b) => i64::from(*b),
        Value::Int(x) | Value::Date(x) => i64::from(*x),
        Value::BigInt(x) | Value::Timestamp(x) => *x,
        _ => return None,
    })
}

fn float(value: &Value) -> Option<f32> {
    Some(match value {
        Value::Float(x) => *x,
        #[expect(clippy::cast_possible_truncation, reason = "the format has no doubles")]
        Value::Double(x) => *x as f32,
        _ => return None,
    })
}

/// A field whose bytes have their length before them.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push((number << 3) | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        // The lowest seven bits, and that more follow.
        out.push(((number & 0x7f) as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// As TFRecord stores a checksum: rotated, and a constant added.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            // Castagnoli's polynomial, bits reversed.
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step =
        |crc: u32, byte: &u8| CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{Column, Field};

    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_record_has_the_bytes_of_the_format() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tfrecord");
        let column =
            |t: DataType, v: Value| (Field::new("a", t.clone()), Column::from_values(&t, [&v]));
        let table = Table::from_columns([column(DataType::BigInt, Value::BigInt(-1))]).unwrap();
        table.write_tfrecord(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut packed = vec![0xff; 9];
        packed.push(0x01);
        let example = [
            &[
                0x0a, 0x15, 0x0a, 0x13, 0x0a, 0x01, b'a', 0x12, 0x0e, 0x1a, 0x0c, 0x0a, 0x0a,
            ][..],
            &packed,
        ]
        .concat();
        assert_eq!(bytes[..8], (example.len() as u64).to_le_bytes());
        assert_eq!(bytes[12..12 + example.len()], example);
        assert_eq!(bytes.len(), 16 + example.len());
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tfrecord");
        let list = DataType::Array(Box::new(DataType::Int));
        let value = Value::Array(vec![Value::Int(1), Value::Null].into());
        let column = Column::from_values(&list, [&value]);
        let table = Table::from_columns([(Field::new("a", list), column)]).unwrap();
        let error = table.write_tfrecord(&path).unwrap_err();
        assert!(matches!(error, ConnectError::NotWritable { .. }), "{error}");
        assert!(!path.exists());
    }
}
