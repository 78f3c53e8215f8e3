//! Sums, products, powers and roundings of elements.
//!
//! Integers wrap around, as ONNX runtimes do; a division by zero is the value of the row.

use evenkeel_types::ErrorReason;

use super::elementwise::{binary, unary};
use crate::call::{Built, Call, Known, Refusal, not_of};
use crate::tensor::{Element, Kind};

/// A type of numbers.
pub(super) trait Number: Element + Copy + PartialOrd {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Result<Self, ErrorReason>;
    fn absolute(self) -> Self;
    fn negative(self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    fn is_nan(self) -> bool;
    fn to_f64(self) -> f64;
    /// The nearest of this type; of integers towards zero, within their range.
    fn from_f64(x: f64) -> Self;
}

/// The nearest float.
fn narrow(x: f64) -> f32 {
    x as f32
}

macro_rules! float {
    ($type:ty, $widen:path, $narrow:path) => {
        impl Number for $type {
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn minus(self, other: Self) -> Self {
                self - other
            }
            fn times(self, other: Self) -> Self {
                self * other
            }
            fn over(self, other: Self) -> Result<Self, ErrorReason> {
                Ok(self / other)
            }
            fn absolute(self) -> Self {
                self.abs()
            }
            fn negative(self) -> Self {
                -self
            }
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self
                }
            }
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            fn to_f64(self) -> f64 {
                $widen(self)
            }
            fn from_f64(x: f64) -> Self {
                $narrow(x)
            }
        }
    };
}

macro_rules! integer {
    ($type:ty) => {
        impl Number for $type {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn over(self, other: Self) -> Result<Self, ErrorReason> {
                if other == 0 {
                    return Err(ErrorReason::DivisionByZero);
                }
                Ok(self.wrapping_div(other))
            }
            fn absolute(self) -> Self {
                self.wrapping_abs()
            }
            fn negative(self) -> Self {
                self.wrapping_neg()
            }
            fn sign(self) -> Self {
                self.signum()
            }
            fn is_nan(self) -> bool {
                false
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn from_f64(x: f64) -> Self {
                x as $type
            }
        }
    };
}

float!(f32, f64::from, narrow);
float!(f64, std::convert::identity, std::convert::identity);
integer!(i32);
integer!(i64);

/// Runs a body for the type of a kind of numbers, by the name `T`; else a refusal.
macro_rules! with_number {
    ($known:expr, $T:ident => $body:expr) => {
        $crate::tensor::with_kind!($known.kind, $T => $body,
            [F32: f32, F64: f64, I32: i32, I64: i64], else Err($crate::call::not_of($known)))
    };
}
pub(super) use with_number;

/// Both inputs, which are of one kind.
pub(super) fn pair<'a>(call: &'a Call<'_>) -> Result<(&'a Known, &'a Known), Refusal> {
    call.at_most(2)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.kind != b.kind {
        return Err(format!(
            "cannot take {} and {} together",
            a.kind.name(),
            b.kind.name()
        ));
    }
    Ok((a, b))
}

pub(super) fn add(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a.plus(*b))))
}

pub(super) fn sub(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a.minus(*b))))
}

pub(super) fn mul(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a.times(*b))))
}

pub(super) fn div(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| a.over(*b)))
}

/// The exponent may be of another kind than the base, whose kind the result has.
pub(super) fn pow(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    with_number!(a, T => with_number!(b, U => binary(a, b, |a: &T, b: &U| {
        Ok(T::from_f64(libm::pow(a.to_f64(), b.to_f64())))
    })))
}

pub(super) fn abs(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    with_number!(x, T => Ok(unary(x, |x: &T| x.absolute())))
}

pub(super) fn neg(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    with_number!(x, T => Ok(unary(x, |x: &T| x.negative())))
}

pub(super) fn sign(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    with_number!(x, T => Ok(unary(x, |x: &T| x.sign())))
}

/// A function of floats, computed in double and rounded once.
pub(super) fn float(call: &Call<'_>, compute: fn(f64) -> f64) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    float_with(x, compute)
}

/// The same with what it has captured.
pub(super) fn float_with(
    x: &Known,
    compute: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    match x.kind {
        Kind::F32 => Ok(unary(x, move |x: &f32| compute(f64::from(*x)) as f32)),
        Kind::F64 => Ok(unary(x, move |x: &f64| compute(*x))),
        _ => Err(not_of(x)),
    }
}

pub(super) fn ceil(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::ceil)
}

pub(super) fn floor(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::floor)
}

/// Halves to the even neighbour.
pub(super) fn round(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::rint)
}

/// A quotient, rounded once in its own type.
pub(super) fn reciprocal(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    match x.kind {
        Kind::F32 => Ok(unary(x, |x: &f32| 1.0 / x)),
        Kind::F64 => Ok(unary(x, |x: &f64| 1.0 / x)),
        _ => Err(not_of(x)),
    }
}
