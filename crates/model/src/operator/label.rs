//! Labels of classes, and tables from one value to another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scaling::given;
use crate::call::{Built, Call, Classes, Known, Made, Refusal, Run, not_of};
use crate::tensor::{Data, Element, Kind, with_element};

/// The classes of two attributes, whichever is given.
pub(super) fn classes(
    call: &Call<'_>,
    numbers: &str,
    texts: &str,
) -> Result<Option<Classes>, Refusal> {
    if let Some(texts) = given(call.texts(texts)?) {
        return Ok(Some(Classes::Texts(texts)));
    }
    let numbers = call.ints(numbers)?.filter(|numbers| !numbers.is_empty());
    Ok(numbers.map(|numbers| Classes::Numbers(numbers.to_vec())))
}

/// Writes the label of a row.
pub(super) fn put_label(classes: &Classes, class: usize, output: &mut Data, row: usize) {
    match classes {
        Classes::Numbers(numbers) => i64::of_mut(output)[row] = numbers[class],
        Classes::Texts(texts) => <Arc<str>>::of_mut(output)[row] = texts[class].clone(),
    }
}

/// A map per row is the row, with the names of its columns.
pub(super) fn zip_map(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let classes = classes(call, "classlabels_int64s", "classlabels_strings")?;
    let classes = classes.ok_or("has no class labels")?;
    if x.shape.last() != Some(&classes.len()) {
        return Err(format!("names {} classes of {:?}", classes.len(), x.shape));
    }
    Ok(Built::Known(vec![Known {
        classes: Some(Arc::new(classes)),
        ..x.clone()
    }]))
}

/// What elements are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    /// The bits of a canonical double.
    Float(u64),
    Text(Arc<str>),
}

fn float_key(x: f64) -> Key {
    Key::Float(evenkeel_types::canonical_f64(x).to_bits())
}

fn key_of(data: &Data, at: usize) -> Key {
    match data {
        Data::F32(values) => float_key(f64::from(values[at])),
        Data::F64(values) => float_key(values[at]),
        Data::I32(values) => Key::Number(i64::from(values[at])),
        Data::I64(values) => Key::Number(values[at]),
        Data::Bool(values) => Key::Number(i64::from(values[at])),
        Data::Text(values) => Key::Text(values[at].clone()),
    }
}

/// A step that looks elements up in a table, and takes a default where they are not in it.
fn looked_up(x: &Known, keys: &Data, values: Data, default: Data) -> Result<Built, Refusal> {
    if keys.len() != values.len() {
        return Err(format!(
            "has {} keys and {} values",
            keys.len(),
            values.len()
        ));
    }
    if default.len() != 1 || default.kind() != values.kind() {
        return Err("has a default that is no value".to_owned());
    }
    if keys.kind() != x.kind {
        return Err(not_of(x));
    }
    let mut places = BTreeMap::new();
    for at in 0..keys.len() {
        places.entry(key_of(keys, at)).or_insert(at);
    }
    fn run<T: Element>(places: BTreeMap<Key, usize>, values: Data, default: Data) -> Run {
        Box::new(move |inputs, outputs| {
            let x = inputs.data(0);
            for (at, output) in T::of_mut(&mut outputs[0]).iter_mut().enumerate() {
                *output = match places.get(&key_of(x, at)) {
                    Some(place) => T::of(&values)[*place].clone(),
                    None => T::of(&default)[0].clone(),
                };
            }
            Ok(())
        })
    }
    let kind = values.kind();
    let run = with_element!(kind, T => run::<T>(places, values, default));
    Ok(Built::step(Made::new(kind, x.shape.clone()), run))
}

/// Keys or values, under whichever attribute.
fn column(call: &Call<'_>, of: &str) -> Result<Option<Data>, Refusal> {
    if let Some(tensor) = call.tensor(&format!("{of}_tensor"))? {
        return Ok(Some(tensor.data));
    }
    if let Some(texts) = given(call.texts(&format!("{of}_strings"))?) {
        return Ok(Some(Data::Text(texts)));
    }
    if let Some(numbers) = call
        .ints(&format!("{of}_int64s"))?
        .filter(|n| !n.is_empty())
    {
        return Ok(Some(Data::I64(numbers.to_vec())));
    }
    let floats = call.floats(&format!("{of}_floats"))?;
    Ok(floats
        .filter(|f| !f.is_empty())
        .map(|floats| Data::F32(floats.to_vec())))
}

const UNUSED: &str = "_Unused";

pub(super) fn label_encoder(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    // Of the first version: a text is the number of its place, and the other way round.
    if let Some(classes) = given(call.texts("classes_strings")?) {
        let numbers = Data::I64((0..).take(classes.len()).collect());
        return two_ways(call, x, numbers, Data::Text(classes));
    }
    let keys = column(call, "keys")?.ok_or("has no keys")?;
    let values = column(call, "values")?.ok_or("has no values")?;
    let default = match (call.tensor("default_tensor")?, &values) {
        (Some(tensor), _) => tensor.data,
        (None, Data::I64(_)) => Data::I64(vec![call.int("default_int64")?.unwrap_or(-1)]),
        (None, Data::Text(_)) => {
            Data::Text(vec![call.text("default_string")?.unwrap_or(UNUSED).into()])
        }
        (None, Data::F32(_)) => Data::F32(vec![call.float("default_float")?.unwrap_or(-0.0)]),
        (None, other) => Data::zeros(other.kind(), 1),
    };
    // Keys are floats where they are written as such, whatever the input is.
    let keys = match (keys, x.kind) {
        (Data::F32(keys), Kind::F64) => Data::F64(keys.into_iter().map(f64::from).collect()),
        (keys, _) => keys,
    };
    looked_up(x, &keys, values, default)
}

pub(super) fn category_mapper(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let numbers = call
        .ints("cats_int64s")?
        .ok_or("has no numbers of categories")?;
    let texts = call
        .texts("cats_strings")?
        .ok_or("has no texts of categories")?;
    two_ways(call, x, Data::I64(numbers.to_vec()), Data::Text(texts))
}

/// Texts to numbers, or numbers to texts, as the input is.
fn two_ways(call: &Call<'_>, x: &Known, numbers: Data, texts: Data) -> Result<Built, Refusal> {
    if x.kind == Kind::Text {
        let default = Data::I64(vec![call.int("default_int64")?.unwrap_or(-1)]);
        return looked_up(x, &texts, numbers, default);
    }
    let default = Data::Text(vec![call.text("default_string")?.unwrap_or(UNUSED).into()]);
    looked_up(x, &numbers, texts, default)
}
