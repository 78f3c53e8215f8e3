//! States over columns: many events at once, and one slot at a time for sweeps.

use std::ops::Range;

use evenkeel_types::{Column, ColumnData, ErrorReason, SLOT_NULL, SLOT_PRESENT};

use super::number::Number;
use super::{Aggregator, Body, FOREIGN_STATE, Kind, NOT_SUBTRACTABLE, State, placed};
use crate::order::{EventOrder, OrderedValue, canonical, compare_slots};

impl Aggregator {
    /// Adds the slots of columns, one column per input. The slots ascend in the order of
    /// the events; `order` tells the place of the event in a slot.
    pub fn add_slots<'o>(
        &self,
        state: &mut State,
        inputs: &[&Column],
        slots: impl Iterator<Item = usize>,
        order: impl Fn(usize) -> EventOrder<'o>,
    ) {
        let State { errors, body } = state;
        let [first, ..] = inputs else {
            let Body::Count(count) = body else {
                panic!("{FOREIGN_STATE}")
            };
            *count += slots.count() as u64;
            return;
        };
        let faultless = inputs.iter().all(|column| column.states().is_empty());
        // What is left has no errors.
        let slots = slots.filter(|&slot| faultless || !errors.add_slot(inputs, slot));
        // What is left has a first input.
        let present = |slots| Present {
            slots,
            column: first,
            faultless,
        };
        match (body, self.kind()) {
            (Body::Count(count), _) => *count += present(slots).count() as u64,
            (Body::Truth { yes, no }, _) => {
                for slot in present(slots) {
                    *if is_true(first, slot) {
                        &mut *yes
                    } else {
                        &mut *no
                    } += 1;
                }
            }
            (Body::Integer(sum), _) => match first.data() {
                ColumnData::BigInt(values) => {
                    for slot in present(slots) {
                        sum.add(values[slot], false);
                    }
                }
                _ => {
                    for slot in present(slots) {
                        sum.add(Number::at(first, slot).integer(), false);
                    }
                }
            },
            (Body::Sum(sum), _) => match first.data() {
                ColumnData::Double(values) => {
                    sum.add_all(present(slots).map(|slot| values[slot]));
                }
                ColumnData::Float(values) => {
                    sum.add_all(present(slots).map(|slot| f64::from(values[slot])));
                }
                _ => {
                    for slot in present(slots) {
                        sum.add(Number::at(first, slot), false);
                    }
                }
            },
            (Body::Variance(variance), _) => {
                for slot in present(slots) {
                    variance.add(Number::at(first, slot), false);
                }
            }
            (Body::Extreme(extreme), Kind::Extreme { greatest }) => {
                let best = present(slots).reduce(|best, slot| {
                    let order = compare_slots(first, slot, best);
                    let replaces = if greatest {
                        order.is_gt()
                    } else {
                        order.is_lt()
                    };
                    if replaces { slot } else { best }
                });
                if let Some(slot) = best {
                    super::offer_extreme(extreme, greatest, &first.get(slot));
                }
            }
            (Body::ExtremeBy(extreme), Kind::ExtremeBy { greatest }) => {
                let by = inputs[1];
                // In order: among equals the greatest takes the last, the least the first.
                let best =
                    slots
                        .filter(|&slot| by.state(slot) == SLOT_PRESENT)
                        .reduce(|best, slot| {
                            let order = compare_slots(by, slot, best);
                            let replaces = if greatest {
                                order.is_ge()
                            } else {
                                order.is_lt()
                            };
                            if replaces { slot } else { best }
                        });
                if let Some(slot) = best {
                    let (value, by) = (first.get(slot), by.get(slot));
                    placed::add_by(extreme, greatest, &value, &by, order(slot));
                }
            }
            (Body::End(end), Kind::End { last, ignore_nulls }) => {
                let mut kept =
                    slots.filter(|&slot| !ignore_nulls || first.state(slot) == SLOT_PRESENT);
                let found = kept.next();
                // All slots are visited, for their errors.
                let found = kept.fold(found, |found, slot| if last { Some(slot) } else { found });
                if let Some(slot) = found {
                    placed::add_end(end, last, &first.get(slot), order(slot));
                }
            }
            (
                Body::Ends(ends),
                Kind::Ends {
                    last,
                    ignore_nulls,
                    n,
                },
            ) => {
                let kept: Vec<usize> = slots
                    .filter(|&slot| !ignore_nulls || first.state(slot) == SLOT_PRESENT)
                    .collect();
                let chosen = if last {
                    &kept[kept.len().saturating_sub(n)..]
                } else {
                    &kept[..n.min(kept.len())]
                };
                let more: Vec<placed::Placed> = chosen
                    .iter()
                    .map(|&slot| placed::Placed::new(&first.get(slot), order(slot)))
                    .collect();
                placed::merge_ends(ends, last, n, &more);
            }
            (Body::Distinct(distinct), Kind::Distinct { limit }) => {
                let values: Vec<OrderedValue> = distinct_of(first, present(slots).collect())
                    .into_iter()
                    .map(|(value, _)| value)
                    .collect();
                distinct.add_sorted(&values, limit);
            }
            (Body::TopK(frequencies), Kind::TopK { limit, .. }) => {
                let values = distinct_of(first, present(slots).collect());
                frequencies.add_sorted(&values, limit);
            }
            (Body::Quantile(quantile), _) => {
                quantile.add_all(present(slots).map(|slot| Number::at(first, slot).float()));
            }
            _ => panic!("{FOREIGN_STATE}"),
        }
    }

    /// Adds (or takes back, with `negate`) neighbouring slots of columns without NULLs and
    /// errors.
    ///
    /// # Panics
    /// If the function is not [subtractable](Aggregator::is_subtractable).
    pub(crate) fn change_range(
        &self,
        state: &mut State,
        inputs: &[&Column],
        slots: Range<usize>,
        negate: bool,
    ) {
        let data = inputs.first().map(|column| column.data());
        match (&mut state.body, data) {
            (Body::Count(count), _) if negate => *count -= slots.len() as u64,
            (Body::Count(count), _) => *count += slots.len() as u64,
            (Body::Sum(sum), Some(ColumnData::Double(values))) if negate => {
                sum.remove_all(&values[slots]);
            }
            (Body::Sum(sum), Some(ColumnData::Double(values))) => {
                sum.add_all(values[slots].iter().copied());
            }
            (Body::Integer(sum), Some(ColumnData::BigInt(values))) => {
                for &x in &values[slots] {
                    sum.add(x, negate);
                }
            }
            _ => {
                for slot in slots {
                    self.change_slot(state, inputs, slot, negate);
                }
            }
        }
    }

    /// Adds (or takes back, with `negate`) one slot of a column.
    ///
    /// # Panics
    /// If the function is not [subtractable](Aggregator::is_subtractable).
    #[inline]
    pub(crate) fn change_slot(
        &self,
        state: &mut State,
        inputs: &[&Column],
        slot: usize,
        negate: bool,
    ) {
        let step = |count: &mut u64| {
            *count = if negate { *count - 1 } else { *count + 1 };
        };
        let [column] = inputs else {
            let Body::Count(count) = &mut state.body else {
                panic!("{FOREIGN_STATE}")
            };
            return step(count);
        };
        match column.state(slot) {
            SLOT_PRESENT => {}
            SLOT_NULL => return,
            code => {
                if let Some(reason) = ErrorReason::from_code(code) {
                    if negate {
                        state.errors.remove(reason);
                    } else {
                        state.errors.add(reason, 1);
                    }
                }
                return;
            }
        }
        match (&mut state.body, column.data()) {
            (Body::Count(count), _) => step(count),
            (Body::Truth { yes, no }, ColumnData::Boolean(values)) => {
                step(if values[slot] { yes } else { no });
            }
            (Body::Sum(sum), ColumnData::Double(values)) => sum.add_f64(values[slot], negate),
            (Body::Integer(sum), _) => sum.add(Number::at(column, slot).integer(), negate),
            (Body::Sum(sum), _) => sum.add(Number::at(column, slot), negate),
            (Body::Variance(variance), _) => variance.add(Number::at(column, slot), negate),
            _ => panic!("{NOT_SUBTRACTABLE}"),
        }
    }
}

