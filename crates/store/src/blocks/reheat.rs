//! Bringing back what left the hot tier, for reads that need it.
//!
//! Owns which keys one scan brings back, and that what comes back is what left. Does not
//! know where events come from: [`ColdEvents`] does. What came back is cached like other
//! blocks.
//!
//! A scan costs the same for one key as for many, so each scan since the last checkpoint
//! takes four times as many buckets of keys along as the one before, from that of the key
//! that is asked for upwards: a single old read brings one key back, and who reads many old
//! values in the order of [`super::bucket_of`] scans a few times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use evenkeel_aggregate::history::ColdPart;
use evenkeel_aggregate::{Bounds, Entry, History};
use evenkeel_types::Position;
use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::key::{self, RowPrefix};
use super::{BlockCache, Cached, IndexSpec, entry_bytes};
use crate::error::StoreError;
use crate::kv::{Kv, Space};

/// Takes events as they are brought back.
pub trait Collect {
    /// Whether the event of a key at a time and place is wanted.
    fn wants(&mut self, key: &[u8], time: i64, position: Position) -> bool;
    /// Takes an event that is.
    fn take(&mut self, key: &[u8], entry: &Entry<'_>);
}

/// Where events come from that are not in the hot tier.
pub trait ColdEvents: Send + Sync + std::fmt::Debug {
    /// Offers every event of an index that is within bounds (of event time and offsets), as
    /// it was inserted, and contested if it has become that; in any order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(
        &self,
        index: usize,
        bounds: &Bounds,
        collect: &mut dyn Collect,
    ) -> Result<(), StoreError>;
}

/// Has no events: for a store that nothing leaves.
#[derive(Clone, Copy, Debug)]
pub struct NothingCold;

impl ColdEvents for NothingCold {
    fn read(&self, _: usize, _: &Bounds, _: &mut dyn Collect) -> Result<(), StoreError> {
        Err(StoreError::Cold {
            reason: "nothing was to leave the hot tier".to_owned(),
        })
    }
}

/// How much was brought back since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reheats {
    /// Scans.
    pub scans: u64,
    /// Keys that they brought back.
    pub keys: u64,
    /// Events of these keys.
    pub events: u64,
}

#[derive(Debug)]
pub(super) struct Reheater {
    kv: Arc<dyn Kv>,
    events: Arc<dyn ColdEvents>,
    specs: Vec<IndexSpec>,
    /// It holds who holds this.
    cache: Weak<BlockCache>,
    /// About the bytes that one scan may bring back besides the key that is asked for.
    along_bytes: u64,
    /// Scans since the last checkpoint; held while one is under way.
    turn: Mutex<u32>,
    scans: AtomicU64,
    keys: AtomicU64,
    entries: AtomicU64,
}

/// What a scan is to bring back of a key.
struct Wanted {
    part: ColdPart,
    entries: History,
}

struct Wants<'a> {
    number: u32,
    keys: &'a mut FxHashMap<RowPrefix, Wanted>,
    /// Of the event that was wanted last.
    prefix: RowPrefix,
}

