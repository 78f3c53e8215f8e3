//! `POST /v1/training`: a spine in, a training set out.
//!
//! Neither is in memory twice: a spine that is a file goes through the spool, and so does the
//! training set.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, header};
use evenkeel_connect::Table;
use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainingSet};
use evenkeel_engine::{EngineError, Offline, TrainingPlan};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::ask::{asked, body_fields, query_fields};
use crate::body::{self, Content};
use crate::clock::Stopwatch;
use crate::error::{ApiError, chain};
use crate::long_work::{self, Made, Reporter};
use crate::shared::Shared;
use crate::spine_rows;
use crate::spool::Spooled;
use crate::wire;

/// Types of bodies that are files, with the extension that says the format.
pub(crate) const FILES: &[(&str, &str)] = &[
    (Content::ARROW, "arrows"),
    ("application/vnd.apache.arrow.file", "arrow"),
    ("application/vnd.apache.parquet", "parquet"),
    ("text/csv", "csv"),
];

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "service",
    "features",
    "knowledge",
    "time_column",
    "known_at_column",
    "cut",
    "statuses",
    "timeout_ms",
    "name",
    "query",
    "rows",
];

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ask {
    service: Option<String>,
    features: Vec<String>,
    knowledge: Knowledge,
    time_column: Option<String>,
    known_at_column: Option<String>,
    cut: Option<String>,
    statuses: bool,
    timeout_ms: Option<u64>,
    /// What errors call a file of rows.
    name: Option<String>,
    query: Option<String>,
    rows: Option<Vec<serde_json::Map<String, Json>>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Knowledge {
    #[default]
    Latest,
    AsServed,
}

/// How a table is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// The report with the columns.
    Json,
    File {
        content_type: &'static str,
        extension: &'static str,
    },
}

pub(crate) async fn build(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let form = form(&parts.headers)?;
    let given = content_type(&parts.headers);
    let file = FILES.iter().find(|(name, _)| *name == given);
    let (ask, spooled) = match file {
        None => {
            Content::of(&parts.headers, &[Content::Json])
                .map_err(|error| error.with_hint("send JSON, Arrow IPC, Parquet or CSV"))?;
            if parts.uri.query().is_some() {
                return Err(
                    ApiError::invalid("with a JSON body there are no query parameters")
                        .with_hint("put them into the body"),
                );
            }
            let longest = long_work::deadline(&shared, started, None)?;
            let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
            (asked::<Ask>(body_fields(&body)?, FIELDS)?, None)
        }
        Some((_, extension)) => {
            let query = parts.uri.query().unwrap_or_default();
            let fields = query_fields(query, &["timeout_ms"], &["features"])?;
            let ask: Ask = asked(fields, FIELDS)?;
            if parts.headers.contains_key(header::CONTENT_ENCODING) {
                return Err(ApiError::new(
                    "CONTENT_ENCODING",
                    "a spine is sent as it is, not packed",
                )
                .with_hint("Parquet and Arrow pack inside"));
            }
            let deadline = long_work::deadline(&shared, started, ask.timeout_ms)?;
            let (spool, limits) = (&shared.spool, &shared.limits);
            (
                ask,
                Some(spool.body(body, extension, limits, deadline).await?),
            )
        }
    };
    let deadline = long_work::deadline(&shared, started, ask.timeout_ms)?;
    let offline = shared.engine().offline();
    let working = Arc::clone(&shared);
    let comes = long_work::Comes::for_training(&offline);
    long_work::run_as(comes, &shared, &parts.headers, deadline, move |reporter| {
        make(&working, &offline, ask, spooled.as_ref(), form, reporter)
    })
    .await
}

pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let name = given.unwrap_or_default().split(';').next();
    name.unwrap_or_default().trim().to_ascii_lowercase()
}

/// How the answer is wanted.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let accept = headers.get(header::ACCEPT);
    let accept = accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    if let Some((content_type, extension)) = FILES.iter().find(|(name, _)| accept.contains(name)) {
        return Ok(Form::File {
            content_type,
            extension,
        });
    }
    if accept.contains("*/*") || accept.contains("application/json") {
        return Ok(Form::Json);
    }
    Err(
        ApiError::invalid(format!("rows are not answered as `{accept}`"))
            .with_hint("accept Arrow IPC, Parquet, CSV or JSON"),
    )
}

