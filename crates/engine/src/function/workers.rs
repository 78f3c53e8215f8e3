//! The worker processes of a project: which there are, and who has them.
//!
//! Whoever calls takes a process, and brings it back or drops it. Invariant: there are never more
//! than [`WORKERS_MAX`], and one that failed is not used again. A program that does not start is
//! left alone for a while, longer each time.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::failure::FunctionFailureKind;
use super::program::Program;
use super::worker::{Worker, WorkerFailure};

/// Processes of a project at a time.
const WORKERS_MAX: usize = 16;
/// How long a program that did not start is left alone: the first time, and at most.
const REST_FIRST: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(30);

type Key = [u8; 32];

/// See the module.
#[derive(Default)]
pub(super) struct Workers {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Not in use, the longest idle first.
    idle: Vec<(Key, Worker)>,
    /// In use and idle, by program.
    living: BTreeMap<Key, usize>,
    /// Programs that did not start the last time.
    failed: BTreeMap<Key, Failed>,
}

struct Failed {
    times: u32,
    rests_until: Instant,
    reason: String,
}

/// A process in use; dropped, it is ended.
pub(super) struct Lent {
    workers: Arc<Workers>,
    key: Key,
    /// None once it is back.
    worker: Option<Worker>,
    /// Whether nobody used it before.
    pub(super) is_fresh: bool,
}

impl Workers {
    /// A process of a program, started if there is none. Waits while too many are in use.
    pub(super) fn take(self: &Arc<Self>, program: &Program) -> Result<Lent, WorkerFailure> {
        let key = program.key;
        let lent = |worker, is_fresh| Lent {
            workers: Arc::clone(self),
            key,
            worker: Some(worker),
            is_fresh,
        };
        let mut state = self.state();
        loop {
            if let Some(at) = state.idle.iter().rposition(|(of, _)| *of == key) {
                let (_, worker) = state.idle.remove(at);
                return Ok(lent(worker, false));
            }
            let of_key = state.living.get(&key).copied().unwrap_or(0);
            let all: usize = state.living.values().sum();
            if of_key < at_once() {
                if all < WORKERS_MAX {
                    break;
                }
                if !state.idle.is_empty() {
                    let (of, worker) = state.idle.remove(0);
                    state.forget(&of);
                    drop(state);
                    drop(worker);
                    state = self.state();
                    continue;
                }
            }
            let waited = self.freed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.refuse_resting(&key)?;
        *state.living.entry(key).or_default() += 1;
        drop(state);
        let started = Worker::start(program);
        let mut state = self.state();
        state.note(key, started.as_ref().err());
        if started.is_err() {
            state.forget(&key);
            self.freed.notify_all();
        }
        Ok(lent(started?, true))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, key: &Key) {
        if let Some(living) = self.living.get_mut(key) {
            *living -= 1;
            if *living == 0 {
                self.living.remove(key);
            }
        }
    }

    fn note(&mut self, key: Key, failure: Option<&WorkerFailure>) {
        let Some(failure) = failure else {
            self.failed.remove(&key);
            return;
        };
        let times = self.failed.get(&key).map_or(0, |failed| failed.times);
        let rest = REST_FIRST.saturating_mul(1 << times.min(16)).min(REST_MAX);
        let failed = Failed {
            times: times.saturating_add(1),
            rests_until: now() + rest,
            reason: failure.reason.clone(),
        };
        self.failed.insert(key, failed);
    }

    fn refuse_resting(&self, key: &Key) -> Result<(), WorkerFailure> {
        match self.failed.get(key) {
            Some(failed) if now() < failed.rests_until => Err(WorkerFailure {
                kind: FunctionFailureKind::Start,
                reason: format!(
                    "{} (it is tried again in a moment; it failed {} times)",
                    failed.reason, failed.times
                ),
                told: String::new(),
            }),
            _ => Ok(()),
        }
    }
}

impl Lent {
    /// Brings the process back, to be used again.
    pub(super) fn bring_back(mut self) {
        if let Some(worker) = self.worker.take() {
            self.workers.state().idle.push((self.key, worker));
            self.workers.freed.notify_all();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            drop(worker);
            self.workers.state().forget(&self.key);
            self.workers.freed.notify_all();
        }
    }
}

impl Deref for Lent {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        self.worker
            .as_ref()
            .expect("only who brings it back takes it")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Worker {
        self.worker
            .as_mut()
            .expect("only who brings it back takes it")
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

/// Processes of one program at a time: as many as there are processors, but at least two, so that
/// long work leaves one to reads.
fn at_once() -> usize {
    thread::available_parallelism().map_or(2, |n| n.get().clamp(2, WORKERS_MAX / 2))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a program rests changes no value: it is about processes of this machine"
)]
fn now() -> Instant {
    Instant::now()
}
