//! A project: a folder with `evenkeel.toml` and `*.sql` files, and where its store is.
//!
//! `evenkeel.toml` is optional; every setting has a default. `[environments.NAME]` repeats
//! any part of the file and is laid over it when `--env NAME` is given:
//!
//! ```toml
//! definitions = ["definitions/**/*.sql"]   # default: every *.sql file of the folder
//!
//! [store]
//! path = ".evenkeel"                       # relative to this file
//!
//! [lake]                                   # see `LakeSettings`
//! url = "s3://bucket/features"
//!
//! [functions]
//! python = "venv/bin/python"                # default: python3; see `PythonHost`
//!
//! [limits]
//! entities_per_request = 10000
//!
//! [server]                                 # see `ServerSettings`
//! bind = "127.0.0.1:6570"
//!
//! [environments.production.store]
//! path = "/var/lib/evenkeel"
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_lake::LakeAddress;
use serde::Deserialize;

use crate::batch::QueryColumns;
use crate::cold_tier::LakeSettings;
use crate::error::EngineError;
use crate::function::{PYTHON_DEFAULT, PYTHON_VARIABLE, PythonHost};
use crate::server_settings::ServerSettings;

/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "evenkeel.toml";
/// Where the store is if the project file does not say.
pub const STORE_DEFAULT: &str = ".evenkeel";
/// Where the lake is in the store's directory if the project file does not say.
const LAKE_DIRECTORY: &str = "lake";
/// The most bytes a definition file may have.
pub const DEFINITION_FILE_BYTES_MAX: u64 = 4 << 20;

/// Numbers that bound what one command may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Entities in one read.
    pub entities_per_request: usize,
    /// Bytes of one row's encoding.
    pub row_bytes: usize,
    /// Rows rejected by one ingestion before it stops and says so.
    pub rejected_rows: u64,
    /// Events of a period that a correction compares, at most: about half a kilobyte of memory
    /// each.
    pub compared_events: usize,
    /// About the bytes of memory that the hot tier may use: half of them for what was read of keys,
    /// rows that are kept whole included.
    pub memory_bytes: u64,
    /// Hours for which results of triggers may be asked for.
    pub results_kept_hours: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            entities_per_request: 10_000,
            row_bytes: 4 << 20,
            rejected_rows: u64::MAX,
            compared_events: 4_000_000,
            memory_bytes: 512 << 20,
            results_kept_hours: 7 * 24,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreSettings {
    path: Option<PathBuf>,
}

/// The `[functions]` part.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FunctionSettings {
    python: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProjectFile {
    functions: FunctionSettings,
    name: Option<String>,
    definitions: Option<Vec<String>>,
    store: StoreSettings,
    limits: Limits,
    lake: LakeSettings,
    server: ServerSettings,
}

/// A project that was read.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Its name: `name` in the file, else the folder's name.
    pub name: String,
    /// Its store's directory.
    pub store: PathBuf,
    /// Its limits.
    pub limits: Limits,
    /// Its lake.
    pub lake: LakeSettings,
    /// Where that is.
    pub lake_address: LakeAddress,
    /// How it is served, paths from here.
    pub server: ServerSettings,
    /// What makes its functions run.
    pub functions: Arc<PythonHost>,
    /// What understands the queries of batch views; none: their types are written down.
    pub queries: Option<Arc<dyn QueryColumns>>,
    definitions: Option<Vec<String>>,
}

