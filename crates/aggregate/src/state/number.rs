//! Sums, averages and variances: exact until the one rounding of the result.

use evenkeel_types::{
    CANONICAL_NAN, Column, ColumnData, DECIMAL_PRECISION_MAX, ErrorReason, Value,
};

use super::Numbers;
use crate::exact::{Accumulator, digits, parts_of_f64, round};

/// A number among the inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
    /// Unscaled.
    Decimal(i128),
}

impl Number {
    pub(crate) fn of(value: &Value) -> Number {
        match value {
            Value::Int(x) => Number::Integer(i64::from(*x)),
            Value::BigInt(x) => Number::Integer(*x),
            Value::Float(x) => Number::Float(f64::from(*x)),
            Value::Double(x) => Number::Float(*x),
            Value::Decimal(x) => Number::Decimal(x.get()),
            other => panic!("inputs have the types of their aggregator, and {other:?} has not"),
        }
    }

    #[inline]
    pub(crate) fn at(column: &Column, slot: usize) -> Number {
        match column.data() {
            ColumnData::Int(values) => Number::Integer(i64::from(values[slot])),
            ColumnData::BigInt(values) => Number::Integer(values[slot]),
            ColumnData::Float(values) => Number::Float(f64::from(values[slot])),
            ColumnData::Double(values) => Number::Float(values[slot]),
            ColumnData::Decimal(values) => Number::Decimal(values[slot]),
            _ => panic!("inputs have the types of their aggregator"),
        }
    }

    pub(crate) fn integer(self) -> i64 {
        match self {
            Number::Integer(x) => x,
            other => panic!("an integer sum is over integers, not {other:?}"),
        }
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Float(x) => x,
            other => panic!("a quantile is over doubles, not {other:?}"),
        }
    }
}

fn step(count: &mut u64, negate: bool) {
    *count = if negate { *count - 1 } else { *count + 1 };
}

/// A sum of integers. 64-bit counts of 64-bit integers cannot leave 128 bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IntegerSum {
    pub(super) count: u64,
    pub(super) total: i128,
}

impl IntegerSum {
    #[inline]
    pub(crate) fn add(&mut self, x: i64, negate: bool) {
        step(&mut self.count, negate);
        self.total += if negate {
            -i128::from(x)
        } else {
            i128::from(x)
        };
    }

    pub(crate) fn merge(&mut self, other: &IntegerSum) {
        self.count += other.count;
        self.total += other.total;
    }

    pub(crate) fn sum(&self) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        i64::try_from(self.total).map_or(Value::Error(ErrorReason::Overflow), Value::BigInt)
    }

    pub(crate) fn average(&self) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        let digits = digits::from_u128(self.total.unsigned_abs());
        Value::double(round::quotient_to_f64(
            self.total < 0,
            &digits,
            0,
            &[self.count],
        ))
    }
}

/// How many inputs were not finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Specials {
    pub(super) nan: u64,
    pub(super) positive: u64,
    pub(super) negative: u64,
}

impl Specials {
    /// What the infinities and NaNs among the terms make of any finite sum.
    fn sum(&self) -> f64 {
        if self.nan > 0 || (self.positive > 0 && self.negative > 0) {
            CANONICAL_NAN
        } else if self.positive > 0 {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        }
    }
}

#[cold]
fn count_special(counts: &mut Option<Box<Specials>>, x: f64, negate: bool) {
    let specials = counts.get_or_insert_default();
    let count = if x.is_nan() {
        &mut specials.nan
    } else if x > 0.0 {
        &mut specials.positive
    } else {
        &mut specials.negative
    };
    step(count, negate);
    if **specials == Specials::default() {
        *counts = None;
    }
}

/// A sum over the extended reals, or of decimals: the finite part is exact, the infinite
/// parts are counted, so that everything can be taken back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// Inputs, finite or not.
    pub(super) count: u64,
    pub(super) total: Accumulator,
    /// `None` where all counts are 0.
    pub(super) specials: Option<Box<Specials>>,
}

impl Sum {
    #[inline]
    pub(crate) fn add_f64(&mut self, x: f64, negate: bool) {
        step(&mut self.count, negate);
        if x.is_finite() {
            self.total.add_f64(x, negate);
        } else {
            count_special(&mut self.specials, x, negate);
        }
    }

    /// Adds doubles, finite or not.
    pub(crate) fn add_all(&mut self, values: impl Iterator<Item = f64>) {
        let Sum {
            count,
            total,
            specials,
        } = self;
        total.add_all_f64(values.inspect(|_| *count += 1), |x| {
            count_special(specials, x, false);
        });
    }

    /// Takes back doubles, finite or not: finite ones by adding their negatives.
    pub(crate) fn remove_all(&mut self, values: &[f64]) {
        let Sum {
            count,
            total,
            specials,
        } = self;
        *count -= values.len() as u64;
        total.add_all_f64(values.iter().map(|x| -x), |x| {
            count_special(specials, -x, true);
        });
    }

