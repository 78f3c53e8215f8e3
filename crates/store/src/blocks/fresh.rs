//! What is new of the keys of an index since the last checkpoint was begun.
//!
//! Most keys get few events between two checkpoints, and few of those keys are read meanwhile. So
//! events of all keys wait as they came, one behind the other, in pieces of memory that are not moved again; each says
//! where that of its key before it is. What a read or a checkpoint makes of them is the same as if each had been put in its
//! place at once. Many events of one key are put in their places, as a read of it would otherwise look for all of
//! them.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_aggregate::history::BlockEncoder;
use evenkeel_aggregate::{Entry, EventOrder, History};
use evenkeel_types::{DataType, Position, Value};
use rustc_hash::FxHashMap;

use super::run::{Tail, put_marks};
use super::short_key::ShortKey;
use super::{ENTRY_BYTES, bytes_of};

/// More events of a key are put in their places.
const PACKED_MAX: u32 = 128;
/// Events of a piece, at most.
const PIECE_EVENTS: usize = 1_024;
/// Behind so many order bytes another piece begins.
const PIECE_ORDER_BYTES: usize = 1 << 20;
/// About the bytes of a key, besides its events: its place in a map that is half empty.
const KEY_BYTES: usize = 72;
/// Bytes that are expected of an event, encoded, besides its values and its order bytes.
const PACKED_EVENT_BYTES: usize = 24;
/// Bytes that are expected of a value, encoded.
const PACKED_VALUE_BYTES: usize = 9;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tails {
    keys: FxHashMap<ShortKey, Fresh>,
    packed: Packed,
}

/// What is new of a key.
#[derive(Debug)]
enum Fresh {
    /// The last event that came, and how many there are.
    Packed { last: usize, count: u32 },
    /// Events, and marks on events that are stored already.
    Placed(Box<Tail>),
}

/// What is new of a key, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreshOf<'a> {
    fresh: &'a Fresh,
    packed: &'a Packed,
}

impl Tails {
    /// With room for so many keys.
    pub(super) fn for_keys(keys: usize) -> Self {
        let mut tails = Tails::default();
        tails.keys.reserve(keys);
        tails
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds an event of a key, whose values have these types. Answers about how many bytes that takes.
    pub(super) fn insert(
        &mut self,
        key: &[u8],
        entry: &Entry<'_>,
        types: &Arc<[DataType]>,
    ) -> usize {
        let Tails { keys, packed } = self;
        let bytes = bytes_of(entry);
        let Some(fresh) = keys.get_mut(key) else {
            let last = packed.push(entry, None);
            keys.insert(key.into(), Fresh::Packed { last, count: 1 });
            return bytes + KEY_BYTES + key.len();
        };
        match fresh {
            Fresh::Packed { last, count } if *count < PACKED_MAX => {
                *last = packed.push(entry, Some(*last));
                *count += 1;
                bytes
            }
            _ => {
                let (tail, placed) = placed(fresh, packed, types);
                tail.events.insert(entry);
                bytes + placed
            }
        }
    }

    /// Marks the event of a key with this place, or what is stored there, as contested. Answers about how many
    /// bytes that takes.
    pub(super) fn contest(
        &mut self,
        key: &[u8],
        time: i64,
        order: &[u8],
        types: &Arc<[DataType]>,
    ) -> usize {
        let Tails { keys, packed } = self;
        let bytes = ENTRY_BYTES + order.len();
        let Some(fresh) = keys.get_mut(key) else {
            let mut tail = Tail::new(types);
            tail.contest(time, order);
            keys.insert(key.into(), Fresh::Placed(Box::new(tail)));
            return bytes + KEY_BYTES + key.len() + size_of::<Tail>();
        };
        if let Fresh::Packed { last, count } = *fresh {
            let is_it = |entry: &Entry<'_>| entry.time == time && entry.order == order;
            let numbers = packed.numbers(last, count);
            let found = { numbers }.find(|number| is_it(&packed.entry(*number)));
            if let Some(number) = found {
                packed.head_mut(number).contested = true;
                return 0;
            }
        }
        let (tail, placed) = placed(fresh, packed, types);
        tail.contest(time, order);
        bytes + placed
    }

    /// What is new of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<FreshOf<'_>> {
        let fresh = self.keys.get(key)?;
        Some(self.of(fresh))
    }

    fn of<'a>(&'a self, fresh: &'a Fresh) -> FreshOf<'a> {
        FreshOf {
            fresh,
            packed: &self.packed,
        }
    }

    /// All keys, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.keys().map(ShortKey::as_slice)
    }

    /// What is new of all keys, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], FreshOf<'_>)> {
        let keys = self.keys.iter();
        keys.map(|(key, fresh)| (key.as_slice(), self.of(fresh)))
    }

    /// Forgets states that were made of the events.
    pub(super) fn forget_states(&mut self) {
        for fresh in self.keys.values_mut() {
            if let Fresh::Placed(tail) = fresh {
                tail.events.forget_states();
            }
        }
    }
}

