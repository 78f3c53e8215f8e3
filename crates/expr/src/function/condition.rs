//! Truth and choice. AND, OR, CASE and COALESCE are forms of their own, because they
//! evaluate only what they need; here are their names and the functions around them.

use std::sync::Arc;

use evenkeel_types::{DataType, Expr, ExprKind, Value};

use super::comparison::comparable;
use super::{Binding, Function, Group, Signature, call, check_count, expect, overload};
use crate::cast;
use crate::coerce::unify;
use crate::error::BuildError;
use crate::kernel::{Boolean, Kernel, Missing, Slot, general, lenient, unary, with_ordered_slot};

const TRUTH: &[DataType] = &[DataType::Boolean];

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "and",
        aliases: &[],
        group: Group::Condition,
        rule: "Left to right up to the first false, which is the result; what follows is not evaluated. Else NULL if any is NULL, else true.",
        nulls: "NULL unless one is false",
        errors: "an ERROR that is met before the first false passes",
        binding: Binding::Form {
            signatures: &["a AND b -> BOOLEAN"],
            bind: |name, args| {
                bind_connective(name, args, ExprKind::And, |kind| match kind {
                    ExprKind::And(parts) => Ok(parts),
                    other => Err(other),
                })
            },
        },
    },
    Function {
        name: "or",
        aliases: &[],
        group: Group::Condition,
        rule: "Left to right up to the first true, which is the result; what follows is not evaluated. Else NULL if any is NULL, else false.",
        nulls: "NULL unless one is true",
        errors: "an ERROR that is met before the first true passes",
        binding: Binding::Form {
            signatures: &["a OR b -> BOOLEAN"],
            bind: |name, args| {
                bind_connective(name, args, ExprKind::Or, |kind| match kind {
                    ExprKind::Or(parts) => Ok(parts),
                    other => Err(other),
                })
            },
        },
    },
    Function {
        name: "not",
        aliases: &[],
        group: Group::Condition,
        rule: "True becomes false, false becomes true.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[overload(TRUTH, &DataType::Boolean, |_| {
            unary::<Boolean, Boolean>(|x| Ok(!x))
        })]),
    },
    Function {
        name: "is_true",
        aliases: &[],
        group: Group::Condition,
        rule: "Whether x is true: `x IS TRUE`.",
        nulls: "false for NULL",
        errors: "",
        binding: Binding::Overloads(&[overload(TRUTH, &DataType::Boolean, |_| {
            lenient::<Boolean, Boolean>(|x| Ok(x[0] == Some(true)))
        })]),
    },
    Function {
        name: "is_false",
        aliases: &[],
        group: Group::Condition,
        rule: "Whether x is false: `x IS FALSE`.",
        nulls: "false for NULL",
        errors: "",
        binding: Binding::Overloads(&[overload(TRUTH, &DataType::Boolean, |_| {
            lenient::<Boolean, Boolean>(|x| Ok(x[0] == Some(false)))
        })]),
    },
    Function {
        name: "if",
        aliases: &["iif", "iff"],
        group: Group::Condition,
        rule: "`CASE WHEN condition THEN a ELSE b END`; only the chosen one is evaluated.",
        nulls: "a NULL condition chooses b",
        errors: "an ERROR condition passes",
        binding: Binding::Form {
            signatures: &[
                "if(BOOLEAN, a, b): the common type",
                "if(BOOLEAN, a): a or NULL",
            ],
            bind: |name, args| {
                check_count(name, &args, 2, Some(3))?;
                let mut args = args.into_iter();
                let branches = args.next().zip(args.next()).into_iter().collect();
                case(name, branches, args.next())
            },
        },
    },
    Function {
        name: "nvl2",
        aliases: &[],
        group: Group::Condition,
        rule: "`CASE WHEN x IS NOT NULL THEN a ELSE b END`.",
        nulls: "a NULL x chooses b",
        errors: "",
        binding: Binding::Form {
            signatures: &["nvl2(x, a, b): the common type"],
            bind: |name, args| {
                check_count(name, &args, 3, Some(3))?;
                let mut args = args.into_iter();
                let branches = args
                    .next()
                    .map(|x| call("is_not_null", vec![x], DataType::Boolean))
                    .zip(args.next())
                    .into_iter()
                    .collect();
                case(name, branches, args.next())
            },
        },
    },
    Function {
        name: "coalesce",
        aliases: &["ifnull", "nvl"],
        group: Group::Condition,
        rule: "The first argument that is not NULL; what follows is not evaluated.",
        nulls: "NULL if all are NULL",
        errors: "an ERROR that is met before the first value passes",
        binding: Binding::Form {
            signatures: &["coalesce(a, ...): the common type"],
            bind: |name, args| {
                check_count(name, &args, 1, None)?;
                let (args, common) = unify(name, args)?;
                Ok(Expr {
                    kind: ExprKind::Coalesce(args),
                    data_type: common,
                })
            },
        },
    },
    Function {
        name: "read_time",
        aliases: &[],
        group: Group::Condition,
        rule: "The time that the value is read at: the only clock there is.",
        nulls: "never NULL",
        errors: "",
        binding: Binding::Form {
            signatures: &["read_time() -> TIMESTAMP"],
            bind: |name, args| {
                check_count(name, &args, 0, Some(0))?;
                Ok(Expr {
                    kind: ExprKind::ReadTime,
                    data_type: DataType::Timestamp,
                })
            },
        },
    },
    Function {
        name: "cast",
        aliases: &["::"],
        group: Group::Condition,
        rule: "The equal value in another type: `CAST(x AS type)`. Integers and decimals become the nearest DOUBLE, a DOUBLE the decimal that it is written as; TIMESTAMP to DATE is the day in UTC. Text is read strictly, spaces around it aside, and what is written reads back the same.",
        nulls: "",
        errors: "INVALID_CAST for a fraction to an integer, digits beyond the scale, text that is no such value; OVERFLOW outside the range",
        binding: Binding::Form {
            signatures: &["CAST(x AS type)", "x::type"],
            bind: |name, _| Err(needs_type(name)),
        },
    },
    Function {
        name: "try_cast",
        aliases: &[],
        group: Group::Condition,
        rule: "`TRY_CAST(x AS type)`: as CAST, but NULL where that is ERROR.",
        nulls: "",
        errors: "an ERROR in x itself passes",
        binding: Binding::Special {
            signatures: &["TRY_CAST(x AS type)"],
            bind: |name, _| Err(needs_type(name)),
            kernel: |s| {
                let cast = cast::kernel(&s.arguments[0], s.result)
                    .expect("casts that do not exist are refused when built");
                general(s.result, move |v| match cast.row(v) {
                    Value::Error(_) => Err(Missing::Null),
                    value => Ok(value),
                })
            },
        },
    },
    Function {
        name: "nullif",
        aliases: &[],
        group: Group::Condition,
        rule: "NULL if a equals b, else a; `x / nullif(y, 0)` divides safely.",
        nulls: "NULL if a is NULL, a if b is",
        errors: "",
        binding: Binding::Special {
            signatures: &["nullif(a, b): the common type"],
            bind: |name, args| {
                check_count(name, &args, 2, Some(2))?;
                let (args, common) = comparable(name, args)?;
                Ok(call(name, args, common))
            },
            kernel: |s: &Signature<'_>| -> Arc<dyn Kernel> {
                with_ordered_slot!(s, S => lenient::<S, S>(|v| match (v[0], v[1]) {
                    (None, _) => Err(Missing::Null),
                    (Some(a), Some(b)) if S::equal(a, b) => Err(Missing::Null),
                    (Some(a), _) => Ok(S::to_stored(a)),
                }))
            },
        },
    },
];

