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

/// Each argument as the decimal that it is: integers by their digits, literals by theirs.
pub(super) fn each_to_decimal(
    function: &str,
    args: Vec<Expr>,
) -> Result<(Vec<Expr>, Vec<(u8, u8)>), BuildError> {
    let decimal = DataType::Decimal {
        precision: 1,
        scale: 0,
    };
    let mut shapes = Vec::with_capacity(args.len());
    let mut converted = Vec::with_capacity(args.len());
    for (i, arg) in args.into_iter().enumerate() {
        // A literal's own digits: the type that it counts as beside a decimal.
        let own = match as_decimal(&arg.data_type) {
            Some(shape) => shape,
            None => {
                let typed = Expr::column(0, decimal.clone());
                let joined = common_type(function, [&arg, &typed].into_iter())?;
                as_decimal(&joined).unwrap_or((1, 0))
            }
        };
        shapes.push(own);
        let to = DataType::Decimal {
            precision: own.0,
            scale: own.1,
        };
        converted.push(if arg.data_type.is_integer() {
            convert(arg, &to)
        } else {
            to_common(function, i, arg, &to)?
        });
    }
    Ok((converted, shapes))
}

/// `DECIMAL(precision, scale)`, the precision capped.
pub(super) fn decimal_type(precision: u32, scale: u8) -> DataType {
    DataType::Decimal {
        precision: precision.min(u32::from(DECIMAL_PRECISION_MAX)) as u8,
        scale,
    }
}
