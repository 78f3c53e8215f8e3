//! Timers of derived streams: how much later than its trigger a row is, and by which watermark it is due
//! (`docs/decisions/0042-timers.md`).
//!
//! Invariant: whether a row is due at a cut follows from the greatest event times of sources at that cut
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, DerivedDef, SourceDef};
use crate::event::SourceId;
use crate::time::{EventTime, Interval};

/// `AFTER INTERVAL d`: the row of an event at `T` is of the time `T + d`, and is due when the watermark
/// has passed that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// `d`, which is exact; zero without `AFTER`.
    pub after: Interval,
    /// `WAIT FOR WATERMARK`, and `WITHOUT`: the sources whose watermarks must have passed that, too. With
    /// `TIMEOUT p`, behind `T + d + p` by the watermark of the trigger, one is waited for no more.
    pub waits_for: BTreeMap<SourceId, Option<Interval>>,
}

impl DerivedDef {
    /// The time of the row of an event.
    pub fn time_of(&self, event: EventTime) -> EventTime {
        match &self.timer {
            None => event,
            Some(timer) => EventTime(timer.after.after(event.0)),
        }
    }

    /// The time of the event of a row.
    pub fn event_of(&self, row: EventTime) -> EventTime {
        match &self.timer {
            None => row,
            Some(timer) => EventTime(timer.after.before(row.0)),
        }
    }

    /// Whether the row of an event is due; `watermark` is that of [`Catalog::due_until`].
    pub fn is_due(&self, event: EventTime, watermark: Option<EventTime>) -> bool {
        self.timer.is_none() || watermark.is_some_and(|w| self.time_of(event) < w)
    }
}

impl Catalog {
    /// The time before which the rows of a derived stream are due, given the greatest event time of
    /// sources that others bring events to; none if no row is.
    ///
    /// # Errors
    /// Those of `greatest`.
    pub fn due_until<E>(
        &self,
        derived: &DerivedDef,
        greatest: &mut dyn FnMut(&SourceDef) -> Result<Option<EventTime>, E>,
    ) -> Result<Option<EventTime>, E> {
        let own = self.passed(derived.trigger().source.id, greatest)?;
        let Some(timer) = &derived.timer else {
            return Ok(own);
        };
        let mut all = own;
        for (id, timeout) in &timer.waits_for {
            let passed = self.passed(*id, greatest)?;
            let late = timeout.zip(own);
            let late = late.map(|(timeout, own)| EventTime(timeout.before(own.0)));
            // Nothing is less than any time.
            all = all.min(passed.max(late));
        }
        Ok(all)
    }

    /// The watermark of a source; of a derived stream, also one that has ended, that of its rows.
    fn passed<E>(
        &self,
        id: SourceId,
        greatest: &mut dyn FnMut(&SourceDef) -> Result<Option<EventTime>, E>,
    ) -> Result<Option<EventTime>, E> {
        let Some(def) = self.source_by_id(id) else {
            return Ok(None);
        };
        match &def.derived {
            Some(derived) => self.due_until(derived, greatest),
            None => {
                let greatest = greatest(def)?;
                Ok(greatest.map(|time| EventTime(def.lateness.before(time.0))))
            }
        }
    }

    /// The sources that others bring events to by which it is decided what of a derived stream is due;
    /// none of one without a timer.
    pub fn clocks(&self, derived: &DerivedDef) -> BTreeSet<SourceId> {
        let mut found = BTreeSet::new();
        if derived.timer.is_some() {
            let ask = &mut |def: &SourceDef| {
                found.insert(def.id);
                Ok::<_, std::convert::Infallible>(None)
            };
            let Ok(_) = self.due_until(derived, ask);
        }
        found
    }
}
