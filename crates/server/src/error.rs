//! The one shape of errors: a code for programs, a message, a hint, a place.
//!
//! Owns the table of codes and HTTP statuses.

use std::error::Error;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use evenkeel_engine::{EngineError, ErrorKind, Lack, Unmet};
use serde_json::{Value as Json, json};

use crate::wire;

/// Every code that the server answers, with its status and what it means: `docs/server.md`
/// and the OpenAPI text have this table.
pub const ERROR_CODES: &[(&str, u16, &str)] = &[
    ("INVALID", 400, "the request is wrong"),
    ("JSON", 400, "the body is not JSON"),
    ("ARROW", 400, "the body is not an Arrow IPC stream"),
    ("UNKNOWN_FIELD", 400, "a field that no request has"),
    ("TIMEOUT_RANGE", 400, "`timeout_ms` outside what is allowed"),
    ("CUT_BEYOND", 400, "the cut holds more than is applied"),
    (
        "CUT_LACKS",
        400,
        "the cut that the request names lacks what it must know",
    ),
    ("UNAUTHENTICATED", 401, "no token, or one that is not known"),
    ("FORBIDDEN", 403, "the token does not allow it"),
    ("NOT_FOUND", 404, "something named does not exist"),
    ("METHOD", 405, "the path takes other methods"),
    ("GONE", 410, "the result of a trigger is kept no more"),
    ("BODY_TOO_LARGE", 413, "more bytes than a body may have"),
    (
        "UNPACKED_TOO_LARGE",
        413,
        "the body unpacks to too many bytes",
    ),
    ("TOO_MANY_ROWS", 413, "more rows than one push may have"),
    (
        "TOO_MANY_ENTITIES",
        413,
        "more entities than one read may have",
    ),
    (
        "TOO_MANY_FEATURES",
        413,
        "more features than one read may have",
    ),
    (
        "TOO_MANY_VALUES",
        413,
        "entities times features are too many",
    ),
    ("CONTENT_TYPE", 415, "a body of another type"),
    ("CONTENT_ENCODING", 415, "a body packed in another way"),
    (
        "HOST",
        421,
        "without tokens only names of this machine are answered",
    ),
    ("OVERLOADED", 429, "too much at once: try again"),
    (
        "HEADERS_TOO_LARGE",
        431,
        "more bytes than line and headers may have",
    ),
    ("STORAGE", 500, "the store cannot be read or written"),
    (
        "FUNCTION",
        500,
        "a function in Python ended, hung or wanted too much memory",
    ),
    ("INTERNAL", 500, "a defect of the server"),
    (
        "UNAVAILABLE",
        503,
        "the server stops, or takes no more writes",
    ),
    (
        "DEADLINE",
        504,
        "not done in time, or a promise not met in time",
    ),
];

/// What is missing of a promise, in words.
fn missing(unmet: &Unmet) -> String {
    let Unmet {
        lack,
        source,
        partition,
        wanted,
        reached,
    } = unmet;
    let place = partition.map_or_else(|| source.clone(), |p| format!("{source}/{p}"));
    let what = match lack {
        Lack::Applied => format!("`{place}` is applied up to {reached}"),
        Lack::Watermark => format!("the watermark of `{source}` is at {reached}"),
        Lack::Emitted => format!("`{source}` has emitted up to {reached}"),
        Lack::Captured => format!("`{source}` is captured up to {reached}"),
    };
    // A watermark at the time itself has not passed it.
    let than = match lack {
        Lack::Watermark => "later than ",
        Lack::Applied | Lack::Emitted | Lack::Captured => "",
    };
    format!("{what}, wanted is {than}{wanted}")
}

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Null, or an object.
    pub(crate) place: Box<Json>,
}

impl ApiError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        ApiError {
            code,
            message: message.into(),
            hint: None,
            place: Box::default(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        ApiError::new("INVALID", message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, place: Json) -> Self {
        *self.place = place;
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        let found = ERROR_CODES.iter().find(|(code, ..)| *code == self.code);
        found
            .and_then(|(_, status, _)| StatusCode::from_u16(*status).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({"error": {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "place": self.place,
        }})
    }

    /// Mistakes in texts of the language: the first as the error, all of them in its place.
    /// `text` is what the texts are: `feature`, `file`.
    pub(crate) fn mistakes(error: &EngineError, text: &str) -> Self {
        let EngineError::Definitions(found) = error else {
            return ApiError::from(error);
        };
        let Some((name, first)) = found.iter().find(|(_, d)| d.is_error()) else {
            return ApiError::invalid(error.to_string());
        };
        let all: Vec<Json> = found
            .iter()
            .map(|(name, diagnostic)| wire::mistake(name, diagnostic))
            .collect();
        ApiError {
            code: "INVALID",
            message: first.message.clone(),
            hint: first.hint.clone(),
            place: Box::new(json!({
                text: name,
                "from": first.span.start,
                "to": first.span.end,
                "all": all,
            })),
        }
    }

    /// A promise that was not met in time.
    pub(crate) fn unmet(unmet: &Unmet, timeout_ms: u64) -> Self {
        let message = format!("after {timeout_ms} ms {}", missing(unmet));
        ApiError::new("DEADLINE", message)
            .with_hint(match unmet.lack {
                Lack::Captured => format!(
                    "let `evenkeel ingest {} --follow` run beside the server, ask for `strong`, or allow it with `degraded`",
                    unmet.source
                ),
                _ => "wait longer with `timeout_ms`, or allow it with `degraded`".to_owned(),
            })
            .at(wire::unmet(unmet))
    }

    /// A promise that is waited for no more, as the server stops.
    pub(crate) fn unmet_at_the_end(unmet: &Unmet) -> Self {
        let message = format!("the server stops: {}", missing(unmet));
        ApiError::new("UNAVAILABLE", message)
            .with_hint("ask again, of the next one")
            .at(wire::unmet(unmet))
    }

    /// A cut that a request names, and that lacks what its session or level promises.
    pub(crate) fn cut_lacks(unmet: &Unmet) -> Self {
        let Unmet {
            source,
            partition,
            wanted,
            reached,
            ..
        } = unmet;
        let place = partition.map_or_else(|| source.clone(), |p| format!("{source}/{p}"));
        ApiError::new(
            "CUT_LACKS",
            format!("the cut has `{place}` up to {reached}, wanted is {wanted}"),
        )
        .with_hint("leave out `cut`, or the session and the level, or allow it with `degraded`")
        .at(wire::unmet(unmet))
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        ApiError::from(&error)
    }
}

impl From<&EngineError> for ApiError {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::Definitions(_) => ApiError::mistakes(error, "feature"),
            _ => ApiError {
                code: match (error, error.kind()) {
                    (EngineError::CutBeyond { .. }, _) => "CUT_BEYOND",
                    (EngineError::CutLacks(_), _) => "CUT_LACKS",
                    (EngineError::Function(_), _) => "FUNCTION",
                    (EngineError::ResultGone { .. }, _) => "GONE",
                    (EngineError::TooManyEntities { .. }, _) => "TOO_MANY_ENTITIES",
                    (_, ErrorKind::Invalid) => "INVALID",
                    (_, ErrorKind::NotFound) => "NOT_FOUND",
                    (_, ErrorKind::Busy) => "UNAVAILABLE",
                    (_, ErrorKind::Storage) => "STORAGE",
                },
                message: chain(error),
                hint: error.hint(),
                place: Box::default(),
            },
        }
    }
}

/// An error and its causes, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if matches!(self.code, "OVERLOADED" | "UNAVAILABLE") {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.code == "UNAUTHENTICATED" {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
