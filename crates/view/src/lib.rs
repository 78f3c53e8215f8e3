//! A view as trigger, look-ups, windows and columns: evaluation at `(k, t | K)` against a
//! small read seam, and the naive oracle that checks it.
//!
//! Knows definitions, expressions and the blocks of one key. Does not know the log, files,
//! SQL text or who asks. Invariant: an answer depends on the definition, the key, the time
//! and the knowledge alone, never on how the store came to be.

mod changes;
mod columns;
mod explain;
mod identity;
mod lasting;
mod live;
mod look_back;
pub mod oracle;
mod plan;
mod point;
mod rebase;
mod row;
mod source;
mod uses;

pub use columns::ViewColumns;
pub use explain::{Fact, Step};
pub use identity::{Version, winner};
pub use lasting::{LastingFormat, LastingRow, LastingView};
pub use plan::{CompiledView, IndexId, IndexPlan, Plan};
pub use point::{ReadError, Reader, Store};
pub use rebase::rebase;
pub use row::{Found, ViewRow};
pub use source::{SourceProgram, encode_key};
pub use uses::{KeyUse, Uses, lookup_ranges};
