//! `POST /v1/calls`: features with one row more than is logged, at the row's own time.
//!
//! The row is laid over the cut that is read, and nothing is left of it
//! (`docs/decisions/0031`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_connect::{Json, RowDecoder, parse_json};
use evenkeel_engine::{Called, stored_columns};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Origin, Value};
use serde_json::json;

use crate::answer::{ReadAnswer, Rows};
use crate::body::{self, Content};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::features;
use crate::plans::ServicePlan;
use crate::request::{self, json_error, row_error, wrong};
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "source",
    "row",
    "producer_id",
    "sequence",
    "service",
    "version",
    "features",
    "inputs",
    "consistency",
    "min_positions",
    "session",
    "timeout_ms",
    "defaults",
];

pub(crate) async fn call(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let response = answer(&shared, request, started).await;
    shared.metrics.read(started.elapsed());
    response
}

async fn answer(
    shared: &Shared,
    request: Request,
    started: Stopwatch,
) -> Result<Response<Body>, ApiError> {
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = Duration::from_millis(shared.limits.timeout_ms_max);
    let body = body::read(
        &parts.headers,
        body,
        &shared.limits,
        started.deadline(longest),
    )
    .await?;
    let text = body::utf8(&body)?;
    let asked = understood(shared, text)?;
    let deadline = started.deadline(asked.timeout);
    let as_arrow = body::wants_arrow(&parts.headers);
    asked.answer(shared, deadline, as_arrow).await
}

/// A request that was understood.
struct Asked {
    plan: Arc<ServicePlan>,
    source: Arc<SourceDef>,
    stored: Vec<Value>,
    origin: Option<Origin>,
    /// What the request gives of the service's inputs: over those that the row has.
    inputs: Vec<(String, Value)>,
    promise: crate::levels::Promise,
    defaults: bool,
    timeout: Duration,
}

fn understood(shared: &Shared, text: &str) -> Result<Asked, ApiError> {
    let json = parse_json(text).map_err(json_error)?;
    let fields = request::fields(&json, FIELDS)?;
    let name = fields
        .text("source")?
        .ok_or_else(|| ApiError::invalid("`source` is missing"))?;
    let source = shared.engine().source(name)?;
    let row = fields
        .get("row")
        .ok_or_else(|| ApiError::invalid("`row` is missing"))?;
    let mut decoder = RowDecoder::new(stored_columns(&source), source.zone.clone());
    let mut stored = vec![Value::Null; decoder.columns().len()];
    decoder
        .fill(row, &mut stored)
        .map_err(|error| row_error(None, error))?;
    let origin = match (fields.text("producer_id")?, fields.number("sequence")?) {
        (None, None) => None,
        (Some(id), Some(sequence)) => Some(Origin::Producer {
            id: id.to_owned(),
            sequence,
        }),
        _ => {
            return Err(ApiError::invalid(
                "a producer gives its id and the row's sequence number, both",
            ));
        }
    };
    let features_max = shared.limits.features_per_request;
    let plan = request::plan(shared, request::wanted(&fields, features_max)?)?;
    let inputs = match fields.get("inputs") {
        None => Vec::new(),
        Some(json) => given(&plan, json)?,
    };
    Ok(Asked {
        plan,
        source,
        stored,
        origin,
        inputs,
        promise: request::promise(shared, &fields)?,
        defaults: fields.flag("defaults", true)?,
        timeout: request::timeout(&fields, &shared.limits)?,
    })
}

/// The inputs that are in an object.
fn given(plan: &ServicePlan, json: &Json<'_>) -> Result<Vec<(String, Value)>, ApiError> {
    let Json::Object(members) = json else {
        return Err(wrong("inputs", json, "an object"));
    };
    let mut decoder = plan.decoder.clone();
    let mut values = vec![Value::Null; decoder.columns().len()];
    decoder
        .fill(json, &mut values)
        .map_err(|error| row_error(None, error))?;
    let inputs = plan.read.service().inputs.iter().zip(values);
    Ok(inputs
        .filter(|(field, _)| members.iter().any(|(name, _)| *name == field.name))
        .map(|(field, value)| (field.name.clone(), value))
        .collect())
}

impl Asked {
    async fn answer(
        self,
        shared: &Shared,
        deadline: Deadline,
        as_arrow: bool,
    ) -> Result<Response<Body>, ApiError> {
        let plan = &self.plan.read;
        self.promise.keep(shared, plan, deadline).await?;
        // What is known of its identity and what is read are of one moment, also if it is read again.
        let mut begun = None;
        let read = features::with_cold(shared, deadline, |engine| {
            let (call, cut, words) = match begun.take() {
                Some(begun) => begun,
                None => {
                    let stored = self.stored.clone();
                    match engine.call(&self.source, stored, self.origin.clone())? {
                        Called::Row(call) => (call, engine.cut(), engine.cut_in_words()),
                        called => return Ok(Err(called)),
                    }
                }
            };
            let row = call.inputs(plan.service(), &self.inputs)?;
            let rows = std::slice::from_ref(&row);
            match engine.read_call(plan, &call, rows, &cut) {
                Ok(answers) => Ok(Ok((call, row, answers, words))),
                Err(error) => {
                    begun = Some((call, cut, words));
                    Err(error)
                }
            }
        });
        let read = read.await?.ok_or_else(|| {
            ApiError::new(
                "DEADLINE",
                format!("after {} ms it is not read", deadline.timeout_ms()),
            )
            .with_hint("wait longer with `timeout_ms`")
        })?;
        let (call, row, answers, cut) = read.map_err(|called| self.refusal(called))?;
        let answer = ReadAnswer {
            plan: &self.plan,
            rows: Rows::Columns(answers),
            as_of: call.event_time(),
            known_at: None,
            cut,
            degraded: None,
            defaults: self.defaults,
        };
        let head = json!({
            "source": self.source.name,
            "known": call.is_known(),
            "inputs": wire::values::row(&plan.service().inputs, &row),
        });
        answer.behind(&head, as_arrow)
    }

    /// Why the row is no event.
    fn refusal(&self, called: Called) -> ApiError {
        let name = &self.source.name;
        let (code, reason) = match called {
            Called::LeftOut => (
                "LEFT_OUT",
                format!("`WHERE` of `{name}` leaves the row out"),
            ),
            Called::Rejected { code, reason } => (code, reason),
            Called::Row(_) => ("INVALID", "the row is an event".to_owned()),
        };
        ApiError::invalid(format!("the row is no event of `{name}`: {reason}"))
            .at(json!({"field": "row", "reason": code}))
    }
}
