//! Truncated segments: what is left of a segment when the bodies of its events are elsewhere.
//!
//! Owns the file's format and reading it as if it were whole: heads of commits and frames, dead
//! letters and redriven marks stand where they stood, and where bodies of events were are zero bytes,
//! which nobody reads. Invariant: it has the name of the segment that it takes the place of, and every
//! place in it is the same, so who knows where things are in the one finds them in the other
//! (`docs/format/log.md`).

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Flaw, LogError};
use crate::file_system::{File, FileSystem, OpenMode};
use crate::layout::{FrameKind, SEGMENT_HEADER_BYTES, version};
use crate::segment::{self, SegmentReader, Trouble, io_error};

/// The format version of a truncated segment, the newest that there is of a segment.
pub(crate) const TRUNCATED_VERSION: u16 = 3;

/// The size of the file's header.
const HEADER_BYTES: usize = 56;
/// The size of a piece's entry in the table behind the header.
const ENTRY_BYTES: usize = 32;
/// The size of a run's place and length.
const RUN_BYTES: usize = 12;
/// A piece takes no further commit once it has so many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// More bytes than a piece has, whatever its last commit is.
const PIECE_BYTES_MAX: usize = 512 << 20;
/// How hard heads are compressed: they are written once.
const LEVEL: i32 = 6;

/// A segment that was opened.
pub(crate) struct Opened {
    /// Its bytes, in their places.
    pub(crate) file: Arc<dyn File>,
    /// Whether the bodies of its events are not there.
    pub(crate) is_truncated: bool,
}

/// Opens a segment, whole or truncated.
pub(crate) fn open(
    file_system: &dyn FileSystem,
    path: &Path,
    mode: OpenMode,
) -> Result<Opened, LogError> {
    let file = file_system
        .open(path, mode)
        .map_err(io_error("open", path))?;
    let mut begin = [0; 16];
    let read = file
        .read_at(0, &mut begin)
        .map_err(io_error("read", path))?;
    let found = version(&begin[..read]).unwrap_or_default();
    if found < TRUNCATED_VERSION {
        return Ok(Opened {
            file,
            is_truncated: false,
        });
    }
    if found > TRUNCATED_VERSION {
        return Err(LogError::UnsupportedVersion {
            path: path.to_owned(),
            found,
            supported: TRUNCATED_VERSION,
        });
    }
    let file = Truncated::open(file).map_err(|trouble| trouble.into_error(path))?;
    Ok(Opened {
        file: Arc::new(file),
        is_truncated: true,
    })
}

/// Whether the segment that begins with a record is truncated.
pub(crate) fn is_truncated(
    file_system: &dyn FileSystem,
    directory: &Path,
    first_sequence: u64,
) -> Result<bool, LogError> {
    let path = segment::path(directory, first_sequence);
    Ok(open(file_system, &path, OpenMode::Read)?.is_truncated)
}

/// The bytes of the truncated form of a whole segment, which ends at `end`.
pub(crate) fn truncate(
    file: &Arc<dyn File>,
    first_sequence: u64,
    end: u64,
) -> Result<Vec<u8>, Trouble> {
    let mut reader = SegmentReader::new(Arc::clone(file), end, SEGMENT_HEADER_BYTES);
    let mut pieces = Pieces::default();
    pieces.add(0, &bytes_at(file, 0, SEGMENT_HEADER_BYTES)?);
    let mut at = SEGMENT_HEADER_BYTES as u64;
    while at < end {
        let commit = reader.commit(at)?;
        pieces.close_if_full(at)?;
        pieces.add(at, &bytes_at(file, at, commit.header.head_bytes())?);
        for (frame, at, _) in commit.placed_frames() {
            if frame.kind != FrameKind::Events {
                reader.check_body(&frame, at)?;
                pieces.add(at, &bytes_at(file, at, frame.stored_bytes as usize)?);
            }
        }
        at = commit.end();
    }
    pieces.close(end)?;
    Ok(pieces.into_file(first_sequence, end))
}

