//! A block of few entries: row by row, in three pieces of memory.
//!
//! Most keys of most sources have few events. Column by column each of them would take some
//! thirty pieces of memory, and a read that finds none of them in the processor's caches waits
//! for each.

use std::ops::Range;

use evenkeel_types::Value;

use super::super::Entry;
use super::Fixed;
use crate::order::EventOrder;

/// More entries than this stand column by column.
pub(super) const FEW_MAX: usize = 16;

/// Entries sorted by time and order bytes.
#[derive(Clone, Debug)]
pub(in super::super) struct Few {
    heads: Vec<Head>,
    order_bytes: Vec<u8>,
    /// The values of each entry, one after the other.
    values: Vec<Value>,
    width: usize,
}

/// What an entry has besides order bytes and values.
#[derive(Clone, Copy, Debug)]
struct Head {
    fixed: Fixed,
    /// Where its order bytes end.
    order_end: u32,
}

impl Few {
    /// No entries, with room for `capacity`.
    pub(super) fn new(width: usize, capacity: usize) -> Self {
        Few {
            heads: Vec::with_capacity(capacity),
            order_bytes: Vec::new(),
            values: Vec::with_capacity(capacity * width),
            width,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Looks at the last entry's head and at all lines of memory of its values.
    pub(super) fn touch(&self) -> usize {
        let line = (64 / size_of::<Value>()).max(1);
        let last = self.len().saturating_sub(1) * self.width;
        let values = self.values[last..].iter().step_by(line);
        let seen = values.filter(|value| value.is_null()).count();
        self.heads
            .last()
            .map_or(seen, |head| seen + head.order_end as usize)
    }

    pub(super) fn fixed(&self, slot: usize) -> Fixed {
        self.heads[slot].fixed
    }

    pub(super) fn slots_until(&self, before: impl Fn(i64) -> bool) -> usize {
        self.heads.partition_point(|head| before(head.fixed.time))
    }

    pub(super) fn order(&self, slot: usize) -> EventOrder<'_> {
        let bytes = self.order_start(slot)..self.heads[slot].order_end as usize;
        EventOrder::new(self.heads[slot].fixed.time, &self.order_bytes[bytes])
    }

    fn order_start(&self, slot: usize) -> usize {
        slot.checked_sub(1)
            .map_or(0, |before| self.heads[before].order_end as usize)
    }

    /// The values of all entries, and how many each has.
    pub(super) fn values(&self) -> (&[Value], usize) {
        (&self.values, self.width)
    }

    pub(super) fn row(&self, slot: usize) -> &[Value] {
        &self.values[self.row_range(slot)]
    }

    fn row_range(&self, slot: usize) -> Range<usize> {
        slot * self.width..(slot + 1) * self.width
    }

    pub(super) fn insert(&mut self, slot: usize, entry: &Entry<'_>) {
        let start = self.order_start(slot);
        // Most events come in order.
        let is_last = slot == self.heads.len();
        if is_last {
            self.order_bytes.extend_from_slice(entry.order);
        } else {
            self.order_bytes
                .splice(start..start, entry.order.iter().copied());
        }
        // Order bytes are event ids and rows, bounded where they are recorded: those of a block
        // stay far below 4 GiB.
        let length = entry.order.len() as u32;
        for head in &mut self.heads[slot..] {
            head.order_end += length;
        }
        let head = Head {
            fixed: Fixed::of(entry),
            order_end: start as u32 + length,
        };
        self.heads.insert(slot, head);
        if is_last {
            self.values.extend_from_slice(entry.values);
        } else {
            let at = self.row_range(slot).start;
            self.values.splice(at..at, entry.values.iter().cloned());
        }
    }

    pub(super) fn split_off(&mut self, at: usize) -> Few {
        let cut = self.order_start(at);
        let mut heads = self.heads.split_off(at);
        for head in &mut heads {
            head.order_end -= cut as u32;
        }
        Few {
            heads,
            order_bytes: self.order_bytes.split_off(cut),
            values: self.values.split_off(at * self.width),
            width: self.width,
        }
    }

    pub(super) fn set_contested(&mut self, slot: usize) {
        self.heads[slot].fixed.contested = true;
    }
}
