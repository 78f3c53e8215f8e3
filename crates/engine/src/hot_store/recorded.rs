//! An event as the indexes of its source have it.

use evenkeel_aggregate::Entry;
use evenkeel_types::{LoggedEvent, Operation, Value};
use evenkeel_view::{IndexId, IndexPlan, Plan, SourceProgram};

/// See the module.
pub(crate) struct Recorded<'a> {
    pub(crate) program: &'a SourceProgram,
    pub(crate) logged: &'a LoggedEvent,
    pub(crate) row: &'a [Value],
    pub(crate) entry: u64,
    pub(crate) contested: bool,
}

/// Memory for the parts of an entry, used for one event after the other.
#[derive(Debug, Default)]
pub(crate) struct EntryMemory {
    order: Vec<u8>,
    key: Vec<u8>,
    values: Vec<Value>,
}

impl Recorded<'_> {
    /// Its key in an index; none if it is not in it. A removal is in none.
    pub(crate) fn key(&self, index: &IndexPlan) -> Option<Vec<u8>> {
        if self.is_removal() {
            return None;
        }
        self.program.key(self.row, index.key_columns())
    }

    pub(crate) fn order(&self) -> Vec<u8> {
        self.program.order(self.logged, self.row)
    }

    /// Its entry in an index.
    pub(crate) fn with_entry(
        &self,
        index: &IndexPlan,
        order: &[u8],
        take: impl FnOnce(&Entry<'_>),
    ) {
        let values: Vec<Value> = self.values(index).collect();
        take(&self.entry(order, &values));
    }

    /// Its key and its entry in each of these indexes that has it.
    pub(crate) fn each_entry(
        &self,
        plan: &Plan,
        indexes: &[IndexId],
        memory: &mut EntryMemory,
        mut take: impl FnMut(IndexId, &[u8], &Entry<'_>),
    ) {
        if indexes.is_empty() || self.is_removal() {
            return;
        }
        let EntryMemory { order, key, values } = memory;
        order.clear();
        self.program.put_order(self.logged, self.row, order);
        for &id in indexes {
            let index = &plan.indexes()[id.0];
            key.clear();
            if self.program.put_key(self.row, index.key_columns(), key) {
                values.clear();
                values.extend(self.values(index));
                take(id, key, &self.entry(order, values));
            }
        }
    }

    fn is_removal(&self) -> bool {
        self.logged.event.operation == Operation::Remove
    }

    fn values(&self, index: &IndexPlan) -> impl Iterator<Item = Value> {
        let is_live = self.logged.event.operation != Operation::Delete;
        let live = index.live_column().map(|_| Value::Boolean(is_live));
        let slots = index.slots().iter();
        slots.map(|&slot| self.row[slot].clone()).chain(live)
    }

    fn entry<'e>(&self, order: &'e [u8], values: &'e [Value]) -> Entry<'e> {
        Entry {
            time: self.logged.event.event_time.0,
            order,
            position: self.logged.position,
            visible_at: self.logged.visible_at().0,
            contested: self.contested,
            id: self.entry,
            values,
        }
    }
}
