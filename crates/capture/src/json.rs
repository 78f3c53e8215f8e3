//! MySQL's binary JSON as the text that MySQL itself writes.
//!
//! The layout is that of MySQL's `json_binary.h`: a kind, and for arrays and objects how many there are, how
//! many bytes, where each key and value begins. Invariant: the text is that of `CAST(value AS CHAR)`, byte
//! for byte; what is read is within the bytes, and takes time and memory by their number, whatever
//! they point at.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bytes::{Bytes, CutOff};
use crate::image::decimal;
use crate::table_map::kind;

const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// Levels that the server allows.
const DEPTH_MAX: usize = 100;
/// More digits than these before the point, or zeros behind it, and a number is written with an exponent.
const POINT_DIGITS_MAX: i32 = 15;
/// The server breaks lines of base64 here.
const BASE64_LINE: usize = 76;

/// The text of a value.
pub(crate) fn text(bytes: &[u8]) -> Result<String, CutOff> {
    let Some((kind, rest)) = bytes.split_first() else {
        // What an INSERT IGNORE makes of NULL.
        return Ok("null".to_owned());
    };
    let mut writer = Writer {
        text: String::with_capacity(bytes.len()),
        values_left: bytes.len(),
        bytes_left: bytes.len(),
    };
    writer.value(*kind, rest, 0)?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    /// Values and bytes of texts that there can still be: nothing is pointed at twice.
    values_left: usize,
    bytes_left: usize,
}

impl Writer {
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<(), CutOff> {
        self.values_left = self.values_left.checked_sub(1).ok_or(CutOff)?;
        if depth > DEPTH_MAX {
            return Err(CutOff);
        }
        let mut data = Bytes(bytes);
        match kind {
            SMALL_OBJECT => self.object(bytes, Width::Small, depth)?,
            LARGE_OBJECT => self.object(bytes, Width::Large, depth)?,
            SMALL_ARRAY => self.array(bytes, Width::Small, depth)?,
            LARGE_ARRAY => self.array(bytes, Width::Large, depth)?,
            LITERAL => self.text.push_str(match data.u8()? {
                0 => "null",
                1 => "true",
                2 => "false",
                _ => return Err(CutOff),
            }),
            INT16 => self.number(data.signed(2)?),
            INT32 => self.number(data.signed(4)?),
            INT64 => self.number(data.signed(8)?),
            UINT16 => self.number(data.unsigned(2)?),
            UINT32 => self.number(data.unsigned(4)?),
            UINT64 => self.number(data.unsigned(8)?),
            DOUBLE => {
                let number = f64::from_bits(data.unsigned(8)?);
                self.text.push_str(&double(number).ok_or(CutOff)?);
            }
            STRING => {
                let text = self.lengthy(&mut data)?;
                self.quote(std::str::from_utf8(text).map_err(|_| CutOff)?);
            }
            OPAQUE => {
                let kind = data.u8()?;
                let value = self.lengthy(&mut data)?;
                self.opaque(kind, value)?;
            }
            _ => return Err(CutOff),
        }
        Ok(())
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{number}");
    }

