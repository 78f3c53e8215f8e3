//! What changes the shape of values or picks elements at fixed places, and what is known of
//! shapes. As every row is a batch of its own, all shapes are known when a graph is compiled.

use super::elementwise::{stretched, walk};
use crate::call::{Built, Call, Known, Made, Refusal, Run, axis_of, checked};
use crate::tensor::{Data, Element, Tensor, with_element};

/// Elements of the inputs at fixed places: which input, which element.
type Picks = Vec<(u32, u32)>;

/// A step that picks elements; of one input where `picks` says nothing else.
pub(super) fn pick(of: &Known, shape: Vec<usize>, picks: Picks) -> Built {
    fn run<T: Element>(picks: Picks) -> Run {
        Box::new(move |inputs, outputs| {
            let output = T::of_mut(&mut outputs[0]);
            for (output, (input, element)) in output.iter_mut().zip(&picks) {
                *output = inputs.get::<T>(*input as usize)[*element as usize].clone();
            }
            Ok(())
        })
    }
    let run = with_element!(of.kind, T => run::<T>(picks));
    Built::step(Made::new(of.kind, shape), run)
}

/// Picks of one input.
fn of_first(places: Vec<u32>) -> Picks {
    places.into_iter().map(|place| (0, place)).collect()
}

/// How far it is from one element to the next, for each dimension.
pub(super) fn steps(shape: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        steps[at - 1] = steps[at] * shape[at];
    }
    steps
}

pub(super) fn identity(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    Ok(Built::Known(vec![call.input(0)?.clone()]))
}

/// Nothing is dropped when a model is applied.
pub(super) fn dropout(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(3)?;
    if let Some(training) = call.optional(2)
        && training.elements::<bool>() != Some(&[false])
    {
        return Err("is in training mode".to_owned());
    }
    let x = call.input(0)?;
    let mask = Known::constant(x.shape.clone(), Data::Bool(vec![true; x.len()]));
    Ok(Built::Known(vec![x.clone(), mask]))
}

fn known(tensor: Tensor) -> Built {
    Built::Known(vec![Known::constant(tensor.shape, tensor.data)])
}

pub(super) fn constant(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(0)?;
    let one = |data: Data| Tensor {
        shape: Vec::new(),
        data,
    };
    let list = |data: Data| Tensor {
        shape: vec![data.len()],
        data,
    };
    if let Some(tensor) = call.tensor("value")? {
        return Ok(known(tensor));
    }
    if let Some(value) = call.float("value_float")? {
        return Ok(known(one(Data::F32(vec![value]))));
    }
    if let Some(value) = call.int("value_int")? {
        return Ok(known(one(Data::I64(vec![value]))));
    }
    if let Some(value) = call.text("value_string")? {
        return Ok(known(one(Data::Text(vec![value.into()]))));
    }
    if let Some(values) = call.floats("value_floats")? {
        return Ok(known(list(Data::F32(values.to_vec()))));
    }
    if let Some(values) = call.ints("value_ints")? {
        return Ok(known(list(Data::I64(values.to_vec()))));
    }
    match call.texts("value_strings")? {
        Some(values) => Ok(known(list(Data::Text(values)))),
        None => Err("has no value".to_owned()),
    }
}

fn sizes(dims: &[i64]) -> Result<Vec<usize>, Refusal> {
    let sizes = dims.iter().map(|d| usize::try_from(*d));
    let sizes = sizes.collect::<Result<Vec<usize>, _>>();
    checked(sizes.map_err(|_| format!("makes a value of the shape {dims:?}"))?)
}

/// The only element of a value, so many times.
fn filled<T: Element>(value: &Data, count: usize) -> Data {
    T::data(vec![T::of(value)[0].clone(); count])
}

pub(super) fn constant_of_shape(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let dims = call.constant_ints(0)?.ok_or("lacks its shape")?;
    let shape = sizes(&dims)?;
    let value = call.tensor("value")?.map(|tensor| tensor.data);
    let value = value.unwrap_or(Data::F32(vec![0.0]));
    if value.len() != 1 {
        return Err("has a value of several elements".to_owned());
    }
    let count = shape.iter().product();
    let data = with_element!(value.kind(), T => filled::<T>(&value, count));
    Ok(Built::Known(vec![Known::constant(shape, data)]))
}

