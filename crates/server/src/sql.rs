//! `POST /v1/sql`: a query over the store in, rows out.
//!
//! Long work like training: it reads the log beside everything else, and ends at its deadline. A
//! query reads the store alone, never a file of the machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::Offline;
use evenkeel_sql::{GoOn, Limits, Query, Rows, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::{ApiError, chain};
use crate::long_work::{self, Asked, Made, Reporter};
use crate::shared::Shared;
use crate::training::{Form, form};
use crate::wire;

/// The longest query.
const QUERY_BYTES_MAX: usize = 10_000;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["query", "as_of", "cut", "limit", "timeout_ms"];

/// A request.
#[derive(Debug, Deserialize)]
struct Ask {
    query: String,
    #[serde(default)]
    as_of: Option<String>,
    #[serde(default)]
    cut: Option<String>,
    #[serde(default)]
    limit: Option<u64>,
}

pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let form = form(request.headers())?;
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let (offline, now) = {
        let engine = shared.engine();
        (engine.offline(), engine.now())
    };
    let working = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        answered(&working, &offline, EventTime(now.0), ask, form, reporter)
    })
    .await
}

fn answered(
    shared: &Shared,
    offline: &Offline,
    now: EventTime,
    ask: Ask,
    form: Form,
    reporter: &Reporter,
) -> Result<Made, ApiError> {
    let at = match &ask.as_of {
        None => now,
        Some(text) => {
            let time = parse_timestamp(text, &Zone::utc());
            EventTime(time.map_err(|error| ApiError::invalid(format!("`as_of`: {error}")))?)
        }
    };
    let query = Query {
        text: within(ask.query)?,
        at,
        cut: ask.cut.map(|text| offline.parse_cut(&text)).transpose()?,
        files: false,
        limits: Limits {
            rows_max: ask.limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            }),
            bytes_max: shared.limits.sql_bytes,
            values_max: shared.limits.training_values,
            memory_bytes_max: Some(shared.limits.sql_bytes),
        },
    };
    let told = reporter.clone();
    let go_on: GoOn = Arc::new(move || told.reach("querying", 0, 0).is_continue());
    let rows = evenkeel_sql::run(offline, &query, &go_on).map_err(|error| match error {
        SqlError::Stopped => reporter.stopped(),
        error => failed(error),
    })?;
    made(shared, offline, rows, form)
}

fn made(shared: &Shared, offline: &Offline, rows: Rows, form: Form) -> Result<Made, ApiError> {
    let Rows {
        table,
        more,
        cut,
        at,
    } = rows;
    let (cut, as_of) = (offline.format_cut(&cut), at.to_string());
    let unwritable = |error| ApiError::invalid(chain(&error));
    match form {
        Form::Json => {
            let values = table.len().saturating_mul(table.fields().len());
            if values > shared.limits.values_per_request {
                return Err(ApiError::new(
                    "TOO_MANY_VALUES",
                    format!(
                        "{values} values as JSON: at most {} are allowed",
                        shared.limits.values_per_request
                    ),
                )
                .with_hint("accept `application/vnd.apache.arrow.stream`, Parquet or CSV, or give a `limit`"));
            }
            let mut report = wire::rows(&table).map_err(unwritable)?;
            report["more"] = json!(more);
            report["as_of"] = json!(as_of);
            report["cut"] = json!(cut);
            Ok(Made::Report(report))
        }
        Form::File {
            content_type,
            extension,
        } => {
            let report: Json = json!({
                "rows": table.len(), "more": more, "as_of": as_of, "cut": cut,
            });
            let about = BTreeMap::from([
                ("evenkeel.as_of".to_owned(), as_of),
                ("evenkeel.cut".to_owned(), cut),
                ("evenkeel.more".to_owned(), more.to_string()),
            ]);
            let file = shared.spool.file(extension)?;
            let written = table.with_metadata(about).write(file.path());
            written.map_err(|error| ApiError::invalid(file.named(&chain(&error), "the answer")))?;
            Ok(Made::File {
                report,
                file,
                content_type,
            })
        }
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        failed(error)
    }
}

fn failed(error: SqlError) -> ApiError {
    match error.into_engine("query") {
        Ok(error) => ApiError::mistakes(&error, "file"),
        Err(error) => {
            let code = match &error {
                error if error.is_too_much() => "TOO_MANY_VALUES",
                SqlError::Runtime(_) => "STORAGE",
                _ => "INVALID",
            };
            let hint = error.hint();
            let mut failed = ApiError::new(code, chain(&error));
            failed.hint = hint;
            failed
        }
    }
}

/// A text that is not so long that reading it could exhaust a stack.
fn within(text: String) -> Result<String, ApiError> {
    if text.len() <= QUERY_BYTES_MAX {
        return Ok(text);
    }
    Err(ApiError::invalid(format!(
        "the query has {} bytes: at most {QUERY_BYTES_MAX} are allowed",
        text.len()
    ))
    .at(json!({"field": "query"})))
}
