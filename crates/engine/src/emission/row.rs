//! What a record makes a derived stream do: whose rows are evaluated for it, in which order, and how much
//! of that is a commit.
//!
//! Does not know what an emission is (`settled`). Invariant: nothing of it depends on what was logged
//! behind the cut.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_log::{Backfill, Events, LogReader};
use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef, Watched};
use evenkeel_types::{Event, EventTime, LoggedEvent, Position, SourceId};
use evenkeel_view::SourceProgram;

use super::PARTITION;
use super::ahead::Foreseen;
use super::brought::{Known, again, brought, concerned, turn_of};
use super::foresight::Foresight;
use super::lane::World;
use super::place::{Origins, Place, Within, say_rest};
use super::places::{Places, Search, Times, first_places};
use super::runs::{Run, runs};
use super::said::SaidByKey;
use super::settled::Named;
use super::stream::{Stream, emissions_from};
use crate::error::EngineError;
use crate::function::FunctionCalls;
use crate::ingest::{fetch, nothing_at};
use crate::offline::Online;
use crate::push::Earlier;
use crate::source_state::Turn;

/// After about so many bytes of emissions the rest is for another commit, and others have their turn.
pub(crate) const COMMIT_BYTES: usize = 8 << 20;
/// Events whose calls of functions are made together, about.
pub(super) const GATHERED_MAX: usize = 256;