fn make(
    shared: &Shared,
    offline: &Offline,
    ask: Ask,
    spooled: Option<&Spooled>,
    form: Form,
    reporter: &Reporter,
) -> Result<Made, ApiError> {
    let name = ask.name.clone().unwrap_or_else(|| "spine".to_owned());
    let failed = |error: EngineError| match error {
        EngineError::Stopped => reporter.stopped(),
        error @ EngineError::Definitions(_) => ApiError::mistakes(&error, "file"),
        EngineError::Train(error) if error.is_too_many_values() => {
            ApiError::new("TOO_MANY_VALUES", chain(&error))
                .with_hint("build the training set in several parts")
        }
        error => {
            let mut error = ApiError::from(error);
            if let Some(spooled) = spooled {
                error.message = spooled.named(&error.message, &name);
            }
            error
        }
    };
    let plan = plan(shared, offline, ask, spooled)?;
    let mut set = offline
        .training_set(&plan, &mut |stage, done, total| {
            reporter.reach(stage, done, total)
        })
        .map_err(failed)?;
    let report = wire::training_set(&set, &offline.format_cut(&set.cut));
    match form {
        Form::Json => Ok(Made::Report(with_columns(shared, report, &set)?)),
        Form::File {
            content_type,
            extension,
        } => {
            let file = shared.spool.file(extension)?;
            let table = std::mem::replace(&mut set.table, Table::of_rows(0));
            let written = table.write(file.path());
            written.map_err(|error| ApiError::invalid(file.named(&chain(&error), "the answer")))?;
            Ok(Made::File {
                report,
                file,
                content_type,
            })
        }
    }
}

fn plan(
    shared: &Shared,
    offline: &Offline,
    ask: Ask,
    spooled: Option<&Spooled>,
) -> Result<TrainingPlan, ApiError> {
    let service = match (&ask.service, ask.features.as_slice()) {
        (Some(name), []) => offline.service(name)?,
        (None, [_, ..]) => offline.feature_list(&ask.features)?,
        (None, []) => return Err(ApiError::invalid("`service` or `features` is missing")),
        (Some(_), _) => {
            return Err(ApiError::invalid("give `service` or `features`, not both"));
        }
    };
    let (time_column, known_at_column) = (ask.time_column, ask.known_at_column);
    let spine = match (spooled, ask.query, ask.rows) {
        (Some(file), None, None) => SpineSource::File {
            path: file.path().to_owned(),
            time_column,
            known_at_column,
        },
        (None, Some(query), None) => {
            if time_column.is_some() || known_at_column.is_some() {
                return Err(
                    ApiError::invalid("a query has no column of times to choose")
                        .with_hint("its times are the event times of the source in FROM"),
                );
            }
            SpineSource::Query(query)
        }
        (None, None, Some(rows)) => {
            let times = [time_column.as_deref(), known_at_column.as_deref()];
            SpineSource::Table {
                table: spine_rows::table(&service, &rows, times)?,
                time_column,
                known_at_column,
            }
        }
        _ => {
            return Err(ApiError::invalid(
                "a spine is a file in the body, or `query`, or `rows`: one of them",
            ));
        }
    };
    Ok(TrainingPlan {
        service,
        spine,
        knowledge: match ask.knowledge {
            Knowledge::Latest => KnowledgeMode::Latest,
            Knowledge::AsServed => KnowledgeMode::AsServed,
        },
        cut: ask.cut.map(|text| offline.parse_cut(&text)).transpose()?,
        statuses: ask.statuses,
        values_max: shared.limits.training_values,
    })
}

/// The report with the values of each column.
fn with_columns(shared: &Shared, mut report: Json, set: &TrainingSet) -> Result<Json, ApiError> {
    let fields = set.table.fields();
    let values = set.table.len().saturating_mul(fields.len());
    if values > shared.limits.values_per_request {
        return Err(ApiError::new(
            "TOO_MANY_VALUES",
            format!(
                "{values} values as JSON: at most {} are allowed",
                shared.limits.values_per_request
            ),
        )
        .with_hint("accept `application/vnd.apache.arrow.stream`, Parquet or CSV"));
    }
    let mut columns = serde_json::Map::new();
    for (name, data_type) in fields {
        let evenkeel_connect::TableType::Known(data_type) = data_type else {
            return Err(
                ApiError::invalid(format!("column `{name}` has no form in JSON"))
                    .with_hint("accept Arrow IPC or Parquet"),
            );
        };
        let column = set.table.column(name);
        let column = column.map_err(|error| ApiError::invalid(chain(&error)))?;
        let values = column
            .iter()
            .map(|value| wire::values::value(&data_type, &value));
        columns.insert(name.to_owned(), values.collect());
    }
    report["columns"] = json!(columns);
    Ok(report)
}