/// What is new of a key, with every event in its place from now on; and about how many bytes it takes to put them
/// there: where they came they stay until the checkpoint ends.
fn placed<'a>(
    fresh: &'a mut Fresh,
    packed: &Packed,
    types: &Arc<[DataType]>,
) -> (&'a mut Tail, usize) {
    let mut bytes = 0;
    if let Fresh::Packed { last, count } = *fresh {
        let entries = packed.numbers(last, count).map(|n| packed.entry(n));
        bytes = size_of::<Tail>() + entries.map(|entry| bytes_of(&entry)).sum::<usize>();
        *fresh = Fresh::Placed(Box::new(packed.placed(last, count, types)));
    }
    match fresh {
        Fresh::Placed(tail) => (tail, bytes),
        Fresh::Packed { .. } => unreachable!("it was placed"),
    }
}

impl<'a> FreshOf<'a> {
    /// Everything in its place.
    pub(super) fn tail(self, types: &Arc<[DataType]>) -> Cow<'a, Tail> {
        match self.fresh {
            Fresh::Packed { last, count } => Cow::Owned(self.packed.placed(*last, *count, types)),
            Fresh::Placed(tail) => Cow::Borrowed(tail),
        }
    }

    /// How many events there are.
    pub(super) fn len(self) -> usize {
        match self.fresh {
            Fresh::Packed { count, .. } => *count as usize,
            Fresh::Placed(tail) => tail.events.len(),
        }
    }

    /// The bytes of [`FreshOf::tail`].
    pub(super) fn encode(self, encoder: &mut BlockEncoder) -> Vec<u8> {
        match self.fresh {
            Fresh::Packed { last, count } => self.packed.encode(*last, *count, encoder),
            Fresh::Placed(tail) => tail.encode(),
        }
    }
}

/// Events of all keys, as they came. The number of an event is its piece's times [`PIECE_EVENTS`], and its place there: pieces
/// that are not full leave numbers out.
#[derive(Debug, Default)]
struct Packed(Vec<Piece>);

/// Events that came one behind the other.
#[derive(Debug, Default)]
struct Piece {
    heads: Vec<Head>,
    /// Their order bytes.
    orders: Vec<u8>,
    /// As many values of each.
    values: Vec<Value>,
}

/// What an event has besides its values.
#[derive(Debug)]
struct Head {
    time: i64,
    visible_at: i64,
    position: Position,
    id: u64,
    /// The number of the event of its key before it, if there is one.
    previous: usize,
    /// Where its order bytes end; they begin where those of the event before end.
    order_end: u32,
    contested: bool,
}

impl Packed {
    /// Adds an event, whose key has another one before it. Answers its number.
    fn push(&mut self, entry: &Entry<'_>, previous: Option<usize>) -> usize {
        if self.0.last().is_none_or(Piece::is_full) {
            let piece = Piece::after(self.0.last());
            self.0.push(piece);
        }
        let before = (self.0.len() - 1) * PIECE_EVENTS;
        let piece = &mut self.0[before / PIECE_EVENTS];
        piece.orders.extend_from_slice(entry.order);
        piece.values.extend_from_slice(entry.values);
        piece.heads.push(Head {
            time: entry.time,
            visible_at: entry.visible_at,
            position: entry.position,
            id: entry.id,
            previous: previous.unwrap_or(0),
            // Those of a piece are a megabyte, and one row more: rows are bounded where they are recorded.
            order_end: piece.orders.len() as u32,
            contested: entry.contested,
        });
        before + piece.heads.len() - 1
    }

    fn head_mut(&mut self, number: usize) -> &mut Head {
        &mut self.0[number / PIECE_EVENTS].heads[number % PIECE_EVENTS]
    }

    fn entry(&self, number: usize) -> Entry<'_> {
        let (piece, at) = (&self.0[number / PIECE_EVENTS], number % PIECE_EVENTS);
        let head = &piece.heads[at];
        let order_start = match at {
            0 => 0,
            _ => piece.heads[at - 1].order_end,
        };
        let width = piece.values.len() / piece.heads.len();
        Entry {
            time: head.time,
            order: &piece.orders[order_start as usize..head.order_end as usize],
            position: head.position,
            visible_at: head.visible_at,
            contested: head.contested,
            id: head.id,
            values: &piece.values[at * width..(at + 1) * width],
        }
    }

    /// The numbers of a key's events, the last first.
    fn numbers(&self, last: usize, count: u32) -> impl Iterator<Item = usize> {
        let mut next = last;
        (0..count).map(move |_| {
            let number = next;
            next = self.0[number / PIECE_EVENTS].heads[number % PIECE_EVENTS].previous;
            number
        })
    }

    fn placed(&self, last: usize, count: u32, types: &Arc<[DataType]>) -> Tail {
        Tail {
            events: self.in_order(last, count, |entries| {
                History::of_sorted(Arc::clone(types), entries)
            }),
            marks: Vec::new(),
        }
    }

    fn encode(&self, last: usize, count: u32, encoder: &mut BlockEncoder) -> Vec<u8> {
        // About as many as it will be: most are a few events of keys that are many.
        let first = self.entry(last);
        let values = first.values.len() * PACKED_VALUE_BYTES;
        let each = PACKED_EVENT_BYTES + first.order.len() + values;
        let mut out = Vec::with_capacity(each * count as usize);
        put_marks(&[], &mut out);
        self.in_order(last, count, |entries| encoder.encode(entries, &mut out));
        out
    }

    /// Gives the events of a key in their order.
    fn in_order<T>(
        &self,
        last: usize,
        count: u32,
        take: impl FnOnce(&mut dyn Iterator<Item = Entry<'_>>) -> T,
    ) -> T {
        if count == 1 {
            return take(&mut std::iter::once(self.entry(last)));
        }
        let mut numbers = [0; PACKED_MAX as usize];
        let numbers = &mut numbers[..count as usize];
        for (place, number) in numbers.iter_mut().rev().zip(self.numbers(last, count)) {
            *place = number;
        }
        let mut entries = numbers.iter().map(|number| self.entry(*number));
        if entries.clone().is_sorted_by_key(|entry| place_of(&entry)) {
            return take(&mut entries);
        }
        let mut entries: Vec<Entry<'_>> = entries.collect();
        entries.sort_unstable_by(|a, b| place_of(a).cmp(&place_of(b)));
        take(&mut entries.into_iter())
    }
}

