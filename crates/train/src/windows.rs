//! Windows of one source for many requests: all keys in one sweep.
//!
//! Requests are sorted by key and time; the events of each key follow each other, and the
//! ranges that the frames cover slide over them as one. Three cases per key:
//! - what is known is the same for all its requests (`latest`, or every event was visible at
//!   once): its live events, one pass;
//! - events became visible in the order in which they happened and later requests know more
//!   (`as_served` with late data of one delay): what is known is a prefix, one pass;
//! - anything else: each request gets its own list of known events.

use std::rc::Rc;

use evenkeel_aggregate::sweep::{index_ranges, retain_floors, slide};
use evenkeel_aggregate::{Aggregates, SpecId};
use evenkeel_types::definition::SourceWindows;
use evenkeel_types::{Column, Extent, Frame, Value};

use crate::evaluate::{Evaluator, Requests};
use crate::events::{KeyedEvents, SourceEvents};

/// Rows of events after which a sweep is run and what it holds is let go.
const SWEEP_ROWS_MAX: usize = 4 << 20;

impl Evaluator {
    /// The aggregates of `windows` for each request, a column per aggregate.
    pub(crate) fn windows(&self, windows: &SourceWindows, requests: &Requests) -> Vec<Column> {
        let events = self.events(windows.source.id);
        let keyed = self.keyed(windows.source.id, &windows.key_columns);
        let keys: Vec<Option<Vec<u8>>> = (0..requests.len()).map(|i| requests.key(i)).collect();
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by(|&a, &b| (&keys[a], requests.times[a]).cmp(&(&keys[b], requests.times[b])));
        let mut sweep = Sweep::new(windows, events, keyed, requests);
        let mut rest = order.as_slice();
        while let Some(&first) = rest.first() {
            let end = rest.partition_point(|&i| keys[i] <= keys[first]);
            sweep.key(keys[first].as_deref(), &rest[..end]);
            rest = &rest[end..];
        }
        sweep.finish()
    }
}

struct Sweep<'a> {
    windows: &'a SourceWindows,
    events: &'a SourceEvents,
    keyed: Rc<KeyedEvents>,
    requests: &'a Requests,
    aggregates: Aggregates,
    specs: Vec<SpecId>,
    frames: Vec<Frame>,
    /// The frame of each aggregate.
    frame_of: Vec<usize>,
    retain: Option<i64>,
    /// Which events are rows of the windows, whatever is known of them.
    passes: Vec<bool>,
    /// The events of the sweep so far.
    rows: Vec<u32>,
    /// The request of each range.
    reads: Vec<usize>,
    /// Per frame, a range of `rows` for each read.
    ranges: Vec<Vec<(u32, u32)>>,
    results: Vec<Vec<Value>>,
}

