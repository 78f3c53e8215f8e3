//! An exact sum of integers times powers of two.

use super::digits::significant;

/// Digits kept in place: 192 bits, enough for values within some 40 orders of magnitude in
/// base two of each other.
const INLINE: usize = 6;
/// Additions before digits must be carried. Each adds less than `2^33` to a digit.
const PENDING_MAX: u32 = 1 << 28;

/// The exponent of the greatest doubles' significands.
const EXPONENT_MAX: i32 = 971;

/// An exact sum. In memory digits are signed, of weight `2^(32 * (base + i))`, and carried
/// lazily; its meaning, its bytes and its equality are those of the number alone.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    /// Weight of the first digit, in units of 32 bits.
    base: i32,
    /// Upper bound of the additions since digits were last carried.
    pending: u32,
    digits: Digits,
}

#[derive(Clone, Debug)]
enum Digits {
    Inline([i64; INLINE]),
    Wide(Vec<i64>),
}

impl Default for Accumulator {
    fn default() -> Self {
        Accumulator {
            base: 0,
            pending: 0,
            digits: Digits::Inline([0; INLINE]),
        }
    }
}

impl Accumulator {
    /// Adds `±magnitude * 2^exponent`.
    #[inline]
    pub(crate) fn add(&mut self, negative: bool, magnitude: u128, exponent: i32) {
        if magnitude == 0 {
            return;
        }
        let low = exponent >> 5;
        // At most 128 bits, so the cast is of a small number.
        let high = (exponent + 127 - magnitude.leading_zeros() as i32) >> 5;
        self.reserve(low, high);
        let shift = exponent & 31;
        let base = self.base;
        let digits = self.digits_mut();
        let at = (low - base) as usize;
        let shifted = magnitude << shift;
        // What the shift pushed out, without a shift by 128.
        let over = magnitude >> 1 >> (127 - shift);
        let parts = [
            shifted as u32,
            (shifted >> 32) as u32,
            (shifted >> 64) as u32,
            (shifted >> 96) as u32,
            over as u32,
        ];
        // Beyond the window there are only zeros.
        for (digit, part) in digits[at..].iter_mut().zip(parts) {
            let part = i64::from(part);
            *digit += if negative { -part } else { part };
        }
    }

    /// Adds a finite double, or takes it away.
    #[inline]
    pub(crate) fn add_f64(&mut self, x: f64, negate: bool) {
        let (negative, significand, exponent) = parts_of_f64(x);
        if significand == 0 {
            return;
        }
        let low = exponent >> 5;
        let shift = exponent & 31;
        // 53 bits shifted by at most 31 touch three digits.
        self.reserve(low, low + 2);
        let wide = u128::from(significand) << shift;
        let at = (low - self.base) as usize;
        let parts = [
            i64::from(wide as u32),
            i64::from((wide >> 32) as u32),
            i64::from((wide >> 64) as u32),
        ];
        let digits = &mut self.digits_mut()[at..at + 3];
        if negative != negate {
            for (digit, part) in digits.iter_mut().zip(parts) {
                *digit -= part;
            }
        } else {
            for (digit, part) in digits.iter_mut().zip(parts) {
                *digit += part;
            }
        }
    }

    /// Adds doubles; those that are not finite go to `special`.
    #[inline]
    pub(crate) fn add_all_f64(
        &mut self,
        mut values: impl Iterator<Item = f64>,
        mut special: impl FnMut(f64),
    ) {
        loop {
            // The value that does not fit the window, if that is why the loop below ended.
            let mut misfit = None;
            if let Digits::Inline(digits) = &mut self.digits {
                let base = self.base;
                let before = PENDING_MAX.saturating_sub(self.pending);
                let mut left = before;
                while left > 0 {
                    let Some(x) = values.next() else {
                        self.pending += before - left;
                        return;
                    };
                    let (negative, significand, exponent) = parts_of_f64(x);
                    let at = (exponent >> 5).wrapping_sub(base) as usize;
                    // Infinities and NaN have the exponent after the greatest.
                    let fitting = digits.get_mut(at..).filter(|_| exponent <= EXPONENT_MAX);
                    let Some([first, second, third, ..]) = fitting else {
                        misfit = Some(x);
                        break;
                    };
                    let wide = u128::from(significand) << (exponent & 31);
                    // All ones where negative: subtracts without a branch.
                    let sign = -i64::from(negative);
                    *first += (i64::from(wide as u32) ^ sign) - sign;
                    *second += (i64::from((wide >> 32) as u32) ^ sign) - sign;
                    *third += (i64::from((wide >> 64) as u32) ^ sign) - sign;
                    left -= 1;
                }
                self.pending += before - left;
            }
            let Some(x) = misfit.or_else(|| values.next()) else {
                return;
            };
            if x.is_finite() {
                self.add_f64(x, false);
            } else {
                special(x);
            }
        }
    }

