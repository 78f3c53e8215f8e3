//! The least, greatest or total of several inputs, clipping, and one of two by a condition.

use super::arithmetic::{Number, with_number};
use super::elementwise::{Index, stretched, together};
use crate::call::{Built, Call, Known, Made, Refusal, Run, not_of};
use crate::limits::ELEMENTS_MAX;
use crate::tensor::{Element, Kind, with_element};

/// All inputs, of one kind.
fn all<'a>(call: &'a Call<'_>) -> Result<Vec<&'a Known>, Refusal> {
    let first = call.input(0)?;
    (0..call.inputs.len())
        .map(|index| {
            let input = call.input(index)?;
            if input.kind == first.kind {
                Ok(input)
            } else {
                Err(not_of(input))
            }
        })
        .collect()
}

/// The inputs one after the other, from the first, then something with the result.
fn fold<T: Number>(
    inputs: &[&Known],
    step: fn(T, T) -> T,
    finish: impl Fn(T) -> T + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape.as_slice()).collect();
    let shape = together(&shapes)?;
    // Where an element is in each input is a table.
    if shapes.len().saturating_mul(shape.iter().product()) > ELEMENTS_MAX {
        return Err(format!(
            "has {} inputs of the shape {shape:?}, which are too many",
            shapes.len()
        ));
    }
    let indexes: Vec<Index> = shapes.iter().map(|of| stretched(of, &shape)).collect();
    let work = indexes.len() * shape.iter().product::<usize>();
    let run: Run = Box::new(move |inputs, outputs| {
        for (place, output) in T::of_mut(&mut outputs[0]).iter_mut().enumerate() {
            let element = |at: usize| inputs.get::<T>(at)[indexes[at].of(place)];
            let total = (1..indexes.len()).fold(element(0), |total, at| step(total, element(at)));
            *output = finish(total);
        }
        Ok(())
    });
    Ok(Built::Step {
        outputs: vec![Made::new(T::KIND, shape)],
        run,
        work,
    })
}

/// NaN where one of both is.
fn lesser<T: Number>(a: T, b: T) -> T {
    if b < a || b.is_nan() { b } else { a }
}

/// NaN where one of both is.
fn greater<T: Number>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

pub(super) fn min(call: &Call<'_>) -> Result<Built, Refusal> {
    let inputs = all(call)?;
    with_number!(inputs[0], T => fold(&inputs, lesser::<T>, |x| x))
}

pub(super) fn max(call: &Call<'_>) -> Result<Built, Refusal> {
    let inputs = all(call)?;
    with_number!(inputs[0], T => fold(&inputs, greater::<T>, |x| x))
}

pub(super) fn sum(call: &Call<'_>) -> Result<Built, Refusal> {
    let inputs = all(call)?;
    with_number!(inputs[0], T => fold(&inputs, T::plus, |x| x))
}

pub(super) fn mean(call: &Call<'_>) -> Result<Built, Refusal> {
    let inputs = all(call)?;
    // As many as a file can name are exact in both types.
    let count = inputs.len();
    match inputs[0].kind {
        Kind::F32 => fold::<f32>(&inputs, f32::plus, move |x| x / count as f32),
        Kind::F64 => fold::<f64>(&inputs, f64::plus, move |x| x / count as f64),
        _ => Err(not_of(inputs[0])),
    }
}

/// A bound of `Clip`, which is an attribute in old versions and an input of one element since.
enum Bound<T> {
    None,
    Fixed(T),
    Input(usize),
}

fn bound<T: Number>(call: &Call<'_>, name: &str, index: usize) -> Result<Bound<T>, Refusal> {
    if let Some(value) = call.float(name)? {
        return Ok(Bound::Fixed(T::from_f64(f64::from(value))));
    }
    match call.optional(index) {
        None => Ok(Bound::None),
        Some(input) if input.kind != T::KIND => Err(not_of(input)),
        Some(input) if input.len() != 1 => Err("has a bound of several numbers".to_owned()),
        // Inputs that were left out are not counted by the step.
        Some(_) => Ok(Bound::Input(
            (0..index).filter(|i| call.optional(*i).is_some()).count(),
        )),
    }
}

fn clip_of<T: Number>(call: &Call<'_>, x: &Known) -> Result<Built, Refusal> {
    let (least, greatest) = (bound::<T>(call, "min", 1)?, bound::<T>(call, "max", 2)?);
    let run: Run = Box::new(move |inputs, outputs| {
        let value = |bound: &Bound<T>| match bound {
            Bound::None => None,
            Bound::Fixed(value) => Some(*value),
            Bound::Input(index) => Some(inputs.get::<T>(*index)[0]),
        };
        let (least, greatest) = (value(&least), value(&greatest));
        let output = T::of_mut(&mut outputs[0]);
        for (output, &x) in output.iter_mut().zip(inputs.get::<T>(0)) {
            let raised = least.filter(|least| x < *least).unwrap_or(x);
            *output = greatest
                .filter(|greatest| raised > *greatest)
                .unwrap_or(raised);
        }
        Ok(())
    });
    Ok(Built::step(
        Made::of(x.kind, x.shape.clone(), x.classes.clone()),
        run,
    ))
}

/// NaN stays NaN.
pub(super) fn clip(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(3)?;
    let x = call.input(0)?;
    with_number!(x, T => clip_of::<T>(call, x))
}

fn select_of<T: Element>(condition: &Known, a: &Known, b: &Known) -> Result<Built, Refusal> {
    let shape = together(&[&condition.shape, &a.shape, &b.shape])?;
    let of_condition = stretched(&condition.shape, &shape);
    let (of_a, of_b) = (stretched(&a.shape, &shape), stretched(&b.shape, &shape));
    let run: Run = Box::new(move |inputs, outputs| {
        let condition = inputs.get::<bool>(0);
        let (a, b) = (inputs.get::<T>(1), inputs.get::<T>(2));
        for (place, output) in T::of_mut(&mut outputs[0]).iter_mut().enumerate() {
            *output = if condition[of_condition.of(place)] {
                a[of_a.of(place)].clone()
            } else {
                b[of_b.of(place)].clone()
            };
        }
        Ok(())
    });
    Ok(Built::step(Made::new(T::KIND, shape), run))
}

/// `Where`
pub(super) fn select(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(3)?;
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    if condition.kind != Kind::Bool {
        return Err(not_of(condition));
    }
    if a.kind != b.kind {
        return Err(not_of(b));
    }
    with_element!(a.kind, T => select_of::<T>(condition, a, b))
}
