//! The registry: every version of every definition, append-only, as files in the store's
//! directory.
//!
//! One record per `apply`: `registry/00000001.json`, its digest on a second line. A record is
//! written aside, synced and renamed, so that a torn one never has a name; who writes holds
//! the log's lock. The contents of files that definitions pin (models) are beside the records by
//! their digests, written before what names them, and read with it. `registry/newest` says how many there are, so that a lost one is noticed.
//! Reading back binds each record's SQL over what the records before it defined; the format
//! is in `docs/format/registry.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_log::{DiskFileSystem, FileSystem, OpenMode};
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::models::content_digest;

/// The newest version of the record format: a record has it if it names a content, else the first.
pub const REGISTRY_FORMAT: u32 = 2;

/// The format of records that name no content.
const FORMAT_WITHOUT_CONTENT: u32 = 1;

/// The file that says how many records there are.
const NEWEST: &str = "newest";

/// One `apply`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// At most [`REGISTRY_FORMAT`].
    pub format: u32,
    /// From 1, without gaps.
    pub sequence: u64,
    /// When, microseconds since the epoch.
    pub applied_at: i64,
    /// What was created or changed, in an order in which each can be bound.
    pub objects: Vec<Object>,
}

/// One version of one definition.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// The digest of the file's content that it pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// That content.
    #[serde(skip)]
    pub bytes: Option<Arc<[u8]>>,
}

impl PartialEq for Object {
    /// Contents are told apart by their digests.
    fn eq(&self, other: &Self) -> bool {
        let Object {
            kind,
            name,
            version,
            source_id,
            sql,
            content,
            bytes: _,
        } = self;
        (kind, name, sql, content) == (&other.kind, &other.name, &other.sql, &other.content)
            && (*version, *source_id) == (other.version, other.source_id)
    }
}

impl Eq for Object {}

impl Record {
    fn new(sequence: u64, applied_at: i64, objects: Vec<Object>) -> Self {
        let has_content = objects.iter().any(|object| object.content.is_some());
        Record {
            format: if has_content {
                REGISTRY_FORMAT
            } else {
                FORMAT_WITHOUT_CONTENT
            },
            sequence,
            applied_at,
            objects,
        }
    }
}

/// The records of a store.
#[derive(Debug)]
pub struct Registry {
    file_system: Arc<dyn FileSystem>,
    directory: PathBuf,
    records: Vec<Record>,
}

impl Registry {
    /// Reads all records; none if the directory does not exist.
    pub fn open(store: &Path) -> Result<Self, EngineError> {
        Self::open_in(Arc::new(DiskFileSystem), store)
    }

    /// [`Registry::open`] with files of the caller's.
    pub fn open_in(file_system: Arc<dyn FileSystem>, store: &Path) -> Result<Self, EngineError> {
        let mut registry = Registry {
            file_system,
            directory: store.join("registry"),
            records: Vec::new(),
        };
        // First, so that whoever appends meanwhile has written at least what it says.
        let newest = registry.newest()?;
        while registry.read_next()? {}
        let found = registry.records.len() as u64;
        if newest > found {
            return Err(EngineError::Registry {
                path: record_path(&registry.directory, found + 1),
                reason: "it is missing".to_owned(),
            });
        }
        while let Some(later) = registry.later()? {
            // It was appended since, and what is before it was before it; or that was lost.
            if !registry.read_next()? {
                let missing = registry.records.len() + 1;
                return Err(EngineError::Registry {
                    path: registry.directory.join(later),
                    reason: format!("record {missing} before it is missing"),
                });
            }
        }
        Ok(registry)
    }

    /// What tells this store from others: a digest of its first record, which says when it was
    /// made and of what. `None` as long as nothing was applied.
    pub fn identity(&self) -> Option<String> {
        let first = serde_json::to_vec(self.records.first()?).ok()?;
        Some(blake3::hash(&first).to_hex()[..32].to_owned())
    }

