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

use super::{ForgetError, ForgetRequest, journal};
use crate::dataset::names;
use crate::error::EngineError;
use crate::record_file::{DamagedRecord, checksum_of, damaged_in, format_of, is_record};

const PREFIX: &str = "asked-";

/// The version of the format that is written. The first had no checksum.
const FORMAT: u32 = 2;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    format: u32,
    pub(super) request: ForgetRequest,
    /// Whether a pseudonym is to be drawn: what makes it is never written down here.
    pub(super) pseudonym: bool,
    /// Why it was not forgotten.
    pub(super) failed: Option<String>,
    /// Of all above: what is asked for is done, whomever a damaged request would name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// What was asked, or why that cannot be read.
pub(super) type Read = Result<Asked, EngineError>;

/// Writes it down; `number` tells it from others. Durable when it answers.
pub(super) fn write(store: &Path, number: i64, request: &ForgetRequest) -> Result<(), EngineError> {
    let folder = journal::folder_of(store);
    // Its own name is to be there after a power cut, too.
    let created = DiskFileSystem.create_directory(&folder);
    created.map_err(write_error(&folder))?;
    let path = folder.join(format!("{PREFIX}{number}.json"));
    put(
        &path,
        Asked {
            format: FORMAT,
            pseudonym: request.secret.is_some(),
            request: request.clone(),
            failed: None,
            checksum: None,
        },
    )
}

/// What was asked, in order; what does not read is said why.
pub(super) fn all(store: &Path) -> Result<Vec<(PathBuf, Read)>, EngineError> {
    let folder = journal::folder_of(store);
    let mut found = Vec::new();
    for name in names(&folder)? {
        if !is_request(&name) {
            continue;
        }
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|source| EngineError::Read {
            path: path.clone(),
            source,
        })?;
        found.push((path.clone(), parse(path, &bytes)));
    }
    Ok(found)
}

/// Requests that are not as they were written.
pub(super) fn damaged(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
    damaged_in(&journal::folder_of(store), is_request, parse)
}

fn is_request(name: &str) -> bool {
    name.starts_with(PREFIX) && is_record(name)
}

fn parse(path: PathBuf, bytes: &[u8]) -> Read {
    if let Some(format) = format_of(bytes)
        && format > FORMAT
    {
        return Err(EngineError::StoreFormat { path, format });
    }
    let damaged = |reason: String| Err(ForgetError::Asked { path, reason }.into());
    let asked: Asked = match serde_json::from_slice(bytes) {
        Ok(asked) => asked,
        Err(error) => return damaged(error.to_string()),
    };
    match asked.format == 1 && asked.checksum.is_none()
        || asked.checksum.as_ref() == Some(&asked.checksum_of())
    {
        true => Ok(asked),
        false => damaged("its checksum is another".to_owned()),
    }
}

impl Asked {
    fn checksum_of(&self) -> String {
        checksum_of(&Asked {
            checksum: None,
            ..self.clone()
        })
    }
}

/// Takes down why it was not forgotten.
pub(super) fn fail(path: &Path, asked: Asked, reason: String) -> Result<(), EngineError> {
    let failed = Some(reason);
    put(path, Asked { failed, ..asked })
}

/// It is forgotten.
pub(super) fn remove(path: &Path) -> Result<(), EngineError> {
    let folder = path.parent().unwrap_or(path);
    fs::remove_file(path)
        .and_then(|()| DiskFileSystem.sync_directory(folder))
        .map_err(write_error(path))
}

fn put(path: &Path, mut asked: Asked) -> Result<(), EngineError> {
    asked.format = FORMAT;
    asked.checksum = Some(asked.checksum_of());
    let text = serde_json::to_vec(&asked).unwrap_or_default();
    let mut file = AtomicFile::create(path).map_err(EngineError::connect)?;
    file.write_all(&text).map_err(write_error(path))?;
    file.commit().map_err(EngineError::connect)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}
