//! Room that is made ahead: zero bytes behind the last commit of the segment that is appended to.
//!
//! A sync of bytes that a file had no place for is one of the file system's journal, too; of bytes
//! that take the place of others it is not. So small commits that end where the file does bring zero
//! bytes along, for those that follow. Owns how many. Invariant: nothing depends on them: they
//! are never of a commit, never in a copy, and gone from a segment that another one follows.

use crate::error::LogError;
use crate::file_system::OpenMode;
use crate::reader::LogReader;
use crate::segment::{self, io_error};

/// No more is made at once: it is written when a commit is.
const ROOM_BYTES_MAX: u64 = 256 << 10;
/// Of longer commits the bytes themselves take longer than what room saves.
const COMMIT_BYTES_MAX: u64 = 16 << 10;

/// Zero bytes behind the last commit that may be there: room, in which a commit with room of its own was
/// to stand.
pub(crate) const LARGEST_ROOM: u64 = ROOM_BYTES_MAX + COMMIT_BYTES_MAX;

/// How much room a process makes: as much as it has appended, so that a store of which little is made
/// stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    appended: u64,
}

impl Room {
    /// How many bytes to make behind a commit of this length, which ends where no room is.
    pub(crate) fn behind(self, length: u64, end: u64, segment_bytes: u64) -> u64 {
        match length <= COMMIT_BYTES_MAX {
            true => self
                .appended
                .min(ROOM_BYTES_MAX)
                .min(segment_bytes.saturating_sub(end)),
            false => 0,
        }
    }

    /// Takes note of a commit.
    pub(crate) fn appended(&mut self, length: u64) {
        self.appended = self.appended.saturating_add(length);
    }
}

impl LogReader {
    /// How many bytes of the log's files are room, which holds nothing.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn room_bytes(&self) -> Result<u64, LogError> {
        let last = {
            let index = self.index();
            let last = index.blocks.last();
            let last = last.filter(|block| !index.truncated.contains(&block.segment));
            last.map(|block| (block.segment, block.end))
        };
        let Some((segment, end)) = last else {
            return Ok(0);
        };
        let path = segment::path(self.directory(), segment);
        let file = self.file_system().open(&path, OpenMode::Read);
        let length = file.and_then(|file| file.length());
        Ok(length.map_err(io_error("open", &path))?.saturating_sub(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_with_what_is_appended_up_to_a_bound() {
        let mut room = Room::default();
        assert_eq!(
            room.behind(400, 456, u64::MAX),
            0,
            "of the first there is none"
        );
        room.appended(400);
        assert_eq!(room.behind(300, 756, u64::MAX), 400);
        assert_eq!(
            room.behind(300, 756, 1_000),
            244,
            "a segment is not longer for it"
        );
        assert_eq!(room.behind(300, 2_000, 1_000), 0);
        assert_eq!(room.behind(COMMIT_BYTES_MAX + 1, 456, u64::MAX), 0);
        room.appended(u64::MAX);
        assert_eq!(room.behind(COMMIT_BYTES_MAX, 456, u64::MAX), ROOM_BYTES_MAX);
    }
}
