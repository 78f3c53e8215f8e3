//! The bytes of a text file, unpacked, in a buffer of bounded size.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{ConnectError, FileAction};
use crate::file_set::SourceFile;
use crate::format::Compression;

/// Bytes of one record of a text file: a CSV row, a JSON line.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// How much is read at a time, at least.
const READ_BYTES: usize = 1 << 16;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A window over unpacked bytes that grows as asked and forgets what was consumed.
pub(crate) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// More may come behind the end of the file: what is cut there waits.
    grows: bool,
    is_dry: bool,
    /// Unpacked bytes of the file before [`Input::data`].
    consumed: u64,
    packed: Arc<AtomicU64>,
}

/// Counts the packed bytes below a decompressor.
struct Counting {
    file: File,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads from its own place, whoever else reads by the same handle.
struct Placed {
    file: File,
    at: Arc<AtomicU64>,
}

impl Read for Placed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        self.file.seek(SeekFrom::Start(at))?;
        let read = self.file.read(buffer)?;
        self.at.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    pub(crate) fn open(file: &SourceFile) -> Result<Input, ConnectError> {
        let path = file.path();
        let packed = Arc::new(AtomicU64::new(0));
        let counting = Counting {
            file: File::open(path).map_err(ConnectError::io(FileAction::Open, path))?,
            count: Arc::clone(&packed),
        };
        let reader: Box<dyn Read + Send> = match file.compression() {
            Compression::None => Box::new(counting),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(counting)),
            Compression::Zstd => Box::new(
                zstd::stream::read::Decoder::new(counting)
                    .map_err(ConnectError::io(FileAction::Open, path))?,
            ),
        };
        Ok(Input::over(reader, 0, false, packed))
    }

    /// The bytes of an open file that is not packed, from a place on; whether more may come
    /// behind its end.
    pub(crate) fn growing(file: File, at: u64, grows: bool) -> Input {
        let packed = Arc::new(AtomicU64::new(at));
        let placed = Placed {
            file,
            at: Arc::clone(&packed),
        };
        Input::over(Box::new(placed), at, grows, packed)
    }

    fn over(
        reader: Box<dyn Read + Send>,
        consumed: u64,
        grows: bool,
        packed: Arc<AtomicU64>,
    ) -> Input {
        Input {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            grows,
            is_dry: false,
            consumed,
            packed,
        }
    }

    /// Unpacked bytes that were read and not consumed.
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether [`Input::data`] is all that is left.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Whether [`Input::data`] is all that is there, and more may come.
    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Unpacked bytes of the file that were consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes of the file that were read so far.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// Forgets the first bytes of the data.
    pub(crate) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.consumed += bytes as u64;
    }

    /// Reads more, about as much as there is already: so that a record is looked at a
    /// logarithmic number of times.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        if self.at_end || self.is_dry {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = self.end * 2 + READ_BYTES;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let goal = self.end + READ_BYTES.max(self.end);
        while self.end < goal {
            match self.reader.read(&mut self.buffer[self.end..goal]) {
                Ok(0) => {
                    self.at_end = !self.grows;
                    self.is_dry = self.grows;
                    break;
                }
                Ok(read) => self.end += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What was read before the damage counts: it is reported when it is reached.
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Skips a byte order mark at the start of the file.
    pub(crate) fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        self.fill()?;
        if self.data().starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }
}
