//! The log open for writing: appends, rolling to the next segment, closing.
//!
//! Invariants: one append is one commit, one write and one sync, wholly in one segment; it
//! is acknowledged after the sync and only then seen by readers. Behind the last commit a segment
//! has zero bytes or none ([`crate::room`]); one that is not appended to has none. After a write
//! that the disk had no room for, the segment is cut back to its last commit. After anything that leaves
//! open what the disk holds (a failed sync above all: what it failed to write may be dropped
//! by the system without a further word), nothing is written any more.

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_types::{Partition, VisibleAt};

use crate::batch::{Appended, Batch, Sequence};
use crate::clock::Clock;
use crate::commit::{CommitEncoder, Encoded};
use crate::error::LogError;
use crate::file_system::{FileSystem, Lock, LockGuard, OpenMode};
use crate::index::{Chain, StreamKey};
use crate::layout::{Mark, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mark::MarkFile;
use crate::options::LogOptions;
use crate::reader::LogReader;
use crate::recovery::{Bodies, LastSegment, RecoveryReport, recover};
use crate::room::Room;
use crate::segment::{self, create, io_error, is_full};
use crate::truncation::LogSegment;

const LOCK_FILE: &str = "lock";

/// A log open for writing; by `Deref` also a [`LogReader`]. May be shared between threads:
/// appends take turns.
#[derive(Debug)]
pub struct Log {
    reader: LogReader,
    writer: Mutex<Writer>,
}

impl Deref for Log {
    type Target = LogReader;

    fn deref(&self) -> &LogReader {
        &self.reader
    }
}

#[derive(Debug)]
struct Writer {
    file_system: Arc<dyn FileSystem>,
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    options: LogOptions,
    last: LastSegment,
    room: Room,
    mark: MarkFile,
    encoder: CommitEncoder,
    /// Why nothing is written any more.
    closed: Option<String>,
    /// Given back when the log is dropped.
    _lock: Box<dyn LockGuard>,
}

impl Log {
    /// Opens the log in a directory for writing, creating both if need be. An append that
    /// was cut short before it was acknowledged is removed; the report says so. So is room that a
    /// process which was killed has left.
    ///
    /// # Errors
    /// [`LogError::Locked`] if it is open for writing already; [`LogError::Damaged`],
    /// [`LogError::LostSuffix`], [`LogError::MissingSegment`], [`LogError::MissingMark`] if
    /// it does not hold what was acknowledged; [`LogError::UnsupportedVersion`];
    /// [`LogError::Io`], [`LogError::StorageFull`], [`LogError::NotDurable`]. After an error
    /// the directory can be opened again once its cause is gone.
    pub fn open(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
        clock: Arc<dyn Clock>,
        options: LogOptions,
    ) -> Result<(Log, RecoveryReport), LogError> {
        file_system
            .create_directory(directory)
            .map_err(io_error("create", directory))?;
        let lock = take_lock(file_system.as_ref(), directory)?;
        let recovered = recover(
            file_system.as_ref(),
            directory,
            OpenMode::Write,
            Bodies::All,
        )?;
        let report = recovered.report;
        for name in &report.leftovers {
            let path = directory.join(name);
            file_system
                .remove(&path)
                .map_err(io_error("remove", &path))?;
        }
        let chain = recovered.index.chain;
        let mut mark = match recovered.mark {
            Some(mark) => mark,
            None => MarkFile::create(file_system.as_ref(), directory)?,
        };
        let mut last = match recovered.last {
            Some(last) => last,
            None => create_segment(file_system.as_ref(), directory, &chain)?,
        };
        if last.file_end > last.end {
            last.cut().map_err(io_error("truncate", &last.path))?;
        }
        mark.renew(mark_of(&chain))?;
        let writer = Writer {
            file_system: file_system.clone(),
            directory: directory.to_owned(),
            clock,
            encoder: CommitEncoder::new(options.compression),
            options,
            last,
            room: Room::default(),
            mark,
            closed: None,
            _lock: lock,
        };
        let log = Log {
            reader: LogReader::new(file_system, directory, recovered.index),
            writer: Mutex::new(writer),
        };
        Ok((log, report))
    }

    /// A reader of its own, for another thread.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Appends batches: all of them or none, in this order, at one time of the apply
    /// timeline (the clock's, or that of the append before if the clock is behind it).
    /// Answers after they are durable, with a place per batch. Batches without records get
    /// one too, of count 0. One write and one sync, however many batches.
    ///
    /// # Errors
    /// [`LogError::StorageFull`]: nothing was appended, later appends may succeed.
    /// [`LogError::NotDurable`]: whether this append is kept shows when the log is opened
    /// again; this one is closed for writes. [`LogError::Io`]: the next segment could not be
    /// begun; nothing was appended, and the log is closed for writes. [`LogError::Closed`]:
    /// it was before.
    /// [`LogError::BatchTooLarge`], [`LogError::AppendTooLarge`],
    /// [`LogError::NestedTooDeep`], [`LogError::ReservedPartition`],
    /// [`LogError::UnknownDeadLetter`]: nothing was appended.
    pub fn append(&self, batches: &[Batch]) -> Result<Vec<Appended>, LogError> {
        let mut writer = self.writer();
        let places = writer.places(&self.reader, batches)?;
        let Some(mut encoded) = writer.encode(&self.reader, batches, &places)? else {
            return Ok(places);
        };
        let made_room = writer.write(&self.reader, &mut encoded)?;
        writer.finish(&self.reader, encoded, made_room);
        Ok(places)
    }

    /// Begins a new segment, unless nothing was written to the last one: what was logged so far is in
    /// segments then that nothing is appended to.
    ///
    /// # Errors
    /// [`LogError::Closed`]; [`LogError::StorageFull`]: later appends may succeed; else the log is
    /// closed for writes.
    pub fn begin_segment(&self) -> Result<(), LogError> {
        let mut writer = self.writer();
        if let Some(cause) = &writer.closed {
            return Err(LogError::Closed {
                cause: cause.clone(),
            });
        }
        if writer.last.end <= SEGMENT_HEADER_BYTES as u64 {
            return Ok(());
        }
        let chain = self.reader.index().chain;
        writer.roll(&chain)
    }

    /// Whether a segment is the one that is appended to.
    pub fn is_written(&self, segment: &LogSegment) -> bool {
        self.writer().last.first_sequence == segment.first.0
    }

    /// Why the log takes no more writes; `None` if it does.
    pub fn closed(&self) -> Option<String> {
        self.writer().closed.clone()
    }

    /// Closes the log: gives room back, and makes the high-water mark durable. A log that is
    /// dropped instead keeps all that was acknowledged, too; only damage would be noticed less surely.
    ///
    /// # Errors
    /// [`LogError::NotDurable`].
    pub fn close(self) -> Result<(), LogError> {
        let mut writer = self.writer();
        writer.cut_room()?;
        writer.mark.sync()
    }

    /// Gives back the room that was made, until the next append makes some.
    ///
    /// # Errors
    /// [`LogError::Closed`], [`LogError::NotDurable`].
    pub(crate) fn cut_room(&self) -> Result<(), LogError> {
        let mut writer = self.writer();
        if let Some(cause) = &writer.closed {
            return Err(LogError::Closed {
                cause: cause.clone(),
            });
        }
        writer.cut_room()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn take_lock(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Box<dyn LockGuard>, LogError> {
    let path = directory.join(LOCK_FILE);
    match file_system.lock(&path).map_err(io_error("lock", &path))? {
        Lock::Taken(guard) => Ok(guard),
        Lock::Held { pid } => Err(LogError::Locked {
            path: directory.to_owned(),
            pid,
        }),
    }
}

fn create_segment(
    file_system: &dyn FileSystem,
    directory: &Path,
    chain: &Chain,
) -> Result<LastSegment, LogError> {
    let header = SegmentHeader {
        first_sequence: chain.next_sequence,
        first_commit: chain.next_commit,
        previous_checksum: chain.checksum,
        previous_logged_at: chain.logged_at,
    };
    let name = segment::file_name(chain.next_sequence);
    Ok(LastSegment {
        file: create(file_system, directory, &name, &header.encode())?,
        path: directory.join(name),
        first_sequence: chain.next_sequence,
        end: SEGMENT_HEADER_BYTES as u64,
        file_end: SEGMENT_HEADER_BYTES as u64,
        is_synced: true,
    })
}

fn mark_of(chain: &Chain) -> Mark {
    Mark {
        turn: 0,
        next_commit: chain.next_commit,
        checksum: chain.checksum,
        next_sequence: chain.next_sequence,
    }
}

impl Writer {
    /// Where each batch goes.
    fn places(&self, reader: &LogReader, batches: &[Batch]) -> Result<Vec<Appended>, LogError> {
        if let Some(cause) = &self.closed {
            return Err(LogError::Closed {
                cause: cause.clone(),
            });
        }
        let index = reader.index();
        let chain = index.chain;
        let logged_at = VisibleAt(self.clock.now_micros().max(chain.logged_at));
        let mut sequence = chain.next_sequence;
        let mut ends: BTreeMap<StreamKey, u64> = BTreeMap::new();
        let mut places = Vec::with_capacity(batches.len());
        for batch in batches {
            let key = batch.stream();
            if key.partition == u32::MAX {
                return Err(LogError::ReservedPartition);
            }
            let end = ends.entry(key).or_insert_with(|| index.end(key));
            let count = batch.count() as u64;
            places.push(Appended {
                source: batch.source(),
                partition: Partition(key.partition),
                first: *end,
                count,
                first_sequence: Sequence(sequence),
                logged_at,
            });
            *end += count;
            sequence += count;
        }
        for batch in batches {
            if let Batch::Redriven { source, ids } = batch {
                let key = StreamKey::dead_letters(*source);
                let end = ends.get(&key).copied().unwrap_or_else(|| index.end(key));
                if let Some(&id) = ids.iter().find(|id| id.0 >= end) {
                    return Err(LogError::UnknownDeadLetter {
                        source_id: *source,
                        id,
                    });
                }
            }
        }
        Ok(places)
    }

    /// The commit's bytes; `None` if there is nothing to write.
    fn encode(
        &mut self,
        reader: &LogReader,
        batches: &[Batch],
        places: &[Appended],
    ) -> Result<Option<Encoded>, LogError> {
        let chain = reader.index().chain;
        self.encoder.encode(&chain, batches, places)
    }

    /// Writes and syncs a commit, with room behind it if it ends where there is none; answers whether
    /// room was made.
    fn write(&mut self, reader: &LogReader, encoded: &mut Encoded) -> Result<bool, LogError> {
        let length = encoded.bytes.len() as u64;
        let begun = self.last.end > SEGMENT_HEADER_BYTES as u64;
        if begun && self.last.end + length > self.options.segment_bytes {
            let chain = reader.index().chain;
            self.roll(&chain)?;
        }
        let end = self.last.end + length;
        // As long as it is open what stands behind the last commit, it is not taken for room.
        let file_end = std::mem::replace(&mut self.last.file_end, self.last.end);
        let room = match end > file_end {
            true => self.room.behind(length, end, self.options.segment_bytes),
            false => 0,
        };
        let room = self.put(encoded, room)?;
        let last = &mut self.last;
        if let Err(source) = last.file.sync_data() {
            let path = last.path.clone();
            return Err(self.close_for("sync", path, source));
        }
        last.file_end = file_end.max(end + room);
        last.is_synced = true;
        self.room.appended(length);
        Ok(room > 0)
    }

    /// Writes a commit and so many zero bytes behind it, or none if the disk has no room for them;
    /// answers how many.
    fn put(&mut self, encoded: &mut Encoded, room: u64) -> Result<u64, LogError> {
        let (file, at, bytes) = (&self.last.file, self.last.end, &mut encoded.bytes);
        let length = bytes.len();
        // It is far less than memory can hold.
        bytes.resize(length + usize::try_from(room).unwrap_or_default(), 0);
        let written = file.write_at(at, bytes);
        bytes.truncate(length);
        match written {
            Ok(()) => Ok(room),
            Err(error) if room > 0 && is_full(&error) => {
                self.room = Room::default();
                // What it took of the room is given back, for whoever else needs it.
                let again = file.truncate(at).and_then(|()| file.write_at(at, bytes));
                again.map_err(|source| self.write_failed(source))?;
                Ok(0)
            }
            Err(source) => Err(self.write_failed(source)),
        }
    }

    /// Cuts the segment off behind its last commit, durably.
    fn cut_room(&mut self) -> Result<(), LogError> {
        if self.closed.is_some() {
            return Ok(());
        }
        self.last
            .cut()
            .map_err(|source| self.close_for("truncate", self.last.path.clone(), source))
    }

    /// After a write that failed: as if it had not been tried, or closed.
    fn write_failed(&mut self, source: io::Error) -> LogError {
        let path = self.last.path.clone();
        if !is_full(&source) {
            return self.close_for("write", path, source);
        }
        // Synced, else a power cut may bring the half back, in a segment that others follow.
        let file = &self.last.file;
        let undone = file.truncate(self.last.end).and_then(|()| file.sync_data());
        match undone {
            Ok(()) => LogError::StorageFull { path, source },
            Err(source) => self.close_for("truncate", path, source),
        }
    }

    fn close_for(&mut self, operation: &'static str, path: PathBuf, source: io::Error) -> LogError {
        self.closed = Some(format!("{operation} `{}`: {source}", path.display()));
        LogError::NotDurable {
            operation,
            path,
            source,
        }
    }

    /// Goes on in a new segment. The old one gives its room back first, and the mark is synced, so
    /// that it stands for the whole of it from then on.
    fn roll(&mut self, chain: &Chain) -> Result<(), LogError> {
        self.cut_room()?;
        let rolled = self
            .mark
            .sync()
            .and_then(|()| create_segment(self.file_system.as_ref(), &self.directory, chain));
        match rolled {
            Ok(segment) => {
                self.last = segment;
                Ok(())
            }
            Err(full @ LogError::StorageFull { .. }) => Err(full),
            Err(error) => {
                self.closed = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Shows a commit that is durable to readers, and marks it. With new room the mark is synced: zero
    /// bytes where a commit was acknowledged are no room up to there.
    fn finish(&mut self, reader: &LogReader, mut encoded: Encoded, made_room: bool) {
        self.encoder.reuse(std::mem::take(&mut encoded.bytes));
        let commit = encoded.commit(self.last.end);
        self.last.end = commit.end();
        let chain = {
            let mut index = reader.index_mut();
            index.add(self.last.first_sequence, &commit);
            index.chain
        };
        // The append is durable whatever becomes of the mark, so it is acknowledged; but a
        // device that cannot take a mark will not be trusted with a further append. (A full
        // one may: a mark that lags claims less, never too much.)
        let marked = self.mark.write(mark_of(&chain));
        let marked = marked.and_then(|()| match made_room {
            true => self.mark.sync(),
            false => Ok(()),
        });
        match marked {
            Ok(()) | Err(LogError::StorageFull { .. }) => {}
            Err(error) => self.closed = Some(error.to_string()),
        }
    }
}

impl Drop for Writer {
    /// Gives the room back. It holds nothing, so nobody waits for it, and if it stays it does no harm.
    fn drop(&mut self) {
        if self.closed.is_none() && self.last.file_end > self.last.end {
            let _ = self.last.file.truncate(self.last.end);
        }
    }
}

impl Batch {
    fn stream(&self) -> StreamKey {
        match self {
            Batch::Events {
                source, partition, ..
            } => StreamKey::events(*source, *partition),
            Batch::DeadLetters { source, .. } => StreamKey::dead_letters(*source),
            Batch::Redriven { source, .. } => StreamKey::redriven(*source),
            Batch::Backfills { source, .. } => StreamKey::backfills(*source),
            Batch::Correlations { source, .. } => StreamKey::correlations(*source),
        }
    }
}
