//! The one rounding: an exact rational to the nearest double or decimal, ties to even.

use super::digits;

/// Lowest binary exponent of a double: its subnormals are multiples of `2^-1074`.
const EXPONENT_MIN: i32 = -1074;
/// Bits of a double's significand.
const SIGNIFICAND_BITS: i32 = 53;

/// The double nearest to `±(digits + tail) * 2^exponent`, ties to even, where `tail` is
/// between 0 and 1, both excluded, if `inexact`, else 0. Overflow gives an infinity.
/// Inexact numbers must have at least 55 bits.
pub(crate) fn to_f64(negative: bool, digits: &[u32], exponent: i32, inexact: bool) -> f64 {
    let length = digits::significant(digits);
    if length == 0 {
        return 0.0;
    }
    let digits = &digits[..length];
    // Lengths are at most a few hundred digits.
    let bits = 32 * length as i32 - digits[length - 1].leading_zeros() as i32;
    let unit = (exponent + bits - SIGNIFICAND_BITS).max(EXPONENT_MIN);
    let cut = unit - exponent;
    let significand = if cut <= 0 {
        debug_assert!(!inexact, "inexact numbers are long");
        // At most 53 bits in all, so this fits.
        let whole = digits::to_u128(digits).unwrap_or(0);
        (whole << (-cut)) as u64
    } else {
        let kept = bits_at(digits, cut);
        let half = bit(digits, cut - 1);
        let rest = inexact || any_below(digits, cut - 1);
        kept + u64::from(half && (rest || kept & 1 == 1))
    };
    // The implicit bit and a carry out of the significand both run into the exponent field.
    let field = (unit - EXPONENT_MIN) as u64;
    let magnitude = (field << 52) + significand;
    let infinity = f64::INFINITY.to_bits();
    let magnitude = f64::from_bits(if field >= 2047 || magnitude > infinity {
        infinity
    } else {
        magnitude
    });
    match (magnitude == 0.0, negative) {
        (true, _) => 0.0,
        (false, true) => -magnitude,
        (false, false) => magnitude,
    }
}

/// The double nearest to `±digits * 2^exponent / divisors`, ties to even.
pub(crate) fn quotient_to_f64(
    negative: bool,
    digits: &[u32],
    exponent: i32,
    divisors: &[u64],
) -> f64 {
    if digits::significant(digits) == 0 {
        return 0.0;
    }
    // Two digits per divisor keep the quotient from shrinking, two more give it its bits.
    let shift = 2 * divisors.len() + 2;
    let length = shift + digits.len();
    if length <= SHORT {
        let mut shifted = [0u32; SHORT];
        shifted[shift..length].copy_from_slice(digits);
        divided(negative, &mut shifted[..length], exponent, shift, divisors)
    } else {
        let mut shifted = vec![0u32; shift];
        shifted.extend_from_slice(digits);
        divided(negative, &mut shifted, exponent, shift, divisors)
    }
}

/// Digits that are divided without an allocation.
const SHORT: usize = 16;

fn divided(
    negative: bool,
    shifted: &mut [u32],
    exponent: i32,
    shift: usize,
    divisors: &[u64],
) -> f64 {
    // floor(floor(a / m) / n) = floor(a / mn), and it is exact if both divisions are.
    let mut inexact = false;
    for &divisor in divisors {
        inexact |= digits::divide(shifted, divisor) != 0;
    }
    to_f64(negative, shifted, exponent - 32 * shift as i32, inexact)
}

/// Exponents for which the results of [`wide_to_f64`] and [`wide_quotient_to_f64`] are normal
/// doubles and their last scaling is exact, whatever the 128-bit number.
const SCALED_EXACTLY: std::ops::RangeInclusive<i32> = -800..=800;

