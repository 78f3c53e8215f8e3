//! Conversions between text and the other types. Text is read strictly; spaces around it
//! are ignored, as the reading of times does. What is written reads back as the same value.

use std::sync::Arc;

use evenkeel_types::DataType;
use evenkeel_types::time::{Zone, format_date, format_timestamp, parse_date, parse_timestamp};

use super::{INVALID_CAST, OVERFLOW};
use crate::decimal::{self, from_digits};
use crate::kernel::{
    BigInt, Boolean, Bytes, Date, Decimal, Double, Float, Int, Kernel, Missing, Outcome, Text,
    Timestamp, unary,
};

/// The conversion from text.
pub(super) fn from_text(to: &DataType) -> Option<Arc<dyn Kernel>> {
    use DataType as T;
    Some(match to {
        T::Boolean => unary::<Text, Boolean>(|text| parse_boolean(text)),
        T::Int => {
            unary::<Text, Int>(|text| i32::try_from(parse_integer(text)?).map_err(|_| OVERFLOW))
        }
        T::BigInt => {
            unary::<Text, BigInt>(|text| i64::try_from(parse_integer(text)?).map_err(|_| OVERFLOW))
        }
        T::Float => unary::<Text, Float>(|text| {
            let x: f32 = text.trim().parse().map_err(|_| INVALID_CAST)?;
            in_range(x.is_infinite(), text)?;
            Ok(x)
        }),
        T::Double => unary::<Text, Double>(|text| {
            let x: f64 = text.trim().parse().map_err(|_| INVALID_CAST)?;
            in_range(x.is_infinite(), text)?;
            Ok(x)
        }),
        &T::Decimal { precision, scale } => unary::<Text, Decimal>(move |text| {
            let digits = decimal::parse(text.trim()).ok_or(INVALID_CAST)?;
            from_digits(digits, precision, scale)
        }),
        T::Bytes => unary::<Text, Bytes>(|text| Ok(Arc::from(text.as_bytes()))),
        T::Date => unary::<Text, Date>(|text| parse_date(text).map_err(|_| INVALID_CAST)),
        T::Timestamp => {
            let utc = Zone::utc();
            unary::<Text, Timestamp>(move |text| {
                parse_timestamp(text, &utc).map_err(|_| INVALID_CAST)
            })
        }
        _ => return None,
    })
}

/// The conversion to text.
pub(super) fn to_text(from: &DataType) -> Option<Arc<dyn Kernel>> {
    use DataType as T;
    Some(match from {
        T::Boolean => unary::<Boolean, Text>(|x| Ok(Arc::from(if x { "true" } else { "false" }))),
        T::Int => unary::<Int, Text>(|x| Ok(Arc::from(x.to_string()))),
        T::BigInt => unary::<BigInt, Text>(|x| Ok(Arc::from(x.to_string()))),
        T::Float => unary::<Float, Text>(|x| {
            Ok(Arc::from(match special(f64::from(x)) {
                Some(word) => word.to_owned(),
                None => float_text(decimal::shortest_digits_float(x)),
            }))
        }),
        T::Double => unary::<Double, Text>(|x| Ok(Arc::from(double_text(x)))),
        &T::Decimal { scale, .. } => {
            unary::<Decimal, Text>(move |x| Ok(Arc::from(decimal::format(x, scale))))
        }
        T::Date => unary::<Date, Text>(|x| Ok(Arc::from(format_date(x)))),
        T::Timestamp => unary::<Timestamp, Text>(|x| Ok(Arc::from(format_timestamp(x)))),
        T::Bytes => unary::<Bytes, Text>(|bytes| {
            std::str::from_utf8(bytes)
                .map(Arc::from)
                .map_err(|_| INVALID_CAST)
        }),
        _ => return None,
    })
}

fn parse_boolean(text: &str) -> Outcome<bool> {
    let text = text.trim();
    let is = |words: [&str; 3]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(["true", "t", "1"]) {
        Ok(true)
    } else if is(["false", "f", "0"]) {
        Ok(false)
    } else {
        Err(INVALID_CAST)
    }
}

/// Digits with an optional sign. More than 38 of them are out of every range.
fn parse_integer(text: &str) -> Outcome<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(INVALID_CAST);
    }
    text.parse().map_err(|_| OVERFLOW)
}

/// `1e999` is out of range; `Infinity` is meant.
fn in_range(infinite: bool, text: &str) -> Result<(), Missing> {
    if infinite && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(OVERFLOW);
    }
    Ok(())
}

fn special(x: f64) -> Option<&'static str> {
    if x.is_nan() {
        Some("NaN")
    } else if x == f64::INFINITY {
        Some("Infinity")
    } else if x == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

/// The shortest text that reads back as the same double: `1.5`, `3.0`, `1e+300`, `NaN`.
fn double_text(x: f64) -> String {
    match special(x) {
        Some(word) => word.to_owned(),
        None => float_text(decimal::shortest_digits(x)),
    }
}

/// `digits * 10^exponent` with a point, and with an exponent outside `1e-4` to `1e16`.
fn float_text((digits, exponent): (i128, i32)) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let plain = digits.unsigned_abs().to_string();
    let significant = plain.trim_end_matches('0');
    if significant.is_empty() {
        return "0.0".to_owned();
    }
    let count = significant.len();
    // The power of ten of the first digit.
    let leading = exponent + plain.len() as i32 - 1;
    if !(-4..16).contains(&leading) {
        let (first, rest) = significant.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let direction = if leading < 0 { '-' } else { '+' };
        return format!(
            "{sign}{first}{point}{rest}e{direction}{:02}",
            leading.unsigned_abs()
        );
    }
    if leading < 0 {
        let zeros = "0".repeat(leading.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{significant}");
    }
    let before = leading.unsigned_abs() as usize + 1;
    if count <= before {
        let zeros = "0".repeat(before - count);
        return format!("{sign}{significant}{zeros}.0");
    }
    let (whole, fraction) = significant.split_at(before);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use evenkeel_types::Value;

    use super::*;

    #[test]
    fn doubles_are_written_shortest_and_read_back() {
        for (x, want) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.789, "123456.789"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (-5e-324, "-5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let text = double_text(x);
            assert_eq!(text, want);
            let back =
                super::super::literal(&Value::string(text), &DataType::String, &DataType::Double);
            assert_eq!(back, Some(Value::double(x)));
        }
    }
}
