//! What was evaluated ahead, as whoever settles it takes it: in the order of records.
//!
//! It is kept from commit to commit, as it does not depend on what was emitted. Invariant: what is dropped is
//! forgotten where it is evaluated, too.

use std::collections::VecDeque;
use std::sync::Arc;

use evenkeel_types::Cut;

use super::ahead::{Ahead, Foreseen, Found, Of, Part};
use super::lane::World;
use super::passing::Passing;
use super::piece::Rooted;
use crate::offline::Online;

/// So many records are looked at under one hold of the engine; fewer where others wait for it.
const AT_ONCE: usize = 64;
const AT_ONCE_SHARED: usize = 16;

/// See the module.
pub(super) struct Foresight {
    ahead: Arc<Ahead>,
    /// Those that were not asked for: their numbers, and the first record behind each.
    parts: VecDeque<(u64, u64)>,
    /// What the events of the last that was asked for bring.
    found: VecDeque<Found>,
    /// The first record behind it.
    until: u64,
}

impl Foresight {
    /// Of the records of a piece from one on, from where what is known is passing. None if none of them is an
    /// event of the stream's trigger.
    pub(super) fn begin(
        world: &World,
        of: &Arc<Of>,
        from: u64,
        (mut passing, mut cut): (Passing, Cut),
    ) -> Option<Self> {
        let trigger = of.derived.trigger().source.id;
        let records = Arc::clone(passing.records());
        let first = records.roots.partition_point(|root| root.record < from);
        let mut roots = records.roots[first..].iter();
        if !roots.any(|root| matches!(&root.what, Rooted::Event(e) if e.source == trigger)) {
            return None;
        }
        let at_once = match world.is_shared {
            true => AT_ONCE_SHARED,
            false => AT_ONCE,
        };
        let of_a_part = at_once.min(world.evaluated_max);
        let mut foresight = Foresight {
            ahead: Arc::clone(&world.ahead),
            parts: VecDeque::new(),
            found: VecDeque::new(),
            until: 0,
        };
        for begin in (first..records.roots.len()).step_by(of_a_part) {
            let roots = begin..records.roots.len().min(begin + of_a_part);
            let last = &records.roots[roots.end - 1];
            let part = Part {
                of: Arc::clone(of),
                roots,
                passing: passing.clone(),
                cut: cut.clone(),
            };
            let number = foresight.ahead.add(part);
            foresight.parts.push_back((number, last.record + 1));
            passing.to(last, |source, partition, end| {
                cut.set_end(source, partition, end);
            });
        }
        Some(foresight)
    }

    /// What the event of a record brings, none within if that is nothing; none if that is not known.
    pub(super) fn take(&mut self, online: &impl Online, record: u64) -> Option<Option<Foreseen>> {
        while self.until <= record {
            match self.parts.pop_front() {
                Some((number, until)) => {
                    self.found = self.ahead.take(online, number).into();
                    self.until = until;
                }
                None => self.until = u64::MAX,
            }
        }
        while self.found.front().is_some_and(|(next, _)| *next < record) {
            self.found.pop_front();
        }
        let is_it = self.found.front().is_some_and(|(next, _)| *next == record);
        is_it
            .then(|| self.found.pop_front())?
            .map(|(_, found)| found)
    }
}

impl Drop for Foresight {
    fn drop(&mut self) {
        if !self.parts.is_empty() {
            self.ahead
                .forget(self.parts.iter().map(|(number, _)| *number));
        }
    }
}
