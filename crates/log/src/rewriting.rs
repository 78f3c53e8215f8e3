//! Rewriting a log: what some of its records say is replaced, and nothing else changes: every record
//! keeps its number, its place and its time.
//!
//! Owns the new files, which stand beside the old ones until they take their places, and the chain of
//! checksums, which is another one from the first commit on that says something else. What is
//! replaced, and that both kinds of file are never mixed for a reader, is for who asks for it to know
//! ([`put_rewritten`] goes on where it was stopped). Invariant: a log whose new files are in their places
//! opens like any other, and what was not replaced reads as before.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use evenkeel_types::{LoggedEvent, Partition, Position, SourceId, VisibleAt};

use crate::batch::{Appended, Batch, DeadLetter, DeadLetterId, Sequence};
use crate::body::{decode_correlations, decode_dead_letters, events_from_body};
use crate::commit::CommitEncoder;
use crate::error::{Flaw, LogError};
use crate::file_system::{File, FileSystem, LockGuard, OpenMode};
use crate::layout::{
    COMMIT_BYTES_MAX, COMMIT_HEADER_BYTES, FORMAT_VERSION, FRAME_HEADER_BYTES, FRAMES_MAX,
    FrameHeader, FrameKind, MARK_BYTES, MARK_FILE_BYTES, MARK_OFFSETS, Mark, SEGMENT_HEADER_BYTES,
    SegmentHeader,
};
use crate::log::{Log, take_lock};
use crate::mark;
use crate::options::Compression;
use crate::segment::{
    self, Commit, READ_AHEAD_BYTES, SegmentReader, Trouble, first_sequence_of, io_error,
};
use crate::truncated::{self, Opened, Pieces};

/// How the names of new files end as long as they stand beside the old ones.
const ASIDE: &str = ".rewritten";

/// What becomes of the records of a log that is rewritten.
pub trait Rewriting {
    /// Whether any of these events changes.
    fn touches(&self, source: SourceId, partition: Partition, offsets: Range<u64>) -> bool;

    /// Changes an event, or leaves it as it is. Its time, its place and the number of its row's values stay.
    fn change(&mut self, event: &mut LoggedEvent);

    /// Whether any of these dead letters changes.
    fn touches_letters(&self, source: SourceId, ids: Range<u64>) -> bool;

    /// Changes a dead letter, or leaves it as it is.
    fn change_letter(&mut self, source: SourceId, id: DeadLetterId, letter: &mut DeadLetter);
}

