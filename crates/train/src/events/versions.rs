//! Which events hold: the versions of an identity, and what `DEDUPLICATE WITHIN` drops
//! (`docs/decisions/0001-versions-of-an-identity.md`).

use std::sync::Arc;

use evenkeel_types::{Column, LoggedEvent, Operation, Position};
use evenkeel_view::{Version, winner};
use rustc_hash::FxHashMap;

use super::SourceEvents;
use crate::identities::possibly_repeated;

impl SourceEvents {
    /// Finds the events that are one identity's.
    pub(super) fn find_rivals(&mut self) {
        let mut suspects = match &self.origins {
            Some(origins) => origins.possibly_repeated(),
            None => {
                let id: Vec<&Column> = self
                    .def()
                    .event_id
                    .iter()
                    .map(|&slot| &self.columns[slot])
                    .collect();
                possibly_repeated(&id, &self.times)
            }
        };
        // A removal decides alone, too.
        if self.has_removals {
            let operations = (0..).zip(&self.operations);
            let removals = operations.filter(|(_, o)| **o == Operation::Remove);
            suspects.extend(removals.map(|(number, _)| number));
        }
        suspects.sort_unstable();
        suspects.dedup();
        let mut firsts: FxHashMap<Vec<u8>, u32> = FxHashMap::default();
        for number in suspects {
            match firsts.get(&self.identity(number)) {
                Some(&first) => self.rivals.entry(first).or_default().push(number),
                None => {
                    if self.operations[number as usize] == Operation::Remove {
                        self.rivals.insert(number, Vec::new());
                    }
                    firsts.insert(self.identity(number), number);
                }
            }
        }
    }

    fn identity(&self, number: u32) -> Vec<u8> {
        let row = match &self.origins {
            Some(_) => Vec::new(),
            None => self.row(number),
        };
        self.program
            .identity_at(&row, &self.origin(number), self.times[number as usize])
    }

    /// The positions whose payloads [`SourceEvents::settle`] needs.
    pub(crate) fn contested(&self) -> Vec<Position> {
        self.rivals
            .iter()
            .flat_map(|(first, rest)| std::iter::once(first).chain(rest))
            .map(|&number| self.positions.get(number))
            .collect()
    }

    /// Learns the payloads of the contested events, in the order of
    /// [`SourceEvents::contested`]. To be called once, after [`SourceEvents::complete`].
    pub(crate) fn settle(&mut self, contested: &[LoggedEvent]) {
        let mut payloads = contested.iter();
        for (&first, rest) in &self.rivals {
            let numbers: Vec<u32> = std::iter::once(first).chain(rest.iter().copied()).collect();
            let versions: Arc<[Version]> = numbers
                .iter()
                .zip(payloads.by_ref())
                .map(|(&number, logged)| Version {
                    revision: logged.event.revision,
                    removed: logged.event.operation == Operation::Remove,
                    payload: self.program.payload(&logged.event).into_boxed_slice(),
                    position: logged.position,
                    visible_at: logged.visible_at(),
                    entry: u64::from(number),
                })
                .collect();
            for number in numbers {
                self.versions.insert(number, Arc::clone(&versions));
            }
        }
    }

    /// Whether every event holds from when it is visible on, whatever else is known.
    pub(crate) fn all_hold(&self) -> bool {
        self.versions.is_empty() && self.by_id.is_empty()
    }

    /// Whether the answer of [`SourceEvents::holds`] can be another for another time.
    pub(crate) fn is_contested(&self, number: u32) -> bool {
        !self.all_hold()
            && (self.versions.contains_key(&number) || self.droppers(number).next().is_some())
    }

    /// Whether the event holds, given what of the cut was visible at `known_at`.
    pub(crate) fn holds(&self, number: u32, known_at: Option<i64>) -> bool {
        self.is_visible(number, known_at)
            && (self.all_hold()
                || self.wins(number, known_at)
                    && !self
                        .droppers(number)
                        .any(|other| self.identity_holds(other, known_at)))
    }

    fn is_visible(&self, number: u32, known_at: Option<i64>) -> bool {
        known_at.is_none_or(|k| self.visible.get(number) <= k)
    }

    fn wins(&self, number: u32, known_at: Option<i64>) -> bool {
        self.winner(number, known_at) == Some(number)
    }

    /// Whether any version of the event's identity holds, dropped or not.
    fn identity_holds(&self, number: u32, known_at: Option<i64>) -> bool {
        self.winner(number, known_at).is_some()
    }

    fn winner(&self, number: u32, known_at: Option<i64>) -> Option<u32> {
        match self.versions.get(&number) {
            None => self.is_visible(number, known_at).then_some(number),
            Some(versions) => {
                let known = versions
                    .iter()
                    .filter(|v| known_at.is_none_or(|k| v.visible_at.0 <= k));
                let winner = winner(known).filter(|v| !v.removed)?;
                u32::try_from(winner.entry).ok()
            }
        }
    }

    /// Events of the same id that precede this one by at most `DEDUPLICATE WITHIN`, one of
    /// each identity.
    fn droppers(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let found = self.def().deduplicate_within.and_then(|within| {
            let time = self.times[number as usize];
            let times = self.by_id.get(&self.ids[number as usize])?;
            Some(
                times
                    .range(time.saturating_sub(within)..time)
                    .map(|(_, n)| *n),
            )
        });
        found.into_iter().flatten()
    }
}
