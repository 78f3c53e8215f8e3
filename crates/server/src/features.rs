//! `POST /v1/features`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::Response;
use evenkeel_engine::{
    Answers, Brought, Engine, EngineError, FunctionCalls, Given, KeptAnswers, ReadPlan,
    ServedAnswer, Unmet,
};
use evenkeel_types::{EventTime, Knowledge, Value};

use crate::answer::{ReadAnswer, Rows};
use crate::body::{self, Content, aside};
use crate::clock::{Deadline, Stopwatch};
use crate::error::ApiError;
use crate::levels::not_kept;
use crate::promises::Outcome;
use crate::reply;
use crate::request::{ReadRequest, from_arrow, from_json};
use crate::shared::Shared;

/// Values that are read under one hold of the lock: a fraction of a millisecond.
const READ_VALUES: usize = 1_024;
/// The same of values that are kept in rows: they take a hundredth of the time.
const KEPT_VALUES: usize = 16_384;
pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let response = answer(&shared, request, started).await;
    shared.metrics.read(started.elapsed());
    response
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request,
    started: Stopwatch,
) -> Result<Response<Body>, ApiError> {
    let (parts, body) = request.into_parts();
    let content = Content::of(&parts.headers, &[Content::Json, Content::Arrow])?;
    let as_arrow = body::wants_arrow(&parts.headers);
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|e| ApiError::invalid(e.body_text()))?;
    if content == Content::Json && !query.is_empty() {
        return Err(
            ApiError::invalid("with a JSON body there are no query parameters")
                .with_hint("put them into the body"),
        );
    }
    let longest = started.deadline(std::time::Duration::from_millis(
        shared.limits.timeout_ms_max,
    ));
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let decoding = Arc::clone(shared);
    let request = aside(body.len(), move || match content {
        Content::Arrow => from_arrow(&decoding, body.into(), &query),
        Content::Json | Content::JsonLines => from_json(&decoding, &body),
    })
    .await??;
    let deadline = started.deadline(request.timeout);
    respond(shared, &request, as_arrow, deadline).await
}

async fn respond(
    shared: &Shared,
    request: &ReadRequest,
    as_arrow: bool,
    deadline: Deadline,
) -> Result<Response<Body>, ApiError> {
    let answer = evaluate(shared, request, as_arrow, deadline).await?;
    Ok(if as_arrow {
        reply::body(answer.to_arrow(None)?, Content::ARROW)
    } else {
        reply::json(answer.to_json())
    })
}

/// Waits for what was promised, then reads at one cut, in pieces.
async fn evaluate<'r>(
    shared: &Shared,
    request: &'r ReadRequest,
    as_arrow: bool,
    deadline: Deadline,
) -> Result<ReadAnswer<'r>, ApiError> {
    let plan = &request.plan.read;
    let promise = &request.promise;
    let uncaptured = promise.caught_up(shared, plan, deadline).await;
    let known = promise.known(shared, plan);
    let unmet = match (&uncaptured, &request.cut) {
        (Some(unmet), _) => Some(unmet.clone()),
        (None, Some(_)) => None,
        (None, None) => promise.wait(shared, plan, &known, deadline).await.err(),
    };
    if let Some(unmet) = unmet.filter(|_| !request.degraded) {
        promise.ended(shared, Outcome::Unmet);
        return Err(not_kept(shared, &unmet, deadline));
    }
    let pinned = {
        let engine = shared.engine();
        // What is missing in the very cut that is answered.
        let lacks = match &request.cut {
            None => promise.unmet(&engine, plan, &known),
            Some(cut) => {
                engine.refuse_beyond(cut)?;
                engine.unmet_at(&known.positions, cut)
            }
        };
        let degraded = match lacks {
            Some(unmet) if !request.degraded => {
                promise.ended(shared, Outcome::Unmet);
                return Err(ApiError::cut_lacks(&unmet));
            }
            lacks => uncaptured.or(lacks),
        };
        promise.ended(
            shared,
            match degraded {
                Some(_) => Outcome::Degraded,
                None => Outcome::Kept,
            },
        );
        let not_before = request.promise.session.time.unwrap_or(EventTime(i64::MIN));
        let as_of = request.as_of.unwrap_or(engine.now().max(not_before));
        // Columns are for Arrow, and for who makes something else of the answers.
        let is_text = !as_arrow && request.plan.dataset.is_none();
        let whole = if is_text && request.is_of_now() && request.values() <= KEPT_VALUES {
            engine.read_whole(plan, &request.rows, as_of)
        } else {
            None
        };
        Pinned {
            words: match &request.cut {
                None => engine.cut_in_words(),
                Some(cut) => engine.format_cut(cut).into(),
            },
            answers: match whole {
                Some(kept) => Where::Kept(kept),
                None => Where::At(Knowledge {
                    cut: request.cut.clone().unwrap_or_else(|| engine.cut()),
                    known_at: request.known_at,
                }),
            },
            as_of,
            degraded,
        }
    };
    let rows = match pinned.answers {
        Where::Kept(kept) => Rows::Kept(kept),
        Where::At(knowledge) => {
            let until = Until {
                deadline,
                whatever_it_takes: pinned.degraded.is_some(),
            };
            Rows::Columns(in_pieces(shared, request, pinned.as_of, &knowledge, until).await?)
        }
    };
    if request.plan.logged && shared.served.wants() {
        let now = shared.engine().now();
        shared.served.log(ServedAnswer::new(
            now,
            plan,
            !request.plan.named,
            &request.rows,
            pinned.as_of,
            request.known_at,
            &pinned.words,
            &rows.columns(plan).to_rows(),
        ));
    }
    let rows = match &request.plan.dataset {
        Some(dataset) => Rows::Columns(dataset.vectors(&rows.columns(plan))),
        None => rows,
    };
    Ok(ReadAnswer {
        plan: &request.plan,
        rows,
        as_of: pinned.as_of,
        known_at: request.known_at,
        cut: pinned.words,
        degraded: pinned.degraded,
        // A dataset's rows never had them.
        defaults: request.defaults && request.plan.dataset.is_none(),
    })
}

