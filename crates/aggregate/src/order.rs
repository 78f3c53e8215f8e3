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

/// Merges a sorted sequence into a sorted list, both without repeated keys. Where both have
/// a key, `join` changes the list's item by the other.
pub(crate) fn merge_sorted<T>(
    list: &mut Vec<T>,
    more: impl Iterator<Item = T>,
    key: impl Fn(&T) -> &OrderedValue,
    join: impl Fn(&mut T, T),
) {
    let mut more = more.peekable();
    if more.peek().is_none() {
        return;
    }
    let old = std::mem::take(list);
    list.reserve(old.len() + more.size_hint().0);
    for mut item in old {
        while let Some(next) = more.next_if(|next| key(next) < key(&item)) {
            list.push(next);
        }
        if let Some(same) = more.next_if(|next| key(next) == key(&item)) {
            join(&mut item, same);
        }
        list.push(item);
    }
    list.extend(more);
}
