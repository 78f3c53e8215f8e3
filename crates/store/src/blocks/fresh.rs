//! What is new of a key since the last checkpoint was begun.
//!
//! Most keys get few events between two checkpoints, and few of those keys are read meanwhile. So
//! events wait as they came, one behind the other in two pieces of memory; what a read or a
//! checkpoint makes of them is the same as if each had been put in its place at once. Many events
//! of one key are put in their places, as a read of it would otherwise unpack all of them.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_aggregate::Entry;
use evenkeel_types::{DataType, Offset, Partition, Position, Value};

use super::run::{Mark, Tail};

/// More events of a key are put in their places.
const PACKED_MAX: u32 = 32;
/// What stands before the order bytes of an event: its times, offset and handle, its partition, how
/// many order bytes there are, and whether it is contested.
const HEAD_BYTES: usize = CONTESTED_AT + 1;
const CONTESTED_AT: usize = 4 * 8 + 2 * 4;

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
    count: u32,
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
        let mut tail = Tail::new(types);
        let width = types.len();
        for (number, head) in self.heads().enumerate() {
            tail.events.insert(&Entry {
                time: head.time,
                order: head.order,
                position: head.position,
                visible_at: head.visible_at,
                contested: head.contested,
                id: head.id,
                values: &self.values[number * width..(number + 1) * width],
            });
        }
        tail.marks.clone_from(&self.marks);
        tail
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
