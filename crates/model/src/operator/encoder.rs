//! `OneHotEncoder`: a column for each category.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::ErrorReason;

use super::linear::f32_of;
use super::scaling::given;
use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Data, Element, Kind};

/// The columns of an element, by its category.
type Column = Box<dyn Fn(&Data, usize) -> Option<usize> + Send + Sync>;

fn of_texts(categories: Vec<Arc<str>>) -> Column {
    let places = first_places(categories);
    Box::new(move |x, at| places.get(&<Arc<str>>::of(x)[at]).copied())
}

fn of_numbers(x: &Known, categories: &[i64]) -> Result<Column, Refusal> {
    let places = first_places(categories.to_vec());
    // Fractions lose their digits.
    let read: fn(&Data, usize) -> Option<i64> = match x.kind {
        Kind::I64 => |x, at| Some(i64::of(x)[at]),
        Kind::I32 => |x, at| Some(i64::from(i32::of(x)[at])),
        Kind::F32 => |x, at| whole(f64::from(f32::of(x)[at])),
        Kind::F64 => |x, at| whole(f64::of(x)[at]),
        _ => return Err(not_of(x)),
    };
    Ok(Box::new(move |x, at| places.get(&read(x, at)?).copied()))
}

/// NaN is no category.
fn whole(x: f64) -> Option<i64> {
    (!x.is_nan()).then_some(x as i64)
}

fn first_places<T: Ord>(categories: Vec<T>) -> BTreeMap<T, usize> {
    let mut places = BTreeMap::new();
    for (place, category) in categories.into_iter().enumerate() {
        places.entry(category).or_insert(place);
    }
    places
}

pub(super) fn one_hot(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let (column, width): (Column, usize) = match given(call.texts("cats_strings")?) {
        Some(categories) if x.kind == Kind::Text => {
            let width = categories.len();
            (of_texts(categories), width)
        }
        Some(_) => return Err(not_of(x)),
        None => {
            let categories = call.ints("cats_int64s")?.ok_or("has no categories")?;
            (of_numbers(x, categories)?, categories.len())
        }
    };
    let zeros = call.int("zeros")?.unwrap_or(1) != 0;
    let mut shape = x.shape.clone();
    shape.push(width);
    let shape = checked(shape)?;
    let run: Run = Box::new(move |inputs, outputs| {
        let output = f32_of(&mut outputs[0]);
        output.fill(0.0);
        for (at, output) in output.chunks_exact_mut(width.max(1)).enumerate() {
            match column(inputs.data(0), at) {
                Some(place) => output[place] = 1.0,
                None if zeros => {}
                None => return Err(ErrorReason::InvalidArgument),
            }
        }
        Ok(())
    });
    Ok(Built::step(Made::new(Kind::F32, shape), run))
}
