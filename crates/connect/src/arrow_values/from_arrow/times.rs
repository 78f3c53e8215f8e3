//! Dates and times of every unit, and texts and counts that stand for them.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::{DataType as ArrowType, TimeUnit as ArrowUnit};
use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN, TimeError, format_timestamp, parse_date};
use evenkeel_types::{DataType, Value, Zone};

use super::scalars::texts;
use super::{Slots, numbers};
use crate::value::{Context, ValueError, read_text, time_from_count};

const DAY_MILLISECONDS: i64 = DAY / 1_000;

/// Dates, date-times that are whole days (`Date64`), and ISO texts.
pub(super) fn dates(array: &dyn Array, slots: &mut Slots) -> Option<Vec<i32>> {
    Some(match array.data_type() {
        ArrowType::Date32 => {
            let typed = array.as_primitive::<Date32Type>();
            slots.read(array, |i| date(i64::from(typed.value(i))))
        }
        ArrowType::Date64 => {
            let typed = array.as_primitive::<Date64Type>();
            slots.read(array, |i| {
                let milliseconds = typed.value(i);
                if milliseconds % DAY_MILLISECONDS != 0 {
                    let text = format!("{milliseconds} ms since 1970");
                    return Err(ValueError::inexact(&text, &DataType::Date));
                }
                date(milliseconds / DAY_MILLISECONDS)
            })
        }
        _ => texts(array, slots, |text| {
            parse_date(text).map_err(ValueError::time)
        })?,
    })
}

fn date(days: i64) -> Result<i32, ValueError> {
    i32::try_from(days)
        .ok()
        .filter(|_| (TIME_MIN / DAY..=TIME_MAX / DAY).contains(&days))
        .ok_or_else(|| ValueError::range(&format!("{days} days since 1970"), &DataType::Date))
}

/// Timestamps of any unit (without a zone: local), dates (local midnight), texts, and with a
/// time unit whole numbers.
///
/// # Errors
/// If the array holds numbers and there is no time unit.
pub(super) fn timestamps(
    array: &dyn Array,
    context: &Context<'_>,
    slots: &mut Slots,
) -> Result<Option<Vec<i64>>, String> {
    let local = context.zone != &Zone::utc();
    let place = |t: Result<i64, ValueError>, naive: bool| {
        let t = t?;
        if naive && local {
            from_local(t, context.zone)
        } else {
            Ok(t)
        }
    };
    Ok(Some(match array.data_type() {
        ArrowType::Timestamp(ArrowUnit::Second, zone) => {
            let typed = array.as_primitive::<TimestampSecondType>();
            slots.read(array, |i| {
                place(scaled(typed.value(i), 1_000_000), zone.is_none())
            })
        }
        ArrowType::Timestamp(ArrowUnit::Millisecond, zone) => {
            let typed = array.as_primitive::<TimestampMillisecondType>();
            slots.read(array, |i| {
                place(scaled(typed.value(i), 1_000), zone.is_none())
            })
        }
        ArrowType::Timestamp(ArrowUnit::Microsecond, zone) => {
            let typed = array.as_primitive::<TimestampMicrosecondType>();
            let as_they_are = typed.null_count() == 0 && !(zone.is_none() && local);
            let values = typed.values();
            // Without a way out of the loop, so that several are looked at once.
            let fits = |all: bool, t: &i64| all & (TIME_MIN..=TIME_MAX).contains(t);
            if as_they_are && values.iter().fold(true, fits) {
                return Ok(Some(values.to_vec()));
            }
            slots.read(array, |i| place(scaled(typed.value(i), 1), zone.is_none()))
        }
        ArrowType::Timestamp(ArrowUnit::Nanosecond, zone) => {
            let typed = array.as_primitive::<TimestampNanosecondType>();
            slots.read(array, |i| {
                let nanoseconds = typed.value(i);
                if nanoseconds % 1_000 != 0 {
                    return Err(ValueError::TimePrecision { nanoseconds });
                }
                place(scaled(nanoseconds / 1_000, 1), zone.is_none())
            })
        }
        ArrowType::Date32 => {
            let typed = array.as_primitive::<Date32Type>();
            slots.read(array, |i| {
                place(
                    date(i64::from(typed.value(i))).map(|d| i64::from(d) * DAY),
                    true,
                )
            })
        }
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => {
            let times = texts(array, slots, |text| {
                match read_text(&DataType::Timestamp, text, context)? {
                    Value::Timestamp(t) => Ok(t),
                    _ => Err(ValueError::syntax(text, &DataType::Timestamp)),
                }
            });
            return Ok(times);
        }
        _ => return counts(array, context, slots),
    }))
}

fn scaled(count: i64, micros: i64) -> Result<i64, ValueError> {
    count
        .checked_mul(micros)
        .filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
        .ok_or_else(|| ValueError::range(&count.to_string(), &DataType::Timestamp))
}

/// The instant of a local time that is given as if it were UTC.
fn from_local(t: i64, zone: &Zone) -> Result<i64, ValueError> {
    zone.instant(Zone::utc().local(t)).ok_or_else(|| {
        ValueError::time(TimeError::NonExistent {
            text: format_timestamp(t).trim_end_matches('Z').to_owned(),
            zone: zone.name().to_owned(),
        })
    })
}

/// Whole numbers of time units since the epoch.
fn counts(
    array: &dyn Array,
    context: &Context<'_>,
    slots: &mut Slots,
) -> Result<Option<Vec<i64>>, String> {
    let target = DataType::Timestamp;
    let numbers = match context.time_unit {
        Some(unit) => numbers::integers(array, &target, slots, |x| {
            time_from_count(i64::try_from(x).ok()?, unit)
        }),
        None => {
            let whole = numbers::integers(array, &target, slots, |x| i64::try_from(x).ok());
            if whole.is_some() {
                return Err(
                    "say what the numbers count with time_unit = 's', 'ms' or 'us'".to_owned(),
                );
            }
            None
        }
    };
    Ok(numbers)
}
