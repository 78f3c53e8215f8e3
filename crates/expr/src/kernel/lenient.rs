//! Functions of one type that see NULL themselves; ERROR passes.

use std::marker::PhantomData;
use std::sync::Arc;

use evenkeel_types::{Column, SLOT_NULL, SLOT_PRESENT, Value};

use super::{
    Boolean, Kernel, Operand, Outcome, Slot, View, answer, error_states, fill_open, first_error,
};

struct Lenient<A, R, F> {
    function: F,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Slot, R: Slot, F> Kernel for Lenient<A, R, F>
where
    F: Fn(&[Option<A::Ref<'_>>]) -> Outcome<R::Stored> + Send + Sync,
{
    fn row(&self, args: &[&Value]) -> Value {
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
        let mut row: Vec<Option<A::Ref<'_>>> = Vec::with_capacity(args.len());
        fill_open::<R>(length, states, |i| {
            row.clear();
            row.extend(args.iter().zip(&views).map(|(arg, view)| {
                if arg.state(i) == SLOT_PRESENT {
                    view.get(i)
                } else {
                    None
                }
            }));
            (self.function)(&row)
        })
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
    fn row(&self, args: &[&Value]) -> Value {
        if let Some(error) = first_error(&args[..1]) {
            return error.into();
        }
        let first = (!args[0].is_null()).then(|| A::of_value(args[0]));
        answer::<R>((self.function)(first))
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = error_states(&args[..1], length);
        let view = args[0].view::<A>();
        fill_open::<R>(length, states, |i| {
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
    fn row(&self, args: &[&Value]) -> Value {
        match first_error(args) {
            Some(error) => error.into(),
            None => Value::Boolean(args[0].is_null() == self.wanted),
        }
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let states = error_states(args, length);
        fill_open::<Boolean>(length, states, |i| {
            Ok((args[0].state(i) == SLOT_NULL) == self.wanted)
        })
    }
}

/// Whether the one argument is NULL (or, not `wanted`, is not).
pub(crate) fn null_test(wanted: bool) -> Arc<dyn Kernel> {
    Arc::new(NullTest { wanted })
}
