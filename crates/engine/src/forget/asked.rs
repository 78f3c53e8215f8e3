//! Keys that a server was asked to forget: written down, and forgotten when the store is opened the next time.
//!
//! One file each beside the journal. It names the key, so it goes with it; what could not be forgotten stays,
//! with the reason.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use evenkeel_connect::AtomicFile;
use evenkeel_log::{DiskFileSystem, FileSystem};
use serde::{Deserialize, Serialize};

use super::{ForgetRequest, journal};
use crate::dataset::names;
use crate::error::EngineError;

const PREFIX: &str = "asked-";

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    format: u32,
    pub(super) request: ForgetRequest,
    /// Whether a pseudonym is to be drawn: what makes it is never written down here.
    pub(super) pseudonym: bool,
    /// Why it was not forgotten.
    pub(super) failed: Option<String>,
}

/// What was asked, or why that cannot be read.
pub(super) type Read = Result<Asked, String>;

/// Writes it down; `number` tells it from others. Durable when it answers.
pub(super) fn write(store: &Path, number: i64, request: &ForgetRequest) -> Result<(), EngineError> {
    let folder = journal::folder_of(store);
    // Its own name is to be there after a power cut, too.
    let created = DiskFileSystem.create_directory(&folder);
    created.map_err(write_error(&folder))?;
    let path = folder.join(format!("{PREFIX}{number}.json"));
    put(
        &path,
        &Asked {
            format: journal::FORMAT,
            pseudonym: request.secret.is_some(),
            request: request.clone(),
            failed: None,
        },
    )
}

/// What was asked, in order; what does not read is said why.
pub(super) fn all(store: &Path) -> Result<Vec<(PathBuf, Read)>, EngineError> {
    let folder = journal::folder_of(store);
    let mut found = Vec::new();
    for name in names(&folder)? {
        if !name.starts_with(PREFIX) || !name.ends_with(".json") {
            continue;
        }
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|source| EngineError::Read {
            path: path.clone(),
            source,
        })?;
        let asked = serde_json::from_slice(&bytes);
        let damaged = |error| format!("`{}` is damaged: {error}", path.display());
        found.push((path.clone(), asked.map_err(damaged)));
    }
    Ok(found)
}

/// Takes down why it was not forgotten.
pub(super) fn fail(path: &Path, asked: Asked, reason: String) -> Result<(), EngineError> {
    let failed = Some(reason);
    put(path, &Asked { failed, ..asked })
}

/// It is forgotten.
pub(super) fn remove(path: &Path) -> Result<(), EngineError> {
    let folder = path.parent().unwrap_or(path);
    fs::remove_file(path)
        .and_then(|()| DiskFileSystem.sync_directory(folder))
        .map_err(write_error(path))
}

fn put(path: &Path, asked: &Asked) -> Result<(), EngineError> {
    let text = serde_json::to_vec(asked).unwrap_or_default();
    let mut file = AtomicFile::create(path).map_err(EngineError::connect)?;
    file.write_all(&text).map_err(write_error(path))?;
    file.commit().map_err(EngineError::connect)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}
