//! The types a column can have, and named fields.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest number of digits of a `DECIMAL`.
pub const DECIMAL_PRECISION_MAX: u8 = 38;

/// The type of a column, an expression or a feature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// Three-valued truth.
    Boolean,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    BigInt,
    /// 32-bit float; sums, averages, variances and quantiles over it are [`DataType::Double`].
    Float,
    /// 64-bit float.
    Double,
    /// Exact decimal: at most 38 digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// UTF-8 text; compares by bytes.
    String,
    /// Bytes; compare bytewise.
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// A length of time: months and microseconds. Expressions only; no column stores it.
    Interval,
    /// A list of any length.
    Array(Box<DataType>),
    /// A list of exactly `length` non-NULL elements (an embedding).
    Vector {
        /// `Float` or `Double`.
        element: Box<DataType>,
        /// Number of elements, enforced.
        length: u32,
    },
    /// Named fields; occurs as the element of an array (`top_k`).
    Struct(Vec<Field>),
    /// The type of a bare `NULL`; converts to every type. No column has it.
    Null,
}

/// A name and its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Column, feature or struct field name, as written (lower case unless quoted).
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

impl Field {
    /// A field from its name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Field {
            name: name.into(),
            data_type,
        }
    }
}

impl DataType {
    /// Whether values are numbers.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, DataType::Decimal { .. })
    }

    /// `INT` or `BIGINT`.
    pub fn is_integer(&self) -> bool {
        matches!(self, DataType::Int | DataType::BigInt)
    }

    /// `FLOAT` or `DOUBLE`.
    pub fn is_float(&self) -> bool {
        matches!(self, DataType::Float | DataType::Double)
    }

    /// Whether a column of a source may have this type.
    pub fn is_storable(&self) -> bool {
        match self {
            DataType::Interval | DataType::Null | DataType::Struct(_) => false,
            DataType::Array(element) => match element.as_ref() {
                DataType::Struct(fields) => fields.iter().all(|f| f.data_type.is_scalar()),
                other => other.is_scalar(),
            },
            DataType::Vector { element, .. } => element.is_float(),
            _ => true,
        }
    }

    /// Whether this is neither a list nor a struct.
    pub fn is_scalar(&self) -> bool {
        !matches!(
            self,
            DataType::Array(_)
                | DataType::Vector { .. }
                | DataType::Struct(_)
                | DataType::Interval
                | DataType::Null
        )
    }

    /// Whether a column of this type may be (part of) an entity key or an event id:
    /// scalars with exact equality. Floats are refused: a key that needs rounding is no key.
    pub fn is_key(&self) -> bool {
        self.is_scalar() && !self.is_float()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Boolean => f.write_str("BOOLEAN"),
            DataType::Int => f.write_str("INT"),
            DataType::BigInt => f.write_str("BIGINT"),
            DataType::Float => f.write_str("FLOAT"),
            DataType::Double => f.write_str("DOUBLE"),
            DataType::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            DataType::String => f.write_str("STRING"),
            DataType::Bytes => f.write_str("BYTES"),
            DataType::Date => f.write_str("DATE"),
            DataType::Timestamp => f.write_str("TIMESTAMP"),
            DataType::Interval => f.write_str("INTERVAL"),
            DataType::Array(element) => write!(f, "ARRAY<{element}>"),
            DataType::Vector { element, length } => write!(f, "{element}[{length}]"),
            DataType::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{} {}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
            DataType::Null => f.write_str("NULL"),
        }
    }
}
