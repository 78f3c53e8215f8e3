//! Counts and sums as differences of running totals.
//!
//! A window's count or sum is the total up to its end less the total up to its start, so all
//! windows of all frames share one array, and none of them slides. Floats are whole numbers
//! of a unit, the least power of two among them, in 128 bits. Totals wrap around; a
//! difference is exact as long as the sum of no window can leave 128 bits, which is known
//! from the greatest magnitude. Inputs that spread wider than that, or are not finite, have
//! no totals: they slide.
//!
//! Invariant: a value is that of the state of [`crate::Aggregator`] over the same events.

use evenkeel_types::{
    Column, ColumnData, DECIMAL_PRECISION_MAX, ErrorReason, SLOT_NULL, SLOT_PRESENT,
};

use crate::exact::{parts_of_f64, round};
use crate::state::{Kind, Numbers};

/// Bits that a window's sum may have, its sign left out.
const MAGNITUDE_BITS_MAX: u32 = 126;

/// Which events count.
pub(super) struct Counted<'a> {
    /// Of the call's FILTER.
    pub(super) filter: Option<&'a [bool]>,
    /// NULLs of this column do not count.
    pub(super) column: Option<&'a Column>,
}

impl Counted<'_> {
    fn counts(&self, slot: usize) -> bool {
        self.filter.is_none_or(|filter| filter[slot])
            && self.column.is_none_or(|c| c.state(slot) == SLOT_PRESENT)
    }

    /// Whether every event counts.
    fn all(&self) -> bool {
        self.filter.is_none() && self.column.is_none_or(|c| c.states().is_empty())
    }

    /// Whether an event that passes the FILTER is an `ERROR`: those are not counted here.
    pub(super) fn has_errors(&self) -> bool {
        self.column.is_some_and(|column| {
            let states = column.states().iter().enumerate();
            states
                .filter(|(_, state)| **state > SLOT_NULL)
                .any(|(slot, _)| self.filter.is_none_or(|filter| filter[slot]))
        })
    }
}

/// How many events count before each event; `None`: all of them do.
pub(super) struct Counts(Option<Vec<u32>>);

impl Counts {
    /// Of `length` events.
    pub(super) fn new(counted: &Counted<'_>, length: usize) -> Self {
        if counted.all() {
            return Counts(None);
        }
        let mut counts = Vec::with_capacity(length + 1);
        let mut count = 0;
        counts.push(count);
        for slot in 0..length {
            count += u32::from(counted.counts(slot));
            counts.push(count);
        }
        Counts(Some(counts))
    }

    #[inline]
    fn of(&self, (from, to): (u32, u32)) -> u32 {
        match &self.0 {
            None => to - from,
            Some(counts) => counts[to as usize] - counts[from as usize],
        }
    }

    /// Puts the windows' counts into their places.
    pub(super) fn put_over(&self, ranges: &[(u32, u32)], places: &[u32], out: &mut Column) {
        put_results(out, bigint, places, |results| {
            for &range in ranges {
                results.put(Ok(Some(i64::from(self.of(range)))));
            }
        });
    }
}

/// The sums of what comes before each event, in units of `2^exponent`, modulo `2^128`.
pub(super) struct Sums {
    totals: Vec<i128>,
    exponent: i32,
}

impl Sums {
    /// Of the events of a column of numbers; none where a window's sum may be too large, or
    /// an event is not finite.
    pub(super) fn new(column: &Column, counted: &Counted<'_>) -> Option<Self> {
        match column.data() {
            ColumnData::Int(values) => Some(Sums::integers(values, counted, |x| i128::from(*x))),
            ColumnData::BigInt(values) => Some(Sums::integers(values, counted, |x| i128::from(*x))),
            ColumnData::Float(values) => Sums::floats(values, counted, |x| f64::from(*x)),
            ColumnData::Double(values) => Sums::floats(values, counted, |x| *x),
            ColumnData::Decimal(values) => {
                let bits = values
                    .iter()
                    .map(|x| 128 - x.unsigned_abs().leading_zeros());
                let greatest = bits.max().unwrap_or(0);
                (greatest + bits_of_count(values.len()) <= MAGNITUDE_BITS_MAX)
                    .then(|| Sums::integers(values, counted, |x| *x))
            }
            _ => None,
        }
    }

