//! A call: features read with one row more than is logged (`docs/decisions/0031`).
//!
//! Invariant: a call changes nothing, and what it answers is what a read at the row's time
//! would, had the row been logged behind everything that is.

use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_log::OWN_POSITION;
use evenkeel_types::definition::{RecordedCall, ServiceDef, SourceDef};
use evenkeel_types::{
    Cut, EventTime, Field, Knowledge, LoggedEvent, Offset, Origin, Partition, Position, SourceCut,
    SourceId, Value, VisibleAt,
};
use evenkeel_view::{IndexId, Plan, ReadError, Reader, Store};

use crate::answers::Answers;
use crate::emission::{emission_of, in_order, with_read};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::{HotRead, HotStore, Recorded};
use crate::reads::refuse_derived;
use crate::recorder::{Recorder, Verdict};
use crate::serving::ReadPlan;
use crate::source_state::Standing;

/// The partition of the row: the number is kept for what has no place of its own.
const PARTITION: Partition = Partition(u32::MAX);
/// Sorts behind every order of an event: none begins with such a byte.
const LAST: [u8; 9] = [0xff; 9];

/// A row that is known to one read.
#[derive(Clone, Debug)]
pub struct Call {
    source: Arc<SourceDef>,
    logged: LoggedEvent,
    /// The source row.
    row: Vec<Value>,
    is_known: bool,
}

/// What became of a row that a request brings.
#[derive(Clone, Debug)]
pub enum Called {
    /// It would be an event.
    Row(Box<Call>),
    /// The source's `WHERE` leaves it out.
    LeftOut,
    /// It is no event of the source.
    Rejected {
        /// The reason as a word.
        code: &'static str,
        /// The reason.
        reason: String,
    },
}

impl Call {
    /// The source.
    pub fn source(&self) -> &Arc<SourceDef> {
        &self.source
    }

    /// `t`: the row's own time.
    pub fn event_time(&self) -> EventTime {
        self.logged.event.event_time
    }

    /// Whether its identity was logged before: then that event counts, and this one does not.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The inputs of a service: what is given of them, else what the row has under that name.
    ///
    /// # Errors
    /// [`EngineError::CallInput`] if one is neither.
    pub fn inputs(
        &self,
        service: &ServiceDef,
        given: &[(String, Value)],
    ) -> Result<Vec<Value>, EngineError> {
        let input = |field: &Field| {
            let given = given.iter().find(|(name, _)| *name == field.name);
            let value = given.map(|(_, value)| value).or_else(|| self.column(field));
            value.cloned().ok_or_else(|| EngineError::CallInput {
                source_name: self.source.name.clone(),
                input: field.name.clone(),
            })
        };
        service.inputs.iter().map(input).collect()
    }

    /// The value of a column of the source, if it has one of that name and type.
    fn column(&self, field: &Field) -> Option<&Value> {
        let slot =
            self.source.columns.iter().position(|column| {
                column.name == field.name && column.data_type == field.data_type
            })?;
        self.row.get(slot)
    }
}

impl Engine {
    /// Judges a row of stored columns as if it were pushed now; `origin` is the producer's, if
    /// it counts.
    ///
    /// # Errors
    /// If the source was changed since, or what is known of the row's identity cannot be read.
    pub fn call(
        &self,
        source: &Arc<SourceDef>,
        stored: Vec<Value>,
        origin: Option<Origin>,
    ) -> Result<Called, EngineError> {
        refuse_derived(source)?;
        let now = self.catalog().source_by_id(source.id);
        let is_current = now.is_some_and(|now| {
            now.digest == source.digest && now.schema.version() == source.schema.version()
        });
        if !is_current {
            return Err(EngineError::SourceChanged {
                source_name: source.name.clone(),
            });
        }
        let recorder = Recorder::new(Arc::clone(source), self.project().limits.row_bytes)?;
        let logged_at = VisibleAt(self.timeline().0.max(self.now().0));
        let origin = origin.unwrap_or(OWN_POSITION);
        let mut recordable = match recorder.judge(stored, origin, logged_at) {
            Verdict::Event(recordable) => *recordable,
            Verdict::LeftOut => return Ok(Called::LeftOut),
            Verdict::Rejected { code, reason, .. } => {
                return Ok(Called::Rejected { code, reason });
            }
        };
        let is_known = match (self.hot().source(source.id), &mut recordable.marks) {
            (Some(state), Some(marks)) => {
                let partition = recordable.partition.0;
                let standing = state.standing(marks, &recordable.event, partition)?;
                standing != Standing::New
            }
            _ => false,
        };
        let logged = LoggedEvent {
            source: source.id,
            position: Position {
                partition: PARTITION,
                offset: Offset(0),
            },
            logged_at,
            schema_version: source.schema.version(),
            event: recordable.event,
        };
        let mut row = recordable.row;
        row[source.visible_at_slot()] = Value::Timestamp(logged.visible_at().0);
        Ok(Called::Row(Box::new(Call {
            source: Arc::clone(source),
            logged,
            row,
            is_known,
        })))
    }

