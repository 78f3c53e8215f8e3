//! A table's directory on a local disk, as an object store over the log's file seam.
//!
//! Invariant: what `put` has answered is durable and whole. A file gets its name after its bytes
//! were synced, in one step; with `PutMode::Create` that step fails if the name is taken.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use evenkeel_log::{Clock, FileSystem, OpenMode};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::{Path, PathPart};
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

use crate::parts::Parts;

const STORE: &str = "the lake's directory";
/// The one directory inside a table's directory.
pub(crate) const LOG_DIRECTORY: &str = "_delta_log";
/// Files that are being written; nobody is told of them.
pub(crate) const TEMPORARY: &str = ".temporary";

/// See the module. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct FileStore {
    files: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    directory: PathBuf,
    /// The directory as a path from the root.
    root: Path,
    next_temporary: Arc<AtomicU64>,
}

impl FileStore {
    /// A table's directory, which is created with what is in it.
    pub(crate) fn create(
        files: Arc<dyn FileSystem>,
        clock: Arc<dyn Clock>,
        directory: PathBuf,
        root: Path,
    ) -> io::Result<Self> {
        files.create_directory(&directory.join(LOG_DIRECTORY))?;
        Ok(FileStore {
            files,
            clock,
            directory,
            root,
            next_temporary: Arc::default(),
        })
    }

    /// The file of a location, and the names of its directories.
    fn file(&self, location: &Path) -> Result<(PathBuf, PathBuf)> {
        let outside = || Error::NotFound {
            path: location.to_string(),
            source: "it is not in the table's directory".into(),
        };
        let parts: Vec<PathPart<'_>> = location
            .prefix_match(&self.root)
            .ok_or_else(outside)?
            .collect();
        let (name, above) = parts.split_last().ok_or_else(outside)?;
        let mut directory = self.directory.clone();
        directory.extend(above.iter().map(AsRef::<str>::as_ref));
        Ok((directory.join(name.as_ref()), directory))
    }

    /// Writes a file aside, and gives it its name.
    fn write(&self, location: &Path, bytes: &[u8], mode: &PutMode) -> Result<()> {
        let (path, directory) = self.file(location)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists {
                path: location.to_string(),
                source: source.into(),
            },
            _ => generic(source),
        };
        let (aside, file) = loop {
            let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
            let mut name = path.clone().into_os_string();
            name.push(format!(".{}.{number}{TEMPORARY}", std::process::id()));
            match self.files.open(name.as_ref(), OpenMode::Create) {
                Ok(file) => break (PathBuf::from(name), file),
                // Of a process that died and had our number.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(generic(e)),
            }
        };
        let written = file
            .write_at(0, bytes)
            .and_then(|()| file.sync_data())
            .and_then(|()| match mode {
                PutMode::Create => self.files.rename_new(&aside, &path),
                PutMode::Overwrite | PutMode::Update(_) => self.files.rename(&aside, &path),
            });
        if let Err(source) = written {
            // Whoever cleans up later finds it by its name.
            let _ = self.files.remove(&aside);
            return Err(failed(source));
        }
        self.files.sync_directory(&directory).map_err(generic)
    }

    fn read(&self, location: &Path, options: &GetOptions) -> Result<GetResult> {
        let (path, _) = self.file(location)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound {
                path: location.to_string(),
                source: source.into(),
            },
            _ => generic(source),
        };
        let file = self.files.open(&path, OpenMode::Read).map_err(failed)?;
        let size = file.length().map_err(failed)?;
        let range: Range<u64> = match &options.range {
            Some(range) => range.as_range(size).map_err(|e| Error::Generic {
                store: STORE,
                source: Box::new(e),
            })?,
            None => 0..size,
        };
        let meta = self.meta(location.clone(), size);
        let bytes = if options.head {
            Bytes::new()
        } else {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            let read = file.read_at(range.start, &mut bytes).map_err(failed)?;
            bytes.truncate(read);
            Bytes::from(bytes)
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed()),
            meta,
            range,
            attributes: object_store::Attributes::new(),
        })
    }

    /// Times of files are not asked for: nothing here expires by them.
    fn meta(&self, location: Path, size: u64) -> ObjectMeta {
        let now = DateTime::<Utc>::from_timestamp_micros(self.clock.now_micros());
        ObjectMeta {
            location,
            last_modified: now.unwrap_or_default(),
            size,
            e_tag: None,
            version: None,
        }
    }

    /// The files of the table's directory, or of its log, sorted.
    fn files_of(&self, log: bool) -> Result<Vec<ObjectMeta>> {
        let (directory, root) = match log {
            true => (
                self.directory.join(LOG_DIRECTORY),
                self.root.clone().join(LOG_DIRECTORY),
            ),
            false => (self.directory.clone(), self.root.clone()),
        };
        let names = match self.files.list(&directory) {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(generic(e)),
        };
        let mut found = Vec::new();
        for name in names {
            if name == LOG_DIRECTORY || name.ends_with(TEMPORARY) || !name.contains('.') && !log {
                continue;
            }
            let opened = self.files.open(&directory.join(&name), OpenMode::Read);
            let size = match opened.and_then(|file| file.length()) {
                Ok(size) => size,
                // Removed since.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(generic(e)),
            };
            found.push(self.meta(root.clone().join(name.as_str()), size));
        }
        Ok(found)
    }

    fn all_below(&self, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let mut all = self.files_of(true)?;
        let log = self.root.clone().join(LOG_DIRECTORY);
        if prefix.is_none_or(|prefix| *prefix != log) {
            all.extend(self.files_of(false)?);
        }
        all.retain(|meta| prefix.is_none_or(|prefix| meta.location.prefix_matches(prefix)));
        all.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(all)
    }

    fn remove(&self, location: &Path) -> Result<()> {
        let (path, directory) = self.file(location)?;
        match self.files.remove(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(generic(e)),
            Ok(()) => self.files.sync_directory(&directory).map_err(generic),
        }
    }
}

fn generic(source: io::Error) -> Error {
    Error::Generic {
        store: STORE,
        source: source.into(),
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.directory.display())
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.write(location, &joined(&payload), &opts.mode)?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Parts::new(
            Arc::new(self.clone()),
            location.clone(),
        )))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(location, &options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let remove = move |location: Result<Path>| {
            let location = location?;
            store.remove(&location)?;
            Ok(location)
        };
        locations.map(remove).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.all_below(prefix) {
            Ok(all) => stream::iter(all.into_iter().map(Ok)).boxed(),
            Err(error) => stream::once(async move { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let log = self.root.clone().join(LOG_DIRECTORY);
        let in_log = prefix == Some(&log);
        Ok(ListResult {
            common_prefixes: if in_log { Vec::new() } else { vec![log] },
            objects: self.files_of(in_log)?,
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let bytes = self.read(from, &GetOptions::default())?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        self.write(to, &bytes, &mode)
    }
}

fn joined(payload: &PutPayload) -> Bytes {
    let mut parts = payload.iter();
    match (parts.next(), parts.next()) {
        (Some(only), None) => only.clone(),
        _ => {
            let mut bytes = BytesMut::with_capacity(payload.content_length());
            payload
                .iter()
                .for_each(|part| bytes.extend_from_slice(part));
            bytes.freeze()
        }
    }
}
