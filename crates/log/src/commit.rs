//! An append as bytes: commit header, frame headers, bodies.

use std::fmt;

use crate::batch::{Appended, Batch};
use crate::body::{
    encode_backfills, encode_columnar, encode_correlations, encode_dead_letters, encode_events,
    encode_redriven,
};
use crate::error::LogError;
use crate::index::Chain;
use crate::layout::{
    BACKFILLS_VERSION, COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, CORRELATIONS_VERSION, CommitHeader,
    FORMAT_VERSION, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FRAMES_MAX, FrameHeader, FrameKind,
    body_checksum,
};
use crate::options::Compression;
use crate::segment::Commit;

/// Shorter bodies are left as they are.
const COMPRESSED_BYTES_MIN: usize = 256;
/// A frame is stored compressed if that takes off more than this part of it.
const PAYS_OFF_DIVISOR: usize = 8;
/// Memory that is kept for the next commit: what is larger is given back, as few commits are.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Turns appends into commits; keeps its buffers, as memory that is new has to be zeroed first.
pub(crate) struct CommitEncoder {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    /// For the next commit.
    bytes: Vec<u8>,
    /// For what a frame is compressed to.
    compressed: Vec<u8>,
}

impl fmt::Debug for CommitEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitEncoder")
            .field("compresses", &self.compressor.is_some())
            .finish()
    }
}

/// A commit that is not written yet.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    header: CommitHeader,
    frames: Vec<FrameHeader>,
}

impl Encoded {
    /// The commit, once it stands at byte `at` of its segment.
    pub(crate) fn commit(self, at: u64) -> Commit {
        Commit {
            at,
            header: self.header,
            frames: self.frames,
        }
    }
}

impl CommitEncoder {
    pub(crate) fn new(compression: Compression) -> Self {
        CommitEncoder {
            compressor: match compression {
                Compression::None => None,
                // A level out of zstd's range is clamped by it; a compressor that cannot be
                // had (no memory) leaves frames as they are.
                Compression::Zstd { level } => zstd::bulk::Compressor::new(level).ok(),
            },
            bytes: Vec::new(),
            compressed: Vec::new(),
        }
    }

    /// Takes the memory of a commit that is written, for the next.
    pub(crate) fn reuse(&mut self, bytes: Vec<u8>) {
        keep(&mut self.bytes, bytes);
    }

    /// The commit of these batches at these places; `None` if no batch has a record.
    pub(crate) fn encode(
        &mut self,
        chain: &Chain,
        batches: &[Batch],
        places: &[Appended],
    ) -> Result<Option<Encoded>, LogError> {
        let filled = || batches.iter().zip(places).filter(|(b, _)| b.count() > 0);
        let count = filled().count();
        let Some((_, first)) = filled().next() else {
            return Ok(None);
        };
        let too_large = |bytes| LogError::AppendTooLarge {
            bytes,
            batches: count,
            limit_bytes: COMMIT_BYTES_MAX,
            limit_batches: FRAMES_MAX,
        };
        if count > FRAMES_MAX {
            return Err(too_large(0));
        }
        let head_bytes = COMMIT_HEADER_BYTES + count * FRAME_HEADER_BYTES;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(head_bytes, 0);
        let mut frames = Vec::with_capacity(count);
        for (batch, place) in filled() {
            frames.push(self.frame(batch, place, &mut bytes)?);
            if bytes.len() - head_bytes > COMMIT_BYTES_MAX {
                return Err(too_large(bytes.len() - head_bytes));
            }
        }
        let mut header = CommitHeader {
            version: version_of(&frames),
            frames: count,
            bodies_bytes: (bytes.len() - head_bytes) as u64,
            commit: chain.next_commit,
            first_sequence: first.first_sequence.0,
            previous_checksum: chain.checksum,
            logged_at: first.logged_at.0,
            checksum: 0,
        };
        header.checksum = header.encode(&frames, &mut bytes[..head_bytes]);
        Ok(Some(Encoded {
            bytes,
            header,
            frames,
        }))
    }

