//! How a file is written: aside, under a name that nobody else takes, and then it gets its own in one step.
//!
//! Invariant: at its own name a file is whole, and what is there is replaced only if that was asked for.

use std::hash::{BuildHasher, RandomState};

use hdfs_native::{Client, HdfsError, WriteOptions};
use object_store::path::Path;
use object_store::{Error, PutMode, PutPayload, PutResult, Result};

use super::STORE;
use super::refusals::of_library;

/// Between a file's name and a number.
const ASIDE: &str = ".tmp.";

/// The path of a file for a name node.
fn absolute(location: &Path) -> String {
    format!("/{location}")
}

/// Where a file is written before it gets its name: beside that, where a listing of commits does not look.
pub(super) fn aside_of(location: &Path) -> String {
    let path = absolute(location);
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    // Nothing depends on which number it is.
    let number = RandomState::new().hash_one(name);
    format!("{folder}/.{name}{ASIDE}{number}")
}

/// Whether a name is that of a file which was being written aside. Who was killed leaves it.
pub(crate) fn is_aside(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let number = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once(ASIDE));
    number.is_some_and(|(name, number)| {
        !name.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Writes a file.
pub(super) async fn write(
    client: Client,
    location: Path,
    payload: PutPayload,
    mode: PutMode,
    aside: String,
) -> Result<PutResult> {
    let replaces = match mode {
        PutMode::Create => false,
        PutMode::Overwrite => true,
        PutMode::Update(_) => {
            return Err(Error::NotImplemented {
                operation: "replacing a version of a file".to_owned(),
                implementer: STORE.to_owned(),
            });
        }
    };
    let path = absolute(&location);
    let write = async {
        // Only to spare the bytes: whether the name is taken is decided when the file gets it.
        if !replaces {
            match client.get_file_info(&path).await {
                Ok(_) => return Err(HdfsError::AlreadyExists(path.clone())),
                Err(HdfsError::FileNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut file = client.create(&aside, WriteOptions::default()).await?;
        for part in payload {
            file.write(part).await?;
        }
        file.close().await?;
        client.rename(&aside, &path, replaces).await
    };
    write.await.map_err(of_library)?;
    Ok(PutResult {
        e_tag: None,
        version: None,
    })
}

/// Removes what was written aside.
pub(super) async fn remove(client: Client, asides: Vec<String>) -> Result<()> {
    for aside in asides {
        client.delete(&aside, false).await.map_err(of_library)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_aside_is_known_by_its_name() {
        let location = Path::from("lakes/ticks/_delta_log/0.json");
        let aside = aside_of(&location);
        assert!(aside.starts_with("/lakes/ticks/_delta_log/.0.json.tmp."));
        assert_ne!(aside, aside_of(&location));
        for name in [&aside, ".a.parquet.tmp.1"] {
            assert!(is_aside(name), "{name}");
        }
        for name in [
            "a.parquet",
            ".a.parquet",
            "a.tmp.1",
            ".tmp.1",
            ".a.tmp.",
            ".a.tmp.x",
            ".a.tmp.1/b",
        ] {
            assert!(!is_aside(name), "{name}");
        }
    }
}
