//! How far the lake was when it was last flushed, for who cannot wait for its tables.
//!
//! One file of the store, `covered.json`. Invariant: nothing depends on it but whether events may leave the
//! hot tier, and those are read again from the log, or, where that is truncated, from the lake. So a file
//! that is missing, behind or of another lake costs space in the hot tier, and no answer.

use std::io;

use evenkeel_lake::LakeAddress;
use evenkeel_log::OpenMode;
use evenkeel_types::{Cut, SourceId};
use serde::{Deserialize, Serialize};

use super::ColdTier;

const FILE: &str = "covered.json";
const ASIDE: &str = "covered.temporary";

#[derive(Default, Serialize, Deserialize)]
struct Covered {
    /// Where the tables are.
    lake: String,
    covered: Cut,
}

impl ColdTier {
    /// What the lake is known to have of what a log has.
    pub(crate) fn known_covered(&self, ends: &Cut) -> Cut {
        let known = self.known().covered;
        let mut covered = Cut::empty();
        for (source, partition, end) in known.iter() {
            // A log that was restored from a backup may end before.
            let end = end.min(ends.end(source, partition));
            covered.set_end(source, partition, end);
        }
        covered
    }

    /// Takes down what the table of a source covers. Of who holds the lake.
    pub(super) fn note_covered(&self, source: SourceId, covered: &Cut) {
        let mut known = self.known();
        for (id, partition, end) in covered.iter().filter(|(id, ..)| *id == source) {
            known.covered.set_end(id, partition, end);
        }
        // If it cannot be written, events stay in the hot tier for longer.
        let _ = self.write_known(&known);
    }

    fn known(&self) -> Covered {
        let read = || -> io::Result<Covered> {
            let opened = self.files.open(&self.store.join(FILE), OpenMode::Read)?;
            let mut bytes = vec![0; usize::try_from(opened.length()?).unwrap_or(usize::MAX)];
            let length = opened.read_at(0, &mut bytes)?;
            Ok(serde_json::from_slice(&bytes[..length])?)
        };
        let lake = self.place();
        let known = read().ok().filter(|known| known.lake == lake);
        known.unwrap_or(Covered {
            lake,
            covered: Cut::empty(),
        })
    }

    fn write_known(&self, known: &Covered) -> io::Result<()> {
        let aside = self.store.join(ASIDE);
        match self.files.remove(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.files.open(&aside, OpenMode::Create)?;
        file.write_at(0, serde_json::to_string(known)?.as_bytes())?;
        file.sync_data()?;
        self.files.rename(&aside, &self.store.join(FILE))
    }

    fn place(&self) -> String {
        match &self.address {
            LakeAddress::Directory(path) => path.display().to_string(),
            LakeAddress::Objects { url, .. } => url.to_string(),
        }
    }
}