    /// Appends a batch's body; answers its header.
    pub(crate) fn frame(
        &mut self,
        batch: &Batch,
        place: &Appended,
        out: &mut Vec<u8>,
    ) -> Result<FrameHeader, LogError> {
        let start = out.len();
        let mut times = (0, 0);
        let mut columnar = false;
        let kind = match batch {
            Batch::Events { events, .. } => {
                let (partition, first) = (place.partition, place.first);
                times = match encode_columnar(events, partition, first, out)? {
                    // Rows may fit where columns do not.
                    Some(_) if out.len() - start > FRAME_BYTES_MAX => {
                        out.truncate(start);
                        encode_events(events, partition, first, out)?
                    }
                    Some(times) => {
                        columnar = true;
                        times
                    }
                    None => encode_events(events, partition, first, out)?,
                };
                FrameKind::Events
            }
            Batch::DeadLetters { letters, .. } => {
                encode_dead_letters(letters, out);
                FrameKind::DeadLetters
            }
            Batch::Redriven { ids, .. } => {
                encode_redriven(ids, out);
                FrameKind::Redriven
            }
            Batch::Backfills { backfills, .. } => {
                encode_backfills(backfills, out);
                FrameKind::Backfills
            }
            Batch::Correlations { correlations, .. } => {
                encode_correlations(correlations, out);
                FrameKind::Correlations
            }
        };
        let too_large = |bytes| LogError::BatchTooLarge {
            bytes,
            limit: FRAME_BYTES_MAX,
        };
        let plain = out.len() - start;
        if plain > FRAME_BYTES_MAX {
            return Err(too_large(plain));
        }
        let compressed = self.compress(start, out);
        let stored = out.len() - start;
        let number = |bytes: usize| u32::try_from(bytes).map_err(|_| too_large(bytes));
        Ok(FrameHeader {
            kind,
            compressed,
            columnar,
            tenant: 0,
            source: batch.source().0,
            partition: place.partition.0,
            schema_version: match batch {
                Batch::Events { schema_version, .. } => *schema_version,
                _ => 0,
            },
            first: place.first,
            // Every record has a byte of body at least, so this cannot exceed the limit.
            count: number(batch.count())?,
            stored_bytes: number(stored)?,
            plain_bytes: number(plain)?,
            event_times: times,
            checksum: body_checksum(&out[start..]),
        })
    }

    /// Compresses what stands in `out` from `start` on, if that pays.
    fn compress(&mut self, start: usize, out: &mut Vec<u8>) -> bool {
        let Some(compressor) = &mut self.compressor else {
            return false;
        };
        let plain = out.len() - start;
        if plain < COMPRESSED_BYTES_MIN {
            return false;
        }
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        compressed.reserve(zstd::zstd_safe::compress_bound(plain));
        let written = compressor.compress_to_buffer(&out[start..], &mut compressed);
        let pays = written.is_ok_and(|bytes| bytes < plain - plain / PAYS_OFF_DIVISOR);
        if pays {
            out.truncate(start);
            out.extend_from_slice(&compressed);
        }
        keep(&mut self.compressed, compressed);
        pays
    }
}

/// Keeps memory for later, unless it is much.
fn keep(place: &mut Vec<u8>, bytes: Vec<u8>) {
    if bytes.capacity() <= KEPT_BYTES_MAX {
        *place = bytes;
    }
}

/// The version of a commit of these frames: the first that has all of their kinds.
pub(crate) fn version_of(frames: &[FrameHeader]) -> u16 {
    let has = |kind| frames.iter().any(|f| f.kind == kind);
    match (has(FrameKind::Correlations), has(FrameKind::Backfills)) {
        (true, _) => CORRELATIONS_VERSION,
        (false, true) => BACKFILLS_VERSION,
        (false, false) => FORMAT_VERSION,
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{Event, EventTime, Operation, Partition, SourceId, Value, VisibleAt};
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{OWN_POSITION, Sequence};

    fn commit(encoder: &mut CommitEncoder, numbers: &[i64]) -> Vec<u8> {
        let chain = Chain {
            next_commit: 1,
            next_sequence: 1,
            checksum: 7,
            logged_at: 0,
        };
        let event = |number: &i64| Event {
            operation: Operation::Insert,
            revision: 0,
            event_time: EventTime(*number),
            known_at: None,
            origin: OWN_POSITION,
            row: vec![Value::BigInt(*number), Value::string("a")],
            before: None,
        };
        let batch = Batch::Events {
            source: SourceId(1),
            partition: Partition(0),
            schema_version: 1,
            events: numbers.iter().map(event).collect(),
        };
        let place = Appended {
            source: SourceId(1),
            partition: Partition(0),
            first: 0,
            count: numbers.len() as u64,
            first_sequence: Sequence(1),
            logged_at: VisibleAt(0),
        };
        let encoded = encoder.encode(&chain, &[batch], &[place]);
        let encoded = encoded.expect("it is not too large");
        encoded.expect("it has records").bytes
    }

    proptest! {
        /// Rows and columns, compressed and not, longer and shorter than the commit before.
        #[test]
        fn memory_of_a_commit_before_changes_no_byte_of_the_next(
            commits in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<i64>(), 1..400),
                    prop::collection::vec(0i64..3, 1..400),
                ],
                1..8,
            ),
        ) {
            let compression = Compression::Zstd { level: 1 };
            let mut kept = CommitEncoder::new(compression);
            for numbers in commits {
                let alone = commit(&mut CommitEncoder::new(compression), &numbers);
                let bytes = commit(&mut kept, &numbers);
                prop_assert_eq!(&bytes, &alone);
                kept.reuse(bytes);
            }
        }
    }
}
