//! What was read of keys, bounded by weight: the most recently used stay (Corbató's clock, 1968).
//!
//! A read of many keys waits for memory more than for anything else, so [`KeyCache::get_all`]
//! goes in steps over all of them: the places, the slots, the keys, what they point to. The loads
//! of one step do not depend on each other, and there is no write between them, so that the
//! processor has many under way at once.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::Cached;
use super::key::RowPrefix;

/// Parts that are locked one by one.
const SHARDS: usize = 8;
/// So many bytes of a key are kept in place: those of a number, and what stands before it.
const SHORT_MAX: usize = 22;

/// See the module.
#[derive(Debug)]
pub(super) struct KeyCache {
    weight_max: u64,
    /// What of it others have.
    left: AtomicU64,
    shards: [RwLock<Shard>; SHARDS],
    /// Whether anything was ever kept: whoever loads events reads nothing, and need not ask.
    is_used: AtomicBool,
}

#[derive(Debug, Default)]
struct Shard {
    /// Where the slot of a hash is. Of two keys with one hash only one is kept.
    places: FxHashMap<u64, u32>,
    slots: Vec<Slot>,
    /// Slots that nothing is in.
    free: Vec<u32>,
    /// Where the search for what leaves goes on.
    hand: usize,
    weight: u64,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    kept: Option<Kept>,
    /// Whether it was asked for since the hand was here.
    was_used: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    key: Key,
    cached: Cached,
}

/// A key, in place as long as it is short: a comparison does not wait for memory elsewhere.
#[derive(Debug)]
enum Key {
    /// The first of these bytes.
    Short {
        length: u8,
        bytes: [u8; SHORT_MAX],
    },
    Long(RowPrefix),
}

impl From<RowPrefix> for Key {
    fn from(key: RowPrefix) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(&key);
                Key::Short { length, bytes }
            }
            _ => Key::Long(key),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Key::Short { length, bytes } => &bytes[..usize::from(*length)],
            Key::Long(bytes) => bytes,
        }
    }
}

impl Kept {
    fn weight(&self) -> u64 {
        self.cached.weight + self.key.len() as u64
    }
}

impl Shard {
    fn place(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let place = *self.places.get(&hash)? as usize;
        let kept = self.slots[place].kept.as_ref()?;
        (*kept.key == *key).then_some(place)
    }

    fn take(&mut self, place: usize) -> Option<Kept> {
        let slot = &mut self.slots[place];
        let kept = slot.kept.take()?;
        self.places.remove(&slot.hash);
        self.free.push(place as u32);
        self.weight -= kept.weight();
        Some(kept)
    }

    fn put(&mut self, hash: u64, kept: Kept) {
        self.weight += kept.weight();
        let slot = Slot {
            hash,
            kept: Some(kept),
            was_used: AtomicBool::new(false),
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.places.insert(hash, place);
    }

    /// Lets go until no more than so much is kept. Answers what goes, to be dropped when nobody
    /// waits.
    fn shrink(&mut self, weight_max: u64) -> Vec<Kept> {
        let mut gone = Vec::new();
        while self.weight > weight_max {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let was_used = self.slots[self.hand].was_used.get_mut();
            if !std::mem::take(was_used) {
                gone.extend(self.take(self.hand));
            }
            self.hand += 1;
        }
        gone
    }
}

impl KeyCache {
    /// A cache of about so many bytes.
    pub(super) fn new(weight_max: u64) -> Self {
        KeyCache {
            weight_max,
            left: AtomicU64::new(0),
            shards: Default::default(),
            is_used: AtomicBool::new(false),
        }
    }

    /// Whether anything may be kept of a key.
    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// About the bytes that it may hold.
    pub(super) fn weight_max(&self) -> u64 {
        self.weight_max
    }

