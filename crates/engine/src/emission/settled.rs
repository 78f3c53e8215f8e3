//! Emissions: what is said under the identity of a trigger, by what was said last.
//!
//! What holds under that identity decides: a row that was not there is emitted, one that took the place of
//! another is emitted again with the next revision, one that is gone or left out is withdrawn. Invariant:
//! the versions of an identity are in their order, and each has the row before it.

use std::sync::Arc;

use evenkeel_log::OWN_POSITION;
use evenkeel_store::StoreError;
use evenkeel_types::{Event, EventTime, Operation, SourceId, Value, VisibleAt};
use evenkeel_view::SourceProgram;

use super::PARTITION;
use super::brought::{Brought, OWN_COLUMNS, is_same};
use super::row::Rows;
use super::said::Said;
use super::size::bytes_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::Group;
use crate::ingest::fetch;
use crate::ledger::{IdentityKey, identity_key};
use crate::offline::Online;
use crate::push::Judged;
use crate::recorder::Recordable;
use crate::source_state::Newest;

/// So many emissions are judged under one hold of the engine.
const JUDGED_AT_ONCE: usize = 256;

/// The identity of a trigger, as emissions have it.
pub(super) struct Named {
    pub(super) id: Arc<[u8]>,
    pub(super) time: EventTime,
    /// Both, as the ledger has them.
    pub(super) key: IdentityKey,
}

impl Named {
    /// Of a stream.
    pub(super) fn of(stream: &SourceProgram, id: &Arc<[u8]>, time: EventTime) -> Self {
        // The identity is the first column, and the event id.
        let row = [Value::Bytes(Arc::clone(id))];
        let identity = stream.identity_at(&row, &OWN_POSITION, time.0);
        Named {
            id: Arc::clone(id),
            time,
            key: identity_key(stream.def().id, time.0, &identity),
        }
    }
}

/// What was emitted last under an identity.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    pub(super) revision: u32,
    /// The row as it is logged; of one that was withdrawn only if it has values that are recorded.
    pub(super) row: Vec<Value>,
    /// Whether it was withdrawn.
    pub(super) is_withdrawn: bool,
}

impl Latest {
    fn holding(&self) -> Option<&[Value]> {
        (!self.is_withdrawn).then_some(&*self.row)
    }
}

