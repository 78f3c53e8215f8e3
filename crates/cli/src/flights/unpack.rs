//! Puts the flights project, which is inside the binary, into a folder.
//!
//! Invariant: a file that somebody may have changed is never overwritten.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// What of the project a user may change: written if absent.
const PROJECT: [(&str, &str); 8] = [
    (
        "evenkeel.toml",
        include_str!("../../../../demo/evenkeel.toml"),
    ),
    ("README.md", include_str!("../../../../demo/README.md")),
    ("spine.sql", include_str!("../../../../demo/spine.sql")),
    (
        "definitions/1_entities.sql",
        include_str!("../../../../demo/definitions/1_entities.sql"),
    ),
    (
        "definitions/2_sources.sql",
        include_str!("../../../../demo/definitions/2_sources.sql"),
    ),
    (
        "definitions/3_views.sql",
        include_str!("../../../../demo/definitions/3_views.sql"),
    ),
    (
        "definitions/4_services.sql",
        include_str!("../../../../demo/definitions/4_services.sql"),
    ),
    (
        "definitions/5_datasets.sql",
        include_str!("../../../../demo/definitions/5_datasets.sql"),
    ),
];

/// The data as published.
const RAW: [(&str, &[u8]); 4] = [
    (
        "flights.parquet",
        include_bytes!("../../../../demo/data/raw/flights.parquet"),
    ),
    (
        "weather.parquet",
        include_bytes!("../../../../demo/data/raw/weather.parquet"),
    ),
    (
        "planes.parquet",
        include_bytes!("../../../../demo/data/raw/planes.parquet"),
    ),
    (
        "airports.parquet",
        include_bytes!("../../../../demo/data/raw/airports.parquet"),
    ),
];

/// By this line of `evenkeel.toml` a folder is a demo's.
const MARK: &str = "name = \"flights-demo\"";

/// What `--force` deletes, beside the definitions it brought: nothing that it did not make.
const MADE_FOLDERS: [&str; 2] = [".evenkeel", "data"];
const MADE_FILES: [&str; 1] = ["train.parquet"];

/// What was in the folder before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// An earlier demo, which is used again.
    Demo,
}

/// Writes the project into a folder; its definitions stay if it has them already.
pub(super) fn project(folder: &Path, force: bool) -> Result<Found, Failure> {
    let mut found = look(folder)?;
    if force && found == Found::Demo {
        clear(folder)?;
        found = Found::Nothing;
    }
    for (name, text) in PROJECT {
        let path = folder.join(name);
        if !path.exists() {
            write(&path, text.as_bytes())?;
        }
    }
    Ok(found)
}

/// Writes the published data into a folder.
pub(super) fn raw_data(folder: &Path) -> Result<(), Failure> {
    RAW.iter()
        .try_for_each(|(name, bytes)| write(&folder.join(name), bytes))
}

fn look(folder: &Path) -> Result<Found, Failure> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(Failure::io("list", folder, &error)),
    };
    if entries.next().is_none() {
        return Ok(Found::Nothing);
    }
    let settings = fs::read_to_string(folder.join("evenkeel.toml")).unwrap_or_default();
    if settings.lines().any(|line| line.trim() == MARK) {
        return Ok(Found::Demo);
    }
    Err(Failure::request(format!(
        "`{}` is not empty and holds no demo",
        folder.display()
    ))
    .with_hint("choose another folder with --dir"))
}

fn clear(folder: &Path) -> Result<(), Failure> {
    let gone = |path: &Path, result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io("delete", path, &error))
        }
        _ => Ok(()),
    };
    for name in MADE_FOLDERS {
        let path = folder.join(name);
        gone(&path, fs::remove_dir_all(&path))?;
    }
    for name in MADE_FILES.into_iter().chain(PROJECT.map(|(name, _)| name)) {
        let path = folder.join(name);
        gone(&path, fs::remove_file(&path))?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
    }
    fs::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_definitions_stay_until_force() {
        let folder = tempfile::tempdir().unwrap();
        let views = folder.path().join("definitions/3_views.sql");
        assert_eq!(project(folder.path(), false).unwrap(), Found::Nothing);
        fs::write(&views, "-- mine").unwrap();
        assert_eq!(project(folder.path(), false).unwrap(), Found::Demo);
        assert_eq!(fs::read_to_string(&views).unwrap(), "-- mine");
        assert_eq!(project(folder.path(), true).unwrap(), Found::Nothing);
        assert_ne!(fs::read_to_string(&views).unwrap(), "-- mine");
    }

    #[test]
    fn folders_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "x").unwrap();
        assert!(project(folder.path(), true).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
