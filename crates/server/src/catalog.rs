//! What is defined and what state it is in: views, services, sources, dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use evenkeel_connect::{Json as JsonText, parse_json};
use evenkeel_engine::api::StoreStatus;
use evenkeel_engine::push::{Write, Written};
use evenkeel_engine::{EngineError, FunctionTally, dead_letters, is_captured};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::body::{self, Content};
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::metrics::Load;
use crate::name::Name;
use crate::reply::Reply;
use crate::request::json_error;
use crate::shared::Shared;
use crate::wire;

/// Dead letters of one page, if nobody says otherwise.
const PAGE_DEFAULT: usize = 100;
/// Dead letters of one page at most.
const PAGE_MAX: usize = 1_000;

type Answer = Result<Reply, ApiError>;
type Shares = State<Arc<Shared>>;
pub(crate) type QueryOf<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

/// A query whose parameters are all known.
pub(crate) fn query<T>(given: QueryOf<T>) -> Result<T, ApiError> {
    given
        .map(|Query(query)| query)
        .map_err(|e| ApiError::new("UNKNOWN_FIELD", e.body_text()))
}

/// Which version; the newest if it is not given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    version: Option<u32>,
}

/// Where a page begins and how long it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// Only letters of greater numbers.
    after: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn views(State(shared): Shares) -> Answer {
    let engine = shared.engine();
    let views = engine.catalog().views.values().flat_map(BTreeMap::values);
    let views: Vec<Json> = views.map(|view| wire::view(view)).collect();
    Ok(Reply(json!({"views": views})))
}

pub(crate) async fn view(
    State(shared): Shares,
    Name(name): Name,
    version: QueryOf<Version>,
) -> Answer {
    let version = query(version)?.version;
    let engine = shared.engine();
    let views = &engine.catalog().views;
    let view = views.get(&name).and_then(|versions| match version {
        None => versions.values().next_back(),
        Some(version) => versions.get(&version),
    });
    let view = view.ok_or_else(|| unknown("view", &name, version, views.keys()))?;
    Ok(Reply(wire::view(view)))
}

pub(crate) async fn services(State(shared): Shares) -> Answer {
    let engine = shared.engine();
    let services = engine.catalog().services.values();
    let services = services.flat_map(BTreeMap::values);
    let services: Vec<Json> = services.map(|service| wire::service(service)).collect();
    Ok(Reply(json!({"services": services})))
}

pub(crate) async fn service(
    State(shared): Shares,
    Name(name): Name,
    version: QueryOf<Version>,
) -> Answer {
    let version = query(version)?.version;
    let engine = shared.engine();
    let services = &engine.catalog().services;
    let service = services.get(&name).and_then(|versions| match version {
        None => versions.values().next_back(),
        Some(version) => versions.get(&version),
    });
    let service = service.ok_or_else(|| unknown("service", &name, version, services.keys()))?;
    Ok(Reply(wire::service(service)))
}

fn unknown<'a>(
    what: &str,
    name: &str,
    version: Option<u32>,
    known: impl Iterator<Item = &'a String>,
) -> ApiError {
    let version = version.map(|v| format!("@{v}")).unwrap_or_default();
    let error = ApiError::new("NOT_FOUND", format!("there is no {what} `{name}{version}`"));
    match evenkeel_connect::nearest(name, known.map(String::as_str)).0 {
        Some(near) if near != name => error.with_hint(format!("did you mean `{near}`?")),
        _ => error,
    }
}

/// The state of the store: dead letters are counted in a scan beside the engine.
async fn state(shared: &Arc<Shared>) -> Result<StoreStatus, ApiError> {
    let sources: Vec<_> = shared
        .engine()
        .catalog()
        .sources
        .values()
        .cloned()
        .collect();
    let log = shared.log.clone();
    let letters = shared
        .scans
        .run(move || {
            sources
                .iter()
                .map(|def| Ok((def.id, dead_letters(&log, def)?.len() as u64)))
                .collect::<Result<BTreeMap<_, _>, EngineError>>()
        })
        .await??;
    Ok(shared.engine().status_with(&letters)?)
}

pub(crate) async fn store_status(State(shared): Shares) -> Answer {
    let mut status = wire::store_status(&state(&shared).await?);
    status["lake_failures"] = shared.lake.failures();
    for source in status["sources"].as_array_mut().into_iter().flatten() {
        add_capture(&shared, source);
    }
    if let Some((done, total)) = shared.building() {
        status["building"] = json!({"done": done, "total": total});
    }
    if let Some(backfilling) = shared.engine().backfilling_named() {
        let (stream, done, total) = backfilling;
        status["backfilling"] = json!({"stream": stream, "done": done, "total": total});
    }
    let called = shared.engine().project().functions.tallies();
    status["functions"] = called.iter().map(function_status).collect();
    Ok(Reply(status))
}

/// What became of a function's calls since the server began.
fn function_status((name, tally): &(String, FunctionTally)) -> Json {
    json!({
        "function": name,
        "rows": tally.counts.rows,
        "errors": tally.counts.errors,
        "failures": tally.counts.failures,
    })
}

