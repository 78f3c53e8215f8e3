//! What an event of its trigger makes a derived stream emit.
//!
//! An emission has the identity of its trigger. What holds under that identity decides: a row that
//! was not there is emitted, one that took the place of another is emitted again with the next
//! revision, one that is gone or left out is withdrawn. Invariant: nothing of it depends on what was
//! logged behind the cut.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{Backfill, Events, LogReader};
use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef, Watched};
use evenkeel_types::{
    Cut, ErrorReason, Event, EventTime, Knowledge, LoggedEvent, Operation, Position, SourceId,
    Value, VisibleAt,
};
use evenkeel_view::{Reader, SourceProgram, Store};

use super::PARTITION;
use super::place::{Place, Within, origin_of, say_rest};
use super::runs::{Run, runs};
use super::size::{bytes_of, bytes_of_row};
use super::stream::{Stream, emissions_from};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::Group;
use crate::hot_store::HotRead;
use crate::ingest::{fetch, nothing_at};
use crate::offline::Online;
use crate::push::{Earlier, Judged};
use crate::recorder::Recordable;
use crate::source_state::{Newest, Turn};

/// Columns before those that are selected: the trigger's identity and its time.
pub(crate) const OWN_COLUMNS: usize = 2;
/// Longer identities are emitted as their hash, so that they do not grow from stream to stream.
const ID_BYTES_MAX: usize = 1 << 10;
/// Orders that begin with so many equal bytes are those of the identities.
const ORDER_BYTES_MAX: usize = 64 << 10;
/// After about so many bytes of emissions, or so many triggers that were evaluated, the rest is for
/// another commit, and others have their turn.
const COMMIT_BYTES: usize = 8 << 20;
const EVALUATED_MAX: usize = 4_096;
/// So many emissions are judged under one hold of the engine.
const JUDGED_AT_ONCE: usize = 256;
/// What an order ends with: partition and offset.
const PLACE_BYTES: usize = size_of::<u32>() + size_of::<u64>();
/// Begins the hash of an identity: no identity begins with it.
const HASHED: u8 = 0xff;

/// What a record makes a stream do.
pub(super) enum Act<'a> {
    /// An event of the trigger brings its row.
    Bring(Cause<'a>),
    /// An event of another source, or one of the trigger's own, changes rows of events that are later and
    /// hold, whose key it has.
    Revise(Cause<'a>),
    /// The rows of a period are to be what is known now.
    Backfill(Backfill),
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
    positions: Arc<[Position]>,
    done: usize,
}

/// The emissions of a stream in the making.
pub(super) struct Rows<'a> {
    pub(super) log: &'a LogReader,
    catalog: &'a Catalog,
    pub(super) def: &'a Arc<SourceDef>,
    pub(super) derived: &'a DerivedDef,
    watched: &'a [Watched],
    program: SourceProgram,
    events: Vec<Event>,
    /// What is newest under identities that are among these.
    pub(super) latest: BTreeMap<(Vec<u8>, EventTime), Latest>,
    bytes: usize,
    pub(super) evaluated: usize,
    /// What other streams emitted, as it is read: each with the offset that comes next.
    readings: BTreeMap<SourceId, (u64, Events)>,
    /// What it emitted before, as it is read: with the offset that comes next.
    pub(super) emitted: Option<(u64, Events)>,
    /// What was read so and may be taken the place of.
    pub(super) earlier: Earlier,
    left: Option<Left>,
}

/// What was emitted last under an identity.
#[derive(Clone)]
pub(super) struct Latest {
    pub(super) revision: u32,
    /// None if it was withdrawn.
    pub(super) row: Option<Vec<Value>>,
}

/// What holds at a cut under the identity of a trigger.
pub(crate) struct Brought {
    /// The identity, without the time.
    pub(super) id: Vec<u8>,
    pub(super) time: EventTime,
    /// What held before, if that was something else.
    before: Option<Position>,
    /// The columns behind the identity and the time; none if there is no row.
    pub(crate) row: Option<Vec<Value>>,
    /// When the row could be known, if that was before it is logged.
    known_at: Option<VisibleAt>,
}

impl<'a> Rows<'a> {
    /// `left` is what is known to be left of the act that goes on.
    pub(super) fn new(
        (log, catalog): (&'a LogReader, &'a Catalog),
        stream: &'a Stream,
        left: Option<Left>,
    ) -> Self {
        Rows {
            log,
            catalog,
            def: &stream.def,
            derived: &stream.derived,
            watched: &stream.watched,
            program: SourceProgram::new(Arc::clone(&stream.def)),
            events: Vec::new(),
            latest: BTreeMap::new(),
            bytes: 0,
            evaluated: 0,
            readings: BTreeMap::new(),
            emitted: None,
            earlier: Earlier::default(),
            left,
        }
    }

