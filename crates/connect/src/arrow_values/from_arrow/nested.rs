//! Lists, vectors and structs.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as ArrowType;
use evenkeel_types::{DataType, Field, Value};

use super::{Converted, Slots, convert};
use crate::strings::Strings;
use crate::value::{Context, ValueError, vector};

/// One value per slot; `None` if the array holds nothing of the kind.
///
/// # Errors
/// If the elements or fields are not read as the declared ones.
pub(super) fn nested(
    array: &dyn Array,
    target: &DataType,
    context: &Context<'_>,
    strings: &mut Strings,
    slots: &mut Slots,
) -> Result<Option<Vec<Value>>, String> {
    match target {
        DataType::Struct(fields) => structs(array, fields, context, strings, slots),
        DataType::Array(element) | DataType::Vector { element, .. } => {
            lists(array, target, element, context, strings, slots)
        }
        _ => Ok(None),
    }
}

fn lists(
    array: &dyn Array,
    target: &DataType,
    element: &DataType,
    context: &Context<'_>,
    strings: &mut Strings,
    slots: &mut Slots,
) -> Result<Option<Vec<Value>>, String> {
    if let (ArrowType::FixedSizeList(_, found), DataType::Vector { length, .. }) =
        (array.data_type(), target)
        && i64::from(*found) != i64::from(*length)
    {
        return Err(format!("its vectors have {found} elements"));
    }
    let Some((elements, ranges)) = list_parts(array) else {
        return Ok(None);
    };
    let elements = convert(elements.as_ref(), element, context, strings)
        .map_err(|reason| format!("of its elements, {reason}"))?;
    let nulls = array.logical_nulls();
    let mut values = Vec::with_capacity(ranges.len());
    for (i, range) in ranges.into_iter().enumerate() {
        let value = if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
            slots.set_null(i);
            Ok(Value::Null)
        } else if let Some(error) = error_in(&elements, &range) {
            Err(error)
        } else {
            let list: Vec<Value> = range.map(|j| elements.column.get(j)).collect();
            match target {
                DataType::Vector { length, .. } => vector(target, *length, list),
                _ => Ok(Value::Array(list.into())),
            }
        };
        values.push(value.unwrap_or_else(|error| {
            slots.fail(i, error);
            Value::Null
        }));
    }
    Ok(Some(values))
}

/// The elements of all slots, and which of them each slot has.
pub(crate) fn list_parts(array: &dyn Array) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    fn ranges<O: Copy + Into<i64>>(offsets: &[O]) -> Vec<Range<usize>> {
        // Arrow guarantees that offsets are ascending and not negative.
        let at = |offset: O| usize::try_from(offset.into()).unwrap_or(0);
        offsets.windows(2).map(|w| at(w[0])..at(w[1])).collect()
    }
    Some(match array.data_type() {
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            (list.values().clone(), ranges(list.value_offsets()))
        }
        ArrowType::LargeList(_) => {
            let list = array.as_list::<i64>();
            (list.values().clone(), ranges(list.value_offsets()))
        }
        ArrowType::FixedSizeList(_, length) => {
            let list = array.as_fixed_size_list();
            let length = usize::try_from(*length).ok()?;
            let ranges = (0..list.len())
                .map(|i| i * length..(i + 1) * length)
                .collect();
            (list.values().clone(), ranges)
        }
        _ => return None,
    })
}

fn error_in(elements: &Converted, range: &Range<usize>) -> Option<ValueError> {
    let first = elements.errors.partition_point(|(i, _)| *i < range.start);
    elements
        .errors
        .get(first)
        .filter(|(i, _)| *i < range.end)
        .map(|(_, error)| error.clone())
}

fn structs(
    array: &dyn Array,
    fields: &[Field],
    context: &Context<'_>,
    strings: &mut Strings,
    slots: &mut Slots,
) -> Result<Option<Vec<Value>>, String> {
    let Some(array) = array.as_struct_opt() else {
        return Ok(None);
    };
    if let Some(unknown) = array
        .column_names()
        .into_iter()
        .find(|name| fields.iter().all(|f| f.name != *name))
    {
        return Err(format!("its field `{unknown}` is not declared"));
    }
    let columns = fields
        .iter()
        .map(|field| {
            let child = array
                .column_by_name(&field.name)
                .ok_or_else(|| format!("it has no field `{}`", field.name))?;
            convert(child.as_ref(), &field.data_type, context, strings)
                .map_err(|reason| format!("of its field `{}`, {reason}", field.name))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut values = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        if array.is_null(i) {
            slots.set_null(i);
            values.push(Value::Null);
        } else if let Some(error) = columns.iter().find_map(|c| error_in(c, &(i..i + 1))) {
            slots.fail(i, error);
            values.push(Value::Null);
        } else {
            let fields: Vec<Value> = columns.iter().map(|c| c.column.get(i)).collect();
            values.push(Value::Struct(fields.into()));
        }
    }
    Ok(Some(values))
}
