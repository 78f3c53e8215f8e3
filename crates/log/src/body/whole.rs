//! A body of events by itself, apart from a log: for who tries what its decoders make of any bytes.

use evenkeel_types::{Event, EventTime, Operation, Origin, Position};

use super::event::{EventDecoder, encode_events};
use super::{Columnar, encode_columnar};
use crate::error::{Flaw, LogError};

/// The body of events of which the first is at a position, by column or by row; none if that does
/// not suit them (`docs/format/log.md`).
///
/// # Errors
/// [`LogError::NestedTooDeep`].
pub fn events_to_body(
    events: &[Event],
    first: Position,
    by_column: bool,
) -> Result<Option<Vec<u8>>, LogError> {
    let mut body = Vec::new();
    let (partition, offset) = (first.partition, first.offset.0);
    let written = match by_column {
        true => encode_columnar(events, partition, offset, &mut body)?,
        false => Some(encode_events(events, partition, offset, &mut body)?),
    };
    Ok(written.map(|_| body))
}

/// Reads so many events of a body.
///
/// # Errors
/// What is wrong with the bytes.
pub fn events_from_body(
    body: Vec<u8>,
    first: Position,
    count: u32,
    by_column: bool,
) -> Result<Vec<Event>, Flaw> {
    let (partition, offset) = (first.partition.0, first.offset.0);
    let mut event = Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(0),
        known_at: None,
        origin: Origin::Log(first),
        row: Vec::new(),
        before: None,
    };
    let mut events = Vec::new();
    if by_column {
        let columnar = Columnar::decode(&body, partition, offset, count, None)?;
        for number in 0..columnar.times().len() {
            columnar.event_into(number, None, &mut event);
            events.push(event.clone());
        }
    } else {
        let end = offset.wrapping_add(u64::from(count));
        let mut decoder = EventDecoder::new(body, partition, offset, end);
        while decoder.next_into(None, &mut event)?.is_some() {
            events.push(event.clone());
        }
    }
    Ok(events)
}
