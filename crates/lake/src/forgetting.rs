//! Forgetting: some events of a table say something else from now on, and nothing tells what they said.
//!
//! The files that have them are written again in one commit; then the table begins anew with a
//! checkpoint of that version: what led to it, and every file that it does not need, is removed. Invariant:
//! each step can be made again, and made once more it changes nothing; positions that the table covers stay.

use std::collections::BTreeSet;

use deltalake_core::checkpoints::create_checkpoint;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;
use evenkeel_types::LoggedEvent;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::data_file;
use crate::error::LakeError;
use crate::lake::Hold;
use crate::layout::own;
use crate::statistics::number_bounds;
use crate::table::Table;

/// The folder of a table's commits.
const LOG: &str = "_delta_log";

/// What forgetting did to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Data files that were written again.
    pub rewritten: usize,
    /// Files that were removed, commits included.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
}

impl Table {
    /// Lets events say something else: `change` is given those of the files that have any of these
    /// offsets, and answers whether it changed one. Then everything is removed that the newest version
    /// does not need, whoever keeps it: who reads another version finds it gone. `hold` is that of the
    /// lake.
    ///
    /// # Errors
    /// [`LakeError::Conflict`]; if the table cannot be read or written. To be called again then.
    pub fn forget(
        &mut self,
        _hold: &Hold,
        offsets: &BTreeSet<u64>,
        change: &mut dyn FnMut(&mut LoggedEvent) -> bool,
    ) -> Result<Forgotten, LakeError> {
        let mut done = Forgotten::default();
        let (mut actions, mut replaced) = (Vec::new(), BTreeSet::new());
        for path in self.files_among(offsets)? {
            let mut columns = self.columns();
            let mut events = self.read_files(vec![path.clone()]);
            let (mut logged, mut is_changed) = (LoggedEvent::blank(), false);
            while let Some(sequence) = events.next_into(&mut logged)? {
                is_changed |= change(&mut logged);
                columns.push(&logged, sequence)?;
            }
            let encoded = data_file::encode(&self.source.name, &columns)?;
            // What was written again before comes out as it is.
            if is_changed && encoded.name != path {
                self.write(&encoded)?;
                actions.push(self.added(&encoded, true));
                replaced.insert(path);
            }
        }
        if !replaced.is_empty() {
            done.rewritten = replaced.len();
            actions.extend(self.removed(&replaced)?);
            let operation = DeltaOperation::Delete { predicate: None };
            self.commit(actions, CommitProperties::default(), operation)?;
        }
        self.begin_anew(&mut done)?;
        Ok(done)
    }

    /// The files whose bounds have any of these offsets.
    fn files_among(&self, offsets: &BTreeSet<u64>) -> Result<Vec<String>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let name = self.layout.fields[own::OFFSET].name.as_str();
        let may_have = |statistics: Option<&str>| {
            let bounds = statistics.and_then(|text| number_bounds(text, name));
            bounds.is_none_or(|(least, greatest)| {
                let (least, greatest) = (least.cast_unsigned(), greatest.cast_unsigned());
                offsets.range(least..=greatest.max(least)).next().is_some()
            })
        };
        let views = state.log_data();
        let files = views
            .iter()
            .filter(|view| may_have(view.stats().as_deref()));
        let mut files: Vec<String> = files.map(|view| view.path().into_owned()).collect();
        files.sort();
        Ok(files)
    }

    /// Removes what the newest version does not need: commits have the bounds of what was in their
    /// files.
    fn begin_anew(&self, done: &mut Forgotten) -> Result<(), LakeError> {
        self.lake
            .wait(create_checkpoint(&self.delta, None))
            .map_err(|e| self.unwritten(e))?;
        let needed: BTreeSet<String> = self.files()?.into_iter().map(|file| file.path).collect();
        let store = self.delta.log_store().object_store(None);
        let list = |prefix: Option<&Path>| {
            let listed = self.lake.wait(store.list(prefix).try_collect());
            listed.map_err(|e| self.unwritten(e))
        };
        // Commits are listed by themselves: a store may leave them out of what is in the table's folder.
        let mut found: Vec<ObjectMeta> = list(None)?;
        found.extend::<Vec<ObjectMeta>>(list(Some(&Path::from(LOG)))?);
        let mut seen = BTreeSet::new();
        for meta in found {
            let name = meta.location.as_ref();
            // Half of what was written says as much as the whole.
            let is_spent = self.lake.is_aside(name) || is_spent(name, self.version(), &needed);
            if is_spent && seen.insert(meta.location.clone()) {
                let removed = self.lake.wait(store.delete(&meta.location));
                removed.map_err(|e| self.unwritten(e))?;
                done.removed += 1;
                done.removed_bytes += meta.size;
            }
        }
        Ok(())
    }
}

/// Whether a file is one that the newest version does not need.
fn is_spent(name: &str, newest: u64, needed: &BTreeSet<String>) -> bool {
    let entry = name.strip_prefix(LOG);
    match entry.and_then(|rest| rest.strip_prefix('/')) {
        Some(entry) => version_of(entry).is_some_and(|version| version < newest),
        None => name.ends_with(".parquet") && !name.contains('/') && !needed.contains(name),
    }
}

/// The version that a file among the commits is of; none if it is of none.
fn version_of(entry: &str) -> Option<u64> {
    entry.get(..20)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_and_checkpoints_say_their_version() {
        assert_eq!(version_of("00000000000000000012.json"), Some(12));
        let checkpoint = "00000000000000000012.checkpoint.parquet";
        assert_eq!(version_of(checkpoint), Some(12));
        assert_eq!(version_of("_last_checkpoint"), None);
    }
}
