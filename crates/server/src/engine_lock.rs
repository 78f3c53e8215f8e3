//! The engine behind its lock: many read, few write, and who writes gives way.
//!
//! A guard that is dropped and taken again at once would not do: who waits has to be woken
//! first, and finds the lock taken. This one hands it over to those that wait, and has it back
//! after them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use evenkeel_engine::Engine;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Stopwatch;
use crate::metrics::Histogram;

/// After so long a hold readers that wait have their turn.
const HOLD: Duration = Duration::from_micros(100);

/// See the module.
pub(crate) struct EngineLock {
    engine: RwLock<Engine>,
    /// How long it was held to write.
    holds: Histogram,
}

/// A hold to write.
pub(crate) struct WriteHold<'a> {
    engine: RwLockWriteGuard<'a, Engine>,
    since: Stopwatch,
    holds: &'a Histogram,
}

impl EngineLock {
    pub(crate) fn new(engine: Engine) -> Self {
        EngineLock {
            engine: RwLock::new(engine),
            holds: Histogram::default(),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Engine> {
        self.engine.read()
    }

    pub(crate) fn write(&self) -> WriteHold<'_> {
        WriteHold {
            engine: self.engine.write(),
            since: Stopwatch::start(),
            holds: &self.holds,
        }
    }

    /// How long it was held to write, each time.
    pub(crate) fn holds(&self) -> &Histogram {
        &self.holds
    }
}

impl WriteHold<'_> {
    /// Lets those read who wait, if it was held for long enough that some may.
    pub(crate) fn give_way(&mut self) {
        let held = self.since.elapsed();
        if held < HOLD {
            return;
        }
        self.holds.add(held);
        RwLockWriteGuard::bump(&mut self.engine);
        self.since = Stopwatch::start();
    }
}

impl Deref for WriteHold<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl DerefMut for WriteHold<'_> {
    fn deref_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }
}

impl Drop for WriteHold<'_> {
    fn drop(&mut self) {
        self.holds.add(self.since.elapsed());
    }
}