fn bytes_at(file: &Arc<dyn File>, at: u64, length: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = vec![0; length];
    match file.read_at(at, &mut bytes).map_err(Trouble::Io)? {
        read if read == length => Ok(bytes),
        _ => Err(Trouble::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Pieces that are made: what stands where, compressed.
#[derive(Default)]
pub(crate) struct Pieces {
    /// The runs of the piece that is open.
    plain: Vec<u8>,
    /// Where that begins.
    from: u64,
    /// Of the closed ones: where each begins, and its lengths when compressed and not.
    entries: Vec<(u64, usize, usize)>,
    /// Their bytes.
    stored: Vec<u8>,
}

impl Pieces {
    pub(crate) fn add(&mut self, at: u64, bytes: &[u8]) {
        self.plain.extend(at.to_le_bytes());
        // A head is shorter than 2^23 bytes, a body than 2^27.
        self.plain.extend((bytes.len() as u32).to_le_bytes());
        self.plain.extend(bytes);
    }

    /// Closes the open piece if it takes no further commit; the next begins at `until`.
    pub(crate) fn close_if_full(&mut self, until: u64) -> Result<(), Trouble> {
        match self.plain.len() >= PIECE_BYTES {
            true => self.close(until),
            false => Ok(()),
        }
    }

    /// Closes the open piece; the next begins at `until`.
    pub(crate) fn close(&mut self, until: u64) -> Result<(), Trouble> {
        let stored = zstd::bulk::compress(&self.plain, LEVEL).map_err(Trouble::Io)?;
        self.entries
            .push((self.from, stored.len(), self.plain.len()));
        self.stored.extend(stored);
        self.plain.clear();
        self.from = until;
        Ok(())
    }

    pub(crate) fn into_file(self, first_sequence: u64, length: u64) -> Vec<u8> {
        let mut at = (HEADER_BYTES + self.entries.len() * ENTRY_BYTES) as u64;
        let mut rest = self.stored.as_slice();
        let mut table = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        for &(from, stored, plain) in &self.entries {
            let (piece, behind) = rest.split_at(stored);
            table.extend(from.to_le_bytes());
            table.extend(at.to_le_bytes());
            // Pieces are shorter than `PIECE_BYTES_MAX`.
            table.extend((stored as u32).to_le_bytes());
            table.extend((plain as u32).to_le_bytes());
            table.extend(xxh3_64(piece).to_le_bytes());
            at += stored as u64;
            rest = behind;
        }
        let mut file = Vec::with_capacity(HEADER_BYTES + table.len() + self.stored.len());
        file.extend(crate::layout::SEGMENT_MAGIC);
        file.extend(TRUNCATED_VERSION.to_le_bytes());
        file.extend([0; 6]);
        file.extend(first_sequence.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend((self.entries.len() as u64).to_le_bytes());
        file.extend(xxh3_64(&table).to_le_bytes());
        file.extend(xxh3_64(&file).to_le_bytes());
        file.extend(table);
        file.extend(self.stored);
        file
    }
}

/// A piece: runs of bytes that stand from a place on.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: u64,
    at: u64,
    stored: usize,
    plain: usize,
    checksum: u64,
}

/// A truncated segment, which reads as if it were whole.
#[derive(Debug)]
struct Truncated {
    file: Arc<dyn File>,
    /// Of the segment as it was.
    length: u64,
    pieces: Vec<Piece>,
    /// The piece that was read last.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl Truncated {
    fn open(file: Arc<dyn File>) -> Result<Self, Trouble> {
        let flawed = |at: u64, flaw| Trouble::Flaw { at, flaw };
        let short = || flawed(0, Flaw::Truncated("a truncated segment"));
        let actual = file.length().map_err(Trouble::Io)?;
        if actual < HEADER_BYTES as u64 {
            return Err(short());
        }
        let header = bytes_at(&file, 0, HEADER_BYTES)?;
        let (checked, checksum) = header.split_at(HEADER_BYTES - 8);
        if number(checksum, 0) != xxh3_64(checked) {
            return Err(flawed(0, Flaw::Checksum("a truncated segment")));
        }
        let (length, count) = (number(checked, 24), number(checked, 32));
        let room = (actual - HEADER_BYTES as u64) / ENTRY_BYTES as u64;
        if count == 0 || count > room {
            return Err(short());
        }
        // It fits into the file.
        let table = bytes_at(&file, HEADER_BYTES as u64, count as usize * ENTRY_BYTES)?;
        if xxh3_64(&table) != number(checked, 40) {
            let flaw = Flaw::Checksum("the table of a truncated segment");
            return Err(flawed(HEADER_BYTES as u64, flaw));
        }
        let pieces = table.chunks_exact(ENTRY_BYTES).map(|entry| Piece {
            from: number(entry, 0),
            at: number(entry, 8),
            stored: short_number(entry, 16),
            plain: short_number(entry, 20),
            checksum: number(entry, 24),
        });
        Ok(Truncated {
            length,
            pieces: pieces.collect(),
            file,
            last: Mutex::new(None),
        })
    }

    /// The runs of a piece.
    fn piece(&self, number: usize) -> io::Result<Arc<Vec<u8>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, runs)) = last.as_ref()
            && *at == number
        {
            return Ok(Arc::clone(runs));
        }
        let piece = self.pieces[number];
        let damaged = || {
            let reason = format!(
                "a piece of the truncated segment is damaged, at byte {}",
                piece.at
            );
            io::Error::new(io::ErrorKind::InvalidData, reason)
        };
        let end = piece.at.checked_add(piece.stored as u64);
        if piece.plain > PIECE_BYTES_MAX
            || end.is_none_or(|end| self.file.length().is_ok_and(|l| end > l))
        {
            return Err(damaged());
        }
        let mut stored = vec![0; piece.stored];
        let read = self.file.read_at(piece.at, &mut stored)?;
        if read < stored.len() || xxh3_64(&stored) != piece.checksum {
            return Err(damaged());
        }
        let plain = zstd::bulk::decompress(&stored, piece.plain).map_err(|_| damaged())?;
        let runs = Arc::new(plain);
        *last = Some((number, Arc::clone(&runs)));
        Ok(runs)
    }
}

