//! Values inside a frame: one byte says the kind, the rest depends on it.
//!
//! Short forms lose no bit: a double that is an integer or a whole number of hundredths is
//! written as that number only if dividing gives the same bits back; a short text that
//! occurred before in the frame is written as its number; a time is written as the
//! difference to the event's time.

use std::sync::Arc;

use evenkeel_types::{ErrorReason, Interval, Value};
use rustc_hash::FxHashMap;

use super::{Cursor, NESTING_MAX, put_bytes, put_signed, put_signed_wide, put_varint};
use crate::error::{Flaw, LogError};

pub(super) const NULL: u8 = 0;
const ERROR: u8 = 1;
const FALSE: u8 = 2;
pub(super) const TRUE: u8 = 3;
pub(super) const INT: u8 = 4;
pub(super) const BIG_INT: u8 = 5;
pub(super) const FLOAT: u8 = 6;
pub(super) const DOUBLE: u8 = 7;
pub(super) const DOUBLE_INTEGER: u8 = 8;
pub(super) const DOUBLE_HUNDREDTHS: u8 = 9;
const DECIMAL: u8 = 10;
pub(super) const STRING: u8 = 11;
const STRING_NEW: u8 = 12;
pub(super) const STRING_AGAIN: u8 = 13;
const BYTES: u8 = 14;
pub(super) const DATE: u8 = 15;
pub(super) const TIMESTAMP: u8 = 16;
const INTERVAL: u8 = 17;
const ARRAY: u8 = 18;
const STRUCT: u8 = 19;
const FLOATS: u8 = 20;
const DOUBLES: u8 = 21;

/// Texts up to so many bytes are remembered.
const REMEMBERED_BYTES_MAX: usize = 32;
/// So many texts are remembered per frame.
const REMEMBERED_MAX: usize = 4096;
/// Integers below this are exact in a double.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The texts that occurred in the frame so far, when writing.
#[derive(Default)]
pub(super) struct TextsWritten<'a> {
    numbers: FxHashMap<&'a str, u32>,
}

/// The texts that occurred in the frame so far, when reading.
#[derive(Debug, Default)]
pub(super) struct TextsRead {
    texts: Vec<Arc<str>>,
}

/// Appends a row: the number of its values, and the values.
pub(super) fn encode_row<'a>(
    row: &'a [Value],
    event_time: i64,
    texts: &mut TextsWritten<'a>,
    out: &mut Vec<u8>,
) -> Result<(), LogError> {
    put_varint(row.len() as u64, out);
    for value in row {
        encode_value(value, event_time, texts, NESTING_MAX, out)?;
    }
    Ok(())
}

/// Reads a row.
pub(super) fn decode_row(
    cursor: &mut Cursor<'_>,
    event_time: i64,
    texts: &mut TextsRead,
) -> Result<Vec<Value>, Flaw> {
    let count = cursor.count(1)?;
    let mut row = Vec::with_capacity(count);
    for _ in 0..count {
        row.push(decode_value(cursor, event_time, texts, NESTING_MAX)?);
    }
    Ok(row)
}

/// Reads the wanted values of a row into another; the others are NULL.
pub(super) fn decode_row_in_part(
    cursor: &mut Cursor<'_>,
    event_time: i64,
    texts: &mut TextsRead,
    wanted: &[bool],
    row: &mut Vec<Value>,
) -> Result<(), Flaw> {
    let count = cursor.count(1)?;
    row.clear();
    for slot in 0..count {
        if wanted.get(slot).copied().unwrap_or(false) {
            row.push(decode_value(cursor, event_time, texts, NESTING_MAX)?);
        } else {
            skip_value(cursor, event_time, texts)?;
            row.push(Value::Null);
        }
    }
    Ok(())
}

/// Goes past a value.
fn skip_value(cursor: &mut Cursor<'_>, event_time: i64, texts: &mut TextsRead) -> Result<(), Flaw> {
    let at = cursor.at;
    match cursor.byte()? {
        NULL | FALSE | TRUE => {}
        BIG_INT | DOUBLE_INTEGER | DOUBLE_HUNDREDTHS | TIMESTAMP => {
            cursor.varint()?;
        }
        DOUBLE => {
            cursor.array::<8>()?;
        }
        STRING | BYTES => {
            cursor.byte_string()?;
        }
        // What is checked, remembered or nested is read.
        _ => {
            cursor.at = at;
            decode_value(cursor, event_time, texts, NESTING_MAX)?;
        }
    }
    Ok(())
}

