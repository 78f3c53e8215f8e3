//! The small files of a store that nothing is computed from: what was forgotten, what is to be forgotten, runs of batch views,
//! how far tables of other systems were followed, what comparisons found, pins of the lake.
//!
//! Each proves itself, and says what to do where it does not.
//!
//! What is not looked at says nothing that anybody relies on: `newest` of the registry and of what was forgotten (a
//! help), `covered.json` (what is in the log is read from there), `serve.json` (whoever reads it asks the server), `served/`
//! (each line has a digest, and those that do not read are counted), locks, and what is made anew (`hot.beside/`, `spool/`).

use super::{Damage, Part};
use crate::batch::RunRecord;
use crate::capture_record::CapturePlace;
use crate::cold_tier::ColdTier;
use crate::comparison::ComparisonRecord;
use crate::error::EngineError;
use crate::forget;
use crate::machine::Machine;
use crate::project::Project;

/// Every byte of every record.
pub(super) fn examine(project: &Project) -> Result<Vec<Damage>, EngineError> {
    let store = &project.store;
    let cold = ColdTier::of(project, &Machine::default(), None);
    let found = [
        forget::damaged_records(store)?,
        RunRecord::damaged(store)?,
        CapturePlace::damaged(store)?,
        ComparisonRecord::damaged(store)?,
        cold.damaged_pins()?,
    ];
    let damages = found.into_iter().flatten().map(|(path, error)| Damage {
        part: Part::Record,
        source: None,
        key: None,
        place: path.display().to_string(),
        offset: None,
        reason: error.with_hint(),
    });
    Ok(damages.collect())
}
