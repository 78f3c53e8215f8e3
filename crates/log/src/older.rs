//! Events of truncated segments: read from where they are instead, a window of the log at a time.
//!
//! Owns which events are asked for and that what comes is all of it; does not know where they are
//! ([`OlderEvents`]). Invariant: of a frame every event is answered that is wanted, logged when the
//! frame says, or an error that names segment and position.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use evenkeel_types::{Cut, LoggedEvent, Offset, Partition, Position, SourceId, VisibleAt};

use crate::batch::Sequence;
use crate::error::LogError;
use crate::layout::FrameHeader;
use crate::reader::{LogReader, ReadOptions};
use crate::segment;
use crate::source::{EventSource, EventStream};

/// Records of the log that a window spans, about: so many events are in memory at most, of each source
/// that is read.
const WINDOW_RECORDS: u64 = 1 << 18;

/// Where events are whose bodies are not in the log.
pub trait OlderEvents: fmt::Debug + Send + Sync {
    /// The events of a source that are wanted, in any order: all of them, or an error. The options
    /// have both cuts.
    ///
    /// # Errors
    /// If they cannot be read, or are not there.
    fn older(
        &self,
        source: SourceId,
        options: ReadOptions,
    ) -> Result<Box<dyn EventStream>, LogError>;
}

/// A whole copy of the log has them.
impl OlderEvents for LogReader {
    fn older(
        &self,
        source: SourceId,
        options: ReadOptions,
    ) -> Result<Box<dyn EventStream>, LogError> {
        EventSource::events(
            self,
            ReadOptions {
                sources: Some(vec![source]),
                ..options
            },
        )
    }
}

/// What was read ahead.
#[derive(Debug, Default)]
pub(crate) struct Older {
    windows: BTreeMap<SourceId, Window>,
}

#[derive(Debug)]
struct Window {
    blocks: Range<usize>,
    events: BTreeMap<Partition, VecDeque<LoggedEvent>>,
}

/// A frame whose events are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OlderFrame {
    /// The block that it is in.
    pub(crate) block: usize,
    pub(crate) header: FrameHeader,
    pub(crate) logged_at: VisibleAt,
    /// From the first up to the second.
    pub(crate) offsets: (u64, u64),
}

impl Older {
    /// The events of a frame that are wanted. Frames are asked for in the order of the log.
    pub(crate) fn events(
        &mut self,
        reader: &LogReader,
        frame: &OlderFrame,
        options: &ReadOptions,
    ) -> Result<VecDeque<LoggedEvent>, LogError> {
        let source = SourceId(frame.header.source);
        let is_here = |window: &Window| window.blocks.contains(&frame.block);
        if !self.windows.get(&source).is_some_and(is_here) {
            // Before the next is read, so that there is one.
            self.windows.remove(&source);
            let window = Window::read(reader, frame, source, options)?;
            self.windows.insert(source, window);
        }
        let window = self.windows.entry(source).or_insert_with(|| Window {
            blocks: 0..0,
            events: BTreeMap::new(),
        });
        let partition = Partition(frame.header.partition);
        let (first, end) = frame.offsets;
        let read = window.events.entry(partition).or_default();
        let mut events = VecDeque::new();
        while let Some(event) = read.pop_front_if(|event| event.position.offset.0 < end) {
            if event.position.offset.0 >= first {
                events.push_back(event);
            }
        }
        let missing = |offset| missing(reader, frame, source, offset);
        if let Some(event) = events
            .iter()
            .find(|event| event.logged_at != frame.logged_at)
        {
            return Err(missing(event.position.offset.0));
        }
        let found = events.iter().map(|event| event.position.offset.0);
        if let Some(offset) = first_gap(found, first..end) {
            return Err(missing(offset));
        }
        if let Some(times) = &options.event_times {
            events.retain(|event| times.contains(&event.event.event_time));
        }
        Ok(events)
    }
}

impl Window {
    fn read(
        reader: &LogReader,
        frame: &OlderFrame,
        source: SourceId,
        options: &ReadOptions,
    ) -> Result<Self, LogError> {
        let (blocks, before, behind) = {
            let index = reader.index();
            let first = &index.blocks[frame.block];
            let rest = index.blocks[frame.block..].iter();
            // What is whole behind it may be nowhere else.
            let in_window = rest.take_while(|block| {
                let is_elsewhere =
                    block.segment == first.segment || index.truncated.contains(&block.segment);
                is_elsewhere && block.first_sequence - first.first_sequence < WINDOW_RECORDS
            });
            let blocks = frame.block..frame.block + in_window.count();
            let (before, behind) = (
                index.ends_before(blocks.start),
                index.ends_before(blocks.end),
            );
            (blocks, before, behind)
        };
        let (mut after, mut until) = (Cut::empty(), Cut::empty());
        for (id, partition, end) in behind.iter().filter(|(id, ..)| *id == source) {
            let asked = options.until.as_ref().map(|cut| cut.end(id, partition));
            let last = asked.map_or(end, |asked| asked.min(end));
            let first = before.end(id, partition);
            after.set_end(id, partition, first.max(options.after.end(id, partition)));
            until.set_end(id, partition, last);
        }
        let older = reader.older().ok_or_else(|| LogError::OlderClosed {
            path: path_of(reader, frame.block),
        })?;
        let wanted = ReadOptions {
            sources: Some(vec![source]),
            from: Sequence(0),
            after,
            until: Some(until),
            // Whatever their times are: else nobody could tell that one is not there.
            event_times: None,
            parts: options.parts.clone(),
        };
        let mut stream = older.older(source, wanted)?;
        let mut events: BTreeMap<Partition, VecDeque<LoggedEvent>> = BTreeMap::new();
        let mut logged = LoggedEvent::blank();
        while stream.next_into(&mut logged)? {
            let event = std::mem::replace(&mut logged, LoggedEvent::blank());
            let of_partition = events.entry(event.position.partition).or_default();
            of_partition.push_back(event);
        }
        for of_partition in events.values_mut() {
            of_partition
                .make_contiguous()
                .sort_unstable_by_key(|event| event.position.offset);
        }
        Ok(Window { blocks, events })
    }
}

/// The first number of a range that is not among some numbers in order.
fn first_gap(found: impl Iterator<Item = u64>, wanted: Range<u64>) -> Option<u64> {
    let mut due = wanted.start;
    for offset in found {
        if offset != due {
            return Some(due);
        }
        due += 1;
    }
    (due < wanted.end).then_some(due)
}

fn path_of(reader: &LogReader, block: usize) -> PathBuf {
    let index = reader.index();
    let first = index.blocks.get(block).map_or(0, |block| block.segment);
    segment::path(reader.directory(), first)
}

fn missing(reader: &LogReader, frame: &OlderFrame, source: SourceId, offset: u64) -> LogError {
    LogError::OlderMissing {
        path: path_of(reader, frame.block),
        source_id: source,
        position: Position {
            partition: Partition(frame.header.partition),
            offset: Offset(offset),
        },
    }
}
