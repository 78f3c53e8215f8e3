//! Drives the `evenkeel` binary as a user does. `UPDATE_EXPECT=1` writes the golden files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod backfill;
mod calls;
mod captured;
mod commands;
mod comparisons;
mod correct;
mod datasets;
mod deletes;
mod demo;
mod docs;
mod duckdb;
mod errors;
mod explain;
mod flush;
mod follow;
mod forget;
mod from_file;
mod full_disk;
mod functions;
mod help;
mod ingest;
mod kill;
mod kill_files;
mod pushed;
mod read_only;
mod rollback;
mod runs;
mod segments;
mod serve;
mod state_views;
mod store;
mod support;
mod tail;
mod trials;
mod triggers;
