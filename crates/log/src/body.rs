//! The bytes inside a frame: events, dead letters, redriven marks, backfills and correlation ids.
//!
//! Self-describing at value level, so that a log can be read without its schemas. Row by
//! row, with differences to the record before, or many events column by column. A decoder takes any bytes whatever: it
//! answers with records or a [`Flaw`], never panics, and never reserves more than a small
//! multiple of the bytes it was given.

mod backfill;
mod column;
mod columnar;
mod correlation;
mod dead_letter;
mod event;
mod numbers;
mod single;
mod value;
mod whole;

pub(crate) use backfill::{decode_backfills, encode_backfills};
pub use column::FrameColumn;
pub(crate) use columnar::{Columnar, encode_columnar};
pub(crate) use correlation::{decode_correlations, encode_correlations};

pub(crate) use dead_letter::{
    decode_dead_letters, decode_redriven, encode_dead_letters, encode_redriven,
};
pub(crate) use event::{EventDecoder, encode_events};
pub use single::{event_from_bytes, event_to_bytes};
pub use whole::{events_from_body, events_to_body};

use crate::error::Flaw;

/// How deep lists may be nested in a value.
pub(crate) const NESTING_MAX: usize = 8;

/// Appends a number in 7-bit groups, least first (LEB128).
fn put_varint(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push((x & 0x7f) as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends a signed number so that small ones of either sign are short.
fn put_signed(x: i64, out: &mut Vec<u8>) {
    put_varint(((x << 1) ^ (x >> 63)).cast_unsigned(), out);
}

/// Appends a signed number of 128 bits.
fn put_signed_wide(x: i128, out: &mut Vec<u8>) {
    let mut x = ((x << 1) ^ (x >> 127)).cast_unsigned();
    while x >= 0x80 {
        out.push((x & 0x7f) as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends a length and so many bytes.
fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Reads a body from its start.
#[derive(Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at }
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Flaw> {
        let byte = *self
            .bytes
            .get(self.at)
            .ok_or(Flaw::Truncated("a frame's body"))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let part = self.bytes[self.at..]
            .get(..length)
            .ok_or(Flaw::Truncated("a frame's body"))?;
        self.at += length;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let part = self.bytes[self.at..]
            .first_chunk::<N>()
            .ok_or(Flaw::Truncated("a frame's body"))?;
        self.at += N;
        Ok(*part)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Flaw> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut x = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || shift > 63 {
                return Err(too_long(byte));
            }
            x |= bits << shift;
            if byte < 0x80 {
                return Ok(x);
            }
            shift += 7;
        }
    }

    #[inline]
    fn signed(&mut self) -> Result<i64, Flaw> {
        let x = self.varint()?;
        Ok((x >> 1).cast_signed() ^ -(x & 1).cast_signed())
    }

    fn signed_wide(&mut self) -> Result<i128, Flaw> {
        let mut x = 0u128;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 || shift > 126 {
                return Err(too_long(byte));
            }
            x |= bits << shift;
            if byte < 0x80 {
                return Ok((x >> 1).cast_signed() ^ -(x & 1).cast_signed());
            }
            shift += 7;
        }
    }

    /// A count of things that take at least `bytes_each` bytes each.
    fn count(&mut self, bytes_each: usize) -> Result<usize, Flaw> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(n) if n <= self.remaining() / bytes_each => Ok(n),
            _ => Err(Flaw::Truncated("a list in a frame's body")),
        }
    }

    fn number32(&mut self, field: &'static str) -> Result<u32, Flaw> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| Flaw::Field { field, value })
    }

    fn byte_string(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.count(1)?;
        self.take(length)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, Flaw> {
        std::str::from_utf8(self.byte_string()?).map_err(|_| Flaw::Utf8(what))
    }

    fn finish(&self) -> Result<(), Flaw> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(Flaw::Trailing {
                what: "a frame's last record",
                count: count as u64,
            }),
        }
    }
}

fn too_long(byte: u8) -> Flaw {
    Flaw::Field {
        field: "the last byte of a number",
        value: u64::from(byte),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod number_tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_round_trip(x in any::<u64>(), y in any::<i64>(), z in any::<i128>(), cut in 0u32..128) {
            let (x, y, z) = (x >> (cut % 64), y >> (cut % 64), z >> cut);
            let mut out = Vec::new();
            put_varint(x, &mut out);
            put_signed(y, &mut out);
            put_signed_wide(z, &mut out);
            let mut cursor = Cursor::new(&out, 0);
            prop_assert_eq!(cursor.varint().unwrap(), x);
            prop_assert_eq!(cursor.signed().unwrap(), y);
            prop_assert_eq!(cursor.signed_wide().unwrap(), z);
            prop_assert!(cursor.finish().is_ok());
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let wide = [0xff; 20];
        assert!(Cursor::new(&wide, 0).varint().is_err());
        assert!(Cursor::new(&wide, 0).signed_wide().is_err());
        let mut out = Vec::new();
        put_varint(u64::MAX, &mut out);
        assert_eq!(out.len(), 10);
        out[9] = 2;
        assert!(Cursor::new(&out, 0).varint().is_err());
    }
}
