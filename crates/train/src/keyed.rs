//! The events of a source by key, each key's in their total order.
//!
//! Keys get numbers: by a table where they are integers close to each other, else by a hash
//! map. Events are placed by counting, so that the events of a key, and their times, are
//! neighbours in memory.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_types::codec::encode_value;
use evenkeel_types::{Column, ColumnData, NO_SLOT, Operation, SLOT_PRESENT};
use rustc_hash::FxHashMap;

use crate::events::SourceEvents;

/// The number of no key: a part is missing, or no event has it.
pub(crate) const NO_KEY: u32 = u32::MAX;
/// A table may have so many places per key, and some more.
const PLACES_PER_KEY: u64 = 4;
const PLACES_MORE: u64 = 1024;

/// See the module.
pub(crate) struct KeyedEvents {
    keys: Keys,
    rows: PlacedRows,
}

/// The events of one key in order.
#[derive(Clone, Copy)]
pub(crate) struct KeyEvents<'a> {
    /// Their numbers.
    pub(crate) numbers: &'a [u32],
    /// Their times.
    pub(crate) times: &'a [i64],
}

impl KeyedEvents {
    /// Groups the events by the key made of these (kept) slots; events without one are in
    /// no group. Removals are in none either.
    pub(crate) fn new(events: &SourceEvents, key_columns: &[usize]) -> Self {
        let columns: Vec<&Column> = key_columns
            .iter()
            .map(|&slot| &events.columns()[slot])
            .collect();
        let (keys, mut key_of) = Keys::assign(&columns, events.len());
        for (key, operation) in key_of.iter_mut().zip(events.operations()) {
            if *operation == Operation::Remove {
                *key = NO_KEY;
            }
        }
        let (starts, mut placed) = place(&key_of, events.times(), keys.len());
        for key in 0..keys.len() {
            events.sort(&mut placed[starts[key] as usize..starts[key + 1] as usize]);
        }
        let (times, numbers) = placed.into_iter().unzip();
        let rows = PlacedRows {
            starts,
            numbers,
            times,
        };
        KeyedEvents { keys, rows }
    }

    /// Other rows by the same keys, in the order of the events that they are of: of each row
    /// the number of its key and its event. What is placed are the rows' numbers.
    pub(crate) fn placed(&self, events: &SourceEvents, key_of: &[u32], of: &[u32]) -> PlacedRows {
        let time = |event: &u32| events.times()[*event as usize];
        let times: Vec<i64> = of.iter().map(time).collect();
        let (starts, mut placed) = place(key_of, &times, self.len());
        let mut row_of = vec![NO_SLOT; events.len()];
        for (row, &event) in (0..).zip(of) {
            row_of[event as usize] = row;
        }
        for key in 0..self.len() {
            let of_key = &mut placed[starts[key] as usize..starts[key + 1] as usize];
            of_key
                .iter_mut()
                .for_each(|(_, row)| *row = of[*row as usize]);
            events.sort(of_key);
            of_key
                .iter_mut()
                .for_each(|(_, event)| *event = row_of[*event as usize]);
        }
        let (times, numbers) = placed.into_iter().unzip();
        PlacedRows {
            starts,
            numbers,
            times,
        }
    }

    /// How many numbers of keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The numbers of the keys of `length` requests, by a column per part of the key.
    pub(crate) fn find(&self, columns: &[Column], length: usize) -> Vec<u32> {
        self.keys.find(&columns.iter().collect::<Vec<_>>(), length)
    }

    /// The events of a key.
    pub(crate) fn of(&self, key: u32) -> KeyEvents<'_> {
        self.rows.of(key)
    }
}

/// Rows by the numbers of keys, those of a key in their order.
pub(crate) struct PlacedRows {
    /// The start of each key's rows; one more than keys.
    starts: Vec<u32>,
    numbers: Vec<u32>,
    times: Vec<i64>,
}

