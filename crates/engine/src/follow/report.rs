//! How far a follower is.

use std::path::PathBuf;

use evenkeel_types::EventTime;

use super::watched::What;
use super::{Follower, Unread};
use crate::api::IngestReport;

/// How far a follower is, and what it did since it began.
#[derive(Clone, Debug)]
pub struct FollowReport {
    /// What became of the rows. Files are growing ones that were read from, and whole ones.
    pub ingest: IngestReport,
    /// Bytes that were seen and not read: more to read, or a last line without its end.
    pub bytes_behind: u64,
    /// Now less the greatest event time of the rows read, in microseconds.
    pub lag_micros: Option<i64>,
    /// Files that are not read on.
    pub set_aside: Vec<SetAside>,
}

/// A file that is not read on until it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The file.
    pub path: PathBuf,
    /// Why, in words.
    pub reason: String,
}

impl Follower {
    /// How far it is, as of its last look.
    pub fn report(&self, now: EventTime) -> FollowReport {
        let read = self.files.values().filter(|f| f.place.bytes > 0).count() as u64;
        let growing = self.files.values().filter(|f| f.file.is_some());
        let behind = growing.map(|f| f.bytes.saturating_sub(f.place.bytes));
        let waiting = self.paths.values().filter_map(|seen| match seen.what {
            What::Waiting => Some(seen.stamp.bytes),
            _ => None,
        });
        let whole = self.unread.iter().map(|unread| match unread {
            Unread::Whole(file, _) => file.bytes(),
            Unread::Growing(..) => 0,
        });
        let set_aside = self.paths.iter().filter_map(|(path, seen)| {
            let What::Aside(reason) = &seen.what else {
                return None;
            };
            Some(SetAside {
                path: path.clone(),
                reason: reason.clone(),
            })
        });
        FollowReport {
            ingest: IngestReport {
                files: read + self.whole_files,
                ..self.report.clone()
            },
            bytes_behind: behind.chain(waiting).chain(whole).sum(),
            lag_micros: (self.report.greatest_time).map(|time| now.0.saturating_sub(time.0)),
            set_aside: set_aside.collect(),
        }
    }
}
