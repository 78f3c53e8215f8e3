//! Single values from text and JSON and back.

use evenkeel_types::time::TimeError;
use evenkeel_types::{DataType, Value, Zone};

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
    /// A time.
    #[error(transparent)]
    Time(TimeError),
}

/// A value as JSON.
pub fn value_to_json(_data_type: &DataType, _value: &Value) -> serde_json::Value {
    todo!()
}

/// A value of a type from JSON.
pub fn json_to_value(
    _data_type: &DataType,
    _json: &serde_json::Value,
    _zone: &Zone,
) -> Result<Value, ValueError> {
    todo!()
}

/// A value as text.
pub fn value_to_text(_data_type: &DataType, _value: &Value) -> String {
    todo!()
}

/// A value of a type from text.
pub fn text_to_value(
    _data_type: &DataType,
    _text: &str,
    _zone: &Zone,
) -> Result<Value, ValueError> {
    todo!()
}
