//! An engine that emits by itself: what it logged, behind each write.
//!
//! One thread settles, logs and applies; another evaluates what comes next meanwhile, and both have the engine in
//! turns. Invariant: nobody evaluates while something is applied.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;

use evenkeel_types::definition::SourceDef;

use super::ahead::OF_A_THREAD_MIN;
use super::{Emitter, Next, emits};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Online;

/// An engine whose events are applied by one thread, and read by several.
struct Turns<'e>(RwLock<&'e mut Engine>);

impl<'e> Turns<'e> {
    fn engine_mut(&self) -> RwLockWriteGuard<'_, &'e mut Engine> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Online for Turns<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Emits what is logged and not emitted yet. What goes wrong is told by
    /// [`Engine::emission_failure`], and tried again with the next write.
    pub(crate) fn emit(&mut self) {
        // Behind an event that could not be applied nothing is.
        if !emits(self.catalog()) || self.needs_healing() {
            return;
        }
        let mut emitter = std::mem::take(self.emitter_mut());
        match self.emit_all(&mut emitter) {
            Ok(()) => *self.emitter_mut() = emitter,
            Err(error) => self.note_emission(Some(&error)),
        }
    }

    /// How many pieces of the log were taken for derived streams before it was their turn, by this engine itself.
    pub fn pieces_ahead(&self) -> u64 {
        self.emitter().ahead.pieces()
    }

    /// Whether it is known how far an emitter has come.
    pub fn is_emitted(&self, emitter: &Emitter) -> bool {
        self.emission_failure().is_none()
            && *self.reached() == emitter.reached
            && *self.emission_failures() == emitter.failures()
            && self.backfilling() == emitter.backfilling().as_ref()
    }

    /// Takes down how far an emitter has come, for the next checkpoint, and what went wrong.
    pub fn emitted(&mut self, emitter: &Emitter) {
        self.note_emission(None);
        self.set_emission_failures(emitter.failures());
        self.set_backfilling(emitter.backfilling());
        self.set_reached(emitter.reached.clone());
    }

    fn emit_all(&mut self, emitter: &mut Emitter) -> Result<(), EngineError> {
        let log = self.writer()?;
        // What is stuck lags for ever, and what waits for it; timers and functions are nothing to help with.
        let may_help = !self.is_emission_stuck() && self.catalog().functions.is_empty();
        let is_much = |def: &Arc<SourceDef>| {
            let derived = def.derived.as_ref();
            derived.is_some_and(|derived| derived.timer.is_none())
                && self.emission_lag(def) >= OF_A_THREAD_MIN as u64
        };
        let is_much = may_help && self.catalog().emitting().any(is_much);
        let ahead = Arc::clone(&emitter.ahead);
        let turns = Turns(RwLock::new(self));
        thread::scope(|scope| {
            let _helped = is_much.then(|| ahead.helped_by(scope, &turns));
            loop {
                let next = emitter.next(&turns);
                let is_end = matches!(next, Next::End);
                let commit = match next {
                    Next::Emissions(judged) => Some(judged.append(&log)?),
                    Next::Calls(calls) => {
                        emitter.answered(calls.run());
                        None
                    }
                    Next::Nothing | Next::End => None,
                };
                let mut engine = turns.engine_mut();
                if let Some(mut commit) = commit {
                    while engine.apply_some(&mut commit, usize::MAX)? {}
                    emitter.done();
                }
                engine.emitted(emitter);
                if is_end {
                    return Ok(());
                }
                // If it fails, the next write finds the hot tier closed.
                let _ = engine.checkpoint_if_due();
            }
        })
    }
}
