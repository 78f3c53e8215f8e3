//! Where datasets are: `datasets/NAME/VERSION` of a store, each with its manifest.
//!
//! A version is built in `VERSION.building` beside its place and appears by one rename, after
//! everything in it was synced. The lock of a name is the operating system's: it ends with its
//! process, and whoever takes it next removes what a killed build left.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use evenkeel_connect::AtomicFile;
use evenkeel_ddl::dataset_name_problem;
use evenkeel_log::{DiskFileSystem, FileSystem, Lock, LockGuard};

use super::DatasetName;
use super::manifest::{DatasetManifest, FileEntry};
use crate::definitions::unknown;
use crate::error::EngineError;

const MANIFEST: &str = "manifest.json";

/// The datasets of a store.
#[derive(Clone, Debug)]
pub struct DatasetFolder {
    path: PathBuf,
}

/// A version that is being built; without [`Building::publish`] it leaves nothing.
pub(super) struct Building {
    aside: PathBuf,
    place: PathBuf,
    _lock: Box<dyn LockGuard>,
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Read { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}

fn sync_directory(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(write_error(path))
}

impl DatasetFolder {
    /// Of a store's directory.
    pub fn of(store: &Path) -> Self {
        DatasetFolder {
            path: store.join("datasets"),
        }
    }

    /// Where the files of a version are.
    pub fn place(&self, name: &str, version: u32) -> PathBuf {
        self.path.join(name).join(version.to_string())
    }

