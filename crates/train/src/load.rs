//! From the log to the events of each source that some views read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{EventSource, Next, ReadOptions, events_at};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, LoggedEvent, SourceId};
use evenkeel_view::Uses;

use crate::error::TrainError;
use crate::evaluate::Evaluator;
use crate::events::SourceEvents;

/// Sources with the source row slots that are wanted of each.
type SourceSlots = BTreeMap<SourceId, (Arc<SourceDef>, BTreeSet<usize>)>;

/// After so many events progress is told.
const PROGRESS_EVENTS: u64 = 8192;

impl Evaluator {
    /// Reads the events of a cut that `uses` needs, in one pass over them. `progress` is
    /// told how many events were read, and may stop it.
    pub fn load(
        log: &dyn EventSource,
        uses: &Uses,
        cut: &Cut,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Self, TrainError> {
        let sources = Evaluator::load_sources(log, uses.sources(), cut, progress)?;
        Ok(Evaluator::new(sources))
    }

    /// The events of a cut of these sources, of each the slots that are wanted.
    pub(crate) fn load_sources(
        log: &dyn EventSource,
        wanted: SourceSlots,
        cut: &Cut,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<BTreeMap<SourceId, SourceEvents>, TrainError> {
        let mut sources = empty_sources(wanted);
        for (source, _, end) in cut.iter() {
            if let Some(events) = sources.get_mut(&source) {
                events.expect_more(end.0);
            }
        }
        let wanted: Vec<SourceId> = sources.keys().copied().collect();
        let options = ReadOptions {
            sources: Some(wanted),
            until: Some(cut.clone()),
            parts: sources.iter().map(|(id, e)| (*id, e.parts())).collect(),
            ..ReadOptions::default()
        };
        let mut read: u64 = 0;
        let mut events = log.events(options).map_err(TrainError::log)?;
        let mut logged = LoggedEvent::blank();
        let mut told: u64 = 0;
        loop {
            match events.next_columns(&mut logged).map_err(TrainError::log)? {
                Next::End => break,
                Next::Event => {
                    if let Some(events) = sources.get_mut(&logged.source) {
                        upgrade(events, &mut logged)?;
                        events.push(&logged);
                    }
                    read += 1;
                }
                Next::Columns(several) => {
                    read += several.len() as u64;
                    match sources.get_mut(&several.source) {
                        Some(events) if events.is_of_newest(&several) => events.extend(several),
                        Some(events) => {
                            for number in 0..several.len() {
                                several.event_into(number, &mut logged);
                                upgrade(events, &mut logged)?;
                                events.push(&logged);
                            }
                        }
                        None => {}
                    }
                }
            }
            if read >= told + PROGRESS_EVENTS {
                told = read;
                if progress(read).is_break() {
                    return Err(TrainError::Stopped);
                }
            }
        }
        for (&source, events) in &mut sources {
            events.complete();
            let positions = events.contested();
            let mut found = events_at(log, source, &positions).map_err(TrainError::log)?;
            let mut contested = Vec::new();
            for position in positions {
                if let Some(mut logged) = found.remove(&position) {
                    upgrade(events, &mut logged)?;
                    contested.push(logged);
                }
            }
            events.settle(&contested);
        }
        if progress(read).is_break() {
            return Err(TrainError::Stopped);
        }
        Ok(sources)
    }

    /// The same from events of the newest schema at hand, in log order; those beyond the cut are left out.
    pub fn from_events<'a>(
        logged: impl IntoIterator<Item = &'a LoggedEvent>,
        uses: &Uses,
        cut: &Cut,
    ) -> Self {
        let mut sources = empty_sources(uses.sources());
        let mut by_position = BTreeMap::new();
        for logged in logged {
            if !cut.contains(logged.source, logged.position) {
                continue;
            }
            if let Some(events) = sources.get_mut(&logged.source) {
                events.push(logged);
                by_position.insert((logged.source, logged.position), logged);
            }
        }
        for (&source, events) in &mut sources {
            events.complete();
            let contested: Vec<LoggedEvent> = events
                .contested()
                .into_iter()
                .filter_map(|position| by_position.get(&(source, position)).copied().cloned())
                .collect();
            events.settle(&contested);
        }
        Evaluator::new(sources)
    }
}

/// The event as one of its source's newest schema.
fn upgrade(events: &SourceEvents, logged: &mut LoggedEvent) -> Result<(), TrainError> {
    let def = events.def();
    def.schema
        .upgrade(logged)
        .map_err(|reason| TrainError::Event {
            source_name: def.name.clone(),
            reason,
        })
}

fn empty_sources(wanted: SourceSlots) -> BTreeMap<SourceId, SourceEvents> {
    wanted
        .into_iter()
        .map(|(id, (def, slots))| (id, SourceEvents::new(def, slots)))
        .collect()
}
