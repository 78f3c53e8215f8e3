//! Answers as JSON and as text.
//!
//! Invariant: a value's text and JSON are those of the server, so what is printed with one
//! and without reads alike.

use std::fmt::Write as _;

use evenkeel_engine::api::{Answer, GetAnswer};
pub(crate) use evenkeel_server::wire::values::{
    answer as json_answer, row as json_row, short as short_value, text as text_value,
};
use evenkeel_types::{DataType, Field, Status, Value};
use serde_json::{Map, Value as Json, json};

use crate::table::mixed_table;

/// More entities than this are shown one after the other, not side by side.
const SIDE_BY_SIDE_MAX: usize = 4;
/// Entities with longer descriptions are numbered, and listed above the table.
const HEAD_CHARS_MAX: usize = 40;

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

/// The inputs of one row: `origin=SEA, dest=PDX`; what is NULL is left out, unless all of it is.
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
    if parts.is_empty() {
        parts.extend(inputs.iter().map(|field| format!("{}=NULL", field.name)));
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
}
