//! Events in apply order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use evenkeel_types::{EventTime, LoggedEvent, Partition, Position, SourceId, VisibleAt};

use crate::batch::Sequence;
use crate::body::{Columnar, EventDecoder};
use crate::error::{Flaw, LogError};
use crate::event_columns::EventColumns;
use crate::index::Block;
use crate::layout::{FrameHeader, FrameKind};
use crate::older::{Older, OlderFrame};
use crate::reader::{BlockCursor, LogReader, ReadOptions};
use crate::segment::{Commit, Trouble};

/// An iterator over the events of a log, in apply order. It ends with the first error.
#[derive(Debug)]
pub struct Events {
    reader: LogReader,
    wanted: Wanted,
    cursor: BlockCursor,
    older: Older,
    /// Whether what is in the log is read from elsewhere, too.
    only_older: bool,
    /// The block to enter next.
    next_block: usize,
    /// The frames of the current commit that are still to be read, last first.
    frames: Vec<PlacedFrame>,
    frame: Option<OpenFrame>,
    /// The number of the event that was answered last.
    sequence: Sequence,
    /// The events of each source before the frame that is read next, if they are counted.
    counts: Option<BTreeMap<u32, u64>>,
    /// The number of the event that was answered last in its source.
    number: u64,
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
struct PlacedFrame {
    header: FrameHeader,
    at: u64,
    first_sequence: u64,
    logged_at: i64,
    /// The number of its first event in its source, if they are counted.
    first_number: u64,
}

#[derive(Debug)]
struct OpenFrame {
    placed: PlacedFrame,
    /// The offsets that are wanted: from the first up to the second, exclusive.
    offsets: (u64, u64),
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Rows(EventDecoder),
    Columns {
        events: Columnar,
        /// The event that is read next.
        next: usize,
    },
    /// Those that are wanted, from elsewhere.
    Older(VecDeque<LoggedEvent>),
}

/// What comes next in a log.
#[derive(Debug)]
pub enum Next {
    /// Nothing.
    End,
    /// One event.
    Event,
    /// Several.
    Columns(EventColumns),
}

#[derive(Debug)]
struct Wanted {
    sources: Option<BTreeSet<SourceId>>,
    options: ReadOptions,
    /// Nothing from this record on.
    end: u64,
}

impl Wanted {
    fn source(&self, source: u32) -> bool {
        let sources = self.sources.as_ref();
        sources.is_none_or(|wanted| wanted.contains(&SourceId(source)))
    }

    fn block(&self, block: &Block) -> bool {
        block.streams.iter().any(|range| {
            let (source, partition) = (SourceId(range.key.source), Partition(range.key.partition));
            range.key.kind == FrameKind::Events
                && self.source(range.key.source)
                && self.options.after.end(source, partition).0 < range.end
                && self
                    .options
                    .until
                    .as_ref()
                    .is_none_or(|until| until.end(source, partition).0 > range.first)
        })
    }

    /// The offsets of a frame that are wanted; `None` if there are none.
    fn offsets(&self, frame: &FrameHeader, first_sequence: u64) -> Option<(u64, u64)> {
        if frame.kind != FrameKind::Events || !self.source(frame.source) {
            return None;
        }
        if let Some(times) = &self.options.event_times
            && (frame.event_times.1 < times.start().0 || frame.event_times.0 > times.end().0)
        {
            return None;
        }
        let (source, partition) = (SourceId(frame.source), Partition(frame.partition));
        let skipped = self.options.from.0.saturating_sub(first_sequence);
        let first = self
            .options
            .after
            .end(source, partition)
            .0
            .max(frame.first.saturating_add(skipped));
        let end = match &self.options.until {
            Some(until) => until.end(source, partition).0.min(frame.end()),
            None => frame.end(),
        };
        (first < end).then_some((first, end))
    }
}

impl Events {
    pub(crate) fn new(reader: LogReader, options: ReadOptions) -> Self {
        let sources = options.sources.as_ref();
        let mut wanted = Wanted {
            sources: sources.map(|sources| sources.iter().copied().collect()),
            options,
            end: 0,
        };
        let next_block = {
            let index = reader.index();
            wanted.end = index.chain.next_sequence;
            let from = wanted.options.from.0;
            let before = index.blocks.partition_point(|b| b.first_sequence <= from);
            let first = index.first_block_after(&wanted.options.after, |s| wanted.source(s));
            before.saturating_sub(1).max(first)
        };
        Events {
            cursor: BlockCursor::new(reader.clone()),
            older: Older::default(),
            only_older: false,
            reader,
            wanted,
            next_block,
            frames: Vec::new(),
            frame: None,
            sequence: Sequence(0),
            counts: None,
            number: 0,
            finished: false,
        }
    }

