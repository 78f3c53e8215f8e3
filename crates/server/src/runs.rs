//! `POST /v1/views/{view}/run`, and the thread that runs batch views when they are due.
//!
//! Both do the same: the query is answered beside everything else, its rows go through the queue of
//! pushes. One run is under way at a time. Of runs that were missed the latest is made; runs that may have
//! written rows and were not finished are, of whatever time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_engine::batch::{BatchView, RunRecord};
use evenkeel_engine::push::{Write, Written};
use evenkeel_engine::{EngineError, Offline};
use evenkeel_sql::{BatchRun, GoOn, Limits, ROWS_PER_WRITE, RunReport, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};
use serde::Deserialize;

use crate::clock::Stopwatch;
use crate::comparisons::Comparisons;
use crate::error::ApiError;
use crate::long_work::{self, Asked, Made};
use crate::name::Name;
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &["at", "again", "timeout_ms"];
/// By view: what the scheduler knows of its runs.
type Known = BTreeMap<String, KnownRuns>;

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
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let working = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let (offline, now) = now(&working);
        let at = match &ask.at {
            Some(text) => parse_timestamp(text, &Zone::utc())
                .map_err(|error| ApiError::invalid(format!("`at`: {error}")))?,
            None => {
                let batch = BatchView::of(offline.catalog(), &view)?;
                batch.last_due(now.0)?
            }
        };
        let told = reporter.clone();
        let go_on: GoOn = Arc::new(move || told.reach("running", 0, 0).is_continue());
        let made = |offline: &Offline, now, at, again| {
            let asked = BatchRun {
                view: &view,
                at,
                now,
                again,
                limits: limits(&working),
                rows_per_write: ROWS_PER_WRITE,
            };
            run(&working, offline, &asked, &go_on).map_err(|failed| match failed {
                Failed::Sql(SqlError::Stopped) => reporter.stopped(),
                Failed::Sql(error) => ApiError::from(error),
                Failed::Api(error) => error,
            })
        };
        let report = made(&offline, now, EventTime(at), ask.again)?;
        let (mut resumed, mut damaged) = (Vec::new(), Vec::new());
        if ask.at.is_none() {
            for at in RunRecord::unfinished(&offline, &view)? {
                // Of this moment: each reads what the one before has written.
                let (offline, now) = self::now(&working);
                match RunRecord::of_time(&offline, &view, at) {
                    Err(error @ EngineError::Run { .. }) => damaged.push((at, error)),
                    _ => resumed.push(made(&offline, now, at, false)?),
                }
            }
        }
        Ok(Made::Report(wire::run_reports(&report, &resumed, &damaged)))
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
                .write_and_wait(Write::Considered { source, rows }, count)
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
            let mut known = Known::new();
            let mut comparisons = Comparisons::default();
            while working.runs.wait() {
                run_due(&working, &mut known);
                // What could not be emitted is tried again, also where nobody writes.
                if working.engine().is_emission_stuck() {
                    working.queue.wake();
                }
                comparisons.make_due(&working);
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

/// What the scheduler knows of a view's runs.
#[derive(Default)]
struct KnownRuns {
    /// How many had failed when it was last looked which are not finished.
    failed: Option<u64>,
    /// Those that were not.
    unfinished: Vec<EventTime>,
    /// Until when, in microseconds, a time is left alone.
    left_alone: BTreeMap<EventTime, i64>,
}

fn run_due(shared: &Arc<Shared>, known: &mut Known) {
    let names = BatchView::all(shared.engine().catalog());
    let names: Vec<String> = names.into_iter().map(|b| b.view.name.clone()).collect();
    for name in names {
        let (offline, _) = now(shared);
        let runs = known.entry(name.clone()).or_default();
        // A run is left unfinished by a process that ended, or by one that failed.
        let failed = shared
            .runs
            .by_view()
            .get(&name)
            .map_or(0, |runs| runs.failed);
        if runs.failed != Some(failed) {
            let Ok(unfinished) = RunRecord::unfinished(&offline, &name) else {
                continue;
            };
            // One that was finished may have been begun again since.
            let is_known =
                |time: &EventTime, until: i64| until < i64::MAX || !unfinished.contains(time);
            runs.left_alone.retain(|time, until| is_known(time, *until));
            runs.unfinished = unfinished;
            runs.failed = Some(failed);
        }
        run_view_due(shared, &name, runs);
        if shared.runs.is_stopped() {
            return;
        }
    }
}

/// Makes the runs of a view that are due, and goes on with those that were not finished.
fn run_view_due(shared: &Arc<Shared>, name: &str, runs: &mut KnownRuns) {
    let (offline, now) = now(shared);
    let Ok(batch) = BatchView::of(offline.catalog(), name) else {
        return;
    };
    let due = batch.last_due(now.0).ok().map(EventTime);
    let mut times = runs.unfinished.clone();
    times.extend(due.filter(|due| !times.contains(due)));
    runs.left_alone.retain(|time, _| times.contains(time));
    for time in times {
        if runs
            .left_alone
            .get(&time)
            .is_some_and(|until| now.0 < *until)
        {
            continue;
        }
        let until = match run_scheduled(shared, name, time) {
            true => i64::MAX,
            false => now.0.saturating_add(RETRY_AFTER),
        };
        runs.left_alone.insert(time, until);
        if shared.runs.is_stopped() {
            return;
        }
    }
}

/// Makes the run of a time, unless it was finished; false if it failed.
fn run_scheduled(shared: &Arc<Shared>, view: &str, at: EventTime) -> bool {
    // Of this moment: it may read what the run before has written.
    let (offline, now) = now(shared);
    let was = RunRecord::of_time(&offline, view, at);
    if matches!(&was, Ok(Some(record)) if record.finished.is_some()) {
        return true;
    }
    let stopping = Arc::clone(shared);
    let longest = Duration::from_millis(shared.limits.long_timeout_ms);
    let deadline = Stopwatch::start().deadline(longest);
    let go_on: GoOn = Arc::new(move || {
        !stopping.runs.is_stopped() && !stopping.is_draining() && !deadline.has_passed()
    });
    let asked = BatchRun {
        view,
        at,
        now,
        again: false,
        limits: limits(shared),
        rows_per_write: ROWS_PER_WRITE,
    };
    run(shared, &offline, &asked, &go_on).is_ok()
}
