//! Times and intervals: `+`, `-`, and multiples of intervals.

use std::sync::Arc;

use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN, Zone, add_months};
use evenkeel_types::{DataType, Expr, Interval};

use super::OVERFLOW;
use crate::coerce::convert;
use crate::error::BuildError;
use crate::function::{Signature, argument_type, call};
use crate::kernel::{BigInt, Date, Kernel, Outcome, Span, Timestamp, binary};

/// Whether this is a time or an interval.
pub(super) fn is_temporal(expr: &Expr) -> bool {
    is_time(&expr.data_type) || expr.data_type == DataType::Interval
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date | DataType::Timestamp)
}

/// `+` and `-` where a side is a time or an interval.
pub(super) fn bind_sum(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    use DataType as T;
    let [a, b] = <[Expr; 2]>::try_from(args).expect("two arguments were counted");
    let adding = name == "add";
    let done = |a, b, result| Ok(call(name, vec![a, b], result));
    match (&a.data_type, &b.data_type) {
        (T::Interval, T::Interval) => done(a, b, T::Interval),
        (T::Interval, T::Null) => done(a, convert(b, &T::Interval), T::Interval),
        (t, T::Interval) if is_time(t) || *t == T::Null => {
            done(convert(a, &T::Timestamp), b, T::Timestamp)
        }
        (T::Interval, t) if is_time(t) && adding => {
            done(a, convert(b, &T::Timestamp), T::Timestamp)
        }
        (T::Date, t) if t.is_integer() => done(a, convert(b, &T::BigInt), T::Date),
        (T::Date, T::Date) if !adding => done(a, b, T::BigInt),
        (T::Timestamp, T::Null) => done(a, convert(b, &T::Interval), T::Timestamp),
        (T::Date, T::Null) => done(a, convert(b, &T::BigInt), T::Date),
        (t, u) if is_time(t) && is_time(u) => Err(BuildError::ArgumentType {
            function: name.to_owned(),
            argument: 1,
            expected: "an INTERVAL".to_owned(),
            found: b.data_type,
            hint: Some(
                "the length between two times has a unit: `date_diff('second', a, b)`, or subtract `epoch_us(...)`"
                    .to_owned(),
            ),
        }),
        (t, _) if is_time(t) => Err(BuildError::ArgumentType {
            function: name.to_owned(),
            argument: 1,
            expected: "an INTERVAL".to_owned(),
            found: b.data_type,
            hint: Some("write `ts + INTERVAL '1' HOUR`, or `ts + n * INTERVAL '1' HOUR`".to_owned()),
        }),
        (T::Interval, _) => Err(argument_type(name, 1, "a time or an INTERVAL", &b)),
        _ => Err(argument_type(name, 0, "a time or an INTERVAL", &a)),
    }
}

/// How a sum runs whose type is a time or an interval.
pub(super) fn sum_kernel(s: &Signature<'_>, minus: bool) -> Option<Arc<dyn Kernel>> {
    use DataType as T;
    Some(match (&s.arguments[0], &s.arguments[1], minus) {
        (T::Timestamp, _, false) => binary::<Timestamp, Span, Timestamp>(shift_time),
        (T::Timestamp, _, true) => {
            binary::<Timestamp, Span, Timestamp>(|t, i| shift_time(t, negate(i)?))
        }
        (T::Interval, T::Timestamp, _) => {
            binary::<Span, Timestamp, Timestamp>(|i, t| shift_time(t, i))
        }
        (T::Interval, _, false) => binary::<Span, Span, Span>(add),
        (T::Interval, _, true) => binary::<Span, Span, Span>(|a, b| add(a, negate(b)?)),
        (T::Date, T::Date, _) => {
            binary::<Date, Date, BigInt>(|a, b| Ok(i64::from(a) - i64::from(b)))
        }
        (T::Date, _, false) => {
            binary::<Date, BigInt, Date>(|d, n| date_of(i64::from(d).checked_add(n)))
        }
        (T::Date, _, true) => {
            binary::<Date, BigInt, Date>(|d, n| date_of(i64::from(d).checked_sub(n)))
        }
        _ => return None,
    })
}

/// A date within the years 1 to 9999.
fn date_of(days: Option<i64>) -> Outcome<i32> {
    days.filter(|d| (TIME_MIN / DAY..=TIME_MAX / DAY).contains(d))
        .and_then(|d| i32::try_from(d).ok())
        .ok_or(OVERFLOW)
}

pub(super) fn negate(i: Interval) -> Outcome<Interval> {
    Ok(Interval {
        months: i.months.checked_neg().ok_or(OVERFLOW)?,
        micros: i.micros.checked_neg().ok_or(OVERFLOW)?,
    })
}

fn add(a: Interval, b: Interval) -> Outcome<Interval> {
    Ok(Interval {
        months: a.months.checked_add(b.months).ok_or(OVERFLOW)?,
        micros: a.micros.checked_add(b.micros).ok_or(OVERFLOW)?,
    })
}

pub(super) fn multiply(i: Interval, n: i64) -> Outcome<Interval> {
    let months = i64::from(i.months).checked_mul(n).ok_or(OVERFLOW)?;
    Ok(Interval {
        months: i32::try_from(months).map_err(|_| OVERFLOW)?,
        micros: i.micros.checked_mul(n).ok_or(OVERFLOW)?,
    })
}

/// `t` moved by months, then microseconds; outside the years 1 to 9999 an overflow, where
/// window edges saturate.
fn shift_time(t: i64, by: Interval) -> Outcome<i64> {
    let moved = if by.months == 0 {
        t
    } else {
        let local = Zone::utc().local(t);
        let month = i64::from(local.year) * 12 + i64::from(local.month) - 1 + i64::from(by.months);
        if !(12..=9999 * 12 + 11).contains(&month) {
            return Err(OVERFLOW);
        }
        add_months(t, i64::from(by.months))
    };
    moved
        .checked_add(by.micros)
        .filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
        .ok_or(OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(t: i64, months: i32, micros: i64) -> Outcome<i64> {
        shift_time(t, Interval { months, micros })
    }

    #[test]
    fn time_never_saturates() {
        assert_eq!(shifted(TIME_MAX, 0, 1), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, 0, -1), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MAX, 1, 0), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, -1, 0), Err(OVERFLOW));
        assert_eq!(shifted(0, i32::MAX, 0), Err(OVERFLOW));
        assert_eq!(shifted(0, 0, i64::MIN), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, 0, 0), Ok(TIME_MIN));
    }
}