    /// Reads no event from the log itself.
    pub(crate) fn only_older(mut self) -> Self {
        self.only_older = true;
        self
    }

    /// Counts the events of each source, also those that are not read: [`Events::number`].
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.counts = Some(BTreeMap::new());
        self
    }

    /// The number of the event that was answered last among all of its source in apply order,
    /// from 0; 0 unless they are counted.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number, in apply order, of the event that was answered last.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Reads the next event into another, whose allocations are used again; false at the end.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`]; then there is no more.
    pub fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        while !self.finished {
            let next = self.advance(logged);
            if matches!(next, Ok(true)) {
                return next;
            }
            let entered = next.and_then(|_| self.enter_next_frame());
            self.finished = !matches!(entered, Ok(true));
            entered?;
        }
        Ok(false)
    }

    /// Reads on: several events by column where they stand so and all are wanted, else one,
    /// into another. Several are not counted ([`Events::number`], [`Events::sequence`]).
    ///
    /// # Errors
    /// As [`Events::next_into`].
    pub fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        while !self.finished {
            if let Some(frame) = self.frame.take_if(|frame| frame.is_whole(&self.wanted))
                && let Decoder::Columns { events, .. } = frame.decoder
            {
                let header = frame.placed.header;
                let logged_at = VisibleAt(frame.placed.logged_at);
                return Ok(Next::Columns(EventColumns::of_frame(
                    &header, logged_at, events,
                )));
            }
            let there_is = match &mut self.frame {
                Some(_) => self
                    .advance(logged)
                    .map(|found| found.then_some(Next::Event)),
                None => self.enter_next_frame().map(|found| match found {
                    true => None,
                    false => Some(Next::End),
                }),
            };
            match there_is {
                Ok(Some(Next::End)) => self.finished = true,
                Ok(Some(next)) => return Ok(next),
                Ok(None) => {}
                Err(error) => {
                    self.finished = true;
                    return Err(error);
                }
            }
        }
        Ok(Next::End)
    }

    /// The next event of the frame that is open; false behind its last.
    fn advance(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        let Some(frame) = &mut self.frame else {
            return Ok(false);
        };
        if !frame.next_into(&self.wanted, &self.cursor, logged)? {
            self.frame = None;
            return Ok(false);
        }
        let offset = logged.position.offset.0;
        self.sequence = frame.sequence_of(offset);
        self.number = frame.placed.first_number + (offset - frame.placed.header.first);
        Ok(true)
    }

    /// Opens the next frame of which anything is wanted; false if there is none.
    fn enter_next_frame(&mut self) -> Result<bool, LogError> {
        while self.frame.is_none() {
            if let Some(placed) = self.frames.pop() {
                self.frame = self.open(placed)?;
            } else if let Some(commit) = self.cursor.next_commit()? {
                if commit.header.first_sequence >= self.wanted.end {
                    return Ok(false);
                }
                self.frames = placed(&commit, self.counts.as_mut());
            } else if !self.enter_next_block()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn open(&mut self, placed: PlacedFrame) -> Result<Option<OpenFrame>, LogError> {
        let header = placed.header;
        let Some(offsets) = self.wanted.offsets(&header, placed.first_sequence) else {
            return Ok(None);
        };
        if self.only_older || self.cursor.is_truncated() {
            let frame = OlderFrame {
                // The one that was entered.
                block: self.next_block.saturating_sub(1),
                header,
                logged_at: VisibleAt(placed.logged_at),
                offsets,
            };
            let events = self
                .older
                .events(&self.reader, &frame, &self.wanted.options)?;
            return Ok(Some(OpenFrame {
                placed,
                offsets,
                decoder: Decoder::Older(events),
            }));
        }
        let body = self.cursor.body(&header, placed.at)?;
        let decoder = if header.columnar {
            let parts = self.wanted.options.parts.get(&SourceId(header.source));
            let (partition, first) = (header.partition, header.first);
            let events = Columnar::decode(&body, partition, first, header.count, parts);
            Decoder::Columns {
                events: events.map_err(|flaw| damaged(placed.at, flaw, &self.cursor))?,
                // A frame has fewer than 2^32 events.
                next: (offsets.0 - first) as usize,
            }
        } else {
            let (first, end) = (header.first, header.end());
            Decoder::Rows(EventDecoder::new(body, header.partition, first, end))
        };
        Ok(Some(OpenFrame {
            placed,
            offsets,
            decoder,
        }))
    }

    /// Enters the next block that holds anything wanted; false if there is none.
    fn enter_next_block(&mut self) -> Result<bool, LogError> {
        let found = {
            let index = self.reader.index();
            let rest = index.blocks.get(self.next_block..).unwrap_or_default();
            rest.iter()
                .take_while(|block| block.first_sequence < self.wanted.end)
                .position(|block| self.wanted.block(block))
        };
        match found {
            None => Ok(false),
            Some(skipped) => {
                let block = self.next_block + skipped;
                if let Some(counts) = &mut self.counts
                    && (skipped > 0 || counts.is_empty())
                {
                    counts.clear();
                    for (source, _, end) in self.reader.index().ends_before(block).iter() {
                        *counts.entry(source.0).or_default() += end.0;
                    }
                }
                self.next_block = block + 1;
                self.cursor.enter(block)
            }
        }
    }
}

/// A commit's frames, last first.
fn placed(commit: &Commit, mut counts: Option<&mut BTreeMap<u32, u64>>) -> Vec<PlacedFrame> {
    let logged_at = commit.header.logged_at;
    let mut frames: Vec<_> = commit
        .placed_frames()
        .map(|(header, at, first_sequence)| {
            let mut first_number = 0;
            if let Some(counts) = &mut counts
                && header.kind == FrameKind::Events
            {
                let count = counts.entry(header.source).or_default();
                first_number = *count;
                *count += u64::from(header.count);
            }
            PlacedFrame {
                header,
                at,
                first_sequence,
                logged_at,
                first_number,
            }
        })
        .collect();
    frames.reverse();
    frames
}

fn damaged(at: u64, flaw: Flaw, cursor: &BlockCursor) -> LogError {
    Trouble::Flaw { at, flaw }.into_error(&cursor.path())
}

impl OpenFrame {
    /// Whether all its events are wanted, none was read yet, and they stand by column.
    fn is_whole(&self, wanted: &Wanted) -> bool {
        let header = &self.placed.header;
        matches!(self.decoder, Decoder::Columns { next: 0, .. })
            && self.offsets == (header.first, header.end())
            && wanted.options.event_times.is_none()
    }

    fn sequence_of(&self, offset: u64) -> Sequence {
        Sequence(self.placed.first_sequence + (offset - self.placed.header.first))
    }

    /// Reads the frame's next event that is wanted; false once there is no more.
    fn next_into(
        &mut self,
        wanted: &Wanted,
        cursor: &BlockCursor,
        logged: &mut LoggedEvent,
    ) -> Result<bool, LogError> {
        let header = &self.placed.header;
        let parts = wanted.options.parts.get(&SourceId(header.source));
        let times = wanted.options.event_times.as_ref();
        loop {
            let next = match &mut self.decoder {
                Decoder::Older(events) => {
                    let Some(event) = events.pop_front() else {
                        return Ok(false);
                    };
                    *logged = event;
                    return Ok(true);
                }
                Decoder::Rows(rows) => rows
                    .next_into(parts, &mut logged.event)
                    .map_err(|flaw| damaged(self.placed.at, flaw, cursor))?,
                Decoder::Columns { events, next } => {
                    let number = *next;
                    *next += 1;
                    let time = events.times().get(number).copied();
                    if time.is_some_and(|t| times.is_some_and(|w| !w.contains(&EventTime(t)))) {
                        continue;
                    }
                    time.map(|_| {
                        events.event_into(number, parts, &mut logged.event);
                        events.first() + number as u64
                    })
                }
            };
            let Some(offset) = next.filter(|offset| *offset < self.offsets.1) else {
                return Ok(false);
            };
            let time = logged.event.event_time;
            if offset < self.offsets.0 || times.is_some_and(|t| !t.contains(&time)) {
                continue;
            }
            logged.source = SourceId(header.source);
            logged.position = Position::new(header.partition, offset);
            logged.logged_at = VisibleAt(self.placed.logged_at);
            logged.schema_version = header.schema_version;
            return Ok(true);
        }
    }
}

impl Iterator for Events {
    type Item = Result<LoggedEvent, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut logged = LoggedEvent::blank();
        match self.next_into(&mut logged) {
            Ok(true) => Some(Ok(logged)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
