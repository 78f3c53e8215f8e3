//! The order of one key's events, and values as ordered map keys.

use std::cmp::Ordering;

use evenkeel_types::{Column, ColumnData, Value, canonical_f32, canonical_f64, compare_f64};

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
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // The usual types without a call.
        match (&self.0, &other.0) {
            (Value::BigInt(a), Value::BigInt(b)) => a.cmp(b),
            (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (a, b) => a.total_cmp(b),
        }
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

/// [`Value::total_cmp`] of two present slots of a column.
pub(crate) fn compare_slots(column: &Column, a: usize, b: usize) -> Ordering {
    match column.data() {
        ColumnData::Boolean(v) => v[a].cmp(&v[b]),
        ColumnData::Int(v) | ColumnData::Date(v) => v[a].cmp(&v[b]),
        ColumnData::BigInt(v) | ColumnData::Timestamp(v) => v[a].cmp(&v[b]),
        ColumnData::Float(v) => compare_f64(f64::from(v[a]), f64::from(v[b])),
        ColumnData::Double(v) => compare_f64(v[a], v[b]),
        ColumnData::Decimal(v) => v[a].cmp(&v[b]),
        ColumnData::String(v) => v[a].as_bytes().cmp(v[b].as_bytes()),
        ColumnData::Bytes(v) => v[a].cmp(&v[b]),
        ColumnData::Interval(v) => v[a].cmp(&v[b]),
        ColumnData::Nested(v) => v[a].total_cmp(&v[b]),
    }
}

/// Merges a sorted list into another, both without repeated keys. Where both have a key,
/// `join` changes the first list's item by the other's.
pub(crate) fn merge_sorted<T: Clone>(
    list: &mut Vec<T>,
    more: &[T],
    key: impl Fn(&T) -> &OrderedValue,
    join: impl Fn(&mut T, &T),
) {
    let mut missing: Vec<T> = Vec::new();
    let mut at = 0;
    for item in more {
        loop {
            match list.get(at).map(|known| key(known).cmp(key(item))) {
                Some(Ordering::Less) => at += 1,
                Some(Ordering::Equal) => {
                    join(&mut list[at], item);
                    break;
                }
                Some(Ordering::Greater) | None => {
                    missing.push(item.clone());
                    break;
                }
            }
        }
    }
    if !missing.is_empty() {
        list.append(&mut missing);
        // Two runs: the stable sort merges them.
        list.sort_by(|a, b| key(a).cmp(key(b)));
    }
}
