//! A transaction of MySQL whose events are one event, compressed.
//!
//! Invariant: of its events there is one in memory at a time, however small they were made.

use std::io::{Cursor, Read};

use crate::bytes::{Bytes, CutOff};
use crate::event::Header;

/// Fields before the events, and what they say of how these are compressed.
const FIELD_END: u64 = 0;
const FIELD_SIZE: u64 = 1;
const FIELD_COMPRESSION: u64 = 2;
const ZSTD: u64 = 0;
const NOT_COMPRESSED: u64 = 255;

const HEADER_BYTES: usize = 19;
/// The server has no larger ones.
const EVENT_BYTES_MAX: usize = (1 << 30) + (64 << 20);

pub(super) struct Packed {
    /// Of the event that they are in.
    pub(super) header: Header,
    events: Box<dyn Read + Send>,
    event: Vec<u8>,
}

impl Packed {
    pub(super) fn open(header: Header, body: &[u8]) -> Result<Self, &'static str> {
        let (compression, payload) = fields(body).map_err(|CutOff| "it ends too early")?;
        let payload = Cursor::new(payload.to_vec());
        let events: Box<dyn Read + Send> = match compression {
            ZSTD => Box::new(
                zstd::stream::read::Decoder::new(payload).map_err(|_| "it cannot be unpacked")?,
            ),
            NOT_COMPRESSED => Box::new(payload),
            _ => return Err("it is compressed in a way that is not known"),
        };
        Ok(Packed {
            header,
            events,
            event: Vec::new(),
        })
    }

    /// The next event in it.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, &'static str> {
        self.event.clear();
        self.read(HEADER_BYTES)?;
        if self.event.is_empty() {
            return Ok(None);
        }
        let cut_off = |CutOff| "an event in it ends too early";
        let mut header = Bytes(&self.event);
        header.take(9).map_err(cut_off)?;
        let length = header.u32().map_err(cut_off)? as usize;
        if !(HEADER_BYTES..=EVENT_BYTES_MAX).contains(&length) {
            return Err("an event in it has a length that none has");
        }
        self.read(length - HEADER_BYTES)?;
        if self.event.len() != length {
            return Err("an event in it ends too early");
        }
        Ok(Some(&self.event))
    }

    /// As many bytes as there are, at most so many.
    fn read(&mut self, count: usize) -> Result<(), &'static str> {
        let mut some = self.events.by_ref().take(count as u64);
        let read = some.read_to_end(&mut self.event);
        read.map(drop).map_err(|_| "it cannot be unpacked")
    }
}

/// How the events are compressed, and their bytes.
fn fields(body: &[u8]) -> Result<(u64, &[u8]), CutOff> {
    let mut bytes = Bytes(body);
    let (mut compression, mut size) = (NOT_COMPRESSED, None);
    loop {
        let field = bytes.packed()?;
        if field == FIELD_END {
            break;
        }
        let mut value = Bytes(bytes.packed_bytes()?);
        match field {
            FIELD_SIZE => size = Some(value.packed()?),
            FIELD_COMPRESSION => compression = value.packed()?,
            _ => {}
        }
    }
    let size = usize::try_from(size.ok_or(CutOff)?).map_err(|_| CutOff)?;
    Ok((compression, bytes.take(size)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut event = vec![0; HEADER_BYTES];
        event[4] = kind;
        event[9..13].copy_from_slice(
            &u32::try_from(HEADER_BYTES + body.len())
                .unwrap()
                .to_le_bytes(),
        );
        event.extend(body);
        event
    }

    fn body(events: &[u8], compression: u8) -> Vec<u8> {
        let payload = match compression {
            0 => zstd::bulk::compress(events, 1).unwrap(),
            _ => events.to_vec(),
        };
        let mut body = vec![2, 1, compression];
        if compression == 255 {
            body = vec![2, 3, 0xfc, 255, 0];
        }
        body.extend([1, 3, 0xfc]);
        body.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
        body.push(0);
        body.extend(payload);
        body
    }

    fn header() -> Header {
        Header {
            seconds: 0,
            bytes: 0,
            end: 0,
        }
    }

    fn read(body: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
        let mut packed = Packed::open(header(), body)?;
        let mut events = Vec::new();
        while let Some(event) = packed.next()? {
            events.push(event.to_vec());
        }
        Ok(events)
    }

    #[test]
    fn events_are_unpacked() {
        let events = [event(2, b"BEGIN"), event(30, &[7; 900]), event(16, &[])];
        for compression in [0, 255] {
            assert_eq!(read(&body(&events.concat(), compression)).unwrap(), events);
        }
        assert!(read(&body(&events.concat()[..40], 0)).is_err());
        assert!(read(&body(&events.concat(), 7)).is_err());
    }

    proptest! {
        /// Whatever was damaged, it is read or refused.
        #[test]
        fn damaged_bytes_are_read_or_refused(at in 0..200_usize, byte in any::<u8>(), length in 0..200_usize) {
            for compression in [0, 255] {
                let mut damaged = body(&[event(2, b"BEGIN"), event(30, &[7; 90])].concat(), compression);
                let at = at % damaged.len();
                damaged[at] = byte;
                damaged.truncate(length);
                let _ = read(&damaged);
            }
        }
    }
}
