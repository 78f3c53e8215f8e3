//! Answers as JSON and as text.
//!
//! Invariant: a value's text and JSON are those of `connect`, so what is printed here and
//! what is written to a file read alike.

use std::fmt::Write as _;

use evenkeel_connect::{value_to_json, value_to_text};
use evenkeel_engine::api::{Answer, GetAnswer};
use evenkeel_types::{DataType, Field, Status, Value};
use serde_json::{Map, Value as Json, json};

use crate::table::mixed_table;

/// More entities than this are shown one after the other, not side by side.
const SIDE_BY_SIDE_MAX: usize = 4;
/// Entities with longer descriptions are numbered, and listed above the table.
const HEAD_CHARS_MAX: usize = 40;
/// Longer values are cut in tables; `--json` has them whole.
const CELL_CHARS_MAX: usize = 60;

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A value as JSON; a missing one is `null`.
pub(crate) fn json_value(data_type: &DataType, value: &Value) -> Json {
    if value.is_missing() {
        Json::Null
    } else {
        value_to_json(data_type, value)
    }
}

/// One answer as JSON: value, status, event time.
pub(crate) fn json_answer(data_type: &DataType, answer: &Answer) -> Json {
    json!({
        "value": json_value(data_type, &answer.value),
        "status": answer.status.to_string(),
        "event_time": answer.event_time.map(|t| t.to_string()),
    })
}

/// Values under their names.
pub(crate) fn json_row(fields: &[Field], values: &[Value]) -> Json {
    Json::Object(
        fields
            .iter()
            .zip(values)
            .map(|(field, value)| (field.name.clone(), json_value(&field.data_type, value)))
            .collect::<Map<_, _>>(),
    )
}

/// A value as text; a missing one is `NULL`.
pub(crate) fn text_value(data_type: &DataType, value: &Value) -> String {
    value_to_text(data_type, value).unwrap_or_else(|| "NULL".to_owned())
}

/// Names with types.
pub(crate) fn json_fields(fields: &[Field]) -> Json {
    fields
        .iter()
        .map(|f| json!({"name": f.name, "type": f.data_type.to_string()}))
        .collect()
}

/// The rows of an answer as JSON.
pub(crate) fn json_rows(inputs: &[Field], rows: &[Vec<Value>], answer: &GetAnswer) -> Json {
    rows.iter()
        .zip(&answer.rows)
        .map(|(row, answers)| {
            let features: Map<String, Json> = answer
                .features
                .iter()
                .zip(answers)
                .map(|(f, a)| (f.name.clone(), json_answer(&f.data_type, a)))
                .collect();
            json!({"entity": json_row(inputs, row), "features": features})
        })
        .collect()
}

/// A value for a table: its text, or why there is none.
pub(crate) fn cell(data_type: &DataType, answer: &Answer) -> String {
    match answer.status {
        Status::Present => short_value(data_type, &answer.value),
        status => status.to_string(),
    }
}

/// A value as it stands in tables and explanations; of an error its status.
pub(crate) fn short_value(data_type: &DataType, value: &Value) -> String {
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
        _ => text_value(data_type, value),
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

/// The inputs of one row: `origin=SEA, dest=PDX`; what is NULL is left out.
pub(crate) fn entity(inputs: &[Field], row: &[Value]) -> String {
    let mut parts = Vec::new();
    for (field, value) in inputs.iter().zip(row) {
        if !value.is_missing() {
            parts.push(format!(
                "{}={}",
                field.name,
                text_value(&field.data_type, value)
            ));
        }
    }
    parts.join(", ")
}

/// A few entities side by side, one line per feature; many one after the other.
pub(crate) fn answers(inputs: &[Field], rows: &[Vec<Value>], answer: &GetAnswer) -> String {
    if rows.len() <= SIDE_BY_SIDE_MAX {
        let mut heads: Vec<String> = rows.iter().map(|row| entity(inputs, row)).collect();
        let mut legend = String::new();
        if heads
            .iter()
            .any(|head| head.chars().count() > HEAD_CHARS_MAX)
        {
            for (i, head) in heads.iter_mut().enumerate() {
                legend.push_str(&format!("[{}] {head}\n", i + 1));
                *head = format!("[{}]", i + 1);
            }
        }
        let answers: Vec<_> = answer.rows.iter().collect();
        return legend + &side_by_side(&heads, &answer.features, &answers);
    }
    let lines = rows.iter().zip(&answer.rows).flat_map(|(row, answers)| {
        let head = entity(inputs, row);
        answer.features.iter().zip(answers).map(move |(field, a)| {
            [
                head.clone(),
                field.name.clone(),
                cell(&field.data_type, a),
                a.event_time.map(|t| t.to_string()).unwrap_or_default(),
            ]
        })
    });
    mixed_table(["entity", "feature", "value", "event time"], lines)
}

/// One line per feature, one column per head.
pub(crate) fn side_by_side(heads: &[String], features: &[Field], rows: &[&Vec<Answer>]) -> String {
    let with_time = rows.len() == 1;
    let header = std::iter::once("feature".to_owned())
        .chain(heads.iter().cloned())
        .chain(with_time.then(|| "event time".to_owned()));
    let lines = features.iter().enumerate().map(|(i, field)| {
        let time = rows.first().and_then(|r| r.get(i)?.event_time);
        std::iter::once(field.name.clone())
            .chain(rows.iter().map(move |row| {
                row.get(i)
                    .map(|a| cell(&field.data_type, a))
                    .unwrap_or_default()
            }))
            .chain(with_time.then(|| time.map(|t| t.to_string()).unwrap_or_default()))
            .collect::<Vec<_>>()
    });
    mixed_table(header, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }

    #[test]
    fn long_cells_are_cut_at_characters() {
        let text = "é".repeat(100);
        let cut = shortened(&text);
        assert_eq!(cut.chars().count(), CELL_CHARS_MAX);
        assert!(cut.ends_with("é..."));
        assert_eq!(shortened("é"), "é");
    }
}
