//! Where the tables are, and the one place where synchronous callers wait for stores that are
//! not.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use evenkeel_log::{Clock, FileSystem, Lock, LockGuard};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tokio::runtime::Builder;
use url::Url;

use crate::error::LakeError;
use crate::file_store::FileStore;
use crate::objects::{self, Refusal};
use crate::waiting::Waiting;
use crate::{leftovers, names};

/// The scheme of tables whose files are those of a seam.
const SEAM: &str = "evenkeel";
/// Locked by who writes a lake on this machine.
const LOCK: &str = ".lock";

/// Where a lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeAddress {
    /// A directory on this machine.
    Directory(PathBuf),
    /// An object store, with its options.
    Objects {
        /// `s3://bucket/prefix`, `gs://…`, `az://…`, `http://…`, `hdfs://…`
        url: Url,
        /// As that store names them: `region`, `endpoint`, `access_key_id`.
        options: BTreeMap<String, String>,
        /// For so long a request is tried again.
        retry: Duration,
    },
}

impl LakeAddress {
    /// Reads an address: a URL, else a directory relative to `root`. A request to an object store is tried
    /// again for as long as `retry`.
    ///
    /// # Errors
    /// If no store has such addresses.
    pub fn parse(
        text: &str,
        root: &FilePath,
        options: &BTreeMap<String, String>,
        retry: Duration,
    ) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Address {
            address: text.to_owned(),
            reason,
        };
        if !text.contains("://") {
            return Ok(LakeAddress::Directory(root.join(text)));
        }
        let url = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
        if url.scheme() == "file" {
            let path = url.to_file_path();
            let path = path.map_err(|()| wrong("it is no path of this machine".to_owned()))?;
            return Ok(LakeAddress::Directory(path));
        }
        objects::path_of(&url).map_err(wrong)?;
        Ok(LakeAddress::Objects {
            url,
            options: options.clone(),
            retry,
        })
    }
}

/// In words, without what may be a secret: user, password, query.
impl std::fmt::Display for LakeAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LakeAddress::Directory(directory) => write!(f, "{}", directory.display()),
            LakeAddress::Objects { url, .. } => f.write_str(&objects::in_words(url)),
        }
    }
}

/// A place for tables. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Lake {
    place: Arc<Place>,
    runtime: Arc<Waiting>,
    clock: Arc<dyn Clock>,
}

/// Who has it writes a lake. Given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    lock: Option<Box<dyn LockGuard>>,
}

impl Hold {
    /// Whether nobody else can be writing.
    pub(crate) fn is_alone(&self) -> bool {
        self.lock.is_some()
    }
}

#[derive(Debug)]
enum Place {
    Files {
        files: Arc<dyn FileSystem>,
        directory: PathBuf,
    },
    Objects {
        store: Arc<dyn ObjectStore>,
        url: Url,
    },
}

impl Lake {
    /// The lake at an address. Nothing is read or written yet. Directories are those of
    /// `files`.
    ///
    /// # Errors
    /// If an object store's options are wrong.
    pub fn at(
        address: &LakeAddress,
        files: Arc<dyn FileSystem>,
        clock: Arc<dyn Clock>,
    ) -> Result<Lake, LakeError> {
        let place = match address {
            LakeAddress::Directory(directory) => Place::Files {
                directory: absolute(directory)?,
                files,
            },
            LakeAddress::Objects {
                url,
                options,
                retry,
            } => Place::Objects {
                store: objects::open(url, options, *retry)?,
                url: url.clone(),
            },
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| LakeError::Address {
            address: place.to_string(),
            reason: format!("this machine has no means to wait for it: {source}"),
        })?;
        Ok(Lake {
            place: Arc::new(place),
            runtime: Arc::new(Waiting::new(runtime)),
            clock,
        })
    }

    /// Takes the lake to write it. On this machine nobody else writes it then; elsewhere
    /// somebody might, and their commits or ours are refused.
    ///
    /// # Errors
    /// [`LakeError::InUse`]; if the directory cannot be made.
    pub fn hold(&self) -> Result<Hold, LakeError> {
        let Place::Files { files, directory } = self.place.as_ref() else {
            return Ok(Hold { lock: None });
        };
        let failed = |source: std::io::Error| LakeError::Closed {
            address: self.place.to_string(),
            source,
        };
        files.create_directory(directory).map_err(failed)?;
        match files.lock(&directory.join(LOCK)).map_err(failed)? {
            Lock::Taken(guard) => Ok(Hold { lock: Some(guard) }),
            Lock::Held { pid } => Err(LakeError::InUse {
                address: self.place.to_string(),
                pid,
            }),
        }
    }

    /// Removes what those who were killed while they wrote a source's table have left.
    pub fn remove_leftovers(&self, hold: &Hold, source: &str) {
        if let Place::Files { files, directory } = self.place.as_ref()
            && hold.is_alone()
        {
            let table = directory.join(names::directory(source));
            leftovers::remove(files.as_ref(), &table);
        }
    }

