//! Images of rows in the binlog, taken apart value by value.
//!
//! Invariant: what is read is within the image, whatever its bytes are.

use std::borrow::Cow;

use crate::bytes::{Bytes, CutOff};
use crate::cell::{Cell, Clock};
use crate::charset::Charset;
use crate::json;
use crate::table_map::{MapColumn, kind};

/// Decimal digits of four bytes.
const GROUP_DIGITS: usize = 9;
/// Bytes of fewer digits.
const BYTES_OF_DIGITS: [usize; GROUP_DIGITS + 1] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const MICROS_PER_SECOND: i64 = 1_000_000;

/// How a column's values are read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) column: MapColumn,
    /// Of a text.
    pub(crate) charset: Option<Charset>,
    /// Of an ENUM or a SET, as texts.
    pub(crate) members: Vec<String>,
}

impl Reading {
    /// A value that is there.
    pub(crate) fn read<'a>(&self, bytes: &mut Bytes<'a>) -> Result<Cell<'a>, CutOff> {
        let [first, second] = self.column.meta;
        let (low, high) = (usize::from(first), usize::from(second));
        Ok(match self.column.kind {
            kind::TINY => self.integer(bytes, 1)?,
            kind::SHORT => self.integer(bytes, 2)?,
            kind::INT24 => self.integer(bytes, 3)?,
            kind::LONG => self.integer(bytes, 4)?,
            kind::LONGLONG => self.integer(bytes, 8)?,
            kind::FLOAT => Cell::Float(f32::from_bits(bytes.u32()?)),
            kind::DOUBLE => Cell::Double(f64::from_bits(bytes.unsigned(8)?)),
            kind::DECIMAL => Cell::Decimal(Cow::Owned(decimal(bytes, low, high)?)),
            kind::YEAR => match bytes.u8()? {
                0 => Cell::Signed(0),
                year => Cell::Signed(1900 + i64::from(year)),
            },
            kind::DATE | kind::NEWDATE => {
                let packed = bytes.unsigned(3)?;
                // Five, four and fifteen bits.
                Cell::Date(
                    (packed >> 9) as u16,
                    (packed >> 5 & 15) as u8,
                    (packed & 31) as u8,
                )
            }
            kind::TIME => {
                let packed = bytes.signed(3)?;
                let digits = packed.unsigned_abs() as i64;
                let seconds = digits / 10_000 * 3_600 + digits / 100 % 100 * 60 + digits % 100;
                Cell::Length(packed.signum() * seconds * MICROS_PER_SECOND)
            }
            kind::TIME2 => Cell::Length(length(bytes, low)?),
            kind::DATETIME => Cell::DateTime(old_clock(bytes.unsigned(8)?)),
            kind::DATETIME2 => Cell::DateTime(clock(bytes, low)?),
            kind::TIMESTAMP => Cell::Instant(i64::from(bytes.u32()?) * MICROS_PER_SECOND),
            kind::TIMESTAMP2 => {
                // Four bytes.
                let seconds = bytes.big_endian(4)? as i64;
                Cell::Instant(seconds * MICROS_PER_SECOND + fraction(bytes, low)?)
            }
            kind::BIT => Cell::Bits(bytes.big_endian((high * 8 + low).div_ceil(8).clamp(1, 8))?),
            kind::ENUM => {
                let number = bytes.unsigned(high.clamp(1, 2))?;
                self.member(number)
            }
            kind::SET => {
                let bits = bytes.unsigned(high.clamp(1, 8))?;
                self.set(bits)
            }
            kind::VARCHAR | kind::VAR_STRING => {
                self.text(bytes, bytes_of_length(low | high << 8))?
            }
            kind::STRING => {
                // The length of a long CHAR has two bits in the kind.
                let length = if low & 0x30 == 0x30 {
                    high
                } else {
                    high | (low & 0x30 ^ 0x30) << 4
                };
                padded(self.text(bytes, bytes_of_length(length))?, length)
            }
            kind::BLOB | kind::TINY_BLOB | kind::MEDIUM_BLOB | kind::LONG_BLOB | kind::GEOMETRY => {
                self.text(bytes, low.clamp(1, 4))?
            }
            kind::JSON => {
                let length =
                    usize::try_from(bytes.unsigned(low.clamp(1, 4))?).map_err(|_| CutOff)?;
                Cell::Text(Cow::Owned(json::text(bytes.take(length)?)?))
            }
            _ => return Err(CutOff),
        })
    }

    /// Goes past a value that nobody asks for.
    pub(crate) fn skip(&self, bytes: &mut Bytes<'_>) -> Result<(), CutOff> {
        let [low, high] = self.column.meta.map(usize::from);
        match self.column.kind {
            kind::JSON | kind::BLOB_COMPRESSED | kind::VECTOR => {
                self.text(bytes, low.clamp(1, 4)).map(drop)
            }
            kind::VARCHAR_COMPRESSED => {
                self.text(bytes, bytes_of_length(low | high << 8)).map(drop)
            }
            _ => self.read(bytes).map(drop),
        }
    }

    fn integer<'a>(&self, bytes: &mut Bytes<'a>, length: usize) -> Result<Cell<'a>, CutOff> {
        Ok(if self.column.unsigned {
            Cell::Unsigned(bytes.unsigned(length)?)
        } else {
            Cell::Signed(bytes.signed(length)?)
        })
    }

    fn text<'a>(&self, bytes: &mut Bytes<'a>, length_bytes: usize) -> Result<Cell<'a>, CutOff> {
        let length = usize::try_from(bytes.unsigned(length_bytes)?).map_err(|_| CutOff)?;
        let value = bytes.take(length)?;
        Ok(match self.charset {
            None => Cell::Bytes(Cow::Borrowed(value)),
            Some(charset) => charset.decode(value).map_or(Cell::Undecodable, Cell::Text),
        })
    }

    /// A member of an ENUM, numbered from 1; 0 is what was not valid, an empty text.
    fn member<'a>(&self, number: u64) -> Cell<'a> {
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let member = index.map_or(Some(""), |i| self.members.get(i).map(String::as_str));
        member.map_or(Cell::Undecodable, |text| {
            Cell::Text(Cow::Owned(text.to_owned()))
        })
    }

    fn set<'a>(&self, bits: u64) -> Cell<'a> {
        let members = self.members.iter().enumerate();
        let chosen = members.filter(|(i, _)| bits >> i & 1 == 1);
        let texts: Vec<&str> = chosen.map(|(_, member)| member.as_str()).collect();
        Cell::Text(Cow::Owned(texts.join(",")))
    }
}

