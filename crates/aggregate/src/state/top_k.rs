//! The most frequent values: exact counts, up to a limit of distinct values.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::{ErrorReason, Value};

use crate::order::{OrderedValue, canonical};

/// How often each value occurred.
#[derive(Clone, Debug)]
pub(crate) enum Frequencies {
    /// All values with their counts; at most the limit.
    Counts(BTreeMap<OrderedValue, u64>),
    /// More distinct values than the limit: nothing else is kept, so that the state depends
    /// on the multiset alone.
    Exceeded,
}

impl Default for Frequencies {
    fn default() -> Self {
        Frequencies::Counts(BTreeMap::new())
    }
}

impl Frequencies {
    pub(crate) fn add(&mut self, value: &Value, limit: usize) {
        self.add_count(OrderedValue(canonical(value)), 1, limit);
    }

    pub(crate) fn merge(&mut self, other: &Frequencies, limit: usize) {
        match other {
            Frequencies::Exceeded => *self = Frequencies::Exceeded,
            Frequencies::Counts(counts) => {
                for (value, &count) in counts {
                    self.add_count(value.clone(), count, limit);
                }
            }
        }
    }

    pub(crate) fn finish(&self, k: usize) -> Value {
        let counts = match self {
            Frequencies::Exceeded => return Value::Error(ErrorReason::Limit),
            Frequencies::Counts(counts) if counts.is_empty() => return Value::Null,
            Frequencies::Counts(counts) => counts,
        };
        let mut ranked: Vec<(&OrderedValue, u64)> = counts.iter().map(|(v, &c)| (v, c)).collect();
        // Ascending by value already, and the sort is stable.
        ranked.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        ranked.truncate(k);
        Value::Array(
            ranked
                .into_iter()
                .map(|(value, count)| entry(value.0.clone(), count))
                .collect(),
        )
    }

    fn add_count(&mut self, value: OrderedValue, count: u64, limit: usize) {
        if let Frequencies::Counts(counts) = self {
            *counts.entry(value).or_default() += count;
            if counts.len() > limit {
                *self = Frequencies::Exceeded;
            }
        }
    }
}

/// One element of the answer.
pub(crate) fn entry(value: Value, count: u64) -> Value {
    // Counts of events in memory are far below 2^63.
    Value::Struct(Arc::from([value, Value::BigInt(count as i64)]))
}
