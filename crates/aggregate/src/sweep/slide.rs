//! One call over sliding ranges.

use std::collections::VecDeque;
use std::ops::Range;

use evenkeel_types::{
    Column, ColumnData, ErrorReason, NO_SLOT, SLOT_NULL, SLOT_PRESENT, Value, canonical_f32,
    canonical_f64,
};

use super::by_value::{DistinctSlider, QuantileSlider, TopKSlider};
use crate::order::{canonical, compare_slots};
use crate::state::{Aggregator, Errors, Kind, State};

/// What slides: events enter at the end and leave at the start, both in order. It is never
/// given events that the FILTER keeps out or whose inputs are `ERROR`.
pub(super) trait Slider {
    fn enter(&mut self, slot: usize);
    fn leave(&mut self, slot: usize);
    /// Neighbours enter together.
    fn enter_range(&mut self, slots: Range<usize>) {
        for slot in slots {
            self.enter(slot);
        }
    }
    /// Neighbours leave together.
    fn leave_range(&mut self, slots: Range<usize>) {
        for slot in slots {
            self.leave(slot);
        }
    }
    /// All events in the window leave.
    fn clear(&mut self, slots: impl Iterator<Item = usize>) {
        for slot in slots {
            self.leave(slot);
        }
    }
}

/// What computes a value.
pub(super) trait ValueSlider: Slider {
    /// The value over the window, whose slots are `start..end`.
    fn value(&mut self, start: usize, end: usize) -> Value;
}

/// What chooses one of the events in the window.
trait ChoosingSlider: Slider {
    /// Its slot; none if nothing is there to choose.
    fn chosen(&self) -> Option<usize>;
}

/// The values of one call over ranges of events, one per range. `inputs` are the call's
/// inputs for all events, in the total order; `filter` says which of them pass the call's
/// FILTER. Starts and ends of `ranges` never run backwards (see
/// [`super::index_ranges`]).
///
/// # Panics
/// If the inputs are not those of the aggregator, or a range ends beyond them.
pub fn slide(
    aggregator: &Aggregator,
    inputs: &[&Column],
    filter: Option<&[bool]>,
    ranges: &[(u32, u32)],
) -> Column {
    assert_eq!(
        inputs.len(),
        aggregator.inputs().len(),
        "one column per input"
    );
    let events = Events {
        inputs,
        filter,
        faultless: inputs.iter().all(|column| column.states().is_empty()),
    };
    match aggregator.kind() {
        Kind::Rows
        | Kind::Count
        | Kind::Sum(_)
        | Kind::Avg(_)
        | Kind::Variance { .. }
        | Kind::Truth { .. } => {
            let slider = Subtracting {
                aggregator,
                inputs,
                state: aggregator.empty(),
            };
            values(slider, aggregator, &events, ranges)
        }
        Kind::Extreme { greatest } => {
            let slider = Staircase::new(inputs[0], greatest);
            chosen(slider, inputs[0], &events, ranges)
        }
        Kind::ExtremeBy { greatest } => {
            let slider = Staircase::new(inputs[1], greatest);
            chosen(slider, inputs[0], &events, ranges)
        }
        Kind::End { last, ignore_nulls } => {
            let slider = End {
                column: inputs[0],
                ignore_nulls,
                last,
                queue: VecDeque::new(),
            };
            chosen(slider, inputs[0], &events, ranges)
        }
        Kind::Ends {
            last,
            ignore_nulls,
            n,
        } => {
            let end = End {
                column: inputs[0],
                ignore_nulls,
                last,
                queue: VecDeque::new(),
            };
            values(Ends { end, n }, aggregator, &events, ranges)
        }
        Kind::Distinct { limit } => {
            let slider = DistinctSlider::new(inputs[0], limit);
            values(slider, aggregator, &events, ranges)
        }
        Kind::Quantile(rank) => {
            let slider = QuantileSlider::new(inputs[0], rank);
            values(slider, aggregator, &events, ranges)
        }
        Kind::TopK { k, limit } => {
            let slider = TopKSlider::new(inputs[0], k, limit);
            values(slider, aggregator, &events, ranges)
        }
    }
}

