//! What keeps a table in shape: following its source's schema, making few large files of many
//! small ones, and removing files that no version needs.
//!
//! Invariant: none of it changes which events a version has, and no file of the newest version,
//! or of one that is pinned, is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;
use evenkeel_types::LoggedEvent;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use crate::columns::TableColumns;
use crate::data_file;
use crate::error::LakeError;
use crate::lake::Hold;
use crate::layout::Layout;
use crate::table::{DataFile, Table};

/// Nobody takes longer from writing a file to committing it.
const SETTLED_MILLIS: i64 = 7 * 24 * 3_600_000;

/// How large a data file may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Its events.
    pub events: u64,
    /// Its bytes.
    pub bytes: u64,
    /// About the bytes of its events in memory while it is made.
    pub memory_bytes: usize,
}

/// What compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that were replaced.
    pub before: usize,
    /// Files that replaced them.
    pub after: usize,
}

/// What vacuum did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files that were removed.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Table {
    /// Gives the table the columns of the newest version of its source's schema. Files are written
    /// again if a column's type was widened. Answers whether anything was to be done.
    ///
    /// # Errors
    /// [`LakeError::Conflict`]; if the table cannot be read or written.
    pub fn follow_schema(&mut self) -> Result<bool, LakeError> {
        let newest = self.source.schema.version();
        if self.layout.schema_version >= newest {
            return Ok(false);
        }
        let layout = Layout::of(&self.source, newest)?;
        let kept = self.layout.fields.iter().zip(&layout.fields);
        let same = kept.clone().all(|(old, new)| old == new);
        let mut actions = vec![self.metadata_of(&layout)?];
        if !same {
            let files: Vec<String> = self.files()?.into_iter().map(|f| f.path).collect();
            for path in &files {
                let mut columns = self.columns_of(&layout);
                self.copy(vec![path.clone()], &mut columns, &mut |_| Ok(()))?;
                let encoded = data_file::encode(&self.source.name, &columns)?;
                self.write(&encoded)?;
                actions.push(self.added(&encoded, false));
            }
            actions.extend(self.removed(&files.into_iter().collect())?);
        }
        let operation = DeltaOperation::AddColumn { fields: Vec::new() };
        self.commit(actions, CommitProperties::default(), operation)?;
        self.layout = layout;
        Ok(true)
    }

    /// Makes large files of runs of smaller ones, which are as large as they may be together. No
    /// more than one of them is in memory at a time; each run is a commit of its own.
    ///
    /// # Errors
    /// [`LakeError::Conflict`]; if the table cannot be read or written.
    pub fn compact(&mut self, limits: &FileLimits) -> Result<Compacted, LakeError> {
        let mut done = Compacted::default();
        for run in runs(&self.files()?, limits) {
            let mut added = self.put_together(run.clone(), limits.memory_bytes)?;
            let mut removed: BTreeSet<String> = run.into_iter().collect();
            // A file that came out as it was has its name, and stays.
            added.retain(|name, _| !removed.remove(name));
            // Files that say much in few bytes stay as they are; what was written of them goes
            // with the next vacuum.
            if added.len() >= removed.len() {
                continue;
            }
            done.before += removed.len();
            done.after += added.len();
            let mut actions = self.removed(&removed)?;
            actions.extend(added.into_values());
            let operation = DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(limits.bytes).unwrap_or(i64::MAX),
            };
            self.commit(actions, CommitProperties::default(), operation)?;
        }
        Ok(done)
    }

    /// Writes the events of some files to as few as there may be: the actions that add these, by
    /// their names.
    fn put_together(
        &self,
        files: Vec<String>,
        memory_bytes: usize,
    ) -> Result<BTreeMap<String, Action>, LakeError> {
        let mut added = BTreeMap::new();
        let mut write = |columns: &mut TableColumns| -> Result<(), LakeError> {
            let full = std::mem::replace(columns, self.columns());
            let encoded = data_file::encode(&self.source.name, &full)?;
            self.write(&encoded)?;
            added.insert(encoded.name.clone(), self.added(&encoded, false));
            Ok(())
        };
        let mut columns = self.columns();
        self.copy(
            files,
            &mut columns,
            &mut |columns| match columns.bytes() >= memory_bytes {
                true => write(columns),
                false => Ok(()),
            },
        )?;
        if !columns.is_empty() {
            write(&mut columns)?;
        }
        Ok(added)
    }

    fn columns_of(&self, layout: &Arc<Layout>) -> TableColumns {
        let clustering = self.clustering.clone();
        TableColumns::new(&self.source.name, Arc::clone(layout), clustering)
    }

    /// Copies the events of some files to columns, as events of the columns' schema version.
    /// After each event `look` may take what is there.
    fn copy(
        &self,
        files: Vec<String>,
        columns: &mut TableColumns,
        look: &mut dyn FnMut(&mut TableColumns) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let mut events = self.read_files(files);
        let mut logged = LoggedEvent::blank();
        while let Some(sequence) = events.next_into(&mut logged)? {
            if logged.schema_version != columns.layout.schema_version {
                let upgraded = self.source.schema.upgrade(&mut logged);
                upgraded.map_err(|error| LakeError::NotOurs {
                    table: self.source.name.clone(),
                    reason: format!("an event does not fit its schema: {error}"),
                })?;
            }
            columns.push(&logged, sequence)?;
            look(columns)?;
        }
        Ok(())
    }

    /// The actions that take files out of the table.
    pub(crate) fn removed(&self, files: &BTreeSet<String>) -> Result<Vec<Action>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        Ok(state
            .log_data()
            .iter()
            .filter(|view| files.contains(view.path().as_ref()))
            .map(|view| Action::Remove(view.remove_action(false)))
            .collect())
    }

    /// Removes the data files that neither this version, nor one of those that are pinned, has, and what was
    /// left half written.
    /// Who reads another version finds them gone. Where somebody else may be about to commit a
    /// file, only those are removed that are there for a week.
    ///
    /// # Errors
    /// If a pinned version cannot be read; if a file cannot be removed. Nothing that is needed is
    /// removed then either.
    pub fn vacuum(&self, hold: &Hold, pinned: &BTreeSet<u64>) -> Result<Vacuumed, LakeError> {
        let mut needed: BTreeSet<String> = BTreeSet::new();
        needed.extend(self.files()?.into_iter().map(|file| file.path));
        for &version in pinned.iter().filter(|version| **version != self.version()) {
            needed.extend(self.at(version)?.files()?.into_iter().map(|file| file.path));
        }
        let failed = |error: object_store::Error| self.unwritten(error);
        let store = self.delta.log_store().object_store(None);
        let listed: Vec<_> = self
            .lake
            .wait(store.list(None).try_collect())
            .map_err(failed)?;
        let mut done = Vacuumed::default();
        for meta in listed {
            let name = meta.location.as_ref();
            let is_data = name.ends_with(".parquet") && !name.contains('/');
            let is_ours = is_data || self.lake.is_aside(name);
            let age_millis = self.lake.now_millis() - meta.last_modified.timestamp_millis();
            let is_settled = hold.is_alone() || age_millis > SETTLED_MILLIS;
            if is_ours && is_settled && !needed.contains(name) {
                self.lake
                    .wait(store.delete(&meta.location))
                    .map_err(failed)?;
                done.files += 1;
                done.bytes += meta.size;
            }
        }
        Ok(done)
    }

    /// Another version of this table.
    ///
    /// # Errors
    /// [`LakeError::NoVersion`].
    pub fn at(&self, version: u64) -> Result<Table, LakeError> {
        let (store, bucket_of) = (self.store.as_str(), self.clustering.bucket_of);
        let opened = Table::open(&self.lake, &self.source, store, bucket_of, Some(version))?;
        opened.ok_or_else(|| LakeError::NoVersion {
            table: self.source.name.clone(),
            version,
            source: "the table is gone".into(),
        })
    }
}

