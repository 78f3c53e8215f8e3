//! What of a derived stream with a timer is due, by what came (`docs/decisions/0042-timers.md`).
//!
//! Time goes as events come: no clock has a part in it. Invariant: up to when rows are due at a cut is a
//! function of the events that hold in it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef};
use evenkeel_types::{Cut, EventTime, Knowledge, Offset, Position, SourceId};
use evenkeel_view::{Reader, Store};

use super::piece::{Root, Rooted};
use super::places::Times;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::offline::Online;

/// Goes from record to record of a piece, and says of each what is due there.
pub(super) struct Timers<'a> {
    catalog: &'a Catalog,
    derived: &'a DerivedDef,
    /// The greatest time of each source by which it goes, at the last record.
    greatest: BTreeMap<SourceId, Option<EventTime>>,
    due_until: Option<EventTime>,
    is_begun: bool,
}

impl<'a> Timers<'a> {
    /// Those of a stream; none if it has no timer.
    pub(super) fn of(catalog: &'a Catalog, derived: &'a DerivedDef) -> Option<Self> {
        derived.timer.as_ref().map(|_| Timers {
            catalog,
            derived,
            greatest: BTreeMap::new(),
            due_until: None,
            is_begun: false,
        })
    }

    /// Up to when rows are due at a record, at which a cut is known, and the times of the trigger's events whose
    /// rows were not due before it.
    ///
    /// # Errors
    /// If what holds there cannot be read.
    pub(super) fn pass(
        &mut self,
        online: &impl Online,
        root: &Root,
        cut: &Cut,
    ) -> Result<(Option<EventTime>, Option<Times>), EngineError> {
        // Of a backfill nothing comes.
        let came = match &root.what {
            Rooted::Event(event) => Some(event),
            Rooted::Backfill(_) => None,
        };
        if !self.is_begun {
            let mut before = cut.clone();
            if let Some(event) = came {
                let Position { partition, offset } = event.position;
                before.set_end(event.source, partition, Offset(offset.0));
            }
            for clock in self.catalog.clocks(self.derived) {
                let greatest = online.read_with(|engine| greatest_at(engine, clock, &before))?;
                self.greatest.insert(clock, greatest);
            }
            self.due_until = self.due();
            self.is_begun = true;
        }
        let before = self.due_until;
        if let Some(event) = came
            && let Some(greatest) = self.greatest.get_mut(&event.source)
        {
            *greatest = online.read_with(|engine| greatest_at(engine, event.source, cut))?;
            self.due_until = self.due();
        }
        let from = |time: EventTime| self.derived.event_of(time).0;
        let times = self.due_until.map(|until| {
            let first = before.map_or(i64::MIN, from);
            first..from(until)
        });
        Ok((self.due_until, times.filter(|times| !times.is_empty())))
    }

    fn due(&self) -> Option<EventTime> {
        let known = &mut |def: &SourceDef| {
            Ok::<_, Infallible>(self.greatest.get(&def.id).copied().flatten())
        };
        let Ok(due) = self.catalog.due_until(self.derived, known);
        due
    }
}

/// Up to when rows of a stream are due, given the greatest times of sources.
///
/// # Errors
/// Those of `greatest`.
pub(crate) fn due_until(
    catalog: &Catalog,
    derived: &DerivedDef,
    mut greatest: impl FnMut(SourceId) -> Result<Option<EventTime>, EngineError>,
) -> Result<Option<EventTime>, EngineError> {
    match derived.timer {
        None => Ok(None),
        Some(_) => catalog.due_until(derived, &mut |def| greatest(def.id)),
    }
}

/// The greatest event time of a source among what holds at a cut.
///
/// # Errors
/// If that cannot be read.
pub(crate) fn greatest_at(
    engine: &Engine,
    source: SourceId,
    cut: &Cut,
) -> Result<Option<EventTime>, EngineError> {
    let hot = HotRead::of(engine.hot());
    let Some(index) = hot.plan().index(source, &[]) else {
        return Ok(None);
    };
    let knowledge = Knowledge::latest(cut.clone());
    let reader = Reader::new(&hot, &knowledge);
    let greatest = hot.checked(reader.greatest_time(index, &[]))?;
    Ok(greatest.map(EventTime))
}
