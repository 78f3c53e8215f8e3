//! The tables of the lake in a backup: of a log that is truncated they have the events. Those in an object store are
//! named, not copied: what the log does not have stays there, whatever is flushed later.
//!
//! Invariant: what is copied is a table at one moment, as the lake is held meanwhile, and has nothing that the
//! copied log does not have, as it is held from before that; what is brought back is written over nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_lake::{Hold, Lake, LakeAddress};
use evenkeel_log::{DiskFileSystem, LogReader};

use super::Manifest;
use crate::cold_tier::{ColdTier, truncated_ends};
use crate::definitions::catalog_of;
use crate::engine::{Engine, log_directory};
use crate::error::EngineError;
use crate::machine::Machine;
use crate::project::Project;
use crate::registry::Registry;

/// The folder of a table's own log.
const DELTA_LOG: &str = "_delta_log";

/// Whether events of a log are in the lake alone.
pub(super) fn is_truncated(store: &Path) -> Result<bool, EngineError> {
    has_truncated(&open(store)?)
}

fn open(store: &Path) -> Result<LogReader, EngineError> {
    let opened = LogReader::open(Arc::new(DiskFileSystem), &log_directory(store));
    opened.map(|(log, _)| log).map_err(EngineError::log)
}

fn has_truncated(log: &LogReader) -> Result<bool, EngineError> {
    let segments = log.segments().map_err(EngineError::log)?;
    Ok(segments.iter().any(|segment| segment.is_truncated))
}

/// What holds still while a backup is made.
pub(super) enum Held {
    /// Nothing: the log has everything itself.
    Nothing,
    /// The lake on this machine.
    Tables(Hold),
    /// Nothing, as the tables are not copied: they are there.
    Elsewhere(String),
}

/// The log that is copied. If it is truncated by a lake on this machine nothing is flushed from before it is opened until the tables are
/// copied, too: a table that is ahead of a restored log would have other events at its next positions.
pub(super) fn open_log(project: &Project) -> Result<(LogReader, Held), EngineError> {
    Engine::refuse_forgetting(project, &Machine::default())?;
    let log = open(&project.store)?;
    if !has_truncated(&log)? {
        return Ok((log, Held::Nothing));
    }
    if let LakeAddress::Objects { .. } = &project.lake_address {
        return Ok((log, Held::Elsewhere(project.lake_address.to_string())));
    }
    let machine = Machine::default();
    let lake = Lake::at(&project.lake_address, machine.files, machine.clock);
    let hold = lake.and_then(|lake| lake.hold());
    let hold = hold.map_err(EngineError::lake)?;
    Ok((open(&project.store)?, Held::Tables(hold)))
}

/// Copies the tables of a lake on a local disk, which is held; the folders that they are in.
pub(super) fn copy_tables(
    project: &Project,
    partial: &Path,
    hold: Hold,
) -> Result<Vec<String>, EngineError> {
    let LakeAddress::Directory(directory) = &project.lake_address else {
        return Ok(Vec::new());
    };
    let mut folders = Vec::new();
    for table in super::folders_in(directory)? {
        for (folder, place) in [
            (format!("lake/{table}"), directory.join(&table)),
            (
                format!("lake/{table}/{DELTA_LOG}"),
                directory.join(&table).join(DELTA_LOG),
            ),
        ] {
            let is_whole = |name: &str| !name.ends_with(".temporary");
            super::copy_files(&place, &partial.join(&folder), is_whole)?;
            folders.push(folder);
        }
    }
    drop(hold);
    Ok(folders)
}

/// Refuses to bring back a store for which the project's lake does not have what its log lacks. The lake may have another
/// name by now.
pub(super) fn refuse_other(
    project: &Project,
    manifest: &Manifest,
    log: &LogReader,
    registry: &Registry,
) -> Result<(), EngineError> {
    let Some(wanted) = &manifest.lake else {
        return Ok(());
    };
    let catalog = catalog_of(registry, Some(project.functions.clone()))?;
    let cold = ColdTier::of(project, &Machine::default(), registry.identity());
    let mut sources = catalog.sources.values();
    let lacking = sources.try_for_each(|source| {
        let ends = truncated_ends(log, source)?;
        cold.refuse_lacking(source, &ends)
    });
    lacking.map_err(|source| EngineError::OtherLake {
        wanted: wanted.clone(),
        found: project.lake_address.to_string(),
        source: Box::new(source),
    })
}

/// The folders of the lake that a backup has, and no others.
pub(super) fn folders(manifest: &Manifest) -> BTreeSet<String> {
    let folder = |path: &String| {
        let (folder, _) = path.rsplit_once('/')?;
        let table = folder.strip_prefix("lake/")?;
        let table = table
            .strip_suffix(&format!("/{DELTA_LOG}"))
            .unwrap_or(table);
        let is_name = !["", ".", ".."].contains(&table) && !table.contains('/');
        is_name.then(|| folder.to_owned())
    };
    manifest.files.keys().filter_map(folder).collect()
}

/// Where a folder of the lake goes: below the store, if the lake is there.
pub(super) fn place(
    project: &Project,
    from: &Path,
    partial: &Path,
    folder: &str,
) -> Result<PathBuf, EngineError> {
    let refused = |reason: String| EngineError::Backup {
        path: from.to_owned(),
        reason,
    };
    let LakeAddress::Directory(directory) = &project.lake_address else {
        return Err(refused(
            "it has the tables of a lake on a local disk, and the project's is none".to_owned(),
        ));
    };
    let table = Path::new(folder.strip_prefix("lake/").unwrap_or(folder));
    if let Ok(below) = directory.strip_prefix(&project.store) {
        return Ok(partial.join(below).join(table));
    }
    let place = directory.join(table);
    match super::files(&place)?.is_empty() {
        true => Ok(place),
        false => Err(refused(format!(
            "it has tables of the lake, and there are files in `{}`: move them away first",
            place.display()
        ))),
    }
}
