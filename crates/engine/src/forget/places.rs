//! Where a key is besides log, lake and hot tier: frozen segments, datasets, the log of what was served.
//!
//! Invariant: looking changes nothing, and carrying out once more what was carried out changes nothing.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use evenkeel_connect::{AtomicFile, Table, value_to_json};
use evenkeel_log::{DiskFileSystem, FileSystem, LockGuard};
use evenkeel_types::definition::{Catalog, EntityDef};
use evenkeel_types::{Column, Cut, Field, SourceId, Value};
use serde_json::Value as Json;

use super::report::{ForgetReport, ForgottenDataset, ForgottenSegment};
use super::subject::Subject;
use crate::dataset::{DatasetFolder, DatasetManifest, DatasetName, names};
use crate::error::EngineError;
use crate::offline::Offline;
use crate::segment::{FrozenName, FrozenSegments};
use crate::served;

/// The rows of a table that are the key's; none if it has no columns of these names and types.
fn rows_of(table: &Table, keys: &[Field], subject: &Subject) -> Option<Vec<u32>> {
    let column = |key: &Field| table.column_as(&key.name, &key.data_type).ok();
    let columns: Vec<Column> = keys.iter().map(column).collect::<Option<_>>()?;
    let slots: Vec<usize> = (0..columns.len()).collect();
    let is_its = |row: &u32| {
        let parts: Vec<Value> = columns.iter().map(|c| c.get(*row as usize)).collect();
        subject.is(&parts, &slots)
    };
    let rows = u32::try_from(table.len()).unwrap_or(u32::MAX);
    Some((0..rows).filter(is_its).collect())
}

/// Frozen segments of the entity that have the key.
pub(super) fn segments(
    store: &Path,
    entity: &EntityDef,
    subject: &Subject,
) -> Result<Vec<ForgottenSegment>, EngineError> {
    let frozen = FrozenSegments::of(store);
    let mut found = Vec::new();
    for manifest in frozen.list()? {
        if manifest.entity != entity.name {
            continue;
        }
        let table = frozen.table(&manifest)?;
        let rows = rows_of(&table, &entity.keys, subject).map_or(0, |rows| rows.len() as u64);
        if rows > 0 {
            found.push(ForgottenSegment {
                segment: format!("{}:{}", manifest.segment, manifest.number),
                rows,
            });
        }
    }
    Ok(found)
}

/// Takes the key out of frozen segments.
pub(super) fn thaw(
    store: &Path,
    entity: &EntityDef,
    subject: &Subject,
    report: &ForgetReport,
) -> Result<(), EngineError> {
    let frozen = FrozenSegments::of(store);
    for segment in &report.segments {
        let name: FrozenName = segment.segment.parse()?;
        frozen.leave_out(&name, segment.rows, &|table| {
            rows_of(table, &entity.keys, subject).unwrap_or_default()
        })?;
    }
    Ok(())
}

/// The datasets that read any of these events, with their rows of the key.
pub(super) fn datasets(
    offline: &Offline,
    entity: &EntityDef,
    subject: &Subject,
    reads: &dyn Fn(SourceId, &Cut) -> bool,
) -> Result<Vec<ForgottenDataset>, EngineError> {
    let folder = DatasetFolder::of(offline.store());
    let catalog = offline.catalog();
    let mut found = Vec::new();
    for (name, version) in folder.built()? {
        let manifest = folder.manifest(&DatasetName {
            name: name.clone(),
            version: Some(version),
        })?;
        let cut = offline.parse_cut(&manifest.cut)?;
        let sources = manifest.moments.iter();
        let mut sources = sources.filter_map(|moment| catalog.sources.get(&moment.source));
        let place = folder.place(&name, version);
        let rows = rows_in(&place, &manifest, (catalog, entity), subject);
        let is_touched = sources.any(|source| reads(source.id, &cut));
        if is_touched || rows.is_some_and(|rows| rows > 0) {
            let files = manifest.parts.iter().flat_map(|part| &part.files);
            found.push(ForgottenDataset {
                dataset: manifest.title(),
                rows,
                files: files
                    .map(|file| place.join(&file.file).display().to_string())
                    .collect(),
                removed: false,
            });
        }
    }
    Ok(found)
}

