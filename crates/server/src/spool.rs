//! Files for what is too large to be in memory twice: spines that come in, training sets that
//! go out. In `spool/` of the store; what a server that was killed left there is removed when
//! the next one starts.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use evenkeel_engine::EngineError;
use evenkeel_engine::ServerLimits;

use crate::arrival::Arrival;
use crate::clock::Deadline;
use crate::error::ApiError;

/// The folder's name.
const FOLDER: &str = "spool";

/// The folder. See the module.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    next: AtomicU64,
}

/// A file in it, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spooled {
    path: PathBuf,
}

impl Spool {
    /// The empty folder of a store.
    pub(crate) fn start(store: &Path) -> Result<Spool, EngineError> {
        let folder = store.join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(EngineError::Write {
                    path: folder,
                    source,
                });
            }
            _ => {}
        }
        Ok(Spool {
            folder,
            next: AtomicU64::new(0),
        })
    }

    /// A name for a new file; `extension` says its format.
    pub(crate) fn file(&self, extension: &str) -> Result<Spooled, ApiError> {
        fs::create_dir_all(&self.folder).map_err(|e| storage(&e))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}.{extension}"));
        Ok(Spooled { path })
    }

    /// A body as a file.
    pub(crate) async fn body(
        &self,
        body: Body,
        extension: &str,
        limits: &ServerLimits,
        deadline: Deadline,
    ) -> Result<Spooled, ApiError> {
        let spooled = self.file(extension)?;
        let mut file = File::create(&spooled.path).map_err(|e| storage(&e))?;
        let bytes_max = limits.spine_bytes;
        let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let too_large = || {
            ApiError::new(
                "BODY_TOO_LARGE",
                format!("the file has more than {bytes_max} bytes"),
            )
            .with_hint("send it in several parts: fewer rows, or a shorter period")
        };
        let mut arrival = Arrival::of(body, limit, limits, deadline);
        while let Some(data) = arrival.next(too_large).await? {
            // It is little at a time, and goes to the system's memory.
            file.write_all(&data).map_err(|e| storage(&e))?;
        }
        Ok(spooled)
    }
}

impl Spooled {
    /// Writes its bytes.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), ApiError> {
        fs::write(&self.path, bytes).map_err(|e| storage(&e))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error's text with a name that its reader knows in place of the path.
    pub(crate) fn named(&self, text: &str, name: &str) -> String {
        text.replace(&self.path.display().to_string(), name)
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // If it stays, the next start removes it.
        let _ = fs::remove_file(&self.path);
    }
}

fn storage(error: &std::io::Error) -> ApiError {
    ApiError::new("STORAGE", format!("the spool cannot be used: {error}"))
}
