//! What a service says of a trigger, as it is read and written; and `GET /v1/results/{id}`.
//!
//! Nothing of a result is stored: it is computed again from its name
//! (`docs/decisions/0033`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use evenkeel_engine::{
    Answers, Asked, Awaited, Engine, EngineError, ResultId, ServedAnswer, Trigger, Unmet,
    Waits as ResultWaits,
};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Position, Value, VisibleAt};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::answer::{ReadAnswer, Rows};
use crate::body::wants_arrow;
use crate::catalog::{QueryOf, query};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::features::with_cold;
use crate::levels::not_kept;
use crate::name::Name;
use crate::plans::{ServicePlan, Wanted};
use crate::promises::Outcome;
use crate::reply;
use crate::request;
use crate::shared::Shared;
use crate::waits::{self, Place};
use crate::wire;

/// A trigger that was read.
pub(crate) struct Read {
    pub(crate) trigger: Trigger,
    inputs: Vec<Value>,
    answers: Answers,
    cut: Arc<str>,
    /// What it waits for and does not know.
    degraded: Option<Unmet>,
}

/// What became of a trigger that is to be answered.
pub(crate) enum Answered {
    Read(Box<Read>),
    /// Time is up; what is missing, if that is a watermark.
    NotYet(Option<Unmet>),
}

/// What an answer waits for.
#[derive(Clone, Copy)]
pub(crate) struct AnswerWanted<'a> {
    pub(crate) awaited: Option<&'a Awaited>,
    /// Rather the answer at the trigger's own place than none.
    pub(crate) degraded: bool,
    /// So long it is waited for.
    pub(crate) deadline: Deadline,
    /// So long what is there is read: reading a little of the log is not what is waited for.
    pub(crate) longest: Deadline,
}

/// Answers a trigger that is applied.
pub(crate) async fn answered(
    shared: &Arc<Shared>,
    plan: &ServicePlan,
    trigger: Trigger,
    wanted: AnswerWanted<'_>,
) -> Result<Answered, ApiError> {
    let (mut trigger, mut lacks) = (trigger, None);
    // Who waits for watermarks is not late because what is there then is read.
    let reading = match wanted.awaited {
        Some(_) => wanted.longest,
        None => wanted.deadline,
    };
    if let Some(awaited) = wanted.awaited {
        let deadlines = (wanted.deadline, wanted.longest);
        let place = waits::once_passed(shared, awaited, trigger.clone(), deadlines).await?;
        let outcome = match &place {
            Place::At(_) => Outcome::Kept,
            Place::Lacks(_) if wanted.degraded => Outcome::Degraded,
            Place::Lacks(_) | Place::Late => Outcome::Unmet,
        };
        shared.metrics.promises.add("complete", outcome);
        match place {
            Place::At(later) => trigger = later,
            Place::Lacks(unmet) if wanted.degraded => lacks = Some(unmet),
            Place::Lacks(unmet) => return Ok(Answered::NotYet(Some(unmet))),
            Place::Late => return Ok(Answered::NotYet(None)),
        }
    }
    let trigger = match emitted(shared, plan, trigger, (wanted.deadline, reading)).await? {
        Ok(trigger) => trigger,
        Err(missing) => return Ok(Answered::NotYet(missing)),
    };
    let read = with_cold(shared, reading, |engine| {
        Read::of(engine, plan, &trigger, lacks.clone())
    });
    Ok(match read.await? {
        Some(read) => Answered::Read(Box::new(read)),
        None => Answered::NotYet(None),
    })
}

impl Read {
    /// Reads what is asked of a trigger.
    pub(crate) fn of(
        engine: &Engine,
        plan: &ServicePlan,
        trigger: &Trigger,
        degraded: Option<Unmet>,
    ) -> Result<Read, EngineError> {
        let inputs = trigger.inputs(plan.read.service())?;
        Ok(Read {
            answers: engine.read_trigger(&plan.read, trigger, &inputs)?,
            cut: engine.format_cut(trigger.cut()).into(),
            trigger: trigger.clone(),
            inputs,
            degraded,
        })
    }

