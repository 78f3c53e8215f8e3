//! What an event of its trigger makes a derived stream emit.
//!
//! An emission has the identity of its trigger. What holds under that identity decides: a row that
//! was not there is emitted, one that took the place of another is emitted again with the next
//! revision, one that is gone or left out is withdrawn. Invariant: nothing of it depends on what was
//! logged behind the cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::definition::{DerivedDef, SourceDef, Watched};
use evenkeel_types::{
    Cut, ErrorReason, Event, EventTime, Knowledge, LoggedEvent, Operation, Position, Value,
    VisibleAt,
};
use evenkeel_view::{Reader, SourceProgram, Store};

use super::size::{bytes_of, bytes_of_row};
use super::{PARTITION, origin_of};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::Group;
use crate::hot_store::HotRead;
use crate::ingest::fetch;
use crate::offline::Online;
use crate::push::Judged;
use crate::recorder::Recordable;
use crate::source_state::{Newest, Turn};

/// Columns before those that are selected: the trigger's identity and its time.
const OWN_COLUMNS: usize = 2;
/// Longer identities are emitted as their hash, so that they do not grow from stream to stream.
const ID_BYTES_MAX: usize = 1 << 10;
/// Orders that begin with so many equal bytes are those of the identities.
const ORDER_BYTES_MAX: usize = 64 << 10;
/// A batch of emissions has about so many bytes at most.
const BATCH_BYTES: usize = 16 << 20;
/// When a record has so many bytes of emissions, what more of it revises stays as it is: they are one commit.
const RECORD_BYTES_MAX: usize = 128 << 20;
/// What an order ends with: partition and offset.
const PLACE_BYTES: usize = size_of::<u32>() + size_of::<u64>();
/// Begins the hash of an identity: no identity begins with it.
const HASHED: u8 = 0xff;

/// The emissions of a stream in the making.
pub(super) struct Rows<'a> {
    def: &'a Arc<SourceDef>,
    derived: &'a DerivedDef,
    program: SourceProgram,
    events: Vec<Event>,
    /// What is newest under identities that are among these.
    latest: BTreeMap<(Vec<u8>, EventTime), Latest>,
    bytes: usize,
    /// Those of the last record.
    of_record: (u64, usize),
}

/// What was emitted last under an identity.
#[derive(Clone)]
struct Latest {
    revision: u32,
    /// None if it was withdrawn.
    row: Option<Vec<Value>>,
}

/// What holds at a cut under the identity of a trigger.
struct Brought {
    /// The identity, without the time.
    id: Vec<u8>,
    time: EventTime,
    /// The time of what held before, if that is another one.
    other_time: Option<EventTime>,
    /// The columns behind the identity and the time; none if there is no row.
    row: Option<Vec<Value>>,
    /// When the row could be known, if that was before it is logged.
    known_at: Option<VisibleAt>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(def: &'a Arc<SourceDef>, derived: &'a DerivedDef) -> Self {
        Rows {
            def,
            derived,
            program: SourceProgram::new(Arc::clone(def)),
            events: Vec::new(),
            latest: BTreeMap::new(),
            bytes: 0,
            of_record: (0, 0),
        }
    }

    /// About how many bytes were emitted.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What an event of the trigger, logged as or for a record, makes the stream emit.
    ///
    /// # Errors
    /// If what it is made of cannot be read.
    pub(super) fn bring(
        &mut self,
        online: &impl Online,
        record: u64,
        trigger: &LoggedEvent,
        cut: &Cut,
    ) -> Result<(), EngineError> {
        let of = (&**self.def, self.derived);
        let brought = online.read_with(|engine| brought(engine, of, trigger, cut))?;
        let Some(brought) = brought else {
            return Ok(());
        };
        if let Some(time) = brought.other_time {
            self.settle(online, record, (&brought.id, time), None, None)?;
        }
        let identity = (brought.id.as_slice(), brought.time);
        self.settle(online, record, identity, brought.row, brought.known_at)
    }

    /// Emits again what an event of another source changes, or one of the trigger's own: rows of
    /// events that are later and hold, whose key it has.
    ///
    /// # Errors
    /// If what they are made of cannot be read.
    pub(super) fn revise(
        &mut self,
        online: &impl Online,
        record: u64,
        late: &LoggedEvent,
        watched: &[Watched],
        cut: &Cut,
    ) -> Result<(), EngineError> {
        let derived = self.derived;
        let affected = online.read_with(|engine| affected(engine, derived, late, watched, cut))?;
        let of = (&**self.def, derived);
        for position in affected {
            if self.of_record.0 == record && self.of_record.1 > RECORD_BYTES_MAX {
                break;
            }
            let found = online.read_with(|engine| again(engine, of, position, cut))?;
            let Some(brought) = found else {
                continue;
            };
            let own = [
                Value::Bytes(brought.id.as_slice().into()),
                Value::Timestamp(brought.time.0),
            ];
            let key = (brought.id.clone(), brought.time);
            let latest = match self.latest.get(&key) {
                Some(latest) => Some(latest.clone()),
                None => online.with(|engine| self.newest(engine, &own, brought.time))?,
            };
            let emitted = latest.and_then(|latest| latest.row);
            let is_same = match (&emitted, &brought.row) {
                (None, None) => true,
                (Some(emitted), Some(row)) => {
                    let mut pairs = emitted[OWN_COLUMNS..].iter().zip(row);
                    emitted.len() == row.len() + OWN_COLUMNS && pairs.all(|(a, b)| a.same_bits(b))
                }
                _ => false,
            };
            if !is_same {
                let identity = (brought.id.as_slice(), brought.time);
                self.settle(online, record, identity, brought.row, None)?;
            }
        }
        Ok(())
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
            None => online.with(|engine| self.newest(engine, &own, time))?,
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
        let bytes = bytes_of(&event);
        self.bytes += bytes;
        let of_record = match self.of_record {
            (known, bytes) if known == record => bytes,
            _ => 0,
        };
        self.of_record = (record, of_record + bytes);
        self.events.push(event);
        Ok(())
    }

