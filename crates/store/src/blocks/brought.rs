//! What came back of what had left: kept in the cache, and by the reads that wait for it.
//!
//! Owns that nothing stale is kept. Does not know how events come back.
//!
//! Invariant: a part that is kept has every mark that is in its key's directory; marks that
//! are newer stand beside it. A scan reads them before it reads events, and a checkpoint
//! that moves marks, or more events, into a directory makes what a scan is bringing of that
//! key worthless: so a scan says which keys it brings before it reads anything, the end of
//! the checkpoint strikes them out, and what is struck out is not kept.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use evenkeel_aggregate::History;
use evenkeel_aggregate::history::ColdPart;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Cached;
use super::key::{self, RowPrefix};
use super::key_cache::KeyCache;
use super::reheat::Reheats;

/// The parts that a scan has brought back: at hand as long as this is.
#[derive(Debug, Default)]
#[must_use]
pub struct Brought(Vec<Arc<Held>>);

#[derive(Debug)]
struct Held(History);

/// See the module. One for the life of the blocks, whatever definitions come.
#[derive(Debug)]
pub(super) struct Reheated {
    /// It holds who holds this.
    cache: Weak<KeyCache>,
    state: Mutex<State>,
    /// Held while a scan is under way: one at a time.
    turn: Mutex<()>,
    is_deferred: AtomicBool,
    /// Since the last checkpoint.
    recent_scans: AtomicU32,
    scans: AtomicU64,
    keys: AtomicU64,
    entries: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// What the scan under way brings and is not struck out.
    scanned: FxHashSet<RowPrefix>,
    /// What came back for reads that wait for it.
    held: FxHashMap<RowPrefix, Weak<Held>>,
}

impl Reheated {
    pub(super) fn new(cache: Weak<KeyCache>) -> Self {
        Reheated {
            cache,
            state: Mutex::default(),
            turn: Mutex::default(),
            is_deferred: AtomicBool::new(false),
            recent_scans: AtomicU32::new(0),
            scans: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to scan, once nobody else does.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if nobody else does.
    pub(super) fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether reads do not scan, but say what has to be brought back for them.
    pub(super) fn is_deferred(&self) -> bool {
        self.is_deferred.load(Ordering::Relaxed)
    }

    pub(super) fn defer(&self) {
        self.is_deferred.store(true, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Reheats {
        Reheats {
            scans: self.scans.load(Ordering::Relaxed),
            keys: self.keys.load(Ordering::Relaxed),
            events: self.entries.load(Ordering::Relaxed),
        }
    }

    pub(super) fn count(&self, keys: usize, entries: usize) {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.keys.fetch_add(keys as u64, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// Scans since the last checkpoint, this one not counted.
    pub(super) fn begin_scan(&self) -> u32 {
        self.recent_scans.fetch_add(1, Ordering::Relaxed)
    }

    /// From now on a scan brings few keys back again.
    pub(super) fn begin_small(&self) {
        self.recent_scans.store(0, Ordering::Relaxed);
    }

    /// A key's part, if it is at hand.
    pub(super) fn get(&self, prefix: &[u8], part: &ColdPart) -> Option<History> {
        let cached = || Some(self.cache.upgrade()?.get(&key::cold(prefix)[..])?.history);
        let held = || Some(self.state().held.get(prefix)?.upgrade()?.0.clone());
        let is_it = |found: &History| part.is_of(found);
        cached().filter(is_it).or_else(|| held().filter(is_it))
    }

    /// A scan is going to bring these keys. Before it reads anything.
    pub(super) fn register(&self, prefixes: impl Iterator<Item = RowPrefix>) {
        let mut state = self.state();
        state.scanned.clear();
        state.scanned.extend(prefixes);
    }

    /// What is kept of a key, or is being brought back, is not its part any more.
    pub(super) fn forget(&self, prefix: &[u8]) {
        let mut state = self.state();
        state.scanned.remove(prefix);
        state.held.remove(prefix);
        if let Some(cache) = self.cache.upgrade() {
            cache.remove(&key::cold(prefix)[..]);
        }
    }

    /// What is kept is of before: reads have left states in it.
    pub(super) fn forget_all(&self) {
        let mut state = self.state();
        state.held.clear();
        state.scanned.clear();
    }

    /// Keeps what a scan brought of a key, unless it was struck out; with `held`, also if
    /// the cache has no room.
    pub(super) fn keep(
        &self,
        prefix: &RowPrefix,
        history: History,
        weight: u64,
        held: Option<&mut Brought>,
    ) {
        let mut state = self.state();
        if !state.scanned.remove(prefix) {
            return;
        }
        if let Some(Brought(held)) = held {
            let part = Arc::new(Held(history.clone()));
            state.held.retain(|_, held| held.strong_count() > 0);
            state.held.insert(prefix.clone(), Arc::downgrade(&part));
            held.push(part);
        }
        let cached = Cached {
            weight,
            run_bytes: 0,
            history,
            source: None,
        };
        // Under the lock, so that what is struck out now is removed after this.
        if let Some(cache) = self.cache.upgrade() {
            cache.insert(key::cold(prefix), cached);
        }
    }
}