    fn integers<T>(values: &[T], counted: &Counted<'_>, wide: impl Fn(&T) -> i128) -> Self {
        Sums {
            totals: running(values, counted, wide),
            exponent: 0,
        }
    }

    fn floats<T>(values: &[T], counted: &Counted<'_>, float: impl Fn(&T) -> f64) -> Option<Self> {
        let (mut least, mut greatest) = (i32::MAX, i32::MIN);
        let mut finite = true;
        for (slot, value) in values.iter().enumerate() {
            let x = float(value);
            if x == 0.0 || !(counted.all() || counted.counts(slot)) {
                continue;
            }
            finite &= x.is_finite();
            let (_, _, exponent) = parts_of_f64(x);
            least = least.min(exponent);
            greatest = greatest.max(exponent);
        }
        if !finite {
            return None;
        }
        let exponent = if least == i32::MAX { 0 } else { least };
        let spread = greatest.saturating_sub(exponent).max(0).unsigned_abs();
        if f64::MANTISSA_DIGITS + spread + bits_of_count(values.len()) > MAGNITUDE_BITS_MAX {
            return None;
        }
        let wide = |value: &T| {
            let (negative, significand, e) = parts_of_f64(float(value));
            if significand == 0 {
                return 0;
            }
            // Neither negative nor more than the spread.
            let units = i128::from(significand) << (e - exponent);
            if negative { -units } else { units }
        };
        Some(Sums {
            totals: running(values, counted, wide),
            exponent,
        })
    }

    #[inline]
    fn of(&self, (from, to): (u32, u32)) -> i128 {
        self.totals[to as usize].wrapping_sub(self.totals[from as usize])
    }

    /// Puts the windows' sums or averages into their places.
    pub(super) fn put_over(
        &self,
        kind: Kind,
        counts: &Counts,
        ranges: &[(u32, u32)],
        places: &[u32],
        out: &mut Column,
    ) {
        match kind {
            Kind::Sum(Numbers::Integer) => put_results(out, bigint, places, |results| {
                self.put_each(counts, ranges, results, |total, _| {
                    i64::try_from(total).map_err(|_| ErrorReason::Overflow)
                });
            }),
            Kind::Sum(Numbers::Decimal { .. }) => put_results(out, unscaled, places, |results| {
                self.put_each(counts, ranges, results, |total, _| decimal(Some(total)));
            }),
            Kind::Avg(Numbers::Decimal {
                scale,
                average_scale,
            }) => put_results(out, unscaled, places, |results| {
                let factor = 10u64.pow(u32::from(average_scale - scale));
                self.put_each(counts, ranges, results, |total, count| {
                    let digits = crate::exact::digits::from_u128(total.unsigned_abs());
                    let count = u64::from(count);
                    decimal(round::quotient_to_i128(total < 0, &digits, factor, count))
                });
            }),
            Kind::Avg(_) => put_results(out, double, places, |results| {
                self.put_each(counts, ranges, results, |total, count| {
                    let count = u64::from(count);
                    Ok(round::wide_quotient_to_f64(total, self.exponent, count))
                });
            }),
            _ => put_results(out, double, places, |results| {
                self.put_each(counts, ranges, results, |total, _| {
                    Ok(round::wide_to_f64(total, self.exponent))
                });
            }),
        }
    }

    /// What is made of each window's total and count; NULL where nothing counts.
    #[inline]
    fn put_each<T>(
        &self,
        counts: &Counts,
        ranges: &[(u32, u32)],
        results: &mut Results<'_, T>,
        value: impl Fn(i128, u32) -> Result<T, ErrorReason>,
    ) {
        for &range in ranges {
            results.put(match counts.of(range) {
                0 => Ok(None),
                count => value(self.of(range), count).map(Some),
            });
        }
    }
}