    /// What is left of the act that goes on.
    pub(super) fn take_left(&mut self) -> Option<Left> {
        self.left.take()
    }

    /// Whether the rest is for another commit.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > COMMIT_BYTES || self.evaluated >= EVALUATED_MAX
    }

    /// Says of the last emission that the rest of its record begins there.
    pub(super) fn say_rest(&mut self, place: Place) {
        if let Some(last) = self.events.last_mut() {
            say_rest(last, place);
        }
    }

    /// Does what a record makes the stream do, from a place on; where it goes on, if there is more than
    /// one commit of it.
    ///
    /// # Errors
    /// If what it is made of cannot be read.
    pub(super) fn act(
        &mut self,
        online: &impl Online,
        record: u64,
        acts: impl Iterator<Item = Act<'a>>,
        cut: &Cut,
        from: Within,
    ) -> Result<Option<Within>, EngineError> {
        let mut after = from.after;
        for (number, act) in acts.enumerate().skip(from.acts) {
            if self.is_full() {
                return Ok(Some(Within {
                    acts: number,
                    after: None,
                }));
            }
            let stopped = match act {
                Act::Bring(trigger) => {
                    let trigger = self.event_of(trigger)?;
                    self.bring(online, record, &trigger, cut)?;
                    None
                }
                Act::Revise(late) => {
                    let late = self.event_of(late)?;
                    self.revise(online, (record, number), &late, cut, after.take())?
                }
                Act::Backfill(backfill) => {
                    self.backfill(online, record, backfill, cut, after.take())?
                }
            };
            if stopped.is_some() {
                return Ok(Some(Within {
                    acts: number,
                    after: stopped,
                }));
            }
        }
        Ok(None)
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
        cut: &Cut,
    ) -> Result<(), EngineError> {
        self.evaluated += 1;
        let of = (&**self.def, self.derived);
        let brought = online.read_with(|engine| brought(engine, of, trigger, cut))?;
        let Some(brought) = brought else {
            return Ok(());
        };
        if let Some(time) = self.other_time(trigger, brought.before)? {
            self.settle(online, record, (&brought.id, time), None, None)?;
        }
        let identity = (brought.id.as_slice(), brought.time);
        self.settle(online, record, identity, brought.row, brought.known_at)
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

    /// Emits again what an event changes, behind one of the trigger's positions; after which it stopped,
    /// if there is more.
    fn revise(
        &mut self,
        online: &impl Online,
        (record, act): (u64, usize),
        late: &LoggedEvent,
        cut: &Cut,
        after: Option<Position>,
    ) -> Result<Option<Position>, EngineError> {
        let is_this = |left: &Left| (left.record, left.act) == (record, act);
        let mut left = match self.left.take().filter(is_this) {
            Some(left) => left,
            None => {
                let mut affected = self.affected(online, late, cut)?;
                affected.retain(|position| after.is_none_or(|after| *position > after));
                Left {
                    record,
                    act,
                    positions: affected.into_iter().collect(),
                    done: 0,
                }
            }
        };
        let positions = Arc::clone(&left.positions);
        let next = positions[left.done..].iter().take(EVALUATED_MAX).copied();
        let trigger = self.trigger();
        for positions in runs(next) {
            let mut run = Run::read(self.log, trigger, positions);
            while let Some(found) = run.next()? {
                self.revise_one(online, record, &found, cut)?;
                left.done += 1;
                if self.is_full() {
                    self.left = Some(left);
                    return Ok(Some(found.position));
                }
            }
        }
        Ok(None)
    }

    /// The source of the trigger, as it is now.
    pub(super) fn trigger(&self) -> &'a Arc<SourceDef> {
        let trigger = &self.derived.trigger().source;
        self.catalog.source_by_id(trigger.id).unwrap_or(trigger)
    }

    /// Emits the row of a trigger again, if it is another one by what is known now.
    fn revise_one(
        &mut self,
        online: &impl Online,
        record: u64,
        trigger: &LoggedEvent,
        cut: &Cut,
    ) -> Result<(), EngineError> {
        self.evaluated += 1;
        let of = (&**self.def, self.derived);
        let Some(brought) = online.read_with(|engine| again(engine, of, trigger, cut))? else {
            return Ok(());
        };
        self.settle_other(online, record, brought)
    }

    /// Emits what a trigger brings by what is known now, if that is not what was emitted last.
    pub(super) fn settle_other(
        &mut self,
        online: &impl Online,
        record: u64,
        brought: Brought,
    ) -> Result<(), EngineError> {
        let own = [
            Value::Bytes(brought.id.as_slice().into()),
            Value::Timestamp(brought.time.0),
        ];
        let key = (brought.id.clone(), brought.time);
        let latest = match self.latest.get(&key) {
            Some(latest) => Some(latest.clone()),
            None => self.newest(online, &own, brought.time)?,
        };
        let emitted = latest.and_then(|latest| latest.row);
        let is_same = match (&emitted, &brought.row) {
            (None, None) => true,
            (Some(emitted), Some(row)) => is_same(&emitted[OWN_COLUMNS..], row),
            _ => false,
        };
        if is_same {
            return Ok(());
        }
        let identity = (brought.id.as_slice(), brought.time);
        self.settle(online, record, identity, brought.row, None)
    }

    /// The places of the trigger's events whose rows an event may change, in the order of the log by
    /// partition.
    fn affected(
        &self,
        online: &impl Online,
        late: &LoggedEvent,
        cut: &Cut,
    ) -> Result<BTreeSet<Position>, EngineError> {
        let Some((turn, row)) = online.read_with(|engine| turn_of(engine, late, cut))? else {
            return Ok(BTreeSet::new());
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
        let trigger = self.derived.trigger().source.id;
        online.read_with(|engine| places(engine, trigger, &watched, &rows, cut))
    }

    /// Emits what holds now under an identity; the first row may have been known before it is logged.
    fn settle(
        &mut self,
        online: &impl Online,
        record: u64,
        (id, time): (&[u8], EventTime),
        row: Option<Vec<Value>>,
        known_at: Option<VisibleAt>,
    ) -> Result<(), EngineError> {
        let own = [Value::Bytes(id.into()), Value::Timestamp(time.0)];
        let key = (id.to_vec(), time);
        let latest = match self.latest.get(&key) {
            Some(latest) => Some(latest.clone()),
            None => self.newest(online, &own, time)?,
        };
        let before = latest.as_ref().and_then(|latest| latest.row.clone());
        let (operation, revision, row) = match (row, &latest) {
            (None, _) => match before.clone() {
                None => return Ok(()),
                Some(row) => (Operation::Remove, next_revision(&latest), row),
            },
            (Some(row), None) => (Operation::Insert, 0, [&own, &row[..]].concat()),
            (Some(row), Some(_)) => {
                let row = [&own, &row[..]].concat();
                (Operation::Replace, next_revision(&latest), row)
            }
        };
        let known_at = known_at.filter(|_| operation == Operation::Insert);
        let is_there = operation != Operation::Remove;
        self.latest.insert(
            key,
            Latest {
                revision,
                row: is_there.then(|| row.clone()),
            },
        );
        let event = Event {
            operation,
            revision,
            event_time: time,
            known_at,
            origin: origin_of(self.def, record),
            row,
            before: before.filter(|_| operation == Operation::Replace),
        };
        self.bytes += bytes_of(&event);
        self.events.push(event);
        Ok(())
    }

    /// What the log has newest under an identity.
    fn newest(
        &self,
        online: &impl Online,
        own: &[Value],
        time: EventTime,
    ) -> Result<Option<Latest>, EngineError> {
        let mut row = own.to_vec();
        row.resize(self.def.row_width(), Value::Null);
        let newest = online.with(|engine| match engine.hot().source(self.def.id) {
            Some(state) => state.newest(&row, time),
            None => Ok(None),
        })?;
        let Some(newest) = newest else {
            return Ok(None);
        };
        let Newest {
            revision,
            position,
            removed,
        } = newest;
        let row = match removed {
            true => None,
            false => Some(fetch(self.log, self.def, position)?.event.row),
        };
        Ok(Some(Latest { revision, row }))
    }

    /// The commit of what was emitted; none if that is nothing.
    ///
    /// # Errors
    /// If what is known of identities cannot be read.
    pub(super) fn judge(self, online: &impl Online) -> Result<Option<Judged>, EngineError> {
        if self.events.is_empty() {
            return Ok(None);
        }
        let mut group = Group::default();
        let mut events = self.events.into_iter().peekable();
        while events.peek().is_some() {
            online.with(|engine| {
                for event in events.by_ref().take(JUDGED_AT_ONCE) {
                    let recordable = Recordable::of(&self.program, event, PARTITION);
                    group.accept(engine, self.def, recordable)?;
                }
                Ok::<_, EngineError>(())
            })?;
        }
        Ok(Some(Judged::of(group, self.earlier)))
    }
}

