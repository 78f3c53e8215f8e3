//! Frames of one kind and source, read from the blocks that hold them.

use evenkeel_types::VisibleAt;

use crate::batch::Sequence;
use crate::error::{Flaw, LogError};
use crate::index::StreamKey;
use crate::reader::{BlockCursor, LogReader};
use crate::segment::Trouble;

/// The frames of one stream, in order.
#[derive(Debug)]
pub(crate) struct Frames {
    cursor: BlockCursor,
    key: StreamKey,
    blocks: std::vec::IntoIter<usize>,
    found: Vec<Frame>,
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) at: u64,
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// The number of its first record.
    pub(crate) sequence: u64,
    /// The number of the first record of its commit.
    pub(crate) commit_sequence: u64,
    pub(crate) logged_at: VisibleAt,
    pub(crate) body: Vec<u8>,
}

impl Frames {
    /// Those of a stream from a record on, and perhaps some before it.
    pub(crate) fn new(reader: LogReader, key: StreamKey, from: Sequence) -> Self {
        let blocks: Vec<_> = reader.index().blocks_from(key, from.0).collect();
        Frames {
            cursor: BlockCursor::new(reader),
            key,
            blocks: blocks.into_iter(),
            found: Vec::new(),
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Frame>, LogError> {
        loop {
            if let Some(frame) = self.found.pop() {
                return Ok(Some(frame));
            }
            match self.cursor.next_commit()? {
                Some(commit) => {
                    let placed = commit.placed_frames();
                    for (header, at, sequence) in placed.filter(|(f, ..)| f.stream() == self.key) {
                        self.found.push(Frame {
                            at,
                            first: header.first,
                            count: header.count,
                            sequence,
                            commit_sequence: commit.header.first_sequence,
                            logged_at: VisibleAt(commit.header.logged_at),
                            body: self.cursor.body(&header, at)?,
                        });
                    }
                    self.found.reverse();
                }
                None => match self.blocks.next() {
                    Some(block) => {
                        self.cursor.enter(block)?;
                    }
                    None => return Ok(None),
                },
            }
        }
    }

    /// Lets the next call find nothing.
    pub(crate) fn finish(&mut self) {
        self.blocks = Vec::new().into_iter();
        self.found.clear();
        self.cursor.leave();
    }

    pub(crate) fn damaged(&self, at: u64, flaw: Flaw) -> LogError {
        Trouble::Flaw { at, flaw }.into_error(&self.cursor.path())
    }
}
