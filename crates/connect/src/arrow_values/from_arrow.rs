//! Arrow arrays into columns of declared types.
//!
//! Whether a type can be read as another depends on the two types alone: an array of no
//! slots is converted or refused like one of a million. Single values that do not fit are
//! errors of their slots.

mod nested;
mod numbers;
mod scalars;
mod times;

pub(crate) use nested::list_parts;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType as ArrowType;
use evenkeel_types::{Column, ColumnData, DataType, Field, SLOT_NULL, SLOT_PRESENT, Value};

use crate::strings::Strings;
use crate::value::{Context, ValueError};

/// A column and what was wrong with some of its slots (ascending); these are NULL.
pub(crate) struct Converted {
    pub(crate) column: Column,
    pub(crate) errors: Vec<(usize, ValueError)>,
}

/// The type whose values an arrow type holds without loss; none if there is none.
pub(crate) fn natural_type(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int8
        | ArrowType::Int16
        | ArrowType::Int32
        | ArrowType::UInt8
        | ArrowType::UInt16 => DataType::Int,
        ArrowType::Int64 | ArrowType::UInt32 | ArrowType::UInt64 => DataType::BigInt,
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float,
        ArrowType::Float64 => DataType::Double,
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale) => {
            let scale = u8::try_from(*scale).ok().filter(|s| s <= precision)?;
            DataType::Decimal {
                precision: *precision,
                scale,
            }
        }
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
        ArrowType::Binary
        | ArrowType::LargeBinary
        | ArrowType::BinaryView
        | ArrowType::FixedSizeBinary(_) => DataType::Bytes,
        ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
        ArrowType::Timestamp(_, _) => DataType::Timestamp,
        ArrowType::Dictionary(_, values) => natural_type(values).filter(DataType::is_scalar)?,
        ArrowType::FixedSizeList(element, length) => {
            let element = natural_type(element.data_type())?;
            match u32::try_from(*length) {
                Ok(length) if element.is_float() && length > 0 => DataType::Vector {
                    element: Box::new(element),
                    length,
                },
                _ => storable_array(element)?,
            }
        }
        ArrowType::List(element) | ArrowType::LargeList(element) => {
            storable_array(natural_element(element.data_type())?)?
        }
        _ => return None,
    })
}

fn natural_element(arrow: &ArrowType) -> Option<DataType> {
    match arrow {
        ArrowType::Struct(fields) => Some(DataType::Struct(
            fields
                .iter()
                .map(|f| Some(Field::new(f.name(), natural_type(f.data_type())?)))
                .collect::<Option<_>>()?,
        )),
        other => natural_type(other),
    }
}

fn storable_array(element: DataType) -> Option<DataType> {
    Some(DataType::Array(Box::new(element))).filter(DataType::is_storable)
}

/// The states of the slots that are being converted.
struct Slots {
    length: usize,
    /// Empty while every slot is present.
    states: Vec<u8>,
    errors: Vec<(usize, ValueError)>,
}

