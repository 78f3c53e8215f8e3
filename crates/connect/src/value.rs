//! Single values from text and JSON and back. Owns the written forms of every type; knows
//! no files.
//!
//! Invariant: what is written is read back with the same bits; what is read is exactly what
//! was written, or it is an error. The one exception is inherent: a DOUBLE or FLOAT is the
//! number nearest to its decimal text.

mod json;
mod json_text;
mod number;
mod text;

use evenkeel_types::time::{TIME_MAX, TIME_MIN, TimeError};
use evenkeel_types::{DataType, Value, Zone};

pub use json::{append_json, json_to_value, value_to_json};
pub(crate) use json::{read_json, text_from_bytes};
pub use json_text::{Json, parse_json};
pub(crate) use number::{fits_precision, format_decimal, rescale};
pub(crate) use text::read_text;
pub use text::{text_to_value, value_to_text};

use crate::change::ChangeError;
use crate::options::TimeUnit;

/// Characters of a value that an error shows.
pub const VALUE_TEXT_MAX: usize = 64;
/// Arrays and objects inside one another that JSON may have.
pub const JSON_DEPTH_MAX: usize = 64;

/// Why a value cannot be what its column declares. Texts are cut to [`VALUE_TEXT_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not in the type's form.
    #[error("`{text}` is not {data_type}")]
    Syntax {
        /// The value.
        text: String,
        /// The type.
        data_type: String,
    },
    /// A number outside the type.
    #[error("`{text}` is outside the range of {data_type}")]
    Range {
        /// The value.
        text: String,
        /// The type.
        data_type: String,
    },
    /// A fraction where a whole number is needed, if only `.0`.
    #[error("`{text}` has a fraction or an exponent, {data_type} is a whole number")]
    Fraction {
        /// The value.
        text: String,
        /// The type.
        data_type: String,
    },
    /// A number that the type holds only by rounding.
    #[error("`{text}` is not exactly {data_type}")]
    Inexact {
        /// The value.
        text: String,
        /// The type.
        data_type: String,
    },
    /// JSON of another kind: a string where a number is needed.
    #[error("{found} is not {data_type}")]
    Kind {
        /// `a string`
        found: &'static str,
        /// The type.
        data_type: String,
    },
    /// Not a time.
    #[error("{source}")]
    Time {
        /// Why.
        source: TimeError,
    },
    /// A number where a time is needed, and nobody said what it counts.
    #[error(
        "`{text}` is a number, not a time: say what it counts with time_unit = 's', 'ms' or 'us'"
    )]
    NoTimeUnit {
        /// The number.
        text: String,
    },
    /// A time between two microseconds.
    #[error("{nanoseconds} ns since 1970 is finer than a microsecond")]
    TimePrecision {
        /// Nanoseconds since the epoch.
        nanoseconds: i64,
    },
    /// A column that is `NOT NULL` has no value.
    #[error("the value is missing")]
    Missing,
    /// A vector of another length than its type's.
    #[error("a vector of {found} elements is not {data_type}")]
    VectorLength {
        /// Its elements.
        found: usize,
        /// The type.
        data_type: String,
    },
    /// A NULL in a vector.
    #[error("element {index} of the vector is missing")]
    VectorElement {
        /// Which, from 0.
        index: usize,
    },
    /// A field that a struct does not have.
    #[error("`{field}` is not a field of {data_type}")]
    UnknownField {
        /// The field.
        field: String,
        /// The type.
        data_type: String,
    },
    /// A type that has no written form to read.
    #[error("{data_type} has no written form")]
    NoWrittenForm {
        /// The type.
        data_type: String,
    },
    /// Bytes that are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not JSON.
    #[error("not JSON at byte {at}: {reason}")]
    Json {
        /// Where, from 0.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// JSON, but not an object.
    #[error("{found} is not an object")]
    NotAnObject {
        /// `a string`
        found: &'static str,
    },
    /// A key that an object has twice.
    #[error("the object has the key `{key}` twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// JSON nested deeper than [`JSON_DEPTH_MAX`].
    #[error("arrays and objects are nested more than {limit} deep")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// A record that is no change of a row, or a value that one does not have.
    #[error("{source}")]
    Change {
        /// Why.
        source: ChangeError,
    },
    /// A record longer than [`crate::RECORD_BYTES_MAX`].
    #[error("the record is longer than {limit} bytes")]
    RecordLength {
        /// The limit.
        limit: usize,
    },
    /// A row that is not as long as the header.
    #[error("the row has {found} fields, the header has {wanted}")]
    FieldCount {
        /// Fields in the row.
        found: usize,
        /// Fields in the header.
        wanted: usize,
    },
    /// Text between a closing quote and the next delimiter.
    #[error("field {field} goes on after its closing quote")]
    AfterQuote {
        /// Which, from 1.
        field: usize,
    },
}

/// What the reading of a value depends on, beside its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// For times without a zone of their own.
    pub(crate) zone: &'a Zone,
    /// What a number counts where a time is needed.
    pub(crate) time_unit: Option<TimeUnit>,
}

/// At most [`VALUE_TEXT_MAX`] characters of a text.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(VALUE_TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl ValueError {
    pub(crate) fn syntax(text: &str, data_type: &DataType) -> Self {
        ValueError::Syntax {
            text: shown(text),
            data_type: data_type.to_string(),
        }
    }

    pub(crate) fn range(text: &str, data_type: &DataType) -> Self {
        ValueError::Range {
            text: shown(text),
            data_type: data_type.to_string(),
        }
    }

    pub(crate) fn fraction(text: &str, data_type: &DataType) -> Self {
        ValueError::Fraction {
            text: shown(text),
            data_type: data_type.to_string(),
        }
    }

    pub(crate) fn inexact(text: &str, data_type: &DataType) -> Self {
        ValueError::Inexact {
            text: shown(text),
            data_type: data_type.to_string(),
        }
    }

    pub(crate) fn change(source: ChangeError) -> Self {
        ValueError::Change { source }
    }

    pub(crate) fn time(error: TimeError) -> Self {
        ValueError::Time {
            source: match error {
                TimeError::Syntax(text) => TimeError::Syntax(shown(&text)),
                TimeError::Range(text) => TimeError::Range(shown(&text)),
                TimeError::NonExistent { text, zone } => TimeError::NonExistent {
                    text: shown(&text),
                    zone,
                },
            },
        }
    }
}

/// The time that is `count` units after the epoch.
pub(crate) fn time_from_count(count: i64, unit: TimeUnit) -> Option<i64> {
    count
        .checked_mul(unit.micros())
        .filter(|t| (TIME_MIN..=TIME_MAX).contains(t))
}

/// A vector from its elements, checked against its type's length.
pub(crate) fn vector(
    data_type: &DataType,
    length: u32,
    values: Vec<Value>,
) -> Result<Value, ValueError> {
    if u32::try_from(values.len()) != Ok(length) {
        return Err(ValueError::VectorLength {
            found: values.len(),
            data_type: data_type.to_string(),
        });
    }
    match values.iter().position(Value::is_missing) {
        Some(index) => Err(ValueError::VectorElement { index }),
        None => Ok(Value::Array(values.into())),
    }
}
