//! A store whose writes are held or fail when they are told to: for tests of what goes on
//! meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::kv::{Batch, Kv, Snapshot, Space};

/// What the writes of a [`GatedKv`] come through.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    holds: usize,
    /// Writes that wait.
    waiting: usize,
    /// So many writes more fail.
    failing: usize,
    failed: usize,
}

/// Holds all writes until it is dropped.
#[derive(Debug)]
pub struct Held<'a>(&'a Gate);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on writes wait.
    pub fn hold(&self) -> Held<'_> {
        self.state().holds += 1;
        Held(self)
    }

    /// Waits until a write waits.
    pub fn wait_for_a_write(&self) {
        let mut state = self.state();
        while state.waiting == 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// So many writes from now on fail, those first that wait.
    pub fn fail(&self, writes: usize) {
        self.state().failing = writes;
    }

    /// Writes that have failed.
    pub fn failed(&self) -> usize {
        self.state().failed
    }

    fn pass(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        while state.holds > 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        if state.failing == 0 {
            return Ok(());
        }
        state.failing -= 1;
        state.failed += 1;
        Err(StoreError::Embedded {
            operation: "write",
            reason: "it was told to fail".to_owned(),
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
        self.0.changed.notify_all();
    }
}

/// See the module.
#[derive(Debug)]
pub struct GatedKv {
    kv: Arc<dyn Kv>,
    gate: Arc<Gate>,
}

impl GatedKv {
    /// A store behind a gate.
    pub fn new(kv: Arc<dyn Kv>, gate: Arc<Gate>) -> Self {
        GatedKv { kv, gate }
    }
}

impl Kv for GatedKv {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.gate.pass()?;
        self.kv.write(batch)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.kv.snapshot()
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv.get(space, key)
    }
}
