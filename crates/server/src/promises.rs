//! How promises of reads, triggers and results ended, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::metrics::{head, line};

/// How a promise ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was kept.
    Kept,
    /// It was not, and less was answered, as that was allowed.
    Degraded,
    /// It was not kept in time.
    Unmet,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Kept => "kept",
            Outcome::Degraded => "degraded",
            Outcome::Unmet => "unmet",
        }
    }
}

/// See the module. By level.
#[derive(Debug, Default)]
pub(crate) struct Promises(Mutex<BTreeMap<(&'static str, Outcome), u64>>);

impl Promises {
    /// One more.
    pub(crate) fn add(&self, level: &'static str, outcome: Outcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((level, outcome)).or_default() += 1;
    }

    /// As metrics.
    pub(crate) fn text(&self, text: &mut String) {
        let name = "evenkeel_promises_total";
        let help = "Answers to which more was promised than any cut, by level and how it ended.";
        head(text, name, "counter", help);
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((level, outcome), count) in &*counts {
            let labels = format!("level=\"{level}\",outcome=\"{}\"", outcome.word());
            line(text, &format!("{name}{{{labels}}}"), *count);
        }
    }
}
