//! The engine behind its lock: many read, few write, and who writes gives way.
//!
//! A guard that is dropped and taken again at once would not do: who waits has to be woken
//! first, and finds the lock taken. This one hands it over to those that wait, and has it back
//! after them.
//!
//! A writer that waits in the lock's queue keeps all later readers out, also while it is awake
//! and waits for a processor. So it does not wait there: it looks again and again whether the
//! lock is free, and takes it when it is there to use it. Only readers that overlap without end bring
//! it to the queue.

use std::ops::{Deref, DerefMut};
use std::thread::yield_now;
use std::time::Duration;

use evenkeel_engine::Engine;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Stopwatch;
use crate::metrics::Histogram;

/// After so long a hold readers that wait have their turn.
const HOLD: Duration = Duration::from_micros(100);

/// So long, and so often, a writer looks for itself whether readers are gone. Where others want the
/// processors, one look can take as long as many.
const PATIENCE: Duration = Duration::from_millis(1);
const LOOKS: usize = 16;

/// See the module.
pub(crate) struct EngineLock {
    engine: RwLock<Engine>,
    /// How long it was held to write.
    holds: Histogram,
}

/// A hold to write.
pub(crate) struct WriteHold<'a> {
    engine: RwLockWriteGuard<'a, Engine>,
    lock: &'a RwLock<Engine>,
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
            engine: take(&self.engine, yield_now),
            lock: &self.engine,
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
        let_in(&mut self.engine, self.lock, yield_now);
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

/// Takes the lock when it is free, or by the queue when patience has an end.
fn take<T>(lock: &RwLock<T>, between: impl FnMut()) -> RwLockWriteGuard<'_, T> {
    let mut taken = None;
    let mut is_taken = || {
        taken = lock.try_write();
        taken.is_some()
    };
    look(&mut is_taken, between);
    taken.unwrap_or_else(|| lock.write())
}

/// Hands the lock to those that wait for it, and has it back after them.
fn let_in<T>(held: &mut RwLockWriteGuard<'_, T>, lock: &RwLock<T>, between: impl FnMut()) {
    RwLockWriteGuard::unlocked_fair(held, || look(&mut || !lock.is_locked(), between));
}

/// Looks whether it is so until it is, or patience has an end.
fn look(is_so: &mut dyn FnMut() -> bool, mut between: impl FnMut()) {
    let since = Stopwatch::start();
    let mut looks = 0;
    while !is_so() && (looks < LOOKS || since.elapsed() < PATIENCE) {
        looks += 1;
        between();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn readers_come_in_while_a_writer_waits_for_one_of_them() {
        let lock = RwLock::new(());
        let mut reader = Some(lock.read());
        let mut looks = 0;
        let taken = take(&lock, || {
            looks += 1;
            assert!(lock.try_read().is_some());
            if looks == 3 {
                reader = None;
            }
        });
        drop(taken);
        assert_eq!(looks, 3);
    }

    #[test]
    fn readers_without_end_are_kept_out_at_last() {
        let lock = RwLock::new(0);
        let (begun, begins) = sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let held = lock.read();
                begun.send(()).unwrap();
                // Until the writer stands in the queue.
                while lock.try_read().is_some() {
                    yield_now();
                }
                assert_eq!(*held, 0);
            });
            begins.recv().unwrap();
            let mut looks = 0;
            *take(&lock, || looks += 1) = 1;
            assert!(looks >= LOOKS);
        });
        assert_eq!(*lock.read(), 1);
    }

    #[test]
    fn who_waits_has_the_lock_before_the_writer_has_it_back() {
        let lock = RwLock::new(0);
        let mut held = lock.write();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| *lock.read());
            while !reader.is_finished() {
                let_in(&mut held, &lock, yield_now);
            }
            assert_eq!(reader.join().unwrap(), 0);
        });
    }
}
