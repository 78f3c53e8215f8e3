//! Calls that wait until nobody holds the engine: a read that needs one says so, the call is made,
//! and the read is made again with what it gave.
//!
//! Invariant: what a function gave is known as long as somebody holds the [`Given`] that it was
//! given in, and to reads of its very arguments alone.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::Digest;
use evenkeel_types::{Column, SLOT_NULL, Value};
use rustc_hash::FxHashMap;

use super::PythonFunction;
use super::call::NO_VALUE;
use crate::error::EngineError;

/// Rows that one request waits for at once.
const ROWS_MAX: usize = 4096;

/// A version of a function, and the encoding of its arguments; behind it whose call it is, if the value is
/// somebody's own.
type Key = (Digest, Vec<u8>);

/// What was given to reads that are under way.
#[derive(Default)]
pub(super) struct Memory {
    values: Mutex<FxHashMap<Key, (Value, usize)>>,
}

/// Calls that a read needs.
pub struct FunctionCalls {
    calls: Vec<Call>,
}

struct Call {
    function: Arc<PythonFunction>,
    arguments: Vec<Column>,
    keys: Vec<Key>,
}

/// What functions gave; known until it is dropped.
#[must_use = "what was given is forgotten with it"]
pub struct Given {
    memory: Arc<Memory>,
    keys: Vec<Key>,
}

impl FunctionCalls {
    pub(super) const fn none() -> Self {
        FunctionCalls { calls: Vec::new() }
    }

    /// The values of rows as far as they are known; the others are noted. Nobody's are everybody's.
    pub(super) fn known(
        &mut self,
        function: &Arc<PythonFunction>,
        whose: &[u8],
        (arguments, rows): (&[Column], usize),
    ) -> Column {
        let mut found = Column::new(&function.spec.result);
        for row in 0..rows {
            let value = self.known_row(function, whose, (arguments, row));
            found.push(&value);
        }
        found
    }

    fn known_row(
        &mut self,
        function: &Arc<PythonFunction>,
        whose: &[u8],
        (arguments, row): (&[Column], usize),
    ) -> Value {
        let is_null = |argument: &Column| argument.state(row) == SLOT_NULL;
        if !function.spec.takes_nulls && arguments.iter().any(is_null) {
            return Value::Null;
        }
        let mut bytes = Vec::new();
        for argument in arguments {
            encode_value(&argument.get(row), &mut bytes);
        }
        bytes.extend_from_slice(whose);
        let key = (function.spec.digest, bytes);
        if let Some((value, _)) = function.memory.values().get(&key) {
            return value.clone();
        }
        let of = self.calls.iter_mut();
        let mut of = of.filter(|call| call.function.spec.digest == function.spec.digest);
        let call = match of.next() {
            Some(call) => call,
            None => {
                let types = function.spec.parameters.iter();
                self.calls.push(Call {
                    function: Arc::clone(function),
                    arguments: types.map(|p| Column::new(&p.data_type)).collect(),
                    keys: Vec::new(),
                });
                self.calls.last_mut().expect("it was pushed")
            }
        };
        for (to, from) in call.arguments.iter_mut().zip(arguments) {
            to.push(&from.get(row));
        }
        call.keys.push(key);
        // Whoever reads is not answered with it.
        NO_VALUE
    }

    pub(crate) fn is_none(&self) -> bool {
        self.calls.is_empty()
    }

    /// Whether as many rows wait as may wait at once.
    pub(crate) fn are_enough(&self) -> bool {
        self.calls.iter().map(|call| call.keys.len()).sum::<usize>() >= ROWS_MAX
    }

    /// These and others.
    pub(crate) fn join(&mut self, more: FunctionCalls) {
        for call in more.calls {
            let of = self.calls.iter_mut();
            let mut of = of.filter(|c| c.function.spec.digest == call.function.spec.digest);
            match of.next() {
                None => self.calls.push(call),
                Some(known) => {
                    for (to, from) in known.arguments.iter_mut().zip(call.arguments) {
                        to.append(from);
                    }
                    known.keys.extend(call.keys);
                }
            }
        }
    }

    /// Makes the calls. It takes as long as they take: nothing may be held meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Function`] if one fails.
    pub fn run(self) -> Result<Vec<Given>, EngineError> {
        let run = |call: Call| {
            let Call {
                function,
                arguments,
                keys,
            } = call;
            let answered = function.try_evaluate(&arguments, keys.len());
            let (column, _) =
                answered.map_err(|failure| EngineError::Function(Box::new(failure)))?;
            let mut values = function.memory.values();
            for (key, value) in keys.iter().zip(column.iter()) {
                values.entry(key.clone()).or_insert((value, 0)).1 += 1;
            }
            drop(values);
            Ok(Given {
                memory: Arc::clone(&function.memory),
                keys,
            })
        };
        self.calls.into_iter().map(run).collect()
    }
}

impl Memory {
    fn values(&self) -> MutexGuard<'_, FxHashMap<Key, (Value, usize)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let mut values = self.memory.values();
        for key in mem::take(&mut self.keys) {
            if let Some((_, holders)) = values.get_mut(&key) {
                *holders -= 1;
                if *holders == 0 {
                    values.remove(&key);
                }
            }
        }
    }
}

impl fmt::Debug for FunctionCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .calls
            .iter()
            .map(|call| (&call.function.spec.name, call.keys.len()));
        f.debug_map().entries(names).finish()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
