//! Columns as arrow arrays and back, for who keeps files of its own.
//!
//! Invariant: [`arrow_to_column`] of [`column_to_arrow`] is the column, bit for bit, but for
//! `ERROR`, which becomes NULL.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as ArrowType;
use evenkeel_types::{Column, DataType, Zone};

use crate::arrow_values;
use crate::strings::Strings;
use crate::value::Context;

/// The arrow type that holds a type's values; none for INTERVAL.
pub fn arrow_type_of(data_type: &DataType) -> Option<ArrowType> {
    arrow_values::arrow_type(data_type)
}

/// A column as an array of [`arrow_type_of`] its type. NULL and `ERROR` become NULL. `None` for
/// INTERVAL, and for text or bytes of more than two gigabytes.
pub fn column_to_arrow(data_type: &DataType, column: &Column) -> Option<ArrayRef> {
    arrow_values::to_array(data_type, column)
}

/// An array as a column of a type.
///
/// # Errors
/// The reason, if one of its values is none of the type.
pub fn arrow_to_column(array: &dyn Array, data_type: &DataType) -> Result<Column, String> {
    let context = Context {
        zone: &Zone::utc(),
        time_unit: None,
    };
    let converted = arrow_values::convert(array, data_type, &context, &mut Strings::new())?;
    match converted.errors.into_iter().next() {
        None => Ok(converted.column),
        Some((row, error)) => Err(format!("row {row}: {error}")),
    }
}
