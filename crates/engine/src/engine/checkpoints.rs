//! When what is in memory goes to the hot tier's store: everything applied, all at once or to be
//! written beside reads and pushes.
//!
//! Invariant: one checkpoint at a time, and none that stands for a conflict whose dead letter is
//! not logged.

use evenkeel_store::StoreError;

use super::Engine;
use crate::error::EngineError;
use crate::hot_store::{Checkpoint, CheckpointWritten, SpentCheckpoint};

/// Records between two marks of how far the times of events had come, about.
const MARK_RECORDS: u64 = 1_024;

impl Engine {
    /// Begins a checkpoint of everything applied, if it is due: to be written without a hold on
    /// the engine, then ended. One at a time.
    pub fn begin_checkpoint_if_due(&mut self) -> Option<Checkpoint> {
        if self.is_checkpoint_due() {
            self.begin_checkpoint_now()
        } else {
            None
        }
    }

    /// Whether half of what may be new is: time for a checkpoint. The other half is for what
    /// comes while it is written; when that is full too, whoever writes must wait for its end.
    pub fn is_checkpoint_due(&self) -> bool {
        self.hot.dirty_bytes() > self.limits.dirty_bytes / 2
    }

    /// Whether enough is new for a checkpoint of somebody who takes many rows and has none under way:
    /// while it is written, the next are taken, and at the end less is left to be waited for.
    pub(crate) fn is_checkpoint_worth_it(&self) -> bool {
        self.hot.dirty_bytes() > self.limits.dirty_bytes / 4
    }

    /// About the bytes in memory that no checkpoint has, and those that one writes now.
    pub fn unwritten_bytes(&self) -> (usize, usize) {
        (self.hot.dirty_bytes(), self.hot.frozen_bytes())
    }

    fn can_begin_checkpoint(&self) -> bool {
        self.is_durable() && self.hot_failure.is_none() && !self.checkpointing
    }

    /// The same however little is new; none if one is under way.
    pub fn begin_checkpoint_now(&mut self) -> Option<Checkpoint> {
        let can = self.can_begin_checkpoint() && self.untold.is_empty();
        can.then(|| self.begin_checkpoint())
    }

    /// Whether a checkpoint was begun and has not ended.
    pub(crate) fn is_checkpointing(&self) -> bool {
        self.checkpointing
    }

    /// Takes a mark every so many records, if everything that is logged is applied.
    pub(crate) fn mark_if_due(&mut self) {
        let reader = self.reader();
        // It is asked before the ends are: what somebody appends in between is behind it.
        let next = reader.next_sequence().0;
        let is_due = next.saturating_sub(self.hot.marked_until()) >= MARK_RECORDS;
        if is_due && self.applied.covers(&reader.ends()) {
            self.hot.mark(next);
        }
    }

    fn begin_checkpoint(&mut self) -> Checkpoint {
        let reader = self.reader();
        // Where the log goes on, if everything before is applied. It is asked before the ends
        // are: what somebody appends in between is behind it.
        let next = reader.next_sequence().0;
        let next_sequence = if self.applied.covers(&reader.ends()) {
            self.hot.mark(next);
            next
        } else {
            self.hot.state().next_sequence
        };
        let applied = self.applied.clone();
        let covered = self.cold_tier().known_covered(&self.reader().ends());
        self.hot.set_covered(covered);
        self.checkpointing = true;
        self.hot.begin_checkpoint(&applied, next_sequence)
    }

    /// Ends a checkpoint that was written.
    pub fn end_checkpoint(&mut self, written: CheckpointWritten) -> SpentCheckpoint {
        self.checkpointing = false;
        self.failures = 0;
        self.hot.end_checkpoint(written)
    }

    /// Tells that a checkpoint could not be written: reads go on, and before anything more is
    /// written the hot tier is opened again ([`Engine::heal`]).
    pub fn checkpoint_failed(&mut self, error: &StoreError) {
        self.checkpointing = false;
        self.fail(error.to_string(), false);
    }

    /// A checkpoint of everything applied, all at once: what is opened next has nothing to
    /// replay, and opens quickly.
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        self.heal()?;
        let is_new = self.hot.dirty_bytes() > 0 || self.hot.reached() != &self.hot.state().emitted;
        if self.is_durable() && !self.checkpointing && is_new {
            self.tell()?;
            let checkpoint = self.begin_checkpoint();
            self.finish_checkpoint(checkpoint)?;
        }
        // If it fails, what is opened next takes longer to open.
        let _ = self.hot.kv().settle();
        Ok(())
    }

    /// [`Engine::checkpoint`], if as much is new as may be.
    pub(crate) fn checkpoint_if_due(&mut self) -> Result<(), EngineError> {
        if !self.can_begin_checkpoint() || self.hot.dirty_bytes() <= self.limits.dirty_bytes {
            return Ok(());
        }
        self.tell()?;
        match self.begin_checkpoint_now() {
            Some(checkpoint) => self.finish_checkpoint(checkpoint),
            None => Ok(()),
        }
    }

    fn finish_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), EngineError> {
        match checkpoint.write() {
            Ok(written) => {
                self.end_checkpoint(written);
                Ok(())
            }
            Err(error) => {
                self.checkpoint_failed(&error);
                Err(error.into())
            }
        }
    }
}
