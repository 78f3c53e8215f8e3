//! Watermarks, now and at records of the log.
//!
//! Owns what the watermark of a source follows from, and marks: how far the times of events had come at
//! some records, so that the record at which they came past a time is found by reading a little of the log.
//! Invariant: a mark says what the log says; without any, more of the log is read, and the same is found.

use std::collections::BTreeMap;

use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef};
use evenkeel_types::{EventTime, SourceId};
use serde::{Deserialize, Serialize};

/// The watermark of a source, given how far the times of events have come, and up to when rows of a stream with
/// a timer are due. Of a derived stream it is the least of those that make it emit: what it leaves out holds
/// nothing back. None while there is no event.
pub(crate) fn watermark_of(
    catalog: &Catalog,
    source: &SourceDef,
    came: &dyn Fn(SourceId) -> Option<EventTime>,
    due: &dyn Fn(&DerivedDef) -> Option<EventTime>,
) -> Option<EventTime> {
    let Some(derived) = source.derived.as_ref().filter(|derived| !derived.is_ended) else {
        let greatest = came(source.id)?;
        return Some(EventTime(source.lateness.before(greatest.0)));
    };
    let of = |id: SourceId| {
        let cause = catalog.source_by_id(id);
        cause.and_then(|cause| watermark_of(catalog, cause, came, due))
    };
    let least = || derived.causes().into_iter().map(of).min().flatten();
    if derived.timer.is_none() {
        return least();
    }
    // Rows of later times come until they are due.
    match derived.revises {
        true => least().min(due(derived)),
        false => due(derived),
    }
}

/// How far the times of events had come at a record of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The first record that is not counted.
    pub(crate) record: u64,
    /// The greatest event time of each source that was defined; none of one without events.
    pub(crate) greatest: BTreeMap<SourceId, Option<EventTime>>,
}

impl Mark {
    /// The greatest event time of a source; none of one without events, as those are that were not defined yet.
    pub(crate) fn came(&self, source: SourceId) -> Option<EventTime> {
        self.greatest.get(&source).copied().flatten()
    }
}

/// Marks in the order of the log: many near its end, and the fewer the further back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one more down, unless it is no further.
    pub(crate) fn add(&mut self, mark: Mark) {
        if mark.record > self.end() {
            self.0.push(mark);
            self.thin();
        }
    }

    /// Leaves out marks between two that are near to each other, as seen from the end.
    fn thin(&mut self) {
        let end = self.end();
        let mut at = 1;
        while at + 1 < self.0.len() {
            let (before, behind) = (self.0[at - 1].record, self.0[at + 1].record);
            if behind - before <= (end - behind) / 2 {
                self.0.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// The last mark that counts nothing from a record on.
    pub(crate) fn last_until(&self, record: u64) -> Option<&Mark> {
        let mut marks = self.0.iter().rev();
        marks.find(|mark| mark.record <= record)
    }

    /// Where the last mark is.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |last| last.record)
    }

    /// The last mark at which something was not so yet that stays so; the beginning of the log, if there is
    /// none.
    pub(crate) fn last_before(&self, is_so: impl Fn(&Mark) -> bool) -> Mark {
        let after = self.0.partition_point(|mark| !is_so(mark));
        let before = after.checked_sub(1).map(|last| self.0[last].clone());
        before.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: SourceId = SourceId(3);

    fn mark(record: u64) -> Mark {
        Mark {
            record,
            greatest: BTreeMap::from([(SOURCE, Some(EventTime(record.cast_signed())))]),
        }
    }

    proptest! {
        /// Whatever is looked for is behind the mark that is found, and not far behind.
        #[test]
        fn few_marks_stay_and_what_is_looked_for_is_not_far_behind_one(
            steps in proptest::collection::vec(1u64..2_000, 1..400), wanted in 0u64..400_000,
        ) {
            let mut marks = Marks::default();
            let mut records = vec![0];
            for step in steps {
                let record = records.last().copied().unwrap_or(0) + step;
                records.push(record);
                marks.add(mark(record));
            }
            prop_assert!(marks.0.len() <= 60, "{} marks", marks.0.len());
            let end = records.last().copied().unwrap_or(0);
            let found = marks.last_before(|mark| mark.record > wanted);
            prop_assert!(found.record <= wanted);
            let next = records.iter().find(|record| **record > wanted).copied().unwrap_or(end);
            let far = next - found.record;
            prop_assert!(far <= (end - next) / 2 + 4_000, "{far} of {}", end - next);
        }
    }

    #[test]
    fn a_source_that_was_not_defined_had_no_events() {
        let mut marks = Marks::default();
        for record in [10, 20, 15, 30] {
            marks.add(mark(record));
        }
        assert_eq!(marks.0.len(), 3, "one that is no further is left out");
        marks.0[2].greatest.insert(SourceId(4), Some(EventTime(5)));
        let came = |source, time| move |mark: &Mark| mark.came(source) >= Some(EventTime(time));
        assert_eq!(marks.last_before(came(SourceId(4), 1)).record, 20);
        assert_eq!(marks.last_before(came(SOURCE, 20)).record, 10);
        assert_eq!(marks.last_before(came(SOURCE, 1)), Mark::default());
        let until = |record| marks.last_until(record).map(|mark| mark.record);
        assert_eq!([9, 10, 40].map(until), [None, Some(10), Some(30)]);
    }
}
