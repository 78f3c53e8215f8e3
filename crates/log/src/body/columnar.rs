//! Events of a frame column by column: times, what events do, origins, and each column of the
//! rows, all packed by themselves. What frames of many events have; few stand row by row.
//!
//! Invariant: the same events come back as from rows. A reader makes no more than
//! [`VALUES_PER_BYTE_MAX`] values of a byte, as a writer leaves to rows what is shorter.

use std::ops::Range;

use evenkeel_types::{
    Column, Event, EventTime, Operation, Origin, Partition, Position, Value, VisibleAt,
};
use rustc_hash::FxHashMap;

use super::column::{FrameColumn, put_column, take_column};
use super::event::{Head, HeadRef, encode_head, split};
use super::numbers::{put_numbers, take_numbers};
use super::{Cursor, put_varint};
use crate::batch::OWN_POSITION;
use crate::error::{Flaw, LogError};
use crate::reader::EventParts;

/// Fewer events stand row by row.
pub(crate) const COLUMNAR_EVENTS_MIN: usize = 64;
/// More do, too.
const COLUMNAR_EVENTS_MAX: usize = 1 << 16;
/// Values, with time and operation of each event, that a body's byte may stand for.
const VALUES_PER_BYTE_MAX: usize = 256;
/// Values that a body may stand for, whatever its bytes.
const VALUES_MAX: usize = 1 << 24;

const MANY_OPERATIONS: u8 = 1;
const HAS_REVISIONS: u8 = 1 << 1;
const HAS_KNOWN_AT: u8 = 1 << 2;
const MANY_KNOWN_AT: u8 = 1 << 3;
const FLAGS: u8 = MANY_OPERATIONS | HAS_REVISIONS | HAS_KNOWN_AT | MANY_KNOWN_AT;

/// What origins begin with: own positions, a new head, the known ones.
const OWN: u64 = 0;
const NEW_HEAD: u64 = 1;
const FIRST_HEAD: u64 = 2;

/// Whether a body may stand for so many events with so many columns.
fn is_within(events: usize, columns: usize, bytes: usize) -> bool {
    let values = events.saturating_mul(columns.saturating_add(2));
    values <= VALUES_MAX && values <= bytes.saturating_mul(VALUES_PER_BYTE_MAX)
}

/// Appends the events of one frame whose first offset is `first`. Answers the least and the
/// greatest event time; none, with nothing appended, if rows are what suits them.
pub(crate) fn encode_columnar(
    events: &[Event],
    partition: Partition,
    first: u64,
    out: &mut Vec<u8>,
) -> Result<Option<(i64, i64)>, LogError> {
    let columns = events.first().map_or(0, |event| event.row.len());
    let suits = (COLUMNAR_EVENTS_MIN..=COLUMNAR_EVENTS_MAX).contains(&events.len())
        && events
            .iter()
            .all(|event| event.row.len() == columns && event.before.is_none());
    if !suits {
        return Ok(None);
    }
    let start = out.len();
    let times: Vec<i64> = events.iter().map(|event| event.event_time.0).collect();
    put_varint(columns as u64, out);
    put_numbers(&times, out);
    put_marks(events, &times, out);
    put_origins(events, partition, first, out);
    let mut values: Vec<&Value> = Vec::with_capacity(events.len());
    let mut column = Vec::new();
    for slot in 0..columns {
        values.clear();
        values.extend(events.iter().map(|event| &event.row[slot]));
        column.clear();
        put_column(&values, &times, &mut column)?;
        put_varint(column.len() as u64, out);
        out.extend_from_slice(&column);
    }
    if !is_within(events.len(), columns, out.len() - start) {
        out.truncate(start);
        return Ok(None);
    }
    let least = times.iter().min().copied().unwrap_or(0);
    let greatest = times.iter().max().copied().unwrap_or(0);
    Ok(Some((least, greatest)))
}

/// Operations, revisions and declared visible times.
fn put_marks(events: &[Event], times: &[i64], out: &mut Vec<u8>) {
    let operation = events[0].operation;
    let many_operations = events.iter().any(|event| event.operation != operation);
    let has_revisions = events.iter().any(|event| event.revision != 0);
    let has_known_at = events.iter().any(|event| event.known_at.is_some());
    let many_known_at = has_known_at && events.iter().any(|event| event.known_at.is_none());
    let flag = |condition, bit| if condition { bit } else { 0 };
    out.push(
        flag(many_operations, MANY_OPERATIONS)
            | flag(has_revisions, HAS_REVISIONS)
            | flag(has_known_at, HAS_KNOWN_AT)
            | flag(many_known_at, MANY_KNOWN_AT),
    );
    if many_operations {
        out.extend(events.iter().map(|event| event.operation.code()));
    } else {
        out.push(operation.code());
    }
    if has_revisions {
        let revisions = events.iter().map(|event| i64::from(event.revision));
        put_numbers(&revisions.collect::<Vec<_>>(), out);
    }
    if many_known_at {
        out.extend(
            events
                .iter()
                .map(|event| u8::from(event.known_at.is_some())),
        );
    }
    if has_known_at {
        let after = events.iter().zip(times).map(|(event, time)| {
            let known_at = event.known_at.map_or(*time, |known_at| known_at.0);
            known_at.wrapping_sub(*time)
        });
        put_numbers(&after.collect::<Vec<_>>(), out);
    }
}

