//! What the values of a feature look like: statistics, how many are distinct, a histogram.

use std::collections::BTreeSet;

use evenkeel_types::codec::encode_value;
use evenkeel_types::{Column, DataType};
use serde::Serialize;

use crate::dataset::{DISTINCT_MAX, Statistics, double_of};

/// Bins of a histogram.
const BINS: usize = 10;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Count, NULLs, least, greatest, mean.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// How many are ERROR; they are not among the NULLs.
    pub errors: u64,
    /// How many values are distinct, at most [`DISTINCT_MAX`].
    pub distinct_values: u64,
    /// Whether there are more than that.
    pub more_values: bool,
    /// Of finite numbers, from the least to the greatest; empty if there are none.
    pub histogram: Vec<Bin>,
}

/// A bin of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Where it begins; that is in it.
    pub from: f64,
    /// Where it ends; only in the last is that in it.
    pub to: f64,
    /// How many numbers are in it.
    pub count: u64,
}

impl Profile {
    /// Of a column in which `errors` of the missing values are ERROR.
    pub fn of(data_type: &DataType, column: &Column, errors: u64) -> Self {
        let rows: Vec<u32> = (0..u32::MAX).take(column.len()).collect();
        let mut statistics = Statistics::of(data_type, column, &rows);
        statistics.nulls -= errors.min(statistics.nulls);
        // Said for every type beside it.
        statistics.distinct = None;
        statistics.more_distinct = false;
        let mut distinct = BTreeSet::new();
        let mut more_values = false;
        for value in column.iter().filter(|v| !v.is_missing()) {
            let mut bytes = Vec::new();
            encode_value(&value, &mut bytes);
            if distinct.len() < DISTINCT_MAX {
                distinct.insert(bytes);
            } else if !distinct.contains(&bytes) {
                more_values = true;
                break;
            }
        }
        Profile {
            statistics,
            errors,
            distinct_values: distinct.len() as u64,
            more_values,
            histogram: histogram(data_type, column),
        }
    }
}

fn histogram(data_type: &DataType, column: &Column) -> Vec<Bin> {
    if !data_type.is_numeric() {
        return Vec::new();
    }
    let numbers: Vec<f64> = column
        .iter()
        .filter_map(|value| double_of(data_type, &value))
        .filter(|number| number.is_finite())
        .collect();
    let least = numbers.iter().copied().reduce(f64::min);
    let greatest = numbers.iter().copied().reduce(f64::max);
    let (Some(least), Some(greatest)) = (least, greatest) else {
        return Vec::new();
    };
    if least == greatest {
        let count = numbers.len() as u64;
        return vec![Bin {
            from: least,
            to: greatest,
            count,
        }];
    }
    // In parts, as the whole width may be no number; never backwards, whatever is rounded.
    let mut edges = vec![least];
    for bin in 1..BINS {
        let (left, right) = ((BINS - bin) as f64, bin as f64);
        let edge = least / BINS as f64 * left + greatest / BINS as f64 * right;
        edges.push(edge.clamp(edges[bin - 1], greatest));
    }
    edges.push(greatest);
    let mut bins: Vec<Bin> = (0..BINS)
        .map(|bin| Bin {
            from: edges[bin],
            to: edges[bin + 1],
            count: 0,
        })
        .collect();
    for number in numbers {
        let bin = bins.partition_point(|bin| bin.from <= number);
        bins[bin.saturating_sub(1)].count += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use evenkeel_types::Value;

    use super::*;

    fn of(data_type: &DataType, values: &[Value]) -> Profile {
        Profile::of(data_type, &Column::from_values(data_type, values), 0)
    }

    #[test]
    fn every_finite_number_is_in_one_bin() {
        let values: Vec<Value> = (0..=100)
            .map(|i| Value::Double(f64::from(i)))
            .chain([Value::Null, Value::Double(f64::NAN)])
            .collect();
        let found = of(&DataType::Double, &values);
        let counts: Vec<u64> = found.histogram.iter().map(|b| b.count).collect();
        assert_eq!(counts, [10, 10, 10, 10, 10, 10, 10, 10, 10, 11]);
        assert_eq!(
            (found.histogram[0].from, found.histogram[9].to),
            (0.0, 100.0)
        );
        assert_eq!((found.statistics.count, found.statistics.nulls), (102, 1));
        assert_eq!((found.distinct_values, found.more_values), (102, false));
    }

    #[test]
    fn the_widest_numbers_have_bins_too() {
        let values = [-f64::MAX, f64::MAX, 0.0].map(Value::Double);
        let found = of(&DataType::Double, &values);
        assert_eq!(found.histogram.iter().map(|b| b.count).sum::<u64>(), 3);
        assert!(
            found
                .histogram
                .iter()
                .all(|b| b.from.is_finite() && b.from <= b.to)
        );
        let one = of(&DataType::BigInt, &[Value::BigInt(7), Value::BigInt(7)]);
        assert_eq!(
            one.histogram,
            [Bin {
                from: 7.0,
                to: 7.0,
                count: 2
            }]
        );
        assert!(of(&DataType::BigInt, &[Value::Null]).histogram.is_empty());
        assert!(
            of(&DataType::String, &[Value::string("x")])
                .histogram
                .is_empty()
        );
    }

    #[test]
    fn errors_are_not_nulls_and_distinct_values_have_a_limit() {
        let column = Column::from_values(&DataType::Int, &[Value::Null, Value::Null]);
        let found = Profile::of(&DataType::Int, &column, 1);
        assert_eq!((found.statistics.nulls, found.errors), (1, 1));
        let values: Vec<Value> = (0..=DISTINCT_MAX as i64).map(Value::BigInt).collect();
        let found = of(&DataType::BigInt, &values);
        assert_eq!((found.distinct_values, found.more_values), (1_000, true));
        assert!(!of(&DataType::BigInt, &values[1..]).more_values);
    }
}
