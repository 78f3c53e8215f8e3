//! What is to be made again, as it was logged.

use evenkeel_types::SourceId;

use crate::batch::{LoggedBackfill, Sequence};
use crate::body::decode_backfills;
use crate::error::LogError;
use crate::frames::Frames;
use crate::index::StreamKey;
use crate::reader::LogReader;

impl LogReader {
    /// The backfills of a source from a record on, in the order of the log.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn backfills(
        &self,
        source: SourceId,
        from: Sequence,
    ) -> Result<Vec<LoggedBackfill>, LogError> {
        let mut found = Vec::new();
        let mut frames = Frames::new(self.clone(), StreamKey::backfills(source), from);
        while let Some(frame) = frames.next()? {
            let backfills = decode_backfills(&frame.body, frame.count)
                .map_err(|flaw| frames.damaged(frame.at, flaw))?;
            let numbered = (frame.sequence..).map(Sequence).zip(backfills);
            let logged = numbered.map(|(sequence, backfill)| LoggedBackfill {
                source,
                sequence,
                backfill,
            });
            found.extend(logged.filter(|logged| logged.sequence >= from));
        }
        Ok(found)
    }
}