impl<'a> Sweep<'a> {
    fn new(
        windows: &'a SourceWindows,
        events: &'a SourceEvents,
        keyed: Rc<KeyedEvents>,
        requests: &'a Requests,
    ) -> Self {
        let mut aggregates = Aggregates::new();
        let condition = aggregates.register_where(windows.filter.as_ref());
        let mut passes = vec![false; events.len()];
        for row in aggregates.passing(condition, events.columns(), events.len()) {
            passes[row as usize] = !events.is_delete(row);
        }
        let mut frames: Vec<Frame> = Vec::new();
        let mut frame_of = Vec::new();
        let mut specs = Vec::new();
        for aggregate in &windows.aggregates {
            let frame = frames
                .iter()
                .position(|f| *f == aggregate.frame)
                .unwrap_or_else(|| {
                    frames.push(aggregate.frame.clone());
                    frames.len() - 1
                });
            frame_of.push(frame);
            let spec = aggregates
                .register(&aggregate.call, condition)
                .expect("the binder has checked the call's types");
            specs.push(spec);
        }
        Sweep {
            ranges: vec![Vec::new(); frames.len()],
            results: vec![vec![Value::Null; requests.len()]; windows.aggregates.len()],
            retain: windows.source.retain_gap(&windows.key_columns),
            windows,
            events,
            keyed,
            requests,
            aggregates,
            specs,
            frames,
            frame_of,
            passes,
            rows: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// Adds the requests of one key, sorted by time.
    fn key(&mut self, key: Option<&[u8]>, reads: &[usize]) {
        let keyed = Rc::clone(&self.keyed);
        let numbers = key.map_or(&[][..], |key| keyed.of_key(key));
        match self.knowledge(numbers, reads) {
            Knowledge::Same => {
                let known = |n: u32| self.events.holds(n, None);
                let (alive, rows) = self.select(numbers, known);
                self.segment(&alive, &rows, reads);
            }
            Knowledge::Prefix => {
                let (alive, rows) = self.select(numbers, |_| true);
                let start = self.segment_start();
                self.segment(&alive, &rows, reads);
                self.clip(start, &rows, reads);
            }
            Knowledge::PerRead => {
                for &read in reads {
                    let known_at = self.requests.known_at(read);
                    let end = numbers.partition_point(|&n| {
                        self.events.times()[n as usize] <= self.requests.times[read]
                    });
                    let known = |n: u32| self.events.holds(n, known_at);
                    let (alive, rows) = self.select(&numbers[..end], known);
                    self.segment(&alive, &rows, &[read]);
                }
            }
        }
    }

    /// What the requests of one key know of its events.
    fn knowledge(&self, numbers: &[u32], reads: &[usize]) -> Knowledge {
        let Some(known) = &self.requests.known else {
            return Knowledge::Same;
        };
        if numbers.iter().any(|&n| self.events.is_contested(n)) {
            return Knowledge::PerRead;
        }
        let visible = |n: u32| self.events.visible()[n as usize];
        let at_once = numbers
            .iter()
            .all(|&n| visible(n) <= self.events.times()[n as usize]);
        if at_once && reads.iter().all(|&i| known[i] >= self.requests.times[i]) {
            return Knowledge::Same;
        }
        let by_time = self
            .frames
            .iter()
            .all(|f| !matches!(f.extent, Extent::Rows { .. } | Extent::Session { .. }));
        let in_order = numbers.is_sorted_by_key(|&n| visible(n));
        if by_time && in_order && self.retain.is_none() && reads.is_sorted_by_key(|&i| known[i]) {
            return Knowledge::Prefix;
        }
        Knowledge::PerRead
    }

    /// The times of the known events, and those of them that are rows of the windows.
    fn select(&self, numbers: &[u32], known: impl Fn(u32) -> bool) -> (Vec<i64>, Vec<u32>) {
        let mut alive = Vec::new();
        let mut rows = Vec::with_capacity(numbers.len());
        for &number in numbers.iter().filter(|&&n| known(n)) {
            if self.retain.is_some() {
                alive.push(self.events.times()[number as usize]);
            }
            if self.passes[number as usize] {
                rows.push(number);
            }
        }
        (alive, rows)
    }

    fn segment_start(&mut self) -> usize {
        if self.rows.len() >= SWEEP_ROWS_MAX {
            self.flush();
        }
        self.reads.len()
    }

    /// Adds events and the reads over them.
    fn segment(&mut self, alive: &[i64], rows: &[u32], reads: &[usize]) {
        self.segment_start();
        let base = u32::try_from(self.rows.len()).expect("a sweep is flushed long before 2^32");
        let times: Vec<i64> = rows
            .iter()
            .map(|&n| self.events.times()[n as usize])
            .collect();
        let read_times: Vec<i64> = reads.iter().map(|&i| self.requests.times[i]).collect();
        let floors = self
            .retain
            .map(|gap| retain_floors(gap, alive, &read_times));
        for (frame, ranges) in self.frames.iter().zip(&mut self.ranges) {
            index_ranges(frame, floors.as_deref(), &times, &read_times, base, ranges);
        }
        self.rows.extend_from_slice(rows);
        self.reads.extend_from_slice(reads);
    }

    /// Ends the ranges from read `start` on where what was visible ends.
    fn clip(&mut self, start: usize, rows: &[u32], reads: &[usize]) {
        let base = self.rows.len() - rows.len();
        for ranges in &mut self.ranges {
            for (range, &read) in ranges[start..].iter_mut().zip(reads) {
                let known_at = self.requests.known_at(read).unwrap_or(i64::MAX);
                let known =
                    rows.partition_point(|&n| self.events.visible()[n as usize] <= known_at);
                let end = u32::try_from(base + known).expect("a sweep is flushed before 2^32");
                range.1 = range.1.min(end);
                range.0 = range.0.min(range.1);
            }
        }
    }

    /// Runs the sweep over what was added, and lets it go.
    fn flush(&mut self) {
        for (aggregate, &spec) in self.specs.iter().enumerate() {
            let (inputs, filter) = self
                .aggregates
                .inputs(spec, self.events.columns(), &self.rows);
            let inputs: Vec<&Column> = inputs.iter().collect();
            let ranges = &self.ranges[self.frame_of[aggregate]];
            let values = slide(
                self.aggregates.aggregator(spec),
                &inputs,
                filter.as_deref(),
                ranges,
            );
            for (slot, &read) in self.reads.iter().enumerate() {
                self.results[aggregate][read] = values.get(slot);
            }
        }
        self.rows.clear();
        self.reads.clear();
        for ranges in &mut self.ranges {
            ranges.clear();
        }
    }

    fn finish(mut self) -> Vec<Column> {
        self.flush();
        self.windows
            .aggregates
            .iter()
            .zip(&self.results)
            .map(|(a, values)| Column::from_values(&a.call.data_type, values))
            .collect()
    }
}

/// What the requests of one key know of its events.
enum Knowledge {
    /// All the same.
    Same,
    /// Longer and longer prefixes.
    Prefix,
    /// Each its own.
    PerRead,
}