    #[inline]
    pub(crate) fn add(&mut self, number: Number, negate: bool) {
        match number {
            Number::Float(x) => self.add_f64(x, negate),
            Number::Decimal(x) => {
                step(&mut self.count, negate);
                self.total.add((x < 0) != negate, x.unsigned_abs(), 0);
            }
            Number::Integer(x) => {
                step(&mut self.count, negate);
                let magnitude = u128::from(x.unsigned_abs());
                self.total.add((x < 0) != negate, magnitude, 0);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Sum) {
        self.count += other.count;
        self.total.merge(&other.total);
        if let Some(theirs) = &other.specials {
            let ours = self.specials.get_or_insert_default();
            ours.nan += theirs.nan;
            ours.positive += theirs.positive;
            ours.negative += theirs.negative;
        }
    }

    pub(crate) fn compact(&mut self) {
        self.total.compact();
    }

    pub(crate) fn sum(&self, numbers: Numbers) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        match numbers {
            Numbers::Decimal { .. } => {
                decimal(self.total.with_magnitude(|negative, base, digits| {
                    // The least digit of a decimal is of weight 1.
                    let mut whole = vec![0; usize::try_from(base).unwrap_or(0)];
                    whole.extend_from_slice(digits);
                    let magnitude = i128::try_from(digits::to_u128(&whole)?).ok()?;
                    Some(if negative { -magnitude } else { magnitude })
                }))
            }
            _ => Value::double(match &self.specials {
                Some(specials) => specials.sum(),
                None => self.total.with_magnitude(|negative, base, digits| {
                    round::to_f64(negative, digits, 32 * base, false)
                }),
            }),
        }
    }

    pub(crate) fn average(&self, numbers: Numbers) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        match numbers {
            Numbers::Decimal {
                scale,
                average_scale,
            } => decimal(self.total.with_magnitude(|negative, base, digits| {
                let mut whole = vec![0; usize::try_from(base).unwrap_or(0)];
                whole.extend_from_slice(digits);
                let factor = 10u64.pow(u32::from(average_scale - scale));
                round::quotient_to_i128(negative, &whole, factor, self.count)
            })),
            _ => Value::double(match &self.specials {
                Some(specials) => specials.sum(),
                None => self.total.with_magnitude(|negative, base, digits| {
                    round::quotient_to_f64(negative, digits, 32 * base, &[self.count])
                }),
            }),
        }
    }
}

/// A decimal within its 38 digits, or `ERROR(OVERFLOW)`.
fn decimal(unscaled: Option<i128>) -> Value {
    let limit = 10u128.pow(u32::from(DECIMAL_PRECISION_MAX));
    match unscaled {
        Some(x) if x.unsigned_abs() < limit => Value::decimal(x),
        _ => Value::Error(ErrorReason::Overflow),
    }
}

/// What a variance is made of: the exact sums of `x` and `x * x`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variance {
    pub(super) sum: Sum,
    pub(super) squares: Accumulator,
}

impl Variance {
    pub(crate) fn add(&mut self, number: Number, negate: bool) {
        self.sum.add(number, negate);
        match number {
            Number::Integer(x) => {
                let magnitude = u128::from(x.unsigned_abs());
                self.squares.add(negate, magnitude * magnitude, 0);
            }
            Number::Float(x) if x.is_finite() => {
                let (_, significand, exponent) = parts_of_f64(x);
                let significand = u128::from(significand);
                self.squares
                    .add(negate, significand * significand, 2 * exponent);
            }
            Number::Float(_) => {}
            Number::Decimal(x) => {
                // Unscaled decimals are below 2^127, so each product is below 2^128.
                let magnitude = x.unsigned_abs();
                let (high, low) = (magnitude >> 64, magnitude & u128::from(u64::MAX));
                self.squares.add(negate, low * low, 0);
                self.squares.add(negate, 2 * high * low, 64);
                self.squares.add(negate, high * high, 128);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Variance) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub(crate) fn compact(&mut self) {
        self.sum.compact();
        self.squares.compact();
    }

    /// `(n * sum(x^2) - sum(x)^2) / (n * (n - 1))`, or over `n^2`, rounded once; then the
    /// square root, rounded once, if it is asked for.
    pub(crate) fn finish(&self, numbers: Numbers, sample: bool, root: bool) -> Value {
        let n = self.sum.count;
        if n == 0 || (sample && n == 1) {
            return Value::Null;
        }
        if self.sum.specials.is_some() {
            return Value::double(CANONICAL_NAN);
        }
        let Some((digits, base)) = self.numerator() else {
            debug_assert!(false, "no numbers have such squares");
            return Value::double(CANONICAL_NAN);
        };
        let mut divisors = vec![n, if sample { n - 1 } else { n }];
        if let Numbers::Decimal { scale, .. } = numbers {
            let mut places = 2 * u32::from(scale);
            while places > 0 {
                let part = places.min(9);
                divisors.push(10u64.pow(part));
                places -= part;
            }
        }
        let variance = round::quotient_to_f64(false, &digits, 32 * base, &divisors);
        Value::double(if root { variance.sqrt() } else { variance })
    }

    /// Whether there can be numbers with this count, sum and squares, by Cauchy and Schwarz.
    pub(super) fn is_possible(&self) -> bool {
        let is_negative = self.squares.with_magnitude(|negative, _, _| negative);
        !is_negative && self.numerator().is_some()
    }

    /// `n * sum(x^2) - sum(x)^2` as digits of weight `2^(32 * base)` and up; none if it is
    /// negative, which it is of no numbers.
    fn numerator(&self) -> Option<(Vec<u32>, i32)> {
        let (square, square_base) = self
            .sum
            .total
            .with_magnitude(|_, base, digits| (digits::square(digits), 2 * base));
        let (mut numerator, base) = self
            .squares
            .with_magnitude(|_, base, digits| (digits.to_vec(), base));
        if digits::significant(&square) == 0 {
            digits::multiply(&mut numerator, self.sum.count);
            return Some((numerator, base));
        }
        let lowest = base.min(square_base);
        digits::multiply(&mut numerator, self.sum.count);
        // Both bases are within a few hundred digits of each other.
        let raise = |digits: Vec<u32>, by: i32| {
            let mut raised = vec![0; by as usize];
            raised.extend(digits);
            raised
        };
        let mut numerator = raise(numerator, base - lowest);
        let is_positive = digits::subtract(&mut numerator, &raise(square, square_base - lowest));
        is_positive.then_some((numerator, lowest))
    }
}
