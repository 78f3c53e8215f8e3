//! What prepares the columns of a row: scaled, normalised, filled in, cut in two, put together.

use std::sync::Arc;

use super::arithmetic::float_with;
use super::linear::{f32_of, rows_of};
use super::normalization::{along, as_floats};
use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Data, Element, Kind};

/// One number for all columns, or one for each.
fn per_column<T: Clone>(values: &[T], columns: usize, what: &str) -> Result<Vec<T>, Refusal> {
    match values {
        [one] => Ok(vec![one.clone(); columns]),
        many if many.len() == columns => Ok(many.to_vec()),
        many => Err(format!("has {} {what} for {columns} columns", many.len())),
    }
}

/// A step over rows of floats: a function of the column and its value.
fn columns_of(
    x: &Known,
    compute: impl Fn(usize, f64) -> f64 + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    let read = as_floats(x)?;
    let (_, columns) = rows_of(x)?;
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.data(0);
        for (at, output) in f32_of(&mut outputs[0]).iter_mut().enumerate() {
            *output = compute(at % columns, f64::from(read(x, at))) as f32;
        }
        Ok(())
    });
    Ok(Built::step(Made::new(Kind::F32, x.shape.clone()), run))
}

pub(super) fn scaler(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let (_, columns) = rows_of(x)?;
    let offset = per_column(call.floats("offset")?.unwrap_or(&[0.0]), columns, "offsets")?;
    let scale = per_column(call.floats("scale")?.unwrap_or(&[1.0]), columns, "scales")?;
    columns_of(x, move |column, x| {
        (x - f64::from(offset[column])) * f64::from(scale[column])
    })
}

pub(super) fn normalizer(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let (rows, columns) = rows_of(x)?;
    let total: fn(&[f64]) -> f64 = match call.text("norm")?.unwrap_or("MAX") {
        "MAX" => |line| line.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "L1" => |line| line.iter().fold(0.0, |total, x| total + x.abs()),
        "L2" => |line| libm::sqrt(line.iter().fold(0.0, |total, x| total + x * x)),
        other => return Err(format!("has the norm `{other}`, which is not known")),
    };
    // A row of zeros stays one.
    along(x, [rows, columns, 1], move |line| {
        let total = total(line);
        if total != 0.0 {
            line.iter_mut().for_each(|x| *x /= total);
        }
    })
}

fn imputed<T: Element + Copy>(
    x: &Known,
    values: Vec<T>,
    is_replaced: impl Fn(T) -> bool + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    let (_, columns) = rows_of(x)?;
    let values = per_column(&values, columns, "values to put in")?;
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.get::<T>(0);
        for (at, (output, x)) in T::of_mut(&mut outputs[0]).iter_mut().zip(x).enumerate() {
            *output = if is_replaced(*x) {
                values[at % columns]
            } else {
                *x
            };
        }
        Ok(())
    });
    Ok(Built::step(Made::new(x.kind, x.shape.clone()), run))
}

pub(super) fn imputer(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let replaced = call.float("replaced_value_float")?.unwrap_or(0.0);
    match x.kind {
        Kind::F32 => {
            let values = call
                .floats("imputed_value_floats")?
                .ok_or("has no values to put in")?;
            imputed::<f32>(x, values.to_vec(), move |x| {
                x == replaced || (x.is_nan() && replaced.is_nan())
            })
        }
        Kind::F64 => {
            let values = call
                .floats("imputed_value_floats")?
                .ok_or("has no values to put in")?;
            let replaced = f64::from(replaced);
            imputed::<f64>(
                x,
                values.iter().map(|x| f64::from(*x)).collect(),
                move |x| x == replaced || (x.is_nan() && replaced.is_nan()),
            )
        }
        Kind::I64 => {
            let values = call
                .ints("imputed_value_int64s")?
                .ok_or("has no values to put in")?;
            let replaced = call.int("replaced_value_int64")?.unwrap_or(0);
            imputed::<i64>(x, values.to_vec(), move |x| x == replaced)
        }
        _ => Err(not_of(x)),
    }
}

pub(super) fn binarizer(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let threshold = f64::from(call.float("threshold")?.unwrap_or(0.0));
    float_with(call.input(0)?, move |x| f64::from(u8::from(x > threshold)))
}

pub(super) fn feature_vectorizer(call: &Call<'_>) -> Result<Built, Refusal> {
    let widths = call.ints("inputdimensions")?;
    let mut parts = Vec::with_capacity(call.inputs.len());
    let mut total = 0usize;
    for index in 0..call.inputs.len() {
        let x = call.input(index)?;
        let (rows, columns) = rows_of(x)?;
        let declared = widths.and_then(|widths| widths.get(index));
        if rows != 1 || declared.is_some_and(|width| usize::try_from(*width) != Ok(columns)) {
            return Err(format!("cannot put {:?} beside others", x.shape));
        }
        total = total.saturating_add(columns);
        parts.push((as_floats(x)?, columns));
    }
    let shape = checked(vec![1, total])?;
    let run: Run = Box::new(move |inputs, outputs| {
        let mut output = f32_of(&mut outputs[0]).iter_mut();
        for (index, (read, columns)) in parts.iter().enumerate() {
            let x: &Data = inputs.data(index);
            for (at, output) in (0..*columns).zip(&mut output) {
                *output = read(x, at);
            }
        }
        Ok(())
    });
    Ok(Built::step(Made::new(Kind::F32, shape), run))
}

/// Texts that were given, or none.
pub(super) fn given(texts: Option<Vec<Arc<str>>>) -> Option<Vec<Arc<str>>> {
    texts.filter(|texts| !texts.is_empty())
}
