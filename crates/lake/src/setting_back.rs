//! Setting a table back: events behind some ends leave it, and so does the claim to have them.
//!
//! For a log that was restored from a backup while its table went on. Invariant: the version that is made holds exactly
//! the events before the ends and says so, in one commit; made again it changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::protocol::DeltaOperation;
use evenkeel_types::{Cut, LoggedEvent, Offset, Partition};

use crate::data_file;
use crate::error::LakeError;
use crate::file_events::Wanted;
use crate::table::Table;

/// What setting a table back did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetBack {
    /// Events that left the table.
    pub events: u64,
    /// Of these, events that the log does not have: the version before is where they are.
    pub unlogged: u64,
    /// Data files that were taken out, or written again without them.
    pub files: usize,
}

impl Table {
    /// Takes out what is behind these ends; a partition that they do not name has nothing left. This is the
    /// new version then. `logged_ends` is where the log ends.
    ///
    /// # Errors
    /// [`LakeError::Lacks`] if the table does not reach as far; [`LakeError::Conflict`]; if it cannot be
    /// read or written.
    pub fn set_back(&mut self, ends: &Cut, logged_ends: &Cut) -> Result<SetBack, LakeError> {
        self.refuse_lacking(ends)?;
        let id = self.id();
        let mut positions: BTreeMap<Partition, Offset> = BTreeMap::new();
        for (_, partition, end) in ends.iter().filter(|(source, ..)| *source == id) {
            if self.end(partition)? > Some(end) {
                positions.insert(partition, end);
            }
        }
        let mut done = SetBack::default();
        let (mut actions, mut replaced) = (Vec::new(), BTreeSet::new());
        for path in self.files_behind(ends)? {
            let mut columns = self.columns();
            let mut events = self.read_files(vec![path.clone()]);
            let (mut logged, before) = (LoggedEvent::blank(), done.events);
            while let Some(sequence) = events.next_into(&mut logged)? {
                let partition = logged.position.partition;
                let end = ends.end(id, partition);
                if logged.position.offset < end {
                    columns.push(&logged, sequence)?;
                } else {
                    // Also of partitions that the ends do not name.
                    positions.insert(partition, end);
                    done.events += 1;
                    done.unlogged += u64::from(!logged_ends.contains(id, logged.position));
                }
            }
            if done.events == before {
                continue;
            }
            if !columns.is_empty() {
                let encoded = data_file::encode(&self.source.name, &columns)?;
                self.write(&encoded)?;
                actions.push(self.added(&encoded, true));
            }
            replaced.insert(path);
        }
        done.files = replaced.len();
        if positions.is_empty() {
            return Ok(done);
        }
        actions.extend(self.removed(&replaced)?.into_iter().map(of_data));
        let positions = positions
            .into_iter()
            .map(|(partition, end)| self.position(partition, end));
        let properties =
            CommitProperties::default().with_application_transactions(positions.collect());
        let operation = DeltaOperation::Delete { predicate: None };
        self.commit(actions, properties, operation)?;
        Ok(done)
    }

    /// The files that may have events behind the least of these ends.
    fn files_behind(&self, ends: &Cut) -> Result<Vec<String>, LakeError> {
        let of_source = ends.iter().filter(|(source, ..)| *source == self.id());
        let least = of_source.map(|(.., end)| end).min().unwrap_or(Offset(0));
        let (mut after, mut until) = (Cut::empty(), Cut::empty());
        after.set_end(self.id(), Partition(0), least);
        until.set_end(self.id(), Partition(0), Offset(u64::MAX));
        self.files_with(&Wanted {
            source: self.id(),
            after,
            until: Some(until),
            event_times: None,
            parts: None,
            sequences: false,
        })
    }
}

/// Who follows the table is told that events left it.
fn of_data(action: Action) -> Action {
    match action {
        Action::Remove(remove) => Action::Remove(deltalake_core::kernel::Remove {
            data_change: true,
            ..remove
        }),
        other => other,
    }
}
