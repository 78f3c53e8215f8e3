//! Values of functions that do not give equal bits: called once for an emission, and taken from what was
//! emitted as long as the function would be asked the same
//! (`docs/decisions/0047-values-that-are-recorded.md`).
//!
//! What a query gives has in place of such a value what the function is asked; here it is *completed*.
//! Invariant: nobody reads a value that is not logged, and equal inputs of one trigger have one value.

use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::DerivedDef;
use evenkeel_types::{ErrorReason, EventTime, External, SourceId, Value};

use super::brought::{Brought, OWN_COLUMNS, fitting};
use super::row::Rows;
use super::settled::{Latest, Named};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function::{Deferring, FunctionCalls, taking};
use crate::offline::Online;

/// Of what is asked for a value.
const DIGEST_BYTES: usize = 16;

/// A value that is missing: its column, and what has to be called with which arguments.
type Missing<'a> = (usize, &'a External, Vec<Value>);

/// Digests of what is asked for each value that is recorded, one behind the other. They
/// are of the trigger with this identity alone: equal arguments elsewhere have others, so that nobody finds
/// out what was asked for many by trying once.
pub(super) fn inputs_of(
    (stream, derived): (SourceId, &DerivedDef),
    (id, time): (&[u8], EventTime),
    selected: &[Value],
) -> Value {
    let mut digests = Vec::with_capacity(derived.recorded.len() * DIGEST_BYTES);
    let mut asked = Vec::new();
    for (number, call) in (0u64..).zip(&derived.recorded) {
        asked.clear();
        encode_value(&selected[call.column], &mut asked);
        let mut hasher = blake3::Hasher::new();
        // Not its digest, which is another one when a source that it reads gets a column.
        hasher.update(&stream.0.to_be_bytes());
        hasher.update(&number.to_be_bytes());
        hasher.update(&time.0.to_be_bytes());
        hasher.update(&(id.len() as u64).to_be_bytes());
        hasher.update(id);
        hasher.update(&asked);
        digests.extend_from_slice(&hasher.finalize().as_bytes()[..DIGEST_BYTES]);
    }
    Value::Bytes(digests.into())
}

/// Where what is selected begins in a row behind the identity and the time.
pub(crate) fn first_selected(derived: &DerivedDef, row: &[Value]) -> usize {
    row.len().saturating_sub(derived.view.features.len())
}

/// Whether a row says that it was too large to be an event.
pub(crate) fn is_too_large(selected: &[Value]) -> bool {
    let is_limit = |value: &Value| matches!(value, Value::Error(ErrorReason::Limit));
    !selected.is_empty() && selected.iter().all(is_limit)
}

/// A row of a query with the values that were recorded: what was asked for them is in it, and compared.
pub(crate) fn with_recorded(
    derived: &DerivedDef,
    mut row: Vec<Value>,
    emitted: Option<&[Value]>,
) -> Vec<Value> {
    let first = first_selected(derived, &row);
    for call in &derived.recorded {
        let at = first + call.column;
        if call.arguments(&row[at]).is_some() {
            let recorded = emitted.and_then(|emitted| emitted.get(at));
            row[at] = recorded.cloned().unwrap_or(Value::Null);
        }
    }
    row
}

/// A column behind the identity and the time whose value is another one in the next emission of an identity,
/// though the same was asked; what was too large, or is forgotten, says nothing.
pub(crate) fn drawn_again(derived: &DerivedDef, before: &[Value], row: &[Value]) -> Option<usize> {
    let first = first_selected(derived, row);
    let inputs = first.checked_sub(1)?;
    let is_known = |row: &[Value]| row.get(first..).is_some_and(|row| !is_too_large(row));
    if before.len() != row.len() || !is_known(before) || !is_known(row) {
        return None;
    }
    let mut calls = derived.recorded.iter().enumerate();
    let found = calls.find(|(number, call)| {
        let at = first + call.column;
        let asked = digest(&row[inputs], *number);
        let is_same = asked.is_some() && asked == digest(&before[inputs], *number);
        is_same && !before[at].same_bits(&row[at])
    });
    found.map(|(_, call)| first + call.column)
}

