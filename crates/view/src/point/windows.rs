//! The aggregates of a key's windows that end at a time.

use evenkeel_aggregate::{Everything, History};
use evenkeel_types::Value;

use super::Reader;
use crate::live::LiveSight;
use crate::plan::CompiledWindows;

impl Reader<'_> {
    /// Appends the aggregates of one key's windows that end at `t` to a scope.
    pub(crate) fn windows(
        &self,
        windows: &CompiledWindows,
        key: &[Value],
        t: i64,
        scope: &mut Vec<Value>,
    ) {
        let history = self.history(windows.index, key);
        self.windows_of(windows, history.as_ref(), key, t, scope);
    }

    /// [`Reader::windows`] of a key's events. Of rows that live and of changes it answers the
    /// time of the latest change.
    pub(super) fn windows_of(
        &self,
        windows: &CompiledWindows,
        history: Option<&History>,
        key: &[Value],
        t: i64,
        scope: &mut Vec<Value>,
    ) -> Option<i64> {
        let start = scope.len();
        scope.resize(start + windows.width, Value::Null);
        let plan = self.index(windows.index);
        let sight = self.sight(windows.index);
        let nothing;
        let history = match history {
            Some(history) => history,
            None => {
                nothing = History::new(plan.types().into());
                &nothing
            }
        };
        for (frame, specs, slots) in &windows.frames {
            let values = history.fold(plan.aggregates(), specs, frame, plan.retain(), t, &sight);
            for (slot, value) in slots.iter().zip(values) {
                scope[start + slot] = value;
            }
        }
        if let Some(changes) = &windows.changes {
            let found = self.changes(changes, windows.index, history, key, t);
            for (frame, specs, slots) in &changes.frames {
                let aggregates = &changes.aggregates;
                let values = found.fold(aggregates, specs, frame, plan.retain(), t, &Everything);
                for (slot, value) in slots.iter().zip(values) {
                    scope[start + slot] = value;
                }
            }
            return found.bounds().map(|bounds| bounds.last_time);
        }
        let live = windows.live.as_ref()?;
        let rows = LiveSight::new(self, live, windows.index, history, t);
        for (slot, value) in live.slots.iter().zip(rows.fold(history)) {
            scope[start + slot] = value;
        }
        rows.latest_change()
    }

    /// The time of a key's latest event up to `t`.
    pub(super) fn latest(
        &self,
        windows: &CompiledWindows,
        history: &History,
        t: i64,
    ) -> Option<i64> {
        let sight = self.sight(windows.index);
        history
            .descending(t, false, &sight)
            .next()
            .map(|entry| entry.time())
    }
}