fn place_of<'a>(entry: &Entry<'a>) -> EventOrder<'a> {
    EventOrder::new(entry.time, entry.order)
}

impl Piece {
    fn is_full(&self) -> bool {
        self.heads.len() == PIECE_EVENTS || self.orders.len() >= PIECE_ORDER_BYTES
    }

    /// With room for as much as the one before had; the first one grows.
    fn after(before: Option<&Piece>) -> Self {
        let Some(before) = before else {
            return Piece::default();
        };
        Piece {
            heads: Vec::with_capacity(PIECE_EVENTS),
            orders: Vec::with_capacity(before.orders.len().min(PIECE_ORDER_BYTES)),
            values: Vec::with_capacity(before.values.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key_of(number: u16) -> Vec<u8> {
        // Some stand in the map, and some do not.
        match number % 3 {
            0 => vec![b'k'; 30 + usize::from(number)],
            _ => number.to_be_bytes().to_vec(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        /// Keys of a few events and of more than are packed, over several pieces, some of which end by
        /// their order bytes.
        #[test]
        fn what_waits_is_what_was_put_in_its_place(
            events in prop::collection::vec((0u16..60, 0i64..2_000, any::<bool>(), 0u8..40), 2_500..4_500),
            few in 3u16..20,
            long in prop::option::of(20_000usize..60_000),
        ) {
            let types: Arc<[DataType]> = Arc::from([DataType::Double, DataType::String]);
            let mut tails = Tails::for_keys(3);
            let mut model: BTreeMap<Vec<u8>, Tail> = BTreeMap::new();
            let mut given: Vec<(Vec<u8>, i64, Vec<u8>)> = Vec::new();
            for (id, (number, time, contested, other)) in (0u64..).zip(events) {
                // Half of them go to few keys.
                let number = if other < 20 { number % few } else { number };
                let key = key_of(number);
                let known = usize::from(other) * 31 % given.len().max(1);
                if let (0, Some((key, time, order))) = (other % 8, given.get(known)) {
                    tails.contest(key, *time, order, &types);
                    model.get_mut(key).unwrap().contest(*time, order);
                }
                if other == 1 && number % 7 == 3 {
                    // One that is stored.
                    tails.contest(&key, time, b"stored", &types);
                    let tail = model.entry(key.clone()).or_insert_with(|| Tail::new(&types));
                    tail.contest(time, b"stored");
                }
                let mut order = id.to_be_bytes().to_vec();
                order.resize(long.filter(|_| other % 2 == 0).unwrap_or(8), 7);
                let values = [Value::Double(id as f64), Value::string(id.to_string())];
                let entry = Entry {
                    time,
                    order: &order,
                    position: Position::new(u32::from(number), id),
                    visible_at: time + 5,
                    contested,
                    id,
                    values: &values,
                };
                prop_assert!(tails.insert(&key, &entry, &types) >= order.len());
                let tail = model.entry(key.clone()).or_insert_with(|| Tail::new(&types));
                tail.events.insert(&entry);
                given.push((key, time, order));
            }
            prop_assert!(tails.packed.0.len() > 1);
            prop_assert_eq!(tails.len(), model.len());
            let mut encoder = BlockEncoder::new(&types);
            for (key, fresh) in tails.iter() {
                let expected = &model[key];
                prop_assert_eq!(fresh.len(), expected.events.len());
                let bytes = expected.encode();
                prop_assert!(fresh.encode(&mut encoder) == bytes);
                prop_assert!(fresh.tail(&types).encode() == bytes);
                prop_assert!(tails.get(key).is_some());
            }
            prop_assert_eq!(tails.keys().count(), model.len());
            prop_assert!(tails.get(b"nobody").is_none());
        }
    }
}
