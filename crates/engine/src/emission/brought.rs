//! What an event of its trigger brings to a derived stream: its row, and under which identity.
//!
//! Does not know what was emitted. Invariant: it is a function of the event and of what is known at a
//! cut, and nothing was if the row is not due there.

use std::sync::Arc;

use evenkeel_types::codec::canonical_row_length;
use evenkeel_types::definition::{DerivedDef, SourceDef, Watched};
use evenkeel_types::{Cut, ErrorReason, Event, EventTime, LoggedEvent, Position, Value, VisibleAt};
use evenkeel_view::SourceProgram;

use super::evaluation::Evaluation;
use super::places::Search;
use super::recorded::{first_selected, inputs_of, with_recorded};
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
    pub(super) id: Arc<[u8]>,
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
    of: (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    known: Known<'_>,
) -> Result<Option<Brought>, EngineError> {
    let hot = HotRead::of(engine.hot());
    let evaluation = Evaluation::new(engine, of, &hot, known.cut)?;
    match evaluation.row(trigger) {
        Some(row) => evaluation.brought(trigger, row, known.due_until),
        None => Ok(None),
    }
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
    of: (&SourceDef, &DerivedDef),
    trigger: &LoggedEvent,
    known: Known<'_>,
) -> Result<Option<Brought>, EngineError> {
    let hot = HotRead::of(engine.hot());
    let evaluation = Evaluation::new(engine, of, &hot, known.cut)?;
    evaluation.again(trigger, known.due_until)
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
    match canonical_row_length(&selected) + OWN_COLUMNS * size_of::<u64>() > bytes_max {
        true => vec![Value::Error(ErrorReason::Limit); selected.len()],
        false => selected,
    }
}
