//! Where a source's identities are kept: newer than the last checkpoint in memory, the rest
//! in the store.
//!
//! Three kinds of rows: per identity its versions; per contested entry what decides about
//! it; per event id, where the source deduplicates, the times at which it occurred. Single
//! writer. A checkpoint is begun and ended by the writer, like that of the blocks.

mod identities;
mod identity_key;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use evenkeel_store::{Batch, Snapshot, Space, StoreError};
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_bytes, put_signed, put_varint};
use evenkeel_types::{Offset, Partition, Position, SourceId, VisibleAt};
use evenkeel_view::Version;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use identities::Identities;
pub(crate) use identity_key::IdentityKey;

/// Longer ids are replaced by their digest.
const ID_BYTES_MAX: usize = 64;
const PLAIN: u8 = 0;
const DIGEST: u8 = 1;
/// About the bytes in memory of an identity, besides its key.
const IDENTITY_BYTES: usize = 128;

/// What the rows of a ledger begin with. It is given once, never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerId(u32);

impl LedgerId {
    /// Those of ledgers that were built beside another. Ids of sources are less.
    const BUILT_BESIDE: u32 = 1 << 31;

    /// That of a source's first ledger.
    pub(crate) fn first_of(source: SourceId) -> Self {
        LedgerId(source.0)
    }

    /// That of the `n`-th ledger of a store that was built beside another.
    pub(crate) fn built_beside(n: u32) -> Self {
        LedgerId(Self::BUILT_BESIDE | n)
    }

    /// Where its rows are: spaces, and how their keys begin.
    pub(crate) fn rows(self) -> [(Space, Vec<u8>); 3] {
        [Space::Identities, Space::Contested, Space::EventIds]
            .map(|space| (space, self.prefix().to_vec()))
    }

    pub(crate) fn prefix(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// 128 bits of a payload's digest.
pub(crate) type PayloadDigest = [u8; 16];

/// The first version of an identity that has no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) entry: u64,
    pub(crate) revision: u32,
    pub(crate) payload: PayloadDigest,
    pub(crate) position: Position,
    pub(crate) visible_at: VisibleAt,
}

/// What is known under an identity.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// One version.
    Single(Home),
    /// Several, or a removal.
    Group(Vec<Version>),
}

/// What decides whether a contested entry holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contested {
    /// The identity whose versions compete.
    pub(crate) identity: Option<IdentityKey>,
    /// The event id and time by which an earlier event may drop it.
    pub(crate) droppable: Option<(Box<[u8]>, i64)>,
}

#[derive(Debug, Default)]
struct Layer {
    identities: Identities,
    contested: FxHashMap<u64, Contested>,
    /// By event id: the identity at each time.
    times: FxHashMap<Box<[u8]>, BTreeMap<i64, IdentityKey>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    id: LedgerId,
    dirty: Layer,
    /// What the checkpoint writes that is under way; else empty.
    frozen: Arc<Layer>,
    snapshot: Arc<dyn Snapshot>,
    /// The event times of all identities that are in the snapshot, or being written.
    stored_times: Option<RangeInclusive<i64>>,
    dirty_times: Option<RangeInclusive<i64>>,
    dirty_bytes: usize,
    frozen_bytes: usize,
}

/// A checkpoint of one source's ledger.
#[derive(Debug)]
pub(crate) struct LedgerCheckpoint {
    id: LedgerId,
    layer: Arc<Layer>,
}

/// An id as it is in row keys: at its beginning, whether what follows is the id.
fn with_id<T>(id: &[u8], take: impl FnOnce(&[u8], &[u8]) -> T) -> T {
    if id.len() <= ID_BYTES_MAX {
        take(&[PLAIN], id)
    } else {
        take(&[DIGEST], blake3::hash(id).as_bytes())
    }
}

/// The time in the row key of an identity.
fn time_of(key: &[u8]) -> Option<i64> {
    let time = u64::from_be_bytes(*key.get(4..)?.first_chunk()?);
    Some((time ^ 1 << 63).cast_signed())
}

