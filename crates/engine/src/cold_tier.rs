//! The cold tier of a store: where its tables are, and which versions of them training reads.
//!
//! Owns the settings, the flush from the log, and what a truncated log has here alone. Invariant: what
//! the log has whole is the log's, and a lake that is gone is flushed again; what was truncated is here, or
//! it is said what is not.

mod covered;
mod flush;
mod forget;
mod older;
mod pins;
mod setting_back;
mod settings;
mod upkeep;

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_lake::{Clustering, ColdAndLog, Lake, LakeAddress, LakeError, Table};
use evenkeel_log::{Clock, FileSystem, LogReader};
use evenkeel_store::bucket_of;
use evenkeel_types::SourceId;
use evenkeel_types::definition::{Catalog, SourceDef};

pub use flush::{FailedFlush, FlushReport, FlushedSource};
pub use pins::Pins;
pub use setting_back::TableSetBack;
pub(crate) use setting_back::truncated_ends;
pub use settings::{FlushSettings, LakeSettings};
pub use upkeep::{LakeStatus, LakeTable, Upkeep};

use crate::error::EngineError;
use crate::machine::Machine;
use crate::project::Project;

/// Where a store's tables are.
#[derive(Clone, Debug)]
pub(crate) struct ColdTier {
    address: LakeAddress,
    settings: LakeSettings,
    /// The store's directory.
    store: PathBuf,
    files: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    /// What tells the store from others; none before its first definitions.
    identity: Option<String>,
}

impl ColdTier {
    pub(crate) fn of(project: &Project, machine: &Machine, identity: Option<String>) -> Self {
        ColdTier {
            address: project.lake_address.clone(),
            settings: project.lake.clone(),
            store: project.store.clone(),
            files: Arc::clone(&machine.files),
            clock: Arc::clone(&machine.clock),
            identity,
        }
    }

    /// The same without tables: definitions of before a source changed read what the log has, as
    /// a table has the columns of today.
    pub(crate) fn log_only(&self) -> ColdTier {
        ColdTier {
            identity: None,
            ..self.clone()
        }
    }

    fn lake(&self) -> Result<Lake, EngineError> {
        let (files, clock) = (Arc::clone(&self.files), Arc::clone(&self.clock));
        Lake::at(&self.address, files, clock).map_err(EngineError::lake)
    }

    /// The newest version of a source's table, if it has one.
    fn table(&self, lake: &Lake, source: &Arc<SourceDef>) -> Result<Option<Table>, EngineError> {
        let Some(identity) = &self.identity else {
            return Ok(None);
        };
        Table::open(lake, source, identity, bucket_of, None).map_err(EngineError::lake)
    }

    /// The events of some sources: from their tables what these cover, the rest from the log. Of tables whose store
    /// does not answer nothing is wanted: the log has it, or asks the table itself, and says what it lacks.
    pub(crate) fn with_log(
        &self,
        log: &LogReader,
        catalog: &Catalog,
        sources: &[SourceId],
    ) -> Result<ColdAndLog, EngineError> {
        // Definitions of before a source changed have a cut of before that, too: the log has all of
        // it, as they know it.
        let in_log =
            |error: &LakeError| matches!(error, LakeError::NewerSchema { .. }) || error.is_away();
        self.covered(log, catalog, sources, in_log)
    }

    /// The same, where it is asked what the tables have.
    pub(crate) fn with_all_tables(
        &self,
        log: &LogReader,
        catalog: &Catalog,
        sources: &[SourceId],
    ) -> Result<ColdAndLog, EngineError> {
        self.covered(log, catalog, sources, |_| false)
    }

    fn covered(
        &self,
        log: &LogReader,
        catalog: &Catalog,
        sources: &[SourceId],
        is_left_out: impl Fn(&LakeError) -> bool,
    ) -> Result<ColdAndLog, EngineError> {
        let lake = self.lake()?;
        let mut tables = Vec::new();
        for def in sources.iter().filter_map(|id| catalog.source_by_id(*id)) {
            match self.table(&lake, def) {
                Ok(table) => tables.extend(table),
                Err(EngineError::Lake(error)) if is_left_out(&error) => {
                    // All have one store, and each would be waited for.
                    if error.is_away() {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        ColdAndLog::new(log.clone(), tables).map_err(EngineError::lake)
    }
}

/// By what a source's new table is clustered: a table's primary key, else the key of the first
/// entity whose columns it has.
fn clustering_of(catalog: &Catalog, source: &SourceDef) -> Clustering {
    let stored = &source.columns[..source.stored];
    let slot_of = |name: &str| stored.iter().position(|column| column.name == name);
    let own = source.primary_key.iter().copied();
    let slots = if source.primary_key.is_empty() {
        let keys = catalog.entities.values().map(|entity| {
            let names = entity.keys.iter().map(|key| slot_of(&key.name));
            names.collect::<Option<Vec<usize>>>()
        });
        keys.flatten().next().unwrap_or_default()
    } else {
        own.filter(|slot| *slot < source.stored).collect()
    };
    Clustering { slots, bucket_of }
}
