//! An object store in a temporary folder: one that speaks S3, with one bucket, or HDFS.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const BUCKET: &str = "features";

/// How `dev/services` ends if there is nothing to start.
const NOT_INSTALLED: i32 = 3;

/// What a store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    S3,
    Hdfs,
}

impl Speaks {
    /// Its name for `dev/services`, and the scheme of its addresses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Speaks::S3 => "s3",
            Speaks::Hdfs => "hdfs",
        }
    }
}

pub(crate) struct ObjectStore {
    folder: tempfile::TempDir,
    pub(crate) speaks: Speaks,
    pub(crate) port: u16,
    /// Of S3.
    pub(crate) key: String,
    pub(crate) secret: String,
    /// How many lakes there were.
    lakes: Cell<u32>,
}

impl ObjectStore {
    /// Starts one; an error says that it is not installed.
    pub(crate) fn start(speaks: Speaks) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let started = services()
            .args(["start", speaks.name()])
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
        let credentials = match speaks {
            Speaks::S3 => std::fs::read_to_string(folder.path().join("credentials")).unwrap(),
            Speaks::Hdfs => "\n".to_owned(),
        };
        let (key, secret) = credentials.split_once('\n').unwrap();
        Ok(ObjectStore {
            speaks,
            port: port.trim().parse().unwrap(),
            key: key.to_owned(),
            secret: secret.trim().to_owned(),
            folder,
            lakes: Cell::new(0),
        })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place that nobody has used.
    pub(crate) fn new_lake(&self) -> String {
        self.lakes.set(self.lakes.get() + 1);
        format!(
            "{}://{BUCKET}/lake-{}",
            self.speaks.name(),
            self.lakes.get()
        )
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
