//! `+ - * / // %` and the bit operators.
//!
//! Integers keep their type and are ERROR(OVERFLOW) beyond it. `/` of any two numbers is a
//! DOUBLE, as in DuckDB; of exact numbers by zero it is ERROR(DIVISION_BY_ZERO). Doubles
//! follow IEEE 754. Decimals are exact: `+ - %` at the larger scale, `*` at the sum of both
//! scales, the precision capped at 38 and ERROR(OVERFLOW) beyond it; never rounded.

use std::sync::Arc;

use evenkeel_types::time::{TIME_MAX, TIME_MIN, Zone, add_months};
use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, ErrorReason, Expr, Interval};

use super::numeric::{all_to, arithmetic_type, decimal_type, each_to_decimal};
use super::{
    Binding, Function, Group, Signature, argument_type, call, check_count, expect, overload,
};
use crate::coerce::convert;
use crate::decimal::{to_double, within};
use crate::error::BuildError;
use crate::kernel::{
    BigInt, Date, Decimal, Double, Int, Kernel, Missing, Outcome, Span, Timestamp, binary, unary,
};

const OVERFLOW: Missing = Missing::Error(ErrorReason::Overflow);
const DIVISION_BY_ZERO: Missing = Missing::Error(ErrorReason::DivisionByZero);
const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

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
                DataType::Interval => unary::<Span, Span>(negate_interval),
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
    Function {
        name: "bit_and",
        aliases: &["&"],
        group: Group::Arithmetic,
        rule: "The bits set in both.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[
            overload(INT_PAIR, &DataType::Int, |_| {
                binary::<Int, Int, Int>(|a, b| Ok(a & b))
            }),
            overload(BIGINT_PAIR, &DataType::BigInt, |_| {
                binary::<BigInt, BigInt, BigInt>(|a, b| Ok(a & b))
            }),
        ]),
    },
    Function {
        name: "bit_or",
        aliases: &["|"],
        group: Group::Arithmetic,
        rule: "The bits set in either.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[
            overload(INT_PAIR, &DataType::Int, |_| {
                binary::<Int, Int, Int>(|a, b| Ok(a | b))
            }),
            overload(BIGINT_PAIR, &DataType::BigInt, |_| {
                binary::<BigInt, BigInt, BigInt>(|a, b| Ok(a | b))
            }),
        ]),
    },
    Function {
        name: "bit_xor",
        aliases: &["xor"],
        group: Group::Arithmetic,
        rule: "The bits set in one of them.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[
            overload(INT_PAIR, &DataType::Int, |_| {
                binary::<Int, Int, Int>(|a, b| Ok(a ^ b))
            }),
            overload(BIGINT_PAIR, &DataType::BigInt, |_| {
                binary::<BigInt, BigInt, BigInt>(|a, b| Ok(a ^ b))
            }),
        ]),
    },
    Function {
        name: "bit_not",
        aliases: &["~"],
        group: Group::Arithmetic,
        rule: "Every bit turned over.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[
            overload(&[DataType::Int], &DataType::Int, |_| {
                unary::<Int, Int>(|x| Ok(!x))
            }),
            overload(&[DataType::BigInt], &DataType::BigInt, |_| {
                unary::<BigInt, BigInt>(|x| Ok(!x))
            }),
        ]),
    },
    Function {
        name: "bit_count",
        aliases: &[],
        group: Group::Arithmetic,
        rule: "The number of bits set in the 64-bit form.",
        nulls: "",
        errors: "",
        binding: Binding::Overloads(&[overload(&[DataType::BigInt], &DataType::BigInt, |_| {
            unary::<BigInt, BigInt>(|x| Ok(i64::from(x.count_ones())))
        })]),
    },
    Function {
        name: "shift_left",
        aliases: &["<<"],
        group: Group::Arithmetic,
        rule: "x times 2 to the n.",
        nulls: "",
        errors: "INVALID_ARGUMENT unless n is 0 to 63; OVERFLOW if bits are lost",
        binding: Binding::Overloads(&[overload(BIGINT_PAIR, &DataType::BigInt, |_| {
            binary::<BigInt, BigInt, BigInt>(|x, n| {
                let n = shift(n)?;
                let shifted = x << n;
                if shifted >> n == x {
                    Ok(shifted)
                } else {
                    Err(OVERFLOW)
                }
            })
        })]),
    },
    Function {
        name: "shift_right",
        aliases: &[">>"],
        group: Group::Arithmetic,
        rule: "x divided by 2 to the n, towards negative infinity.",
        nulls: "",
        errors: "INVALID_ARGUMENT unless n is 0 to 63",
        binding: Binding::Overloads(&[overload(BIGINT_PAIR, &DataType::BigInt, |_| {
            binary::<BigInt, BigInt, BigInt>(|x, n| Ok(x >> shift(n)?))
        })]),
    },
];

