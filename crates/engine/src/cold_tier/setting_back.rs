//! Tables that went on after the backup of which this log is: set back to what the log does not have itself.
//!
//! Invariant: what was truncated stays where it is, and everything behind it that the log has is whole in the log, so that the
//! next flush brings it again. What the log does not have, as it was logged behind the backup, is counted, and in the
//! pinned versions alone. It is somebody's explicit wish: the tables may be another store's by now.

use std::sync::Arc;

use evenkeel_lake::{LakeError, SetBack, Table};
use evenkeel_log::LogReader;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, Offset};

use super::ColdTier;
use crate::error::EngineError;
use crate::offline::Offline;

/// A table that was set back.
#[derive(Clone, Debug)]
pub struct TableSetBack {
    /// Its source.
    pub source: String,
    /// What was done.
    pub done: SetBack,
    /// The version before, which the pin keeps.
    pub before: u64,
    /// The version now.
    pub version: u64,
}

impl Offline {
    /// Sets back the tables that are ahead of the log, or have other events than it: to what was truncated of
    /// the log. Their versions of before are pinned under a name first.
    ///
    /// # Errors
    /// If the name is none; [`LakeError::NotPinned`]; if a table lacks what was truncated, or cannot be read or written.
    pub fn set_back_lake(&self, pin: &str) -> Result<Vec<TableSetBack>, EngineError> {
        let cold = self.cold();
        // What was begun under the name goes on.
        if !cold.pins()?.contains_key(pin) {
            self.pin_lake(pin)?;
        }
        let pins = cold.pins()?;
        let pinned = |def: &SourceDef| pins.get(pin).and_then(|versions| versions.get(&def.name));
        let lake = cold.lake()?;
        let _hold = lake.hold().map_err(EngineError::lake)?;
        let mut done = Vec::new();
        for def in self.catalog().sources.values() {
            let Some(mut table) = cold.table(&lake, def)? else {
                continue;
            };
            if self.goes_with(&table)? {
                continue;
            }
            let before = table.version();
            if pinned(def) != Some(&before) {
                return Err(EngineError::lake(LakeError::NotPinned {
                    table: def.name.clone(),
                    version: before,
                    pin: pin.to_owned(),
                }));
            }
            let ends = truncated_ends(self.log(), def)?;
            let set_back = table.set_back(&ends, &self.log().ends());
            let set_back = set_back.map_err(EngineError::lake)?;
            done.push(TableSetBack {
                source: def.name.clone(),
                done: set_back,
                before,
                version: table.version(),
            });
        }
        Ok(done)
    }

    /// Whether a table has what the log has, as far as it goes.
    fn goes_with(&self, table: &Table) -> Result<bool, EngineError> {
        match table.covered(self.log()) {
            Ok(covered) => {
                let ends = self.log().ends();
                let mut covered = covered.iter();
                Ok(covered.all(|(id, partition, end)| end <= ends.end(id, partition)))
            }
            Err(LakeError::Otherwise { .. }) => Ok(false),
            Err(error) => Err(EngineError::lake(error)),
        }
    }
}

impl ColdTier {
    /// Refuses a lake whose table of a source does not reach as far as these ends.
    pub(crate) fn refuse_lacking(
        &self,
        source: &Arc<SourceDef>,
        ends: &Cut,
    ) -> Result<(), EngineError> {
        if ends.iter().all(|(.., end)| end == Offset(0)) {
            return Ok(());
        }
        let table = self.table(&self.lake()?, source)?.ok_or_else(|| {
            EngineError::lake(LakeError::Lacks {
                table: source.name.clone(),
                reason: "there is no such table".to_owned(),
            })
        })?;
        table.refuse_lacking(ends).map_err(EngineError::lake)
    }
}

/// Up to where the events of a source are in its table alone.
pub(crate) fn truncated_ends(log: &LogReader, source: &Arc<SourceDef>) -> Result<Cut, EngineError> {
    let segments = log.segments().map_err(EngineError::log)?;
    let truncated = segments.iter().filter(|segment| segment.is_truncated);
    let mut ends = Cut::empty();
    // Also of partitions of which nothing was: what their tables have goes.
    for (id, partition, _) in log.ends().iter().filter(|(id, ..)| *id == source.id) {
        ends.set_end(id, partition, Offset(0));
    }
    for (id, partition, end) in truncated.flat_map(|segment| segment.until.iter()) {
        if id == source.id {
            ends.set_end(id, partition, end.max(ends.end(id, partition)));
        }
    }
    Ok(ends)
}
