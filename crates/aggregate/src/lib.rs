//! Exact mergeable aggregate states, blocks and summary nodes per key, sliding sweeps over
//! sorted events, and the naive oracle.
//!
//! Knows no storage, no SQL text, no clock. Everything here computes the aggregates that
//! `docs/semantics.md` defines ("Windows", "Aggregates are functions of the multiset") from
//! events that the caller brings.

mod aggregates;
mod error;
mod exact;
mod formula;
mod frame;
pub mod history;
pub mod oracle;
mod order;
pub mod signature;
mod state;
pub mod sweep;

pub use aggregates::{Aggregates, SpecId, WhereId};
pub use error::{SignatureError, StateError};
pub use history::{Bounds, Entry, EntryView, Everything, History, Known, Members, Visibility};
pub use order::EventOrder;
pub use state::{
    Aggregator, HYPERLOGLOG_PRECISION, HYPERLOGLOG_STANDARD_ERROR, QUANTILE_EXACT_MAX,
    QUANTILE_RELATIVE_ERROR, STATE_VERSION, State,
};
