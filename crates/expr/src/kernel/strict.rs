//! Functions that have no answer where an argument has none.

use std::marker::PhantomData;
use std::sync::Arc;

use evenkeel_types::{Column, Value};

use super::{
    Kernel, Missing, Operand, Outcome, Slot, View, answer, fill_dense, fill_open, strict_missing,
    strict_states,
};

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
    fn row(&self, args: &[&Value]) -> Value {
        // Constants that the function was made with may stand beside the one argument.
        if let Some(missing) = strict_missing(args) {
            return missing.into();
        }
        answer::<R>((self.function)(A::of_value(args[self.at])))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = strict_states(args, length);
        let view = args[self.at].view::<A>();
        match view {
            View::Many(values) if states.is_empty() => {
                fill_dense::<R, _>(values.iter(), |a| (self.function)(A::of_stored(a)))
            }
            view => fill_open::<R>(length, states, |i| {
                (self.function)(view.get(i).ok_or(Missing::Null)?)
            }),
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
    fn row(&self, args: &[&Value]) -> Value {
        if let Some(missing) = strict_missing(args) {
            return missing.into();
        }
        answer::<R>((self.function)(A::of_value(args[0]), B::of_value(args[1])))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = strict_states(args, length);
        let f = &self.function;
        match (args[0].view::<A>(), args[1].view::<B>()) {
            (View::Many(a), View::Many(b)) if states.is_empty() => {
                fill_dense::<R, _>(a.iter().zip(b), |(a, b)| {
                    f(A::of_stored(a), B::of_stored(b))
                })
            }
            (View::Many(a), View::One(b)) if states.is_empty() => {
                fill_dense::<R, _>(a.iter(), |a| f(A::of_stored(a), b))
            }
            (View::One(a), View::Many(b)) if states.is_empty() => {
                fill_dense::<R, _>(b.iter(), |b| f(a, B::of_stored(b)))
            }
            (a, b) => fill_open::<R>(length, states, |i| match (a.get(i), b.get(i)) {
                (Some(a), Some(b)) => f(a, b),
                _ => Err(Missing::Null),
            }),
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
