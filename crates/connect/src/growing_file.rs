//! A text file that grows while it is read: what it is called for ever, and its rows from a
//! place on.
//!
//! Invariant: whatever the pieces in which the bytes arrive, the rows, their numbers and
//! their lines are those of the file as a whole. A record that the end of the file cuts is
//! no row until its line end is there, or until the file is said to be finished.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use crate::batch::{BatchBuilder, RowBatch};
use crate::error::{ConnectError, FileAction};
use crate::file_set::SourceFile;
use crate::input::Input;
use crate::options::{ColumnSpec, FileOptions};
use crate::text_file::{
    CsvReader, CsvRecord, CsvRows, JsonRows, Line, LineReader, TextBatches, TextRows,
};

/// What the id of a growing file is a digest of, besides its beginning.
const ID_CONTEXT: &str = "evenkeel growing file 1: header and first record";
/// Bytes before a place that tell whether a file is still the one that was read.
const TAIL_BYTES: u64 = 4_096;
/// Bytes of two files that are compared, at the end of what both have.
const COMPARED_BYTES: u64 = 65_536;
const BUFFER_BYTES: usize = 1 << 16;

/// Where a record of a text file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the file before it; 0: the first record, whatever stands before it.
    pub bytes: u64,
    /// Its row, from 0.
    pub row: u64,
    /// Its line, from 1.
    pub line: u64,
}

impl Place {
    /// The file's first record.
    pub const START: Place = Place {
        bytes: 0,
        row: 0,
        line: 1,
    };
}

/// An open text file of which more may come. It is read by its handle: to rename or remove
/// the file does not matter.
#[derive(Debug)]
pub struct GrowingFile {
    source: SourceFile,
    handle: File,
    id: [u8; 16],
}

/// The rows of a growing file from a place on, as batches of at most
/// [`batch_rows`](field@FileOptions::batch_rows) rows.
pub struct GrowingRows(Rows);

enum Rows {
    Csv(Box<TextBatches<CsvRows>>),
    JsonLines(Box<TextBatches<JsonRows>>),
}

impl GrowingFile {
    /// Opens a text file that is not packed; `None` as long as its first record is not whole.
    /// Of a `finished` file the last record needs no line end.
    ///
    /// # Errors
    /// If the file cannot be read, or does not begin like one of its format.
    pub fn open(
        file: &SourceFile,
        options: &FileOptions,
        finished: bool,
    ) -> Result<Option<GrowingFile>, ConnectError> {
        let path = file.path();
        let handle = File::open(path).map_err(ConnectError::io(FileAction::Open, path))?;
        let mut growing = GrowingFile {
            source: file.clone(),
            handle,
            id: [0; 16],
        };
        let Some(end) = growing.head_end(options, finished)? else {
            return Ok(None);
        };
        let mut hasher = blake3::Hasher::new_derive_key(ID_CONTEXT);
        growing.bytes_of(0, end, &mut |bytes| {
            hasher.update(bytes);
        })?;
        growing
            .id
            .copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok(Some(growing))
    }

    /// Where the first record ends, without its line end.
    fn head_end(&self, options: &FileOptions, finished: bool) -> Result<Option<u64>, ConnectError> {
        let input = self.input(0, !finished)?;
        if self.source.format().is_json_lines() {
            let mut lines = LineReader::over(&self.source, input)?;
            return Ok(match lines.next_line()? {
                Line::End => None,
                Line::TooLong(_) => Some(lines.next_place().bytes),
                Line::Whole { length, .. } => {
                    let line = lines.bytes(length);
                    let length = line.strip_suffix(b"\r").unwrap_or(line).len();
                    Some(lines.next_place().bytes + length as u64)
                }
            });
        }
        let mut records = match CsvReader::over(&self.source, input, options) {
            Ok(records) => records,
            Err(ConnectError::NoHeader { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(match records.next_record()? {
            CsvRecord::End => None,
            CsvRecord::TooLong(_) => Some(records.next_place().bytes),
            CsvRecord::Whole { length, .. } => Some(records.next_place().bytes + length as u64),
        })
    }

    /// What the file is called as long as it begins as it does: 128 bits of the BLAKE3 digest
    /// of its header and first record. Its part of [`evenkeel_types::Origin::File`], as the
    /// digest of a whole file is; the two are never the same.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Its path when it was opened.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Its length in bytes, now.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn bytes(&self) -> Result<u64, ConnectError> {
        let metadata = self.handle.metadata();
        Ok(metadata
            .map_err(ConnectError::io(FileAction::Open, self.path()))?
            .len())
    }

    /// The rows from a place on, which an earlier reader of this file was at.
    ///
    /// # Errors
    /// If the file cannot be read, or a declared column is not in it.
    pub fn read(
        &self,
        columns: &[ColumnSpec],
        options: &FileOptions,
        from: Place,
        finished: bool,
    ) -> Result<GrowingRows, ConnectError> {
        let specs: Arc<[ColumnSpec]> = Arc::from(columns);
        let builder = BatchBuilder::new(Arc::clone(&specs));
        let first = self.input(0, !finished)?;
        let rows = if self.source.format().is_json_lines() {
            let mut lines = LineReader::over(&self.source, first)?;
            if from != Place::START {
                lines.go_on(self.input(from.bytes, !finished)?, from);
            }
            let rows = JsonRows::growing(lines, &specs, options);
            Rows::JsonLines(Box::new(TextBatches::new(
                rows,
                builder,
                options.batch_rows(),
            )))
        } else {
            let mut records = CsvReader::over(&self.source, first, options)?;
            if from != Place::START {
                records.go_on(self.input(from.bytes, !finished)?, from);
            }
            let rows = CsvRows::over(records, &self.source, &specs, options)?;
            Rows::Csv(Box::new(TextBatches::new(
                rows,
                builder,
                options.batch_rows(),
            )))
        };
        Ok(GrowingRows(rows))
    }

    /// A digest of the bytes just before a place: what was read is still there if it is the
    /// same; `None` if the file does not reach that far.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn tail(&self, at: u64) -> Result<Option<[u8; 32]>, ConnectError> {
        let mut hasher = blake3::Hasher::new();
        let from = at.saturating_sub(TAIL_BYTES);
        let read = self.bytes_of(from, at, &mut |bytes| {
            hasher.update(bytes);
        })?;
        Ok((read == at - from).then(|| hasher.finalize().into()))
    }

    /// Whether this and another file of the same id may be one: the end of what both have is
    /// the same.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn goes_on_like(&self, other: &GrowingFile) -> Result<bool, ConnectError> {
        let common = self.bytes()?.min(other.bytes()?);
        let from = common.saturating_sub(COMPARED_BYTES);
        let part = |file: &GrowingFile| {
            let mut part: Vec<u8> = Vec::new();
            file.bytes_of(from, common, &mut |bytes| {
                part.extend(bytes);
            })?;
            Ok::<_, ConnectError>(part)
        };
        Ok(part(self)? == part(other)?)
    }

