//! An object store in a temporary folder, with one bucket.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const BUCKET: &str = "features";

/// How `dev/services` ends if there is nothing to start.
const NOT_INSTALLED: i32 = 3;

pub(crate) struct ObjectStore {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) key: String,
    pub(crate) secret: String,
    /// How many lakes there were.
    lakes: Cell<u32>,
}

impl ObjectStore {
    /// Starts one; an error says that it is not installed.
    pub(crate) fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let started = services()
            .args(["start", "s3"])
            .arg(folder.path())
            .arg(BUCKET)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&started.stderr);
        if started.status.code() == Some(NOT_INSTALLED) {
            return Err(said.trim().to_owned());
        }
        assert!(started.status.success(), "{said}");
        let port = String::from_utf8(started.stdout).unwrap();
        let credentials = std::fs::read_to_string(folder.path().join("credentials")).unwrap();
        let (key, secret) = credentials.split_once('\n').unwrap();
        Ok(ObjectStore {
            port: port.trim().parse().unwrap(),
            key: key.to_owned(),
            secret: secret.trim().to_owned(),
            folder,
            lakes: Cell::new(0),
        })
    }

    /// A place that nobody has used.
    pub(crate) fn new_lake(&self) -> String {
        self.lakes.set(self.lakes.get() + 1);
        format!("s3://{BUCKET}/lake-{}", self.lakes.get())
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        let stopped = services().arg("stop").arg(self.folder.path()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!(
                "the server in {} was not stopped",
                self.folder.path().display()
            );
        }
    }
}

fn services() -> Command {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(root.join("dev/services"))
}
