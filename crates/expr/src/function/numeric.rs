//! What the arguments of arithmetic have in common.

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Expr};

use super::argument_type;
use crate::coerce::{as_decimal, common_type, convert, to_common};
use crate::error::BuildError;

/// The type in which arithmetic on the arguments is done: `INT`, `BIGINT`, `DECIMAL` or
/// `DOUBLE` (`FLOAT` computes in `DOUBLE`; only NULLs in `BIGINT`).
pub(super) fn arithmetic_type(function: &str, args: &[Expr]) -> Result<DataType, BuildError> {
    for (argument, arg) in args.iter().enumerate() {
        if !arg.data_type.is_numeric() && arg.data_type != DataType::Null {
            return Err(argument_type(function, argument, "a number", arg));
        }
    }
    Ok(match common_type(function, args.iter())? {
        DataType::Float => DataType::Double,
        DataType::Null => DataType::BigInt,
        other => other,
    })
}

/// All arguments in one type.
pub(super) fn all_to(
    function: &str,
    args: Vec<Expr>,
    to: &DataType,
) -> Result<Vec<Expr>, BuildError> {
    args.into_iter()
        .enumerate()
        .map(|(i, arg)| to_common(function, i, arg, to))
        .collect()
}

/// The decimal type that each argument is beside decimals: integers by their digits,
/// literals by theirs.
pub(super) fn decimal_types(function: &str, args: &[Expr]) -> Result<Vec<DataType>, BuildError> {
    let smallest = Expr::column(0, decimal_type(1, 0));
    args.iter()
        .map(|arg| match as_decimal(&arg.data_type) {
            Some((precision, scale)) => Ok(decimal_type(u32::from(precision), scale)),
            None => common_type(function, [arg, &smallest].into_iter()),
        })
        .collect()
}

/// Each argument as the decimal that it is.
pub(super) fn each_to_decimal(function: &str, args: Vec<Expr>) -> Result<Vec<Expr>, BuildError> {
    let types = decimal_types(function, &args)?;
    args.into_iter()
        .zip(types)
        .enumerate()
        .map(|(i, (arg, to))| {
            if arg.data_type.is_integer() {
                Ok(convert(arg, &to))
            } else {
                to_common(function, i, arg, &to)
            }
        })
        .collect()
}

/// Precision and scale of decimal types.
pub(super) fn shapes(types: &[DataType]) -> impl Iterator<Item = (u8, u8)> + '_ {
    types.iter().filter_map(as_decimal)
}

/// `DECIMAL(precision, scale)`, the precision capped.
pub(super) fn decimal_type(precision: u32, scale: u8) -> DataType {
    DataType::Decimal {
        precision: precision.min(u32::from(DECIMAL_PRECISION_MAX)) as u8,
        scale,
    }
}