/// Runs of events whose origins count on from one to the next.
fn put_origins(events: &[Event], partition: Partition, first: u64, out: &mut Vec<u8>) {
    let own = |offset: u64| Origin::Log(Position::new(partition.0, offset));
    let is_own = |offset, origin: &Origin| *origin == OWN_POSITION || *origin == own(offset);
    let mut heads: FxHashMap<HeadRef<'_>, u64> = FxHashMap::default();
    let mut rest = (first..).zip(events).peekable();
    while let Some((offset, event)) = rest.next() {
        let mut length = 1u64;
        if is_own(offset, &event.origin) {
            while rest.next_if(|(o, e)| is_own(*o, &e.origin)).is_some() {
                length += 1;
            }
            put_varint(length, out);
            put_varint(OWN, out);
            continue;
        }
        let (head, number) = split(&event.origin);
        let follows = |(offset, event): &(u64, &Event), length: u64| {
            let due = number.checked_add(length).map(|number| (head, number));
            due == Some(split(&event.origin)) && !is_own(*offset, &event.origin)
        };
        while rest.next_if(|next| follows(next, length)).is_some() {
            length += 1;
        }
        put_varint(length, out);
        match heads.get(&head) {
            Some(known) => put_varint(known + FIRST_HEAD, out),
            None => {
                put_varint(NEW_HEAD, out);
                encode_head(head, out);
                heads.insert(head, heads.len() as u64);
            }
        }
        put_varint(number, out);
    }
}

/// Events that follow each other in the log, by column.
#[derive(Debug)]
pub(crate) struct Columnar {
    partition: u32,
    first: u64,
    times: Vec<i64>,
    operations: Vec<Operation>,
    revisions: Vec<i64>,
    /// Empty if none is declared.
    known_at: Vec<Option<VisibleAt>>,
    /// The first event of each run, and where it came from; none if that is its own position.
    origins: Vec<(usize, Option<Origin>)>,
    columns: Vec<Option<FrameColumn>>,
}

impl Columnar {
    /// Reads a body of so many events from offset `first` on, and of the columns what is
    /// wanted.
    pub(crate) fn decode(
        body: &[u8],
        partition: u32,
        first: u64,
        count: u32,
        parts: Option<&EventParts>,
    ) -> Result<Self, Flaw> {
        let count = count as usize;
        let mut cursor = Cursor::new(body, 0);
        let width = cursor.count(1)?;
        if count > COLUMNAR_EVENTS_MAX || !is_within(count, width, body.len()) {
            return Err(Flaw::Field {
                field: "the number of events by column",
                value: count as u64,
            });
        }
        let times = take_numbers(&mut cursor, count)?;
        let flags = cursor.byte()?;
        if flags & !FLAGS != 0 {
            return Err(flags_flaw(flags));
        }
        let operations = take_operations(&mut cursor, flags, count)?;
        let revisions = match flags & HAS_REVISIONS {
            0 => Vec::new(),
            _ => take_numbers(&mut cursor, count)?,
        };
        if let Some(wrong) = revisions.iter().find(|r| u32::try_from(**r).is_err()) {
            return Err(Flaw::Field {
                field: "a revision",
                value: wrong.unsigned_abs(),
            });
        }
        let known_at = take_known_at(&mut cursor, flags, &times)?;
        let origins = take_origins(&mut cursor, count)?;
        let mut columns = Vec::with_capacity(width);
        for slot in 0..width {
            let bytes = cursor.byte_string()?;
            let is_wanted = parts.is_none_or(|p| p.columns.get(slot).copied().unwrap_or(false));
            columns.push(if is_wanted {
                let mut column = Cursor::new(bytes, 0);
                let found = take_column(&mut column, &times)?;
                column.finish()?;
                Some(found)
            } else {
                None
            });
        }
        cursor.finish()?;
        Ok(Columnar {
            partition,
            first,
            times,
            operations,
            revisions,
            known_at,
            origins,
            columns,
        })
    }

