//! Schedules in the five fields of cron: minute, hour, day of the month, month, day of the week.
//!
//! Invariant: a moment is a whole minute in the schedule's zone. A local time that does not exist
//! is left out, one that comes twice is the earlier of the two.

use std::fmt;

use crate::time::{Civil, Zone};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// The 29th of February comes again within eight years.
const DAYS_MAX: i64 = 8 * 366;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When something runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    text: String,
    zone: Zone,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Of both kinds of day, either is enough, unless one is `*`.
    any_day: bool,
    any_weekday: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError(String);

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// Reads a schedule: `0 3 * * *`, `*/15 6-22 * * MON-FRI`.
    ///
    /// # Errors
    /// If it has not five fields, or one of them is not understood.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(ScheduleError(format!(
                "`{text}` has {} fields; a schedule has five: minute, hour, day of the month, month, day of the week",
                fields.len()
            )));
        };
        let of_week = field(weekdays, "day of the week", 0..=7, &WEEKDAYS)?;
        Ok(Schedule {
            text: fields.join(" "),
            zone: zone.clone(),
            minutes: field(minutes, "minute", 0..=59, &[])?,
            hours: field(hours, "hour", 0..=23, &[])?,
            days: field(days, "day of the month", 1..=31, &[])?,
            months: field(months, "month", 1..=12, &MONTHS)?,
            // Sunday is 0 and 7.
            weekdays: (of_week | of_week >> 7) & 0x7f,
            any_day: days.starts_with('*'),
            any_weekday: weekdays.starts_with('*'),
        })
    }

    /// Its five fields.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone whose clock it follows.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The last moment of the schedule that is not after `t`; none within eight years.
    pub fn last_until(&self, t: i64) -> Option<i64> {
        let local = as_utc(self.zone.local(t))?;
        // The zone's offset may have changed since: a day more on that side.
        let newest = local.div_euclid(DAY) + 1;
        (newest - DAYS_MAX..=newest)
            .rev()
            .filter(|day| self.has_day(day * DAY))
            .find_map(|day| self.moments(day).rev().find(|moment| *moment <= t))
    }

    /// The first moment of the schedule after `t`; none within eight years.
    pub fn first_after(&self, t: i64) -> Option<i64> {
        let local = as_utc(self.zone.local(t))?;
        let oldest = local.div_euclid(DAY) - 1;
        (oldest..=oldest + DAYS_MAX)
            .filter(|day| self.has_day(day * DAY))
            .find_map(|day| self.moments(day).find(|moment| *moment > t))
    }

    /// The moments of a local day, in order but for changes of the zone's offset.
    fn moments(&self, day: i64) -> impl DoubleEndedIterator<Item = i64> + '_ {
        let minutes = (0..24 * 60)
            .filter(|minute: &i64| has(self.hours, minute / 60) && has(self.minutes, minute % 60));
        minutes.filter_map(move |minute| {
            let civil = Zone::utc().local(day * DAY + minute * MINUTE);
            self.zone.instant(civil)
        })
    }

    fn has_day(&self, midnight: i64) -> bool {
        let civil = Zone::utc().local(midnight);
        let weekday = civil.iso_weekday().map_or(0, |day| i64::from(day) % 7);
        let (day, weekday) = (
            has(self.days, i64::from(civil.day)),
            has(self.weekdays, weekday),
        );
        has(self.months, i64::from(civil.month))
            && match (self.any_day, self.any_weekday) {
                (false, false) => day || weekday,
                _ => day && weekday,
            }
    }
}

fn as_utc(civil: Civil) -> Option<i64> {
    Zone::utc().instant(civil)
}

fn has(set: u64, number: i64) -> bool {
    (0..64).contains(&number) && set >> number & 1 == 1
}

