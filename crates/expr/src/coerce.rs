//! Implicit conversions: which type becomes which by itself, and the type that several
//! arguments have in common.
//!
//! Invariant: an implicit conversion never changes what a value means. It widens:
//! `INT` to `BIGINT` to `DECIMAL` or `DOUBLE`, `FLOAT` to `DOUBLE`, `DECIMAL` to `DOUBLE`,
//! `DATE` to `TIMESTAMP`, and elements of arrays likewise. To `DOUBLE` it rounds to nearest
//! even, as arithmetic on doubles does. Two kinds of *literal* adapt to their neighbours:
//! text beside a `DATE` or `TIMESTAMP` is read as one, and a number with a point beside a
//! `DECIMAL` is a decimal with exactly those digits.

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Expr, ExprKind, Value};

use crate::cast;
use crate::decimal;
use crate::error::BuildError;

/// The decimal that holds every integer of an integer type, or the decimal itself.
pub(crate) fn as_decimal(data_type: &DataType) -> Option<(u8, u8)> {
    match data_type {
        DataType::Int => Some((10, 0)),
        DataType::BigInt => Some((19, 0)),
        DataType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

/// The type that both become by themselves.
pub(crate) fn join(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (T::Null, other) | (other, T::Null) => Some(other.clone()),
        (T::Int, T::BigInt) | (T::BigInt, T::Int) => Some(T::BigInt),
        (T::Date, T::Timestamp) | (T::Timestamp, T::Date) => Some(T::Timestamp),
        (a, b) if a.is_numeric() && b.is_numeric() => {
            if a.is_float() || b.is_float() {
                return Some(T::Double);
            }
            let ((p, s), (q, r)) = (as_decimal(a)?, as_decimal(b)?);
            let scale = s.max(r);
            let precision = ((p - s).max(q - r) + scale).min(DECIMAL_PRECISION_MAX);
            Some(T::Decimal { precision, scale })
        }
        (T::Array(a), T::Array(b)) => Some(T::Array(Box::new(join(a, b)?))),
        (
            T::Vector { element, length },
            T::Vector {
                element: other,
                length: of_other,
            },
        ) if length == of_other => Some(T::Vector {
            element: Box::new(join(element, other)?),
            length: *length,
        }),
        (T::Vector { element, .. }, T::Array(other))
        | (T::Array(other), T::Vector { element, .. }) => {
            Some(T::Array(Box::new(join(element, other)?)))
        }
        _ => None,
    }
}

/// Whether an implicit conversion exists.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to {
        return true;
    }
    match (from, to) {
        (T::Null, _) => true,
        (
            T::Decimal { precision, scale },
            T::Decimal {
                precision: p,
                scale: s,
            },
        ) => s >= scale && p - s >= precision - scale,
        (T::Int | T::BigInt, T::Decimal { precision, scale }) => {
            as_decimal(from).is_some_and(|(digits, _)| precision - scale >= digits)
        }
        (T::Array(a), T::Array(b)) => widens(a, b),
        (T::Vector { element, .. }, T::Array(other)) => widens(element, other),
        (
            T::Vector { element, length },
            T::Vector {
                element: other,
                length: wanted,
            },
        ) => length == wanted && widens(element, other),
        _ => join(from, to).as_ref() == Some(to),
    }
}

/// The expression in another type, by a conversion that is written down in the tree. A
/// literal is converted at once; if that has no answer the conversion stays and is ERROR on
/// every row.
pub(crate) fn convert(expr: Expr, to: &DataType) -> Expr {
    if expr.data_type == *to {
        return expr;
    }
    if let ExprKind::Literal(value) = &expr.kind
        && let Some(converted) = cast::literal(value, &expr.data_type, to)
        && converted.error().is_none()
    {
        return Expr::literal(converted, to.clone());
    }
    Expr {
        kind: ExprKind::Cast(Box::new(expr)),
        data_type: to.clone(),
    }
}

fn text_literal(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Literal(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The decimal type of a double literal's digits, if it has one.
fn literal_decimal(expr: &Expr) -> Option<DataType> {
    let ExprKind::Literal(Value::Double(x)) = expr.kind else {
        return None;
    };
    if !x.is_finite() {
        return None;
    }
    let (digits, exponent) = decimal::shortest_digits(x);
    let scale = exponent.min(0).unsigned_abs();
    let whole = decimal::rescale(digits, exponent.max(0), DECIMAL_PRECISION_MAX).ok()?;
    let length = u32::try_from(whole.unsigned_abs().to_string().len()).ok()?;
    let precision = u8::try_from(length.max(scale)).ok()?;
    (precision <= DECIMAL_PRECISION_MAX).then_some(DataType::Decimal {
        precision,
        scale: scale as u8,
    })
}

/// The type that an argument counts as beside arguments of the type `others`.
fn adapted(expr: &Expr, others: &DataType) -> DataType {
    match others {
        DataType::Date | DataType::Timestamp if text_literal(expr).is_some() => others.clone(),
        DataType::Decimal { .. } => literal_decimal(expr).unwrap_or_else(|| expr.data_type.clone()),
        _ => expr.data_type.clone(),
    }
}

fn adapts(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Literal(Value::String(_) | Value::Double(_))
    )
}

/// The type that all arguments become, literals adapting to the rest.
pub(crate) fn common_type<'a>(
    function: &str,
    args: impl Iterator<Item = &'a Expr> + Clone,
) -> Result<DataType, BuildError> {
    let mut common = DataType::Null;
    for pass_adapting in [false, true] {
        let fixed = common.clone();
        for (argument, expr) in args.clone().enumerate() {
            if adapts(expr) != pass_adapting {
                continue;
            }
            let found = adapted(expr, &fixed);
            common = join(&common, &found).ok_or_else(|| BuildError::NoCommonType {
                function: function.to_owned(),
                argument,
                found: expr.data_type.clone(),
                other: common.clone(),
            })?;
        }
    }
    Ok(common)
}

