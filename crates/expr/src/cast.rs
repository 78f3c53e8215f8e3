//! Conversions between types, all strict: a value either has an equal (or, among floats,
//! nearest) value in the other type, or the result is ERROR. Fractions never become
//! integers, digits are never cut; `round`, `floor` and `trunc` say what is meant.

mod number;
mod text;

use std::sync::Arc;

use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN};
use evenkeel_types::{DataType, ErrorReason, Value};

use crate::kernel::{self, Date, Kernel, Missing, Nested, Outcome, Slot, Timestamp, unary};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const INVALID_CAST: Missing = Missing::Error(ErrorReason::InvalidCast);

/// The conversion from one type to another, if there is one.
pub(crate) fn kernel(from: &DataType, to: &DataType) -> Option<Arc<dyn Kernel>> {
    use DataType as T;
    if from == to {
        return Some(kernel::with_slot!(from, S => {
            unary::<S, S>(|x| Ok(S::to_stored(x)))
        }));
    }
    match (from, to) {
        (T::Null, _) => Some(kernel::general(to, |_| Err(Missing::Null))),
        (T::String, _) => text::from_text(to),
        (_, T::String) => text::to_text(from),
        (T::Date, T::Timestamp) => Some(unary::<Date, Timestamp>(date_to_timestamp)),
        (T::Timestamp, T::Date) => Some(unary::<Timestamp, Date>(|t| {
            i32::try_from(t.div_euclid(DAY)).map_err(|_| OVERFLOW)
        })),
        (
            T::Array(element) | T::Vector { element, .. },
            T::Array(other) | T::Vector { element: other, .. },
        ) => list(element, other, to),
        _ => number::kernel(from, to),
    }
}

/// A literal's value in another type; `None` if there is no conversion.
pub(crate) fn literal(value: &Value, from: &DataType, to: &DataType) -> Option<Value> {
    Some(kernel(from, to)?.row(&[value]))
}

fn date_to_timestamp(days: i32) -> Outcome<i64> {
    i64::from(days)
        .checked_mul(DAY)
        .filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
        .ok_or(OVERFLOW)
}

/// Element by element. The first element that has no answer makes the whole list ERROR.
fn list(from: &DataType, to: &DataType, whole: &DataType) -> Option<Arc<dyn Kernel>> {
    let element = kernel(from, to)?;
    let wanted = match whole {
        DataType::Vector { length, .. } => Some(*length as usize),
        _ => None,
    };
    Some(unary::<Nested, Nested>(move |value| {
        let Value::Array(values) = value else {
            return Err(INVALID_CAST);
        };
        if wanted.is_some_and(|wanted| wanted != values.len()) {
            return Err(INVALID_CAST);
        }
        let mut converted = Vec::with_capacity(values.len());
        for value in values.iter() {
            let value = element.row(&[value]);
            match value {
                Value::Error(reason) => return Err(reason.into()),
                // A vector has no NULL elements.
                Value::Null if wanted.is_some() => return Err(INVALID_CAST),
                value => converted.push(value),
            }
        }
        Ok(Value::Array(converted.into()))
    }))
}

/// Why there is no conversion, for those that people expect.
pub(crate) fn hint(from: &DataType, to: &DataType) -> Option<&'static str> {
    use DataType as T;
    match (from, to) {
        (T::Timestamp, T::Int | T::BigInt | T::Double) => {
            Some("say in which unit: `epoch(ts)`, `epoch_ms(ts)` or `epoch_us(ts)`")
        }
        (T::Int | T::BigInt | T::Double, T::Timestamp) => Some(
            "say in which unit: `to_timestamp(seconds)`, `timestamp_ms(n)` or `timestamp_us(n)`",
        ),
        (T::Date, T::Int | T::BigInt) => Some("write `date_diff('day', DATE '1970-01-01', d)`"),
        (T::Float | T::Double | T::Decimal { .. }, T::Boolean) => Some("compare instead: `x <> 0`"),
        _ => None,
    }
}
