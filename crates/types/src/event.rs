//! Events: rows of sources, where they came from, and where they stand in the log.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{EventTime, VisibleAt};
use crate::value::Value;

/// A source's number: given once by the registry, never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u32);

/// A partition of a source, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

/// The place of an event in a partition of the log, from 0. Offsets may have gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

/// The place of an event in its source's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The offset in it.
    pub offset: Offset,
}

impl Position {
    /// A position from its numbers.
    pub const fn new(partition: u32, offset: u64) -> Self {
        Position {
            partition: Partition(partition),
            offset: Offset(offset),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition.0, self.offset.0)
    }
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Operation {
    /// A stream's event.
    Insert = 0,
    /// A table's row from its event time on.
    Upsert = 1,
    /// The end of a table's row.
    Delete = 2,
    /// A correction: this identity's row is now this one. The event time is the identity's.
    Replace = 3,
    /// A correction: this identity never happened.
    Remove = 4,
}

impl Operation {
    /// The operation's code in the log.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The operation of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Operation::Insert,
            Operation::Upsert,
            Operation::Delete,
            Operation::Replace,
            Operation::Remove,
        ]
        .into_iter()
        .find(|o| o.code() == code)
    }

    /// `replace` or `remove`.
    pub fn is_correction(self) -> bool {
        matches!(self, Operation::Replace | Operation::Remove)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Insert => "insert",
            Operation::Upsert => "upsert",
            Operation::Delete => "delete",
            Operation::Replace => "replace",
            Operation::Remove => "remove",
        })
    }
}

/// Where an event first stood. It survives re-logging, and it is the event's identity where
/// its source declares no event id.
///
/// The derived order (kind, then fields) is the order of [`Origin::encode`]'s bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A row of a file.
    File {
        /// 128 bits of the BLAKE3 digest of the file's bytes.
        digest: [u8; 16],
        /// The row, from 0.
        row: u64,
    },
    /// A record of a Kafka topic.
    Kafka {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
    },
    /// A pushed event with a producer's sequence number.
    Producer {
        /// The producer's id.
        id: String,
        /// Its sequence number.
        sequence: u64,
    },
    /// A pushed event without: its own log position.
    Log(Position),
}

impl Origin {
    /// Order-preserving bytes: kind, then fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = |s: &str, out: &mut Vec<u8>| {
            crate::codec::encode_value(&Value::string(s), out);
        };
        match self {
            Origin::File { digest, row } => {
                out.push(0);
                out.extend(digest);
                out.extend(row.to_be_bytes());
            }
            Origin::Kafka {
                topic,
                partition,
                offset,
            } => {
                out.push(1);
                text(topic, out);
                out.extend(partition.to_be_bytes());
                out.extend(offset.to_be_bytes());
            }
            Origin::Producer { id, sequence } => {
                out.push(2);
                text(id, out);
                out.extend(sequence.to_be_bytes());
            }
            Origin::Log(position) => {
                out.push(3);
                out.extend(position.partition.0.to_be_bytes());
                out.extend(position.offset.0.to_be_bytes());
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { digest, row } => {
                f.write_str("file ")?;
                for byte in &digest[..4] {
                    write!(f, "{byte:02x}")?;
                }
                write!(f, " row {row}")
            }
            Origin::Kafka {
                topic,
                partition,
                offset,
            } => {
                write!(f, "topic {topic} partition {partition} offset {offset}")
            }
            Origin::Producer { id, sequence } => write!(f, "producer {id} sequence {sequence}"),
            Origin::Log(position) => write!(f, "log position {position}"),
        }
    }
}

