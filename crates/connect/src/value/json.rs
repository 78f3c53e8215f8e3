//! Values as JSON.

use evenkeel_types::time::{format_date, format_timestamp, parse_date, parse_timestamp};
use evenkeel_types::{DataType, Field, Value, Zone};
use serde_json::{Map, Number, Value as JsonValue};

use crate::value::json_text::Json;
use crate::value::number::{
    format_decimal, read_big_int, read_decimal, read_double, read_float, read_int, read_whole,
    significant_digits,
};
use crate::value::text::{infinity, read_bytes, read_count, write_bytes};
use crate::value::{Context, ValueError, shown, vector};

/// Decimal digits that survive a double: a DECIMAL from a number of more digits that went
/// through a double would be a guess.
const DOUBLE_DIGITS: usize = 15;

/// A value as JSON that [`json_to_value`] reads back with the same bits:
///
/// - BOOLEAN as such; INT and BIGINT as numbers (clients that hold numbers as doubles lose
///   BIGINTs beyond 2^53)
/// - FLOAT and DOUBLE as numbers with the fewest digits that read back the same; `"NaN"`,
///   `"Infinity"`, `"-Infinity"` as strings
/// - DECIMAL as a string with its scale: `"12.30"`
/// - STRING as such; BYTES as base64 with padding (RFC 4648)
/// - DATE `"2026-01-31"`, TIMESTAMP `"2026-01-31T12:00:00Z"` (RFC 3339, UTC)
/// - arrays and vectors as arrays, structs as objects in field order
/// - NULL and ERROR as null; INTERVAL as its text, which is not read back
///
/// `data_type` is the value's type; it gives scales and field names.
pub fn value_to_json(data_type: &DataType, value: &Value) -> JsonValue {
    match value {
        Value::Null | Value::Error(_) => JsonValue::Null,
        Value::Boolean(b) => JsonValue::Bool(*b),
        Value::Int(x) => JsonValue::from(*x),
        Value::BigInt(x) => JsonValue::from(*x),
        // The shortest text of a FLOAT has at most nine digits, so as a double it is
        // written with the same ones.
        Value::Float(x) => double_to_json(if x.is_finite() {
            format!("{x:?}").parse().unwrap_or(f64::from(*x))
        } else {
            f64::from(*x)
        }),
        Value::Double(x) => double_to_json(*x),
        Value::Decimal(x) => {
            let scale = match data_type {
                DataType::Decimal { scale, .. } => *scale,
                _ => 0,
            };
            JsonValue::String(format_decimal(x.get(), scale))
        }
        Value::String(s) => JsonValue::String(s.as_ref().to_owned()),
        Value::Bytes(b) => JsonValue::String(write_bytes(b)),
        Value::Date(d) => JsonValue::String(format_date(*d)),
        Value::Timestamp(t) => JsonValue::String(format_timestamp(*t)),
        Value::Interval(i) => JsonValue::String(i.to_string()),
        Value::Array(values) => {
            let element = match data_type {
                DataType::Array(element) | DataType::Vector { element, .. } => element,
                _ => &DataType::Null,
            };
            JsonValue::Array(values.iter().map(|v| value_to_json(element, v)).collect())
        }
        Value::Struct(values) => {
            let fields: &[Field] = match data_type {
                DataType::Struct(fields) => fields,
                _ => &[],
            };
            JsonValue::Object(
                fields
                    .iter()
                    .zip(values.iter())
                    .map(|(f, v)| (f.name.clone(), value_to_json(&f.data_type, v)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

fn double_to_json(x: f64) -> JsonValue {
    match Number::from_f64(x) {
        Some(number) => JsonValue::Number(number),
        None if x.is_nan() => JsonValue::String("NaN".to_owned()),
        None => JsonValue::String(infinity(x.is_sign_negative()).to_owned()),
    }
}

/// A value of a type from JSON: what [`value_to_json`] writes, and besides
///
/// - DECIMAL also from a number, by its digits; a number that was parsed as a double only
///   if it has at most 15 of them
/// - TIMESTAMP with any offset; without one it is local to `zone`
/// - struct fields in any order, missing ones NULL
///
/// Nothing else is converted: a string is no number, `1.0` is no integer.
///
/// # Errors
/// If the JSON is not exactly a value of the type.
pub fn json_to_value(
    data_type: &DataType,
    json: &JsonValue,
    zone: &Zone,
) -> Result<Value, ValueError> {
    read_json(
        data_type,
        &Json::from(json),
        &Context {
            zone,
            time_unit: None,
        },
    )
}

pub(crate) fn read_json(
    data_type: &DataType,
    json: &Json<'_>,
    context: &Context<'_>,
) -> Result<Value, ValueError> {
    let kind = || ValueError::Kind {
        found: json.kind(),
        data_type: data_type.to_string(),
    };
    match (data_type, json) {
        (DataType::Interval | DataType::Null, _) => Err(ValueError::NoWrittenForm {
            data_type: data_type.to_string(),
        }),
        (_, Json::Null) => Ok(Value::Null),
        (DataType::Boolean, Json::Boolean(b)) => Ok(Value::Boolean(*b)),
        (DataType::Int, Json::Number { text, .. }) => read_int(text),
        (DataType::BigInt, Json::Number { text, .. }) => read_big_int(text),
        (DataType::Float, Json::Number { text, .. }) => read_float(text),
        (DataType::Double, Json::Number { text, .. }) => read_double(text),
        (DataType::Float, Json::String(s)) => named_float(s)
            // NaN and the infinities narrow to themselves.
            .map(|x| Value::float(x as f32))
            .ok_or_else(kind),
        (DataType::Double, Json::String(s)) => named_float(s).map(Value::double).ok_or_else(kind),
        (DataType::Decimal { precision, scale }, Json::Number { text, exact }) => {
            if !exact && significant_digits(text) > DOUBLE_DIGITS {
                return Err(ValueError::inexact(text, data_type));
            }
            read_decimal(text, data_type, *precision, *scale)
        }
        (DataType::Decimal { precision, scale }, Json::String(s)) => {
            read_decimal(s, data_type, *precision, *scale)
        }
        (DataType::String, Json::String(s)) => Ok(Value::string(s.as_ref())),
        (DataType::Bytes, Json::String(s)) => read_bytes(s),
        (DataType::Date, Json::String(s)) => {
            parse_date(s).map(Value::Date).map_err(ValueError::time)
        }
        (DataType::Timestamp, Json::String(s)) => parse_timestamp(s, context.zone)
            .map(Value::Timestamp)
            .map_err(ValueError::time),
        (DataType::Timestamp, Json::Number { text, .. }) => match context.time_unit {
            Some(unit) => read_count(text, read_whole(text).unwrap_or(Err(())), unit),
            None => Err(ValueError::NoTimeUnit { text: shown(text) }),
        },
        (DataType::Array(element), Json::Array(values)) => {
            Ok(Value::Array(elements(element, values, context)?.into()))
        }
        (DataType::Vector { element, length }, Json::Array(values)) => {
            vector(data_type, *length, elements(element, values, context)?)
        }
        (DataType::Struct(fields), Json::Object(members)) => {
            if let Some((name, _)) = members
                .iter()
                .find(|(name, _)| fields.iter().all(|f| f.name != *name))
            {
                return Err(ValueError::UnknownField {
                    field: shown(name),
                    data_type: data_type.to_string(),
                });
            }
            let values = fields
                .iter()
                .map(|f| match members.iter().find(|(name, _)| f.name == *name) {
                    Some((_, json)) => read_json(&f.data_type, json, context),
                    None => Ok(Value::Null),
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Struct(values.into()))
        }
        _ => Err(kind()),
    }
}

fn elements(
    element: &DataType,
    values: &[Json<'_>],
    context: &Context<'_>,
) -> Result<Vec<Value>, ValueError> {
    values
        .iter()
        .map(|json| read_json(element, json, context))
        .collect()
}

fn named_float(text: &str) -> Option<f64> {
    Some(match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => return None,
    })
}

/// Text of unknown bytes as JSON: a string, or `{"base64": ...}` if it is not UTF-8.
pub(crate) fn text_from_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => JsonValue::from(text).to_string(),
        Err(_) => {
            let mut object = Map::new();
            object.insert("base64".to_owned(), JsonValue::String(write_bytes(bytes)));
            JsonValue::Object(object).to_string()
        }
    }
}
