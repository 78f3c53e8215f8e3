//! The cold tier: one Delta table of logged events per source, on a local disk or an object
//! store.
//!
//! Owns what a row of a table holds, data files, commits, compaction and vacuum, and reading
//! events back, alone ([`Table`], for a log that was truncated) or with what is only in the log ([`ColdAndLog`]). Does not know
//! views, features or SQL, nor which events hold: it has what the log has. The only crate that
//! names Delta and object stores; none of their types leaves it. `docs/format/lake.md` says what a
//! table looks like.
//!
//! Invariant: a version of a table holds exactly the events of its source up to the positions
//! that the version says, each once, and gives each back as it was logged, in the columns of
//! the table's schema version; or it says which file is missing or damaged.

mod cold;
mod columns;
mod data_file;
mod error;
mod file_events;
mod file_store;
mod forgetting;
mod hdfs;
mod held;
mod lake;
mod layout;
mod leftovers;
mod maintenance;
mod names;
mod objects;
mod older;
mod parts;
mod setting_back;
mod statistics;
mod table;
mod waiting;

pub use cold::ColdAndLog;
pub use columns::TableColumns;
pub use data_file::ROW_GROUP_ROWS;
pub use error::LakeError;
pub use forgetting::Forgotten;
pub use lake::{Hold, Lake, LakeAddress};
pub use maintenance::{Compacted, FileLimits, Vacuumed};
pub use objects::Refusal;
pub use setting_back::SetBack;
pub use table::{Appended, Clustering, DataFile, Table};
