//! Lengths of time in all their spellings.

use evenkeel_types::Interval;
use evenkeel_types::time::{DAY, HOUR, MINUTE, SECOND};

use super::complaint::shortened;
use super::{Parsed, Parser};
use crate::ast::{IntervalLit, Span};
use crate::error::Diagnostic;
use crate::keyword::is_not_a_column;
use crate::lexer::{Symbol, TokenKind};
use crate::suggest::did_you_mean;

/// A unit: its names, and what one of it is.
struct Unit {
    /// The singular; the plural adds an `s`. These are keywords outside of strings too.
    name: &'static str,
    /// Other names, in strings and on the command line only. `m` is none of them: it could
    /// be a minute or a month.
    short: &'static [&'static str],
    length: Interval,
}

const fn exact(name: &'static str, short: &'static [&'static str], micros: i64) -> Unit {
    Unit {
        name,
        short,
        length: Interval::from_micros(micros),
    }
}

const fn calendar(name: &'static str, short: &'static [&'static str], months: i32) -> Unit {
    Unit {
        name,
        short,
        length: Interval::from_months(months),
    }
}

const UNITS: [Unit; 10] = [
    exact("microsecond", &["us", "usec"], 1),
    exact("millisecond", &["ms", "msec"], 1_000),
    exact("second", &["s", "sec", "secs"], SECOND),
    exact("minute", &["min", "mins"], MINUTE),
    exact("hour", &["h", "hr", "hrs"], HOUR),
    exact("day", &["d"], DAY),
    exact("week", &["w"], 7 * DAY),
    calendar("month", &["mon", "mons"], 1),
    calendar("quarter", &[], 3),
    calendar("year", &["y", "yr", "yrs"], 12),
];

impl Unit {
    fn is_named(&self, word: &str) -> bool {
        let singular = word.strip_suffix(['s', 'S']).unwrap_or(word);
        self.name.eq_ignore_ascii_case(word) || self.name.eq_ignore_ascii_case(singular)
    }

    fn keyword(word: &str) -> Option<&'static Unit> {
        UNITS.iter().find(|unit| unit.is_named(word))
    }

    fn in_text(word: &str) -> Option<&'static Unit> {
        Unit::keyword(word).or_else(|| {
            UNITS.iter().find(|unit| {
                unit.short
                    .iter()
                    .any(|short| word.eq_ignore_ascii_case(short))
            })
        })
    }
}

/// Why a text is not a length of time.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    hint: String,
}

impl Problem {
    fn new(message: String, hint: impl Into<String>) -> Self {
        Problem {
            message,
            hint: hint.into(),
        }
    }

    pub(super) fn at(self, span: Span) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(self.message, span).with_hint(self.hint))
    }
}

const EXAMPLES: &str = "write `3 hours`, `1 day 2 hours` or `01:30:00`";

/// Reads `3 hours`, `24h`, `1 day 2 hours`, `-1.5 days`, `01:30:00`.
pub(super) fn parse_length(text: &str) -> Result<Interval, Problem> {
    let mut rest = text.trim();
    let mut sum = Interval::default();
    let mut is_empty = true;
    while !rest.is_empty() {
        let (part, after) = parse_part(text, rest)?;
        sum = add(sum, part).ok_or_else(|| too_long(text))?;
        rest = after.trim_start();
        is_empty = false;
    }
    if is_empty {
        return Err(Problem::new(
            "this length of time is empty".to_owned(),
            EXAMPLES,
        ));
    }
    Ok(sum)
}

/// One number with its unit, or one `hours:minutes[:seconds]`, and the text behind it.
fn parse_part<'a>(text: &str, rest: &'a str) -> Result<(Interval, &'a str), Problem> {
    let (negative, unsigned) = match rest.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, rest.strip_prefix('+').unwrap_or(rest)),
    };
    let unsigned = unsigned.trim_start();
    let number_end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, after) = unsigned.split_at(number_end);
    if !number.bytes().any(|b| b.is_ascii_digit()) || number.matches('.').count() > 1 {
        return Err(Problem::new(
            format!("`{}` is not a length of time", shortened(text)),
            EXAMPLES,
        ));
    }
    if after.starts_with(':') {
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')
            .unwrap_or(unsigned.len());
        let (clock, after) = unsigned.split_at(end);
        let length = parse_clock(clock, negative).ok_or_else(|| {
            Problem::new(
                format!("`{}` is not a length of time", shortened(clock)),
                "write hours, minutes and seconds as `01:30:00`",
            )
        })?;
        return Ok((length, after));
    }
    let after = after.trim_start();
    let unit_end = after
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(after.len());
    let (word, after) = after.split_at(unit_end);
    let unit = Unit::in_text(word).ok_or_else(|| unknown_unit(number, word))?;
    let length = scale(number, negative, unit)?;
    Ok((length, after))
}

/// The unit that a misspelt word most likely means, in the number and case of the word.
fn near_unit(word: &str) -> Option<String> {
    let singular = word.strip_suffix(['s', 'S']).unwrap_or(word);
    let mut unit = did_you_mean(singular, UNITS.iter().map(|unit| unit.name))?.to_owned();
    if singular.len() < word.len() {
        unit.push('s');
    }
    if word.chars().all(char::is_uppercase) {
        unit.make_ascii_uppercase();
    }
    Some(unit)
}

