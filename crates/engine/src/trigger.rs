//! A trigger: an event that is logged, and what a service says of it at its own place in the
//! log (`docs/decisions/0033`).
//!
//! Invariant: a result is a function of the event's position, the version of what is asked, and what it waits
//! for. So nothing of it is stored, and it is the same however often and whenever it is asked for.

mod due;
mod past;
mod result_id;
mod waits;

use std::sync::Arc;

use evenkeel_log::{LogReader, Sequence};
use evenkeel_types::definition::{ServiceDef, SourceDef};
use evenkeel_types::{Cut, EventTime, Field, Knowledge, Offset, Position, Value, VisibleAt};
use evenkeel_view::SourceProgram;

pub use self::due::DueSearch;
pub use self::past::PastDefinitions;
pub use self::result_id::{Asked, ResultId};
pub use self::waits::{Awaited, TriggerPromise, Waits, WaitsError};
use crate::answers::Answers;
use crate::batch::refuse_by_hand;
use crate::emission::{PARTITION, emitted_until};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ingest::fetch;
use crate::push::{PushAnswer, PushedRow, Pusher, TriggerRow, Triggered, Write, Written};
use crate::serving::{ReadPlan, Unmet};

const HOUR_MICROS: i64 = 3_600_000_000;

/// An event that is in the log, to be answered.
#[derive(Clone, Debug)]
pub struct Trigger {
    source: Arc<SourceDef>,
    position: Position,
    event_time: EventTime,
    /// The source row.
    row: Vec<Value>,
    cut: Cut,
    /// The number in the log of the last record in the cut: its own, until it waited.
    record: u64,
}

/// What became of a trigger, with its answer.
#[derive(Clone, Debug)]
pub struct TriggerAnswer {
    /// What became of its row.
    pub push: PushAnswer,
    /// Its result; none if the row is no event.
    pub result: Option<TriggerResult>,
}

/// What a service says of a trigger.
#[derive(Clone, Debug)]
pub struct TriggerResult {
    /// Its name.
    pub id: ResultId,
    /// The event.
    pub trigger: Trigger,
    /// The inputs of the service.
    pub inputs: Vec<Value>,
    /// One row.
    pub answers: Answers,
    /// What it waits for and does not know: then it is the answer at the event's own place.
    pub degraded: Option<Unmet>,
}

impl Trigger {
    /// What was logged just now; none if it was logged before or the source changed since its
    /// row was made: then it is to be found in the log. `stored` are the row's stored columns.
    pub fn logged(
        engine: &Engine,
        source: &Arc<SourceDef>,
        stored: &[Value],
        triggered: &Triggered,
    ) -> Option<Trigger> {
        let program = engine.hot().source(source.id)?.program();
        let now = program.def();
        let is_same =
            now.digest == source.digest && now.schema.version() == source.schema.version();
        let row = program.columns(stored);
        let Value::Timestamp(time) = row[source.event_time] else {
            return None;
        };
        let (cut, record) = triggered.known.clone()?;
        is_same.then_some(Trigger {
            source: Arc::clone(source),
            position: triggered.at?,
            event_time: EventTime(time),
            row,
            cut,
            record,
        })
    }

    /// The event at a position, and the time of the apply timeline there.
    ///
    /// # Errors
    /// [`EngineError::NoTrigger`]; if the log cannot be read.
    pub fn find(
        log: &LogReader,
        source: &Arc<SourceDef>,
        position: Position,
    ) -> Result<(Trigger, VisibleAt), EngineError> {
        let none = || EngineError::NoTrigger {
            source_name: source.name.clone(),
            position,
        };
        let sequence = log
            .sequence(source.id, position)
            .map_err(EngineError::log)?;
        let Sequence(number) = sequence.ok_or_else(none)?;
        let logged = fetch(log, source, position)?;
        if logged.event.revision > 0 || logged.event.operation.is_correction() {
            return Err(none());
        }
        let cut = log.cut_before(Sequence(number + 1));
        let trigger = Trigger {
            source: Arc::clone(source),
            position,
            event_time: logged.event.event_time,
            row: SourceProgram::new(Arc::clone(source)).columns(&logged.event.row),
            cut: cut.map_err(EngineError::log)?,
            record: number,
        };
        Ok((trigger, logged.logged_at))
    }

