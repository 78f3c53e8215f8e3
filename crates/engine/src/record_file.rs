//! Small records of a store, each a file of its own: JSON with a format and a checksum, written
//! whole or not at all.
//!
//! Owns none of what they say. Invariant: what is read is what was written, or it is refused.

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use evenkeel_connect::AtomicFile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dataset::names;
use crate::error::EngineError;

/// What a record says, with what proves it.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    format: u32,
    /// The source that it is of.
    source: String,
    #[serde(flatten)]
    body: T,
    /// The digest of the rest.
    checksum: String,
}

/// The version of a record, whatever else it has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Reads the record of a source; none if there is none. `format`: the newest that is known.
///
/// # Errors
/// If it cannot be read, is damaged or newer.
pub(crate) fn read<T: Serialize + DeserializeOwned>(
    folder: &Path,
    source: &str,
    format: u32,
) -> Result<Option<T>, EngineError> {
    let path = path_of(folder, source);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EngineError::Read { path, source }),
    };
    parse(path, &bytes, format).map(Some)
}

pub(crate) fn parse<T: Serialize + DeserializeOwned>(
    path: PathBuf,
    bytes: &[u8],
    format: u32,
) -> Result<T, EngineError> {
    if let Some(found) = format_of(bytes)
        && found > format
    {
        return Err(EngineError::StoreFormat {
            path,
            format: found,
        });
    }
    let damaged = |path, reason| Err(EngineError::Record { path, reason });
    let mut record: Record<T> = match serde_json::from_slice(bytes) {
        Ok(record) => record,
        Err(error) => return damaged(path, error.to_string()),
    };
    let checksum = std::mem::take(&mut record.checksum);
    if checksum != record.checksum_of() {
        return damaged(path, "its checksum is another".to_owned());
    }
    Ok(record.body)
}

/// Writes the record of a source, in place of what was there.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write<T: Serialize>(
    folder: &Path,
    source: &str,
    format: u32,
    body: T,
) -> Result<(), EngineError> {
    let mut record = Record {
        format,
        source: source.to_owned(),
        body,
        checksum: String::new(),
    };
    record.checksum = record.checksum_of();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| EngineError::Write { path, source }
    };
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        // Its name is to be there after a power cut, too.
        let above = folder.parent().unwrap_or(folder);
        let open = fs::File::open(above).map_err(failed(above))?;
        open.sync_all().map_err(failed(above))?;
    }
    let path = path_of(folder, source);
    let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
    text.push('\n');
    let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
    file.write_all(text.as_bytes()).map_err(failed(&path))?;
    file.commit().map_err(EngineError::connect)
}

impl<T: Serialize> Record<T> {
    /// While there is no checksum in it.
    fn checksum_of(&self) -> String {
        checksum_of(self)
    }
}

/// The first 32 hexadecimal digits of the BLAKE3 of something as compact JSON, without its own checksum.
pub(crate) fn checksum_of(bare: &impl Serialize) -> String {
    let text = serde_json::to_string(bare).unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// What the version of a record is, whatever else it has; none if it says nothing.
pub(crate) fn format_of(bytes: &[u8]) -> Option<u32> {
    let format = serde_json::from_slice(bytes).map(|Format { format }| format);
    format.ok()
}

/// A record that is not as it was written, with why.
pub(crate) type DamagedRecord = (PathBuf, EngineError);

/// The records of a folder that `parse` refuses, and those that cannot be read.
///
/// # Errors
/// If the folder cannot be listed.
pub(crate) fn damaged_in<T>(
    folder: &Path,
    is_record: impl Fn(&str) -> bool,
    parse: impl Fn(PathBuf, &[u8]) -> Result<T, EngineError>,
) -> Result<Vec<DamagedRecord>, EngineError> {
    let mut damaged = Vec::new();
    for name in names(folder)?.iter().filter(|name| is_record(name)) {
        let path = folder.join(name);
        let read = match fs::read(&path) {
            // It was removed since, by who may.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(|source| EngineError::Read {
                path: path.clone(),
                source,
            }),
        };
        let parsed = read.and_then(|bytes| parse(path.clone(), &bytes));
        damaged.extend(parsed.err().map(|error| (path, error)));
    }
    Ok(damaged)
}

/// Whether a file's name is that of a record, and not what an atomic write left behind.
pub(crate) fn is_record(name: &str) -> bool {
    name.ends_with(".json")
}

fn path_of(folder: &Path, source: &str) -> PathBuf {
    folder.join(format!("{source}.json"))
}
