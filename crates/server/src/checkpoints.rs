//! The one thread that writes checkpoints, beside reads and pushes.
//!
//! A checkpoint is begun when half of what may be unwritten is; pushes fill the other half
//! while it is written, and wait, in the queue, only when that is full too. So what is in
//! memory and not in the hot tier is bounded by the limit and what two commits bring.
//!
//! Invariants: one checkpoint is under way at a time, also of those that somebody else asks
//! for, and nobody but this begins one while requests are served; the lock on the state is
//! taken before the engine's, never under it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use evenkeel_engine::Checkpoint;

use crate::shared::Shared;
use crate::writer::GivesUp;

/// The way to the thread.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
    pushes_wait: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Begun, and not taken by the thread.
    begun: Option<Checkpoint>,
    is_under_way: bool,
    /// How many hold the next one back.
    holds: usize,
    /// There will be no more.
    is_finished: bool,
    /// Nobody writes any more.
    is_gone: bool,
}

/// While it is there, no checkpoint is begun.
#[derive(Debug)]
pub(crate) struct Hold<'a>(&'a Checkpoints);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
        self.0.changed.notify_all();
    }
}

impl Checkpoints {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether pushes wait for a checkpoint.
    pub(crate) fn pushes_wait(&self) -> bool {
        self.pushes_wait.load(Ordering::Relaxed)
    }

    /// Begins a checkpoint if one is due, and waits until there is room for more events. Of
    /// the writer, between commits.
    pub(crate) fn make_room(&self, shared: &Shared) {
        let mut state = self.state();
        while shared.engine().is_checkpoint_due() && !state.is_gone {
            if !state.is_under_way && state.holds == 0 {
                // If it cannot be begun, the next commit sees why.
                self.begin(&mut state, shared);
                break;
            }
            self.pushes_wait.store(true, Ordering::Relaxed);
            state = self.wait(state);
        }
        self.pushes_wait.store(false, Ordering::Relaxed);
    }

    fn begin(&self, state: &mut State, shared: &Shared) -> bool {
        if state.is_finished {
            return false;
        }
        state.begun = shared.engine_mut().begin_checkpoint_now();
        state.is_under_way = state.begun.is_some();
        self.changed.notify_all();
        state.is_under_way
    }

    /// Writes a checkpoint of everything applied, however little it is, and waits for its end.
    pub(crate) fn write_now(&self, shared: &Shared) {
        let mut state = self.end_of_this(self.state());
        if self.begin(&mut state, shared) {
            drop(self.end_of_this(state));
        }
    }

    /// Waits for the end of the one that is under way, if any is.
    pub(crate) fn wait_for_end(&self) {
        drop(self.end_of_this(self.state()));
    }

    fn end_of_this<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while state.is_under_way && !state.is_gone {
            state = self.wait(state);
        }
        state
    }

    /// Holds the next one back, not the one that is under way.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.state().holds += 1;
        Hold(self)
    }

    /// The next one to write; none if there will be no more.
    fn next(&self) -> Option<Checkpoint> {
        let mut state = self.state();
        loop {
            if let Some(begun) = state.begun.take() {
                return Some(begun);
            }
            if state.is_finished {
                return None;
            }
            state = self.wait(state);
        }
    }

    fn ended(&self) {
        self.state().is_under_way = false;
        self.changed.notify_all();
    }

    fn finish(&self) {
        self.state().is_finished = true;
        self.changed.notify_all();
    }
}

/// The thread.
pub(crate) struct CheckpointWriter {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// Says when the thread has ended, however it did.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.checkpoints.state().is_gone = true;
        self.0.checkpoints.changed.notify_all();
    }
}

impl CheckpointWriter {
    pub(crate) fn start(shared: Arc<Shared>) -> CheckpointWriter {
        let writing = Arc::clone(&shared);
        let write = move || {
            let _ending = Ending(&writing);
            let _gives_up = GivesUp {
                queue: &writing.queue,
                reason: "what writes checkpoints gave up",
            };
            while let Some(checkpoint) = writing.checkpoints.next() {
                write(&writing, checkpoint);
                writing.checkpoints.ended();
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the server is the edge: this is its one thread that writes checkpoints"
        )]
        let thread = std::thread::spawn(write);
        CheckpointWriter { thread, shared }
    }

    /// Waits for what is under way, and ends it. False if it panicked: it has closed the queue.
    pub(crate) fn join(self) -> bool {
        self.shared.checkpoints.finish();
        self.thread.join().is_ok()
    }
}

/// Writes one. If it fails, reads go on, and the next commit opens the hot tier again first.
fn write(shared: &Shared, checkpoint: Checkpoint) {
    match checkpoint.write() {
        Ok(written) => {
            let spent = shared.engine_mut().end_checkpoint(written);
            // It is large: nobody waits while it is given back.
            drop(spent);
        }
        Err(error) => shared.engine_mut().checkpoint_failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_engine::push::{PushedRow, Write};
    use evenkeel_engine::{Engine, Project, ServerLimits};
    use evenkeel_types::Value;

    use super::*;
    use crate::auth::Tokens;

    #[tokio::test(flavor = "multi_thread")]
    async fn held_back_none_is_begun_and_pushes_wait_for_room() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
        let definitions = "CREATE STREAM taps (n BIGINT, at TIMESTAMP, EVENT TIME at);";
        write("a.sql", definitions).unwrap();
        write("evenkeel.toml", "[limits]\nmemory_bytes = 40000\n").unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let source = engine.source("taps").unwrap();
        let limits = ServerLimits::default();
        let (shared, writers) = Shared::start(engine, limits, Tokens::default()).unwrap();
        let pushing = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                for n in 0..100 {
                    let row = PushedRow {
                        values: Ok(vec![Value::BigInt(n), Value::Timestamp(n)]),
                        producer: Some(("p".into(), n.unsigned_abs())),
                    };
                    let write = Write::Push {
                        source: Arc::clone(&source),
                        rows: vec![row],
                    };
                    shared.queue.write(write, 1).await.unwrap();
                }
            })
        };
        let held = shared.checkpoints.hold();
        while !shared.checkpoints.pushes_wait() || shared.queue.length() == 0 {
            tokio::task::yield_now().await;
        }
        let (new, written_now) = shared.engine().unwritten_bytes();
        assert!(new > 5_000 && written_now == 0, "{new} {written_now}");
        drop(held);
        pushing.await.unwrap();
        shared.queue.finish();
        writers.join();
        let state = shared.checkpoints.state();
        assert!(state.is_gone && !state.is_under_way);
    }
}