/// Whether an emitted row says what is said now; columns that were added since are NULL in it.
pub(crate) fn is_same(emitted: &[Value], row: &[Value]) -> bool {
    let missing = std::iter::repeat(&Value::Null);
    let mut pairs = row.iter().zip(emitted.iter().chain(missing));
    emitted.len() <= row.len() && pairs.all(|(now, then)| now.same_bits(then))
}

/// What a derived stream would emit for an event that is not logged, and its source row.
pub(crate) fn emission_of(
    def: &Arc<SourceDef>,
    program: &SourceProgram,
    (trigger, row): (&LoggedEvent, &[Value]),
    selected: Vec<Value>,
    bytes_max: usize,
) -> (LoggedEvent, Vec<Value>) {
    let time = trigger.event.event_time;
    let id = identity_of(program, trigger, row);
    let selected = columns_of(def, program, (trigger, row), selected, bytes_max);
    let own = [Value::Bytes(id.into()), Value::Timestamp(time.0)];
    let logged = LoggedEvent {
        source: def.id,
        schema_version: def.schema.version(),
        event: Event {
            row: own.into_iter().chain(selected).collect(),
            known_at: None,
            ..trigger.event.clone()
        },
        ..trigger.clone()
    };
    let row = SourceProgram::new(Arc::clone(def)).row(&logged);
    (logged, row)
}

