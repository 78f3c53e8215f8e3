//! The values of quoted tokens.

use crate::ast::Span;
use crate::error::Diagnostic;

/// The name in a `"quoted"` token.
pub(crate) fn ident_value(text: &str) -> String {
    inner(text, '"').replace("\"\"", "\"")
}

/// The text in a `'quoted'` token, or an `E'quoted'` one, that starts at byte `start`.
pub(crate) fn string_value(text: &str, start: usize) -> Result<String, Box<Diagnostic>> {
    let plain = inner(text, '\'');
    if text.starts_with('\'') {
        return Ok(plain.replace("''", "'"));
    }
    let mut value = String::new();
    let mut rest = plain;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => {
                let (decoded, taken) = escape(rest).ok_or_else(|| {
                    let at = start + 2 + plain.len() - rest.len();
                    let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                    Box::new(
                        Diagnostic::error(
                            format!("`{}` is not an escape", &rest[..length]),
                            Span::new(at, at + length),
                        )
                        .with_hint(
                            "write one of `\\\\`, `\\'`, `\\n`, `\\r`, `\\t`, `\\b`, `\\f`, \
                             `\\x41`, `\\u0041`",
                        ),
                    )
                })?;
                value.push(decoded);
                taken
            }
            '\'' => {
                value.push('\'');
                2
            }
            c => {
                value.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or("");
    }
    Ok(value)
}

/// The character that an escape stands for, and its length in the text.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text[1..].chars().next()? {
        '\\' => '\\',
        '\'' => '\'',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'x' => return hex(text, 2),
        'u' => return hex(text, 4),
        _ => return None,
    };
    Some((simple, 2))
}

fn hex(text: &str, digits: usize) -> Option<(char, usize)> {
    let end = 2 + digits;
    let digits = text.get(2..end)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    // `\xHH` above ASCII would be a byte, and text has characters only.
    (end > 4 || code < 0x80)
        .then(|| char::from_u32(code))
        .flatten()
        .map(|c| (c, end))
}

/// The bytes in an `X'00ff'` token.
pub(crate) fn bytes_value(text: &str, span: Span) -> Result<Vec<u8>, Box<Diagnostic>> {
    let digits = inner(text, '\'');
    let decode = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit()) && digits.len().is_multiple_of(2);
    is_hex
        .then(|| digits.as_bytes().chunks(2).map(decode).collect())
        .flatten()
        .ok_or_else(|| {
            Box::new(
                Diagnostic::error("bytes are pairs of hexadecimal digits", span)
                    .with_hint("write `X'00ff'`"),
            )
        })
}

/// What is between the quotes of a closed token.
fn inner(text: &str, quote: char) -> &str {
    let start = text.find(quote).map_or(0, |at| at + 1);
    let end = text.len().saturating_sub(1).max(start);
    text.get(start..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_decode() {
        assert_eq!(string_value("'it''s'", 0).unwrap(), "it's");
        assert_eq!(string_value("''", 0).unwrap(), "");
        assert_eq!(
            string_value(r"E'a\n\'b''c\\\x41\u00e9'", 0).unwrap(),
            "a\n'b'c\\Aé"
        );
        let wrong = string_value(r"e'ab\q'", 10).unwrap_err();
        assert_eq!(wrong.span, Span::new(14, 16));
        assert!(string_value(r"e'\xff'", 0).is_err());
        assert!(string_value(r"e'\ud800'", 0).is_err());
        assert_eq!(ident_value("\"a\"\"b\""), "a\"b");
    }

    #[test]
    fn bytes_decode() {
        let span = Span::default();
        assert_eq!(bytes_value("x'00fF'", span).unwrap(), [0, 255]);
        assert_eq!(bytes_value("X''", span).unwrap(), Vec::<u8>::new());
        assert!(bytes_value("X'0'", span).is_err());
        assert!(bytes_value("X'zz'", span).is_err());
        assert!(bytes_value("X'+1'", span).is_err());
    }
}
