//! How a function runs: one definition, two loops.
//!
//! A function is a closure over native values. [`unary`], [`binary`], [`lenient`] and
//! [`general`] wrap it into a [`Kernel`] whose row loop and batch loop call that same
//! closure. Owns the rule for missing arguments, which is the same in both loops: all
//! arguments are evaluated, the leftmost ERROR is the result, else (for strict functions)
//! NULL if any argument is NULL.

mod general;
mod lenient;
mod slot;
mod strict;

use std::borrow::Cow;

use evenkeel_types::{Column, ErrorReason, SLOT_NULL, SLOT_PRESENT, Value};

pub(crate) use general::{boxed, general, general_lenient};
pub(crate) use lenient::{first_lenient, lenient, null_test};
pub(crate) use slot::{
    BigInt, Boolean, Bytes, Date, Decimal, Double, Float, Int, Nested, Slot, Span, Text, Timestamp,
    with_ordered_slot, with_slot,
};
pub(crate) use strict::{binary, unary, unary_at};

/// A result that is not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Null,
    Error(ErrorReason),
}

impl Missing {
    /// The slot state that says so.
    pub(crate) fn state(self) -> u8 {
        match self {
            Missing::Null => SLOT_NULL,
            Missing::Error(reason) => reason.code(),
        }
    }
}

impl From<Missing> for Value {
    fn from(missing: Missing) -> Value {
        match missing {
            Missing::Null => Value::Null,
            Missing::Error(reason) => Value::Error(reason),
        }
    }
}

impl From<ErrorReason> for Missing {
    fn from(reason: ErrorReason) -> Missing {
        Missing::Error(reason)
    }
}

/// What a function answers on present arguments.
pub(crate) type Outcome<T> = Result<T, Missing>;

/// An argument of a batch: one value per row, or one for all rows.
#[derive(Clone, Debug)]
pub(crate) enum Operand<'a> {
    Constant(Cow<'a, Value>),
    Column(Cow<'a, Column>),
}

impl Operand<'_> {
    /// The value of row `i`.
    pub(crate) fn value(&self, i: usize) -> Cow<'_, Value> {
        match self {
            Operand::Constant(value) => Cow::Borrowed(value.as_ref()),
            Operand::Column(column) => Cow::Owned(column.get(i)),
        }
    }

    /// The slot state of row `i`.
    #[inline]
    pub(crate) fn state(&self, i: usize) -> u8 {
        match self {
            Operand::Constant(value) => state_of(value),
            Operand::Column(column) => column.state(i),
        }
    }

    fn view<S: Slot>(&self) -> View<'_, S> {
        match self {
            Operand::Constant(value) if value.is_missing() => View::Missing,
            Operand::Constant(value) => View::One(S::of_value(value)),
            Operand::Column(column) => View::Many(S::slice(column.data())),
        }
    }
}

enum View<'a, S: Slot> {
    /// A constant that is NULL or ERROR: no row is computed.
    Missing,
    One(S::Ref<'a>),
    Many(&'a [S::Stored]),
}

impl<'a, S: Slot> View<'a, S> {
    #[inline]
    fn get(&self, i: usize) -> Option<S::Ref<'a>> {
        match self {
            View::Missing => None,
            View::One(value) => Some(*value),
            View::Many(values) => Some(S::of_stored(&values[i])),
        }
    }
}

/// The slot state of a value.
pub(crate) fn state_of(value: &Value) -> u8 {
    match value {
        Value::Null => SLOT_NULL,
        Value::Error(reason) => reason.code(),
        _ => SLOT_PRESENT,
    }
}

/// A function ready to run. Arguments have exactly the types that it was made for.
pub(crate) trait Kernel: Send + Sync {
    /// One row.
    fn row(&self, args: &[&Value]) -> Value;
    /// `length` rows. Not every argument is a constant, unless there are none.
    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column;
}

/// The leftmost ERROR among the arguments.
pub(crate) fn first_error(args: &[&Value]) -> Option<Missing> {
    args.iter().find_map(|a| a.error()).map(Missing::Error)
}

