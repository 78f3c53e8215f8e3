//! A piece of the log: the records that emissions are made for next, with what was known at each.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_log::{EventParts, LogReader, ReadOptions, Sequence};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, LoggedEvent, Offset, Position, SourceId};

use super::{PARTITION, record_of};
use crate::error::EngineError;

/// Records that bring something.
const ROOTS_MAX: usize = 1_024;
/// Records that are read.
const RECORDS_MAX: usize = 16_384;

/// See the module.
pub(super) struct Piece {
    pub(super) roots: Vec<Root>,
    /// The first record behind it.
    pub(super) end: u64,
    /// Everything that others logged up to its end.
    pub(super) cut: Cut,
    /// The number of the stream that is next.
    pub(super) next: usize,
    emitted: BTreeMap<SourceId, Vec<Emitted>>,
}

/// An event that others logged.
pub(super) struct Root {
    pub(super) record: u64,
    pub(super) event: LoggedEvent,
    /// Everything that others logged up to it.
    pub(super) cut: Cut,
}

/// An emission for a record of the piece.
pub(super) struct Emitted {
    record: u64,
    pub(super) event: LoggedEvent,
}

impl Piece {
    /// The events of some sources from a record on; none if nothing was logged since. `base` is
    /// what others logged before it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn take(
        log: &LogReader,
        catalog: &Catalog,
        wanted: &BTreeSet<SourceId>,
        from: u64,
        (base, applied): (&Cut, Cut),
    ) -> Result<Option<Self>, EngineError> {
        let derived: BTreeSet<SourceId> = catalog.derived().map(|def| def.id).collect();
        let unread = catalog.sources.values().map(|def| def.id);
        let unread = unread.filter(|id| derived.contains(id) || !wanted.contains(id));
        let whole = log.next_sequence().0;
        let mut events = log.read(ReadOptions {
            from: Sequence(from),
            parts: unread.map(|id| (id, EventParts::default())).collect(),
            ..ReadOptions::default()
        });
        let mut piece = Piece {
            roots: Vec::new(),
            end: from,
            cut: base.clone(),
            next: 0,
            emitted: BTreeMap::new(),
        };
        let mut logged = LoggedEvent::blank();
        let mut records = 0;
        while piece.roots.len() < ROOTS_MAX && records < RECORDS_MAX {
            if !events.next_into(&mut logged).map_err(EngineError::log)? {
                // Dead letters are records, too.
                piece.end = piece.end.max(whole);
                break;
            }
            let Position { partition, offset } = logged.position;
            // Nothing behind what is not applied is looked at: it would be passed over for ever.
            if applied.end(logged.source, partition) <= offset {
                break;
            }
            records += 1;
            let record = events.sequence().0;
            piece.end = record + 1;
            if derived.contains(&logged.source) {
                continue;
            }
            piece
                .cut
                .set_end(logged.source, partition, Offset(offset.0 + 1));
            if let Some(def) = catalog.source_by_id(logged.source)
                && wanted.contains(&def.id)
            {
                let mut event = logged.clone();
                def.schema
                    .upgrade(&mut event)
                    .map_err(|reason| EngineError::schema(def, reason))?;
                piece.roots.push(Root {
                    record,
                    event,
                    cut: piece.cut.clone(),
                });
            }
        }
        Ok((piece.end > from).then_some(piece))
    }

    /// Takes what a stream emitted for its records, from an offset on.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn take_emitted(
        &mut self,
        log: &LogReader,
        def: &SourceDef,
        from: u64,
    ) -> Result<(), EngineError> {
        let mut emitted = Vec::new();
        if log.end(def.id, PARTITION).0 > from {
            let mut after = Cut::empty();
            after.set_end(def.id, PARTITION, Offset(from));
            let events = log.read(ReadOptions {
                sources: Some(vec![def.id]),
                after,
                ..ReadOptions::default()
            });
            for logged in events {
                let mut event = logged.map_err(EngineError::log)?;
                let record = record_of(&event.event).unwrap_or(u64::MAX);
                if record >= self.end {
                    break;
                }
                def.schema
                    .upgrade(&mut event)
                    .map_err(|reason| EngineError::schema(def, reason))?;
                emitted.push(Emitted { record, event });
            }
        }
        self.emitted.insert(def.id, emitted);
        Ok(())
    }

    /// What a stream emitted.
    pub(super) fn emitted_of(&self, stream: SourceId) -> &[Emitted] {
        self.emitted.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// What a stream emitted for a record.
    pub(super) fn emitted_for(&self, stream: SourceId, record: u64) -> &[Emitted] {
        let all = self.emitted_of(stream);
        let first = all.partition_point(|e| e.record < record);
        let end = all.partition_point(|e| e.record <= record);
        &all[first..end]
    }

    /// How much a stream emitted for its records up to one.
    pub(super) fn emitted_until(&self, stream: SourceId, record: u64) -> u64 {
        let all = self.emitted_of(stream);
        all.partition_point(|e| e.record <= record) as u64
    }
}
