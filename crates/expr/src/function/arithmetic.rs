//! `+ - * / // %` and the sign of numbers.
//!
//! Integers keep their type and are ERROR(OVERFLOW) beyond it. `/` of any two numbers is a
//! DOUBLE, as in DuckDB; of exact numbers by zero it is ERROR(DIVISION_BY_ZERO). Doubles
//! follow IEEE 754. Decimals are exact: `+ - %` at the larger scale, `*` at the sum of both
//! scales, the precision capped at 38 and ERROR(OVERFLOW) beyond it; never rounded.

mod bits;
mod temporal;

use std::sync::Arc;

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, ErrorReason, Expr};

use super::numeric::{
    all_to, arithmetic_type, decimal_type, decimal_types, each_to_decimal, shapes,
};
use super::{Binding, Function, Group, Signature, call, check_count, expect, overload};
use crate::decimal::{to_double, within};
use crate::error::BuildError;
use crate::kernel::{BigInt, Decimal, Double, Int, Kernel, Missing, Outcome, Span, binary, unary};

pub(super) use bits::FUNCTIONS as BITS;

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const DIVISION_BY_ZERO: Missing = Missing::Error(ErrorReason::DivisionByZero);

const INT_PAIR: &[DataType] = &[DataType::Int, DataType::Int];
const BIGINT_PAIR: &[DataType] = &[DataType::BigInt, DataType::BigInt];

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "add",
        aliases: &["+"],
        group: Group::Arithmetic,
        rule: "The sum. INT + INT is INT, with BIGINT BIGINT, with DECIMAL exact, with FLOAT or DOUBLE a DOUBLE. A time plus an interval is a TIMESTAMP (months first; a day that the month lacks is the first instant of the next month), a DATE plus whole days a DATE.",
        nulls: "",
        errors: "OVERFLOW outside the type",
        binding: Binding::Special {
            signatures: &[
                "a + b: INT, BIGINT, DECIMAL or DOUBLE",
                "TIMESTAMP + INTERVAL -> TIMESTAMP",
                "DATE + INTERVAL -> TIMESTAMP",
                "DATE + BIGINT -> DATE",
                "INTERVAL + INTERVAL -> INTERVAL",
            ],
            bind: bind_sum,
            kernel: |s| sum_kernel(s, false),
        },
    },
    Function {
        name: "subtract",
        aliases: &["-"],
        group: Group::Arithmetic,
        rule: "The difference, typed as the sum. DATE - DATE is the number of days; for two timestamps say the unit with `date_diff`.",
        nulls: "",
        errors: "OVERFLOW outside the type",
        binding: Binding::Special {
            signatures: &[
                "a - b: INT, BIGINT, DECIMAL or DOUBLE",
                "TIMESTAMP - INTERVAL -> TIMESTAMP",
                "DATE - INTERVAL -> TIMESTAMP",
                "DATE - BIGINT -> DATE",
                "DATE - DATE -> BIGINT",
                "INTERVAL - INTERVAL -> INTERVAL",
            ],
            bind: bind_sum,
            kernel: |s| sum_kernel(s, true),
        },
    },
    Function {
        name: "multiply",
        aliases: &["*"],
        group: Group::Arithmetic,
        rule: "The product, typed as the sum; decimals have the sum of both scales. An interval times a whole number is an interval.",
        nulls: "",
        errors: "OVERFLOW outside the type",
        binding: Binding::Special {
            signatures: &[
                "a * b: INT, BIGINT, DECIMAL or DOUBLE",
                "INTERVAL * BIGINT -> INTERVAL",
                "BIGINT * INTERVAL -> INTERVAL",
            ],
            bind: bind_product,
            kernel: product_kernel,
        },
    },
    Function {
        name: "divide",
        aliases: &["/"],
        group: Group::Arithmetic,
        rule: "The quotient as a DOUBLE: both sides become the nearest DOUBLE and are divided once, so `5 / 2` is 2.5. Whole quotients are `//`.",
        nulls: "",
        errors: "DIVISION_BY_ZERO if both are integers or decimals and `b` is 0; a DOUBLE by zero is infinite or NaN",
        binding: Binding::Special {
            signatures: &["number / number -> DOUBLE"],
            bind: bind_divide,
            kernel: divide_kernel,
        },
    },
    Function {
        name: "int_divide",
        aliases: &["//", "div"],
        group: Group::Arithmetic,
        rule: "The quotient of integers without its fraction: `-7 // 2` is -3.",
        nulls: "",
        errors: "DIVISION_BY_ZERO; OVERFLOW for the least integer by -1",
        binding: Binding::Overloads(&[
            overload(INT_PAIR, &DataType::Int, |_| {
                binary::<Int, Int, Int>(|a, b| nonzero(b == 0, || a.checked_div(b)))
            }),
            overload(BIGINT_PAIR, &DataType::BigInt, |_| {
                binary::<BigInt, BigInt, BigInt>(|a, b| nonzero(b == 0, || a.checked_div(b)))
            }),
        ]),
    },
    Function {
        name: "modulo",
        aliases: &["%", "mod"],
        group: Group::Arithmetic,
        rule: "The remainder of the division without fraction; it has the sign of `a`. Exact for every type.",
        nulls: "",
        errors: "DIVISION_BY_ZERO of integers and decimals; a DOUBLE by zero is NaN",
        binding: Binding::Special {
            signatures: &["a % b: INT, BIGINT, DECIMAL or DOUBLE"],
            bind: bind_modulo,
            kernel: modulo_kernel,
        },
    },
    Function {
        name: "negate",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "Minus x. Zero stays zero: there is no negative zero.",
        nulls: "",
        errors: "OVERFLOW for the least integer",
        binding: Binding::Special {
            signatures: &["-x: INT, BIGINT, DECIMAL, DOUBLE or INTERVAL"],
            bind: bind_same,
            kernel: |s| match s.result {
                DataType::Int => unary::<Int, Int>(|x| x.checked_neg().ok_or(OVERFLOW)),
                DataType::BigInt => unary::<BigInt, BigInt>(|x| x.checked_neg().ok_or(OVERFLOW)),
                DataType::Decimal { .. } => {
                    unary::<Decimal, Decimal>(|x| x.checked_neg().ok_or(OVERFLOW))
                }
                DataType::Interval => unary::<Span, Span>(temporal::negate),
                _ => unary::<Double, Double>(|x| Ok(-x)),
            },
        },
    },
    Function {
        name: "unary_plus",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "x itself.",
        nulls: "",
        errors: "",
        binding: Binding::Form {
            signatures: &["+x: INT, BIGINT, DECIMAL or DOUBLE"],
            bind: |name, mut args| {
                check_count(name, &args, 1, Some(1))?;
                arithmetic_type(name, &args)?;
                Ok(args.remove(0))
            },
        },
    },
    Function {
        name: "abs",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "The absolute value.",
        nulls: "",
        errors: "OVERFLOW for the least integer",
        binding: Binding::Special {
            signatures: &["abs(x): INT, BIGINT, DECIMAL or DOUBLE"],
            bind: bind_number,
            kernel: |s| match s.result {
                DataType::Int => unary::<Int, Int>(|x| x.checked_abs().ok_or(OVERFLOW)),
                DataType::BigInt => unary::<BigInt, BigInt>(|x| x.checked_abs().ok_or(OVERFLOW)),
                DataType::Decimal { .. } => {
                    unary::<Decimal, Decimal>(|x| x.checked_abs().ok_or(OVERFLOW))
                }
                _ => unary::<Double, Double>(|x| Ok(x.abs())),
            },
        },
    },
    Function {
        name: "sign",
        aliases: &["sgn"],
        group: Group::Arithmetic,
        rule: "-1, 0 or 1; of a DOUBLE as a DOUBLE, NaN of NaN, else an INT.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[
            overload(&[DataType::BigInt], &DataType::Int, |_| {
                unary::<BigInt, Int>(|x| Ok(x.signum() as i32))
            }),
            overload(&[DataType::Double], &DataType::Double, |_| {
                unary::<Double, Double>(|x| {
                    Ok(if x > 0.0 {
                        1.0
                    } else if x < 0.0 {
                        -1.0
                    } else {
                        x
                    })
                })
            }),
        ]),
    },
];

