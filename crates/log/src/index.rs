//! What is where: the log's blocks, and per stream of records the blocks that it is in.
//!
//! A block is a run of whole commits in one segment of about 64 KiB, so the index needs
//! memory per 64 KiB of log and stream, not per commit. Built when the log is opened, grown
//! by appends, never shrunk.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_types::{Cut, Offset, Partition, SourceId};

use crate::error::Flaw;
use crate::layout::FrameKind;
use crate::segment::Commit;

/// A block takes no further commit once it has so many bytes.
const BLOCK_BYTES: u64 = 64 << 10;

/// Of so many bytes one may be read twice before sources are read all at once.
const BYTES_PER_BYTE_MORE: u64 = 8;

/// Records that are numbered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamKey {
    pub(crate) kind: FrameKind,
    pub(crate) source: u32,
    /// 0 for other kinds than events.
    pub(crate) partition: u32,
}

impl StreamKey {
    pub(crate) fn events(source: SourceId, partition: Partition) -> Self {
        StreamKey {
            kind: FrameKind::Events,
            source: source.0,
            partition: partition.0,
        }
    }

    pub(crate) fn dead_letters(source: SourceId) -> Self {
        StreamKey {
            kind: FrameKind::DeadLetters,
            source: source.0,
            partition: 0,
        }
    }

    pub(crate) fn redriven(source: SourceId) -> Self {
        StreamKey {
            kind: FrameKind::Redriven,
            source: source.0,
            partition: 0,
        }
    }

    pub(crate) fn backfills(source: SourceId) -> Self {
        StreamKey {
            kind: FrameKind::Backfills,
            source: source.0,
            partition: 0,
        }
    }

    pub(crate) fn correlations(source: SourceId) -> Self {
        StreamKey {
            kind: FrameKind::Correlations,
            source: source.0,
            partition: 0,
        }
    }
}

/// A stream's records in one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRange {
    pub(crate) key: StreamKey,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// A run of commits.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The first record of its segment: the segment's name.
    pub(crate) segment: u64,
    /// Its bytes in the segment.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) first_sequence: u64,
    /// The apply timeline of its last commit.
    pub(crate) last_logged_at: i64,
    pub(crate) streams: Vec<StreamRange>,
}

#[derive(Debug, Default)]
struct Stream {
    end: u64,
    /// The first record in each block that has any, and the block.
    blocks: Vec<(u64, usize)>,
}

/// Where the log ends: what the next commit must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) next_commit: u64,
    pub(crate) next_sequence: u64,
    /// The checksum of the last commit; 0 before the first.
    pub(crate) checksum: u64,
    /// The apply timeline.
    pub(crate) logged_at: i64,
}

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) chain: Chain,
    pub(crate) blocks: Vec<Block>,
    /// The segments that were truncated when the log was opened, or since by this process.
    pub(crate) truncated: BTreeSet<u64>,
    streams: BTreeMap<StreamKey, Stream>,
}

impl Default for Index {
    fn default() -> Self {
        Index {
            chain: Chain {
                next_commit: 0,
                next_sequence: 0,
                checksum: 0,
                logged_at: i64::MIN,
            },
            blocks: Vec::new(),
            truncated: BTreeSet::new(),
            streams: BTreeMap::new(),
        }
    }
}

impl Index {
    /// The first number of a stream that is not there.
    pub(crate) fn end(&self, key: StreamKey) -> u64 {
        self.streams.get(&key).map_or(0, |stream| stream.end)
    }

