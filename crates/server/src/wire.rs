//! States and definitions as JSON: what the server answers and the command line prints.

mod emissions;
mod reports;
mod rows;
mod runs;
mod segments;
mod triggers;
pub mod values;

use std::collections::BTreeMap;

use evenkeel_engine::api::{
    Change, ChangeKind, DeadLetterRow, IngestReport, SourceStatus, StoreStatus,
};
use evenkeel_engine::{Diagnostic, kind_of, stored_columns};
use evenkeel_types::definition::{OptionValue, ServiceDef, SourceDef, SourceKind, ViewDef};
use evenkeel_types::{EventTime, Field};
use serde_json::{Value as Json, json};

pub use rows::rows;
pub use runs::{backfill_report, run_reports};

pub use reports::{
    correction_report, examination, explanation, mismatch, mismatch_types, served_report,
    training_report, training_set, verify_report,
};

pub use emissions::emission;
pub use segments::{segment, segment_answer, segment_key};

pub use triggers::{result_head, row_change, trigger_head, unmet};

/// The state of a source.
pub fn source_status(source: &SourceStatus) -> Json {
    let ends: Vec<Json> = source
        .ends
        .iter()
        .map(|(partition, end)| json!({"partition": partition, "end": end}))
        .collect();
    let mut json = json!({
        "name": source.name,
        "kind": source.kind,
        "events": source.events,
        "dead_letters": source.dead_letters,
        "partitions": ends,
        "greatest_time": source.greatest_time.map(|t| t.to_string()),
        "watermark": source.watermark.map(|t| t.to_string()),
        "visible_at": source.visible_at.map(|t| t.to_string()),
        "emission_lag": source.emission_lag,
        "emission_failure": source.emission_failure,
    });
    if let Some(compared) = &source.compared {
        json["compared"] = json!({
            "at": EventTime(compared.at).to_string(),
            "differences": compared.differences,
            "comparisons": compared.comparisons,
            "differences_total": compared.differences_total,
        });
    }
    json
}

/// The state of a store.
pub fn store_status(status: &StoreStatus) -> Json {
    let sources: Vec<Json> = status.sources.iter().map(source_status).collect();
    let views: Vec<Json> = status
        .views
        .iter()
        .map(|(name, version, kind, features)| {
            json!({"name": name, "version": version, "kind": kind, "features": features})
        })
        .collect();
    let services: Vec<Json> = status
        .services
        .iter()
        .map(|(name, version, features)| {
            json!({"name": name, "version": version, "features": features})
        })
        .collect();
    let segments = status.segments.iter();
    let segments = segments
        .map(|(name, version, entity)| json!({"name": name, "version": version, "entity": entity}));
    let datasets = status.datasets.iter();
    let datasets = datasets
        .map(|(name, version, built)| json!({"name": name, "version": version, "built": built}));
    json!({
        "store": status.store,
        "log_bytes": status.log_bytes,
        "recovery": status.recovery,
        "emission_failure": status.emission_failure,
        "not_forgotten": status.not_forgotten,
        "brought_back": {
            "scans": status.brought_back.scans,
            "keys": status.brought_back.keys,
            "events": status.brought_back.events,
        },
        "sources": sources,
        "views": views,
        "services": services,
        "segments": segments.collect::<Vec<_>>(),
        "datasets": datasets.collect::<Vec<_>>(),
        // Who flushes by itself says what it could not: a server.
        "lake_failures": [],
        "building": null,
        "backfilling": null,
        "functions": [],
    })
}

/// A dead letter.
pub fn dead_letter(row: &DeadLetterRow) -> Json {
    json!({
        "id": row.id,
        "reason": row.reason,
        "text": row.text,
        "origin": row.origin,
        "record": row.record,
        "logged_at": row.logged_at.to_string(),
    })
}

/// What became of rows that were ingested or driven again.
pub fn ingest_report(report: &IngestReport) -> Json {
    json!({
        "source": report.source,
        "files": report.files,
        "rows": report.rows,
        "recorded": report.recorded,
        "known_already": report.duplicates,
        "left_out": report.left_out,
        "conflicts": report.conflicts,
        "rejected": report.rejected_total(),
        "rejected_by_reason": report.rejected,
        "first_rejected": report.first_rejected,
    })
}

/// Names with types.
pub fn fields(fields: &[Field]) -> Json {
    fields
        .iter()
        .map(|f| json!({"name": f.name, "type": f.data_type.to_string()}))
        .collect()
}

/// What happens to an object, in a word.
pub fn change_word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Create => "create",
        ChangeKind::NewVersion => "new version",
        ChangeKind::Metadata => "metadata",
        ChangeKind::Unchanged => "unchanged",
        ChangeKind::NotInFiles => "not in the files",
    }
}

/// Changes of a plan.
pub fn changes(changes: &[Change]) -> Json {
    changes
        .iter()
        .map(|change| {
            json!({
                "object": change.object,
                "name": change.name,
                "version": change.version,
                "change": change_word(change.kind),
                "notes": change.notes,
                "statement": change.statement,
                "statement_now": change.statement_now,
            })
        })
        .collect()
}

/// A mistake in a text of the language; places are bytes of the text.
pub fn mistake(text: &str, found: &Diagnostic) -> Json {
    let related = found.related.as_ref().map(|related| {
        json!({
            "from": related.span.start,
            "to": related.span.end,
            "message": related.message,
        })
    });
    json!({
        "text": text,
        "severity": if found.is_error() { "error" } else { "warning" },
        "message": found.message,
        "hint": found.hint,
        "from": found.span.start,
        "to": found.span.end,
        "related": related,
        "file": found.file,
    })
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A source: its columns as files and pushes have them, and how its files are read.
pub(crate) fn source(source: &SourceDef) -> Json {
    let columns: Vec<Json> = stored_columns(source)
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.data_type.to_string(),
                "optional": column.optional,
            })
        })
        .collect();
    let options: BTreeMap<&String, &String> = source
        .options
        .iter()
        .filter_map(|(name, value)| match value {
            OptionValue::Text(text) => Some((name, text)),
            OptionValue::Secret(_) => None,
        })
        .collect();
    json!({
        "name": source.name,
        "kind": match source.kind {
            SourceKind::Stream => "stream",
            SourceKind::Table => "table",
        },
        "columns": columns,
        "zone": source.zone.to_string(),
        "options": options,
        "definition": hex(&source.digest),
        "sql": source.sql,
    })
}

/// A version of a view.
pub(crate) fn view(view: &ViewDef) -> Json {
    let features: Vec<Json> = view
        .features
        .iter()
        .map(|f| {
            let default = f.default.as_ref();
            json!({
                "name": f.name,
                "type": f.data_type.to_string(),
                "default": default.map(|v| evenkeel_connect::value_to_json(&f.data_type, v)),
            })
        })
        .collect();
    json!({
        "name": view.name,
        "version": view.version,
        "kind": kind_of(&view.body),
        "entity": view.entity,
        "key": fields(&view.key),
        "features": features,
        "definition": hex(&view.digest),
        "sql": view.sql,
    })
}

/// A version of a service.
pub(crate) fn service(service: &ServiceDef) -> Json {
    let views: Vec<Json> = service
        .items
        .iter()
        .map(|item| json!({"name": item.view.name, "version": item.view.version}))
        .collect();
    json!({
        "name": service.name,
        "version": service.version,
        "inputs": fields(&service.inputs),
        "features": fields(&service.features()),
        "views": views,
        "definition": hex(&service.digest),
        "sql": service.sql,
    })
}
