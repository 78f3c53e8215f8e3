//! Comparisons and the logic of truth values.

use std::sync::Arc;

use super::arithmetic::{pair, with_number};
use super::elementwise::{binary, unary};
use crate::call::{Built, Call, Refusal, not_of};
use crate::tensor::Kind;

pub(super) fn equal(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    match a.kind {
        Kind::Bool => binary(a, b, |a: &bool, b: &bool| Ok(a == b)),
        Kind::Text => binary(a, b, |a: &Arc<str>, b: &Arc<str>| Ok(a == b)),
        _ => with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a == b))),
    }
}

pub(super) fn less(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a < b)))
}

pub(super) fn less_or_equal(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a <= b)))
}

pub(super) fn greater(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a > b)))
}

pub(super) fn greater_or_equal(call: &Call<'_>) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    with_number!(a, T => binary(a, b, |a: &T, b: &T| Ok(a >= b)))
}

fn logic(call: &Call<'_>, compute: fn(bool, bool) -> bool) -> Result<Built, Refusal> {
    let (a, b) = pair(call)?;
    match a.kind {
        Kind::Bool => binary(a, b, move |a: &bool, b: &bool| Ok(compute(*a, *b))),
        _ => Err(not_of(a)),
    }
}

pub(super) fn and(call: &Call<'_>) -> Result<Built, Refusal> {
    logic(call, |a, b| a && b)
}

pub(super) fn or(call: &Call<'_>) -> Result<Built, Refusal> {
    logic(call, |a, b| a || b)
}

pub(super) fn xor(call: &Call<'_>) -> Result<Built, Refusal> {
    logic(call, |a, b| a != b)
}

pub(super) fn not(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    match x.kind {
        Kind::Bool => Ok(unary(x, |x: &bool| !x)),
        _ => Err(not_of(x)),
    }
}

pub(super) fn is_nan(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    match x.kind {
        Kind::F32 => Ok(unary(x, |x: &f32| x.is_nan())),
        Kind::F64 => Ok(unary(x, |x: &f64| x.is_nan())),
        _ => Err(not_of(x)),
    }
}
