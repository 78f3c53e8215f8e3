//! The events of a truncated log, from the lake.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_lake::{LakeError, Table};
use evenkeel_log::{EventStream, LogError, LogReader, OlderEvents, ReadOptions};
use evenkeel_types::SourceId;
use evenkeel_types::definition::Catalog;

use super::ColdTier;
use crate::error::EngineError;

/// The newest versions of tables, by what is defined.
#[derive(Debug)]
struct LakeEvents {
    cold: ColdTier,
    catalog: Arc<Catalog>,
    /// Tables as they were when events of them were last wanted: to open one means to read its
    /// log, and a window of the log wants few events.
    open: Mutex<BTreeMap<SourceId, Table>>,
}

impl ColdTier {
    /// Lets a log, and all who read it, find here what it was truncated by. To be done again when
    /// definitions change.
    pub(crate) fn stand_behind(self, log: &LogReader, catalog: &Arc<Catalog>) {
        log.set_older(Arc::new(LakeEvents {
            cold: self,
            catalog: Arc::clone(catalog),
            open: Mutex::default(),
        }));
    }
}

impl LakeEvents {
    fn open(&self) -> MutexGuard<'_, BTreeMap<SourceId, Table>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A table that was opened before, if it has no newer version since.
    fn newest(&self, source: SourceId) -> Result<Option<Table>, LakeError> {
        let table = self.open().get(&source).cloned();
        match table {
            Some(table) => Ok(table.is_newest()?.then_some(table)),
            None => Ok(None),
        }
    }
}

impl OlderEvents for LakeEvents {
    fn older(
        &self,
        source: SourceId,
        options: ReadOptions,
    ) -> Result<Box<dyn EventStream>, LogError> {
        let of_lake = |source: EngineError| LogError::Lake {
            source: match source {
                EngineError::Lake(error) => error,
                error => Box::new(error),
            },
        };
        let gone = |table: String| {
            let reason = "there is no such table".to_owned();
            of_lake(EngineError::lake(LakeError::Lacks { table, reason }))
        };
        let Some(def) = self.catalog.source_by_id(source) else {
            return Err(gone(format!("source {}", source.0)));
        };
        let newest = self.newest(source).map_err(EngineError::lake);
        let table = match newest.map_err(of_lake)? {
            Some(table) => table,
            None => {
                let lake = self.cold.lake().map_err(of_lake)?;
                let table = self.cold.table(&lake, def).map_err(of_lake)?;
                let table = table.ok_or_else(|| gone(def.name.clone()))?;
                self.open().insert(source, table.clone());
                table
            }
        };
        let events = table.events(&options).map_err(EngineError::lake);
        events.map_err(of_lake)
    }
}
