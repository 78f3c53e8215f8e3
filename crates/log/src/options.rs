//! Settings of a log, which are no part of what it holds.

/// Settings of a log open for writing. None of them is part of the format: a log may be
/// opened with others each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment that is not empty takes no append that would make it longer than this.
    pub segment_bytes: u64,
    /// Whether frames are compressed where it makes them smaller by an eighth at least.
    pub compression: Compression,
}

/// How frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With zstd at this level.
    Zstd {
        /// 1 is quick, 19 is slow.
        level: i32,
    },
}

impl Default for LogOptions {
    /// Segments of 256 MiB, zstd at level 1: half the bytes for a fifth more CPU, measured on
    /// payments (`examples/throughput.rs`).
    fn default() -> Self {
        LogOptions {
            segment_bytes: 256 << 20,
            compression: Compression::Zstd { level: 1 },
        }
    }
}
