//! Functions that cut texts up and put them together.

use std::sync::Arc;

use evenkeel_types::{DataType, Value};

use super::{INVALID_ARGUMENT, LIMIT, ONE, S, THREE, TWO, WITH_NUMBER, join, made, simple};
use crate::function::{Function, Signature, overload};
use crate::kernel::{BigInt, Kernel, Missing, Outcome, Text, binary, general, unary};
use crate::limits::STRING_BYTES_MAX;

const PART: &[DataType] = &[S, DataType::BigInt, DataType::BigInt];
const PADDED: &[DataType] = &[S, DataType::BigInt, S];
const NTH: &[DataType] = &[S, S, DataType::BigInt];

pub(in crate::function) static FUNCTIONS: &[Function] = &[
    simple(
        "concat_operator",
        &["||"],
        "Both texts, one after the other.",
        "LIMIT",
        &[overload(TWO, &S, |_| {
            binary::<Text, Text, Text>(|a, b| join([a, b].iter(), ""))
        })],
    ),
    simple(
        "trim",
        &["btrim"],
        "Without spaces, or without any of the given characters, at both ends.",
        "",
        &[
            overload(ONE, &S, |_| {
                unary::<Text, Text>(|s| Ok(Arc::from(s.trim_matches(' '))))
            }),
            overload(TWO, &S, |_| {
                binary::<Text, Text, Text>(|s, set| {
                    Ok(Arc::from(s.trim_matches(|c| set.contains(c))))
                })
            }),
        ],
    ),
    simple(
        "ltrim",
        &[],
        "As `trim`, at the start.",
        "",
        &[
            overload(ONE, &S, |_| {
                unary::<Text, Text>(|s| Ok(Arc::from(s.trim_start_matches(' '))))
            }),
            overload(TWO, &S, |_| {
                binary::<Text, Text, Text>(|s, set| {
                    Ok(Arc::from(s.trim_start_matches(|c| set.contains(c))))
                })
            }),
        ],
    ),
    simple(
        "rtrim",
        &[],
        "As `trim`, at the end.",
        "",
        &[
            overload(ONE, &S, |_| {
                unary::<Text, Text>(|s| Ok(Arc::from(s.trim_end_matches(' '))))
            }),
            overload(TWO, &S, |_| {
                binary::<Text, Text, Text>(|s, set| {
                    Ok(Arc::from(s.trim_end_matches(|c| set.contains(c))))
                })
            }),
        ],
    ),
    simple(
        "substr",
        &["substring", "mid"],
        "`substr(s, from, count)`: the characters at the positions from `from` (1 is the first, -1 the last) on, `count` of them or all; positions outside the text hold nothing.",
        "INVALID_ARGUMENT if count is negative",
        &[
            overload(WITH_NUMBER, &S, |_| {
                binary::<Text, BigInt, Text>(|s, from| substr(s, from, None))
            }),
            overload(PART, &S, |s| {
                general(s.result, |v| match (v[0], v[1], v[2]) {
                    (Value::String(s), Value::BigInt(from), Value::BigInt(count)) => {
                        substr(s, *from, Some(*count)).map(Value::String)
                    }
                    _ => Err(INVALID_ARGUMENT),
                })
            }),
        ],
    ),
    simple(
        "left",
        &[],
        "The first n characters; all but the last -n if n is negative.",
        "",
        &[overload(WITH_NUMBER, &S, |_| {
            binary::<Text, BigInt, Text>(|s, n| Ok(Arc::from(split(s, n).0)))
        })],
    ),
    simple(
        "right",
        &[],
        "The last n characters; all but the first -n if n is negative.",
        "",
        &[overload(WITH_NUMBER, &S, |_| {
            binary::<Text, BigInt, Text>(|s, n| Ok(Arc::from(split(s, n.saturating_neg()).1)))
        })],
    ),
    simple(
        "lpad",
        &[],
        "`lpad(s, n, fill)`: s with `fill` (default a space) repeated before it up to n characters; cut to its first n if it is longer.",
        "LIMIT",
        &[
            overload(WITH_NUMBER, &S, |s| pad_kernel(s, true)),
            overload(PADDED, &S, |s| pad_kernel(s, true)),
        ],
    ),
    simple(
        "rpad",
        &[],
        "As `lpad`, with the fill behind it.",
        "LIMIT",
        &[
            overload(WITH_NUMBER, &S, |s| pad_kernel(s, false)),
            overload(PADDED, &S, |s| pad_kernel(s, false)),
        ],
    ),
    simple(
        "replace",
        &[],
        "`replace(s, from, to)`: with every `from`, left to right, replaced by `to`; an empty `from` replaces nothing.",
        "LIMIT",
        &[overload(THREE, &S, |s| {
            general(s.result, |v| {
                let [s, from, to] = texts(v)?;
                replace(s, from, to).map(Value::String)
            })
        })],
    ),
    simple(
        "split_part",
        &[],
        "`split_part(s, separator, n)`: the nth part between separators, from 1, or from the end if negative; empty if there are fewer. An empty separator parts nothing.",
        "INVALID_ARGUMENT if n is 0",
        &[overload(NTH, &S, |s| {
            general(s.result, |v| match (v[0], v[1], v[2]) {
                (Value::String(s), Value::String(separator), Value::BigInt(n)) => {
                    split_part(s, separator, *n).map(Value::string)
                }
                _ => Err(INVALID_ARGUMENT),
            })
        })],
    ),
    simple(
        "reverse",
        &[],
        "The characters in the opposite order.",
        "",
        &[overload(ONE, &S, |_| {
            unary::<Text, Text>(|s| Ok(s.chars().rev().collect::<String>().into()))
        })],
    ),
    simple(
        "repeat",
        &[],
        "n copies; none if n is not positive.",
        "LIMIT",
        &[overload(WITH_NUMBER, &S, |_| {
            binary::<Text, BigInt, Text>(|s, n| {
                let copies = usize::try_from(n.max(0)).map_err(|_| LIMIT)?;
                match s.len().checked_mul(copies) {
                    Some(length) if length <= STRING_BYTES_MAX => Ok(Arc::from(s.repeat(copies))),
                    _ => Err(LIMIT),
                }
            })
        })],
    ),
    simple(
        "translate",
        &[],
        "`translate(s, from, to)`: each character of `from` becomes the one at its place in `to`, or nothing where `to` is shorter.",
        "LIMIT",
        &[overload(THREE, &S, |s| {
            general(s.result, |v| {
                let [s, from, to] = texts(v)?;
                translate(s, from, to).map(Value::String)
            })
        })],
    ),
];

