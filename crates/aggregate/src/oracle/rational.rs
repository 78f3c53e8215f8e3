//! Rationals as pairs of big integers, and the nearest double to one.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// `numerator / denominator`, the denominator positive; not reduced.
#[derive(Clone, Debug)]
pub(super) struct Rational {
    pub(super) numerator: BigInt,
    pub(super) denominator: BigInt,
}

impl Rational {
    pub(super) fn whole(x: impl Into<BigInt>) -> Self {
        Rational {
            numerator: x.into(),
            denominator: 1.into(),
        }
    }

    /// A finite double.
    pub(super) fn of_f64(x: f64) -> Self {
        let bits = x.to_bits();
        let field = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
        let fraction = BigInt::from(bits & 0xf_ffff_ffff_ffff);
        // In units of the least subnormal, 2^-1074.
        let units = if field == 0 {
            fraction
        } else {
            (fraction + (BigInt::from(1) << 52)) << (field - 1)
        };
        Rational {
            numerator: if bits >> 63 == 1 { -units } else { units },
            denominator: BigInt::from(1) << 1074,
        }
    }

    pub(super) fn add(&self, other: &Rational) -> Rational {
        if self.denominator == other.denominator {
            return Rational {
                numerator: &self.numerator + &other.numerator,
                denominator: self.denominator.clone(),
            };
        }
        Rational {
            numerator: &self.numerator * &other.denominator + &other.numerator * &self.denominator,
            denominator: &self.denominator * &other.denominator,
        }
    }

    pub(super) fn multiply(&self, other: &Rational) -> Rational {
        Rational {
            numerator: &self.numerator * &other.numerator,
            denominator: &self.denominator * &other.denominator,
        }
    }

    /// Divided by a positive integer.
    pub(super) fn divide(&self, by: impl Into<BigInt>) -> Rational {
        Rational {
            numerator: self.numerator.clone(),
            denominator: &self.denominator * by.into(),
        }
    }

    pub(super) fn negate(&self) -> Rational {
        Rational {
            numerator: -&self.numerator,
            denominator: self.denominator.clone(),
        }
    }

    fn compare(&self, other: &Rational) -> Ordering {
        (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator))
    }

    /// The nearest double, ties to even, found by halving the range of all doubles. From
    /// halfway between the greatest double and the next power of two on, infinity.
    pub(super) fn to_f64(&self) -> f64 {
        if self.numerator.sign() == Sign::Minus {
            return -self.negate().to_f64();
        }
        // Positive doubles order like their bits; as a number, infinity is 2^1024 here.
        let infinity = f64::INFINITY.to_bits();
        let number = |bits: u64| {
            if bits == infinity {
                Rational::whole(BigInt::from(1) << 1024)
            } else {
                Rational::of_f64(f64::from_bits(bits))
            }
        };
        if self.compare(&number(infinity)).is_ge() {
            return f64::INFINITY;
        }
        let (mut below, mut above) = (0, infinity);
        while above - below > 1 {
            let middle = u64::midpoint(below, above);
            if number(middle).compare(self).is_le() {
                below = middle;
            } else {
                above = middle;
            }
        }
        let down = self.add(&number(below).negate());
        let up = number(above).add(&self.negate());
        let nearest = match down.compare(&up) {
            Ordering::Less => below,
            Ordering::Greater => above,
            Ordering::Equal if below % 2 == 0 => below,
            Ordering::Equal => above,
        };
        f64::from_bits(nearest)
    }

    /// The nearest integer, ties to even.
    pub(super) fn to_integer(&self) -> BigInt {
        let below = floor(&self.numerator, &self.denominator);
        let twice_above: BigInt = (&self.numerator - &below * &self.denominator) * 2;
        match twice_above.cmp(&self.denominator) {
            Ordering::Less => below,
            Ordering::Equal if !below.bit(0) => below,
            _ => below + 1,
        }
    }
}

fn floor(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    let quotient = numerator / denominator;
    if &quotient * denominator > *numerator {
        quotient - 1
    } else {
        quotient
    }
}
