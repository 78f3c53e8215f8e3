//! How a function runs: one definition, two loops.
//!
//! A function is a closure over native values. [`unary`], [`binary`], [`lenient`] and
//! [`general`] wrap it into a [`Kernel`] whose row loop and batch loop call that same
//! closure. Owns the rule for missing arguments, which is the same in both loops: all
//! arguments are evaluated, the leftmost ERROR is the result, else (for strict functions)
//! NULL if any argument is NULL.

mod slot;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use evenkeel_types::{Column, DataType, ErrorReason, SLOT_NULL, SLOT_PRESENT, Value};

pub(crate) use slot::{
    BigInt, Boolean, Bytes, Date, Decimal, Double, Float, Int, Nested, Slot, Span, Text, Timestamp,
    with_slot,
};

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
    fn row(&self, args: &[Cow<'_, Value>]) -> Value;
    /// `length` rows. Not every argument is a constant, unless there are none.
    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column;
}

/// The leftmost ERROR among the arguments.
fn first_error(args: &[Cow<'_, Value>]) -> Option<Missing> {
    args.iter().find_map(|a| a.error()).map(Missing::Error)
}

/// What a strict function answers without being called.
#[inline]
fn strict_missing(args: &[Cow<'_, Value>]) -> Option<Missing> {
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
fn error_states(args: &[Operand<'_>], length: usize) -> Vec<u8> {
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

/// The batch loop: computes the rows whose state is not yet decided.
#[inline(always)]
fn fill<R: Slot, I>(
    length: usize,
    mut states: Vec<u8>,
    inputs: impl Iterator<Item = I>,
    compute: impl Fn(I) -> Outcome<R::Stored>,
) -> Column {
    let mut values: Vec<R::Stored> = Vec::with_capacity(length);
    if states.is_empty() {
        let mut failed: Vec<(usize, u8)> = Vec::new();
        values.extend(inputs.enumerate().map(|(i, input)| match compute(input) {
            Ok(value) => R::canonical(value),
            Err(missing) => {
                failed.push((i, missing.state()));
                R::placeholder()
            }
        }));
        if !failed.is_empty() {
            states = vec![SLOT_PRESENT; length];
            for (i, state) in failed {
                states[i] = state;
            }
        }
    } else {
        values.extend(inputs.zip(states.iter_mut()).map(|(input, state)| {
            if *state != SLOT_PRESENT {
                return R::placeholder();
            }
            match compute(input) {
                Ok(value) => R::canonical(value),
                Err(missing) => {
                    *state = missing.state();
                    R::placeholder()
                }
            }
        }));
    }
    Column::from_parts(R::data(values), states)
}

/// `length` slots whose states are all decided.
fn undefined<R: Slot>(length: usize, states: Vec<u8>) -> Column {
    Column::from_parts(R::data(vec![R::placeholder(); length]), states)
}

#[inline(always)]
fn answer<R: Slot>(outcome: Outcome<R::Stored>) -> Value {
    match outcome {
        Ok(value) => R::value(R::canonical(value)),
        Err(missing) => missing.into(),
    }
}

struct Unary<A, R, F> {
    /// The position of the argument.
    at: usize,
    function: F,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Slot, R: Slot, F> Kernel for Unary<A, R, F>
where
    F: Fn(A::Ref<'_>) -> Outcome<R::Stored> + Send + Sync,
{
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        // Constants that the function was made with may stand beside the one argument.
        if let Some(missing) = strict_missing(args) {
            return missing.into();
        }
        answer::<R>((self.function)(A::of_value(&args[self.at])))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = strict_states(args, length);
        match args[self.at].view::<A>() {
            View::Many(a) => fill::<R, _>(length, states, a.iter(), |a| {
                (self.function)(A::of_stored(a))
            }),
            View::One(a) => fill::<R, _>(length, states, 0..length, |_| (self.function)(a)),
            View::Missing => undefined::<R>(length, states),
        }
    }
}

/// A strict function of one argument, the first. Constants that the closure has taken in
/// already may follow.
pub(crate) fn unary<A: Slot, R: Slot>(
    function: impl Fn(A::Ref<'_>) -> Outcome<R::Stored> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    unary_at::<A, R>(0, function)
}

/// A strict function of the argument at a position; the others are constants that the
/// closure has taken in already.
pub(crate) fn unary_at<A: Slot, R: Slot>(
    at: usize,
    function: impl Fn(A::Ref<'_>) -> Outcome<R::Stored> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(Unary::<A, R, _> {
        at,
        function,
        types: PhantomData,
    })
}

struct Binary<A, B, R, F> {
    function: F,
    types: PhantomData<fn(A, B) -> R>,
}

impl<A: Slot, B: Slot, R: Slot, F> Kernel for Binary<A, B, R, F>
where
    F: Fn(A::Ref<'_>, B::Ref<'_>) -> Outcome<R::Stored> + Send + Sync,
{
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        if let Some(missing) = strict_missing(args) {
            return missing.into();
        }
        answer::<R>((self.function)(
            A::of_value(&args[0]),
            B::of_value(&args[1]),
        ))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = strict_states(args, length);
        let f = &self.function;
        match (args[0].view::<A>(), args[1].view::<B>()) {
            (View::Missing, _) | (_, View::Missing) => undefined::<R>(length, states),
            (View::Many(a), View::Many(b)) => {
                fill::<R, _>(length, states, a.iter().zip(b), |(a, b)| {
                    f(A::of_stored(a), B::of_stored(b))
                })
            }
            (View::Many(a), View::One(b)) => {
                fill::<R, _>(length, states, a.iter(), |a| f(A::of_stored(a), b))
            }
            (View::One(a), View::Many(b)) => {
                fill::<R, _>(length, states, b.iter(), |b| f(a, B::of_stored(b)))
            }
            (View::One(a), View::One(b)) => fill::<R, _>(length, states, 0..length, |_| f(a, b)),
        }
    }
}

/// A strict function of two arguments.
pub(crate) fn binary<A: Slot, B: Slot, R: Slot>(
    function: impl Fn(A::Ref<'_>, B::Ref<'_>) -> Outcome<R::Stored> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(Binary::<A, B, R, _> {
        function,
        types: PhantomData,
    })
}

struct Lenient<A, R, F> {
    function: F,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Slot, R: Slot, F> Kernel for Lenient<A, R, F>
where
    F: Fn(&[Option<A::Ref<'_>>]) -> Outcome<R::Stored> + Send + Sync,
{
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        if let Some(error) = first_error(args) {
            return error.into();
        }
        fn present<A: Slot>(value: &Value) -> Option<A::Ref<'_>> {
            (!value.is_null()).then(|| A::of_value(value))
        }
        answer::<R>(match args {
            [a] => (self.function)(&[present::<A>(a)]),
            [a, b] => (self.function)(&[present::<A>(a), present::<A>(b)]),
            [a, b, c] => (self.function)(&[present::<A>(a), present::<A>(b), present::<A>(c)]),
            more => {
                let present: Vec<_> = more.iter().map(|a| present::<A>(a)).collect();
                (self.function)(&present)
            }
        })
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = error_states(args, length);
        let views: Vec<View<'_, A>> = args.iter().map(Operand::view::<A>).collect();
        let present = |a: usize, i: usize| {
            (args[a].state(i) == SLOT_PRESENT)
                .then(|| views[a].get(i))
                .flatten()
        };
        match args.len() {
            1 => fill::<R, _>(length, states, 0..length, |i| {
                (self.function)(&[present(0, i)])
            }),
            2 => fill::<R, _>(length, states, 0..length, |i| {
                (self.function)(&[present(0, i), present(1, i)])
            }),
            3 => fill::<R, _>(length, states, 0..length, |i| {
                (self.function)(&[present(0, i), present(1, i), present(2, i)])
            }),
            count => fill::<R, _>(length, states, 0..length, |i| {
                let row: Vec<_> = (0..count).map(|a| present(a, i)).collect();
                (self.function)(&row)
            }),
        }
    }
}

/// A function of any number of arguments of one type that sees NULL itself. ERROR still
/// passes, the leftmost first.
pub(crate) fn lenient<A: Slot, R: Slot>(
    function: impl Fn(&[Option<A::Ref<'_>>]) -> Outcome<R::Stored> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(Lenient::<A, R, _> {
        function,
        types: PhantomData,
    })
}

struct FirstLenient<A, R, F> {
    function: F,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Slot, R: Slot, F> Kernel for FirstLenient<A, R, F>
where
    F: Fn(Option<A::Ref<'_>>) -> Outcome<R::Stored> + Send + Sync,
{
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        if let Some(error) = first_error(&args[..1]) {
            return error.into();
        }
        let first = (!args[0].is_null()).then(|| A::of_value(&args[0]));
        answer::<R>((self.function)(first))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = error_states(&args[..1], length);
        let view = args[0].view::<A>();
        fill::<R, _>(length, states, 0..length, |i| {
            let present = args[0].state(i) == SLOT_PRESENT;
            (self.function)(if present { view.get(i) } else { None })
        })
    }
}

/// A function of one argument that sees its NULL itself, followed by constants that the
/// closure has taken in already (their ERRORs too).
pub(crate) fn first_lenient<A: Slot, R: Slot>(
    function: impl Fn(Option<A::Ref<'_>>) -> Outcome<R::Stored> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(FirstLenient::<A, R, _> {
        function,
        types: PhantomData,
    })
}

struct NullTest {
    wanted: bool,
}

impl Kernel for NullTest {
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        match first_error(args) {
            Some(error) => error.into(),
            None => Value::Boolean(args[0].is_null() == self.wanted),
        }
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = error_states(args, length);
        fill::<Boolean, _>(length, states, 0..length, |i| {
            Ok((args[0].state(i) == SLOT_NULL) == self.wanted)
        })
    }
}

/// Whether the one argument is NULL (or, not `wanted`, is not).
pub(crate) fn null_test(wanted: bool) -> Arc<dyn Kernel> {
    Arc::new(NullTest { wanted })
}

struct General<F> {
    strict: bool,
    result: DataType,
    function: F,
}

impl<F> Kernel for General<F>
where
    F: Fn(&[Cow<'_, Value>]) -> Outcome<Value> + Send + Sync,
{
    fn row(&self, args: &[Cow<'_, Value>]) -> Value {
        let missing = if self.strict {
            strict_missing(args)
        } else {
            first_error(args)
        };
        if let Some(missing) = missing {
            return missing.into();
        }
        (self.function)(args).unwrap_or_else(Value::from)
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let mut column = Column::new(&self.result);
        let mut row: Vec<Cow<'_, Value>> = Vec::with_capacity(args.len());
        for i in 0..length {
            row.clear();
            row.extend(args.iter().map(|a| a.value(i)));
            column.push(&self.row(&row));
        }
        column
    }
}

/// A strict function of any arguments: they are present when it is called.
pub(crate) fn general(
    result: &DataType,
    function: impl Fn(&[Cow<'_, Value>]) -> Outcome<Value> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(General {
        strict: true,
        result: result.clone(),
        function,
    })
}

/// A function of any arguments that sees NULL itself. ERROR still passes.
pub(crate) fn general_lenient(
    result: &DataType,
    function: impl Fn(&[Cow<'_, Value>]) -> Outcome<Value> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(General {
        strict: false,
        result: result.clone(),
        function,
    })
}