    /// Reads the next record, if it is there.
    fn read_next(&mut self) -> Result<bool, EngineError> {
        let sequence = self.records.len() as u64 + 1;
        let path = record_path(&self.directory, sequence);
        let Some(bytes) = self.read(&path)? else {
            return Ok(false);
        };
        let mut record = parse(&path, &bytes, sequence)?;
        for object in &mut record.objects {
            object.bytes = self.content_of(object)?;
        }
        self.records.push(record);
        Ok(true)
    }

    /// The content that an object pins: one that is there already is shared.
    fn content_of(&self, object: &Object) -> Result<Option<Arc<[u8]>>, EngineError> {
        let Some(digest) = &object.content else {
            return Ok(None);
        };
        let known = self.records.iter().flat_map(|record| &record.objects);
        let mut known = known.filter(|other| other.content.as_ref() == Some(digest));
        if let Some(Object {
            bytes: Some(bytes), ..
        }) = known.next()
        {
            return Ok(Some(Arc::clone(bytes)));
        }
        let path = content_path(&self.directory, digest);
        let damaged = |reason: &str| EngineError::Registry {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let bytes = self.read(&path)?.ok_or_else(|| damaged("it is missing"))?;
        if content_digest(&bytes) != *digest {
            return Err(damaged("its content has another digest"));
        }
        Ok(Some(bytes.into()))
    }

    /// The bytes of a file, if it exists.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
        let read = || -> io::Result<Vec<u8>> {
            let file = self.file_system.open(path, OpenMode::Read)?;
            let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
            let length = file.read_at(0, &mut bytes)?;
            bytes.truncate(length);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EngineError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// How many records were there at least; 0 if nothing that reads says so.
    fn newest(&self) -> Result<u64, EngineError> {
        let bytes = self.read(&self.directory.join(NEWEST))?;
        let number = bytes.and_then(|bytes| unsealed(&bytes)?.parse().ok());
        Ok(number.unwrap_or(0))
    }

    /// The name of a record that is later than those that were read, if there is one.
    fn later(&self) -> Result<Option<String>, EngineError> {
        let found = self.records.len() as u64;
        let names = match self.file_system.list(&self.directory) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(EngineError::Read {
                    path: self.directory.clone(),
                    source,
                });
            }
        };
        let is_later = |name: &String| {
            let number = name.strip_suffix(".json");
            let number = number.and_then(|n| n.parse::<u64>().ok());
            number.is_some_and(|n| n > found)
        };
        Ok(names.into_iter().find(is_later))
    }

    /// The records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The registry as it would be with a record; nothing is written.
    pub(crate) fn with(&self, applied_at: i64, objects: Vec<Object>) -> Registry {
        let mut records = self.records.clone();
        records.push(Record::new(records.len() as u64 + 1, applied_at, objects));
        Registry {
            file_system: Arc::clone(&self.file_system),
            directory: self.directory.clone(),
            records,
        }
    }

