//! What a request for long work asks for: JSON in the body, with `timeout_ms` among its fields.

use axum::extract::Request;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::deadline;
use crate::ask::{self, body_fields};
use crate::body::{self, Content};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::shared::Shared;

/// A request for long work.
pub(crate) struct Asked<T> {
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Deadline,
    /// Its fields, but for `timeout_ms`, which the deadline is made of.
    pub(crate) ask: T,
}

/// Reads a request that has no fields but these.
pub(crate) async fn asked<T: DeserializeOwned>(
    shared: &Shared,
    request: Request,
    known: &[&str],
) -> Result<Asked<T>, ApiError> {
    let started = Stopwatch::start();
    let (headers, mut fields) = fields(shared, request, started).await?;
    let timeout_ms = fields.remove("timeout_ms").unwrap_or_default();
    let ask = ask::asked(fields, known)?;
    let timeout_ms = serde_json::from_value(timeout_ms)
        .map_err(|error| ApiError::invalid(format!("`timeout_ms`: {error}")))?;
    Ok(Asked {
        headers,
        deadline: deadline(shared, started, timeout_ms)?,
        ask,
    })
}

/// Reads a request that is JSON.
pub(crate) async fn fields(
    shared: &Shared,
    request: Request,
    started: Stopwatch,
) -> Result<(HeaderMap, Map<String, Json>), ApiError> {
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = deadline(shared, started, None)?;
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    Ok((parts.headers, body_fields(&body)?))
}