    /// Reads rows of a planned service at a call's time with its row known: one value per
    /// input each.
    ///
    /// # Errors
    /// As of [`Engine::read`].
    pub fn read_call(
        &self,
        plan: &ReadPlan,
        call: &Call,
        rows: &[Vec<Value>],
        cut: &Cut,
    ) -> Result<Answers, EngineError> {
        let hot = HotRead::of(self.hot());
        let mut store = WithCall {
            hot: &hot,
            sources: self.hot(),
            rows: Vec::new(),
        };
        let mut knowledge = Knowledge::latest(cut.clone());
        if !call.is_known && !self.would_drop(call, cut)? {
            store.rows.push((call.logged.clone(), call.row.clone()));
            knowledge.cut.set_end(call.source.id, PARTITION, Offset(1));
            self.emit_within(plan, &mut store, &mut knowledge)?;
        }
        let reader = Reader::new(&store, &knowledge);
        let mut answers = Answers::new(plan);
        self.read_with(plan, rows, call.event_time(), &hot, reader, &mut answers)?;
        Ok(answers)
    }
}

impl Engine {
    /// Whether the row would be no event of its source, as another of its id precedes it.
    fn would_drop(&self, call: &Call, cut: &Cut) -> Result<bool, EngineError> {
        let id = call.source.id;
        Ok(match self.hot().source(id) {
            Some(state) => state.would_drop(&call.logged.event, &call.row, &cut.of_source(id))?,
            None => false,
        })
    }

    /// Lays over what derived streams that are read would emit for the rows that are laid over.
    fn emit_within(
        &self,
        plan: &ReadPlan,
        store: &mut WithCall<'_>,
        knowledge: &mut Knowledge,
    ) -> Result<(), EngineError> {
        let ordered = in_order(self.catalog());
        let asked = plan.sources().iter().map(|source| source.id).collect();
        let read = with_read(&ordered, &asked);
        let emits = |def: &&Arc<SourceDef>| read.contains(&def.id) && !def.has_ended();
        for def in ordered.iter().filter(emits) {
            // A row of later is not due when its event comes.
            let Some(derived) = def.derived.as_ref().filter(|of| of.timer.is_none()) else {
                continue;
            };
            let trigger = derived.trigger().source.id;
            let Some((logged, row)) = store.rows.iter().find(|(l, _)| l.source == trigger) else {
                continue;
            };
            let Some(state) = self.hot().source(trigger) else {
                continue;
            };
            let view = self.compiled(&derived.view.digest, &derived.view.name)?;
            let time = logged.event.event_time;
            let reader = Reader::new(store, knowledge);
            let brought = reader.brought(view, &mut row.clone(), time.0);
            let brought = store.hot.checked(brought)?;
            let Some(selected) = brought else {
                continue;
            };
            // Nobody reads a value that may be another one when it is logged.
            let is_drawn = |call: &&RecordedCall| {
                let arguments = call.arguments(&selected[call.column]);
                arguments.is_some_and(|arguments| !call.function.is_null_unasked(&arguments))
            };
            if let Some(call) = derived.recorded.iter().find(is_drawn) {
                return Err(EngineError::CallRecorded {
                    function: call.function.signature().name.clone(),
                    stream: def.name.clone(),
                });
            }
            let bytes_max = self.project().limits.row_bytes;
            let trigger = (logged, row.as_slice());
            let emitted = emission_of(def, state.program(), trigger, selected, bytes_max);
            store.rows.push(emitted);
            knowledge.cut.set_end(def.id, PARTITION, Offset(1));
        }
        Ok(())
    }
}

/// The hot tier with rows laid over it: at most one of a source.
struct WithCall<'a> {
    hot: &'a HotRead<'a>,
    sources: &'a HotStore,
    rows: Vec<(LoggedEvent, Vec<Value>)>,
}

impl Store for WithCall<'_> {
    fn plan(&self) -> &Plan {
        self.hot.plan()
    }

    fn history(&self, index: IndexId, key: &[u8]) -> Result<Option<History>, ReadError> {
        let found = self.hot.history(index, key)?;
        let plan = &self.plan().indexes()[index.0];
        let of_source = |(logged, _): &&(LoggedEvent, _)| logged.source == plan.source().id;
        let laid = self.rows.iter().find(of_source);
        let state = self.sources.source(plan.source().id);
        let recorded = laid.zip(state).map(|((logged, row), state)| Recorded {
            program: state.program(),
            logged,
            row,
            entry: u64::MAX,
            contested: false,
        });
        let Some(recorded) = recorded.filter(|r| r.key(plan).as_deref() == Some(key)) else {
            return Ok(found);
        };
        let mut history = found.unwrap_or_else(|| History::new(plan.types().into()));
        recorded.with_entry(plan, &LAST, |entry| history.insert(entry));
        Ok(Some(history))
    }

    fn expect(&self, index: IndexId, keys: Vec<Vec<u8>>) {
        self.hot.expect(index, keys);
    }

    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, ReadError> {
        self.hot.holds(source, entry, cut, known_at)
    }
}
