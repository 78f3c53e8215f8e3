//! `POST /v1/sources/{source}/file-rows`: rows of files, decoded by whoever has the files; and
//! `GET /v1/sources/{source}/files`: how far the log has each of them.
//!
//! The server opens no file: a request names rows, never a path. Each is a commit like a
//! push's, in the same queue, so pushes and files take turns.

use std::sync::Arc;

use axum::extract::{Request, State};
use evenkeel_connect::{FileRow, Table};
use evenkeel_engine::api::IngestReport;
use evenkeel_engine::batch::refuse_by_hand;
use evenkeel_engine::push::{Write, Written};
use evenkeel_engine::{origins, origins_of, stored_columns};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::time::format_timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::body::{self, Content, aside};
use crate::catalog::{QueryOf, query};
use crate::clock::Stopwatch;
use crate::error::{ApiError, chain};
use crate::events::check_rows;
use crate::name::Name;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::wire;

/// The definition that the rows were decoded by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decoded {
    definition: Option<String>,
}

pub(crate) async fn take(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    decoded: QueryOf<Decoded>,
    request: Request,
) -> Result<Reply, ApiError> {
    let started = Stopwatch::start();
    let Decoded { definition } = query(decoded)?;
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Arrow])?;
    let def = shared.engine().source(&source)?;
    refuse_by_hand(&def)?;
    if definition.is_some_and(|by| by != wire::hex(&def.digest)) {
        return Err(ApiError::invalid(format!(
            "`{source}` is not defined as it was when these rows were decoded"
        ))
        .with_hint("begin with the file again: rows that are logged are known"));
    }
    let longest = started.deadline(std::time::Duration::from_millis(
        shared.limits.timeout_ms_max,
    ));
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let (decoding, source_def) = (Arc::clone(&shared), Arc::clone(&def));
    let rows = aside(body.len(), move || {
        decode(&decoding, &source_def, body.into())
    })
    .await??;
    let (count, origins) = (rows.len(), origins_of(&rows));
    let write = Write::Files { source: def, rows };
    let Written::Pushed(answer) = shared.queue.write(write, count).await? else {
        return Err(ApiError::new("INTERNAL", "an answer of another kind"));
    };
    shared.metrics.pushed(&source, &answer.rows);
    let mut report = IngestReport {
        source,
        ..IngestReport::default()
    };
    report.count(&answer, |i| origins[i].to_string());
    let mut json = wire::ingest_report(&report);
    let newest = report.greatest_time.map(|t| format_timestamp(t.0));
    json["newest_event_time"] = json!(newest);
    json["session"] = json!(shared.engine().format_session(&answer.session));
    Ok(Reply(json))
}

fn decode(shared: &Shared, def: &SourceDef, body: Vec<u8>) -> Result<Vec<FileRow>, ApiError> {
    let unpacked = shared.limits.unpacked_bytes as u64;
    let table = Table::from_stream(body, unpacked);
    let table = table.map_err(|e| ApiError::new("ARROW", chain(&e)))?;
    check_rows(shared, table.len())?;
    let rows = table.file_rows(&stored_columns(def), &def.zone);
    rows.map_err(|e| ApiError::invalid(chain(&e)))
}

pub(crate) async fn known(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
) -> Result<Reply, ApiError> {
    let def = shared.engine().source(&source)?;
    let log = shared.log.clone();
    let known = shared.scans.run(move || origins(&log, &def)).await??;
    let files: Vec<Json> = known
        .iter()
        .map(|(file, rows)| json!({"file": wire::hex(file), "rows": rows}))
        .collect();
    Ok(Reply(json!({"source": source, "files": files})))
}
