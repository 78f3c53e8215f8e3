//! Reading the log: where it ends, what stands where, when what was visible.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use evenkeel_types::{
    Cut, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, VisibleAt,
};

use crate::batch::Sequence;
use crate::error::LogError;
use crate::events::Events;
use crate::file_system::{FileSystem, OpenMode};
use crate::index::{Index, StreamKey};
use crate::layout::{FrameHeader, FrameKind};
use crate::older::OlderEvents;
use crate::recovery::{Bodies, RecoveryReport, recover};
use crate::segment::{self, Commit, READ_AHEAD_BYTES, SegmentReader};
use crate::truncated;

/// Which events to read. The default reads everything.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Only these sources; `None`: all. Others are skipped without being decoded.
    pub sources: Option<Vec<SourceId>>,
    /// Only events from this record on, inclusive.
    pub from: Sequence,
    /// Only events that are not in this cut.
    pub after: Cut,
    /// Only events that are in this cut; `None`: everything logged when the read began.
    pub until: Option<Cut>,
    /// Only events at these times, both ends included.
    pub event_times: Option<RangeInclusive<EventTime>>,
    /// What of the events of some sources is wanted; of the others everything is.
    pub parts: BTreeMap<SourceId, EventParts>,
}

/// What of an event is wanted. The rest is skipped where it stands: values are NULL,
/// before-images away, the origin is the event's own position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventParts {
    /// Columns of the row, by number; those behind are not wanted.
    pub columns: Vec<bool>,
    /// The origin.
    pub origin: bool,
}

/// A log open for reading. Clones share one index and may be used from any thread, also
/// while another appends through [`crate::Log`].
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file_system: Arc<dyn FileSystem>,
    directory: PathBuf,
    index: RwLock<Index>,
    older: RwLock<Option<Arc<dyn OlderEvents>>>,
}

impl LogReader {
    /// Opens a log read-only, beside a process that may be writing to it; changes nothing.
    /// Shows what was acknowledged at this moment; open again to see more. After a power cut
    /// and before the log was opened for writing again, the last append may be held back,
    /// because nothing proves that it was acknowledged; the report says so.
    ///
    /// # Errors
    /// As [`crate::Log::open`], but for [`LogError::Locked`].
    pub fn open(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
    ) -> Result<(LogReader, RecoveryReport), LogError> {
        LogReader::open_with(file_system, directory, Bodies::All)
    }

    /// The same for who reads the log once and lets it go: bodies that the mark vouches for are checked
    /// when they are read, in the last segment as in the others, and not before that, too.
    ///
    /// # Errors
    /// As [`LogReader::open`], but for damage to such bodies, which is an error of whoever reads them.
    pub fn open_once(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
    ) -> Result<(LogReader, RecoveryReport), LogError> {
        LogReader::open_with(file_system, directory, Bodies::Unmarked)
    }

    fn open_with(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
        bodies: Bodies,
    ) -> Result<(LogReader, RecoveryReport), LogError> {
        let recovered = recover(file_system.as_ref(), directory, OpenMode::Read, bodies)?;
        let reader = LogReader::new(file_system, directory, recovered.index);
        Ok((reader, recovered.report))
    }

    pub(crate) fn new(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
        index: Index,
    ) -> LogReader {
        LogReader {
            shared: Arc::new(Shared {
                file_system,
                directory: directory.to_owned(),
                index: RwLock::new(index),
                older: RwLock::new(None),
            }),
        }
    }

    /// Says where events of truncated segments are, for this and its clones. Replaces what was said before.
    pub fn set_older(&self, older: Arc<dyn OlderEvents>) {
        let place = self.shared.older.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Some(older);
    }

