//! Canonical bytes of slots whose arrow type has no counterpart: for digests of columns that
//! are only passed on.
//!
//! Invariant: the bytes depend on the logical value alone, not on slicing, chunking or what
//! lies under a NULL, and are prefix-free within one type.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType as ArrowType;

use crate::arrow_values::from_arrow::list_parts;

const NULL: u8 = 0;
const PRESENT: u8 = 1;
const END: u8 = 2;

/// Appends the canonical bytes of one slot; `false` if its type has none (unions, run-ends,
/// list views).
pub(crate) fn encode_slot(array: &dyn Array, i: usize, out: &mut Vec<u8>) -> bool {
    if array.logical_nulls().is_some_and(|n| n.is_null(i)) {
        out.push(NULL);
        return true;
    }
    out.push(PRESENT);
    match array.data_type() {
        ArrowType::Null => true,
        ArrowType::Boolean => {
            out.push(u8::from(array.as_boolean().value(i)));
            true
        }
        ArrowType::Utf8 => sized(array.as_string::<i32>().value(i).as_bytes(), out),
        ArrowType::LargeUtf8 => sized(array.as_string::<i64>().value(i).as_bytes(), out),
        ArrowType::Utf8View => sized(array.as_string_view().value(i).as_bytes(), out),
        ArrowType::Binary => sized(array.as_binary::<i32>().value(i), out),
        ArrowType::LargeBinary => sized(array.as_binary::<i64>().value(i), out),
        ArrowType::BinaryView => sized(array.as_binary_view().value(i), out),
        ArrowType::FixedSizeBinary(_) => sized(array.as_fixed_size_binary().value(i), out),
        ArrowType::Dictionary(_, _) => {
            let slot = array.slice(i, 1);
            let dictionary = slot.as_any_dictionary();
            dictionary
                .normalized_keys()
                .first()
                .is_some_and(|key| encode_slot(dictionary.values().as_ref(), *key, out))
        }
        ArrowType::List(_) | ArrowType::LargeList(_) | ArrowType::FixedSizeList(_, _) => {
            let slot = array.slice(i, 1);
            let Some((elements, ranges)) = list_parts(slot.as_ref()) else {
                return false;
            };
            let all = ranges
                .into_iter()
                .flatten()
                .all(|j| encode_slot(elements.as_ref(), j, out));
            out.push(END);
            all
        }
        ArrowType::Map(_, _) => {
            let entries = array.as_map().value(i);
            let all = (0..entries.len()).all(|j| encode_slot(&entries, j, out));
            out.push(END);
            all
        }
        ArrowType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .all(|column| encode_slot(column.as_ref(), i, out)),
        other => match other.primitive_width() {
            Some(width) => {
                let data = array.to_data();
                let start = (data.offset() + i) * width;
                match data
                    .buffers()
                    .first()
                    .and_then(|b| b.as_slice().get(start..start + width))
                {
                    Some(bytes) => {
                        out.extend_from_slice(bytes);
                        true
                    }
                    None => false,
                }
            }
            None => false,
        },
    }
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
    true
}
