//! What can go wrong in the log, by place.

use std::io;
use std::path::PathBuf;

use evenkeel_types::{Position, SourceId};

use crate::batch::DeadLetterId;

/// Why the log did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("could not {operation} `{}`", path.display())]
    Io {
        /// What was tried, in the infinitive.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// No room for an append. Nothing of it is in the log.
    #[error(
        "no space left for an append to `{}`; nothing of it was kept: free space and append again",
        path.display()
    )]
    StorageFull {
        /// The segment.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A write or a sync failed in a way that leaves open what the disk holds, so the log
    /// takes no more writes. Whether this append is in the log shows when it is opened again.
    #[error(
        "could not make an append to `{}` durable ({operation}): the log is closed for writes; check the disk and open it again",
        path.display()
    )]
    NotDurable {
        /// What failed, in the infinitive.
        operation: &'static str,
        /// The segment.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// An earlier [`LogError::NotDurable`].
    #[error(
        "the log is closed for writes since an earlier one failed ({cause}); check the disk and open it again"
    )]
    Closed {
        /// The earlier failure, as text.
        cause: String,
    },
    /// Somebody else writes to this log.
    #[error(
        "the log `{}` is open for writing in {}; stop it first, or wait until it ends",
        path.display(),
        holder(*pid)
    )]
    Locked {
        /// The log's directory.
        path: PathBuf,
        /// The process that holds it, if it is known.
        pid: Option<u32>,
    },
    /// What keeps the older part of the log cannot be read.
    #[error("the events that the lake keeps")]
    Lake {
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The events of a truncated segment are wanted, and nobody said where they are.
    #[error("`{}` is truncated: its events are in the lake, which this does not read", path.display())]
    OlderClosed {
        /// The segment.
        path: PathBuf,
    },
    /// An event of a truncated segment is not where it was to be.
    #[error(
        "`{}` is truncated, and the lake does not have event {position} of source {}, which was in it; bring the lake's table back from a copy",
        path.display(),
        source_id.0
    )]
    OlderMissing {
        /// The segment.
        path: PathBuf,
        /// The source.
        source_id: SourceId,
        /// The first that is missing, or is another.
        position: Position,
    },
    /// There is no such segment to truncate.
    #[error(
        "no segment of `{}` begins with record {first}, or it is appended to",
        directory.display()
    )]
    NoSegment {
        /// The log's directory.
        directory: PathBuf,
        /// The record.
        first: u64,
    },
    /// Bytes that were acknowledged are not what was written.
    #[error("`{}` is damaged at byte {at}; restore the file from a copy", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The first byte of the structure that is wrong, from the start of the file.
        at: u64,
        /// What is wrong.
        source: Flaw,
    },
    /// The log ends before what was acknowledged.
    #[error(
        "the log `{}` holds {found} commits but {marked} were acknowledged; restore it from a copy",
        directory.display()
    )]
    LostSuffix {
        /// The log's directory.
        directory: PathBuf,
        /// How many commits are known to be acknowledged.
        marked: u64,
        /// How many were found.
        found: u64,
    },
    /// The file that says how far the log was acknowledged is not there.
    #[error("`{}` is missing beside its segments; restore it from a copy", path.display())]
    MissingMark {
        /// The file.
        path: PathBuf,
    },
    /// A segment file is not there.
    #[error(
        "the segment that begins with record {first_sequence} is missing from `{}`; restore it from a copy",
        directory.display()
    )]
    MissingSegment {
        /// The log's directory.
        directory: PathBuf,
        /// The first sequence number it would hold.
        first_sequence: u64,
    },
    /// The file was written by a newer version.
    #[error(
        "`{}` has log format version {found}; this program reads up to version {supported}: use a newer one",
        path.display()
    )]
    UnsupportedVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest that can be read.
        supported: u16,
    },
    /// One batch is too large for a frame.
    #[error("a batch of {bytes} bytes exceeds the limit of {limit}; append smaller batches")]
    BatchTooLarge {
        /// Encoded.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// One append is too large.
    #[error(
        "an append of {bytes} bytes in {batches} batches exceeds the limit of {limit_bytes} bytes or {limit_batches} batches; append less at once"
    )]
    AppendTooLarge {
        /// Encoded.
        bytes: usize,
        /// How many batches.
        batches: usize,
        /// The limit.
        limit_bytes: usize,
        /// The other limit.
        limit_batches: usize,
    },
    /// A value is nested more deeply than any column type.
    #[error("a value is nested more than {limit} levels deep; no column type is")]
    NestedTooDeep {
        /// The limit.
        limit: usize,
    },
    /// The partition number is kept for [`crate::OWN_POSITION`].
    #[error(
        "partition {} has no place in the log; number partitions from 0",
        u32::MAX
    )]
    ReservedPartition,
    /// No dead letter has this id.
    #[error("source {} has no dead letter {}; list its dead letters for their ids", source_id.0, id.0)]
    UnknownDeadLetter {
        /// The source.
        source_id: SourceId,
        /// The id.
        id: DeadLetterId,
    },
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

/// What is wrong with a stretch of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file ends inside the structure.
    #[error("the file ends inside {0}")]
    Truncated(&'static str),
    /// Other bytes than the structure begins with.
    #[error("{0} does not begin with its magic bytes")]
    Magic(&'static str),
    /// The checksum does not fit.
    #[error("the checksum of {0} does not fit its bytes")]
    Checksum(&'static str),
    /// A number outside its range.
    #[error("{field} is {value}, which it cannot be")]
    Field {
        /// Which number.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// The structure does not continue what precedes it.
    #[error("{field} is {found} where {expected} was due")]
    Discontinuity {
        /// Which number.
        field: &'static str,
        /// What would continue.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Bytes left over where the structure ends.
    #[error("{count} bytes are left over after {what}")]
    Trailing {
        /// The structure.
        what: &'static str,
        /// How many.
        count: u64,
    },
    /// Bytes that are no text.
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
    /// Lists in lists in lists.
    #[error("a value is nested too deep")]
    Nesting,
    /// The frame's compressed bytes do not expand to what they should.
    #[error("a compressed frame does not expand to its {plain_bytes} bytes")]
    Compression {
        /// What it should expand to.
        plain_bytes: u64,
    },
}
