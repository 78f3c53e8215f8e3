//! What is new of a key: events, and marks on events that are stored already.

use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_types::DataType;
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_bytes, put_signed, put_varint};

const VERSION: u8 = 1;

/// An entry, by its place, that has become contested since it was stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) time: i64,
    pub(super) order: Box<[u8]>,
}

/// What a run begins with; its events follow, if it has any.
pub(super) fn put_marks(marks: &[Mark], out: &mut Vec<u8>) {
    out.push(VERSION);
    put_varint(marks.len() as u64, out);
    for mark in marks {
        put_signed(mark.time, out);
        put_bytes(&mark.order, out);
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) events: History,
    pub(super) marks: Vec<Mark>,
}

impl Tail {
    pub(super) fn new(types: &Arc<[DataType]>) -> Self {
        Tail {
            events: History::new(Arc::clone(types)),
            marks: Vec::new(),
        }
    }

    pub(super) fn contest(&mut self, time: i64, order: &[u8]) {
        if !self.events.contest(time, order) {
            self.marks.push(Mark {
                time,
                order: order.into(),
            });
        }
    }

    /// Adds a newer tail; marks on entries of this one are set.
    pub(super) fn absorb(&mut self, newer: &Tail) {
        self.events.absorb(&newer.events);
        for mark in &newer.marks {
            self.contest(mark.time, &mark.order);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_marks(&self.marks, &mut out);
        if let Some((bytes, _)) = self.events.encode(0..self.events.len()) {
            out.extend(bytes);
        }
        out
    }

    pub(super) fn decode(types: &Arc<[DataType]>, bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        if reader.byte("the version of a run")? != VERSION {
            return Err(reader.malformed("a run of version 1"));
        }
        let count = reader.count("the marks of a run")?;
        let marks = (0..count)
            .map(|_| {
                Ok(Mark {
                    time: reader.signed("a mark")?,
                    order: reader.bytes("a mark")?.into(),
                })
            })
            .collect::<Result<_, MalformedBytes>>()?;
        let events = if reader.rest().is_empty() {
            History::new(Arc::clone(types))
        } else {
            History::decode(Arc::clone(types), reader.rest())?
        };
        Ok(Tail { events, marks })
    }
}
