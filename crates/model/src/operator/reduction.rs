//! One value for many: along axes, in the order of the elements.
//!
//! Sums of floats are kept in double and rounded once.

use super::arithmetic::{Number, with_number};
use super::elementwise::walk;
use super::shape::{axes, steps};
use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Element, Kind};

/// Which elements of the input each element of the output is made of.
struct Groups {
    shape: Vec<usize>,
    /// The first element of each group.
    firsts: Vec<u32>,
    /// The elements of a group, from its first.
    offsets: Vec<u32>,
}

/// The groups of the axes; none if nothing is reduced.
fn groups(call: &Call<'_>, x: &Known) -> Result<Option<Groups>, Refusal> {
    let rank = x.shape.len();
    let axes = axes(call)?.unwrap_or_default();
    let mut is_reduced = vec![axes.is_empty(); rank];
    if axes.is_empty() && call.flag("noop_with_empty_axes")? {
        return Ok(None);
    }
    for axis in axes {
        is_reduced[call.axis(axis, rank)?] = true;
    }
    let keeps = call.int("keepdims")?.unwrap_or(1) != 0;
    grouped(x, &is_reduced, keeps).map(Some)
}

fn grouped(x: &Known, is_reduced: &[bool], keeps: bool) -> Result<Groups, Refusal> {
    checked(x.shape.clone())?;
    let own = steps(&x.shape);
    let of = |reduced: bool| {
        let chosen = (0..x.shape.len()).filter(move |at| is_reduced[*at] == reduced);
        let parts: Vec<(usize, usize)> = chosen.map(|at| (x.shape[at], own[at])).collect();
        let (shape, steps): (Vec<usize>, Vec<usize>) = parts.into_iter().unzip();
        walk(&shape, &steps, 0)
    };
    let sizes = x.shape.iter().zip(is_reduced);
    let shape = sizes.filter_map(|(size, reduced)| match (reduced, keeps) {
        (false, _) => Some(*size),
        (true, true) => Some(1),
        (true, false) => None,
    });
    Ok(Groups {
        shape: shape.collect(),
        firsts: of(false),
        offsets: of(true),
    })
}

fn reduced<T: Element, R: Element>(
    x: &Known,
    groups: Groups,
    reduce: impl Fn(&mut dyn Iterator<Item = T>) -> R + Send + Sync + 'static,
) -> Built {
    let Groups {
        shape,
        firsts,
        offsets,
    } = groups;
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.get::<T>(0);
        for (output, first) in R::of_mut(&mut outputs[0]).iter_mut().zip(&firsts) {
            let mut elements = offsets
                .iter()
                .map(|offset| x[(first + offset) as usize].clone());
            *output = reduce(&mut elements);
        }
        Ok(())
    });
    Built::Step {
        outputs: vec![Made::new(R::KIND, shape)],
        run,
        work: x.len(),
    }
}

/// A reduction of numbers to one of their kind.
macro_rules! reduction {
    ($name:ident, $reduce:ident) => {
        pub(super) fn $name(call: &Call<'_>) -> Result<Built, Refusal> {
            call.at_most(2)?;
            let x = call.input(0)?;
            match groups(call, x)? {
                None => Ok(Built::Known(vec![x.clone()])),
                Some(groups) => with_number!(x, T => {
                    Ok(reduced(x, groups, |elements: &mut dyn Iterator<Item = T>| $reduce(elements)))
                }),
            }
        }
    };
}

reduction!(max, greatest);
reduction!(min, least);
reduction!(prod, product);

/// NaN where one is.
fn greatest<T: Number>(elements: &mut dyn Iterator<Item = T>) -> T {
    best(elements, |x, best| x > best)
}

/// NaN where one is.
fn least<T: Number>(elements: &mut dyn Iterator<Item = T>) -> T {
    best(elements, |x, best| x < best)
}

fn best<T: Number>(elements: &mut dyn Iterator<Item = T>, is_better: fn(T, T) -> bool) -> T {
    let first = elements.next().unwrap_or_else(|| T::from_f64(0.0));
    elements.fold(first, |best, x| {
        if is_better(x, best) || x.is_nan() {
            x
        } else {
            best
        }
    })
}

fn product<T: Number>(elements: &mut dyn Iterator<Item = T>) -> T {
    elements.fold(T::from_f64(1.0), T::times)
}

/// A total of what a function makes of each element, then something with total and count.
fn total(
    call: &Call<'_>,
    of: fn(f64) -> f64,
    finish: fn(f64, usize) -> f64,
    of_integers: Option<fn(&mut dyn Iterator<Item = i64>) -> i64>,
) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let Some(groups) = groups(call, x)? else {
        return Ok(Built::Known(vec![x.clone()]));
    };
    let count = groups.offsets.len();
    match (x.kind, of_integers) {
        (Kind::F32, _) => Ok(reduced(
            x,
            groups,
            move |elements: &mut dyn Iterator<Item = f32>| {
                finish(
                    elements.fold(0.0, |total, x| total + of(f64::from(x))),
                    count,
                ) as f32
            },
        )),
        (Kind::F64, _) => Ok(reduced(
            x,
            groups,
            move |elements: &mut dyn Iterator<Item = f64>| {
                finish(elements.fold(0.0, |total, x| total + of(x)), count)
            },
        )),
        (Kind::I64, Some(of_integers)) => Ok(reduced(x, groups, of_integers)),
        _ => Err(not_of(x)),
    }
}

pub(super) fn sum(call: &Call<'_>) -> Result<Built, Refusal> {
    let integers = |elements: &mut dyn Iterator<Item = i64>| elements.fold(0, i64::wrapping_add);
    total(call, |x| x, |total, _| total, Some(integers))
}

pub(super) fn mean(call: &Call<'_>) -> Result<Built, Refusal> {
    total(call, |x| x, |total, count| total / count as f64, None)
}

pub(super) fn sum_square(call: &Call<'_>) -> Result<Built, Refusal> {
    total(call, |x| x * x, |total, _| total, None)
}

pub(super) fn l2(call: &Call<'_>) -> Result<Built, Refusal> {
    total(call, |x| x * x, |total, _| libm::sqrt(total), None)
}

fn arg<T: Number>(
    call: &Call<'_>,
    x: &Known,
    is_better: fn(T, T) -> bool,
) -> Result<Built, Refusal> {
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.shape.len())?;
    let takes_last = call.flag("select_last_index")?;
    let keeps = call.int("keepdims")?.unwrap_or(1) != 0;
    let is_reduced: Vec<bool> = (0..x.shape.len()).map(|at| at == axis).collect();
    let groups = grouped(x, &is_reduced, keeps)?;
    Ok(reduced(
        x,
        groups,
        move |elements: &mut dyn Iterator<Item = T>| {
            let mut found: Option<(T, i64)> = None;
            for (x, at) in elements.zip(0i64..) {
                let takes =
                    found.is_none_or(|(best, _)| is_better(x, best) || (takes_last && x == best));
                if takes {
                    found = Some((x, at));
                }
            }
            found.map_or(0, |(_, at)| at)
        },
    ))
}

pub(super) fn arg_max(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    with_number!(x, T => arg::<T>(call, x, |a, b| a > b))
}

pub(super) fn arg_min(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    with_number!(x, T => arg::<T>(call, x, |a, b| a < b))
}
