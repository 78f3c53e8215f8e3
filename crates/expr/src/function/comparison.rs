//! Comparisons. The order of each type is total: NaN equals itself and is greatest, text
//! compares by bytes, false comes before true, lists compare element by element.

use std::sync::Arc;

use evenkeel_types::{DataType, ErrorReason, Expr, Value};

use super::{Binding, Function, Group, Signature, argument_type, call, check_count};
use crate::coerce::unify;
use crate::error::BuildError;
use crate::kernel::{
    Boolean, Kernel, Missing, Outcome, Slot, binary, first_lenient, lenient, null_test,
    with_ordered_slot,
};

pub(super) static FUNCTIONS: &[Function] = &[
    compare(
        "eq",
        &["="],
        &["a = b -> BOOLEAN"],
        "Whether both are equal. A BIGINT beside a DOUBLE is compared as the nearest DOUBLE; lists element by element, NULL elements first.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(S::equal(a, b)))),
    ),
    compare(
        "ne",
        &["<>", "!="],
        &["a <> b -> BOOLEAN"],
        "Whether they differ.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(!S::equal(a, b)))),
    ),
    compare(
        "lt",
        &["<"],
        &["a < b -> BOOLEAN"],
        "Whether a comes before b.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(S::less(a, b)))),
    ),
    compare(
        "le",
        &["<="],
        &["a <= b -> BOOLEAN"],
        "Whether a comes before b or is equal.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(!S::less(b, a)))),
    ),
    compare(
        "gt",
        &[">"],
        &["a > b -> BOOLEAN"],
        "Whether a comes after b.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(S::less(b, a)))),
    ),
    compare(
        "ge",
        &[">="],
        &["a >= b -> BOOLEAN"],
        "Whether a comes after b or is equal.",
        |s| with_ordered_slot!(s, S => binary::<S, S, Boolean>(|a, b| Ok(!S::less(a, b)))),
    ),
    Function {
        name: "is_distinct_from",
        aliases: &[],
        group: Group::Comparison,
        rule: "Whether they differ, NULL counting as a value: `a IS DISTINCT FROM b`.",
        nulls: "NULL differs from every value and not from NULL; never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["a IS DISTINCT FROM b -> BOOLEAN"],
            bind: bind_pair,
            kernel: |s| with_ordered_slot!(s, S => lenient::<S, Boolean>(|v| Ok(!same::<S>(v)))),
        },
    },
    Function {
        name: "is_not_distinct_from",
        aliases: &[],
        group: Group::Comparison,
        rule: "Whether they are the same, NULL counting as a value: `a IS NOT DISTINCT FROM b`.",
        nulls: "NULL is the same as NULL; never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["a IS NOT DISTINCT FROM b -> BOOLEAN"],
            bind: bind_pair,
            kernel: |s| with_ordered_slot!(s, S => lenient::<S, Boolean>(|v| Ok(same::<S>(v)))),
        },
    },
    Function {
        name: "between",
        aliases: &[],
        group: Group::Comparison,
        rule: "`x >= low AND x <= high`, where all three are evaluated.",
        nulls: "as `x >= low AND x <= high`: false if either side is false",
        errors: "",
        binding: Binding::Special {
            signatures: &["x BETWEEN low AND high -> BOOLEAN"],
            bind: |name, args| {
                check_count(name, &args, 3, Some(3))?;
                bind_comparable(name, args)
            },
            kernel: |s| with_ordered_slot!(s, S => between_kernel::<S>(s)),
        },
    },
    Function {
        name: "in",
        aliases: &[],
        group: Group::Comparison,
        rule: "Whether x equals one of the list; the whole list is evaluated.",
        nulls: "NULL if x is NULL, or if x equals nothing and the list has a NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["x IN (a, b, ...) -> BOOLEAN"],
            bind: |name, args| {
                check_count(name, &args, 2, None)?;
                bind_comparable(name, args)
            },
            kernel: |s| with_ordered_slot!(s, S => in_kernel::<S>(s)),
        },
    },
    Function {
        name: "is_null",
        aliases: &["isnull"],
        group: Group::Comparison,
        rule: "Whether x is NULL.",
        nulls: "never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["x IS NULL -> BOOLEAN"],
            bind: bind_any,
            kernel: |_| null_test(true),
        },
    },
    Function {
        name: "is_not_null",
        aliases: &["notnull"],
        group: Group::Comparison,
        rule: "Whether x is not NULL.",
        nulls: "never NULL",
        errors: "",
        binding: Binding::Special {
            signatures: &["x IS NOT NULL -> BOOLEAN"],
            bind: bind_any,
            kernel: |_| null_test(false),
        },
    },
    Function {
        name: "greatest",
        aliases: &[],
        group: Group::Comparison,
        rule: "The greatest argument; NaN is greatest.",
        nulls: "NULLs are left out, as in PostgreSQL and DuckDB; NULL if all are",
        errors: "",
        binding: Binding::Special {
            signatures: &["greatest(a, ...): the common type"],
            bind: bind_extreme,
            kernel: |s| with_ordered_slot!(s, S => lenient::<S, S>(|v| extreme::<S>(v, S::less))),
        },
    },
    Function {
        name: "least",
        aliases: &[],
        group: Group::Comparison,
        rule: "The least argument; NaN is greatest.",
        nulls: "NULLs are left out, as in PostgreSQL and DuckDB; NULL if all are",
        errors: "",
        binding: Binding::Special {
            signatures: &["least(a, ...): the common type"],
            bind: bind_extreme,
            kernel: |s| with_ordered_slot!(s, S => lenient::<S, S>(|v| extreme::<S>(v, |best, x| S::less(x, best)))),
        },
    },
];

