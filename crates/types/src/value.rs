//! One value: what a column holds, what an expression or a feature answers.
//!
//! Invariant: a float inside a [`Value`] is canonical (`-0.0` is `0.0`, every NaN has the
//! one bit pattern `0x7ff8_0000_0000_0000`), so that equal values have equal bits. The
//! constructors [`Value::double`] and [`Value::float`] keep it; use them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Interval;

/// Why a value is `ERROR`. The codes are part of the format: an aggregate over several
/// errors answers with the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum ErrorReason {
    /// A result outside the range of its type.
    Overflow = 2,
    /// An integer or decimal divided by zero.
    DivisionByZero = 3,
    /// A cast that has no answer: `CAST('x' AS INT)`, a fraction to an integer.
    InvalidCast = 4,
    /// An argument outside the function's domain: `ln(-1)`, `substr` with a negative length.
    InvalidArgument = 5,
    /// A declared limit was passed (`top_k` over too many distinct values).
    Limit = 6,
    /// A function of another language raised an exception, or gave what it was not declared to.
    Function = 7,
}

impl ErrorReason {
    /// All reasons, by code.
    pub const ALL: [ErrorReason; 6] = [
        ErrorReason::Overflow,
        ErrorReason::DivisionByZero,
        ErrorReason::InvalidCast,
        ErrorReason::InvalidArgument,
        ErrorReason::Limit,
        ErrorReason::Function,
    ];

    /// The reason's code.
    pub fn code(self) -> u8 {
        // A fieldless enum with an explicit representation.
        self as u8
    }

    /// The reason of a code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }
}

impl fmt::Display for ErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorReason::Overflow => "OVERFLOW",
            ErrorReason::DivisionByZero => "DIVISION_BY_ZERO",
            ErrorReason::InvalidCast => "INVALID_CAST",
            ErrorReason::InvalidArgument => "INVALID_ARGUMENT",
            ErrorReason::Limit => "LIMIT",
            ErrorReason::Function => "FUNCTION",
        })
    }
}

/// An unscaled 128-bit integer with 8-byte alignment, so that [`Value`] stays at 24 bytes.
/// The scale is in the column's type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unscaled {
    high: i64,
    low: u64,
}

impl Unscaled {
    /// The integer.
    #[expect(clippy::cast_lossless, reason = "i128 from its halves")]
    pub fn get(self) -> i128 {
        ((self.high as i128) << 64) | (self.low as i128)
    }
}

impl From<i128> for Unscaled {
    fn from(value: i128) -> Self {
        // Splitting an i128 into its halves loses nothing.
        Unscaled {
            high: (value >> 64) as i64,
            low: value as u64,
        }
    }
}

impl fmt::Debug for Unscaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

/// One value. Its type is its column's type; a `Value` alone does not know its scale or
/// its field names.
#[derive(Clone, Debug)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// NULL with a reason: the expression had no answer on this row.
    Error(ErrorReason),
    /// `BOOLEAN`
    Boolean(bool),
    /// `INT`
    Int(i32),
    /// `BIGINT`
    BigInt(i64),
    /// `FLOAT`, canonical
    Float(f32),
    /// `DOUBLE`, canonical
    Double(f64),
    /// `DECIMAL`, unscaled
    Decimal(Unscaled),
    /// `STRING`
    String(Arc<str>),
    /// `BYTES`
    Bytes(Arc<[u8]>),
    /// `DATE`, days since the epoch
    Date(i32),
    /// `TIMESTAMP`, microseconds since the epoch, UTC
    Timestamp(i64),
    /// `INTERVAL`
    Interval(Interval),
    /// `ARRAY` or a vector
    Array(Arc<[Value]>),
    /// `STRUCT`, values in field order
    Struct(Arc<[Value]>),
}

/// The canonical NaN: quiet, positive, no payload.
pub const CANONICAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// The one representative of a double: `0.0` for both zeros, [`CANONICAL_NAN`] for any NaN.
#[inline]
pub fn canonical_f64(x: f64) -> f64 {
    if x.is_nan() {
        CANONICAL_NAN
    } else if x == 0.0 {
        0.0
    } else {
        x
    }
}

/// The one representative of a float; see [`canonical_f64`].
#[inline]
pub fn canonical_f32(x: f32) -> f32 {
    if x.is_nan() {
        f32::from_bits(0x7fc0_0000)
    } else if x == 0.0 {
        0.0
    } else {
        x
    }
}