/// What a record makes a stream do.
pub(super) enum Act<'a> {
    /// An event of the trigger brings its row.
    Bring(Cause<'a>),
    /// An event of another source, or one of the trigger's own, changes rows of events that are later and
    /// hold, whose key it has.
    Revise(Cause<'a>),
    /// The rows of a period are to be what is known now.
    Backfill(Backfill),
    /// Time has passed that of the rows of these events of the trigger.
    Due(Times),
}

/// An event that makes a stream emit.
pub(super) enum Cause<'a> {
    /// The record itself.
    Logged(&'a LoggedEvent),
    /// What another stream emitted for it, by its offset.
    Emitted(&'a Arc<SourceDef>, u64),
}

/// What is left of an act that is more than one commit.
pub(super) struct Left {
    record: u64,
    act: usize,
    places: Places,
    /// Up to which it is done.
    done: Option<Position>,
}

impl Left {
    /// Whether there are more behind those that are known.
    fn is_used_up(&self) -> bool {
        !self.places.is_all && self.done == self.places.held.last()
    }
}

/// The emissions of a stream in the making.
pub(super) struct Rows<'a> {
    pub(super) log: &'a LogReader,
    catalog: &'a Catalog,
    pub(super) def: &'a Arc<SourceDef>,
    pub(super) derived: &'a DerivedDef,
    watched: &'a [Watched],
    pub(super) program: &'a SourceProgram,
    pub(super) events: Vec<Event>,
    /// What is newest under the identities that these have.
    pub(super) latest: SaidByKey,
    pub(super) origins: Origins,
    /// What was evaluated ahead, if that may be.
    foresight: Option<Foresight>,
    pub(super) bytes: usize,
    pub(super) evaluated: usize,
    pub(super) evaluated_max: usize,
    commit_bytes: usize,
    places_max: usize,
    /// What other streams emitted, as it is read: each with the offset that comes next.
    readings: BTreeMap<SourceId, (u64, Events)>,
    /// What it emitted before, as it is read: with the offset that comes next.
    pub(super) emitted: Option<(u64, Events)>,
    /// What was read so and may be taken the place of.
    pub(super) earlier: Earlier,
    left: Option<Left>,
}

impl<'a> Rows<'a> {
    /// `left` is what is known to be left of the act that goes on, `foresight` knows what is next, if that may be.
    pub(super) fn new(
        world: &'a World,
        stream: &'a Stream,
        left: Option<Left>,
        foresight: Option<Foresight>,
    ) -> Self {
        Rows {
            log: &world.log,
            catalog: &world.catalog,
            def: &stream.def,
            derived: &stream.derived,
            watched: &stream.watched,
            program: &stream.of.program,
            events: Vec::new(),
            latest: SaidByKey::default(),
            origins: Origins::new(&stream.def),
            foresight,
            bytes: 0,
            evaluated: 0,
            evaluated_max: world.evaluated_max,
            commit_bytes: world.commit_bytes,
            places_max: world.places_max,
            readings: BTreeMap::new(),
            emitted: None,
            earlier: Earlier::default(),
            left,
        }
    }

    /// What is left of the act that goes on, and what is known of what is next.
    pub(super) fn take_kept(&mut self) -> (Option<Left>, Option<Foresight>) {
        (self.left.take(), self.foresight.take())
    }

    /// Whether the rest is for another commit.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.commit_bytes || self.evaluated >= self.evaluated_max
    }

    /// Says of the last emission that the rest of its record begins there.
    pub(super) fn say_rest(&mut self, place: Place) {
        if let Some(last) = self.events.last_mut() {
            say_rest(last, place);
        }
    }

    /// Does what is left of what a record makes the stream do, from a place on; where it goes on, if there is more than
    /// one commit of it.
    ///
    /// # Errors
    /// If what it is made of cannot be read.
    pub(super) fn act(
        &mut self,
        online: &impl Online,
        record: u64,
        acts: impl Iterator<Item = (usize, Act<'a>)>,
        known: Known<'_>,
        from: Within,
    ) -> Result<Option<Within>, EngineError> {
        let mut after = from.after;
        for (number, act) in acts {
            let here = Within {
                acts: number,
                after: after.take(),
            };
            if self.is_full() {
                return Ok(Some(here));
            }
            match self.act_one(online, record, (here, act), known) {
                Ok(None) => {}
                // What is made so far is emitted before anybody waits for what functions give.
                Err(EngineError::Calls(_)) if !self.events.is_empty() => return Ok(Some(here)),
                Ok(Some(stopped)) => {
                    return Ok(Some(Within {
                        acts: number,
                        after: Some(stopped),
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Does one act from a place on; after which of the trigger's events it stopped, if there is more.
    fn act_one(
        &mut self,
        online: &impl Online,
        record: u64,
        (here, act): (Within, Act<'a>),
        known: Known<'_>,
    ) -> Result<Option<Position>, EngineError> {
        match act {
            Act::Bring(trigger) => {
                let trigger = self.event_of(trigger)?;
                self.bring(online, record, &trigger, known)?;
                Ok(None)
            }
            Act::Revise(late) => {
                let late = self.event_of(late)?;
                let concerned = |rows: &Self| rows.concerned(online, &late, known);
                self.revise(online, (record, here), concerned, known)
            }
            Act::Backfill(backfill) => self.backfill(online, record, backfill, known, here.after),
            Act::Due(times) => {
                let by_time = Search {
                    columns: Vec::new(),
                    key: Vec::new(),
                    times,
                };
                let due = |_: &Self| Ok(vec![by_time]);
                self.revise(online, (record, here), due, known)
            }
        }
    }

    /// Adds the calls of functions that an event of the trigger needs, without emitting anything.
    ///
    /// # Errors
    /// If the event cannot be read.
    pub(super) fn gather(
        &mut self,
        online: &impl Online,
        record: u64,
        trigger: Cause<'a>,
        known: Known<'_>,
        calls: &mut FunctionCalls,
    ) -> Result<(), EngineError> {
        let trigger = self.event_of(trigger)?;
        let of = (&**self.def, self.derived);
        match online.read_with(|engine| brought(engine, of, &trigger, known)) {
            Ok(Some(brought)) => self.gather_recorded(online, record, &brought, calls),
            Err(EngineError::Calls(more)) => calls.join(*more),
            // What else goes wrong is told when it is its turn.
            Ok(None) | Err(_) => {}
        }
        Ok(())
    }

    fn event_of(&mut self, cause: Cause<'a>) -> Result<Cow<'a, LoggedEvent>, EngineError> {
        let (def, offset) = match cause {
            Cause::Logged(event) => return Ok(Cow::Borrowed(event)),
            Cause::Emitted(def, offset) => (def, offset),
        };
        let reading = self.readings.remove(&def.id);
        let reading = reading.filter(|(next, _)| *next == offset);
        let mut events = match reading {
            Some((_, events)) => events,
            None => emissions_from(self.log, def, offset),
        };
        let mut event = LoggedEvent::blank();
        let found = events.next_into(&mut event).map_err(EngineError::log)?;
        let position = Position::new(PARTITION.0, offset);
        if !found || event.position != position {
            return Err(nothing_at(def, position));
        }
        self.readings.insert(def.id, (offset + 1, events));
        def.schema
            .upgrade(&mut event)
            .map_err(|reason| EngineError::schema(def, reason))?;
        Ok(Cow::Owned(event))
    }

    /// What an event of the trigger, logged as or for a record, makes the stream emit.
    fn bring(
        &mut self,
        online: &impl Online,
        record: u64,
        trigger: &LoggedEvent,
        known: Known<'_>,
    ) -> Result<(), EngineError> {
        self.evaluated += 1;
        let foresight = self.foresight.as_mut();
        let foreseen = foresight.and_then(|foresight| foresight.take(online, record));
        let (brought, named) = match foreseen {
            Some(None) => return Ok(()),
            Some(Some(Foreseen { brought, named })) => (brought, named),
            None => {
                let of = (&**self.def, self.derived);
                let brought = online.read_with(|engine| brought(engine, of, trigger, known))?;
                let Some(brought) = brought else {
                    return Ok(());
                };
                let named = Named::of(self.program, &brought.id, brought.time);
                (brought, named)
            }
        };
        let latest = self.latest_of(online, &named)?;
        let row = match brought.row {
            Some(row) => Some(self.completed(online, record, &named, row, latest.as_ref())?),
            None => None,
        };
        // Behind what may have to wait, so that both are of one commit.
        if let Some(time) = self.other_time(trigger, brought.before)? {
            let other = Named::of(self.program, &named.id, self.derived.time_of(time));
            let before = self.latest_of(online, &other)?;
            self.emit(record, other, None, before, None);
        }
        self.emit(record, named, row, latest, brought.known_at);
        Ok(())
    }

    /// The time of what held before a trigger, if it is another one: an origin may have told another
    /// time.
    fn other_time(
        &self,
        trigger: &LoggedEvent,
        before: Option<Position>,
    ) -> Result<Option<EventTime>, EngineError> {
        let def = self.source_of(trigger);
        let (Some(before), true) = (before, def.event_id.is_empty()) else {
            return Ok(None);
        };
        let time = fetch(self.log, def, before)?.event.event_time;
        Ok((time != trigger.event.event_time).then_some(time))
    }

    /// The source of an event that the stream reads.
    fn source_of(&self, event: &LoggedEvent) -> &Arc<SourceDef> {
        let known = self.catalog.source_by_id(event.source);
        known.unwrap_or(&self.derived.trigger().source)
    }

    /// Emits what is another row now of the trigger's events that are searched for, behind one position; after
    /// which it stopped, if there is more.
    fn revise(
        &mut self,
        online: &impl Online,
        (record, Within { acts: act, after }): (u64, Within),
        searches: impl FnOnce(&Self) -> Result<Vec<Search>, EngineError>,
        known: Known<'_>,
    ) -> Result<Option<Position>, EngineError> {
        let is_this = |left: &Left| (left.record, left.act) == (record, act) && !left.is_used_up();
        let mut left = match self.left.take().filter(is_this) {
            Some(left) => left,
            None => {
                let trigger = self.derived.trigger().source.id;
                let searches = searches(self)?;
                let bounds = (after, self.places_max);
                Left {
                    record,
                    act,
                    places: first_places(online, trigger, searches, bounds, known)?,
                    done: None,
                }
            }
        };
        let next = left.places.held.behind(left.done, self.evaluated_max);
        let trigger = self.trigger();
        for near in runs(next) {
            let mut run = Run::read(self.log, trigger, near);
            while let Some(found) = run.next()? {
                match self.revise_one(online, record, &found, known) {
                    Ok(()) => {}
                    Err(EngineError::Calls(calls)) => {
                        if let (Some(last), false) = (left.done, self.events.is_empty()) {
                            self.left = Some(left);
                            return Ok(Some(last));
                        }
                        let needed = self.gather_again(online, record, *calls, &mut run, known);
                        self.left = Some(left);
                        return Err(needed);
                    }
                    Err(error) => return Err(error),
                }
                left.done = Some(found.position);
                if self.is_full() {
                    self.left = Some(left);
                    return Ok(Some(found.position));
                }
            }
        }
        Ok(left.done.filter(|_| !left.places.is_all))
    }

    /// The source of the trigger, as it is now.
    pub(super) fn trigger(&self) -> &'a Arc<SourceDef> {
        let trigger = &self.derived.trigger().source;
        self.catalog.source_by_id(trigger.id).unwrap_or(trigger)
    }

    /// The calls that some events need, those of the rest of a run among them.
    fn gather_again(
        &self,
        online: &impl Online,
        record: u64,
        mut calls: FunctionCalls,
        run: &mut Run<'_>,
        known: Known<'_>,
    ) -> EngineError {
        let of = (&**self.def, self.derived);
        let mut left = GATHERED_MAX;
        while left > 0
            && !calls.are_enough()
            && let Ok(Some(found)) = run.next()
        {
            left -= 1;
            match online.read_with(|engine| again(engine, of, &found, known)) {
                Ok(Some(brought)) => self.gather_recorded(online, record, &brought, &mut calls),
                Err(EngineError::Calls(more)) => calls.join(*more),
                Ok(None) | Err(_) => {}
            }
        }
        EngineError::Calls(Box::new(calls))
    }

    /// Emits the row of a trigger again, if it is another one by what is known now.
    fn revise_one(
        &mut self,
        online: &impl Online,
        record: u64,
        trigger: &LoggedEvent,
        known: Known<'_>,
    ) -> Result<(), EngineError> {
        self.evaluated += 1;
        // Where time went back, what was emitted stays until it is due again.
        if !self
            .derived
            .is_due(trigger.event.event_time, known.due_until)
        {
            return Ok(());
        }
        let of = (&**self.def, self.derived);
        let Some(brought) = online.read_with(|engine| again(engine, of, trigger, known))? else {
            return Ok(());
        };
        // What is due once more, after time went back, stays as it was.
        let keeps = !self.derived.revises;
        self.settle_other(online, record, brought, keeps)
    }

    /// The trigger's events whose rows an event may change.
    fn concerned(
        &self,
        online: &impl Online,
        late: &LoggedEvent,
        known: Known<'_>,
    ) -> Result<Vec<Search>, EngineError> {
        let turn = online.read_with(|engine| turn_of(engine, late, known.cut))?;
        let Some((turn, row)) = turn else {
            return Ok(Vec::new());
        };
        let mut rows = vec![(row, late.event.event_time)];
        if let Turn::Replaces(before) | Turn::Ends(before) = turn {
            let def = self.source_of(late);
            let before = fetch(self.log, def, before)?;
            let program = SourceProgram::new(Arc::clone(def));
            rows.push((program.row(&before), before.event.event_time));
        }
        let watched = self.watched.iter().filter(|w| w.source == late.source);
        let watched: Vec<&Watched> = watched.collect();
        Ok(concerned(self.derived, &watched, &rows))
    }
}
