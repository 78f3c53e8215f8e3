//! Backfills inside a frame: the first time of each, and how far behind it the end is.

use evenkeel_types::EventTime;

use super::{Cursor, put_signed};
use crate::batch::Backfill;
use crate::error::Flaw;

/// Appends the backfills of one frame.
pub(crate) fn encode_backfills(backfills: &[Backfill], out: &mut Vec<u8>) {
    for Backfill { from, until } in backfills {
        put_signed(from.0, out);
        put_signed(until.0.wrapping_sub(from.0), out);
    }
}

/// Reads the `count` backfills of one frame.
pub(crate) fn decode_backfills(body: &[u8], count: u32) -> Result<Vec<Backfill>, Flaw> {
    let mut cursor = Cursor::new(body, 0);
    let mut backfills = Vec::new();
    for _ in 0..count {
        let from = cursor.signed()?;
        let until = from.wrapping_add(cursor.signed()?);
        if from >= until {
            return Err(Flaw::Field {
                field: "a backfill's period: how far its end is behind",
                value: 0,
            });
        }
        backfills.push(Backfill {
            from: EventTime(from),
            until: EventTime(until),
        });
    }
    cursor.finish()?;
    Ok(backfills)
}