/// One row of a source, validated, before it has a place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it does.
    pub operation: Operation,
    /// 0 for what was first recorded; a correction's revision is larger than that of what
    /// it corrects.
    pub revision: u32,
    /// When it happened.
    pub event_time: EventTime,
    /// What the source's `KNOWN AT` says, if it declares one. Corrections have none.
    pub known_at: Option<VisibleAt>,
    /// Where it came from.
    pub origin: Origin,
    /// The values of the source's stored columns, in schema order. A `delete` has its
    /// primary key and event time, the rest NULL; a `remove` repeats the row it removes.
    pub row: Vec<Value>,
    /// For corrections: the row as it was, if it is known.
    pub before: Option<Vec<Value>>,
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    /// Its source.
    pub source: SourceId,
    /// Its place.
    pub position: Position,
    /// The partition's apply timeline at this position.
    pub logged_at: VisibleAt,
    /// The version of the source's schema that `event.row` follows.
    pub schema_version: u32,
    /// The event.
    pub event: Event,
}

impl LoggedEvent {
    /// An event of nothing, to be read into.
    pub fn blank() -> Self {
        LoggedEvent {
            source: SourceId(0),
            position: Position::new(0, 0),
            logged_at: VisibleAt(0),
            schema_version: 0,
            event: Event {
                operation: Operation::Insert,
                revision: 0,
                event_time: EventTime(0),
                known_at: None,
                origin: Origin::Log(Position::new(0, 0)),
                row: Vec::new(),
                before: None,
            },
        }
    }

    /// When reads could see it: declared (`max(event_time, KNOWN AT)`) where the source
    /// declares it, else the timeline's time; corrections always take the timeline's.
    pub fn visible_at(&self) -> VisibleAt {
        match self.event.known_at {
            Some(declared) if !self.event.operation.is_correction() => {
                VisibleAt(declared.0.max(self.event.event_time.0))
            }
            _ => self.logged_at,
        }
    }
}

/// A cut `K`: how far each partition of each source is known. Partitions that are not
/// mentioned are not known at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cut {
    ends: BTreeMap<SourceId, BTreeMap<Partition, u64>>,
}

impl Cut {
    /// The cut that contains nothing.
    pub fn empty() -> Self {
        Cut::default()
    }

    /// Sets the first offset of a partition that is *not* in the cut.
    pub fn set_end(&mut self, source: SourceId, partition: Partition, end: Offset) {
        self.ends
            .entry(source)
            .or_default()
            .insert(partition, end.0);
    }

    /// The first offset of a partition that is not in the cut; 0 if none is.
    pub fn end(&self, source: SourceId, partition: Partition) -> Offset {
        Offset(
            self.ends
                .get(&source)
                .and_then(|p| p.get(&partition))
                .copied()
                .unwrap_or(0),
        )
    }

    /// Whether the position is in the cut.
    pub fn contains(&self, source: SourceId, position: Position) -> bool {
        position.offset < self.end(source, position.partition)
    }

    /// The partitions of one source with their ends.
    pub fn of_source(&self, source: SourceId) -> SourceCut {
        SourceCut {
            ends: self
                .ends
                .get(&source)
                .map(|p| p.iter().map(|(&p, &e)| (p, e)).collect())
                .unwrap_or_default(),
        }
    }

    /// All (source, partition, end), in order.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, Partition, Offset)> + '_ {
        self.ends
            .iter()
            .flat_map(|(&s, ps)| ps.iter().map(move |(&p, &e)| (s, p, Offset(e))))
    }

    /// Whether every position of `other` is in this cut too.
    pub fn covers(&self, other: &Cut) -> bool {
        other.iter().all(|(s, p, e)| self.end(s, p) >= e)
    }
}

/// One source's part of a [`Cut`], quick to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCut {
    ends: Vec<(Partition, u64)>,
}

impl SourceCut {
    /// A cut of one partition.
    pub fn single(partition: Partition, end: Offset) -> Self {
        SourceCut {
            ends: vec![(partition, end.0)],
        }
    }

    /// Sets the first offset of a partition that is *not* in the cut.
    pub fn set_end(&mut self, partition: Partition, end: Offset) {
        match self.ends.binary_search_by_key(&partition, |(p, _)| *p) {
            Ok(known) => self.ends[known].1 = end.0,
            Err(place) => self.ends.insert(place, (partition, end.0)),
        }
    }

