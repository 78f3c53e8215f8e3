//! What can go wrong with the lake, and what to do about it.

use std::error::Error;

use crate::objects::Refusal;

/// A failure of the lake.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LakeError {
    #[error("`{address}` is no address of a lake: {reason}")]
    Address { address: String, reason: String },
    #[error("the lake `{address}` cannot be written")]
    Closed {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the lake's table of `{table}` cannot be read")]
    Read {
        table: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the lake's table of `{table}` is not that of this source: {reason}")]
    NotOurs { table: String, reason: String },
    #[error(
        "the lake's table of `{table}` has schema version {found} of the source, which changed meanwhile: version {known} is known"
    )]
    NewerSchema {
        table: String,
        found: u32,
        known: u32,
    },
    #[error("the lake's table of `{table}` has no version {version} any more")]
    NoVersion {
        table: String,
        version: u64,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the lake's table of `{table}` could not be written; the events are in the log")]
    Write {
        table: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the object store of `{address}` {refusal}")]
    Objects {
        address: String,
        refusal: Refusal,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the lake `{address}` is being written{}", holder(*pid))]
    InUse { address: String, pid: Option<u32> },
    #[error("somebody else writes the lake's table of `{table}`")]
    Conflict {
        table: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(
        "the lake's table of `{table}` covers partition {partition} up to {covered}, the log ends at {logged}: it is another store's, or the log was restored from a backup"
    )]
    Ahead {
        table: String,
        partition: u32,
        covered: u64,
        logged: u64,
    },
    #[error(
        "the lake's table of `{table}` has another event at the position of its last one than the log: the log was restored from a backup"
    )]
    Otherwise { table: String },
    #[error("version {version} of the lake's table of `{table}` is not what `{pin}` keeps")]
    NotPinned {
        table: String,
        version: u64,
        pin: String,
    },
    #[error("column `{column}` of `{table}` cannot be kept in the lake: {reason}")]
    Column {
        table: String,
        column: String,
        reason: String,
    },
    #[error(
        "the log was truncated, and the lake's table of `{table}` lacks what it had: {reason}; bring the table back from a copy"
    )]
    Lacks { table: String, reason: String },
    #[error("`{path}` of the lake is missing")]
    MissingFile { path: String },
    #[error("`{path}` of the lake is damaged: {reason}")]
    Damaged { path: String, reason: String },
}

impl LakeError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            LakeError::Objects {
                refusal, address, ..
            } => refusal.hint(address),
            LakeError::InUse { .. }
            | LakeError::Conflict { .. }
            | LakeError::NewerSchema { .. } => "run the command again",
            LakeError::MissingFile { .. } | LakeError::Damaged { .. } => {
                "run the command again; if it stays so, bring the table back from a copy; unless the log was truncated, it has the events: remove the table's directory and flush"
            }
            LakeError::Closed { .. } => {
                "see that there is space, and that this account may write there"
            }
            LakeError::Otherwise { .. } | LakeError::Ahead { .. } => {
                "if the log was restored from a backup and nobody else writes this lake: `evenkeel lake --set-back`, which keeps what was flushed behind the backup in a pinned version alone; else name another place with `url` of `[lake]`"
            }
            LakeError::NotPinned { .. } => {
                "somebody wrote it since, or the name is of another time: see that nobody else uses the lake, and take another name"
            }
            LakeError::NotOurs { .. } => {
                "name another place with `url` of `[lake]`, or remove the table, unless a log was truncated by it"
            }
            _ => return None,
        })
    }

    /// Whether nobody can say now what the lake has: its store does not answer, or with an error of its own. What it
    /// refuses until something is put right is another matter.
    pub fn is_away(&self) -> bool {
        let LakeError::Objects { refusal, .. } = self else {
            return false;
        };
        matches!(refusal, Refusal::Unreachable | Refusal::Failing)
    }

    /// Whether the same may succeed a little later, and nothing has to be put right.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            LakeError::InUse { .. } | LakeError::Conflict { .. } | LakeError::NewerSchema { .. }
        ) || self.is_away()
    }

    /// Whether doing it again may succeed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, LakeError::Conflict { .. })
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}
