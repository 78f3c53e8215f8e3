//! One CSV record taken apart (RFC 4180), with what other readers hide and exact reading
//! needs: whether a field was quoted.
//!
//! Records end with `\n` or `\r\n`. A quote inside an unquoted field is an ordinary
//! character. Text after a closing quote is malformed: the record is rejected.

use std::borrow::Cow;

/// A field: where it is in the record, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    start: usize,
    end: usize,
    /// It stood in quotes: it is never NULL.
    pub(crate) quoted: bool,
    /// It has doubled quotes inside.
    doubled: bool,
}

impl Field {
    /// The field's text in its record.
    pub(crate) fn text(self, record: &str) -> Cow<'_, str> {
        let raw = record.get(self.start..self.end).unwrap_or_default();
        if self.doubled {
            Cow::Owned(raw.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(raw)
        }
    }
}

/// What is at the start of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// A whole record.
    Record {
        /// Its bytes without the line end.
        length: usize,
        /// Its bytes with the line end.
        consumed: usize,
        /// Line ends in it, its own too.
        lines: u64,
        /// The first field (from 0) that goes on after its closing quote.
        malformed: Option<usize>,
    },
    /// The bytes end inside a record.
    Incomplete {
        /// Inside a quoted field.
        in_quotes: bool,
    },
}

/// Takes the first record apart. At the end of a file (`at_end`) the last record needs no
/// line end.
pub(crate) fn split_record(
    data: &[u8],
    at_end: bool,
    delimiter: u8,
    fields: &mut Vec<Field>,
) -> Split {
    fields.clear();
    let mut at = 0;
    let mut lines = 0;
    let mut malformed = None;
    loop {
        // At the start of a field.
        let mut field = Field {
            start: at,
            end: at,
            quoted: false,
            doubled: false,
        };
        if data.get(at) == Some(&b'"') {
            field.quoted = true;
            field.start = at + 1;
            at += 1;
            loop {
                match data.get(at) {
                    None => return Split::Incomplete { in_quotes: true },
                    Some(b'"') => match data.get(at + 1) {
                        Some(b'"') => {
                            field.doubled = true;
                            at += 2;
                        }
                        // Whether it closes is not known before the next byte.
                        None if !at_end => return Split::Incomplete { in_quotes: true },
                        _ => break,
                    },
                    Some(byte) => {
                        lines += u64::from(*byte == b'\n');
                        at += 1;
                    }
                }
            }
            field.end = at;
            at += 1;
        }
        let unquoted = at;
        while data
            .get(at)
            .is_some_and(|byte| *byte != delimiter && *byte != b'\n')
        {
            at += 1;
        }
        let ended = data.get(at).copied();
        if ended.is_none() && !at_end {
            return Split::Incomplete { in_quotes: false };
        }
        let mut text_end = at;
        if ended != Some(delimiter) && text_end > unquoted && data[text_end - 1] == b'\r' {
            text_end -= 1;
        }
        if field.quoted {
            if text_end > unquoted {
                malformed = malformed.or(Some(fields.len()));
            }
        } else {
            field.end = text_end;
        }
        fields.push(field);
        match ended {
            Some(byte) if byte == delimiter => at += 1,
            Some(_) => {
                return Split::Record {
                    length: text_end,
                    consumed: at + 1,
                    lines: lines + 1,
                    malformed,
                };
            }
            None => {
                return Split::Record {
                    length: text_end,
                    consumed: at,
                    lines: lines + 1,
                    malformed,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &str, delimiter: u8) -> Vec<Vec<(String, bool)>> {
        let mut rest = text.as_bytes();
        let mut records = Vec::new();
        let mut fields = Vec::new();
        while !rest.is_empty() {
            match split_record(rest, true, delimiter, &mut fields) {
                Split::Record {
                    length, consumed, ..
                } => {
                    let record = std::str::from_utf8(&rest[..length]).unwrap();
                    records.push(
                        fields
                            .iter()
                            .map(|f| (f.text(record).into_owned(), f.quoted))
                            .collect(),
                    );
                    rest = &rest[consumed..];
                }
                Split::Incomplete { .. } => break,
            }
        }
        records
    }

    #[test]
    fn quotes_tell_empty_from_null() {
        let field = |text: &str, quoted| (text.to_owned(), quoted);
        assert_eq!(
            records("a,,\"\"\r\n\"x,\"\"y\"\"\n\",b\"c,\r\n", b','),
            vec![
                vec![field("a", false), field("", false), field("", true)],
                vec![
                    field("x,\"y\"\n", true),
                    field("b\"c", false),
                    field("", false)
                ],
            ]
        );
        assert_eq!(
            records("a\tb", b'\t'),
            vec![vec![field("a", false), field("b", false)]]
        );
    }

    #[test]
    fn what_is_cut_or_malformed_says_so() {
        let mut fields = Vec::new();
        let mut split =
            |text: &str, at_end| split_record(text.as_bytes(), at_end, b',', &mut fields);
        assert_eq!(split("a,b", false), Split::Incomplete { in_quotes: false });
        assert_eq!(
            split("a,\"b\n", true),
            Split::Incomplete { in_quotes: true }
        );
        assert_eq!(
            split("a,\"b\"", false),
            Split::Incomplete { in_quotes: true }
        );
        assert_eq!(
            split("a,\"b\"c,d\n", false),
            Split::Record {
                length: 8,
                consumed: 9,
                lines: 1,
                malformed: Some(1)
            }
        );
        assert_eq!(
            split("\"a\nb\"\r\nc", false),
            Split::Record {
                length: 5,
                consumed: 7,
                lines: 2,
                malformed: None
            }
        );
    }

    proptest! {
        /// Against the csv crate: well-formed text has the same fields.
        #[test]
        fn agrees_with_another_reader(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\n é]{0,4}", 2..4), 0..5),
            crlf in any::<bool>(),
            last_line_ends in any::<bool>(),
        ) {
            let mut text = String::new();
            for row in &rows {
                let fields: Vec<String> = row.iter().map(|field| {
                    if field.contains(['"', ',', '\n']) || field.len() % 2 == 1 {
                        format!("\"{}\"", field.replace('"', "\"\""))
                    } else {
                        field.clone()
                    }
                }).collect();
                text.push_str(&fields.join(","));
                text.push_str(if crlf { "\r\n" } else { "\n" });
            }
            if !last_line_ends && !rows.is_empty() {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            let theirs: Vec<Vec<String>> = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(text.as_bytes())
                .records()
                .map(|r| r.unwrap().iter().map(str::to_owned).collect())
                .collect();
            let ours: Vec<Vec<String>> = records(&text, b',')
                .into_iter()
                .map(|r| r.into_iter().map(|(text, _)| text).collect())
                .collect();
            prop_assert_eq!(ours, theirs);
        }

        /// However the bytes are cut, the records are the same.
        #[test]
        fn cuts_do_not_matter(text in "[a,\"\r\n]{0,20}", cut in 0usize..20) {
            let mut whole = Vec::new();
            let first = split_record(text.as_bytes(), true, b',', &mut whole);
            let cut = cut.min(text.len());
            let mut part = Vec::new();
            if let Split::Record { consumed, .. } = split_record(&text.as_bytes()[..cut], false, b',', &mut part) {
                let same = matches!(first, Split::Record { consumed: c, .. } if c == consumed);
                prop_assert!(same);
                prop_assert_eq!(part, whole);
            }
        }
    }
}
