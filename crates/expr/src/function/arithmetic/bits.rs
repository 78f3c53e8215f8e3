//! The bits of integers, in two's complement.

use evenkeel_types::{DataType, ErrorReason};

use super::{BIGINT_PAIR, INT_PAIR, OVERFLOW};
use crate::function::{Binding, Function, Group, overload};
use crate::kernel::{BigInt, Int, Missing, Outcome, binary, unary};

const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

pub(in crate::function) static FUNCTIONS: &[Function] = &[
    Function {
        name: "bit_and",
        aliases: &[],
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
        aliases: &[],
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
        aliases: &[],
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
        aliases: &[],
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
        aliases: &[],
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
