//! Conversions between kinds.
//!
//! A number that has no value in the other kind is the error of the row, as it is in a `CAST`:
//! NaN or a text that is no number, or one outside of the range. A fraction loses its digits, as
//! ONNX states it.

use std::sync::Arc;

use evenkeel_types::ErrorReason;

use super::arithmetic::Number;
use crate::call::{Built, Call, Known, Made, Refusal, Run};
use crate::tensor::{Element, Kind};

fn converted<T: Element, R: Element>(
    x: &Known,
    convert: impl Fn(&T) -> Result<R, ErrorReason> + Send + Sync + 'static,
) -> Built {
    let run: Run = Box::new(move |inputs, outputs| {
        let output = R::of_mut(&mut outputs[0]);
        for (output, x) in output.iter_mut().zip(inputs.get::<T>(0)) {
            *output = convert(x)?;
        }
        Ok(())
    });
    Built::step(Made::of(R::KIND, x.shape.clone(), x.classes.clone()), run)
}

/// A float to an integer, towards zero.
fn whole(x: f64, least: f64, beyond: f64) -> Result<f64, ErrorReason> {
    if x.is_nan() {
        return Err(ErrorReason::InvalidCast);
    }
    let whole = libm::trunc(x);
    if !(least..beyond).contains(&whole) {
        return Err(ErrorReason::Overflow);
    }
    Ok(whole)
}

fn to_i32(x: f64) -> Result<i32, ErrorReason> {
    whole(x, -2_147_483_648.0, 2_147_483_648.0).map(|x| x as i32)
}

fn to_i64(x: f64) -> Result<i64, ErrorReason> {
    whole(x, -9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0).map(|x| x as i64)
}

fn from_number<T: Number>(x: &Known, to: Kind) -> Result<Built, Refusal> {
    let is_float = x.is_float();
    Ok(match to {
        Kind::F32 => converted(x, |x: &T| Ok(f32::from_f64(x.to_f64()))),
        Kind::F64 => converted(x, |x: &T| Ok(x.to_f64())),
        Kind::I32 => converted(x, |x: &T| to_i32(x.to_f64())),
        Kind::I64 => converted(x, |x: &T| to_i64(x.to_f64())),
        Kind::Bool => converted(x, |x: &T| Ok(x.to_f64() != 0.0)),
        Kind::Text if is_float => {
            return Err("writes fractions as text, which runtimes do in different ways".to_owned());
        }
        Kind::Text => converted(x, |x: &T| Ok(Arc::from((x.to_f64() as i64).to_string()))),
    })
}

fn from_bool(x: &Known, to: Kind) -> Result<Built, Refusal> {
    Ok(match to {
        Kind::F32 => converted(x, |x: &bool| Ok(f32::from(u8::from(*x)))),
        Kind::F64 => converted(x, |x: &bool| Ok(f64::from(u8::from(*x)))),
        Kind::I32 => converted(x, |x: &bool| Ok(i32::from(*x))),
        Kind::I64 => converted(x, |x: &bool| Ok(i64::from(*x))),
        Kind::Bool | Kind::Text => return Err("writes truth values as text".to_owned()),
    })
}

fn parsed<T: std::str::FromStr>(text: &Arc<str>) -> Result<T, ErrorReason> {
    text.trim().parse().map_err(|_| ErrorReason::InvalidCast)
}

fn from_text(x: &Known, to: Kind) -> Result<Built, Refusal> {
    Ok(match to {
        Kind::F32 => converted(x, parsed::<f32>),
        Kind::F64 => converted(x, parsed::<f64>),
        Kind::I32 => converted(x, parsed::<i32>),
        Kind::I64 => converted(x, parsed::<i64>),
        Kind::Bool | Kind::Text => return Err("reads texts as truth values".to_owned()),
    })
}

pub(super) fn cast(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let to = call.int("to")?.ok_or("lacks its attribute `to`")?;
    let to = Kind::of(to).map_err(|why| format!("makes a value that {why}"))?;
    if to == x.kind {
        return Ok(Built::Known(vec![x.clone()]));
    }
    match x.kind {
        Kind::F32 => from_number::<f32>(x, to),
        Kind::F64 => from_number::<f64>(x, to),
        Kind::I32 => from_number::<i32>(x, to),
        // A double does not hold every one of them.
        Kind::I64 if to == Kind::I32 => Ok(converted(x, |x: &i64| {
            i32::try_from(*x).map_err(|_| ErrorReason::Overflow)
        })),
        Kind::I64 if to == Kind::F32 => Ok(converted(x, |x: &i64| Ok(*x as f32))),
        Kind::I64 if to == Kind::Text => Ok(converted(x, |x: &i64| Ok(Arc::from(x.to_string())))),
        Kind::I64 => from_number::<i64>(x, to),
        Kind::Bool => from_bool(x, to),
        Kind::Text => from_text(x, to),
    }
}