/// Neighbours that together have at most so many events and bytes: at least two each, and each
/// less than half of both.
fn runs(files: &[DataFile], limits: &FileLimits) -> Vec<Vec<String>> {
    let mut runs: Vec<Vec<String>> = Vec::new();
    let mut run: Vec<&DataFile> = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    let mut end = |run: &mut Vec<&DataFile>| {
        if run.len() > 1 {
            runs.push(run.iter().map(|file| file.path.clone()).collect());
        }
        run.clear();
    };
    for file in files {
        let small = file.events * 2 < limits.events && file.bytes * 2 < limits.bytes;
        let fits = events + file.events <= limits.events && bytes + file.bytes <= limits.bytes;
        if !small || !fits {
            end(&mut run);
            (events, bytes) = (0, 0);
        }
        if small {
            run.push(file);
            events += file.events;
            bytes += file.bytes;
        }
    }
    end(&mut run);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_neighbours_are_put_together() {
        let sizes = [1, 2, 60, 3, 40, 30, 40, 4];
        let file = |(at, events, bytes): (usize, u64, u64)| DataFile {
            path: at.to_string(),
            bytes,
            events,
        };
        let limits = FileLimits {
            events: 100,
            bytes: 100,
            memory_bytes: usize::MAX,
        };
        let of_events = sizes.iter().enumerate().map(|(at, size)| (at, *size, 1));
        let of_bytes = sizes.iter().enumerate().map(|(at, size)| (at, 1, *size));
        let of_events: Vec<DataFile> = of_events.map(file).collect();
        let of_bytes: Vec<DataFile> = of_bytes.map(file).collect();
        for files in [of_events, of_bytes] {
            assert_eq!(
                runs(&files, &limits),
                [vec!["0", "1"], vec!["3", "4", "5"], vec!["6", "7"]]
            );
            assert!(runs(&files[..1], &limits).is_empty());
        }
    }
}
