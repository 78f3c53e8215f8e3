//! The events that a training set is made of, in memory for as long as something still reads them.
//!
//! Owns when a source is read and when it is let go. Where each source stands by itself in the log, it
//! is read when it is asked for first and let go behind the last view that reads it, so that the
//! next one takes its place in memory; where a pass over one would read the others too, all are read at once.
//! Invariant: what is read of a source is the same either way, all at one cut.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use evenkeel_log::EventSource;
use evenkeel_types::{Cut, SourceId};
use evenkeel_view::Uses;

use crate::error::TrainError;
use crate::evaluate::Evaluator;

/// See the module.
pub struct Reading<'a> {
    log: &'a dyn EventSource,
    /// All that will be asked for.
    uses: Uses,
    cut: &'a Cut,
    one_by_one: bool,
    evaluator: Evaluator,
    /// The sources that were read, whether or not they are still there.
    read: BTreeSet<SourceId>,
    events_read: u64,
    events: u64,
}

impl<'a> Reading<'a> {
    /// Of the events of a cut; `uses` is all that will be asked for. Nothing is read yet.
    pub fn new(log: &'a dyn EventSource, uses: Uses, cut: &'a Cut) -> Self {
        let sources: Vec<SourceId> = uses.sources().into_keys().collect();
        let used = cut.iter().filter(|(source, ..)| sources.contains(source));
        Reading {
            events: used.map(|(.., end)| end.0).sum(),
            one_by_one: log.are_apart(&sources),
            log,
            uses,
            cut,
            evaluator: Evaluator::default(),
            read: BTreeSet::new(),
            events_read: 0,
        }
    }

    /// The cut.
    pub fn cut(&self) -> &'a Cut {
        self.cut
    }

    /// What answers over the events that `wanted` reads.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read.
    ///
    /// # Panics
    /// If a source is wanted that was let go, or that was not among the uses.
    pub fn with(
        &mut self,
        wanted: &Uses,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<&Evaluator, TrainError> {
        let wanted = wanted.sources().into_keys();
        let missing: BTreeSet<SourceId> = wanted.filter(|id| self.read.insert(*id)).collect();
        if missing.is_empty() {
            return Ok(&self.evaluator);
        }
        let mut sources = self.uses.sources();
        if self.one_by_one {
            sources.retain(|id, _| missing.contains(id));
        }
        self.read.extend(sources.keys());
        let before = self.events_read;
        let mut reach = |read| {
            self.events_read = before + read;
            progress("reading the log", self.events_read, self.events)
        };
        let loaded = Evaluator::load_sources(self.log, sources, self.cut, &mut reach)?;
        self.evaluator.extend(loaded);
        Ok(&self.evaluator)
    }

    /// Lets go of every source that `later` does not read; those that it reads.
    pub(crate) fn keep(&mut self, later: &Uses) -> BTreeSet<SourceId> {
        let later: BTreeSet<SourceId> = later.sources().into_keys().collect();
        self.evaluator.retain(|source| later.contains(&source));
        later
    }
}
