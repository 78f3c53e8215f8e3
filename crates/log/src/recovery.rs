//! Opening a directory: going through its segments, telling a torn tail from damage.
//!
//! The rule: the only thing that may be left out is one commit at the very end that nobody
//! was told of. Behind the last commit there may be room, which is zero bytes alone. Everything
//! else that does not fit is an error with file and byte.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Flaw, LogError};
use crate::file_system::{File, FileSystem, OpenMode};
use crate::index::Index;
use crate::layout::{Mark, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mark::{self, MarkFile};
use crate::room::LARGEST_ROOM;
use crate::segment::{
    self, Commit, HEADERS_BYTES, READ_AHEAD_BYTES, SegmentReader, Trouble, first_sequence_of,
    io_error, is_temporary,
};
use crate::truncated::{self, Opened};

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segment files.
    pub segments: u64,
    /// Commits.
    pub commits: u64,
    /// Records: events, dead letters, redriven marks.
    pub records: u64,
    /// An append that was cut short before it was acknowledged, if there was one. Opening
    /// for writing has removed it, opening read-only leaves it out.
    pub torn_tail: Option<TornTail>,
    /// Records at the end that a read-only opening left out: they are whole, but that they
    /// were acknowledged is not certain. Opening for writing makes them durable and shows
    /// them.
    pub held_back: u64,
    /// Files of a creation that was cut short; opening for writing has removed them.
    pub leftovers: Vec<String>,
}

/// An append that was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the append begins.
    pub at: u64,
    /// How many bytes of it there are.
    pub bytes: u64,
    /// How it was noticed.
    pub flaw: Flaw,
}

/// The segment that appends go to.
#[derive(Debug)]
pub(crate) struct LastSegment {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) first_sequence: u64,
    /// Where its last commit ends.
    pub(crate) end: u64,
    /// Where the file ends: from `end` on there are zero bytes, or a torn tail.
    pub(crate) file_end: u64,
    /// Whether it was synced since it was opened. Before, its length may be one that a dead process
    /// gave it and never synced.
    pub(crate) is_synced: bool,
}

impl LastSegment {
    /// Cuts the file off behind its last commit, durably. Where it ends there already, it is synced
    /// unless it was before.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        let has_room = self.file_end > self.end;
        if has_room {
            self.file.truncate(self.end)?;
        }
        if has_room || !self.is_synced {
            self.file.sync_data()?;
        }
        self.file_end = self.end;
        self.is_synced = true;
        Ok(())
    }
}

/// What begins where no commit does.
enum Ending {
    /// Nothing: room alone.
    Room,
    /// So many bytes of an append that nobody was told of.
    Torn(u64),
    /// A commit, which was written since it was looked for.
    Written,
    /// What cannot be there.
    Damage,
}

/// Which bodies of the last segment are checked when it is opened. Every body is checked again
/// whenever it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// All of them.
    All,
    /// Those of commits of which the mark does not say that they were acknowledged. A flaw in the
    /// others is damage wherever it is found, so that where the log ends does not depend on it.
    Unmarked,
}

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    /// `None`: there is no segment yet.
    pub(crate) last: Option<LastSegment>,
    /// `None`: there is no mark yet, nor a segment.
    pub(crate) mark: Option<MarkFile>,
    pub(crate) report: RecoveryReport,
}

/// Reads what a directory holds: what is answered is durable. `mode` is that of the files
/// that appends go to; with [`OpenMode::Read`] nothing is changed.
pub(crate) fn recover(
    file_system: &dyn FileSystem,
    directory: &Path,
    mode: OpenMode,
    bodies: Bodies,
) -> Result<Recovered, LogError> {
    let list = || {
        file_system
            .list(directory)
            .map_err(io_error("list", directory))
    };
    // The mark is read before the segments are looked for: beside a process that appends,
    // the segments found then hold at least what it says.
    let (mark_file, mark) = if list()?.iter().any(|name| name == mark::FILE_NAME) {
        let (file, mark) = MarkFile::open(file_system, directory, mode)?;
        (Some(file), Some(mark))
    } else {
        (None, None)
    };
    let names = list()?;
    let segments: Vec<u64> = names.iter().filter_map(|n| first_sequence_of(n)).collect();
    let mut recovered = Recovered {
        index: Index::default(),
        last: None,
        mark: mark_file,
        report: RecoveryReport {
            leftovers: names.into_iter().filter(|n| is_temporary(n)).collect(),
            ..RecoveryReport::default()
        },
    };
    let Some(mark) = mark else {
        return match segments.is_empty() {
            true => Ok(recovered),
            false => Err(LogError::MissingMark {
                path: directory.join(mark::FILE_NAME),
            }),
        };
    };
    for (i, &first_sequence) in segments.iter().enumerate() {
        // Nothing is appended to a truncated one: in a copy it may be the last.
        let is_last = i + 1 == segments.len()
            && !truncated::is_truncated(file_system, directory, first_sequence)?;
        let walk = Walk {
            file_system,
            directory,
            mark,
            mode: if is_last { mode } else { OpenMode::Read },
            is_last,
            bodies,
        };
        let segment = walk.segment(first_sequence, &mut recovered)?;
        if is_last {
            recovered.last = Some(segment);
        }
    }
    let chain = recovered.index.chain;
    if chain.next_commit < mark.next_commit {
        if mark.next_sequence > 0 && segments.is_empty() {
            return Err(LogError::MissingSegment {
                directory: directory.to_owned(),
                first_sequence: 0,
            });
        }
        return Err(LogError::LostSuffix {
            directory: directory.to_owned(),
            marked: mark.next_commit,
            found: chain.next_commit,
        });
    }
    recovered.report.segments = segments.len() as u64;
    recovered.report.commits = chain.next_commit;
    recovered.report.records = chain.next_sequence;
    Ok(recovered)
}