/// What a strict function answers without being called.
#[inline]
fn strict_missing(args: &[&Value]) -> Option<Missing> {
    if !args.iter().any(|a| a.is_missing()) {
        return None;
    }
    Some(first_error(args).unwrap_or(Missing::Null))
}

/// The states of a strict function's results, as far as its arguments decide them: the
/// batch form of [`strict_missing`]. Empty if every argument is present on every row.
fn strict_states(args: &[Operand<'_>], length: usize) -> Vec<u8> {
    combined_states(args, length, false)
}

/// The states of a lenient function's results, as far as ERRORs decide them.
pub(crate) fn error_states(args: &[Operand<'_>], length: usize) -> Vec<u8> {
    combined_states(args, length, true)
}

fn combined_states(args: &[Operand<'_>], length: usize, errors_only: bool) -> Vec<u8> {
    let mut states: Vec<u8> = Vec::new();
    let counts = |state: u8| state != SLOT_PRESENT && !(errors_only && state == SLOT_NULL);
    // A state already there is kept, except that an ERROR replaces a NULL.
    let merge = |old: u8, new: u8| match old {
        SLOT_PRESENT => new,
        SLOT_NULL if new != SLOT_PRESENT => new,
        old => old,
    };
    for arg in args {
        match arg {
            Operand::Constant(value) => {
                let state = state_of(value);
                if counts(state) {
                    if states.is_empty() {
                        states = vec![SLOT_PRESENT; length];
                    }
                    states.iter_mut().for_each(|s| *s = merge(*s, state));
                }
            }
            Operand::Column(column) if !column.states().is_empty() => {
                if states.is_empty() {
                    states = vec![SLOT_PRESENT; length];
                }
                for (s, &new) in states.iter_mut().zip(column.states()) {
                    if counts(new) {
                        *s = merge(*s, new);
                    }
                }
            }
            Operand::Column(_) => {}
        }
    }
    states
}

/// The batch loop where every argument is present on every row.
#[inline(always)]
fn fill_dense<R: Slot, I>(
    inputs: impl ExactSizeIterator<Item = I>,
    compute: impl Fn(I) -> Outcome<R::Stored>,
) -> Column {
    let length = inputs.len();
    let mut values: Vec<R::Stored> = Vec::with_capacity(length);
    let mut failed: Vec<(usize, u8)> = Vec::new();
    values.extend(inputs.enumerate().map(|(i, input)| match compute(input) {
        Ok(value) => R::canonical(value),
        Err(missing) => {
            failed.push((i, missing.state()));
            R::placeholder()
        }
    }));
    let mut states = Vec::new();
    if !failed.is_empty() {
        states = vec![SLOT_PRESENT; length];
        for (i, state) in failed {
            states[i] = state;
        }
    }
    Column::from_parts(R::data(values), states)
}

/// The batch loop that computes the rows whose state is not decided yet. No states mean
/// that none is.
#[inline(always)]
fn fill_open<R: Slot>(
    length: usize,
    mut states: Vec<u8>,
    mut compute: impl FnMut(usize) -> Outcome<R::Stored>,
) -> Column {
    states.resize(length, SLOT_PRESENT);
    let mut values: Vec<R::Stored> = Vec::with_capacity(length);
    let mut all_present = true;
    values.extend(states.iter_mut().enumerate().map(|(i, state)| {
        if *state == SLOT_PRESENT {
            match compute(i) {
                Ok(value) => return R::canonical(value),
                Err(missing) => *state = missing.state(),
            }
        }
        all_present = false;
        R::placeholder()
    }));
    if all_present {
        states = Vec::new();
    }
    Column::from_parts(R::data(values), states)
}

#[inline(always)]
fn answer<R: Slot>(outcome: Outcome<R::Stored>) -> Value {
    match outcome {
        Ok(value) => R::value(R::canonical(value)),
        Err(missing) => missing.into(),
    }
}
