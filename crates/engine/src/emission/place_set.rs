//! A set of places in a log that takes about two bytes per place, or a bit per event where most are in it.
//!
//! What a record makes due may be millions of places, found by time and wanted in the order of the log. Invariant:
//! it gives each place once, in that order, in whichever it came.

use std::collections::BTreeMap;
use std::ops::Bound;

use evenkeel_types::{Offset, Partition, Position};

/// Bits of an offset that tell places of one chunk apart.
const LOW_BITS: u32 = 16;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;
/// More places of a chunk are a bit for each that it may have.
const LISTED_MAX: usize = 4_096;
const WORDS: usize = 1 << (LOW_BITS - 6);

/// See the module.
#[derive(Default)]
pub(super) struct PlaceSet {
    chunks: BTreeMap<(Partition, u64), Chunk>,
    count: usize,
}

/// Places that begin alike.
enum Chunk {
    /// In order.
    Listed(Vec<u16>),
    Bits(Box<[u64; WORDS]>),
}

impl PlaceSet {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a place; whether it is new.
    pub(super) fn insert(&mut self, position: Position) -> bool {
        let (chunk, low) = parts(position);
        let chunks = self.chunks.entry(chunk);
        let is_new = chunks
            .or_insert_with(|| Chunk::Listed(Vec::new()))
            .insert(low);
        self.count += usize::from(is_new);
        is_new
    }

    pub(super) fn last(&self) -> Option<Position> {
        let (chunk, places) = self.chunks.last_key_value()?;
        Some(joined(*chunk, places.last()?))
    }

    /// Takes the last one out.
    pub(super) fn pop_last(&mut self) {
        let Some(mut chunk) = self.chunks.last_entry() else {
            return;
        };
        self.count -= 1;
        if !chunk.get_mut().pop_last() {
            chunk.remove();
        }
    }

    /// The first ones behind a place, so many at most.
    pub(super) fn behind(&self, after: Option<Position>, most: usize) -> Vec<Position> {
        let from = after.map(parts);
        let begin = from.map_or(Bound::Unbounded, |(chunk, _)| Bound::Included(chunk));
        let mut found = Vec::new();
        for (chunk, places) in self.chunks.range((begin, Bound::Unbounded)) {
            let after = from.filter(|(of, _)| of == chunk).map(|(_, low)| low);
            let left = most - found.len();
            found.extend(places.behind(after, left).map(|low| joined(*chunk, low)));
            if found.len() == most {
                break;
            }
        }
        found
    }
}

impl Chunk {
    fn insert(&mut self, low: u16) -> bool {
        match self {
            Chunk::Listed(places) => {
                let Err(at) = places.binary_search(&low) else {
                    return false;
                };
                places.insert(at, low);
                if places.len() > LISTED_MAX {
                    let mut bits = Box::new([0; WORDS]);
                    for low in places {
                        let (word, bit) = bit_of(*low);
                        bits[word] |= bit;
                    }
                    *self = Chunk::Bits(bits);
                }
                true
            }
            Chunk::Bits(bits) => {
                let (word, bit) = bit_of(low);
                let is_new = bits[word] & bit == 0;
                bits[word] |= bit;
                is_new
            }
        }
    }

    fn last(&self) -> Option<u16> {
        match self {
            Chunk::Listed(places) => places.last().copied(),
            Chunk::Bits(bits) => {
                let word = bits.iter().rposition(|word| *word != 0)?;
                Some(low_of(word, 63 - bits[word].leading_zeros()))
            }
        }
    }

    /// Takes the last one out; whether there are others.
    fn pop_last(&mut self) -> bool {
        match self {
            Chunk::Listed(places) => {
                places.pop();
                !places.is_empty()
            }
            Chunk::Bits(bits) => {
                if let Some(word) = bits.iter().rposition(|word| *word != 0) {
                    bits[word] &= !(1 << (63 - bits[word].leading_zeros()));
                }
                bits.iter().any(|word| *word != 0)
            }
        }
    }

    fn behind(&self, after: Option<u16>, most: usize) -> Box<dyn Iterator<Item = u16> + '_> {
        let first = after.map_or(0, |after| u32::from(after) + 1);
        match self {
            Chunk::Listed(places) => {
                let at = places.partition_point(|low| u32::from(*low) < first);
                Box::new(places[at..].iter().copied().take(most))
            }
            Chunk::Bits(bits) => {
                let (begin, skipped) = ((first >> 6) as usize, first & 63);
                let words = (begin..WORDS).map(move |word| match word == begin {
                    true => (word, bits[word] >> skipped << skipped),
                    false => (word, bits[word]),
                });
                let places = words.flat_map(|(word, mut left)| {
                    std::iter::from_fn(move || {
                        let bit = (left != 0).then(|| left.trailing_zeros())?;
                        left &= left - 1;
                        Some(low_of(word, bit))
                    })
                });
                Box::new(places.take(most))
            }
        }
    }
}

/// The chunk of a place, and which of its places it is.
fn parts(position: Position) -> ((Partition, u64), u16) {
    let offset = position.offset.0;
    let chunk = (position.partition, offset >> LOW_BITS);
    (chunk, (offset & LOW_MASK) as u16)
}

fn joined((partition, high): (Partition, u64), low: u16) -> Position {
    Position {
        partition,
        offset: Offset(high << LOW_BITS | u64::from(low)),
    }
}

fn bit_of(low: u16) -> (usize, u64) {
    (usize::from(low >> 6), 1 << (low & 63))
}

fn low_of(word: usize, bit: u32) -> u16 {
    (word << 6) as u16 | bit as u16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Places near to each other and far apart, some of them many in a row.
    fn some_places() -> impl Strategy<Value = Vec<Position>> {
        let one = (0u32..3, prop_oneof![0u64..200_000, 0u64..40, any::<u64>()]);
        let run = (one, prop_oneof![4 => 1u64..4, 1 => 4_000u64..9_000]);
        let places = |runs: Vec<((u32, u64), u64)>| {
            let runs = runs.into_iter().flat_map(|((partition, first), length)| {
                let end = first.saturating_add(length);
                (first..end)
                    .rev()
                    .map(move |offset| Position::new(partition, offset))
            });
            runs.collect()
        };
        proptest::collection::vec(run, 0..12).prop_map(places)
    }

    proptest! {
        #[test]
        fn it_is_a_set_in_order(
            places in some_places(), pops in 0usize..6_000, most in 1usize..5_000, pick in any::<prop::sample::Index>(),
        ) {
            let (mut set, mut naive) = (PlaceSet::default(), BTreeSet::new());
            for place in &places {
                prop_assert_eq!(set.insert(*place), naive.insert(*place));
                prop_assert_eq!(set.len(), naive.len());
            }
            let mut after = None;
            let mut all = Vec::new();
            loop {
                let some = set.behind(after, most);
                all.extend_from_slice(&some);
                after = some.last().copied();
                if some.len() < most {
                    break;
                }
            }
            prop_assert!(all.iter().eq(&naive));
            if !places.is_empty() {
                // Also behind one that is not there.
                let Position { partition, offset } = places[pick.index(places.len())];
                let after = Position { partition, offset: Offset(offset.0 ^ 1) };
                let behind = naive.range((Bound::Excluded(after), Bound::Unbounded)).take(most);
                prop_assert!(set.behind(Some(after), most).iter().eq(behind));
            }
            for _ in 0..pops {
                set.pop_last();
                naive.pop_last();
                prop_assert_eq!((set.len(), set.last()), (naive.len(), naive.last().copied()));
            }
            prop_assert!(set.behind(None, usize::MAX).iter().eq(&naive));
        }
    }
}
