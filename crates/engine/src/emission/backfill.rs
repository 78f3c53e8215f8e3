//! A backfill: the rows of a period are to be what is known at the record that asks for it.
//!
//! The trigger's events are read in the order of their places, some at a time; what each brings depends
//! on the cut alone, so they are evaluated side by side, and then settled one after the other. Invariant:
//! what is emitted does not depend on how many are evaluated at a time, nor where it was interrupted.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use evenkeel_log::{Backfill, Events, ReadOptions};
use evenkeel_store::{ColdNeeds, StoreError};
use evenkeel_types::definition::{DerivedDef, SourceDef};
use evenkeel_types::{Cut, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, Value};

use super::brought::{Brought, Known, again};
use super::row::Rows;
use super::runs::GAP_MAX;
use super::said::Said;
use super::settled::{Latest, Named, newest_of};
use super::stream::{Stream, emissions_from};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function::FunctionCalls;
use crate::ingest::nothing_at;
use crate::ledger::IdentityKey;
use crate::offline::Online;
use crate::source_state::Newest;

/// So many triggers are evaluated under one hold of the engine.
const AT_ONCE: usize = 256;
/// Fewer are not worth a thread.
const OF_A_THREAD_MIN: usize = 32;
/// So many places of the trigger's log are read at a time, and in one turn, whatever is in the period.
const PLACES_AT_ONCE: u64 = 1 << 16;
const PLACES_OF_A_TURN: u64 = 1 << 20;

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfilling {
    /// The stream.
    pub stream: SourceId,
    /// The record that asks for it.
    pub record: u64,
    /// So many of the trigger's events are behind it.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

impl Backfilling {
    /// Of a stream that is within a backfill.
    pub(super) fn at(stream: &Stream, cut: &Cut) -> Self {
        let trigger = stream.derived.trigger().source.id;
        let ends = cut.iter().filter(|(source, ..)| *source == trigger);
        let (mut done, mut total) = (0, 0);
        for (_, partition, end) in ends {
            total += end.0;
            done += match stream.next.within.after {
                Some(after) if partition < after.partition => end.0,
                Some(after) if partition == after.partition => after.offset.0 + 1,
                _ => 0,
            };
        }
        Backfilling {
            stream: stream.def.id,
            record: stream.next.record,
            done,
            total,
        }
    }
}

impl Rows<'_> {
    /// Emits what is known now of the triggers of a period, behind one of their places; behind which it
    /// stopped, if there is more.
    pub(super) fn backfill(
        &mut self,
        online: &impl Online,
        record: u64,
        period: Backfill,
        known: Known<'_>,
        after: Option<Position>,
    ) -> Result<Option<Position>, EngineError> {
        let trigger = self.trigger().id;
        let ends = known.cut.iter().filter(|(source, ..)| *source == trigger);
        let mut read = 0;
        for (_, partition, end) in ends {
            let mut first = match after {
                Some(after) if partition < after.partition => continue,
                Some(after) if partition == after.partition => after.offset.0 + 1,
                _ => 0,
            };
            while first < end.0 {
                let until = end.0.min(first.saturating_add(PLACES_AT_ONCE));
                let places = (partition, first..until);
                let stopped = self.backfill_places(online, record, (period, known), places)?;
                if stopped.is_some() {
                    return Ok(stopped);
                }
                read += until - first;
                if read >= PLACES_OF_A_TURN {
                    return Ok(Some(Position::new(partition.0, until - 1)));
                }
                first = until;
            }
        }
        Ok(None)
    }

    /// The same of some places of a partition.
    fn backfill_places(
        &mut self,
        online: &impl Online,
        record: u64,
        (period, known): (Backfill, Known<'_>),
        (partition, places): (Partition, Range<u64>),
    ) -> Result<Option<Position>, EngineError> {
        let trigger = self.trigger();
        let (mut from, mut until) = (Cut::empty(), Cut::empty());
        from.set_end(trigger.id, partition, Offset(places.start));
        until.set_end(trigger.id, partition, Offset(places.end));
        let last = EventTime(period.until.0.saturating_sub(1));
        let mut events = self.log.read(ReadOptions {
            sources: Some(vec![trigger.id]),
            after: from,
            until: Some(until),
            event_times: Some(self.derived.event_of(period.from)..=self.derived.event_of(last)),
            ..ReadOptions::default()
        });
        let mut behind = None;
        loop {
            let mut found = Vec::new();
            for logged in events.by_ref().take(AT_ONCE.min(self.evaluated_max)) {
                let mut logged = logged.map_err(EngineError::log)?;
                trigger
                    .schema
                    .upgrade(&mut logged)
                    .map_err(|reason| EngineError::schema(trigger, reason))?;
                found.push(logged);
            }
            let Some(last) = found.last().map(|last| last.position) else {
                return Ok(None);
            };
            match (self.backfill_some(online, record, &found, known), behind) {
                (Ok(()), _) => behind = Some(last),
                // What functions give is waited for behind what is done.
                (Err(EngineError::Calls(_)), Some(behind)) => return Ok(Some(behind)),
                (Err(error), _) => return Err(error),
            }
            if self.is_full() {
                return Ok(Some(last));
            }
        }
    }

    fn backfill_some(
        &mut self,
        online: &impl Online,
        record: u64,
        triggers: &[LoggedEvent],
        known: Known<'_>,
    ) -> Result<(), EngineError> {
        let of = (&**self.def, self.derived);
        let mut brought = online.read_with(|engine| side_by_side(engine, of, triggers, known))?;
        self.evaluated += triggers.len();
        let read = self.take_latest(online, &brought)?;
        self.complete_all(online, record, &mut brought)?;
        for Brought { id, time, row, .. } in brought {
            let named = Named::of(self.program, &id, time);
            let latest = self.latest_of(online, &named)?;
            self.settle_completed(record, named, row, latest);
        }
        // What stays as it is is not needed any more.
        for (key, newest) in read {
            let is_other = matches!(self.latest.get(&key), Some(Said::Here(_)));
            if !is_other {
                self.latest.remove(&key);
                self.earlier.remove(&(self.def.id, newest.position));
            }
        }
        Ok(())
    }

    /// Reads what was emitted last of some triggers, in the order of the log: most stands side by side.
    /// Answers what was read.
    fn take_latest(
        &mut self,
        online: &impl Online,
        brought: &[Brought],
    ) -> Result<Vec<(IdentityKey, Newest)>, EngineError> {
        let def = self.def;
        let keys = brought
            .iter()
            .map(|Brought { id, time, .. }| Named::of(self.program, id, *time).key);
        let keys: Vec<IdentityKey> = keys.collect();
        let newest = |engine: &Engine| -> Result<Vec<Option<Newest>>, StoreError> {
            let newest = keys.iter().map(|key| newest_of(engine, def.id, key));
            newest.collect()
        };
        let newest = online.with(newest)?;
        let found = newest.into_iter().zip(keys);
        let found = found.filter_map(|(newest, key)| Some((newest?, key)));
        let mut found: Vec<(Newest, IdentityKey)> = found.collect();
        found.sort_by_key(|(newest, _)| newest.position);
        let mut read = Vec::with_capacity(found.len());
        for (newest, key) in found {
            // What this commit says of it is newer.
            if self.latest.get(&key).is_some() {
                continue;
            }
            let row = match self.is_needed(&newest) {
                true => self.emitted_at(newest.position)?,
                false => Vec::new(),
            };
            let latest = Latest {
                revision: newest.revision,
                row,
                is_withdrawn: newest.removed,
            };
            self.latest.insert(key.clone(), Said::Before(latest));
            read.push((key, newest));
        }
        Ok(read)
    }

    fn emitted_at(&mut self, position: Position) -> Result<Vec<Value>, EngineError> {
        let offset = position.offset.0;
        let is_near = |(next, _): &(u64, Events)| (*next..=*next + GAP_MAX).contains(&offset);
        let mut events = match self.emitted.take().filter(is_near) {
            Some((_, events)) => events,
            None => emissions_from(self.log, self.def, offset),
        };
        let mut event = LoggedEvent::blank();
        loop {
            let found = events.next_into(&mut event).map_err(EngineError::log)?;
            if !found || event.position > position {
                return Err(nothing_at(self.def, position));
            }
            if event.position == position {
                break;
            }
        }
        self.emitted = Some((offset + 1, events));
        let schema = &self.def.schema;
        schema
            .upgrade(&mut event)
            .map_err(|reason| EngineError::schema(self.def, reason))?;
        let row = event.event.row.clone();
        self.earlier.insert((event.source, position), event);
        Ok(row)
    }
}

/// What those of some triggers bring by what is known at a cut that hold there, in their order.
fn side_by_side(
    engine: &Engine,
    of: (&SourceDef, &DerivedDef),
    triggers: &[LoggedEvent],
    known: Known<'_>,
) -> Result<Vec<Brought>, EngineError> {
    let evaluated = |triggers: &[LoggedEvent]| -> Result<Evaluated, EngineError> {
        let mut all = Evaluated::default();
        for trigger in triggers {
            match held(engine, of, trigger, known) {
                Ok(brought) => all.brought.extend(brought),
                Err(EngineError::Calls(calls)) => all.call(calls),
                // What all of them need is brought back at once.
                Err(EngineError::Cold(needs)) => all.need(needs),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    };
    // What a function says is known to the thread that asks it.
    let threads = match engine.catalog().functions.is_empty() {
        true => thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    let threads = threads.min(triggers.len() / OF_A_THREAD_MIN);
    if threads < 2 {
        return evaluated(triggers)?.all();
    }
    let found = thread::scope(|scope| {
        let pieces = triggers.chunks(triggers.len().div_ceil(threads));
        let begun: Vec<_> = pieces
            .map(|piece| scope.spawn(|| evaluated(piece)))
            .collect();
        let ended = begun.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|piece| piece.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<Vec<_>, EngineError>>()
    })?;
    let mut all = Evaluated::default();
    for piece in found {
        all.brought.extend(piece.brought);
        piece.needs.into_iter().for_each(|needs| all.need(needs));
        piece.calls.into_iter().for_each(|calls| all.call(calls));
    }
    all.all()
}

/// What triggers bring, and what has to be brought back to know the rest.
#[derive(Default)]
struct Evaluated {
    brought: Vec<Brought>,
    needs: Option<Box<ColdNeeds>>,
    calls: Option<Box<FunctionCalls>>,
}

impl Evaluated {
    fn need(&mut self, more: Box<ColdNeeds>) {
        match &mut self.needs {
            Some(needs) => needs.join(*more),
            None => self.needs = Some(more),
        }
    }

    fn call(&mut self, more: Box<FunctionCalls>) {
        match &mut self.calls {
            Some(calls) => calls.join(*more),
            None => self.calls = Some(more),
        }
    }

    fn all(self) -> Result<Vec<Brought>, EngineError> {
        match (self.needs, self.calls) {
            (Some(needs), _) => Err(EngineError::Cold(needs)),
            (None, Some(calls)) => Err(EngineError::Calls(calls)),
            (None, None) => Ok(self.brought),
        }
    }
}

/// What a trigger brings by what is known at a cut; none if something else holds there under its identity.
fn held(
    engine: &Engine,
    of: (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    known: Known<'_>,
) -> Result<Option<Brought>, EngineError> {
    // Where time went back, what was emitted stays until it is due again.
    if !of.1.is_due(trigger.event.event_time, known.due_until) {
        return Ok(None);
    }
    let Some(state) = engine.hot().source(trigger.source) else {
        return Ok(None);
    };
    let row = state.program().row(trigger);
    let holding = state.holding(trigger, &row, &known.cut.of_source(trigger.source))?;
    match holding == Some(trigger.position) {
        true => again(engine, of, trigger, known),
        false => Ok(None),
    }
}
