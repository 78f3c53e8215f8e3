//! Making, cutting and measuring times.

use std::sync::Arc;

use evenkeel_types::time::{CalendarUnit, Civil, HOUR, MINUTE, SECOND, TIME_MAX, TIME_MIN, Zone};
use evenkeel_types::{DataType, ErrorReason, Expr, Interval, Value};

use super::calendar::{check_zone, time_and_zone, zone_at};
use super::{
    Binding, Function, Group, Signature, call, check_count, expect, literal_text, overload,
};
use crate::decimal::{Rounding, drop_digits, rescale, shortest_digits};
use crate::error::BuildError;
use crate::kernel::{
    BigInt, Double, Kernel, Missing, Outcome, Span, Timestamp, binary, general, unary, unary_at,
};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

const N: DataType = DataType::BigInt;
const UNITS: &str =
    "microsecond, millisecond, second, minute, hour, day, week, month, quarter or year";

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "date_trunc",
        aliases: &["datetrunc"],
        group: Group::Time,
        rule: "The first instant of the unit that holds the time: microsecond to hour, day, week (from Monday), month, quarter or year of the zone.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["date_trunc(unit, TIMESTAMP[, zone]) -> TIMESTAMP"],
            bind: |name, args| {
                check_count(name, &args, 2, Some(3))?;
                check_unit(name, &args[0])?;
                let args = time_and_zone(name, args, 1)?;
                Ok(call(name, args, DataType::Timestamp))
            },
            kernel: truncate_kernel,
        },
    },
    Function {
        name: "date_diff",
        aliases: &["datediff"],
        group: Group::Time,
        rule: "How many unit boundaries lie after a up to b, negative if b is earlier, as in DuckDB and Snowflake: `date_diff('day', '2026-01-01 23:00', '2026-01-02 01:00')` is 1. Days and longer units are those of the zone.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["date_diff(unit, TIMESTAMP a, TIMESTAMP b[, zone]) -> BIGINT"],
            bind: bind_difference,
            kernel: difference_kernel,
        },
    },
    Function {
        name: "time_bucket",
        aliases: &["date_bin"],
        group: Group::Time,
        rule: "The greatest multiple of the interval since 1970-01-01T00:00:00Z that is not later: `floor(t / h) * h`, as HOP counts.",
        nulls: "",
        errors: "INVALID_ARGUMENT unless the interval is positive and without months",
        binding: Binding::Overloads(&[overload(
            &[DataType::Interval, DataType::Timestamp],
            &DataType::Timestamp,
            |_| binary::<Span, Timestamp, Timestamp>(bucket),
        )]),
    },
    Function {
        name: "make_timestamp",
        aliases: &["timestamp_from_parts"],
        group: Group::Time,
        rule: "`make_timestamp(year, month, day, hour, minute, seconds)` in the zone; seconds to the nearest microsecond. Of two instants with one local time the earlier.",
        nulls: "",
        errors: "INVALID_ARGUMENT if there is no such time",
        binding: Binding::Special {
            signatures: &[
                "make_timestamp(BIGINT, BIGINT, BIGINT, BIGINT, BIGINT, DOUBLE[, zone]) -> TIMESTAMP",
            ],
            bind: bind_make,
            kernel: make_kernel,
        },
    },
    Function {
        name: "make_date",
        aliases: &["date_from_parts"],
        group: Group::Time,
        rule: "`make_date(year, month, day)`.",
        nulls: "",
        errors: "INVALID_ARGUMENT if there is no such day",
        binding: Binding::Overloads(&[overload(&[N, N, N], &DataType::Date, |s| {
            general(s.result, |v| {
                let [year, month, day] = integers(&[v[0], v[1], v[2]])?;
                civil(year, month, day, 0, 0)
                    .and_then(Civil::epoch_days)
                    .map(Value::Date)
                    .ok_or(INVALID_ARGUMENT)
            })
        })]),
    },
    Function {
        name: "to_timestamp",
        aliases: &["from_unixtime", "timestamp_seconds"],
        group: Group::Time,
        rule: "The time so many seconds after 1970-01-01T00:00:00Z; a DOUBLE as it is written, to the nearest microsecond.",
        nulls: "",
        errors: "OVERFLOW outside the years 1 to 9999; INVALID_ARGUMENT of NaN",
        binding: Binding::Overloads(&[
            overload(&[N], &DataType::Timestamp, |_| {
                unary::<BigInt, Timestamp>(|n| in_time(n.checked_mul(SECOND)))
            }),
            overload(&[DataType::Double], &DataType::Timestamp, |_| {
                unary::<Double, Timestamp>(from_seconds)
            }),
        ]),
    },
    Function {
        name: "timestamp_ms",
        aliases: &["make_timestamp_ms", "timestamp_millis"],
        group: Group::Time,
        rule: "The time so many milliseconds after 1970-01-01T00:00:00Z.",
        nulls: "",
        errors: "OVERFLOW outside the years 1 to 9999",
        binding: Binding::Overloads(&[overload(&[N], &DataType::Timestamp, |_| {
            unary::<BigInt, Timestamp>(|n| in_time(n.checked_mul(1_000)))
        })]),
    },
    Function {
        name: "timestamp_us",
        aliases: &["make_timestamp_us", "timestamp_micros"],
        group: Group::Time,
        rule: "The time so many microseconds after 1970-01-01T00:00:00Z.",
        nulls: "",
        errors: "OVERFLOW outside the years 1 to 9999",
        binding: Binding::Overloads(&[overload(&[N], &DataType::Timestamp, |_| {
            unary::<BigInt, Timestamp>(|n| in_time(Some(n)))
        })]),
    },
    Function {
        name: "to_local",
        aliases: &["at_time_zone", "at_zone"],
        group: Group::Time,
        rule: "What the clocks of the zone show, as if it were UTC: `ts AT TIME ZONE 'Europe/Berlin'`.",
        nulls: "",
        errors: "OVERFLOW outside the years 1 to 9999",
        binding: Binding::Special {
            signatures: &["to_local(TIMESTAMP, zone) -> TIMESTAMP"],
            bind: bind_zoned,
            kernel: |s| {
                let zone = zone_at(s, 1);
                unary::<Timestamp, Timestamp>(move |t| {
                    Zone::utc().instant(zone.local(t)).ok_or(OVERFLOW)
                })
            },
        },
    },
    Function {
        name: "from_local",
        aliases: &[],
        group: Group::Time,
        rule: "The instant at which the clocks of the zone show this; of two the earlier.",
        nulls: "",
        errors: "INVALID_ARGUMENT if they never do: the clock was put forward over it",
        binding: Binding::Special {
            signatures: &["from_local(TIMESTAMP, zone) -> TIMESTAMP"],
            bind: bind_zoned,
            kernel: |s| {
                let zone = zone_at(s, 1);
                unary::<Timestamp, Timestamp>(move |t| {
                    zone.instant(Zone::utc().local(t)).ok_or(INVALID_ARGUMENT)
                })
            },
        },
    },
];