fn union(
    a: Option<RangeInclusive<i64>>,
    b: Option<RangeInclusive<i64>>,
) -> Option<RangeInclusive<i64>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(*a.start().min(b.start())..=*a.end().max(b.end())),
        (a, b) => a.or(b),
    }
}

fn time_bytes(time: i64) -> [u8; 8] {
    (time.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// The entry in the row key of a contested one.
pub(crate) fn contested_entry(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*row.last_chunk()?))
}

fn contested_key(ledger: LedgerId, entry: u64) -> Vec<u8> {
    [&ledger.prefix()[..], &entry.to_be_bytes()].concat()
}

fn time_key(ledger: LedgerId, id: &[u8], time: i64) -> Vec<u8> {
    with_id(id, |kind, id| {
        [&ledger.prefix()[..], kind, id, &time_bytes(time)].concat()
    })
}

/// The row key of an identity (the ledger, the event time, the identity's bytes) in the first
/// ledger of a source ([`Ledger::take_over`]). `time` is the event time if it is part of the
/// identity, so that neighbours in time are neighbours; else 0.
pub(crate) fn identity_key(source: SourceId, time: i64, identity: &[u8]) -> IdentityKey {
    let ledger = LedgerId::first_of(source).prefix();
    with_id(identity, |kind, id| {
        IdentityKey::joined([&ledger, &time_bytes(time), kind, id])
    })
}

impl Ledger {
    /// A ledger over a snapshot, whose identities are of these event times.
    pub(crate) fn new(
        id: LedgerId,
        snapshot: Arc<dyn Snapshot>,
        stored_times: Option<RangeInclusive<i64>>,
    ) -> Self {
        Ledger {
            id,
            dirty: Layer::default(),
            frozen: Arc::default(),
            snapshot,
            stored_times,
            dirty_times: None,
            dirty_bytes: 0,
            frozen_bytes: 0,
        }
    }

    pub(crate) fn id(&self) -> LedgerId {
        self.id
    }

    /// Goes on over the snapshot of another store, which has the rows of all checkpoints.
    pub(crate) fn move_to(&mut self, snapshot: &Arc<dyn Snapshot>) {
        self.snapshot = Arc::clone(snapshot);
    }

