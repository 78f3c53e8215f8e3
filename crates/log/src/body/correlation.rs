//! Correlation ids inside a frame: which record of the commit each is of, and what it is called.

use super::{Cursor, put_bytes, put_varint};
use crate::batch::Correlation;
use crate::error::Flaw;

/// Appends the correlation ids of one frame.
pub(crate) fn encode_correlations(correlations: &[Correlation], out: &mut Vec<u8>) {
    for correlation in correlations {
        put_varint(correlation.event, out);
        put_bytes(correlation.id.as_bytes(), out);
    }
}

/// Reads the `count` correlation ids of one frame.
pub(crate) fn decode_correlations(body: &[u8], count: u32) -> Result<Vec<Correlation>, Flaw> {
    let mut cursor = Cursor::new(body, 0);
    let mut correlations = Vec::new();
    for _ in 0..count {
        correlations.push(Correlation {
            event: cursor.varint()?,
            id: cursor.text("a correlation id")?.to_owned(),
        });
    }
    cursor.finish()?;
    Ok(correlations)
}