    /// Leaves so many of the bytes that it may hold to others; what is more than the rest goes when
    /// something comes.
    pub(super) fn leave(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// What each part may hold.
    fn shard_weight_max(&self) -> u64 {
        let left = self.left.load(Ordering::Relaxed);
        self.weight_max.saturating_sub(left) / SHARDS as u64
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The map of the shard uses the other bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        let shard = self.shard(hash).read();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        let shard = self.shard(hash).write();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Cached> {
        let hash = xxh3_64(key);
        let shard = self.read(hash);
        let slot = &shard.slots[shard.place(hash, key)?];
        slot.was_used.store(true, Ordering::Relaxed);
        slot.kept.as_ref().map(|kept| kept.cached.clone())
    }

    /// What is kept of each of many keys.
    pub(super) fn get_all(&self, keys: &[RowPrefix]) -> Vec<Option<Cached>> {
        self.near(keys, |found| {
            let cached = found.iter().map(|found| {
                let (slot, kept) = (*found)?;
                slot.was_used.store(true, Ordering::Relaxed);
                Some(kept.cached.clone())
            });
            cached.collect()
        })
    }

    /// Many keys are about to be changed: what is kept of them is brought closer.
    pub(super) fn touch_all(&self, keys: &[RowPrefix]) {
        self.near(keys, |_| ());
    }

    /// Takes what is kept of each of many keys, once it was looked at.
    fn near<T>(&self, keys: &[RowPrefix], take: impl FnOnce(&[Option<(&Slot, &Kept)>]) -> T) -> T {
        let hashes: Vec<u64> = keys.iter().map(|key| xxh3_64(key)).collect();
        let shards: Vec<_> = self
            .shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let of = |hash: u64| &*shards[(hash >> 32) as usize % SHARDS];
        let places: Vec<Option<u32>> = hashes
            .iter()
            .map(|hash| of(*hash).places.get(hash).copied())
            .collect();
        let slots = |i: usize| Some(&of(hashes[i]).slots[places[i]? as usize]);
        let kept: Vec<Option<(&Slot, &Kept)>> = (0..keys.len())
            .map(|i| slots(i).and_then(|slot| Some((slot, slot.kept.as_ref()?))))
            .collect();
        let found: Vec<Option<(&Slot, &Kept)>> = kept
            .into_iter()
            .zip(keys)
            .map(|(found, key)| found.filter(|(_, kept)| *kept.key == **key))
            .collect();
        for level in 0..Cached::LEVELS {
            let touched = found.iter().flatten();
            let touched = touched.map(|(_, kept)| kept.cached.touch(level));
            // Without a use the loads would be left out.
            std::hint::black_box(touched.fold(0, usize::wrapping_add));
        }
        take(&found)
    }

    /// Keeps something of a key, in place of what was kept.
    pub(super) fn insert(&self, key: RowPrefix, cached: Cached) {
        self.is_used.store(true, Ordering::Release);
        let hash = xxh3_64(&key);
        let key = Key::from(key);
        let kept = Kept { key, cached };
        let weight_max = self.shard_weight_max();
        let fits = kept.weight() <= weight_max;
        let (before, gone) = {
            let mut shard = self.write(hash);
            let before = shard.places.get(&hash).copied();
            let before = before.and_then(|place| shard.take(place as usize));
            if fits {
                shard.put(hash, kept);
            }
            (before, shard.shrink(weight_max))
        };
        drop((before, gone));
    }

    /// Changes what is kept of a key, if anything is.
    pub(super) fn change(&self, key: &[u8], change: impl FnOnce(&mut Cached)) {
        let hash = xxh3_64(key);
        let mut shard = self.write(hash);
        let Some(place) = shard.place(hash, key) else {
            return;
        };
        let Some(kept) = shard.slots[place].kept.as_mut() else {
            return;
        };
        let weight_max = self.shard_weight_max();
        let before = kept.weight();
        change(&mut kept.cached);
        let after = kept.weight();
        shard.weight = shard.weight - before + after;
        let too_heavy = if after > weight_max {
            shard.take(place)
        } else {
            None
        };
        let gone = shard.shrink(weight_max);
        drop(shard);
        drop((too_heavy, gone));
    }

    /// Forgets what is kept of a key.
    pub(super) fn remove(&self, key: &[u8]) {
        let hash = xxh3_64(key);
        let gone = {
            let mut shard = self.write(hash);
            let place = shard.place(hash, key);
            place.and_then(|place| shard.take(place))
        };
        drop(gone);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use evenkeel_aggregate::History;
    use proptest::prelude::*;

    use super::*;

    fn cached(weight: u64) -> Cached {
        Cached {
            history: History::new([].into()),
            source: None,
            weight,
            run_bytes: weight,
        }
    }

    fn key(number: u8) -> RowPrefix {
        [number].into()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u64),
        Change(u8, u64),
        Remove(u8),
        Get(u8),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = 0..40u8;
        prop_oneof![
            8 => (number.clone(), 0..60u64).prop_map(|(k, w)| Step::Insert(k, w)),
            4 => (number.clone(), 0..60u64).prop_map(|(k, w)| Step::Change(k, w)),
            2 => number.clone().prop_map(Step::Remove),
            6 => number.prop_map(Step::Get),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// What is there is what was kept last; and there is never more than fits.
        #[test]
        fn it_keeps_the_last_of_each_key_within_its_weight(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let cache = KeyCache::new(400);
            let mut last: BTreeMap<u8, u64> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(number, weight) => {
                        cache.insert(key(number), cached(weight));
                        last.insert(number, weight);
                    }
                    Step::Change(number, weight) => {
                        let mut changed = false;
                        cache.change(&key(number), |kept| {
                            *kept = cached(weight);
                            changed = true;
                        });
                        if changed {
                            last.insert(number, weight);
                        }
                    }
                    Step::Remove(number) => {
                        cache.remove(&key(number));
                        last.remove(&number);
                    }
                    Step::Get(number) => {
                        cache.get(&key(number));
                    }
                    Step::Clear => {
                        cache.clear();
                        last.clear();
                    }
                }
                let keys: Vec<RowPrefix> = (0..40).map(key).collect();
                cache.touch_all(&keys);
                let all = cache.get_all(&keys);
                for (number, found) in (0..40u8).zip(&all) {
                    let alone = cache.get(&key(number)).map(|kept| kept.run_bytes);
                    let found = found.as_ref().map(|kept| kept.run_bytes);
                    prop_assert_eq!(alone, found);
                    prop_assert!(found.is_none() || found == last.get(&number).copied());
                }
                for shard in &cache.shards {
                    let shard = shard.read().unwrap();
                    let weights = shard.slots.iter().flat_map(|s| &s.kept).map(Kept::weight);
                    prop_assert_eq!(shard.weight, weights.sum::<u64>());
                    prop_assert!(shard.weight <= 400 / SHARDS as u64);
                    prop_assert_eq!(shard.places.len() + shard.free.len(), shard.slots.len());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..SHORT_MAX + 3)) {
            prop_assert_eq!(&*Key::from(RowPrefix::from(&bytes[..])), &bytes[..]);
        }
    }

    #[test]
    fn a_key_is_three_words() {
        assert_eq!(size_of::<Key>(), 3 * size_of::<usize>());
    }

    #[test]
    fn what_is_used_stays() {
        let cache = KeyCache::new(8_000);
        cache.insert(key(255), cached(100));
        for number in 0..250 {
            assert!(cache.get(&key(255)).is_some(), "at {number}");
            cache.insert(key(number), cached(100));
        }
        let kept = (0..250).filter(|number| cache.get(&key(*number)).is_some());
        // A shard has room for nine others.
        assert!((40..=80).contains(&kept.count()));
    }
}
