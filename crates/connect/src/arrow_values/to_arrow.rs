//! Columns into arrow arrays.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, Date32Array, Decimal128Array, FixedSizeListArray, ListArray,
    NullArray, PrimitiveArray, StructArray, TimestampMicrosecondArray,
    types::{Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType as ArrowType, Field as ArrowField, Fields, TimeUnit as ArrowUnit};
use evenkeel_types::{Column, ColumnData, DataType, SLOT_PRESENT, Value};

const UTC: &str = "UTC";

/// The arrow type that holds a type's values; none for INTERVAL.
pub(crate) fn arrow_type(data_type: &DataType) -> Option<ArrowType> {
    Some(match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int => ArrowType::Int32,
        DataType::BigInt => ArrowType::Int64,
        DataType::Float => ArrowType::Float32,
        DataType::Double => ArrowType::Float64,
        DataType::Decimal { precision, scale } => {
            ArrowType::Decimal128(*precision, i8::try_from(*scale).ok()?)
        }
        DataType::String => ArrowType::Utf8,
        DataType::Bytes => ArrowType::Binary,
        DataType::Date => ArrowType::Date32,
        DataType::Timestamp => ArrowType::Timestamp(ArrowUnit::Microsecond, Some(UTC.into())),
        DataType::Array(element) => ArrowType::List(Arc::new(ArrowField::new_list_field(
            arrow_type(element)?,
            true,
        ))),
        DataType::Vector { element, length } => ArrowType::FixedSizeList(
            Arc::new(ArrowField::new_list_field(arrow_type(element)?, true)),
            i32::try_from(*length).ok()?,
        ),
        DataType::Struct(fields) => ArrowType::Struct(
            fields
                .iter()
                .map(|f| Some(ArrowField::new(&f.name, arrow_type(&f.data_type)?, true)))
                .collect::<Option<Fields>>()?,
        ),
        DataType::Null => ArrowType::Null,
        DataType::Interval => return None,
    })
}

/// A column as an array of its type's [`arrow_type`]. NULL and ERROR become NULL. `None` for
/// INTERVAL, and for text or bytes of more than two gigabytes.
pub(crate) fn to_array(data_type: &DataType, column: &Column) -> Option<ArrayRef> {
    let nulls = present(column.states());
    Some(match column.data() {
        ColumnData::Boolean(values) => {
            let mut builder = BooleanBuilder::with_capacity(values.len());
            for (i, value) in values.iter().enumerate() {
                builder.append_option((column.state(i) == SLOT_PRESENT).then_some(*value));
            }
            Arc::new(builder.finish())
        }
        ColumnData::Int(values) => primitive::<Int32Type>(values, nulls),
        ColumnData::BigInt(values) => primitive::<Int64Type>(values, nulls),
        ColumnData::Float(values) => primitive::<Float32Type>(values, nulls),
        ColumnData::Double(values) => primitive::<Float64Type>(values, nulls),
        ColumnData::Decimal(values) => {
            let DataType::Decimal { precision, scale } = data_type else {
                return None;
            };
            let array = Decimal128Array::new(ScalarBuffer::from(values.clone()), nulls);
            let scale = i8::try_from(*scale).ok()?;
            Arc::new(array.with_precision_and_scale(*precision, scale).ok()?)
        }
        ColumnData::String(values) => {
            let bytes = total(values.iter().map(|v| v.len()))?;
            let mut builder = StringBuilder::with_capacity(values.len(), bytes);
            for (i, value) in values.iter().enumerate() {
                builder.append_option((column.state(i) == SLOT_PRESENT).then_some(value));
            }
            Arc::new(builder.finish())
        }
        ColumnData::Bytes(values) => {
            let bytes = total(values.iter().map(|v| v.len()))?;
            let mut builder = BinaryBuilder::with_capacity(values.len(), bytes);
            for (i, value) in values.iter().enumerate() {
                builder.append_option((column.state(i) == SLOT_PRESENT).then_some(value));
            }
            Arc::new(builder.finish())
        }
        ColumnData::Date(values) => {
            Arc::new(Date32Array::new(ScalarBuffer::from(values.clone()), nulls))
        }
        ColumnData::Timestamp(values) => Arc::new(
            TimestampMicrosecondArray::new(ScalarBuffer::from(values.clone()), nulls)
                .with_timezone(UTC),
        ),
        ColumnData::Nested(values) => nested(data_type, values, nulls)?,
        ColumnData::Interval(_) => return None,
    })
}

