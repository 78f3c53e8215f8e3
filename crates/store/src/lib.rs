//! The hot tier: what reads need, in memory and checkpointed to an embedded store.
//!
//! Owns the store seam ([`Kv`]: atomic durable batches, snapshots), its two implementations
//! (in memory and fjall), the checksum over every row, and the blocks of every key
//! ([`Blocks`]): tails in memory, delta runs, sealed blocks, the cache of what was read.
//! Does not know SQL, windows or what an event means, and is never the only copy of
//! anything: the log is. `docs/format/hot-tier.md` has the bytes.

mod blocks;
mod conformance;
mod embedded;
mod error;
mod gate;
mod kv;
mod mark;
mod memory;
mod row;

pub use blocks::examine::{Examined, Finding, IndexShape, examine};
pub use blocks::{
    AtHand, BlockCheckpoint, Blocks, BlocksOptions, Brought, ColdEvents, ColdNeeds, Collect,
    Horizon, IndexSpec, KEPT_KEY_BYTES_MAX, KeptCounts, KeptReads, KeptRow, KeyList, KeyOrder,
    KeyReads, ListedKey, NewRow, NothingCold, Reheats, Replaced, RowShape, SEALED_ENTRIES, Scans,
    Spent, Written, bucket_of,
};
pub use conformance::conformance;
pub use embedded::{EmbeddedKv, Opened};
pub use error::{RowPlace, StoreError};
pub use gate::{Gate, GatedKv, Held};
pub use kv::{Batch, Examine, ExamineUntil, Kv, Snapshot, Space, Visit};
pub use memory::MemoryKv;