/// What was written beside a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Takes a log's directory, so that nobody opens it for writing.
///
/// # Errors
/// [`LogError::Locked`]; [`LogError::Io`].
pub fn lock_log(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Box<dyn LockGuard>, LogError> {
    take_lock(file_system, directory)
}

/// Lets new files take the places of old ones, those that have not yet. Durable when it answers; who
/// calls it has the directory ([`lock_log`]), and nobody reads the log meanwhile.
///
/// # Errors
/// [`LogError::Io`]: to be called again.
pub fn put_rewritten(file_system: &dyn FileSystem, directory: &Path) -> Result<(), LogError> {
    for (name, aside) in asides(file_system, directory)? {
        let (from, to) = (directory.join(&aside), directory.join(name));
        file_system
            .rename(&from, &to)
            .map_err(io_error("rename", &from))?;
    }
    sync(file_system, directory)
}

/// Removes new files that nobody decided to put into their places.
///
/// # Errors
/// [`LogError::Io`].
pub fn remove_rewritten(file_system: &dyn FileSystem, directory: &Path) -> Result<(), LogError> {
    for (_, aside) in asides(file_system, directory)? {
        let path = directory.join(aside);
        file_system
            .remove(&path)
            .map_err(io_error("remove", &path))?;
    }
    Ok(())
}

/// New files, by the names that they are to have.
fn asides(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Vec<(String, String)>, LogError> {
    let names = match file_system.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(io_error("list", directory))?,
    };
    let aside = |aside: String| Some((aside.strip_suffix(ASIDE)?.to_owned(), aside));
    Ok(names.into_iter().filter_map(aside).collect())
}

fn sync(file_system: &dyn FileSystem, directory: &Path) -> Result<(), LogError> {
    file_system
        .sync_directory(directory)
        .map_err(io_error("sync", directory))
}

impl Log {
    /// Writes beside the log what it is to be: the segments from the first on that has anything which
    /// changes, and the mark. Durable when it answers; the log itself is as it was. Nothing may be
    /// appended from now on.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::StorageFull`], [`LogError::NotDurable`], [`LogError::Damaged`];
    /// [`LogError::BatchTooLarge`], [`LogError::AppendTooLarge`] if what is to be said does not fit.
    pub fn rewrite(
        &self,
        rewriting: &mut dyn Rewriting,
        compression: Compression,
    ) -> Result<Rewritten, LogError> {
        let (file_system, directory) = (self.file_system(), self.directory());
        remove_rewritten(file_system, directory)?;
        // Segments are read to the ends of their files.
        self.cut_room()?;
        let mut work = Work {
            file_system,
            directory,
            rewriting,
            encoder: CommitEncoder::new(compression),
            checksum: None,
            done: Rewritten::default(),
        };
        let names = file_system
            .list(directory)
            .map_err(io_error("list", directory))?;
        let firsts = names.iter().filter_map(|name| first_sequence_of(name));
        for first in firsts {
            work.segment(first)?;
        }
        let (checksum, mut done) = (work.checksum, work.done);
        let Some(checksum) = checksum else {
            return Ok(done);
        };
        // The old ones are gone once these are in their places.
        check(file_system, directory)?;
        let chain = self.index().chain;
        let mark = Mark {
            turn: 1,
            next_commit: chain.next_commit,
            checksum,
            next_sequence: chain.next_sequence,
        };
        let mut bytes = vec![0; MARK_FILE_BYTES];
        for at in MARK_OFFSETS {
            bytes[at..at + MARK_BYTES].copy_from_slice(&mark.encode());
        }
        let aside = Aside::create(file_system, directory, mark::FILE_NAME)?;
        done.bytes += aside.finish(&bytes)?;
        sync(file_system, directory)?;
        Ok(done)
    }
}

/// Reads every new segment: its commits follow each other, and what they hold is whole.
fn check(file_system: &dyn FileSystem, directory: &Path) -> Result<(), LogError> {
    let mut before = None;
    for (_, aside) in asides(file_system, directory)? {
        let path = directory.join(aside);
        let trouble = |trouble: Trouble| trouble.into_error(&path);
        let Opened { file, is_truncated } = truncated::open(file_system, &path, OpenMode::Read)?;
        let end = file.length().map_err(io_error("open", &path))?;
        let mut reader = SegmentReader::new(file, end, READ_AHEAD_BYTES);
        let header = reader.header(&path)?;
        let mut checksum = before.unwrap_or(header.previous_checksum);
        let follows = |at: u64, expected: u64, found: u64| match expected == found {
            true => Ok(()),
            false => Err(Trouble::Flaw {
                at,
                flaw: Flaw::Discontinuity {
                    field: "the checksum of the commit before",
                    expected,
                    found,
                },
            }),
        };
        follows(0, checksum, header.previous_checksum).map_err(trouble)?;
        let mut at = SEGMENT_HEADER_BYTES as u64;
        while at < end {
            let commit = reader.commit(at).map_err(trouble)?;
            follows(at, checksum, commit.header.previous_checksum).map_err(trouble)?;
            for (frame, at, _) in commit.placed_frames() {
                if !is_truncated || frame.kind != FrameKind::Events {
                    reader.check_body(&frame, at).map_err(trouble)?;
                }
            }
            checksum = commit.header.checksum;
            at = commit.end();
        }
        before = Some(checksum);
    }
    Ok(())
}

/// A new file.
struct Aside {
    file: Arc<dyn File>,
    path: std::path::PathBuf,
    end: u64,
}

impl Aside {
    fn create(
        file_system: &dyn FileSystem,
        directory: &Path,
        name: &str,
    ) -> Result<Self, LogError> {
        let path = directory.join(format!("{name}{ASIDE}"));
        let file = file_system
            .open(&path, OpenMode::Create)
            .map_err(io_error("create", &path))?;
        Ok(Aside { file, path, end: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let written = self.file.write_at(self.end, bytes);
        written.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::StorageFull {
                path: self.path.clone(),
                source,
            },
            _ => io_error("write", &self.path)(source),
        })?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Writes the last bytes, and makes all of them durable; answers how many there are.
    fn finish(mut self, bytes: &[u8]) -> Result<u64, LogError> {
        self.write(bytes)?;
        self.file
            .sync_data()
            .map_err(io_error("sync", &self.path))?;
        Ok(self.end)
    }
}

struct Work<'a> {
    file_system: &'a dyn FileSystem,
    directory: &'a Path,
    rewriting: &'a mut dyn Rewriting,
    encoder: CommitEncoder,
    /// Of the last commit that was written; none as long as nothing was.
    checksum: Option<u64>,
    done: Rewritten,
}

/// A commit as it is to be.
struct NewCommit {
    head: Vec<u8>,
    /// Bodies, each with its place behind the head; of a truncated segment those that it has.
    bodies: Vec<(u64, Vec<u8>)>,
    /// Head and bodies, also those that are not there.
    length: u64,
    checksum: u64,
}

impl Work<'_> {
    fn segment(&mut self, first: u64) -> Result<(), LogError> {
        let path = segment::path(self.directory, first);
        let Opened { file, is_truncated } =
            truncated::open(self.file_system, &path, OpenMode::Read)?;
        let end = file.length().map_err(io_error("open", &path))?;
        let mut reader = SegmentReader::new(file, end, READ_AHEAD_BYTES);
        let trouble = |trouble: Trouble| trouble.into_error(&path);
        if self.checksum.is_none() && !self.is_touched(&mut reader, end).map_err(trouble)? {
            return Ok(());
        }
        let header = reader.header(&path)?;
        let mut before = self.checksum.unwrap_or(header.previous_checksum);
        let header = SegmentHeader {
            previous_checksum: before,
            ..header
        };
        let name = segment::file_name(first);
        let mut aside = Aside::create(self.file_system, self.directory, &name)?;
        let mut pieces = Pieces::default();
        let mut new_end = SEGMENT_HEADER_BYTES as u64;
        match is_truncated {
            true => pieces.add(0, &header.encode()),
            false => aside.write(&header.encode())?,
        }
        let mut at = SEGMENT_HEADER_BYTES as u64;
        while at < end {
            let commit = reader.commit(at).map_err(trouble)?;
            let new = self.commit(&mut reader, &commit, before, is_truncated, &path)?;
            if is_truncated {
                pieces.close_if_full(new_end).map_err(trouble)?;
                pieces.add(new_end, &new.head);
                for (place, body) in &new.bodies {
                    pieces.add(new_end + new.head.len() as u64 + place, body);
                }
            } else {
                aside.write(&new.head)?;
                for (_, body) in &new.bodies {
                    aside.write(body)?;
                }
            }
            new_end += new.length;
            before = new.checksum;
            at = commit.end();
        }
        let rest = match is_truncated {
            false => Vec::new(),
            true => {
                pieces.close(new_end).map_err(trouble)?;
                pieces.into_file(first, new_end)
            }
        };
        self.done.bytes += aside.finish(&rest)?;
        self.done.segments += 1;
        self.checksum = Some(before);
        Ok(())
    }

    /// Whether anything in a segment changes.
    fn is_touched(&self, reader: &mut SegmentReader, end: u64) -> Result<bool, Trouble> {
        let mut at = SEGMENT_HEADER_BYTES as u64;
        while at < end {
            let commit = reader.commit(at)?;
            if commit.frames.iter().any(|frame| self.touches(frame)) {
                return Ok(true);
            }
            at = commit.end();
        }
        Ok(false)
    }

    fn touches(&self, frame: &FrameHeader) -> bool {
        let (source, records) = (SourceId(frame.source), frame.first..frame.end());
        match frame.kind {
            FrameKind::Events => {
                let partition = Partition(frame.partition);
                self.rewriting.touches(source, partition, records)
            }
            FrameKind::DeadLetters => self.rewriting.touches_letters(source, records),
            // Correlation ids change with their events, which are in the same commit.
            FrameKind::Redriven | FrameKind::Backfills | FrameKind::Correlations => false,
        }
    }

    fn commit(
        &mut self,
        reader: &mut SegmentReader,
        commit: &Commit,
        before: u64,
        is_truncated: bool,
        path: &Path,
    ) -> Result<NewCommit, LogError> {
        let mut header = commit.header;
        let mut frames = Vec::with_capacity(commit.frames.len());
        let mut bodies = Vec::new();
        let mut length = 0;
        for (mut frame, at, sequence) in commit.placed_frames() {
            let is_there = !is_truncated || frame.kind != FrameKind::Events;
            if is_there {
                let mut body = Vec::new();
                if frame.kind == FrameKind::Correlations
                    && let Some(batch) = self.correlations(reader, commit, &frame, at, path)?
                {
                    let place = place_of(&frame, sequence, header.logged_at);
                    frame = self.encoder.frame(&batch, &place, &mut body)?;
                } else if self.touches(&frame) {
                    let batch = self.changed(reader, &frame, at, header.logged_at, path)?;
                    let place = place_of(&frame, sequence, header.logged_at);
                    frame = self.encoder.frame(&batch, &place, &mut body)?;
                    header.version = header.version.max(FORMAT_VERSION);
                } else {
                    let stored = reader.stored_body(&frame, at);
                    body.extend(stored.map_err(|trouble| trouble.into_error(path))?);
                }
                bodies.push((length, body));
            } else if self.touches(&frame) {
                // Its body is not there, and a digest of what it was would tell whether a guess is right.
                frame.checksum = 0;
            }
            length += u64::from(frame.stored_bytes);
            frames.push(frame);
        }
        if length > COMMIT_BYTES_MAX as u64 {
            return Err(LogError::AppendTooLarge {
                bytes: usize::try_from(length).unwrap_or(usize::MAX),
                batches: frames.len(),
                limit_bytes: COMMIT_BYTES_MAX,
                limit_batches: FRAMES_MAX,
            });
        }
        header.bodies_bytes = length;
        header.previous_checksum = before;
        let mut head = vec![0; COMMIT_HEADER_BYTES + frames.len() * FRAME_HEADER_BYTES];
        let checksum = header.encode(&frames, &mut head);
        Ok(NewCommit {
            length: head.len() as u64 + length,
            head,
            bodies,
            checksum,
        })
    }

    /// The correlation ids of a frame without those of events that change; none if none does.
    fn correlations(
        &self,
        reader: &mut SegmentReader,
        commit: &Commit,
        frame: &FrameHeader,
        at: u64,
        path: &Path,
    ) -> Result<Option<Batch>, LogError> {
        if !commit.frames.iter().any(|frame| self.touches(frame)) {
            return Ok(None);
        }
        let trouble = |trouble: Trouble| trouble.into_error(path);
        let body = reader.body(frame, at).map_err(trouble)?;
        let correlations = decode_correlations(&body, frame.count);
        let mut correlations = correlations.map_err(|flaw| trouble(Trouble::Flaw { at, flaw }))?;
        let mut is_other = false;
        for correlation in &mut correlations {
            let record = commit
                .header
                .first_sequence
                .saturating_add(correlation.event);
            let is_touched = commit.placed_frames().any(|(events, _, first)| {
                let records = first..first + u64::from(events.count);
                let offset = events.first + record.saturating_sub(first);
                events.kind == FrameKind::Events
                    && records.contains(&record)
                    && self.rewriting.touches(
                        SourceId(events.source),
                        Partition(events.partition),
                        offset..offset + 1,
                    )
            });
            if is_touched {
                correlation.id.clear();
                is_other = true;
            }
        }
        let source = SourceId(frame.source);
        Ok(is_other.then_some(Batch::Correlations {
            source,
            correlations,
        }))
    }

    /// The records of a frame as they are to be.
    fn changed(
        &mut self,
        reader: &mut SegmentReader,
        frame: &FrameHeader,
        at: u64,
        logged_at: i64,
        path: &Path,
    ) -> Result<Batch, LogError> {
        let body = reader.body(frame, at);
        let body = body.map_err(|trouble| trouble.into_error(path))?;
        let damaged = |flaw| Trouble::Flaw { at, flaw }.into_error(path);
        let source = SourceId(frame.source);
        if frame.kind == FrameKind::DeadLetters {
            let mut letters = decode_dead_letters(&body, frame.count).map_err(damaged)?;
            for (id, letter) in (frame.first..).zip(&mut letters) {
                self.rewriting
                    .change_letter(source, DeadLetterId(id), letter);
            }
            return Ok(Batch::DeadLetters { source, letters });
        }
        let first = Position::new(frame.partition, frame.first);
        let events = events_from_body(body, first, frame.count, frame.columnar);
        let mut changed = Vec::with_capacity(frame.count as usize);
        for (offset, event) in (frame.first..).zip(events.map_err(damaged)?) {
            let mut logged = LoggedEvent {
                source,
                position: Position::new(frame.partition, offset),
                logged_at: VisibleAt(logged_at),
                schema_version: frame.schema_version,
                event,
            };
            self.rewriting.change(&mut logged);
            changed.push(logged.event);
        }
        Ok(Batch::Events {
            source,
            partition: Partition(frame.partition),
            schema_version: frame.schema_version,
            events: changed,
        })
    }
}

/// Where a frame's records are.
fn place_of(frame: &FrameHeader, sequence: u64, logged_at: i64) -> Appended {
    Appended {
        source: SourceId(frame.source),
        partition: Partition(frame.partition),
        first: frame.first,
        count: u64::from(frame.count),
        first_sequence: Sequence(sequence),
        logged_at: VisibleAt(logged_at),
    }
}
