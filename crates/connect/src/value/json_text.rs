//! JSON text taken apart (RFC 8259), with what other parsers hide and exact reading needs:
//! the text of numbers, keys that occur twice, and where an error is.
//!
//! Invariant: recursion is bounded by [`JSON_DEPTH_MAX`], memory by the length of the text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::value::{JSON_DEPTH_MAX, ValueError, shown};

/// A JSON value whose texts are borrowed where they have no escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A number.
    Number {
        /// As written.
        text: Cow<'a, str>,
        /// Not if it went through a double before.
        exact: bool,
    },
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object: its members in their order, each key once.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl fmt::Display for Json<'_> {
    /// As JSON without white space; numbers as they were written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |s: &str| serde_json::Value::from(s).to_string();
        match self {
            Json::Null => f.write_str("null"),
            Json::Boolean(b) => b.fmt(f),
            Json::Number { text, .. } => f.write_str(text),
            Json::String(s) => f.write_str(&text(s)),
            Json::Array(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (i, (key, value)) in members.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    write!(f, "{}:{value}", text(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Json<'_> {
    /// `a string`, for error texts.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Boolean(_) => "a boolean",
            Json::Number { .. } => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Json<'a> {
    fn from(value: &'a serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(b) => Json::Boolean(*b),
            serde_json::Value::Number(n) => Json::Number {
                text: Cow::Owned(n.to_string()),
                exact: !n.is_f64(),
            },
            serde_json::Value::String(s) => Json::String(Cow::Borrowed(s)),
            serde_json::Value::Array(a) => Json::Array(a.iter().map(Json::from).collect()),
            serde_json::Value::Object(o) => Json::Object(
                o.iter()
                    .map(|(k, v)| (Cow::Borrowed(k.as_str()), Json::from(v)))
                    .collect(),
            ),
        }
    }
}

/// Reads one JSON value and nothing after it but white space.
///
/// # Errors
/// If the text is not JSON (with the byte where it goes wrong), has a key twice, or nests
/// deeper than [`JSON_DEPTH_MAX`].
pub fn parse_json(text: &str) -> Result<Json<'_>, ValueError> {
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
    };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < parser.bytes.len() {
        return Err(parser.error("text after the value"));
    }
    Ok(value)
}

/// Objects of more keys than this are checked for duplicates with a set.
const PAIRWISE_KEYS_MAX: usize = 16;

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, reason: &'static str) -> ValueError {
        ValueError::Json {
            at: self.at,
            reason,
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, ValueError> {
        self.skip_space();
        match self.bytes.get(self.at) {
            None => Err(self.error("the text ends where a value should be")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn word(&mut self) -> Result<Json<'a>, ValueError> {
        for (word, value) in [
            ("true", Json::Boolean(true)),
            ("false", Json::Boolean(false)),
            ("null", Json::Null),
        ] {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("no value begins like this"))
    }

    fn number(&mut self) -> Result<Json<'a>, ValueError> {
        let start = self.at;
        self.eat(b'-');
        if self.eat(b'0') {
            if matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
                return Err(self.error("a number with a leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(Json::Number {
            text: Cow::Borrowed(&self.text[start..self.at]),
            exact: true,
        })
    }

    fn digits(&mut self) -> Result<(), ValueError> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("a digit is missing"));
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, ValueError> {
        let depth = self.descend(depth)?;
        let mut values = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Json::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Json::Array(values));
            }
            if !self.eat(b',') {
                return Err(self.error("`,` or `]` is missing"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, ValueError> {
        let depth = self.descend(depth)?;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.error("a key in quotes is missing"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.error("`:` is missing"));
            }
            let value = self.value(depth)?;
            members.push((key, value));
            self.skip_space();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return Err(self.error("`,` or `}` is missing"));
            }
        }
        match duplicate(&members) {
            Some(key) => Err(ValueError::DuplicateKey { key: shown(key) }),
            None => Ok(Json::Object(members)),
        }
    }

    /// Past an opening bracket, one level deeper.
    fn descend(&mut self, depth: usize) -> Result<usize, ValueError> {
        self.at += 1;
        if depth == JSON_DEPTH_MAX {
            return Err(ValueError::Depth {
                limit: JSON_DEPTH_MAX,
            });
        }
        Ok(depth + 1)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ValueError> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(self.error("a string is not closed")),
                Some(b'"') => {
                    let rest = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(rest),
                        Some(mut text) => {
                            text.push_str(rest);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[copied..self.at]);
                    let character = self.escape()?;
                    owned.get_or_insert_default().push(character);
                    copied = self.at;
                }
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, ValueError> {
        let error = self.error("an escape that is none");
        self.at += 1;
        let byte = *self.bytes.get(self.at).ok_or(error.clone())?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hexadecimal().ok_or(error.clone())?;
                let code = match first {
                    0xd800..=0xdbff => {
                        let low = (self.eat(b'\\') && self.eat(b'u'))
                            .then(|| self.hexadecimal())
                            .flatten()
                            .filter(|low| (0xdc00..=0xdfff).contains(low))
                            .ok_or(error.clone())?;
                        0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)
                    }
                    code => code,
                };
                char::from_u32(code).ok_or(error)?
            }
            _ => return Err(error),
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            Some(code * 16 + char::from(digit).to_digit(16)?)
        })
    }
}

