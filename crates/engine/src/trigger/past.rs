//! What a result waits for whose name is of definitions of before.
//!
//! Owns finding them by the digest in the name, which may be made up. Invariant: that costs at most what opening the
//! registry does, and nothing if no source that is waited for was ever defined otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::SourceDef;

use super::waits::{Awaited, Waits, WaitsError};
use crate::captured::with_causes;
use crate::definitions::{Host, each_catalog};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::registry::{Object, Record};
use crate::serving::ReadPlan;

/// What was defined, record by record.
pub struct PastDefinitions {
    records: Vec<Record>,
    host: Host,
    /// The names of what is waited for, by what makes it emit now.
    involved: Vec<String>,
}

impl PastDefinitions {
    /// What a result waits for, by the newest definitions of which its name is; `result` is the name.
    ///
    /// # Errors
    /// [`WaitsError::Undefined`].
    pub fn awaited(
        &self,
        plan: &ReadPlan,
        waits: &Waits,
        result: &str,
    ) -> Result<Awaited, EngineError> {
        let mut found = None;
        if self.is_any_defined_twice() {
            each_catalog(&self.records, self.host.clone(), |record, catalog| {
                if record.objects.iter().any(is_source) {
                    let then = Awaited::named(&Arc::new(catalog()), plan, waits)?;
                    found = then.or(found.take());
                }
                Ok(())
            })?;
        }
        found.ok_or_else(|| {
            EngineError::Waits(WaitsError::Undefined {
                result: result.to_owned(),
            })
        })
    }

    /// Whether there can be another digest than now's: what has been defined once was never anything else, and
    /// nor was what makes it emit.
    fn is_any_defined_twice(&self) -> bool {
        let mut defined: BTreeMap<&str, usize> = BTreeMap::new();
        let objects = self.records.iter().flat_map(|record| &record.objects);
        for object in objects.filter(|object| is_source(object)) {
            *defined.entry(&object.name).or_default() += 1;
        }
        let mut involved = self.involved.iter();
        involved.any(|name| defined.get(&**name).is_some_and(|count| *count > 1))
    }
}

fn is_source(object: &Object) -> bool {
    object.source_id.is_some()
}

impl Engine {
    /// The definitions of before, for something that waits: to be looked through without the engine.
    pub fn past_definitions(&self, plan: &ReadPlan, waits: &Waits) -> PastDefinitions {
        // Also those that have ended since: these were defined twice.
        let is_wanted =
            |def: &&Arc<SourceDef>| waits.sources.is_empty() || waits.sources.contains(&def.name);
        let wanted = plan.sources().iter().filter(is_wanted).map(|def| def.id);
        let involved = with_causes(self.catalog(), wanted).into_iter();
        PastDefinitions {
            records: self.registry().records().to_vec(),
            host: self.catalog().host.clone(),
            involved: involved.map(|def| def.name.clone()).collect(),
        }
    }
}
