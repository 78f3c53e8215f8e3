//! Which events may share their event id and time with another: few, found without keeping
//! the ids of all.

use std::hash::{Hash, Hasher};

use evenkeel_types::{Column, ColumnData, SLOT_PRESENT};
use rustc_hash::FxHasher;

/// Bits of the table per event: of events with identities of their own, about one in twenty
/// meets another's bit.
const BITS_PER_EVENT: usize = 32;

/// The events whose id and time may be those of another, ascending; all that are, and few of
/// those that are not. `id` has a column per part of the id.
pub(crate) fn possibly_repeated(id: &[&Column], times: &[i64]) -> Vec<u32> {
    if let [only] = id
        && ascends(only)
    {
        return Vec::new();
    }
    let bits = (times.len() * BITS_PER_EVENT).next_power_of_two().max(64);
    // The highest bits of a product are its best mixed ones.
    let shift = 64 - bits.trailing_zeros();
    let places: Vec<u64> = hashes(id, times).into_iter().map(|h| h >> shift).collect();
    let mut seen = Bits::new(bits);
    let mut again = Bits::new(bits);
    let mut any = false;
    for &place in &places {
        if seen.set(place) {
            again.set(place);
            any = true;
        }
    }
    if !any {
        return Vec::new();
    }
    (0..)
        .zip(&places)
        .filter(|(_, place)| again.has(**place))
        .map(|(number, _)| number)
        .collect()
}

/// Whether each value is there and greater than the one before.
fn ascends(column: &Column) -> bool {
    column.states().is_empty()
        && match column.data() {
            ColumnData::BigInt(values) => values.is_sorted_by(|a, b| a < b),
            ColumnData::Int(values) => values.is_sorted_by(|a, b| a < b),
            ColumnData::String(values) => values.is_sorted_by(|a, b| a < b),
            _ => false,
        }
}

fn hashes(id: &[&Column], times: &[i64]) -> Vec<u64> {
    let mut hashes: Vec<u64> = times.iter().map(|time| mix(0, time)).collect();
    for column in id {
        match column.data() {
            ColumnData::BigInt(values) | ColumnData::Timestamp(values)
                if column.states().is_empty() =>
            {
                for (hash, value) in hashes.iter_mut().zip(values) {
                    *hash = mix(*hash, value);
                }
            }
            ColumnData::String(values) if column.states().is_empty() => {
                for (hash, value) in hashes.iter_mut().zip(values) {
                    *hash = mix(*hash, value);
                }
            }
            _ => {
                let mut bytes = Vec::new();
                for (slot, hash) in hashes.iter_mut().enumerate() {
                    bytes.clear();
                    if column.state(slot) == SLOT_PRESENT {
                        let value = column.get(slot);
                        evenkeel_types::codec::encode_value(&value, &mut bytes);
                    }
                    *hash = mix(*hash, &bytes);
                }
            }
        }
    }
    hashes
}

fn mix(hash: u64, value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = FxHasher::default();
    hash.hash(&mut hasher);
    value.hash(&mut hasher);
    // The hasher leaves its mixing to the end of a product.
    hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Self {
        Bits(vec![0; count / 64])
    }

    /// Sets a bit; whether it was set.
    fn set(&mut self, at: u64) -> bool {
        // Below the number of bits, which is in memory.
        let word = &mut self.0[(at / 64) as usize];
        let bit = 1 << (at % 64);
        let was = *word & bit != 0;
        *word |= bit;
        was
    }

    fn has(&self, at: u64) -> bool {
        self.0[(at / 64) as usize] & (1 << (at % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use evenkeel_types::{DataType, Value};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_repetition_is_suspected(
            events in prop::collection::vec((0i64..30, prop::option::of("[ab]{0,2}"), 0i64..3), 0..60),
        ) {
            let texts: Vec<Value> = events
                .iter()
                .map(|(_, text, _)| text.clone().map_or(Value::Null, Value::string))
                .collect();
            let numbers: Vec<Value> = events.iter().map(|(n, _, _)| Value::BigInt(*n)).collect();
            let numbers = Column::from_values(&DataType::BigInt, &numbers);
            let texts = Column::from_values(&DataType::String, &texts);
            let times: Vec<i64> = events.iter().map(|(_, _, time)| *time).collect();
            for id in [vec![&numbers], vec![&texts], vec![&numbers, &texts]] {
                let mut by_identity: BTreeMap<String, Vec<u32>> = BTreeMap::new();
                for (n, time) in times.iter().enumerate() {
                    let parts: Vec<Value> = id.iter().map(|c| c.get(n)).collect();
                    let identity = format!("{parts:?} {time}");
                    by_identity.entry(identity).or_default().push(n as u32);
                }
                let suspects = possibly_repeated(&id, &times);
                for numbers in by_identity.values().filter(|n| n.len() > 1) {
                    prop_assert!(numbers.iter().all(|n| suspects.contains(n)));
                }
            }
        }
    }

    #[test]
    fn few_others_are_suspected() {
        let ids: Vec<i64> = (0..100_000).map(|n| n * 7_919 % 100_003).collect();
        let column = Column::from_parts(ColumnData::BigInt(ids), Vec::new());
        let suspects = possibly_repeated(&[&column], &vec![5; 100_000]);
        assert!(suspects.len() < 10_000, "{} suspects", suspects.len());
    }
}
