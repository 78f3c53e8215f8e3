//! What a training set is built from and what it holds, as data.

use std::path::PathBuf;

use evenkeel_types::{Cut, Field, Interval};

/// Where the spine of a training set comes from.
#[derive(Clone, Debug)]
pub enum SpineSource {
    /// A file: Parquet, CSV or Arrow IPC by its ending.
    File {
        /// Its path.
        path: PathBuf,
        /// The column of times; `None`: `event_time`, or the only TIMESTAMP column.
        time_column: Option<String>,
        /// The column of `known_at`; `None`: the times.
        known_at_column: Option<String>,
    },
    /// A query over the store (`SELECT ..., LABEL x FROM v WITHIN ... FROM source`).
    Query(String),
}

/// What of the cut a training set knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnowledgeMode {
    /// Everything.
    Latest,
    /// At each row what was visible at its `known_at`.
    AsServed,
}

/// What a training set holds.
#[derive(Clone, Debug)]
pub struct TrainReport {
    /// The file.
    pub out: PathBuf,
    /// Rows, as many as the spine has.
    pub rows: u64,
    /// Features with the number of rows where each is missing.
    pub features: Vec<(Field, u64)>,
    /// Labels with the number of immature rows and of missing values.
    pub labels: Vec<LabelReport>,
    /// Rows whose time is exactly that of an event of a windowed source, by source: their
    /// windows contain that event unless they say `EXCLUDE GROUP`.
    pub coincident: Vec<(String, u64)>,
    /// `K`
    pub cut: Cut,
    /// `D` of the service.
    pub definition: [u8; 16],
    /// Digest of the written values, independent of the file's format.
    pub digest: String,
}

/// What a label holds.
#[derive(Clone, Debug)]
pub struct LabelReport {
    /// Its name.
    pub name: String,
    /// How far forward it looks.
    pub within: Interval,
    /// Rows whose future is not known yet: marked, not dropped.
    pub immature: u64,
    /// Rows without a value.
    pub missing: u64,
}