/// The double nearest to `total * 2^exponent`, ties to even.
pub(crate) fn wide_to_f64(total: i128, exponent: i32) -> f64 {
    if SCALED_EXACTLY.contains(&exponent) {
        // The conversion rounds to nearest, ties to even.
        return total as f64 * power_of_two(exponent);
    }
    let digits = digits::from_u128(total.unsigned_abs());
    to_f64(total < 0, &digits, exponent, false)
}

/// The double nearest to `total * 2^exponent / divisor`, ties to even.
///
/// # Panics
/// If the divisor is zero.
pub(crate) fn wide_quotient_to_f64(total: i128, exponent: i32, divisor: u64) -> f64 {
    let magnitude = total.unsigned_abs();
    if !SCALED_EXACTLY.contains(&exponent) {
        let digits = digits::from_u128(magnitude);
        return quotient_to_f64(total < 0, &digits, exponent, &[divisor]);
    }
    if magnitude == 0 {
        return 0.0;
    }
    let shift = magnitude.leading_zeros();
    let wide = magnitude << shift;
    if let Ok(divisor) = u32::try_from(divisor) {
        let (quotient, cut) = quotient_of_wide(wide, divisor);
        // Both are below 128.
        let scaled = quotient as f64 * power_of_two(exponent + cut - shift as i32);
        return if total < 0 { -scaled } else { scaled };
    }
    // At least 64 bits of quotient, and whether there would be more of them in the lowest:
    // far below the bit that decides the rounding.
    let divisor = u128::from(divisor);
    let quotient = (wide / divisor) | u128::from(!wide.is_multiple_of(divisor));
    // The shift is below 128.
    let scaled = quotient as f64 * power_of_two(exponent - shift as i32);
    if total < 0 { -scaled } else { scaled }
}

/// The upper 55 to 64 bits of `wide / divisor`, the lowest of them set if there would be more, and
/// how many bits were cut off below. That is far enough below the bit that decides the rounding.
/// The highest bit of `wide` must be set.
#[inline]
fn quotient_of_wide(wide: u128, divisor: u32) -> (u64, i32) {
    debug_assert!(wide >> 127 == 1, "as long as can be");
    let divisor = u64::from(divisor);
    let (high, mut low) = ((wide >> 64) as u64, wide as u64);
    let (mut quotient, mut rest) = (high / divisor, high % divisor);
    let mut cut = 64;
    if quotient >> 54 == 0 {
        // The quotient has 32 bits or more, the rest fewer than 33: so many more fit both.
        let more = quotient.leading_zeros();
        let further = (rest << more) | (low >> (64 - more));
        low <<= more;
        quotient = (quotient << more) | (further / divisor);
        rest = further % divisor;
        cut -= more as i32;
    }
    (quotient | u64::from(rest | low != 0), cut)
}

