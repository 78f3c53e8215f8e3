//! The store in memory: the twin of the embedded one, for tests and for readers beside a
//! writer.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::StoreError;
use crate::kv::{Batch, ExamineUntil, Kv, Snapshot, Space, Visit};
use crate::row;

type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// Rows in memory. They are sealed and checked as on disk.
#[derive(Debug, Default)]
pub struct MemoryKv {
    rows: RwLock<Arc<Rows>>,
}

#[derive(Debug)]
struct MemorySnapshot(Arc<Rows>);

impl MemoryKv {
    /// An empty store.
    pub fn new() -> Self {
        MemoryKv::default()
    }

    /// Replaces the stored bytes of a row, checksum included, as a damaged disk would.
    /// Answers whether there is such a row.
    pub fn damage(&self, space: Space, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let found = Arc::make_mut(&mut rows).get_mut(&(space, key.to_vec()));
        let exists = found.is_some();
        found.map(change);
        exists
    }
}

impl Kv for MemoryKv {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut rows);
        for (space, key, value) in batch.changes {
            match value {
                Some(value) => {
                    let sealed = row::seal(space, &key, value);
                    rows.insert((space, key), sealed);
                }
                None => {
                    rows.remove(&(space, key));
                }
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Arc::new(MemorySnapshot(Arc::clone(&rows)))
    }
}

impl MemorySnapshot {
    fn visit(&self, space: Space, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let start = (space, from.to_vec());
        let rows = self
            .0
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|((s, _), _)| *s == space);
        for ((_, key), sealed) in rows {
            if visit(key, sealed)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Snapshot for MemorySnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0
            .get(&(space, key.to_vec()))
            .map(|sealed| row::open(space, key, sealed).map(<[u8]>::to_vec))
            .transpose()
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.visit(space, from, &mut |key, sealed| {
            if key >= to {
                return Ok(ControlFlow::Break(()));
            }
            visit(key, row::open(space, key, sealed)?)
        })
    }

    fn examine_until(&self, space: Space, visit: &mut ExamineUntil<'_>) -> Result<(), StoreError> {
        self.visit(space, &[], &mut |key, sealed| {
            Ok(visit(key, row::open(space, key, sealed)))
        })
    }

    fn prefix(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.visit(space, prefix, &mut |key, sealed| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            visit(key, row::open(space, key, sealed)?)
        })
    }
}