    /// Adds all of another sum.
    pub(crate) fn merge(&mut self, other: &Accumulator) {
        let theirs = other.digits();
        let Some(first) = theirs.iter().position(|&d| d != 0) else {
            return;
        };
        let last = theirs.iter().rposition(|&d| d != 0).unwrap_or(first);
        if self.pending + other.pending >= PENDING_MAX {
            self.carry();
            let mut carried = other.clone();
            carried.carry();
            return self.merge_digits(&carried);
        }
        // Offsets within a window fit any integer type.
        self.cover(other.base + first as i32, other.base + last as i32);
        self.pending += other.pending;
        let at = (other.base + first as i32 - self.base) as usize;
        for (digit, their) in self.digits_mut()[at..]
            .iter_mut()
            .zip(&theirs[first..=last])
        {
            *digit += their;
        }
    }

    fn merge_digits(&mut self, carried: &Accumulator) {
        for (i, &digit) in carried.digits().iter().enumerate() {
            let exponent = (carried.base + i as i32) * 32;
            self.add(digit < 0, u128::from(digit.unsigned_abs()), exponent);
        }
    }

    #[cfg(test)]
    fn is_zero(&self) -> bool {
        self.with_magnitude(|_, _, digits| digits.is_empty())
    }

    /// Calls `use_it(negative, base, digits)` with the sum as
    /// `±digits * 2^(32 * base)`, without zero digits at either end. Zero has no digits, is
    /// not negative and has base 0.
    pub(crate) fn with_magnitude<R>(&self, use_it: impl FnOnce(bool, i32, &[u32]) -> R) -> R {
        match &self.digits {
            Digits::Inline(signed) => {
                let mut digits = [0u32; INLINE + 1];
                let negative = carry_into(signed, &mut digits);
                trimmed(negative, self.base, &digits, use_it)
            }
            Digits::Wide(signed) => {
                let mut digits = vec![0u32; signed.len() + 1];
                let negative = carry_into(signed, &mut digits);
                trimmed(negative, self.base, &digits, use_it)
            }
        }
    }

    /// The accumulator that holds `±digits * 2^(32 * base)`.
    pub(crate) fn from_magnitude(negative: bool, base: i32, digits: &[u32]) -> Self {
        let mut sum = Accumulator::default();
        sum.set(negative, base, digits);
        sum
    }

    /// The same number in as little memory as it needs.
    pub(crate) fn compact(&mut self) {
        if matches!(self.digits, Digits::Wide(_)) {
            self.carry();
        }
    }

    fn digits(&self) -> &[i64] {
        match &self.digits {
            Digits::Inline(digits) => digits,
            Digits::Wide(digits) => digits,
        }
    }

    #[inline]
    fn digits_mut(&mut self) -> &mut [i64] {
        match &mut self.digits {
            Digits::Inline(digits) => digits,
            Digits::Wide(digits) => digits,
        }
    }

    /// Makes room for one addition to the digits of weight `low` to `high`.
    #[inline]
    fn reserve(&mut self, low: i32, high: i32) {
        if self.pending >= PENDING_MAX {
            self.carry();
        }
        self.pending += 1;
        let length = self.digits().len() as i32;
        if low < self.base || high >= self.base + length {
            self.move_window(low, high);
        }
    }

    fn cover(&mut self, low: i32, high: i32) {
        let length = self.digits().len() as i32;
        if low < self.base || high >= self.base + length {
            self.move_window(low, high);
        }
    }

    /// Moves or widens the window so that it holds the number and the digits of weight
    /// `low` to `high`.
    #[cold]
    fn move_window(&mut self, low: i32, high: i32) {
        let pending = self.pending;
        let (negative, base, digits) =
            self.with_magnitude(|negative, base, digits| (negative, base, digits.to_vec()));
        let (first, last) = if digits.is_empty() {
            (low, high)
        } else {
            (low.min(base), high.max(base + digits.len() as i32 - 1))
        };
        let length = (last - first + 1) as usize;
        if length <= INLINE {
            // What is free is shared between both ends.
            let spare = (INLINE - length) as i32;
            self.base = first - spare / 2;
            self.digits = Digits::Inline([0; INLINE]);
        } else {
            self.base = first - 1;
            self.digits = Digits::Wide(vec![0; length + 2]);
        }
        self.pending = pending.min(2);
        self.place(negative, base, &digits);
    }

    /// Carries all digits: afterwards each is below `2^32` in size, all of one sign.
    #[cold]
    fn carry(&mut self) {
        let (negative, base, digits) =
            self.with_magnitude(|negative, base, digits| (negative, base, digits.to_vec()));
        self.set(negative, base, &digits);
    }

    fn set(&mut self, negative: bool, base: i32, digits: &[u32]) {
        *self = Accumulator::default();
        if digits.is_empty() {
            return;
        }
        self.base = base;
        if digits.len() > INLINE {
            self.digits = Digits::Wide(vec![0; digits.len()]);
        }
        self.pending = 1;
        self.place(negative, base, digits);
    }