/// The values of what computes them.
fn values<S: ValueSlider>(
    slider: S,
    aggregator: &Aggregator,
    events: &Events<'_>,
    ranges: &[(u32, u32)],
) -> Column {
    let mut column = Column::new(aggregator.result());
    drive(slider, events, ranges, |slider, error, start, end| {
        column.push(&match error {
            Some(reason) => Value::Error(reason),
            None => slider.value(start, end),
        });
    });
    column
}

/// The values of what chooses one of those in the window: gathered late, type by type.
fn chosen<S: ChoosingSlider>(
    slider: S,
    column: &Column,
    events: &Events<'_>,
    ranges: &[(u32, u32)],
) -> Column {
    let mut slots = Vec::with_capacity(ranges.len());
    let mut errors = Vec::new();
    drive(slider, events, ranges, |slider, error, _, _| {
        errors.extend(error.map(|reason| (slots.len(), reason.code())));
        // A sweep has fewer than 2^32 events.
        slots.push(slider.chosen().map_or(NO_SLOT, |slot| slot as u32));
    });
    let (mut data, mut states) = column.gather_optional(&slots).into_parts();
    match &mut data {
        ColumnData::Float(values) => values.iter_mut().for_each(|x| *x = canonical_f32(*x)),
        ColumnData::Double(values) => values.iter_mut().for_each(|x| *x = canonical_f64(*x)),
        _ => {}
    }
    if !errors.is_empty() {
        states.resize(slots.len(), SLOT_PRESENT);
        for (at, code) in errors {
            states[at] = code;
        }
    }
    Column::from_parts(data, states)
}

struct Events<'a> {
    inputs: &'a [&'a Column],
    filter: Option<&'a [bool]>,
    /// Neither NULLs nor errors.
    faultless: bool,
}

impl Events<'_> {
    /// Whether neither FILTER nor an error keeps any event out.
    fn all_enter(&self) -> bool {
        self.faultless && self.filter.is_none()
    }

    fn passes(&self, slot: usize) -> bool {
        self.filter.is_none_or(|filter| filter[slot])
    }

    /// The smallest reason among the inputs of an event.
    fn error(&self, slot: usize) -> Option<ErrorReason> {
        if self.faultless {
            return None;
        }
        self.inputs
            .iter()
            .filter_map(|column| ErrorReason::from_code(column.state(slot)))
            .min()
    }
}

fn drive<S: Slider>(
    mut slider: S,
    events: &Events<'_>,
    ranges: &[(u32, u32)],
    mut read: impl FnMut(&mut S, Option<ErrorReason>, usize, usize),
) {
    let mut errors = Errors::default();
    let (mut start, mut end) = (0usize, 0usize);
    for &(from, to) in ranges {
        let (from, to) = (from as usize, to as usize);
        assert!(
            start <= from && from <= to && end <= to,
            "ranges never run backwards"
        );
        if from >= end {
            errors = Errors::default();
            slider.clear(
                (start..end).filter(|&slot| events.passes(slot) && events.error(slot).is_none()),
            );
            end = from;
        } else if events.all_enter() {
            slider.leave_range(start..from);
        } else {
            for slot in start..from {
                if !events.passes(slot) {
                    continue;
                }
                match events.error(slot) {
                    Some(reason) => errors.remove(reason),
                    None => slider.leave(slot),
                }
            }
        }
        start = from;
        if events.all_enter() {
            slider.enter_range(end..to);
        } else {
            for slot in end..to {
                if !events.passes(slot) {
                    continue;
                }
                match events.error(slot) {
                    Some(reason) => errors.add(reason, 1),
                    None => slider.enter(slot),
                }
            }
        }
        end = to;
        read(&mut slider, errors.smallest(), start, end);
    }
}

/// Adds what enters, takes back what leaves: every state here is exact.
struct Subtracting<'a> {
    aggregator: &'a Aggregator,
    inputs: &'a [&'a Column],
    state: State,
}

