//! One column of a frame by itself.
//!
//! Values of one simple kind stand packed, with a state each where one is missing; anything
//! else stands as rows have it. The short forms of doubles and the kinds' numbers are those of
//! `value`.

use std::sync::Arc;

use evenkeel_types::{
    Column, ColumnData, ErrorReason, SLOT_NULL, SLOT_PRESENT, Value, canonical_f32, canonical_f64,
};
use rustc_hash::FxHashMap;

use super::numbers::{put_numbers, take_numbers};
use super::value::{
    BIG_INT, DATE, DOUBLE, DOUBLE_HUNDREDTHS, DOUBLE_INTEGER, FLOAT, INT, NULL, STRING,
    STRING_AGAIN, TIMESTAMP, TRUE, TextsRead, TextsWritten, decode_value, encode_value, whole,
};
use super::{Cursor, NESTING_MAX, put_bytes, put_varint};
use crate::error::{Flaw, LogError};

/// Values as rows have them, one after the other.
const AS_IN_ROWS: u8 = 0xff;

/// Appends the values of a column, one per event at these times.
pub(super) fn put_column(
    values: &[&Value],
    times: &[i64],
    out: &mut Vec<u8>,
) -> Result<(), LogError> {
    let start = out.len();
    if put_simple(values, times, out).is_some() {
        return Ok(());
    }
    out.truncate(start);
    out.push(AS_IN_ROWS);
    let mut texts = TextsWritten::default();
    values
        .iter()
        .zip(times)
        .try_for_each(|(value, time)| encode_value(value, *time, &mut texts, NESTING_MAX, out))
}

/// The same if all that are there are of one simple kind; else none.
fn put_simple(values: &[&Value], times: &[i64], out: &mut Vec<u8>) -> Option<()> {
    let Some(first) = values.iter().find(|value| !value.is_missing()) else {
        out.push(NULL);
        put_states(values, out);
        return Some(());
    };
    match first {
        Value::Boolean(_) => put_integers(TRUE, values, out, |value, _| match value {
            Value::Boolean(x) => Some(i64::from(*x)),
            _ => None,
        }),
        Value::Int(_) => put_integers(INT, values, out, |value, _| match value {
            Value::Int(x) => Some(i64::from(*x)),
            _ => None,
        }),
        Value::BigInt(_) => put_integers(BIG_INT, values, out, |value, _| match value {
            Value::BigInt(x) => Some(*x),
            _ => None,
        }),
        Value::Date(_) => put_integers(DATE, values, out, |value, _| match value {
            Value::Date(x) => Some(i64::from(*x)),
            _ => None,
        }),
        Value::Timestamp(_) => put_integers(TIMESTAMP, values, out, |value, i| match value {
            Value::Timestamp(x) => Some(x.wrapping_sub(times[i])),
            _ => None,
        }),
        Value::Double(_) => put_doubles(values, out),
        Value::Float(_) => {
            out.push(FLOAT);
            put_states(values, out);
            for value in values {
                let x = match value {
                    Value::Float(x) => *x,
                    value if value.is_missing() => 0.0,
                    _ => return None,
                };
                out.extend_from_slice(&x.to_le_bytes());
            }
            Some(())
        }
        Value::String(_) => put_texts(values, out),
        _ => None,
    }
}

/// One byte if all values are there, else one more for each.
fn put_states(values: &[&Value], out: &mut Vec<u8>) {
    let missing = values.iter().any(|value| value.is_missing());
    out.push(u8::from(missing));
    if missing {
        out.extend(values.iter().map(|value| match value {
            Value::Null => SLOT_NULL,
            Value::Error(reason) => reason.code(),
            _ => SLOT_PRESENT,
        }));
    }
}

/// What is missing repeats the number before, which is short.
fn put_integers(
    kind: u8,
    values: &[&Value],
    out: &mut Vec<u8>,
    number: impl Fn(&Value, usize) -> Option<i64>,
) -> Option<()> {
    let mut numbers = Vec::with_capacity(values.len());
    let mut last = 0;
    for (i, value) in values.iter().enumerate() {
        if !value.is_missing() {
            last = number(value, i)?;
        }
        numbers.push(last);
    }
    out.push(kind);
    put_states(values, out);
    put_numbers(&numbers, out);
    Some(())
}

