//! Functions that look for something in a text.

use std::sync::Arc;

use evenkeel_types::{DataType, Expr, ExprKind, Value};

use super::{TWO, all_text, simple};
use crate::error::BuildError;
use crate::function::{
    Binding, Function, Group, Signature, call, check_count, literal_text, overload,
};
use crate::kernel::{BigInt, Boolean, Kernel, Text, binary, unary};
use crate::like::Pattern;

const TRUTH: &DataType = &DataType::Boolean;

pub(in crate::function) static FUNCTIONS: &[Function] = &[
    simple(
        "strpos",
        &[],
        "The position of the first place where the second text occurs in the first, from 1; 0 if nowhere.",
        "",
        &[overload(TWO, &DataType::BigInt, |_| {
            binary::<Text, Text, BigInt>(|s, part| {
                Ok(s.find(part.as_ref())
                    .map_or(0, |at| s[..at].chars().count() as i64 + 1))
            })
        })],
    ),
    simple(
        "contains",
        &[],
        "Whether the second text occurs in the first.",
        "",
        &[overload(TWO, TRUTH, |_| {
            binary::<Text, Text, Boolean>(|s, part| Ok(s.contains(part.as_ref())))
        })],
    ),
    simple(
        "starts_with",
        &["startswith", "prefix"],
        "Whether the first text begins with the second.",
        "",
        &[overload(TWO, TRUTH, |_| {
            binary::<Text, Text, Boolean>(|s, part| Ok(s.starts_with(part.as_ref())))
        })],
    ),
    simple(
        "ends_with",
        &["endswith", "suffix"],
        "Whether the first text ends with the second.",
        "",
        &[overload(TWO, TRUTH, |_| {
            binary::<Text, Text, Boolean>(|s, part| Ok(s.ends_with(part.as_ref())))
        })],
    ),
    like(
        "like",
        &[],
        &["STRING LIKE STRING [ESCAPE 'c'] -> BOOLEAN"],
        "Whether the whole text is as the pattern: `%` stands for any characters, `_` for one, the character after the escape character (there is none unless it is given) for itself.",
        |s| like_kernel(s, false),
    ),
    like(
        "ilike",
        &[],
        &["STRING ILIKE STRING [ESCAPE 'c'] -> BOOLEAN"],
        "As LIKE, both sides in lower case.",
        |s| like_kernel(s, true),
    ),
];

const fn like(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    rule: &'static str,
    kernel: fn(&Signature<'_>) -> Arc<dyn Kernel>,
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Text,
        rule,
        nulls: "",
        errors: "INVALID_ARGUMENT if the pattern ends with the escape character",
        binding: Binding::Special {
            signatures,
            bind: bind_like,
            kernel,
        },
    }
}

fn bind_like(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(3))?;
    let args = all_text(name, args)?;
    let escape = match args.get(2) {
        None => None,
        Some(escape) => {
            let text = literal_text(name, 2, escape, "the escape character")?;
            Some(single(text).ok_or_else(|| BuildError::BadConstant {
                function: name.to_owned(),
                argument: 2,
                value: text.to_owned(),
                reason: "the escape character is one character".to_owned(),
                hint: None,
            })?)
        }
    };
    if let ExprKind::Literal(Value::String(pattern)) = &args[1].kind
        && Pattern::new(pattern, escape).is_err()
    {
        return Err(BuildError::BadConstant {
            function: name.to_owned(),
            argument: 1,
            value: pattern.to_string(),
            reason: "it ends with the escape character".to_owned(),
            hint: Some("write the escape character twice to mean itself".to_owned()),
        });
    }
    Ok(call(name, args, DataType::Boolean))
}

/// The one character of a text.
fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn like_kernel(s: &Signature<'_>, fold: bool) -> Arc<dyn Kernel> {
    let escape = s.constant_text(2).and_then(single);
    if let Some(Ok(pattern)) = s
        .constant_text(1)
        .map(|pattern| Pattern::new(&folded(pattern, fold), escape))
    {
        return unary::<Text, Boolean>(move |text| Ok(pattern.matches(&folded(text, fold))));
    }
    binary::<Text, Text, Boolean>(move |text, pattern| {
        Ok(Pattern::new(&folded(pattern, fold), escape)?.matches(&folded(text, fold)))
    })
}

fn folded(text: &str, fold: bool) -> std::borrow::Cow<'_, str> {
    if fold {
        text.to_lowercase().into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character_escapes() {
        assert_eq!(single("!"), Some('!'));
        assert_eq!(single("ß"), Some('ß'));
        assert_eq!(single(""), None);
        assert_eq!(single("!!"), None);
    }
}