fn duplicate<'m>(members: &'m [(Cow<'_, str>, Json<'_>)]) -> Option<&'m str> {
    if members.len() <= PAIRWISE_KEYS_MAX {
        return members
            .iter()
            .enumerate()
            .find(|(i, (key, _))| members[..*i].iter().any(|(earlier, _)| earlier == key))
            .map(|(_, (key, _))| key.as_ref());
    }
    let mut seen = BTreeSet::new();
    members
        .iter()
        .map(|(key, _)| key.as_ref())
        .find(|key| !seen.insert(*key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_json_says_where() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\"", 4),
            ("{\"a\":1,}", 7),
            ("[1 2]", 3),
            ("01", 1),
            ("1.", 2),
            ("-", 1),
            ("1e", 2),
            ("tru", 0),
            ("\"a", 2),
            ("\"\\x\"", 1),
            ("\"\\ud800\"", 1),
            ("\"\\udc00\"", 1),
            ("\"\u{1}\"", 1),
            ("1 1", 2),
            ("NaN", 0),
            ("{a:1}", 1),
        ] {
            match parse_json(text) {
                Err(ValueError::Json { at: found, .. }) => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn duplicates_and_depth_are_errors() {
        let twice = r#"{"a":1,"b":{"c":1,"\u0063":2}}"#;
        assert_eq!(
            parse_json(twice),
            Err(ValueError::DuplicateKey { key: "c".into() })
        );
        let many: Vec<String> = (0..40).map(|i| format!("\"k{}\":0", i % 39)).collect();
        assert_eq!(
            parse_json(&format!("{{{}}}", many.join(","))),
            Err(ValueError::DuplicateKey { key: "k0".into() })
        );
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse_json(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(
            parse_json(&nested(JSON_DEPTH_MAX + 1)),
            Err(ValueError::Depth {
                limit: JSON_DEPTH_MAX
            })
        );
        assert!(parse_json(&"[".repeat(1_000_000)).is_err());
    }

    fn same(ours: &Json<'_>, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Json::Null, serde_json::Value::Null) => true,
            (Json::Boolean(a), serde_json::Value::Bool(b)) => a == b,
            (Json::Number { text, .. }, serde_json::Value::Number(n)) => {
                text.parse::<f64>().ok() == n.as_f64()
            }
            (Json::String(a), serde_json::Value::String(b)) => a == b,
            (Json::Array(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Json::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
            }
            _ => false,
        }
    }

    #[test]
    fn what_was_read_is_written_again() {
        let text = r#"{"a":[1.50,-0,1e3,true,null],"b\n\"":"\u0001é","c":{}}"#;
        assert_eq!(parse_json(text).unwrap().to_string(), text);
    }

    proptest! {
        /// Against serde_json: the same texts are JSON, and they mean the same.
        #[test]
        fn agrees_with_another_parser(text in "[\\[\\]{},:\" \\\\u0d8a1.e+nultrfs-]{0,12}|\\{\"[ab]\":(-?[0-9]{1,3}(\\.[0-9])?|\"[a\\\\n\"]{0,3}\"|\\[1,null\\]),\"c\":true\\}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match parse_json(&text) {
                Ok(ours) => prop_assert!(theirs.is_ok_and(|t| same(&ours, &t)), "{}", text),
                Err(ValueError::DuplicateKey { .. }) => {}
                // A number beyond every double is JSON; what it is worth is another matter.
                Err(e) => prop_assert!(theirs.is_err(), "{} {}", text, e),
            }
        }
    }
}
