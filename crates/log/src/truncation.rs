//! Truncating segments: the bodies of their events leave the log.
//!
//! Owns the step from one file to the other; whether the events are elsewhere is for who asks for it to
//! know. Invariant: a segment is there whole or truncated, never neither, whatever ends the step.

use evenkeel_types::{Cut, VisibleAt};

use crate::batch::Sequence;
use crate::error::LogError;
use crate::file_system::OpenMode;
use crate::log::Log;
use crate::reader::LogReader;
use crate::segment::{self, create, io_error};
use crate::truncated;

/// A segment of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSegment {
    /// Its first record.
    pub first: Sequence,
    /// The first record behind it.
    pub end: Sequence,
    /// The apply timeline at its end.
    pub last_logged_at: VisibleAt,
    /// The cut of everything before it.
    pub after: Cut,
    /// The cut of that and of it.
    pub until: Cut,
    /// Whether it has no bodies of events.
    pub is_truncated: bool,
}

/// What truncating a segment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncatedSegment {
    /// Bytes of the file before.
    pub bytes_before: u64,
    /// And now.
    pub bytes_after: u64,
}

impl LogReader {
    /// The segments, in order; those without records are left out.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn segments(&self) -> Result<Vec<LogSegment>, LogError> {
        let mut segments: Vec<LogSegment> = Vec::new();
        {
            let index = self.index();
            for (number, block) in index.blocks.iter().enumerate() {
                let next = index.blocks.get(number + 1);
                let first = Sequence(block.segment);
                if segments.last().is_none_or(|last| last.first != first) {
                    segments.push(LogSegment {
                        first,
                        end: first,
                        last_logged_at: VisibleAt(block.last_logged_at),
                        after: index.ends_before(number),
                        until: Cut::empty(),
                        is_truncated: false,
                    });
                }
                if next.is_none_or(|next| next.segment != block.segment)
                    && let Some(last) = segments.last_mut()
                {
                    let end = next.map_or(index.chain.next_sequence, |next| next.first_sequence);
                    last.end = Sequence(end);
                    last.last_logged_at = VisibleAt(block.last_logged_at);
                    last.until = index.ends_before(number + 1);
                }
            }
        }
        for segment in &mut segments {
            let first = segment.first.0;
            segment.is_truncated =
                truncated::is_truncated(self.file_system(), self.directory(), first)?;
        }
        Ok(segments)
    }
}

impl Log {
    /// Truncates a segment, unless it is: durable when it answers. Readers go on. Its events are read from
    /// elsewhere from now on ([`LogReader::set_older`]).
    ///
    /// # Errors
    /// [`LogError::NoSegment`], also of the segment that is appended to, and of one that has other records
    /// than it had; [`LogError::Damaged`];
    /// [`LogError::Io`], [`LogError::StorageFull`]: then it is whole. [`LogError::NotDurable`]: it is
    /// truncated, and may be whole after a power cut.
    pub fn truncate(&self, segment: &LogSegment) -> Result<TruncatedSegment, LogError> {
        let (first, is_written) = (segment.first, self.is_written(segment));
        let end = {
            let index = self.index();
            let blocks = &index.blocks;
            let last = blocks.iter().rposition(|block| block.segment == first.0);
            let next = last.map(|last| match blocks.get(last + 1) {
                Some(block) => block.first_sequence,
                None => index.chain.next_sequence,
            });
            let is_it = !is_written && next == Some(segment.end.0);
            last.filter(|_| is_it).map(|last| blocks[last].end)
        };
        let Some(end) = end else {
            return Err(LogError::NoSegment {
                directory: self.directory().to_owned(),
                first: first.0,
            });
        };
        let path = segment::path(self.directory(), first.0);
        let opened = truncated::open(self.file_system(), &path, OpenMode::Read)?;
        let length = || {
            let file = self.file_system().open(&path, OpenMode::Read);
            let length = file.and_then(|file| file.length());
            length.map_err(io_error("open", &path))
        };
        let bytes_before = length()?;
        if !opened.is_truncated {
            let bytes = truncated::truncate(&opened.file, first.0, end);
            let bytes = bytes.map_err(|trouble| trouble.into_error(&path))?;
            create(
                self.file_system(),
                self.directory(),
                &segment::file_name(first.0),
                &bytes,
            )?;
            self.index_mut().truncated.insert(first.0);
        }
        Ok(TruncatedSegment {
            bytes_before,
            bytes_after: length()?,
        })
    }
}
