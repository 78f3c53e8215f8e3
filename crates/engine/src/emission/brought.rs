//! What an event of its trigger brings to a derived stream: its row, and under which identity.
//!
//! Does not know what was emitted. Invariant: it is a function of the event and of what is known at a
//! cut, and nothing was if the row is not due there.

use std::sync::Arc;

use evenkeel_types::definition::{DerivedDef, SourceDef, Watched};
use evenkeel_types::{
    Cut, ErrorReason, Event, EventTime, Knowledge, LoggedEvent, Operation, Position, Value,
    VisibleAt,
};
use evenkeel_view::{Reader, SourceProgram};

use super::places::Search;
use super::recorded::{first_selected, inputs_of, with_recorded};
use super::size::bytes_of_row;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::source_state::Turn;

/// Columns before those that are selected: the trigger's identity and its time.
pub(crate) const OWN_COLUMNS: usize = 2;
/// Longer identities are emitted as their hash, so that they do not grow from stream to stream.
const ID_BYTES_MAX: usize = 1 << 10;
/// Orders that begin with so many equal bytes are those of the identities.
const ORDER_BYTES_MAX: usize = 64 << 10;
/// What an order ends with: partition and offset.
const PLACE_BYTES: usize = size_of::<u32>() + size_of::<u64>();
/// Begins the hash of an identity: no identity begins with it.
const HASHED: u8 = 0xff;

/// What a stream knows when it is evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) cut: &'a Cut,
    /// Of a stream with a timer: rows before this time are due ([`super::timer`]).
    pub(crate) due_until: Option<EventTime>,
}

