//! Text. Characters are Unicode code points, counted from 1; nothing depends on a locale.

mod edit;
mod search;

use std::sync::Arc;

use evenkeel_types::{DataType, ErrorReason, Expr, Value, codec};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Binding, Function, Group, Overload, argument_type, call, check_count, expect, overload,
};
use crate::coerce::convert;
use crate::error::BuildError;
use crate::kernel::{BigInt, Missing, Outcome, Text, general_lenient, lenient, unary};
use crate::limits::STRING_BYTES_MAX;

pub(super) use edit::FUNCTIONS as EDITING;
pub(super) use search::FUNCTIONS as SEARCHING;

const LIMIT: Missing = Missing::Error(ErrorReason::Limit);
const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

const S: DataType = DataType::String;
const ONE: &[DataType] = &[S];
const TWO: &[DataType] = &[S, S];
const THREE: &[DataType] = &[S, S, S];
const WITH_NUMBER: &[DataType] = &[S, DataType::BigInt];

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "length",
        aliases: &["len", "char_length", "character_length"],
        group: Group::Text,
        rule: "The number of characters; of an array the number of elements.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["length(STRING) -> BIGINT", "length(ARRAY) -> BIGINT"],
            bind: |name, args| {
                check_count(name, &args, 1, Some(1))?;
                if let [arg] = &args[..]
                    && super::array::element_type(&arg.data_type).is_some()
                {
                    return Ok(call("array_length", args, DataType::BigInt));
                }
                let args = all_text(name, args)?;
                Ok(call(name, args, DataType::BigInt))
            },
            kernel: |_| unary::<Text, BigInt>(|s| Ok(s.chars().count() as i64)),
        },
    },
    simple(
        "octet_length",
        &["byte_length", "strlen"],
        "The number of bytes of the UTF-8 form.",
        "",
        &[
            overload(ONE, &DataType::BigInt, |_| {
                unary::<Text, BigInt>(|s| Ok(s.len() as i64))
            }),
            overload(&[DataType::Bytes], &DataType::BigInt, |_| {
                unary::<crate::kernel::Bytes, BigInt>(|b| Ok(b.len() as i64))
            }),
        ],
    ),
    simple(
        "lower",
        &["lcase"],
        "In lower case, by the Unicode tables named above, whatever the language.",
        "",
        &[overload(ONE, &S, |_| {
            unary::<Text, Text>(|s| made(s.to_lowercase()))
        })],
    ),
    simple(
        "upper",
        &["ucase"],
        "In upper case, by the Unicode tables named above, whatever the language.",
        "",
        &[overload(ONE, &S, |_| {
            unary::<Text, Text>(|s| made(s.to_uppercase()))
        })],
    ),
    simple(
        "ascii",
        &["unicode", "ord"],
        "The code point of the first character, 0 of an empty text.",
        "",
        &[overload(ONE, &DataType::BigInt, |_| {
            unary::<Text, BigInt>(|s| Ok(s.chars().next().map_or(0, |c| i64::from(u32::from(c)))))
        })],
    ),
    simple(
        "chr",
        &["char"],
        "The character of a code point.",
        "INVALID_ARGUMENT if there is none",
        &[overload(&[DataType::BigInt], &S, |_| {
            unary::<BigInt, Text>(|n| {
                u32::try_from(n)
                    .ok()
                    .and_then(char::from_u32)
                    .map(|c| Arc::from(c.encode_utf8(&mut [0; 4]) as &str))
                    .ok_or(INVALID_ARGUMENT)
            })
        })],
    ),
    Function {
        name: "concat",
        aliases: &[],
        group: Group::Text,
        rule: "The texts one after the other.",
        nulls: "NULLs are left out, as in PostgreSQL and DuckDB; `||` is NULL if any is",
        errors: "LIMIT",
        binding: Binding::Special {
            signatures: &["concat(STRING, ...) -> STRING"],
            bind: |name, args| {
                check_count(name, &args, 1, None)?;
                Ok(call(name, all_text(name, args)?, S))
            },
            kernel: |_| lenient::<Text, Text>(|parts| join(parts.iter().flatten(), "")),
        },
    },
    Function {
        name: "concat_ws",
        aliases: &[],
        group: Group::Text,
        rule: "The texts after the first, one after the other with the first between them.",
        nulls: "NULLs are left out; NULL if the separator is",
        errors: "LIMIT",
        binding: Binding::Special {
            signatures: &["concat_ws(STRING separator, STRING, ...) -> STRING"],
            bind: |name, args| {
                check_count(name, &args, 2, None)?;
                Ok(call(name, all_text(name, args)?, S))
            },
            kernel: |_| {
                lenient::<Text, Text>(|parts| {
                    let separator = parts[0].ok_or(Missing::Null)?;
                    join(parts[1..].iter().flatten(), separator)
                })
            },
        },
    },
    Function {
        name: "hash",
        aliases: &[],
        group: Group::Text,
        rule: "A stable number of the values: XXH3 (64 bits, seed 0) of their canonical bytes, the bytes of an entity key. INT counts as BIGINT and FLOAT as DOUBLE; equal decimals of different scales have different hashes.",
        nulls: "NULL has a hash of its own; never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["hash(x, ...) -> BIGINT"],
            bind: bind_hash,
            kernel: |s| {
                general_lenient(s.result, |values| {
                    let bytes = codec::encode_values(values.iter().copied());
                    Ok(Value::BigInt(xxh3_64(&bytes).cast_signed()))
                })
            },
        },
    },
];

/// A strict function of texts.
const fn simple(
    name: &'static str,
    aliases: &'static [&'static str],
    rule: &'static str,
    errors: &'static str,
    overloads: &'static [Overload],
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Text,
        rule,
        nulls: "",
        errors,
        binding: Binding::Overloads(overloads),
    }
}

fn bind_hash(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, None)?;
    let args = args
        .into_iter()
        .map(|arg| match arg.data_type {
            DataType::Int | DataType::Null => convert(arg, &DataType::BigInt),
            DataType::Float => convert(arg, &DataType::Double),
            _ => arg,
        })
        .collect();
    Ok(call(name, args, DataType::BigInt))
}

/// Every argument as text, which it must be.
fn all_text(name: &str, args: Vec<Expr>) -> Result<Vec<Expr>, BuildError> {
    args.into_iter()
        .enumerate()
        .map(|(i, arg)| match arg.data_type {
            DataType::String | DataType::Null => expect(name, i, arg, &S),
            _ => Err(argument_type(name, i, "STRING", &arg)),
        })
        .collect()
}

/// A text that a function made, if it is not too long.
fn made(text: String) -> Outcome<Arc<str>> {
    if text.len() > STRING_BYTES_MAX {
        return Err(LIMIT);
    }
    Ok(Arc::from(text))
}

fn join<'a>(parts: impl Iterator<Item = &'a &'a Arc<str>>, separator: &str) -> Outcome<Arc<str>> {
    let mut text = String::new();
    for (i, part) in parts.enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        if text.len() + part.len() > STRING_BYTES_MAX {
            return Err(LIMIT);
        }
        text.push_str(part);
    }
    made(text)
}
