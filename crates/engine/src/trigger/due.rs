//! Where what streams with timers go by has passed a time (`docs/decisions/0046-promises.md`).
//!
//! By what was logged a watermark only grows, so where it passed a time is found by marks. What is due goes by
//! what holds (`docs/decisions/0042-timers.md`): where the greatest event is removed time goes back, and rows up to one
//! that was passed are not due yet. So from the record on at which all passed by what was logged it is asked record
//! by record. Invariant: the first is found at which both are so, and none is asked that is not applied.

use evenkeel_log::{EventParts, LogReader, ReadOptions, Sequence};
use evenkeel_types::{Cut, EventTime, Offset, SourceId};

use super::waits::{Awaited, READ_AT_ONCE};
use crate::emission::greatest_at;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Online;
use crate::serving::Unmet;

/// See the module.
pub struct DueSearch {
    awaited: Awaited,
    time: EventTime,
    /// Everything before the next record of what streams go by.
    cut: Cut,
    next: u64,
    /// Whether it was asked before the next record.
    is_asked: bool,
}

impl DueSearch {
    /// The search from the record on at which a time was passed by what was logged; none if there is no stream with a
    /// timer, and so nothing to search for.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn behind(
        log: &LogReader,
        awaited: &Awaited,
        (time, passed): (EventTime, u64),
    ) -> Result<Option<Self>, EngineError> {
        let clocks = awaited.clocks();
        if clocks.is_empty() {
            return Ok(None);
        }
        let next = passed + 1;
        let all = log.cut_before(Sequence(next)).map_err(EngineError::log)?;
        let mut cut = Cut::empty();
        for (source, partition, end) in all.iter().filter(|(id, ..)| clocks.contains(id)) {
            cut.set_end(source, partition, end);
        }
        Ok(Some(DueSearch {
            awaited: awaited.clone(),
            time,
            cut,
            next,
            is_asked: false,
        }))
    }

    /// The record, if it is among those that are applied; else the next call goes on behind them.
    ///
    /// # Errors
    /// If it cannot be read; [`EngineError::Stopped`] if it is wanted no more.
    pub fn go_on(
        &mut self,
        online: &impl Online,
        log: &LogReader,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, EngineError> {
        let applied = online.with(Engine::cut);
        if !self.is_asked {
            if !applied.covers(&self.cut) {
                return Ok(None);
            }
            if self.is_due(online)? {
                return Ok(Some(self.next - 1));
            }
            self.is_asked = true;
        }
        let clocks: Vec<SourceId> = self.awaited.clocks().into_iter().collect();
        let no_columns = |id: &SourceId| (*id, EventParts::default());
        let mut events = log.read(ReadOptions {
            parts: clocks.iter().map(no_columns).collect(),
            sources: Some(clocks),
            from: Sequence(self.next),
            ..ReadOptions::default()
        });
        let mut read = 0_usize;
        while let Some(logged) = events.next() {
            let logged = logged.map_err(EngineError::log)?;
            let (source, position) = (logged.source, logged.position);
            if applied.end(source, position.partition) <= position.offset {
                break;
            }
            let end = Offset(position.offset.0 + 1);
            self.cut.set_end(source, position.partition, end);
            let record = events.sequence().0;
            if self.is_due(online)? {
                return Ok(Some(record));
            }
            self.next = record + 1;
            read += 1;
            if read.is_multiple_of(READ_AT_ONCE) && !is_wanted() {
                return Err(EngineError::Stopped);
            }
        }
        Ok(None)
    }

    fn is_due(&self, online: &impl Online) -> Result<bool, EngineError> {
        let unmet = |engine: &Engine| engine.unmet_due(&self.awaited, self.time, &self.cut);
        Ok(online.read_with(unmet)?.is_none())
    }
}

impl Engine {
    /// The first watermark that has not passed a time, where streams with timers go by what holds at a cut.
    fn unmet_due(
        &self,
        awaited: &Awaited,
        time: EventTime,
        cut: &Cut,
    ) -> Result<Option<Unmet>, EngineError> {
        let came = |source| self.hot().source(source)?.greatest_time();
        let mut held = Vec::new();
        for clock in awaited.clocks() {
            held.push((clock, greatest_at(self, clock, cut)?));
        }
        let held = |source: SourceId| {
            let mut held = held.iter();
            held.find(|(clock, _)| *clock == source)?.1
        };
        Ok(awaited.unmet(time, &came, &held))
    }

    /// The first watermark that has not passed a time by what is applied and holds.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn lacks_awaited(
        &self,
        awaited: &Awaited,
        time: EventTime,
    ) -> Result<Option<Unmet>, EngineError> {
        match self.unmet_awaited(awaited, time) {
            Some(unmet) => Ok(Some(unmet)),
            None => self.unmet_due(awaited, time, self.applied()),
        }
    }
}