    fn array(&mut self, bytes: &[u8], width: Width, depth: usize) -> Result<(), CutOff> {
        let (count, mut entries, all) = width.begin(bytes)?;
        self.text.push('[');
        for i in 0..count {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.entry(&mut entries, all, width, depth)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn object(&mut self, bytes: &[u8], width: Width, depth: usize) -> Result<(), CutOff> {
        let (count, mut keys, all) = width.begin(bytes)?;
        let key_bytes = count.checked_mul(width.bytes() + 2).ok_or(CutOff)?;
        let mut entries = Bytes(keys.0.get(key_bytes..).ok_or(CutOff)?);
        self.text.push('{');
        for i in 0..count {
            if i > 0 {
                self.text.push_str(", ");
            }
            let from = width.number(&mut keys)?;
            let length = usize::from(keys.u16()?);
            self.bytes_left = self.bytes_left.checked_sub(length).ok_or(CutOff)?;
            let key = Bytes(all.get(from..).ok_or(CutOff)?).take(length)?;
            self.quote(std::str::from_utf8(key).map_err(|_| CutOff)?);
            self.text.push_str(": ");
            self.entry(&mut entries, all, width, depth)?;
        }
        self.text.push('}');
        Ok(())
    }

    /// A value of an array or an object: where it is, or itself if it is that short.
    fn entry(
        &mut self,
        entries: &mut Bytes<'_>,
        all: &[u8],
        width: Width,
        depth: usize,
    ) -> Result<(), CutOff> {
        let kind = entries.u8()?;
        let place = entries.take(width.bytes())?;
        let is_here = match kind {
            LITERAL | INT16 | UINT16 => true,
            INT32 | UINT32 => width == Width::Large,
            _ => false,
        };
        if is_here {
            return self.value(kind, place, depth + 1);
        }
        let from = width.number(&mut Bytes(place))?;
        self.value(kind, all.get(from..).ok_or(CutOff)?, depth + 1)
    }

    /// As many bytes as a number before them says, seven bits of it in each byte.
    fn lengthy<'a>(&mut self, bytes: &mut Bytes<'a>) -> Result<&'a [u8], CutOff> {
        let mut length = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = bytes.u8()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let length = usize::try_from(length).map_err(|_| CutOff)?;
                self.bytes_left = self.bytes_left.checked_sub(length).ok_or(CutOff)?;
                return bytes.take(length);
            }
        }
        Err(CutOff)
    }

    /// A value of one of the server's other types.
    fn opaque(&mut self, kind: u8, value: &[u8]) -> Result<(), CutOff> {
        let mut data = Bytes(value);
        match kind {
            kind::DECIMAL => {
                let (precision, scale) = (data.u8()?, data.u8()?);
                let number = decimal(&mut data, usize::from(precision), usize::from(scale))?;
                self.text.push_str(&number);
            }
            kind::DATE => {
                let day = Moment::of(data.signed(8)?).day();
                self.quote(&day);
            }
            kind::DATETIME | kind::TIMESTAMP => {
                let moment = Moment::of(data.signed(8)?);
                self.quote(&format!("{} {}", moment.day(), moment.time(HOURS_OF_DAY)));
            }
            kind::TIME => {
                let packed = data.signed(8)?;
                let sign = if packed < 0 { "-" } else { "" };
                let time = Moment::of(packed).time(HOURS_OF_LENGTH);
                self.quote(&format!("{sign}{time}"));
            }
            other => {
                let encoded = STANDARD.encode(value);
                let mut shown = format!("base64:type{other}:");
                for (i, line) in encoded.as_bytes().chunks(BASE64_LINE).enumerate() {
                    if i > 0 {
                        shown.push('\n');
                    }
                    shown.extend(line.iter().map(|byte| char::from(*byte)));
                }
                self.quote(&shown);
            }
        }
        Ok(())
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\u{8}' => self.text.push_str("\\b"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\u{c}' => self.text.push_str("\\f"),
                '\r' => self.text.push_str("\\r"),
                '\0'..='\x1f' => self.number(format_args!("\\u{:04x}", u32::from(c))),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

/// How wide numbers of places are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Small,
    Large,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Width::Small => 2,
            Width::Large => 4,
        }
    }

    fn number(self, bytes: &mut Bytes<'_>) -> Result<usize, CutOff> {
        usize::try_from(bytes.unsigned(self.bytes())?).map_err(|_| CutOff)
    }

    /// How many there are, the entries, and the bytes from which places are counted.
    fn begin(self, bytes: &[u8]) -> Result<(usize, Bytes<'_>, &[u8]), CutOff> {
        let mut entries = Bytes(bytes);
        let count = self.number(&mut entries)?;
        let length = self.number(&mut entries)?;
        let all = bytes.get(..length).ok_or(CutOff)?;
        let entries = all.get(2 * self.bytes()..).ok_or(CutOff)?;
        Ok((count, Bytes(entries), all))
    }
}

/// Bits of the hours of a day, before which is the date, and of a length of time.
const HOURS_OF_DAY: u64 = 0x1f;
const HOURS_OF_LENGTH: u64 = 0x3ff;

/// A date and a time of day, or a length of time without its sign, as bits.
struct Moment {
    packed: u64,
}

impl Moment {
    fn of(packed: i64) -> Self {
        Moment {
            packed: packed.unsigned_abs(),
        }
    }

    fn day(&self) -> String {
        let day = self.packed >> 41;
        let months = day >> 5;
        format!("{:04}-{:02}-{:02}", months / 13, months % 13, day & 31)
    }