fn next_revision(latest: &Option<Latest>) -> u32 {
    latest
        .as_ref()
        .map_or(0, |latest| latest.revision.saturating_add(1))
}

/// What an event of the trigger changes about its identity; none if that is nothing.
fn brought(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    cut: &Cut,
) -> Result<Option<Brought>, EngineError> {
    let Some(state) = engine.hot().source(trigger.source) else {
        return Ok(None);
    };
    let program = state.program();
    let row = program.row(trigger);
    let Some(turn) = state.turn(trigger, &row, &cut.of_source(trigger.source))? else {
        return Ok(None);
    };
    let (now, before) = match turn {
        Turn::Begins => (true, None),
        Turn::Replaces(before) => (true, Some(before)),
        Turn::Ends(before) => (false, Some(before)),
    };
    let time = trigger.event.event_time;
    let latest = Knowledge::latest(cut.clone());
    let bytes_max = engine.project().limits.row_bytes;
    let selected = match now {
        true => evaluate(engine, derived, &row, time, &latest)?,
        false => None,
    };
    Ok(Some(Brought {
        known_at: match &selected {
            Some(selected) => known_before(engine, derived, trigger, &row, (selected, cut))?,
            None => None,
        },
        id: identity_of(program, trigger, &row),
        time,
        before,
        row: selected
            .map(|selected| columns_of(def, program, (trigger, &row), selected, bytes_max)),
    }))
}

/// What an event changes about its identity, and its row; none if that is nothing.
pub(crate) fn turn_of(
    engine: &Engine,
    event: &LoggedEvent,
    cut: &Cut,
) -> Result<Option<(Turn, Vec<Value>)>, EngineError> {
    let Some(state) = engine.hot().source(event.source) else {
        return Ok(None);
    };
    let row = state.program().row(event);
    let turn = state.turn(event, &row, &cut.of_source(event.source))?;
    Ok(turn.map(|turn| (turn, row)))
}

/// Where the events of a trigger are that have the key of one of some rows, from its time on.
fn places(
    engine: &Engine,
    trigger: SourceId,
    watched: &[&Watched],
    rows: &[(Vec<Value>, EventTime)],
    cut: &Cut,
) -> Result<BTreeSet<Position>, EngineError> {
    let hot = HotRead::of(engine.hot());
    let knowledge = Knowledge::latest(cut.clone());
    let reader = Reader::new(&hot, &knowledge);
    let mut found = BTreeSet::new();
    for watched in watched {
        let Some(index) = engine.hot().plan().index(trigger, &watched.trigger_key) else {
            continue;
        };
        for (row, from) in rows {
            let key = watched.source_key.iter().map(|&slot| row[slot].clone());
            let key: Vec<Value> = key.collect();
            found.extend(hot.checked(reader.places_from(index, &key, from.0))?);
        }
    }
    Ok(found)
}