impl PlacedRows {
    /// The rows of a key.
    pub(crate) fn of(&self, key: u32) -> KeyEvents<'_> {
        if key == NO_KEY {
            return KeyEvents {
                numbers: &[],
                times: &[],
            };
        }
        let key = key as usize;
        let range = self.starts[key] as usize..self.starts[key + 1] as usize;
        KeyEvents {
            numbers: &self.numbers[range.clone()],
            times: &self.times[range],
        }
    }
}

/// Requests by the keys that they are of, those of a key sorted by time; last those that have
/// none.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Each key and where its requests begin.
    keys: Vec<(u32, u32)>,
    /// Times and numbers.
    requests: Vec<(i64, u32)>,
}

impl Placed {
    /// Requests at these times, with a column per part of the key.
    pub(crate) fn new(keyed: &KeyedEvents, columns: &[Column], times: &[i64]) -> Self {
        let mut key_of = keyed.find(columns, times.len());
        if key_of.len() < keyed.len() / 8 {
            // Few requests of many keys: not worth a place per key.
            let mut order: Vec<(u32, i64, u32)> = (0..)
                .zip(key_of.iter().zip(times))
                .map(|(read, (&key, &time))| (key, time, read))
                .collect();
            order.sort_unstable();
            let mut keys = Vec::new();
            for (at, (key, _, _)) in (0..).zip(&order) {
                if keys.last().is_none_or(|(last, _)| last != key) {
                    keys.push((*key, at));
                }
            }
            let requests = order.into_iter().map(|(_, time, read)| (time, read));
            return Placed {
                keys,
                requests: requests.collect(),
            };
        }
        // Fewer keys than 2^32 - 1, so that one more is no key.
        let none = keyed.len() as u32;
        for key in &mut key_of {
            *key = (*key).min(none);
        }
        let (starts, mut requests) = place(&key_of, times, keyed.len() + 1);
        let mut keys = Vec::new();
        for (key, range) in (0..).zip(starts.windows(2)) {
            let of_key = &mut requests[range[0] as usize..range[1] as usize];
            if of_key.is_empty() {
                continue;
            }
            if !of_key.is_sorted() {
                of_key.sort_unstable();
            }
            keys.push((if key == none { NO_KEY } else { key }, range[0]));
        }
        Placed { keys, requests }
    }

    /// The keys that are asked for, with their requests.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u32, &[(i64, u32)])> + '_ {
        let ends = self.keys.iter().skip(1).map(|(_, start)| *start as usize);
        let ends = ends.chain([self.requests.len()]);
        self.keys
            .iter()
            .zip(ends)
            .map(|((key, start), end)| (*key, &self.requests[*start as usize..end]))
    }
}