#[inline(always)]
fn nonzero<T>(is_zero: bool, quotient: impl FnOnce() -> Option<T>) -> Outcome<T> {
    if is_zero {
        return Err(DIVISION_BY_ZERO);
    }
    quotient().ok_or(OVERFLOW)
}

/// `+` and `-`.
fn bind_sum(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    if args.iter().any(temporal::is_temporal) {
        return temporal::bind_sum(name, args);
    }
    let result = arithmetic_type(name, &args)?;
    if !matches!(result, DataType::Decimal { .. }) {
        return Ok(call(name, all_to(name, args, &result)?, result));
    }
    let types = decimal_types(name, &args)?;
    let scale = shapes(&types).map(|s| s.1).max().unwrap_or(0);
    let whole = shapes(&types).map(|s| s.0 - s.1).max().unwrap_or(0);
    let result = decimal_type(u32::from(whole) + u32::from(scale) + 1, scale);
    Ok(call(name, all_to(name, args, &result)?, result))
}

fn sum_kernel(s: &Signature<'_>, minus: bool) -> Arc<dyn Kernel> {
    use DataType as T;
    if let Some(kernel) = temporal::sum_kernel(s, minus) {
        return kernel;
    }
    match (&s.arguments[0], minus) {
        (T::Int, false) => binary::<Int, Int, Int>(|a, b| a.checked_add(b).ok_or(OVERFLOW)),
        (T::Int, true) => binary::<Int, Int, Int>(|a, b| a.checked_sub(b).ok_or(OVERFLOW)),
        (T::BigInt, false) => {
            binary::<BigInt, BigInt, BigInt>(|a, b| a.checked_add(b).ok_or(OVERFLOW))
        }
        (T::BigInt, true) => {
            binary::<BigInt, BigInt, BigInt>(|a, b| a.checked_sub(b).ok_or(OVERFLOW))
        }
        (&T::Decimal { precision, .. }, false) => {
            binary::<Decimal, Decimal, Decimal>(move |a, b| {
                within(a.checked_add(b).ok_or(OVERFLOW)?, precision)
            })
        }
        (&T::Decimal { precision, .. }, true) => {
            binary::<Decimal, Decimal, Decimal>(move |a, b| {
                within(a.checked_sub(b).ok_or(OVERFLOW)?, precision)
            })
        }
        (_, false) => binary::<Double, Double, Double>(|a, b| Ok(a + b)),
        (_, true) => binary::<Double, Double, Double>(|a, b| Ok(a - b)),
    }
}