pub(super) fn shape(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let shape = &call.input(0)?.shape;
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize, Refusal> {
        let at = call.int(name)?.unwrap_or(default);
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        Ok(at.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let dims: Vec<i64> = shape[start..end.max(start)]
        .iter()
        .map(|d| *d as i64)
        .collect();
    Ok(Built::Known(vec![Known::constant(
        vec![dims.len()],
        Data::I64(dims),
    )]))
}

pub(super) fn reshape(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let dims = call.constant_ints(1)?.ok_or("lacks its shape")?;
    let zero_is_zero = call.flag("allowzero")?;
    let mut shape = Vec::with_capacity(dims.len());
    let mut free = None;
    for (at, &dim) in dims.iter().enumerate() {
        shape.push(match dim {
            0 if !zero_is_zero => {
                let same = x.shape.get(at).copied();
                same.ok_or_else(|| format!("cannot give {:?} the shape {dims:?}", x.shape))?
            }
            -1 if free.is_none() => {
                free = Some(at);
                1
            }
            dim => usize::try_from(dim).map_err(|_| format!("has the shape {dims:?}"))?,
        });
    }
    let mut shape = checked(shape)?;
    let count: usize = shape.iter().product();
    if let Some(free) = free
        && count > 0
    {
        shape[free] = x.len() / count;
    }
    if shape.iter().product::<usize>() != x.len() {
        return Err(format!("cannot give {:?} the shape {dims:?}", x.shape));
    }
    Ok(Built::Known(vec![x.reshaped(shape)]))
}

pub(super) fn flatten(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let rank = x.shape.len();
    let axis = call.int("axis")?.unwrap_or(1);
    let axis = if axis == rank as i64 {
        rank
    } else {
        axis_of(axis, rank)?
    };
    let (before, after) = x.shape.split_at(axis);
    let shape = vec![before.iter().product(), after.iter().product()];
    Ok(Built::Known(vec![x.reshaped(shape)]))
}

/// Axes, which are an attribute in old versions and an input since.
pub(super) fn axes(call: &Call<'_>) -> Result<Option<Vec<i64>>, Refusal> {
    match call.ints("axes")? {
        Some(axes) => Ok(Some(axes.to_vec())),
        None => call.constant_ints(1),
    }
}

pub(super) fn squeeze(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let mut drop: Vec<bool> = x.shape.iter().map(|size| *size == 1).collect();
    if let Some(axes) = axes(call)? {
        drop = vec![false; x.shape.len()];
        for axis in axes {
            let axis = call.axis(axis, x.shape.len())?;
            if x.shape[axis] != 1 {
                return Err(format!("cannot leave the axis {axis} of {:?} out", x.shape));
            }
            drop[axis] = true;
        }
    }
    let kept = x.shape.iter().zip(drop).filter(|(_, drop)| !drop);
    Ok(Built::Known(vec![
        x.reshaped(kept.map(|(size, _)| *size).collect()),
    ]))
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let axes = axes(call)?.ok_or("lacks its axes")?;
    let rank = x.shape.len().saturating_add(axes.len());
    checked(vec![1; rank])?;
    let mut is_new = vec![false; rank];
    for axis in axes {
        let axis = call.axis(axis, rank)?;
        if std::mem::replace(&mut is_new[axis], true) {
            return Err(format!("has the axis {axis} twice"));
        }
    }
    let mut sizes = x.shape.iter();
    let shape = is_new.iter().map(|is_new| match is_new {
        true => 1,
        false => sizes.next().copied().unwrap_or(1),
    });
    Ok(Built::Known(vec![x.reshaped(shape.collect())]))
}

pub(super) fn transpose(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let rank = x.shape.len();
    let order: Vec<usize> = match call.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(axes) => axes
            .iter()
            .map(|axis| call.axis(*axis, rank))
            .collect::<Result<_, _>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(format!("has the order {order:?} of {rank} dimensions"));
    }
    let steps = steps(&x.shape);
    let shape = checked(order.iter().map(|axis| x.shape[*axis]).collect())?;
    let steps: Vec<usize> = order.iter().map(|axis| steps[*axis]).collect();
    let places = walk(&shape, &steps, 0);
    Ok(pick(x, shape, of_first(places)))
}

pub(super) fn expand(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let dims = call.constant_ints(1)?.ok_or("lacks its shape")?;
    let wanted = sizes(&dims)?;
    let shape = super::elementwise::together(&[&x.shape, &wanted])?;
    let index = stretched(&x.shape, &shape);
    let count = shape.iter().product();
    let picks = (0..count)
        .map(|place| (0, index.of(place) as u32))
        .collect();
    Ok(pick(x, shape, picks))
}

pub(super) fn concat(call: &Call<'_>) -> Result<Built, Refusal> {
    let first = call.input(0)?;
    let axis = call.int("axis")?.ok_or("lacks its axis")?;
    let axis = call.axis(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    let mut inputs = Vec::with_capacity(call.inputs.len());
    for index in 0..call.inputs.len() {
        let input = call.input(index)?;
        let mut other = input.shape.clone();
        let size = other.get(axis).copied().unwrap_or(0);
        if let Some(size) = other.get_mut(axis) {
            *size = shape[axis];
        }
        if input.kind != first.kind || other != shape {
            return Err(format!(
                "cannot put {:?} behind {:?}",
                input.shape, first.shape
            ));
        }
        shape[axis] = shape[axis].saturating_add(size);
        inputs.push(input);
    }
    let shape = checked(shape)?;
    let before: usize = shape[..axis].iter().product();
    let behind: usize = shape[axis + 1..].iter().product();
    let mut picks = Vec::with_capacity(shape.iter().product());
    for part in 0..before {
        for (index, input) in (0u32..).zip(&inputs) {
            let length = input.shape[axis] * behind;
            picks.extend((part * length..(part + 1) * length).map(|at| (index, at as u32)));
        }
    }
    Ok(pick(first, shape, picks))
}

/// Where a slice begins, how many elements it has, and the step between them.
fn range(start: i64, end: i64, step: i64, size: usize) -> Result<(i64, usize), Refusal> {
    let size = size as i64;
    let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = (from_front(start), from_front(end));
    let (start, length) = match step {
        0 => return Err("has a step of 0".to_owned()),
        1.. => {
            let (start, end) = (start.clamp(0, size), end.clamp(0, size));
            (start, (end - start).max(0) as u64)
        }
        _ => {
            let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
            (start, (start - end).max(0) as u64)
        }
    };
    Ok((start, length.div_ceil(step.unsigned_abs()) as usize))
}

pub(super) fn slice(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(5)?;
    let x = call.input(0)?;
    // Attributes in old versions, inputs since.
    let list = |name: &str, index: usize| match call.ints(name)? {
        Some(values) => Ok(Some(values.to_vec())),
        None => call.constant_ints(index),
    };
    let starts = list("starts", 1)?.ok_or("lacks its starts")?;
    let ends = list("ends", 2)?.ok_or("lacks its ends")?;
    let axes = list("axes", 3)?.unwrap_or_else(|| (0i64..).take(starts.len()).collect());
    let strides = call
        .constant_ints(4)?
        .unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), strides.len()] != [starts.len(); 3] {
        return Err("has starts, ends, axes and steps of different lengths".to_owned());
    }
    let own = steps(&x.shape);
    let mut shape = x.shape.clone();
    // Which places of each axis are taken.
    let mut taken: Vec<Vec<usize>> = shape.iter().map(|size| (0..*size).collect()).collect();
    for (((start, end), axis), stride) in starts.iter().zip(&ends).zip(&axes).zip(&strides) {
        let axis = call.axis(*axis, x.shape.len())?;
        let (first, length) = range(*start, *end, *stride, x.shape[axis])?;
        shape[axis] = length;
        // Within the axis, as `range` cuts it.
        taken[axis] = (0..length as i64)
            .map(|i| (first + i * stride) as usize)
            .collect();
    }
    let shape = checked(shape)?;
    let mut places = vec![0usize];
    for (taken, step) in taken.iter().zip(&own) {
        places = places
            .iter()
            .flat_map(|place| taken.iter().map(move |at| place + at * step))
            .collect();
    }
    let picks = places.into_iter().map(|place| (0, place as u32)).collect();
    Ok(pick(x, shape, picks))
}

