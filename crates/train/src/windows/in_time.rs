//! Requests that are in the order of their times, whatever their keys.
//!
//! Where all requests know the same, and every value is a difference of running totals, no request
//! is placed by its key: of each key it is kept how far its windows have come, and values are put one
//! behind the other. The events are placed by key as for every sweep.
//!
//! Invariant: values are those of [`Sweep::key`].

use evenkeel_aggregate::sweep::{Cursors, Inputs};
use evenkeel_types::{Column, Extent, Frame, Interval};

use super::Sweep;
use super::live::know_the_same;
use crate::key_numbers::NO_KEY;
use crate::keyed::KeyedEvents;

/// Ranges of so many requests stay in the processor's cache until their values are made.
const REQUESTS_AT_ONCE: usize = 4096;
/// Of more events than these not all are held with their totals at once.
const EVENTS_MAX: usize = 16 << 20;
/// So many events for each request, at most: totals are made of all events, whatever the keys of the
/// requests.
const EVENTS_PER_REQUEST: usize = 4;

/// What [`Sweep::in_order_of_time`] finds.
pub(super) struct InTime {
    /// The aggregates.
    pub(super) values: Vec<Column>,
    /// Of each request, whether an event of its key has its time.
    pub(super) coincident: Vec<bool>,
}

impl Sweep<'_> {
    /// The aggregates of all requests, if they are in the order of their times; `None` where
    /// that is not so or does not suffice.
    pub(super) fn in_order_of_time(&mut self, keyed: &KeyedEvents) -> Option<InTime> {
        let requests = self.requests;
        let applies = self.takes_all()
            && self.events.len() <= EVENTS_MAX
            && self.events.len() / EVENTS_PER_REQUEST <= requests.len()
            && requests.times.is_sorted()
            && know_the_same(self.events, requests);
        if !applies {
            return None;
        }
        let events = keyed.rows();
        // Where the events up to a request's time end, besides.
        let up_to_time = Frame {
            extent: Extent::Range {
                start: None,
                end: Interval::default(),
            },
            exclude_group: false,
        };
        let windows = self.frames.len();
        let frames: Vec<Frame> = self.frames.iter().cloned().chain([up_to_time]).collect();
        let mut cursors = Cursors::new(&frames, &events.starts)?;
        let inputs = self.inputs_with_totals(&events.numbers)?;
        let key_of = keyed.find(&requests.keys, requests.len());
        let mut coincident = vec![false; requests.len()];
        let mut ranges = vec![vec![(0, 0); REQUESTS_AT_ONCE]; windows];
        let mut places: Vec<u32> = Vec::with_capacity(REQUESTS_AT_ONCE);
        let mut asked = requests.times.iter().zip(&mut coincident).zip(0..);
        for keys in key_of.chunks(REQUESTS_AT_ONCE) {
            places.clear();
            for (&key, ((&t, coincident), place)) in keys.iter().zip(asked.by_ref()) {
                let at = places.len();
                places.push(place);
                if key == NO_KEY {
                    ranges.iter_mut().for_each(|ranges| ranges[at] = (0, 0));
                    continue;
                }
                let key = key as usize;
                let [start, end] = [key, key + 1].map(|key| events.starts[key]);
                cursors.read(key, end, &events.times, t, |frame, range| {
                    if frame < windows {
                        ranges[frame][at] = range;
                    } else {
                        let last = range.1.checked_sub(1).filter(|last| *last >= start);
                        *coincident = last.is_some_and(|last| events.times[last as usize] == t);
                    }
                });
            }
            for (numbers, inputs) in self.same_inputs.iter().zip(&inputs) {
                for &number in numbers {
                    let aggregator = self.aggregates.aggregator(self.specs[number]);
                    let ranges = &ranges[self.frame_of[number]][..places.len()];
                    inputs.put_over(aggregator, ranges, &places, &mut self.values[number]);
                }
            }
        }
        Some(InTime {
            values: std::mem::take(&mut self.values),
            coincident,
        })
    }

    /// What aggregates with the same inputs read of these events; `None` if one of them has no
    /// running totals.
    fn inputs_with_totals(&self, rows: &[u32]) -> Option<Vec<Inputs>> {
        let aggregator = |number: &usize| self.aggregates.aggregator(self.specs[*number]);
        let mut all = self.same_inputs.iter().flatten();
        if !all.all(|number| Inputs::may_have_totals(aggregator(number))) {
            return None;
        }
        let mut found = Vec::with_capacity(self.same_inputs.len());
        for numbers in &self.same_inputs {
            let spec = self.specs[numbers[0]];
            let inputs = self.aggregates.inputs(spec, &self.columns, rows);
            if !numbers
                .iter()
                .all(|number| inputs.have_totals(aggregator(number)))
            {
                return None;
            }
            found.push(inputs);
        }
        Some(found)
    }
}