/// The argument in the common type; a text literal that becomes a time must be one.
pub(crate) fn to_common(
    function: &str,
    argument: usize,
    expr: Expr,
    to: &DataType,
) -> Result<Expr, BuildError> {
    let literal_target = match to {
        DataType::Date | DataType::Timestamp => text_literal(&expr).is_some(),
        DataType::Decimal { .. } => literal_decimal(&expr).is_some(),
        _ => false,
    };
    if !literal_target {
        return Ok(convert(expr, to));
    }
    let ExprKind::Literal(value) = &expr.kind else {
        return Ok(convert(expr, to));
    };
    let converted = cast::literal(value, &expr.data_type, to);
    match converted {
        Some(value) if !value.is_missing() => Ok(Expr::literal(value, to.clone())),
        _ => Err(BuildError::BadConstant {
            function: function.to_owned(),
            argument,
            value: match value {
                Value::String(text) => text.to_string(),
                other => format!("{other:?}"),
            },
            reason: format!("it is no {to}"),
            hint: match to {
                DataType::Date => Some("write a date as `2026-01-31`".to_owned()),
                DataType::Timestamp => Some("write a time as `2026-01-31T12:00:00Z`".to_owned()),
                _ => None,
            },
        }),
    }
}

/// All arguments in the type that they have in common, and that type.
pub(crate) fn unify(function: &str, args: Vec<Expr>) -> Result<(Vec<Expr>, DataType), BuildError> {
    let common = common_type(function, args.iter())?;
    let args = args
        .into_iter()
        .enumerate()
        .map(|(argument, expr)| to_common(function, argument, expr, &common))
        .collect::<Result<_, _>>()?;
    Ok((args, common))
}

/// Whether an argument may stand where a parameter of the type `to` is.
pub(crate) fn accepts(expr: &Expr, to: &DataType) -> bool {
    widens(&expr.data_type, to)
        || (matches!(to, DataType::Date | DataType::Timestamp) && text_literal(expr).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    #[test]
    fn joins_keep_every_value_if_they_can() {
        use DataType as T;
        for (a, b, want) in [
            (T::Int, T::BigInt, Some(T::BigInt)),
            (T::Int, T::Float, Some(T::Double)),
            (T::BigInt, T::Double, Some(T::Double)),
            (T::BigInt, decimal(10, 2), Some(decimal(21, 2))),
            (decimal(10, 2), decimal(8, 5), Some(decimal(13, 5))),
            (decimal(38, 0), decimal(38, 38), Some(decimal(38, 38))),
            (decimal(10, 2), T::Float, Some(T::Double)),
            (T::Date, T::Timestamp, Some(T::Timestamp)),
            (T::Null, T::Bytes, Some(T::Bytes)),
            (T::String, T::Int, None),
            (T::Boolean, T::Int, None),
            (
                T::Array(Box::new(T::Int)),
                T::Array(Box::new(T::Double)),
                Some(T::Array(Box::new(T::Double))),
            ),
        ] {
            assert_eq!(join(&a, &b), want, "{a} {b}");
            assert_eq!(join(&b, &a), want, "{b} {a}");
        }
    }

    #[test]
    fn only_widening_is_implicit() {
        use DataType as T;
        assert!(widens(&T::Int, &T::BigInt));
        assert!(widens(&T::BigInt, &decimal(19, 0)));
        assert!(!widens(&T::BigInt, &decimal(19, 1)));
        assert!(!widens(&T::BigInt, &T::Int));
        assert!(!widens(&T::Double, &T::Float));
        assert!(!widens(&decimal(10, 2), &decimal(10, 3)));
        assert!(widens(&decimal(10, 2), &T::Double));
        assert!(!widens(&T::Timestamp, &T::Date));
        assert!(!widens(&T::String, &T::Int));
    }

    #[test]
    fn literals_know_their_digits() {
        let of = |x: f64| literal_decimal(&Expr::literal(Value::double(x), DataType::Double));
        assert_eq!(of(0.9), Some(decimal(1, 1)));
        assert_eq!(of(12.25), Some(decimal(4, 2)));
        assert_eq!(of(0.001), Some(decimal(3, 3)));
        assert_eq!(of(1e20), Some(decimal(21, 0)));
        assert_eq!(of(1e-40), None);
        assert_eq!(of(f64::INFINITY), None);
    }
}
