//! One segment file: its name, its creation, and reading commits out of it.
//!
//! Every byte that leaves this module was checked: header and frame headers against the
//! commit's checksum, a body against its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use crate::error::{Flaw, LogError};
use crate::file_system::{File, FileSystem, OpenMode};
use crate::layout::{
    COMMIT_HEADER_BYTES, COMMIT_MAGIC, CommitHeader, FORMAT_VERSION, FrameHeader,
    SEGMENT_HEADER_BYTES, SegmentHeader, body_checksum, version,
};

const EXTENSION: &str = ".segment";
const TEMPORARY: &str = ".temporary";

/// How much is read at once where bodies are wanted.
pub(crate) const READ_AHEAD_BYTES: usize = 128 << 10;
/// How much is read at once where bodies are skipped.
pub(crate) const HEADERS_BYTES: usize = 4 << 10;

/// The file's name: the number of its first record in 20 digits, so that names sort.
pub(crate) fn file_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}{EXTENSION}")
}

/// The inverse of [`file_name`].
pub(crate) fn first_sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Whether this is a file that a killed process did not come to rename.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.ends_with(TEMPORARY)
}

/// Whether there is no room for what was written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// An error of the operating system, with what was tried.
pub(crate) fn io_error<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| LogError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// Creates a file with its first bytes so that it is there whole or not at all, durably.
/// On an error nothing of that name is left, unless the last sync fails.
pub(crate) fn create(
    file_system: &dyn FileSystem,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<Arc<dyn File>, LogError> {
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    let path = directory.join(name);
    let written = (|| {
        let file = file_system.open(&temporary, OpenMode::Create)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        file_system.rename(&temporary, &path)?;
        Ok(file)
    })();
    let file = written.map_err(|source: io::Error| {
        // Best effort: what is left over is removed when the log is opened again, and the
        // error to tell is the first one.
        let _ = file_system.remove(&temporary);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::StorageFull {
                path: path.clone(),
                source,
            },
            _ => io_error("create", &path)(source),
        }
    })?;
    file_system
        .sync_directory(directory)
        .map_err(|source| LogError::NotDurable {
            operation: "sync the directory",
            path,
            source,
        })?;
    Ok(file)
}

/// Why reading went no further.
#[derive(Debug)]
pub(crate) enum Trouble {
    Io(io::Error),
    Flaw { at: u64, flaw: Flaw },
}

impl Trouble {
    pub(crate) fn into_error(self, path: &Path) -> LogError {
        match self {
            Trouble::Io(source) => io_error("read", path)(source),
            Trouble::Flaw { at, flaw } => LogError::Damaged {
                path: path.to_owned(),
                at,
                source: flaw,
            },
        }
    }
}

fn flawed(at: u64) -> impl FnOnce(Flaw) -> Trouble {
    move |flaw| Trouble::Flaw { at, flaw }
}

/// A commit's header and frame headers, checked, with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) at: u64,
    pub(crate) header: CommitHeader,
    pub(crate) frames: Vec<FrameHeader>,
}

impl Commit {
    /// Where the next commit begins.
    pub(crate) fn end(&self) -> u64 {
        self.at + self.header.total_bytes()
    }

    /// How many records it holds.
    pub(crate) fn records(&self) -> u64 {
        self.frames.iter().map(|f| u64::from(f.count)).sum()
    }

    /// The frames, each with the place of its body and the number of its first record.
    pub(crate) fn placed_frames(&self) -> impl Iterator<Item = (FrameHeader, u64, u64)> {
        let mut at = self.at + self.header.head_bytes() as u64;
        let mut sequence = self.header.first_sequence;
        self.frames.iter().map(move |&frame| {
            let placed = (frame, at, sequence);
            at += u64::from(frame.stored_bytes);
            sequence += u64::from(frame.count);
            placed
        })
    }
}

/// Reads one segment, ahead of what is asked for.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: Arc<dyn File>,
    /// Nothing is read from here on.
    end: u64,
    ahead_bytes: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
    decompressor: Decompressor,
}

