//! Zones of the compiled-in database: instants of local times, local times of instants, and where
//! periods of the calendar start.

use std::fmt;

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::{Civil, DAY, SECOND, TIME_MAX, TIME_MIN};

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

fn to_jiff(t: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(t.clamp(TIME_MIN, TIME_MAX)).unwrap_or(jiff::Timestamp::MIN)
}

fn in_range(t: i64) -> Option<i64> {
    (TIME_MIN..=TIME_MAX).contains(&t).then_some(t)
}
