//! Booleans, strings and bytes.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType as ArrowType;

use super::Slots;
use crate::strings::Strings;
use crate::value::ValueError;

pub(super) fn booleans(array: &dyn Array, slots: &mut Slots) -> Option<Vec<bool>> {
    let typed = array.as_boolean_opt()?;
    Some(slots.read(array, |i| Ok(typed.value(i))))
}

/// Text, and bytes that are UTF-8.
pub(super) fn strings(
    array: &dyn Array,
    slots: &mut Slots,
    strings: &mut Strings,
) -> Option<Vec<Arc<str>>> {
    if let Some(values) = texts(array, slots, |text| Ok(strings.get(text))) {
        return Some(values);
    }
    all_bytes(array, slots, |bytes| {
        std::str::from_utf8(bytes)
            .map(|text| strings.get(text))
            .map_err(|_| ValueError::NotUtf8)
    })
}

pub(super) fn bytes(array: &dyn Array, slots: &mut Slots) -> Option<Vec<Arc<[u8]>>> {
    all_bytes(array, slots, |bytes| Ok(Arc::from(bytes)))
}

/// Something of each text; `None` if the array holds none.
pub(super) fn texts<T: Default>(
    array: &dyn Array,
    slots: &mut Slots,
    mut convert: impl FnMut(&str) -> Result<T, ValueError>,
) -> Option<Vec<T>> {
    Some(match array.data_type() {
        ArrowType::Utf8 => {
            let typed = array.as_string::<i32>();
            slots.read(array, |i| convert(typed.value(i)))
        }
        ArrowType::LargeUtf8 => {
            let typed = array.as_string::<i64>();
            slots.read(array, |i| convert(typed.value(i)))
        }
        ArrowType::Utf8View => {
            let typed = array.as_string_view();
            slots.read(array, |i| convert(typed.value(i)))
        }
        _ => return None,
    })
}

fn all_bytes<T: Default>(
    array: &dyn Array,
    slots: &mut Slots,
    mut convert: impl FnMut(&[u8]) -> Result<T, ValueError>,
) -> Option<Vec<T>> {
    Some(match array.data_type() {
        ArrowType::Binary => {
            let typed = array.as_binary::<i32>();
            slots.read(array, |i| convert(typed.value(i)))
        }
        ArrowType::LargeBinary => {
            let typed = array.as_binary::<i64>();
            slots.read(array, |i| convert(typed.value(i)))
        }
        ArrowType::BinaryView => {
            let typed = array.as_binary_view();
            slots.read(array, |i| convert(typed.value(i)))
        }
        ArrowType::FixedSizeBinary(_) => {
            let typed = array.as_fixed_size_binary();
            slots.read(array, |i| convert(typed.value(i)))
        }
        _ => return None,
    })
}
