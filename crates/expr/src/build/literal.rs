//! Constants.

use std::sync::Arc;

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Expr, ExprKind, Interval, Value};

use crate::decimal::parse;
use crate::error::BuildError;

/// `NULL`, which takes the type of what it stands beside.
pub fn null() -> Expr {
    Expr::literal(Value::Null, DataType::Null)
}

/// `TRUE` or `FALSE`
pub fn boolean(value: bool) -> Expr {
    Expr::literal(Value::Boolean(value), DataType::Boolean)
}

/// An `INT` if it fits, else a `BIGINT`.
pub fn integer(value: i64) -> Expr {
    match i32::try_from(value) {
        Ok(small) => Expr::literal(Value::Int(small), DataType::Int),
        Err(_) => Expr::literal(Value::BigInt(value), DataType::BigInt),
    }
}

/// A `DOUBLE`
pub fn double(value: f64) -> Expr {
    Expr::literal(Value::double(value), DataType::Double)
}

/// A `STRING`
pub fn string(value: &str) -> Expr {
    Expr::literal(Value::string(value), DataType::String)
}

/// `BYTES`
pub fn bytes(value: &[u8]) -> Expr {
    Expr::literal(Value::Bytes(Arc::from(value)), DataType::Bytes)
}

/// A `DATE`, in days since 1970-01-01.
pub fn date(days: i32) -> Expr {
    Expr::literal(Value::Date(days), DataType::Date)
}

/// A `TIMESTAMP`, in microseconds since the epoch, UTC.
pub fn timestamp(micros: i64) -> Expr {
    Expr::literal(Value::Timestamp(micros), DataType::Timestamp)
}

/// An `INTERVAL`
pub fn interval(value: Interval) -> Expr {
    Expr::literal(Value::Interval(value), DataType::Interval)
}

/// A number as it is written, with or without a minus: an integer is `INT` or `BIGINT`, with a point
/// or an exponent it is a `DOUBLE` (which beside a `DECIMAL` counts as the decimal that it
/// reads as).
pub fn number(text: &str) -> Result<Expr, BuildError> {
    let bad = |reason| BuildError::BadNumber {
        text: text.to_owned(),
        reason,
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .map(integer)
            .map_err(|_| bad("does not fit a BIGINT"));
    }
    let looks_right = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = text
        .parse()
        .ok()
        .filter(|_| looks_right)
        .ok_or_else(|| bad("is not a number"))?;
    if value.is_infinite() {
        return Err(bad("does not fit a DOUBLE"));
    }
    Ok(double(value))
}

/// Minus a number that is a literal: a literal too, so that it adapts to its neighbours as
/// the number without its sign would.
pub(super) fn negated(expr: &Expr) -> Option<Expr> {
    let ExprKind::Literal(value) = &expr.kind else {
        return None;
    };
    match value {
        Value::Int(x) => x.checked_neg().map(|x| integer(i64::from(x))),
        Value::BigInt(x) => x.checked_neg().map(integer),
        Value::Double(x) => Some(double(-x)),
        _ => None,
    }
}

/// An exact `DECIMAL` from its digits: `DECIMAL '12.50'` is a `DECIMAL(4, 2)`.
pub fn decimal(text: &str) -> Result<Expr, BuildError> {
    let bad = |reason| BuildError::BadNumber {
        text: text.to_owned(),
        reason,
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.contains(['e', 'E', '+', '-']) {
        return Err(bad("is not a decimal"));
    }
    let (digits, exponent) = parse(text).ok_or_else(|| bad("is not a decimal"))?;
    let scale = unsigned.split_once('.').map_or(0, |(_, f)| f.len());
    let whole = unsigned.len() - scale - usize::from(unsigned.contains('.'));
    let precision = (whole + scale).max(1);
    let too_long = || bad("has more than 38 digits");
    let precision = u8::try_from(precision)
        .ok()
        .filter(|p| *p <= DECIMAL_PRECISION_MAX)
        .ok_or_else(too_long)?;
    let scale = u8::try_from(scale).map_err(|_| too_long())?;
    let unscaled = crate::decimal::from_digits((digits, exponent), precision, scale)
        .map_err(|_| too_long())?;
    Ok(Expr::literal(
        Value::decimal(unscaled),
        DataType::Decimal { precision, scale },
    ))
}
