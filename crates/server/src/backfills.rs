//! `POST /v1/views/{view}/backfill`: the rows of a period again, by what is known now.
//!
//! It is logged, and made by the writer between commits, as all emissions are; who asks waits for it. Who
//! goes away, or comes to a deadline, stops the waiting and not the backfill.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::{
    BackfillPlace, BackfillReport, BackfillRequest, backfill_report, log_backfill,
};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::definitions::closed;
use crate::error::ApiError;
use crate::long_work::{self, Asked, Made, Reporter, TICK};
use crate::name::Name;
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["from", "to", "timeout_ms"];

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ask {
    from: Option<String>,
    to: Option<String>,
}

pub(crate) async fn backfill(
    State(shared): State<Arc<Shared>>,
    Name(view): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let (working, handle) = (Arc::clone(&shared), Handle::current());
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let (from, to) = (ask.from.as_deref(), ask.to.as_deref());
        let request = BackfillRequest::of(working.engine().catalog(), &view, from, to)?;
        let report = made(&working, &handle, &request, reporter)?;
        Ok(Made::Report(wire::backfill_report(&report)))
    })
    .await
}

fn made(
    shared: &Shared,
    handle: &Handle,
    request: &BackfillRequest,
    reporter: &Reporter,
) -> Result<BackfillReport, ApiError> {
    let place = {
        // Nobody goes over to other definitions in between, and nobody emits.
        let _appending = shared.appending();
        if let Some(reason) = shared.writes_closed() {
            return Err(closed(&reason));
        }
        log_backfill(shared, &shared.writer_log, request)?
    };
    shared.queue.wake();
    let mut applied = shared.applied.subscribe();
    while !is_done(shared, request, place, reporter)? {
        let changed = handle.block_on(tokio::time::timeout(TICK, applied.changed()));
        // What does not change is looked at again.
        drop(changed);
    }
    Ok(backfill_report(&shared.writer_log, request, place)?)
}

fn is_done(
    shared: &Shared,
    request: &BackfillRequest,
    place: BackfillPlace,
    reporter: &Reporter,
) -> Result<bool, ApiError> {
    let engine = shared.engine();
    if engine.is_backfilled(request, place) {
        return Ok(true);
    }
    if engine.is_backfill_stuck(request) {
        return Err(engine.not_backfilled(request).into());
    }
    let (stage, done, total) = engine.backfill_stage(request, place);
    drop(engine);
    if let Some(reason) = shared.writes_closed() {
        return Err(closed(&reason));
    }
    if reporter.reach(stage, done, total).is_break() {
        let hint = "it is logged and goes on: ask again to wait for it";
        return Err(reporter.stopped().with_hint(hint));
    }
    Ok(false)
}