fn bytes_of_length(length: usize) -> usize {
    if length < 256 { 1 } else { 2 }
}

/// A CHAR without the spaces behind it, a BINARY with its zeros: the log may have either way.
fn padded(cell: Cell<'_>, length: usize) -> Cell<'_> {
    match cell {
        Cell::Text(text) => Cell::Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(' ')),
            Cow::Owned(text) => Cow::Owned(text.trim_end_matches(' ').to_owned()),
        }),
        Cell::Bytes(bytes) if bytes.len() < length => {
            let mut bytes = bytes.into_owned();
            bytes.resize(length, 0);
            Cell::Bytes(Cow::Owned(bytes))
        }
        other => other,
    }
}

/// Digits in groups of nine, most significant first; the first bit is that of the sign.
pub(crate) fn decimal(
    bytes: &mut Bytes<'_>,
    precision: usize,
    scale: usize,
) -> Result<String, CutOff> {
    let whole = precision.checked_sub(scale).ok_or(CutOff)?;
    let bytes_of =
        |digits: usize| digits / GROUP_DIGITS * 4 + BYTES_OF_DIGITS[digits % GROUP_DIGITS];
    let mut copy = bytes.take(bytes_of(whole) + bytes_of(scale))?.to_vec();
    let first = copy.first_mut().ok_or(CutOff)?;
    let is_negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if is_negative {
        copy.iter_mut().for_each(|byte| *byte ^= 0xff);
    }
    let mut bytes = Bytes(&copy);
    let mut text = String::from(if is_negative { "-" } else { "" });
    let mut group = |text: &mut String, digits: usize| -> Result<(), CutOff> {
        if digits > 0 {
            let number = bytes.big_endian(BYTES_OF_DIGITS[digits])?;
            text.push_str(&format!("{number:0digits$}"));
        }
        Ok(())
    };
    group(&mut text, whole % GROUP_DIGITS)?;
    for _ in 0..whole / GROUP_DIGITS {
        group(&mut text, GROUP_DIGITS)?;
    }
    if whole == 0 {
        text.push('0');
    }
    if scale > 0 {
        text.push('.');
        for _ in 0..scale / GROUP_DIGITS {
            group(&mut text, GROUP_DIGITS)?;
        }
        group(&mut text, scale % GROUP_DIGITS)?;
    }
    Ok(without_zeros(&text))
}