fn shift(n: i64) -> Outcome<u32> {
    u32::try_from(n)
        .ok()
        .filter(|n| *n < 64)
        .ok_or(INVALID_ARGUMENT)
}

#[inline(always)]
fn nonzero<T>(is_zero: bool, quotient: impl FnOnce() -> Option<T>) -> Outcome<T> {
    if is_zero {
        return Err(DIVISION_BY_ZERO);
    }
    quotient().ok_or(OVERFLOW)
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date | DataType::Timestamp)
}

/// `+` and `-`.
fn bind_sum(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    let temporal = |e: &Expr| is_time(&e.data_type) || e.data_type == DataType::Interval;
    if args.iter().any(temporal) {
        return bind_time_sum(name, args);
    }
    let result = arithmetic_type(name, &args)?;
    if !matches!(result, DataType::Decimal { .. }) {
        return Ok(call(name, all_to(name, args, &result)?, result));
    }
    let (_, shapes) = each_to_decimal(name, args.clone())?;
    let scale = shapes.iter().map(|s| s.1).max().unwrap_or(0);
    let whole = shapes.iter().map(|s| s.0 - s.1).max().unwrap_or(0);
    let result = decimal_type(u32::from(whole) + u32::from(scale) + 1, scale);
    Ok(call(name, all_to(name, args, &result)?, result))
}

fn bind_time_sum(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    use DataType as T;
    let [a, b] = <[Expr; 2]>::try_from(args).expect("two arguments were counted");
    let adding = name == "add";
    let done = |a, b, result| Ok(call(name, vec![a, b], result));
    match (&a.data_type, &b.data_type) {
        (T::Interval, T::Interval) => done(a, b, T::Interval),
        (T::Interval, T::Null) => done(a, convert(b, &T::Interval), T::Interval),
        (t, T::Interval) if is_time(t) || *t == T::Null => {
            done(convert(a, &T::Timestamp), b, T::Timestamp)
        }
        (T::Interval, t) if is_time(t) && adding => {
            done(a, convert(b, &T::Timestamp), T::Timestamp)
        }
        (T::Date, t) if t.is_integer() => done(a, convert(b, &T::BigInt), T::Date),
        (T::Date, T::Date) if !adding => done(a, b, T::BigInt),
        (T::Timestamp, T::Null) => done(a, convert(b, &T::Interval), T::Timestamp),
        (T::Date, T::Null) => done(a, convert(b, &T::BigInt), T::Date),
        (t, u) if is_time(t) && is_time(u) => Err(BuildError::ArgumentType {
            function: name.to_owned(),
            argument: 1,
            expected: "an INTERVAL".to_owned(),
            found: b.data_type,
            hint: Some(
                "the length between two times has a unit: `date_diff('second', a, b)`, or subtract `epoch_us(...)`"
                    .to_owned(),
            ),
        }),
        (t, _) if is_time(t) => Err(BuildError::ArgumentType {
            function: name.to_owned(),
            argument: 1,
            expected: "an INTERVAL".to_owned(),
            found: b.data_type,
            hint: Some("write `ts + INTERVAL '1' HOUR`, or `ts + n * INTERVAL '1' HOUR`".to_owned()),
        }),
        (T::Interval, _) => Err(argument_type(name, 1, "a time or an INTERVAL", &b)),
        _ => Err(argument_type(name, 0, "a time or an INTERVAL", &a)),
    }
}

