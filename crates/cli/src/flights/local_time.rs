//! From the local wall-clock times of the flights data to instants.
//!
//! The data has local times to the minute, the *scheduled* local date at the origin, and
//! nothing else: no zone, no arrival date, no offset. Knows no files. Invariant: a time that
//! the data does not determine is not invented; the reason is returned instead.

use evenkeel_types::time::{DAY, MINUTE};
use evenkeel_types::{Civil, Zone};

/// Nobody taxies longer: an arrival later than this after the landing that `air_time` implies
/// is the same wall-clock time of the next day, so the recorded one lies before the landing.
const TAXI_MAX: i64 = 12 * 60 * MINUTE;

/// Why there is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It never happened, or was not recorded.
    NotRecorded,
    /// The wall-clock time was skipped by daylight saving.
    NonExistent,
    /// The recorded arrival is before the landing (seen on the night the clocks changed).
    Contradictory,
    /// The airport's zone is not known.
    NoZone,
}

/// A time written as HHMM, in minutes; 2400 is the end of the day.
pub(crate) fn minutes(hhmm: i64) -> Option<i64> {
    let (hours, minutes) = (hhmm.div_euclid(100), hhmm.rem_euclid(100));
    ((0..24).contains(&hours) && minutes < 60 || hhmm == 2400).then_some(hours * 60 + minutes)
}

/// A flight's departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// When it should have left.
    pub(crate) scheduled_at: Option<i64>,
    /// When it left.
    pub(crate) departed_at: Result<i64, Unknown>,
}

/// `day` is the scheduled local date, days since the epoch; `left` the local time of leaving;
/// `delay` minutes. Whoever left after midnight did so on a later date than `day`: the
/// schedule, `left - delay`, says which.
pub(crate) fn departure(zone: &Zone, day: i64, left: Option<i64>, delay: Option<i64>) -> Departure {
    let (Some(left), Some(delay)) = (left.and_then(minutes), delay) else {
        return Departure {
            scheduled_at: None,
            departed_at: Err(Unknown::NotRecorded),
        };
    };
    let scheduled = day * DAY + (left - delay).rem_euclid(24 * 60) * MINUTE;
    Departure {
        scheduled_at: instant(zone, scheduled),
        departed_at: instant(zone, scheduled + delay * MINUTE).ok_or(Unknown::NonExistent),
    }
}

/// The first instant with the local time of arrival that is not before the landing:
/// `departed_at` plus the minutes in the air, where they are known.
pub(crate) fn arrival(
    zone: Option<&Zone>,
    departed_at: i64,
    air_minutes: Option<i64>,
    arrived: Option<i64>,
) -> Result<i64, Unknown> {
    let arrived = arrived.and_then(minutes).ok_or(Unknown::NotRecorded)?;
    let zone = zone.ok_or(Unknown::NoZone)?;
    let landed = departed_at + air_minutes.unwrap_or(0) * MINUTE;
    let local = local(zone, landed);
    let today = local.div_euclid(DAY) * DAY + arrived.rem_euclid(24 * 60) * MINUTE;
    for wall in [today, today + DAY] {
        match instant(zone, wall) {
            Some(t) if t >= landed => {
                // Without the minutes in the air (diverted flights) there is nothing to compare.
                let late = air_minutes.is_some() && t - landed > TAXI_MAX;
                return if late {
                    Err(Unknown::Contradictory)
                } else {
                    Ok(t)
                };
            }
            Some(_) => {}
            None if wall >= local => return Err(Unknown::NonExistent),
            None => {}
        }
    }
    Err(Unknown::Contradictory)
}

/// The zone of an airport from its standard offset in hours and its daylight saving rule:
/// `A` as in the United States, `N` none.
pub(crate) fn zone_of(offset_hours: i64, rule: &str) -> Option<&'static str> {
    Some(match (offset_hours, rule) {
        (-5, "A") => "America/New_York",
        (-6, "A") => "America/Chicago",
        (-7, "A") => "America/Denver",
        (-7, "N") => "America/Phoenix",
        (-8, "A") => "America/Los_Angeles",
        (-9, "A") => "America/Anchorage",
        (-10, "N") => "Pacific/Honolulu",
        _ => return None,
    })
}

/// Days since the epoch of a date.
pub(crate) fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    let date = Civil {
        year: i16::try_from(year).ok()?,
        month: i8::try_from(month).ok()?,
        day: i8::try_from(day).ok()?,
        hour: 0,
        minute: 0,
        second: 0,
        microsecond: 0,
    };
    Some(Zone::utc().instant(date)?.div_euclid(DAY))
}

/// A local time, as microseconds since a local 1970-01-01T00:00, as an instant.
fn instant(zone: &Zone, local: i64) -> Option<i64> {
    zone.instant(Zone::utc().local(local))
}

/// An instant as a local time, in microseconds since a local 1970-01-01T00:00.
fn local(zone: &Zone, t: i64) -> i64 {
    Zone::utc().instant(zone.local(t)).unwrap_or(t)
}

