//! `CREATE TRAINING DATASET`.

use super::{ColumnList, Expr, Ident, Label, Metadata, NumberLit, Span, SpineQuery, StringLit};

/// `CREATE TRAINING DATASET name [VERSION n] FROM SERVICE service SPINE ... `
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTrainingDataset {
    /// Its name.
    pub name: Ident,
    /// `VERSION n`
    pub version: Option<NumberLit>,
    /// `FROM SERVICE service`
    pub service: Ident,
    /// `service@2`
    pub service_version: Option<NumberLit>,
    /// Its rows.
    pub spine: DatasetSpine,
    /// `KNOWLEDGE LATEST | AS SERVED`
    pub knowledge: Option<DatasetKnowledge>,
    /// `LABEL x FROM v WITHIN ...`, in the order written.
    pub labels: Vec<Label>,
    /// `TRANSFORM (...)`, in the order written.
    pub transforms: Vec<Transform>,
    /// `SPLIT ...`
    pub split: Option<Split>,
    /// `FORMAT a, b`
    pub formats: Vec<DatasetFormat>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// Where the rows of a dataset come from.
#[derive(Clone, Debug, PartialEq)]
pub enum DatasetSpine {
    /// `SPINE 'file' [TIME column] [KNOWN AT column]`
    File {
        /// The file.
        path: StringLit,
        /// Its column of times.
        time: Option<Ident>,
        /// Its column of known-at times.
        known_at: Option<Ident>,
    },
    /// `SPINE (SELECT ...)`
    Query(Box<SpineQuery>),
}

/// What each row of a dataset knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetKnowledge {
    /// `LATEST`: everything in the cut.
    Latest,
    /// `AS SERVED`: what was visible at the row's time.
    AsServed,
}

/// `feature [IMPUTE MEAN | IMPUTE constant] [STANDARDIZE | ...]`; at least one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// The feature, by its name in the service.
    pub feature: Ident,
    /// What stands in for a missing value.
    pub impute: Option<Impute>,
    /// What becomes of the value.
    pub shape: Option<Shape>,
    /// All of it.
    pub span: Span,
}

/// `IMPUTE ...`
#[derive(Clone, Debug, PartialEq)]
pub enum Impute {
    /// `MEAN`: of the part that is trained on.
    Mean(Span),
    /// A constant.
    Constant(Expr),
}

/// What a transform makes of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `STANDARDIZE`: less the mean, by the standard deviation.
    Standardize(Span),
    /// `MIN MAX`: the least becomes 0, the greatest 1.
    MinMax(Span),
    /// `ONE HOT [LIMIT n]`: a column for each value.
    OneHot {
        /// The most frequent ones only.
        limit: Option<NumberLit>,
        /// All of it.
        span: Span,
    },
    /// `BUCKETIZE (a, b)`: how many of the bounds are not above the value.
    Bucketize {
        /// The bounds.
        bounds: Vec<Expr>,
        /// All of it.
        span: Span,
    },
}

impl Shape {
    /// All of it.
    pub fn span(&self) -> Span {
        match self {
            Shape::Standardize(span)
            | Shape::MinMax(span)
            | Shape::OneHot { span, .. }
            | Shape::Bucketize { span, .. } => *span,
        }
    }
}

/// `SPLIT ...`
#[derive(Clone, Debug, PartialEq)]
pub enum Split {
    /// `BY TIME (a BEFORE 'time', b)`
    Time(Vec<TimePart>),
    /// `BY ENTITY HASH [OF (columns)] (a 80, b 20 [SEED n])`
    EntityHash {
        /// The columns that are hashed; all keys of the service if absent.
        columns: Option<ColumnList>,
        /// The parts.
        parts: Vec<SharePart>,
        /// `SEED n`
        seed: Option<NumberLit>,
        /// `BY ENTITY HASH`
        span: Span,
    },
    /// `RANDOM (a 80, b 20 [SEED n])`
    Random {
        /// The parts.
        parts: Vec<SharePart>,
        /// `SEED n`
        seed: Option<NumberLit>,
    },
}

/// `name [BEFORE 'time']`
#[derive(Clone, Debug, PartialEq)]
pub struct TimePart {
    /// Its name.
    pub name: Ident,
    /// The first time that is not in it.
    pub before: Option<StringLit>,
}

/// `name share`
#[derive(Clone, Debug, PartialEq)]
pub struct SharePart {
    /// Its name.
    pub name: Ident,
    /// Its share of the sum of all shares.
    pub share: NumberLit,
}

/// `FORMAT ...`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DatasetFormat {
    /// Which.
    pub kind: DatasetFormatKind,
    /// Where.
    pub span: Span,
}

/// A format of a dataset's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetFormatKind {
    /// `PARQUET`
    Parquet,
    /// `ARROW`
    Arrow,
    /// `CSV`
    Csv,
    /// `TFRECORD`
    TfRecord,
}