    /// Events that no frame has. Each of what there is one of per event may be empty where
    /// [`EventColumnsParts`](crate::EventColumnsParts) says so.
    pub(crate) fn from_parts(
        first: Position,
        times: Vec<i64>,
        operations: Vec<Operation>,
        revisions: Vec<u32>,
        known_at: Vec<Option<VisibleAt>>,
        origins: Vec<(usize, Option<Origin>)>,
        columns: Vec<Option<Column>>,
    ) -> Self {
        let columns = columns.into_iter();
        Columnar {
            partition: first.partition.0,
            first: first.offset.0,
            times,
            operations,
            revisions: revisions.into_iter().map(i64::from).collect(),
            known_at,
            origins,
            columns: columns.map(|c| c.map(FrameColumn::Typed)).collect(),
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    pub(crate) fn known_at(&self, event: usize) -> Option<VisibleAt> {
        self.known_at.get(event).copied().flatten()
    }

    /// Whether no event says by itself when it was visible.
    pub(crate) fn declares_nothing(&self) -> bool {
        self.known_at.is_empty()
    }

    pub(crate) fn take_column(&mut self, slot: usize) -> Option<FrameColumn> {
        self.columns.get_mut(slot)?.take()
    }

    /// The events of each run of origins that count on, and the first one's.
    pub(crate) fn origin_runs(&self) -> impl Iterator<Item = (Range<usize>, Origin)> + '_ {
        let ends = self.origins.iter().skip(1).map(|(start, _)| *start);
        let ends = ends.chain([self.times.len()]);
        self.origins
            .iter()
            .zip(ends)
            .map(|((start, _), end)| (*start..end, self.origin(*start)))
    }

    fn origin(&self, event: usize) -> Origin {
        let run = self.origins.partition_point(|(start, _)| *start <= event);
        let (start, origin) = &self.origins[run - 1];
        match origin {
            None => Origin::Log(Position::new(self.partition, self.first + event as u64)),
            Some(origin) => {
                let (head, number) = split(origin);
                // Within the run, which was checked when it was read.
                head.with(number + (event - start) as u64)
            }
        }
    }

    /// One of the events, in place of another; of its origin only what is wanted.
    pub(crate) fn event_into(&self, number: usize, parts: Option<&EventParts>, event: &mut Event) {
        event.operation = self.operations[number];
        // In range: it was checked when it was read.
        event.revision = self.revisions.get(number).map_or(0, |r| *r as u32);
        event.event_time = EventTime(self.times[number]);
        event.known_at = self.known_at(number);
        event.origin = match parts {
            Some(parts) if !parts.origin => {
                Origin::Log(Position::new(self.partition, self.first + number as u64))
            }
            _ => self.origin(number),
        };
        event.before = None;
        event.row.clear();
        event.row.extend(self.columns.iter().map(|column| {
            let column = column.as_ref();
            column.map_or(Value::Null, |column| column.get(number))
        }));
    }
}

fn flags_flaw(flags: u8) -> Flaw {
    Flaw::Field {
        field: "the flags of events by column",
        value: u64::from(flags),
    }
}

fn take_operations(
    cursor: &mut Cursor<'_>,
    flags: u8,
    count: usize,
) -> Result<Vec<Operation>, Flaw> {
    let operation = |code: u8| {
        Operation::from_code(code).ok_or(Flaw::Field {
            field: "an event's operation",
            value: u64::from(code),
        })
    };
    if flags & MANY_OPERATIONS == 0 {
        return Ok(vec![operation(cursor.byte()?)?; count]);
    }
    let codes = cursor.take(count)?;
    codes.iter().map(|&code| operation(code)).collect()
}

fn take_known_at(
    cursor: &mut Cursor<'_>,
    flags: u8,
    times: &[i64],
) -> Result<Vec<Option<VisibleAt>>, Flaw> {
    let declared = match flags & (HAS_KNOWN_AT | MANY_KNOWN_AT) {
        0 => return Ok(Vec::new()),
        HAS_KNOWN_AT => None,
        MANY_KNOWN_AT => return Err(flags_flaw(flags)),
        _ => Some(cursor.take(times.len())?),
    };
    let after = take_numbers(cursor, times.len())?;
    let known_at = after.iter().zip(times).enumerate();
    Ok(known_at
        .map(|(i, (after, time))| {
            let is_declared = declared.is_none_or(|declared| declared[i] != 0);
            is_declared.then(|| VisibleAt(time.wrapping_add(*after)))
        })
        .collect())
}

fn take_origins(
    cursor: &mut Cursor<'_>,
    count: usize,
) -> Result<Vec<(usize, Option<Origin>)>, Flaw> {
    let mut heads: Vec<Head> = Vec::new();
    let mut origins = Vec::new();
    let mut start = 0usize;
    while start < count {
        let length = cursor.varint()?;
        let end = usize::try_from(length)
            .ok()
            .filter(|length| (1..=count - start).contains(length))
            .map(|length| start + length);
        let end = end.ok_or(Flaw::Field {
            field: "how many origins count on",
            value: length,
        })?;
        let origin = match cursor.varint()? {
            OWN => None,
            head => {
                let head = match head {
                    NEW_HEAD => {
                        heads.push(Head::decode(cursor)?);
                        heads.last()
                    }
                    known => usize::try_from(known - FIRST_HEAD)
                        .ok()
                        .and_then(|known| heads.get(known)),
                };
                let head = head.ok_or(Flaw::Field {
                    field: "the number of an origin's head",
                    value: heads.len() as u64,
                })?;
                let number = cursor.varint()?;
                if number.checked_add(length - 1).is_none() {
                    return Err(Flaw::Field {
                        field: "an origin's number",
                        value: number,
                    });
                }
                Some(head.with(number))
            }
        };
        origins.push((start, origin));
        start = end;
    }
    Ok(origins)
}

#[cfg(test)]
mod tests;
