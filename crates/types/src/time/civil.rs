//! Dates and times of day with no zone: the calendar.

use jiff::civil;

use super::{DAY, HOUR, MINUTE, SECOND, Zone};

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
    pub(super) fn to_jiff(self) -> Option<civil::DateTime> {
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
    pub(super) fn as_utc(self) -> Option<i64> {
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
    pub(super) fn from_utc(t: i64) -> Self {
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