/// Slots without those whose column is NULL there.
struct Present<'a, I> {
    slots: I,
    column: &'a Column,
    faultless: bool,
}

impl<I: Iterator<Item = usize>> Iterator for Present<'_, I> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        loop {
            let slot = self.slots.next()?;
            if self.faultless || self.column.state(slot) == SLOT_PRESENT {
                return Some(slot);
            }
        }
    }
}

fn is_true(column: &Column, slot: usize) -> bool {
    matches!(column.data(), ColumnData::Boolean(values) if values[slot])
}

/// The distinct values of some slots in ascending order, each with how often it occurs.
fn distinct_of(column: &Column, mut slots: Vec<usize>) -> Vec<(OrderedValue, u64)> {
    match column.data() {
        ColumnData::BigInt(values) | ColumnData::Timestamp(values) => {
            slots.sort_unstable_by_key(|&slot| values[slot]);
        }
        _ => slots.sort_unstable_by(|&a, &b| compare_slots(column, a, b)),
    }
    let mut distinct: Vec<(OrderedValue, u64)> = Vec::new();
    let mut previous = None;
    for slot in slots {
        match (previous, distinct.last_mut()) {
            (Some(previous), Some((_, count))) if compare_slots(column, previous, slot).is_eq() => {
                *count += 1;
            }
            _ => distinct.push((OrderedValue(canonical(&column.get(slot))), 1)),
        }
        previous = Some(slot);
    }
    distinct
}