/// What an event of the trigger that holds brings by what is known now.
pub(crate) fn again(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    cut: &Cut,
) -> Result<Option<Brought>, EngineError> {
    let Some(state) = engine.hot().source(trigger.source) else {
        return Ok(None);
    };
    let program = state.program();
    let row = program.row(trigger);
    let time = trigger.event.event_time;
    let latest = Knowledge::latest(cut.clone());
    let bytes_max = engine.project().limits.row_bytes;
    let selected = evaluate(engine, derived, &row, time, &latest)?;
    Ok(Some(Brought {
        id: identity_of(program, trigger, &row),
        time,
        before: None,
        row: selected
            .map(|selected| columns_of(def, program, (trigger, &row), selected, bytes_max)),
        // It is what came late that makes the row what it is.
        known_at: None,
    }))
}

/// When the row of a trigger could be known, if the trigger declares when it was: then, if who
/// had read it then would have had the same.
fn known_before(
    engine: &Engine,
    derived: &DerivedDef,
    trigger: &LoggedEvent,
    row: &[Value],
    (selected, cut): (&[Value], &Cut),
) -> Result<Option<VisibleAt>, EngineError> {
    let event = &trigger.event;
    let is_original = event.operation == Operation::Insert && event.revision == 0;
    if event.known_at.is_none() || !is_original {
        return Ok(None);
    }
    let known_at = trigger.visible_at();
    let then = Knowledge::as_served(cut.clone(), known_at);
    let said = evaluate(engine, derived, row, event.event_time, &then)?;
    let is_same = said.is_some_and(|said| {
        let mut pairs = said.iter().zip(selected);
        pairs.all(|(a, b)| a.same_bits(b))
    });
    Ok(is_same.then_some(known_at))
}

/// The identity of an event, without its time.
pub(crate) fn identity_of(program: &SourceProgram, event: &LoggedEvent, row: &[Value]) -> Vec<u8> {
    let id = match program.def().event_id.is_empty() {
        false => program.event_id(row),
        true => {
            let mut bytes = Vec::new();
            event.event.origin.encode(&mut bytes);
            bytes
        }
    };
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    let hash = blake3::hash(&id);
    [&[HASHED], &hash.as_bytes()[..]].concat()
}

/// The order of an event among those of its time; its place in the log, which separates versions of one
/// identity, is none of it.
fn order_of(program: &SourceProgram, event: &LoggedEvent, row: &[Value]) -> Vec<u8> {
    let nowhere = Position::new(0, 0);
    let stored = &event.event.row;
    let mut order = program.order_at(row, stored, &event.event.origin, nowhere);
    order.truncate(ORDER_BYTES_MAX.min(order.len() - PLACE_BYTES));
    order
}

/// The identity of a trigger and its order, as emissions have them.
pub(crate) fn trigger_names(
    program: &SourceProgram,
    event: &LoggedEvent,
    row: &[Value],
) -> (Vec<u8>, Vec<u8>) {
    (
        identity_of(program, event, row),
        order_of(program, event, row),
    )
}

/// The columns behind the identity and the time: the trigger's order, where the stream has that, and
/// what is selected. What is too large to be an event says so in every column: what follows it goes on.
pub(crate) fn columns_of(
    def: &SourceDef,
    program: &SourceProgram,
    (trigger, row): (&LoggedEvent, &[Value]),
    selected: Vec<Value>,
    bytes_max: usize,
) -> Vec<Value> {
    let has_order = !def.sequence_by.is_empty();
    let order = has_order.then(|| Value::Bytes(order_of(program, trigger, row).into()));
    let selected = match bytes_of_row(&selected) + OWN_COLUMNS * size_of::<u64>() > bytes_max {
        true => vec![Value::Error(ErrorReason::Limit); selected.len()],
        false => selected,
    };
    order.into_iter().chain(selected).collect()
}

/// The selected columns of the row that an event brings; none if it is left out.
fn evaluate(
    engine: &Engine,
    derived: &DerivedDef,
    row: &[Value],
    time: EventTime,
    knowledge: &Knowledge,
) -> Result<Option<Vec<Value>>, EngineError> {
    let view = engine.compiled(&derived.view.digest, &derived.view.name)?;
    let hot = HotRead::of(engine.hot());
    let reader = Reader::new(&hot, knowledge);
    hot.checked(reader.brought(view, row, time.0))
}
