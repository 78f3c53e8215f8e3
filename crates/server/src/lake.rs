//! The thread that brings the lake up to the log while the server serves, and lets leave the log what is
//! old and in the lake.
//!
//! Owns when that is done, and says in the metrics how it went. Invariant: it holds the engine
//! for a moment only; what it could not flush stays in the log and is flushed the next time.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_engine::{EngineError, TruncateOptions};
use evenkeel_types::VisibleAt;
use serde_json::{Value as Json, json};

use crate::error::chain;
use crate::shared::Shared;

const DAY_MICROS: i64 = 86_400_000_000;

/// How flushing goes.
#[derive(Debug, Default)]
pub(crate) struct LakeFlushes {
    /// Events that were flushed.
    pub(crate) events: AtomicU64,
    /// Flushes that ended well, whether there was anything to do or not.
    pub(crate) done: AtomicU64,
    /// Flushes that failed, of some source at least.
    pub(crate) failed: AtomicU64,
    /// Failures by source.
    pub(crate) failed_sources: Mutex<BTreeMap<String, u64>>,
    /// What the last flush could not do: by source; without one if nothing could be flushed.
    failures: Mutex<Vec<(Option<String>, String)>>,
    stop: AtomicBool,
    /// With it who waits is woken.
    waiting: Mutex<()>,
    stopped: Condvar,
}

/// The thread; none if nothing says when to flush.
pub(crate) struct LakeFlusher {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl LakeFlusher {
    pub(crate) fn start(shared: Arc<Shared>) -> LakeFlusher {
        let settings = shared.engine().project().lake.flush;
        let every = settings.map(|settings| Duration::from_secs(settings.every_seconds.max(1)));
        let thread = every.map(|every| spawn(Arc::clone(&shared), every));
        LakeFlusher { thread, shared }
    }

    /// Stops what is under way where it can go on the next time, and waits for it.
    pub(crate) fn join(self) {
        self.shared.lake.stop();
        if let Some(thread) = self.thread {
            // What it had to say is in the metrics.
            let _ = thread.join();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is the edge: this is its one thread that flushes to the lake"
)]
fn spawn(shared: Arc<Shared>, every: Duration) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while shared.lake.wait(every) {
            flush(&shared);
        }
    })
}

impl LakeFlushes {
    /// Waits until it is time; false if there is no next time.
    fn wait(&self, every: Duration) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |_: &mut ()| !self.is_stopped();
        let woken = self.stopped.wait_timeout_while(waiting, every, goes_on);
        drop(woken);
        !self.is_stopped()
    }

    /// What the last flush could not do.
    pub(crate) fn failures(&self) -> Json {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = failures.iter();
        failures
            .map(|(source, reason)| json!({"source": source, "reason": reason}))
            .collect()
    }

    /// A flush ended.
    fn ended(&self, failures: Vec<(Option<String>, String)>) {
        match failures.is_empty() {
            true => self.done.fetch_add(1, Ordering::Relaxed),
            false => self.failed.fetch_add(1, Ordering::Relaxed),
        };
        let mut by_source = self
            .failed_sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for source in failures.iter().filter_map(|(source, _)| source.as_ref()) {
            *by_source.entry(source.clone()).or_default() += 1;
        }
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = failures;
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_all();
    }
}

fn flush(shared: &Shared) {
    let offline = shared.engine().offline();
    let mut go_on = |_: &str, _, _| match shared.lake.is_stopped() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    match offline.flush(&[], &mut go_on) {
        Ok(report) => {
            let events = report.sources.iter().map(|source| source.events).sum();
            shared.lake.events.fetch_add(events, Ordering::Relaxed);
            let failed = report.failed.into_iter();
            let failed = failed.map(|failed| (Some(failed.source), chain(&failed.error)));
            let mut failed: Vec<_> = failed.collect();
            match truncate(shared) {
                Ok(()) => {}
                Err(_) if shared.lake.is_stopped() => return,
                Err(error) => failed.push((None, chain(&error))),
            }
            shared.lake.ended(failed);
        }
        Err(_) if shared.lake.is_stopped() => {}
        Err(error) => shared.lake.ended(vec![(None, chain(&error))]),
    }
}

/// Lets leave the log what is old enough, if anything says so.
fn truncate(shared: &Shared) -> Result<(), EngineError> {
    let (truncation, before) = {
        let engine = shared.engine();
        let Some(days) = engine.project().lake.log_days else {
            return Ok(());
        };
        let before = engine.now().0 - i64::from(days) * DAY_MICROS;
        (engine.log_truncation()?, VisibleAt(before))
    };
    let options = TruncateOptions {
        before: Some(before),
        dry_run: false,
    };
    truncation.run(&options, &mut |_, _| match shared.lake.is_stopped() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    Ok(())
}
