//! Forgetting in the lake: tables of sources whose events change are written again and begin anew.

use std::collections::BTreeMap;

use evenkeel_lake::Hold;
use evenkeel_types::SourceId;
use evenkeel_types::definition::Catalog;

use super::ColdTier;
use crate::error::EngineError;
use crate::forget::{ForgottenTable, Work};

impl ColdTier {
    /// Takes the lake, if any of these sources has a table, and sees whether it can be read: before
    /// anything is decided.
    pub(crate) fn hold_tables(
        &self,
        catalog: &Catalog,
        sources: &[SourceId],
    ) -> Result<Option<Hold>, EngineError> {
        let lake = self.lake()?;
        let mut has_tables = false;
        for def in sources.iter().filter_map(|id| catalog.source_by_id(*id)) {
            has_tables |= self.table(&lake, def)?.is_some();
        }
        if has_tables {
            // A damaged one is to be known now, too.
            self.pins()?;
        }
        match has_tables {
            true => lake.hold().map(Some).map_err(EngineError::lake),
            false => Ok(None),
        }
    }

    /// Lets the tables of these sources say what is to be said, and nothing else: also of older
    /// versions, whoever kept them. Done before, it changes nothing.
    pub(crate) fn forget(
        &self,
        catalog: &Catalog,
        sources: &[SourceId],
        work: &Work,
    ) -> Result<(Vec<ForgottenTable>, Vec<String>), EngineError> {
        let (mut tables, mut let_go) = (Vec::new(), Vec::new());
        let Some(hold) = self.hold_tables(catalog, sources)? else {
            return Ok((tables, let_go));
        };
        let lake = self.lake()?;
        let pins = self.pins()?;
        for &id in sources {
            let Some(def) = catalog.source_by_id(id) else {
                continue;
            };
            let Some(mut table) = self.table(&lake, def)? else {
                continue;
            };
            let offsets = work
                .source(id)
                .map(|work| work.offsets())
                .unwrap_or_default();
            let forgotten = table
                .forget(&hold, &offsets, &mut |logged| work.change_event(logged))
                .map_err(EngineError::lake)?;
            lake.remove_leftovers(&hold, &def.name);
            let has_it = |versions: &BTreeMap<String, u64>| versions.contains_key(&def.name);
            let_go.extend(
                pins.iter()
                    .filter(|(_, v)| has_it(v))
                    .map(|(name, _)| name.clone()),
            );
            tables.push(ForgottenTable {
                source: def.name.clone(),
                rewritten: forgotten.rewritten as u64,
                removed: forgotten.removed as u64,
                removed_bytes: forgotten.removed_bytes,
            });
        }
        let_go.sort();
        let_go.dedup();
        for name in &let_go {
            self.let_go(name)?;
        }
        Ok((tables, let_go))
    }
}
