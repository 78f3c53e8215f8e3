//! Events of a table alone: of a log that was truncated they are nowhere else.
//!
//! Invariant: what is asked for is covered by the version that is read, or it is said what is not.

use evenkeel_log::{EventStream, LogError, Next, ReadOptions};
use evenkeel_types::{Cut, LoggedEvent, Offset};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::cold::of_lake;
use crate::error::LakeError;
use crate::file_events::Wanted;
use crate::table::{Table, TableEvents};

impl Table {
    /// Whether it is there, and has no newer version.
    ///
    /// # Errors
    /// If its store cannot be asked.
    pub fn is_newest(&self) -> Result<bool, LakeError> {
        let store = self.delta.log_store().object_store(None);
        let is_there = |version: u64| {
            let entry = Path::from(format!("_delta_log/{version:020}.json"));
            let found = self.lake.wait(async { store.head(&entry).await });
            match found {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.unreadable(error)),
            }
        };
        Ok(is_there(self.version())? && !is_there(self.version() + 1)?)
    }

    /// Refuses to go on if it does not reach as far as these ends.
    ///
    /// # Errors
    /// [`LakeError::Lacks`]; if it cannot be read.
    pub fn refuse_lacking(&self, ends: &Cut) -> Result<(), LakeError> {
        for (_, partition, end) in ends.iter().filter(|(id, ..)| *id == self.id()) {
            let covered = self.end(partition)?.unwrap_or(Offset(0));
            if covered < end {
                return Err(LakeError::Lacks {
                    table: self.source().name.clone(),
                    reason: format!(
                        "it covers partition {} up to {}, events up to {} were truncated",
                        partition.0, covered.0, end.0
                    ),
                });
            }
        }
        Ok(())
    }

    /// The events that are wanted of this version, file by file.
    ///
    /// # Errors
    /// [`LakeError::Lacks`] if it does not cover what is wanted; if it cannot be read.
    pub fn events(&self, options: &ReadOptions) -> Result<Box<dyn EventStream>, LakeError> {
        let source = self.id();
        let mut until = Cut::empty();
        let wanted = options.until.iter().flat_map(Cut::iter);
        for (id, partition, end) in wanted.filter(|(id, ..)| *id == source) {
            until.set_end(id, partition, end);
        }
        self.refuse_lacking(&until)?;
        let events = self.read(Wanted {
            source,
            after: options.after.clone(),
            until: Some(until),
            event_times: options.event_times.clone(),
            parts: options.parts.get(&source).cloned(),
            sequences: false,
        })?;
        Ok(Box::new(OfTable(events)))
    }
}

struct OfTable(TableEvents);

impl EventStream for OfTable {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        Ok(self.0.next_into(logged).map_err(of_lake)?.is_some())
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        self.0.next_columns(logged).map_err(of_lake)
    }
}
