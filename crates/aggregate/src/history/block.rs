//! A block: entries in order, row by row if they are few, else column by column.

mod columnar;
mod few;

use std::borrow::Cow;

use evenkeel_types::{DataType, Offset, Partition, Position, Value};

use super::Entry;
use super::bounds::Bounds;
use crate::formula::Values;
use crate::order::EventOrder;
pub(super) use columnar::Columnar;
use few::{FEW_MAX, Few};

/// Entries sorted by time and order bytes.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Few(Few),
    Many(Box<Columnar>),
}

/// What every entry has, whatever its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    time: i64,
    visible_at: i64,
    offset: u64,
    id: u64,
    partition: u32,
    contested: bool,
}

impl Fixed {
    fn of(entry: &Entry<'_>) -> Self {
        Fixed {
            time: entry.time,
            visible_at: entry.visible_at,
            offset: entry.position.offset.0,
            id: entry.id,
            partition: entry.position.partition.0,
            contested: entry.contested,
        }
    }

    fn position(&self) -> Position {
        Position {
            partition: Partition(self.partition),
            offset: Offset(self.offset),
        }
    }
}

impl Block {
    /// An empty block of entries with so many columns, with room for one entry.
    pub(super) fn new(types: &[DataType]) -> Self {
        Block::Few(Few::new(types.len(), 1))
    }

    /// A block of these entries.
    pub(super) fn from_columns(columnar: Columnar) -> Self {
        if columnar.len() > FEW_MAX {
            return Block::Many(Box::new(columnar));
        }
        let mut few = Few::new(columnar.columns().len(), columnar.len());
        for slot in 0..columnar.len() {
            let row: Vec<Value> = columnar.columns().iter().map(|c| c.get(slot)).collect();
            let (fixed, order) = (columnar.fixed(slot), columnar.order(slot));
            few.insert(slot, &entry(fixed, order, &row));
        }
        Block::Few(few)
    }

