//! A forget that was decided, until it is carried out: one file of the store.
//!
//! Invariant: it is there from the moment at which every new file of the log is durable, to that at which
//! nothing of the key is left; as long as it is there nobody reads the store, and who opens it to write
//! carries it out first. It goes last, as it names the key.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use evenkeel_log::{FileSystem, OpenMode};
use evenkeel_types::codec::decode_values;
use evenkeel_types::definition::Catalog;
use evenkeel_types::{DataType, SourceId, Value};
use serde::{Deserialize, Serialize};

use super::change::SourceChanges;
use super::error::ForgetError;
use super::report::ForgetReport;
use super::subject::Subject;
use crate::error::EngineError;
use crate::record_file::checksum_of;

const DIRECTORY: &str = "forgetting";
const FILE: &str = "plan.json";
/// There before anything is written beside the log.
const BEGUN: &str = "begun";
const ASIDE: &str = "plan.json.temporary";
/// The version of the format.
pub(super) const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) format: u32,
    /// When it was decided, microseconds.
    pub(super) at: i64,
    pub(super) entity: String,
    /// The parts of the key, encoded.
    pub(super) key: Vec<u8>,
    /// What takes its place.
    pub(super) pseudonym: Option<Vec<u8>>,
    /// By source.
    pub(super) changes: BTreeMap<u32, SourceChanges>,
    /// Whether files of datasets that have rows of the key go.
    pub(super) removes_datasets: bool,
    /// Whether everything that was served goes.
    pub(super) removes_served: bool,
    pub(super) report: ForgetReport,
    /// Of derived streams the first record for which nothing was emitted yet, when it was decided.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) emitted: BTreeMap<SourceId, u64>,
    /// Of all above.
    pub(super) checksum: String,
}

impl Plan {
    /// Whom it is about, by what is defined.
    pub(super) fn subject(&self, catalog: &Catalog, path: &Path) -> Result<Subject, EngineError> {
        let damaged = |reason: String| {
            EngineError::from(ForgetError::Journal {
                path: path.to_owned(),
                reason,
            })
        };
        let entity = catalog.entities.get(&self.entity);
        let entity =
            entity.ok_or_else(|| damaged(format!("there is no entity `{}`", self.entity)))?;
        let types: Vec<DataType> = entity.keys.iter().map(|k| k.data_type.clone()).collect();
        let values = |bytes: &[u8]| -> Result<Vec<Value>, EngineError> {
            decode_values(bytes, &types).map_err(|error| damaged(error.to_string()))
        };
        Ok(Subject {
            key: values(&self.key)?,
            pseudonym: self.pseudonym.as_deref().map(values).transpose()?,
        })
    }

    fn checksum_of(&self) -> String {
        let bare = Plan {
            checksum: String::new(),
            ..self.clone()
        };
        checksum_of(&bare)
    }
}

/// Where the journal of a store is.
pub(super) fn path_of(store: &Path) -> PathBuf {
    store.join(DIRECTORY).join(FILE)
}

/// Whether a forget was decided and not carried out.
pub(super) fn is_there(files: &dyn FileSystem, store: &Path) -> Result<bool, EngineError> {
    Ok(names(files, store)?.iter().any(|name| name == FILE))
}

/// Whether somebody began to forget and did not end.
pub(super) fn has_begun(files: &dyn FileSystem, store: &Path) -> Result<bool, EngineError> {
    let begun = |name: &String| name == BEGUN || name == FILE || name == ASIDE;
    Ok(names(files, store)?.iter().any(begun))
}

/// Where all of it is.
pub(super) fn folder_of(store: &Path) -> PathBuf {
    store.join(DIRECTORY)
}

fn names(files: &dyn FileSystem, store: &Path) -> Result<Vec<String>, EngineError> {
    let directory = store.join(DIRECTORY);
    match files.list(&directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|source| EngineError::Read {
            path: directory,
            source,
        }),
    }
}

/// Takes down that something may be written beside the log.
pub(super) fn begin(files: &dyn FileSystem, store: &Path) -> Result<(), EngineError> {
    let directory = store.join(DIRECTORY);
    let path = directory.join(BEGUN);
    let begun = (|| {
        files.create_directory(&directory)?;
        remove_if_there(files, &path)?;
        files.open(&path, OpenMode::Create)?.sync_data()?;
        files.sync_directory(&directory)
    })();
    begun.map_err(|source| EngineError::Write { path, source })
}

/// What was decided, if anything was.
pub(super) fn read(files: &dyn FileSystem, store: &Path) -> Result<Option<Plan>, EngineError> {
    if !is_there(files, store)? {
        return Ok(None);
    }
    let path = path_of(store);
    let read = || -> io::Result<Vec<u8>> {
        let file = files.open(&path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
        let length = file.read_at(0, &mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    };
    let bytes = match read() {
        Ok(bytes) => bytes,
        // It was carried out between the two looks.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EngineError::Read { path, source }),
    };
    let damaged = |reason: String| {
        EngineError::from(ForgetError::Journal {
            path: path.clone(),
            reason,
        })
    };
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if plan.format > FORMAT {
        return Err(damaged(format!(
            "a newer version made it (format {})",
            plan.format
        )));
    }
    if plan.checksum != plan.checksum_of() {
        return Err(damaged("its checksum is another".to_owned()));
    }
    Ok(Some(plan))
}

/// Decides it: durable when it answers.
pub(super) fn write(
    files: &dyn FileSystem,
    store: &Path,
    plan: &mut Plan,
) -> Result<(), EngineError> {
    plan.checksum = plan.checksum_of();
    let directory = store.join(DIRECTORY);
    let (aside, path) = (directory.join(ASIDE), path_of(store));
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    let written = (|| {
        files.create_directory(&directory)?;
        remove_if_there(files, &aside)?;
        let file = files.open(&aside, OpenMode::Create)?;
        file.write_at(0, &bytes)?;
        file.sync_data()?;
        files.rename(&aside, &path)?;
        files.sync_directory(&directory)
    })();
    written.map_err(|source| EngineError::Write { path, source })
}

/// It is carried out, or was not decided.
pub(super) fn remove(files: &dyn FileSystem, store: &Path) -> Result<(), EngineError> {
    let directory = store.join(DIRECTORY);
    let path = path_of(store);
    let removed = (|| {
        remove_if_there(files, &directory.join(ASIDE))?;
        remove_if_there(files, &path)?;
        remove_if_there(files, &directory.join(BEGUN))?;
        files.sync_directory(&directory)
    })();
    removed.map_err(|source| EngineError::Write { path, source })
}

fn remove_if_there(files: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
