//! What was forgotten, for ever: when, of which entity, how much, and which datasets cannot be built again
//! since. Never whom.
//!
//! One file per forget in `forgotten/` of a store (`docs/format/forgotten.md`). Invariant: what is read is what was
//! written, all of it, or it is refused: records are numbered, and `newest` says how many there are at least.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use evenkeel_connect::AtomicFile;
use evenkeel_log::{DiskFileSystem, FileSystem};
use evenkeel_types::SourceId;
use serde::{Deserialize, Serialize};

use super::error::ForgetError;
use super::report::{ForgetReport, ForgottenSource, PSEUDONYM};
use crate::dataset::names;
use crate::error::EngineError;
use crate::record_file::{DamagedRecord, checksum_of, damaged_in, format_of, is_record};
use crate::registry::{sealed, unsealed};

const DIRECTORY: &str = "forgotten";
const EXTENSION: &str = ".json";
/// The file that says how many records with a number there are. It is no more than a help, as that of the registry.
const NEWEST: &str = "newest";
/// The version of the format that is written. Records of the first have neither number nor checksum.
const FORMAT: u32 = 2;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgottenRecord {
    format: u32,
    /// Which of those of a store that have a number, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
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
    /// Of all above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl ForgottenRecord {
    /// Whether the key has another name since.
    pub(crate) fn is_renaming(&self) -> bool {
        self.mode == PSEUDONYM
    }

    fn checksum_of(&self) -> String {
        checksum_of(&ForgottenRecord {
            checksum: None,
            ..self.clone()
        })
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, EngineError> {
        if let Some(format) = format_of(bytes)
            && format > FORMAT
        {
            return Err(EngineError::StoreFormat { path, format });
        }
        let record: ForgottenRecord = match serde_json::from_slice(bytes) {
            Ok(record) => record,
            Err(error) => return Err(damage(path, error.to_string())),
        };
        let is_of_the_first = (record.format, record.number) == (1, None);
        match &record.checksum {
            None if is_of_the_first => Ok(record),
            Some(checksum) if *checksum == record.checksum_of() => Ok(record),
            _ => Err(damage(path, "its checksum is another".to_owned())),
        }
    }
}

fn damage(path: PathBuf, reason: String) -> EngineError {
    ForgetError::Record { path, reason }.into()
}

/// Writes it; done before, it is there already.
pub(super) fn write(
    store: &Path,
    at: i64,
    report: &ForgetReport,
    emitted: &BTreeMap<SourceId, u64>,
) -> Result<(), EngineError> {
    let folder = store.join(DIRECTORY);
    let before = forgotten(store)?;
    let last = before.iter().filter_map(|record| record.number).max();
    let mut record = ForgottenRecord {
        format: FORMAT,
        number: Some(last.unwrap_or(0) + 1),
        at,
        entity: report.entity.clone(),
        mode: report.mode.clone(),
        sources: report.sources.clone(),
        datasets: report.datasets.iter().map(|d| d.dataset.clone()).collect(),
        emitted: emitted.clone(),
        checksum: None,
    };
    let is_the_same = |other: &&ForgottenRecord| {
        let numbered = ForgottenRecord {
            format: other.format,
            number: other.number,
            checksum: other.checksum.clone(),
            ..record.clone()
        };
        **other == numbered
    };
    if let Some(there) = before.iter().find(is_the_same) {
        // It may have ended between the two.
        return there.number.map_or(Ok(()), |_| write_newest(&folder, last));
    }
    record.checksum = Some(record.checksum_of());
    // Its own name is to be there after a power cut, too.
    let created = DiskFileSystem.create_directory(&folder);
    created.map_err(write_error(&folder))?;
    let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
    text.push('\n');
    // Another of the same moment has another name.
    let mut path = folder.join(format!("{at}{EXTENSION}"));
    for number in 1.. {
        match path.try_exists() {
            Ok(true) => path = folder.join(format!("{at}-{number}{EXTENSION}")),
            Ok(false) => break,
            Err(source) => return Err(EngineError::Read { path, source }),
        }
    }
    put(&path, &text)?;
    // After it: it never claims too much.
    write_newest(&folder, record.number)
}

fn write_newest(folder: &Path, newest: Option<u64>) -> Result<(), EngineError> {
    let newest = sealed(&newest.unwrap_or(0).to_string());
    put(&folder.join(NEWEST), &newest)
}

fn put(path: &Path, text: &str) -> Result<(), EngineError> {
    let mut file = AtomicFile::create(path).map_err(EngineError::connect)?;
    file.write_all(text.as_bytes()).map_err(write_error(path))?;
    file.commit().map_err(EngineError::connect)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}

/// How far derived streams were when something was forgotten last: no further than a log goes, which may be an older
/// one that was put there.
///
/// # Errors
/// If a record cannot be read, is damaged or gone: who does not know it would emit what was left out.
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
///
/// # Errors
/// If a record cannot be read, is damaged or gone.
pub(crate) fn forgotten(store: &Path) -> Result<Vec<ForgottenRecord>, EngineError> {
    let folder = store.join(DIRECTORY);
    // First, so that whoever writes meanwhile has written at least what it says.
    let newest = newest(&folder)?;
    let mut found = Vec::new();
    for name in names(&folder)?.iter().filter(|name| is_record(name)) {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => found.push(ForgottenRecord::parse(path, &bytes)?),
            Err(source) => return Err(EngineError::Read { path, source }),
        }
    }
    match missing(newest, &found) {
        Some(reason) => Err(damage(folder, reason)),
        None => {
            found.sort_by_key(|record| record.at);
            Ok(found)
        }
    }
}