/// Bits of a number of events.
fn bits_of_count(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

fn running<T>(values: &[T], counted: &Counted<'_>, wide: impl Fn(&T) -> i128) -> Vec<i128> {
    let mut totals = Vec::with_capacity(values.len() + 1);
    let mut total = 0i128;
    totals.push(total);
    if counted.all() {
        for value in values {
            total = total.wrapping_add(wide(value));
            totals.push(total);
        }
        return totals;
    }
    for (slot, value) in values.iter().enumerate() {
        if counted.counts(slot) {
            total = total.wrapping_add(wide(value));
        }
        totals.push(total);
    }
    totals
}

/// A decimal within its 38 digits.
fn decimal(unscaled: Option<i128>) -> Result<i128, ErrorReason> {
    unscaled
        .filter(|x| x.unsigned_abs() < 10u128.pow(u32::from(DECIMAL_PRECISION_MAX)))
        .ok_or(ErrorReason::Overflow)
}

/// Values of windows on their way into a column, each into its place.
struct Results<'a, T> {
    values: &'a mut [T],
    /// Empty while all are present.
    states: &'a mut Vec<u8>,
    places: std::slice::Iter<'a, u32>,
}

impl<T> Results<'_, T> {
    /// Puts the next one, or its absence.
    #[inline]
    fn put(&mut self, value: Result<Option<T>, ErrorReason>) {
        let place = *self.places.next().expect("one place per range") as usize;
        let state = match value {
            Ok(Some(value)) => {
                self.values[place] = value;
                SLOT_PRESENT
            }
            Ok(None) => SLOT_NULL,
            Err(reason) => reason.code(),
        };
        if state != SLOT_PRESENT && self.states.is_empty() {
            self.states.resize(self.values.len(), SLOT_PRESENT);
        }
        if !self.states.is_empty() {
            self.states[place] = state;
        }
    }
}

