//! Calendar arithmetic by counting days.

use evenkeel_types::{CalendarUnit, Zone};

const DAY: i64 = 86_400_000_000;
/// 0001-01-01T00:00:00Z.
pub(super) const FIRST: i64 = -719_162 * DAY;
/// The last microsecond of the year 9999.
pub(super) const LAST: i64 = 2_932_897 * DAY - 1;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date that exists.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 = (1..year).map(|y| 365 + i64::from(is_leap(y))).sum();
    let months: i64 = (1..month).map(|m| month_length(year, m)).sum();
    years + months + day - 1 - 719_162
}

/// Year, month and day of a number of days since 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let mut left = days + 719_162;
    let mut year = 1;
    while left >= 365 + i64::from(is_leap(year)) {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while left >= month_length(year, month) {
        left -= month_length(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// The same day and time some months ago; where that day does not exist, the first instant
/// of the next month; the least or the greatest number there is outside the years 1 to 9999.
pub(super) fn months_back(t: i64, months: i32) -> i64 {
    if months == 0 {
        return t;
    }
    let t = t.clamp(FIRST, LAST);
    let (mut year, mut month, day) = date_of(t.div_euclid(DAY));
    for _ in 0..months.unsigned_abs() {
        if months > 0 {
            month -= 1;
        } else {
            month += 1;
        }
        if month == 0 {
            (year, month) = (year - 1, 12);
        } else if month == 13 {
            (year, month) = (year + 1, 1);
        }
        if year < 1 {
            return i64::MIN;
        }
        if year > 9999 {
            return i64::MAX;
        }
    }
    if day <= month_length(year, month) {
        days_to(year, month, day) * DAY + t.rem_euclid(DAY)
    } else {
        // A month without that day is followed by another one of the same year.
        days_to(year, month + 1, 1) * DAY
    }
}

/// The zone's offset at an instant, microseconds.
pub(super) fn offset(zone: &Zone, t: i64) -> i64 {
    local(zone, t) - t
}

/// The local date and time, counted like an instant in UTC.
fn local(zone: &Zone, t: i64) -> i64 {
    let local = zone.local(t);
    let seconds =
        i64::from(local.hour) * 3600 + i64::from(local.minute) * 60 + i64::from(local.second);
    days_to(
        i64::from(local.year),
        i64::from(local.month),
        i64::from(local.day),
    ) * DAY
        + seconds * 1_000_000
        + i64::from(local.microsecond)
}

/// The local period of an instant: its first day, in days since 1970-01-01.
pub(super) fn period(unit: CalendarUnit, zone: &Zone, t: i64) -> i64 {
    let day = local(zone, t).div_euclid(DAY);
    let (year, month, _) = date_of(day);
    match unit {
        CalendarUnit::Day => day,
        // 1970-01-01 was a Thursday.
        CalendarUnit::Week => day - (day + 3).rem_euclid(7),
        CalendarUnit::Month => days_to(year, month, 1),
        CalendarUnit::Year => days_to(year, 1, 1),
    }
}