/// Which record is not there, if one is not.
fn missing(newest: u64, found: &[ForgottenRecord]) -> Option<String> {
    let numbers: BTreeSet<u64> = found.iter().filter_map(|record| record.number).collect();
    let last = numbers.last().copied().unwrap_or(0).max(newest);
    let missing = (1..=last).find(|number| !numbers.contains(number))?;
    Some(format!("number {missing} of {last} is missing"))
}

/// How many records with a number were there at least; 0 if nothing that reads says so.
fn newest(folder: &Path) -> Result<u64, EngineError> {
    let path = folder.join(NEWEST);
    match fs::read(&path) {
        Ok(bytes) => {
            let number = unsealed(&bytes).and_then(|number| number.parse().ok());
            Ok(number.unwrap_or(0))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(EngineError::Read { path, source }),
    }
}

/// Records that are not as they were written, or not there.
pub(super) fn damaged(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
    let folder = store.join(DIRECTORY);
    let mut damaged = damaged_in(&folder, is_record, ForgottenRecord::parse)?;
    // Where one does not say which it is, it may be the one that is missing.
    if damaged.is_empty()
        && let Err(error) = forgotten(store)
    {
        damaged.push((folder, error));
    }
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was written before records had numbers.
    const FIRST: &str = include_str!("../../tests/fixtures/forgotten/1.json");

    fn report(entity: &str) -> ForgetReport {
        ForgetReport {
            entity: entity.to_owned(),
            mode: PSEUDONYM.to_owned(),
            ..ForgetReport::default()
        }
    }

    fn entities(store: &Path) -> Vec<String> {
        let found = forgotten(store).unwrap().into_iter();
        found.map(|record| record.entity).collect()
    }

    #[test]
    fn records_of_the_first_format_open_and_others_stand_beside_them() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join(DIRECTORY);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1764000000000000.json"), FIRST).unwrap();
        let found = emitted_before(store.path(), 100).unwrap();
        assert_eq!(found, BTreeMap::from([(SourceId(2), 7)]));
        let emitted = BTreeMap::from([(SourceId(2), 5), (SourceId(3), 900)]);
        for entity in ["shop", "shop", "customer"] {
            write(
                store.path(),
                1_764_000_000_000_001,
                &report(entity),
                &emitted,
            )
            .unwrap();
        }
        assert_eq!(entities(store.path()), ["customer", "customer", "shop"]);
        let found = emitted_before(store.path(), 100).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([(SourceId(2), 7), (SourceId(3), 100)])
        );
        let newer = FIRST.replace("\"format\": 1", "\"format\": 3, \"more\": 1");
        let error = ForgottenRecord::parse("x".into(), newer.as_bytes()).unwrap_err();
        assert!(matches!(error, EngineError::StoreFormat { format: 3, .. }));
    }

    #[test]
    fn one_that_is_gone_is_missed() {
        let store = tempfile::tempdir().unwrap();
        for at in 1..=3 {
            write(store.path(), at, &report("shop"), &BTreeMap::new()).unwrap();
        }
        let folder = store.path().join(DIRECTORY);
        for (at, number) in [(1, 1), (2, 2), (3, 3)] {
            let path = folder.join(format!("{at}{EXTENSION}"));
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let error = forgotten(store.path()).unwrap_err();
            let wanted = format!("number {number} of 3 is missing");
            assert!(error.to_string().contains(&wanted), "{error}");
            assert_eq!(damaged(store.path()).unwrap().len(), 1);
            fs::write(&path, bytes).unwrap();
        }
        // What says how many there are is a help alone.
        fs::write(folder.join(NEWEST), "9").unwrap();
        assert_eq!(forgotten(store.path()).unwrap().len(), 3);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(forgotten(store.path()).unwrap(), []);
    }
}