const fn compare(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    rule: &'static str,
    kernel: fn(&Signature<'_>) -> Arc<dyn Kernel>,
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Comparison,
        rule,
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures,
            bind: bind_pair,
            kernel,
        },
    }
}

fn bind_pair(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    bind_comparable(name, args)
}

fn bind_comparable(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    let args = comparable(name, args)?.0;
    Ok(call(name, args, DataType::Boolean))
}

fn bind_extreme(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, None)?;
    let (args, common) = comparable(name, args)?;
    Ok(call(name, args, common))
}

/// The arguments in their common type, which has an order.
pub(super) fn comparable(name: &str, args: Vec<Expr>) -> Result<(Vec<Expr>, DataType), BuildError> {
    if let Some(at) = args.iter().position(|e| e.data_type == DataType::Interval) {
        let mut error = argument_type(name, at, "something that has an order", &args[at]);
        if let BuildError::ArgumentType { hint, .. } = &mut error {
            *hint = Some(
                "a month has no fixed length: compare times instead, `a > b + INTERVAL '1' MONTH`"
                    .to_owned(),
            );
        }
        return Err(error);
    }
    unify(name, args)
}

fn bind_any(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, Some(1))?;
    Ok(call(name, args, DataType::Boolean))
}

#[inline(always)]
fn same<S: Slot>(pair: &[Option<S::Ref<'_>>]) -> bool {
    match (pair[0], pair[1]) {
        (Some(a), Some(b)) => S::equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[inline(always)]
fn between<S: Slot>(v: &[Option<S::Ref<'_>>]) -> Outcome<bool> {
    let x = v[0].ok_or(Missing::Null)?;
    let below = v[1].map(|low| S::less(x, low));
    let above = v[2].map(|high| S::less(high, x));
    match (below, above) {
        (Some(true), _) | (_, Some(true)) => Ok(false),
        (Some(false), Some(false)) => Ok(true),
        _ => Err(Missing::Null),
    }
}

fn between_kernel<S: Slot>(s: &Signature<'_>) -> Arc<dyn Kernel> {
    let (Some(low), Some(high)) = (&s.constants[1], &s.constants[2]) else {
        return lenient::<S, Boolean>(between::<S>);
    };
    if low.is_missing() || high.is_missing() {
        return lenient::<S, Boolean>(between::<S>);
    }
    let bound = |value| S::to_stored(S::of_value(value));
    let (low, high) = (bound(low), bound(high));
    first_lenient::<S, Boolean>(move |x| {
        let x = x.ok_or(Missing::Null)?;
        Ok(!S::less(x, S::of_stored(&low)) && !S::less(S::of_stored(&high), x))
    })
}

fn in_kernel<S: Slot>(s: &Signature<'_>) -> Arc<dyn Kernel> {
    let Some(list) = constant_list(&s.constants[1..]) else {
        return lenient::<S, Boolean>(|v| {
            let x = v[0].ok_or(Missing::Null)?;
            let mut unknown = false;
            for item in &v[1..] {
                match item {
                    Some(item) if S::equal(x, *item) => return Ok(true),
                    Some(_) => {}
                    None => unknown = true,
                }
            }
            if unknown {
                Err(Missing::Null)
            } else {
                Ok(false)
            }
        });
    };
    let ConstantList {
        error,
        has_null,
        values,
    } = list;
    let sorted: Vec<S::Stored> = values
        .iter()
        .map(|v| S::to_stored(S::of_value(v)))
        .collect();
    // Only x is looked at: the list is in the closure.
    first_lenient::<S, Boolean>(move |x| {
        if let Some(reason) = error {
            return Err(reason.into());
        }
        let x = x.ok_or(Missing::Null)?;
        let at = sorted.partition_point(|item| S::less(S::of_stored(item), x));
        if sorted
            .get(at)
            .is_some_and(|item| S::equal(S::of_stored(item), x))
        {
            Ok(true)
        } else if has_null {
            Err(Missing::Null)
        } else {
            Ok(false)
        }
    })
}

/// A list of constants, ready to be searched.
struct ConstantList {
    /// The first ERROR in it: the answer for every x that is not ERROR itself.
    error: Option<ErrorReason>,
    has_null: bool,
    /// Present, ascending, each once.
    values: Vec<Value>,
}

fn constant_list(items: &[Option<Value>]) -> Option<ConstantList> {
    let items: Vec<&Value> = items.iter().map(Option::as_ref).collect::<Option<_>>()?;
    let mut values: Vec<Value> = items
        .iter()
        .filter(|v| !v.is_missing())
        .map(|v| (*v).clone())
        .collect();
    values.sort_by(Value::total_cmp);
    values.dedup();
    Some(ConstantList {
        error: items.iter().find_map(|v| v.error()),
        has_null: items.iter().any(|v| v.is_null()),
        values,
    })
}

#[inline(always)]
fn extreme<S: Slot>(
    values: &[Option<S::Ref<'_>>],
    better: impl Fn(S::Ref<'_>, S::Ref<'_>) -> bool,
) -> Outcome<S::Stored> {
    let mut best = None;
    for value in values.iter().flatten() {
        best = match best {
            Some(best) if !better(best, *value) => Some(best),
            _ => Some(*value),
        };
    }
    best.map(S::to_stored).ok_or(Missing::Null)
}
