//! Looking at every row of the blocks for damage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_aggregate::Aggregates;
use evenkeel_types::DataType;

use super::checkpoint::Garbage;
use super::directory::Directory;
use super::examine_cold::{self, SeenPart, SeenParts};
use super::examine_tree::Trees;
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
    /// The calls that are read over it.
    pub aggregates: Arc<Aggregates>,
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
    /// Notes what left of a key.
    fn take_cold(&mut self, parts: key::Parts<'_>, directory: Directory) -> Result<(), String> {
        let Some(part) = directory.cold else {
            return Ok(());
        };
        let next = directory.nodes.first();
        if next.is_some_and(|node| node.bounds.first_time <= part.bounds.last_time) {
            return Err("what left reaches into what is there".to_owned());
        }
        self.cold_entries += part.length as u64;
        let key = parts.key.map(<[u8]>::to_vec);
        let cold = self.cold.entry(parts.index).or_default();
        cold.insert(parts.prefix.into(), SeenPart { part, key });
        Ok(())
    }

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
    let mut trees = Trees {
        snapshot,
        named: BTreeSet::new(),
        broken: BTreeSet::new(),
    };
    let known = |row: &[u8]| key::index_of(row).and_then(shape);
    snapshot.examine(Space::Runs, &mut |row, value| {
        let Some(shape) = known(row) else { return };
        examined.rows += 1;
        let parts = key::parts(row, &shape.key);
        let result = value.map_err(|e| reason_of(&e)).and_then(|value| {
            let parts = *parts.as_ref().ok_or("its key does not read")?;
            match key::kind(parts.prefix, row) {
                Some(RowKind::Directory) => {
                    let directory = Directory::decode(value).map_err(|e| e.to_string())?;
                    trees.examine(row, parts, &directory, &shape, &mut examined);
                    examined.take_cold(parts, directory)?;
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
            if let Some(parts) = &parts {
                trees.broken.insert(parts.prefix.to_vec());
            }
            examined
                .findings
                .push(finding(Space::Runs, row, parts, reason));
        }
    })?;
    let garbage = Garbage::read(snapshot).unwrap_or_default();
    snapshot.examine(Space::Blocks, &mut |row, value| {
        let Some(shape) = known(row) else { return };
        examined.rows += 1;
        if trees.named.remove(row) || garbage.contains(row) {
            return;
        }
        let parts = key::parts(row, &shape.key);
        let is_broken = parts
            .as_ref()
            .is_some_and(|parts| trees.broken.contains(parts.prefix));
        let reason = match value {
            Err(error) => reason_of(&error),
            Ok(_) if is_broken => return,
            Ok(_) => "no directory names it".to_owned(),
        };
        examined
            .findings
            .push(finding(Space::Blocks, row, parts, reason));
    })?;
    Ok(examined)
}

pub(super) fn reason_of(error: &StoreError) -> String {
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
