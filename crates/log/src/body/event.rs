//! Events inside a frame.
//!
//! One byte of flags, the time as difference to the event before, then what the flags say
//! is there. Origins share their heads (digest, topic, producer): a head is written once
//! per frame, an event names it by number and says how far its own number is from the one
//! that was due.

use evenkeel_types::{Event, EventTime, Operation, Origin, Partition, Position, VisibleAt};
use rustc_hash::FxHashMap;

use super::value::{TextsRead, TextsWritten, decode_row, decode_row_in_part, encode_row};
use super::{Cursor, put_bytes, put_signed, put_varint};
use crate::batch::OWN_POSITION;
use crate::error::{Flaw, LogError};
use crate::reader::EventParts;

const OPERATION_BITS: u8 = 0b111;
const HAS_REVISION: u8 = 1 << 3;
const HAS_KNOWN_AT: u8 = 1 << 4;
const HAS_BEFORE: u8 = 1 << 5;
const OWN_ORIGIN: u8 = 1 << 6;
const RESERVED: u8 = 1 << 7;

/// What origins have in common; the number that remains counts on from one event to the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum HeadRef<'a> {
    File(&'a [u8; 16]),
    Kafka(&'a str, u32),
    Producer(&'a str),
    Log(u32),
}

pub(super) fn split(origin: &Origin) -> (HeadRef<'_>, u64) {
    match origin {
        Origin::File { digest, row } => (HeadRef::File(digest), *row),
        Origin::Kafka {
            topic,
            partition,
            offset,
        } => (HeadRef::Kafka(topic, *partition), *offset),
        Origin::Producer { id, sequence } => (HeadRef::Producer(id), *sequence),
        Origin::Log(position) => (HeadRef::Log(position.partition.0), position.offset.0),
    }
}

impl HeadRef<'_> {
    pub(super) fn with(self, number: u64) -> Origin {
        match self {
            HeadRef::File(digest) => Origin::File {
                digest: *digest,
                row: number,
            },
            HeadRef::Kafka(topic, partition) => Origin::Kafka {
                topic: topic.to_owned(),
                partition,
                offset: number,
            },
            HeadRef::Producer(id) => Origin::Producer {
                id: id.to_owned(),
                sequence: number,
            },
            HeadRef::Log(partition) => Origin::Log(Position::new(partition, number)),
        }
    }
}

/// Appends the events of one frame whose first offset is `first`. Answers the least and the
/// greatest event time.
pub(crate) fn encode_events(
    events: &[Event],
    partition: Partition,
    first: u64,
    out: &mut Vec<u8>,
) -> Result<(i64, i64), LogError> {
    let mut texts = TextsWritten::default();
    let mut heads = HeadsWritten::default();
    let mut times = (i64::MAX, i64::MIN);
    let mut last_time = 0i64;
    for (offset, event) in (first..).zip(events) {
        let own = event.origin == OWN_POSITION
            || event.origin == Origin::Log(Position::new(partition.0, offset));
        let flag = |condition, bit| if condition { bit } else { 0 };
        out.push(
            event.operation.code()
                | flag(event.revision != 0, HAS_REVISION)
                | flag(event.known_at.is_some(), HAS_KNOWN_AT)
                | flag(event.before.is_some(), HAS_BEFORE)
                | flag(own, OWN_ORIGIN),
        );
        let time = event.event_time.0;
        put_signed(time.wrapping_sub(last_time), out);
        last_time = time;
        times = (times.0.min(time), times.1.max(time));
        if event.revision != 0 {
            put_varint(u64::from(event.revision), out);
        }
        if let Some(known_at) = event.known_at {
            put_signed(known_at.0.wrapping_sub(time), out);
        }
        if !own {
            heads.encode(&event.origin, out);
        }
        encode_row(&event.row, time, &mut texts, out)?;
        if let Some(before) = &event.before {
            encode_row(before, time, &mut texts, out)?;
        }
    }
    Ok(times)
}

/// The heads that occurred in the frame so far, each with the number that is due next.
#[derive(Default)]
struct HeadsWritten<'a> {
    numbers: FxHashMap<HeadRef<'a>, usize>,
    due: Vec<u64>,
    /// The head of the event before: usually this one's too.
    last: Option<(HeadRef<'a>, usize)>,
}

impl<'a> HeadsWritten<'a> {
    fn encode(&mut self, origin: &'a Origin, out: &mut Vec<u8>) {
        let (head, number) = split(origin);
        let known = match self.last {
            Some((last, index)) if last == head => Some(index),
            _ => self.numbers.get(&head).copied(),
        };
        let index = known.unwrap_or_else(|| {
            put_varint(0, out);
            encode_head(head, out);
            self.numbers.insert(head, self.due.len());
            self.due.push(0);
            self.due.len() - 1
        });
        if known.is_some() {
            put_varint(index as u64 + 1, out);
        }
        put_signed(number.wrapping_sub(self.due[index]).cast_signed(), out);
        self.due[index] = number.wrapping_add(1);
        self.last = Some((head, index));
    }
}

pub(super) fn encode_head(head: HeadRef<'_>, out: &mut Vec<u8>) {
    match head {
        HeadRef::File(digest) => {
            out.push(0);
            out.extend(digest);
        }
        HeadRef::Kafka(topic, partition) => {
            out.push(1);
            put_bytes(topic.as_bytes(), out);
            put_varint(u64::from(partition), out);
        }
        HeadRef::Producer(id) => {
            out.push(2);
            put_bytes(id.as_bytes(), out);
        }
        HeadRef::Log(partition) => {
            out.push(3);
            put_varint(u64::from(partition), out);
        }
    }
}

/// Appends one origin by itself.
pub(super) fn encode_origin(origin: &Origin, out: &mut Vec<u8>) {
    let (head, number) = split(origin);
    encode_head(head, out);
    put_varint(number, out);
}

/// Reads what [`encode_origin`] wrote.
pub(super) fn decode_origin(cursor: &mut Cursor<'_>) -> Result<Origin, Flaw> {
    let head = Head::decode(cursor)?;
    Ok(head.with(cursor.varint()?))
}

#[derive(Clone, Debug)]
pub(super) enum Head {
    File([u8; 16]),
    Kafka(String, u32),
    Producer(String),
    Log(u32),
}

impl Head {
    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Flaw> {
        Ok(match cursor.byte()? {
            0 => Head::File(cursor.array()?),
            1 => Head::Kafka(
                cursor.text("a topic")?.to_owned(),
                cursor.number32("a topic's partition")?,
            ),
            2 => Head::Producer(cursor.text("a producer's id")?.to_owned()),
            3 => Head::Log(cursor.number32("a partition")?),
            kind => {
                return Err(Flaw::Field {
                    field: "an origin's kind",
                    value: u64::from(kind),
                });
            }
        })
    }

    pub(super) fn with(&self, number: u64) -> Origin {
        let head = match self {
            Head::File(digest) => HeadRef::File(digest),
            Head::Kafka(topic, partition) => HeadRef::Kafka(topic, *partition),
            Head::Producer(id) => HeadRef::Producer(id),
            Head::Log(partition) => HeadRef::Log(*partition),
        };
        head.with(number)
    }
}

/// Reads the events of one frame, one after the other.
#[derive(Debug)]
pub(crate) struct EventDecoder {
    body: Vec<u8>,
    at: usize,
    /// The offset of the event that is read next.
    next: u64,
    end: u64,
    memory: Memory,
}

/// What later events of a frame refer to.
#[derive(Debug, Default)]
struct Memory {
    partition: u32,
    last_time: i64,
    texts: TextsRead,
    heads: Vec<(Head, u64)>,
}

impl EventDecoder {
    /// For a body that holds the offsets from `first` up to `end` (exclusive).
    pub(crate) fn new(body: Vec<u8>, partition: u32, first: u64, end: u64) -> Self {
        EventDecoder {
            body,
            at: 0,
            next: first,
            end,
            memory: Memory {
                partition,
                ..Memory::default()
            },
        }
    }

    /// Reads the next event, or the parts of it that are wanted, into another. Answers its
    /// offset; `None` once all were read.
    pub(crate) fn next_into(
        &mut self,
        parts: Option<&EventParts>,
        event: &mut Event,
    ) -> Result<Option<u64>, Flaw> {
        let mut cursor = Cursor::new(&self.body, self.at);
        if self.next == self.end {
            return cursor.finish().map(|()| None);
        }
        let offset = self.next;
        self.memory.event(&mut cursor, offset, parts, event)?;
        self.at = cursor.at;
        self.next += 1;
        Ok(Some(offset))
    }
}

impl Memory {
    fn event(
        &mut self,
        cursor: &mut Cursor<'_>,
        offset: u64,
        parts: Option<&EventParts>,
        event: &mut Event,
    ) -> Result<(), Flaw> {
        let flags = cursor.byte()?;
        let operation = Operation::from_code(flags & OPERATION_BITS)
            .filter(|_| flags & RESERVED == 0)
            .ok_or(Flaw::Field {
                field: "an event's flags",
                value: u64::from(flags),
            })?;
        let time = self.last_time.wrapping_add(cursor.signed()?);
        self.last_time = time;
        let revision = if flags & HAS_REVISION != 0 {
            cursor.number32("a revision")?
        } else {
            0
        };
        let known_at = if flags & HAS_KNOWN_AT != 0 {
            Some(VisibleAt(time.wrapping_add(cursor.signed()?)))
        } else {
            None
        };
        let own = Origin::Log(Position::new(self.partition, offset));
        event.origin = if flags & OWN_ORIGIN != 0 {
            own
        } else {
            let (index, number) = self.origin(cursor)?;
            match parts {
                Some(parts) if !parts.origin => own,
                _ => self.heads[index].0.with(number),
            }
        };
        match parts {
            None => event.row = decode_row(cursor, time, &mut self.texts)?,
            Some(EventParts { columns, .. }) => {
                decode_row_in_part(cursor, time, &mut self.texts, columns, &mut event.row)?;
            }
        }
        event.before = if flags & HAS_BEFORE != 0 {
            let before = decode_row(cursor, time, &mut self.texts)?;
            parts.is_none().then_some(before)
        } else {
            None
        };
        event.operation = operation;
        event.revision = revision;
        event.event_time = EventTime(time);
        event.known_at = known_at;
        Ok(())
    }

    /// The place of an origin's head among those of the frame, and its number.
    fn origin(&mut self, cursor: &mut Cursor<'_>) -> Result<(usize, u64), Flaw> {
        let value = cursor.varint()?;
        let index = match value.checked_sub(1) {
            None => {
                self.heads.push((Head::decode(cursor)?, 0));
                self.heads.len() - 1
            }
            Some(index) => usize::try_from(index).unwrap_or(usize::MAX),
        };
        let (_, due) = self.heads.get_mut(index).ok_or(Flaw::Field {
            field: "the number of an origin's head",
            value,
        })?;
        let number = due.wrapping_add(cursor.signed()?.cast_unsigned());
        *due = number.wrapping_add(1);
        Ok((index, number))
    }
}