/// What a time is cut to and counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many microseconds, the same everywhere.
    Exact(i64),
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn named(text: &str) -> Option<Unit> {
        let lower = text.to_ascii_lowercase();
        Some(match lower.strip_suffix('s').unwrap_or(&lower) {
            "microsecond" => Unit::Exact(1),
            "millisecond" => Unit::Exact(1_000),
            "second" => Unit::Exact(SECOND),
            "minute" => Unit::Exact(MINUTE),
            "hour" => Unit::Exact(HOUR),
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Month,
            "quarter" => Unit::Quarter,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// The unit that binding made sure of.
    fn of(s: &Signature<'_>) -> Unit {
        s.constant_text(0)
            .and_then(Unit::named)
            .expect("the unit was checked when the call was bound")
    }

    fn start(self, zone: &Zone, t: i64) -> i64 {
        let first = |unit| zone.start_of(unit, t);
        match self {
            Unit::Exact(length) => {
                // Where clocks are not a whole number of hours off, hours begin elsewhere.
                let local = Zone::utc().instant(zone.local(t)).unwrap_or(t);
                t.saturating_sub(local.rem_euclid(length)).max(TIME_MIN)
            }
            Unit::Day => first(CalendarUnit::Day),
            Unit::Week => first(CalendarUnit::Week),
            Unit::Month => first(CalendarUnit::Month),
            Unit::Year => first(CalendarUnit::Year),
            Unit::Quarter => {
                let mut start = first(CalendarUnit::Month);
                while (zone.local(start).month - 1) % 3 != 0 && start > TIME_MIN {
                    start = zone.start_of(CalendarUnit::Month, start - 1);
                }
                start
            }
        }
    }

    /// The number of the unit that holds `t`.
    fn number(self, zone: &Zone, t: i64) -> Option<i64> {
        if let Unit::Exact(length) = self {
            return Some(t.div_euclid(length));
        }
        let local = zone.local(t);
        let days = || local.epoch_days().map(i64::from);
        let month = i64::from(local.year) * 12 + i64::from(local.month) - 1;
        Some(match self {
            Unit::Exact(_) | Unit::Day => days()?,
            // 1970-01-01 was a Thursday.
            Unit::Week => (days()? + 3).div_euclid(7),
            Unit::Month => month,
            Unit::Quarter => month.div_euclid(3),
            Unit::Year => i64::from(local.year),
        })
    }
}

fn check_unit(name: &str, unit: &Expr) -> Result<(), BuildError> {
    let text = literal_text(name, 0, unit, "the unit")?;
    if Unit::named(text).is_some() {
        return Ok(());
    }
    Err(BuildError::BadConstant {
        function: name.to_owned(),
        argument: 0,
        value: text.to_owned(),
        reason: "there is no such unit".to_owned(),
        hint: Some(format!("write {UNITS}")),
    })
}

fn truncate_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    let (unit, zone) = (Unit::of(s), zone_at(s, 2));
    unary_at::<Timestamp, Timestamp>(1, move |t| Ok(unit.start(&zone, t)))
}

fn bind_difference(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 3, Some(4))?;
    check_unit(name, &args[0])?;
    if let Some(zone) = args.get(3) {
        check_zone(name, 3, zone)?;
    }
    let args = args
        .into_iter()
        .enumerate()
        .map(|(i, arg)| match i {
            1 | 2 => expect(name, i, arg, &DataType::Timestamp),
            _ => Ok(arg),
        })
        .collect::<Result<_, _>>()?;
    Ok(call(name, args, N))
}

