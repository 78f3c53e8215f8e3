//! A number per event that stays the same for many events: what was logged together was visible
//! together.
//!
//! Owns how it is kept: one number for all events of a step, or one for each event where most
//! differ from the one before. What is read is the same.

use std::ops::Range;

/// Steps of fewer events on average are not worth being looked for.
const EVENTS_PER_STEP: usize = 64;

/// One value per event number, from 0.
#[derive(Default)]
pub(crate) struct Steps {
    /// The first event of each step; empty where each event has a value of its own.
    starts: Vec<u32>,
    values: Vec<i64>,
    length: u32,
    expected: usize,
    each: bool,
}

impl Steps {
    /// So many more will be pushed, at most.
    pub(crate) fn expect_more(&mut self, count: usize) {
        self.expected = self.expected.max(self.length as usize + count);
    }

    /// Appends the value of the next event.
    ///
    /// # Panics
    /// If there are 2^32 events.
    pub(crate) fn push(&mut self, value: i64) {
        if self.each {
            self.values.push(value);
        } else if self.values.last() != Some(&value) {
            self.starts.push(self.length);
            self.values.push(value);
        }
        self.length = self.length.checked_add(1).expect("fewer than 2^32 events");
        if self.starts.len() > EVENTS_PER_STEP + self.length as usize / EVENTS_PER_STEP {
            self.spread();
        }
    }

    /// Appends the value that the next events have in common.
    ///
    /// # Panics
    /// If there are 2^32 events.
    pub(crate) fn push_run(&mut self, value: i64, events: usize) {
        let Some(rest) = events.checked_sub(1) else {
            return;
        };
        self.push(value);
        if self.each {
            self.values.resize(self.values.len() + rest, value);
        }
        let rest = u32::try_from(rest).ok();
        let length = rest.and_then(|rest| self.length.checked_add(rest));
        self.length = length.expect("fewer than 2^32 events");
    }

    /// From now on each event has a value of its own.
    fn spread(&mut self) {
        let mut values = Vec::with_capacity(self.expected.max(self.length as usize));
        for (events, value) in self.iter() {
            values.extend(events.map(|_| value));
        }
        self.values = values;
        self.starts = Vec::new();
        self.each = true;
    }

    /// The value of an event.
    ///
    /// # Panics
    /// If there is no such event.
    pub(crate) fn get(&self, number: u32) -> i64 {
        if self.each {
            return self.values[number as usize];
        }
        assert!(number < self.length, "there is no event {number}");
        self.values[self.starts.partition_point(|start| *start <= number) - 1]
    }

    /// The values, with the events that have each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range<u32>, i64)> + '_ {
        (0..).zip(&self.values).map(|(at, value): (u32, _)| {
            let start = |at: u32| match self.each {
                true => at,
                false => {
                    let start = self.starts.get(at as usize);
                    start.copied().unwrap_or(self.length)
                }
            };
            (start(at)..start(at + 1), *value)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_pushed_is_read(
            steps in prop::collection::vec((-2i64..3, 0usize..60), 0..20),
            single in 0i64..200,
            expected in 0usize..300,
            together in any::<bool>(),
        ) {
            let mut pushed: Vec<i64> = (0..single).collect();
            let mut read = Steps::default();
            read.expect_more(expected);
            pushed.iter().for_each(|value| read.push(*value));
            for (value, events) in steps {
                pushed.extend(std::iter::repeat_n(value, events));
                match together {
                    true => read.push_run(value, events),
                    false => (0..events).for_each(|_| read.push(value)),
                }
            }
            (0..single).for_each(|value| read.push(value));
            pushed.extend(0..single);
            let all: Vec<(u32, i64)> = (0..).zip(pushed.iter().copied()).collect();
            for (number, value) in &all {
                prop_assert_eq!(read.get(*number), *value);
            }
            let runs = read.iter().flat_map(|(events, value)| events.map(move |n| (n, value)));
            prop_assert_eq!(runs.collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn few_steps_stay_few() {
        let mut steps = Steps::default();
        (0..10_000).for_each(|event| steps.push(event / 1_000));
        assert_eq!(steps.values.len(), 10);
        (0..1_000).for_each(|event| steps.push(event));
        assert_eq!(steps.values.len(), 11_000);
    }
}