    pub(crate) fn older(&self) -> Option<Arc<dyn OlderEvents>> {
        let older = self.shared.older.read();
        older.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn file_system(&self) -> &dyn FileSystem {
        self.shared.file_system.as_ref()
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        let index = self.shared.index.read();
        index.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        let index = self.shared.index.write();
        index.unwrap_or_else(PoisonError::into_inner)
    }

    /// The log's directory.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The cut of everything logged.
    pub fn ends(&self) -> Cut {
        self.index().ends()
    }

    /// The first offset of a partition that is not logged.
    pub fn end(&self, source: SourceId, partition: Partition) -> Offset {
        Offset(self.index().end(StreamKey::events(source, partition)))
    }

    /// The number that the next record will have.
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.index().chain.next_sequence)
    }

    /// The apply timeline: the time of the last append; `None` if there was none.
    pub fn timeline(&self) -> Option<VisibleAt> {
        let chain = self.index().chain;
        (chain.next_commit > 0).then_some(VisibleAt(chain.logged_at))
    }

    /// Whether these sources, without what is in a cut, can be read one after the other for hardly more
    /// than all at once costs.
    pub fn are_apart(&self, sources: &[SourceId], after: &Cut) -> bool {
        self.index().are_apart(sources, after)
    }

    /// Events in apply order: the order of [`Sequence`], over all partitions of all sources.
    pub fn read(&self, options: ReadOptions) -> Events {
        Events::new(self.clone(), options)
    }

    /// The same, as if every segment were truncated: nothing of an event is read from the log.
    pub fn read_older(&self, options: ReadOptions) -> Events {
        Events::new(self.clone(), options).only_older()
    }

    /// Whether the body of an event has left the log: who asks for it asks [`OlderEvents`].
    pub fn is_truncated_at(&self, source: SourceId, position: Position) -> bool {
        let index = self.index();
        let key = StreamKey::events(source, position.partition);
        let block = index.block_of(key, position.offset.0);
        block.is_some_and(|block| index.truncated.contains(&index.blocks[block].segment))
    }

    /// The event at a position; `None` if there is none yet.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn event(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        let mut cut = Cut::empty();
        cut.set_end(source, position.partition, position.offset);
        let Some(block) = self.block_of(source, position) else {
            return Ok(None);
        };
        let mut until = Cut::empty();
        until.set_end(source, position.partition, Offset(position.offset.0 + 1));
        let options = ReadOptions {
            sources: Some(vec![source]),
            from: Sequence(self.index().blocks[block].first_sequence),
            after: cut,
            until: Some(until),
            ..ReadOptions::default()
        };
        self.read(options).next().transpose()
    }

    /// The apply timeline at a position; `None` if no event is there yet.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn logged_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<VisibleAt>, LogError> {
        let found = self.locate(source, position)?;
        Ok(found.map(|(commit, _, _)| VisibleAt(commit.header.logged_at)))
    }

    /// The number of the event at a position in the apply order; `None` if none is there.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn sequence(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<Sequence>, LogError> {
        let found = self.locate(source, position)?;
        Ok(found.map(|(_, frame, first)| Sequence(first + (position.offset.0 - frame.first))))
    }

    /// The cut of everything that was logged at `time` or before.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn cut_at(&self, time: VisibleAt) -> Result<Cut, LogError> {
        let index = self.index();
        let block = index.blocks.partition_point(|b| b.last_logged_at <= time.0);
        let cut = index.ends_before(block);
        drop(index);
        self.extend_cut(cut, block, |commit, _, _| {
            if commit.header.logged_at <= time.0 {
                u64::MAX
            } else {
                0
            }
        })
    }

    /// The cut of the records before a number in the apply order, exclusive.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn cut_before(&self, sequence: Sequence) -> Result<Cut, LogError> {
        let index = self.index();
        let after = index
            .blocks
            .partition_point(|b| b.first_sequence <= sequence.0);
        let Some(block) = after.checked_sub(1) else {
            return Ok(Cut::empty());
        };
        let cut = index.ends_before(block);
        drop(index);
        self.extend_cut(cut, block, |_, _, first| sequence.0.saturating_sub(first))
    }

    /// Adds to a cut the events of one block, of each frame as many as `takes` says.
    fn extend_cut(
        &self,
        mut cut: Cut,
        block: usize,
        takes: impl Fn(&Commit, &FrameHeader, u64) -> u64,
    ) -> Result<Cut, LogError> {
        let mut cursor = BlockCursor::new(self.clone());
        if !cursor.enter(block)? {
            return Ok(cut);
        }
        while let Some(commit) = cursor.next_commit()? {
            for (frame, _, first) in commit.placed_frames() {
                let taken = takes(&commit, &frame, first).min(u64::from(frame.count));
                if frame.kind == FrameKind::Events && taken > 0 {
                    let (source, partition) = (SourceId(frame.source), Partition(frame.partition));
                    cut.set_end(source, partition, Offset(frame.first + taken));
                }
            }
        }
        Ok(cut)
    }

    fn block_of(&self, source: SourceId, position: Position) -> Option<usize> {
        let key = StreamKey::events(source, position.partition);
        self.index().block_of(key, position.offset.0)
    }

    /// The frame that holds a position, with its commit and the number of its first record.
    fn locate(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<(Commit, FrameHeader, u64)>, LogError> {
        let key = StreamKey::events(source, position.partition);
        let mut cursor = BlockCursor::new(self.clone());
        let Some(block) = self.block_of(source, position) else {
            return Ok(None);
        };
        cursor.enter(block)?;
        while let Some(commit) = cursor.next_commit()? {
            let found = commit.placed_frames().find(|(frame, _, _)| {
                frame.stream() == key && (frame.first..frame.end()).contains(&position.offset.0)
            });
            if let Some((frame, _, first)) = found {
                return Ok(Some((commit, frame, first)));
            }
        }
        Ok(None)
    }
}

