//! Bodies of events by column and by row: no panic, and what is read is written so that it is read
//! again.
#![no_main]

use evenkeel_log::{events_from_body, events_to_body};
use evenkeel_types::Position;
use libfuzzer_sys::fuzz_target;

const FIRST: Position = Position::new(0, 1_000);

fuzz_target!(|bytes: &[u8]| {
    let Some((head, body)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let by_column = head[0] % 2 == 0;
    let count = u32::from(u16::from_le_bytes([head[1], head[2]]));
    let Ok(events) = events_from_body(body.to_vec(), FIRST, count, by_column) else {
        return;
    };
    for by_column in [false, true] {
        if let Ok(Some(written)) = events_to_body(&events, FIRST, by_column) {
            let again = events_from_body(written, FIRST, count, by_column);
            // NaN is not equal to itself, and is written as it is.
            assert_eq!(format!("{:?}", again.expect("it was written by this")), format!("{events:?}"));
        }
    }
});
