//! What those who logged events call them.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::Sequence;
use crate::body::decode_correlations;
use crate::error::{Flaw, LogError};
use crate::frames::{Frame, Frames};
use crate::index::StreamKey;
use crate::reader::LogReader;

impl LogReader {
    /// What some records are called by whoever logged them; those without a name are not there.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn correlations(
        &self,
        records: &BTreeSet<Sequence>,
    ) -> Result<BTreeMap<Sequence, String>, LogError> {
        let mut found = BTreeMap::new();
        let Some((first, last)) = records.first().zip(records.last()) else {
            return Ok(found);
        };
        for key in self.keys_of_correlations() {
            let mut frames = Frames::new(self.clone(), key, *first);
            while let Some(frame) = frames.next()? {
                if frame.commit_sequence > last.0 {
                    break;
                }
                let before = Sequence(frame.commit_sequence)..Sequence(frame.sequence);
                if records.range(before).next().is_none() {
                    continue;
                }
                take(&frames, &frame, &mut |record, name| {
                    if records.contains(&record) {
                        found.insert(record, name);
                    }
                })?;
            }
        }
        Ok(found)
    }

    /// How many records have a name. Every one is looked at.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Damaged`].
    pub fn correlation_count(&self) -> Result<u64, LogError> {
        let mut count = 0;
        for key in self.keys_of_correlations() {
            let mut frames = Frames::new(self.clone(), key, Sequence(0));
            while let Some(frame) = frames.next()? {
                take(&frames, &frame, &mut |_, _| count += 1)?;
            }
        }
        Ok(count)
    }

    fn keys_of_correlations(&self) -> Vec<StreamKey> {
        self.index().with_correlations().collect()
    }
}

/// Takes the names of a frame. What was forgotten has none.
fn take(
    frames: &Frames,
    frame: &Frame,
    name: &mut dyn FnMut(Sequence, String),
) -> Result<(), LogError> {
    let correlations = decode_correlations(&frame.body, frame.count);
    let before = frame.sequence - frame.commit_sequence;
    for correlation in correlations.map_err(|flaw| frames.damaged(frame.at, flaw))? {
        if correlation.event >= before {
            let (field, value) = ("a correlation id's event", correlation.event);
            return Err(frames.damaged(frame.at, Flaw::Field { field, value }));
        }
        if !correlation.id.is_empty() {
            let record = Sequence(frame.commit_sequence + correlation.event);
            name(record, correlation.id);
        }
    }
    Ok(())
}
