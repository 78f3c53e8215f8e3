//! Answers with their content type.

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse;
use serde_json::Value as Json;

/// A JSON value.
#[derive(Debug)]
pub(crate) struct Reply(pub(crate) Json);

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        json(self.0.to_string().into_bytes())
    }
}

/// JSON that is written already.
pub(crate) fn json(text: Vec<u8>) -> Response<Body> {
    body(text, "application/json")
}

/// A body of a type.
pub(crate) fn typed(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Bytes of a type.
pub(crate) fn body(bytes: Vec<u8>, content_type: &'static str) -> Response<Body> {
    typed(Body::from(bytes), content_type)
}