impl Rows<'_> {
    /// The row of a trigger with values in place of what is asked for them: those that were emitted, where the
    /// same is asked, else what functions give.
    ///
    /// # Errors
    /// [`EngineError::Calls`] if they are to be called while nothing is held; if a call fails.
    pub(super) fn completed(
        &self,
        online: &impl Online,
        record: u64,
        named: &Named,
        mut row: Vec<Value>,
        latest: Option<&Latest>,
    ) -> Result<Vec<Value>, EngineError> {
        let derived = self.derived;
        if derived.recorded.is_empty() {
            return Ok(row);
        }
        let first = first_selected(derived, &row);
        let inputs = first - 1;
        let emitted = latest.and_then(|latest| latest.row.get(OWN_COLUMNS..));
        let emitted = emitted.filter(|emitted| emitted.len() == row.len());
        // What the values were of a row that was too large nobody knows: they are asked for again.
        let emitted = emitted.filter(|emitted| !is_too_large(&emitted[first..]));
        let bytes_max = online.with(|engine| engine.project().limits.row_bytes);
        let others = with_recorded(derived, row.clone(), None).split_off(first);
        let others = fitting(others, bytes_max);
        if is_too_large(&others) {
            // Whatever they are.
            row.truncate(first);
            row.extend(others);
            return Ok(row);
        }
        let mut missing: Vec<Missing<'_>> = Vec::new();
        for (number, call) in derived.recorded.iter().enumerate() {
            let at = first + call.column;
            let Some(arguments) = call.arguments(&row[at]) else {
                continue;
            };
            let is_same = |emitted: &&[Value]| {
                digest(&emitted[inputs], number) == digest(&row[inputs], number)
            };
            match emitted.filter(is_same) {
                Some(emitted) => row[at] = emitted[at].clone(),
                None => missing.push((at, &call.function, arguments)),
            }
        }
        if !missing.is_empty() {
            let mut whose = self.def.id.0.to_be_bytes().to_vec();
            whose.extend(record.to_be_bytes());
            whose.extend(named.time.0.to_be_bytes());
            whose.extend(&*named.id);
            let values = online.read_with(|engine| called(engine, &missing, &whose))?;
            for ((at, ..), value) in missing.iter().zip(values) {
                row[*at] = value;
            }
        }
        let selected = row.split_off(first);
        row.extend(fitting(selected, bytes_max));
        Ok(row)
    }

    /// Adds the calls that the row of a trigger needs, of functions whose values are recorded. What else goes
    /// wrong is told when it is its turn.
    pub(super) fn gather_recorded(
        &self,
        online: &impl Online,
        record: u64,
        brought: &Brought,
        calls: &mut FunctionCalls,
    ) {
        let Some(row) = brought
            .row
            .as_ref()
            .filter(|_| !self.derived.recorded.is_empty())
        else {
            return;
        };
        let named = Named::of(self.program, &brought.id, brought.time);
        let completed = self.latest_of(online, &named).and_then(|latest| {
            self.completed(online, record, &named, row.clone(), latest.as_ref())
        });
        if let Err(EngineError::Calls(more)) = completed {
            calls.join(*more);
        }
    }

    /// Completes the rows of some triggers: what is missing of all of them is asked for together.
    ///
    /// # Errors
    /// As of [`Rows::completed`].
    pub(super) fn complete_all(
        &self,
        online: &impl Online,
        record: u64,
        brought: &mut [Brought],
    ) -> Result<(), EngineError> {
        let mut calls: Option<Box<FunctionCalls>> = None;
        for brought in brought {
            let Some(row) = brought.row.take() else {
                continue;
            };
            let named = Named::of(self.program, &brought.id, brought.time);
            let latest = match self.derived.recorded.is_empty() {
                true => None,
                false => self.latest_of(online, &named)?,
            };
            match self.completed(online, record, &named, row, latest.as_ref()) {
                Ok(row) => brought.row = Some(row),
                Err(EngineError::Calls(more)) => match &mut calls {
                    Some(calls) => calls.join(*more),
                    None => calls = Some(more),
                },
                Err(error) => return Err(error),
            }
        }
        match calls {
            Some(calls) => Err(EngineError::Calls(calls)),
            None => Ok(()),
        }
    }
}

/// The digest of what is asked for one of the values that are recorded.
fn digest(inputs: &Value, number: usize) -> Option<&[u8]> {
    let Value::Bytes(digests) = inputs else {
        return None;
    };
    digests.chunks_exact(DIGEST_BYTES).nth(number)
}

/// What functions give; each value is its emission's own.
fn called(
    engine: &Engine,
    missing: &[Missing<'_>],
    whose: &[u8],
) -> Result<Vec<Value>, EngineError> {
    let _deferring = engine.hot().defers().then(Deferring::begin);
    taking(|| {
        let value = |(at, function, arguments): &Missing<'_>| {
            let arguments: Vec<&Value> = arguments.iter().collect();
            let whose = [whose, &at.to_be_bytes()].concat();
            match function.evaluate_for(&whose, &arguments) {
                Value::Float(x) => Value::float(x),
                Value::Double(x) => Value::double(x),
                other => other,
            }
        };
        missing.iter().map(value).collect()
    })
}
