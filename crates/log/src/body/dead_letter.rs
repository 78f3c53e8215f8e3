//! Dead letters and redriven marks inside a frame.

use evenkeel_types::Position;

use super::event::{decode_origin, encode_origin};
use super::{Cursor, put_bytes, put_signed, put_varint};
use crate::batch::{DeadLetter, DeadLetterId};
use crate::error::Flaw;

const HAS_ORIGIN: u8 = 1;
const HAS_POSITION: u8 = 1 << 1;

/// Appends the letters of one frame.
pub(crate) fn encode_dead_letters(letters: &[DeadLetter], out: &mut Vec<u8>) {
    for letter in letters {
        let flag = |condition, bit| if condition { bit } else { 0 };
        out.push(
            flag(letter.origin.is_some(), HAS_ORIGIN)
                | flag(letter.position.is_some(), HAS_POSITION),
        );
        if let Some(origin) = &letter.origin {
            encode_origin(origin, out);
        }
        if let Some(position) = letter.position {
            put_varint(u64::from(position.partition.0), out);
            put_varint(position.offset.0, out);
        }
        put_bytes(letter.code.as_bytes(), out);
        put_bytes(letter.reason.as_bytes(), out);
        put_bytes(&letter.record, out);
    }
}

/// Reads the `count` letters of one frame.
pub(crate) fn decode_dead_letters(body: &[u8], count: u32) -> Result<Vec<DeadLetter>, Flaw> {
    let mut cursor = Cursor::new(body, 0);
    let mut letters = Vec::new();
    for _ in 0..count {
        let flags = cursor.byte()?;
        if flags & !(HAS_ORIGIN | HAS_POSITION) != 0 {
            return Err(Flaw::Field {
                field: "a dead letter's flags",
                value: u64::from(flags),
            });
        }
        let origin = if flags & HAS_ORIGIN != 0 {
            Some(decode_origin(&mut cursor)?)
        } else {
            None
        };
        let position = if flags & HAS_POSITION != 0 {
            let partition = cursor.number32("a dead letter's partition")?;
            Some(Position::new(partition, cursor.varint()?))
        } else {
            None
        };
        letters.push(DeadLetter {
            origin,
            code: cursor.text("a dead letter's code")?.to_owned(),
            reason: cursor.text("a dead letter's reason")?.to_owned(),
            record: cursor.byte_string()?.to_vec(),
            position,
        });
    }
    cursor.finish()?;
    Ok(letters)
}

/// Appends the marks of one frame.
pub(crate) fn encode_redriven(ids: &[DeadLetterId], out: &mut Vec<u8>) {
    let mut last = 0;
    for id in ids {
        put_signed(id.0.wrapping_sub(last).cast_signed(), out);
        last = id.0;
    }
}

/// Reads the `count` marks of one frame.
pub(crate) fn decode_redriven(body: &[u8], count: u32) -> Result<Vec<DeadLetterId>, Flaw> {
    let mut cursor = Cursor::new(body, 0);
    let mut ids = Vec::new();
    let mut last = 0u64;
    for _ in 0..count {
        last = last.wrapping_add(cursor.signed()?.cast_unsigned());
        ids.push(DeadLetterId(last));
    }
    cursor.finish()?;
    Ok(ids)
}