impl Rows<'_> {
    /// Emits what a trigger brings by what is known now, if that is not what was emitted last; of what
    /// keeps, if nothing was.
    pub(super) fn settle_other(
        &mut self,
        online: &impl Online,
        record: u64,
        brought: Brought,
        keeps: bool,
    ) -> Result<(), EngineError> {
        let named = Named::of(self.program, &brought.id, brought.time);
        let latest = self.latest_of(online, &named)?;
        let emitted = latest.as_ref().and_then(Latest::holding);
        if keeps && emitted.is_some() {
            return Ok(());
        }
        let row = match brought.row {
            Some(row) => Some(self.completed(online, record, &named, row, latest.as_ref())?),
            None => None,
        };
        self.settle_completed(record, named, row, latest);
        Ok(())
    }

    /// Emits a row that is complete, if it is another one than what was emitted last.
    pub(super) fn settle_completed(
        &mut self,
        record: u64,
        named: Named,
        row: Option<Vec<Value>>,
        latest: Option<Latest>,
    ) {
        let emitted = latest.as_ref().and_then(Latest::holding);
        let is_same = match (emitted, &row) {
            (None, None) => true,
            (Some(emitted), Some(row)) => is_same(&emitted[OWN_COLUMNS..], row),
            _ => false,
        };
        if !is_same {
            self.emit(record, named, row, latest, None);
        }
    }

    /// Emits a row that is complete, or that there is none any more; the first row may have been known before
    /// it is logged.
    pub(super) fn emit(
        &mut self,
        record: u64,
        named: Named,
        row: Option<Vec<Value>>,
        latest: Option<Latest>,
        known_at: Option<VisibleAt>,
    ) {
        let Named { id, time, key } = named;
        let revision = latest
            .as_ref()
            .map_or(0, |latest| latest.revision.saturating_add(1));
        let is_first = latest.is_none();
        let before = latest.filter(|latest| !latest.is_withdrawn);
        let before = before.map(|latest| latest.row);
        let (operation, row) = match (row, &before) {
            (None, None) => return,
            (None, Some(row)) => (Operation::Remove, row.clone()),
            (Some(selected), _) => {
                let operation = match is_first {
                    true => Operation::Insert,
                    false => Operation::Replace,
                };
                let mut row = Vec::with_capacity(OWN_COLUMNS + selected.len());
                row.extend([Value::Bytes(id), Value::Timestamp(time.0)]);
                row.extend(selected);
                (operation, row)
            }
        };
        let event = Event {
            operation,
            revision,
            event_time: time,
            known_at: known_at.filter(|_| operation == Operation::Insert),
            origin: self.origins.of(record),
            row,
            before: before.filter(|_| operation == Operation::Replace),
        };
        self.latest.insert(key, Said::Here(self.events.len()));
        self.bytes += bytes_of(&event);
        self.events.push(event);
    }

    /// What is newest under an identity that the commit has to do with; none if it has not.
    fn said(&self, key: &IdentityKey) -> Option<Latest> {
        Some(match self.latest.get(key)? {
            Said::Before(latest) => latest.clone(),
            Said::Here(number) => {
                let event = &self.events[*number];
                Latest {
                    revision: event.revision,
                    row: event.row.clone(),
                    is_withdrawn: event.operation == Operation::Remove,
                }
            }
        })
    }

    /// What was emitted last under an identity, if anything was.
    pub(super) fn latest_of(
        &self,
        online: &impl Online,
        named: &Named,
    ) -> Result<Option<Latest>, EngineError> {
        if let Some(latest) = self.said(&named.key) {
            return Ok(Some(latest));
        }
        let newest = online.with(|engine| newest_of(engine, self.def.id, &named.key))?;
        self.read_newest(newest)
    }

    fn read_newest(&self, newest: Option<Newest>) -> Result<Option<Latest>, EngineError> {
        let Some(newest) = newest else {
            return Ok(None);
        };
        let Newest {
            revision,
            position,
            removed,
        } = newest;
        let row = match self.is_needed(&newest) {
            true => fetch(self.log, self.def, position)?.event.row,
            false => Vec::new(),
        };
        Ok(Some(Latest {
            revision,
            row,
            is_withdrawn: removed,
        }))
    }

    /// Whether the row of an emission matters: of one that was withdrawn only what is recorded in it.
    pub(super) fn is_needed(&self, newest: &Newest) -> bool {
        !newest.removed || !self.derived.recorded.is_empty()
    }

    /// The commit of what was emitted; none if that is nothing.
    ///
    /// # Errors
    /// If what is known of identities cannot be read.
    pub(super) fn judge(self, online: &impl Online) -> Result<Option<Judged>, EngineError> {
        if self.events.is_empty() {
            return Ok(None);
        }
        let mut group = Group::default();
        group.expect(self.events.len());
        let mut events = self.events.into_iter().peekable();
        while events.peek().is_some() {
            online.with(|engine| {
                for event in events.by_ref().take(JUDGED_AT_ONCE) {
                    let recordable = Recordable::of(self.program, event, PARTITION);
                    group.accept(engine, self.def, recordable)?;
                }
                Ok::<_, EngineError>(())
            })?;
        }
        Ok(Some(Judged::of(group, self.earlier)))
    }
}

/// What was emitted last under an identity of a stream.
///
/// # Errors
/// If what is known of it cannot be read.
pub(super) fn newest_of(
    engine: &Engine,
    stream: SourceId,
    key: &IdentityKey,
) -> Result<Option<Newest>, StoreError> {
    match engine.hot().source(stream) {
        Some(state) => state.newest(key),
        None => Ok(None),
    }
}
