//! What a follower knows of a path and of a file.

use std::path::{Path, PathBuf};

use evenkeel_connect::{ConnectError, GrowingFile, Place, Stamp};

use super::SETTLED_MICROS;

/// What was found under a path.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    /// When it was first seen like this.
    pub(super) since: i64,
    pub(super) what: What,
}

/// What a path is.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Not to be told, or not complete yet.
    Waiting,
    /// The growing file of this id.
    Growing([u8; 16]),
    /// A file that is read as a whole, once.
    Whole,
    /// Something is wrong with it.
    Aside(String),
}

impl Seen {
    /// Whether to look into the file although it did not change.
    pub(super) fn is_due(&self, now: i64, finished: bool) -> bool {
        match self.what {
            What::Waiting => finished || now.saturating_sub(self.since) >= SETTLED_MICROS,
            What::Growing(_) => finished,
            What::Whole | What::Aside(_) => false,
        }
    }
}

/// What is known of a growing file.
pub(super) struct Followed {
    /// Where it was found last.
    pub(super) path: PathBuf,
    /// Open, if it was touched lately.
    pub(super) file: Option<GrowingFile>,
    /// Its length when it was looked at last.
    pub(super) bytes: u64,
    /// Rows before this one were in the log when following began.
    pub(super) from: u64,
    /// Behind what was read.
    pub(super) place: Place,
    /// Of the bytes before the place.
    tail: Option<[u8; 32]>,
    /// When it was seen to change last.
    pub(super) changed_at: i64,
}

impl Followed {
    pub(super) fn new(path: &Path, from: u64) -> Self {
        Followed {
            path: path.to_owned(),
            file: None,
            bytes: 0,
            from,
            place: Place::START,
            tail: None,
            changed_at: i64::MIN,
        }
    }

    /// Takes down what the file is before the place.
    pub(super) fn remember_tail(&mut self) -> Result<(), ConnectError> {
        if let Some(file) = &self.file {
            self.tail = file.tail(self.place.bytes)?;
        }
        Ok(())
    }

    /// Why a file of this id cannot be what was read, if so.
    pub(super) fn contradiction(&self, file: &GrowingFile) -> Result<Option<String>, ConnectError> {
        let Some(tail) = self.tail else {
            return Ok(None);
        };
        Ok(match file.tail(self.place.bytes)? {
            None => Some(format!(
                "`{}` was cut off: {} bytes of it were read, it has {}",
                file.path().display(),
                self.place.bytes,
                file.bytes()?
            )),
            Some(now) if now != tail => Some(format!(
                "`{}` was written anew: the bytes before byte {} are not those that were read",
                file.path().display(),
                self.place.bytes
            )),
            Some(_) => None,
        })
    }
}