    /// Whether the position is in the cut.
    #[inline]
    pub fn contains(&self, position: Position) -> bool {
        position.offset.0 < self.end(position.partition).0
    }

    /// The first offset of the partition that is not in the cut.
    #[inline]
    pub fn end(&self, partition: Partition) -> Offset {
        match self.ends.as_slice() {
            [(only, end)] if *only == partition => Offset(*end),
            ends => Offset(
                ends.iter()
                    .find(|(p, _)| *p == partition)
                    .map_or(0, |(_, end)| *end),
            ),
        }
    }
}

/// What an evaluation knows: a cut, and optionally a time that bounds what was visible.
/// An event counts if its position is in the cut and `visible_at <= known_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knowledge {
    /// Positions.
    pub cut: Cut,
    /// `None`: everything in the cut.
    pub known_at: Option<VisibleAt>,
}

impl Knowledge {
    /// Everything in a cut.
    pub fn latest(cut: Cut) -> Self {
        Knowledge {
            cut,
            known_at: None,
        }
    }

    /// What of a cut was visible at a time.
    pub fn as_served(cut: Cut, known_at: VisibleAt) -> Self {
        Knowledge {
            cut,
            known_at: Some(known_at),
        }
    }

    /// Whether this event counts.
    pub fn contains(&self, event: &LoggedEvent) -> bool {
        self.cut.contains(event.source, event.position)
            && self
                .known_at
                .is_none_or(|known_at| event.visible_at() <= known_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_bytes_keep_the_order() {
        let mut origins = [
            Origin::Log(Position::new(0, 256)),
            Origin::Log(Position::new(0, 255)),
            Origin::File {
                digest: [1; 16],
                row: 9,
            },
            Origin::File {
                digest: [0; 16],
                row: 10,
            },
            Origin::Producer {
                id: "b".into(),
                sequence: 0,
            },
            Origin::Producer {
                id: "a".into(),
                sequence: 7,
            },
            Origin::Kafka {
                topic: "t".into(),
                partition: 1,
                offset: 2,
            },
        ];
        origins.sort();
        let bytes = |o: &Origin| {
            let mut out = Vec::new();
            o.encode(&mut out);
            out
        };
        assert!(origins.is_sorted_by_key(bytes));
    }

    #[test]
    fn a_cut_knows_what_is_in_it() {
        let mut cut = Cut::empty();
        cut.set_end(SourceId(1), Partition(2), Offset(5));
        assert!(cut.contains(SourceId(1), Position::new(2, 4)));
        assert!(!cut.contains(SourceId(1), Position::new(2, 5)));
        assert!(!cut.contains(SourceId(1), Position::new(0, 0)));
        assert!(!cut.contains(SourceId(0), Position::new(2, 0)));
        assert!(cut.covers(&Cut::empty()) && !Cut::empty().covers(&cut));
        let part = cut.of_source(SourceId(1));
        assert!(part.contains(Position::new(2, 4)) && !part.contains(Position::new(2, 5)));
        let mut moved = part;
        for (partition, end) in [(2, 7), (5, 1), (0, 3), (2, 6)] {
            moved.set_end(Partition(partition), Offset(end));
            cut.set_end(SourceId(1), Partition(partition), Offset(end));
            assert_eq!(moved, cut.of_source(SourceId(1)));
        }
    }

    #[test]
    fn corrections_are_visible_when_logged() {
        let event = Event {
            operation: Operation::Insert,
            revision: 0,
            event_time: EventTime(100),
            known_at: Some(VisibleAt(50)),
            origin: Origin::Log(Position::new(0, 0)),
            row: Vec::new(),
            before: None,
        };
        let mut logged = LoggedEvent {
            source: SourceId(0),
            position: Position::new(0, 0),
            logged_at: VisibleAt(9_000),
            schema_version: 1,
            event,
        };
        assert_eq!(logged.visible_at(), VisibleAt(100));
        logged.event.operation = Operation::Replace;
        assert_eq!(logged.visible_at(), VisibleAt(9_000));
    }
}
