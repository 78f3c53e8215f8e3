//! What left the hot tier, from the log: every event again as it was inserted.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_aggregate::Bounds;
use evenkeel_log::{LogReader, ReadOptions};
use evenkeel_store::{ColdEvents, Collect, Kv, Space, StoreError};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, EventTime, LoggedEvent, Offset, SourceId};
use evenkeel_view::{Plan, SourceProgram};
use rustc_hash::FxHashSet;

use super::{Recorded, StoreState};
use crate::error::EngineError;
use crate::ledger::{self, LedgerId};

/// Why events cannot be read.
pub type NotRead = Box<dyn Error + Send + Sync>;

/// The events of sources as they were logged.
pub trait LoggedEvents: Send + Sync + std::fmt::Debug {
    /// Calls `visit` with the events of a source within bounds (of event time and offsets),
    /// each with its number among the events of its source in the order of the log.
    ///
    /// # Errors
    /// If they cannot be read.
    fn each(
        &self,
        source: SourceId,
        bounds: &Bounds,
        visit: &mut dyn FnMut(u64, LoggedEvent) -> Result<(), NotRead>,
    ) -> Result<(), NotRead>;
}

impl LoggedEvents for LogReader {
    fn each(
        &self,
        source: SourceId,
        bounds: &Bounds,
        visit: &mut dyn FnMut(u64, LoggedEvent) -> Result<(), NotRead>,
    ) -> Result<(), NotRead> {
        let (mut after, mut until) = (Cut::empty(), Cut::empty());
        for span in &bounds.offsets {
            after.set_end(source, span.partition, span.first);
            until.set_end(source, span.partition, Offset(span.last.0 + 1));
        }
        let mut events = self
            .read(ReadOptions {
                sources: Some(vec![source]),
                after,
                until: Some(until),
                event_times: Some(EventTime(bounds.first_time)..=EventTime(bounds.last_time)),
                ..ReadOptions::default()
            })
            .numbered();
        while let Some(logged) = events.next() {
            visit(events.number(), logged.map_err(EngineError::log)?)?;
        }
        Ok(())
    }
}

/// No log: for a store that nothing leaves.
#[derive(Debug)]
pub(super) struct NoLog;

impl LoggedEvents for NoLog {
    fn each(
        &self,
        _: SourceId,
        _: &Bounds,
        _: &mut dyn FnMut(u64, LoggedEvent) -> Result<(), NotRead>,
    ) -> Result<(), NotRead> {
        Err("this store has no log".into())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ColdLog {
    kv: Arc<dyn Kv>,
    plan: Arc<Plan>,
    sources: BTreeMap<SourceId, (SourceProgram, LedgerId)>,
    log: Arc<dyn LoggedEvents>,
}

impl ColdLog {
    pub(crate) fn new<'a>(
        kv: Arc<dyn Kv>,
        plan: Arc<Plan>,
        sources: impl IntoIterator<Item = &'a Arc<SourceDef>>,
        state: &StoreState,
        log: Arc<dyn LoggedEvents>,
    ) -> Self {
        let sources = sources.into_iter().map(|def| {
            let program = SourceProgram::new(Arc::clone(def));
            (def.id, (program, state.ledger(def.id)))
        });
        ColdLog {
            kv,
            plan,
            sources: sources.collect(),
            log,
        }
    }

    /// The numbers of a source's events that are contested, as far as it is checkpointed.
    /// What became contested since is marked in what is newer than what left.
    fn contested(&self, ledger: LedgerId) -> Result<FxHashSet<u64>, StoreError> {
        let mut numbers = FxHashSet::default();
        self.kv
            .snapshot()
            .prefix(Space::Contested, &ledger.prefix(), &mut |row, _| {
                numbers.extend(ledger::contested_entry(row));
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(numbers)
    }
}

impl ColdEvents for ColdLog {
    fn read(
        &self,
        index: usize,
        bounds: &Bounds,
        collect: &mut dyn Collect,
    ) -> Result<(), StoreError> {
        let index = &self.plan.indexes()[index];
        let source = index.source().id;
        let cold = |source: NotRead| StoreError::Cold {
            source: source.into(),
        };
        let (program, ledger) = self
            .sources
            .get(&source)
            .ok_or_else(|| cold("its source is not defined any more".into()))?;
        let contested = if bounds.contested {
            self.contested(*ledger)?
        } else {
            FxHashSet::default()
        };
        let schema = &program.def().schema;
        self.log
            .each(source, bounds, &mut |number, mut logged| {
                schema.upgrade(&mut logged).map_err(|e| e.to_string())?;
                let row = program.row(&logged);
                let recorded = Recorded {
                    program,
                    logged: &logged,
                    row: &row,
                    entry: number,
                    contested: contested.contains(&number),
                };
                let time = logged.event.event_time.0;
                if let Some(key) = recorded.key(index)
                    && collect.wants(&key, time, logged.position)
                {
                    let order = recorded.order();
                    recorded.with_entry(index, &order, |entry| collect.take(&key, entry));
                }
                Ok(())
            })
            .map_err(cold)
    }
}