    /// The times in the keys of all identities.
    pub(crate) fn times_known(&self) -> Option<RangeInclusive<i64>> {
        union(self.stored_times.clone(), self.dirty_times.clone())
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(crate) fn frozen_bytes(&self) -> usize {
        self.frozen_bytes
    }

    /// Makes the row key of an identity in another ledger of the source one in this; whether it
    /// was one already.
    pub(crate) fn take_over(&self, key: &mut IdentityKey) -> bool {
        let prefix = self.id.prefix();
        let is_here = key.starts_with(&prefix);
        key[..prefix.len()].copy_from_slice(&prefix);
        is_here
    }

    pub(crate) fn identity(&self, key: &[u8]) -> Result<Option<Identity>, StoreError> {
        // What comes in the order of time is searched for nowhere.
        let time = time_of(key);
        let is_among = |times: &Option<RangeInclusive<i64>>| {
            time.is_some_and(|time| times.as_ref().is_some_and(|times| times.contains(&time)))
        };
        if is_among(&self.dirty_times)
            && let Some(known) = self.dirty.identities.get(key)
        {
            return Ok(Some(known.clone()));
        }
        if !is_among(&self.stored_times) {
            return Ok(None);
        }
        if let Some(known) = self.frozen.identities.get(key) {
            return Ok(Some(known.clone()));
        }
        let Some(bytes) = self.snapshot.get(Space::Identities, key)? else {
            return Ok(None);
        };
        Identity::decode(&bytes)
            .map(Some)
            .map_err(|e| StoreError::malformed(Space::Identities, key, e))
    }

    pub(crate) fn set_identity(&mut self, key: IdentityKey, identity: Identity) {
        self.dirty_bytes += IDENTITY_BYTES + key.len();
        let time = time_of(&key).map(|t| t..=t);
        self.dirty_times = union(self.dirty_times.take(), time);
        self.dirty.identities.set(key, identity);
    }

    pub(crate) fn contested(&self, entry: u64) -> Result<Option<Contested>, StoreError> {
        let newer = self.dirty.contested.get(&entry);
        if let Some(known) = newer.or_else(|| self.frozen.contested.get(&entry)) {
            return Ok(Some(known.clone()));
        }
        let key = contested_key(self.id, entry);
        let Some(bytes) = self.snapshot.get(Space::Contested, &key)? else {
            return Ok(None);
        };
        Contested::decode(&bytes)
            .map(Some)
            .map_err(|e| StoreError::malformed(Space::Contested, &key, e))
    }

    /// Changes what decides about an entry.
    pub(crate) fn change_contested(
        &mut self,
        entry: u64,
        change: impl FnOnce(&mut Contested),
    ) -> Result<(), StoreError> {
        let mut contested = self.contested(entry)?.unwrap_or_default();
        change(&mut contested);
        self.dirty_bytes += IDENTITY_BYTES;
        self.dirty.contested.insert(entry, contested);
        Ok(())
    }

    /// The identities of an event id at the times of a range.
    pub(crate) fn times(
        &self,
        id: &[u8],
        range: RangeInclusive<i64>,
    ) -> Result<BTreeMap<i64, IdentityKey>, StoreError> {
        let mut found = BTreeMap::new();
        if range.is_empty() {
            return Ok(found);
        }
        let from = time_key(self.id, id, *range.start());
        let mut to = time_key(self.id, id, *range.end());
        to.push(0);
        self.snapshot
            .range(Space::EventIds, &from, &to, &mut |key, value| {
                let time = key
                    .last_chunk::<8>()
                    .map_or(0, |time| u64::from_be_bytes(*time) ^ 1 << 63);
                found.insert(time.cast_signed(), value.into());
                Ok(ControlFlow::Continue(()))
            })?;
        for layer in [self.frozen.as_ref(), &self.dirty] {
            if let Some(times) = layer.times.get(id) {
                let newer = times.range(range.clone());
                found.extend(newer.map(|(time, key)| (*time, key.clone())));
            }
        }
        Ok(found)
    }

    pub(crate) fn set_time(&mut self, id: &[u8], time: i64, identity: IdentityKey) {
        self.dirty_bytes += IDENTITY_BYTES + id.len() + identity.len();
        let times = self.dirty.times.entry(id.into()).or_default();
        times.insert(time, identity);
    }

    pub(crate) fn begin(&mut self) -> LedgerCheckpoint {
        self.frozen_bytes = std::mem::take(&mut self.dirty_bytes);
        self.stored_times = self.times_known();
        self.dirty_times = None;
        let dirty = Layer {
            identities: Identities::with_room_of(&self.dirty.identities),
            ..Layer::default()
        };
        self.frozen = Arc::new(std::mem::replace(&mut self.dirty, dirty));
        LedgerCheckpoint {
            id: self.id,
            layer: Arc::clone(&self.frozen),
        }
    }

    pub(crate) fn end(&mut self, snapshot: &Arc<dyn Snapshot>) {
        self.frozen = Arc::default();
        self.frozen_bytes = 0;
        self.snapshot = Arc::clone(snapshot);
    }
}

/// What was written, still in memory.
#[derive(Debug)]
#[expect(dead_code, reason = "it is only dropped, where nobody waits")]
pub(crate) struct SpentLayer(Arc<Layer>);

impl LedgerCheckpoint {
    /// Once it is written.
    pub(crate) fn into_spent(self) -> SpentLayer {
        SpentLayer(self.layer)
    }

