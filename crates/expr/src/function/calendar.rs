//! Parts of times, in UTC or in a zone of the compiled-in database. The zone is a constant,
//! so that a wrong one is refused when the definition is applied.

use std::sync::Arc;

use evenkeel_types::time::{Civil, Zone};
use evenkeel_types::{DataType, ErrorReason, Expr};

use super::{
    Binding, Function, Group, Signature, call, check_count, expect, literal_text, overload,
};
use crate::decimal::to_double;
use crate::error::BuildError;
use crate::kernel::{BigInt, Double, Kernel, Missing, Timestamp, unary};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const TIME: &[DataType] = &[DataType::Timestamp];

pub(super) static FUNCTIONS: &[Function] = &[
    part(
        "year",
        &[],
        &["year(TIMESTAMP[, zone]) -> BIGINT"],
        "The year.",
        |s| kernel(s, |c| Some(i64::from(c.year))),
    ),
    part(
        "quarter",
        &[],
        &["quarter(TIMESTAMP[, zone]) -> BIGINT"],
        "The quarter of the year, 1 to 4.",
        |s| kernel(s, |c| Some((i64::from(c.month) - 1) / 3 + 1)),
    ),
    part(
        "month",
        &[],
        &["month(TIMESTAMP[, zone]) -> BIGINT"],
        "The month, 1 to 12.",
        |s| kernel(s, |c| Some(i64::from(c.month))),
    ),
    part(
        "week",
        &["weekofyear", "week_of_year", "isoweek", "weekiso"],
        &["week(TIMESTAMP[, zone]) -> BIGINT"],
        "The ISO 8601 week, 1 to 53: weeks begin on Monday, week 1 has the year's first Thursday.",
        |s| kernel(s, |c| c.iso_week().map(i64::from)),
    ),
    part(
        "iso_year",
        &["isoyear", "yearofweekiso"],
        &["iso_year(TIMESTAMP[, zone]) -> BIGINT"],
        "The year that the ISO 8601 week belongs to.",
        |s| kernel(s, iso_year),
    ),
    part(
        "day",
        &["dayofmonth", "day_of_month"],
        &["day(TIMESTAMP[, zone]) -> BIGINT"],
        "The day of the month, from 1.",
        |s| kernel(s, |c| Some(i64::from(c.day))),
    ),
    part(
        "day_of_week",
        &["isodow", "dayofweekiso"],
        &["day_of_week(TIMESTAMP[, zone]) -> BIGINT"],
        "The day of the ISO week: Monday 1 to Sunday 7.",
        |s| kernel(s, |c| c.iso_weekday().map(i64::from)),
    ),
    part(
        "day_of_year",
        &["dayofyear", "doy"],
        &["day_of_year(TIMESTAMP[, zone]) -> BIGINT"],
        "The day of the year, from 1.",
        |s| kernel(s, |c| c.day_of_year().map(i64::from)),
    ),
    part(
        "hour",
        &[],
        &["hour(TIMESTAMP[, zone]) -> BIGINT"],
        "The hour, 0 to 23.",
        |s| kernel(s, |c| Some(i64::from(c.hour))),
    ),
    part(
        "minute",
        &[],
        &["minute(TIMESTAMP[, zone]) -> BIGINT"],
        "The minute, 0 to 59.",
        |s| kernel(s, |c| Some(i64::from(c.minute))),
    ),
    part(
        "second",
        &[],
        &["second(TIMESTAMP[, zone]) -> BIGINT"],
        "The whole second, 0 to 59.",
        |s| kernel(s, |c| Some(i64::from(c.second))),
    ),
    part(
        "microsecond",
        &[],
        &["microsecond(TIMESTAMP[, zone]) -> BIGINT"],
        "The microsecond within the second, 0 to 999,999.",
        |s| kernel(s, |c| Some(i64::from(c.microsecond))),
    ),
    Function {
        name: "date_part",
        aliases: &["extract", "datepart"],
        group: Group::Time,
        rule: "The part of that name, by its own function below: `EXTRACT(hour FROM ts)` is `hour(ts)`.",
        nulls: "",
        errors: "",
        binding: Binding::Form {
            signatures: &[
                "date_part(part, TIMESTAMP[, zone]): BIGINT, or DOUBLE of epoch",
                "EXTRACT(part FROM TIMESTAMP)",
            ],
            bind: bind_date_part,
        },
    },
    Function {
        name: "epoch",
        aliases: &["epoch_seconds"],
        group: Group::Time,
        rule: "Seconds since 1970-01-01T00:00:00Z, the nearest DOUBLE.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[overload(TIME, &DataType::Double, |_| {
            unary::<Timestamp, Double>(|t| Ok(to_double(i128::from(t), 6)))
        })]),
    },
    Function {
        name: "epoch_ms",
        aliases: &["epoch_millis"],
        group: Group::Time,
        rule: "Whole milliseconds since 1970-01-01T00:00:00Z, the greatest number not later.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[overload(TIME, &DataType::BigInt, |_| {
            unary::<Timestamp, BigInt>(|t| Ok(t.div_euclid(1_000)))
        })]),
    },
    Function {
        name: "epoch_us",
        aliases: &["epoch_micros"],
        group: Group::Time,
        rule: "Microseconds since 1970-01-01T00:00:00Z.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[overload(TIME, &DataType::BigInt, |_| {
            unary::<Timestamp, BigInt>(Ok)
        })]),
    },
];

