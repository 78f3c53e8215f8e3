//! What a training set is built from and what it holds, as data.

use std::path::{Path, PathBuf};

use evenkeel_connect::{AtomicFile, Table, TableFormat};
use evenkeel_types::{Cut, DataType, Field, Interval};

use crate::error::TrainError;

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
    /// A table in memory.
    Table {
        /// The rows.
        table: Table,
        /// As of a file.
        time_column: Option<String>,
        /// As of a file.
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

/// A training set in memory.
#[derive(Clone, Debug)]
pub struct TrainingSet {
    /// The spine's rows in their order, its columns untouched, then the features.
    pub table: Table,
    /// See [`TrainReport`].
    pub features: Vec<(Field, u64)>,
    /// See [`TrainReport`].
    pub labels: Vec<LabelReport>,
    /// See [`TrainReport`].
    pub coincident: Vec<(String, u64)>,
    /// `K`
    pub cut: Cut,
    /// `D` of the service.
    pub definition: [u8; 16],
    /// See [`TrainReport`].
    pub digest: String,
}

impl TrainingSet {
    /// Refuses a file that a set cannot be written to: for who would build one for nothing.
    ///
    /// # Errors
    /// If its format is not known by its ending, or it cannot be created.
    pub fn refuse_out(out: &Path) -> Result<(), TrainError> {
        TableFormat::of(out)
            .and_then(|_| AtomicFile::create(out))
            .map(drop)
            .map_err(TrainError::out)
    }

    /// Writes it: Parquet, CSV or Arrow IPC by the file's ending.
    ///
    /// # Errors
    /// If the file cannot be written, or its format cannot hold a column.
    pub fn write(self, out: PathBuf) -> Result<TrainReport, TrainError> {
        let written = self.table.write(&out);
        written.map_err(TrainError::out)?;
        Ok(TrainReport {
            out,
            rows: self.table.len() as u64,
            features: self.features,
            labels: self.labels,
            coincident: self.coincident,
            cut: self.cut,
            definition: self.definition,
            digest: self.digest,
        })
    }
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
    /// Its type.
    pub data_type: DataType,
    /// How far forward it looks.
    pub within: Interval,
    /// Rows whose future is not known yet: marked, not dropped.
    pub immature: u64,
    /// Rows without a value.
    pub missing: u64,
}
