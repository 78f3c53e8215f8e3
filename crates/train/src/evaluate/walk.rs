//! One key's events, newest first, as one request sees them.

use evenkeel_expr::Program;
use evenkeel_types::Value;
use evenkeel_types::definition::SourceKind;

use crate::events::SourceEvents;
use crate::keyed::KeyEvents;

/// The times and the knowledge that bound a search.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Only events with time `<= until`.
    pub(crate) until: i64,
    /// The time for which `RETAIN` is judged.
    pub(crate) at: i64,
    /// What was visible then.
    pub(crate) known_at: Option<i64>,
}

/// One key's events, newest first, as one request sees them.
pub(crate) struct KeyWalk<'a> {
    events: &'a SourceEvents,
    pub(super) of_key: KeyEvents<'a>,
    limits: Limits,
    /// Events before this time were let go.
    pub(super) retained_from: i64,
}

impl<'a> KeyWalk<'a> {
    pub(crate) fn new(
        events: &'a SourceEvents,
        of_key: KeyEvents<'a>,
        key_columns: &[usize],
        limits: Limits,
    ) -> Self {
        let mut walk = KeyWalk {
            events,
            of_key,
            limits,
            retained_from: i64::MIN,
        };
        if let Some(gap) = events.def().retain_gap(key_columns) {
            walk.retained_from = walk.retain_start(gap);
        }
        walk
    }

    /// The earliest time from which on no gap to `at` is longer than `gap`.
    fn retain_start(&self, gap: i64) -> i64 {
        let mut from = self.limits.at;
        let KeyEvents { numbers, times } = self.of_key;
        let end = times.partition_point(|&time| time <= self.limits.at);
        for (&number, &time) in numbers[..end].iter().zip(&times[..end]).rev() {
            if !self.events.holds(number, self.limits.known_at) {
                continue;
            }
            if from - time > gap {
                return from;
            }
            from = time;
        }
        i64::MIN
    }

    /// The newest event, before another of them if given, that passes the filter. For a table
    /// only the state counts: the newest version, if it is not a delete and passes.
    pub(crate) fn newest(&self, filter: Option<&Program>, before: Option<u32>) -> Option<u32> {
        let KeyEvents { numbers, times } = self.of_key;
        let is_table = self.events.def().kind == SourceKind::Table;
        if is_table && before.is_some() {
            return None;
        }
        let end = match before {
            None => times.partition_point(|&time| time <= self.limits.until),
            Some(other) => self.place_of(other),
        };
        for place in (0..end).rev() {
            let number = numbers[place];
            if times[place] < self.retained_from {
                return None;
            }
            if !self.events.holds(number, self.limits.known_at) {
                continue;
            }
            let passes = !self.events.is_delete(number)
                && filter.is_none_or(|f| {
                    f.eval_row(&self.events.row(number), self.limits.at) == Value::Boolean(true)
                });
            if passes {
                return Some(number);
            }
            if is_table {
                return None;
            }
        }
        None
    }

    /// Where an event of the key is among them.
    fn place_of(&self, number: u32) -> usize {
        let KeyEvents { numbers, times } = self.of_key;
        let time = self.events.times()[number as usize];
        let first = times.partition_point(|&other| other < time);
        let later = numbers[first..].iter().position(|&other| other == number);
        first + later.expect("the event is one of the key's")
    }
}