    fn place(&mut self, negative: bool, base: i32, digits: &[u32]) {
        let at = if digits.is_empty() {
            0
        } else {
            (base - self.base) as usize
        };
        for (slot, &digit) in self.digits_mut()[at..].iter_mut().zip(digits) {
            let digit = i64::from(digit);
            *slot = if negative { -digit } else { digit };
        }
    }
}

impl PartialEq for Accumulator {
    fn eq(&self, other: &Self) -> bool {
        self.with_magnitude(|negative, base, digits| {
            other.with_magnitude(|n, b, d| (negative, base, digits) == (n, b, d))
        })
    }
}

/// `(negative, significand, exponent)` of a finite double: `±significand * 2^exponent`.
#[inline]
pub(crate) fn parts_of_f64(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    // 11 bits.
    let field = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let negative = bits >> 63 == 1;
    if field == 0 {
        (negative, fraction, -1074)
    } else {
        (negative, fraction | 1 << 52, field - 1075)
    }
}

/// Writes the magnitude of signed digits, one digit longer; the answer is its sign.
fn carry_into(signed: &[i64], digits: &mut [u32]) -> bool {
    let mut carry = 0i64;
    for (digit, &part) in digits.iter_mut().zip(signed) {
        let sum = part + carry;
        // The low 32 bits; the arithmetic shift keeps the rest with its sign.
        *digit = sum as u32;
        carry = sum >> 32;
    }
    let top = digits.len() - 1;
    // Digits are below 2^61 in size, so the last carry fits one digit with its sign.
    digits[top] = carry as u32;
    let negative = carry < 0;
    if negative {
        let mut one = true;
        for digit in digits.iter_mut() {
            (*digit, one) = (!*digit).overflowing_add(u32::from(one));
        }
    }
    negative
}

fn trimmed<R>(
    negative: bool,
    base: i32,
    digits: &[u32],
    use_it: impl FnOnce(bool, i32, &[u32]) -> R,
) -> R {
    let end = significant(digits);
    let start = digits.iter().position(|&d| d != 0).unwrap_or(end);
    if start >= end {
        use_it(false, 0, &[])
    } else {
        use_it(negative, base + start as i32, &digits[start..end])
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// The sum times `2^4000`.
    fn big(sum: &Accumulator) -> BigInt {
        sum.with_magnitude(|negative, base, digits| {
            let magnitude = BigInt::from_slice(num_bigint::Sign::Plus, digits);
            let scaled = magnitude << (4000 + 32 * base);
            if negative { -scaled } else { scaled }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn sums_are_exact(terms in prop::collection::vec((any::<bool>(), any::<u128>(), 0u32..128, prop_oneof![-40i32..40, -2200i32..2200]), 0..20), split in 0usize..20) {
            let mut want = BigInt::from(0);
            let mut all = Accumulator::default();
            let mut parts = [Accumulator::default(), Accumulator::default()];
            for (i, &(negative, magnitude, cut, exponent)) in terms.iter().enumerate() {
                let magnitude = magnitude >> cut;
                let term = BigInt::from(magnitude) << (4000 + exponent);
                want += if negative { -term } else { term };
                all.add(negative, magnitude, exponent);
                parts[usize::from(i >= split)].add(negative, magnitude, exponent);
            }
            prop_assert_eq!(big(&all), want);
            let [mut left, right] = parts;
            left.merge(&right);
            prop_assert_eq!(&left, &all);
            left.compact();
            prop_assert_eq!(&left, &all);
            for &(negative, magnitude, cut, exponent) in &terms {
                left.add(!negative, magnitude >> cut, exponent);
            }
            prop_assert!(left.is_zero());
        }

        #[test]
        fn doubles_are_exact(values in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..20)) {
            let mut sum = Accumulator::default();
            let mut want = Accumulator::default();
            for &x in &values {
                sum.add_f64(x, false);
                let (negative, significand, exponent) = parts_of_f64(x);
                want.add(negative, u128::from(significand), exponent);
            }
            prop_assert_eq!(&sum, &want);
            for &x in &values {
                sum.add_f64(x, true);
            }
            prop_assert!(sum.is_zero());
        }
    }

    #[test]
    fn digits_carry_before_they_overflow() {
        let mut sum = Accumulator::default();
        sum.add(false, u128::from(u32::MAX), 0);
        // As if this many had been added.
        for pending in [PENDING_MAX - 1, PENDING_MAX] {
            sum.pending = pending;
            sum.add(false, 1, 0);
            assert!(sum.pending <= PENDING_MAX);
        }
        let mut other = sum.clone();
        other.pending = PENDING_MAX;
        sum.merge(&other);
        assert_eq!(
            big(&sum),
            BigInt::from(2 * (u64::from(u32::MAX) + 2)) << 4000
        );
    }
}