/// Writes a commit where it stands, and syncs it. What was read may be in the machine's
/// memory alone: the process that wrote it was killed before its sync, or its sync failed,
/// and then a further sync would answer that all is well and write nothing.
fn rewrite(file: &dyn File, commit: &Commit) -> io::Result<()> {
    let length = usize::try_from(commit.end() - commit.at).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    if file.read_at(commit.at, &mut bytes)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.write_at(commit.at, &bytes)?;
    file.sync_data()
}

struct Walk<'a> {
    file_system: &'a dyn FileSystem,
    directory: &'a Path,
    mark: Mark,
    mode: OpenMode,
    is_last: bool,
    bodies: Bodies,
}

impl Walk<'_> {
    /// Goes through one segment.
    fn segment(
        &self,
        first_sequence: u64,
        recovered: &mut Recovered,
    ) -> Result<LastSegment, LogError> {
        let path = segment::path(self.directory, first_sequence);
        let Opened { file, is_truncated } = truncated::open(self.file_system, &path, self.mode)?;
        if is_truncated {
            recovered.index.truncated.insert(first_sequence);
        }
        let length = file.length().map_err(io_error("open", &path))?;
        // The bodies of other segments than the last are skipped.
        let ahead = match self.is_last && self.bodies == Bodies::All {
            true => READ_AHEAD_BYTES,
            false => HEADERS_BYTES,
        };
        let mut reader = SegmentReader::new(file.clone(), length, ahead);
        let header = reader.header(&path)?;
        self.check_header(&header, first_sequence, &recovered.index, &path)?;
        let mut at = SEGMENT_HEADER_BYTES as u64;
        while at < length {
            match self.commit(&mut reader, at, &recovered.index) {
                Ok(commit) => {
                    if self.is_uncertain(&mut reader, &commit, &path)? {
                        if self.mode != OpenMode::Read {
                            rewrite(file.as_ref(), &commit).map_err(io_error("rewrite", &path))?;
                        } else if !self.is_marked_by_now(&commit)? {
                            recovered.report.held_back = commit.records();
                            break;
                        }
                    }
                    recovered.index.add(first_sequence, &commit);
                    self.check_mark(&recovered.index, &commit, &path)?;
                    at = commit.end();
                }
                Err(trouble @ Trouble::Io(_)) => return Err(trouble.into_error(&path)),
                Err(Trouble::Flaw { at: place, flaw }) => {
                    match self.ending(&mut reader, at, length, &recovered.index, &path)? {
                        Ending::Written => continue,
                        Ending::Room => {}
                        Ending::Torn(bytes) => {
                            recovered.report.torn_tail = Some(TornTail {
                                path: path.clone(),
                                at,
                                bytes,
                                flaw,
                            });
                        }
                        Ending::Damage => {
                            return Err(Trouble::Flaw { at: place, flaw }.into_error(&path));
                        }
                    }
                    break;
                }
            }
        }
        Ok(LastSegment {
            file,
            path,
            first_sequence,
            end: at,
            file_end: length,
            is_synced: false,
        })
    }

    fn check_header(
        &self,
        header: &SegmentHeader,
        first_sequence: u64,
        index: &Index,
        path: &Path,
    ) -> Result<(), LogError> {
        let chain = index.chain;
        if first_sequence > chain.next_sequence {
            return Err(LogError::MissingSegment {
                directory: self.directory.to_owned(),
                first_sequence: chain.next_sequence,
            });
        }
        let pairs = [
            (
                "a segment's first record",
                first_sequence,
                header.first_sequence,
            ),
            (
                "a segment's first record",
                chain.next_sequence,
                header.first_sequence,
            ),
            (
                "a segment's first commit",
                chain.next_commit,
                header.first_commit,
            ),
            (
                "the checksum of the commit before",
                chain.checksum,
                header.previous_checksum,
            ),
            (
                "the time of the commit before",
                chain.logged_at.cast_unsigned(),
                header.previous_logged_at.cast_unsigned(),
            ),
        ];
        match pairs.into_iter().find(|(_, due, found)| due != found) {
            None => Ok(()),
            Some((field, expected, found)) => Err(LogError::Damaged {
                path: path.to_owned(),
                at: 0,
                source: Flaw::Discontinuity {
                    field,
                    expected,
                    found,
                },
            }),
        }
    }

    /// The commit at `at`, checked; its bodies too if no later read can tell a torn one.
    fn commit(
        &self,
        reader: &mut SegmentReader,
        at: u64,
        index: &Index,
    ) -> Result<Commit, Trouble> {
        let commit = reader.commit(at)?;
        index
            .check(&commit)
            .map_err(|flaw| Trouble::Flaw { at, flaw })?;
        let is_marked = commit.header.commit < self.mark.next_commit;
        if self.is_last && (self.bodies == Bodies::All || !is_marked) {
            for (frame, at, _) in commit.placed_frames() {
                reader.check_body(&frame, at)?;
            }
        }
        Ok(commit)
    }

    /// Whether a commit that is whole may be one that nobody was told of: the mark does not
    /// say that it was acknowledged, and no commit follows that would prove it.
    fn is_uncertain(
        &self,
        reader: &mut SegmentReader,
        commit: &Commit,
        path: &Path,
    ) -> Result<bool, LogError> {
        if !self.is_last || commit.header.commit < self.mark.next_commit {
            return Ok(false);
        }
        match reader.commit(commit.end()) {
            Ok(next) => Ok(next.header.previous_checksum != commit.header.checksum),
            Err(Trouble::Flaw { .. }) => Ok(true),
            Err(trouble @ Trouble::Io(_)) => Err(trouble.into_error(path)),
        }
    }

    /// Whether a commit was acknowledged since the mark was read: a process that writes goes on.
    fn is_marked_by_now(&self, commit: &Commit) -> Result<bool, LogError> {
        let (_, mark) = MarkFile::open(self.file_system, self.directory, OpenMode::Read)?;
        let next = commit.header.commit + 1;
        Ok(next < mark.next_commit
            || next == mark.next_commit && commit.header.checksum == mark.checksum)
    }

    /// What does not fit at `at`: room, an append that nobody was told of, or damage.
    fn ending(
        &self,
        reader: &mut SegmentReader,
        at: u64,
        length: u64,
        index: &Index,
        path: &Path,
    ) -> Result<Ending, LogError> {
        let commit = index.chain.next_commit;
        if !self.is_last || commit < self.mark.next_commit {
            return Ok(Ending::Damage);
        }
        let trouble = |trouble: Trouble| trouble.into_error(path);
        let written = reader.written(at).map_err(trouble)?;
        if written == at {
            // More zeros than anybody makes are what a disk lost.
            return Ok(match length - at {
                room if room <= LARGEST_ROOM => Ending::Room,
                lost => Ending::Torn(lost),
            });
        }
        let later = reader.commit_after(at + 1, commit).map_err(trouble)?;
        // A process that writes may have filled the room since it was read here. It wrote the commit
        // that is due before any later one, so now this one is there, or never was.
        reader.forget();
        match self.commit(reader, at, index) {
            Ok(_) => Ok(Ending::Written),
            Err(Trouble::Flaw { .. }) if later.is_none() => Ok(Ending::Torn(written - at)),
            Err(Trouble::Flaw { .. }) => Ok(Ending::Damage),
            Err(other) => Err(trouble(other)),
        }
    }

    /// The commit that the mark speaks of must be the one that was found.
    fn check_mark(&self, index: &Index, commit: &Commit, path: &Path) -> Result<(), LogError> {
        let chain = index.chain;
        if chain.next_commit != self.mark.next_commit || chain.checksum == self.mark.checksum {
            return Ok(());
        }
        Err(LogError::Damaged {
            path: path.to_owned(),
            at: commit.at,
            source: Flaw::Discontinuity {
                field: "the checksum of the last acknowledged commit",
                expected: self.mark.checksum,
                found: chain.checksum,
            },
        })
    }
}