/// What holds at a cut under the identity of a trigger.
pub(crate) struct Brought {
    /// The identity, without the time.
    pub(super) id: Vec<u8>,
    /// That of the row.
    pub(super) time: EventTime,
    /// What held before, if that was something else.
    pub(super) before: Option<Position>,
    /// The columns behind the identity and the time, with what functions are asked in place of values that are
    /// recorded; none if there is no row.
    pub(crate) row: Option<Vec<Value>>,
    /// When the row could be known, if that was before it is logged.
    pub(super) known_at: Option<VisibleAt>,
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
    let mut selected = columns_of(def, program, (trigger, row), selected, bytes_max);
    if let Some(derived) = def.derived.as_deref() {
        // Nothing of it is completed: what is asked for is NULL, or there is no such row.
        selected = with_recorded(derived, selected, None);
        let first = first_selected(derived, &selected);
        let own = fitting(selected.split_off(first), bytes_max);
        selected.extend(own);
    }
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

/// What an event of the trigger changes about its identity; none if that is nothing.
pub(super) fn brought(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    known: Known<'_>,
) -> Result<Option<Brought>, EngineError> {
    let Some(state) = engine.hot().source(trigger.source) else {
        return Ok(None);
    };
    let program = state.program();
    let row = program.row(trigger);
    let Some(turn) = state.turn(trigger, &row, &known.cut.of_source(trigger.source))? else {
        return Ok(None);
    };
    let is_due = derived.is_due(trigger.event.event_time, known.due_until);
    let (now, before) = match turn {
        // There was none, and there is none yet.
        Turn::Begins if !is_due => return Ok(None),
        Turn::Begins => (true, None),
        Turn::Replaces(before) => (true, Some(before)),
        Turn::Ends(before) => (false, Some(before)),
    };
    let selected = match now && is_due {
        true => select(engine, derived, (trigger, &row), known.cut)?,
        false => None,
    };
    let known_at = match &selected {
        // A row that is due later than its event is known when that is known.
        // Nor is one with values that nobody can have had before they are recorded.
        Some(selected) if derived.timer.is_none() && derived.recorded.is_empty() => {
            known_before(engine, derived, trigger, &row, (selected, known.cut))?
        }
        _ => None,
    };
    Ok(Some(Brought {
        known_at,
        before,
        ..row_of(engine, (def, derived), program, (trigger, &row), selected)
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

/// The events of a trigger that have the key of one of some rows, and whose own rows are of its time or a
/// later one.
pub(super) fn concerned(
    derived: &DerivedDef,
    watched: &[&Watched],
    rows: &[(Vec<Value>, EventTime)],
) -> Vec<Search> {
    let of_row = |watched: &Watched, (row, from): &(Vec<Value>, EventTime)| {
        let key = watched.source_key.iter().map(|&slot| row[slot].clone());
        Search {
            columns: watched.trigger_key.clone(),
            key: key.collect(),
            times: derived.event_of(*from).0..i64::MAX,
        }
    };
    let searches = watched
        .iter()
        .flat_map(|watched| rows.iter().map(|row| of_row(watched, row)));
    searches.collect()
}

/// What an event of the trigger that holds brings by what is known now.
pub(crate) fn again(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    known: Known<'_>,
) -> Result<Option<Brought>, EngineError> {
    let Some(state) = engine.hot().source(trigger.source) else {
        return Ok(None);
    };
    let program = state.program();
    let row = program.row(trigger);
    let selected = match derived.is_due(trigger.event.event_time, known.due_until) {
        true => select(engine, derived, (trigger, &row), known.cut)?,
        false => None,
    };
    // It is what came late that makes the row what it is, so nobody could know it before.
    let brought = row_of(engine, (def, derived), program, (trigger, &row), selected);
    Ok(Some(brought))
}

/// What is said of an event of the trigger, as the row of its identity.
fn row_of(
    engine: &Engine,
    (def, derived): (&SourceDef, &DerivedDef),
    program: &SourceProgram,
    (trigger, row): (&LoggedEvent, &[Value]),
    selected: Option<Vec<Value>>,
) -> Brought {
    let bytes_max = engine.project().limits.row_bytes;
    let columns = |selected| columns_of(def, program, (trigger, row), selected, bytes_max);
    Brought {
        id: identity_of(program, trigger, row),
        time: derived.time_of(trigger.event.event_time),
        before: None,
        row: selected.map(columns),
        known_at: None,
    }
}

/// The selected columns of the row that an event of the trigger brings by what is known at a cut; none
/// if it is left out.
fn select(
    engine: &Engine,
    derived: &DerivedDef,
    (trigger, row): (&LoggedEvent, &[Value]),
    cut: &Cut,
) -> Result<Option<Vec<Value>>, EngineError> {
    let time = derived.time_of(trigger.event.event_time);
    let latest = Knowledge::latest(cut.clone());
    evaluate(engine, derived, row, time, &latest)
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

/// The columns behind the identity and the time: the trigger's order, where the stream has that, what is asked
/// for values that are recorded, where it has such, and what is selected.
pub(crate) fn columns_of(
    def: &SourceDef,
    program: &SourceProgram,
    (trigger, row): (&LoggedEvent, &[Value]),
    selected: Vec<Value>,
    bytes_max: usize,
) -> Vec<Value> {
    let has_order = !def.sequence_by.is_empty();
    let order = has_order.then(|| Value::Bytes(order_of(program, trigger, row).into()));
    let derived = def.derived.as_deref();
    let recorded = derived.filter(|derived| !derived.recorded.is_empty());
    let inputs = recorded.map(|derived| {
        let id = identity_of(program, trigger, row);
        let time = derived.time_of(trigger.event.event_time);
        inputs_of((def.id, derived), (&id, time), &selected)
    });
    let selected = match inputs {
        // How large it is is known when it is complete.
        Some(_) => selected,
        None => fitting(selected, bytes_max),
    };
    order.into_iter().chain(inputs).chain(selected).collect()
}

/// What is selected, if it can be an event. What is too large says so in every column: what follows it goes
/// on.
pub(super) fn fitting(selected: Vec<Value>, bytes_max: usize) -> Vec<Value> {
    match bytes_of_row(&selected) + OWN_COLUMNS * size_of::<u64>() > bytes_max {
        true => vec![Value::Error(ErrorReason::Limit); selected.len()],
        false => selected,
    }
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