/// Goes through the commits of a block at a time.
#[derive(Debug)]
pub(crate) struct BlockCursor {
    reader: LogReader,
    segment: Option<OpenSegment>,
    at: u64,
    end: u64,
}

#[derive(Debug)]
struct OpenSegment {
    first_sequence: u64,
    path: PathBuf,
    reader: SegmentReader,
    is_truncated: bool,
}

impl BlockCursor {
    pub(crate) fn new(reader: LogReader) -> Self {
        BlockCursor {
            reader,
            segment: None,
            at: 0,
            end: 0,
        }
    }

    /// Goes to the start of a block; false if there is no such block.
    pub(crate) fn enter(&mut self, block: usize) -> Result<bool, LogError> {
        let (segment, start, end) = match self.reader.index().blocks.get(block) {
            Some(block) => (block.segment, block.start, block.end),
            None => return Ok(false),
        };
        match &mut self.segment {
            Some(open) if open.first_sequence == segment => open.reader.extend(end),
            _ => {
                let path = segment::path(self.reader.directory(), segment);
                let opened = truncated::open(self.reader.file_system(), &path, OpenMode::Read)?;
                self.segment = Some(OpenSegment {
                    first_sequence: segment,
                    path,
                    reader: SegmentReader::new(opened.file, end, READ_AHEAD_BYTES),
                    is_truncated: opened.is_truncated,
                });
            }
        }
        (self.at, self.end) = (start, end);
        Ok(true)
    }

    /// The next commit of the block that was entered; `None` at its end.
    pub(crate) fn next_commit(&mut self) -> Result<Option<Commit>, LogError> {
        let Some(open) = self.segment.as_mut().filter(|_| self.at < self.end) else {
            return Ok(None);
        };
        let commit = open
            .reader
            .commit(self.at)
            .map_err(|trouble| trouble.into_error(&open.path))?;
        self.at = commit.end();
        Ok(Some(commit))
    }

    /// Lets the next call find nothing.
    pub(crate) fn leave(&mut self) {
        self.end = self.at;
    }

    /// The body of a frame of the block that was entered.
    pub(crate) fn body(&mut self, frame: &FrameHeader, at: u64) -> Result<Vec<u8>, LogError> {
        let open = self
            .segment
            .as_mut()
            .expect("a frame is known from a commit, and that from the open segment");
        open.reader
            .body(frame, at)
            .map_err(|trouble| trouble.into_error(&open.path))
    }

    /// Whether the bodies of events are not in the open segment.
    pub(crate) fn is_truncated(&self) -> bool {
        self.segment.as_ref().is_some_and(|open| open.is_truncated)
    }

    /// The open segment's path, for errors.
    pub(crate) fn path(&self) -> PathBuf {
        self.segment
            .as_ref()
            .map(|open| open.path.clone())
            .unwrap_or_default()
    }
}
