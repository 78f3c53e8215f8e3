//! Bringing back what left the hot tier, for reads that need it.
//!
//! Owns which keys one scan brings back, and that what comes back is what left. Does not
//! know where events come from: [`ColdEvents`] does; what is kept of them is [`Reheated`]'s.
//!
//! A read brings back what it needs itself, or it says so ([`ColdNeeds`]) where others wait
//! for it: then whoever has the time does it without a hold on the blocks, and the read is
//! made again.
//!
//! A scan costs the same for one key as for many, so each scan since the last checkpoint
//! takes four times as many buckets of keys along as the one before, from that of the key
//! that is asked for upwards: a single old read brings one key back, and who reads many old
//! values in the order of [`super::bucket_of`] scans a few times.

use std::sync::{Arc, Weak};

use evenkeel_aggregate::history::ColdPart;
use evenkeel_aggregate::{Bounds, Entry, History};
use evenkeel_types::Position;
use rustc_hash::FxHashMap;

use super::brought::{Brought, Reheated};
use super::directory::Directory;
use super::key::{self, RowPrefix};
use super::{IndexSpec, bytes_of, entry_bytes};
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
            source: Box::<dyn std::error::Error + Send + Sync>::from(
                "nothing was to leave the hot tier",
            )
            .into(),
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

/// Brings back what left the indexes of one set of definitions.
#[derive(Debug)]
pub(super) struct Reheater {
    kv: Arc<dyn Kv>,
    events: Arc<dyn ColdEvents>,
    specs: Vec<IndexSpec>,
    reheated: Arc<Reheated>,
    /// About the bytes that one scan may bring back besides the key that is asked for.
    along_bytes: u64,
}

/// A part that a read needs and that is not at hand.
#[derive(Clone, Debug)]
pub(super) struct ColdNeed {
    pub(super) index: usize,
    pub(super) prefix: RowPrefix,
    pub(super) part: ColdPart,
}

/// What reads need that left the hot tier: to be brought back without a hold on the blocks.
/// While it waits, the key-value store can be closed.
#[derive(Debug)]
pub struct ColdNeeds {
    reheated: Arc<Reheated>,
    reheater: Weak<Reheater>,
    /// Of the same reheater; at least one.
    needs: Vec<ColdNeed>,
}

impl ColdNeeds {
    pub(super) fn one(reheater: &Arc<Reheater>, need: ColdNeed) -> Self {
        ColdNeeds {
            reheated: Arc::clone(&reheater.reheated),
            reheater: Arc::downgrade(reheater),
            needs: vec![need],
        }
    }

    /// How many parts.
    pub fn parts(&self) -> usize {
        self.needs.len()
    }

    /// Takes more needs; those for which other scans are due are found again by their reads.
    pub fn join(&mut self, more: ColdNeeds) {
        if Weak::ptr_eq(&self.reheater, &more.reheater) {
            self.needs.extend(more.needs);
        }
    }

    /// Scans for what is needed, one scan of all at a time; then the reads are to be made
    /// again, as long as what it answers is held. They may need more, or the same again if
    /// it has changed meanwhile.
    ///
    /// # Errors
    /// If events cannot be read, or are not those that left.
    pub fn bring_back(&self) -> Result<Brought, StoreError> {
        let _turn = self.reheated.turn();
        let mut brought = Brought::default();
        // If the store was closed meanwhile, the read finds another one.
        if let Some(reheater) = self.reheater.upgrade() {
            reheater.bring_back(&self.needs, &mut brought)?;
        }
        Ok(brought)
    }
}

/// What a scan is to bring back of a key.
struct Wanted {
    part: ColdPart,
    entries: History,
    /// About the bytes of the entries.
    bytes: usize,
    is_asked: bool,
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
        reheated: Arc<Reheated>,
        along_bytes: u64,
    ) -> Self {
        Reheater {
            kv,
            events,
            specs,
            reheated,
            along_bytes,
        }
    }

    /// The part of a key of an index; none if others would wait for it to be brought back.
    pub(super) fn part(&self, need: &ColdNeed) -> Result<Option<History>, StoreError> {
        let known = || self.reheated.get(&need.prefix, &need.part);
        if let Some(known) = known() {
            return Ok(Some(known));
        }
        if self.reheated.is_deferred() {
            return Ok(None);
        }
        let _turn = self.reheated.turn();
        let mut brought = Brought::default();
        self.bring_back(std::slice::from_ref(need), &mut brought)?;
        let missing = || StoreError::damaged(Space::Runs, &need.prefix, "it did not come back");
        known().map(Some).ok_or_else(missing)
    }

    /// Brings back the parts that are needed of one index. Of whoever has the turn.
    fn bring_back(&self, needs: &[ColdNeed], brought: &mut Brought) -> Result<(), StoreError> {
        // Another scan may have brought them meanwhile.
        let mut missing = needs
            .iter()
            .filter(|need| self.reheated.get(&need.prefix, &need.part).is_none());
        let Some(first) = missing.next() else {
            return Ok(());
        };
        let index = first.index;
        let spec = &self.specs[index];
        let mut keys = FxHashMap::default();
        let scans = self.reheated.begin_scan();
        if scans > 0 {
            let buckets = 4u64.saturating_pow(scans).min(key::BUCKETS);
            self.along(spec, &first.prefix, buckets, &mut keys)?;
        }
        keys.insert(first.prefix.clone(), wanted(spec, first.part.clone(), true));
        let mut bytes = 0;
        for need in missing.filter(|need| need.index == index) {
            bytes += weight(spec, need.part.length);
            // The rest is found again by its reads.
            if bytes > self.along_bytes {
                break;
            }
            keys.insert(need.prefix.clone(), wanted(spec, need.part.clone(), true));
        }
        self.reheated.register(keys.keys().cloned());
        self.scan(index, &mut keys)?;
        for (prefix, wanted) in keys {
            let Wanted {
                part,
                entries,
                bytes,
                is_asked,
            } = wanted;
            if part.is_of(&entries) {
                let held = is_asked.then_some(&mut *brought);
                self.reheated.keep(&prefix, entries, bytes as u64, held);
            } else if is_asked {
                let reason = format!(
                    "{} events of it left the hot tier, and the log has {} or others",
                    part.length,
                    entries.len()
                );
                let row = key::directory(&prefix);
                return Err(StoreError::damaged(Space::Runs, &row, reason));
            }
        }
        Ok(())
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
        let entries: usize = keys.values().map(|w| w.entries.len()).sum();
        self.reheated.count(keys.len(), entries);
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
                && self.reheated.get(other, &part).is_none()
            {
                bytes += weight(spec, part.length);
                if bytes > self.along_bytes {
                    return Ok(std::ops::ControlFlow::Break(()));
                }
                keys.insert(other.into(), wanted(spec, part, false));
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })
    }
}

fn wanted(spec: &IndexSpec, part: ColdPart, is_asked: bool) -> Wanted {
    Wanted {
        part,
        entries: History::new(Arc::clone(&spec.types)),
        bytes: 0,
        is_asked,
    }
}

/// About the bytes of so many entries, before they are there.
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
            wanted.bytes += bytes_of(entry);
            wanted.entries.insert(entry);
        }
    }
}
