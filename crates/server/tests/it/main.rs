//! The API without sockets: every route, error and limit; bits; promises; many at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod applying;
mod arrow;
mod backfills;
mod bits;
mod calls;
mod checkpoints;
mod cold;
mod corrections;
mod datasets;
mod definitions;
mod events;
mod features;
mod history;
mod lake;
mod limits;
mod prefixes;
mod promises;
mod runs;
mod segments;
mod sql;
mod support;
mod tokens;
mod topics;
mod training;
mod triggers;
