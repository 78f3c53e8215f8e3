//! Elements picked by indices, which may be computed.
//!
//! An index outside of the axis is the error of the row.

use evenkeel_types::ErrorReason;

use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Data, Element, Kind, with_element};

/// An index of an axis, which counts from the back where it is negative.
fn place(index: i64, size: usize) -> Result<usize, ErrorReason> {
    let from_front = if index < 0 {
        // No axis comes near 2^63.
        index.saturating_add(size as i64)
    } else {
        index
    };
    let place = usize::try_from(from_front).ok();
    let place = place.filter(|place| *place < size);
    place.ok_or(ErrorReason::InvalidArgument)
}

/// The indices, whichever kind of integer they are.
fn index_of(indices: &Data, at: usize) -> i64 {
    match indices {
        Data::I64(indices) => indices[at],
        Data::I32(indices) => i64::from(indices[at]),
        other => unreachable!("indices of {:?} were compiled", other.kind()),
    }
}

fn check_indices(indices: &Known) -> Result<(), Refusal> {
    match indices.kind {
        Kind::I32 | Kind::I64 => Ok(()),
        _ => Err(not_of(indices)),
    }
}

fn gathered<T: Element>(axis: usize, x: &Known, indices: &Known) -> Result<Built, Refusal> {
    let size = x.shape[axis];
    let before: usize = x.shape[..axis].iter().product();
    let behind: usize = x.shape[axis + 1..].iter().product();
    let mut shape = x.shape[..axis].to_vec();
    shape.extend(&indices.shape);
    shape.extend(&x.shape[axis + 1..]);
    let shape = checked(shape)?;
    let count = indices.len();
    let run: Run = Box::new(move |inputs, outputs| {
        let (x, indices) = (inputs.get::<T>(0), inputs.data(1));
        let output = T::of_mut(&mut outputs[0]);
        for at in 0..count {
            let place = place(index_of(indices, at), size)?;
            for part in 0..before {
                let from = (part * size + place) * behind;
                let to = (part * count + at) * behind;
                output[to..to + behind].clone_from_slice(&x[from..from + behind]);
            }
        }
        Ok(())
    });
    Ok(Built::step(Made::new(T::KIND, shape), run))
}

pub(super) fn gather(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (x, indices) = (call.input(0)?, call.input(1)?);
    check_indices(indices)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.shape.len())?;
    with_element!(x.kind, T => gathered::<T>(axis, x, indices))
}

fn elements_of<T: Element>(axis: usize, x: &Known, indices: &Known) -> Built {
    let (own, size) = (super::shape::steps(&x.shape), x.shape[axis]);
    // Where each element of the output is in the input, but for the axis that is picked.
    let mut others = own.clone();
    others[axis] = 0;
    let bases = super::elementwise::walk(&indices.shape, &others, 0);
    let step = own[axis];
    let run: Run = Box::new(move |inputs, outputs| {
        let (x, indices) = (inputs.get::<T>(0), inputs.data(1));
        let output = T::of_mut(&mut outputs[0]);
        for (at, (output, base)) in output.iter_mut().zip(&bases).enumerate() {
            let place = place(index_of(indices, at), size)?;
            *output = x[*base as usize + place * step].clone();
        }
        Ok(())
    });
    Built::step(Made::new(T::KIND, indices.shape.clone()), run)
}

pub(super) fn gather_elements(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (x, indices) = (call.input(0)?, call.input(1)?);
    check_indices(indices)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.shape.len())?;
    let fits = indices.shape.len() == x.shape.len()
        && (0..x.shape.len()).all(|at| at == axis || indices.shape[at] <= x.shape[at]);
    if !fits {
        return Err(format!("cannot pick {:?} of {:?}", indices.shape, x.shape));
    }
    Ok(with_element!(x.kind, T => elements_of::<T>(axis, x, indices)))
}

/// Columns of the last axis.
pub(super) fn array_feature_extractor(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (x, indices) = (call.input(0)?, call.input(1)?);
    check_indices(indices)?;
    // A list is a row of columns, and indices are a list, however they are written.
    let x = match x.shape[..] {
        [] => return Err(not_of(x)),
        [columns] => x.reshaped(vec![1, columns]),
        _ => x.clone(),
    };
    let indices = indices.reshaped(vec![indices.len()]);
    let axis = x.shape.len() - 1;
    with_element!(x.kind, T => gathered::<T>(axis, &x, &indices))
}