impl Reheater {
    pub(super) fn new(
        kv: Arc<dyn Kv>,
        events: Arc<dyn ColdEvents>,
        specs: Vec<IndexSpec>,
        cache: Weak<BlockCache>,
        along_bytes: u64,
    ) -> Self {
        Reheater {
            kv,
            events,
            specs,
            cache,
            along_bytes,
            turn: Mutex::new(0),
            scans: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Reheats {
        Reheats {
            scans: self.scans.load(Ordering::Relaxed),
            keys: self.keys.load(Ordering::Relaxed),
            events: self.entries.load(Ordering::Relaxed),
        }
    }

    /// From now on a scan brings few keys back again.
    pub(super) fn begin_small(&self) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }

    /// The part of a key of an index.
    pub(super) fn part(
        &self,
        index: usize,
        prefix: &RowPrefix,
        part: &ColdPart,
    ) -> Result<History, StoreError> {
        if let Some(known) = self.cached(prefix, part) {
            return Ok(known);
        }
        let mut scans = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Another scan may have brought it meanwhile.
        if let Some(known) = self.cached(prefix, part) {
            return Ok(known);
        }
        let spec = &self.specs[index];
        let mut keys = FxHashMap::default();
        if *scans > 0 {
            let buckets = 4u64.saturating_pow(*scans).min(key::BUCKETS);
            self.along(spec, prefix, buckets, &mut keys)?;
        }
        keys.insert(prefix.clone(), wanted(spec, part.clone()));
        *scans += 1;
        self.scan(index, &mut keys)?;
        drop(scans);
        let mut asked = None;
        for (brought, Wanted { part, entries }) in keys {
            let is_asked = brought == *prefix;
            if part.is_of(&entries) {
                let cached = Cached {
                    weight: weight(spec, entries.len()),
                    history: entries,
                    source: None,
                };
                if is_asked {
                    asked = Some(cached.history.clone());
                }
                if let Some(cache) = self.cache.upgrade() {
                    cache.insert(key::cold(&brought), cached);
                }
            } else if is_asked {
                let reason = format!(
                    "{} events of it left the hot tier, and the log has {} or others",
                    part.length,
                    entries.len()
                );
                let row = key::directory(prefix);
                return Err(StoreError::damaged(Space::Runs, &row, reason));
            }
        }
        asked.ok_or_else(|| StoreError::damaged(Space::Runs, prefix, "it did not come back"))
    }

    fn cached(&self, prefix: &[u8], part: &ColdPart) -> Option<History> {
        let cached = self.cache.upgrade()?.get(&key::cold(prefix)[..])?;
        part.is_of(&cached.history).then_some(cached.history)
    }

    fn scan(
        &self,
        index: usize,
        keys: &mut FxHashMap<RowPrefix, Wanted>,
    ) -> Result<(), StoreError> {
        let mut bounds: Option<Bounds> = None;
        for wanted in keys.values() {
            match &mut bounds {
                Some(bounds) => bounds.merge(&wanted.part.bounds),
                None => bounds = Some(wanted.part.bounds.clone()),
            }
        }
        if let Some(bounds) = bounds {
            let mut wants = Wants {
                number: self.specs[index].number,
                keys,
                prefix: RowPrefix::default(),
            };
            self.events.read(index, &bounds, &mut wants)?;
        }
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.keys.fetch_add(keys.len() as u64, Ordering::Relaxed);
        let entries: usize = keys.values().map(|w| w.entries.len()).sum();
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Adds the cold keys of some buckets, from that of a key on, that fit into memory.
    fn along(
        &self,
        spec: &IndexSpec,
        prefix: &[u8],
        buckets: u64,
        keys: &mut FxHashMap<RowPrefix, Wanted>,
    ) -> Result<(), StoreError> {
        let (from, to) = key::buckets_from(prefix, buckets);
        let mut bytes = 0;
        let snapshot = self.kv.snapshot();
        snapshot.range(Space::Runs, &from, &to, &mut |row, value| {
            if !Directory::has_cold(value) {
                return Ok(std::ops::ControlFlow::Continue(()));
            }
            let directory =
                Directory::decode(value).map_err(|e| StoreError::malformed(Space::Runs, row, e))?;
            if let (Some(other), Some(part)) = (key::of_directory(row), directory.cold)
                && self.cached(other, &part).is_none()
            {
                bytes += weight(spec, part.length);
                if bytes > self.along_bytes {
                    return Ok(std::ops::ControlFlow::Break(()));
                }
                keys.insert(other.into(), wanted(spec, part));
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })
    }
}

fn wanted(spec: &IndexSpec, part: ColdPart) -> Wanted {
    Wanted {
        part,
        entries: History::new(Arc::clone(&spec.types)),
    }
}

/// About the bytes of so many entries.
fn weight(spec: &IndexSpec, entries: usize) -> u64 {
    (entries * entry_bytes(spec.types.len(), 0)) as u64
}

/// Whether an event is within bounds of event time and offsets.
pub(super) fn is_within(bounds: &Bounds, time: i64, position: Position) -> bool {
    let spans = &bounds.offsets;
    let at = spans.binary_search_by_key(&position.partition, |span| span.partition);
    (bounds.first_time..=bounds.last_time).contains(&time)
        && at.is_ok_and(|at| (spans[at].first..=spans[at].last).contains(&position.offset))
}

impl Collect for Wants<'_> {
    fn wants(&mut self, key: &[u8], time: i64, position: Position) -> bool {
        self.prefix = key::row_prefix(self.number, key);
        self.keys
            .get(&self.prefix)
            .is_some_and(|wanted| is_within(&wanted.part.bounds, time, position))
    }

    fn take(&mut self, _: &[u8], entry: &Entry<'_>) {
        if let Some(wanted) = self.keys.get_mut(&self.prefix) {
            wanted.entries.insert(entry);
        }
    }
}
