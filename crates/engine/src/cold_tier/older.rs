//! The events of a truncated log, from the lake.

use std::sync::Arc;

use evenkeel_lake::LakeError;
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
}

impl ColdTier {
    /// Lets a log, and all who read it, find here what it was truncated by. To be done again when
    /// definitions change.
    pub(crate) fn stand_behind(self, log: &LogReader, catalog: &Arc<Catalog>) {
        log.set_older(Arc::new(LakeEvents {
            cold: self,
            catalog: Arc::clone(catalog),
        }));
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
        let lake = self.cold.lake().map_err(of_lake)?;
        let table = self.cold.table(&lake, def).map_err(of_lake)?;
        let table = table.ok_or_else(|| gone(def.name.clone()))?;
        let events = table.events(&options).map_err(EngineError::lake);
        events.map_err(of_lake)
    }
}