/// What one hold of the engine tells.
struct Pinned {
    /// The cut that is answered, in words.
    words: Arc<str>,
    answers: Where,
    as_of: EventTime,
    degraded: Option<Unmet>,
}

/// Where the answers are.
enum Where {
    /// All of them are kept.
    Kept(KeptAnswers),
    /// They are to be read at this.
    At(Knowledge),
}

/// Until when it is read.
struct Until {
    deadline: Deadline,
    /// What is late already is answered.
    whatever_it_takes: bool,
}

/// Reads at a cut, piece by piece.
async fn in_pieces(
    shared: &Shared,
    request: &ReadRequest,
    as_of: EventTime,
    knowledge: &Knowledge,
    until: Until,
) -> Result<Answers, ApiError> {
    let plan = &request.plan.read;
    let deadline = until.deadline;
    let rows_of = |values: usize| (values / plan.features().len().max(1)).max(1);
    let (step, kept_step) = (rows_of(READ_VALUES), rows_of(KEPT_VALUES));
    let mut answers = Answers::new(plan);
    while answers.len() < request.rows.len() {
        if !answers.is_empty() {
            if !until.whatever_it_takes && deadline.has_passed() {
                return Err(too_late(&answers, request, deadline));
            }
            tokio::task::yield_now().await;
        }
        let rows = &request.rows[answers.len()..];
        let read = Piece {
            plan,
            kept: &rows[..kept_step.min(rows.len())],
            rows: &rows[..step.min(rows.len())],
            as_of,
            knowledge,
        };
        if !read.read(shared, deadline, &mut answers).await? {
            return Err(too_late(&answers, request, deadline));
        }
    }
    Ok(answers)
}

/// Rows that are read under one hold of the engine.
struct Piece<'a> {
    plan: &'a ReadPlan,
    /// As many of these as are kept,
    kept: &'a [Vec<Value>],
    /// or these, if the first is not.
    rows: &'a [Vec<Value>],
    as_of: EventTime,
    knowledge: &'a Knowledge,
}

impl Piece<'_> {
    /// Reads it; false if time is up before.
    async fn read(
        &self,
        shared: &Shared,
        deadline: Deadline,
        answers: &mut Answers,
    ) -> Result<bool, ApiError> {
        let Piece {
            plan,
            kept,
            rows,
            as_of,
            knowledge,
        } = *self;
        let read = with_cold(shared, deadline, |engine| {
            match engine.read_kept(plan, kept, as_of, knowledge, answers) {
                0 => engine.read_more(plan, rows, as_of, knowledge, answers),
                _ => Ok(()),
            }
        });
        Ok(read.await?.is_some())
    }
}

/// Reads under one hold of the engine. What it needs that left the hot tier is brought back by
/// the pool of scans, and functions are called, without a hold on the engine, and it is read
/// again; none if time is up before.
pub(crate) async fn with_cold<T>(
    shared: &Shared,
    deadline: Deadline,
    mut read: impl FnMut(&Engine) -> Result<T, EngineError>,
) -> Result<Option<T>, ApiError> {
    // Held until it is read.
    let mut brought: Vec<Brought> = Vec::new();
    let mut given: Vec<Given> = Vec::new();
    loop {
        let found = read(&shared.engine());
        let needs = match found {
            Err(EngineError::Cold(needs)) => needs,
            Err(EngineError::Calls(calls)) => {
                let called = called(shared, *calls);
                match tokio::time::timeout(deadline.left(), called).await {
                    Ok(called) => given.extend(called?),
                    Err(_) => return Ok(None),
                }
                continue;
            }
            found => return Ok(Some(found?)),
        };
        let scan = shared.scans.run(move || needs.bring_back());
        match tokio::time::timeout(deadline.left(), scan).await {
            Ok(scanned) => brought.push(scanned?.map_err(EngineError::from)?),
            Err(_) => return Ok(None),
        }
    }
}

/// Calls functions beside; there are few turns.
async fn called(shared: &Shared, calls: FunctionCalls) -> Result<Vec<Given>, ApiError> {
    let admitted = shared
        .functions
        .admit("too many reads wait for functions at once")?;
    let turn = shared.functions.turn(admitted).await?;
    Ok(turn.run(move || calls.run()).await??)
}

fn too_late(answers: &Answers, request: &ReadRequest, deadline: Deadline) -> ApiError {
    ApiError::new(
        "DEADLINE",
        format!(
            "after {} ms {} of {} entities are read",
            deadline.timeout_ms(),
            answers.len(),
            request.rows.len()
        ),
    )
    .with_hint("ask for fewer entities at once, or wait longer with `timeout_ms`")
}
