//! One event by itself, in the bytes of a frame that holds nothing else.

use evenkeel_types::{Event, EventTime, Operation, Origin, Position};

use super::event::{EventDecoder, encode_events};
use crate::error::{Flaw, LogError};

/// The bytes of an event at a position: a body of events with this one alone
/// (`docs/format/log.md`).
///
/// # Errors
/// [`LogError::NestedTooDeep`].
pub fn event_to_bytes(event: &Event, position: Position) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    let events = std::slice::from_ref(event);
    encode_events(events, position.partition, position.offset.0, &mut bytes)?;
    Ok(bytes)
}

/// Reads [`event_to_bytes`] back.
///
/// # Errors
/// What is wrong with the bytes.
pub fn event_from_bytes(bytes: Vec<u8>, position: Position) -> Result<Event, Flaw> {
    let (partition, first) = (position.partition.0, position.offset.0);
    let mut decoder = EventDecoder::new(bytes, partition, first, first.wrapping_add(1));
    let mut event = Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(0),
        known_at: None,
        origin: Origin::Log(position),
        row: Vec::new(),
        before: None,
    };
    decoder.next_into(None, &mut event)?;
    decoder.next_into(None, &mut event)?;
    Ok(event)
}