    /// The answer: `head`, which is an object, and what a read answers.
    pub(crate) fn behind(
        self,
        mut head: Json,
        plan: &ServicePlan,
        defaults: bool,
        as_arrow: bool,
    ) -> Result<Response<Body>, ApiError> {
        let service = plan.read.service();
        head["inputs"] = wire::values::row(&service.inputs, &self.inputs);
        let answer = ReadAnswer {
            plan,
            rows: Rows::Columns(self.answers),
            as_of: self.trigger.event_time(),
            known_at: None,
            cut: self.cut,
            degraded: self.degraded,
            defaults,
        };
        answer.behind(&head, as_arrow)
    }

    /// Logs it among what was served, if it is its turn.
    pub(crate) fn log(&self, shared: &Shared, plan: &ServicePlan) {
        if !plan.logged || !shared.served.wants() {
            return;
        }
        let now = shared.engine().now();
        shared.served.log(ServedAnswer::new(
            now,
            &plan.read,
            !plan.named,
            std::slice::from_ref(&self.inputs),
            self.trigger.event_time(),
            None,
            &self.cut,
            &self.answers.to_rows(),
        ));
    }
}

/// A trigger with what the derived streams that are read emit for it and for all before it, once they
/// have; what is missing, if it is known, if time is up before.
async fn emitted(
    shared: &Shared,
    plan: &ServicePlan,
    trigger: Trigger,
    (deadline, reading): (Deadline, Deadline),
) -> Result<Result<Trigger, Option<Unmet>>, ApiError> {
    if !plan.read.reads_emissions() {
        return Ok(Ok(trigger));
    }
    let sources = plan.read.sources().to_vec();
    let record = trigger.record() + 1;
    let missing = |engine: &Engine| engine.unmet_emissions(&sources, record);
    if let Some(unmet) = waits::met(shared, deadline, missing).await {
        return Ok(Err(Some(unmet)));
    }
    // What they emitted for it is complete: it is looked for without the engine.
    let log = shared.log.clone();
    let found = waits::in_turn(shared, move || trigger.with_emissions(&log, &sources));
    match tokio::time::timeout(reading.left(), found).await {
        Ok(found) => Ok(Ok(found??)),
        Err(_) => Ok(Err(None)),
    }
}

