//! A block of many entries: column by column, for loops over them.

use std::ops::Range;

use evenkeel_types::{Column, DataType};

use super::super::Entry;
use super::Fixed;
use crate::order::EventOrder;

/// Entries sorted by time and order bytes.
#[derive(Clone, Debug)]
pub(in super::super) struct Columnar {
    times: Vec<i64>,
    visible_at: Vec<i64>,
    partitions: Vec<u32>,
    offsets: Vec<u64>,
    ids: Vec<u64>,
    /// Empty while no entry is contested.
    contested: Vec<bool>,
    /// Where each entry's order bytes end.
    order_ends: Vec<u32>,
    order_bytes: Vec<u8>,
    columns: Vec<Column>,
}

/// See [`Columnar::parts`].
pub(in super::super) struct Parts<'a> {
    pub(in super::super) times: &'a [i64],
    pub(in super::super) visible_at: &'a [i64],
    pub(in super::super) partitions: &'a [u32],
    pub(in super::super) offsets: &'a [u64],
    pub(in super::super) ids: &'a [u64],
    /// Empty while no entry is contested.
    pub(in super::super) contested: &'a [bool],
}

impl Columnar {
    pub(in super::super) fn new(types: &[DataType]) -> Self {
        Columnar {
            times: Vec::new(),
            visible_at: Vec::new(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            ids: Vec::new(),
            contested: Vec::new(),
            order_ends: Vec::new(),
            order_bytes: Vec::new(),
            columns: types.iter().map(Column::new).collect(),
        }
    }

    /// A block from its parts, one of each per entry.
    #[expect(clippy::too_many_arguments, reason = "they are the block's columns")]
    pub(in super::super) fn from_parts(
        times: Vec<i64>,
        visible_at: Vec<i64>,
        partitions: Vec<u32>,
        offsets: Vec<u64>,
        ids: Vec<u64>,
        contested: Vec<bool>,
        order_ends: Vec<u32>,
        order_bytes: Vec<u8>,
        columns: Vec<Column>,
    ) -> Self {
        Columnar {
            times,
            visible_at,
            partitions,
            offsets,
            ids,
            contested,
            order_ends,
            order_bytes,
            columns,
        }
    }

    /// As if it were new, with the memory that it has.
    pub(in super::super) fn clear(&mut self) {
        self.times.clear();
        self.visible_at.clear();
        self.partitions.clear();
        self.offsets.clear();
        self.ids.clear();
        self.contested.clear();
        self.order_ends.clear();
        self.order_bytes.clear();
        self.columns.iter_mut().for_each(Column::clear);
    }

    /// The parts that every block has, whatever its columns.
    pub(in super::super) fn parts(&self) -> Parts<'_> {
        Parts {
            times: &self.times,
            visible_at: &self.visible_at,
            partitions: &self.partitions,
            offsets: &self.offsets,
            ids: &self.ids,
            contested: &self.contested,
        }
    }

    pub(in super::super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(in super::super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn fixed(&self, slot: usize) -> Fixed {
        Fixed {
            time: self.times[slot],
            visible_at: self.visible_at[slot],
            offset: self.offsets[slot],
            id: self.ids[slot],
            partition: self.partitions[slot],
            contested: self.contested.get(slot).copied().unwrap_or(false),
        }
    }

    pub(in super::super) fn order(&self, slot: usize) -> EventOrder<'_> {
        EventOrder::new(self.times[slot], &self.order_bytes[self.order_range(slot)])
    }

    fn order_range(&self, slot: usize) -> Range<usize> {
        let start = slot.checked_sub(1).map_or(0, |s| self.order_ends[s]);
        start as usize..self.order_ends[slot] as usize
    }

    pub(in super::super) fn insert(&mut self, slot: usize, entry: &Entry<'_>) {
        self.times.insert(slot, entry.time);
        self.visible_at.insert(slot, entry.visible_at);
        self.partitions.insert(slot, entry.position.partition.0);
        self.offsets.insert(slot, entry.position.offset.0);
        self.ids.insert(slot, entry.id);
        if entry.contested && self.contested.is_empty() {
            self.contested = vec![false; self.times.len() - 1];
        }
        if entry.contested || !self.contested.is_empty() {
            self.contested.insert(slot, entry.contested);
        }
        let start = slot.checked_sub(1).map_or(0, |s| self.order_ends[s]);
        // Order bytes are event ids and rows: a block of them stays far below 4 GiB, as
        // rows are bounded where they are recorded.
        let length = entry.order.len() as u32;
        let at = start as usize;
        if at == self.order_bytes.len() {
            self.order_bytes.extend_from_slice(entry.order);
        } else {
            self.order_bytes.splice(at..at, entry.order.iter().copied());
        }
        self.order_ends.insert(slot, start + length);
        for end in &mut self.order_ends[slot + 1..] {
            *end += length;
        }
        for (column, value) in self.columns.iter_mut().zip(entry.values) {
            if slot == column.len() {
                column.push(value);
            } else {
                column.insert(slot, value);
            }
        }
    }

    pub(super) fn split_off(&mut self, at: usize) -> Columnar {
        let cut = at.checked_sub(1).map_or(0, |s| self.order_ends[s]);
        let mut order_ends = self.order_ends.split_off(at);
        for end in &mut order_ends {
            *end -= cut;
        }
        Columnar {
            times: self.times.split_off(at),
            visible_at: self.visible_at.split_off(at),
            partitions: self.partitions.split_off(at),
            offsets: self.offsets.split_off(at),
            ids: self.ids.split_off(at),
            contested: if self.contested.is_empty() {
                Vec::new()
            } else {
                self.contested.split_off(at)
            },
            order_ends,
            order_bytes: self.order_bytes.split_off(cut as usize),
            columns: self.columns.iter_mut().map(|c| c.split_off(at)).collect(),
        }
    }

    pub(super) fn set_contested(&mut self, slot: usize) {
        if self.contested.is_empty() {
            self.contested = vec![false; self.times.len()];
        }
        self.contested[slot] = true;
    }
}
