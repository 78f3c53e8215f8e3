//! Places and origins of numbered events, as runs: most events follow the one before.

use evenkeel_types::{Origin, Position};

/// What counts on from one event to the next.
pub(crate) trait Counting: Clone + PartialEq {
    /// The one that is `steps` later; none beyond the last number.
    fn later(&self, steps: u32) -> Option<Self>;
}

impl Counting for Position {
    fn later(&self, steps: u32) -> Option<Self> {
        let offset = self.offset.0.checked_add(u64::from(steps))?;
        Some(Position::new(self.partition.0, offset))
    }
}

impl Counting for Origin {
    fn later(&self, steps: u32) -> Option<Self> {
        let mut later = self.clone();
        let number = number_mut(&mut later);
        *number = number.checked_add(u64::from(steps))?;
        Some(later)
    }
}

fn number_mut(origin: &mut Origin) -> &mut u64 {
    match origin {
        Origin::File { row, .. } => row,
        Origin::Kafka { offset, .. } => offset,
        Origin::Producer { sequence, .. } => sequence,
        Origin::Log(position) => &mut position.offset.0,
    }
}

/// One value per event number, from 0.
pub(crate) struct Runs<T> {
    /// The first number and the value of each run.
    runs: Vec<(u32, T)>,
    length: u32,
    /// What would continue the last run.
    due: Option<T>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Runs {
            runs: Vec::new(),
            length: 0,
            due: None,
        }
    }
}

impl<T: Counting> Runs<T> {
    /// Appends the value of the next event.
    pub(crate) fn push(&mut self, value: &T) {
        if self.due.as_ref() != Some(value) {
            self.runs.push((self.length, value.clone()));
        }
        self.due = value.later(1);
        self.length += 1;
    }

    /// Appends the values of the next events, which count on from the first.
    ///
    /// # Panics
    /// If a number beyond the last would be reached.
    pub(crate) fn push_run(&mut self, first: &T, events: usize) {
        let events = u32::try_from(events).expect("fewer than 2^32 events");
        let Some(rest) = events.checked_sub(1) else {
            return;
        };
        self.push(first);
        let last = first.later(rest).expect("every event has its number");
        self.due = last.later(1);
        self.length += rest;
    }

    /// The value of an event.
    ///
    /// # Panics
    /// If there is no such event.
    pub(crate) fn get(&self, number: u32) -> T {
        let run = self.runs.partition_point(|(first, _)| *first <= number) - 1;
        let (first, value) = &self.runs[run];
        let later = value.later(number - first);
        later.expect("a run goes on as long as there is a next")
    }

    /// The runs, with the numbers in each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (std::ops::Range<u32>, &T)> + '_ {
        let ends = self.runs.iter().skip(1).map(|(first, _)| *first);
        self.runs
            .iter()
            .zip(ends.chain([self.length]))
            .map(|((first, value), end)| (*first..end, value))
    }
}

impl Runs<Origin> {
    /// The events whose origin may be that of another: of runs that overlap.
    pub(crate) fn possibly_repeated(&self) -> Vec<u32> {
        // Origins order by what they have in common, then by their number.
        let mut runs: Vec<_> = self.iter().collect();
        runs.sort_unstable_by_key(|(_, origin)| *origin);
        let mut overlapping = vec![false; runs.len()];
        let mut reach: Option<(usize, Origin)> = None;
        for (i, (numbers, origin)) in runs.iter().enumerate() {
            let last = origin
                .later(numbers.end - numbers.start - 1)
                .expect("the run has this event");
            match &mut reach {
                Some((earlier, end)) if *origin <= end => {
                    overlapping[*earlier] = true;
                    overlapping[i] = true;
                    if last > *end {
                        (*earlier, *end) = (i, last);
                    }
                }
                _ => reach = Some((i, last)),
            }
        }
        let mut numbers: Vec<u32> = runs
            .iter()
            .zip(overlapping)
            .filter(|(_, overlaps)| *overlaps)
            .flat_map(|((numbers, _), _)| numbers.clone())
            .collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn origins() -> impl Strategy<Value = Vec<Origin>> {
        let run = (0u8..3, 0u64..12, 1u64..6).prop_map(|(head, first, length)| {
            (first..first + length)
                .map(|number| match head {
                    0 => Origin::Log(Position::new(1, number)),
                    head => Origin::File {
                        digest: [head; 16],
                        row: number,
                    },
                })
                .collect::<Vec<_>>()
        });
        prop::collection::vec(run, 0..8).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn runs_are_their_values(origins in origins(), at_once in any::<bool>()) {
            let mut runs = Runs::default();
            if at_once {
                for run in origins.chunk_by(|a, b| a.later(1).as_ref() == Some(b)) {
                    runs.push_run(&run[0], run.len());
                }
            } else {
                for origin in &origins {
                    runs.push(origin);
                }
            }
            for (number, origin) in (0..).zip(&origins) {
                prop_assert_eq!(&runs.get(number), origin);
            }
            let mut by_origin: BTreeMap<&Origin, Vec<u32>> = BTreeMap::new();
            for (number, origin) in (0..).zip(&origins) {
                by_origin.entry(origin).or_default().push(number);
            }
            let suspects = runs.possibly_repeated();
            for numbers in by_origin.values().filter(|n| n.len() > 1) {
                prop_assert!(numbers.iter().all(|n| suspects.contains(n)));
            }
            // Of distinct origins without overlaps, none is suspected.
            if by_origin.len() == origins.len() {
                let alone = runs.iter().count() <= 1;
                prop_assert!(!alone || suspects.is_empty());
            }
        }
    }
}