fn put_doubles(values: &[&Value], out: &mut Vec<u8>) -> Option<()> {
    for (kind, factor) in [(DOUBLE_INTEGER, 1.0), (DOUBLE_HUNDREDTHS, 100.0)] {
        let start = out.len();
        let short = put_integers(kind, values, out, |value, _| match value {
            Value::Double(x) => whole(*x, factor),
            _ => None,
        });
        if short.is_some() {
            return short;
        }
        out.truncate(start);
    }
    out.push(DOUBLE);
    put_states(values, out);
    for value in values {
        let x = match value {
            Value::Double(x) => *x,
            value if value.is_missing() => 0.0,
            _ => return None,
        };
        out.extend_from_slice(&x.to_le_bytes());
    }
    Some(())
}

/// Texts that repeat are written once, if at most every second is another.
fn put_texts(values: &[&Value], out: &mut Vec<u8>) -> Option<()> {
    let mut texts: Vec<&str> = Vec::with_capacity(values.len());
    for value in values {
        texts.push(match value {
            Value::String(text) => text,
            value if value.is_missing() => "",
            _ => return None,
        });
    }
    let mut numbers: FxHashMap<&str, i64> = FxHashMap::default();
    let mut distinct: Vec<&str> = Vec::new();
    let mut places = Vec::with_capacity(texts.len());
    for &text in &texts {
        let next = distinct.len() as i64;
        places.push(*numbers.entry(text).or_insert_with(|| {
            distinct.push(text);
            next
        }));
        if distinct.len() > texts.len() / 2 {
            out.push(STRING);
            put_states(values, out);
            put_text_bytes(&texts, out);
            return Some(());
        }
    }
    out.push(STRING_AGAIN);
    put_states(values, out);
    put_varint(distinct.len() as u64, out);
    put_text_bytes(&distinct, out);
    put_numbers(&places, out);
    Some(())
}

fn put_text_bytes(texts: &[&str], out: &mut Vec<u8>) {
    let lengths: Vec<i64> = texts.iter().map(|text| text.len() as i64).collect();
    put_numbers(&lengths, out);
    put_bytes(texts.concat().as_bytes(), out);
}

/// The values of a column of a frame.
#[derive(Clone, Debug)]
pub enum FrameColumn {
    /// Of one type. Of integers, times and texts the type is that of the values; NULLs alone
    /// are no column.
    Typed(Column),
    /// Of types that differ, or that no column is made for.
    Mixed(Vec<Value>),
}

impl FrameColumn {
    pub(super) fn get(&self, slot: usize) -> Value {
        match self {
            FrameColumn::Typed(column) => column.get(slot),
            FrameColumn::Mixed(values) => values[slot].clone(),
        }
    }
}

