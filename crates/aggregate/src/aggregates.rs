//! The aggregate calls of all views over one source and entity, compiled once.
//!
//! Owns the numbering of WHERE conditions and calls, under which histories keep their
//! cached states. Equal conditions and calls of different views share one number, so they
//! share states. Numbers are never given up: a list only grows.

use std::sync::{Arc, OnceLock};

use evenkeel_types::{AggregateCall, Column, Expr};

use crate::error::SignatureError;
use crate::formula::{Evaluated, Formula, Slots, Values};
use crate::history::SummaryId;
use crate::order::EventOrder;
use crate::state::{Aggregator, State};
use crate::sweep::Inputs;

/// A WHERE condition in [`Aggregates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WhereId(u32);

impl WhereId {
    /// No condition: every event counts.
    pub const ALL: WhereId = WhereId(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An aggregate call under a WHERE condition in [`Aggregates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecId(u32);

impl SpecId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Compiled aggregate calls with their FILTER and WHERE conditions.
#[derive(Clone, Debug, Default)]
pub struct Aggregates {
    /// Conditions from number 1 on; number 0 is [`WhereId::ALL`].
    conditions: Vec<(Expr, Formula)>,
    specs: Vec<Spec>,
    /// The runs of all conditions, then the states of all calls.
    summary_ids: OnceLock<Arc<[SummaryId]>>,
}

/// One compiled call.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    call: AggregateCall,
    pub(crate) condition: WhereId,
    pub(crate) aggregator: Aggregator,
    inputs: Vec<Formula>,
    filter: Option<Formula>,
}

impl Aggregates {
    /// No calls yet.
    pub fn new() -> Self {
        Aggregates::default()
    }

    /// The number of a WHERE condition (BOOLEAN, over the source's columns); `None` is
    /// [`WhereId::ALL`].
    pub fn register_where(&mut self, condition: Option<&Expr>) -> WhereId {
        let Some(condition) = condition else {
            return WhereId::ALL;
        };
        let known = self.conditions.iter().position(|(c, _)| c == condition);
        let index = known.unwrap_or_else(|| {
            let formula = Formula::compile(condition);
            self.conditions.push((condition.clone(), formula));
            self.summary_ids.take();
            self.conditions.len() - 1
        });
        // A definition holds far fewer conditions than 2^32.
        WhereId(index as u32 + 1)
    }

    /// The number of a call under a WHERE condition.
    ///
    /// # Errors
    /// If the parts of the call do not fit each other.
    pub fn register(
        &mut self,
        call: &AggregateCall,
        condition: WhereId,
    ) -> Result<SpecId, SignatureError> {
        let known = self
            .specs
            .iter()
            .position(|s| s.condition == condition && s.call == *call);
        if let Some(index) = known {
            return Ok(SpecId(index as u32));
        }
        self.summary_ids.take();
        self.specs.push(Spec {
            aggregator: Aggregator::of(call)?,
            condition,
            inputs: call.args.iter().map(Formula::compile).collect(),
            filter: call.filter.as_ref().map(Formula::compile),
            call: call.clone(),
        });
        Ok(SpecId(self.specs.len() as u32 - 1))
    }

    /// The call of a number.
    pub fn call(&self, id: SpecId) -> &AggregateCall {
        &self.spec(id).call
    }

    /// The WHERE condition that a call stands under.
    pub fn condition(&self, id: SpecId) -> WhereId {
        self.spec(id).condition
    }

    /// The aggregator of a call's states.
    pub fn aggregator(&self, id: SpecId) -> &Aggregator {
        &self.spec(id).aggregator
    }

    /// Every call, by number.
    pub fn specs(&self) -> impl Iterator<Item = SpecId> + use<> {
        (0..self.specs.len() as u32).map(SpecId)
    }

    /// Every WHERE condition, by number.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = WhereId> + use<> {
        (0..=self.conditions.len() as u32).map(WhereId)
    }

    /// What is worth storing of a node with many entries: the run in time of every WHERE
    /// condition, then the state of every call. Nothing where there are no calls.
    pub fn summary_ids(&self) -> &Arc<[SummaryId]> {
        self.summary_ids.get_or_init(|| {
            if self.specs.is_empty() {
                return Arc::default();
            }
            let condition = |id: WhereId| id.index().checked_sub(1).map(|i| &self.conditions[i].0);
            let runs = self
                .conditions()
                .map(|id| SummaryId::of(&("run", condition(id))));
            let states = self
                .specs
                .iter()
                .map(|spec| SummaryId::of(&("state", &spec.call, condition(spec.condition))));
            runs.chain(states).collect()
        })
    }

    pub(crate) fn run_id(&self, condition: WhereId) -> Option<&SummaryId> {
        self.summary_ids().get(condition.index())
    }

    pub(crate) fn state_id(&self, id: SpecId) -> &SummaryId {
        &self.summary_ids()[self.conditions.len() + 1 + id.index()]
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there are no calls.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// Which rows of some columns pass a WHERE condition: their numbers, ascending.
    pub fn passing(&self, condition: WhereId, columns: &[Column], length: usize) -> Vec<u32> {
        match self.filter(condition, Values::Columns(columns), Slots::Range(0..length)) {
            Slots::Range(range) => (range.start as u32..range.end as u32).collect(),
            Slots::List(list) => list,
        }
    }

    /// Whether two calls have equal arguments and FILTER: then they share their [`Inputs`].
    pub fn have_same_inputs(&self, a: SpecId, b: SpecId) -> bool {
        let (a, b) = (&self.spec(a).call, &self.spec(b).call);
        a.args == b.args && a.filter == b.filter
    }

    /// The inputs of a call for the given rows of some columns.
    pub fn inputs(&self, id: SpecId, columns: &[Column], rows: &[u32]) -> Inputs {
        let spec = self.spec(id);
        if spec.inputs.is_empty() && spec.filter.is_none() {
            return Inputs::new(Vec::new(), None, rows.len());
        }
        let slots = Slots::List(rows.to_vec());
        let inputs = spec
            .inputs
            .iter()
            .map(|f| f.dense(columns, &slots))
            .collect();
        let filter = spec.filter.as_ref().map(|filter| {
            let column = filter.dense(columns, &slots);
            (0..rows.len())
                .map(|i| crate::formula::is_true(&column, i))
                .collect()
        });
        Inputs::new(inputs, filter, rows.len())
    }

    pub(crate) fn spec(&self, id: SpecId) -> &Spec {
        &self.specs[id.index()]
    }

    pub(crate) fn filter(&self, condition: WhereId, values: Values<'_>, slots: Slots) -> Slots {
        match condition.index().checked_sub(1) {
            None => slots,
            Some(index) => self.conditions[index].1.filter(values, slots),
        }
    }
}

impl Spec {
    /// Those of some slots that pass the call's FILTER.
    pub(crate) fn counted(&self, values: Values<'_>, slots: Slots) -> Slots {
        match &self.filter {
            None => slots,
            Some(filter) => filter.filter(values, slots),
        }
    }

    /// Adds slots that passed the WHERE condition.
    pub(crate) fn add<'o>(
        &self,
        state: &mut State,
        values: Values<'_>,
        slots: &Slots,
        order: impl Fn(usize) -> EventOrder<'o>,
    ) {
        let filtered;
        let slots = match &self.filter {
            None => slots,
            Some(_) => {
                filtered = self.counted(values, slots.clone());
                &filtered
            }
        };
        if slots.is_empty() {
            return;
        }
        let columns = match values {
            Values::Columns(columns) => columns,
            Values::Rows { values, width } => {
                let mut inputs = Vec::with_capacity(self.inputs.len());
                for slot in slots.iter() {
                    let row = &values[slot * width..(slot + 1) * width];
                    inputs.clear();
                    inputs.extend(self.inputs.iter().map(|input| input.value(row)));
                    self.aggregator.add(state, &inputs, order(slot));
                }
                return;
            }
        };
        if self.inputs.iter().all(|f| matches!(f, Formula::Column(_))) {
            let inputs: Vec<&Column> = self
                .inputs
                .iter()
                .filter_map(|f| match f.evaluate(columns, slots) {
                    Evaluated::InPlace(column) => Some(column),
                    Evaluated::Dense(_) => None,
                })
                .collect();
            match slots {
                Slots::Range(range) => {
                    self.aggregator
                        .add_slots(state, &inputs, range.clone(), order);
                }
                Slots::List(list) => {
                    let list = list.iter().map(|&slot| slot as usize);
                    self.aggregator.add_slots(state, &inputs, list, order);
                }
            }
            return;
        }
        let dense: Vec<Column> = self
            .inputs
            .iter()
            .map(|f| f.dense(columns, slots))
            .collect();
        let inputs: Vec<&Column> = dense.iter().collect();
        self.aggregator
            .add_slots(state, &inputs, 0..slots.len(), |i| order(slots.get(i)));
    }
}
