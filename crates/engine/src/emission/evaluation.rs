//! The read path of a stream's view, at one cut after the other.
//!
//! What is the same for all events of the trigger is looked for once. Invariant: what an event brings depends
//! on the cut at which it is asked, and on nothing that was asked before.

use std::sync::Arc;

use evenkeel_types::definition::{DerivedDef, SourceDef};
use evenkeel_types::{
    Cut, EventTime, Knowledge, LoggedEvent, Offset, Operation, Partition, SourceCut, SourceId,
    Value, VisibleAt,
};
use evenkeel_view::{CompiledView, Reader, SourceProgram};

use super::brought::{Brought, columns_of, identity_of};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::source_state::{SourceState, Turn};

/// See the module.
pub(super) struct Evaluation<'a> {
    def: &'a SourceDef,
    derived: &'a DerivedDef,
    view: &'a CompiledView,
    /// What is known of the trigger's source; none if it takes no events.
    state: Option<&'a SourceState>,
    trigger: SourceId,
    hot: &'a HotRead<'a>,
    reader: Reader<'a>,
    /// What of the trigger's source is known.
    of_trigger: SourceCut,
    row_bytes_max: usize,
}

impl<'a> Evaluation<'a> {
    /// At a cut.
    ///
    /// # Errors
    /// If the view is not applied.
    pub(super) fn new(
        engine: &'a Engine,
        (def, derived): (&'a SourceDef, &'a DerivedDef),
        hot: &'a HotRead<'a>,
        cut: &Cut,
    ) -> Result<Self, EngineError> {
        let trigger = derived.trigger().source.id;
        Ok(Evaluation {
            def,
            derived,
            view: engine.compiled(&derived.view.digest, &derived.view.name)?,
            state: engine.hot().source(trigger),
            trigger,
            hot,
            reader: Reader::new(hot, &Knowledge::latest(cut.clone())),
            of_trigger: cut.of_source(trigger),
            row_bytes_max: engine.project().limits.row_bytes,
        })
    }

    /// Goes on to where a partition ends elsewhere.
    pub(super) fn set_end(&mut self, source: SourceId, partition: Partition, end: Offset) {
        self.reader.set_end(source, partition, end);
        if source == self.trigger {
            self.of_trigger.set_end(partition, end);
        }
    }

    /// The source row of an event of the trigger; none if its source takes no events.
    pub(super) fn row(&self, trigger: &LoggedEvent) -> Option<Vec<Value>> {
        Some(self.state?.program().row(trigger))
    }

    /// Events with these rows are going to be asked for, in this order: what is in memory for them is brought
    /// closer together.
    pub(super) fn expect(&self, rows: &[Vec<Value>]) {
        self.reader.expect_brought(self.view, rows);
    }

    /// What an event of the trigger, with its source row, changes about its identity; none if that is nothing.
    pub(super) fn brought(
        &self,
        trigger: &LoggedEvent,
        mut row: Vec<Value>,
        due_until: Option<EventTime>,
    ) -> Result<Option<Brought>, EngineError> {
        let Some(state) = self.state else {
            return Ok(None);
        };
        let program = state.program();
        let Some(turn) = state.turn(trigger, &row, &self.of_trigger)? else {
            return Ok(None);
        };
        let is_due = self.derived.is_due(trigger.event.event_time, due_until);
        let (now, before) = match turn {
            // There was none, and there is none yet.
            Turn::Begins if !is_due => return Ok(None),
            Turn::Begins => (true, None),
            Turn::Replaces(before) => (true, Some(before)),
            Turn::Ends(before) => (false, Some(before)),
        };
        let selected = match now && is_due {
            true => self.select(trigger, &mut row)?,
            false => None,
        };
        let known_at = match &selected {
            // A row that is due later than its event is known when that is known.
            // Nor is one with values that nobody can have had before they are recorded.
            Some(selected) if self.derived.timer.is_none() && self.derived.recorded.is_empty() => {
                self.known_before(trigger, &mut row, selected)?
            }
            _ => None,
        };
        Ok(Some(Brought {
            known_at,
            before,
            ..self.row_of(program, (trigger, &row), selected)
        }))
    }

    /// What an event of the trigger that holds brings.
    pub(super) fn again(
        &self,
        trigger: &LoggedEvent,
        due_until: Option<EventTime>,
    ) -> Result<Option<Brought>, EngineError> {
        let Some(state) = self.state else {
            return Ok(None);
        };
        let program = state.program();
        let mut row = program.row(trigger);
        let selected = match self.derived.is_due(trigger.event.event_time, due_until) {
            true => self.select(trigger, &mut row)?,
            false => None,
        };
        // It is what came late that makes the row what it is, so nobody could know it before.
        Ok(Some(self.row_of(program, (trigger, &row), selected)))
    }

    /// What is said of an event of the trigger, as the row of its identity.
    fn row_of(
        &self,
        program: &SourceProgram,
        (trigger, row): (&LoggedEvent, &[Value]),
        selected: Option<Vec<Value>>,
    ) -> Brought {
        let columns = |selected| {
            columns_of(
                self.def,
                program,
                (trigger, row),
                selected,
                self.row_bytes_max,
            )
        };
        Brought {
            id: Arc::from(identity_of(program, trigger, row)),
            time: self.derived.time_of(trigger.event.event_time),
            before: None,
            row: selected.map(columns),
            known_at: None,
        }
    }

    /// The selected columns of the row that an event of the trigger brings; none if it is left out.
    fn select(
        &self,
        trigger: &LoggedEvent,
        row: &mut Vec<Value>,
    ) -> Result<Option<Vec<Value>>, EngineError> {
        let time = self.derived.time_of(trigger.event.event_time);
        self.hot
            .checked(self.reader.brought(self.view, row, time.0))
    }

    /// When the row of a trigger could be known, if the trigger declares when it was: then, if who
    /// had read it then would have had the same.
    fn known_before(
        &self,
        trigger: &LoggedEvent,
        row: &mut Vec<Value>,
        selected: &[Value],
    ) -> Result<Option<VisibleAt>, EngineError> {
        let event = &trigger.event;
        let is_original = event.operation == Operation::Insert && event.revision == 0;
        if event.known_at.is_none() || !is_original {
            return Ok(None);
        }
        let known_at = trigger.visible_at();
        let then = self.reader.as_served(known_at);
        let said = then.brought(self.view, row, event.event_time.0);
        let said = self.hot.checked(said)?;
        let is_same = said.is_some_and(|said| {
            let mut pairs = said.iter().zip(selected);
            pairs.all(|(a, b)| a.same_bits(b))
        });
        Ok(is_same.then_some(known_at))
    }
}
