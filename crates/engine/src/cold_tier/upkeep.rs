//! What is in the lake, and what keeps it small.

use std::collections::BTreeSet;

use evenkeel_lake::{FileLimits, LakeError};
use evenkeel_types::Cut;

use super::flush::FILE_BYTES_MAX;
use super::pins::Pins;
use crate::error::EngineError;
use crate::offline::Offline;

/// The bytes of a file that small ones are put together to, at most.
const COMPACTED_BYTES_MAX: u64 = 128 << 20;

/// The tables of a lake.
#[derive(Clone, Debug, Default)]
pub struct LakeStatus {
    /// By the names of their sources.
    pub tables: Vec<LakeTable>,
    /// Versions that are kept, by name and source.
    pub pins: Pins,
}

/// A table.
#[derive(Clone, Debug)]
pub struct LakeTable {
    /// Its source.
    pub source: String,
    /// Where it is.
    pub address: String,
    /// Its newest version.
    pub version: u64,
    /// Its data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their events.
    pub events: u64,
    /// What it covers.
    pub covered: Cut,
    /// Events that are in the log alone.
    pub behind: u64,
    /// Whether the log is another, restored from a backup, and nothing of it is told apart here.
    pub is_of_another_log: bool,
}

/// What was done to a table.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// Its source.
    pub source: String,
    /// Small files that were put together.
    pub compacted: usize,
    /// Into so many.
    pub into: usize,
    /// Files that were removed.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
}

impl Offline {
    /// What is in the lake.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn lake_status(&self) -> Result<LakeStatus, EngineError> {
        let cold = self.cold();
        let lake = cold.lake()?;
        let mut status = LakeStatus {
            pins: cold.pins()?,
            ..LakeStatus::default()
        };
        for def in self.catalog().sources.values() {
            let Some(table) = cold.table(&lake, def)? else {
                continue;
            };
            let files = table.files().map_err(EngineError::lake)?;
            let (covered, is_of_another_log) = match table.covered(self.log()) {
                Ok(covered) => (covered, false),
                Err(LakeError::Otherwise { .. }) => (Cut::empty(), true),
                Err(error) => return Err(EngineError::lake(error)),
            };
            let parts = self.cut().iter().filter(|(id, _, _)| *id == def.id);
            let behind = parts
                .map(|(id, partition, end)| end.0.saturating_sub(covered.end(id, partition).0))
                .sum();
            status.tables.push(LakeTable {
                source: def.name.clone(),
                address: lake.address_of(&def.name),
                version: table.version(),
                files: files.len() as u64,
                bytes: files.iter().map(|file| file.bytes).sum(),
                events: files.iter().map(|file| file.events).sum(),
                covered,
                behind,
                is_of_another_log,
            });
        }
        Ok(status)
    }

    /// Puts small files of the tables together, and removes files that neither the newest
    /// version nor one that is pinned needs.
    ///
    /// # Errors
    /// If a table cannot be read or written, or is written by somebody else.
    pub fn keep_up_lake(&self) -> Result<Vec<Upkeep>, EngineError> {
        let cold = self.cold();
        let lake = cold.lake()?;
        let hold = lake.hold().map_err(EngineError::lake)?;
        let pins = cold.pins()?;
        let limits = FileLimits {
            events: cold.settings.file_events as u64,
            bytes: COMPACTED_BYTES_MAX,
            memory_bytes: FILE_BYTES_MAX,
        };
        let mut done = Vec::new();
        for def in self.catalog().sources.values() {
            lake.remove_leftovers(&hold, &def.name);
            let Some(mut table) = cold.table(&lake, def)? else {
                continue;
            };
            let compacted = table.compact(&limits).map_err(EngineError::lake)?;
            let of_source = pins.values().filter_map(|versions| versions.get(&def.name));
            let pinned: BTreeSet<u64> = of_source.copied().collect();
            let vacuumed = table.vacuum(&hold, &pinned).map_err(EngineError::lake)?;
            done.push(Upkeep {
                source: def.name.clone(),
                compacted: compacted.before,
                into: compacted.after,
                removed: vacuumed.files,
                removed_bytes: vacuumed.bytes,
            });
        }
        Ok(done)
    }
}
