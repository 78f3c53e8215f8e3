//! Windows of one source for many requests: all keys in one sweep.
//!
//! Requests are placed by key and sorted by time; the events of each key follow each other,
//! and the ranges that the frames cover slide over them as one. Three cases per key:
//! - what is known is the same for all its requests (`latest`, or every event was visible at
//!   once): its live events, one pass;
//! - events became visible in the order in which they happened and later requests know more
//!   (`as_served` with late data of one delay): what is known is a prefix, one pass;
//! - anything else: each request gets its own list of known events.
//!
//! Of rows that live at a request's time the events are those rows' versions; changes are rows
//! of their own, made of events.

mod changes;
mod live;

use std::borrow::Cow;

use evenkeel_aggregate::sweep::{index_ranges, retain_floors};
use evenkeel_aggregate::{Aggregates, SpecId, WhereId};
use evenkeel_types::definition::{SourceWindows, WindowAggregate, WindowRows};
use evenkeel_types::{Column, Extent, Frame};

use crate::evaluate::{Evaluator, Requests};
use crate::events::SourceEvents;
use crate::keyed::KeyEvents;
use live::LiveRows;

/// Rows of events after which a sweep is run and what it holds is let go.
const SWEEP_ROWS_MAX: usize = 4 << 20;

impl Evaluator {
    /// The aggregates of `windows` for each request, a column per aggregate.
    pub(crate) fn windows(&self, windows: &SourceWindows, requests: &Requests) -> Vec<Column> {
        if windows.has(WindowRows::Changes) {
            return self.events_and_changes(windows, requests);
        }
        let events = self.events(windows.source.id);
        let keyed = self.keyed(windows.source.id, &windows.key_columns);
        let mut sweep = Sweep::new(windows, events, requests);
        let live = match windows.has(WindowRows::Live) {
            true => Some(LiveRows::new(self, windows, requests)),
            false => None,
        };
        let mut reads = Vec::new();
        let placed = self.placed(windows.source.id, &windows.key_columns, requests);
        for (key, of_key) in placed.keys() {
            reads.clear();
            reads.extend(of_key.iter().map(|(_, read)| *read));
            match &live {
                Some(live) => sweep.live_key(live, keyed.of(key), &reads),
                None => sweep.key(keyed.of(key), &reads),
            }
        }
        sweep.finish()
    }

    /// [`Evaluator::windows`] where some are over changes.
    fn events_and_changes(&self, windows: &SourceWindows, requests: &Requests) -> Vec<Column> {
        let (events, changes) = (
            windows.only(WindowRows::Events),
            windows.only(WindowRows::Changes),
        );
        let events = self.windows(&events, requests);
        let changes = self.changes(&changes, requests);
        let (mut events, mut changes) = (events.into_iter(), changes.into_iter());
        let column = |aggregate: &WindowAggregate| match aggregate.rows {
            WindowRows::Changes => changes.next(),
            WindowRows::Events | WindowRows::Live => events.next(),
        };
        windows.aggregates.iter().filter_map(column).collect()
    }
}

struct Sweep<'a> {
    events: &'a SourceEvents,
    /// What the aggregates are over, by the numbers in `rows`.
    columns: Cow<'a, [Column]>,
    condition: WhereId,
    requests: &'a Requests,
    aggregates: Aggregates,
    specs: Vec<SpecId>,
    /// Aggregates with the same inputs, by their numbers.
    same_inputs: Vec<Vec<usize>>,
    frames: Vec<Frame>,
    /// The frame of each aggregate.
    frame_of: Vec<usize>,
    retain: Option<i64>,
    /// Which events are rows of the windows, whatever is known of them; `None`: all.
    passes: Option<Vec<bool>>,
    /// The events of the sweep so far.
    rows: Vec<u32>,
    /// Per frame, a range of `rows` for each read.
    ranges: Vec<Vec<(u32, u32)>>,
    /// Per aggregate, its values by request.
    values: Vec<Column>,
    /// The request of each read of the sweep so far.
    request_of: Vec<u32>,
    segment: Segment,
}

/// The known events of one key and the reads over them.
#[derive(Default)]
struct Segment {
    /// Times of the known events, if a retention asks for them.
    alive: Vec<i64>,
    /// Those that are rows of the windows.
    rows: Vec<u32>,
    times: Vec<i64>,
    read_times: Vec<i64>,
}

