//! Stores and blocks from outside.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod blocks;
mod deferred;
mod format;
mod keys;
mod stores;
mod summaries;
mod world;

/// What an embedded store may use.
const MEMORY: u64 = 4 << 20;