/// An answer without a result, which may be asked for.
pub(crate) fn not_yet(mut head: Json, missing: Option<&Unmet>) -> Response<Body> {
    head["answered"] = json!(false);
    head["missing"] = json!(missing.map(wire::unmet));
    let mut response = reply::json(head.to_string().into_bytes());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// The plan of what is asked.
pub(crate) fn plan(shared: &Shared, asked: &Asked) -> Result<Arc<ServicePlan>, ApiError> {
    let wanted = match asked {
        Asked::Service { name, version, .. } => Wanted::Service(name.clone(), Some(*version)),
        Asked::View { name, version } => Wanted::Features(vec![format!("{name}@{version}:*")]),
    };
    let now = request::plan(shared, wanted);
    if let Ok(plan) = now
        && asked.is(plan.read.service())
    {
        return Ok(plan);
    }
    // The version of the service has another definition now.
    let service = shared.engine().asked(asked)?;
    Ok(Arc::new(ServicePlan::of_past(service)))
}

/// Finds an event that was logged before; none if time is up before.
pub(crate) async fn find(
    shared: &Shared,
    source: &Arc<SourceDef>,
    position: Position,
    deadline: Deadline,
) -> Result<Option<(Trigger, VisibleAt)>, ApiError> {
    let log = shared.log.clone();
    let source = Arc::clone(source);
    let found = shared
        .scans
        .run(move || Trigger::find(&log, &source, position));
    match tokio::time::timeout(deadline.left(), found).await {
        Ok(found) => Ok(Some(found??)),
        Err(_) => Ok(None),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waits {
    wait_ms: Option<u64>,
    degraded: Option<bool>,
    defaults: Option<bool>,
}

pub(crate) async fn result(
    State(shared): State<Arc<Shared>>,
    Name(id): Name,
    waits: QueryOf<Waits>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let waits: Waits = query(waits)?;
    let response = answer(&shared, &id, &waits, wants_arrow(&headers), started).await;
    shared.metrics.read(started.elapsed());
    response
}

async fn answer(
    shared: &Arc<Shared>,
    id: &str,
    waits: &Waits,
    as_arrow: bool,
    started: Stopwatch,
) -> Result<Response<Body>, ApiError> {
    let id: ResultId = id.parse()?;
    let wait_ms = waits.wait_ms.unwrap_or(shared.limits.timeout_ms);
    if wait_ms > shared.limits.timeout_ms_max {
        let most = shared.limits.timeout_ms_max;
        let message = format!("`wait_ms` is {wait_ms}: from 0 to {most}");
        return Err(ApiError::new("TIMEOUT_RANGE", message).at(json!({"field": "wait_ms"})));
    }
    let deadline = started.deadline(Duration::from_millis(wait_ms));
    // A little reading of the log is not what is waited for.
    let longest = started.deadline(Duration::from_millis(shared.limits.timeout_ms_max));
    let source = shared.engine().source(&id.source)?;
    let plan = plan(shared, &id.asked)?;
    let wanted = AnswerWanted {
        awaited: None,
        degraded: waits.degraded.unwrap_or(false),
        deadline,
        longest,
    };
    let missing = match read(shared, &id, &source, &plan, wanted).await? {
        Answered::Read(read) => {
            let head = wire::result_head(&id, true);
            let defaults = waits.defaults.unwrap_or(true);
            return read.behind(head, &plan, defaults, as_arrow);
        }
        Answered::NotYet(missing) => missing,
    };
    if wait_ms == 0 {
        return Ok(not_yet(wire::result_head(&id, false), missing.as_ref()));
    }
    Err(late(shared, &id, missing.as_ref(), deadline))
}

/// A result that is not there in time.
fn late(shared: &Shared, id: &ResultId, missing: Option<&Unmet>, deadline: Deadline) -> ApiError {
    let Some(unmet) = missing else {
        let message = format!("after {} ms there is no answer", deadline.timeout_ms());
        return ApiError::new("DEADLINE", message)
            .at(json!({"result": id.to_string()}))
            .with_hint("its event is logged: ask again, or wait longer with `wait_ms`");
    };
    let mut place = wire::unmet(unmet);
    place["result"] = json!(id.to_string());
    not_kept(shared, unmet, deadline).at(place).with_hint(
        "its event is logged: ask again, wait longer with `wait_ms`, or allow an answer that knows less with `degraded=true`",
    )
}

/// Reads a result.
async fn read(
    shared: &Arc<Shared>,
    id: &ResultId,
    source: &Arc<SourceDef>,
    plan: &ServicePlan,
    wanted: AnswerWanted<'_>,
) -> Result<Answered, ApiError> {
    // What is not logged is never waited for, what is logged and not applied yet is.
    let is_applied = |engine: &Engine| {
        let end = engine.applied_end(source.id, id.position.partition);
        end > id.position.offset
    };
    let mut applied = shared.applied.subscribe();
    let logged = shared.log.end(source.id, id.position.partition) > id.position.offset;
    while logged && !is_applied(&shared.engine()) {
        match tokio::time::timeout(wanted.deadline.left(), applied.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(Answered::NotYet(None)),
        }
    }
    let found = find(shared, source, id.position, wanted.longest).await?;
    let Some((trigger, logged_at)) = found else {
        return Ok(Answered::NotYet(None));
    };
    let (now, kept_hours) = {
        let engine = shared.engine();
        (engine.now(), engine.project().limits.results_kept_hours)
    };
    trigger.refuse_gone(logged_at, now, kept_hours)?;
    let awaited = match &id.waits {
        None => None,
        Some(waits) => Some(awaited_of(shared, plan, waits, id).await?),
    };
    let wanted = AnswerWanted {
        awaited: awaited.as_ref(),
        ..wanted
    };
    answered(shared, plan, trigger, wanted).await
}

/// What a result waits for by its name: looked for among the definitions of before, if it is not of now.
async fn awaited_of(
    shared: &Shared,
    plan: &ServicePlan,
    waits: &ResultWaits,
    id: &ResultId,
) -> Result<Awaited, ApiError> {
    let now = shared.engine().awaited_now(&plan.read, waits)?;
    if let Some(now) = now {
        return Ok(now);
    }
    let past = shared.engine().past_definitions(&plan.read, waits);
    let (read, waits, id) = (plan.read.clone(), waits.clone(), id.to_string());
    let found = shared.scans.run(move || past.awaited(&read, &waits, &id));
    Ok(found.await??)
}
