//! Tables of MySQL and MariaDB as sources: a consistent snapshot, then the row changes of the
//! binlog from exactly there on (`docs/decisions/0037-changes-of-other-systems.md`).
//!
//! The only crate that speaks a database's protocol. Synchronous; it starts no thread. Knows what a
//! row of a server's table is as columns of a source, and where each stands in the binlog; what the
//! rows mean is the engine's, which takes them as it takes those of files.
//!
//! Invariant: a row is named by its place in the binlog, and what is read again from an earlier
//! place has the same names, times and values. So a process may die anywhere.

mod bytes;
mod capture;
mod cell;
mod charset;
mod client;
mod error;
mod event;
mod gtid;
mod image;
mod json;
mod live;
mod log_end;
mod mapping;
mod report;
mod resume;
mod server;
mod settings;
mod snapshot;
mod statement;
mod stream;
mod table_map;

pub use capture::{Capture, Start, Stepped};
pub use error::CaptureError;
pub use evenkeel_engine::is_captured;
pub use log_end::{LogEnd, LogPlace};
pub use report::CaptureReport;
