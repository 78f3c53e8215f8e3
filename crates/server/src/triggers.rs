//! `POST /v1/triggers/{source}`: a row is logged, and what a service says of it is answered, at
//! its own place in the log (`docs/decisions/0033`).
//!
//! Invariant: once the event is logged, every answer names its result.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_connect::{RowDecoder, parse_json};
use evenkeel_engine::push::{
    PushedRow, TriggerRow, Triggered, Write, Written, checked_correlation_id,
};
use evenkeel_engine::{
    Asked, Awaited, ResultId, Scope, Trigger, TriggerPromise, refuse_trigger, stored_columns,
};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Position, Value};
use serde_json::json;

use crate::body::{self, Content};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::events;
use crate::name::Name;
use crate::plans::ServicePlan;
use crate::reply;
use crate::request::{self, Fields, json_error};
use crate::results::{self, AnswerWanted, Answered};
use crate::shared::Shared;
use crate::{waits, wire};

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "row",
    "producer_id",
    "sequence",
    "service",
    "view",
    "version",
    "correlation_id",
    "consistency",
    "degraded",
    "deadline_ms",
    "defaults",
];

pub(crate) async fn trigger(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let response = answer(&shared, &source, request, started).await;
    shared.metrics.read(started.elapsed());
    response
}

async fn answer(
    shared: &Arc<Shared>,
    source: &str,
    request: Request,
    started: Stopwatch,
) -> Result<Response<Body>, ApiError> {
    let (parts, body) = request.into_parts();
    // It writes, and it reads.
    shared.tokens.check(&parts.headers, Scope::Read)?;
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = Duration::from_millis(shared.limits.timeout_ms_max);
    let longest = started.deadline(longest);
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let text = body::utf8(&body)?;
    let mut asked = understood(shared, source, text)?;
    asked.as_arrow = body::wants_arrow(&parts.headers);
    let deadline = started.deadline(asked.deadline);
    asked.answer(shared, (deadline, longest)).await
}

/// A request that was understood.
struct Ask {
    source: Arc<SourceDef>,
    row: PushedRow,
    asked: Asked,
    plan: Arc<ServicePlan>,
    promise: TriggerPromise,
    awaited: Option<Awaited>,
    correlation_id: Option<String>,
    defaults: bool,
    as_arrow: bool,
    deadline: Duration,
}

fn understood(shared: &Shared, source: &str, text: &str) -> Result<Ask, ApiError> {
    let json = parse_json(text).map_err(json_error)?;
    let fields = request::fields(&json, FIELDS)?;
    let source = shared.engine().source(source)?;
    let row = fields
        .get("row")
        .ok_or_else(|| ApiError::invalid("`row` is missing"))?;
    let mut decoder = RowDecoder::new(stored_columns(&source), source.zone.clone());
    let row = events::row(&mut decoder, row);
    let producer = events::producer(fields.text("producer_id")?, fields.number("sequence")?)?;
    let asked = asked(shared, &fields)?;
    let plan = results::plan(shared, &asked)?;
    // What could not be answered is not logged.
    refuse_trigger(&source, plan.read.service())?;
    let promise = waits::promise(&fields)?;
    let awaited = shared.engine().awaited(&plan.read, &promise)?;
    Ok(Ask {
        source,
        row: PushedRow {
            values: row,
            producer,
        },
        asked,
        plan,
        promise,
        awaited,
        correlation_id: correlation_id(&fields)?,
        defaults: fields.flag("defaults", true)?,
        as_arrow: false,
        deadline: deadline(&fields, shared)?,
    })
}

fn asked(shared: &Shared, fields: &Fields<'_>) -> Result<Asked, ApiError> {
    let version = fields.number("version")?;
    let full = |name: &str| match version {
        None => name.to_owned(),
        Some(version) => format!("{name}@{version}"),
    };
    let engine = shared.engine();
    let catalog = engine.catalog();
    let asked = match (fields.text("service")?, fields.text("view")?) {
        (Some(name), None) => Asked::of_service(catalog, &full(name)),
        (None, Some(name)) => Asked::of_view(catalog, &full(name)),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("give `service` or `view`, not both"));
        }
        (None, None) => return Err(ApiError::invalid("`service` or `view` is missing")),
    };
    Ok(asked?)
}

