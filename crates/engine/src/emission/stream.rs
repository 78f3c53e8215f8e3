//! A derived stream on its way, and the order of several.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{Events, LogReader, ReadOptions};
use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef, Watched};
use evenkeel_types::{Cut, Offset, Position, SourceId};
use evenkeel_view::{SourceProgram, Uses};

use super::PARTITION;
use super::ahead::Of;
use super::place::{Place, record_of};
use crate::error::EngineError;
use crate::ingest::{fetch, nothing_at};

/// See the module.
pub(super) struct Stream {
    pub(super) def: Arc<SourceDef>,
    pub(super) derived: Arc<DerivedDef>,
    /// Both, as they are evaluated.
    pub(super) of: Arc<Of>,
    /// What makes it emit again, besides its trigger.
    pub(super) watched: Vec<Watched>,
    /// Whether it is to emit; else what it emitted is only read.
    pub(super) emits: bool,
    /// The first record for which it has not emitted everything.
    pub(super) next: Place,
    /// The offset of its first emission for a record of the piece, or later.
    pub(super) emitted: u64,
}

impl Stream {
    /// A stream where it goes on; `reached` is a record before which it has emitted everything.
    pub(super) fn find(
        log: &LogReader,
        (def, derived): (Arc<SourceDef>, Arc<DerivedDef>),
        emits: bool,
        reached: u64,
    ) -> Result<Self, EngineError> {
        let end = log.end(def.id, PARTITION).0;
        let last = match end.checked_sub(1).filter(|_| emits) {
            None => Place::default(),
            Some(last) => {
                let position = Position::new(PARTITION.0, last);
                let emission = fetch(log, &def, position)?;
                Place::behind(&emission.event).ok_or_else(|| nothing_at(&def, position))?
            }
        };
        let watched = match derived.revises {
            true => watched(&def, &derived)?,
            false => Vec::new(),
        };
        let of = Of {
            program: SourceProgram::new(Arc::clone(&def)),
            derived: Arc::clone(&derived),
        };
        Ok(Stream {
            of: Arc::new(of),
            def,
            derived,
            watched,
            emits,
            next: last.max(Place::at(reached)),
            emitted: end,
        })
    }

    /// Finds its first emission for a record or a later one: they are in the order of records.
    pub(super) fn count_from(&mut self, log: &LogReader, record: u64) -> Result<(), EngineError> {
        if self.emits && self.next <= Place::at(record) {
            return Ok(());
        }
        let (mut first, mut end) = (0, self.emitted);
        while first < end {
            let middle = first + (end - first) / 2;
            match record_at(log, &self.def, middle)? < record {
                true => first = middle + 1,
                false => end = middle,
            }
        }
        self.emitted = first;
        Ok(())
    }

    /// The sources that it reads.
    pub(super) fn reads(&self) -> BTreeSet<SourceId> {
        read_by(&self.derived)
    }

    /// The sources whose events make it emit.
    pub(super) fn causes(&self) -> BTreeSet<SourceId> {
        self.derived.causes()
    }
}

/// The offset behind the last emission of a stream for a record or an earlier one. It is looked for
/// from the last one back: who asks mostly asks for what was logged just now.
pub(crate) fn emitted_until(
    log: &LogReader,
    def: &SourceDef,
    record: u64,
) -> Result<u64, EngineError> {
    let mut end = log.end(def.id, PARTITION).0;
    let mut step = 1;
    let mut first = 0;
    while end > 0 {
        let at = end.saturating_sub(step);
        if record_at(log, def, at)? <= record {
            first = at + 1;
            break;
        }
        (end, step) = (at, step * 2);
    }
    while first < end {
        let middle = first + (end - first) / 2;
        match record_at(log, def, middle)? <= record {
            true => first = middle + 1,
            false => end = middle,
        }
    }
    Ok(first)
}

/// What a stream emitted from an offset on.
pub(crate) fn emissions_from(log: &LogReader, def: &SourceDef, offset: u64) -> Events {
    let mut after = Cut::empty();
    after.set_end(def.id, PARTITION, Offset(offset));
    log.read(ReadOptions {
        sources: Some(vec![def.id]),
        after,
        ..ReadOptions::default()
    })
}

/// The record before which a stream has emitted everything, by what it emitted last.
pub(crate) fn emitted_before(log: &LogReader, def: &SourceDef) -> Result<u64, EngineError> {
    let Some(last) = log.end(def.id, PARTITION).0.checked_sub(1) else {
        return Ok(0);
    };
    let position = Position::new(PARTITION.0, last);
    let emission = fetch(log, def, position)?;
    let place = Place::behind(&emission.event).ok_or_else(|| nothing_at(def, position))?;
    Ok(place.record)
}

fn record_at(log: &LogReader, def: &SourceDef, offset: u64) -> Result<u64, EngineError> {
    let position = Position::new(PARTITION.0, offset);
    let logged = fetch(log, def, position)?;
    record_of(&logged.event).ok_or_else(|| nothing_at(def, position))
}

/// What makes a stream emit again. What cannot be watched was refused when it was applied.
fn watched(def: &SourceDef, derived: &DerivedDef) -> Result<Vec<Watched>, EngineError> {
    derived
        .watched()
        .map_err(|lookup| EngineError::Incompatible {
            object: "derived stream",
            name: def.name.clone(),
            reason: format!(
                "which emissions a late event changes cannot be found through `{}` any more",
                lookup.alias
            ),
        })
}

/// The derived streams, also those that have ended, each after those that it reads.
pub(crate) fn in_order(catalog: &Catalog) -> Vec<Arc<SourceDef>> {
    let mut left: Vec<&Arc<SourceDef>> = catalog.derived().collect();
    let mut ordered: Vec<Arc<SourceDef>> = Vec::new();
    while !left.is_empty() {
        let names: BTreeSet<SourceId> = left.iter().map(|def| def.id).collect();
        let (ready, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(|def| {
            let read = def.derived.as_ref().map(|derived| read_by(derived));
            read.is_none_or(|read| read.is_disjoint(&names))
        });
        if ready.is_empty() {
            // A project refuses circles.
            break;
        }
        ordered.extend(ready.into_iter().cloned());
        left = waiting;
    }
    ordered
}

/// The sources that a derived stream reads, its trigger included.
pub(crate) fn read_by(derived: &DerivedDef) -> BTreeSet<SourceId> {
    let uses = Uses::of([derived.view.as_ref()]);
    let read = uses.sources().into_keys();
    read.chain([derived.trigger().source.id]).collect()
}

/// Some derived streams, and those that they read.
pub(crate) fn with_read(
    ordered: &[Arc<SourceDef>],
    streams: &BTreeSet<SourceId>,
) -> BTreeSet<SourceId> {
    let mut all = streams.clone();
    // Whoever reads is behind whom it reads.
    for def in ordered.iter().rev().filter(|def| def.derived.is_some()) {
        if all.contains(&def.id)
            && let Some(derived) = &def.derived
        {
            all.extend(read_by(derived));
        }
    }
    let is_stream = |id: &SourceId| ordered.iter().any(|def| def.id == *id);
    all.into_iter().filter(is_stream).collect()
}

/// How far streams are: the first record of each for which it has not emitted everything.
pub(super) type Reached = BTreeMap<SourceId, u64>;
