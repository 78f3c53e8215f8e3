//! Sources that are compared with the truth when that is due: by the thread that runs batch views.
//!
//! Of moments that were missed the latest is made up for; a comparison that fails is tried again after a
//! minute. One correction is under way at a time, whoever asks for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, TryLockError};
use std::time::Duration;

use evenkeel_engine::push::Write;
use evenkeel_engine::{Comparison, ComparisonRecord, EngineError};
use evenkeel_types::EventTime;

use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::shared::Shared;

/// How long a comparison that failed is left alone, microseconds.
const RETRY_AFTER: i64 = 60_000_000;

/// What the thread knows of comparisons.
#[derive(Default)]
pub(crate) struct Comparisons {
    /// When it began, microseconds: what was due before is nobody's loss.
    began: Option<i64>,
    /// By source: until when, in microseconds, it is left alone.
    left_alone: BTreeMap<String, i64>,
}

impl Comparisons {
    /// Makes the comparisons that are due.
    pub(crate) fn make_due(&mut self, shared: &Arc<Shared>) {
        let (all, now) = {
            let engine = shared.engine();
            (Comparison::all(engine.catalog()), engine.now().0)
        };
        let began = *self.began.get_or_insert(now);
        for comparison in all {
            let name = comparison.source.name.clone();
            if self.left_alone.get(&name).is_some_and(|until| now < *until) {
                continue;
            }
            let store = shared.engine().project().store.clone();
            let known = ComparisonRecord::read(&store, &name).unwrap_or_default();
            let done = known.map_or(began, |record| record.at);
            let due = comparison
                .schedule
                .last_until(now)
                .filter(|due| *due > done);
            let Some(due) = due.map(EventTime) else {
                continue;
            };
            let failed = compare(shared, &comparison, due).is_err();
            shared.metrics.comparison(&name, failed);
            if failed {
                self.left_alone
                    .insert(name, now.saturating_add(RETRY_AFTER));
            } else {
                self.left_alone.remove(&name);
            }
        }
    }
}

/// Logs what differs from the truth.
fn compare(shared: &Arc<Shared>, comparison: &Comparison, due: EventTime) -> Result<(), ApiError> {
    let _one = match shared.correcting.try_lock() {
        Ok(one) => one,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Err(ApiError::new(
                "OVERLOADED",
                "another correction is under way",
            ));
        }
    };
    let (offline, means, store) = {
        let engine = shared.engine();
        (
            engine.offline(),
            engine.means(),
            engine.project().store.clone(),
        )
    };
    let deadline =
        Stopwatch::start().deadline(Duration::from_millis(shared.limits.long_timeout_ms));
    let mut go_on = |_: &str, _, _| {
        if shared.is_draining() || deadline.has_passed() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let truth = comparison.truth(&offline)?;
    let period = comparison.period(due)?;
    let source = &comparison.source;
    let difference = offline.difference(source, truth, &period, means, &mut go_on)?;
    let mut refused = None;
    let logged = difference.commits(
        &offline,
        &mut |corrections| {
            let count = corrections.len();
            let write = Write::Corrections {
                source: Arc::clone(source),
                corrections,
            };
            let written = shared.queue.write_and_wait(write, count);
            written.map(drop).map_err(|error| {
                refused = Some(error);
                EngineError::Stopped
            })
        },
        &mut go_on,
    );
    if let Err(error) = logged {
        return Err(refused.unwrap_or_else(|| error.into()));
    }
    let counts = difference.counts();
    shared.metrics.compared(&source.name, counts, false);
    ComparisonRecord::add(&store, &source.name, due, counts.changes())?;
    Ok(())
}
