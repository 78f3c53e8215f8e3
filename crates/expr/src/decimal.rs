//! Exact decimal arithmetic on unscaled integers, and the decimal digits of doubles.
//!
//! Invariant: everything here is integer arithmetic or one correctly rounded operation, so
//! the bits are the same on every platform.

use evenkeel_types::{DECIMAL_PRECISION_MAX, ErrorReason};

use crate::kernel::{Missing, Outcome};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const INVALID_CAST: Missing = Missing::Error(ErrorReason::InvalidCast);

const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// The powers of ten that are doubles.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// `10^exponent`, if an `i128` holds it.
pub(crate) fn power_of_ten(exponent: u32) -> Option<i128> {
    POWERS.get(exponent as usize).copied()
}

/// `x` if it has at most `precision` digits.
pub(crate) fn within(x: i128, precision: u8) -> Outcome<i128> {
    let bound = POWERS[usize::from(precision.min(DECIMAL_PRECISION_MAX))];
    if -bound < x && x < bound {
        Ok(x)
    } else {
        Err(OVERFLOW)
    }
}

/// `x * 10^shift` for a decimal of `precision` digits. With a negative shift the dropped
/// digits must be zero.
pub(crate) fn rescale(x: i128, shift: i32, precision: u8) -> Outcome<i128> {
    if shift >= 0 {
        if x == 0 {
            return Ok(0);
        }
        let power = power_of_ten(shift.unsigned_abs()).ok_or(OVERFLOW)?;
        return within(x.checked_mul(power).ok_or(OVERFLOW)?, precision);
    }
    match power_of_ten(shift.unsigned_abs()) {
        Some(power) if x % power == 0 => within(x / power, precision),
        None if x == 0 => Ok(0),
        _ => Err(INVALID_CAST),
    }
}

/// How to drop digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest, halves away from zero.
    HalfAway,
    /// Towards zero.
    Truncate,
    /// Towards negative infinity.
    Floor,
    /// Towards positive infinity.
    Ceiling,
}

/// `x / 10^digits`, rounded to an integer.
pub(crate) fn drop_digits(x: i128, digits: u32, rounding: Rounding) -> i128 {
    let Some(power) = power_of_ten(digits) else {
        // Every i128 here is below 10^39 / 2 in size: halves cannot be reached.
        return match rounding {
            Rounding::Floor if x < 0 => -1,
            Rounding::Ceiling if x > 0 => 1,
            _ => 0,
        };
    };
    let quotient = x / power;
    let rest = x % power;
    let step = match rounding {
        Rounding::Truncate => 0,
        Rounding::HalfAway => {
            if rest.unsigned_abs() >= power.unsigned_abs() - rest.unsigned_abs() {
                rest.signum()
            } else {
                0
            }
        }
        Rounding::Floor => i128::from(rest < 0).wrapping_neg(),
        Rounding::Ceiling => i128::from(rest > 0),
    };
    quotient + step
}

/// The double nearest to `x / 10^scale`, ties to even.
pub(crate) fn to_double(x: i128, scale: u32) -> f64 {
    if x.unsigned_abs() <= 1 << 53
        && let Some(power) = EXACT_POWERS.get(scale as usize)
    {
        // Both are exact, so the one division is the one rounding.
        return x as f64 / power;
    }
    // The standard library reads decimals correctly rounded.
    format!("{x}e-{scale}")
        .parse()
        .expect("digits and an exponent are a number")
}

/// The float nearest to `x / 10^scale`, ties to even.
pub(crate) fn to_float(x: i128, scale: u32) -> f32 {
    format!("{x}e-{scale}")
        .parse()
        .expect("digits and an exponent are a number")
}

/// The shortest decimal that reads back as `x`, as `digits * 10^exponent`; the nearest to
/// `x` of the shortest. `x` is finite.
pub(crate) fn shortest_digits(x: f64) -> (i128, i32) {
    if x.abs() < 9_007_199_254_740_992.0 && x == x.trunc() {
        return (x as i128, 0);
    }
    digits_of_text(&format!("{x:e}"))
}

/// [`shortest_digits`] of a float.
pub(crate) fn shortest_digits_float(x: f32) -> (i128, i32) {
    digits_of_text(&format!("{x:e}"))
}

fn digits_of_text(text: &str) -> (i128, i32) {
    parse(text).expect("a formatted float has at most 17 digits and an exponent")
}

/// Reads `-12.34e5` as `digits * 10^exponent`. `None` if it is no number, has more digits
/// than an `i128`, or an exponent beyond all sense.
pub(crate) fn parse(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut digits: i128 = 0;
    let mut exponent = exponent;
    // Zeros at the end of the fraction need no room.
    let fraction = fraction.trim_end_matches('0');
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        digits = digits
            .checked_mul(10)?
            .checked_add(i128::from(byte - b'0'))?;
    }
    exponent -= i32::try_from(fraction.len()).ok()?;
    Some((if negative { -digits } else { digits }, exponent))
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The unscaled decimal that equals `digits * 10^exponent` exactly.
pub(crate) fn from_digits(
    (digits, exponent): (i128, i32),
    precision: u8,
    scale: u8,
) -> Outcome<i128> {
    rescale(digits, exponent.saturating_add(i32::from(scale)), precision)
}

