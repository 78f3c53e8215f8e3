//! Training datasets as data: names, looked up when a dataset is built.

use super::{Digest, Metadata};
use crate::time::Interval;
use crate::value::Value;

/// A version of a training dataset. What its names mean is looked up when it is built, so a
/// view that changes does not change it.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetDef {
    /// Name: lower-case letters, digits and `_`, as it is a folder's name, too.
    pub name: String,
    /// `VERSION`, 1 if absent.
    pub version: u32,
    /// The feature service.
    pub service: String,
    /// `service@2`; the newest if absent.
    pub service_version: Option<u32>,
    /// Its rows.
    pub spine: DatasetSpine,
    /// Whether each row knows only what was visible at its time (`KNOWLEDGE AS SERVED`).
    pub as_served: bool,
    /// Labels besides those of the spine's query.
    pub labels: Vec<DatasetLabel>,
    /// What becomes of features, in the order written.
    pub transforms: Vec<DatasetTransform>,
    /// Its parts.
    pub split: Split,
    /// Formats of its files; at least one.
    pub formats: Vec<DatasetFormat>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// A digest of its own text alone.
    pub digest: Digest,
}

/// Where the rows of a dataset come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetSpine {
    /// A file, relative to the project's folder.
    File {
        /// Its path.
        path: String,
        /// Its column of times; as of a spine if absent.
        time: Option<String>,
        /// Its column of known-at times; as of a spine if absent.
        known_at: Option<String>,
    },
    /// The canonical SQL of a spine query.
    Query(String),
}

/// `LABEL x FROM v WITHIN h`, by names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetLabel {
    /// The feature.
    pub feature: String,
    /// Its view.
    pub view: String,
    /// `view@2`; the newest if absent.
    pub view_version: Option<u32>,
    /// The spine's columns that hold the view's key; the key's own names if absent.
    pub keys: Option<Vec<String>>,
    /// How far forward.
    pub within: Interval,
    /// Name in the dataset.
    pub name: String,
}

/// What becomes of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetTransform {
    /// The feature, by its name in the service.
    pub feature: String,
    /// What stands in for a missing value.
    pub impute: Option<Impute>,
    /// What becomes of the value.
    pub shape: Option<Shape>,
}

/// What stands in for a missing value.
#[derive(Clone, Debug, PartialEq)]
pub enum Impute {
    /// The mean of the part that is trained on.
    Mean,
    /// A value of the feature's type.
    Constant(Value),
}

/// What a transform makes of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Less the mean, by the standard deviation.
    Standardize,
    /// The least becomes 0, the greatest 1.
    MinMax,
    /// A column for each of at most so many values.
    OneHot {
        /// The most frequent ones only.
        limit: u32,
    },
    /// How many of these bounds, which rise, are not above the value.
    Bucketize {
        /// The bounds.
        bounds: Vec<f64>,
    },
}

/// How rows are parted. The first part is the one that is trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// One part, `all`.
    None,
    /// The first part whose bound is later than the row's time; none: the row is left out.
    Time(Vec<TimePart>),
    /// By hash of columns of the spine.
    EntityHash {
        /// The columns; every key of the service if absent.
        columns: Option<Vec<String>>,
        /// The parts.
        parts: Vec<SharePart>,
        /// What the hash begins with.
        seed: u64,
    },
    /// By the row's number.
    Random {
        /// The parts.
        parts: Vec<SharePart>,
        /// What the hash begins with.
        seed: u64,
    },
}

/// A part of a dataset by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePart {
    /// Its name.
    pub name: String,
    /// The first time that is not in it, microseconds; none: there is no such.
    pub before: Option<i64>,
}

/// A part of a dataset by its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePart {
    /// Its name.
    pub name: String,
    /// Its share of the sum of all shares; above 0.
    pub share: u32,
}

impl Split {
    /// The names of the parts, in order.
    pub fn parts(&self) -> Vec<&str> {
        match self {
            Split::None => vec!["all"],
            Split::Time(parts) => parts.iter().map(|p| p.name.as_str()).collect(),
            Split::EntityHash { parts, .. } | Split::Random { parts, .. } => {
                parts.iter().map(|p| p.name.as_str()).collect()
            }
        }
    }
}

/// A format of a dataset's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetFormat {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC.
    Arrow,
    /// Comma-separated text.
    Csv,
    /// TFRecord of `tf.train.Example`.
    TfRecord,
}

impl DatasetFormat {
    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            DatasetFormat::Parquet => "parquet",
            DatasetFormat::Arrow => "arrow",
            DatasetFormat::Csv => "csv",
            DatasetFormat::TfRecord => "tfrecord",
        }
    }
}
