//! `POST /v1/views/{view}/rows`: features of a pushed view are set, or a row ends.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_connect::{ColumnSpec, Json, RowDecoder, parse_json};
use evenkeel_engine::push::{Write, Written};
use evenkeel_engine::{PushedView, RowChange};
use evenkeel_types::{EventTime, Field, Value, Zone};
use serde_json::json;

use crate::body::{self, Content};
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::name::Name;
use crate::reply;
use crate::request::{self, json_error, row_error};
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["key", "features", "delete", "at"];

pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    Name(view): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = started.deadline(Duration::from_millis(shared.limits.timeout_ms_max));
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let text = body::utf8(&body)?;
    let view = PushedView::of(shared.engine().catalog(), &view)?;
    let change = understood(view.clone(), text)?;
    let write = Write::Change(Box::new(change));
    let Written::Pushed(answer) = shared.queue.write(write, 1).await? else {
        return Err(ApiError::new(
            "INTERNAL",
            "a change was answered as something else",
        ));
    };
    shared.metrics.pushed(&view.table.name, &answer.rows);
    let session = shared.engine().format_session(&answer.session);
    let told = wire::row_change(&view, answer.rows.first(), &session);
    Ok(reply::json(told.to_string().into_bytes()))
}

fn understood(view: PushedView, text: &str) -> Result<RowChange, ApiError> {
    let json = parse_json(text).map_err(json_error)?;
    let fields = request::fields(&json, FIELDS)?;
    let at = fields.time("at")?.map(EventTime);
    let key_fields = view.key_fields();
    let given = match fields.get("key") {
        None => Vec::new(),
        Some(json) => named(&key_fields, "key", json)?,
    };
    let key = key_fields.iter().enumerate().map(|(number, field)| {
        let found = given.iter().find(|(given, _)| *given == number);
        let value = found
            .map(|(_, value)| value)
            .filter(|value| !value.is_missing());
        value.cloned().ok_or_else(|| {
            ApiError::invalid(format!("`{}` of the key is missing", field.name))
                .at(json!({"field": "key"}))
        })
    });
    let key = key.collect::<Result<Vec<Value>, ApiError>>()?;
    match (fields.get("features"), fields.flag("delete", false)?) {
        (Some(json), false) => {
            let features = named(&view.feature_fields(), "features", json)?;
            if features.is_empty() {
                return Err(ApiError::invalid("`features` names none"));
            }
            Ok(view.set(key, features, at))
        }
        (None, true) => Ok(view.delete(key, at)),
        (None, false) => Err(ApiError::invalid("`features` is missing")
            .with_hint("name features with their values, or say `\"delete\": true`")),
        (Some(_), true) => Err(ApiError::invalid("give `features` or `delete`, not both")),
    }
}

/// Values that an object names, by the numbers of their fields.
fn named(fields: &[Field], place: &str, json: &Json<'_>) -> Result<Vec<(usize, Value)>, ApiError> {
    let Json::Object(members) = json else {
        return Err(request::wrong(place, json, "an object"));
    };
    let columns = fields.iter();
    let columns = columns.map(|f| ColumnSpec::new(f.name.clone(), f.data_type.clone()));
    let mut decoder = RowDecoder::new(columns.collect(), Zone::utc());
    let mut values = vec![Value::Null; fields.len()];
    decoder
        .fill(json, &mut values)
        .map_err(|error| row_error(None, error).at(json!({"field": place})))?;
    let is_named = |number: usize| members.iter().any(|(name, _)| *name == fields[number].name);
    let values = values.into_iter().enumerate();
    Ok(values.filter(|(number, _)| is_named(*number)).collect())
}