fn bind_product(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    if let Some(at) = args.iter().position(|e| e.data_type == DataType::Interval) {
        let args = args
            .into_iter()
            .enumerate()
            .map(|(i, arg)| {
                if i == at {
                    Ok(arg)
                } else {
                    expect(name, i, arg, &DataType::BigInt)
                }
            })
            .collect::<Result<_, _>>()?;
        return Ok(call(name, args, DataType::Interval));
    }
    let result = arithmetic_type(name, &args)?;
    if !matches!(result, DataType::Decimal { .. }) {
        return Ok(call(name, all_to(name, args, &result)?, result));
    }
    let types = decimal_types(name, &args)?;
    let precision = shapes(&types).map(|s| u32::from(s.0)).sum();
    let scale: u32 = shapes(&types).map(|s| u32::from(s.1)).sum();
    if scale > u32::from(DECIMAL_PRECISION_MAX) {
        return Err(BuildError::ScaleTooLarge {
            function: name.to_owned(),
            scale,
        });
    }
    let result = decimal_type(precision, scale as u8);
    Ok(call(name, each_to_decimal(name, args)?, result))
}

fn product_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    use DataType as T;
    match (&s.arguments[0], s.result) {
        (T::Interval, _) => binary::<Span, BigInt, Span>(temporal::multiply),
        (_, T::Interval) => binary::<BigInt, Span, Span>(|n, i| temporal::multiply(i, n)),
        (T::Int, _) => binary::<Int, Int, Int>(|a, b| a.checked_mul(b).ok_or(OVERFLOW)),
        (T::BigInt, _) => binary::<BigInt, BigInt, BigInt>(|a, b| a.checked_mul(b).ok_or(OVERFLOW)),
        (_, &T::Decimal { precision, .. }) => binary::<Decimal, Decimal, Decimal>(move |a, b| {
            within(a.checked_mul(b).ok_or(OVERFLOW)?, precision)
        }),
        _ => binary::<Double, Double, Double>(|a, b| Ok(a * b)),
    }
}

fn bind_divide(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    let args = match arithmetic_type(name, &args)? {
        DataType::Int | DataType::BigInt => all_to(name, args, &DataType::BigInt)?,
        DataType::Decimal { .. } => each_to_decimal(name, args)?,
        _ => all_to(name, args, &DataType::Double)?,
    };
    Ok(call(name, args, DataType::Double))
}

fn divide_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    use DataType as T;
    match (&s.arguments[0], &s.arguments[1]) {
        (T::BigInt, _) => binary::<BigInt, BigInt, Double>(|a, b| {
            if b == 0 {
                return Err(DIVISION_BY_ZERO);
            }
            Ok(a as f64 / b as f64)
        }),
        (&T::Decimal { scale: s, .. }, &T::Decimal { scale: r, .. }) => {
            binary::<Decimal, Decimal, Double>(move |a, b| {
                if b == 0 {
                    return Err(DIVISION_BY_ZERO);
                }
                Ok(to_double(a, u32::from(s)) / to_double(b, u32::from(r)))
            })
        }
        _ => binary::<Double, Double, Double>(|a, b| Ok(a / b)),
    }
}

fn bind_modulo(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    let result = arithmetic_type(name, &args)?;
    Ok(call(name, all_to(name, args, &result)?, result))
}

fn modulo_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    match s.result {
        DataType::Int => {
            binary::<Int, Int, Int>(|a, b| nonzero(b == 0, || Some(a.wrapping_rem(b))))
        }
        DataType::BigInt => {
            binary::<BigInt, BigInt, BigInt>(|a, b| nonzero(b == 0, || Some(a.wrapping_rem(b))))
        }
        DataType::Decimal { .. } => {
            binary::<Decimal, Decimal, Decimal>(|a, b| nonzero(b == 0, || a.checked_rem(b)))
        }
        _ => binary::<Double, Double, Double>(|a, b| Ok(libm::fmod(a, b))),
    }
}

/// One number, which keeps its type (a FLOAT becomes a DOUBLE).
fn bind_number(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, Some(1))?;
    let result = arithmetic_type(name, &args)?;
    Ok(call(name, all_to(name, args, &result)?, result))
}

fn bind_same(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    match &args[..] {
        [one] if one.data_type == DataType::Interval => Ok(call(name, args, DataType::Interval)),
        _ => bind_number(name, args),
    }
}
