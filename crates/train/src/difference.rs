//! How two columns of one feature differ, row by row, bit by bit.

use evenkeel_connect::value_to_json;
use evenkeel_types::{Column, DataType, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::dataset::double_of;

/// The first rows that differ are kept whole, so many of a feature.
pub const DIFFERENCE_EXAMPLES_MAX: usize = 3;

/// A row in which two columns differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceExample {
    /// The row's key.
    pub key: Vec<Json>,
    /// Its time, microseconds.
    pub time: i64,
    /// What the first column has.
    pub first: Json,
    /// What the second has.
    pub second: Json,
}

/// See the module. Counts are of rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Equal to the last bit.
    pub equal: u64,
    /// Not.
    pub differ: u64,
    /// Of those that differ: only the first has a value.
    pub only_first: u64,
    /// Only the second has one.
    pub only_second: u64,
    /// The greatest distance of two finite numbers.
    pub largest: Option<f64>,
    /// Where that is.
    pub largest_at: Option<DifferenceExample>,
    /// The first rows that differ.
    pub examples: Vec<DifferenceExample>,
}

impl Difference {
    /// Of columns of one type; `key_of` tells key and time of a row.
    pub fn between(
        data_type: &DataType,
        first: &Column,
        second: &Column,
        key_of: &dyn Fn(usize) -> (Vec<Json>, i64),
    ) -> Self {
        let mut found = Difference::default();
        for row in 0..first.len() {
            let (a, b) = (first.get(row), second.get(row));
            if a.same_bits(&b) {
                found.equal += 1;
                continue;
            }
            found.differ += 1;
            found.only_first += u64::from(b.is_missing() && !a.is_missing());
            found.only_second += u64::from(a.is_missing() && !b.is_missing());
            let example = || {
                let (key, time) = key_of(row);
                DifferenceExample {
                    key,
                    time,
                    first: json_of(data_type, &a),
                    second: json_of(data_type, &b),
                }
            };
            if let Some(distance) = distance(data_type, &a, &b)
                && found.largest.is_none_or(|largest| distance > largest)
            {
                found.largest = Some(distance);
                found.largest_at = Some(example());
            }
            if found.examples.len() < DIFFERENCE_EXAMPLES_MAX {
                found.examples.push(example());
            }
        }
        found
    }

    /// Adds what is different in the rows that follow.
    pub fn add(&mut self, more: Difference) {
        self.equal += more.equal;
        self.differ += more.differ;
        self.only_first += more.only_first;
        self.only_second += more.only_second;
        if more.largest > self.largest {
            self.largest = more.largest;
            self.largest_at = more.largest_at;
        }
        self.examples.extend(more.examples);
        self.examples.truncate(DIFFERENCE_EXAMPLES_MAX);
    }
}

/// How far apart two finite numbers are; none if they are none.
fn distance(data_type: &DataType, a: &Value, b: &Value) -> Option<f64> {
    let number = |value| double_of(data_type, value).filter(|n| n.is_finite());
    Some((number(a)? - number(b)?).abs().min(f64::MAX))
}

fn json_of(data_type: &DataType, value: &Value) -> Json {
    match value {
        Value::Error(reason) => json!({"error": reason.to_string()}),
        value => value_to_json(data_type, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(first: &[Option<f64>], second: &[Option<f64>]) -> Difference {
        let column = |values: &[Option<f64>]| {
            let values: Vec<Value> = values
                .iter()
                .map(|v| v.map_or(Value::Null, Value::Double))
                .collect();
            Column::from_values(&DataType::Double, &values)
        };
        let key_of = |row: usize| (vec![json!(format!("k{row}"))], row as i64);
        Difference::between(&DataType::Double, &column(first), &column(second), &key_of)
    }

    #[test]
    fn what_differs_is_counted_and_the_largest_is_named() {
        let first = [Some(1.0), Some(2.0), None, Some(f64::NAN), Some(5.0), None];
        let second = [Some(1.0), Some(2.5), Some(3.0), Some(f64::NAN), None, None];
        let found = between(&first, &second);
        assert_eq!((found.equal, found.differ), (3, 3));
        assert_eq!((found.only_first, found.only_second), (1, 1));
        assert_eq!(found.largest, Some(0.5));
        assert_eq!(found.largest_at.unwrap().key, [json!("k1")]);
        assert_eq!(found.examples.len(), 3);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let first: Vec<Option<f64>> = (0..40).map(|i| Some(f64::from(i))).collect();
        let second: Vec<Option<f64>> = (0..40)
            .map(|i| (i % 7 != 0).then_some(f64::from(i * (i % 3))))
            .collect();
        let whole = between(&first, &second);
        let mut added = between(&first[..13], &second[..13]);
        added.add(between(&first[13..], &second[13..]));
        assert_eq!(
            (added.equal, added.differ, added.only_first, added.largest),
            (whole.equal, whole.differ, whole.only_first, whole.largest)
        );
        assert_eq!(added.examples, whole.examples);
    }

    #[test]
    fn a_distance_is_always_a_number() {
        let found = between(
            &[Some(1e308), Some(f64::INFINITY)],
            &[Some(-1e308), Some(0.0)],
        );
        assert_eq!((found.differ, found.largest), (2, Some(f64::MAX)));
    }
}
