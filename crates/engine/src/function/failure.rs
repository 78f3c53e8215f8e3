//! What stands in the way of an answer: calls that failed, and calls that are still to be made.
//!
//! Evaluation of expressions is total and has no place for either, so they are noted beside, for
//! the thread that evaluates, and taken by what reads before its answer leaves. Invariant: what is
//! noted is taken by the read that caused it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use evenkeel_types::Column;

use super::PythonFunction;
use super::deferred::FunctionCalls;
use crate::error::EngineError;

thread_local! {
    static FAILED: RefCell<Option<FunctionFailure>> = const { RefCell::new(None) };
    static NEEDED: RefCell<FunctionCalls> = const { RefCell::new(FunctionCalls::none()) };
    static DEFERRING: Cell<usize> = const { Cell::new(0) };
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionFailureKind {
    /// The process could not be started, or the module not be loaded.
    Start,
    /// The process ended.
    Ended,
    /// It took longer than it may.
    Timeout,
    /// It wanted more memory than it may have.
    Memory,
    /// What came back is no answer.
    Answer,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFailure {
    /// The function's name.
    pub function: String,
    /// How.
    pub kind: FunctionFailureKind,
    /// What happened, in words.
    pub reason: String,
    /// What Python said, with the traceback if there is one; may be empty.
    pub told: String,
}

impl FunctionFailure {
    /// All of it.
    pub(crate) fn in_words(&self) -> String {
        match self.told.is_empty() {
            true => self.reason.clone(),
            false => format!("{}\n{}", self.reason, self.told),
        }
    }
}

impl fmt::Display for FunctionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the function `{}` failed: {}",
            self.function,
            self.in_words()
        )
    }
}

impl std::error::Error for FunctionFailure {}

/// While it is there, functions are not called by this thread: what is missing is noted.
pub(crate) struct Deferring(PhantomData<*const ()>);

impl Deferring {
    pub(crate) fn begin() -> Self {
        DEFERRING.set(DEFERRING.get() + 1);
        Deferring(PhantomData)
    }
}

impl Drop for Deferring {
    fn drop(&mut self) {
        DEFERRING.set(DEFERRING.get() - 1);
    }
}

/// The values of a function as far as they are known, if this thread calls none.
pub(super) fn deferred(
    function: &Arc<PythonFunction>,
    whose: &[u8],
    asked: (&[Column], usize),
) -> Option<Column> {
    let known = || NEEDED.with_borrow_mut(|needed| needed.known(function, whose, asked));
    (DEFERRING.get() > 0).then(known)
}

/// Notes a failure for the read that this thread is in; the first one stays.
pub(super) fn failed(failure: FunctionFailure) {
    FAILED.with_borrow_mut(|noted| {
        noted.get_or_insert(failure);
    });
}

/// Whether a call of the read that this thread is in failed: others need not be made.
pub(super) fn has_failed() -> bool {
    FAILED.with_borrow(Option::is_some)
}

/// Forgets what was noted for a read that nobody answered.
pub(crate) fn forget() {
    FAILED.take();
    NEEDED.replace(FunctionCalls::none());
}

/// What a read made, unless a function failed meanwhile or is still to be called.
///
/// # Errors
/// [`EngineError::Function`], [`EngineError::Calls`].
pub(crate) fn taken<T>(made: T) -> Result<T, EngineError> {
    let needed = NEEDED.replace(FunctionCalls::none());
    match FAILED.take() {
        Some(failure) => Err(EngineError::Function(Box::new(failure))),
        None if needed.is_none() => Ok(made),
        None => Err(EngineError::Calls(Box::new(needed))),
    }
}

/// What work made, unless a function failed meanwhile.
///
/// # Errors
/// As of [`taken`].
pub(crate) fn taking<T>(work: impl FnOnce() -> T) -> Result<T, EngineError> {
    forget();
    taken(work())
}

impl From<FunctionFailure> for EngineError {
    fn from(failure: FunctionFailure) -> Self {
        EngineError::Function(Box::new(failure))
    }
}
