//! Natural numbers as little-endian 32-bit digits: the few operations that averages and
//! variances need. Owns no sign and no exponent.

/// Number of digits without the zeros at the top.
pub(crate) fn significant(digits: &[u32]) -> usize {
    digits.iter().rposition(|&d| d != 0).map_or(0, |i| i + 1)
}

/// The digits of a 128-bit number.
pub(crate) fn from_u128(x: u128) -> [u32; 4] {
    // Each shift leaves the wanted 32 bits lowest; the cast keeps exactly those.
    [
        x as u32,
        (x >> 32) as u32,
        (x >> 64) as u32,
        (x >> 96) as u32,
    ]
}

/// The number, if it fits.
pub(crate) fn to_u128(digits: &[u32]) -> Option<u128> {
    let length = significant(digits);
    if length > 4 {
        return None;
    }
    Some(
        digits[..length]
            .iter()
            .rev()
            .fold(0, |x, &d| x << 32 | u128::from(d)),
    )
}

/// Multiplies in place, growing as needed.
pub(crate) fn multiply(digits: &mut Vec<u32>, factor: u64) {
    let mut carry: u128 = 0;
    for digit in digits.iter_mut() {
        let product = u128::from(*digit) * u128::from(factor) + carry;
        *digit = product as u32;
        carry = product >> 32;
    }
    while carry != 0 {
        digits.push(carry as u32);
        carry >>= 32;
    }
}

/// Divides in place; the remainder is the answer.
///
/// # Panics
/// If the divisor is zero: no caller divides by an empty count.
pub(crate) fn divide(digits: &mut [u32], divisor: u64) -> u64 {
    let mut remainder: u64 = 0;
    if divisor >> 32 == 0 {
        for digit in digits.iter_mut().rev() {
            let part = remainder << 32 | u64::from(*digit);
            // The remainder is below the divisor, so the quotient is one digit.
            *digit = (part / divisor) as u32;
            remainder = part % divisor;
        }
    } else {
        for digit in digits.iter_mut().rev() {
            let part = u128::from(remainder) << 32 | u128::from(*digit);
            *digit = (part / u128::from(divisor)) as u32;
            remainder = (part % u128::from(divisor)) as u64;
        }
    }
    remainder
}

/// The square.
pub(crate) fn square(digits: &[u32]) -> Vec<u32> {
    let digits = &digits[..significant(digits)];
    let mut product = vec![0u32; 2 * digits.len()];
    for (i, &a) in digits.iter().enumerate() {
        let mut carry = 0u64;
        for (j, &b) in digits.iter().enumerate() {
            let sum = u64::from(a) * u64::from(b) + u64::from(product[i + j]) + carry;
            product[i + j] = sum as u32;
            carry = sum >> 32;
        }
        if let Some(top) = product.get_mut(i + digits.len()) {
            *top = carry as u32;
        }
    }
    product
}

/// `a - b` in place. Whether `b` was not greater; if it was, `a` is of no use afterwards.
#[must_use]
pub(crate) fn subtract(a: &mut Vec<u32>, b: &[u32]) -> bool {
    let length = significant(b);
    if a.len() < length {
        a.resize(length, 0);
    }
    let mut borrow = 0i64;
    for (i, digit) in a.iter_mut().enumerate() {
        let difference = i64::from(*digit) - i64::from(b.get(i).copied().unwrap_or(0)) + borrow;
        *digit = difference as u32;
        borrow = difference >> 32;
    }
    borrow == 0
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn like_big_integers(a in prop::collection::vec(any::<u32>(), 0..9), b in prop::collection::vec(any::<u32>(), 0..9), n in prop_oneof![1u64.., 1u64..1000]) {
            let big = |d: &[u32]| BigUint::new(d.to_vec());
            let mut product = a.clone();
            multiply(&mut product, n);
            prop_assert_eq!(big(&product), big(&a) * n);
            let mut quotient = a.clone();
            let remainder = divide(&mut quotient, n);
            prop_assert_eq!(big(&quotient) * n + remainder, big(&a));
            prop_assert_eq!(big(&square(&a)), big(&a) * big(&a));
            let (mut more, less) = if big(&a) >= big(&b) { (a, b) } else { (b, a) };
            let want = big(&more) - big(&less);
            prop_assert_eq!(subtract(&mut less.clone(), &more), want == BigUint::ZERO);
            prop_assert!(subtract(&mut more, &less));
            prop_assert_eq!(big(&more), want);
        }
    }

    #[test]
    fn small_numbers_round_trip() {
        for x in [0, 1, u128::from(u64::MAX), u128::MAX, 1 << 96] {
            assert_eq!(to_u128(&from_u128(x)), Some(x));
        }
        assert_eq!(to_u128(&[0, 0, 0, 0, 1]), None);
        assert_eq!(to_u128(&[]), Some(0));
    }
}
