//! Training datasets: built once from pinned inputs, kept with a manifest, built again to the
//! same bits, read as vectors.
//!
//! Owns the folder `datasets/` of a store. A dataset reads the log and the registry like
//! training, never the hot tier. Invariant: a version that is there is whole and is never
//! replaced; what its manifest pins is enough to build it again, or it says what is gone.

mod build;
mod difference;
mod folder;
mod list;
mod manifest;
mod reading;
mod rebuild;
mod stale;

use std::fmt;
use std::str::FromStr;

use evenkeel_ddl::dataset_name_problem;

pub use build::{BuildSpine, DatasetBuild};
pub use difference::{DatasetDifference, difference};
pub(crate) use folder::names;
pub use folder::{DatasetFolder, examine_datasets};
pub use list::ListedDataset;
pub use manifest::{
    DatasetManifest, FeatureEntry, FileEntry, LabelEntry, MANIFEST_FORMAT, Moment, NamedType,
    PartEntry, ServicePin, SpinePin, TableVersion, ViewPin,
};
pub use reading::DatasetPlan;
pub use rebuild::{InputState, RebuildReport, RebuiltInput};
pub use stale::{DifferingRows, LateEvents, Staleness};

use crate::error::EngineError;

/// A dataset by name, or by name and version: `delay`, `delay:1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetName {
    /// Its name.
    pub name: String,
    /// Its version; none: the newest.
    pub version: Option<u32>,
}

impl FromStr for DatasetName {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let wrong = |reason: String| EngineError::DatasetName {
            text: text.to_owned(),
            reason,
        };
        let (name, version) = match text.split_once(':') {
            None => (text, None),
            Some((name, version)) => {
                let version = version.parse().ok().filter(|v: &u32| *v > 0);
                let version = version.ok_or_else(|| {
                    wrong("behind the `:` stands a version, a whole number from 1".to_owned())
                })?;
                (name, Some(version))
            }
        };
        if let Some(problem) = dataset_name_problem(name) {
            return Err(wrong(format!("it {problem}")));
        }
        Ok(DatasetName {
            name: name.to_owned(),
            version,
        })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}:{version}", self.name),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_are_refused() {
        let name: DatasetName = "delay:12".parse().unwrap();
        assert_eq!((name.name.as_str(), name.version), ("delay", Some(12)));
        assert_eq!(name.to_string(), "delay:12");
        assert_eq!("delay".parse::<DatasetName>().unwrap().version, None);
        for bad in [
            "",
            ":1",
            "delay:",
            "delay:0",
            "delay:-1",
            "delay:x",
            "delay:1:2",
            "../delay",
            "a/b",
            "Delay",
            "delay@1",
            "delay:99999999999",
            "de lay",
            "délai",
        ] {
            assert!(bad.parse::<DatasetName>().is_err(), "{bad}");
        }
    }
}
