//! How far back reads at the newest time go, in each index: what a store must have at hand.
//!
//! An upper bound in exact microseconds, from definitions alone; reads at older times, and
//! the rare read that goes on searching, may need more, and a store answers them, too.
//! `None` is everything: nothing says how old what is needed may be.

use std::collections::BTreeMap;

use evenkeel_types::definition::{
    Lookup, LookupTarget, RowBody, SourceKind, SourceWindows, Trigger, TriggerSide, ViewBody,
    ViewDef, WindowRows,
};
use evenkeel_types::time::DAY;
use evenkeel_types::{CalendarUnit, Extent, Frame, Interval, SourceId};

/// The look-backs of some views, by source and key.
#[derive(Debug, Default)]
pub(crate) struct LookBacks {
    by_key: BTreeMap<(SourceId, Vec<usize>), Option<i64>>,
}

impl LookBacks {
    pub(crate) fn of<'a>(views: impl IntoIterator<Item = &'a ViewDef>) -> Self {
        let mut look_backs = LookBacks::default();
        for view in views {
            look_backs.view(view, Some(0));
        }
        look_backs
    }

    /// Of an index.
    pub(crate) fn get(&self, source: SourceId, key_columns: &[usize]) -> Option<i64> {
        let known = self.by_key.get(&(source, key_columns.to_vec()));
        known.copied().unwrap_or(Some(0))
    }

    /// A view that is read at times up to so long ago.
    fn view(&mut self, view: &ViewDef, ago: Option<i64>) {
        match &view.body {
            ViewBody::Window(body) => self.windows(&body.windows, ago),
            ViewBody::Row(body) => self.row(body, ago),
            ViewBody::Composed(body) => {
                for input in &body.inputs {
                    self.view(input, ago);
                }
            }
        }
    }

    fn windows(&mut self, windows: &SourceWindows, ago: Option<i64>) {
        for aggregate in &windows.aggregates {
            let back = plus(ago, of_frame(&aggregate.frame));
            self.need(windows.source.id, &windows.key_columns, back);
        }
        if windows.has(WindowRows::Live) || windows.has(WindowRows::Changes) {
            // The version that holds, or that a change ends, may be of any age.
            self.need(windows.source.id, &windows.key_columns, None);
            self.need(windows.source.id, &windows.source.primary_key, None);
        }
    }

    fn row(&mut self, body: &RowBody, ago: Option<i64>) {
        // An event of a derived stream's trigger brings its row when it comes: at a new time, as
        // a rule.
        let is_brought =
            matches!(&body.trigger, Trigger::Source(side) if side.key_columns.is_empty());
        // A row that is older than its TTL is not evaluated, unless rows are skipped.
        let row = match (body.ttl, &body.filter) {
            (Some(ttl), None) => plus(ago, Some(longest(ttl))),
            _ => None,
        };
        match &body.trigger {
            Trigger::Source(side) => {
                let skips = side.filter.is_some() && side.source.kind == SourceKind::Stream;
                self.side(side, if skips { None } else { row });
            }
            // The latest of the other side may be of any age.
            Trigger::Full { left, right } => {
                self.side(left, None);
                self.side(right, None);
            }
        }
        let skips = match &body.trigger {
            Trigger::Source(side) => side.filter.is_some(),
            Trigger::Full { .. } => true,
        };
        let row = match is_brought {
            true => ago,
            false if skips => None,
            false => row,
        };
        for windows in &body.windows {
            self.windows(windows, row);
        }
        for lookup in &body.lookups {
            self.lookup(lookup, row);
        }
    }

    fn side(&mut self, side: &TriggerSide, back: Option<i64>) {
        self.need(side.source.id, &side.key_columns, back);
    }

    fn lookup(&mut self, lookup: &Lookup, ago: Option<i64>) {
        match &lookup.target {
            LookupTarget::View(view) => self.view(view, ago),
            LookupTarget::Source {
                source,
                key_columns,
            } => {
                let age = match (lookup.max_age, &lookup.filter) {
                    (Some(limit), None) => Some(longest(limit.age)),
                    _ => None,
                };
                self.need(source.id, key_columns, plus(ago, age));
            }
        }
    }

    fn need(&mut self, source: SourceId, key_columns: &[usize], back: Option<i64>) {
        let known = self
            .by_key
            .entry((source, key_columns.to_vec()))
            .or_insert(Some(0));
        *known = known.zip(back).map(|(a, b)| a.max(b));
    }
}

fn plus(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.saturating_add(b?))
}

/// The longest that an interval can be: no month has more than 31 days.
fn longest(interval: Interval) -> i64 {
    i64::from(interval.months)
        .saturating_mul(31 * DAY)
        .saturating_add(interval.micros)
}

/// How long before the read the oldest event of a window can be.
pub(crate) fn of_frame(frame: &Frame) -> Option<i64> {
    match &frame.extent {
        Extent::Range { start, .. } => start.map(longest),
        Extent::Hop { start, hop, .. } => start.map(|start| start.saturating_add(*hop)),
        // With a day for what zones do to their clocks.
        Extent::StartOf { unit, .. } => Some(match unit {
            CalendarUnit::Day => 2 * DAY,
            CalendarUnit::Week => 8 * DAY,
            CalendarUnit::Month => 32 * DAY,
            CalendarUnit::Year => 367 * DAY,
        }),
        Extent::Rows { .. } | Extent::Session { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_types::time::HOUR;

    #[test]
    fn frames_look_back_as_far_as_their_oldest_event() {
        let back = |extent| {
            of_frame(&Frame {
                extent,
                exclude_group: false,
            })
        };
        let range = |start| Extent::Range {
            start,
            end: Interval::default(),
        };
        assert_eq!(back(range(Some(Interval::from_micros(HOUR)))), Some(HOUR));
        assert_eq!(back(range(Some(Interval::from_months(2)))), Some(62 * DAY));
        assert_eq!(back(range(None)), None);
        let hop = Extent::Hop {
            start: Some(DAY),
            end: 0,
            hop: HOUR,
        };
        assert_eq!(back(hop), Some(DAY + HOUR));
        assert_eq!(back(Extent::Session { gap: HOUR }), None);
        let rows = Extent::Rows {
            start: Some(2),
            end: 0,
        };
        assert_eq!(back(rows), None);
    }
}
