//! Texts of a table's columns, which the binlog has in their own character sets.
//!
//! Invariant: a text becomes exactly its characters, or it is refused; no character is replaced.

use std::borrow::Cow;

/// A character set that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// `utf8mb4`, `utf8mb3`, `ascii`: UTF-8, or part of it.
    Utf8,
    /// `latin1`, which is Windows' code page 1252.
    Latin1,
    /// `ucs2` and `utf16`: most significant byte first.
    Utf16,
}

impl Charset {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Charset::Utf8,
            "latin1" => Charset::Latin1,
            "utf16" | "ucs2" => Charset::Utf16,
            _ => return None,
        })
    }

    /// The characters of a text; `None` if the bytes are none.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Latin1 if bytes.is_ascii() => {
                std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
            }
            Charset::Latin1 => Some(Cow::Owned(bytes.iter().map(|b| latin1(*b)).collect())),
            Charset::Utf16 => {
                let (pairs, rest) = bytes.as_chunks::<2>();
                let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
                let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
                text.map(Cow::Owned)
            }
        }
    }
}

/// Characters 0x80 to 0x9f of code page 1252. The five that it does not have are control
/// characters, as the servers have it.
const WINDOWS: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

fn latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_their_characters() {
        assert_eq!(Charset::Utf8.decode("é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(Charset::Utf8.decode(b"\xe9"), None);
        assert_eq!(Charset::Latin1.decode(b"\xe9\x80").as_deref(), Some("é€"));
        assert_eq!(Charset::Utf16.decode(&[0, 0xe9]).as_deref(), Some("é"));
        assert_eq!(Charset::Utf16.decode(&[0, 0xe9, 0]), None);
        assert_eq!(Charset::named("gbk"), None);
    }
}