pub(super) fn encode_value<'a>(
    value: &'a Value,
    event_time: i64,
    texts: &mut TextsWritten<'a>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), LogError> {
    match value {
        Value::Null => out.push(NULL),
        Value::Error(reason) => out.extend([ERROR, reason.code()]),
        Value::Boolean(b) => out.push(if *b { TRUE } else { FALSE }),
        Value::Int(x) => {
            out.push(INT);
            put_signed(i64::from(*x), out);
        }
        Value::BigInt(x) => {
            out.push(BIG_INT);
            put_signed(*x, out);
        }
        Value::Float(x) => {
            out.push(FLOAT);
            out.extend(x.to_le_bytes());
        }
        Value::Double(x) => encode_double(*x, out),
        Value::Decimal(x) => {
            out.push(DECIMAL);
            put_signed_wide(x.get(), out);
        }
        Value::String(text) => encode_text(text, texts, out),
        Value::Bytes(bytes) => {
            out.push(BYTES);
            put_bytes(bytes, out);
        }
        Value::Date(days) => {
            out.push(DATE);
            put_signed(i64::from(*days), out);
        }
        Value::Timestamp(micros) => {
            out.push(TIMESTAMP);
            put_signed(micros.wrapping_sub(event_time), out);
        }
        Value::Interval(interval) => {
            out.push(INTERVAL);
            put_signed(i64::from(interval.months), out);
            put_signed(interval.micros, out);
        }
        Value::Array(values) => {
            if !encode_packed(values, out) {
                encode_list(ARRAY, values, event_time, texts, depth, out)?;
            }
        }
        Value::Struct(values) => encode_list(STRUCT, values, event_time, texts, depth, out)?,
    }
    Ok(())
}

fn encode_list<'a>(
    kind: u8,
    values: &'a [Value],
    event_time: i64,
    texts: &mut TextsWritten<'a>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), LogError> {
    let depth = depth
        .checked_sub(1)
        .ok_or(LogError::NestedTooDeep { limit: NESTING_MAX })?;
    out.push(kind);
    put_varint(values.len() as u64, out);
    values
        .iter()
        .try_for_each(|value| encode_value(value, event_time, texts, depth, out))
}

/// A double as a whole number of parts of this size, if dividing gives the same bits back.
pub(super) fn whole(x: f64, parts: f64) -> Option<i64> {
    let scaled = if parts == 1.0 { x } else { (x * parts).round() };
    // The comparison also refuses NaN and infinities, whose cast would saturate.
    if scaled.abs() < EXACT_INTEGERS {
        let n = scaled as i64;
        return (n as f64 / parts).to_bits().eq(&x.to_bits()).then_some(n);
    }
    None
}

fn encode_double(x: f64, out: &mut Vec<u8>) {
    if let Some(n) = whole(x, 1.0) {
        out.push(DOUBLE_INTEGER);
        put_signed(n, out);
    } else if let Some(n) = whole(x, 100.0) {
        out.push(DOUBLE_HUNDREDTHS);
        put_signed(n, out);
    } else {
        out.push(DOUBLE);
        out.extend(x.to_le_bytes());
    }
}

fn encode_text<'a>(text: &'a str, texts: &mut TextsWritten<'a>, out: &mut Vec<u8>) {
    if text.len() > REMEMBERED_BYTES_MAX {
        out.push(STRING);
    } else if let Some(&number) = texts.numbers.get(text) {
        out.push(STRING_AGAIN);
        return put_varint(u64::from(number), out);
    } else if texts.numbers.len() < REMEMBERED_MAX {
        texts.numbers.insert(text, texts.numbers.len() as u32);
        out.push(STRING_NEW);
    } else {
        out.push(STRING);
    }
    put_bytes(text.as_bytes(), out);
}

