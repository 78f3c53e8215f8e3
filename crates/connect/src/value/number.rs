//! Numbers from their decimal text, exactly, and decimals back to text.

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Value};

use crate::value::ValueError;

/// Reads an INT: decimal digits with an optional sign.
pub(crate) fn read_int(text: &str) -> Result<Value, ValueError> {
    text.parse()
        .map(Value::Int)
        .map_err(|_| integer_error(text, &DataType::Int))
}

/// Reads a BIGINT: decimal digits with an optional sign.
pub(crate) fn read_big_int(text: &str) -> Result<Value, ValueError> {
    text.parse()
        .map(Value::BigInt)
        .map_err(|_| integer_error(text, &DataType::BigInt))
}

fn integer_error(text: &str, data_type: &DataType) -> ValueError {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        ValueError::range(text, data_type)
    } else if Decimal::parse(text).is_some() {
        ValueError::fraction(text, data_type)
    } else {
        ValueError::syntax(text, data_type)
    }
}

/// Reads a DOUBLE: the double nearest to a decimal number, or `NaN`, `inf`, `infinity` with
/// a sign, whatever their case. A number that rounds to infinity is out of range.
pub(crate) fn read_double(text: &str) -> Result<Value, ValueError> {
    let x: f64 = text
        .parse()
        .map_err(|_| ValueError::syntax(text, &DataType::Double))?;
    if x.is_infinite() && !spells_infinity(text) {
        return Err(ValueError::range(text, &DataType::Double));
    }
    Ok(Value::double(x))
}

/// Reads a FLOAT; see [`read_double`].
pub(crate) fn read_float(text: &str) -> Result<Value, ValueError> {
    let x: f32 = text
        .parse()
        .map_err(|_| ValueError::syntax(text, &DataType::Float))?;
    if x.is_infinite() && !spells_infinity(text) {
        return Err(ValueError::range(text, &DataType::Float));
    }
    Ok(Value::float(x))
}

fn spells_infinity(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(['i', 'I'])
}

/// Reads a DECIMAL exactly: digits with an optional sign, point and exponent. Zeros beyond
/// the scale are allowed, other digits are not.
pub(crate) fn read_decimal(
    text: &str,
    data_type: &DataType,
    precision: u8,
    scale: u8,
) -> Result<Value, ValueError> {
    let decimal = Decimal::parse(text).ok_or_else(|| ValueError::syntax(text, data_type))?;
    let shift = decimal.exponent.saturating_add(i64::from(scale));
    if decimal.digits.is_empty() {
        return Ok(Value::decimal(0));
    }
    if shift < 0 {
        return Err(ValueError::inexact(text, data_type));
    }
    let range = || ValueError::range(text, data_type);
    let digits = i64::try_from(decimal.digits.len()).map_err(|_| range())?;
    if digits.saturating_add(shift) > i64::from(precision.min(DECIMAL_PRECISION_MAX)) {
        return Err(range());
    }
    // At most 38 digits from here on: no overflow.
    let mut unscaled: i128 = 0;
    for digit in decimal.digits.bytes() {
        unscaled = unscaled * 10 + i128::from(digit - b'0');
    }
    for _ in 0..shift {
        unscaled *= 10;
    }
    Ok(Value::decimal(if decimal.negative {
        -unscaled
    } else {
        unscaled
    }))
}

/// A whole number from its text, if only zeros follow its point: an epoch count.
pub(crate) fn read_whole(text: &str) -> Option<Result<i64, ()>> {
    let decimal = Decimal::parse(text)?;
    if decimal.exponent < 0 {
        return Some(Err(()));
    }
    if decimal.digits.is_empty() {
        return Some(Ok(0));
    }
    if decimal.digits.len() as u64 + decimal.exponent.unsigned_abs() > 19 {
        return Some(Err(()));
    }
    let mut count: i128 = 0;
    for digit in decimal.digits.bytes() {
        count = count * 10 + i128::from(digit - b'0');
    }
    for _ in 0..decimal.exponent {
        count *= 10;
    }
    let count = if decimal.negative { -count } else { count };
    Some(i64::try_from(count).map_err(|_| ()))
}

/// Significant digits of a decimal number's text.
pub(crate) fn significant_digits(text: &str) -> usize {
    Decimal::parse(text).map_or(0, |d| d.digits.len())
}

/// A decimal number taken apart: `digits * 10^exponent`, digits without zeros at either end
/// (none for zero).
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], read_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let mut digits = format!("{whole}{fraction}");
        let mut exponent = exponent.saturating_sub(i64::try_from(fraction.len()).ok()?);
        let kept = digits.trim_end_matches('0').len();
        exponent = exponent.saturating_add(i64::try_from(digits.len() - kept).ok()?);
        digits.truncate(kept);
        let leading = digits.len() - digits.trim_start_matches('0').len();
        digits.drain(..leading);
        if digits.is_empty() {
            exponent = 0;
        }
        Some(Decimal {
            negative,
            digits,
            exponent,
        })
    }
}

/// An exponent; beyond a million it makes no difference any more.
fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000);
    Some(if text.starts_with('-') { -size } else { size })
}