pub(crate) async fn source(State(shared): Shares, Name(source): Name) -> Answer {
    let def = shared.engine().source(&source)?;
    Ok(Reply(wire::source(&def)))
}

pub(crate) async fn source_status(State(shared): Shares, Name(source): Name) -> Answer {
    shared.engine().source(&source)?;
    let status = state(&shared).await?;
    let found = status.sources.iter().find(|s| s.name == source);
    let found = found.ok_or_else(|| ApiError::new("NOT_FOUND", "the source is gone"))?;
    let mut status = wire::source_status(found);
    add_capture(&shared, &mut status);
    Ok(Reply(status))
}

/// Adds what the capture of a table of another system says.
fn add_capture(shared: &Shared, source: &mut Json) {
    let name = source["name"].as_str().unwrap_or_default().to_owned();
    let def = shared.engine().source(&name);
    if def.is_ok_and(|def| is_captured(&def)) {
        source["capture"] = shared.captures.of(&name).to_json();
    }
}

pub(crate) async fn letters(
    State(shared): Shares,
    Name(source): Name,
    page: QueryOf<Page>,
) -> Answer {
    let Page { after, limit } = query(page)?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if limit == 0 || limit > PAGE_MAX {
        return Err(ApiError::invalid(format!(
            "`limit` is {limit}: from 1 to {PAGE_MAX}"
        )));
    }
    let def = shared.engine().source(&source)?;
    let log = shared.log.clone();
    let rows = shared.scans.run(move || dead_letters(&log, &def)).await??;
    let behind = |id: u64| after.is_none_or(|after| id > after);
    let mut rest = rows.iter().filter(|row| behind(row.id));
    let page: Vec<Json> = rest.by_ref().take(limit).map(wire::dead_letter).collect();
    let next = rest.next().and(page.last()).map(|last| last["id"].clone());
    Ok(Reply(json!({
        "source": source,
        "total": rows.len(),
        "dead_letters": page,
        "next": next,
    })))
}

/// `{"ids": [1, 2]}` or `{"ids": "all"}`
pub(crate) async fn redrive(State(shared): Shares, Name(source): Name, request: Request) -> Answer {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = started.deadline(std::time::Duration::from_millis(
        shared.limits.timeout_ms_max,
    ));
    let def = shared.engine().source(&source)?;
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let text =
        std::str::from_utf8(&body).map_err(|_| ApiError::new("JSON", "the body is not UTF-8"))?;
    let ids = ids(&parse_json(text).map_err(json_error)?)?;
    let write = Write::Redrive { source: def, ids };
    match shared.queue.write(write, 1).await? {
        Written::Redriven(report) => Ok(Reply(wire::ingest_report(&report))),
        _ => Err(ApiError::new("INTERNAL", "an answer of another kind")),
    }
}

fn ids(json: &JsonText<'_>) -> Result<Option<Vec<u64>>, ApiError> {
    let wrong = || ApiError::invalid("the body is {\"ids\": [NUMBER, ...]} or {\"ids\": \"all\"}");
    let JsonText::Object(members) = json else {
        return Err(wrong());
    };
    match members.as_slice() {
        [(name, JsonText::String(all))] if name == "ids" && all == "all" => Ok(None),
        [(name, JsonText::Array(ids))] if name == "ids" => ids
            .iter()
            .map(|id| match id {
                JsonText::Number { text, .. } => text.parse().map_err(|_| wrong()),
                _ => Err(wrong()),
            })
            .collect::<Result<_, _>>()
            .map(Some),
        _ => Err(wrong()),
    }
}

pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Ready while it takes reads and writes.
pub(crate) async fn ready(State(shared): Shares) -> Result<&'static str, ApiError> {
    if shared.is_draining() {
        return Err(ApiError::new("UNAVAILABLE", "the server stops"));
    }
    match shared.writes_closed() {
        Some(reason) => Err(ApiError::new(
            "UNAVAILABLE",
            format!("nothing is written any more: {reason}"),
        )),
        None => Ok("ready\n"),
    }
}

pub(crate) async fn metrics(State(shared): Shares) -> String {
    let limit = shared.limits.requests.max(1);
    let not_forgotten = evenkeel_engine::Engine::not_forgotten(shared.engine().project());
    let load = Load {
        not_forgotten: not_forgotten.ok().map(|asked| asked.len()),
        requests: limit.saturating_sub(shared.in_flight.available_permits()),
        waiters: (limit / 2)
            .max(1)
            .saturating_sub(shared.waiters.available_permits()),
        queue: shared.queue.length(),
        left_out: shared.served.left_out(),
        pushes_wait: shared.checkpoints.pushes_wait(),
        building: shared.building(),
        engine_holds: shared.engine_holds(),
    };
    shared.metrics.text(
        &shared.engine(),
        &load,
        &shared.lake,
        &shared.runs,
        &shared.captures,
    )
}
