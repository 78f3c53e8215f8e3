//! Versions of tables that are kept, by the name of who needs them.
//!
//! One file per name in `pins/` of the store's directory: the version of each table, as JSON with a checksum
//! (`docs/format/lake.md`).
//! Invariant: a pin is durable before anybody relies on it, and names versions of one moment.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use evenkeel_log::OpenMode;
use serde::{Deserialize, Serialize};

use super::ColdTier;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::record_file::{DamagedRecord, checksum_of, damaged_in, format_of, is_record};

/// By name, then by source.
pub type Pins = BTreeMap<String, BTreeMap<String, u64>>;

const DIRECTORY: &str = "pins";
const EXTENSION: &str = ".json";
const TEMPORARY: &str = ".temporary";
/// The version of the format that is written. The first was the versions alone.
const FORMAT: u32 = 2;

/// What a file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    format: u32,
    /// By source.
    versions: BTreeMap<String, u64>,
    /// Of all above: tables are set back to what is pinned.
    checksum: Option<String>,
}

impl Pin {
    fn text(versions: BTreeMap<String, u64>) -> String {
        let mut pin = Pin {
            format: FORMAT,
            versions,
            checksum: None,
        };
        pin.checksum = Some(checksum_of(&pin));
        serde_json::to_string(&pin).unwrap_or_default()
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<BTreeMap<String, u64>, EngineError> {
        // No source of the first format can look like the second: what it has is a number.
        if let Ok(versions) = serde_json::from_slice(bytes) {
            return Ok(versions);
        }
        if let Some(format) = format_of(bytes)
            && format > FORMAT
        {
            return Err(EngineError::StoreFormat { path, format });
        }
        let mut pin: Pin = match serde_json::from_slice(bytes) {
            Ok(pin) => pin,
            Err(error) => {
                let reason = error.to_string();
                return Err(EngineError::Pin { path, reason });
            }
        };
        let checksum = pin.checksum.take();
        if checksum != Some(checksum_of(&pin)) {
            let reason = "its checksum is another".to_owned();
            return Err(EngineError::Pin { path, reason });
        }
        Ok(pin.versions)
    }
}

impl Offline {
    /// Keeps the newest versions of all tables under a name, instead of those that had it.
    ///
    /// # Errors
    /// If the name is none; if a table cannot be read, or the pin not be written.
    pub fn pin_lake(&self, name: &str) -> Result<(), EngineError> {
        let cold = self.cold();
        let path = cold.pin(name)?;
        let lake = cold.lake()?;
        // Nothing is removed between looking and writing down.
        let _hold = lake.hold().map_err(EngineError::lake)?;
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        for def in self.catalog().sources.values() {
            if let Some(table) = cold.table(&lake, def)? {
                versions.insert(def.name.clone(), table.version());
            }
        }
        let text = Pin::text(versions);
        cold.write_pin(&path, text.as_bytes())
            .map_err(|source| EngineError::Write { path, source })
    }

    /// Lets go of what a name keeps.
    ///
    /// # Errors
    /// If it keeps nothing, or the pin cannot be removed.
    pub fn unpin_lake(&self, name: &str) -> Result<(), EngineError> {
        self.cold().let_go(name)
    }
}

impl ColdTier {
    /// Lets go of what a name keeps.
    pub(super) fn let_go(&self, name: &str) -> Result<(), EngineError> {
        let path = self.pin(name)?;
        match self.files.remove(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(EngineError::Unknown {
                what: "pin",
                name: name.to_owned(),
                nearest: None,
            }),
            Err(source) => Err(EngineError::Write { path, source }),
            Ok(()) => self
                .files
                .sync_directory(&self.pins_directory())
                .map_err(|source| EngineError::Write { path, source }),
        }
    }

    /// All that is kept.
    pub(crate) fn pins(&self) -> Result<Pins, EngineError> {
        let directory = self.pins_directory();
        let names = match self.files.list(&directory) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Pins::new()),
            Err(source) => {
                let path = directory;
                return Err(EngineError::Read { path, source });
            }
        };
        let mut pins = Pins::new();
        for file in names {
            let Some(name) = file.strip_suffix(EXTENSION) else {
                continue;
            };
            let path = directory.join(&file);
            let read = || -> io::Result<Vec<u8>> {
                let opened = self.files.open(&path, OpenMode::Read)?;
                let mut bytes = vec![0; usize::try_from(opened.length()?).unwrap_or(usize::MAX)];
                let length = opened.read_at(0, &mut bytes)?;
                bytes.truncate(length);
                Ok(bytes)
            };
            let bytes = read().map_err(|source| EngineError::Read {
                path: path.clone(),
                source,
            })?;
            pins.insert(name.to_owned(), Pin::parse(path, &bytes)?);
        }
        Ok(pins)
    }

    /// Pins that are not as they were written.
    pub(crate) fn damaged_pins(&self) -> Result<Vec<DamagedRecord>, EngineError> {
        damaged_in(&self.pins_directory(), is_record, Pin::parse)
    }

    fn pins_directory(&self) -> PathBuf {
        self.store.join(DIRECTORY)
    }

    pub(super) fn pin(&self, name: &str) -> Result<PathBuf, EngineError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
            return Err(EngineError::PinName {
                name: name.to_owned(),
            });
        }
        Ok(self.pins_directory().join(format!("{name}{EXTENSION}")))
    }

    fn write_pin(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let directory = self.pins_directory();
        self.files.create_directory(&directory)?;
        let aside = path.with_extension(TEMPORARY.trim_start_matches('.'));
        match self.files.remove(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.files.open(&aside, OpenMode::Create)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        self.files.rename(&aside, path)?;
        self.files.sync_directory(&directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_every_format_are_read_and_others_refused() {
        let versions = BTreeMap::from([("format".to_owned(), 9), ("orders".to_owned(), 12)]);
        let parse = |text: &str| Pin::parse("pins/a.json".into(), text.as_bytes());
        let first = serde_json::json!(versions).to_string();
        assert_eq!(parse(&first).unwrap(), versions);
        assert_eq!(parse("{}").unwrap(), BTreeMap::new());
        let second = Pin::text(versions.clone());
        assert_eq!(parse(&second).unwrap(), versions);
        for changed in [second.replace("12", "13"), second[..9].to_owned()] {
            let error = parse(&changed).unwrap_err();
            assert!(matches!(error, EngineError::Pin { .. }), "{error}");
            assert!(error.hint().unwrap().contains("--unpin a"), "{error}");
        }
        let newer = second.replace("\"format\":2", "\"format\":3");
        let error = parse(&newer).unwrap_err();
        assert!(matches!(error, EngineError::StoreFormat { format: 3, .. }));
    }
}
