//! Versions of tables that are kept, by the name of who needs them.
//!
//! One file per name in `pins/` of the store's directory: the version of each table, as JSON.
//! Invariant: a pin is durable before anybody relies on it, and names versions of one moment.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use evenkeel_log::OpenMode;

use super::ColdTier;
use crate::error::EngineError;
use crate::offline::Offline;

/// By name, then by source.
pub type Pins = BTreeMap<String, BTreeMap<String, u64>>;

const DIRECTORY: &str = "pins";
const EXTENSION: &str = ".json";
const TEMPORARY: &str = ".temporary";

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
        let text = serde_json::json!(versions).to_string();
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
            let read = || -> io::Result<BTreeMap<String, u64>> {
                let opened = self.files.open(&path, OpenMode::Read)?;
                let mut bytes = vec![0; usize::try_from(opened.length()?).unwrap_or(usize::MAX)];
                let length = opened.read_at(0, &mut bytes)?;
                Ok(serde_json::from_slice(&bytes[..length])?)
            };
            let versions = read().map_err(|source| EngineError::Read {
                path: path.clone(),
                source,
            })?;
            pins.insert(name.to_owned(), versions);
        }
        Ok(pins)
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
