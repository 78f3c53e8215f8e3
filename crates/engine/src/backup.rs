//! Copies of a store: taken while it serves, checked, brought back.
//!
//! A backup is the log up to a cut, the registry, the records of runs of batch views, the datasets that were
//! built and the segments that were frozen; everything else is computed from them. Where the log is
//! truncated the lake's tables are part of it, of the same moment (`docs/decisions/0035-truncation-of-the-log.md`).
//! Its manifest has a digest of every file.

mod lake;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_log::{DiskFileSystem, FileSystem, LogReader};
use serde::{Deserialize, Serialize};

use crate::batch::RunRecord;
use crate::capture_record::CAPTURES;
use crate::dataset::{DatasetFolder, DatasetName};
use crate::error::EngineError;
use crate::project::Project;
use crate::registry::{CONTENT_SUFFIX, Registry};
use crate::segment::{FrozenSegments, is_frozen_file};
use lake::Held;

const MANIFEST: &str = "backup.json";
/// What was forgotten: which datasets cannot be built again.
const FORGOTTEN: &str = "forgotten";
/// The version of the manifest that is written.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The manifest's format version.
    pub format: u32,
    /// The project's name.
    pub project: String,
    /// Records of the log: events, dead letters, redriven marks.
    pub records: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// BLAKE3 digests by path, relative to the backup.
    pub files: BTreeMap<String, String>,
    /// The lake in an object store that has the events which the log does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lake: Option<String>,
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Read { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}

fn sync_directory(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(write_error(path))
}