fn texts<'a>(values: &[&'a Value]) -> Outcome<[&'a str; 3]> {
    match (values[0], values[1], values[2]) {
        (Value::String(a), Value::String(b), Value::String(c)) => Ok([a, b, c]),
        _ => Err(INVALID_ARGUMENT),
    }
}

/// The byte position of the `n`th character, or the end.
fn byte_of(s: &str, n: u64) -> usize {
    let Ok(n) = usize::try_from(n) else {
        return s.len();
    };
    s.char_indices().nth(n).map_or(s.len(), |(at, _)| at)
}

/// The first `n` characters and the rest; a negative `n` counts from the end.
fn split(s: &str, n: i64) -> (&str, &str) {
    let first = if n >= 0 {
        n.unsigned_abs()
    } else {
        (s.chars().count() as u64).saturating_sub(n.unsigned_abs())
    };
    s.split_at(byte_of(s, first))
}

fn substr(s: &str, from: i64, count: Option<i64>) -> Outcome<Arc<str>> {
    if count.is_some_and(|count| count < 0) {
        return Err(INVALID_ARGUMENT);
    }
    // Positions from 0, in a type that holds every sum of two i64.
    let start = if from < 0 {
        s.chars().count() as i128 + i128::from(from)
    } else {
        i128::from(from) - 1
    };
    let end = count.map_or(i128::MAX, |count| start + i128::from(count));
    let within = |position: i128| u64::try_from(position.max(0)).unwrap_or(u64::MAX);
    let (start, end) = (byte_of(s, within(start)), byte_of(s, within(end)));
    Ok(Arc::from(&s[start..end.max(start)]))
}

fn pad_kernel(s: &Signature<'_>, before: bool) -> Arc<dyn Kernel> {
    general(s.result, move |v| match (v[0], v[1], v.get(2).copied()) {
        (Value::String(s), Value::BigInt(n), Some(Value::String(fill))) => {
            pad(s, *n, fill, before).map(Value::String)
        }
        (Value::String(s), Value::BigInt(n), None) => pad(s, *n, " ", before).map(Value::String),
        _ => Err(INVALID_ARGUMENT),
    })
}