pub(super) fn split(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.shape.len())?;
    let sizes: Vec<usize> = match call.ints("split")? {
        Some(sizes) => to_sizes(sizes)?,
        None => match call.constant_ints(1)? {
            Some(sizes) => to_sizes(&sizes)?,
            None => equal_parts(x.shape[axis], call.node.outputs.len()),
        },
    };
    let total = sizes.iter().try_fold(0usize, |a, b| a.checked_add(*b));
    if total != Some(x.shape[axis]) || sizes.len() != call.node.outputs.len() {
        return Err(format!("cannot split {:?} into {sizes:?}", x.shape));
    }
    let own = steps(&x.shape);
    let mut outputs = Vec::new();
    let mut places: Vec<Vec<u32>> = Vec::new();
    let mut first = 0;
    for size in sizes {
        let mut shape = x.shape.clone();
        shape[axis] = size;
        let shape = checked(shape)?;
        places.push(walk(&shape, &own, first * own[axis]));
        outputs.push(Made::new(x.kind, shape));
        first += size;
    }
    fn run<T: Element>(places: Vec<Vec<u32>>) -> Run {
        Box::new(move |inputs, outputs| {
            for (output, places) in outputs.iter_mut().zip(&places) {
                for (output, place) in T::of_mut(output).iter_mut().zip(places) {
                    *output = inputs.get::<T>(0)[*place as usize].clone();
                }
            }
            Ok(())
        })
    }
    let run = with_element!(x.kind, T => run::<T>(places));
    Ok(Built::Step {
        outputs,
        run,
        work: x.len(),
    })
}

fn to_sizes(sizes: &[i64]) -> Result<Vec<usize>, Refusal> {
    let converted = sizes.iter().map(|size| usize::try_from(*size));
    let converted = converted.collect::<Result<_, _>>();
    converted.map_err(|_| format!("has parts of {sizes:?}"))
}

/// Parts of one size, the last of what is left.
fn equal_parts(size: usize, parts: usize) -> Vec<usize> {
    let each = size.div_ceil(parts.max(1));
    (0..parts)
        .map(|part| each.min(size.saturating_sub(part * each)))
        .collect()
}
