//! What is new of a key since the last checkpoint was begun.
//!
//! Most keys get few events between two checkpoints, and few of those keys are read meanwhile. So
//! events wait as they came, one behind the other in two pieces of memory; what a read or a
//! checkpoint makes of them is the same as if each had been put in its place at once. Many events
//! of one key are put in their places, as a read of it would otherwise unpack all of them.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_aggregate::history::BlockEncoder;
use evenkeel_aggregate::{Entry, EventOrder, History};
use evenkeel_types::{DataType, Offset, Partition, Position, Value};

use super::run::{Mark, Tail, put_marks};

/// More events of a key are put in their places.
const PACKED_MAX: usize = 128;
/// What stands before the order bytes of an event: its times, offset and handle, its partition, how
/// many order bytes there are, and whether it is contested.
const HEAD_BYTES: usize = CONTESTED_AT + 1;
const CONTESTED_AT: usize = 4 * 8 + 2 * 4;
/// Bytes that are expected of a value, encoded.
const PACKED_VALUE_BYTES: usize = 9;

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Fresh {
    Packed(Packed),
    Placed(Box<Tail>),
}

impl Fresh {
    pub(super) fn new() -> Self {
        Fresh::Packed(Packed::default())
    }

    /// Adds an event whose values have these types.
    pub(super) fn insert(&mut self, entry: &Entry<'_>, types: &Arc<[DataType]>) {
        if let Fresh::Packed(packed) = self
            && packed.count == PACKED_MAX
        {
            *self = Fresh::Placed(Box::new(packed.placed(types)));
        }
        match self {
            Fresh::Packed(packed) => packed.push(entry),
            Fresh::Placed(tail) => tail.events.insert(entry),
        }
    }

    /// Marks the event with this place, or what is stored there, as contested.
    pub(super) fn contest(&mut self, time: i64, order: &[u8]) {
        match self {
            Fresh::Packed(packed) => packed.contest(time, order),
            Fresh::Placed(tail) => tail.contest(time, order),
        }
    }

    /// Everything in its place.
    pub(super) fn tail(&self, types: &Arc<[DataType]>) -> Cow<'_, Tail> {
        match self {
            Fresh::Packed(packed) => Cow::Owned(packed.placed(types)),
            Fresh::Placed(tail) => Cow::Borrowed(tail),
        }
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Fresh::Packed(packed) => packed.count,
            Fresh::Placed(tail) => tail.events.len(),
        }
    }

    /// The bytes of [`Fresh::tail`].
    pub(super) fn encode(&self, encoder: &mut BlockEncoder) -> Vec<u8> {
        match self {
            Fresh::Packed(packed) => packed.encode(encoder),
            Fresh::Placed(tail) => tail.encode(),
        }
    }

    /// Forgets states that were made of the events.
    pub(super) fn forget_states(&mut self) {
        match self {
            Fresh::Packed(_) => {}
            Fresh::Placed(tail) => tail.events.forget_states(),
        }
    }
}

/// Events as they came, and marks on events that are stored already.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    /// Of each event what is not a value: the head, then its order bytes.
    heads: Vec<u8>,
    /// The values of each event.
    values: Vec<Value>,
    count: usize,
    marks: Vec<Mark>,
}

impl Packed {
    fn push(&mut self, entry: &Entry<'_>) {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&entry.time.to_le_bytes());
        head[8..16].copy_from_slice(&entry.visible_at.to_le_bytes());
        head[16..24].copy_from_slice(&entry.position.offset.0.to_le_bytes());
        head[24..32].copy_from_slice(&entry.id.to_le_bytes());
        head[32..36].copy_from_slice(&entry.position.partition.0.to_le_bytes());
        // Order bytes are event ids and rows, bounded where they are recorded.
        head[36..40].copy_from_slice(&(entry.order.len() as u32).to_le_bytes());
        head[CONTESTED_AT] = u8::from(entry.contested);
        self.heads.reserve(HEAD_BYTES + entry.order.len());
        self.heads.extend_from_slice(&head);
        self.heads.extend_from_slice(entry.order);
        self.values.extend_from_slice(entry.values);
        self.count += 1;
    }

    fn contest(&mut self, time: i64, order: &[u8]) {
        let found = self
            .heads()
            .find(|head| head.time == time && head.order == order)
            .map(|head| head.at);
        match found {
            Some(at) => self.heads[at + CONTESTED_AT] = 1,
            None => self.marks.push(Mark {
                time,
                order: order.into(),
            }),
        }
    }

    fn placed(&self, types: &Arc<[DataType]>) -> Tail {
        Tail {
            events: self.in_order(|entries| History::of_sorted(Arc::clone(types), entries)),
            marks: self.marks.clone(),
        }
    }

    fn encode(&self, encoder: &mut BlockEncoder) -> Vec<u8> {
        // About as many as it will be: most are a few events of keys that are many.
        let mut out = Vec::with_capacity(self.heads.len() + self.values.len() * PACKED_VALUE_BYTES);
        put_marks(&self.marks, &mut out);
        if self.count > 0 {
            self.in_order(|entries| encoder.encode(entries, &mut out));
        }
        out
    }

    /// Gives the events in their order.
    fn in_order<T>(&self, take: impl FnOnce(&mut dyn Iterator<Item = Entry<'_>>) -> T) -> T {
        if self.entries().is_sorted_by_key(|entry| place_of(&entry)) {
            return take(&mut self.entries());
        }
        let mut entries: Vec<Entry<'_>> = self.entries().collect();
        entries.sort_unstable_by(|a, b| place_of(a).cmp(&place_of(b)));
        take(&mut entries.into_iter())
    }

    /// The events as they came.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let width = self.values.len() / self.count.max(1);
        self.heads().enumerate().map(move |(number, head)| Entry {
            time: head.time,
            order: head.order,
            position: head.position,
            visible_at: head.visible_at,
            contested: head.contested,
            id: head.id,
            values: &self.values[number * width..(number + 1) * width],
        })
    }

    fn heads(&self) -> impl Iterator<Item = Head<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = Head::at(&self.heads, at)?;
            at += HEAD_BYTES + head.order.len();
            Some(head)
        })
    }
}

fn place_of<'a>(entry: &Entry<'a>) -> EventOrder<'a> {
    EventOrder::new(entry.time, entry.order)
}

/// What an event has besides its values.
struct Head<'a> {
    /// Where it begins.
    at: usize,
    time: i64,
    visible_at: i64,
    position: Position,
    contested: bool,
    id: u64,
    order: &'a [u8],
}

impl<'a> Head<'a> {
    /// That at a place where one begins; none at the end.
    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let (head, rest) = bytes.get(at..)?.split_first_chunk::<HEAD_BYTES>()?;
        let long = |from: usize| {
            let eight = head[from..].first_chunk().expect("it is within the head");
            u64::from_le_bytes(*eight)
        };
        let short = |from: usize| {
            let four = head[from..].first_chunk().expect("it is within the head");
            u32::from_le_bytes(*four)
        };
        Some(Head {
            at,
            time: long(0).cast_signed(),
            visible_at: long(8).cast_signed(),
            position: Position {
                partition: Partition(short(32)),
                offset: Offset(long(16)),
            },
            contested: head[CONTESTED_AT] == 1,
            id: long(24),
            order: &rest[..short(36) as usize],
        })
    }
}
