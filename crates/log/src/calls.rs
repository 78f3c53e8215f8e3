//! What those who logged events call them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::batch::Sequence;
use crate::body::decode_calls;
use crate::error::{Flaw, LogError};
use crate::frames::Frames;
use crate::index::StreamKey;
use crate::reader::LogReader;

impl LogReader {
    /// What the events among some records are called by whoever logged them, by their records.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn calls(
        &self,
        records: RangeInclusive<Sequence>,
    ) -> Result<BTreeMap<Sequence, String>, LogError> {
        let keys: Vec<StreamKey> = self.index().with_calls().collect();
        let mut found = BTreeMap::new();
        for key in keys {
            let mut frames = Frames::new(self.clone(), key, *records.start());
            while let Some(frame) = frames.next()? {
                if frame.commit_sequence > records.end().0 {
                    break;
                }
                let calls = decode_calls(&frame.body, frame.count)
                    .map_err(|flaw| frames.damaged(frame.at, flaw))?;
                let before = frame.sequence - frame.commit_sequence;
                for call in calls {
                    if call.event >= before {
                        let field = "a call's event";
                        let value = call.event;
                        return Err(frames.damaged(frame.at, Flaw::Field { field, value }));
                    }
                    let record = Sequence(frame.commit_sequence + call.event);
                    // What was forgotten has no name.
                    if records.contains(&record) && !call.correlation_id.is_empty() {
                        found.insert(record, call.correlation_id);
                    }
                }
            }
        }
        Ok(found)
    }
}
