//! An event as the indexes of its source have it.

use evenkeel_aggregate::Entry;
use evenkeel_types::{LoggedEvent, Operation, Value};
use evenkeel_view::{IndexPlan, SourceProgram};

/// See the module.
pub(crate) struct Recorded<'a> {
    pub(crate) program: &'a SourceProgram,
    pub(crate) logged: &'a LoggedEvent,
    pub(crate) row: &'a [Value],
    pub(crate) entry: u64,
    pub(crate) contested: bool,
}

impl Recorded<'_> {
    /// Its key in an index; none if it is not in it. A removal is in none.
    pub(crate) fn key(&self, index: &IndexPlan) -> Option<Vec<u8>> {
        if self.logged.event.operation == Operation::Remove {
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
        let is_live = self.logged.event.operation != Operation::Delete;
        let values: Vec<Value> = index
            .slots()
            .iter()
            .map(|&slot| self.row[slot].clone())
            .chain(index.live_column().map(|_| Value::Boolean(is_live)))
            .collect();
        take(&Entry {
            time: self.logged.event.event_time.0,
            order,
            position: self.logged.position,
            visible_at: self.logged.visible_at().0,
            contested: self.contested,
            id: self.entry,
            values: &values,
        });
    }
}