    /// The rows of the longest beginning of the file, whole lines or all of it, that is the
    /// whole of a file whose digest ([`SourceFile::digest`]) is known; else 0.
    ///
    /// # Errors
    /// If the file cannot be read, or a declared column is not in it.
    pub fn rows_known(
        &self,
        columns: &[ColumnSpec],
        options: &FileOptions,
        known: &dyn Fn(&[u8; 16]) -> bool,
    ) -> Result<u64, ConnectError> {
        let Some(bytes) = self.known_beginning(known)? else {
            return Ok(0);
        };
        let one_by_one = FileOptions {
            batch_rows: 1,
            ..options.clone()
        };
        let mut rows = self.read(columns, &one_by_one, Place::START, true)?;
        while rows.place().bytes < bytes && rows.next_batch()?.is_some() {}
        Ok(rows.place().row)
    }

    fn known_beginning(
        &self,
        known: &dyn Fn(&[u8; 16]) -> bool,
    ) -> Result<Option<u64>, ConnectError> {
        let mut hasher = blake3::Hasher::new();
        let mut done = 0u64;
        let mut found = None;
        let is_known = |hasher: &blake3::Hasher| {
            let mut digest = [0; 16];
            digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            known(&digest)
        };
        self.bytes_of(0, u64::MAX, &mut |mut bytes| {
            while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
                // A file may have ended without its last line's end.
                for part in [&bytes[..end], &bytes[end..=end]] {
                    hasher.update(part);
                    done += part.len() as u64;
                    if is_known(&hasher) {
                        found = Some(done);
                    }
                }
                bytes = &bytes[end + 1..];
            }
            hasher.update(bytes);
            done += bytes.len() as u64;
        })?;
        if is_known(&hasher) {
            found = Some(done);
        }
        Ok(found)
    }

    fn input(&self, at: u64, grows: bool) -> Result<Input, ConnectError> {
        self.handle
            .try_clone()
            .map(|handle| Input::growing(handle, at, grows))
            .map_err(ConnectError::io(FileAction::Read, self.path()))
    }

    /// Hands the bytes of a range on, piece by piece; how many there were.
    fn bytes_of(
        &self,
        from: u64,
        to: u64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, ConnectError> {
        let mut handle = &self.handle;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut read = 0;
        let result = handle.seek(SeekFrom::Start(from)).and_then(|_| {
            let mut part = handle.take(to - from);
            loop {
                match part.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => {
                        read += count as u64;
                        each(&buffer[..count]);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        });
        result.map_err(ConnectError::io(FileAction::Read, self.path()))?;
        Ok(read)
    }
}

impl GrowingRows {
    /// The next rows; `None` if no more are whole.
    ///
    /// # Errors
    /// If the file cannot be read; rows before were delivered.
    pub fn next_batch(&mut self) -> Result<Option<RowBatch>, ConnectError> {
        match &mut self.0 {
            Rows::Csv(batches) => batches.next_batch(),
            Rows::JsonLines(batches) => batches.next_batch(),
        }
    }

    /// Behind the last row delivered.
    pub fn place(&self) -> Place {
        match &self.0 {
            Rows::Csv(batches) => batches.rows().place(),
            Rows::JsonLines(batches) => batches.rows().place(),
        }
    }
}