/// What expands bodies: made once, as that costs as much as a small body.
#[derive(Default)]
struct Decompressor(Option<zstd::bulk::Decompressor<'static>>);

impl Decompressor {
    /// Exactly so many bytes; none if the bytes are not those of as many.
    fn expand(&mut self, stored: &[u8], plain_bytes: usize) -> Option<Vec<u8>> {
        let decompressor = match &mut self.0 {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        let plain = decompressor.decompress(stored, plain_bytes).ok()?;
        (plain.len() == plain_bytes).then_some(plain)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decompressor")
    }
}

impl SegmentReader {
    /// Reads `file` up to byte `end`, `ahead_bytes` at least at a time.
    pub(crate) fn new(file: Arc<dyn File>, end: u64, ahead_bytes: usize) -> Self {
        SegmentReader {
            file,
            end,
            ahead_bytes,
            buffer: Vec::new(),
            buffer_at: 0,
            decompressor: Decompressor::default(),
        }
    }

    /// Lets it read further, as the file has grown.
    pub(crate) fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The bytes from `at` on; `None` if they reach beyond the end.
    fn bytes(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>, Trouble> {
        let Some(end) = at.checked_add(length as u64).filter(|&e| e <= self.end) else {
            return Ok(None);
        };
        if at < self.buffer_at || end > self.buffer_at + self.buffer.len() as u64 {
            let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            self.buffer
                .resize(length.max(self.ahead_bytes).min(left), 0);
            self.buffer_at = at;
            let read = self
                .file
                .read_at(at, &mut self.buffer)
                .map_err(Trouble::Io)?;
            self.buffer.truncate(read);
            if read < length {
                return Ok(None);
            }
        }
        let start = usize::try_from(at - self.buffer_at).unwrap_or(usize::MAX);
        Ok(Some(&self.buffer[start..start + length]))
    }

    /// The segment's header.
    pub(crate) fn header(&mut self, path: &Path) -> Result<SegmentHeader, LogError> {
        let damaged = |flaw| Trouble::Flaw { at: 0, flaw }.into_error(path);
        let bytes = self
            .bytes(0, SEGMENT_HEADER_BYTES)
            .map_err(|trouble| trouble.into_error(path))?
            .and_then(|bytes| bytes.first_chunk())
            .ok_or_else(|| damaged(Flaw::Truncated("a segment's header")))?;
        if let Some(found) = version(bytes).filter(|&found| found > FORMAT_VERSION) {
            return Err(LogError::UnsupportedVersion {
                path: path.to_owned(),
                found,
                supported: FORMAT_VERSION,
            });
        }
        SegmentHeader::decode(bytes).map_err(damaged)
    }

    /// The commit that begins at `at`. Its bodies are there in full, but not checked.
    pub(crate) fn commit(&mut self, at: u64) -> Result<Commit, Trouble> {
        let truncated = || flawed(at)(Flaw::Truncated("a commit"));
        let header = self
            .bytes(at, COMMIT_HEADER_BYTES)?
            .and_then(|bytes| bytes.first_chunk())
            .ok_or_else(truncated)?;
        let header = CommitHeader::decode(header).map_err(flawed(at))?;
        let head = self.bytes(at, header.head_bytes())?.ok_or_else(truncated)?;
        let frames = header.decode_frames(head).map_err(flawed(at))?;
        let commit = Commit { at, header, frames };
        if commit.end() > self.end {
            return Err(truncated());
        }
        Ok(commit)
    }

    /// Checks the body of a frame.
    pub(crate) fn check_body(&mut self, frame: &FrameHeader, at: u64) -> Result<(), Trouble> {
        self.stored_body(frame, at).map(|_| ())
    }

    /// The body of a frame as it stands, checked.
    pub(crate) fn stored_body(&mut self, frame: &FrameHeader, at: u64) -> Result<&[u8], Trouble> {
        let stored = self
            .bytes(at, frame.stored_bytes as usize)?
            .ok_or_else(|| flawed(at)(Flaw::Truncated("a frame's body")))?;
        if body_checksum(stored) != frame.checksum {
            return Err(flawed(at)(Flaw::Checksum("a frame's body")));
        }
        Ok(stored)
    }

    /// The body of a frame, checked and expanded.
    pub(crate) fn body(&mut self, frame: &FrameHeader, at: u64) -> Result<Vec<u8>, Trouble> {
        if !frame.compressed {
            return Ok(self.stored_body(frame, at)?.to_vec());
        }
        // Lent, as the body that is stored is a part of the reader, too.
        let mut decompressor = std::mem::take(&mut self.decompressor);
        let stored = self.stored_body(frame, at)?;
        let plain_bytes = frame.plain_bytes as usize;
        let plain = decompressor.expand(stored, plain_bytes);
        self.decompressor = decompressor;
        plain.ok_or_else(|| {
            flawed(at)(Flaw::Compression {
                plain_bytes: plain_bytes as u64,
            })
        })
    }

    /// Where the last byte that is not zero ends, at or after `from`; `from` if all are zero: then
    /// there is nothing but room that was made ahead. Read anew.
    pub(crate) fn written(&mut self, from: u64) -> Result<u64, Trouble> {
        let mut chunk = vec![0; READ_AHEAD_BYTES];
        let (mut at, mut written) = (from, from);
        while at < self.end {
            let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            let chunk = &mut chunk[..READ_AHEAD_BYTES.min(left)];
            let read = self.file.read_at(at, chunk).map_err(Trouble::Io)?;
            let last = chunk[..read].iter().rposition(|&byte| byte != 0);
            written = last.map_or(written, |last| at + last as u64 + 1);
            if read < chunk.len() {
                break;
            }
            at += read as u64;
        }
        Ok(written)
    }

    /// Lets the next bytes be read anew.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Where a commit with a number larger than `commit` begins, at or after `from`, if
    /// there is one. A process writes a commit only after the one before was made durable,
    /// so such a commit proves that what precedes it was acknowledged.
    pub(crate) fn commit_after(&mut self, from: u64, commit: u64) -> Result<Option<u64>, Trouble> {
        let mut at = from;
        while at + COMMIT_HEADER_BYTES as u64 <= self.end {
            let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            let Some(bytes) = self.bytes(at, left.min(READ_AHEAD_BYTES))? else {
                return Ok(None);
            };
            let length = bytes.len();
            let found = bytes
                .windows(COMMIT_MAGIC.len())
                .position(|window| window == COMMIT_MAGIC);
            let Some(found) = found else {
                at += (length - (COMMIT_MAGIC.len() - 1)) as u64;
                continue;
            };
            at += found as u64;
            match self.commit(at) {
                Ok(later) if later.header.commit > commit => return Ok(Some(at)),
                Ok(_) | Err(Trouble::Flaw { .. }) => at += 1,
                Err(trouble @ Trouble::Io(_)) => return Err(trouble),
            }
        }
        Ok(None)
    }
}

/// The path of the segment that begins with this record.
pub(crate) fn path(directory: &Path, first_sequence: u64) -> PathBuf {
    directory.join(file_name(first_sequence))
}
