//! The events of a source by key, each key's in their total order.
//!
//! Events are placed by counting, so that the events of a key, and their times, are neighbours
//! in memory.

use std::rc::Rc;

use evenkeel_types::{Column, NO_SLOT};

use crate::events::SourceEvents;
use crate::key_numbers::{KeyNumbers, NO_KEY};

/// See the module.
pub(crate) struct KeyedEvents {
    keys: Rc<KeyNumbers>,
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
    /// Groups the events by their keys; events without one are in no group.
    pub(crate) fn new(events: &SourceEvents, keys: Rc<KeyNumbers>) -> Self {
        if events.in_order_of_time() {
            let rows = placed_in_order(events, keys.of_events(events), keys.len());
            return KeyedEvents { keys, rows };
        }
        let (starts, mut placed) = place(keys.of_events(events), events.times(), keys.len());
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
        self.keys.find(columns, length)
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

/// [`place`] of events that come in the order of time: only those that tie are looked at again.
fn placed_in_order(events: &SourceEvents, key_of: &[u32], keys: usize) -> PlacedRows {
    let starts = starts_of(key_of, keys);
    let mut next = starts.clone();
    let length = starts[keys] as usize;
    let (mut numbers, mut times) = (vec![0; length], vec![0; length]);
    for (number, (&key, &time)) in (0u32..).zip(key_of.iter().zip(events.times())) {
        if key != NO_KEY {
            let at = &mut next[key as usize];
            numbers[*at as usize] = number;
            times[*at as usize] = time;
            *at += 1;
        }
    }
    for range in starts.windows(2) {
        let range = range[0] as usize..range[1] as usize;
        settle_ties(events, &mut numbers[range.clone()], &times[range]);
    }
    PlacedRows {
        starts,
        numbers,
        times,
    }
}

/// Puts events of a key that have the same time into their order; they are in that of time.
fn settle_ties(events: &SourceEvents, numbers: &mut [u32], times: &[i64]) {
    let mut from = 0;
    while let Some(step) = times[from..].windows(2).position(|two| two[0] == two[1]) {
        let start = from + step;
        let time = times[start];
        let end = start + times[start..].iter().take_while(|t| **t == time).count();
        let tied = numbers[start..end].iter();
        let mut ties: Vec<(i64, u32)> = tied.map(|number| (time, *number)).collect();
        events.sort(&mut ties);
        for (place, (_, number)) in numbers[start..end].iter_mut().zip(ties) {
            *place = number;
        }
        from = end;
    }
}

/// Where what has each key starts, if it is placed by keys; one more than keys.
fn starts_of(key_of: &[u32], keys: usize) -> Vec<u32> {
    let mut starts = vec![0u32; keys + 1];
    for &key in key_of {
        if key != NO_KEY {
            starts[key as usize + 1] += 1;
        }
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    starts
}

/// Places what has a key by keys, in the order in which it comes: the start of each key's, and
/// times with numbers.
pub(crate) fn place(key_of: &[u32], times: &[i64], keys: usize) -> (Vec<u32>, Vec<(i64, u32)>) {
    let starts = starts_of(key_of, keys);
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