/// A decimal as text, with exactly `scale` digits after the point.
pub(crate) fn format_decimal(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// `unscaled * 10^(to - from)` if that is a whole number of 128 bits.
pub(crate) fn rescale(unscaled: i128, from: i32, to: i32) -> Option<i128> {
    let mut x = unscaled;
    for _ in from..to {
        x = x.checked_mul(10)?;
        if x == 0 {
            break;
        }
    }
    for _ in to..from {
        if x % 10 != 0 {
            return None;
        }
        x /= 10;
        if x == 0 {
            break;
        }
    }
    Some(x)
}

/// Whether an unscaled number has at most `precision` digits.
pub(crate) fn fits_precision(unscaled: i128, precision: u8) -> bool {
    let limit = 10u128.checked_pow(u32::from(precision.min(DECIMAL_PRECISION_MAX)));
    limit.is_some_and(|limit| unscaled.unsigned_abs() < limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str, precision: u8, scale: u8) -> Result<i128, ValueError> {
        let data_type = DataType::Decimal { precision, scale };
        match read_decimal(text, &data_type, precision, scale)? {
            Value::Decimal(x) => Ok(x.get()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn decimals_are_exact_or_errors() {
        assert_eq!(decimal("12.34", 10, 2), Ok(1234));
        assert_eq!(decimal("-0.5", 10, 2), Ok(-50));
        assert_eq!(decimal(".5", 10, 2), Ok(50));
        assert_eq!(decimal("1.500", 10, 2), Ok(150));
        assert_eq!(decimal("1e2", 10, 2), Ok(10_000));
        assert_eq!(decimal("1000000000000e-10", 4, 1), Ok(1000));
        assert_eq!(decimal("0e99999999999999999999", 4, 1), Ok(0));
        assert_eq!(decimal("-0.00", 4, 1), Ok(0));
        let max = "9".repeat(38);
        assert_eq!(decimal(&max, 38, 0), Ok(10i128.pow(38) - 1));
        let inexact = |t: &str| matches!(decimal(t, 10, 2), Err(ValueError::Inexact { .. }));
        assert!(inexact("1.234") && inexact("1e-3") && inexact("1e-99999999999"));
        let range = |t: &str| matches!(decimal(t, 4, 2), Err(ValueError::Range { .. }));
        assert!(range("100") && range("1e99999999999") && range(&max));
        for text in ["", "-", ".", "1.2.3", "1e", "e5", "1,5", "0x1", "NaN", " 1"] {
            assert!(
                matches!(decimal(text, 10, 2), Err(ValueError::Syntax { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn whole_numbers_may_end_in_zeros_after_the_point() {
        assert_eq!(read_whole("1388563200"), Some(Ok(1_388_563_200)));
        assert_eq!(read_whole("1388563200.0"), Some(Ok(1_388_563_200)));
        assert_eq!(read_whole("-1.5e1"), Some(Ok(-15)));
        assert_eq!(read_whole("9223372036854775807"), Some(Ok(i64::MAX)));
        assert_eq!(read_whole("9223372036854775808"), Some(Err(())));
        assert_eq!(read_whole("1e40"), Some(Err(())));
        assert_eq!(read_whole("1.5"), Some(Err(())));
        assert_eq!(read_whole("2014-01-01"), None);
    }

    #[test]
    fn floats_overflow_loudly() {
        assert!(matches!(
            read_double("1e309"),
            Err(ValueError::Range { .. })
        ));
        assert!(matches!(
            read_float("3.5e38"),
            Err(ValueError::Range { .. })
        ));
        assert_eq!(read_double("-inf"), Ok(Value::double(f64::NEG_INFINITY)));
        assert_eq!(read_double("Infinity"), Ok(Value::double(f64::INFINITY)));
        assert_eq!(read_double("nan"), Ok(Value::double(f64::NAN)));
        assert!(matches!(
            read_double("1.0.0"),
            Err(ValueError::Syntax { .. })
        ));
    }

    #[test]
    fn integers_say_what_is_wrong() {
        assert_eq!(read_int("-2147483648"), Ok(Value::Int(i32::MIN)));
        assert!(matches!(
            read_int("2147483648"),
            Err(ValueError::Range { .. })
        ));
        assert!(matches!(read_int("1.0"), Err(ValueError::Fraction { .. })));
        assert!(matches!(read_int("1e3"), Err(ValueError::Fraction { .. })));
        assert!(matches!(read_int("one"), Err(ValueError::Syntax { .. })));
        assert!(matches!(read_big_int(""), Err(ValueError::Syntax { .. })));
    }

    proptest! {
        #[test]
        fn decimals_round_trip(digits in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u8..=38) {
            let text = format_decimal(digits, scale);
            prop_assert_eq!(decimal(&text, 38, scale), Ok(digits));
        }

        #[test]
        fn rescaling_there_and_back(x in any::<i64>(), up in 0i32..18) {
            let x = i128::from(x);
            let there = rescale(x, 2, 2 + up);
            prop_assert_eq!(there, Some(x * 10i128.pow(up.unsigned_abs())));
            prop_assert_eq!(rescale(there.unwrap(), 2 + up, 2), Some(x));
        }
    }
}
