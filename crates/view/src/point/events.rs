//! What is asked of the events of a key themselves: where they are, and when the latest was.

use std::ops::Range;

use evenkeel_types::{Position, Value};

use super::{ReadError, Reader};
use crate::plan::IndexId;

impl Reader<'_> {
    /// The places of about so many of the last events of a key in an index that hold, of some times; and
    /// the time before which there may be more.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn last_places(
        &self,
        index: IndexId,
        key: &[Value],
        times: Range<i64>,
        most: usize,
    ) -> Result<(Vec<Position>, Option<i64>), ReadError> {
        let sight = self.sight(index);
        let history = self.history(index, key);
        let (mut places, mut last, mut rest) = (Vec::new(), None, None);
        if let Some(history) = &history {
            for entry in history.descending(times.end, true, &sight) {
                let time = entry.time();
                if time < times.start {
                    break;
                }
                // Those of one time are together.
                if places.len() >= most && last != Some(time) {
                    rest = last;
                    break;
                }
                places.push(entry.position());
                last = Some(time);
            }
        }
        self.trouble()?;
        Ok((places, rest))
    }

    /// The greatest time of the events of a key in an index that hold; none if there are none.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn greatest_time(&self, index: IndexId, key: &[Value]) -> Result<Option<i64>, ReadError> {
        let sight = self.sight(index);
        let history = self.history(index, key);
        let greatest = history.as_ref().and_then(|history| {
            let mut entries = history.descending(i64::MAX, false, &sight);
            entries.next().map(|entry| entry.time())
        });
        self.trouble()?;
        Ok(greatest)
    }
}