impl<'a> Sweep<'a> {
    /// Over the events themselves.
    fn new(windows: &'a SourceWindows, events: &'a SourceEvents, requests: &'a Requests) -> Self {
        let mut sweep = Sweep::over(windows, events, Cow::Borrowed(events.columns()), requests);
        sweep.passes = (windows.filter.is_some() || events.has_deletes()).then(|| {
            let mut passes = sweep.passing(events.len());
            for (row, passes) in (0..).zip(&mut passes) {
                *passes &= !events.is_delete(row);
            }
            passes
        });
        sweep
    }

    /// Over these columns, all rows of which pass.
    fn over(
        windows: &'a SourceWindows,
        events: &'a SourceEvents,
        columns: Cow<'a, [Column]>,
        requests: &'a Requests,
    ) -> Self {
        let mut aggregates = Aggregates::new();
        let condition = aggregates.register_where(windows.filter.as_ref());
        let mut frames: Vec<Frame> = Vec::new();
        let mut frame_of = Vec::new();
        let mut specs: Vec<SpecId> = Vec::new();
        let mut same_inputs: Vec<Vec<usize>> = Vec::new();
        for (number, aggregate) in windows.aggregates.iter().enumerate() {
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
            let same = same_inputs
                .iter_mut()
                .find(|others| aggregates.have_same_inputs(specs[others[0]], spec));
            match same {
                Some(others) => others.push(number),
                None => same_inputs.push(vec![number]),
            }
        }
        let types = windows.aggregates.iter().map(|a| &a.call.data_type);
        Sweep {
            ranges: vec![Vec::new(); frames.len()],
            values: types
                .map(|data_type| Column::with_room(data_type, requests.len()))
                .collect(),
            retain: windows.source.retain_gap(&windows.key_columns),
            events,
            columns,
            condition,
            requests,
            aggregates,
            specs,
            same_inputs,
            frames,
            frame_of,
            passes: None,
            rows: Vec::new(),
            request_of: Vec::new(),
            segment: Segment::default(),
        }
    }

    /// Which of so many rows of the columns pass the condition.
    fn passing(&self, length: usize) -> Vec<bool> {
        let mut passes = vec![false; length];
        let passing = self
            .aggregates
            .passing(self.condition, &self.columns, length);
        passing.iter().for_each(|&row| passes[row as usize] = true);
        passes
    }

    /// Goes on over other columns of so many rows; of those before nothing is left to be run.
    fn take_rows(&mut self, columns: Vec<Column>, length: usize) {
        self.columns = Cow::Owned(columns);
        self.passes = Some(self.passing(length));
    }

    /// Adds the requests of one key, sorted by time.
    fn key(&mut self, of_key: KeyEvents<'_>, reads: &[u32]) {
        match self.knowledge(of_key, reads) {
            Knowledge::Same if self.takes_all() => {
                self.append(of_key.numbers, of_key.times, None, reads);
            }
            Knowledge::Same => {
                let events = self.events;
                let segment = self.select(of_key, |n| events.holds(n, None));
                self.append_segment(segment, reads);
            }
            Knowledge::Prefix => {
                let segment = self.select(of_key, |_| true);
                if self.rows.len() >= SWEEP_ROWS_MAX {
                    self.flush();
                }
                let start = self.request_of.len();
                let rows = segment.rows.clone();
                self.append_segment(segment, reads);
                self.clip(start, &rows, reads);
            }
            Knowledge::PerRead => {
                let events = self.events;
                for &read in reads {
                    let known_at = self.requests.known_at(read as usize);
                    let time = self.requests.times[read as usize];
                    let end = of_key.times.partition_point(|&t| t <= time);
                    let known = KeyEvents {
                        numbers: &of_key.numbers[..end],
                        times: &of_key.times[..end],
                    };
                    let segment = self.select(known, |n| events.holds(n, known_at));
                    self.append_segment(segment, &[read]);
                }
            }
        }
    }

    /// Whether every event holds and is a row of the windows.
    fn takes_all(&self) -> bool {
        self.passes.is_none() && self.retain.is_none() && self.events.all_hold()
    }

