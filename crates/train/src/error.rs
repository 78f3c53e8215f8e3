//! Why a training set cannot be built.

use evenkeel_connect::ConnectError;
use evenkeel_log::LogError;
use evenkeel_types::SchemaError;

/// A training set cannot be built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TrainError {
    #[error("the spine has no column `{column}`: it has {}", has.join(", "))]
    MissingColumn { column: String, has: Vec<String> },
    #[error("the spine has no time: name its column with --time-column; it has {}", has.join(", "))]
    NoTimeColumn { has: Vec<String> },
    #[error("the spine has several times: name one with --time-column: {}", candidates.join(", "))]
    SeveralTimeColumns { candidates: Vec<String> },
    #[error("row {row} of the spine has no time in `{column}`")]
    MissingTime { row: usize, column: String },
    #[error(
        "the spine has a column `{name}` already, which is the name of a feature too: rename one of them"
    )]
    NameCollision { name: String },
    #[error("the transform of `{feature}`: {reason}; define another version of the dataset")]
    Transform { feature: String, reason: String },
    #[error("`{source_name}` has no column `{input}`, which the service needs: it has {}", has.join(", "))]
    NoInput {
        source_name: String,
        input: String,
        has: Vec<String>,
    },
    #[error("it was stopped")]
    Stopped,
    #[error(
        "{rows} rows with {features} features are more values than the {values_max} that one training set may have"
    )]
    TooManyValues {
        rows: u64,
        features: u64,
        values_max: u64,
    },
    #[error("the spine")]
    Table(#[source] Box<ConnectError>),
    #[error("its file")]
    Out(#[source] Box<ConnectError>),
    #[error("the log")]
    Log(#[source] Box<LogError>),
    #[error("an event of `{source_name}` in the log")]
    Event {
        source_name: String,
        #[source]
        reason: SchemaError,
    },
}

impl TrainError {
    /// Whether it is [`TrainError::TooManyValues`].
    pub fn is_too_many_values(&self) -> bool {
        matches!(self, TrainError::TooManyValues { .. })
    }

    /// Whether the rows of the spine are what is wrong.
    pub fn is_of_spine(&self) -> bool {
        match self {
            TrainError::MissingColumn { .. }
            | TrainError::NoTimeColumn { .. }
            | TrainError::SeveralTimeColumns { .. }
            | TrainError::MissingTime { .. }
            | TrainError::NameCollision { .. }
            | TrainError::Table(_) => true,
            TrainError::Transform { .. }
            | TrainError::NoInput { .. }
            | TrainError::Stopped
            | TrainError::TooManyValues { .. }
            | TrainError::Out(_)
            | TrainError::Log(_)
            | TrainError::Event { .. } => false,
        }
    }

    pub(crate) fn out(error: ConnectError) -> Self {
        TrainError::Out(Box::new(error))
    }

    pub(crate) fn table(error: ConnectError) -> Self {
        TrainError::Table(Box::new(error))
    }

    pub(crate) fn log(error: LogError) -> Self {
        TrainError::Log(Box::new(error))
    }
}
