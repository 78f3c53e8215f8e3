//! The files that a path or pattern names, and their digests.
//!
//! Invariant: the order of a set is that of the paths' bytes, the same on every machine.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{ConnectError, FileAction};
use crate::format::{self, Compression, Format};
use crate::infer::{self, InferredSchema};
use crate::input::Input;
use crate::options::{ColumnSpec, FileOptions};
use crate::reader::RowReader;
use crate::suggest::{Suggestion, nearest};

/// Files that one pattern may match.
pub const FILES_MAX: usize = 100_000;

const DIGEST_BUFFER_BYTES: usize = 1 << 16;

/// The files of a source, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSet {
    files: Vec<SourceFile>,
}

/// One file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    path: PathBuf,
    format: Format,
    compression: Compression,
    stamp: Stamp,
}

/// What tells that a file was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    modified: Option<SystemTime>,
}

impl FileSet {
    /// The files that `pattern` names: a path, or a pattern with `*`, `?`, `[...]` and `**`.
    /// Relative to `base`. Sorted by path; directories are left out.
    ///
    /// # Errors
    /// If nothing matches, the pattern or a file's format is not understood, or there are
    /// more than [`FILES_MAX`].
    pub fn expand(
        base: &Path,
        pattern: &str,
        options: &FileOptions,
    ) -> Result<FileSet, ConnectError> {
        let paths = FileSet::paths(base, pattern)?;
        if paths.is_empty() {
            return Err(no_file(&base.join(pattern)));
        }
        let files = paths
            .iter()
            .map(|path| SourceFile::open(path, options))
            .collect::<Result<_, _>>()?;
        Ok(FileSet { files })
    }

    /// The paths of the files that `pattern` names, as in [`FileSet::expand`], sorted; there
    /// may be none.
    ///
    /// # Errors
    /// If the pattern is not understood, names a directory, or there are more than
    /// [`FILES_MAX`].
    pub fn paths(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, ConnectError> {
        let whole = base.join(pattern);
        // A file whose own name has a bracket in it is meant literally.
        let mut paths = if whole.is_file() {
            vec![whole]
        } else if whole.is_dir() {
            return Err(ConnectError::IsDirectory { path: whole });
        } else {
            matches(base, pattern)?
        };
        paths.sort();
        Ok(paths)
    }

    /// The files, in order.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(SourceFile::bytes).sum()
    }
}

fn matches(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, ConnectError> {
    let absolute = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        // The base directory is meant literally, whatever characters it has.
        let base = glob::Pattern::escape(&base.to_string_lossy());
        if base.is_empty() {
            pattern.to_owned()
        } else {
            format!("{base}/{pattern}")
        }
    };
    let found = glob::glob(&absolute).map_err(|source| ConnectError::Pattern {
        pattern: pattern.to_owned(),
        source,
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|e| {
            let path = e.path().to_owned();
            ConnectError::io(FileAction::List, path)(e.into())
        })?;
        if path.is_file() {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(ConnectError::TooManyFiles {
                pattern: pattern.to_owned(),
                limit: FILES_MAX,
            });
        }
    }
    Ok(paths)
}

/// The error for a path that names nothing, with a similar name from the same directory.
pub(crate) fn no_file(path: &Path) -> ConnectError {
    ConnectError::NoFile {
        hint: nearest_file(path),
        pattern: path.display().to_string(),
    }
}

fn nearest_file(path: &Path) -> Suggestion {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Suggestion(None);
    };
    let names: Vec<String> = fs::read_dir(if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    })
    .map(|entries| {
        entries
            .filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()))
            .collect()
    })
    .unwrap_or_default();
    nearest(&name.to_string_lossy(), names.iter().map(String::as_str))
}

impl SourceFile {
    /// A file by its path.
    ///
    /// # Errors
    /// If it does not exist or its format is not understood.
    pub fn open(path: &Path, options: &FileOptions) -> Result<SourceFile, ConnectError> {
        let (format, compression) = format::of_source(path, options.format, options.compression)?;
        if !path.exists() {
            return Err(no_file(path));
        }
        Ok(SourceFile {
            path: path.to_owned(),
            format,
            compression,
            stamp: Stamp::of(path)?,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How it is packed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Whether its rows can be read while it grows: text that is not packed.
    pub fn can_grow(&self) -> bool {
        self.format != Format::Parquet && self.compression == Compression::None
    }

    /// Reads a packed file to its end.
    ///
    /// # Errors
    /// If it cannot be unpacked, as while it is being written.
    pub fn check_unpacks(&self) -> Result<(), ConnectError> {
        if self.compression == Compression::None {
            return Ok(());
        }
        let mut input = Input::open(self)?;
        while !input.at_end() {
            let bytes = input.data().len();
            input.consume(bytes);
            input.fill().map_err(|source| ConnectError::Damaged {
                path: self.path.clone(),
                place: format!("behind {} unpacked bytes", input.consumed()),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    /// The first 16 bytes of the BLAKE3 digest of the file's bytes as they are on disk: the
    /// file's part of [`evenkeel_types::Origin::File`]. `progress` is told the bytes read so
    /// far.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn digest(&self, progress: &mut dyn FnMut(u64)) -> Result<[u8; 16], ConnectError> {
        let mut file =
            File::open(&self.path).map_err(ConnectError::io(FileAction::Open, &self.path))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; DIGEST_BUFFER_BYTES];
        let mut done = 0;
        loop {
            let read = file
                .read(&mut buffer)
                .map_err(ConnectError::io(FileAction::Read, &self.path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            done += read as u64;
            progress(done);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok(digest)
    }

    /// Reads the file's rows as the declared columns.
    ///
    /// # Errors
    /// If the file cannot be opened, a declared column is not in it, or a column's type in
    /// the file cannot become the declared one.
    pub fn read(
        &self,
        columns: &[ColumnSpec],
        options: &FileOptions,
    ) -> Result<RowReader, ConnectError> {
        RowReader::open(self, columns, options)
    }

    /// What columns the file has, from its first `rows_max` rows (all if `None`).
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn infer(
        &self,
        options: &FileOptions,
        rows_max: Option<u64>,
    ) -> Result<InferredSchema, ConnectError> {
        infer::infer(self, options, rows_max)
    }

    /// An error if the file is no longer what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), ConnectError> {
        if Stamp::of(&self.path)? == self.stamp {
            Ok(())
        } else {
            Err(ConnectError::Changed {
                path: self.path.clone(),
            })
        }
    }
}

impl Stamp {
    /// The stamp of what a path names now.
    ///
    /// # Errors
    /// If nothing is there.
    pub fn of(path: &Path) -> Result<Self, ConnectError> {
        let metadata = fs::metadata(path).map_err(ConnectError::io(FileAction::Open, path))?;
        Ok(Stamp {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}
