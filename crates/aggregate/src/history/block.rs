//! A block: entries in order, column by column.

use std::ops::Range;

use evenkeel_types::{Column, DataType, Offset, Partition, Position, Value};

use super::Entry;
use super::bounds::Bounds;
use crate::order::EventOrder;

/// Entries sorted by time and order bytes.
#[derive(Clone, Debug)]
pub(crate) struct Block {
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

/// See [`Block::parts`].
pub(super) struct Parts<'a> {
    pub(super) times: &'a [i64],
    pub(super) visible_at: &'a [i64],
    pub(super) partitions: &'a [u32],
    pub(super) offsets: &'a [u64],
    pub(super) ids: &'a [u64],
    /// Empty while no entry is contested.
    pub(super) contested: &'a [bool],
}

impl Block {
    pub(super) fn new(types: &[DataType]) -> Self {
        Block {
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
    pub(super) fn from_parts(
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
        Block {
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

    /// What stands in for a block that could not be read: as many entries without values,
    /// within the same times.
    pub(super) fn blank(types: &[DataType], length: usize, bounds: &Bounds) -> Self {
        let position = bounds.a_position();
        let mut block = Block::new(types);
        let values = vec![Value::Null; types.len()];
        for slot in 0..length {
            block.insert(
                slot,
                &Entry {
                    time: bounds.first_time,
                    order: &[],
                    position,
                    visible_at: bounds.first_visible_at,
                    contested: bounds.contested,
                    id: 0,
                    values: &values,
                },
            );
        }
        block
    }

    /// The parts that every block has, whatever its columns.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            times: &self.times,
            visible_at: &self.visible_at,
            partitions: &self.partitions,
            offsets: &self.offsets,
            ids: &self.ids,
            contested: &self.contested,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn order(&self, slot: usize) -> EventOrder<'_> {
        EventOrder::new(self.times[slot], &self.order_bytes[self.order_range(slot)])
    }

    fn order_range(&self, slot: usize) -> Range<usize> {
        let start = slot.checked_sub(1).map_or(0, |s| self.order_ends[s]);
        start as usize..self.order_ends[slot] as usize
    }

    pub(super) fn view(&self, slot: usize) -> EntryView<'_> {
        EntryView { block: self, slot }
    }

    /// The number of entries before a place in the order (at it, too, if `or_equal`).
    pub(super) fn slots_before(&self, order: EventOrder<'_>, or_equal: bool) -> usize {
        let first = self.times.partition_point(|&t| t < order.time);
        let last = self.times.partition_point(|&t| t <= order.time);
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = usize::midpoint(low, high);
            let found = self.order(middle);
            if found < order || (or_equal && found == order) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn insert(&mut self, slot: usize, entry: &Entry<'_>) {
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
        self.order_bytes.splice(at..at, entry.order.iter().copied());
        self.order_ends.insert(slot, start + length);
        for end in &mut self.order_ends[slot + 1..] {
            *end += length;
        }
        for (column, value) in self.columns.iter_mut().zip(entry.values) {
            column.insert(slot, value);
        }
    }

    /// Appends an entry of another block with the same columns.
    pub(super) fn push(&mut self, entry: &EntryView<'_>) {
        let order = entry.order();
        self.insert(
            self.len(),
            &Entry {
                time: order.time,
                order: order.order,
                position: entry.position(),
                visible_at: entry.visible_at(),
                contested: entry.contested(),
                id: entry.id(),
                values: &entry.row(),
            },
        );
    }

    pub(super) fn split_off(&mut self, at: usize) -> Block {
        let cut = at.checked_sub(1).map_or(0, |s| self.order_ends[s]);
        let mut order_ends = self.order_ends.split_off(at);
        for end in &mut order_ends {
            *end -= cut;
        }
        Block {
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

    /// The bounds of all entries; `None` for an empty block.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        let mut bounds: Option<Bounds> = None;
        for slot in 0..self.len() {
            let view = self.view(slot);
            let (time, visible_at) = (view.time(), view.visible_at());
            let (position, contested) = (view.position(), view.contested());
            match &mut bounds {
                None => bounds = Some(Bounds::of(time, visible_at, position, contested)),
                Some(bounds) => bounds.extend(time, visible_at, position, contested),
            }
        }
        bounds
    }
}

/// An entry of a history.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    block: &'a Block,
    slot: usize,
}

impl<'a> EntryView<'a> {
    /// The event time, microseconds.
    pub fn time(&self) -> i64 {
        self.block.times[self.slot]
    }

    /// The place in the order of the key's events.
    pub fn order(&self) -> EventOrder<'a> {
        self.block.order(self.slot)
    }

    /// The place in the log.
    pub fn position(&self) -> Position {
        Position {
            partition: Partition(self.block.partitions[self.slot]),
            offset: Offset(self.block.offsets[self.slot]),
        }
    }

    /// When reads could see it, microseconds.
    pub fn visible_at(&self) -> i64 {
        self.block.visible_at[self.slot]
    }

    /// Whether more than its position and visible time decides if it is seen.
    pub fn contested(&self) -> bool {
        self.block
            .contested
            .get(self.slot)
            .copied()
            .unwrap_or(false)
    }

    /// The caller's handle.
    pub fn id(&self) -> u64 {
        self.block.ids[self.slot]
    }

    /// The value of a column.
    pub fn value(&self, column: usize) -> Value {
        self.block.columns[column].get(self.slot)
    }

    /// The values of all columns.
    pub fn row(&self) -> Vec<Value> {
        self.block
            .columns
            .iter()
            .map(|column| column.get(self.slot))
            .collect()
    }
}
