//! Why a query has no answer.

use evenkeel_connect::ConnectError;
use evenkeel_engine::{Diagnostic, EngineError, ErrorKind};

/// A query has no answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SqlError {
    /// With its place in the query.
    #[error("{}", .0.message)]
    Mistake(Box<Diagnostic>),
    /// The query engine's words.
    #[error("the query cannot be planned: {reason}")]
    Plan { reason: String },
    /// The query engine's words.
    #[error("the query failed: {reason}")]
    Failed { reason: String },
    #[error("the result has two columns `{name}`")]
    TwoColumns { name: String },
    #[error("the column `{name}` is {found}, which has no form here")]
    ColumnType { name: String, found: String },
    #[error(
        "`{relation}` has {events} events in this cut: with the columns that the query reads, and with what else it reads, these are more values than the {values_max} that one query may read"
    )]
    TooManyValues {
        relation: String,
        events: u64,
        values_max: u64,
    },
    #[error("the answer has more than {bytes_max} bytes")]
    TooManyBytes { bytes_max: u64 },
    #[error("the query needs more than {bytes_max} bytes of memory")]
    Memory { bytes_max: u64 },
    #[error("{at} is later than now: a run is as of a time that has passed")]
    RunInFuture { at: String },
    #[error("it was stopped")]
    Stopped,
    #[error("the store")]
    Store(#[source] Box<EngineError>),
    #[error("the rows")]
    Rows(#[source] Box<ConnectError>),
    #[error("the query cannot be run")]
    Runtime(#[source] std::io::Error),
}

impl SqlError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            SqlError::Store(error) => error.kind(),
            SqlError::Runtime(_) => ErrorKind::Storage,
            _ => ErrorKind::Invalid,
        }
    }

    /// What to do next, where there is more to say than the message does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            SqlError::Mistake(diagnostic) => return diagnostic.hint.clone(),
            SqlError::TwoColumns { .. } => "name one of them otherwise: `AS ...`".to_owned(),
            SqlError::ColumnType { .. } => "CAST it to what can be written".to_owned(),
            SqlError::TooManyValues { .. } => {
                "name fewer columns, or run it without a server, which has no such limit".to_owned()
            }
            SqlError::TooManyBytes { .. } => "ask for fewer rows: LIMIT".to_owned(),
            SqlError::Memory { .. } => {
                "filter before joins and sorts, or run it without a server".to_owned()
            }
            SqlError::Store(error) => return error.hint(),
            SqlError::Plan { .. }
            | SqlError::Failed { .. }
            | SqlError::RunInFuture { .. }
            | SqlError::Stopped
            | SqlError::Rows(_)
            | SqlError::Runtime(_) => return None,
        })
    }

    /// The engine's error for a mistake in the query, whose text is called `name`, and for what the
    /// store said; else itself.
    pub fn into_engine(self, name: &str) -> Result<EngineError, SqlError> {
        match self {
            SqlError::Mistake(found) => {
                Ok(EngineError::Definitions(vec![(name.to_owned(), *found)]))
            }
            SqlError::Store(error) => Ok(*error),
            other => Err(other),
        }
    }

    /// Whether a limit was reached.
    pub fn is_too_much(&self) -> bool {
        matches!(
            self,
            SqlError::TooManyValues { .. }
                | SqlError::TooManyBytes { .. }
                | SqlError::Memory { .. }
        )
    }

    pub(crate) fn store(error: EngineError) -> Self {
        match error {
            EngineError::Stopped => SqlError::Stopped,
            error => SqlError::Store(Box::new(error)),
        }
    }

    pub(crate) fn rows(error: ConnectError) -> Self {
        SqlError::Rows(Box::new(error))
    }
}
