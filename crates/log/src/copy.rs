//! A copy of a log, taken while others read and one appends.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel_types::Cut;

use crate::error::LogError;
use crate::file_system::OpenMode;
use crate::layout::Mark;
use crate::mark::MarkFile;
use crate::reader::LogReader;
use crate::segment::{create, file_name, io_error};
use crate::truncated;

/// How much is copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Everything that was logged when the copy began.
    pub cut: Cut,
    /// Records: events, dead letters, redriven marks.
    pub records: u64,
    /// Bytes of segments.
    pub bytes: u64,
}

impl LogReader {
    /// Copies the log as it is now into a directory, which must not have a log: durable when
    /// this returns. `progress` is called with the bytes copied and the bytes to copy.
    ///
    /// # Errors
    /// [`LogError::Io`] and its kin.
    pub fn copy_to(
        &self,
        directory: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Copied, LogError> {
        let (segments, chain, cut) = {
            let index = self.index();
            let mut segments: BTreeMap<u64, u64> = BTreeMap::new();
            for block in &index.blocks {
                let end = segments.entry(block.segment).or_default();
                *end = block.end.max(*end);
            }
            (segments, index.chain, index.ends())
        };
        let file_system = self.file_system();
        file_system
            .create_directory(directory)
            .map_err(io_error("create", directory))?;
        // What was truncated meanwhile is shorter.
        let total = segments.values().sum();
        let mut done = 0;
        let mut buffer = vec![0; CHUNK_BYTES];
        for (first, end) in segments {
            let name = file_name(first);
            let from = self.directory().join(&name);
            // Of a truncated one the file itself, as long as it is.
            let opened = truncated::open(file_system, &from, OpenMode::Read)?;
            let (source, end) = match opened.is_truncated {
                false => (opened.file, end),
                true => {
                    let file = file_system
                        .open(&from, OpenMode::Read)
                        .map_err(io_error("open", &from))?;
                    let length = file.length().map_err(io_error("open", &from))?;
                    (file, length)
                }
            };
            let to = directory.join(&name);
            let copy = create(file_system, directory, &name, &[])?;
            let mut at = 0;
            while at < end {
                let want = buffer
                    .len()
                    .min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let read = source
                    .read_at(at, &mut buffer[..want])
                    .map_err(io_error("read", &from))?;
                if read == 0 {
                    let cut_short = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(io_error("read", &from)(cut_short));
                }
                copy.write_at(at, &buffer[..read])
                    .map_err(io_error("write", &to))?;
                at += read as u64;
                done += read as u64;
                progress(done, total);
            }
            copy.sync_data().map_err(io_error("sync", &to))?;
        }
        let mut mark = MarkFile::create(file_system, directory)?;
        mark.write(Mark {
            turn: 0,
            next_commit: chain.next_commit,
            checksum: chain.checksum,
            next_sequence: chain.next_sequence,
        })?;
        mark.sync()?;
        Ok(Copied {
            cut,
            records: chain.next_sequence,
            bytes: done,
        })
    }
}
