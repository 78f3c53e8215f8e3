//! The rows that a trigger brings for a key, newest first.

use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::NO_SLOT;
use evenkeel_types::definition::{SourceKind, Trigger, TriggerSide};

use super::{Evaluator, KeyWalk, Limits, Requests};
use crate::events::SourceEvents;
use crate::keyed::{KeyEvents, KeyedEvents};

/// A row that a trigger brings: its time, and the event of either side, [none](NO_SLOT) where there is
/// none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    time: i64,
    left: u32,
    right: u32,
}

/// Rows that a trigger brings, each with the request that it is for.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) requests: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) left: Vec<u32>,
    /// Stays empty where a trigger has one side.
    pub(super) right: Vec<u32>,
}

impl Candidates {
    /// By request the newest event of the only side, [none](NO_SLOT) where there is none.
    pub(super) fn newest(newest: Vec<u32>, times: &[i64]) -> Self {
        let requests: Vec<u32> = (0..)
            .zip(&newest)
            .filter(|(_, number)| **number != NO_SLOT)
            .map(|(request, _)| request)
            .collect();
        let left: Vec<u32> = match requests.len() == newest.len() {
            true => newest,
            false => requests.iter().map(|&i| newest[i as usize]).collect(),
        };
        Candidates {
            times: left.iter().map(|&n| times[n as usize]).collect(),
            requests,
            left,
            right: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, request: u32, candidate: Candidate) {
        self.requests.push(request);
        self.times.push(candidate.time);
        self.left.push(candidate.left);
        self.right.push(candidate.right);
    }

    pub(super) fn get(&self, n: usize) -> Candidate {
        Candidate {
            time: self.times[n],
            left: self.left[n],
            right: self.right.get(n).copied().unwrap_or(NO_SLOT),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether each of so many requests has one, in their order.
    pub(super) fn are_of_all(&self, requests: usize) -> bool {
        // No request has two.
        self.requests.len() == requests && self.requests.is_sorted()
    }
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
                let before = before.map(|candidate| candidate.left);
                let number = only
                    .walk(request, limits)
                    .newest(only.filter.as_ref(), before)?;
                Some(Candidate {
                    time: only.events.times()[number as usize],
                    left: number,
                    right: NO_SLOT,
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
                });
                let left = latest.next().flatten().unwrap_or(NO_SLOT);
                let right = latest.next().flatten().unwrap_or(NO_SLOT);
                Some(Candidate { time, left, right })
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
            let number = walk.newest(self.filter.as_ref(), None)?;
            return Some(self.events.times()[number as usize]);
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
