//! Functions that are not of the closed list of the language: what a definition brings along,
//! such as a model, as an expression sees it.
//!
//! Owns the seam alone: a name, a version by digest, types, and a way to evaluate columns. What
//! stands behind it (a graph of a model, another process) is somebody else's. Invariant: the
//! value of a row depends on that row's arguments and on the digest alone, whatever other rows
//! are evaluated with it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::column::Column;
use crate::data_type::{DataType, Field};
use crate::definition::Digest;
use crate::value::Value;

/// A function that expressions may call besides those of the closed list.
///
/// Only asked for rows that are needed, and never for one with an ERROR among its arguments: that
/// is the result already. NULLs it meets itself. It is never evaluated when a definition is
/// compiled, not even of constants.
pub trait ColumnFunction: Send + Sync {
    /// How it is called, and which version of it this is.
    fn signature(&self) -> &FunctionSignature;

    /// The values of `rows` rows, at least one; each argument has one slot per row and the type
    /// of its parameter. The answer has one slot per row and the result's type: NULL or an ERROR
    /// with its reason where there is no value. Values inside of arrays and structs are canonical.
    fn evaluate(&self, arguments: &[Column], rows: usize) -> Column;

    /// Whether a call can fail, or be put off, without a value: nothing that is made of such an answer may
    /// be kept.
    fn may_fail(&self) -> bool {
        false
    }

    /// The value of one row: the same bits as [`ColumnFunction::evaluate`] gives.
    fn evaluate_row(&self, arguments: &[&Value]) -> Value {
        let parameters = self.signature().parameters.iter();
        let columns: Vec<Column> = parameters
            .zip(arguments)
            .map(|(parameter, value)| Column::from_values(&parameter.data_type, [*value]))
            .collect();
        self.evaluate(&columns, 1).get(0)
    }

    /// Whether the value of a row is NULL and nobody is asked for it, whatever the function would say.
    fn is_null_unasked(&self, _arguments: &[Value]) -> bool {
        false
    }

    /// The value of one row for somebody who records it: a function that does not give equal bits is called
    /// once for each, whoever else asks for the same arguments.
    fn evaluate_for(&self, _whose: &[u8], arguments: &[&Value]) -> Value {
        self.evaluate_row(arguments)
    }
}

/// What is known of a [`ColumnFunction`] without evaluating it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSignature {
    /// As it is called in SQL: for messages.
    pub name: String,
    /// Of everything that its values depend on, besides the arguments.
    pub digest: Digest,
    /// Names and types of the parameters, in order.
    pub parameters: Vec<Field>,
    /// The type of the result.
    pub result: DataType,
}

/// A [`ColumnFunction`] in an expression. Two are equal if their digests are.
#[derive(Clone)]
pub struct External(Arc<dyn ColumnFunction>);

impl External {
    /// The function, to be called in expressions.
    pub fn new(function: Arc<dyn ColumnFunction>) -> Self {
        External(function)
    }
}

impl Deref for External {
    type Target = dyn ColumnFunction;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl PartialEq for External {
    fn eq(&self, other: &Self) -> bool {
        self.signature().digest == other.signature().digest
    }
}

impl fmt::Debug for External {
    /// Digests of calls are made of this text: it says which function it is, and nothing else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("External(")?;
        for byte in self.signature().digest {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