    /// Appends a record, durably. The caller holds the log's lock.
    pub fn append(&mut self, applied_at: i64, objects: Vec<Object>) -> Result<(), EngineError> {
        let sequence = self.records.len() as u64 + 1;
        let record = Record::new(sequence, applied_at, objects);
        let path = record_path(&self.directory, sequence);
        self.file_system
            .create_directory(&self.directory)
            .map_err(write_error(&self.directory))?;
        let json = serde_json::to_string(&record).map_err(|e| EngineError::Registry {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        if self.read(&path)?.is_some() {
            return Err(EngineError::RegistryRace {
                path: self.directory.clone(),
            });
        }
        for object in &record.objects {
            self.put_content(object)?;
        }
        self.put(&path, sealed(&json).as_bytes())?;
        // After it: it never claims too much.
        let newest = sealed(&sequence.to_string());
        self.put(&self.directory.join(NEWEST), newest.as_bytes())?;
        self.records.push(record);
        Ok(())
    }

    /// Writes the content that an object pins, unless it is there.
    fn put_content(&self, object: &Object) -> Result<(), EngineError> {
        let Some(digest) = &object.content else {
            return Ok(());
        };
        let path = content_path(&self.directory, digest);
        let is_there = self
            .read(&path)?
            .is_some_and(|there| content_digest(&there) == *digest);
        match &object.bytes {
            _ if is_there => Ok(()),
            Some(bytes) => self.put(&path, bytes),
            // A record without what it names would close the store.
            None => Err(EngineError::Registry {
                path,
                reason: "its content is not known".to_owned(),
            }),
        }
    }

    /// Writes a file under its name, durably and whole.
    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
        let aside = path.with_extension("tmp");
        match self.file_system.remove(&aside) {
            // Of a process that died.
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(write_error(&aside)(source)),
        }
        let write = || -> io::Result<()> {
            let file = self.file_system.open(&aside, OpenMode::Create)?;
            file.write_at(0, bytes)?;
            file.sync_data()?;
            self.file_system.rename(&aside, path)?;
            self.file_system.sync_directory(&self.directory)
        };
        write().map_err(write_error(path))
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}

/// A line and its digest.
pub(crate) fn sealed(line: &str) -> String {
    format!(
        "{line}\nblake3 {}\n",
        blake3::hash(line.as_bytes()).to_hex()
    )
}

/// The line, if the digest is its.
pub(crate) fn unsealed(bytes: &[u8]) -> Option<&str> {
    let (line, rest) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let digest = rest.strip_prefix("blake3 ")?.strip_suffix('\n')?;
    (blake3::hash(line.as_bytes()).to_hex().as_str() == digest).then_some(line)
}

/// What files with contents end with.
pub(crate) const CONTENT_SUFFIX: &str = ".content";

fn content_path(directory: &Path, digest: &str) -> PathBuf {
    directory.join(format!("{digest}{CONTENT_SUFFIX}"))
}

fn record_path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:08}.json"))
}

