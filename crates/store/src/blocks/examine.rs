//! Looking at every row of the blocks for damage.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_aggregate::history::StoredBlock;
use evenkeel_types::DataType;

use super::checkpoint::Garbage;
use super::directory::Directory;
use super::examine_cold::{self, SeenPart, SeenParts};
use super::key::{self, RowKind};
use super::reheat::ColdEvents;
use super::run::Tail;
use crate::error::{RowPlace, StoreError};
use crate::kv::{Snapshot, Space};

/// What an index is made of.
#[derive(Clone, Debug)]
pub struct IndexShape {
    /// The types of the entity key.
    pub key: Vec<DataType>,
    /// The types of the columns.
    pub columns: Arc<[DataType]>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The index, if it can be told.
    pub index: Option<u32>,
    /// The entity key's encoding, if it can be told.
    pub key: Option<Vec<u8>>,
    /// The row.
    pub place: RowPlace,
    /// What is wrong.
    pub reason: String,
}

/// What an examination saw.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Rows looked at.
    pub rows: u64,
    /// Entries in them.
    pub entries: u64,
    /// Entries that left the hot tier.
    pub cold_entries: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// By index.
    cold: BTreeMap<u32, SeenParts>,
}

impl Examined {
    /// Looks whether the log has what left of index `number`, which is at `position` for who
    /// has the events.
    ///
    /// # Errors
    /// If the events cannot be read.
    pub fn check_cold(
        &mut self,
        number: u32,
        position: usize,
        events: &dyn ColdEvents,
    ) -> Result<(), StoreError> {
        if let Some(parts) = self.cold.get(&number) {
            let findings = examine_cold::check(parts, number, position, events)?;
            self.findings.extend(findings);
        }
        Ok(())
    }
}

/// Looks at every run, directory and sealed block. `shape` gives what an index is made of;
/// rows of an index that it does not know are left over from one that is gone, and no damage.
///
/// # Errors
/// If the store cannot be read at all.
pub fn examine(
    snapshot: &dyn Snapshot,
    shape: &dyn Fn(u32) -> Option<IndexShape>,
) -> Result<Examined, StoreError> {
    let mut examined = Examined::default();
    let mut expected: BTreeMap<Vec<u8>, StoredBlock> = BTreeMap::new();
    let known = |row: &[u8]| key::index_of(row).and_then(shape);
    snapshot.examine(Space::Runs, &mut |row, value| {
        let Some(shape) = known(row) else { return };
        examined.rows += 1;
        let parts = key::parts(row, &shape.key);
        let result = value.map_err(|e| reason_of(&e)).and_then(|value| {
            let key::Parts { index, prefix, key } =
                *parts.as_ref().ok_or("its key does not read")?;
            match key::kind(prefix, row) {
                Some(RowKind::Directory) => {
                    let directory = Directory::decode(value).map_err(|e| e.to_string())?;
                    if let Some(part) = directory.cold {
                        let next = directory.blocks.first();
                        if next.is_some_and(|b| b.bounds.first_time <= part.bounds.last_time) {
                            return Err("what left reaches into what is there".to_owned());
                        }
                        examined.cold_entries += part.length as u64;
                        let key = key.map(<[u8]>::to_vec);
                        let cold = examined.cold.entry(index).or_default();
                        cold.insert(prefix.into(), SeenPart { part, key });
                    }
                    for stored in directory.blocks {
                        expected.insert(key::block(prefix, stored.block), stored);
                    }
                }
                Some(RowKind::Run(_)) => {
                    let tail = Tail::decode(&shape.columns, value).map_err(|e| e.to_string())?;
                    examined.entries += tail.events.len() as u64;
                }
                None => return Err("it is no row of a key".to_owned()),
            }
            Ok(())
        });
        if let Err(reason) = result {
            examined
                .findings
                .push(finding(Space::Runs, row, parts, reason));
        }
    })?;
    let garbage = Garbage::read(snapshot).unwrap_or_default();
    snapshot.examine(Space::Blocks, &mut |row, value| {
        let Some(shape) = known(row) else { return };
        examined.rows += 1;
        let parts = key::parts(row, &shape.key);
        let Some(stored) = expected.remove(row) else {
            if !garbage.contains(row) {
                let reason = "no directory names it".to_owned();
                examined
                    .findings
                    .push(finding(Space::Blocks, row, parts, reason));
            }
            return;
        };
        let result = value.map_err(|e| reason_of(&e)).and_then(|value| {
            let history =
                History::decode(Arc::clone(&shape.columns), value).map_err(|e| e.to_string())?;
            let numbered = parts
                .as_ref()
                .is_some_and(|p| key::block_number(p.prefix, row) == Some(stored.block));
            if history.len() != stored.length
                || history.bounds() != Some(&stored.bounds)
                || !numbered
            {
                return Err("it is not the block of the directory".to_owned());
            }
            examined.entries += history.len() as u64;
            Ok(())
        });
        if let Err(reason) = result {
            examined
                .findings
                .push(finding(Space::Blocks, row, parts, reason));
        }
    })?;
    for row in expected.keys() {
        let parts = known(row).and_then(|shape| key::parts(row, &shape.key));
        let reason = "it is missing".to_owned();
        examined
            .findings
            .push(finding(Space::Blocks, row, parts, reason));
    }
    Ok(examined)
}

fn reason_of(error: &StoreError) -> String {
    match error {
        StoreError::Damaged { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

fn finding(space: Space, row: &[u8], parts: Option<key::Parts<'_>>, reason: String) -> Finding {
    Finding {
        index: parts
            .as_ref()
            .map(|p| p.index)
            .or_else(|| key::index_of(row)),
        key: parts.and_then(|p| p.key.map(<[u8]>::to_vec)),
        place: RowPlace {
            space,
            key: row.to_vec(),
        },
        reason,
    }
}
