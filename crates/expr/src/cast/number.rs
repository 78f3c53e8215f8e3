//! Conversions among numbers, and between numbers and truth.

use std::sync::Arc;

use evenkeel_types::DataType;

use super::{INVALID_CAST, OVERFLOW};
use crate::decimal::{
    from_digits, rescale, shortest_digits, shortest_digits_float, to_double, to_float,
};
use crate::kernel::{
    BigInt, Boolean, Decimal, Double, Float, Int, Kernel, Missing, Outcome, unary,
};

/// `2^63`, the first double beyond `BIGINT`.
const BIGINT_END: f64 = 9_223_372_036_854_775_808.0;

/// The conversion between two numeric types, or BOOLEAN and a number.
pub(super) fn kernel(from: &DataType, to: &DataType) -> Option<Arc<dyn Kernel>> {
    use DataType as T;
    Some(match (from, to) {
        (T::Int, T::BigInt) => unary::<Int, BigInt>(|x| Ok(i64::from(x))),
        (T::Int, T::Float) => unary::<Int, Float>(|x| Ok(x as f32)),
        (T::Int, T::Double) => unary::<Int, Double>(|x| Ok(f64::from(x))),
        (T::BigInt, T::Int) => unary::<BigInt, Int>(|x| i32::try_from(x).map_err(|_| OVERFLOW)),
        (T::BigInt, T::Float) => unary::<BigInt, Float>(|x| Ok(x as f32)),
        (T::BigInt, T::Double) => unary::<BigInt, Double>(|x| Ok(x as f64)),
        (T::Float, T::Double) => unary::<Float, Double>(|x| Ok(f64::from(x))),
        (T::Double, T::Float) => unary::<Double, Float>(double_to_float),
        (T::Float, T::Int) => unary::<Float, Int>(|x| to_int(f64::from(x))),
        (T::Double, T::Int) => unary::<Double, Int>(to_int),
        (T::Float, T::BigInt) => unary::<Float, BigInt>(|x| to_bigint(f64::from(x))),
        (T::Double, T::BigInt) => unary::<Double, BigInt>(to_bigint),

        (T::Boolean, T::Int) => unary::<Boolean, Int>(|x| Ok(i32::from(x))),
        (T::Boolean, T::BigInt) => unary::<Boolean, BigInt>(|x| Ok(i64::from(x))),
        (T::Boolean, T::Float) => unary::<Boolean, Float>(|x| Ok(f32::from(u8::from(x)))),
        (T::Boolean, T::Double) => unary::<Boolean, Double>(|x| Ok(f64::from(u8::from(x)))),
        (T::Int, T::Boolean) => unary::<Int, Boolean>(|x| to_boolean(i64::from(x))),
        (T::BigInt, T::Boolean) => unary::<BigInt, Boolean>(to_boolean),

        (T::Boolean, &T::Decimal { precision, scale }) => {
            unary::<Boolean, Decimal>(move |x| rescale(i128::from(x), i32::from(scale), precision))
        }
        (T::Int, &T::Decimal { precision, scale }) => {
            unary::<Int, Decimal>(move |x| rescale(i128::from(x), i32::from(scale), precision))
        }
        (T::BigInt, &T::Decimal { precision, scale }) => {
            unary::<BigInt, Decimal>(move |x| rescale(i128::from(x), i32::from(scale), precision))
        }
        (T::Float, &T::Decimal { precision, scale }) => unary::<Float, Decimal>(move |x| {
            finite(f64::from(x))?;
            from_digits(shortest_digits_float(x), precision, scale)
        }),
        (T::Double, &T::Decimal { precision, scale }) => unary::<Double, Decimal>(move |x| {
            from_digits(shortest_digits(finite(x)?), precision, scale)
        }),
        (&T::Decimal { scale: old, .. }, &T::Decimal { precision, scale }) => {
            let shift = i32::from(scale) - i32::from(old);
            unary::<Decimal, Decimal>(move |x| rescale(x, shift, precision))
        }
        (&T::Decimal { scale, .. }, T::Int) => {
            unary::<Decimal, Int>(move |x| i32::try_from(whole(x, scale)?).map_err(|_| OVERFLOW))
        }
        (&T::Decimal { scale, .. }, T::BigInt) => {
            unary::<Decimal, BigInt>(move |x| i64::try_from(whole(x, scale)?).map_err(|_| OVERFLOW))
        }
        (&T::Decimal { scale, .. }, T::Float) => {
            unary::<Decimal, Float>(move |x| Ok(to_float(x, u32::from(scale))))
        }
        (&T::Decimal { scale, .. }, T::Double) => {
            unary::<Decimal, Double>(move |x| Ok(to_double(x, u32::from(scale))))
        }
        _ => return None,
    })
}

fn finite(x: f64) -> Outcome<f64> {
    if x.is_finite() {
        Ok(x)
    } else {
        Err(INVALID_CAST)
    }
}

/// To the nearest float; a finite number beyond the floats is no infinity.
fn double_to_float(x: f64) -> Outcome<f32> {
    let float = x as f32;
    if float.is_infinite() && x.is_finite() {
        return Err(OVERFLOW);
    }
    Ok(float)
}

fn integral(x: f64) -> Outcome<f64> {
    if finite(x)? == x.trunc() {
        Ok(x)
    } else {
        Err(INVALID_CAST)
    }
}

fn to_int(x: f64) -> Outcome<i32> {
    i32::try_from(to_bigint(x)?).map_err(|_| OVERFLOW)
}

fn to_bigint(x: f64) -> Outcome<i64> {
    let x = integral(x)?;
    if (-BIGINT_END..BIGINT_END).contains(&x) {
        // In range and whole, so exact.
        Ok(x as i64)
    } else {
        Err(OVERFLOW)
    }
}

fn to_boolean(x: i64) -> Outcome<bool> {
    match x {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(INVALID_CAST),
    }
}

/// The integer that a decimal is, if it is one.
fn whole(x: i128, scale: u8) -> Result<i128, Missing> {
    rescale(x, -i32::from(scale), evenkeel_types::DECIMAL_PRECISION_MAX)
}
