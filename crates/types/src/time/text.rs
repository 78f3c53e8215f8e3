//! Times and dates as text: read without guessing, written the same everywhere.

use super::{Civil, DAY, TIME_MAX, TIME_MIN, Zone};

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not in a known form.
    #[error("`{0}` is not a time: write 2026-01-31T12:00:00Z, with up to six decimals of a second")]
    Syntax(String),
    /// No such date, or outside the years 1 to 9999.
    #[error("`{0}` is no time of the calendar between the years 1 and 9999")]
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
