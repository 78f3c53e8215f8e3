//! A store whose writes are held, and whose writes and reads fail, when they are told to: for
//! tests of what goes on meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::kv::{Batch, ExamineUntil, Kv, Snapshot, Space, Visit};

/// What writes and reads of a [`GatedKv`] come through.
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
    /// So many reads more succeed before one fails.
    reads_left: Option<usize>,
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

    /// So many reads of rows from now on succeed; the one that follows fails.
    pub fn fail_read_after(&self, reads: usize) {
        self.state().reads_left = Some(reads);
    }

    /// Takes back [`Gate::fail_read_after`]; whether no read has failed by it.
    pub fn spare_reads(&self) -> bool {
        self.state().reads_left.take().is_some()
    }

    fn pass_read(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        match &mut state.reads_left {
            None => Ok(()),
            Some(0) => {
                state.reads_left = None;
                Err(told_to_fail("read"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
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
        Err(told_to_fail("write"))
    }
}

fn told_to_fail(operation: &'static str) -> StoreError {
    StoreError::Embedded {
        operation,
        reason: "it was told to fail".to_owned(),
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

    fn settle(&self) -> Result<(), StoreError> {
        self.kv.settle()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(GatedSnapshot {
            rows: self.kv.snapshot(),
            gate: Arc::clone(&self.gate),
        })
    }
}

#[derive(Debug)]
struct GatedSnapshot {
    rows: Arc<dyn Snapshot>,
    gate: Arc<Gate>,
}

impl Snapshot for GatedSnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.gate.pass_read()?;
        self.rows.get(space, key)
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.gate.pass_read()?;
        self.rows.range(space, from, to, visit)
    }

    fn examine_until(&self, space: Space, visit: &mut ExamineUntil<'_>) -> Result<(), StoreError> {
        self.rows.examine_until(space, visit)
    }

    fn prefix(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.gate.pass_read()?;
        self.rows.prefix(space, prefix, visit)
    }
}