/// [`to_array`] of a column that nobody needs any more: its values are not copied where Arrow
/// keeps them alike.
pub(crate) fn into_array(data_type: &DataType, column: Column) -> Option<ArrayRef> {
    let has_values = matches!(
        column.data(),
        ColumnData::BigInt(_) | ColumnData::Double(_) | ColumnData::Timestamp(_)
    );
    if !has_values {
        return to_array(data_type, &column);
    }
    let (data, states) = column.into_parts();
    let nulls = present(&states);
    Some(match data {
        ColumnData::BigInt(values) => Arc::new(PrimitiveArray::<Int64Type>::new(
            ScalarBuffer::from(values),
            nulls,
        )),
        ColumnData::Double(values) => Arc::new(PrimitiveArray::<Float64Type>::new(
            ScalarBuffer::from(values),
            nulls,
        )),
        ColumnData::Timestamp(values) => Arc::new(
            TimestampMicrosecondArray::new(ScalarBuffer::from(values), nulls).with_timezone(UTC),
        ),
        _ => unreachable!("it was looked at above"),
    })
}

fn present(states: &[u8]) -> Option<NullBuffer> {
    states.iter().any(|s| *s != SLOT_PRESENT).then(|| {
        states
            .iter()
            .map(|s| *s == SLOT_PRESENT)
            .collect::<NullBuffer>()
    })
}

fn primitive<T: ArrowPrimitiveType>(values: &[T::Native], nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(
        ScalarBuffer::from(values.to_vec()),
        nulls,
    ))
}

/// The sum of lengths, if 32-bit offsets can hold it.
fn total(lengths: impl Iterator<Item = usize>) -> Option<usize> {
    let bytes: usize = lengths.sum();
    i32::try_from(bytes).is_ok().then_some(bytes)
}

fn nested(data_type: &DataType, values: &[Value], nulls: Option<NullBuffer>) -> Option<ArrayRef> {
    let items = |value: &Value| -> Arc<[Value]> {
        match value {
            Value::Array(items) | Value::Struct(items) => Arc::clone(items),
            _ => Arc::from([]),
        }
    };
    Some(match (data_type, arrow_type(data_type)?) {
        (DataType::Null, _) => Arc::new(NullArray::new(values.len())),
        (DataType::Array(element), ArrowType::List(field)) => {
            let lists: Vec<Arc<[Value]>> = values.iter().map(items).collect();
            total(lists.iter().map(|l| l.len()))?;
            let child = Column::from_values(element, lists.iter().flat_map(|l| l.iter()));
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|l| l.len()));
            let child = to_array(element, &child)?;
            Arc::new(ListArray::try_new(field, offsets, child, nulls).ok()?)
        }
        (DataType::Vector { element, length }, ArrowType::FixedSizeList(field, size)) => {
            let wanted = usize::try_from(*length).ok()?;
            let mut child = Column::new(element);
            for value in values {
                let list = items(value);
                for i in 0..wanted {
                    child.push(list.get(i).unwrap_or(&Value::Null));
                }
            }
            let child = to_array(element, &child)?;
            Arc::new(FixedSizeListArray::try_new(field, size, child, nulls).ok()?)
        }
        (DataType::Struct(fields), ArrowType::Struct(arrow_fields)) => {
            let rows: Vec<Arc<[Value]>> = values.iter().map(items).collect();
            let columns = fields
                .iter()
                .enumerate()
                .map(|(i, field)| {
                    let column = Column::from_values(
                        &field.data_type,
                        rows.iter().map(|row| row.get(i).unwrap_or(&Value::Null)),
                    );
                    to_array(&field.data_type, &column)
                })
                .collect::<Option<Vec<_>>>()?;
            Arc::new(
                StructArray::try_new_with_length(arrow_fields, columns, nulls, values.len())
                    .ok()?,
            )
        }
        _ => return None,
    })
}
