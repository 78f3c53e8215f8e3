//! One value of a row, by the declared type and by what its schema says.
//!
//! Names of schemas are those of Debezium's connectors (`io.debezium.*`) and of Kafka Connect.
//! Without a schema a number in a DATE column counts days, as all connectors write it, and one in
//! a TIMESTAMP column needs the option `time_unit`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenkeel_types::time::{TIME_MAX, TIME_MIN};
use evenkeel_types::{DataType, Value, Zone};

use super::member;
use crate::change::{ChangeError, time_text};
use crate::value::{Context, Json, ValueError, fits_precision, format_decimal, read_json, rescale};

/// What PostgreSQL's connector writes for a long value that an update did not touch.
const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// The same of bytes.
const UNAVAILABLE_BYTES: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The schema of a field.
pub(super) struct Field<'r, 'a>(&'r Json<'a>);

impl<'r, 'a> Field<'r, 'a> {
    /// The one of a name, among those of a row.
    pub(super) fn named(fields: &'r [Json<'a>], name: &str) -> Option<Self> {
        let mut fields = fields.iter().map(Field);
        fields.find(|field| field.text("field") == Some(name))
    }

    fn text(&self, name: &str) -> Option<&'r str> {
        match member(self.0.members()?, name)? {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// A parameter that is a whole number.
    fn parameter(&self, name: &str) -> Option<i32> {
        match member(member(self.0.members()?, "parameters")?.members()?, name)? {
            Json::String(text) | Json::Number { text, .. } => text.parse().ok(),
            _ => None,
        }
    }
}

/// What a number of a time counts.
#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

pub(super) fn read_field(
    data_type: &DataType,
    json: &Json<'_>,
    field: Option<Field<'_, '_>>,
    context: &Context<'_>,
) -> Result<Value, ValueError> {
    if let Json::String(text) = json
        && (text == UNAVAILABLE || text == UNAVAILABLE_BYTES)
    {
        return Err(ValueError::change(ChangeError::Unavailable));
    }
    let semantic = field.as_ref().and_then(|field| field.text("name"));
    match (semantic.unwrap_or_default(), json) {
        (_, Json::Null) => Ok(Value::Null),
        ("org.apache.kafka.connect.data.Decimal", Json::String(base64)) => {
            let scale = field
                .and_then(|field| field.parameter("scale"))
                .unwrap_or(0);
            decimal(data_type, base64, scale)
        }
        ("io.debezium.data.VariableScaleDecimal", Json::Object(members)) => {
            match (member(members, "value"), member(members, "scale")) {
                (Some(Json::String(base64)), Some(Json::Number { text, .. })) => {
                    let scale = text.parse();
                    let scale = scale.map_err(|_| ValueError::syntax(text, data_type))?;
                    decimal(data_type, base64, scale)
                }
                _ => Err(kind(data_type, json)),
            }
        }
        ("io.debezium.data.Bits", Json::String(base64)) if *data_type == DataType::BigInt => {
            bits(base64)
        }
        (
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp",
            Json::Number { text, .. },
        ) => local_time(data_type, text, Unit::Milliseconds, context.zone),
        ("io.debezium.time.MicroTimestamp", Json::Number { text, .. }) => {
            local_time(data_type, text, Unit::Microseconds, context.zone)
        }
        ("io.debezium.time.NanoTimestamp", Json::Number { text, .. }) => {
            local_time(data_type, text, Unit::Nanoseconds, context.zone)
        }
        (
            "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time",
            Json::Number { text, .. },
        ) => length_of_time(data_type, text, Unit::Milliseconds),
        ("io.debezium.time.MicroTime", Json::Number { text, .. }) => {
            length_of_time(data_type, text, Unit::Microseconds)
        }
        ("io.debezium.time.NanoTime", Json::Number { text, .. }) => {
            length_of_time(data_type, text, Unit::Nanoseconds)
        }
        (_, Json::Number { text, .. }) if *data_type == DataType::Date => {
            let days = text.parse();
            let days = days.map_err(|_| ValueError::syntax(text, data_type))?;
            date(days, text)
        }
        _ => read_json(data_type, json, context),
    }
}

fn kind(data_type: &DataType, json: &Json<'_>) -> ValueError {
    ValueError::Kind {
        found: json.kind(),
        data_type: data_type.to_string(),
    }
}