fn unknown_unit(number: &str, word: &str) -> Problem {
    if word.is_empty() {
        return Problem::new(
            format!("`{}` has no unit", shortened(number)),
            format!(
                "say which: `{0} seconds`, `{0} minutes`, `{0} hours`, `{0} days`",
                shortened(number)
            ),
        );
    }
    let hint = if word.eq_ignore_ascii_case("m") {
        "write `min` for minutes, `mon` for months".to_owned()
    } else {
        match near_unit(word) {
            Some(unit) => format!("did you mean `{unit}`?"),
            None => {
                let names: Vec<_> = UNITS.iter().map(|unit| unit.name).collect();
                format!("the units are {}", names.join(", "))
            }
        }
    };
    Problem::new(format!("`{}` is not a unit of time", shortened(word)), hint)
}

fn too_long(text: &str) -> Problem {
    Problem::new(
        format!("`{}` is too long a time", shortened(text)),
        "years 1 to 9999 are the whole of time",
    )
}

/// `number` of a unit, exactly.
fn scale(number: &str, negative: bool, unit: &Unit) -> Result<Interval, Problem> {
    let words = || format!("{number} {}s", unit.name);
    let (digits, scale) = decimal(number).ok_or_else(|| too_long(&words()))?;
    let digits = if negative { -digits } else { digits };
    let part = |of_one: i64| -> Result<i128, Problem> {
        let product = digits
            .checked_mul(i128::from(of_one))
            .ok_or_else(|| too_long(&words()))?;
        if product % scale != 0 {
            return Err(Problem::new(
                format!(
                    "`{}` is not a whole number of microseconds or months",
                    words()
                ),
                "write it in a smaller unit",
            ));
        }
        Ok(product / scale)
    };
    let months = i32::try_from(part(i64::from(unit.length.months))?);
    let micros = i64::try_from(part(unit.length.micros)?);
    match (months, micros) {
        (Ok(months), Ok(micros)) => Ok(Interval { months, micros }),
        _ => Err(too_long(&words())),
    }
}

/// A decimal number as its digits and the power of ten to divide them by.
fn decimal(number: &str) -> Option<(i128, i128)> {
    const FRACTION_DIGITS_MAX: usize = 15;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let digits = format!("0{whole}{fraction}").parse().ok()?;
    let scale = (0..fraction.len()).fold(1, |scale, _| scale * 10);
    Some((digits, scale))
}

/// `hours:minutes[:seconds[.decimals]]`
fn parse_clock(text: &str, negative: bool) -> Option<Interval> {
    let mut parts = text.split(':');
    let hours = parts.next()?.parse::<u32>().ok()?;
    let minutes = parts.next()?.parse::<u32>().ok()?;
    let (seconds, scale) = match parts.next() {
        Some(seconds) if seconds.starts_with(|c: char| c.is_ascii_digit()) => decimal(seconds)?,
        Some(_) => return None,
        None => (0, 1),
    };
    if parts.next().is_some() || minutes > 59 || seconds >= 60 * scale {
        return None;
    }
    let of_seconds = seconds.checked_mul(i128::from(SECOND))?;
    if of_seconds % scale != 0 {
        return None;
    }
    let micros = i64::from(hours) * HOUR
        + i64::from(minutes) * MINUTE
        + i64::try_from(of_seconds / scale).ok()?;
    Some(Interval::from_micros(if negative {
        -micros
    } else {
        micros
    }))
}

fn add(a: Interval, b: Interval) -> Option<Interval> {
    Some(Interval {
        months: a.months.checked_add(b.months)?,
        micros: a.micros.checked_add(b.micros)?,
    })
}