/// Writes a list of floats or doubles (an embedding) without a kind per element.
fn encode_packed(values: &[Value], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let kind = match values.first() {
        Some(Value::Float(_)) => FLOATS,
        Some(Value::Double(_)) => DOUBLES,
        _ => return false,
    };
    out.push(kind);
    put_varint(values.len() as u64, out);
    for value in values {
        match (kind, value) {
            (FLOATS, Value::Float(x)) => out.extend(x.to_le_bytes()),
            (DOUBLES, Value::Double(x)) => out.extend(x.to_le_bytes()),
            _ => {
                out.truncate(start);
                return false;
            }
        }
    }
    true
}

pub(super) fn decode_value(
    cursor: &mut Cursor<'_>,
    event_time: i64,
    texts: &mut TextsRead,
    depth: usize,
) -> Result<Value, Flaw> {
    Ok(match cursor.byte()? {
        NULL => Value::Null,
        ERROR => {
            let code = cursor.byte()?;
            Value::Error(ErrorReason::from_code(code).ok_or(Flaw::Field {
                field: "an error's code",
                value: u64::from(code),
            })?)
        }
        FALSE => Value::Boolean(false),
        TRUE => Value::Boolean(true),
        INT => Value::Int(int32(cursor, "an INT")?),
        BIG_INT => Value::BigInt(cursor.signed()?),
        FLOAT => Value::float(f32::from_le_bytes(cursor.array()?)),
        DOUBLE => Value::double(f64::from_le_bytes(cursor.array()?)),
        DOUBLE_INTEGER => Value::double(cursor.signed()? as f64),
        DOUBLE_HUNDREDTHS => Value::double(cursor.signed()? as f64 / 100.0),
        DECIMAL => Value::decimal(cursor.signed_wide()?),
        STRING => Value::string(cursor.text("a STRING")?),
        STRING_NEW => {
            let text: Arc<str> = cursor.text("a STRING")?.into();
            texts.texts.push(text.clone());
            Value::String(text)
        }
        STRING_AGAIN => {
            let value = cursor.varint()?;
            let number = usize::try_from(value).unwrap_or(usize::MAX);
            let text = texts.texts.get(number).ok_or(Flaw::Field {
                field: "the number of a text",
                value,
            })?;
            Value::String(text.clone())
        }
        BYTES => Value::Bytes(cursor.byte_string()?.into()),
        DATE => Value::Date(int32(cursor, "a DATE")?),
        TIMESTAMP => Value::Timestamp(event_time.wrapping_add(cursor.signed()?)),
        INTERVAL => Value::Interval(Interval {
            months: int32(cursor, "an interval's months")?,
            micros: cursor.signed()?,
        }),
        ARRAY => Value::Array(decode_list(cursor, event_time, texts, depth)?.into()),
        STRUCT => Value::Struct(decode_list(cursor, event_time, texts, depth)?.into()),
        FLOATS => {
            let count = cursor.count(4)?;
            let float = |_| Ok(Value::float(f32::from_le_bytes(cursor.array()?)));
            Value::Array((0..count).map(float).collect::<Result<_, Flaw>>()?)
        }
        DOUBLES => {
            let count = cursor.count(8)?;
            let double = |_| Ok(Value::double(f64::from_le_bytes(cursor.array()?)));
            Value::Array((0..count).map(double).collect::<Result<_, Flaw>>()?)
        }
        kind => {
            return Err(Flaw::Field {
                field: "a value's kind",
                value: u64::from(kind),
            });
        }
    })
}

fn decode_list(
    cursor: &mut Cursor<'_>,
    event_time: i64,
    texts: &mut TextsRead,
    depth: usize,
) -> Result<Vec<Value>, Flaw> {
    let depth = depth.checked_sub(1).ok_or(Flaw::Nesting)?;
    let count = cursor.count(1)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(decode_value(cursor, event_time, texts, depth)?);
    }
    Ok(values)
}

fn int32(cursor: &mut Cursor<'_>, field: &'static str) -> Result<i32, Flaw> {
    let x = cursor.signed()?;
    i32::try_from(x).map_err(|_| Flaw::Field {
        field,
        value: x.unsigned_abs(),
    })
}
