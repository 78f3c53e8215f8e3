//! What became of calls, for whoever looks after functions: counts, and the last exception.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::call::Answered;
use super::failure::FunctionFailure;

/// Counts of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Rows that it was asked for.
    pub rows: u64,
    /// Of these without a value, as it raised an exception.
    pub errors: u64,
    /// Calls that failed.
    pub failures: u64,
}

/// What became of a function's calls since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionTally {
    /// Counts.
    pub counts: FunctionCounts,
    /// What the last exception or failure said.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_name: Mutex<BTreeMap<String, FunctionTally>>,
}

impl Tallies {
    pub(super) fn note(
        &self,
        name: &str,
        rows: usize,
        answered: &Result<Answered, FunctionFailure>,
    ) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_name.contains_key(name) {
            by_name.insert(name.to_owned(), FunctionTally::default());
        }
        let Some(tally) = by_name.get_mut(name) else {
            return;
        };
        tally.counts.rows += rows as u64;
        match answered {
            Ok(answered) => {
                tally.counts.errors += answered.errors;
                if let Some(told) = answered.told.last() {
                    tally.last_error = Some(told.clone());
                }
            }
            Err(failure) => {
                tally.counts.failures += 1;
                tally.last_error = Some(failure.in_words());
            }
        }
    }

    pub(super) fn all(&self) -> Vec<(String, FunctionTally)> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let all = by_name.iter();
        all.map(|(name, tally)| (name.clone(), tally.clone()))
            .collect()
    }
}