    /// Waits for a store. Not to be called where others wait on the same thread.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.get().block_on(future)
    }

    pub(crate) fn now_millis(&self) -> i64 {
        self.clock.now_micros().div_euclid(1_000)
    }

    /// The refusal of an object store that is the cause of an error.
    pub(crate) fn refusal_of(&self, error: &(dyn Error + 'static)) -> Option<Refusal> {
        match self.place.as_ref() {
            Place::Files { .. } => None,
            Place::Objects { .. } => objects::refusal_of(error),
        }
    }

    /// Why a source's table cannot be read.
    pub(crate) fn unreadable(
        &self,
        table: &str,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> LakeError {
        self.refused(table, error.into())
            .unwrap_or_else(|source| LakeError::Read {
                table: table.to_owned(),
                source,
            })
    }

    /// Why a source's table could not be written.
    pub(crate) fn unwritten(
        &self,
        table: &str,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> LakeError {
        self.refused(table, error.into())
            .unwrap_or_else(|source| LakeError::Write {
                table: table.to_owned(),
                source,
            })
    }

    /// What an object store did not do; else the error.
    fn refused(
        &self,
        table: &str,
        source: Box<dyn Error + Send + Sync>,
    ) -> Result<LakeError, Box<dyn Error + Send + Sync>> {
        match self.refusal_of(source.as_ref()) {
            Some(refusal) => Ok(LakeError::Objects {
                address: self.address_of(table),
                refusal,
                source,
            }),
            None => Err(source),
        }
    }

    /// Whether a file of a table is one that somebody who was killed did not get its name.
    pub(crate) fn is_aside(&self, name: &str) -> bool {
        match self.place.as_ref() {
            Place::Files { .. } => false,
            Place::Objects { url, .. } => objects::is_aside(url, name),
        }
    }

    /// Refuses to make a source's table in an object store that writes over what is there: two who commit the
    /// same version would both be told that they did.
    pub(crate) fn refuse_overwriting(&self, source: &str) -> Result<(), LakeError> {
        let Place::Objects { store, url } = self.place.as_ref() else {
            return Ok(());
        };
        let name = format!(
            "{}/_probe-{}-{}",
            names::directory(source),
            std::process::id(),
            self.clock.now_micros()
        );
        let root = root_of(url).map_err(|reason| LakeError::Address {
            address: objects::in_words(url),
            reason,
        })?;
        let name = name.split('/').fold(root, |path, part| path.join(part));
        let refuses = self.wait(objects::refuses_to_overwrite(store.as_ref(), &name));
        match refuses.map_err(|e| self.unwritten(source, e))? {
            true => Ok(()),
            false => Err(LakeError::Objects {
                address: self.address_of(source),
                refusal: Refusal::Overwrites,
                source: format!("`{name}` was written twice").into(),
            }),
        }
    }

    /// Where a source's table is, in words.
    pub fn address_of(&self, source: &str) -> String {
        match self.place.as_ref() {
            Place::Files { directory, .. } => directory
                .join(names::directory(source))
                .display()
                .to_string(),
            Place::Objects { .. } => self.place.to_string() + "/" + &names::directory(source),
        }
    }

    /// Whether a source may have a table, as far as that is known without asking anybody far
    /// away.
    pub(crate) fn may_have(&self, source: &str) -> bool {
        match self.place.as_ref() {
            Place::Files { files, directory } => {
                let log = directory.join(names::directory(source)).join("_delta_log");
                files.list(&log).is_ok_and(|names| !names.is_empty())
            }
            Place::Objects { .. } => true,
        }
    }

    /// The store of a source's table.
    pub(crate) fn log_store(&self, source: &str) -> Result<LogStoreRef, LakeError> {
        let wrong = |reason: String| LakeError::Address {
            address: self.address_of(source),
            reason,
        };
        let name = names::directory(source);
        let (url, store): (Url, Arc<dyn ObjectStore>) = match self.place.as_ref() {
            Place::Files { files, directory } => {
                let directory = directory.join(name);
                // Not `file`: the files are those of the seam, whatever is on this machine.
                let url = Url::from_directory_path(&directory)
                    .map_err(|()| wrong("it is no path".to_owned()))?;
                let url = Url::parse(&format!("{SEAM}://{}", url.path()))
                    .map_err(|e| wrong(e.to_string()))?;
                let root = root_of(&url).map_err(wrong)?;
                let (files, clock) = (Arc::clone(files), Arc::clone(&self.clock));
                let store = FileStore::create(files, clock, directory, root);
                let store = store.map_err(|cause| LakeError::Write {
                    table: source.to_owned(),
                    source: cause.into(),
                })?;
                (url, Arc::new(store))
            }
            Place::Objects { store, url } => {
                let mut url = url.clone();
                let path = format!("{}/{name}/", url.path().trim_end_matches('/'));
                url.set_path(&path);
                (url, Arc::clone(store))
            }
        };
        let root = root_of(&url).map_err(wrong)?;
        let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), root));
        Ok(default_logstore(
            prefixed,
            store,
            &url,
            &StorageConfig::default(),
        ))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Files { directory, .. } => write!(f, "{}", directory.display()),
            Place::Objects { url, .. } => f.write_str(&objects::in_words(url)),
        }
    }
}

/// A URL's path inside its store.
fn root_of(url: &Url) -> Result<Path, String> {
    let path = match url.scheme() {
        SEAM => Path::from_url_path(url.path()).map_err(|e| e.to_string())?,
        _ => objects::path_of(url)?,
    };
    Ok(path)
}

fn absolute(directory: &FilePath) -> Result<PathBuf, LakeError> {
    std::path::absolute(directory).map_err(|source| LakeError::Address {
        address: directory.display().to_string(),
        reason: source.to_string(),
    })
}
