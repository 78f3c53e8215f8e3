//! What a forget found, did and left: per place, in names and numbers, never the key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What becomes of events: they are removed.
pub(super) const REMOVE: &str = "remove";
/// The key in them becomes another one.
pub(super) const PSEUDONYM: &str = "pseudonym";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetReport {
    /// The entity.
    pub entity: String,
    /// `remove` or `pseudonym`.
    pub mode: String,
    /// Whether it was only looked.
    pub dry_run: bool,
    /// The columns in which the key was looked for, as `source.column,column`.
    pub columns: Vec<String>,
    /// Events and dead letters, of sources that have any.
    pub sources: Vec<ForgottenSource>,
    /// How many keys of other entities the events were of, too.
    pub others: BTreeMap<String, u64>,
    /// Segments of the log that were written again.
    pub log_segments: u64,
    /// Tables of the lake.
    pub lake: Vec<ForgottenTable>,
    /// Names that kept versions of these tables, which are gone.
    pub pins: Vec<String>,
    /// Frozen segments that had the key.
    pub segments: Vec<ForgottenSegment>,
    /// Datasets that read what is forgotten: none can be built again.
    pub datasets: Vec<ForgottenDataset>,
    /// Answers in the log of what was served.
    pub served: u64,
    /// What stays, and why.
    pub remains: Vec<Remaining>,
}

/// What was found of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenSource {
    /// Its name.
    pub source: String,
    /// Events of the key.
    pub events: u64,
    /// Events of other keys that had a row of it before.
    pub before_images: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// What became of a table of the lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenTable {
    /// Its source.
    pub source: String,
    /// Data files that were written again.
    pub rewritten: u64,
    /// Files that were removed, older versions' and commits among them.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// A frozen segment that had the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenSegment {
    /// Its name and number.
    pub segment: String,
    /// Its rows of the key.
    pub rows: u64,
}

/// A dataset that read what is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenDataset {
    /// Its name and version.
    pub dataset: String,
    /// Its rows of the key; none if none of its files could be read.
    pub rows: Option<u64>,
    /// Its files.
    pub files: Vec<String>,
    /// Whether these were removed.
    pub removed: bool,
}

/// Something that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// Where.
    pub place: String,
    /// Why, and what to do.
    pub reason: String,
}

impl ForgetReport {
    /// Events and dead letters that change, in all sources.
    pub fn changes(&self) -> u64 {
        let of_source = |s: &ForgottenSource| s.events + s.before_images + s.dead_letters;
        self.sources.iter().map(of_source).sum()
    }

    pub(super) fn leaves(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.remains.push(Remaining {
            place: place.into(),
            reason: reason.into(),
        });
    }
}
