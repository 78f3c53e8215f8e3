//! Keys get numbers: by a table where they are integers close to each other, else by a hash map.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use evenkeel_types::codec::encode_value;
use evenkeel_types::{Column, ColumnData, Operation, SLOT_PRESENT};
use rustc_hash::FxHashMap;

use crate::events::SourceEvents;

/// The number of no key: a part is missing, or no event has it.
pub(crate) const NO_KEY: u32 = u32::MAX;
/// A table may have so many places per key, and some more.
const PLACES_PER_KEY: u64 = 4;
const PLACES_MORE: u64 = 1024;

/// The keys of a source's events, by number.
pub(crate) struct KeyNumbers {
    keys: Keys,
    key_columns: Vec<usize>,
    /// Made when it is asked for.
    of_events: OnceCell<Vec<u32>>,
}

/// Keys that are integers close to each other, all there: the number of each is what it is above the
/// least.
#[derive(Clone, Copy)]
pub(crate) struct NearKeys<'a> {
    of_events: &'a [i64],
    least: i64,
}

impl NearKeys<'_> {
    /// The number of an event's key.
    #[inline]
    pub(crate) fn of(&self, event: usize) -> u32 {
        // Below the number of keys, which are fewer than 2^32.
        self.of_events[event].wrapping_sub(self.least) as u32
    }
}

impl KeyNumbers {
    /// Numbers the keys made of these (kept) slots. Events without one have [none](NO_KEY);
    /// removals have none either.
    pub(crate) fn new(events: &SourceEvents, key_columns: &[usize]) -> Self {
        let columns: Vec<&Column> = key_columns
            .iter()
            .map(|&slot| &events.columns()[slot])
            .collect();
        let (keys, assigned) = Keys::assign(&columns, events.len());
        let of_events = assigned.map(|keys| without_removals(keys, events));
        KeyNumbers {
            keys,
            key_columns: key_columns.to_vec(),
            of_events: of_events.map_or_else(OnceCell::new, OnceCell::from),
        }
    }

    /// The keys of the events, of which these are, where each is a number by itself.
    pub(crate) fn near<'e>(&self, events: &'e SourceEvents) -> Option<NearKeys<'e>> {
        let (Keys::Near { least, .. }, [slot]) = (&self.keys, self.key_columns.as_slice()) else {
            return None;
        };
        let column = &events.columns()[*slot];
        if !column.states().is_empty() || events.has_removals() {
            return None;
        }
        match column.data() {
            ColumnData::BigInt(of_events) | ColumnData::Timestamp(of_events) => Some(NearKeys {
                of_events,
                least: *least,
            }),
            _ => None,
        }
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The number of the key of each of the events, of which these are.
    pub(crate) fn of_events(&self, events: &SourceEvents) -> &[u32] {
        self.of_events.get_or_init(|| {
            let slots = self.key_columns.iter();
            let columns: Vec<&Column> = slots.map(|&slot| &events.columns()[slot]).collect();
            without_removals(self.keys.find(&columns, events.len()), events)
        })
    }

    /// The numbers of the keys of `length` requests, by a column per part of the key.
    pub(crate) fn find(&self, columns: &[Column], length: usize) -> Vec<u32> {
        self.keys.find(&columns.iter().collect::<Vec<_>>(), length)
    }
}

/// How many numbers the keys of rows have, by a column per part, and which each row has.
pub(crate) fn key_numbers_of(columns: &[&Column], rows: usize) -> (usize, Vec<u32>) {
    let (keys, assigned) = Keys::assign(columns, rows);
    let numbers = assigned.unwrap_or_else(|| keys.find(columns, rows));
    (keys.len(), numbers)
}

/// The keys of events, of which removals have none.
fn without_removals(mut of_events: Vec<u32>, events: &SourceEvents) -> Vec<u32> {
    if events.has_removals() {
        for (key, operation) in of_events.iter_mut().zip(events.operations()) {
            if *operation == Operation::Remove {
                *key = NO_KEY;
            }
        }
    }
    of_events
}

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
    /// Gives numbers to all keys, and says which each event has, where that comes with it.
    fn assign(columns: &[&Column], length: usize) -> (Keys, Option<Vec<u32>>) {
        if let [column] = columns {
            if let Some((width, values)) = integers(column) {
                return (Keys::of_integers(column, width, &values), None);
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
                return (Keys::Texts(numbers), Some(key_of));
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
        (Keys::Encoded(numbers), Some(key_of))
    }

    fn of_integers(column: &Column, width: Width, values: &[i64]) -> Keys {
        let present = |slot: usize| column.state(slot) == SLOT_PRESENT;
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        let reach =
            |(least, greatest): (i64, i64), value: i64| (least.min(value), greatest.max(value));
        if column.states().is_empty() {
            // Without a question about each, several are looked at at once.
            (least, greatest) = values.iter().copied().fold((least, greatest), reach);
        }
        for (slot, &value) in values.iter().enumerate().take(column.states().len()) {
            if present(slot) {
                (least, greatest) = reach((least, greatest), value);
            }
        }
        let reach = greatest.wrapping_sub(least).cast_unsigned();
        let limit = values.len() as u64 * PLACES_PER_KEY + PLACES_MORE;
        if least > greatest {
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
        }
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
            let columns: Vec<&Column> = columns.iter().collect();
            let (keys, assigned) = Keys::assign(&columns, values.len());
            let key_of = keys.find(&columns, values.len());
            prop_assert!(assigned.is_none_or(|assigned| assigned == key_of));
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
