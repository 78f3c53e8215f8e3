//! Calls of functions that are not of the closed list.
//!
//! Owns what holds for all of them, whatever they do: the leftmost ERROR among a row's arguments
//! is its result, and the function is not asked for that row; results are canonical. Invariant:
//! the row loop and the batch loop ask for the same rows, so they give the same bits if the
//! function does.

use evenkeel_types::{
    Column, ColumnData, External, NO_SLOT, SLOT_PRESENT, Value, canonical_f32, canonical_f64,
};

use crate::kernel::{Operand, error_states, first_error};

/// One row.
pub(crate) fn row(function: &External, args: &[&Value]) -> Value {
    if let Some(error) = first_error(args) {
        return error.into();
    }
    match function.evaluate_row(args) {
        Value::Float(x) => Value::float(x),
        Value::Double(x) => Value::double(x),
        other => other,
    }
}

/// `length` rows.
///
/// # Panics
/// If the function does not answer one value of its result's type per row.
pub(crate) fn batch(function: &External, args: Vec<Operand<'_>>, length: usize) -> Column {
    let signature = function.signature();
    let errors = error_states(&args, length);
    let parameters = signature.parameters.iter();
    let arguments: Vec<Column> = args
        .into_iter()
        .zip(parameters)
        .map(|(arg, parameter)| match arg {
            Operand::Column(column) => column.into_owned(),
            Operand::Constant(value) => Column::repeat(&parameter.data_type, &value, length),
        })
        .collect();
    let is_error = |slot: usize| errors.get(slot).is_some_and(|state| *state != SLOT_PRESENT);
    if !(0..length).any(is_error) {
        return evaluate(function, &arguments, length);
    }
    // Row numbers of a batch have 32 bits.
    let asked: Vec<u32> = (0..length)
        .filter(|&slot| !is_error(slot))
        .map(|slot| slot as u32)
        .collect();
    let arguments: Vec<Column> = arguments.iter().map(|a| a.gather(&asked)).collect();
    let answers = evaluate(function, &arguments, asked.len());
    let mut places = vec![NO_SLOT; length];
    for (place, slot) in (0u32..).zip(&asked) {
        places[*slot as usize] = place;
    }
    let (values, mut states) = answers.gather_optional(&places).into_parts();
    states.resize(length, SLOT_PRESENT);
    for (state, error) in states.iter_mut().zip(errors) {
        if error != SLOT_PRESENT {
            *state = error;
        }
    }
    Column::from_parts(values, states)
}

fn evaluate(function: &External, arguments: &[Column], rows: usize) -> Column {
    let expected = Column::new(&function.signature().result);
    if rows == 0 {
        return expected;
    }
    let (mut values, states) = function.evaluate(arguments, rows).into_parts();
    match &mut values {
        ColumnData::Float(values) => values.iter_mut().for_each(|x| *x = canonical_f32(*x)),
        ColumnData::Double(values) => values.iter_mut().for_each(|x| *x = canonical_f64(*x)),
        _ => {}
    }
    let answers = Column::from_parts(values, states);
    assert!(
        answers.len() == rows && answers.has_type_of(&expected),
        "one value of the result's type per row"
    );
    answers
}
