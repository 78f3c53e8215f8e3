//! The most frequent values: exact counts, up to a limit of distinct values.

use std::cmp::Reverse;
use std::sync::Arc;

use evenkeel_types::{ErrorReason, Value};

use crate::order::{OrderedValue, canonical, merge_sorted};

/// How often each value occurred.
#[derive(Clone, Debug)]
pub(crate) enum Frequencies {
    /// All values, ascending, with their counts; at most the limit.
    Counts(Vec<(OrderedValue, u64)>),
    /// More distinct values than the limit: nothing else is kept, so that the state depends
    /// on the multiset alone.
    Exceeded,
}

impl Default for Frequencies {
    fn default() -> Self {
        Frequencies::Counts(Vec::new())
    }
}

impl Frequencies {
    pub(crate) fn add(&mut self, value: &Value, limit: usize) {
        let Frequencies::Counts(counts) = self else {
            return;
        };
        let value = OrderedValue(canonical(value));
        match counts.binary_search_by(|(known, _)| known.cmp(&value)) {
            Ok(at) => counts[at].1 += 1,
            Err(at) => {
                counts.insert(at, (value, 1));
                if counts.len() > limit {
                    *self = Frequencies::Exceeded;
                }
            }
        }
    }

    /// Adds counts of distinct values in ascending order.
    pub(crate) fn add_sorted(&mut self, more: &[(OrderedValue, u64)], limit: usize) {
        let Frequencies::Counts(counts) = self else {
            return;
        };
        merge_sorted(
            counts,
            more,
            |(value, _)| value,
            |known, (_, count)| known.1 += count,
        );
        if counts.len() > limit {
            *self = Frequencies::Exceeded;
        }
    }

    pub(crate) fn merge(&mut self, other: &Frequencies, limit: usize) {
        match other {
            Frequencies::Exceeded => *self = Frequencies::Exceeded,
            Frequencies::Counts(more) => self.add_sorted(more, limit),
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Frequencies::Counts(counts) => counts.len() * size_of::<(OrderedValue, u64)>(),
            Frequencies::Exceeded => 0,
        }
    }

    pub(crate) fn finish(&self, k: usize) -> Value {
        let counts = match self {
            Frequencies::Exceeded => return Value::Error(ErrorReason::Limit),
            Frequencies::Counts(counts) if counts.is_empty() => return Value::Null,
            Frequencies::Counts(counts) => counts,
        };
        // Ascending by value, so the place breaks ties.
        let mut ranked: Vec<(Reverse<u64>, usize)> = counts
            .iter()
            .enumerate()
            .map(|(place, (_, count))| (Reverse(*count), place))
            .collect();
        if ranked.len() > k {
            ranked.select_nth_unstable(k);
            ranked.truncate(k);
        }
        ranked.sort_unstable();
        Value::Array(
            ranked
                .into_iter()
                .map(|(Reverse(count), place)| entry(counts[place].0.0.clone(), count))
                .collect(),
        )
    }
}

/// One element of the answer.
pub(crate) fn entry(value: Value, count: u64) -> Value {
    // Counts of events in memory are far below 2^63.
    Value::Struct(Arc::from([value, Value::BigInt(count as i64)]))
}