/// The numbers of a field as bits.
fn field(
    text: &str,
    what: &str,
    range: std::ops::RangeInclusive<u32>,
    names: &[&str],
) -> Result<u64, ScheduleError> {
    let wrong = |part: &str| {
        ScheduleError(format!(
            "`{part}` is no {what}: it is {} to {}, `*`, a list, a range or a step such as `*/5`",
            range.start(),
            range.end()
        ))
    };
    let number = |part: &str| -> Option<u32> {
        let named = names
            .iter()
            .position(|name| part.eq_ignore_ascii_case(name));
        let first = *range.start();
        let named = named.map(|at| u32::try_from(at).unwrap_or(0) + first);
        let number = named.or_else(|| part.parse().ok())?;
        range.contains(&number).then_some(number)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (numbers, step) = match part.split_once('/') {
            None => (part, 1),
            Some((numbers, step)) => {
                let step = step.parse().ok().filter(|s: &u32| *s > 0);
                (numbers, step.ok_or_else(|| wrong(part))?)
            }
        };
        let (first, last) = match numbers.split_once('-') {
            _ if numbers == "*" => (*range.start(), *range.end()),
            Some((first, last)) => (
                number(first).ok_or_else(|| wrong(part))?,
                number(last).ok_or_else(|| wrong(part))?,
            ),
            None => {
                let only = number(numbers).ok_or_else(|| wrong(part))?;
                (
                    only,
                    if part.contains('/') {
                        *range.end()
                    } else {
                        only
                    },
                )
            }
        };
        if first > last {
            return Err(wrong(part));
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        for number in (first..=last).step_by(step) {
            set |= 1u64 << number;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{format_timestamp, parse_timestamp};

    fn last(text: &str, zone: &str, t: &str) -> String {
        let zone = Zone::named(zone).unwrap();
        let t = parse_timestamp(t, &Zone::utc()).unwrap();
        let schedule = Schedule::parse(text, &zone).unwrap();
        let last = schedule.last_until(t).unwrap();
        // The naive way: the first after a moment before it is it, and none lies in between.
        assert_eq!(schedule.first_after(last - 1), Some(last));
        assert!(schedule.first_after(last).unwrap() > t);
        format_timestamp(last)
    }

    #[test]
    fn the_last_moment_is_found() {
        let utc = |text, t| last(text, "UTC", t);
        assert_eq!(
            utc("0 3 * * *", "2026-03-01T03:00:00Z"),
            "2026-03-01T03:00:00Z"
        );
        assert_eq!(
            utc("0 3 * * *", "2026-03-01T02:59:59Z"),
            "2026-02-28T03:00:00Z"
        );
        assert_eq!(
            utc("*/15 * * * *", "2026-03-01T02:59:59Z"),
            "2026-03-01T02:45:00Z"
        );
        assert_eq!(
            utc("5/20 6-8 * * *", "2026-03-01T10:00:00Z"),
            "2026-03-01T08:45:00Z"
        );
        assert_eq!(
            utc("0 0 * * MON", "2026-03-01T10:00:00Z"),
            "2026-02-23T00:00:00Z"
        );
        assert_eq!(
            utc("0 0 * * 7", "2026-03-04T10:00:00Z"),
            "2026-03-01T00:00:00Z"
        );
        assert_eq!(
            utc("0 0 29 2 *", "2026-03-01T10:00:00Z"),
            "2024-02-29T00:00:00Z"
        );
        // Either kind of day.
        assert_eq!(
            utc("0 0 1 * FRI", "2026-03-05T10:00:00Z"),
            "2026-03-01T00:00:00Z"
        );
        assert_eq!(
            utc("0 0 1 * FRI", "2026-03-07T10:00:00Z"),
            "2026-03-06T00:00:00Z"
        );
        assert_eq!(
            utc("0 0 1 jan,jul *", "2026-03-07T10:00:00Z"),
            "2026-01-01T00:00:00Z"
        );
    }

    #[test]
    fn it_follows_the_clock_of_its_zone() {
        let berlin = |text, t| last(text, "Europe/Berlin", t);
        assert_eq!(
            berlin("0 3 * * *", "2026-01-10T12:00:00Z"),
            "2026-01-10T02:00:00Z"
        );
        assert_eq!(
            berlin("0 3 * * *", "2026-07-10T12:00:00Z"),
            "2026-07-10T01:00:00Z"
        );
        // 2:30 does not exist on 29 March, and comes twice on 25 October.
        assert_eq!(
            berlin("30 2 * * *", "2026-03-29T12:00:00Z"),
            "2026-03-28T01:30:00Z"
        );
        assert_eq!(
            berlin("30 2 * * *", "2026-10-25T12:00:00Z"),
            "2026-10-25T00:30:00Z"
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "a * * * *",
            "5-3 * * * *",
            "*/0 * * * *",
            "1,,2 * * * *",
            "- * * * *",
            "-1 * * * *",
            "1/x * * * *",
        ] {
            assert!(Schedule::parse(text, &Zone::utc()).is_err(), "{text}");
        }
        let never = Schedule::parse("0 0 31 2 *", &Zone::utc()).unwrap();
        assert_eq!(never.last_until(0), None);
    }
}
