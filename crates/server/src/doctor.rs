//! `POST /v1/doctor`: looks at the store for damage, beside reads and writes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::EngineError;
use serde::Deserialize;
use serde_json::json;

use crate::error::ApiError;
use crate::long_work::{self, Asked, Made};
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["timeout_ms"];

/// Nothing is asked for but the look.
#[derive(Debug, Deserialize)]
struct Ask {}

pub(crate) async fn examine(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers, deadline, ..
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let working = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let (in_use, store) = {
            let engine = working.engine();
            (engine.in_use(), engine.project().store.clone())
        };
        let found = in_use
            .examine(&|what, done| reporter.reach(what, done, 0))
            .map_err(|error| match error {
                EngineError::Stopped => reporter.stopped(),
                error => ApiError::from(error),
            })?;
        let mut report = wire::examination(&found);
        report["store"] = json!(store);
        Ok(Made::Report(report))
    })
    .await
}