    fn time(&self, hours_mask: u64) -> String {
        let (whole, micros) = (self.packed >> 24, self.packed & 0xff_ffff);
        let hours = whole >> 12 & hours_mask;
        let (minutes, seconds) = (whole >> 6 & 63, whole & 63);
        format!("{hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
    }
}

/// A number as the server writes it: the shortest digits that are read as the same, with an exponent
/// if there were many zeros; with a point in any case. None: it is no number.
fn double(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    // One digit, a point, the others, and an exponent. Where two of so many digits are equally near, the server has the
    // even one.
    let shortest = format!("{:e}", number.abs());
    let behind = shortest.find('e')?.saturating_sub("0.".len());
    let even = format!("{:.behind$e}", number.abs());
    let is_same = even.parse() == Ok(number.abs());
    let written = if is_same { even } else { shortest };
    let (mantissa, exponent) = written.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let digits = mantissa.replace('.', "");
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let whole = exponent + 1;
    if number == 0.0 {
        return Some(format!("{sign}0.0"));
    }
    let count = i32::try_from(digits.len()).ok()?;
    // What has digits behind the point is written with it, however large it is.
    if whole <= -POINT_DIGITS_MAX || whole > POINT_DIGITS_MAX && count <= whole {
        return Some(format!("{sign}{mantissa}e{exponent}"));
    }
    Some(if whole <= 0 {
        format!("{sign}0.{}{digits}", zeros(-whole))
    } else if whole >= count {
        format!("{sign}{digits}{}.0", zeros(whole - count))
    } else {
        let (before, behind) = digits.split_at(usize::try_from(whole).ok()?);
        format!("{sign}{before}.{behind}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{"a": 1, "b": [true, "x\n", 1.5]}`, as the server keeps it.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![SMALL_OBJECT, 2, 0, 45, 0];
        bytes.extend([18, 0, 1, 0, 19, 0, 1, 0]);
        bytes.extend([INT16, 1, 0, SMALL_ARRAY, 20, 0]);
        bytes.extend(b"ab");
        bytes.extend([3, 0, 24, 0, LITERAL, 1, 0, STRING, 13, 0, DOUBLE, 16, 0]);
        bytes.extend([2, b'x', b'\n']);
        bytes.extend(1.5_f64.to_le_bytes());
        bytes.push(0);
        bytes
    }

    #[test]
    fn values_are_as_the_server_writes_them() {
        assert_eq!(
            text(&sample()).unwrap(),
            r#"{"a": 1, "b": [true, "x\n", 1.5]}"#
        );
        assert_eq!(text(&[]).unwrap(), "null");
        for (number, wanted) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (123_456_789_012_345_678.0, "1.2345678901234568e17"),
            (1e-14, "0.00000000000001"),
            (-2.5e-16, "-2.5e-16"),
            (0.1, "0.1"),
            // It is ...97.125, between .12 and .13.
            (171_897_653_650_397.12, "171897653650397.12"),
            (1_270_552_725_783_132.8, "1270552725783132.8"),
            (1_270_552_725_783_132.0, "1.270552725783132e15"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(double(number).as_deref(), Some(wanted));
        }
        assert_eq!(double(f64::NAN), None);
    }

    #[test]
    fn what_points_at_itself_ends() {
        // An array of 200 arrays, all of which are itself.
        let mut bytes = vec![SMALL_ARRAY, 200, 0, 92, 2];
        for _ in 0..200 {
            bytes.extend([SMALL_ARRAY, 0, 0]);
        }
        assert_eq!(text(&bytes), Err(CutOff));
    }

    proptest! {
        /// Whatever the bytes are, they are read or refused, and no text is much longer than they.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(text) = text(&bytes) {
                prop_assert!(text.len() <= 400 * (bytes.len() + 1));
            }
        }

        /// The same of bytes that look like values.
        #[test]
        fn values_within_values_end(bytes in proptest::collection::vec(0..20_u8, 0..300)) {
            if let Ok(text) = text(&bytes) {
                prop_assert!(text.len() <= 400 * (bytes.len() + 1));
            }
        }

        #[test]
        fn damaged_values_are_read_or_refused(at in 0..45_usize, byte in any::<u8>(), length in 0..46_usize) {
            let mut damaged = sample();
            damaged[at] = byte;
            damaged.truncate(length);
            let _ = text(&damaged);
        }

        /// The digits are those of the number.
        #[test]
        fn numbers_are_read_as_they_were(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            if let Some(text) = double(number) {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