impl Slots {
    fn new(length: usize) -> Self {
        Slots {
            length,
            states: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn set_null(&mut self, i: usize) {
        if self.states.is_empty() {
            self.states = vec![SLOT_PRESENT; self.length];
        }
        self.states[i] = SLOT_NULL;
    }

    fn fail(&mut self, i: usize, error: ValueError) {
        self.set_null(i);
        self.errors.push((i, error));
    }

    /// One value per slot of an array; a slot that is NULL, or whose value is an error, has
    /// a placeholder.
    fn read<T: Default>(
        &mut self,
        array: &dyn Array,
        mut get: impl FnMut(usize) -> Result<T, ValueError>,
    ) -> Vec<T> {
        let nulls = array.logical_nulls().filter(|n| n.null_count() > 0);
        let mut values = Vec::with_capacity(self.length);
        for i in 0..self.length {
            if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
                self.set_null(i);
                values.push(T::default());
                continue;
            }
            values.push(get(i).unwrap_or_else(|error| {
                self.fail(i, error);
                T::default()
            }));
        }
        values
    }
}

/// Converts an array into a column of a type.
///
/// # Errors
/// The reason, if values of the array's type are not read as the type at all.
pub(crate) fn convert(
    array: &dyn Array,
    target: &DataType,
    context: &Context<'_>,
    strings: &mut Strings,
) -> Result<Converted, String> {
    match array.data_type() {
        ArrowType::Null => {
            return Ok(Converted {
                column: Column::repeat(target, &Value::Null, array.len()),
                errors: Vec::new(),
            });
        }
        ArrowType::Dictionary(_, _) => return dictionary(array, target, context, strings),
        _ => {}
    }
    if let Some(data) = numbers::as_they_are(array, target) {
        return Ok(Converted {
            column: Column::from_parts(data, states_of(array)),
            errors: Vec::new(),
        });
    }
    let mut slots = Slots::new(array.len());
    let data = match target {
        DataType::Boolean => scalars::booleans(array, &mut slots).map(ColumnData::Boolean),
        DataType::Int => numbers::integers(array, target, &mut slots, |x| i32::try_from(x).ok())
            .map(ColumnData::Int),
        DataType::BigInt => numbers::integers(array, target, &mut slots, |x| i64::try_from(x).ok())
            .map(ColumnData::BigInt),
        DataType::Float => numbers::floats(array, &mut slots).map(ColumnData::Float),
        DataType::Double => numbers::doubles(array, &mut slots).map(ColumnData::Double),
        DataType::Decimal { precision, scale } => {
            numbers::decimals(array, target, *precision, *scale, &mut slots)
                .map(ColumnData::Decimal)
        }
        DataType::String => scalars::strings(array, &mut slots, strings).map(ColumnData::String),
        DataType::Bytes => scalars::bytes(array, &mut slots).map(ColumnData::Bytes),
        DataType::Date => times::dates(array, &mut slots).map(ColumnData::Date),
        DataType::Timestamp => {
            times::timestamps(array, context, &mut slots)?.map(ColumnData::Timestamp)
        }
        DataType::Array(_) | DataType::Vector { .. } | DataType::Struct(_) => {
            nested::nested(array, target, context, strings, &mut slots)?.map(ColumnData::Nested)
        }
        DataType::Interval | DataType::Null => None,
    };
    let data = data.ok_or_else(|| match natural_type(array.data_type()) {
        Some(natural) => format!("declare it as {natural}"),
        None => "no type holds such values".to_owned(),
    })?;
    Ok(Converted {
        column: Column::from_parts(data, slots.states),
        errors: slots.errors,
    })
}

/// Empty if no slot is NULL.
fn states_of(array: &dyn Array) -> Vec<u8> {
    match array.logical_nulls().filter(|n| n.null_count() > 0) {
        None => Vec::new(),
        Some(nulls) => nulls
            .iter()
            .map(|present| if present { SLOT_PRESENT } else { SLOT_NULL })
            .collect(),
    }
}

/// Converts the values of a dictionary once, and looks them up.
fn dictionary(
    array: &dyn Array,
    target: &DataType,
    context: &Context<'_>,
    strings: &mut Strings,
) -> Result<Converted, String> {
    let dictionary = array.as_any_dictionary();
    let values = convert(dictionary.values().as_ref(), target, context, strings)?;
    if dictionary.values().is_empty() {
        return Ok(Converted {
            column: Column::repeat(target, &Value::Null, array.len()),
            errors: Vec::new(),
        });
    }
    // A key that is NULL comes out as some key or other.
    let indices: Vec<u32> = dictionary
        .normalized_keys()
        .into_iter()
        .map(|key| u32::try_from(key).map_err(|_| "the dictionary is too large".to_owned()))
        .collect::<Result<_, _>>()?;
    let (data, states) = values.column.gather(&indices).into_parts();
    let mut slots = Slots {
        length: array.len(),
        states,
        errors: Vec::new(),
    };
    let nulls = array.logical_nulls();
    for (i, index) in indices.iter().enumerate() {
        if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
            slots.set_null(i);
        } else if let Ok(at) = values
            .errors
            .binary_search_by_key(index, |(at, _)| *at as u32)
        {
            slots.fail(i, values.errors[at].1.clone());
        }
    }
    Ok(Converted {
        column: Column::from_parts(data, slots.states),
        errors: slots.errors,
    })
}