/// Without zeros before the first digit, as the server writes it.
pub(crate) fn without_zeros(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let end = digits.find('.').unwrap_or(digits.len());
    let zeros = digits[..end.saturating_sub(1)]
        .bytes()
        .take_while(|b| *b == b'0')
        .count();
    format!("{sign}{}", &digits[zeros..])
}

/// Microseconds behind a time with so many digits of a second.
fn fraction(bytes: &mut Bytes<'_>, digits: usize) -> Result<i64, CutOff> {
    // At most three bytes.
    Ok(match digits {
        0 => 0,
        1 | 2 => bytes.big_endian(1)? as i64 * 10_000,
        3 | 4 => bytes.big_endian(2)? as i64 * 100,
        _ => bytes.big_endian(3)? as i64,
    })
}

/// Five bytes of bits, and a fraction.
fn clock(bytes: &mut Bytes<'_>, digits: usize) -> Result<Clock, CutOff> {
    let packed = bytes.big_endian(5)?;
    let micros = fraction(bytes, digits)?;
    let months = packed >> 22 & 0x1_ffff;
    // Parts of bits.
    Ok(Clock {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: (packed >> 17 & 31) as u8,
        hour: (packed >> 12 & 31) as u8,
        minute: (packed >> 6 & 63) as u8,
        second: (packed & 63) as u8,
        micros: u32::try_from(micros).unwrap_or(0),
    })
}

/// Decimal digits: YYYYMMDDhhmmss.
fn old_clock(digits: u64) -> Clock {
    let part = |by: u64, modulo: u64| digits / by % modulo;
    // Two digits each.
    Clock {
        year: part(10_000_000_000, 10_000) as u16,
        month: part(100_000_000, 100) as u8,
        day: part(1_000_000, 100) as u8,
        hour: part(10_000, 100) as u8,
        minute: part(100, 100) as u8,
        second: part(1, 100) as u8,
        micros: 0,
    }
}

/// Three bytes of bits and a fraction, as one number whose middle is zero.
fn length(bytes: &mut Bytes<'_>, digits: usize) -> Result<i64, CutOff> {
    let fraction_bytes = digits.min(6).div_ceil(2);
    let packed = bytes.big_endian(3 + fraction_bytes)? as i64;
    let zero = 1 << (8 * (3 + fraction_bytes) - 1);
    let packed = packed - zero;
    let (sign, packed) = (packed.signum(), packed.unsigned_abs());
    let bits = 8 * fraction_bytes;
    let (whole, fraction) = (packed >> bits, packed & ((1 << bits) - 1));
    let seconds = (whole >> 12 & 0x3ff) * 3_600 + (whole >> 6 & 63) * 60 + (whole & 63);
    let unit = [1, 10_000, 100, 1][fraction_bytes];
    // At most 838 hours.
    Ok(sign * (seconds * 1_000_000 + fraction * unit) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_as_the_server_writes_them() {
        // 1234567890.1234 as DECIMAL(14, 4), from the server's documentation.
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(
            decimal(&mut Bytes(&bytes), 14, 4).unwrap(),
            "1234567890.1234"
        );
        let negative = bytes.map(|byte| !byte);
        assert_eq!(
            decimal(&mut Bytes(&negative), 14, 4).unwrap(),
            "-1234567890.1234"
        );
        assert_eq!(decimal(&mut Bytes(&[0x80, 0]), 3, 2).unwrap(), "0.00");
        assert_eq!(decimal(&mut Bytes(&[0x85]), 2, 2).unwrap(), "0.05");
        assert_eq!(decimal(&mut Bytes(&bytes[..6]), 14, 4), Err(CutOff));
        assert_eq!(decimal(&mut Bytes(&bytes), 1, 4), Err(CutOff));
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        for kind in 0..=255 {
            for meta in [[0, 0], [1, 1], [6, 2], [65, 30], [255, 255]] {
                let reading = Reading {
                    column: MapColumn {
                        kind,
                        meta,
                        ..MapColumn::default()
                    },
                    charset: Some(Charset::Utf8),
                    members: vec!["a".to_owned()],
                };
                for bytes in [&[0xff; 12][..], &[0; 12], &[7]] {
                    // Which of both does not matter.
                    let _ = (
                        reading.read(&mut Bytes(bytes)),
                        reading.skip(&mut Bytes(bytes)),
                    );
                }
            }
        }
    }
}
