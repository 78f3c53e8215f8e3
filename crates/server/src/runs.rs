//! `POST /v1/views/{view}/run`, and the thread that runs batch views when they are due.
//!
//! Both do the same: the query is answered beside everything else, its rows go through the queue of
//! pushes. One run is under way at a time. Of runs that were missed the latest is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::Offline;
use evenkeel_engine::batch::{BatchView, RunRecord};
use evenkeel_engine::push::{Write, Written};
use evenkeel_sql::{BatchRun, GoOn, Limits, RunReport, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};
use serde::Deserialize;

use crate::ask::{asked, body_fields};
use crate::body::{self, Content};
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::long_work::{self, Made};
use crate::name::Name;
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["at", "again", "timeout_ms"];
/// How often it is looked whether a view is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a run that failed is left alone, microseconds.
const RETRY_AFTER: i64 = 60_000_000;

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ask {
    at: Option<String>,
    again: bool,
    timeout_ms: Option<u64>,
}

/// How runs go.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Held while one is under way.
    running: Mutex<()>,
    /// By view: runs that ended well, runs that failed, time of the last that ended well.
    by_view: Mutex<BTreeMap<String, ViewRuns>>,
    stop: AtomicBool,
    /// With it who waits is woken.
    waiting: Mutex<()>,
    stopped: Condvar,
}

/// How the runs of a view went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ViewRuns {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    /// As of when the last one was that ended well, microseconds.
    pub(crate) last: Option<i64>,
}

impl Runs {
    /// How the runs of each view went.
    pub(crate) fn by_view(&self) -> BTreeMap<String, ViewRuns> {
        let by_view = self.by_view.lock();
        by_view.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ended(&self, view: &str, ended: Option<i64>) {
        let by_view = self.by_view.lock();
        let mut by_view = by_view.unwrap_or_else(PoisonError::into_inner);
        let runs = by_view.entry(view.to_owned()).or_default();
        match ended {
            Some(at) => {
                runs.done += 1;
                runs.last = runs.last.max(Some(at));
            }
            None => runs.failed += 1,
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_all();
    }

    /// Waits for the next look; false if there is none.
    fn wait(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |_: &mut ()| !self.is_stopped();
        let woken = self
            .stopped
            .wait_timeout_while(waiting, LOOK_EVERY, goes_on);
        drop(woken);
        !self.is_stopped()
    }
}

pub(crate) async fn run_view(
    State(shared): State<Arc<Shared>>,
    Name(view): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    Content::of(&parts.headers, &[Content::Json])?;
    let longest = long_work::deadline(&shared, started, None)?;
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let ask: Ask = asked(body_fields(&body)?, FIELDS)?;
    let deadline = long_work::deadline(&shared, started, ask.timeout_ms)?;
    let working = Arc::clone(&shared);
    long_work::run(&shared, &parts.headers, deadline, move |reporter| {
        let (offline, now) = now(&working);
        let at = match &ask.at {
            Some(text) => parse_timestamp(text, &Zone::utc())
                .map_err(|error| ApiError::invalid(format!("`at`: {error}")))?,
            None => {
                let batch = BatchView::of(offline.catalog(), &view)?;
                batch.schedule.last_until(now.0).ok_or_else(|| {
                    ApiError::invalid("the schedule has no time so far").with_hint("give `at`")
                })?
            }
        };
        let told = reporter.clone();
        let go_on: GoOn = Arc::new(move || told.reach("running", 0, 0).is_continue());
        let asked = BatchRun {
            view: &view,
            at: EventTime(at),
            now,
            again: ask.again,
            limits: limits(&working),
        };
        let report = run(&working, &offline, &asked, &go_on);
        let report = report.map_err(|failed| match failed {
            Failed::Sql(SqlError::Stopped) => reporter.stopped(),
            Failed::Sql(error) => ApiError::from(error),
            Failed::Api(error) => error,
        })?;
        Ok(Made::Report(wire::run_report(&report)))
    })
    .await
}

/// What training and queries read, as of now.
fn now(shared: &Shared) -> (Offline, EventTime) {
    let engine = shared.engine();
    (engine.offline(), EventTime(engine.now().0))
}

fn limits(shared: &Shared) -> Limits {
    Limits {
        rows_max: usize::MAX,
        bytes_max: shared.limits.sql_bytes,
        values_max: shared.limits.training_values,
        memory_bytes_max: Some(shared.limits.sql_bytes),
    }
}

/// Why a run failed.
enum Failed {
    Sql(SqlError),
    Api(ApiError),
}

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Self {
        Failed::Sql(error)
    }
}

fn run(
    shared: &Shared,
    offline: &Offline,
    asked: &BatchRun<'_>,
    go_on: &GoOn,
) -> Result<RunReport, Failed> {
    let _running = match shared.runs.running.try_lock() {
        Ok(running) => running,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            let error = ApiError::new("OVERLOADED", "another batch view runs");
            return Err(Failed::Api(error.with_hint("try again when it has ended")));
        }
    };
    let report = asked.run(
        offline,
        go_on,
        &mut |source, rows| {
            let count = rows.len();
            let source = Arc::clone(source);
            let written = shared
                .queue
                .write_and_wait(Write::Push { source, rows }, count)
                .map_err(Failed::Api)?;
            match written {
                Written::Pushed(answer) => Ok(answer.rows),
                _ => Ok(Vec::new()),
            }
        },
        &mut |_, _| (),
    );
    let ended = report.as_ref().ok().map(|report| report.record.at);
    shared.runs.ended(asked.view, ended);
    report
}

/// The thread that runs what is due.
pub(crate) struct Scheduler {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Scheduler {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server is the edge: this is its one thread that runs batch views"
    )]
    pub(crate) fn start(shared: Arc<Shared>) -> Scheduler {
        let working = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            // By view: as of when it was run, or failed and until when that is left alone.
            let mut known = BTreeMap::new();
            while working.runs.wait() {
                run_due(&working, &mut known);
            }
        });
        Scheduler { thread, shared }
    }

    /// Stops what is under way, which goes on the next time, and waits for it.
    pub(crate) fn join(self) {
        self.shared.runs.stop();
        // What it had to say is in the metrics.
        let _ = self.thread.join();
    }
}

fn run_due(shared: &Arc<Shared>, known: &mut BTreeMap<String, (i64, i64)>) {
    let names = BatchView::all(shared.engine().catalog());
    let names: Vec<String> = names.into_iter().map(|b| b.view.name.clone()).collect();
    for name in names {
        // Of this moment: it may read what the run before has written.
        let (offline, now) = now(shared);
        let Ok(batch) = BatchView::of(offline.catalog(), &name) else {
            continue;
        };
        let Some(due) = batch.schedule.last_until(now.0) else {
            continue;
        };
        let left_alone = known.get(&name);
        if left_alone.is_some_and(|(at, until)| *at == due && now.0 < *until) {
            continue;
        }
        let stopping = Arc::clone(shared);
        let go_on: GoOn = Arc::new(move || !stopping.runs.is_stopped());
        let asked = BatchRun {
            view: &name,
            at: EventTime(due),
            now,
            again: false,
            limits: limits(shared),
        };
        let was = RunRecord::of_time(&offline, &name, EventTime(due));
        let is_finished = matches!(&was, Ok(Some(record)) if record.finished.is_some());
        let ended = is_finished || run(shared, &offline, &asked, &go_on).is_ok();
        let until = match ended {
            true => i64::MAX,
            false => now.0.saturating_add(RETRY_AFTER),
        };
        known.insert(name, (due, until));
        if shared.runs.is_stopped() {
            return;
        }
    }
}
