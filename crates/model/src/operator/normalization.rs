//! Softmax and the normalisations between layers, as they are when a model is applied.
//!
//! Computed in double, each value rounded once.

use crate::call::{Built, Call, Known, Made, Refusal, Run, not_of};
use crate::tensor::{Data, Element, Kind};

/// Reads floats as doubles.
fn wide(data: &Data, at: usize) -> f64 {
    match data {
        Data::F32(values) => f64::from(values[at]),
        Data::F64(values) => values[at],
        other => unreachable!("{:?} where floats were compiled", other.kind()),
    }
}

/// Writes a double as a float.
fn put(data: &mut Data, at: usize, value: f64) {
    match data {
        Data::F32(values) => values[at] = value as f32,
        Data::F64(values) => values[at] = value,
        other => unreachable!("{:?} where floats were compiled", other.kind()),
    }
}

/// A function of all elements along an axis, in place.
pub(super) fn along(
    x: &Known,
    shape: [usize; 3],
    compute: impl Fn(&mut [f64]) + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    if !x.is_float() {
        return Err(not_of(x));
    }
    let [before, size, behind] = shape;
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.data(0);
        let mut line = vec![0.0; size];
        for part in 0..before {
            for at in 0..behind {
                let place = |i: usize| (part * size + i) * behind + at;
                for (i, value) in line.iter_mut().enumerate() {
                    *value = wide(x, place(i));
                }
                compute(&mut line);
                for (i, value) in line.iter().enumerate() {
                    put(&mut outputs[0], place(i), *value);
                }
            }
        }
        Ok(())
    });
    let made = Made::of(x.kind, x.shape.clone(), x.classes.clone());
    Ok(Built::step(made, run))
}

/// The axis of a softmax. Before version 13 it is of a matrix: all dimensions from it on are one.
fn softmax_axis(call: &Call<'_>, x: &Known) -> Result<[usize; 3], Refusal> {
    let is_old = call.version < 13;
    let axis = call.int("axis")?.unwrap_or(if is_old { 1 } else { -1 });
    let axis = call.axis(axis, x.shape.len())?;
    let before = x.shape[..axis].iter().product();
    let behind = x.shape[axis + 1..].iter().product();
    Ok(if is_old {
        [before, x.shape[axis] * behind, 1]
    } else {
        [before, x.shape[axis], behind]
    })
}

/// Each less the greatest, which keeps powers finite.
fn shift(line: &mut [f64]) {
    let greatest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    line.iter_mut().for_each(|x| *x -= greatest);
}

/// Powers of e, divided by their sum.
pub(super) fn soften(line: &mut [f64]) {
    shift(line);
    line.iter_mut().for_each(|x| *x = libm::exp(*x));
    let total = line.iter().fold(0.0, |total, x| total + x);
    line.iter_mut().for_each(|x| *x /= total);
}

pub(super) fn softmax(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    along(x, softmax_axis(call, x)?, soften)
}

pub(super) fn log_softmax(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    along(x, softmax_axis(call, x)?, |line| {
        shift(line);
        let total = line.iter().fold(0.0, |total, x| total + libm::exp(*x));
        let total = libm::log(total);
        line.iter_mut().for_each(|x| *x -= total);
    })
}

/// Floats that are the same for every row, of one length.
fn parameters(call: &Call<'_>, index: usize, length: usize) -> Result<Vec<f64>, Refusal> {
    let input = call.input(index)?;
    let values: Option<Vec<f64>> = match input.kind {
        Kind::F32 => input
            .elements::<f32>()
            .map(|v| v.iter().map(|x| f64::from(*x)).collect()),
        Kind::F64 => input.elements::<f64>().map(<[f64]>::to_vec),
        _ => return Err(not_of(input)),
    };
    let values =
        values.ok_or_else(|| format!("has an input {} that is not constant", index + 1))?;
    if values.len() != length {
        return Err(format!(
            "has an input {} that is not of {length} numbers",
            index + 1
        ));
    }
    Ok(values)
}

pub(super) fn batch(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(5)?;
    if call.flag("training_mode")? || call.node.outputs.len() > 1 {
        return Err("is in training mode".to_owned());
    }
    if call.int("spatial")?.unwrap_or(1) != 1 {
        return Err("is not spatial".to_owned());
    }
    let x = call.input(0)?;
    if !x.is_float() {
        return Err(not_of(x));
    }
    let channels = x.shape.get(1).copied().unwrap_or(1);
    let behind: usize = x.shape.iter().skip(2).product();
    let epsilon = f64::from(call.float("epsilon")?.unwrap_or(1e-5));
    let scale = parameters(call, 1, channels)?;
    let bias = parameters(call, 2, channels)?;
    let mean = parameters(call, 3, channels)?;
    let variance = parameters(call, 4, channels)?;
    let factors: Vec<f64> = scale
        .iter()
        .zip(&variance)
        .map(|(scale, variance)| scale / libm::sqrt(variance + epsilon))
        .collect();
    let length = x.len();
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.data(0);
        for at in 0..length {
            let channel = at / behind % channels;
            let value = (wide(x, at) - mean[channel]) * factors[channel] + bias[channel];
            put(&mut outputs[0], at, value);
        }
        Ok(())
    });
    Ok(Built::step(Made::new(x.kind, x.shape.clone()), run))
}

pub(super) fn layer(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(3)?;
    if call.node.outputs.len() > 1 {
        return Err("gives means and deviations, too".to_owned());
    }
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(-1), x.shape.len())?;
    let epsilon = f64::from(call.float("epsilon")?.unwrap_or(1e-5));
    let before = x.shape[..axis].iter().product();
    let size: usize = x.shape[axis..].iter().product();
    let scale = parameters(call, 1, size)?;
    let bias = match call.optional(2) {
        None => vec![0.0; size],
        Some(_) => parameters(call, 2, size)?,
    };
    along(x, [before, size, 1], move |line| {
        let count = line.len() as f64;
        let mean = line.iter().fold(0.0, |total, x| total + x) / count;
        let square = |total: f64, x: &f64| total + (x - mean) * (x - mean);
        let deviation = libm::sqrt(line.iter().fold(0.0, square) / count + epsilon);
        for ((x, scale), bias) in line.iter_mut().zip(&scale).zip(&bias) {
            *x = (*x - mean) / deviation * scale + bias;
        }
    })
}

/// The kinds of input that operators of classical learning take as floats.
pub(super) fn as_floats(x: &Known) -> Result<fn(&Data, usize) -> f32, Refusal> {
    match x.kind {
        Kind::F32 => Ok(|data, at| f32::of(data)[at]),
        Kind::F64 => Ok(|data, at| f64::of(data)[at] as f32),
        Kind::I32 => Ok(|data, at| i32::of(data)[at] as f32),
        Kind::I64 => Ok(|data, at| i64::of(data)[at] as f32),
        _ => Err(not_of(x)),
    }
}
