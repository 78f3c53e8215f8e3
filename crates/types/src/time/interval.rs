//! Lengths of time: whole months of the calendar and exact microseconds, and how far away they lead.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Civil, DAY, HOUR, MINUTE, SECOND, TIME_MAX, TIME_MIN, Zone};

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