fn difference_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    let (unit, zone) = (Unit::of(s), zone_at(s, 3));
    general(s.result, move |v| match (v[1], v[2]) {
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            let number = |t| unit.number(&zone, t).ok_or(OVERFLOW);
            let difference = number(*b)?.checked_sub(number(*a)?);
            difference.map(Value::BigInt).ok_or(OVERFLOW)
        }
        _ => Err(INVALID_ARGUMENT),
    })
}

fn bind_zoned(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    Ok(call(
        name,
        time_and_zone(name, args, 0)?,
        DataType::Timestamp,
    ))
}

fn bucket(length: Interval, t: i64) -> Outcome<i64> {
    if length.months != 0 || length.micros <= 0 {
        return Err(INVALID_ARGUMENT);
    }
    in_time(t.div_euclid(length.micros).checked_mul(length.micros))
}

fn in_time(t: Option<i64>) -> Outcome<i64> {
    t.filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
        .ok_or(OVERFLOW)
}

fn from_seconds(seconds: f64) -> Outcome<i64> {
    if seconds.is_nan() {
        return Err(INVALID_ARGUMENT);
    }
    // Far more than the seconds of all time, and few digits of a number.
    if seconds.abs() > 1e12 {
        return Err(OVERFLOW);
    }
    let (digits, exponent) = shortest_digits(seconds);
    let micros = if exponent >= -6 {
        rescale(digits, exponent + 6, evenkeel_types::DECIMAL_PRECISION_MAX)?
    } else {
        drop_digits(digits, (-6 - exponent).unsigned_abs(), Rounding::HalfAway)
    };
    in_time(i64::try_from(micros).ok())
}

fn integers<const COUNT: usize>(values: &[&Value; COUNT]) -> Outcome<[i64; COUNT]> {
    let mut numbers = [0; COUNT];
    for (number, value) in numbers.iter_mut().zip(values) {
        let Value::BigInt(n) = value else {
            return Err(INVALID_ARGUMENT);
        };
        *number = *n;
    }
    Ok(numbers)
}

fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> Option<Civil> {
    Some(Civil {
        year: i16::try_from(year).ok()?,
        month: i8::try_from(month).ok()?,
        day: i8::try_from(day).ok()?,
        hour: i8::try_from(hour).ok()?,
        minute: i8::try_from(minute).ok()?,
        second: 0,
        microsecond: 0,
    })
}

fn bind_make(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 6, Some(7))?;
    let args = args
        .into_iter()
        .enumerate()
        .map(|(i, arg)| match i {
            0..=4 => expect(name, i, arg, &N),
            5 => expect(name, i, arg, &DataType::Double),
            _ => check_zone(name, i, &arg).map(|()| arg),
        })
        .collect::<Result<_, _>>()?;
    Ok(call(name, args, DataType::Timestamp))
}

fn make_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    let zone = zone_at(s, 6);
    general(s.result, move |v| {
        let [year, month, day, hour, minute] = integers(&[v[0], v[1], v[2], v[3], v[4]])?;
        let Value::Double(seconds) = v[5] else {
            return Err(INVALID_ARGUMENT);
        };
        if !(0.0..60.0).contains(seconds) {
            return Err(INVALID_ARGUMENT);
        }
        let start = civil(year, month, day, hour, minute)
            .and_then(|local| zone.instant(local))
            .ok_or(INVALID_ARGUMENT)?;
        in_time(start.checked_add(from_seconds(*seconds)?)).map(Value::Timestamp)
    })
}
