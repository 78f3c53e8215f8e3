//! Slots of arrow arrays as JSON, for the original record of a rejected row: the value as it
//! is in the file, not as it was declared.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType as ArrowType, TimeUnit as ArrowUnit};
use evenkeel_types::time::{TIME_MAX, TIME_MIN, format_timestamp};
use evenkeel_types::{DataType, Zone};
use serde_json::{Map, Value as JsonValue};

use crate::arrow_values::from_arrow::{convert, list_parts, natural_type};
use crate::strings::Strings;
use crate::value::{Context, value_to_json};

/// One slot as JSON. What no type of ours holds is the name of its arrow type.
pub(crate) fn slot_to_json(array: &dyn Array, i: usize) -> JsonValue {
    if array.logical_nulls().is_some_and(|n| n.is_null(i)) {
        return JsonValue::Null;
    }
    match array.data_type() {
        ArrowType::Timestamp(unit, zone) => timestamp(array, i, *unit, zone.is_some()),
        ArrowType::UInt64 => JsonValue::from(
            array
                .as_primitive::<arrow_array::types::UInt64Type>()
                .value(i),
        ),
        ArrowType::Dictionary(_, _) => {
            let slot = array.slice(i, 1);
            let dictionary = slot.as_any_dictionary();
            match dictionary.normalized_keys().first() {
                Some(key) => slot_to_json(dictionary.values().as_ref(), *key),
                None => JsonValue::Null,
            }
        }
        ArrowType::List(_) | ArrowType::LargeList(_) | ArrowType::FixedSizeList(_, _) => {
            let slot = array.slice(i, 1);
            match list_parts(slot.as_ref()) {
                Some((elements, ranges)) => ranges
                    .into_iter()
                    .flatten()
                    .map(|j| slot_to_json(elements.as_ref(), j))
                    .collect(),
                None => JsonValue::Null,
            }
        }
        ArrowType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().zip(columns);
            JsonValue::Object(
                members
                    .map(|(field, column)| (field.name().clone(), slot_to_json(column.as_ref(), i)))
                    .collect::<Map<_, _>>(),
            )
        }
        other => match natural_type(other) {
            Some(natural) => natural_slot(array, i, &natural),
            None => JsonValue::from(format!("({other})")),
        },
    }
}

fn natural_slot(array: &dyn Array, i: usize, natural: &DataType) -> JsonValue {
    let utc = Zone::utc();
    let context = Context {
        zone: &utc,
        time_unit: None,
    };
    let slot = array.slice(i, 1);
    match convert(slot.as_ref(), natural, &context, &mut Strings::small()) {
        Ok(converted) => match converted.errors.first() {
            None => value_to_json(natural, &converted.column.get(0)),
            Some((_, error)) => JsonValue::from(error.to_string()),
        },
        Err(_) => JsonValue::Null,
    }
}

/// A timestamp as it stands in the file: with `Z` only if it is an instant, with nine
/// decimals where it has them.
fn timestamp(array: &dyn Array, i: usize, unit: ArrowUnit, instant: bool) -> JsonValue {
    use arrow_array::types::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    };
    let (count, per_second, name) = match unit {
        ArrowUnit::Second => (array.as_primitive::<TimestampSecondType>().value(i), 1, "s"),
        ArrowUnit::Millisecond => (
            array.as_primitive::<TimestampMillisecondType>().value(i),
            1_000,
            "ms",
        ),
        ArrowUnit::Microsecond => (
            array.as_primitive::<TimestampMicrosecondType>().value(i),
            1_000_000,
            "us",
        ),
        ArrowUnit::Nanosecond => (
            array.as_primitive::<TimestampNanosecondType>().value(i),
            1_000_000_000,
            "ns",
        ),
    };
    let second = count.div_euclid(per_second).checked_mul(1_000_000);
    let Some(second) = second.filter(|t| (TIME_MIN..=TIME_MAX).contains(t)) else {
        return JsonValue::from(format!("{count} {name} since 1970"));
    };
    let mut text = format_timestamp(second);
    text.pop();
    let fraction = count.rem_euclid(per_second);
    if fraction != 0 {
        let width = per_second.ilog10() as usize;
        text.push_str(&format!(".{fraction:0width$}"));
    }
    if instant {
        text.push('Z');
    }
    JsonValue::from(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, DictionaryArray, Float64Array, Int32Array, ListArray, StringArray,
        TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
        types::{Int8Type, Int32Type},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn slots_look_as_they_are_in_the_file() {
        let dictionary: DictionaryArray<Int8Type> =
            vec![Some("a"), None, Some("b")].into_iter().collect();
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(9)]),
            Some(vec![Some(1), None]),
            None,
        ]);
        let cases: Vec<(ArrayRef, usize, JsonValue)> = vec![
            (Arc::new(Int32Array::from(vec![1, 2])), 1, json!(2)),
            (
                Arc::new(UInt64Array::from(vec![u64::MAX])),
                0,
                json!(u64::MAX),
            ),
            (
                Arc::new(Float64Array::from(vec![f64::NAN])),
                0,
                json!("NaN"),
            ),
            (
                Arc::new(StringArray::from(vec![None::<&str>])),
                0,
                JsonValue::Null,
            ),
            (Arc::new(dictionary), 2, json!("b")),
            (Arc::new(list.clone()), 1, json!([1, null])),
            (Arc::new(list), 2, JsonValue::Null),
            (
                Arc::new(TimestampNanosecondArray::from(vec![-1]).with_timezone("UTC")),
                0,
                json!("1969-12-31T23:59:59.999999999Z"),
            ),
            (
                Arc::new(TimestampMillisecondArray::from(vec![1_500])),
                0,
                json!("1970-01-01T00:00:01.500"),
            ),
            (
                Arc::new(TimestampMillisecondArray::from(vec![i64::MAX])),
                0,
                json!("9223372036854775807 ms since 1970"),
            ),
        ];
        for (array, i, expected) in cases {
            assert_eq!(slot_to_json(array.as_ref(), i), expected);
        }
    }
}
