//! Triggers and results that wait for watermarks (`docs/decisions/0046-promises.md`).
//!
//! Owns what a request says of it, and the waiting; at which record it ends is the engine's. Invariant:
//! how long somebody waited, and who else did, has no part in the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel_connect::Json;
use evenkeel_engine::{
    Awaited, DueSearch, Engine, EngineError, Online, Trigger, TriggerPromise, Unmet,
};
use evenkeel_types::EventTime;
use serde_json::json;

use crate::clock::Deadline;
use crate::error::ApiError;
use crate::request::{Fields, wrong};
use crate::shared::Shared;

/// Where a trigger is evaluated.
pub(crate) enum Place {
    /// At the first record at which the watermarks have passed its time.
    At(Trigger),
    /// They have not.
    Lacks(Unmet),
    /// That record is not found in time.
    Late,
}

/// What a request says of the answer that it wants.
pub(crate) fn promise(fields: &Fields<'_>) -> Result<TriggerPromise, ApiError> {
    let complete = match fields.get("consistency") {
        None => None,
        Some(Json::String(text)) if text == "trigger" => None,
        Some(Json::String(text)) if text == "complete" => Some(Vec::new()),
        Some(Json::Object(members)) => match members.as_slice() {
            [(name, Json::Array(names))] if name == "complete" && !names.is_empty() => {
                Some(sources(names)?)
            }
            _ => return Err(no_level("`consistency` is an object of another form")),
        },
        Some(Json::String(text)) => {
            return Err(no_level(&format!(
                "`{text}` is not a level of consistency of a trigger"
            )));
        }
        Some(other) => return Err(wrong("consistency", other, "a level")),
    };
    Ok(TriggerPromise {
        complete,
        degraded: fields.flag("degraded", false)?,
    })
}

fn sources(names: &[Json<'_>]) -> Result<Vec<String>, ApiError> {
    let name = |name: &Json<'_>| match name {
        Json::String(name) => Ok(name.to_string()),
        other => Err(wrong("consistency", other, "a list of sources")),
    };
    names.iter().map(name).collect()
}

fn no_level(message: &str) -> ApiError {
    ApiError::invalid(message)
        .with_hint("`trigger`, `complete` or {\"complete\": [SOURCE, ...]}")
        .at(json!({"field": "consistency"}))
}

/// Waits until the watermarks have passed a trigger's time, and finds where they did.
pub(crate) async fn once_passed(
    shared: &Arc<Shared>,
    awaited: &Awaited,
    trigger: Trigger,
    (deadline, longest): (Deadline, Deadline),
) -> Result<Place, ApiError> {
    let time = trigger.event_time();
    let missing = |engine: &Engine| engine.unmet_awaited(awaited, time);
    let unmet = missing(&shared.engine());
    if let Some(unmet) = unmet {
        // Those that wait take a part of the places alone: what they wait for needs the others.
        let Ok(_place) = shared.waiters.try_acquire() else {
            return Ok(Place::Lacks(unmet));
        };
        if let Some(unmet) = met(shared, deadline, missing).await {
            return Ok(Place::Lacks(unmet));
        }
    }
    let search = passed(shared, awaited, trigger.clone());
    let Ok(found) = tokio::time::timeout(longest.left(), search).await else {
        return Ok(Place::Late);
    };
    let record = match found? {
        None => {
            return Err(ApiError::new(
                "STORAGE",
                "watermarks are past the trigger by what is applied, and the log does not say where",
            ));
        }
        Some((record, None)) => record,
        Some((_, Some(search))) => {
            match once_due(shared, (awaited, time), search, (deadline, longest)).await? {
                Due::At(record) => record,
                Due::Lacks(unmet) => return Ok(Place::Lacks(unmet)),
                Due::Late => return Ok(Place::Late),
            }
        }
    };
    let log = shared.log.clone();
    let trigger = in_turn(shared, move || trigger.at_record(&log, record));
    let Ok(trigger) = tokio::time::timeout(longest.left(), trigger).await else {
        return Ok(Place::Late);
    };
    let trigger = trigger??;
    // It may be in a commit of which only the beginning is applied.
    let lacks = met(shared, longest, |engine| engine.unmet(trigger.cut())).await;
    Ok(match lacks {
        None => Place::At(trigger),
        Some(_) => Place::Late,
    })
}