fn parse(path: &Path, bytes: &[u8], sequence: u64) -> Result<Record, EngineError> {
    let damaged = |reason: &str| EngineError::Registry {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let json = unsealed(bytes).ok_or_else(|| damaged("its digest does not match"))?;
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
    use std::fs;

    use evenkeel_log::{Crash, MemoryFileSystem};

    use super::*;

    fn object(name: &str) -> Object {
        Object {
            kind: "entity".to_owned(),
            name: name.to_owned(),
            version: 1,
            source_id: None,
            sql: format!("CREATE ENTITY {name} (k STRING)"),
            content: None,
            bytes: None,
        }
    }

    /// One that pins a content.
    fn pinning(name: &str) -> Object {
        let bytes: Arc<[u8]> = name.as_bytes().into();
        Object {
            content: Some(content_digest(&bytes)),
            bytes: Some(bytes),
            ..object(name)
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
        assert_eq!(again.records()[0].format, FORMAT_WITHOUT_CONTENT);

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
        assert!(error.contains("is missing"), "{error}");
    }

    #[test]
    fn a_lost_newest_record_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        registry.append(1, vec![object("a")]).unwrap();
        registry.append(2, vec![object("b")]).unwrap();
        let newest = directory.path().join("registry").join(NEWEST);
        let good = fs::read(&newest).unwrap();
        // What says so is no more than a help: damaged, nothing is missing.
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            fs::write(&newest, &bad).unwrap();
            let found = Registry::open(directory.path()).unwrap();
            assert_eq!(found.records(), registry.records(), "bit {at}");
        }
        fs::write(&newest, &good).unwrap();
        fs::remove_file(record_path(&directory.path().join("registry"), 2)).unwrap();
        let error = Registry::open(directory.path()).unwrap_err().to_string();
        assert!(
            error.contains("00000002.json") && error.contains("missing"),
            "{error}"
        );
    }

    /// Appends records to the registry in it before it lists a directory.
    #[derive(Debug)]
    struct AppendsFirst(MemoryFileSystem, std::sync::Mutex<i64>);

    impl FileSystem for AppendsFirst {
        fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
            let mut more = self.1.lock().unwrap();
            for n in 0..*more {
                let files = Arc::new(self.0.clone());
                let mut registry = Registry::open_in(files, Path::new("/s")).unwrap();
                registry.append(n, vec![object("x")]).unwrap();
            }
            *more = 0;
            self.0.list(directory)
        }

        fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn evenkeel_log::File>> {
            self.0.open(path, mode)
        }

        fn create_directory(&self, path: &Path) -> io::Result<()> {
            self.0.create_directory(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.0.rename(from, to)
        }

        fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.0.rename_new(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.0.remove(path)
        }

        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            self.0.sync_directory(path)
        }

        fn lock(&self, path: &Path) -> io::Result<evenkeel_log::Lock> {
            self.0.lock(path)
        }
    }

    #[test]
    fn what_is_appended_while_it_is_opened_is_read_and_no_damage() {
        for more in 0..4 {
            let files = MemoryFileSystem::new();
            let mut registry = Registry::open_in(Arc::new(files.clone()), Path::new("/s")).unwrap();
            registry.append(1, vec![object("a")]).unwrap();
            let files = AppendsFirst(files, more.into());
            let opened = Registry::open_in(Arc::new(files), Path::new("/s")).unwrap();
            assert_eq!(opened.records().len() as i64, 1 + more);
        }
    }

    const APPLIES: u64 = 3;

    /// Appends records until something fails; how many were acknowledged.
    fn appends(files: &MemoryFileSystem) -> Result<u64, u64> {
        let mut acknowledged = 0;
        loop {
            // Each as a command of its own.
            let Ok(mut registry) = Registry::open_in(Arc::new(files.clone()), Path::new("/s"))
            else {
                return Err(acknowledged);
            };
            let name = format!("e{acknowledged}");
            let objects = vec![object(&name), pinning(&name), pinning("shared")];
            if registry.append(acknowledged as i64, objects).is_err() {
                return Err(acknowledged);
            }
            acknowledged += 1;
            if acknowledged == APPLIES {
                return Ok(acknowledged);
            }
        }
    }

    /// Cuts the power at every operation; what was found wanting.
    fn cut_everywhere(prepare: impl Fn(&MemoryFileSystem)) -> Vec<String> {
        let whole = MemoryFileSystem::new();
        assert_eq!(appends(&whole), Ok(APPLIES));
        let mut wanting = Vec::new();
        for at in 0..=whole.operations() {
            let seeds = (0..20).map(|seed| Crash::Tear { seed });
            let crashes = [Crash::LoseUnsynced, Crash::KeepUnsynced].into_iter();
            for crash in crashes.chain(seeds) {
                let files = MemoryFileSystem::new();
                prepare(&files);
                files.power_off_at(at);
                let acknowledged = appends(&files).unwrap_or_else(|before| before);
                let left = files.crash(crash);
                match Registry::open_in(Arc::new(left.clone()), Path::new("/s")) {
                    Ok(registry) => {
                        let found = registry.records().len() as u64;
                        if found < acknowledged || found > acknowledged + 1 {
                            wanting.push(format!("{at} {crash:?}: {found} of {acknowledged}"));
                        }
                    }
                    Err(error) => wanting.push(format!("{at} {crash:?}: {error}")),
                }
                let mut registry = match Registry::open_in(Arc::new(left), Path::new("/s")) {
                    Ok(registry) => registry,
                    Err(_) => continue,
                };
                if let Err(error) = registry.append(9, vec![pinning("after"), pinning("e1")]) {
                    wanting.push(format!("{at} {crash:?}: no more records: {error}"));
                }
            }
        }
        wanting
    }

    #[test]
    fn a_power_cut_at_every_operation_loses_no_record() {
        assert_eq!(cut_everywhere(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn without_syncs_a_power_cut_loses_records() {
        assert!(!cut_everywhere(MemoryFileSystem::ignore_data_syncs).is_empty());
        assert!(!cut_everywhere(MemoryFileSystem::ignore_directory_syncs).is_empty());
    }

    #[test]
    fn a_newer_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(directory.path()).unwrap();
        registry.append(1, vec![object("a")]).unwrap();
        let path = record_path(&directory.path().join("registry"), 1);
        let json = r#"{"format":3,"sequence":1,"news":true}"#;
        let digest = blake3::hash(json.as_bytes()).to_hex();
        fs::write(&path, format!("{json}\nblake3 {digest}\n")).unwrap();
        assert!(matches!(
            Registry::open(directory.path()),
            Err(EngineError::StoreFormat { format: 3, .. })
        ));
    }
}
