//! What is said of triggers, beside their features.

use evenkeel_engine::ResultId;
use evenkeel_engine::push::RowAnswer;
use serde_json::{Value as Json, json};

/// A result, whether it is there or not.
pub fn result_head(id: &ResultId, answered: bool) -> Json {
    let (kind, name, version) = id.asked.parts();
    json!({
        "source": id.source,
        "partition": id.position.partition.0,
        "offset": id.position.offset.0,
        "result": id.to_string(),
        "answered": answered,
        "asked": {"kind": kind, "name": name, "version": version},
    })
}

/// A trigger: what became of its row, and its result, if it is an event.
pub fn trigger_head(
    source: &str,
    row: Option<&RowAnswer>,
    result: Option<&ResultId>,
    session: &str,
    correlation_id: Option<&str>,
) -> Json {
    let mut head = match result {
        Some(id) => result_head(id, true),
        None => json!({"source": source, "result": null, "answered": false}),
    };
    head["status"] = json!(row.map(RowAnswer::word));
    head["duplicate"] = json!(row == Some(&RowAnswer::Duplicate));
    head["session"] = json!(session);
    head["correlation_id"] = json!(correlation_id);
    if let Some(RowAnswer::Rejected { code, reason }) = row {
        head["code"] = json!(code);
        head["reason"] = json!(reason);
    }
    head
}