    pub(crate) fn write(&self, batch: &mut Batch) {
        // In order: neighbours go to the same places of the store.
        let identities = self.layer.identities.in_order();
        batch.expect(identities.len());
        for (key, identity) in identities {
            batch.put(Space::Identities, key.to_vec(), identity.encode());
        }
        for (&entry, contested) in &self.layer.contested {
            let key = contested_key(self.id, entry);
            batch.put(Space::Contested, key, contested.encode());
        }
        for (id, times) in &self.layer.times {
            for (&time, identity) in times {
                batch.put(
                    Space::EventIds,
                    time_key(self.id, id, time),
                    identity.to_vec(),
                );
            }
        }
    }
}

fn put_position(position: Position, out: &mut Vec<u8>) {
    put_varint(u64::from(position.partition.0), out);
    put_varint(position.offset.0, out);
}

fn position(reader: &mut ByteReader<'_>) -> Result<Position, MalformedBytes> {
    Ok(Position {
        partition: Partition(number(reader, "a partition")?),
        offset: Offset(reader.varint("an offset")?),
    })
}

fn number(reader: &mut ByteReader<'_>, what: &'static str) -> Result<u32, MalformedBytes> {
    let number = reader.varint(what)?;
    u32::try_from(number).map_err(|_| reader.malformed(what))
}

const SINGLE: u8 = 0;
const GROUP: u8 = 1;

impl Identity {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        match self {
            Identity::Single(home) => {
                out.push(SINGLE);
                put_varint(home.entry, &mut out);
                put_varint(u64::from(home.revision), &mut out);
                out.extend(home.payload);
                put_position(home.position, &mut out);
                put_signed(home.visible_at.0, &mut out);
            }
            Identity::Group(versions) => {
                out.push(GROUP);
                put_varint(versions.len() as u64, &mut out);
                for version in versions {
                    put_varint(version.entry, &mut out);
                    put_varint(u64::from(version.revision), &mut out);
                    out.push(u8::from(version.removed));
                    put_bytes(&version.payload, &mut out);
                    put_position(version.position, &mut out);
                    put_signed(version.visible_at.0, &mut out);
                }
            }
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        let identity = match reader.byte("an identity")? {
            SINGLE => Identity::Single(Home {
                entry: reader.varint("an entry")?,
                revision: number(&mut reader, "a revision")?,
                payload: reader.array("a payload's digest")?,
                position: position(&mut reader)?,
                visible_at: VisibleAt(reader.signed("a visible time")?),
            }),
            GROUP => {
                let count = reader.count("versions")?;
                let versions = (0..count).map(|_| {
                    Ok(Version {
                        entry: reader.varint("an entry")?,
                        revision: number(&mut reader, "a revision")?,
                        removed: reader.byte("a removal")? != 0,
                        payload: reader.bytes("a payload")?.into(),
                        position: position(&mut reader)?,
                        visible_at: VisibleAt(reader.signed("a visible time")?),
                    })
                });
                Identity::Group(versions.collect::<Result<_, MalformedBytes>>()?)
            }
            _ => return Err(reader.malformed("an identity")),
        };
        reader.end("an identity")?;
        Ok(identity)
    }
}

const HAS_IDENTITY: u8 = 1;
const IS_DROPPABLE: u8 = 2;

impl Contested {
    fn encode(&self) -> Vec<u8> {
        let mut flags = 0;
        let mut rest = Vec::new();
        if let Some(identity) = &self.identity {
            flags |= HAS_IDENTITY;
            put_bytes(identity, &mut rest);
        }
        if let Some((id, time)) = &self.droppable {
            flags |= IS_DROPPABLE;
            put_bytes(id, &mut rest);
            put_signed(*time, &mut rest);
        }
        let mut out = vec![flags];
        out.extend(rest);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        let flags = reader.byte("flags")?;
        let mut contested = Contested::default();
        if flags & HAS_IDENTITY != 0 {
            contested.identity = Some(reader.bytes("an identity")?.into());
        }
        if flags & IS_DROPPABLE != 0 {
            let id = reader.bytes("an event id")?.into();
            contested.droppable = Some((id, reader.signed("a time")?));
        }
        reader.end("a contested entry")?;
        Ok(contested)
    }
}

/// Whether a row of one of the ledger's spaces reads.
pub(crate) fn check_row(space: Space, value: &[u8]) -> Result<(), MalformedBytes> {
    match space {
        Space::Identities => Identity::decode(value).map(|_| ()),
        Space::Contested => Contested::decode(value).map(|_| ()),
        Space::Meta | Space::Runs | Space::Blocks | Space::EventIds => Ok(()),
    }
}
