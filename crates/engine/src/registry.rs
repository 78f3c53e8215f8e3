//! The registry: every version of every definition, append-only, as files in the store's
//! directory.
//!
//! One record per `apply`: `registry/00000001.json`, its digest on a second line. A record is
//! put if absent (written aside, synced, linked under its name), so two commands can never
//! both write the same one, and a torn record never has a name. Reading back binds each
//! record's SQL over what the records before it defined; the format is in
//! `docs/format/registry.md`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::EngineError;

/// The version of the record format.
pub const REGISTRY_FORMAT: u32 = 1;

/// One `apply`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`REGISTRY_FORMAT`].
    pub format: u32,
    /// From 1, without gaps.
    pub sequence: u64,
    /// When, microseconds since the epoch.
    pub applied_at: i64,
    /// What was created or changed, in an order in which each can be bound.
    pub objects: Vec<Object>,
}

/// One version of one definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// `entity`, `stream`, `table`, `feature view`, `feature service`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// A source's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<u32>,
    /// Its canonical SQL.
    pub sql: String,
}

/// The records of a store.
#[derive(Debug)]
pub struct Registry {
    directory: PathBuf,
    records: Vec<Record>,
}

impl Registry {
    /// Reads all records; none if the directory does not exist.
    pub fn open(store: &Path) -> Result<Self, EngineError> {
        let directory = store.join("registry");
        let mut records = Vec::new();
        loop {
            let sequence = records.len() as u64 + 1;
            let path = record_path(&directory, sequence);
            match fs::read_to_string(&path) {
                Ok(text) => records.push(parse(&path, &text, sequence)?),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(source) => return Err(EngineError::Read { path, source }),
            }
        }
        let registry = Registry { directory, records };
        registry.refuse_gaps()?;
        Ok(registry)
    }

    /// A record after a missing one means that a file was lost.
    fn refuse_gaps(&self) -> Result<(), EngineError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                return Err(EngineError::Read {
                    path: self.directory.clone(),
                    source,
                });
            }
        };
        for entry in entries {
            let entry = entry.map_err(|source| EngineError::Read {
                path: self.directory.clone(),
                source,
            })?;
            let path = entry.path();
            let number = path
                .file_name()
                .and_then(|n| n.to_str()?.strip_suffix(".json")?.parse::<u64>().ok());
            if number.is_some_and(|n| n > self.records.len() as u64) {
                return Err(EngineError::Registry {
                    path,
                    reason: format!("record {} before it is missing", self.records.len() + 1),
                });
            }
        }
        Ok(())
    }

    /// The records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Appends a record, durably.
    pub fn append(&mut self, applied_at: i64, objects: Vec<Object>) -> Result<(), EngineError> {
        let sequence = self.records.len() as u64 + 1;
        let record = Record {
            format: REGISTRY_FORMAT,
            sequence,
            applied_at,
            objects,
        };
        let path = record_path(&self.directory, sequence);
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Write { path, source }
        };
        fs::create_dir_all(&self.directory).map_err(write(&self.directory))?;
        if let Some(parent) = self.directory.parent() {
            sync_directory(parent)?;
        }
        let json = serde_json::to_string(&record).map_err(|e| EngineError::Registry {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        let text = format!(
            "{json}\nblake3 {}\n",
            blake3::hash(json.as_bytes()).to_hex()
        );
        let aside = self
            .directory
            .join(format!("{sequence:08}.{}.tmp", std::process::id()));
        let mut file = File::create(&aside).map_err(write(&aside))?;
        file.write_all(text.as_bytes()).map_err(write(&aside))?;
        file.sync_all().map_err(write(&aside))?;
        let linked = fs::hard_link(&aside, &path);
        fs::remove_file(&aside).map_err(write(&aside))?;
        match linked {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(EngineError::RegistryRace {
                    path: self.directory.clone(),
                });
            }
            Err(source) => return Err(EngineError::Write { path, source }),
        }
        sync_directory(&self.directory)?;
        self.records.push(record);
        Ok(())
    }
}

fn record_path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:08}.json"))
}

fn sync_directory(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|d| d.sync_all())
        .map_err(|source| EngineError::Write {
            path: path.to_owned(),
            source,
        })
}

fn parse(path: &Path, text: &str, sequence: u64) -> Result<Record, EngineError> {
    let damaged = |reason: &str| EngineError::Registry {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let (json, rest) = text
        .split_once('\n')
        .ok_or_else(|| damaged("it has no digest"))?;
    let digest = rest
        .strip_prefix("blake3 ")
        .and_then(|r| r.strip_suffix('\n'))
        .ok_or_else(|| damaged("it has no digest"))?;
    if blake3::hash(json.as_bytes()).to_hex().as_str() != digest {
        return Err(damaged("its digest does not match"));
    }
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let format: Format = serde_json::from_str(json).map_err(|e| damaged(&e.to_string()))?;
    if format.format > REGISTRY_FORMAT {
        return Err(EngineError::StoreFormat {
            path: path.to_owned(),
            format: format.format,
        });
    }
    let record: Record = serde_json::from_str(json).map_err(|e| damaged(&e.to_string()))?;
    if record.sequence != sequence {
        return Err(damaged("it has another record's number"));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> Object {
        Object {
            kind: "entity".to_owned(),
            name: name.to_owned(),
            version: 1,
            source_id: None,
            sql: format!("CREATE ENTITY {name} (k STRING)"),
        }
    }

    #[test]
    fn records_come_back_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        registry.append(1, vec![object("a")]).unwrap();
        registry.append(2, vec![object("b")]).unwrap();
        let again = Registry::open(directory.path()).unwrap();
        assert_eq!(again.records(), registry.records());

        // Two commands that read the same records cannot both append the next.
        let mut late = Registry::open(directory.path()).unwrap();
        registry.append(3, vec![object("c")]).unwrap();
        assert!(matches!(
            late.append(3, vec![object("d")]),
            Err(EngineError::RegistryRace { .. })
        ));

        // Every flipped bit of a record is noticed.
        let path = record_path(&directory.path().join("registry"), 2);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            assert!(Registry::open(directory.path()).is_err(), "bit {at}");
        }
        fs::remove_file(&path).unwrap();
        let error = Registry::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("record 2 before it is missing"), "{error}");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        registry.append(1, vec![object("a")]).unwrap();
        let path = record_path(&directory.path().join("registry"), 1);
        let json = r#"{"format":2,"sequence":1,"news":true}"#;
        let digest = blake3::hash(json.as_bytes()).to_hex();
        fs::write(&path, format!("{json}\nblake3 {digest}\n")).unwrap();
        assert!(matches!(
            Registry::open(directory.path()),
            Err(EngineError::StoreFormat { format: 2, .. })
        ));
    }
}
