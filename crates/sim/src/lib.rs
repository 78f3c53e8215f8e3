//! Proofs of what a served store promises: a workload under a seed, the history of what its
//! clients saw, and a checker that compares the history with the log.
//!
//! For tests only. It knows the API as JSON and the log as events; it does not know the
//! engine, the server, threads, sockets or clocks, so a simulation and a loop of killed processes use
//! it alike. See `docs/decisions/0014-history-checker.md`.

mod check;
mod clients;
mod fold;
mod history;
mod json;
mod log_check;
mod random;
mod read_check;
mod workload;

pub use check::{Broken, Report, Violation, check};
pub use clients::{Asked, Client, Reply, Request, Run};
pub use fold::Fold;
pub use history::{
    Answer, Event, Feature, History, Level, Log, Moment, Outcome, Push, PushReply, Question, Read,
    ReadReply, Row, Tally, Token, Unmet, join,
};
pub use json::{
    Malformed, cut_text, parse_cut, parse_token, push_reply, question_json, read_reply, rows_json,
    token_text,
};
pub use random::Random;
pub use workload::{DEFINITIONS, ENTITIES, HOUR, SOURCES, START, Workload, lateness, source_id};
