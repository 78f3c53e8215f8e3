//! The high-water mark: a small file beside the segments that says how far the log was
//! acknowledged, so that a lost suffix is noticed.
//!
//! A mark is written after the commit it speaks of was synced, so it never claims too much.
//! It is itself synced only when the log is opened, begins a segment, makes room, or is closed: after a
//! killed process it is exact, after a power cut it may be as old as the operating system's
//! write-back. What lies between is covered by the commits' chain of checksums but for the
//! last commit (`docs/format/log.md` says what is detected when).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Flaw, LogError};
use crate::file_system::{File, FileSystem, OpenMode};
use crate::layout::{FORMAT_VERSION, MARK_BYTES, MARK_FILE_BYTES, MARK_OFFSETS, Mark, version};
use crate::segment::{Trouble, create, io_error, is_full};

/// The file's name.
pub(crate) const FILE_NAME: &str = "mark";

/// The marks' file, open for writing.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn File>,
    path: PathBuf,
    turn: u64,
    /// Whether a program of an older version could read one of the marks.
    is_older: bool,
}

impl MarkFile {
    /// Creates the file with a mark that nothing was acknowledged.
    pub(crate) fn create(file_system: &dyn FileSystem, directory: &Path) -> Result<Self, LogError> {
        let mark = Mark {
            turn: 0,
            next_commit: 0,
            checksum: 0,
            next_sequence: 0,
        };
        let mut bytes = vec![0; MARK_FILE_BYTES];
        for at in MARK_OFFSETS {
            bytes[at..at + MARK_BYTES].copy_from_slice(&mark.encode());
        }
        let file = create(file_system, directory, FILE_NAME, &bytes)?;
        Ok(MarkFile {
            file,
            path: directory.join(FILE_NAME),
            turn: 0,
            is_older: false,
        })
    }

    /// Opens the file and reads the newer of its two marks.
    pub(crate) fn open(
        file_system: &dyn FileSystem,
        directory: &Path,
        mode: OpenMode,
    ) -> Result<(Self, Mark), LogError> {
        let path = directory.join(FILE_NAME);
        let file = file_system
            .open(&path, mode)
            .map_err(io_error("open", &path))?;
        let mut bytes = [0; MARK_FILE_BYTES];
        let read = file
            .read_at(0, &mut bytes)
            .map_err(io_error("read", &path))?;
        let damaged = |at: usize, flaw| {
            Trouble::Flaw {
                at: at as u64,
                flaw,
            }
            .into_error(&path)
        };
        if read < MARK_FILE_BYTES {
            return Err(damaged(read, Flaw::Truncated("the marks")));
        }
        let mut newest: Result<Mark, LogError> = Err(damaged(0, Flaw::Checksum("both marks")));
        let mut is_older = false;
        for at in MARK_OFFSETS {
            let Some(place) = bytes[at..].first_chunk() else {
                continue;
            };
            is_older |= version(place).is_some_and(|found| found < FORMAT_VERSION);
            match Mark::decode(place) {
                Ok(mark) => {
                    if newest.as_ref().map_or(true, |n| n.turn < mark.turn) {
                        newest = Ok(mark);
                    }
                }
                // One torn mark is what a power cut leaves; two are damage.
                Err(_) => {
                    if let Some(found) = version(place).filter(|&found| found > FORMAT_VERSION)
                        && newest.is_err()
                    {
                        newest = Err(LogError::UnsupportedVersion {
                            path: path.clone(),
                            found,
                            supported: FORMAT_VERSION,
                        });
                    }
                }
            }
        }
        let mark = newest?;
        Ok((
            MarkFile {
                file,
                path: path.clone(),
                turn: mark.turn,
                is_older,
            },
            mark,
        ))
    }

    /// Writes a mark over the older of the two; `turn` is filled in. Not synced.
    pub(crate) fn write(&mut self, mark: Mark) -> Result<(), LogError> {
        let turn = self.turn + 1;
        let at = MARK_OFFSETS[usize::from(turn % 2 == 1)];
        let bytes = Mark { turn, ..mark }.encode();
        self.file
            .write_at(at as u64, &bytes)
            .map_err(|source| match is_full(&source) {
                true => self.full(source),
                false => io_error("write", &self.path)(source),
            })?;
        self.turn = turn;
        Ok(())
    }

    /// Writes and syncs a mark when a log is opened. What an older program could still read of the
    /// two is written over first: it would take what comes after for a torn tail.
    pub(crate) fn renew(&mut self, mark: Mark) -> Result<(), LogError> {
        if self.is_older {
            self.write(mark)?;
            self.sync()?;
            self.is_older = false;
        }
        self.write(mark)?;
        self.sync()
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.file
            .sync_data()
            .map_err(|source| match is_full(&source) {
                true => self.full(source),
                false => LogError::NotDurable {
                    operation: "sync",
                    path: self.path.clone(),
                    source,
                },
            })
    }

    fn full(&self, source: io::Error) -> LogError {
        LogError::StorageFull {
            path: self.path.clone(),
            source,
        }
    }
}
