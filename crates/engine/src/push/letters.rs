//! Which rows of producers and files are dead letters already: each is one, however often it
//! comes.
//!
//! Invariant: after [`DeadOrigins::go_back`] it is as it was at [`DeadOrigins::begin`].

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Origin, SourceId};

use crate::engine::Engine;
use crate::error::EngineError;

/// See the module.
#[derive(Default)]
pub(super) struct DeadOrigins {
    /// Read when a source's first row is rejected.
    by_source: BTreeMap<SourceId, BTreeSet<Origin>>,
    /// What changed since [`DeadOrigins::begin`].
    changes: Vec<Change>,
}

enum Change {
    Added(SourceId, Origin),
    Removed(SourceId, Origin),
}

impl DeadOrigins {
    /// A request begins.
    pub(super) fn begin(&mut self) {
        self.changes.clear();
    }

    /// It takes part in no commit.
    pub(super) fn go_back(&mut self) {
        for change in self.changes.drain(..).rev() {
            match change {
                Change::Added(source, origin) => {
                    if let Some(known) = self.by_source.get_mut(&source) {
                        known.remove(&origin);
                    }
                }
                Change::Removed(source, origin) => {
                    if let Some(known) = self.by_source.get_mut(&source) {
                        known.insert(origin);
                    }
                }
            }
        }
    }

    /// Adds one; whether it is new.
    ///
    /// # Errors
    /// If those of the log cannot be read.
    pub(super) fn add(
        &mut self,
        engine: &Engine,
        source: &SourceDef,
        origin: &Origin,
    ) -> Result<bool, EngineError> {
        let known = match self.by_source.entry(source.id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                let letters = engine.open_letters(source)?;
                let origins = letters.into_iter().filter_map(|l| l.letter.origin);
                unknown.insert(origins.collect())
            }
        };
        let is_new = known.insert(origin.clone());
        if is_new {
            self.changes.push(Change::Added(source.id, origin.clone()));
        }
        Ok(is_new)
    }

    /// It is one no more.
    pub(super) fn remove(&mut self, source: SourceId, origin: &Origin) {
        let known = self.by_source.get_mut(&source);
        if known.is_some_and(|known| known.remove(origin)) {
            self.changes.push(Change::Removed(source, origin.clone()));
        }
    }
}