/// Places what has a key by keys, in the order in which it comes: the start of each key's, and
/// times with numbers.
pub(crate) fn place(key_of: &[u32], times: &[i64], keys: usize) -> (Vec<u32>, Vec<(i64, u32)>) {
    let mut starts = vec![0u32; keys + 1];
    for &key in key_of {
        if key != NO_KEY {
            starts[key as usize + 1] += 1;
        }
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut placed = vec![(0, 0); starts[keys] as usize];
    for (number, (&key, &time)) in (0u32..).zip(key_of.iter().zip(times)) {
        if key != NO_KEY {
            let at = &mut next[key as usize];
            placed[*at as usize] = (time, number);
            *at += 1;
        }
    }
    (starts, placed)
}

/// The numbers of keys.
enum Keys {
    /// An integer less the least one.
    Near {
        width: Width,
        least: i64,
        count: usize,
    },
    Integers {
        width: Width,
        numbers: FxHashMap<i64, u32>,
    },
    Texts(FxHashMap<Arc<str>, u32>),
    /// Several parts, or another type: by their encoding.
    Encoded(FxHashMap<Box<[u8]>, u32>),
}

/// Integers of two widths are never equal: their encodings have two lengths.
#[derive(Clone, Copy, PartialEq)]
enum Width {
    Narrow,
    Wide,
}

fn integers(column: &Column) -> Option<(Width, Cow<'_, [i64]>)> {
    match column.data() {
        ColumnData::BigInt(values) | ColumnData::Timestamp(values) => {
            Some((Width::Wide, Cow::Borrowed(values)))
        }
        ColumnData::Int(values) | ColumnData::Date(values) => Some((
            Width::Narrow,
            values.iter().map(|x| i64::from(*x)).collect(),
        )),
        _ => None,
    }
}

impl Keys {
    /// Gives numbers to all keys, and says which each event has.
    fn assign(columns: &[&Column], length: usize) -> (Keys, Vec<u32>) {
        if let [column] = columns {
            if let Some((width, values)) = integers(column) {
                return Keys::assign_integers(column, width, &values);
            }
            if let ColumnData::String(values) = column.data() {
                let mut numbers: FxHashMap<Arc<str>, u32> = FxHashMap::default();
                let key = |slot: usize, value: &Arc<str>| {
                    if column.state(slot) != SLOT_PRESENT {
                        return NO_KEY;
                    }
                    if let Some(&number) = numbers.get(value) {
                        return number;
                    }
                    let number = next_number(numbers.len());
                    numbers.insert(Arc::clone(value), number);
                    number
                };
                let key_of = values.iter().enumerate();
                let mut key = key;
                let key_of = key_of.map(|(slot, value)| key(slot, value)).collect();
                return (Keys::Texts(numbers), key_of);
            }
        }
        let mut numbers: FxHashMap<Box<[u8]>, u32> = FxHashMap::default();
        let mut bytes = Vec::new();
        let key_of = (0..length)
            .map(|slot| {
                if !encode(columns, slot, &mut bytes) {
                    return NO_KEY;
                }
                if let Some(&number) = numbers.get(bytes.as_slice()) {
                    return number;
                }
                let number = next_number(numbers.len());
                numbers.insert(bytes.as_slice().into(), number);
                number
            })
            .collect();
        (Keys::Encoded(numbers), key_of)
    }

    fn assign_integers(column: &Column, width: Width, values: &[i64]) -> (Keys, Vec<u32>) {
        let present = |slot: usize| column.state(slot) == SLOT_PRESENT;
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for (slot, &value) in values.iter().enumerate() {
            if present(slot) {
                least = least.min(value);
                greatest = greatest.max(value);
            }
        }
        let reach = greatest.wrapping_sub(least).cast_unsigned();
        let limit = values.len() as u64 * PLACES_PER_KEY + PLACES_MORE;
        let keys = if least > greatest {
            Keys::Near {
                width,
                least: 0,
                count: 0,
            }
        } else if reach < limit.min(u64::from(NO_KEY)) {
            Keys::Near {
                width,
                least,
                // Below a multiple of the events in memory.
                count: reach as usize + 1,
            }
        } else {
            let mut numbers = FxHashMap::default();
            for (slot, &value) in values.iter().enumerate() {
                if present(slot) {
                    let number = next_number(numbers.len());
                    numbers.entry(value).or_insert(number);
                }
            }
            Keys::Integers { width, numbers }
        };
        let key_of = keys.find(&[column], values.len());
        (keys, key_of)
    }

    fn len(&self) -> usize {
        match self {
            Keys::Near { count, .. } => *count,
            Keys::Integers { numbers, .. } => numbers.len(),
            Keys::Texts(numbers) => numbers.len(),
            Keys::Encoded(numbers) => numbers.len(),
        }
    }

    fn find(&self, columns: &[&Column], length: usize) -> Vec<u32> {
        match (self, columns) {
            (
                Keys::Near {
                    width,
                    least,
                    count,
                },
                [column],
            ) => find_integers(column, *width, length, |value| {
                let place = value.wrapping_sub(*least).cast_unsigned();
                // Below the number of keys, which are fewer than 2^32.
                (place < *count as u64).then_some(place as u32)
            }),
            (Keys::Integers { width, numbers }, [column]) => {
                find_integers(column, *width, length, |value| numbers.get(&value).copied())
            }
            (Keys::Texts(numbers), [column]) => match column.data() {
                ColumnData::String(values) => values
                    .iter()
                    .enumerate()
                    .map(|(slot, value)| match column.state(slot) {
                        SLOT_PRESENT => numbers.get(value).copied().unwrap_or(NO_KEY),
                        _ => NO_KEY,
                    })
                    .collect(),
                _ => vec![NO_KEY; length],
            },
            (Keys::Encoded(numbers), _) => {
                let mut bytes = Vec::new();
                (0..length)
                    .map(|slot| match encode(columns, slot, &mut bytes) {
                        true => numbers.get(bytes.as_slice()).copied().unwrap_or(NO_KEY),
                        false => NO_KEY,
                    })
                    .collect()
            }
            _ => vec![NO_KEY; length],
        }
    }
}

fn find_integers(
    column: &Column,
    width: Width,
    length: usize,
    number: impl Fn(i64) -> Option<u32>,
) -> Vec<u32> {
    let Some((_, values)) = integers(column).filter(|(w, _)| *w == width) else {
        return vec![NO_KEY; length];
    };
    let values = values.iter().enumerate();
    values
        .map(|(slot, &value)| match column.state(slot) {
            SLOT_PRESENT => number(value).unwrap_or(NO_KEY),
            _ => NO_KEY,
        })
        .collect()
}

/// The encoded key of a slot; false if a part is missing.
fn encode(columns: &[&Column], slot: usize, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    for column in columns {
        if column.state(slot) != SLOT_PRESENT {
            return false;
        }
        encode_value(&column.get(slot), bytes);
    }
    true
}

fn next_number(known: usize) -> u32 {
    u32::try_from(known).expect("fewer keys than events, and fewer of these than 2^32")
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{DataType, Value};
    use evenkeel_view::encode_key;
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = (DataType, Vec<Value>)> {
        let integers = |values: BoxedStrategy<i64>| {
            prop::collection::vec(prop::option::of(values), 0..30).prop_map(|values| {
                let value = |v: Option<i64>| v.map_or(Value::Null, Value::BigInt);
                (DataType::BigInt, values.into_iter().map(value).collect())
            })
        };
        let texts = prop::collection::vec(prop::option::of("[ab]{0,2}"), 0..30).prop_map(|v| {
            let value = |v: Option<String>| v.map_or(Value::Null, Value::string);
            (DataType::String, v.into_iter().map(value).collect())
        });
        let dates = prop::collection::vec(-5i32..5, 0..30)
            .prop_map(|v| (DataType::Date, v.into_iter().map(Value::Date).collect()));
        prop_oneof![
            integers((-9i64..9).boxed()),
            integers(prop_oneof![any::<i64>(), -2i64..2].boxed()),
            texts,
            dates,
        ]
    }

    proptest! {
        #[test]
        fn equal_keys_have_one_number((data_type, values) in keys(), (other_type, others) in keys(), pair in any::<bool>()) {
            let twice = |column: Column| if pair { vec![column.clone(), column] } else { vec![column] };
            let columns = twice(Column::from_values(&data_type, &values));
            let asked = twice(Column::from_values(&other_type, &others));
            let (keys, key_of) = Keys::assign(&columns.iter().collect::<Vec<_>>(), values.len());
            let found = keys.find(&asked.iter().collect::<Vec<_>>(), others.len());
            let bytes = |v: &Value| encode_key(if pair { vec![v, v] } else { vec![v] });
            for (value, &key) in values.iter().zip(&key_of) {
                prop_assert_eq!(bytes(value).is_none(), key == NO_KEY);
                prop_assert!(key == NO_KEY || (key as usize) < keys.len());
                for (other, &number) in values.iter().zip(&key_of) {
                    prop_assert_eq!(bytes(value) == bytes(other), key == number);
                }
                for (other, &number) in others.iter().zip(&found) {
                    if bytes(value) == bytes(other) {
                        prop_assert_eq!(key, number);
                    } else {
                        prop_assert!(number == NO_KEY || number != key);
                    }
                }
            }
        }
    }
}
