//! `serve.json` in the store's directory: where a running server is found.
//!
//! A server that was killed leaves it behind; whoever reads it asks the server for its
//! instance before anything else, and believes only that.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name.
pub const SERVE_FILE: &str = "serve.json";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its process.
    pub pid: u32,
    /// What it says in the header `evenkeel-instance` of every answer.
    pub instance: String,
}

impl Presence {
    /// What the file in a store's directory says; none if there is none, or none that can be
    /// read.
    pub fn find(store: &Path) -> Option<Presence> {
        let text = fs::read(store.join(SERVE_FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// `http://127.0.0.1:6570`
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// The file, as long as the server runs.
pub(crate) struct ServeFile {
    path: PathBuf,
}

impl ServeFile {
    /// Writes it, at once or not at all.
    pub(crate) fn write(store: &Path, presence: &Presence) -> io::Result<ServeFile> {
        let path = store.join(SERVE_FILE);
        let new = store.join(format!("{SERVE_FILE}.new"));
        // Names, numbers and a flag: always JSON.
        fs::write(
            &new,
            serde_json::to_vec_pretty(presence).unwrap_or_default(),
        )?;
        fs::rename(&new, &path)?;
        Ok(ServeFile { path })
    }
}

impl Drop for ServeFile {
    fn drop(&mut self) {
        // If it stays behind, nobody believes it.
        let _ = fs::remove_file(&self.path);
    }
}