    /// What was built, by name and version.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn built(&self) -> Result<Vec<(String, u32)>, EngineError> {
        let mut found = Vec::new();
        for name in names(&self.path)? {
            if dataset_name_problem(&name).is_some() {
                continue;
            }
            for version in names(&self.path.join(&name))? {
                let Ok(number) = version.parse::<u32>() else {
                    continue;
                };
                if number.to_string() == version {
                    found.push((name.clone(), number));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The manifest of a dataset; of its newest version that was built, if none is named.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn manifest(&self, wanted: &DatasetName) -> Result<DatasetManifest, EngineError> {
        let built = self.built()?;
        let of_name = built.iter().filter(|(name, _)| *name == wanted.name);
        let newest = of_name.clone().map(|(_, version)| *version).max();
        let Some(newest) = newest else {
            let names: Vec<String> = built.iter().map(|(name, _)| name.clone()).collect();
            return Err(unknown("dataset that was built", &wanted.name, &names));
        };
        let version = wanted.version.unwrap_or(newest);
        if !of_name.clone().any(|(_, built)| *built == version) {
            return Err(EngineError::Unknown {
                what: "dataset that was built",
                name: wanted.to_string(),
                nearest: Some(format!("{}:{newest}", wanted.name)),
            });
        }
        let path = self.place(&wanted.name, version).join(MANIFEST);
        let bytes = fs::read(&path).map_err(read_error(&path))?;
        let manifest = DatasetManifest::from_bytes(&path, &bytes)?;
        if (manifest.dataset.as_str(), manifest.version) != (wanted.name.as_str(), version) {
            return Err(EngineError::Dataset {
                path,
                reason: format!("it is the manifest of `{}`", manifest.title()),
            });
        }
        Ok(manifest)
    }

    /// Takes the lock of a name, and removes what a build that was killed left.
    pub(super) fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, EngineError> {
        let folder = self.path.join(name);
        DiskFileSystem
            .create_directory(&folder)
            .map_err(write_error(&folder))?;
        let path = folder.join("lock");
        let lock = DiskFileSystem.lock(&path).map_err(write_error(&path))?;
        let Lock::Taken(guard) = lock else {
            return Err(EngineError::DatasetBusy {
                name: name.to_owned(),
            });
        };
        for left in names(&folder)? {
            if left.ends_with(".building") {
                let path = folder.join(left);
                fs::remove_dir_all(&path).map_err(write_error(&path))?;
            }
        }
        Ok(guard)
    }

    /// Takes the locks of all names, and removes what builds that were killed left.
    pub(crate) fn hold_all(&self) -> Result<Vec<Box<dyn LockGuard>>, EngineError> {
        let names = names(&self.path)?.into_iter();
        let names = names.filter(|name| dataset_name_problem(name).is_none());
        names.map(|name| self.lock(&name)).collect()
    }

    /// Begins a version, which must not be there.
    pub(super) fn begin(&self, name: &str, version: u32) -> Result<Building, EngineError> {
        let lock = self.lock(name)?;
        let place = self.place(name, version);
        if place.exists() {
            return Err(EngineError::DatasetBuilt {
                name: name.to_owned(),
                version,
            });
        }
        Building::new(place, lock)
    }

    /// Begins files that are to be compared with those of a version.
    pub(super) fn begin_again(&self, name: &str, version: u32) -> Result<Building, EngineError> {
        let lock = self.lock(name)?;
        Building::new(self.place(name, version), lock)
    }
}

impl Building {
    fn new(place: PathBuf, lock: Box<dyn LockGuard>) -> Result<Self, EngineError> {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".building");
        let aside = place.with_file_name(name);
        fs::create_dir(&aside).map_err(write_error(&aside))?;
        Ok(Building {
            aside,
            place,
            _lock: lock,
        })
    }

    /// Where its files go.
    pub(super) fn folder(&self) -> &Path {
        &self.aside
    }

    /// Writes the manifest, and gives the whole its name.
    pub(super) fn publish(self, manifest: &DatasetManifest) -> Result<(), EngineError> {
        let path = self.aside.join(MANIFEST);
        let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
        io::Write::write_all(&mut file, &manifest.to_bytes()).map_err(write_error(&path))?;
        file.commit().map_err(EngineError::connect)?;
        sync_directory(&self.aside)?;
        fs::rename(&self.aside, &self.place).map_err(write_error(&self.place))?;
        let parent = self.place.parent().unwrap_or(&self.place);
        sync_directory(parent)?;
        Ok(())
    }

    /// Puts a file that was built again in the place of one that is gone or damaged.
    pub(super) fn replace(&self, file: &str) -> Result<(), EngineError> {
        let place = self.place.join(file);
        fs::rename(self.aside.join(file), &place).map_err(write_error(&place))?;
        sync_directory(&self.place)
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build.
        let _ = fs::remove_dir_all(&self.aside);
    }
}

/// The names in a folder; none if there is no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, EngineError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if is_no_folder(e.kind()) => return Ok(Vec::new()),
        Err(source) => return Err(read_error(folder)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read_error(folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Whether there is none, or a file that somebody put there.
fn is_no_folder(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A file as a manifest says it.
pub(super) fn entry_of(folder: &Path, file: &str) -> Result<FileEntry, EngineError> {
    let path = folder.join(file);
    let mut open = File::open(&path).map_err(read_error(&path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = open.read(&mut buffer).map_err(read_error(&path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok(FileEntry {
        file: file.to_owned(),
        bytes,
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// What is wrong with the datasets of a store: place and reason.
///
/// # Errors
/// If the folder cannot be read.
pub fn examine_datasets(store: &Path) -> Result<Vec<(PathBuf, String)>, EngineError> {
    let folder = DatasetFolder::of(store);
    let mut found = Vec::new();
    for (name, version) in folder.built()? {
        let place = folder.place(&name, version);
        let wanted = DatasetName {
            name,
            version: Some(version),
        };
        let manifest = match folder.manifest(&wanted) {
            Ok(manifest) => manifest,
            Err(error) => {
                found.push((place.join(MANIFEST), error.to_string()));
                continue;
            }
        };
        for file in manifest.parts.iter().flat_map(|part| &part.files) {
            match entry_of(&place, &file.file) {
                Ok(now) if now == *file => {}
                Ok(_) => found.push((
                    place.join(&file.file),
                    "it is not the file that was written: its digest is another".to_owned(),
                )),
                Err(error) => found.push((place.join(&file.file), error.to_string())),
            }
        }
    }
    Ok(found)
}
