//! About how many bytes emissions take.

use evenkeel_types::codec::encode_canonical_row;
use evenkeel_types::{Event, Value};

/// What an event has besides its rows.
const HEAD_BYTES: usize = 64;

/// About how many bytes an event takes where it is encoded.
pub(crate) fn bytes_of(event: &Event) -> usize {
    let before = event.before.as_deref().map_or(0, bytes_of_row);
    HEAD_BYTES + bytes_of_row(&event.row) + before
}

/// Those of a row.
pub(super) fn bytes_of_row(row: &[Value]) -> usize {
    let mut bytes = Vec::new();
    encode_canonical_row(row, &mut bytes);
    bytes.len()
}
