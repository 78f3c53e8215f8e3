//! The server: HTTP requests in, answers out.
//!
//! Owns the writer thread, limits, tokens and the shape of answers. Computes no value: the
//! engine does. Invariants: an acknowledged event is durable and applied; a read is evaluated
//! at one cut, which its answer states; no lock is held while the disk is written, or over an
//! `await`; every queue is bounded (`docs/decisions/0006-server.md`).

mod answer;
mod app;
mod arrival;
mod ask;
mod auth;
mod backfills;
mod behind;
mod body;
mod calls;
mod captures;
mod catalog;
mod checkpoints;
mod client;
mod clock;
mod comparisons;
mod corrections;
mod datasets;
mod definitions;
mod doctor;
mod emissions;
mod engine_lock;
mod error;
mod events;
mod features;
mod file_rows;
mod forget;
mod idle;
mod lake;
mod levels;
mod long_work;
mod metrics;
mod name;
mod openapi;
mod outgoing;
mod plans;
mod pool;
mod presence;
mod promises;
mod pushed;
mod reply;
mod request;
mod results;
mod round;
mod routes;
mod runs;
mod segments;
mod served;
mod server;
mod shared;
mod spine_rows;
mod spool;
mod sql;
mod topics;
mod training;
mod triggers;
mod unread;
mod verification;
mod waits;
pub mod wire;
mod writer;

pub use app::App;
pub use auth::{TOKEN_CHARS_MIN, Tokens, secret};
pub use client::{Client, Progress, Reply, Sent};
pub use error::ERROR_CODES;
pub use openapi::OPENAPI;
pub use presence::{Presence, SERVE_FILE};
pub use server::{ServerError, run};