    /// The streams of correlation ids.
    pub(crate) fn with_correlations(&self) -> impl Iterator<Item = StreamKey> + '_ {
        let keys = self.streams.keys().copied();
        keys.filter(|key| key.kind == FrameKind::Correlations)
    }

    /// The ends of all streams of events.
    pub(crate) fn ends(&self) -> Cut {
        let ends = self.streams.iter().map(|(key, stream)| (*key, stream.end));
        cut(ends)
    }

    /// The ends of all streams of events where a block begins.
    pub(crate) fn ends_before(&self, block: usize) -> Cut {
        cut(self.streams.iter().map(|(key, stream)| {
            let next = stream.blocks.partition_point(|&(_, b)| b < block);
            let end = stream
                .blocks
                .get(next)
                .map_or(stream.end, |&(first, _)| first);
            (*key, end)
        }))
    }

    /// The block that holds a record of a stream.
    pub(crate) fn block_of(&self, key: StreamKey, number: u64) -> Option<usize> {
        let stream = self.streams.get(&key).filter(|s| number < s.end)?;
        let after = stream.blocks.partition_point(|&(first, _)| first <= number);
        Some(stream.blocks[after.checked_sub(1)?].1)
    }

    /// The first block that holds an event of a wanted source that is not in the cut; the
    /// number of blocks if there is none.
    pub(crate) fn first_block_after(&self, cut: &Cut, wanted: impl Fn(u32) -> bool) -> usize {
        let blocks = self.streams.keys().filter_map(|&key| {
            let (source, partition) = (SourceId(key.source), Partition(key.partition));
            if key.kind != FrameKind::Events || !wanted(key.source) {
                return None;
            }
            self.block_of(key, cut.end(source, partition).0)
        });
        blocks.min().unwrap_or(self.blocks.len())
    }

    /// The blocks that hold a stream's records, in order.
    pub(crate) fn blocks_of(&self, key: StreamKey) -> impl Iterator<Item = usize> {
        let blocks = self.streams.get(&key).map(|s| s.blocks.as_slice());
        blocks.unwrap_or_default().iter().map(|&(_, block)| block)
    }

    /// The same without those that end before a record.
    pub(crate) fn blocks_from(&self, key: StreamKey, from: u64) -> impl Iterator<Item = usize> {
        let end = |block: usize| match self.blocks.get(block + 1) {
            Some(next) => next.first_sequence,
            None => self.chain.next_sequence,
        };
        self.blocks_of(key).filter(move |block| end(*block) > from)
    }

    /// Whether a pass over each of these sources reads hardly more bytes than one over all: few
    /// blocks hold events of several that are not in a cut.
    pub(crate) fn are_apart(&self, sources: &[SourceId], after: &Cut) -> bool {
        if sources.len() < 2 {
            return true;
        }
        let is_read = |range: &&StreamRange| {
            let (source, partition) = (SourceId(range.key.source), Partition(range.key.partition));
            range.key.kind == FrameKind::Events
                && sources.contains(&source)
                && after.end(source, partition).0 < range.end
        };
        let in_log = |block: &&Block| !self.truncated.contains(&block.segment);
        let (mut at_once, mut one_by_one) = (0u64, 0u64);
        for block in self.blocks.iter().filter(in_log) {
            let read = block.streams.iter().filter(is_read);
            let of_block: BTreeSet<u32> = read.map(|range| range.key.source).collect();
            let bytes = block.end - block.start;
            at_once += if of_block.is_empty() { 0 } else { bytes };
            one_by_one += bytes * of_block.len() as u64;
        }
        one_by_one <= at_once + at_once / BYTES_PER_BYTE_MORE
    }

    /// Whether a commit continues what is there.
    pub(crate) fn check(&self, commit: &Commit) -> Result<(), Flaw> {
        let due = |field, expected, found| {
            if expected == found {
                Ok(())
            } else {
                Err(Flaw::Discontinuity {
                    field,
                    expected,
                    found,
                })
            }
        };
        let header = &commit.header;
        due("a commit's number", self.chain.next_commit, header.commit)?;
        due(
            "the checksum of the commit before",
            self.chain.checksum,
            header.previous_checksum,
        )?;
        due(
            "a commit's first record",
            self.chain.next_sequence,
            header.first_sequence,
        )?;
        if header.logged_at < self.chain.logged_at {
            return Err(Flaw::Field {
                field: "a commit's time before that of an earlier one: its number",
                value: header.commit,
            });
        }
        let mut ends: BTreeMap<StreamKey, u64> = BTreeMap::new();
        for frame in &commit.frames {
            let key = frame.stream();
            let end = ends.entry(key).or_insert_with(|| self.end(key));
            due("a frame's first offset", *end, frame.first)?;
            *end = frame.end();
        }
        Ok(())
    }

    /// Takes note of a commit that continues what is there.
    pub(crate) fn add(&mut self, segment: u64, commit: &Commit) {
        let header = &commit.header;
        let continues = self
            .blocks
            .last()
            .is_some_and(|b| b.segment == segment && b.end - b.start < BLOCK_BYTES);
        if !continues {
            self.blocks.push(Block {
                segment,
                start: commit.at,
                end: commit.at,
                first_sequence: header.first_sequence,
                last_logged_at: header.logged_at,
                streams: Vec::new(),
            });
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        block.end = commit.end();
        block.last_logged_at = header.logged_at;
        for frame in &commit.frames {
            let key = frame.stream();
            let stream = self.streams.entry(key).or_default();
            stream.end = frame.end();
            if stream.blocks.last().is_none_or(|&(_, b)| b != number) {
                stream.blocks.push((frame.first, number));
                block.streams.push(StreamRange {
                    key,
                    first: frame.first,
                    end: frame.end(),
                });
            } else if let Some(range) = block.streams.iter_mut().find(|r| r.key == key) {
                range.end = frame.end();
            }
        }
        self.chain = Chain {
            next_commit: header.commit + 1,
            next_sequence: header.first_sequence + commit.records(),
            checksum: header.checksum,
            logged_at: header.logged_at,
        };
    }
}

/// A cut from the ends of streams; other kinds than events are left out.
fn cut(ends: impl Iterator<Item = (StreamKey, u64)>) -> Cut {
    let mut cut = Cut::empty();
    for (key, end) in ends {
        if key.kind == FrameKind::Events && end > 0 {
            cut.set_end(SourceId(key.source), Partition(key.partition), Offset(end));
        }
    }
    cut
}