    /// The source.
    pub fn source(&self) -> &Arc<SourceDef> {
        &self.source
    }

    /// Where it is.
    pub fn position(&self) -> Position {
        self.position
    }

    /// `t`: its own time.
    pub fn event_time(&self) -> EventTime {
        self.event_time
    }

    /// `K_e`: everything that was logged up to it, and the event; behind [`Trigger::with_emissions`]
    /// also what derived streams emitted for all of that.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The number in the log of the record that its cut ends with, itself or a later one: derived streams that are
    /// read must have emitted for it.
    pub fn record(&self) -> u64 {
        self.record
    }

    /// The trigger with what derived streams emitted for it and for everything before it, however much
    /// of that shared its commit. They must have ([`Engine::unmet_emissions`]). It needs no engine, as it reads
    /// the log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn with_emissions(
        mut self,
        log: &LogReader,
        sources: &[Arc<SourceDef>],
    ) -> Result<Trigger, EngineError> {
        for stream in sources.iter().filter(|def| def.derived.is_some()) {
            let end = emitted_until(log, stream, self.record)?;
            self.cut.set_end(stream.id, PARTITION, Offset(end));
        }
        Ok(self)
    }

    /// The inputs of a service: what the row has under their names.
    ///
    /// # Errors
    /// [`EngineError::TriggerInput`].
    pub fn inputs(&self, service: &ServiceDef) -> Result<Vec<Value>, EngineError> {
        let inputs = service.inputs.iter();
        inputs
            .map(|field| Ok(self.row[input_slot(&self.source, field)?].clone()))
            .collect()
    }

    /// Refuses a result that is kept no more.
    ///
    /// # Errors
    /// [`EngineError::ResultGone`].
    pub fn refuse_gone(
        &self,
        logged_at: VisibleAt,
        now: EventTime,
        kept_hours: u32,
    ) -> Result<(), EngineError> {
        let kept = i64::from(kept_hours).saturating_mul(HOUR_MICROS);
        if now.0.saturating_sub(logged_at.0) <= kept {
            return Ok(());
        }
        Err(EngineError::ResultGone {
            source_name: self.source.name.clone(),
            position: self.position,
            kept_hours,
        })
    }
}

/// Refuses to trigger what nobody pushes to, or what could not be answered: nothing is logged for it.
///
/// # Errors
/// [`EngineError::OnlyRuns`], [`EngineError::TriggerInput`].
pub fn refuse_trigger(source: &SourceDef, service: &ServiceDef) -> Result<(), EngineError> {
    refuse_by_hand(source)?;
    let mut inputs = service.inputs.iter();
    inputs.try_for_each(|field| input_slot(source, field).map(|_| ()))
}

fn input_slot(source: &SourceDef, field: &Field) -> Result<usize, EngineError> {
    let mut columns = source.columns.iter();
    let found = columns.position(|c| c.name == field.name && c.data_type == field.data_type);
    found.ok_or_else(|| EngineError::TriggerInput {
        source_name: source.name.clone(),
        input: field.name.clone(),
        data_type: field.data_type.to_string(),
    })
}

impl Engine {
    /// [`Engine::trigger_with`], at the event's own place in the log.
    ///
    /// # Errors
    /// Of the same.
    pub fn trigger(
        &mut self,
        pusher: &mut Pusher,
        source: &Arc<SourceDef>,
        row: PushedRow,
        asked: &Asked,
    ) -> Result<TriggerAnswer, EngineError> {
        self.trigger_with(pusher, source, row, asked, &TriggerPromise::default())
    }