/// Lets results be put into the places of a column of their type.
fn put_results<T>(
    out: &mut Column,
    values_of: fn(&mut ColumnData) -> Option<&mut Vec<T>>,
    places: &[u32],
    put: impl FnOnce(&mut Results<'_, T>),
) {
    let empty = out.empty_like();
    let (mut data, mut states) = std::mem::replace(out, empty).into_parts();
    let values = values_of(&mut data).expect("the column is of the call's type");
    put(&mut Results {
        values,
        states: &mut states,
        places: places.iter(),
    });
    *out = Column::from_parts(data, states);
}

fn bigint(data: &mut ColumnData) -> Option<&mut Vec<i64>> {
    match data {
        ColumnData::BigInt(values) => Some(values),
        _ => None,
    }
}

fn unscaled(data: &mut ColumnData) -> Option<&mut Vec<i128>> {
    match data {
        ColumnData::Decimal(values) => Some(values),
        _ => None,
    }
}

fn double(data: &mut ColumnData) -> Option<&mut Vec<f64>> {
    match data {
        ColumnData::Double(values) => Some(values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{AggregateFunction, DataType, Value};
    use proptest::prelude::*;

    use super::super::Inputs;
    use super::*;
    use crate::state::Aggregator;

    fn money() -> impl Strategy<Value = Value> + Clone {
        prop_oneof![
            8 => (-100_000i32..100_000).prop_map(|cents| Value::double(f64::from(cents) / 100.0)),
            1 => Just(Value::double(1e-9)),
            1 => Just(Value::double(1e6)),
            2 => Just(Value::Null),
        ]
    }

    fn anything() -> impl Strategy<Value = Value> + Clone {
        prop_oneof![
            4 => any::<f64>().prop_map(Value::double),
            4 => money(),
            1 => Just(Value::Error(ErrorReason::Overflow)),
        ]
    }

    /// Ranges that never run backwards, over so many events.
    fn ranges(length: usize) -> impl Strategy<Value = Vec<(u32, u32)>> {
        let length = length as u32;
        prop::collection::vec((0..=length, 0..=length), 1..40).prop_map(|mut ends| {
            let (mut starts, mut stops): (Vec<u32>, Vec<u32>) = ends.drain(..).unzip();
            starts.sort_unstable();
            stops.sort_unstable();
            starts
                .iter()
                .zip(&stops)
                .map(|(a, b)| (*a.min(b), *b))
                .collect()
        })
    }

    /// Values, FILTER and ranges.
    type World = (Vec<Value>, Option<Vec<bool>>, Vec<(u32, u32)>);

    fn world(
        value: impl Strategy<Value = Value> + Clone + 'static,
    ) -> impl Strategy<Value = World> {
        (0usize..60).prop_flat_map(move |length| {
            (
                prop::collection::vec(value.clone(), length),
                prop::option::of(prop::collection::vec(any::<bool>(), length)),
                ranges(length),
            )
        })
    }

    fn agree(
        data_type: &DataType,
        values: &[Value],
        filter: Option<&[bool]>,
        ranges: &[(u32, u32)],
    ) -> Result<(), TestCaseError> {
        let inputs = Inputs::new(
            vec![Column::from_values(data_type, values)],
            filter.map(<[bool]>::to_vec),
            values.len(),
        );
        use AggregateFunction::{Avg, Count, Max, Min, Sum};
        for function in [Count, Sum, Avg, Min, Max] {
            let aggregator =
                Aggregator::new(&function, false, std::slice::from_ref(data_type)).unwrap();
            let fast = inputs.over(&aggregator, ranges);
            // The last range's value first.
            let places: Vec<u32> = (0..ranges.len() as u32).rev().collect();
            let mut placed = Column::with_room(aggregator.result(), ranges.len());
            inputs.put_over(&aggregator, ranges, &places, &mut placed);
            for (i, &(from, to)) in ranges.iter().enumerate() {
                let mut state = aggregator.empty();
                for slot in from as usize..to as usize {
                    if filter.is_none_or(|f| f[slot]) {
                        let order = crate::EventOrder::new(slot as i64, b"");
                        aggregator.add(&mut state, &values[slot..=slot], order);
                    }
                }
                let want = aggregator.finish(&state);
                prop_assert!(
                    fast.get(i).same_bits(&want),
                    "{function:?} of {from}..{to}: {:?}, not {want:?}",
                    fast.get(i)
                );
                let place = ranges.len() - 1 - i;
                prop_assert!(
                    placed.get(place).same_bits(&want),
                    "{function:?} in its place"
                );
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn like_states((values, filter, ranges) in world(money())) {
            let column = Column::from_values(&DataType::Double, &values);
            let counted = Counted { filter: filter.as_deref(), column: Some(&column) };
            prop_assert!(Sums::new(&column, &counted).is_some(), "money has totals");
            agree(&DataType::Double, &values, filter.as_deref(), &ranges)?;
        }

        #[test]
        fn like_states_whatever_the_inputs((values, filter, ranges) in world(anything())) {
            agree(&DataType::Double, &values, filter.as_deref(), &ranges)?;
        }

        #[test]
        fn integers_and_decimals((values, filter, ranges) in world(prop_oneof![
            any::<i64>().prop_map(Value::BigInt), (-5i64..5).prop_map(Value::BigInt), Just(Value::Null),
        ])) {
            agree(&DataType::BigInt, &values, filter.as_deref(), &ranges)?;
            let decimals: Vec<Value> = values.iter().map(|v| match v {
                Value::BigInt(x) => Value::decimal(i128::from(*x) * 10_000_000_000_000_000_000),
                other => other.clone(),
            }).collect();
            let decimal = DataType::Decimal { precision: 38, scale: 4 };
            agree(&decimal, &decimals, filter.as_deref(), &ranges)?;
        }
    }

    #[test]
    fn what_spreads_too_wide_slides() {
        let column = Column::from_values(
            &DataType::Double,
            &[Value::double(1e-30), Value::double(1e30)],
        );
        let counted = Counted {
            filter: None,
            column: Some(&column),
        };
        assert!(Sums::new(&column, &counted).is_none());
    }
}
