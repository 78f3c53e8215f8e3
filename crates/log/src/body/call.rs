//! Calls inside a frame: which record of the commit each is of, and what it is called.

use super::{Cursor, put_bytes, put_varint};
use crate::batch::Call;
use crate::error::Flaw;

/// Appends the calls of one frame.
pub(crate) fn encode_calls(calls: &[Call], out: &mut Vec<u8>) {
    for call in calls {
        put_varint(call.event, out);
        put_bytes(call.correlation_id.as_bytes(), out);
    }
}

/// Reads the `count` calls of one frame.
pub(crate) fn decode_calls(body: &[u8], count: u32) -> Result<Vec<Call>, Flaw> {
    let mut cursor = Cursor::new(body, 0);
    let mut calls = Vec::new();
    for _ in 0..count {
        calls.push(Call {
            event: cursor.varint()?,
            correlation_id: cursor.text("a call's correlation id")?.to_owned(),
        });
    }
    cursor.finish()?;
    Ok(calls)
}
