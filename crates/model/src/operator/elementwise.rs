//! Operators on elements: how inputs of different shapes go together, and the loops.

use std::sync::Arc;

use evenkeel_types::ErrorReason;

use crate::call::{Built, Known, Made, Refusal, Run, checked};
use crate::tensor::Element;

/// Which element of an input goes into each element of the output.
#[derive(Clone, Debug)]
pub(crate) enum Index {
    /// The one at the same place.
    Same,
    /// The only one.
    One,
    /// As listed.
    Table(Arc<[u32]>),
}

impl Index {
    #[inline(always)]
    pub(crate) fn of(&self, place: usize) -> usize {
        match self {
            Index::Same => place,
            Index::One => 0,
            Index::Table(table) => table[place] as usize,
        }
    }
}

/// The shape that inputs have together: of each dimension the greatest, where the others have it
/// too or are 1.
pub(crate) fn together(shapes: &[&[usize]]) -> Result<Vec<usize>, Refusal> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; rank];
    for shape in shapes {
        for (at, &size) in (rank - shape.len()..).zip(*shape) {
            if size != 1 && result[at] != 1 && result[at] != size {
                return Err(format!(
                    "has inputs of the shapes {shapes:?}, which do not go together"
                ));
            }
            if size != 1 {
                result[at] = size;
            }
        }
    }
    checked(result)
}

/// Where the elements of an input are for an output that it is stretched to.
pub(crate) fn stretched(shape: &[usize], output: &[usize]) -> Index {
    let count: usize = output.iter().product();
    let own: usize = shape.iter().product();
    if own == count {
        return Index::Same;
    }
    if own == 1 {
        return Index::One;
    }
    // Steps of the input for a step of each dimension of the output.
    let mut steps = vec![0; output.len()];
    let mut step = 1;
    for (at, &size) in (output.len() - shape.len()..output.len()).zip(shape).rev() {
        steps[at] = if size == 1 { 0 } else { step };
        step *= size;
    }
    Index::Table(walk(output, &steps, 0).into())
}

/// The places that a walk over a shape meets, from a first place, with a step for each dimension.
pub(crate) fn walk(shape: &[usize], steps: &[usize], first: usize) -> Vec<u32> {
    let mut places = vec![first];
    for (&size, &step) in shape.iter().zip(steps) {
        places = places
            .iter()
            .flat_map(|place| (0..size).map(move |i| place + i * step))
            .collect();
    }
    // Tensors have far fewer than 2^32 elements.
    places.into_iter().map(|place| place as u32).collect()
}

/// An operator of one input.
pub(crate) fn unary<T: Element, R: Element>(
    input: &Known,
    compute: impl Fn(&T) -> R + Send + Sync + 'static,
) -> Built {
    let run: Run = Box::new(move |inputs, outputs| {
        let output = R::of_mut(&mut outputs[0]);
        for (output, x) in output.iter_mut().zip(inputs.get::<T>(0)) {
            *output = compute(x);
        }
        Ok(())
    });
    let classes = input.classes.clone();
    Built::step(Made::of(R::KIND, input.shape.clone(), classes), run)
}

/// An operator of two inputs of one kind.
pub(crate) fn binary<T: Element, U: Element, R: Element>(
    a: &Known,
    b: &Known,
    compute: impl Fn(&T, &U) -> Result<R, ErrorReason> + Send + Sync + 'static,
) -> Result<Built, Refusal> {
    let shape = together(&[&a.shape, &b.shape])?;
    let (of_a, of_b) = (stretched(&a.shape, &shape), stretched(&b.shape, &shape));
    let run: Run = Box::new(move |inputs, outputs| {
        let (a, b) = (inputs.get::<T>(0), inputs.get::<U>(1));
        for (place, output) in R::of_mut(&mut outputs[0]).iter_mut().enumerate() {
            *output = compute(&a[of_a.of(place)], &b[of_b.of(place)])?;
        }
        Ok(())
    });
    Ok(Built::step(Made::new(R::KIND, shape), run))
}