impl File for Truncated {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let end = offset + length as u64;
        let first = self.pieces.partition_point(|piece| piece.from <= offset);
        let pieces = self.pieces.iter().enumerate();
        let wanted = pieces
            .skip(first.saturating_sub(1))
            .take_while(|(_, piece)| piece.from < end);
        for (number, _) in wanted {
            let runs = self.piece(number)?;
            let mut rest = runs.as_slice();
            while rest.len() >= RUN_BYTES {
                let (at, bytes) = (self::number(rest, 0), short_number(rest, 8));
                let Some(run) = rest.get(RUN_BYTES..RUN_BYTES + bytes) else {
                    break;
                };
                copy_overlap(run, at, buffer, offset);
                rest = &rest[RUN_BYTES + bytes..];
            }
        }
        Ok(length)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }
}

/// Copies what a run, which stands at a place, has of what a buffer is to have from an offset on.
fn copy_overlap(run: &[u8], at: u64, buffer: &mut [u8], offset: u64) {
    let start = at.max(offset);
    let end = at
        .saturating_add(run.len() as u64)
        .min(offset + buffer.len() as u64);
    if start >= end {
        return;
    }
    // Both are within their slices.
    let (from, to) = ((start - at) as usize, (start - offset) as usize);
    let length = (end - start) as usize;
    buffer[to..to + length].copy_from_slice(&run[from..from + length]);
}

/// A number of 64 bits that is there.
fn number(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |number| u64::from_le_bytes(*number))
}

/// A number of 32 bits that is there.
fn short_number(bytes: &[u8], at: usize) -> usize {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |number| u32::from_le_bytes(*number) as usize)
}