    /// What the requests of one key know of its events.
    fn knowledge(&self, of_key: KeyEvents<'_>, reads: &[u32]) -> Knowledge {
        let Some(known) = &self.requests.known else {
            return Knowledge::Same;
        };
        let numbers = of_key.numbers;
        if numbers.iter().any(|&n| self.events.is_contested(n)) {
            return Knowledge::PerRead;
        }
        let visible = |n: u32| self.events.visible_at(n);
        let at_once = numbers
            .iter()
            .zip(of_key.times)
            .all(|(&n, &time)| visible(n) <= time);
        let known_in_time = |&i: &u32| known[i as usize] >= self.requests.times[i as usize];
        if at_once && reads.iter().all(known_in_time) {
            return Knowledge::Same;
        }
        let by_time = self
            .frames
            .iter()
            .all(|f| !matches!(f.extent, Extent::Rows { .. } | Extent::Session { .. }));
        let in_order = numbers.is_sorted_by_key(|&n| visible(n));
        let later_know_more = reads.is_sorted_by_key(|&i| known[i as usize]);
        if by_time && in_order && self.retain.is_none() && later_know_more {
            return Knowledge::Prefix;
        }
        Knowledge::PerRead
    }

    /// The known events, and those of them that are rows of the windows. To be given back to
    /// [`Sweep::append_segment`].
    fn select(&mut self, of_key: KeyEvents<'_>, known: impl Fn(u32) -> bool) -> Segment {
        let mut segment = std::mem::take(&mut self.segment);
        segment.alive.clear();
        segment.rows.clear();
        segment.times.clear();
        for (&number, &time) in of_key.numbers.iter().zip(of_key.times) {
            if !known(number) {
                continue;
            }
            if self.retain.is_some() {
                segment.alive.push(time);
            }
            if self.passes.as_ref().is_none_or(|p| p[number as usize]) {
                segment.rows.push(number);
                segment.times.push(time);
            }
        }
        segment
    }

    fn append_segment(&mut self, segment: Segment, reads: &[u32]) {
        let alive = self.retain.map(|gap| (gap, segment.alive.as_slice()));
        self.append(&segment.rows, &segment.times, alive, reads);
        let read_times = std::mem::take(&mut self.segment.read_times);
        self.segment = Segment {
            read_times,
            ..segment
        };
    }

    /// Adds events and the reads over them.
    fn append(&mut self, rows: &[u32], times: &[i64], alive: Option<(i64, &[i64])>, reads: &[u32]) {
        if self.rows.len() >= SWEEP_ROWS_MAX {
            self.flush();
        }
        let base = u32::try_from(self.rows.len()).expect("a sweep is flushed long before 2^32");
        let read_times = &mut self.segment.read_times;
        read_times.clear();
        read_times.extend(reads.iter().map(|&i| self.requests.times[i as usize]));
        let floors = alive.map(|(gap, alive)| retain_floors(gap, alive, read_times));
        for (frame, ranges) in self.frames.iter().zip(&mut self.ranges) {
            index_ranges(frame, floors.as_deref(), times, read_times, base, ranges);
        }
        self.rows.extend_from_slice(rows);
        self.request_of.extend_from_slice(reads);
    }

    /// Ends the ranges from read `start` on where what was visible ends.
    fn clip(&mut self, start: usize, rows: &[u32], reads: &[u32]) {
        let base = self.rows.len() - rows.len();
        for ranges in &mut self.ranges {
            for (range, &read) in ranges[start..].iter_mut().zip(reads) {
                let known_at = self.requests.known_at(read as usize).unwrap_or(i64::MAX);
                let known = rows.partition_point(|&n| self.events.visible_at(n) <= known_at);
                let end = u32::try_from(base + known).expect("a sweep is flushed before 2^32");
                range.1 = range.1.min(end);
                range.0 = range.0.min(range.1);
            }
        }
    }

    /// Runs the sweep over what was added, and lets it go.
    fn flush(&mut self) {
        for numbers in &self.same_inputs {
            let inputs = self
                .aggregates
                .inputs(self.specs[numbers[0]], &self.columns, &self.rows);
            for &number in numbers {
                let ranges = &self.ranges[self.frame_of[number]];
                let aggregator = self.aggregates.aggregator(self.specs[number]);
                inputs.put_over(
                    aggregator,
                    ranges,
                    &self.request_of,
                    &mut self.values[number],
                );
            }
        }
        self.rows.clear();
        self.request_of.clear();
        for ranges in &mut self.ranges {
            ranges.clear();
        }
    }

    fn finish(mut self) -> Vec<Column> {
        self.flush();
        self.values
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
