//! The event log: what was acknowledged, in the order in which it was applied.
//!
//! Owns positions, the apply timeline, segments on disk, dead letters, and the seams to
//! clock and files. Does not know what events mean: a row is a list of values; nor where the events of
//! truncated segments are ([`OlderEvents`]).
//!
//! Invariant: what [`Log::append`] has answered is read back, in the same order and at the
//! same positions and times, for ever, or reading and opening answer with an error that
//! names file and byte. `docs/format/log.md` has the bytes.

mod backfills;
mod batch;
mod body;
mod clock;
mod commit;
mod copy;
mod correlations;
mod dead_letters;
mod error;
mod event_columns;
mod events;
mod file_system;
mod frames;
mod index;
mod layout;
mod log;
mod mark;
mod older;
mod options;
mod reader;
mod recovery;
mod rewriting;
mod room;
mod segment;
mod source;
mod truncated;
mod truncation;

pub use batch::{
    Appended, Backfill, Batch, Correlation, DeadLetter, DeadLetterId, LoggedBackfill,
    LoggedDeadLetter, OWN_POSITION, Sequence,
};
pub use body::{FrameColumn, event_from_bytes, event_to_bytes, events_from_body, events_to_body};
pub use clock::{Clock, ManualClock, SystemClock};
pub use copy::Copied;
pub use dead_letters::{DeadLetterCount, DeadLetters};
pub use error::{Flaw, LogError};
pub use event_columns::{EventColumns, EventColumnsParts};
pub use events::{Events, Next};
pub use file_system::{
    Crash, DiskFileSystem, File, FileSystem, Lock, LockGuard, MemoryFileSystem, OpenMode,
};
pub use log::Log;
pub use older::OlderEvents;
pub use options::{Compression, LogOptions};
pub use reader::{EventParts, LogReader, ReadOptions};
pub use recovery::{RecoveryReport, TornTail};
pub use rewriting::{Rewriting, Rewritten, lock_log, put_rewritten, remove_rewritten};
pub use source::{EventSource, EventStream, events_at};
pub use truncation::{LogSegment, TruncatedSegment};