#[cfg(test)]
mod tests {
    use evenkeel_types::time::{format_timestamp, parse_timestamp};

    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    fn t(text: &str) -> i64 {
        parse_timestamp(text, &Zone::utc()).unwrap()
    }

    fn pacific() -> Zone {
        zone("America/Los_Angeles")
    }

    fn left(date: (i64, i64), hhmm: i64, delay: i64) -> (String, String) {
        let day = day(2014, date.0, date.1).unwrap();
        let d = departure(&pacific(), day, Some(hhmm), Some(delay));
        (
            format_timestamp(d.scheduled_at.unwrap()),
            format_timestamp(d.departed_at.unwrap()),
        )
    }

    #[test]
    fn hours_and_minutes() {
        assert_eq!(minutes(1), Some(1));
        assert_eq!(minutes(1359), Some(13 * 60 + 59));
        assert_eq!(minutes(2400), Some(24 * 60));
        assert_eq!([minutes(1360), minutes(2401), minutes(-1)], [None; 3]);
    }

    #[test]
    fn the_date_is_that_of_the_schedule() {
        // Scheduled at 22:25, left 96 minutes late, after midnight.
        assert_eq!(
            left((1, 1), 1, 96),
            ("2014-01-02T06:25:00Z".into(), "2014-01-02T08:01:00Z".into())
        );
        // Scheduled at 00:10 in summer, left 15 minutes early, the day before.
        assert_eq!(
            left((7, 2), 2355, -15),
            ("2014-07-02T07:10:00Z".into(), "2014-07-02T06:55:00Z".into())
        );
        // More than a day late.
        assert_eq!(left((1, 1), 953, 1553).1, "2014-01-02T17:53:00Z");
        // 2400 is the end of the day.
        assert_eq!(left((1, 9), 2400, 47).1, "2014-01-10T08:00:00Z");
    }

    #[test]
    fn cancelled_flights_never_leave() {
        let d = departure(&pacific(), 0, None, None);
        assert_eq!(d.departed_at, Err(Unknown::NotRecorded));
    }

    #[test]
    fn an_hour_that_occurs_twice_is_the_first_and_one_that_does_not_occur_is_none() {
        assert_eq!(left((11, 2), 130, 0).1, "2014-11-02T08:30:00Z");
        let day = day(2014, 3, 9).unwrap();
        let d = departure(&pacific(), day, Some(230), Some(0));
        assert_eq!(d.departed_at, Err(Unknown::NonExistent));
    }

    #[test]
    fn arrivals_are_local_to_the_destination() {
        let east = zone("America/New_York");
        let arrive = |departed: &str, air, hhmm| {
            arrival(Some(&east), t(departed), air, Some(hhmm)).map(format_timestamp)
        };
        // 22:00 in Seattle, five hours in the air, 06:20 in New York.
        assert_eq!(
            arrive("2014-01-02T06:00:00Z", Some(300), 620),
            Ok("2014-01-02T11:20:00Z".into())
        );
        // Arrives after midnight.
        assert_eq!(
            arrive("2014-01-02T00:00:00Z", Some(290), 5),
            Ok("2014-01-02T05:05:00Z".into())
        );
        // Diverted: nothing is known of the time in the air.
        assert_eq!(
            arrive("2014-01-02T06:00:00Z", None, 30),
            Ok("2014-01-03T05:30:00Z".into())
        );
        assert_eq!(
            arrive("2014-01-02T06:00:00Z", Some(300), 2500),
            Err(Unknown::NotRecorded)
        );
        assert_eq!(arrival(None, 0, None, Some(1)), Err(Unknown::NoZone));
    }

    #[test]
    fn arrivals_on_the_nights_the_clocks_change() {
        let alaska = zone("America/Anchorage");
        // The recorded 03:39 is before the landing at 04:25 (daylight saving time).
        assert_eq!(
            arrival(
                Some(&alaska),
                t("2014-03-09T08:10:00Z"),
                Some(255),
                Some(339)
            ),
            Err(Unknown::Contradictory)
        );
        assert_eq!(
            arrival(
                Some(&alaska),
                t("2014-03-09T07:47:00Z"),
                Some(180),
                Some(206)
            ),
            Err(Unknown::NonExistent)
        );
        // Landed in the second 01:50; the recorded 01:30 occurs twice, both before it.
        let pacific = pacific();
        assert_eq!(
            arrival(
                Some(&pacific),
                t("2014-11-02T08:50:00Z"),
                Some(10),
                Some(130)
            )
            .map(format_timestamp),
            Err(Unknown::Contradictory)
        );
        assert_eq!(
            arrival(
                Some(&pacific),
                t("2014-11-02T08:40:00Z"),
                Some(10),
                Some(205)
            )
            .map(format_timestamp),
            Ok("2014-11-02T10:05:00Z".into())
        );
    }
}