fn needs_type(name: &str) -> BuildError {
    BuildError::RefusedFunction {
        name: name.to_owned(),
        hint: format!("write `{}(x AS type)`", name.to_ascii_uppercase()),
    }
}

/// AND and OR: parts of the same kind are taken in, which changes no result.
fn bind_connective(
    name: &'static str,
    args: Vec<Expr>,
    make: fn(Vec<Expr>) -> ExprKind,
    split: fn(ExprKind) -> Result<Vec<Expr>, ExprKind>,
) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, None)?;
    let mut parts = Vec::with_capacity(args.len());
    for (i, arg) in args.into_iter().enumerate() {
        let Expr { kind, data_type } = expect(name, i, arg, &DataType::Boolean)?;
        match split(kind) {
            Ok(inner) => parts.extend(inner),
            Err(kind) => parts.push(Expr { kind, data_type }),
        }
    }
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return Ok(only);
    }
    Ok(Expr {
        kind: make(parts),
        data_type: DataType::Boolean,
    })
}

/// A searched CASE. Arguments count as condition, result, condition, result, ..., otherwise.
pub(crate) fn case(
    name: &str,
    branches: Vec<(Expr, Expr)>,
    otherwise: Option<Expr>,
) -> Result<Expr, BuildError> {
    let has_otherwise = otherwise.is_some();
    let mut conditions = Vec::with_capacity(branches.len());
    let mut results = Vec::with_capacity(branches.len() + 1);
    for (i, (condition, result)) in branches.into_iter().enumerate() {
        conditions.push(expect(name, 2 * i, condition, &DataType::Boolean)?);
        results.push(result);
    }
    let count = conditions.len();
    results.extend(otherwise);
    let (mut results, common) = unify(name, results).map_err(|e| among_branches(e, count))?;
    let otherwise = if has_otherwise {
        results.pop().map(Box::new)
    } else {
        None
    };
    Ok(Expr {
        kind: ExprKind::Case {
            branches: conditions.into_iter().zip(results).collect(),
            otherwise,
        },
        data_type: common,
    })
}

/// The position of a result among all arguments of a CASE.
fn among_branches(mut error: BuildError, branches: usize) -> BuildError {
    if let BuildError::NoCommonType { argument, .. } | BuildError::BadConstant { argument, .. } =
        &mut error
    {
        *argument = if *argument < branches {
            2 * *argument + 1
        } else {
            2 * branches
        };
    }
    error
}