fn correlation_id(fields: &Fields<'_>) -> Result<Option<String>, ApiError> {
    let id = fields.text("correlation_id")?;
    let id = id.map(|id| checked_correlation_id(id).map_err(ApiError::invalid));
    let id = id.transpose();
    id.map_err(|error| error.at(json!({"field": "correlation_id"})))
}

/// How long the answer may take; 0: nobody waits for it.
fn deadline(fields: &Fields<'_>, shared: &Shared) -> Result<Duration, ApiError> {
    let limits = &shared.limits;
    let deadline = fields.number("deadline_ms")?.unwrap_or(limits.timeout_ms);
    if deadline > limits.timeout_ms_max {
        let most = limits.timeout_ms_max;
        let message = format!("`deadline_ms` is {deadline}: from 0 to {most}");
        return Err(ApiError::new("TIMEOUT_RANGE", message).at(json!({"field": "deadline_ms"})));
    }
    Ok(Duration::from_millis(deadline))
}

impl Ask {
    async fn answer(
        self,
        shared: &Arc<Shared>,
        (deadline, longest): (Deadline, Deadline),
    ) -> Result<Response<Body>, ApiError> {
        let stored = self.row.values.clone().unwrap_or_default();
        let write = Write::Trigger {
            source: Arc::clone(&self.source),
            row: TriggerRow {
                row: self.row.clone(),
                correlation_id: self.correlation_id.clone(),
            },
        };
        let Written::Triggered(triggered) = shared.queue.write(write, 1).await? else {
            return Err(ApiError::new(
                "INTERNAL",
                "a trigger was answered as something else",
            ));
        };
        let name = &self.source.name;
        shared.metrics.pushed(name, &triggered.push.rows);
        let row = triggered.push.rows.first();
        let id = triggered.at.map(|position| self.id(position));
        let session = shared.engine().format_session(&triggered.push.session);
        let correlation_id = self.correlation_id.as_deref();
        let head = wire::trigger_head(name, row, id.as_ref(), &session, correlation_id);
        let Some(position) = triggered.at else {
            return Ok(reply::json(head.to_string().into_bytes()));
        };
        let logged = Logged {
            source: &self.source,
            stored: &stored,
            triggered: &triggered,
            position,
        };
        let wanted = AnswerWanted {
            awaited: self.awaited.as_ref(),
            degraded: self.promise.degraded,
            deadline,
            longest,
        };
        let answered = logged.read(shared, &self.plan, wanted).await;
        // It is logged: whoever sent it can ask for it.
        let answered = answered.map_err(|error| error.at(json!({"result": head["result"]})))?;
        match answered {
            Answered::Read(read) => {
                read.log(shared, &self.plan);
                read.behind(head, &self.plan, self.defaults, self.as_arrow)
            }
            Answered::NotYet(missing) => Ok(results::not_yet(head, missing.as_ref())),
        }
    }

    fn id(&self, position: Position) -> ResultId {
        ResultId {
            source: self.source.name.clone(),
            position,
            asked: self.asked.clone(),
            waits: self.awaited.as_ref().map(Awaited::waits),
        }
    }
}

/// A trigger that is logged.
struct Logged<'a> {
    source: &'a Arc<SourceDef>,
    stored: &'a [Value],
    triggered: &'a Triggered,
    position: Position,
}

impl Logged<'_> {
    /// Reads what is asked of it.
    async fn read(
        &self,
        shared: &Arc<Shared>,
        plan: &ServicePlan,
        wanted: AnswerWanted<'_>,
    ) -> Result<Answered, ApiError> {
        let logged = Trigger::logged(&shared.engine(), self.source, self.stored, self.triggered);
        if wanted.deadline.has_passed() && !wanted.degraded {
            let waits = logged.zip(wanted.awaited);
            let engine = shared.engine();
            // What cannot be said at once is not.
            let missing = waits.and_then(|(trigger, awaited)| {
                let lacks = engine.lacks_awaited(awaited, trigger.event_time());
                lacks.ok().flatten()
            });
            return Ok(Answered::NotYet(missing));
        }
        if let Some(trigger) = logged {
            return results::answered(shared, plan, trigger, wanted).await;
        }
        // It was logged before.
        let source = shared.engine().source(&self.source.name)?;
        let until = match wanted.degraded {
            true => wanted.longest,
            false => wanted.deadline,
        };
        let found = results::find(shared, &source, self.position, until).await?;
        match found {
            Some((trigger, _)) => results::answered(shared, plan, trigger, wanted).await,
            None => Ok(Answered::NotYet(None)),
        }
    }
}
