//! The bytes of a text file, unpacked, in a buffer of bounded size.

use std::fs::File;
use std::io::{self, Read};
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
        Ok(Input {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            packed,
        })
    }

    /// Unpacked bytes that were read and not consumed.
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether [`Input::data`] is all that is left.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Bytes of the file that were read so far.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// Forgets the first bytes of the data.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Reads more, about as much as there is already: so that a record is looked at a
    /// logarithmic number of times.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        if self.at_end {
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
                    self.at_end = true;
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
