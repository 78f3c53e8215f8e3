//! A request's body: all of it, unpacked, within its limits.

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use evenkeel_engine::ServerLimits;
use flate2::read::MultiGzDecoder;
use serde_json::json;

use crate::arrival::Arrival;
use crate::clock::Deadline;
use crate::error::ApiError;

/// Larger bodies are unpacked and decoded beside the threads that answer reads.
const ASIDE_BYTES: usize = 64 << 10;
/// The window that zstd may ask memory for: 8 MiB, what its levels up to 19 use.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    JsonLines,
    Arrow,
}

impl Content {
    pub(crate) const ARROW: &'static str = "application/vnd.apache.arrow.stream";

    /// What the header says.
    pub(crate) fn of(headers: &HeaderMap, taken: &[Content]) -> Result<Content, ApiError> {
        let given = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let name = given.split(';').next().unwrap_or_default().trim();
        taken
            .iter()
            .copied()
            .find(|content| content.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                let names: Vec<&str> = taken.iter().map(|c| c.name()).collect();
                ApiError::new(
                    "CONTENT_TYPE",
                    format!("a body of type `{name}` is not taken here"),
                )
                .with_hint(format!("send `Content-Type: {}`", names.join("` or `")))
            })
    }

    fn name(self) -> &'static str {
        match self {
            Content::Json => "application/json",
            Content::JsonLines => "application/x-ndjson",
            Content::Arrow => Content::ARROW,
        }
    }
}

/// A body that is text.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|e| {
        ApiError::new("JSON", "the body is not UTF-8").at(json!({"byte": e.valid_up_to()}))
    })
}

/// Whether an Arrow stream is wanted in answer.
pub(crate) fn wants_arrow(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(Content::ARROW))
}

/// Reads a body whole.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &ServerLimits,
    deadline: Deadline,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        ApiError::new(
            "BODY_TOO_LARGE",
            format!("the body has more than {} bytes", limits.body_bytes),
        )
        .with_hint("send it in several requests")
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        return Err(too_large());
    }
    let mut arrival = Arrival::of(body, limits.body_bytes, limits, deadline);
    let first = arrival.next(too_large).await?.unwrap_or_default();
    let packed = match arrival.next(too_large).await? {
        // As a rule it comes at once, and is not copied.
        None => first,
        Some(second) => {
            let mut whole = BytesMut::from(first);
            whole.extend_from_slice(&second);
            while let Some(more) = arrival.next(too_large).await? {
                whole.extend_from_slice(&more);
            }
            whole.freeze()
        }
    };
    let encoding = match headers.get(header::CONTENT_ENCODING) {
        None => return Ok(packed),
        Some(value) => value.to_str().unwrap_or_default().to_ascii_lowercase(),
    };
    let limit = limits.unpacked_bytes;
    match encoding.as_str() {
        "identity" => Ok(packed),
        "gzip" => {
            let work = move || unpack(MultiGzDecoder::new(packed.as_ref()), limit);
            aside(usize::MAX, work).await?
        }
        "zstd" => {
            let work = move || {
                let mut decoder = zstd::stream::read::Decoder::new(packed.as_ref())
                    .map_err(|error| damaged(&error))?;
                let window = decoder.window_log_max(ZSTD_WINDOW_LOG_MAX);
                window.map_err(|error| damaged(&error))?;
                unpack(decoder, limit)
            };
            aside(usize::MAX, work).await?
        }
        other => Err(ApiError::new(
            "CONTENT_ENCODING",
            format!("a body packed as `{other}` is not taken"),
        )
        .with_hint("pack it as `gzip` or `zstd`, or not at all")),
    }
}

fn damaged(error: &std::io::Error) -> ApiError {
    ApiError::invalid(format!("the body cannot be unpacked: {error}"))
}

fn unpack(decoder: impl Read, limit: usize) -> Result<Bytes, ApiError> {
    let mut unpacked = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| damaged(&error))?;
    if unpacked.len() > limit {
        return Err(ApiError::new(
            "UNPACKED_TOO_LARGE",
            format!("the body unpacks to more than {limit} bytes"),
        )
        .with_hint("send it in several requests"));
    }
    Ok(unpacked.into())
}

/// Runs work over so many bytes: at once if they are few, else on another thread.
pub(crate) async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes <= ASIDE_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::new("INTERNAL", "decoding the body gave up"))
}