/// A file's digest and length.
fn digest(path: &Path) -> Result<(String, u64), EngineError> {
    let mut file = File::open(path).map_err(read_error(path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(read_error(path))?;
        if read == 0 {
            return Ok((hasher.finalize().to_hex().to_string(), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// The files of a folder, sorted by name; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(read_error(folder)(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(read_error(folder))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The names of the folders in a folder, sorted; none if there is no folder.
fn folders_in(folder: &Path) -> Result<Vec<String>, EngineError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(read_error(folder)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read_error(folder))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Copies files, durably; those whose names `wanted` takes.
fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), EngineError> {
    DiskFileSystem
        .create_directory(to)
        .map_err(write_error(to))?;
    for path in files(from)? {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        if !wanted(name) {
            continue;
        }
        let target = to.join(name);
        fs::copy(&path, &target).map_err(write_error(&target))?;
        File::open(&target)
            .and_then(|file| file.sync_all())
            .map_err(write_error(&target))?;
    }
    sync_directory(to)
}

fn is_record(name: &str) -> bool {
    name.ends_with(".json")
}

fn is_of_registry(name: &str) -> bool {
    is_record(name) || name.ends_with(CONTENT_SUFFIX)
}

fn is_log(name: &str) -> bool {
    name.ends_with(".segment") || name == "mark"
}

/// Makes a backup of a project's store in a folder that does not exist yet. The store may be
/// in use. `progress` is called with the bytes copied and the bytes to copy.
///
/// # Errors
/// If the store cannot be read or the folder cannot be written; then nothing of the folder's
/// name is left.
pub fn backup(
    project: &Project,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, EngineError> {
    refuse_existing(target)?;
    let partial = partial_of(target);
    remove(&partial)?;
    DiskFileSystem
        .create_directory(&partial)
        .map_err(write_error(&partial))?;
    let mut folders = vec!["log".to_owned(), "registry".to_owned()];
    // Before the log: of a run that is recorded as finished, the log has every row.
    for view in folders_in(&project.store.join("runs"))? {
        let folder = format!("runs/{view}");
        let place = project.store.join(&folder);
        copy_files(&place, &partial.join(&folder), is_record)?;
    }
    // So are those of how far tables of other systems were followed: never ahead of the log.
    if project.store.join(CAPTURES).is_dir() {
        let place = project.store.join(CAPTURES);
        copy_files(&place, &partial.join(CAPTURES), is_record)?;
        folders.push(CAPTURES.to_owned());
    }
    // The log next: whatever is in it was defined before, so is in the registry later.
    let (log, held) = lake::open_log(project)?;
    let copied = log
        .copy_to(&partial.join("log"), progress)
        .map_err(EngineError::log)?;
    // And after it: of a row that a run has written meanwhile, the record is there.
    for view in folders_in(&project.store.join("runs"))? {
        RunRecord::copy_begun(&project.store, &view, &partial)?;
        folders.push(format!("runs/{view}"));
    }
    copy_files(
        &project.store.join("registry"),
        &partial.join("registry"),
        is_of_registry,
    )?;
    let mut elsewhere = None;
    if lake::is_truncated(&partial)? {
        match held {
            // It was truncated for the first time meanwhile: once more, with the lake held.
            Held::Nothing => return backup(project, target, progress),
            Held::Tables(hold) => folders.extend(lake::copy_tables(project, &partial, hold)?),
            Held::Elsewhere(url) => elsewhere = Some(url),
        }
    }
    let datasets = DatasetFolder::of(&project.store);
    for (name, version) in datasets.built()? {
        let folder = format!("datasets/{name}/{version}");
        let place = datasets.place(&name, version);
        copy_files(&place, &partial.join(&folder), |_| true)?;
        folders.push(folder);
    }
    for segment in FrozenSegments::of(&project.store).segments()? {
        let folder = format!("segments/{segment}");
        copy_files(
            &project.store.join(&folder),
            &partial.join(&folder),
            is_frozen_file,
        )?;
        folders.push(folder);
    }
    let forgotten = project.store.join(FORGOTTEN);
    if forgotten.is_dir() {
        copy_files(&forgotten, &partial.join(FORGOTTEN), is_record)?;
        folders.push(FORGOTTEN.to_owned());
    }
    let mut manifest = Manifest {
        format: FORMAT,
        project: project.name.clone(),
        records: copied.records,
        bytes: 0,
        files: BTreeMap::new(),
        lake: elsewhere,
    };
    for folder in folders {
        for path in files(&partial.join(&folder))? {
            let (digest, bytes) = digest(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            manifest.files.insert(format!("{folder}/{name}"), digest);
            manifest.bytes += bytes;
        }
    }
    let path = partial.join(MANIFEST);
    let json = serde_json::to_string_pretty(&manifest).expect("plain data has a JSON form");
    File::create(&path)
        .and_then(|mut file| {
            file.write_all(json.as_bytes())?;
            file.sync_all()
        })
        .map_err(write_error(&path))?;
    publish(&partial, target)?;
    Ok(manifest)
}

/// Brings a backup back as a project's store, which must not exist. Every file is checked
/// against the manifest, and the log is read once, before anything has the store's name.
///
/// # Errors
/// If the backup is damaged, or there is a store.
pub fn restore(project: &Project, from: &Path) -> Result<Manifest, EngineError> {
    refuse_existing(&project.store)?;
    let manifest = read_manifest(from)?;
    for (name, wanted) in &manifest.files {
        let path = from.join(name);
        let (found, _) = digest(&path)?;
        if found != *wanted {
            return Err(EngineError::Backup {
                path,
                reason: "it is not the file that was written: its digest is another".to_owned(),
            });
        }
    }
    let partial = partial_of(&project.store);
    remove(&partial)?;
    let listed =
        |folder: &str, name: &str| manifest.files.contains_key(&format!("{folder}/{name}"));
    copy_files(&from.join("log"), &partial.join("log"), |name| {
        is_log(name) && listed("log", name)
    })?;
    copy_files(&from.join("registry"), &partial.join("registry"), |name| {
        is_of_registry(name) && listed("registry", name)
    })?;
    for folder in dataset_folders(&manifest) {
        copy_files(&from.join(&folder), &partial.join(&folder), |name| {
            listed(folder.as_str(), name)
        })?;
    }
    for folder in capture_folders(&manifest)
        .into_iter()
        .chain(run_folders(&manifest))
    {
        copy_files(&from.join(&folder), &partial.join(&folder), |name| {
            is_record(name) && listed(folder.as_str(), name)
        })?;
    }
    for folder in segment_folders(&manifest) {
        copy_files(&from.join(&folder), &partial.join(&folder), |name| {
            is_frozen_file(name) && listed(folder.as_str(), name)
        })?;
    }
    if manifest
        .files
        .keys()
        .any(|path| path.starts_with(&format!("{FORGOTTEN}/")))
    {
        copy_files(&from.join(FORGOTTEN), &partial.join(FORGOTTEN), |name| {
            is_record(name) && listed(FORGOTTEN, name)
        })?;
    }
    let (log, _) = LogReader::open(Arc::new(DiskFileSystem), &partial.join("log"))
        .map_err(EngineError::log)?;
    if log.next_sequence().0 != manifest.records {
        return Err(EngineError::Backup {
            path: from.to_owned(),
            reason: format!(
                "its log has {} records, its manifest says {}",
                log.next_sequence().0,
                manifest.records
            ),
        });
    }
    let registry = Registry::open(&partial)?;
    lake::refuse_other(project, &manifest, &log, &registry)?;
    // Last: they may not be below the store.
    for folder in lake::folders(&manifest) {
        let to = lake::place(project, from, &partial, &folder)?;
        copy_files(&from.join(&folder), &to, |name| {
            listed(folder.as_str(), name)
        })?;
    }
    publish(&partial, &project.store)?;
    Ok(manifest)
}

/// The folders of datasets that a backup has, and no others.
fn dataset_folders(manifest: &Manifest) -> BTreeSet<String> {
    let folder = |path: &String| {
        let mut parts = path.strip_prefix("datasets/")?.splitn(3, '/');
        let (name, version) = (parts.next()?, parts.next()?.parse::<u32>().ok()?);
        let wanted: DatasetName = format!("{name}:{version}").parse().ok()?;
        Some(format!("datasets/{}/{version}", wanted.name))
    };
    manifest.files.keys().filter_map(folder).collect()
}

/// The folder of captures, if a backup has one.
fn capture_folders(manifest: &Manifest) -> BTreeSet<String> {
    let is_one = |path: &String| {
        path.strip_prefix(CAPTURES)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let any = manifest.files.keys().any(is_one);
    any.then(|| CAPTURES.to_owned()).into_iter().collect()
}

/// The folders of runs that a backup has, and no others.
fn run_folders(manifest: &Manifest) -> BTreeSet<String> {
    let folder = |path: &String| {
        let (view, _) = path.strip_prefix("runs/")?.split_once('/')?;
        let is_name = !["", ".", ".."].contains(&view);
        is_name.then(|| format!("runs/{view}"))
    };
    manifest.files.keys().filter_map(folder).collect()
}

/// The folders of frozen segments that a backup has, and no others.
fn segment_folders(manifest: &Manifest) -> BTreeSet<String> {
    let folder = |path: &String| {
        let (name, _) = path.strip_prefix("segments/")?.split_once('/')?;
        let is_plain = evenkeel_ddl::dataset_name_problem(name).is_none();
        is_plain.then(|| format!("segments/{name}"))
    };
    manifest.files.keys().filter_map(folder).collect()
}

fn read_manifest(from: &Path) -> Result<Manifest, EngineError> {
    let path = from.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(read_error(&path))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| EngineError::Backup {
        path: path.clone(),
        reason: format!("its manifest does not read: {e}"),
    })?;
    if manifest.format > FORMAT {
        return Err(EngineError::StoreFormat {
            path,
            format: manifest.format,
        });
    }
    Ok(manifest)
}

fn refuse_existing(path: &Path) -> Result<(), EngineError> {
    if path.exists() {
        return Err(EngineError::Exists {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(write_error(path)(e)),
        _ => Ok(()),
    }
}

fn publish(partial: &Path, target: &Path) -> Result<(), EngineError> {
    sync_directory(partial)?;
    fs::rename(partial, target).map_err(write_error(target))?;
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}