const fn part(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    rule: &'static str,
    kernel: fn(&Signature<'_>) -> Arc<dyn Kernel>,
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Time,
        rule,
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures,
            bind: bind_part,
            kernel,
        },
    }
}

/// The functions that `date_part` reads as.
const PARTS: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week",
    "iso_year",
    "day",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "second",
    "microsecond",
    "epoch",
];

fn bind_date_part(name: &'static str, mut args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(3))?;
    let part = args.remove(0);
    let text = literal_text(name, 0, &part, "the part")?;
    let lower = text.to_ascii_lowercase();
    let found = super::find(&lower)
        .or_else(|| super::find(lower.strip_suffix('s').unwrap_or(&lower)))
        .filter(|f| PARTS.contains(&f.name));
    let Some(function) = found else {
        let elsewhere = super::unknown(&lower).hint();
        return Err(BuildError::BadConstant {
            function: name.to_owned(),
            argument: 0,
            value: text.to_owned(),
            reason: "there is no such part of a time".to_owned(),
            hint: elsewhere.or_else(|| Some(format!("write one of {}", PARTS.join(", ")))),
        });
    };
    // The part came before the others.
    function.bind(args).map_err(|e| e.with_arguments_after(1))
}

fn bind_part(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, Some(2))?;
    Ok(call(name, time_and_zone(name, args, 0)?, DataType::BigInt))
}

/// The arguments, where `args[at]` is a TIMESTAMP and after it may come a zone.
pub(super) fn time_and_zone(
    name: &str,
    args: Vec<Expr>,
    at: usize,
) -> Result<Vec<Expr>, BuildError> {
    args.into_iter()
        .enumerate()
        .map(|(i, arg)| {
            if i == at {
                expect(name, i, arg, &DataType::Timestamp)
            } else {
                if i > at {
                    check_zone(name, i, &arg)?;
                }
                Ok(arg)
            }
        })
        .collect()
}

/// A zone is a constant and exists.
pub(super) fn check_zone(name: &str, argument: usize, expr: &Expr) -> Result<(), BuildError> {
    let text = literal_text(name, argument, expr, "the time zone")?;
    if Zone::named(text).is_some() {
        return Ok(());
    }
    Err(BuildError::BadConstant {
        function: name.to_owned(),
        argument,
        value: text.to_owned(),
        reason: "there is no such time zone".to_owned(),
        hint: Some(
            "write an IANA name such as `Europe/Berlin`, `UTC` or an offset such as `+02:00`"
                .to_owned(),
        ),
    })
}

/// The zone at a position, UTC if it was not given.
pub(super) fn zone_at(s: &Signature<'_>, i: usize) -> Zone {
    s.constant_text(i)
        .and_then(Zone::named)
        .unwrap_or_else(Zone::utc)
}

fn kernel(
    s: &Signature<'_>,
    part: impl Fn(Civil) -> Option<i64> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    let zone = zone_at(s, 1);
    // A zone's offset may carry the last hours of 9999 into a year that no date has.
    unary::<Timestamp, BigInt>(move |t| part(zone.local(t)).ok_or(OVERFLOW))
}

fn iso_year(c: Civil) -> Option<i64> {
    let year = i64::from(c.year);
    Some(match (c.iso_week()?, c.month) {
        (52.., 1) => year - 1,
        (1, 12) => year + 1,
        _ => year,
    })
}
