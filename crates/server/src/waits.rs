//! Triggers and results that wait for watermarks (`docs/decisions/0046-promises.md`).
//!
//! Owns what a request says of it, and the waiting; at which record it ends is the engine's. Invariant:
//! how long somebody waited, and who else did, has no part in the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel_connect::Json;
use evenkeel_engine::{Awaited, Engine, Mark, Trigger, TriggerPromise, Unmet};
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
    shared: &Shared,
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
    let mark = shared.engine().mark_before(awaited, time, trigger.record());
    let search = search(shared, awaited, trigger, mark);
    let Ok(found) = tokio::time::timeout(longest.left(), search).await else {
        return Ok(Place::Late);
    };
    let Some(trigger) = found? else {
        return Err(ApiError::new(
            "STORAGE",
            "watermarks are past the trigger by what is applied, and the log does not say where",
        ));
    };
    // It may be in a commit of which only the beginning is applied.
    let lacks = met(shared, longest, |engine| engine.unmet(trigger.cut())).await;
    Ok(match lacks {
        None => Place::At(trigger),
        Some(_) => Place::Late,
    })
}

/// Says that nobody waits any more, when it is dropped.
struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Finds where a trigger is evaluated.
async fn search(
    shared: &Shared,
    awaited: &Awaited,
    trigger: Trigger,
    mark: Option<Mark>,
) -> Result<Option<Trigger>, ApiError> {
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let (log, awaited) = (shared.log.clone(), awaited.clone());
    let flag = Arc::clone(&wanted.0);
    let found = in_turn(shared, move || {
        let is_wanted = || flag.load(Ordering::Relaxed);
        let at = (trigger.event_time(), trigger.record());
        let record = awaited.first_record(&log, mark, at, &is_wanted)?;
        let found = record.map(|record| trigger.at_record(&log, record));
        found.transpose()
    })
    .await;
    drop(wanted);
    Ok(found??)
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
