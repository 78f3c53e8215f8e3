//! `POST /v1/forget`: what is of a key, and that it is to be forgotten.
//!
//! Log, hot tier and every reader's index change at once when a key is forgotten, so a server finds it,
//! writes down that it is asked for, and forgets it when it opens the store the next time: when it starts,
//! or at once if that is asked for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::{EngineError, ForgetRequest};
use serde::Deserialize;
use serde_json::json;

use crate::error::ApiError;
use crate::long_work::{self, Asked, Made};
use crate::shared::Shared;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "entity",
    "key",
    "pseudonym",
    "also",
    "delete_datasets",
    "dry_run",
    "now",
    "timeout_ms",
];

#[derive(Debug, Deserialize)]
struct Ask {
    entity: String,
    key: String,
    #[serde(default)]
    pseudonym: bool,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    delete_datasets: bool,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    now: bool,
}

pub(crate) async fn forget(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let working = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let request = ForgetRequest {
            entity: ask.entity,
            key: ask.key,
            also: ask.also,
            secret: match ask.pseudonym {
                true => Some(ForgetRequest::draw()?),
                false => None,
            },
            removes_datasets: ask.delete_datasets,
        };
        let (offline, now) = {
            let engine = working.engine();
            (engine.offline(), engine.now())
        };
        let plan = offline.plan_forget(&request, now, &mut |done, total| {
            reporter.reach("looking", done, total)
        });
        let plan = plan.map_err(|error| match error {
            EngineError::Stopped => reporter.stopped(),
            error => error.into(),
        })?;
        if !ask.dry_run {
            offline.ask_to_forget(&request, now)?;
            if ask.now {
                working.to_open_again.notify_one();
            }
        }
        let mut report = serde_json::to_value(plan.report()).unwrap_or_default();
        report["asked"] = json!(!ask.dry_run);
        Ok(Made::Report(report))
    })
    .await
}
