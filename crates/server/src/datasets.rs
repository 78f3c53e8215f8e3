//! `/v1/datasets`: what is built, and building, comparing and building again.
//!
//! A spine that is a file is sent by who asks: the server opens no path that somebody names. It
//! goes through the spool, as for a training set.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Response};
use evenkeel_engine::dataset::{BuildSpine, DatasetBuild, DatasetName, ListedDataset};
use evenkeel_engine::{EngineError, Offline};
use evenkeel_types::definition::{DatasetDef, DatasetSpine};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::ask::{asked, body_fields, query_fields};
use crate::body::{self, Content};
use crate::clock::Stopwatch;
use crate::error::{ApiError, chain};
use crate::long_work::{self, Made, Reporter};
use crate::reply;
use crate::shared::Shared;
use crate::spool::Spooled;
use crate::training::{FILES, content_type};

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["timeout_ms", "name"];

/// A request; of a spine that is sent the fields are in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ask {
    timeout_ms: Option<u64>,
    /// What errors call the spine that is sent.
    name: Option<String>,
}

/// What is done with a dataset.
#[derive(Clone, Copy, Debug)]
enum Work {
    Build,
    Rebuild,
    Stale,
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response<Body>, ApiError> {
    let offline = shared.engine().offline();
    let found = shared.scans.run(move || offline.datasets()).await?;
    let found: Vec<Json> = found?.iter().map(ListedDataset::to_json).collect();
    let json = json!({"datasets": found});
    Ok(reply::json(json.to_string().into_bytes()))
}

pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(dataset): Path<String>,
) -> Result<Response<Body>, ApiError> {
    let name: DatasetName = dataset.parse()?;
    let offline = shared.engine().offline();
    let found = shared.scans.run(move || -> Result<Json, ApiError> {
        let manifest = offline.dataset(&name)?;
        let mut json = manifest.to_json();
        json["stale"] = json!(offline.late_events(&manifest)?);
        Ok(json)
    });
    Ok(reply::json(found.await??.to_string().into_bytes()))
}

pub(crate) async fn build(
    state: State<Arc<Shared>>,
    path: Path<String>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    work(state, path, request, Work::Build).await
}

pub(crate) async fn rebuild(
    state: State<Arc<Shared>>,
    path: Path<String>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    work(state, path, request, Work::Rebuild).await
}

pub(crate) async fn stale(
    state: State<Arc<Shared>>,
    path: Path<String>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    work(state, path, request, Work::Stale).await
}

async fn work(
    State(shared): State<Arc<Shared>>,
    Path(dataset): Path<String>,
    request: Request,
    work: Work,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let name: DatasetName = dataset.parse()?;
    let (parts, body) = request.into_parts();
    let (ask, spooled) = spine(&shared, &parts.headers, parts.uri.query(), body, started).await?;
    let deadline = long_work::deadline(&shared, started, ask.timeout_ms)?;
    let offline = shared.engine().offline();
    let values_max = shared.limits.training_values;
    let comes = long_work::Comes::for_training(&offline);
    long_work::run_as(comes, &shared, &parts.headers, deadline, move |reporter| {
        let failed = |error: EngineError| failure(error, reporter, spooled.as_ref(), &ask);
        let given = match &spooled {
            Some(file) => BuildSpine::File(file.path().to_owned()),
            None => BuildSpine::Defined,
        };
        let mut reach = |stage: &str, done, total| reporter.reach(stage, done, total);
        let report = match work {
            Work::Build => {
                refuse_path(&offline, &name, spooled.as_ref())?;
                let build = DatasetBuild {
                    name,
                    spine: given,
                    values_max,
                };
                let built = offline.build_dataset(&build, &mut reach);
                built.map_err(failed)?.to_json()
            }
            Work::Rebuild => {
                let name = offline.dataset(&name)?.name();
                refuse_path(&offline, &name, spooled.as_ref())?;
                let report = offline.rebuild_dataset(&name, &given, values_max, &mut reach);
                json!(report.map_err(failed)?)
            }
            Work::Stale => {
                let manifest = offline.dataset(&name)?;
                refuse_path(&offline, &manifest.name(), spooled.as_ref())?;
                let found = offline.staleness(&manifest, &given, values_max, &mut reach);
                json!(found.map_err(failed)?)
            }
        };
        Ok(Made::Report(report))
    })
    .await
}

/// The request, and the spine that came with it.
async fn spine(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Body,
    started: Stopwatch,
) -> Result<(Ask, Option<Spooled>), ApiError> {
    let given = content_type(headers);
    let Some((_, extension)) = FILES.iter().find(|(name, _)| *name == given) else {
        Content::of(headers, &[Content::Json]).map_err(|error| {
            error.with_hint("send JSON, or the spine as Arrow IPC, Parquet or CSV")
        })?;
        let longest = long_work::deadline(shared, started, None)?;
        let body = body::read(headers, body, &shared.limits, longest).await?;
        return Ok((asked(body_fields(&body)?, FIELDS)?, None));
    };
    let fields = query_fields(query.unwrap_or_default(), &["timeout_ms"], &[])?;
    let ask: Ask = asked(fields, FIELDS)?;
    let deadline = long_work::deadline(shared, started, ask.timeout_ms)?;
    let limits = &shared.limits;
    let spooled = shared.spool.body(body, extension, limits, deadline);
    Ok((ask, Some(spooled.await?)))
}

/// A spine that is a file comes with the request.
fn refuse_path(
    offline: &Offline,
    name: &DatasetName,
    spooled: Option<&Spooled>,
) -> Result<(), ApiError> {
    let versions = offline.catalog().datasets.get(&name.name);
    let def = versions.and_then(|versions| match name.version {
        None => versions.values().next_back(),
        Some(version) => versions.get(&version),
    });
    let Some(def) = def.map(AsRef::as_ref) else {
        return Ok(());
    };
    match (def, spooled) {
        (
            DatasetDef {
                spine: DatasetSpine::File { path, .. },
                ..
            },
            None,
        ) => Err(ApiError::invalid(format!(
            "the spine of `{name}` is the file `{path}`, and a server opens no file that is named"
        ))
        .with_hint("send its rows as the body: Arrow IPC, Parquet or CSV")),
        (
            DatasetDef {
                spine: DatasetSpine::Query(_),
                ..
            },
            Some(_),
        ) => Err(
            ApiError::invalid(format!("the spine of `{name}` is a query, and no file"))
                .with_hint("send no body"),
        ),
        _ => Ok(()),
    }
}

fn failure(
    error: EngineError,
    reporter: &Reporter,
    spooled: Option<&Spooled>,
    ask: &Ask,
) -> ApiError {
    let name = ask.name.as_deref().unwrap_or("spine");
    match error {
        EngineError::Stopped => reporter.stopped(),
        error @ EngineError::Definitions(_) => ApiError::mistakes(&error, "file"),
        EngineError::Train(error) if error.is_too_many_values() => {
            ApiError::new("TOO_MANY_VALUES", chain(&error))
                .with_hint("build it with `evenkeel dataset build` where the store is")
        }
        error => {
            let mut error = ApiError::from(error);
            if let Some(spooled) = spooled {
                error.message = spooled.named(&error.message, name);
            }
            error
        }
    }
}
