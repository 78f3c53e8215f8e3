//! Functions of any values, one row at a time in both loops: for what is rare.

use std::borrow::Cow;
use std::sync::Arc;

use evenkeel_types::{Column, ColumnData, DataType, Value};

use super::{Kernel, Operand, Outcome, first_error, strict_missing};

struct General<F> {
    strict: bool,
    result: DataType,
    function: F,
}

impl<F> Kernel for General<F>
where
    F: Fn(&[&Value]) -> Outcome<Value> + Send + Sync,
{
    fn row(&self, args: &[&Value]) -> Value {
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
        for i in 0..length {
            let result = match args {
                [a] => self.row(&[&a.value(i)]),
                [a, b] => self.row(&[&a.value(i), &b.value(i)]),
                [a, b, c] => self.row(&[&a.value(i), &b.value(i), &c.value(i)]),
                more => {
                    let values: Vec<Cow<'_, Value>> = more.iter().map(|a| a.value(i)).collect();
                    let row: Vec<&Value> = values.iter().map(AsRef::as_ref).collect();
                    self.row(&row)
                }
            };
            column.push(&result);
        }
        column
    }
}

/// A strict function of any arguments: they are present when it is called.
pub(crate) fn general(
    result: &DataType,
    function: impl Fn(&[&Value]) -> Outcome<Value> + Send + Sync + 'static,
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
    function: impl Fn(&[&Value]) -> Outcome<Value> + Send + Sync + 'static,
) -> Arc<dyn Kernel> {
    Arc::new(General {
        strict: false,
        result: result.clone(),
        function,
    })
}

struct Boxed {
    inner: Arc<dyn Kernel>,
    result: DataType,
}

impl Kernel for Boxed {
    fn row(&self, args: &[&Value]) -> Value {
        self.inner.row(args)
    }

    fn batch(&self, args: &[Operand<'_>], length: usize) -> Column {
        let boxed: Vec<Operand<'_>> = args
            .iter()
            .map(|arg| match arg {
                Operand::Constant(value) => Operand::Constant(Cow::Borrowed(value.as_ref())),
                Operand::Column(column) => {
                    let values: Vec<Value> = column.iter().collect();
                    let states = column.states().to_vec();
                    let boxed = Column::from_parts(ColumnData::Nested(values), states);
                    Operand::Column(Cow::Owned(boxed))
                }
            })
            .collect();
        let column = self.inner.batch(&boxed, length);
        match column.data() {
            ColumnData::Nested(_) => {
                let values: Vec<Value> = column.iter().collect();
                Column::from_values(&self.result, &values)
            }
            _ => column,
        }
    }
}

/// A function over [`Nested`](super::Nested) slots, whose values may be of any type, for
/// arguments of types that are too rare for a loop of their own.
pub(crate) fn boxed(result: &DataType, inner: Arc<dyn Kernel>) -> Arc<dyn Kernel> {
    Arc::new(Boxed {
        inner,
        result: result.clone(),
    })
}