impl Parser<'_> {
    /// Whether an `INTERVAL` literal (and not a column of that name) comes next.
    pub(super) fn at_interval_literal(&self) -> bool {
        if !self.is_word("INTERVAL") {
            return false;
        }
        if self.is_symbol_at(1, Symbol::Minus) {
            // `interval - 3` may be a difference: only a unit tells.
            let unit = self.token_at(3);
            return self.token_at(2).kind == TokenKind::Number
                && unit.kind == TokenKind::Word
                && Unit::keyword(unit.span.text(self.source)).is_some();
        }
        self.is_string_at(1) || matches!(self.token_at(1).kind, TokenKind::Number)
    }

    /// `INTERVAL '3' HOUR`, `INTERVAL '1 day 2 hours'`, `INTERVAL 3 HOUR`
    pub(super) fn interval_literal(&mut self) -> Parsed<IntervalLit> {
        let start = self.expect_word("INTERVAL", ", such as `INTERVAL '3' HOUR`")?;
        if !self.is_string_at(0) {
            let value = self.number_and_unit()?;
            return Ok(IntervalLit {
                value,
                span: self.since(start),
            });
        }
        let text = self.string("a length of time")?;
        let has_letters = text.value.chars().any(char::is_alphabetic);
        let unit = match self.kind() {
            TokenKind::Word => Unit::keyword(self.text()),
            _ => None,
        };
        if unit.is_none()
            && !has_letters
            && self.kind() == TokenKind::Word
            && near_unit(self.text()).is_some()
        {
            return Err(unknown_unit(&text.value, self.text()).at(self.span()));
        }
        let value = match unit {
            Some(unit) if !has_letters => {
                let unit_span = self.bump().span;
                if self.is_word("TO") {
                    let span = self.span().to(self.token_at(1).span);
                    return Err(Box::new(
                        Diagnostic::error("a length of time has one unit here", span)
                            .with_hint("write the parts in words: `INTERVAL '1 day 2 hours'`"),
                    ));
                }
                parse_length(&format!("{} {}", text.value.trim(), unit.name))
                    .map_err(|problem| problem.at(text.span.to(unit_span)))?
            }
            _ => parse_length(&text.value).map_err(|mut problem| {
                if text.value.trim().bytes().all(|b| b.is_ascii_digit()) {
                    problem.hint = format!("write `INTERVAL '{}' HOUR`", text.value.trim());
                }
                problem.at(text.span)
            })?,
        };
        Ok(IntervalLit {
            value,
            span: self.since(start),
        })
    }

    /// `24 HOURS`, or an `INTERVAL` literal.
    pub(super) fn length_of_time(&mut self) -> Parsed<IntervalLit> {
        if self.is_word("INTERVAL") {
            return self.interval_literal();
        }
        let start = self.span();
        let value = self.number_and_unit()?;
        Ok(IntervalLit {
            value,
            span: self.since(start),
        })
    }

    fn number_and_unit(&mut self) -> Parsed<Interval> {
        let start = self.span();
        let sign = match self.eat_symbol(Symbol::Minus) {
            Some(_) => "-",
            None => "",
        };
        if self.kind() != TokenKind::Number {
            let mut diagnostic = self.unexpected("a length of time, such as `3 HOURS`");
            if self.is_symbol(Symbol::LeftParen) {
                diagnostic.hint = Some("a length of time is a constant".to_owned());
            } else if self.is_string_at(0) {
                diagnostic.hint = Some(format!("write `INTERVAL {}`", self.text()));
            }
            return Err(diagnostic);
        }
        let number = self.text();
        self.bump();
        let unit = match self.kind() {
            TokenKind::Word => Unit::keyword(self.text()),
            _ => None,
        };
        let Some(unit) = unit else {
            let is_misspelt = self.kind() == TokenKind::Word
                && !is_not_a_column(&self.text().to_ascii_lowercase());
            let problem = if is_misspelt {
                unknown_unit(number, self.text()).at(self.span())
            } else {
                unknown_unit(number, "").at(self.since(start))
            };
            return Err(problem);
        };
        self.bump();
        parse_length(&format!("{sign}{number} {}", unit.name))
            .map_err(|problem| problem.at(self.since(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        let interval = parse_length(text).unwrap();
        assert_eq!(interval.months, 0, "{text}");
        interval.micros
    }

    #[test]
    fn lengths_are_read() {
        assert_eq!(micros("3 hours"), 3 * HOUR);
        assert_eq!(micros("24h"), DAY);
        assert_eq!(micros(" 1 day 2 HOURS "), DAY + 2 * HOUR);
        assert_eq!(micros("1d2h30min"), DAY + 2 * HOUR + 30 * MINUTE);
        assert_eq!(micros("-1.5 days"), -36 * HOUR);
        assert_eq!(micros("1 day -1 hour"), 23 * HOUR);
        assert_eq!(micros("01:30"), 90 * MINUTE);
        assert_eq!(micros("2 days 00:00:00.000001"), 2 * DAY + 1);
        assert_eq!(micros("1 week"), 7 * DAY);
        assert_eq!(micros("0.5 ms"), 500);
        assert_eq!(micros("0 seconds"), 0);
        assert_eq!(
            parse_length("1 year 1 quarter 2 months 1 day").unwrap(),
            Interval {
                months: 17,
                micros: DAY
            }
        );
        assert_eq!(parse_length("0.5 years").unwrap(), Interval::from_months(6));
    }

    #[test]
    fn what_interval_displays_is_read_back() {
        for interval in [
            Interval::default(),
            Interval::from_micros(1),
            Interval::from_micros(i64::MAX),
            Interval::from_micros(i64::MIN),
            Interval::from_months(i32::MIN),
            Interval {
                months: -13,
                micros: DAY + 5 * SECOND + 7,
            },
        ] {
            assert_eq!(parse_length(&interval.to_string()).unwrap(), interval);
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            "  ",
            "3",
            "hours",
            "3 parsecs",
            "5m",
            "3 hours ago",
            "1.5 months",
            "0.0000001 seconds",
            "1..5 hours",
            ". hours",
            "1:60",
            "1:00:60",
            "1:2:3:4",
            "1::2",
            "- hours",
            "999999999999 years",
            "99999999999999999999999999999999999999999999 days",
            "9223372036854775808 us",
            "9223372036854775807 us 1 us",
        ] {
            assert!(parse_length(text).is_err(), "{text}");
        }
    }
}