/// The rows of the key in the files of a dataset; none if no file of a part can be read, or it is not said
/// which column is the key.
fn rows_in(
    place: &Path,
    manifest: &DatasetManifest,
    (catalog, entity): (&Catalog, &EntityDef),
    subject: &Subject,
) -> Option<u64> {
    let is_its = |view: &str| {
        let versions = catalog.views.get(view);
        let mut versions = versions.into_iter().flat_map(|versions| versions.values());
        versions.any(|view| view.entity.as_deref() == Some(&entity.name))
    };
    let views = manifest.service.views.iter();
    let mut roles: Vec<Vec<Field>> = views
        .filter(|pin| is_its(&pin.view))
        .map(|pin| {
            let parts = pin.key.iter().zip(&entity.keys);
            parts
                .map(|(name, key)| Field::new(name.clone(), key.data_type.clone()))
                .collect()
        })
        .collect();
    roles.push(entity.keys.clone());
    let mut count = 0;
    for part in &manifest.parts {
        let mut tables = part
            .files
            .iter()
            .map(|file| Table::read(&place.join(&file.file)));
        let table = tables.find_map(Result::ok)?;
        let mut found: Vec<u32> = roles
            .iter()
            .filter_map(|keys| rows_of(&table, keys, subject))
            .flatten()
            .collect();
        found.sort_unstable();
        found.dedup();
        count += found.len() as u64;
    }
    Some(count)
}

/// Removes the files of datasets that have rows of the key, or of which that is not known. Manifests
/// stay: models are served in their order.
pub(super) fn remove_datasets(report: &mut ForgetReport) -> Result<(), EngineError> {
    for dataset in &mut report.datasets {
        if dataset.rows == Some(0) {
            continue;
        }
        for file in &dataset.files {
            let path = PathBuf::from(file);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(EngineError::Write { path, source });
                }
                _ => {}
            }
        }
        if let Some(folder) = dataset
            .files
            .first()
            .and_then(|file| Path::new(file).parent())
        {
            sync(folder)?;
        }
        dataset.removed = true;
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), EngineError> {
    let synced = DiskFileSystem.sync_directory(folder);
    synced.map_err(|source| EngineError::Write {
        path: folder.to_owned(),
        source,
    })
}

/// Takes datasets and frozen segments, so that nobody writes one meanwhile, and removes what processes
/// left that were killed while they did. To be kept until all is done.
pub(super) fn hold(store: &Path) -> Result<Vec<Box<dyn LockGuard>>, EngineError> {
    let mut held = DatasetFolder::of(store).hold_all()?;
    held.extend(FrozenSegments::of(store).hold_all()?);
    for folder in ["served", "forgetting", "forgotten"] {
        remove_temporary(&store.join(folder))?;
    }
    Ok(held)
}

/// Removes files that did not come to have their names.
pub(super) fn remove_temporary(folder: &Path) -> Result<(), EngineError> {
    for name in names(folder)? {
        if name.starts_with('.') && name.ends_with(".tmp") {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(|source| EngineError::Write { path, source })?;
        }
    }
    Ok(())
}

/// How many answers that were served name the key, or all.
pub(super) fn served(store: &Path, lines: &Lines<'_>) -> Result<u64, EngineError> {
    let mut count = 0;
    for path in served::files_in(store) {
        let text = read(&path)?;
        count += text.lines().filter(|line| lines.goes(line)).count() as u64;
    }
    Ok(count)
}

/// Takes them out.
pub(super) fn remove_served(store: &Path, lines: &Lines<'_>) -> Result<(), EngineError> {
    for path in served::files_in(store) {
        let text = read(&path)?;
        let kept: Vec<&str> = text.lines().filter(|line| !lines.goes(line)).collect();
        if kept.len() == text.lines().count() {
            continue;
        }
        let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
        for line in kept {
            writeln!(file, "{line}").map_err(|source| EngineError::Write {
                path: path.clone(),
                source,
            })?;
        }
        file.commit().map_err(EngineError::connect)?;
    }
    Ok(())
}

/// Which lines of the log of what was served go.
pub(super) struct Lines<'a> {
    subject: &'a Subject,
    key: Vec<Json>,
    all: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn of(entity: &EntityDef, subject: &'a Subject, all: bool) -> Self {
        let parts = entity.keys.iter().zip(&subject.key);
        Lines {
            key: parts
                .map(|(k, value)| value_to_json(&k.data_type, value))
                .collect(),
            subject,
            all,
        }
    }

    /// Whether a line has each part of the key among the inputs of a row, or names it in a text of inputs or
    /// values; one that was cut short, anywhere.
    fn goes(&self, line: &str) -> bool {
        if self.all {
            return true;
        }
        let json = line.split_once(' ').map_or("", |(_, json)| json);
        let Ok(answer) = serde_json::from_str::<Json>(json) else {
            return self.subject.is_named(line);
        };
        let rows = answer["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let has_it = rows.iter().any(|row| {
            let inputs = row.as_array().map_or(&[][..], Vec::as_slice);
            self.key.iter().all(|part| inputs.contains(part))
        });
        has_it || self.names(&answer["rows"]) || self.names(&answer["values"])
    }

    fn names(&self, json: &Json) -> bool {
        match json {
            Json::String(text) => self.subject.is_named(text),
            Json::Array(items) => items.iter().any(|item| self.names(item)),
            Json::Object(members) => members.values().any(|item| self.names(item)),
            _ => false,
        }
    }
}

fn read(path: &Path) -> Result<String, EngineError> {
    let bytes = fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
