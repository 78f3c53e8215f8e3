//! Values in JSON and in words: those of `connect`, so that what is printed, sent and written
//! to a file reads alike.

use evenkeel_connect::{value_to_json, value_to_text};
use evenkeel_engine::api::Answer;
use evenkeel_types::{DataType, Field, Status, Value};
use serde_json::{Map, Value as Json, json};

/// Longer values are cut in tables and explanations.
const CELL_CHARS_MAX: usize = 60;

/// A value as JSON; a missing one is `null`.
pub fn value(data_type: &DataType, value: &Value) -> Json {
    if value.is_missing() {
        Json::Null
    } else {
        value_to_json(data_type, value)
    }
}

/// One answer as JSON: value, status, event time.
pub fn answer(data_type: &DataType, answer: &Answer) -> Json {
    json!({
        "value": value(data_type, &answer.value),
        "status": answer.status.to_string(),
        "event_time": answer.event_time.map(|t| t.to_string()),
    })
}

/// Values under their names.
pub fn row(fields: &[Field], values: &[Value]) -> Json {
    let named = fields.iter().zip(values);
    Json::Object(
        named
            .map(|(field, v)| (field.name.clone(), value(&field.data_type, v)))
            .collect::<Map<_, _>>(),
    )
}

/// A value as text; a missing one is `NULL`.
pub fn text(data_type: &DataType, value: &Value) -> String {
    value_to_text(data_type, value).unwrap_or_else(|| "NULL".to_owned())
}

/// A value as it stands in tables and explanations; of an error its status.
pub fn short(data_type: &DataType, value: &Value) -> String {
    match value {
        Value::Error(_) => Status::of(value).to_string(),
        _ => shortened(&plain(data_type, value)),
    }
}

/// A value for a person: lists without the names of their fields.
fn plain(data_type: &DataType, value: &Value) -> String {
    let list = |types: &mut dyn Iterator<Item = &DataType>, values: &[Value], between: &str| {
        let texts: Vec<String> = types.zip(values).map(|(t, v)| plain(t, v)).collect();
        texts.join(between)
    };
    match (data_type, value) {
        (DataType::Array(element), Value::Array(values)) => {
            format!(
                "[{}]",
                list(&mut std::iter::repeat(&**element), values, ", ")
            )
        }
        (DataType::Struct(fields), Value::Struct(values)) => {
            list(&mut fields.iter().map(|f| &f.data_type), values, " ")
        }
        _ => text(data_type, value),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= CELL_CHARS_MAX {
        return text.to_owned();
    }
    text.chars()
        .take(CELL_CHARS_MAX - 3)
        .chain("...".chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_are_cut_at_characters() {
        let text = "é".repeat(100);
        let cut = shortened(&text);
        assert_eq!(cut.chars().count(), CELL_CHARS_MAX);
        assert!(cut.ends_with("é..."));
        assert_eq!(shortened("é"), "é");
    }
}