    /// The entries column by column.
    pub(super) fn columnar(&self, types: &[DataType]) -> Cow<'_, Columnar> {
        match self {
            Block::Many(columnar) => Cow::Borrowed(columnar),
            Block::Few(few) => {
                let mut columnar = Columnar::new(types);
                for slot in 0..few.len() {
                    let entry = entry(few.fixed(slot), few.order(slot), few.row(slot));
                    columnar.insert(slot, &entry);
                }
                Cow::Owned(columnar)
            }
        }
    }

    /// What stands in for a block that could not be read: as many entries without values,
    /// within the same times.
    pub(super) fn blank(types: &[DataType], length: usize, bounds: &Bounds) -> Self {
        let position = bounds.a_position();
        let mut block = Block::new(types);
        let values = vec![Value::Null; types.len()];
        for slot in 0..length {
            let entry = Entry {
                time: bounds.first_time,
                order: &[],
                position,
                visible_at: bounds.first_visible_at,
                // Nobody has to be asked for each of them.
                contested: false,
                id: 0,
                values: &values,
            };
            block.insert(slot, &entry, types);
        }
        block
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Block::Few(few) => few.len(),
            Block::Many(columnar) => columnar.len(),
        }
    }

    /// See [`super::History::touch`].
    pub(super) fn touch(&self) -> usize {
        match self {
            Block::Few(few) => few.touch(),
            Block::Many(columnar) => columnar.len(),
        }
    }

    pub(super) fn time(&self, slot: usize) -> i64 {
        self.fixed(slot).time
    }

    /// How many entries, from the first on, have a time that is `before`, which holds for
    /// none behind one for which it does not hold.
    pub(super) fn slots_until(&self, before: impl Fn(i64) -> bool) -> usize {
        match self {
            Block::Few(few) => few.slots_until(before),
            Block::Many(columnar) => columnar.times().partition_point(|&time| before(time)),
        }
    }

    /// The values of the columns.
    pub(super) fn values(&self) -> Values<'_> {
        match self {
            Block::Few(few) => {
                let (values, width) = few.values();
                Values::Rows { values, width }
            }
            Block::Many(columnar) => Values::Columns(columnar.columns()),
        }
    }

    fn fixed(&self, slot: usize) -> Fixed {
        match self {
            Block::Few(few) => few.fixed(slot),
            Block::Many(columnar) => columnar.fixed(slot),
        }
    }

    pub(super) fn order(&self, slot: usize) -> EventOrder<'_> {
        match self {
            Block::Few(few) => few.order(slot),
            Block::Many(columnar) => columnar.order(slot),
        }
    }

    pub(super) fn view(&self, slot: usize) -> EntryView<'_> {
        EntryView { block: self, slot }
    }

    /// The number of entries before a place in the order (at it, too, if `or_equal`).
    pub(super) fn slots_before(&self, order: EventOrder<'_>, or_equal: bool) -> usize {
        // Most events come in order: all that are there are before.
        match self.len().checked_sub(1) {
            Some(last) if self.order(last) >= order => {}
            _ => return self.len(),
        }
        let first = self.slots_until(|t| t < order.time);
        let last = self.slots_until(|t| t <= order.time);
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

    /// Inserts an entry whose columns have these types.
    pub(super) fn insert(&mut self, slot: usize, entry: &Entry<'_>, types: &[DataType]) {
        if self.len() == FEW_MAX
            && let Block::Few(_) = self
        {
            *self = Block::Many(Box::new(self.columnar(types).into_owned()));
        }
        match self {
            Block::Few(few) => few.insert(slot, entry),
            Block::Many(columnar) => columnar.insert(slot, entry),
        }
    }

    /// Appends an entry of another block with the same columns.
    pub(super) fn push(&mut self, view: &EntryView<'_>, types: &[DataType]) {
        let row = view.row();
        let entry = entry(view.fixed(), view.order(), &row);
        self.insert(self.len(), &entry, types);
    }

    pub(super) fn split_off(&mut self, at: usize) -> Block {
        match self {
            Block::Few(few) => Block::Few(few.split_off(at)),
            Block::Many(columnar) => Block::Many(Box::new(columnar.split_off(at))),
        }
    }

    pub(super) fn set_contested(&mut self, slot: usize) {
        match self {
            Block::Few(few) => few.set_contested(slot),
            Block::Many(columnar) => columnar.set_contested(slot),
        }
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

fn entry<'a>(fixed: Fixed, order: EventOrder<'a>, values: &'a [Value]) -> Entry<'a> {
    Entry {
        time: fixed.time,
        order: order.order,
        position: fixed.position(),
        visible_at: fixed.visible_at,
        contested: fixed.contested,
        id: fixed.id,
        values,
    }
}

/// An entry of a history.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    block: &'a Block,
    slot: usize,
}

impl<'a> EntryView<'a> {
    fn fixed(&self) -> Fixed {
        self.block.fixed(self.slot)
    }

    /// The event time, microseconds.
    pub fn time(&self) -> i64 {
        self.fixed().time
    }

    /// The place in the order of the key's events.
    pub fn order(&self) -> EventOrder<'a> {
        self.block.order(self.slot)
    }

    /// The place in the log.
    pub fn position(&self) -> Position {
        self.fixed().position()
    }

    /// When reads could see it, microseconds.
    pub fn visible_at(&self) -> i64 {
        self.fixed().visible_at
    }

    /// Whether more than its position and visible time decides if it is seen.
    pub fn contested(&self) -> bool {
        self.fixed().contested
    }

    /// The caller's handle.
    pub fn id(&self) -> u64 {
        self.fixed().id
    }

    /// The value of a column.
    pub fn value(&self, column: usize) -> Value {
        match self.block {
            Block::Few(few) => few.row(self.slot)[column].clone(),
            Block::Many(columnar) => columnar.columns()[column].get(self.slot),
        }
    }

    /// The values of all columns.
    pub fn row(&self) -> Vec<Value> {
        match self.block {
            Block::Few(few) => few.row(self.slot).to_vec(),
            Block::Many(columnar) => {
                let columns = columnar.columns().iter();
                columns.map(|column| column.get(self.slot)).collect()
            }
        }
    }
}
