//! What was forgotten, for ever: when, of which entity, how much, and which datasets cannot be built again
//! since. Never whom.
//!
//! One file per forget in `forgotten/` of a store (`docs/format/forgotten.md`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use evenkeel_connect::AtomicFile;
use evenkeel_log::{DiskFileSystem, FileSystem};
use evenkeel_types::SourceId;
use serde::{Deserialize, Serialize};

use super::report::{ForgetReport, ForgottenSource, PSEUDONYM};
use crate::dataset::names;
use crate::error::EngineError;

const DIRECTORY: &str = "forgotten";
const EXTENSION: &str = ".json";
const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForgottenRecord {
    format: u32,
    /// When, microseconds since the epoch.
    pub(crate) at: i64,
    /// The entity.
    pub(crate) entity: String,
    /// `remove` or `pseudonym`.
    pub(crate) mode: String,
    /// How many events and dead letters, by source.
    pub(crate) sources: Vec<ForgottenSource>,
    /// Datasets that cannot be built again since.
    pub(crate) datasets: Vec<String>,
    /// Of derived streams the first record for which nothing was emitted yet: what is before would be another thing
    /// without what is forgotten.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) emitted: BTreeMap<SourceId, u64>,
}

impl ForgottenRecord {
    /// Whether the key has another name since.
    pub(crate) fn is_renaming(&self) -> bool {
        self.mode == PSEUDONYM
    }
}

/// Writes it; done before, it is the same file.
pub(super) fn write(
    store: &Path,
    at: i64,
    report: &ForgetReport,
    emitted: &BTreeMap<SourceId, u64>,
) -> Result<(), EngineError> {
    let record = ForgottenRecord {
        format: FORMAT,
        at,
        entity: report.entity.clone(),
        mode: report.mode.clone(),
        sources: report.sources.clone(),
        datasets: report.datasets.iter().map(|d| d.dataset.clone()).collect(),
        emitted: emitted.clone(),
    };
    let folder = store.join(DIRECTORY);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| EngineError::Write { path, source }
    };
    // Its own name is to be there after a power cut, too.
    let created = DiskFileSystem.create_directory(&folder);
    created.map_err(failed(&folder))?;
    let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
    text.push('\n');
    // Another of the same moment has another name.
    let mut path = folder.join(format!("{at}{EXTENSION}"));
    for number in 1.. {
        match fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => return Ok(()),
            Ok(_) => path = folder.join(format!("{at}-{number}{EXTENSION}")),
            Err(_) => break,
        }
    }
    let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
    file.write_all(text.as_bytes()).map_err(failed(&path))?;
    file.commit().map_err(EngineError::connect)
}

/// How far derived streams were when something was forgotten last: no further than a log goes, which may be an older
/// one that was put there.
///
/// # Errors
/// If a record cannot be read: who does not know it would emit what was left out.
pub(crate) fn emitted_before(
    store: &Path,
    log_end: u64,
) -> Result<BTreeMap<SourceId, u64>, EngineError> {
    let mut emitted: BTreeMap<SourceId, u64> = BTreeMap::new();
    for (stream, record) in forgotten(store)?.into_iter().flat_map(|of| of.emitted) {
        let known = emitted.entry(stream).or_default();
        *known = record.min(log_end).max(*known);
    }
    Ok(emitted)
}

/// What was forgotten of a store, in order.
pub(crate) fn forgotten(store: &Path) -> Result<Vec<ForgottenRecord>, EngineError> {
    let folder = store.join(DIRECTORY);
    let mut found = Vec::new();
    for name in names(&folder)? {
        if !name.ends_with(EXTENSION) {
            continue;
        }
        let path = folder.join(name);
        let failed = |source: io::Error| EngineError::Read {
            path: path.clone(),
            source,
        };
        let bytes = fs::read(&path).map_err(failed)?;
        let record = serde_json::from_slice(&bytes);
        found.push(record.map_err(|error| failed(error.into()))?);
    }
    found.sort_by_key(|record: &ForgottenRecord| record.at);
    Ok(found)
}