/// A file of definitions.
#[derive(Clone, Debug)]
pub struct DefinitionFile {
    /// Relative to the project's folder.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Project {
    /// Reads the project in a folder, with an environment laid over it if one is named.
    pub fn open(root: &Path, environment: Option<&str>) -> Result<Self, EngineError> {
        if !root.is_dir() {
            return Err(EngineError::NoFolder {
                path: root.to_owned(),
            });
        }
        let path = root.join(PROJECT_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(EngineError::Read { path, source }),
        };
        let file = parse(&path, &text, environment)?;
        let name = file.name.unwrap_or_else(|| {
            root.canonicalize()
                .ok()
                .and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()))
                .unwrap_or_else(|| "project".to_owned())
        });
        let store = root.join(
            file.store
                .path
                .unwrap_or_else(|| PathBuf::from(STORE_DEFAULT)),
        );
        let mut server = file.server;
        let tokens = server.tokens.iter_mut().map(|t| &mut t.file);
        for path in [&mut server.tls_certificate, &mut server.tls_key]
            .into_iter()
            .chain(tokens)
            .flatten()
        {
            *path = root.join(&*path);
        }
        let lake_address = match &file.lake.url {
            None => LakeAddress::Directory(store.join(LAKE_DIRECTORY)),
            Some(url) => {
                let retry = Duration::from_secs(file.lake.retry_seconds);
                LakeAddress::parse(url, root, &file.lake.options, retry)
                    .map_err(EngineError::lake)?
            }
        };
        let python = file.functions.python;
        let python = python.or_else(|| std::env::var_os(PYTHON_VARIABLE).map(PathBuf::from));
        let python = python.as_deref().unwrap_or(Path::new(PYTHON_DEFAULT));
        Ok(Project {
            functions: Arc::new(PythonHost::new(root, python)),
            root: root.to_owned(),
            name,
            lake: file.lake,
            lake_address,
            store,
            limits: file.limits,
            server,
            queries: None,
            definitions: file.definitions,
        })
    }

    /// The definition files in the order of their names.
    pub fn definition_files(&self) -> Result<Vec<DefinitionFile>, EngineError> {
        let patterns = match &self.definitions {
            Some(patterns) => patterns.clone(),
            None => vec!["*.sql".to_owned(), "definitions/**/*.sql".to_owned()],
        };
        let mut paths = Vec::new();
        for pattern in &patterns {
            paths.extend(matching(pattern, &self.root.join(pattern))?);
        }
        paths.sort();
        paths.dedup();
        paths
            .into_iter()
            .map(|path| self.definition_file(&path))
            .collect()
    }

    /// The definition files at some places, in their order: files, and of folders the `*.sql` files in
    /// the order of their names.
    ///
    /// # Errors
    /// If a place is not there, or a file cannot be read.
    pub fn definition_files_in(
        &self,
        places: &[PathBuf],
    ) -> Result<Vec<DefinitionFile>, EngineError> {
        let mut files = Vec::new();
        for place in places {
            if !place.is_dir() {
                files.push(self.definition_file(place)?);
                continue;
            }
            let folder = glob::Pattern::escape(&place.to_string_lossy());
            for path in matching(&folder, &Path::new(&folder).join("**/*.sql"))? {
                files.push(self.definition_file(&path)?);
            }
        }
        Ok(files)
    }

    fn definition_file(&self, path: &Path) -> Result<DefinitionFile, EngineError> {
        let read = |source| EngineError::Read {
            path: path.to_owned(),
            source,
        };
        let bytes = fs::metadata(path).map_err(read)?.len();
        if bytes > DEFINITION_FILE_BYTES_MAX {
            return Err(EngineError::DefinitionFileTooLarge {
                path: path.to_owned(),
                bytes,
                bytes_max: DEFINITION_FILE_BYTES_MAX,
            });
        }
        let name = path
            .strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        Ok(DefinitionFile {
            name,
            text: fs::read_to_string(path).map_err(read)?,
        })
    }
}

/// The files that a pattern matches.
fn matching(pattern: &str, full: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let matches = glob::glob(&full.to_string_lossy()).map_err(|e| EngineError::Pattern {
        pattern: pattern.to_owned(),
        reason: e.msg.to_owned(),
    })?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(|e| EngineError::Read {
            path: e.path().to_owned(),
            source: std::io::Error::from(e.error().kind()),
        })?;
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn parse(path: &Path, text: &str, environment: Option<&str>) -> Result<ProjectFile, EngineError> {
    let invalid = |reason: String| EngineError::ProjectFile {
        path: path.to_owned(),
        reason,
    };
    let mut table: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| invalid(e.to_string()))?;
    let environments = match table.remove("environments") {
        None => toml::Table::new(),
        Some(toml::Value::Table(environments)) => environments,
        Some(_) => return Err(invalid("`environments` must be a table".to_owned())),
    };
    // Every environment is checked whenever the file is read, not only when it is used.
    for (name, overlay) in &environments {
        let mut merged = table.clone();
        lay_over(&mut merged, overlay.clone());
        merged
            .try_into::<ProjectFile>()
            .map_err(|e| invalid(format!("in environment `{name}`: {}", on_one_line(&e))))?;
    }
    if let Some(name) = environment {
        let Some(overlay) = environments.get(name) else {
            return Err(EngineError::UnknownEnvironment {
                name: name.to_owned(),
                known: environments.keys().cloned().collect(),
            });
        };
        lay_over(&mut table, overlay.clone());
    }
    table.try_into().map_err(|e| invalid(on_one_line(&e)))
}

/// What is said of a table, which has no lines to show: a field and the table that it is in.
fn on_one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
}

fn lay_over(base: &mut toml::Table, overlay: toml::Value) {
    let toml::Value::Table(overlay) = overlay else {
        return;
    };
    for (key, value) in overlay {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), value @ toml::Value::Table(_)) => {
                lay_over(inner, value);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: Option<&str>) -> Result<ProjectFile, EngineError> {
        parse(Path::new(PROJECT_FILE), text, environment)
    }

    #[test]
    fn environments_are_laid_over() {
        let text = "[store]\npath = \"a\"\n[limits]\nrow_bytes = 7\n\
                    [environments.production.store]\npath = \"b\"\n";
        assert_eq!(read(text, None).unwrap().store.path, Some("a".into()));
        let production = read(text, Some("production")).unwrap();
        assert_eq!(production.store.path, Some("b".into()));
        assert_eq!(production.limits.row_bytes, 7);
        let served = read(
            "[server]\nbind = \"[::1]:0\"\n[server.limits]\nscans = 9\n",
            None,
        );
        let served = served.unwrap().server;
        assert_eq!((served.bind.as_str(), served.limits.scans), ("[::1]:0", 9));
        let error = read(text, Some("prod")).unwrap_err().to_string();
        assert!(
            error.contains("`prod`") && error.contains("production"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_are_named_even_in_environments_that_are_not_used() {
        for (text, part) in [
            ("stoer = 1", "stoer"),
            ("[limits]\nrow_bytes = \"x\"", "row_bytes"),
            ("[environments.p.limits]\nrows = 1", "environment `p`"),
            ("a = = 1", "evenkeel.toml"),
        ] {
            let error = read(text, None).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
