//! The rows that a trigger brings for a key, newest first.

use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::definition::{SourceKind, Trigger, TriggerSide};

use super::{Evaluator, KeyWalk, Limits, Requests};
use crate::events::SourceEvents;
use crate::keyed::{KeyEvents, KeyedEvents};

/// A row that a trigger brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) time: i64,
    pub(super) left: Option<u32>,
    pub(super) right: Option<u32>,
    /// Where the search for the row before it goes on.
    pub(super) place: usize,
}

/// Finds the rows that a trigger brings for a key, newest first.
pub(super) struct CandidateFinder<'a> {
    sides: Vec<FinderSide<'a>>,
}

struct FinderSide<'a> {
    events: &'a SourceEvents,
    keyed: Rc<KeyedEvents>,
    /// The number of each request's key.
    key_of: Vec<u32>,
    key_columns: &'a [usize],
    filter: Option<Program>,
}

impl<'a> CandidateFinder<'a> {
    pub(super) fn new(evaluator: &'a Evaluator, trigger: &'a Trigger, requests: &Requests) -> Self {
        let side = |side: &'a TriggerSide| {
            let keyed = evaluator.keyed(side.source.id, &side.key_columns);
            FinderSide {
                events: evaluator.events(side.source.id),
                key_of: keyed.find(&requests.keys, requests.len()),
                keyed,
                key_columns: &side.key_columns,
                filter: side.filter.as_ref().map(Program::compile),
            }
        };
        let sides = match trigger {
            Trigger::Source(only) => vec![side(only)],
            Trigger::Full { left, right } => vec![side(left), side(right)],
        };
        CandidateFinder { sides }
    }

    /// The next one for a request, older than the one before.
    pub(super) fn next(
        &self,
        request: usize,
        limits: Limits,
        before: Option<&Candidate>,
    ) -> Option<Candidate> {
        match self.sides.as_slice() {
            [only] => {
                let walk = only.walk(request, limits);
                let (number, place) = walk.newest(only.filter.as_ref(), before.map(|c| c.place))?;
                Some(Candidate {
                    time: walk.of_key.times[place],
                    left: Some(number),
                    right: None,
                    place,
                })
            }
            sides => {
                let until = before
                    .map_or(limits.until, |c| c.time - 1)
                    .min(limits.until);
                // The time of the row: the newest event of either side. A table's delete is
                // an event, too: from then on its side is NULL.
                let time = sides
                    .iter()
                    .filter_map(|side| side.newest_time(request, Limits { until, ..limits }))
                    .max()?;
                let mut latest = sides.iter().map(|side| {
                    let until_then = Limits {
                        until: time,
                        ..limits
                    };
                    side.walk(request, until_then)
                        .newest(side.filter.as_ref(), None)
                        .map(|(number, _)| number)
                });
                let left = latest.next().flatten();
                let right = latest.next().flatten();
                Some(Candidate {
                    time,
                    left,
                    right,
                    place: 0,
                })
            }
        }
    }
}

impl FinderSide<'_> {
    fn walk(&self, request: usize, limits: Limits) -> KeyWalk<'_> {
        let of_key = self.keyed.of(self.key_of[request]);
        KeyWalk::new(self.events, of_key, self.key_columns, limits)
    }

    /// The time of the newest event that is a row time of a full join.
    fn newest_time(&self, request: usize, limits: Limits) -> Option<i64> {
        let walk = self.walk(request, limits);
        let KeyEvents { numbers, times } = walk.of_key;
        if self.events.def().kind == SourceKind::Stream {
            let (_, place) = walk.newest(self.filter.as_ref(), None)?;
            return Some(times[place]);
        }
        numbers
            .iter()
            .zip(times)
            .rev()
            .find(|&(&n, &time)| {
                time <= limits.until
                    && time >= walk.retained_from
                    && self.events.holds(n, limits.known_at)
            })
            .map(|(_, &time)| time)
    }
}
