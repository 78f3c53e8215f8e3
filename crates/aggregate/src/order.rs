//! The order of one key's events, and values as ordered map keys.

use std::cmp::Ordering;

use evenkeel_types::{Value, canonical_f32, canonical_f64};

/// An event's place among the events of its key: by event time, then by the order bytes
/// (`SEQUENCE BY` columns, event id, canonical row, origin; the caller encodes them).
/// Two different events never compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventOrder<'a> {
    /// Event time, microseconds since the epoch, UTC.
    pub time: i64,
    /// What decides among the events of one time.
    pub order: &'a [u8],
}

impl<'a> EventOrder<'a> {
    /// An order from its parts.
    pub fn new(time: i64, order: &'a [u8]) -> Self {
        EventOrder { time, order }
    }

    pub(crate) fn to_key(self) -> OrderKey {
        OrderKey {
            time: self.time,
            order: self.order.into(),
        }
    }
}

/// An [`EventOrder`] that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderKey {
    pub(crate) time: i64,
    pub(crate) order: Box<[u8]>,
}

impl OrderKey {
    pub(crate) fn as_order(&self) -> EventOrder<'_> {
        EventOrder::new(self.time, &self.order)
    }
}

/// A value in the total order of [`Value::total_cmp`].
#[derive(Clone, Debug)]
pub(crate) struct OrderedValue(pub(crate) Value);

impl PartialEq for OrderedValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedValue {}

impl PartialOrd for OrderedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The value with canonical floats. States keep only such values: their bytes must not tell
/// which of two equal values came first.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Float(x) => Value::Float(canonical_f32(*x)),
        Value::Double(x) => Value::Double(canonical_f64(*x)),
        other => other.clone(),
    }
}