/// `x` rounded to `places` digits after the point (before it if negative): the shortest
/// decimal that reads back as `x` is rounded, and the result is the double nearest to that.
pub(crate) fn round_double(x: f64, places: i64, rounding: Rounding) -> f64 {
    if !x.is_finite() {
        return x;
    }
    if rounding == Rounding::HalfAway
        && let Some(rounded) = round_clear_case(x, places)
    {
        return rounded;
    }
    let (digits, exponent) = shortest_digits(x);
    // 400 places either way are beyond every double.
    let places = i32::try_from(places.clamp(-400, 400)).expect("clamped");
    let dropped = -places - exponent;
    if dropped <= 0 {
        return x;
    }
    let rounded = drop_digits(digits, dropped.unsigned_abs(), rounding);
    if rounded.unsigned_abs() <= 1 << 53 && (0..=22).contains(&places) {
        return rounded as f64 / EXACT_POWERS[places.unsigned_abs() as usize];
    }
    format!("{rounded}e{}", -places)
        .parse()
        .expect("digits and an exponent are a number")
}

/// [`round_double`] where the decimal form need not be known, because it cannot matter: `x`
/// times the power of ten is farther from a half than the decimal form is from `x`.
fn round_clear_case(x: f64, places: i64) -> Option<f64> {
    let power = EXACT_POWERS.get(usize::try_from(places).ok()?)?;
    let scaled = (x * power).abs();
    // So that whole numbers, halves and the bound below are exact.
    if scaled >= (1u64 << 50) as f64 {
        return None;
    }
    let whole = scaled.floor();
    let beyond_half = scaled - whole - 0.5;
    // The decimal form is within half a unit in the last place of `x`, the product within
    // half a unit of its own: together less than two units of the product, 2^-51 of it.
    if beyond_half.abs() <= scaled * (1.0 / (1u64 << 49) as f64) {
        return None;
    }
    let rounded = if beyond_half > 0.0 {
        whole + 1.0
    } else {
        whole
    };
    // Both are exact, so the one division is the one rounding.
    Some((rounded / power).copysign(x))
}

/// The text of a decimal: `-0.05`, `12.00`, `3`.
pub(crate) fn format(x: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    if scale == 0 {
        return x.to_string();
    }
    let digits = format!("{:0width$}", x.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if x < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_decimal() {
        for (x, places, want) in [
            (2.675, 2, 2.68),
            (1.005, 2, 1.01),
            (-2.5, 0, -3.0),
            (2.5, 0, 3.0),
            (0.5, 0, 1.0),
            (0.499_999_999_999_999_94, 0, 0.0),
            (1234.0, -2, 1200.0),
            (1250.0, -2, 1300.0),
            (1e300, 2, 1e300),
            (1e300, -300, 1e300),
            (4e299, -300, 0.0),
            (5e-324, 323, 1e-323),
            (4e-324, 400, 5e-324),
            (5e-324, 324, 5e-324),
            (9_007_199_254_740_993.0, 3, 9_007_199_254_740_992.0),
            (0.1, 400, 0.1),
            (1.7976931348623157e308, -308, f64::INFINITY),
        ] {
            assert_eq!(
                round_double(x, places, Rounding::HalfAway).to_bits(),
                want.to_bits(),
                "round({x}, {places})"
            );
        }
        assert_eq!(round_double(-2.679, 2, Rounding::Truncate), -2.67);
        // Every third decimal, and neighbours that are not written as it is.
        for k in 0..30_000 {
            let written = f64::from(k) / 1_000.0;
            for x in [written, written.next_up(), -written.next_down()] {
                let (digits, exponent) = shortest_digits(x);
                let dropped = u32::try_from((-2 - exponent).max(0)).unwrap();
                let hundredths = drop_digits(digits, dropped, Rounding::HalfAway);
                let want = if dropped == 0 {
                    x
                } else {
                    hundredths as f64 / 100.0
                };
                assert_eq!(round_double(x, 2, Rounding::HalfAway), want, "{x:?}");
            }
        }
    }

    #[test]
    fn digits_are_dropped_as_asked() {
        for (x, half, cut, floor, ceiling) in [
            (15, 2, 1, 1, 2),
            (-15, -2, -1, -2, -1),
            (14, 1, 1, 1, 2),
            (-14, -1, -1, -2, -1),
            (20, 2, 2, 2, 2),
            (-20, -2, -2, -2, -2),
            (0, 0, 0, 0, 0),
        ] {
            let of = |rounding| drop_digits(x, 1, rounding);
            assert_eq!(
                (
                    of(Rounding::HalfAway),
                    of(Rounding::Truncate),
                    of(Rounding::Floor),
                    of(Rounding::Ceiling)
                ),
                (half, cut, floor, ceiling),
                "{x}"
            );
        }
        assert_eq!(drop_digits(-1, 50, Rounding::Floor), -1);
        assert_eq!(drop_digits(i128::MAX, 39, Rounding::HalfAway), 0);
    }

    #[test]
    fn doubles_of_decimals_are_nearest() {
        assert_eq!(to_double(1, 1), 0.1);
        assert_eq!(to_double(9_007_199_254_740_993, 0), 9_007_199_254_740_992.0);
        assert_eq!(to_double(i128::from(u64::MAX), 38), 1.844674407370955e-19);
        assert_eq!(to_float(16_777_217, 0), 16_777_216.0);
    }

    #[test]
    fn text_round_trips() {
        assert_eq!(parse("-12.340e2"), Some((-1234, 0)));
        assert_eq!(parse(".5"), Some((5, -1)));
        for bad in [
            "",
            ".",
            "-",
            "1_0",
            "0x1",
            "1e",
            "1e+",
            "--1",
            "1.2.3",
            "nan",
            "1e9999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(format(-5, 2), "-0.05");
        assert_eq!(format(1200, 2), "12.00");
        assert_eq!(from_digits((125, -3), 10, 2), Err(INVALID_CAST));
        assert_eq!(from_digits((1250, -3), 10, 2), Ok(125));
        assert_eq!(from_digits((1, 9), 10, 2), Err(OVERFLOW));
    }
}