/// Total order of doubles: by value, both zeros equal, NaN equal to itself and greatest.
#[inline]
pub fn compare_f64(a: f64, b: f64) -> Ordering {
    match a.partial_cmp(&b) {
        Some(ordering) => ordering,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

impl Value {
    /// A canonical `DOUBLE`.
    #[inline]
    pub fn double(x: f64) -> Self {
        Value::Double(canonical_f64(x))
    }

    /// A canonical `FLOAT`.
    #[inline]
    pub fn float(x: f32) -> Self {
        Value::Float(canonical_f32(x))
    }

    /// A `DECIMAL` from its unscaled integer.
    pub fn decimal(unscaled: i128) -> Self {
        Value::Decimal(unscaled.into())
    }

    /// A `STRING`.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Value::String(text.into())
    }

    /// NULL or ERROR: there is no value to compute with.
    pub fn is_missing(&self) -> bool {
        matches!(self, Value::Null | Value::Error(_))
    }

    /// NULL, and not an error.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The reason if this is `ERROR`.
    pub fn error(&self) -> Option<ErrorReason> {
        match self {
            Value::Error(reason) => Some(*reason),
            _ => None,
        }
    }

    /// Total order of two values of one type: NULL least, then errors by code, then values
    /// (floats with NaN greatest, strings by bytes, lists element by element).
    /// Values of different types order by kind, so that the order is total on everything.
    pub fn total_cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Error(a), Value::Error(b)) => a.cmp(b),
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::BigInt(a), Value::BigInt(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => compare_f64(f64::from(*a), f64::from(*b)),
            (Value::Double(a), Value::Double(b)) => compare_f64(*a, *b),
            (Value::Decimal(a), Value::Decimal(b)) => a.get().cmp(&b.get()),
            (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) | (Value::Struct(a), Value::Struct(b)) => a
                .iter()
                .zip(b.iter())
                .map(|(x, y)| x.total_cmp(y))
                .find(|o| o.is_ne())
                .unwrap_or_else(|| a.len().cmp(&b.len())),
            _ => self.kind_rank().cmp(&other.kind_rank()),
        }
    }

    /// Equality to the last bit: same kind, same canonical bits. This is the comparison of
    /// every parity check.
    pub fn same_bits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Array(a), Value::Array(b)) | (Value::Struct(a), Value::Struct(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.same_bits(y))
            }
            _ => self.kind_rank() == other.kind_rank() && self.total_cmp(other).is_eq(),
        }
    }

    fn kind_rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Error(_) => 1,
            Value::Boolean(_) => 2,
            Value::Int(_) => 3,
            Value::BigInt(_) => 4,
            Value::Float(_) => 5,
            Value::Double(_) => 6,
            Value::Decimal(_) => 7,
            Value::String(_) => 8,
            Value::Bytes(_) => 9,
            Value::Date(_) => 10,
            Value::Timestamp(_) => 11,
            Value::Interval(_) => 12,
            Value::Array(_) => 13,
            Value::Struct(_) => 14,
        }
    }
}

impl PartialEq for Value {
    /// Bit equality, see [`Value::same_bits`]: NULL equals NULL, NaN equals NaN.
    fn eq(&self, other: &Self) -> bool {
        self.same_bits(other)
    }
}

impl Eq for Value {}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::BigInt(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::string(value)
    }
}

/// What a feature's answer is, beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// A value.
    Present,
    /// The feature is NULL.
    NullValue,
    /// A row view has no row for this key at this time.
    NotFound,
    /// The row is older than the view's TTL.
    OutsideMaxAge,
    /// The expression had no answer; the value is NULL.
    Error(ErrorReason),
}

impl Status {
    /// The status of a value that was computed (not looked for in vain).
    pub fn of(value: &Value) -> Status {
        match value {
            Value::Null => Status::NullValue,
            Value::Error(reason) => Status::Error(*reason),
            _ => Status::Present,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Present => f.write_str("PRESENT"),
            Status::NullValue => f.write_str("NULL_VALUE"),
            Status::NotFound => f.write_str("NOT_FOUND"),
            Status::OutsideMaxAge => f.write_str("OUTSIDE_MAX_AGE"),
            Status::Error(reason) => write!(f, "ERROR({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_three_words() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn floats_are_canonical() {
        assert_eq!(Value::double(-0.0), Value::double(0.0));
        let payload = f64::from_bits(0xfff8_0000_0000_1234);
        assert_eq!(Value::double(payload), Value::Double(CANONICAL_NAN));
        assert!(
            Value::double(f64::NAN)
                .total_cmp(&Value::double(f64::INFINITY))
                .is_gt()
        );
    }

    #[test]
    fn unscaled_round_trips() {
        for x in [0, 1, -1, i128::MAX, i128::MIN, 1 << 64, -(1 << 64) - 1] {
            assert_eq!(Unscaled::from(x).get(), x);
        }
    }

    #[test]
    fn error_codes_round_trip() {
        for reason in ErrorReason::ALL {
            assert_eq!(ErrorReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(ErrorReason::from_code(0), None);
    }
}