fn pad(s: &str, n: i64, fill: &str, before: bool) -> Outcome<Arc<str>> {
    let wanted = n.max(0).unsigned_abs();
    let length = s.chars().count() as u64;
    if length >= wanted || fill.is_empty() {
        return Ok(Arc::from(split(s, n.max(0)).0));
    }
    let missing = wanted - length;
    if missing > STRING_BYTES_MAX as u64 {
        return Err(LIMIT);
    }
    let padding: String = fill.chars().cycle().take(missing as usize).collect();
    made(if before {
        padding + s
    } else {
        s.to_owned() + &padding
    })
}

fn replace(s: &str, from: &str, to: &str) -> Outcome<Arc<str>> {
    if from.is_empty() {
        return Ok(Arc::from(s));
    }
    // A long result is refused before it is made.
    if to.len() > from.len() {
        let growth = s.matches(from).count().checked_mul(to.len() - from.len());
        if growth.is_none_or(|growth| growth + s.len() > STRING_BYTES_MAX) {
            return Err(LIMIT);
        }
    }
    made(s.replace(from, to))
}

fn split_part<'a>(s: &'a str, separator: &str, n: i64) -> Result<&'a str, Missing> {
    let place = usize::try_from(n.unsigned_abs())
        .unwrap_or(usize::MAX)
        .checked_sub(1)
        .ok_or(INVALID_ARGUMENT)?;
    if separator.is_empty() {
        return Ok(if place == 0 { s } else { "" });
    }
    let part = if n > 0 {
        s.split(separator).nth(place)
    } else {
        let count = s.split(separator).count();
        count
            .checked_sub(place + 1)
            .and_then(|at| s.split(separator).nth(at))
    };
    Ok(part.unwrap_or(""))
}

fn translate(s: &str, from: &str, to: &str) -> Outcome<Arc<str>> {
    let translated: String = s
        .chars()
        .filter_map(|c| match from.chars().position(|f| f == c) {
            None => Some(c),
            Some(at) => to.chars().nth(at),
        })
        .collect();
    made(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_text() {
        let sub = |from, count| substr("añb", from, count).unwrap().to_string();
        assert_eq!(sub(1, None), "añb");
        assert_eq!(sub(2, Some(1)), "ñ");
        assert_eq!(sub(0, Some(2)), "a");
        assert_eq!(sub(-1, None), "b");
        assert_eq!(sub(-5, Some(3)), "a");
        assert_eq!(sub(-9, Some(2)), "");
        assert_eq!(sub(9, Some(2)), "");
        assert_eq!(sub(i64::MAX, Some(i64::MAX)), "");
        assert_eq!(sub(i64::MIN, None), "añb");
        assert_eq!(substr("a", 1, Some(-1)), Err(INVALID_ARGUMENT));
        assert_eq!(split("añb", 2), ("añ", "b"));
        assert_eq!(split("añb", -1), ("añ", "b"));
        assert_eq!(split("añb", i64::MIN), ("", "añb"));
    }

    #[test]
    fn parts_between_separators() {
        let part = |n| split_part("a-b-c", "-", n);
        assert_eq!((part(1), part(3), part(4)), (Ok("a"), Ok("c"), Ok("")));
        assert_eq!((part(-1), part(-3), part(-4)), (Ok("c"), Ok("a"), Ok("")));
        assert_eq!(part(0), Err(INVALID_ARGUMENT));
        assert_eq!(part(i64::MIN), Ok(""));
        assert_eq!(split_part("ab", "", 1), Ok("ab"));
    }

    #[test]
    fn growth_is_limited() {
        assert_eq!(pad("x", 3, "ab", true).unwrap().as_ref(), "abx");
        assert_eq!(pad("x", 4, "ab", false).unwrap().as_ref(), "xaba");
        assert_eq!(pad("xyz", 2, "ab", true).unwrap().as_ref(), "xy");
        assert_eq!(pad("xyz", -2, "ab", true).unwrap().as_ref(), "");
        assert_eq!(pad("x", i64::MAX, "ab", true), Err(LIMIT));
        assert_eq!(
            replace(&"a".repeat(10_000), "a", &"b".repeat(10_000)),
            Err(LIMIT)
        );
        assert_eq!(replace("aaa", "aa", "b").unwrap().as_ref(), "ba");
        assert_eq!(replace("abc", "", "x").unwrap().as_ref(), "abc");
        assert_eq!(translate("abcb", "bc", "x").unwrap().as_ref(), "axx");
    }
}
