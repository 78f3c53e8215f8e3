//! One value of a server's row, as what it is there, and as a value of a declared type.
//!
//! Invariant: the conversion is exact or refused, and the same whether the row came from a
//! snapshot or from the binlog.

use std::borrow::Cow;

use evenkeel_connect::{ChangeError, ValueError, text_to_value, time_text};
use evenkeel_types::time::{Civil, format_timestamp};
use evenkeel_types::{DataType, Value, Zone};

/// A value as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    /// Digits, with a sign and a point.
    Decimal(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// A text whose bytes are none in its character set.
    Undecodable,
    Bytes(Cow<'a, [u8]>),
    Bits(u64),
    /// Year, month, day.
    Date(u16, u8, u8),
    /// A date and a time of day, with no zone.
    DateTime(Clock),
    /// Microseconds since the epoch; 0 stands for a date of zeros.
    Instant(i64),
    /// A TIME, in microseconds.
    Length(i64),
}

/// A date and a time of day, possibly of zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

/// What a value depends on, beside its type.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Of times without one.
    pub(crate) zone: Zone,
    pub(crate) zero_dates_are_null: bool,
}

impl Cell<'_> {
    pub(crate) fn value(&self, wanted: &DataType, rules: &Rules) -> Result<Value, ValueError> {
        match (self, wanted) {
            (Cell::Null, _) => Ok(Value::Null),
            (Cell::Undecodable, _) => Err(ValueError::NotUtf8),
            (_, DataType::Boolean) => match self.whole() {
                Some(0) => Ok(Value::Boolean(false)),
                Some(1) => Ok(Value::Boolean(true)),
                _ => Err(self.unfit(wanted)),
            },
            (_, DataType::Int) => self.integer(wanted, |x| i32::try_from(x).ok().map(Value::Int)),
            (Cell::Length(micros), DataType::BigInt) => Ok(Value::BigInt(*micros)),
            (_, DataType::BigInt) => {
                self.integer(wanted, |x| i64::try_from(x).ok().map(Value::BigInt))
            }
            (Cell::Float(x), DataType::Float) => Ok(Value::float(*x)),
            (Cell::Float(x), DataType::Double) => Ok(Value::double(f64::from(*x))),
            (Cell::Double(x), DataType::Double) => Ok(Value::double(*x)),
            (Cell::Decimal(text), DataType::Decimal { .. }) => {
                text_to_value(wanted, text, &rules.zone)
            }
            (Cell::Signed(_) | Cell::Unsigned(_), DataType::Decimal { .. }) => {
                text_to_value(wanted, &self.shown(), &rules.zone)
            }
            (Cell::Text(text) | Cell::Decimal(text), DataType::String) => {
                Ok(Value::string(text.as_ref()))
            }
            (Cell::Length(micros), DataType::String) => Ok(Value::string(time_text(*micros))),
            (Cell::Bytes(bytes), DataType::Bytes) => Ok(Value::Bytes(bytes.as_ref().into())),
            (Cell::Date(year, month, day), DataType::Date) => {
                let clock = Clock {
                    year: *year,
                    month: *month,
                    day: *day,
                    ..Clock::default()
                };
                self.dated(clock, rules, |civil| civil.epoch_days().map(Value::Date))
            }
            (Cell::DateTime(clock), DataType::Timestamp) => self.dated(*clock, rules, |civil| {
                rules.zone.instant(civil).map(Value::Timestamp)
            }),
            (Cell::Instant(0), DataType::Timestamp) => self.zero(rules),
            (Cell::Instant(micros), DataType::Timestamp) => Ok(Value::Timestamp(*micros)),
            _ => Err(self.unfit(wanted)),
        }
    }

    fn whole(&self) -> Option<i128> {
        Some(match self {
            Cell::Signed(x) => i128::from(*x),
            Cell::Unsigned(x) | Cell::Bits(x) => i128::from(*x),
            _ => return None,
        })
    }

    fn integer(
        &self,
        wanted: &DataType,
        of: impl Fn(i128) -> Option<Value>,
    ) -> Result<Value, ValueError> {
        let whole = self.whole().ok_or_else(|| self.unfit(wanted))?;
        of(whole).ok_or_else(|| ValueError::Range {
            text: whole.to_string(),
            data_type: wanted.to_string(),
        })
    }

    fn dated(
        &self,
        clock: Clock,
        rules: &Rules,
        of: impl Fn(Civil) -> Option<Value>,
    ) -> Result<Value, ValueError> {
        if clock.month == 0 || clock.day == 0 {
            return self.zero(rules);
        }
        let date = || ValueError::Change {
            source: ChangeError::NoDate(self.shown()),
        };
        // A server's parts of dates fit.
        let civil = Civil {
            year: i16::try_from(clock.year).map_err(|_| date())?,
            month: clock.month as i8,
            day: clock.day as i8,
            hour: clock.hour as i8,
            minute: clock.minute as i8,
            second: clock.second as i8,
            microsecond: clock.micros as i32,
        };
        of(civil).ok_or_else(date)
    }

    fn zero(&self, rules: &Rules) -> Result<Value, ValueError> {
        if rules.zero_dates_are_null {
            return Ok(Value::Null);
        }
        Err(ValueError::Change {
            source: ChangeError::ZeroDate(self.shown()),
        })
    }

    fn unfit(&self, wanted: &DataType) -> ValueError {
        ValueError::Syntax {
            text: self.shown(),
            data_type: wanted.to_string(),
        }
    }

    /// For dead letters and errors.
    pub(crate) fn shown(&self) -> String {
        match self {
            Cell::Null => "NULL".to_owned(),
            Cell::Signed(x) => x.to_string(),
            Cell::Unsigned(x) | Cell::Bits(x) => x.to_string(),
            Cell::Float(x) => x.to_string(),
            Cell::Double(x) => x.to_string(),
            Cell::Decimal(text) | Cell::Text(text) => text.to_string(),
            Cell::Undecodable => "?".to_owned(),
            Cell::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Cell::Date(year, month, day) => format!("{year:04}-{month:02}-{day:02}"),
            Cell::DateTime(clock) => clock.to_string(),
            Cell::Instant(0) => Clock::default().to_string(),
            Cell::Instant(micros) => format_timestamp(*micros),
            Cell::Length(micros) => time_text(*micros),
        }
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Clock {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
        } = self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )?;
        if *micros > 0 {
            write!(f, ".{micros:06}")?;
        }
        Ok(())
    }
}