/// Reads what [`put_column`] wrote for events at these times, to its end.
pub(super) fn take_column(cursor: &mut Cursor<'_>, times: &[i64]) -> Result<FrameColumn, Flaw> {
    let count = times.len();
    let kind = cursor.byte()?;
    if kind == AS_IN_ROWS {
        let mut texts = TextsRead::default();
        let values = times
            .iter()
            .map(|&time| decode_value(cursor, time, &mut texts, NESTING_MAX))
            .collect::<Result<_, Flaw>>()?;
        return Ok(FrameColumn::Mixed(values));
    }
    let states = take_states(cursor, count)?;
    let data = match kind {
        NULL => {
            if states.len() != count || states.contains(&SLOT_PRESENT) {
                return Err(field("the state of a value", u64::from(SLOT_PRESENT)));
            }
            let missing = states
                .into_iter()
                .map(|state| ErrorReason::from_code(state).map_or(Value::Null, Value::Error));
            return Ok(FrameColumn::Mixed(missing.collect()));
        }
        TRUE => {
            let truth = |x| match x {
                0 => Ok(false),
                1 => Ok(true),
                x => Err(out_of_range("a BOOLEAN", x)),
            };
            let numbers = take_numbers(cursor, count)?.into_iter();
            ColumnData::Boolean(numbers.map(truth).collect::<Result<_, _>>()?)
        }
        INT => ColumnData::Int(narrow(cursor, count, "an INT")?),
        DATE => ColumnData::Date(narrow(cursor, count, "a DATE")?),
        BIG_INT => ColumnData::BigInt(take_numbers(cursor, count)?),
        TIMESTAMP => {
            let mut values = take_numbers(cursor, count)?;
            for (value, time) in values.iter_mut().zip(times) {
                *value = value.wrapping_add(*time);
            }
            ColumnData::Timestamp(values)
        }
        DOUBLE_INTEGER => {
            let numbers = take_numbers(cursor, count)?.into_iter();
            ColumnData::Double(numbers.map(|n| n as f64).collect())
        }
        DOUBLE_HUNDREDTHS => {
            let numbers = take_numbers(cursor, count)?.into_iter();
            ColumnData::Double(numbers.map(|n| n as f64 / 100.0).collect())
        }
        DOUBLE => {
            let bytes = cursor.take(count.saturating_mul(8))?;
            let double = |bytes: &[u8; 8]| canonical_f64(f64::from_le_bytes(*bytes));
            ColumnData::Double(bytes.as_chunks().0.iter().map(double).collect())
        }
        FLOAT => {
            let bytes = cursor.take(count.saturating_mul(4))?;
            let float = |bytes: &[u8; 4]| canonical_f32(f32::from_le_bytes(*bytes));
            ColumnData::Float(bytes.as_chunks().0.iter().map(float).collect())
        }
        STRING => ColumnData::String(take_text_bytes(cursor, count)?),
        STRING_AGAIN => {
            let distinct = cursor.varint()?;
            let number = usize::try_from(distinct).ok().filter(|n| *n <= count);
            let number = number.ok_or_else(|| field("the number of texts", distinct))?;
            let distinct = take_text_bytes(cursor, number)?;
            let text = |place: i64| {
                let found = usize::try_from(place).ok().and_then(|p| distinct.get(p));
                found
                    .cloned()
                    .ok_or_else(|| out_of_range("the number of a text", place))
            };
            let places = take_numbers(cursor, count)?.into_iter();
            ColumnData::String(places.map(text).collect::<Result<_, _>>()?)
        }
        kind => return Err(field("a column's kind", u64::from(kind))),
    };
    Ok(FrameColumn::Typed(Column::from_parts(data, states)))
}

fn field(field: &'static str, value: u64) -> Flaw {
    Flaw::Field { field, value }
}

fn out_of_range(what: &'static str, value: i64) -> Flaw {
    field(what, value.unsigned_abs())
}

/// Empty if all are present.
fn take_states(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<u8>, Flaw> {
    match cursor.byte()? {
        0 => return Ok(Vec::new()),
        1 => {}
        other => return Err(field("whether values are missing", u64::from(other))),
    }
    let states = cursor.take(count)?;
    for &state in states {
        if !matches!(state, SLOT_PRESENT | SLOT_NULL) && ErrorReason::from_code(state).is_none() {
            return Err(field("the state of a value", u64::from(state)));
        }
    }
    Ok(states.to_vec())
}

fn narrow(cursor: &mut Cursor<'_>, count: usize, what: &'static str) -> Result<Vec<i32>, Flaw> {
    let numbers = take_numbers(cursor, count)?.into_iter();
    numbers
        .map(|x| i32::try_from(x).map_err(|_| out_of_range(what, x)))
        .collect()
}

fn take_text_bytes(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Arc<str>>, Flaw> {
    let lengths = take_numbers(cursor, count)?;
    let all = cursor.text("texts")?;
    let mut at = 0usize;
    // Of no bytes at all there may be very many.
    let empty: Arc<str> = "".into();
    let texts: Vec<Arc<str>> = lengths
        .into_iter()
        .map(|length| {
            let wrong = || out_of_range("the length of a text", length);
            let end = usize::try_from(length)
                .ok()
                .and_then(|length| at.checked_add(length))
                .ok_or_else(wrong)?;
            let text = all.get(at..end).ok_or_else(wrong)?;
            at = end;
            Ok(match text {
                "" => Arc::clone(&empty),
                text => text.into(),
            })
        })
        .collect::<Result<_, Flaw>>()?;
    if at != all.len() {
        return Err(Flaw::Trailing {
            what: "the texts of a column",
            count: (all.len() - at) as u64,
        });
    }
    Ok(texts)
}
