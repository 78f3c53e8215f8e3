//! Functions of any values, one row at a time in both loops: for what is rare.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_types::{Column, DataType, Value};

use super::{Kernel, Operand, Outcome, first_error, strict_missing};

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