/// `2^exponent`, which must be a normal double.
fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&exponent), "a normal double");
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// `±digits * factor / divisor`, rounded to the nearest integer, ties to even; `None`
/// outside 128 bits.
pub(crate) fn quotient_to_i128(
    negative: bool,
    digits: &[u32],
    factor: u64,
    divisor: u64,
) -> Option<i128> {
    let mut digits = digits.to_vec();
    digits::multiply(&mut digits, factor);
    let remainder = digits::divide(&mut digits, divisor);
    let quotient = digits::to_u128(&digits)?;
    let up = match remainder.cmp(&(divisor - remainder)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => quotient & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let magnitude = i128::try_from(quotient.checked_add(up)?).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The 53 or 54 bits from bit `at` on.
fn bits_at(digits: &[u32], at: i32) -> u64 {
    let (index, shift) = (at as usize / 32, at as usize % 32);
    let digit = |i: usize| u128::from(digits.get(i).copied().unwrap_or(0));
    ((digit(index) | digit(index + 1) << 32 | digit(index + 2) << 64) >> shift) as u64
}

fn bit(digits: &[u32], at: i32) -> bool {
    let (index, shift) = (at as usize / 32, at as usize % 32);
    digits.get(index).is_some_and(|d| d >> shift & 1 == 1)
}

fn any_below(digits: &[u32], at: i32) -> bool {
    let (index, shift) = (at as usize / 32, at as usize % 32);
    let whole = index.min(digits.len());
    digits[..whole].iter().any(|&d| d != 0)
        || digits
            .get(index)
            .is_some_and(|d| d & ((1u32 << shift) - 1) != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_even_and_ends_saturate() {
        let two53 = [0, 1 << 21];
        assert_eq!(to_f64(false, &two53, 0, false), 9_007_199_254_740_992.0);
        assert_eq!(
            to_f64(false, &[1, 1 << 21], 0, false),
            9_007_199_254_740_992.0
        );
        assert_eq!(
            to_f64(false, &[3, 1 << 21], 0, false),
            9_007_199_254_740_996.0
        );
        let long = (1u128 << 64 | 1 << 53) as f64;
        assert_eq!(to_f64(false, &[1, 1 << 21, 1], 0, true), long);
        assert_eq!(to_f64(true, &[1], 1024, false), f64::NEG_INFINITY);
        assert_eq!(to_f64(false, &[1], -1074, false).to_bits(), 1);
        // Half of the least subnormal is a tie, and even is zero.
        assert_eq!(to_f64(true, &[1], -1075, false).to_bits(), 0);
        assert_eq!(to_f64(false, &[3], -1075, false).to_bits(), 2);
        // Just below half an ulp above the greatest double stays; half goes to infinity.
        let max = f64::MAX;
        assert_eq!(to_f64(false, &[u32::MAX, u32::MAX >> 11], 971, false), max);
        let half_above = [u32::MAX, u32::MAX >> 10];
        assert_eq!(to_f64(false, &half_above, 970, false), f64::INFINITY);
        let below = [u32::MAX - 1, u32::MAX >> 10];
        assert_eq!(to_f64(false, &below, 970, false), max);
    }

    #[test]
    fn decimal_ties_go_to_even() {
        let round = |x: u32, n| quotient_to_i128(false, &[x], 1, n);
        assert_eq!(round(5, 2), Some(2));
        assert_eq!(round(7, 2), Some(4));
        assert_eq!(round(5, 3), Some(2));
        assert_eq!(round(4, 3), Some(1));
        assert_eq!(quotient_to_i128(true, &[7], 1, 2), Some(-4));
        assert_eq!(quotient_to_i128(false, &[0, 0, 0, 1 << 31], 1, 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn integers_round_like_the_compiler(x in any::<u128>(), cut in 0u32..128) {
            let x = x >> cut;
            // The conversion of the language rounds to nearest, ties to even.
            prop_assert_eq!(to_f64(false, &digits::from_u128(x), 0, false), x as f64);
        }

        #[test]
        fn wide_numbers_round_like_digits(x in any::<i128>(), cut in 0u32..128, e in prop_oneof![-40i32..40, -1200i32..1100], n in prop_oneof![1u64.., 1u64..100, 500u64..520, 1u64..1 << 33, Just(u64::from(u32::MAX))]) {
            let x = x >> cut;
            let digits = digits::from_u128(x.unsigned_abs());
            let (got, want) = (wide_to_f64(x, e), to_f64(x < 0, &digits, e, false));
            prop_assert_eq!(got.to_bits(), want.to_bits());
            let want = quotient_to_f64(x < 0, &digits, e, &[n]);
            prop_assert_eq!(wide_quotient_to_f64(x, e, n).to_bits(), want.to_bits());
        }

        #[test]
        fn quotients_of_doubles_round_like_division(a in 1u64..1 << 53, b in 1u64..1 << 53, e in -300i32..300) {
            let scale = f64::from_bits(((1023 + e) as u64) << 52);
            let got = quotient_to_f64(true, &digits::from_u128(u128::from(a)), e, &[b]);
            prop_assert_eq!(got, -(a as f64 / b as f64 * scale));
        }
    }
}
