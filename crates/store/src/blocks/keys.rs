//! The keys of an index, one after the other.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_types::DataType;

use super::key::{self, RowPrefix};
use super::{Blocks, Index, Tails};
use crate::error::StoreError;
use crate::kv::{Snapshot, Space};

/// The keys that an index had when it was asked. They come by bucket, then by bytes. Holds what
/// it reads: nothing else need be held meanwhile.
#[derive(Debug)]
pub struct KeyList {
    index: u32,
    key_types: Vec<DataType>,
    snapshot: Arc<dyn Snapshot>,
    /// Of keys that are newer than the snapshot, or may be: where their rows would be, and the
    /// keys; ascending.
    newer: Vec<(RowPrefix, Box<[u8]>)>,
    /// The same, not looked at yet.
    tails: Vec<Box<[u8]>>,
    /// What a checkpoint writes meanwhile.
    frozen: Arc<Tails>,
}

/// A key, and where it stands among the keys of every index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedKey {
    /// Bucket and key.
    place: Box<[u8]>,
    /// Its encoding; none of a key that is so long that only its digest is stored.
    pub key: Option<Vec<u8>>,
}

impl ListedKey {
    /// Keys of more bytes cannot be listed.
    pub const BYTES_MAX: usize = key::KEY_BYTES_MAX;

    /// A key.
    pub fn of(key: &[u8]) -> Self {
        ListedKey {
            place: key::place(&key::row_prefix(0, key)).into(),
            key: Some(key.to_vec()),
        }
    }

    /// Whether a key, by its encoding, comes behind this one.
    pub fn is_before(&self, key: &[u8]) -> bool {
        // The bucket decides nearly always.
        match key::bucket_of(key).cmp(&self.bucket()) {
            Ordering::Equal => key::place(&key::row_prefix(0, key)) > &self.place[..],
            other => other.is_gt(),
        }
    }

    fn bucket(&self) -> u16 {
        let two = self.place.first_chunk();
        two.map_or(0, |two| u16::from_be_bytes(*two))
    }

    /// About how many keys follow this one, if so many were found behind `after`, or from the first
    /// one on, up to it: keys are spread evenly over buckets.
    pub fn keys_behind(&self, after: Option<&ListedKey>, found: u64) -> u64 {
        let bucket = |key: &ListedKey| u64::from(key.bucket());
        let (here, begun) = (bucket(self), after.map_or(0, bucket));
        let passed = here.saturating_sub(begun) + 1;
        found.saturating_mul(key::BUCKETS.saturating_sub(here + 1)) / passed
    }
}

impl Blocks {
    /// The keys of an index whose keys have values of these types. What has left the store is
    /// among them.
    pub fn keys(&self, index: usize, key_types: Vec<DataType>) -> KeyList {
        let Index {
            spec,
            tails,
            frozen,
            ..
        } = &self.indexes[index];
        KeyList {
            index: spec.number,
            key_types,
            snapshot: Arc::clone(&self.snapshot),
            newer: Vec::new(),
            tails: tails.keys().map(Box::from).collect(),
            frozen: Arc::clone(frozen),
        }
    }
}

impl KeyList {
    /// Puts what is in memory in order. Before the first [`KeyList::after`], by who has the
    /// time.
    pub fn sort(&mut self) {
        let frozen = std::mem::take(&mut self.frozen);
        let tails = std::mem::take(&mut self.tails);
        let keys = tails.into_iter().chain(frozen.keys().map(Box::from));
        let placed = keys.map(|key| (key::row_prefix(self.index, &key), key));
        self.newer.extend(placed);
        self.newer.sort_unstable();
        self.newer.dedup();
    }

    /// At most `keys` keys behind one, or the first ones.
    ///
    /// # Errors
    /// Of the store, or if a row is none of a key of the types.
    pub fn after(
        &self,
        after: Option<&ListedKey>,
        keys: usize,
    ) -> Result<Vec<ListedKey>, StoreError> {
        let (from, to) = key::of_index(self.index);
        let from = match after {
            None => from,
            Some(after) => [&from, &after.place[..]].concat(),
        };
        let is_behind = |prefix: &[u8]| after.is_none_or(|a| key::place(prefix) > &a.place[..]);
        let mut found: Vec<ListedKey> = Vec::new();
        if keys > 0 {
            self.snapshot
                .range(Space::Runs, &from, &to, &mut |row, _| {
                    let parts = key::parts(row, &self.key_types)
                        .filter(|parts| key::kind(parts.prefix, row).is_some());
                    let Some(parts) = parts else {
                        return Err(StoreError::damaged(
                            Space::Runs,
                            row,
                            "it is no row of a key",
                        ));
                    };
                    let place = key::place(parts.prefix);
                    let is_known = found.last().is_some_and(|last| &*last.place == place);
                    if is_known || !is_behind(parts.prefix) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    if found.len() == keys {
                        return Ok(ControlFlow::Break(()));
                    }
                    found.push(ListedKey {
                        place: place.into(),
                        key: parts.key.map(<[u8]>::to_vec),
                    });
                    Ok(ControlFlow::Continue(()))
                })?;
        }
        let first = self.newer.partition_point(|(prefix, _)| !is_behind(prefix));
        let newer = self.newer[first..].iter().take(keys);
        found.extend(newer.map(|(prefix, key)| ListedKey {
            place: key::place(prefix).into(),
            key: (key.len() <= key::KEY_BYTES_MAX).then(|| key.to_vec()),
        }));
        found.sort_unstable();
        found.dedup();
        found.truncate(keys);
        Ok(found)
    }
}
