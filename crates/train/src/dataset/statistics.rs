//! What is known of a feature's values in a dataset, exactly.

use std::collections::BTreeSet;

use evenkeel_connect::value_to_json;
use evenkeel_types::{AggregateFunction, Column, DataType, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::numbers::{Moments, Running, double_of};

/// Distinct texts that are counted.
pub const DISTINCT_MAX: usize = 1_000;

/// Statistics of one feature; numbers by the exact aggregates of windows, rounded once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Rows with a value.
    pub count: u64,
    /// Rows without.
    pub nulls: u64,
    /// Values that are NaN; they are among `count`, and not in the mean and the deviation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nans: u64,
    /// The least value, of types that have an order; NULL if there is none.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub min: Json,
    /// The greatest (NaN is greatest).
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub max: Json,
    /// The mean of numbers, as DOUBLE.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub mean: Json,
    /// The population standard deviation of numbers, as DOUBLE.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub stddev: Json,
    /// How many distinct texts there are, at most [`DISTINCT_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<u64>,
    /// Whether there are more than that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_distinct: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Statistics {
    /// Of some rows of a column.
    pub fn of(data_type: &DataType, column: &Column, rows: &[u32]) -> Self {
        let mut least = Running::new(AggregateFunction::Min, data_type);
        let mut greatest = Running::new(AggregateFunction::Max, data_type);
        let mut moments = data_type.is_numeric().then(Moments::new);
        let mut texts = (*data_type == DataType::String).then(BTreeSet::new);
        let mut found = Statistics::default();
        for &row in rows {
            let value = column.get(row as usize);
            if value.is_missing() {
                found.nulls += 1;
                continue;
            }
            found.count += 1;
            for running in [&mut least, &mut greatest].into_iter().flatten() {
                running.add(&value);
            }
            if let Some(moments) = &mut moments
                && let Some(number) = double_of(data_type, &value)
            {
                if number.is_nan() {
                    found.nans += 1;
                } else {
                    moments.add(number);
                }
            }
            if let (Some(texts), Value::String(text)) = (&mut texts, &value) {
                if texts.len() < DISTINCT_MAX {
                    texts.insert(text.clone());
                } else {
                    found.more_distinct |= !texts.contains(text);
                }
            }
        }
        let result = |running: &Option<Running>| {
            let running = running.as_ref();
            running.map_or(Json::Null, |r| value_to_json(r.result_type(), &r.result()))
        };
        let double = |number: Option<f64>| {
            let number = number.map_or(Value::Null, Value::Double);
            value_to_json(&DataType::Double, &number)
        };
        found.min = result(&least);
        found.max = result(&greatest);
        if let Some(moments) = &moments {
            found.mean = double(moments.mean());
            found.stddev = double(moments.deviation());
        }
        found.distinct = texts.map(|texts| texts.len() as u64);
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(data_type: &DataType, values: &[Value]) -> Statistics {
        let column = Column::from_values(data_type, values);
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        Statistics::of(data_type, &column, &rows)
    }

    #[test]
    fn numbers_are_exact() {
        let values = [
            Value::Double(1e16),
            Value::Double(1.0),
            Value::Double(-1e16),
            Value::Null,
            Value::Double(f64::NAN),
        ];
        let found = of(&DataType::Double, &values);
        assert_eq!((found.count, found.nulls, found.nans), (4, 1, 1));
        // Summed in floats it would be 0.
        assert_eq!(found.mean, json!(1.0 / 3.0));
        assert_eq!(found.min, json!(-1e16));
        assert_eq!(found.max, json!("NaN"));
    }

    #[test]
    fn texts_are_counted_up_to_the_limit() {
        let text = |i: usize| Value::string(format!("t{i}"));
        let mut values: Vec<Value> = (0..DISTINCT_MAX).map(text).collect();
        values.push(text(3));
        let found = of(&DataType::String, &values);
        assert_eq!(found.distinct, Some(DISTINCT_MAX as u64));
        assert!(!found.more_distinct);
        values.push(text(DISTINCT_MAX));
        assert!(of(&DataType::String, &values).more_distinct);
    }

    #[test]
    fn of_no_rows_there_is_nothing() {
        let found = of(&DataType::Int, &[]);
        assert_eq!(found, Statistics::default());
        let boolean = of(&DataType::Boolean, &[Value::Boolean(true), Value::Null]);
        assert_eq!((boolean.count, boolean.nulls), (1, 1));
        assert_eq!(boolean.mean, Json::Null);
    }
}