/// Says that nobody waits any more, when it is dropped.
struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// The same, and how it is asked.
    fn new() -> (Self, impl Fn() -> bool + Send + 'static) {
        let flag = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&flag);
        (Wanted(flag), move || asked.load(Ordering::Relaxed))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The record at which the watermarks passed a trigger's time by what was logged, and where it is asked whether they
/// did by what holds, if that is another question.
async fn passed(
    shared: &Shared,
    awaited: &Awaited,
    trigger: Trigger,
) -> Result<Option<(u64, Option<DueSearch>)>, ApiError> {
    let (time, record) = (trigger.event_time(), trigger.record());
    let mark = shared.engine().mark_before(awaited, time, record);
    let (wanted, is_wanted) = Wanted::new();
    let (log, awaited) = (shared.log.clone(), awaited.clone());
    let found = in_turn(shared, move || {
        let found = awaited.first_record(&log, mark, (time, record), &is_wanted)?;
        let behind = |record| {
            let search = DueSearch::behind(&log, &awaited, (time, record))?;
            Ok::<_, EngineError>((record, search))
        };
        found.map(behind).transpose()
    })
    .await;
    drop(wanted);
    Ok(found??)
}

/// Where what streams with timers go by has passed a time.
enum Due {
    At(u64),
    Lacks(Unmet),
    /// It is not found in time.
    Late,
}

/// Waits until it has.
async fn once_due(
    shared: &Arc<Shared>,
    (awaited, time): (&Awaited, EventTime),
    mut search: DueSearch,
    (deadline, longest): (Deadline, Deadline),
) -> Result<Due, ApiError> {
    let mut applied = shared.applied.subscribe();
    let mut place = None;
    loop {
        applied.mark_unchanged();
        let (wanted, is_wanted) = Wanted::new();
        let (online, awaited) = (Arc::clone(shared), awaited.clone());
        let found = in_turn(shared, move || {
            let found = search.go_on(online.as_ref(), &online.log, &is_wanted)?;
            let lacks = match found {
                Some(_) => None,
                None => online.read_with(|engine| engine.lacks_awaited(&awaited, time))?,
            };
            Ok::<_, EngineError>((found, lacks, search))
        });
        let Ok(found) = tokio::time::timeout(longest.left(), found).await else {
            return Ok(Due::Late);
        };
        drop(wanted);
        let (found, unmet, rest) = found??;
        if let Some(record) = found {
            return Ok(Due::At(record));
        }
        search = rest;
        if unmet.is_none() && applied.has_changed().unwrap_or(false) {
            // It is among what was applied meanwhile.
            continue;
        }
        if place.is_none() {
            place = shared.waiters.try_acquire().ok();
        }
        let ended = place.is_none() || shared.is_draining() || {
            let changed = tokio::time::timeout(deadline.left(), applied.changed()).await;
            !matches!(changed, Ok(Ok(())))
        };
        if ended {
            return Ok(unmet.map_or(Due::Late, Due::Lacks));
        }
    }
}

/// Reads the log on a thread of its own, for what is waited for. A few do at a time, and everyone has a turn.
pub(crate) async fn in_turn<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let turn = Arc::clone(&shared.searches).acquire_owned().await;
    let turn = turn.map_err(|_| ApiError::new("INTERNAL", "nobody reads any more"))?;
    let done = tokio::task::spawn_blocking(move || {
        let _held = turn;
        work()
    });
    done.await
        .map_err(|_| ApiError::new("INTERNAL", "a search gave up"))
}

/// Waits until nothing is missing; what is, if time is up before, or the server stops.
pub(crate) async fn met(
    shared: &Shared,
    deadline: Deadline,
    missing: impl Fn(&Engine) -> Option<Unmet>,
) -> Option<Unmet> {
    let mut applied = shared.applied.subscribe();
    loop {
        let unmet = missing(&shared.engine())?;
        if shared.is_draining() {
            return Some(unmet);
        }
        match tokio::time::timeout(deadline.left(), applied.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Some(unmet),
        }
    }
}