    /// Logs a row and answers what a service says of it, with what was promised. A row that
    /// was logged before is answered as it was.
    ///
    /// # Errors
    /// [`EngineError::TriggerInput`], [`WaitsError::NotRead`]: nothing is logged; as of [`Engine::write`];
    /// [`WaitsError::NotPassed`], or if what the answer needs cannot be read: then it is logged, and sent again
    /// it is answered.
    pub fn trigger_with(
        &mut self,
        pusher: &mut Pusher,
        source: &Arc<SourceDef>,
        row: impl Into<TriggerRow>,
        asked: &Asked,
        promise: &TriggerPromise,
    ) -> Result<TriggerAnswer, EngineError> {
        let service = self.asked(asked)?;
        refuse_trigger(source, &service)?;
        let plan = ReadPlan::new(service);
        let awaited = self.awaited(&plan, promise)?;
        let row = row.into();
        let stored = row.row.values.clone().unwrap_or_default();
        let write = Write::Trigger {
            source: Arc::clone(source),
            row,
        };
        let Written::Triggered(triggered) = self.write(pusher, write)? else {
            unreachable!("a trigger is answered as one");
        };
        let result = match triggered.at {
            None => None,
            Some(position) => {
                let trigger = match Trigger::logged(self, source, &stored, &triggered) {
                    Some(trigger) => trigger,
                    None => Trigger::find(self.reader(), &self.source(&source.name)?, position)?.0,
                };
                let waits = awaited.as_ref().map(Awaited::waits);
                let id = ResultId {
                    waits,
                    ..ResultId::of(&trigger, asked)
                };
                Some(self.result_of(id, trigger, &plan, awaited.as_ref(), promise.degraded)?)
            }
        };
        Ok(TriggerAnswer {
            push: triggered.push,
            result,
        })
    }

    /// [`Engine::result_with`], or an error.
    ///
    /// # Errors
    /// Of the same.
    pub fn result(&self, id: &ResultId) -> Result<TriggerResult, EngineError> {
        self.result_with(id, false)
    }

    /// The result of a name; with `degraded`, rather that at the event's own place than none.
    ///
    /// # Errors
    /// [`EngineError::NoTrigger`], [`EngineError::ResultGone`], [`WaitsError::NotPassed`]; if something it names
    /// is not known, or it cannot be read.
    pub fn result_with(&self, id: &ResultId, degraded: bool) -> Result<TriggerResult, EngineError> {
        let source = self.source(&id.source)?;
        let plan = ReadPlan::new(self.asked(&id.asked)?);
        let (trigger, logged_at) = Trigger::find(self.reader(), &source, id.position)?;
        let kept_hours = self.project().limits.results_kept_hours;
        trigger.refuse_gone(logged_at, self.now(), kept_hours)?;
        let awaited = match &id.waits {
            None => None,
            Some(waits) => Some(match self.awaited_now(&plan, waits)? {
                Some(now) => now,
                None => {
                    let past = self.past_definitions(&plan, waits);
                    past.awaited(&plan, waits, &id.to_string())?
                }
            }),
        };
        self.result_of(id.clone(), trigger, &plan, awaited.as_ref(), degraded)
    }

    fn result_of(
        &self,
        id: ResultId,
        trigger: Trigger,
        plan: &ReadPlan,
        awaited: Option<&Awaited>,
        degraded: bool,
    ) -> Result<TriggerResult, EngineError> {
        let (trigger, lacks) = match awaited {
            None => (trigger, None),
            Some(awaited) => self.once_passed(trigger, awaited)?,
        };
        if let (Some(unmet), false) = (&lacks, degraded) {
            return Err(EngineError::Waits(WaitsError::NotPassed {
                result: id.to_string(),
                unmet: Box::new(unmet.clone()),
            }));
        }
        let record = trigger.record + 1;
        if let Some(unmet) = self.unmet_emissions(plan.sources(), record) {
            return Err(EngineError::NotEmitted {
                result: id.to_string(),
                unmet: Box::new(unmet),
            });
        }
        let trigger = trigger.with_emissions(self.reader(), plan.sources())?;
        let inputs = trigger.inputs(plan.service())?;
        let answers = self.read_trigger(plan, &trigger, &inputs)?;
        Ok(TriggerResult {
            id,
            trigger,
            inputs,
            answers,
            degraded: lacks,
        })
    }

    /// Reads a planned service at a trigger's own time and cut.
    ///
    /// # Errors
    /// As of [`Engine::read`].
    pub fn read_trigger(
        &self,
        plan: &ReadPlan,
        trigger: &Trigger,
        inputs: &[Value],
    ) -> Result<Answers, EngineError> {
        let knowledge = Knowledge {
            cut: trigger.cut.clone(),
            known_at: None,
        };
        self.refuse_beyond(&knowledge.cut)?;
        self.read(plan, &[inputs.to_vec()], trigger.event_time, &knowledge)
    }
}
