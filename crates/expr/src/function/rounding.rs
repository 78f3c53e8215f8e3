//! `round`, `floor`, `ceil`, `trunc`.
//!
//! Integers and decimals are rounded exactly. Of a DOUBLE it is the shortest decimal that
//! reads back as the same DOUBLE that is rounded (so `round(2.675, 2)` is 2.68, as it is
//! written), and the result is the DOUBLE nearest to that: no multiplication by powers of
//! ten, whose own rounding would show.

use std::sync::Arc;

use evenkeel_types::{DataType, ErrorReason, Expr, ExprKind, Value};

use super::numeric::{arithmetic_type, decimal_type};
use super::{Binding, Function, Group, Signature, call, check_count, expect};
use crate::coerce::to_common;
use crate::decimal::{Rounding, drop_digits, power_of_ten, round_double, within};
use crate::error::BuildError;
use crate::kernel::{BigInt, Decimal, Double, Int, Kernel, Missing, Outcome, Slot, binary, unary};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "round",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "x rounded to n digits after the point (default 0, before it if negative), halves away from zero. A DOUBLE is rounded as it is written in its shortest decimal form: `round(2.675, 2)` is 2.68.",
        nulls: "",
        errors: "OVERFLOW outside the type",
        binding: Binding::Special {
            signatures: &[
                "round(x): the type of x; DECIMAL(p, s) gives DECIMAL(p - s + 1, 0)",
                "round(x, BIGINT): the type of x; of a DECIMAL n is a constant",
            ],
            bind: |name, args| bind(name, args, 2),
            kernel: |s| kernel(s, Rounding::HalfAway),
        },
    },
    Function {
        name: "trunc",
        aliases: &["truncate"],
        group: Group::Arithmetic,
        rule: "x without its digits beyond n after the point (default 0), towards zero; else as `round`.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["trunc(x): as round", "trunc(x, BIGINT): as round"],
            bind: |name, args| bind(name, args, 2),
            kernel: |s| kernel(s, Rounding::Truncate),
        },
    },
    Function {
        name: "floor",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "The greatest whole number not above x.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["floor(x): the type of x; DECIMAL(p, s) gives DECIMAL(p - s + 1, 0)"],
            bind: |name, args| bind(name, args, 1),
            kernel: |s| kernel(s, Rounding::Floor),
        },
    },
    Function {
        name: "ceil",
        aliases: &["ceiling"],
        group: Group::Arithmetic,
        rule: "The least whole number not below x.",
        nulls: "",
        errors: "",
        binding: Binding::Special {
            signatures: &["ceil(x): the type of x; DECIMAL(p, s) gives DECIMAL(p - s + 1, 0)"],
            bind: |name, args| bind(name, args, 1),
            kernel: |s| kernel(s, Rounding::Ceiling),
        },
    },
];

fn bind(name: &'static str, args: Vec<Expr>, most: usize) -> Result<Expr, BuildError> {
    check_count(name, &args, 1, Some(most))?;
    let mut args = args.into_iter();
    let Some(x) = args.next() else {
        unreachable!("arguments were counted")
    };
    let to = arithmetic_type(name, std::slice::from_ref(&x))?;
    let x = to_common(name, 0, x, &to)?;
    let places = args
        .next()
        .map(|places| expect(name, 1, places, &DataType::BigInt))
        .transpose()?;
    let result = match to {
        DataType::Decimal { precision, scale } => {
            let places = match &places {
                None => 0,
                Some(places) => constant_places(name, places)?,
            };
            let kept = places.clamp(0, i64::from(scale)) as u8;
            let one_more = u32::from(places < i64::from(scale));
            let whole = u32::from(precision - scale) + one_more;
            decimal_type(whole + u32::from(kept), kept)
        }
        other => other,
    };
    let args = std::iter::once(x).chain(places).collect();
    Ok(call(name, args, result))
}

/// The digits to keep decide a decimal's type, so they are constant.
fn constant_places(name: &str, places: &Expr) -> Result<i64, BuildError> {
    match &places.kind {
        ExprKind::Literal(value) => of_literal(value),
        _ => None,
    }
    .ok_or_else(|| BuildError::NotConstant {
        function: name.to_owned(),
        argument: 1,
        what: "how many digits of a DECIMAL stay",
    })
}

fn of_literal(value: &Value) -> Option<i64> {
    match value {
        Value::BigInt(n) => Some(*n),
        _ => None,
    }
}

fn kernel(s: &Signature<'_>, rounding: Rounding) -> Arc<dyn Kernel> {
    let has_places = s.arguments.len() == 2;
    match (&s.arguments[0], s.result) {
        (&DataType::Decimal { scale, .. }, &DataType::Decimal { precision, .. }) => {
            let places = match s.constants.get(1) {
                Some(Some(value)) => of_literal(value).unwrap_or(0),
                _ => 0,
            };
            decimal_kernel(i64::from(scale), places, precision, rounding)
        }
        (DataType::Int, _) if has_places => binary::<Int, BigInt, Int>(move |x, n| {
            i32::try_from(round_integer(i128::from(x), n, rounding)).map_err(|_| OVERFLOW)
        }),
        (DataType::BigInt, _) if has_places => binary::<BigInt, BigInt, BigInt>(move |x, n| {
            i64::try_from(round_integer(i128::from(x), n, rounding)).map_err(|_| OVERFLOW)
        }),
        (DataType::Int, _) => identity::<Int>(),
        (DataType::BigInt, _) => identity::<BigInt>(),
        _ if has_places => {
            binary::<Double, BigInt, Double>(move |x, n| Ok(round_double(x, n, rounding)))
        }
        _ => match rounding {
            Rounding::HalfAway => unary::<Double, Double>(|x| Ok(libm::round(x))),
            Rounding::Truncate => unary::<Double, Double>(|x| Ok(x.trunc())),
            Rounding::Floor => unary::<Double, Double>(|x| Ok(x.floor())),
            Rounding::Ceiling => unary::<Double, Double>(|x| Ok(x.ceil())),
        },
    }
}

fn identity<S: Slot>() -> Arc<dyn Kernel> {
    unary::<S, S>(|x| Ok(S::to_stored(x)))
}

/// An integer with `-places` digits made zero.
fn round_integer(x: i128, places: i64, rounding: Rounding) -> i128 {
    if places >= 0 {
        return x;
    }
    let digits = u32::try_from(places.unsigned_abs()).unwrap_or(u32::MAX);
    let rounded = drop_digits(x, digits, rounding);
    // A number that is not zero was within an i64, so its digits are few.
    rounded * power_of_ten(digits).unwrap_or(0)
}

fn decimal_kernel(scale: i64, places: i64, precision: u8, rounding: Rounding) -> Arc<dyn Kernel> {
    let dropped = u32::try_from(scale.saturating_sub(places).clamp(0, 1_000)).unwrap_or(0);
    let zeros = u32::try_from(places.saturating_neg().clamp(0, 1_000)).unwrap_or(0);
    unary::<Decimal, Decimal>(move |x| -> Outcome<i128> {
        let rounded = drop_digits(x, dropped, rounding);
        if rounded == 0 {
            return Ok(0);
        }
        let power = power_of_ten(zeros).ok_or(OVERFLOW)?;
        within(rounded.checked_mul(power).ok_or(OVERFLOW)?, precision)
    })
}
