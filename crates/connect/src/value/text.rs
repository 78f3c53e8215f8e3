//! Values as plain text: CSV fields and the command line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenkeel_types::time::{format_date, format_timestamp, parse_date, parse_timestamp};
use evenkeel_types::{DataType, Value, Zone};

use crate::options::TimeUnit;
use crate::value::json::{read_json, value_to_json};
use crate::value::json_text::parse_json;
use crate::value::number::{
    format_decimal, read_big_int, read_decimal, read_double, read_float, read_int, read_whole,
};
use crate::value::{Context, ValueError, time_from_count};

/// A value of a type from its text, as a CSV field or a command line has it. White space
/// around anything but STRING is ignored; there is no text for NULL.
///
/// - BOOLEAN: `true`, `false`, whatever their case
/// - INT, BIGINT: digits with an optional sign; `1.0` is an error
/// - FLOAT, DOUBLE: the nearest to a decimal number, `NaN`, `Infinity`, `-Infinity`, `inf`
/// - DECIMAL: digits with an optional point and exponent, exactly
/// - DATE: `2026-01-31`; TIMESTAMP: see [`evenkeel_types::time::parse_timestamp`], local to
///   `zone` if the text names none
/// - BYTES: base64 with padding (RFC 4648)
/// - arrays, vectors and structs: JSON, see [`crate::json_to_value`]
///
/// # Errors
/// If the text is not exactly a value of the type. INTERVAL has no text.
pub fn text_to_value(data_type: &DataType, text: &str, zone: &Zone) -> Result<Value, ValueError> {
    read_text(
        data_type,
        text,
        &Context {
            zone,
            time_unit: None,
        },
    )
}

pub(crate) fn read_text(
    data_type: &DataType,
    text: &str,
    context: &Context<'_>,
) -> Result<Value, ValueError> {
    let trimmed = text.trim_ascii();
    match data_type {
        DataType::String => Ok(Value::string(text)),
        DataType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
        DataType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
        DataType::Boolean => Err(ValueError::syntax(text, data_type)),
        DataType::Int => read_int(trimmed),
        DataType::BigInt => read_big_int(trimmed),
        DataType::Float => read_float(trimmed),
        DataType::Double => read_double(trimmed),
        DataType::Decimal { precision, scale } => {
            read_decimal(trimmed, data_type, *precision, *scale)
        }
        DataType::Bytes => read_bytes(trimmed),
        DataType::Date => parse_date(trimmed)
            .map(Value::Date)
            .map_err(ValueError::time),
        DataType::Timestamp => match (read_whole(trimmed), context.time_unit) {
            (Some(count), Some(unit)) => read_count(trimmed, count, unit),
            (Some(_), None) => Err(ValueError::NoTimeUnit {
                text: super::shown(trimmed),
            }),
            (None, _) => parse_timestamp(trimmed, context.zone)
                .map(Value::Timestamp)
                .map_err(ValueError::time),
        },
        DataType::Array(_) | DataType::Vector { .. } | DataType::Struct(_) => {
            read_json(data_type, &parse_json(trimmed)?, context)
        }
        DataType::Interval | DataType::Null => Err(ValueError::NoWrittenForm {
            data_type: data_type.to_string(),
        }),
    }
}

/// A number of units since the epoch as a TIMESTAMP.
pub(super) fn read_count(
    text: &str,
    count: Result<i64, ()>,
    unit: TimeUnit,
) -> Result<Value, ValueError> {
    let count = count.map_err(|()| ValueError::syntax(text, &DataType::Timestamp))?;
    time_from_count(count, unit)
        .map(Value::Timestamp)
        .ok_or_else(|| ValueError::range(text, &DataType::Timestamp))
}

pub(super) fn read_bytes(text: &str) -> Result<Value, ValueError> {
    STANDARD
        .decode(text)
        .map(|bytes| Value::Bytes(bytes.into()))
        .map_err(|_| ValueError::syntax(text, &DataType::Bytes))
}

pub(super) fn write_bytes(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A value as text that [`text_to_value`] reads back with the same bits. Floats are written
/// with the fewest digits that do so, always with a point or an exponent; infinities are
/// `Infinity` and `-Infinity`; times are RFC 3339 in UTC. `None` for NULL and ERROR.
///
/// `data_type` is the value's type; a value of another type is written in its own form.
pub fn value_to_text(data_type: &DataType, value: &Value) -> Option<String> {
    Some(match value {
        Value::Null | Value::Error(_) => return None,
        Value::Boolean(b) => b.to_string(),
        Value::Int(x) => x.to_string(),
        Value::BigInt(x) => x.to_string(),
        Value::Float(x) if x.is_infinite() => infinity(x.is_sign_negative()).to_owned(),
        Value::Float(x) => format!("{x:?}"),
        Value::Double(x) if x.is_infinite() => infinity(x.is_sign_negative()).to_owned(),
        Value::Double(x) => format!("{x:?}"),
        Value::Decimal(x) => {
            let scale = match data_type {
                DataType::Decimal { scale, .. } => *scale,
                _ => 0,
            };
            format_decimal(x.get(), scale)
        }
        Value::String(s) => s.as_ref().to_owned(),
        Value::Bytes(b) => write_bytes(b),
        Value::Date(d) => format_date(*d),
        Value::Timestamp(t) => format_timestamp(*t),
        Value::Interval(i) => i.to_string(),
        Value::Array(_) | Value::Struct(_) => value_to_json(data_type, value).to_string(),
    })
}

pub(super) fn infinity(negative: bool) -> &'static str {
    if negative { "-Infinity" } else { "Infinity" }
}