/// A whole number of two's complement in base64, most significant byte first, of which `scale`
/// digits stand after the point.
fn decimal(data_type: &DataType, base64: &str, scale: i32) -> Result<Value, ValueError> {
    let bytes = STANDARD.decode(base64);
    let bytes = bytes.map_err(|_| ValueError::syntax(base64, data_type))?;
    let range = || ValueError::range(base64, data_type);
    let unscaled = signed(&bytes).ok_or_else(range)?;
    let shown = || match u8::try_from(scale) {
        Ok(scale) => format_decimal(unscaled, scale),
        Err(_) => format!("{unscaled}e{}", -i64::from(scale)),
    };
    let whole =
        || rescale(unscaled, scale, 0).ok_or_else(|| ValueError::fraction(&shown(), data_type));
    let outside = || ValueError::range(&shown(), data_type);
    match data_type {
        DataType::Decimal {
            precision,
            scale: wanted,
        } => {
            let inexact = || ValueError::inexact(&shown(), data_type);
            let unscaled = rescale(unscaled, scale, i32::from(*wanted)).ok_or_else(inexact)?;
            if !fits_precision(unscaled, *precision) {
                return Err(outside());
            }
            Ok(Value::decimal(unscaled))
        }
        DataType::BigInt => {
            let whole = i64::try_from(whole()?).map_err(|_| outside())?;
            Ok(Value::BigInt(whole))
        }
        DataType::Int => {
            let whole = i32::try_from(whole()?).map_err(|_| outside())?;
            Ok(Value::Int(whole))
        }
        DataType::String => Ok(Value::string(shown())),
        _ => Err(ValueError::Kind {
            found: "a decimal",
            data_type: data_type.to_string(),
        }),
    }
}

fn signed(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut whole = [if negative { 0xff } else { 0 }; 16];
    // Bytes before the last sixteen may only repeat the sign.
    let surplus = bytes.len().saturating_sub(16);
    let (sign, rest) = bytes.split_at(surplus);
    if sign.iter().any(|byte| *byte != whole[0]) {
        return None;
    }
    whole[16 - rest.len()..].copy_from_slice(rest);
    let value = i128::from_be_bytes(whole);
    ((value < 0) == negative).then_some(value)
}

/// A BIT column, least significant byte first.
fn bits(base64: &str) -> Result<Value, ValueError> {
    let bytes = STANDARD.decode(base64);
    let bytes = bytes.map_err(|_| ValueError::syntax(base64, &DataType::BigInt))?;
    let range = || ValueError::range(base64, &DataType::BigInt);
    let mut whole = [0; 8];
    let (value, rest) = bytes.split_at(bytes.len().min(8));
    if rest.iter().any(|byte| *byte != 0) {
        return Err(range());
    }
    whole[..value.len()].copy_from_slice(value);
    let bits = i64::try_from(u64::from_le_bytes(whole)).map_err(|_| range())?;
    Ok(Value::BigInt(bits))
}

fn date(days: i32, text: &str) -> Result<Value, ValueError> {
    let micros = i64::from(days).checked_mul(MICROS_PER_DAY);
    match micros.filter(|micros| (TIME_MIN..=TIME_MAX).contains(micros)) {
        Some(_) => Ok(Value::Date(days)),
        None => Err(ValueError::range(text, &DataType::Date)),
    }
}

/// A count of a time that has no zone: as if it were UTC's, whatever the source's zone.
fn local_time(
    data_type: &DataType,
    text: &str,
    unit: Unit,
    zone: &Zone,
) -> Result<Value, ValueError> {
    if *data_type != DataType::Timestamp {
        return Err(ValueError::Kind {
            found: "a time",
            data_type: data_type.to_string(),
        });
    }
    let range = || ValueError::range(text, data_type);
    let micros = micros(text, unit, data_type)?;
    if !(TIME_MIN..=TIME_MAX).contains(&micros) {
        return Err(range());
    }
    let instant = zone.instant(Zone::utc().local(micros)).ok_or_else(range)?;
    Ok(Value::Timestamp(instant))
}

/// A TIME: microseconds of a BIGINT column, `-12:34:56.000001` in a STRING column.
fn length_of_time(data_type: &DataType, text: &str, unit: Unit) -> Result<Value, ValueError> {
    let micros = micros(text, unit, data_type)?;
    match data_type {
        DataType::BigInt => Ok(Value::BigInt(micros)),
        DataType::String => Ok(Value::string(time_text(micros))),
        _ => Err(ValueError::Kind {
            found: "a length of time",
            data_type: data_type.to_string(),
        }),
    }
}

fn micros(text: &str, unit: Unit, data_type: &DataType) -> Result<i64, ValueError> {
    let count: i64 = text
        .parse()
        .map_err(|_| ValueError::syntax(text, data_type))?;
    match unit {
        Unit::Milliseconds => count
            .checked_mul(1_000)
            .ok_or_else(|| ValueError::range(text, data_type)),
        Unit::Microseconds => Ok(count),
        Unit::Nanoseconds if count % 1_000 == 0 => Ok(count / 1_000),
        Unit::Nanoseconds => Err(ValueError::TimePrecision { nanoseconds: count }),
    }
}
