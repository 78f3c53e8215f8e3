//! Events of a source at many positions, in the order of the log: what stands close together is read in
//! one pass, so that a frame of many events is decoded once; what stands far apart one by one.

use evenkeel_log::{Events, LogReader, ReadOptions};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, LoggedEvent, Offset, Position};

use crate::error::EngineError;
use crate::ingest::nothing_at;

/// Events between two that are wanted, at most.
pub(super) const GAP_MAX: u64 = 1_024;

/// Positions, which are in order, by runs of such as stand close together.
pub(super) fn runs(positions: impl IntoIterator<Item = Position>) -> Vec<Vec<Position>> {
    let mut runs: Vec<Vec<Position>> = Vec::new();
    for position in positions {
        let is_near = |run: &&mut Vec<Position>| {
            run.last().is_some_and(|last| {
                let gap = position.offset.0.saturating_sub(last.offset.0);
                last.partition == position.partition && gap <= GAP_MAX
            })
        };
        match runs.last_mut().filter(is_near) {
            Some(run) => run.push(position),
            None => runs.push(vec![position]),
        }
    }
    runs
}

/// The events of a run, one after the other.
pub(super) struct Run<'a> {
    source: &'a SourceDef,
    events: Events,
    left: std::vec::IntoIter<Position>,
}

impl<'a> Run<'a> {
    pub(super) fn read(log: &LogReader, source: &'a SourceDef, positions: Vec<Position>) -> Self {
        let (mut after, mut until) = (Cut::empty(), Cut::empty());
        if let (Some(first), Some(last)) = (positions.first(), positions.last()) {
            after.set_end(source.id, first.partition, first.offset);
            until.set_end(source.id, last.partition, Offset(last.offset.0 + 1));
        }
        let events = log.read(ReadOptions {
            sources: Some(vec![source.id]),
            after,
            until: Some(until),
            ..ReadOptions::default()
        });
        Run {
            source,
            events,
            left: positions.into_iter(),
        }
    }

    /// The next one, with the columns that its source has now; none behind the last.
    ///
    /// # Errors
    /// If the log cannot be read, or does not have it.
    pub(super) fn next(&mut self) -> Result<Option<LoggedEvent>, EngineError> {
        let Some(position) = self.left.next() else {
            return Ok(None);
        };
        let mut logged = LoggedEvent::blank();
        loop {
            let found = self.events.next_into(&mut logged);
            if !found.map_err(EngineError::log)? || logged.position > position {
                return Err(nothing_at(self.source, position));
            }
            if logged.position == position {
                break;
            }
        }
        self.source
            .schema
            .upgrade(&mut logged)
            .map_err(|reason| EngineError::schema(self.source, reason))?;
        Ok(Some(logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_a_gap_and_at_a_partition() {
        let at = |partition, offset| Position::new(partition, offset);
        let positions = vec![at(0, 1), at(0, 2), at(0, 2 + GAP_MAX + 1), at(1, 3_000)];
        let found = runs(positions.clone());
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
        assert_eq!(found.concat(), positions);
        assert!(runs(Vec::new()).is_empty());
    }
}