fn sum_kernel(s: &Signature<'_>, minus: bool) -> Arc<dyn Kernel> {
    use DataType as T;
    match (&s.arguments[0], &s.arguments[1], minus) {
        (T::Int, _, false) => binary::<Int, Int, Int>(|a, b| a.checked_add(b).ok_or(OVERFLOW)),
        (T::Int, _, true) => binary::<Int, Int, Int>(|a, b| a.checked_sub(b).ok_or(OVERFLOW)),
        (T::BigInt, _, false) => {
            binary::<BigInt, BigInt, BigInt>(|a, b| a.checked_add(b).ok_or(OVERFLOW))
        }
        (T::BigInt, _, true) => {
            binary::<BigInt, BigInt, BigInt>(|a, b| a.checked_sub(b).ok_or(OVERFLOW))
        }
        // Both are within 38 digits, so the sum is within an i128.
        (&T::Decimal { precision, .. }, _, false) => {
            binary::<Decimal, Decimal, Decimal>(move |a, b| within(a + b, precision))
        }
        (&T::Decimal { precision, .. }, _, true) => {
            binary::<Decimal, Decimal, Decimal>(move |a, b| within(a - b, precision))
        }
        (T::Timestamp, _, false) => binary::<Timestamp, Span, Timestamp>(shift_time),
        (T::Timestamp, _, true) => {
            binary::<Timestamp, Span, Timestamp>(|t, i| shift_time(t, negate_interval(i)?))
        }
        (T::Interval, T::Timestamp, _) => {
            binary::<Span, Timestamp, Timestamp>(|i, t| shift_time(t, i))
        }
        (T::Interval, _, false) => binary::<Span, Span, Span>(add_intervals),
        (T::Interval, _, true) => {
            binary::<Span, Span, Span>(|a, b| add_intervals(a, negate_interval(b)?))
        }
        (T::Date, T::Date, _) => {
            binary::<Date, Date, BigInt>(|a, b| Ok(i64::from(a) - i64::from(b)))
        }
        (T::Date, _, false) => {
            binary::<Date, BigInt, Date>(|d, n| date_of(i64::from(d).checked_add(n)))
        }
        (T::Date, _, true) => {
            binary::<Date, BigInt, Date>(|d, n| date_of(i64::from(d).checked_sub(n)))
        }
        (_, _, false) => binary::<Double, Double, Double>(|a, b| Ok(a + b)),
        (_, _, true) => binary::<Double, Double, Double>(|a, b| Ok(a - b)),
    }
}

/// A date within the years 1 to 9999.
fn date_of(days: Option<i64>) -> Outcome<i32> {
    use evenkeel_types::time::DAY;
    days.filter(|d| (TIME_MIN / DAY..=TIME_MAX / DAY).contains(d))
        .and_then(|d| i32::try_from(d).ok())
        .ok_or(OVERFLOW)
}

fn negate_interval(i: Interval) -> Outcome<Interval> {
    Ok(Interval {
        months: i.months.checked_neg().ok_or(OVERFLOW)?,
        micros: i.micros.checked_neg().ok_or(OVERFLOW)?,
    })
}

fn add_intervals(a: Interval, b: Interval) -> Outcome<Interval> {
    Ok(Interval {
        months: a.months.checked_add(b.months).ok_or(OVERFLOW)?,
        micros: a.micros.checked_add(b.micros).ok_or(OVERFLOW)?,
    })
}

fn multiply_interval(i: Interval, n: i64) -> Outcome<Interval> {
    let months = i64::from(i.months).checked_mul(n).ok_or(OVERFLOW)?;
    Ok(Interval {
        months: i32::try_from(months).map_err(|_| OVERFLOW)?,
        micros: i.micros.checked_mul(n).ok_or(OVERFLOW)?,
    })
}

/// `t` moved by months, then microseconds; outside the years 1 to 9999 an overflow, where
/// window edges saturate.
pub(super) fn shift_time(t: i64, by: Interval) -> Outcome<i64> {
    let moved = if by.months == 0 {
        t
    } else {
        let local = Zone::utc().local(t);
        let month = i64::from(local.year) * 12 + i64::from(local.month) - 1 + i64::from(by.months);
        if !(12..=9999 * 12 + 11).contains(&month) {
            return Err(OVERFLOW);
        }
        add_months(t, i64::from(by.months))
    };
    moved
        .checked_add(by.micros)
        .filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
        .ok_or(OVERFLOW)
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
    let (args, shapes) = each_to_decimal(name, args)?;
    let precision = shapes.iter().map(|s| u32::from(s.0)).sum();
    let scale: u32 = shapes.iter().map(|s| u32::from(s.1)).sum();
    if scale > u32::from(DECIMAL_PRECISION_MAX) {
        return Err(BuildError::ScaleTooLarge {
            function: name.to_owned(),
            scale,
        });
    }
    Ok(call(name, args, decimal_type(precision, scale as u8)))
}

fn product_kernel(s: &Signature<'_>) -> Arc<dyn Kernel> {
    use DataType as T;
    match (&s.arguments[0], s.result) {
        (T::Interval, _) => binary::<Span, BigInt, Span>(multiply_interval),
        (_, T::Interval) => binary::<BigInt, Span, Span>(|n, i| multiply_interval(i, n)),
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
        DataType::Decimal { .. } => each_to_decimal(name, args)?.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(t: i64, months: i32, micros: i64) -> Outcome<i64> {
        shift_time(t, Interval { months, micros })
    }

    #[test]
    fn time_never_saturates() {
        assert_eq!(shifted(TIME_MAX, 0, 1), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, 0, -1), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MAX, 1, 0), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, -1, 0), Err(OVERFLOW));
        assert_eq!(shifted(0, i32::MAX, 0), Err(OVERFLOW));
        assert_eq!(shifted(0, 0, i64::MIN), Err(OVERFLOW));
        assert_eq!(shifted(TIME_MIN, 0, 0), Ok(TIME_MIN));
    }
}
