//! What is said of triggers, beside their features, and of rows that are set.

use evenkeel_engine::push::RowAnswer;
use evenkeel_engine::{Lack, PushedView, ResultId, Unmet};
use serde_json::{Value as Json, json};

/// What became of a row of a pushed view: its place in the log is its version.
pub fn row_change(view: &PushedView, row: Option<&RowAnswer>, session: &str) -> Json {
    let mut told = json!({
        "view": view.view.name,
        "version": view.view.version,
        "table": view.table.name,
        "status": row.map(RowAnswer::word),
        "session": session,
    });
    match row {
        Some(RowAnswer::Logged(position) | RowAnswer::Conflict(position)) => {
            told["partition"] = json!(position.partition.0);
            told["offset"] = json!(position.offset.0);
        }
        Some(RowAnswer::Rejected { code, reason }) => {
            told["code"] = json!(code);
            told["reason"] = json!(reason);
        }
        _ => {}
    }
    told
}

/// What a promise waits for.
pub fn unmet(unmet: &Unmet) -> Json {
    json!({
        "what": match unmet.lack {
            Lack::Applied => "applied",
            Lack::Watermark => "watermark",
            Lack::Emitted => "emitted",
            Lack::Captured => "captured",
        },
        "source": unmet.source,
        "partition": unmet.partition,
        "wanted": unmet.wanted,
        "reached": unmet.reached,
    })
}

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
        "consistency": consistency(id),
    })
}

/// What a result knows at least, as a request says it.
fn consistency(id: &ResultId) -> Json {
    match &id.waits {
        None => json!("trigger"),
        Some(waits) if waits.sources.is_empty() => json!("complete"),
        Some(waits) => json!({"complete": waits.sources}),
    }
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