    /// What the log has newest under an identity.
    fn newest(
        &self,
        engine: &Engine,
        own: &[Value],
        time: EventTime,
    ) -> Result<Option<Latest>, EngineError> {
        let Some(state) = engine.hot().source(self.def.id) else {
            return Ok(None);
        };
        let mut row = own.to_vec();
        row.resize(self.def.row_width(), Value::Null);
        let Some(newest) = state.newest(&row, time)? else {
            return Ok(None);
        };
        let Newest {
            revision,
            position,
            removed,
        } = newest;
        let row = match removed {
            true => None,
            false => Some(fetch(engine.reader(), self.def, position)?.event.row),
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
        online.with(|engine| {
            for event in self.events {
                let recordable = Recordable::of(&self.program, event, PARTITION);
                group.accept(engine, self.def, recordable)?;
            }
            Ok::<_, EngineError>(())
        })?;
        Ok(Some(Judged::of(group).in_batches_of(BATCH_BYTES)))
    }
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
        other_time: match before {
            Some(before) => other_time(engine, program, trigger, before)?,
            None => None,
        },
        row: selected
            .map(|selected| columns_of(def, program, (trigger, &row), selected, bytes_max)),
    }))
}

/// The places of the trigger's events whose rows an event may change, in the order of the log by
/// partition.
fn affected(
    engine: &Engine,
    derived: &DerivedDef,
    late: &LoggedEvent,
    watched: &[Watched],
    cut: &Cut,
) -> Result<BTreeSet<Position>, EngineError> {
    let mut affected = BTreeSet::new();
    let Some(state) = engine.hot().source(late.source) else {
        return Ok(affected);
    };
    let program = state.program();
    let row = program.row(late);
    let Some(turn) = state.turn(late, &row, &cut.of_source(late.source))? else {
        return Ok(affected);
    };
    let mut rows = vec![(row, late.event.event_time)];
    if let Turn::Replaces(before) | Turn::Ends(before) = turn {
        let before = fetch(engine.reader(), program.def(), before)?;
        rows.push((program.row(&before), before.event.event_time));
    }
    let hot = HotRead::of(engine.hot());
    let knowledge = Knowledge::latest(cut.clone());
    let reader = Reader::new(&hot, &knowledge);
    let trigger = derived.trigger().source.id;
    for watched in watched.iter().filter(|w| w.source == late.source) {
        let Some(index) = engine.hot().plan().index(trigger, &watched.trigger_key) else {
            continue;
        };
        for (row, from) in &rows {
            let key = watched.source_key.iter().map(|&slot| row[slot].clone());
            let key: Vec<Value> = key.collect();
            let places = hot.checked(reader.places_from(index, &key, from.0))?;
            affected.extend(places);
        }
    }
    Ok(affected)
}

/// An event of the trigger that holds, and what it brings by what is known now.
fn again(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    position: Position,
    cut: &Cut,
) -> Result<Option<Brought>, EngineError> {
    let Some(state) = engine.hot().source(derived.trigger().source.id) else {
        return Ok(None);
    };
    let program = state.program();
    let trigger = fetch(engine.reader(), program.def(), position)?;
    let row = program.row(&trigger);
    let time = trigger.event.event_time;
    let latest = Knowledge::latest(cut.clone());
    let bytes_max = engine.project().limits.row_bytes;
    let selected = evaluate(engine, derived, &row, time, &latest)?;
    Ok(Some(Brought {
        id: identity_of(program, &trigger, &row),
        time,
        other_time: None,
        row: selected
            .map(|selected| columns_of(def, program, (&trigger, &row), selected, bytes_max)),
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
fn identity_of(program: &SourceProgram, event: &LoggedEvent, row: &[Value]) -> Vec<u8> {
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

/// The columns behind the identity and the time: the trigger's order, where the stream has that, and
/// what is selected. What is too large to be an event says so in every column: what follows it goes on.
fn columns_of(
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

/// The time of what held before, if it is another one: an origin may have told another time.
fn other_time(
    engine: &Engine,
    program: &SourceProgram,
    trigger: &LoggedEvent,
    before: Position,
) -> Result<Option<EventTime>, EngineError> {
    if !program.def().event_id.is_empty() {
        return Ok(None);
    }
    let before = fetch(engine.reader(), program.def(), before)?;
    let time = before.event.event_time;
    Ok((time != trigger.event.event_time).then_some(time))
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
