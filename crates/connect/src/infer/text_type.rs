//! The type that fits all of some texts.

use evenkeel_types::DataType;
use evenkeel_types::Zone;
use evenkeel_types::time::{parse_date, parse_timestamp};

/// Whole numbers beyond this are not all doubles.
const DOUBLE_WHOLE_MAX: u64 = 1 << 53;

/// Which types still fit the texts that were seen.
#[derive(Clone, Debug)]
pub(crate) struct TextGuess {
    any: bool,
    boolean: bool,
    integer: bool,
    number: bool,
    date: bool,
    time: bool,
    utc: Zone,
}

impl TextGuess {
    pub(crate) fn new() -> Self {
        TextGuess {
            any: false,
            boolean: true,
            integer: true,
            number: true,
            date: true,
            time: true,
            utc: Zone::utc(),
        }
    }

    /// Takes note of a text that is not NULL.
    pub(crate) fn see(&mut self, text: &str) {
        let text = text.trim_ascii();
        self.any = true;
        self.boolean = self.boolean
            && (text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"));
        if self.integer || self.number {
            match whole(text) {
                Some(plain) => {
                    let integer = if plain {
                        text.parse::<i64>().ok()
                    } else {
                        None
                    };
                    self.integer &= integer.is_some();
                    self.number &= integer.is_some_and(|x| x.unsigned_abs() <= DOUBLE_WHOLE_MAX);
                }
                None => {
                    self.integer = false;
                    self.number = self.number && is_double(text);
                }
            }
        }
        self.date = self.date && parse_date(text).is_ok();
        self.time = self.time && parse_timestamp(text, &self.utc).is_ok();
    }

    /// The narrowest type that fits: BOOLEAN, BIGINT, DOUBLE, DATE, TIMESTAMP, else STRING.
    /// Numbers with leading zeros and whole numbers that neither BIGINT nor DOUBLE holds
    /// are STRING: they are codes.
    pub(crate) fn data_type(&self) -> DataType {
        if !self.any {
            DataType::String
        } else if self.boolean {
            DataType::Boolean
        } else if self.integer {
            DataType::BigInt
        } else if self.number {
            DataType::Double
        } else if self.date {
            DataType::Date
        } else if self.time {
            DataType::Timestamp
        } else {
            DataType::String
        }
    }
}

/// Whether a text of digits is written as numbers are; `None` if it is no text of digits.
fn whole(text: &str) -> Option<bool> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits == "0" || !digits.starts_with('0'))
}

/// Digits mean a number that a double holds, else the text must be a name such as `NaN`.
fn is_double(text: &str) -> bool {
    text.parse::<f64>()
        .is_ok_and(|x| x.is_finite() || !text.bytes().any(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_that_fits() {
        let of = |texts: &[&str]| {
            let mut guess = TextGuess::new();
            texts.iter().for_each(|t| guess.see(t));
            guess.data_type()
        };
        assert_eq!(of(&[]), DataType::String);
        assert_eq!(of(&["true", "False"]), DataType::Boolean);
        assert_eq!(of(&["1", "-20"]), DataType::BigInt);
        assert_eq!(of(&["1", "2.5", "NaN", "-inf"]), DataType::Double);
        assert_eq!(of(&["1e300"]), DataType::Double);
        assert_eq!(of(&["1e999"]), DataType::String);
        assert_eq!(of(&["007"]), DataType::String);
        assert_eq!(of(&["1.5", "007"]), DataType::String);
        assert_eq!(of(&["9223372036854775807"]), DataType::BigInt);
        assert_eq!(of(&["9223372036854775808"]), DataType::String);
        assert_eq!(of(&["9007199254740993", "1.5"]), DataType::String);
        assert_eq!(of(&["2014-01-01"]), DataType::Date);
        assert_eq!(of(&["2014-01-01", "2014-01-01 10:00"]), DataType::Timestamp);
        assert_eq!(of(&["2014-01-01", "soon"]), DataType::String);
        assert_eq!(of(&["1", "true"]), DataType::String);
    }
}
