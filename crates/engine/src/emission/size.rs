//! About how many bytes emissions take.

use evenkeel_types::Event;
use evenkeel_types::codec::canonical_row_length;

/// What an event has besides its rows.
const HEAD_BYTES: usize = 64;

/// About how many bytes an event takes where it is encoded.
pub(crate) fn bytes_of(event: &Event) -> usize {
    let before = event.before.as_deref().map_or(0, canonical_row_length);
    HEAD_BYTES + canonical_row_length(&event.row) + before
}
