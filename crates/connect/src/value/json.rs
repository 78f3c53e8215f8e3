//! Values as JSON.

use evenkeel_types::time::{
    TIMESTAMP_TEXT_MAX, format_date, parse_date, parse_timestamp, write_timestamp,
};
use evenkeel_types::{DataType, Field, Value, Zone};
use serde_json::{Map, Value as JsonValue};

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
    let mut text = Vec::new();
    append_json(data_type, value, &mut text);
    // What was just written is JSON.
    serde_json::from_slice(&text).unwrap_or_default()
}

/// [`value_to_json`] as text, appended to a buffer: for answers of many values.
pub fn append_json(data_type: &DataType, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Error(_) => out.extend_from_slice(b"null"),
        Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(x) => put(out, x),
        Value::BigInt(x) => put(out, x),
        Value::Float(x) if x.is_finite() => put(out, x),
        Value::Float(x) => put(out, not_finite(f64::from(*x))),
        Value::Double(x) if x.is_finite() => put(out, x),
        Value::Double(x) => put(out, not_finite(*x)),
        Value::Decimal(x) => {
            let scale = match data_type {
                DataType::Decimal { scale, .. } => *scale,
                _ => 0,
            };
            put(out, &format_decimal(x.get(), scale));
        }
        Value::String(s) => put(out, s.as_ref()),
        Value::Bytes(b) => put(out, &write_bytes(b)),
        Value::Date(d) => put(out, &format_date(*d)),
        Value::Timestamp(t) => {
            out.push(b'"');
            let mut buffer = [0; TIMESTAMP_TEXT_MAX];
            out.extend_from_slice(write_timestamp(*t, &mut buffer).as_bytes());
            out.push(b'"');
        }
        Value::Interval(i) => put(out, &i.to_string()),
        Value::Array(values) => {
            let element = match data_type {
                DataType::Array(element) | DataType::Vector { element, .. } => element,
                _ => &DataType::Null,
            };
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                append_json(element, value, out);
            }
            out.push(b']');
        }
        Value::Struct(values) => {
            let fields: &[Field] = match data_type {
                DataType::Struct(fields) => fields,
                _ => &[],
            };
            out.push(b'{');
            for (i, (field, value)) in fields.iter().zip(values.iter()).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put(out, &field.name);
                out.push(b':');
                append_json(&field.data_type, value, out);
            }
            out.push(b'}');
        }
    }
}

/// Numbers and texts as JSON.
fn put<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing such values into memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn not_finite(x: f64) -> &'static str {
    if x.is_nan() {
        "NaN"
    } else {
        infinity(x.is_sign_negative())
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
    Json::from(json).to_value(data_type, zone)
}

impl Json<'_> {
    /// The value of a type: as [`json_to_value`], with the digits of numbers as they were
    /// written.
    ///
    /// # Errors
    /// If the JSON is not exactly a value of the type.
    pub fn to_value(&self, data_type: &DataType, zone: &Zone) -> Result<Value, ValueError> {
        read_json(
            data_type,
            self,
            &Context {
                zone,
                time_unit: None,
            },
        )
    }
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