impl Slider for Subtracting<'_> {
    fn enter(&mut self, slot: usize) {
        self.aggregator
            .change_slot(&mut self.state, self.inputs, slot, false);
    }

    fn leave(&mut self, slot: usize) {
        self.aggregator
            .change_slot(&mut self.state, self.inputs, slot, true);
    }

    fn enter_range(&mut self, slots: Range<usize>) {
        self.aggregator
            .change_range(&mut self.state, self.inputs, slots, false);
    }

    fn leave_range(&mut self, slots: Range<usize>) {
        self.aggregator
            .change_range(&mut self.state, self.inputs, slots, true);
    }

    fn clear(&mut self, _: impl Iterator<Item = usize>) {
        self.state = self.aggregator.empty();
    }
}

impl ValueSlider for Subtracting<'_> {
    fn value(&mut self, _: usize, _: usize) -> Value {
        self.aggregator.finish(&self.state)
    }
}

/// Extremes: the events that may still become the extreme, best first. Each next one is
/// later and worse (the monotone queue of Arasu and Widom, "Resource sharing in continuous
/// sliding-window aggregates", VLDB 2004).
struct Staircase<'a> {
    by: &'a Column,
    greatest: bool,
    steps: VecDeque<usize>,
}

impl<'a> Staircase<'a> {
    fn new(by: &'a Column, greatest: bool) -> Self {
        Staircase {
            by,
            greatest,
            steps: VecDeque::new(),
        }
    }
}

impl Slider for Staircase<'_> {
    fn enter(&mut self, slot: usize) {
        if self.by.state(slot) != SLOT_PRESENT {
            return;
        }
        while let Some(&last) = self.steps.back() {
            let order = compare_slots(self.by, last, slot);
            // Among equals the greatest keeps its last event, the least its first.
            let obsolete = if self.greatest {
                order.is_le()
            } else {
                order.is_gt()
            };
            if !obsolete {
                break;
            }
            self.steps.pop_back();
        }
        self.steps.push_back(slot);
    }

    fn leave(&mut self, slot: usize) {
        if self.steps.front() == Some(&slot) {
            self.steps.pop_front();
        }
    }

    fn clear(&mut self, _: impl Iterator<Item = usize>) {
        self.steps.clear();
    }
}

impl ChoosingSlider for Staircase<'_> {
    fn chosen(&self) -> Option<usize> {
        self.steps.front().copied()
    }
}

/// The first or last event: a queue of those that count.
struct End<'a> {
    column: &'a Column,
    ignore_nulls: bool,
    last: bool,
    queue: VecDeque<usize>,
}

impl Slider for End<'_> {
    fn enter(&mut self, slot: usize) {
        if !(self.ignore_nulls && self.column.state(slot) == SLOT_NULL) {
            self.queue.push_back(slot);
        }
    }

    fn leave(&mut self, slot: usize) {
        if self.queue.front() == Some(&slot) {
            self.queue.pop_front();
        }
    }

    fn clear(&mut self, _: impl Iterator<Item = usize>) {
        self.queue.clear();
    }
}

impl ChoosingSlider for End<'_> {
    fn chosen(&self) -> Option<usize> {
        let end = if self.last {
            self.queue.back()
        } else {
            self.queue.front()
        };
        end.copied()
    }
}

/// The first or last `n` events.
struct Ends<'a> {
    end: End<'a>,
    n: usize,
}

impl Slider for Ends<'_> {
    fn enter(&mut self, slot: usize) {
        self.end.enter(slot);
    }

    fn leave(&mut self, slot: usize) {
        self.end.leave(slot);
    }

    fn clear(&mut self, slots: impl Iterator<Item = usize>) {
        self.end.clear(slots);
    }
}

impl ValueSlider for Ends<'_> {
    fn value(&mut self, _: usize, _: usize) -> Value {
        let queue = &self.end.queue;
        if queue.is_empty() {
            return Value::Null;
        }
        let skipped = if self.end.last {
            queue.len().saturating_sub(self.n)
        } else {
            0
        };
        let get = |&slot: &usize| canonical(&self.end.column.get(slot));
        Value::Array(queue.iter().skip(skipped).take(self.n).map(get).collect())
    }
}
