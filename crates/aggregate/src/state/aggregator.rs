//! What makes states, changes them and finishes them.

use evenkeel_types::{AggregateCall, AggregateFunction, DataType, Value};

use super::distinct::Distinct;
use super::number::{IntegerSum, Number, Sum};
use super::quantile::{Quantile, Rank};
use super::top_k::Frequencies;
use super::{Body, Errors, State, offer_extreme, placed, wire};
use crate::error::{SignatureError, StateError};
use crate::order::EventOrder;
use crate::signature;

/// One aggregate function over inputs of known types: makes states, changes them, finishes
/// them. States are plain data that only their own aggregator (or an equal one) may touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregator {
    kind: Kind,
    inputs: Box<[DataType]>,
    result: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// `count(*)`
    Rows,
    /// `count(x)`
    Count,
    Sum(Numbers),
    Avg(Numbers),
    Variance {
        numbers: Numbers,
        sample: bool,
        root: bool,
    },
    Extreme {
        greatest: bool,
    },
    ExtremeBy {
        greatest: bool,
    },
    End {
        last: bool,
        ignore_nulls: bool,
    },
    Ends {
        last: bool,
        ignore_nulls: bool,
        n: usize,
    },
    Distinct {
        limit: usize,
    },
    Quantile(Rank),
    TopK {
        k: usize,
        limit: usize,
    },
    Truth {
        all: bool,
    },
}

/// What the numbers of a sum are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Numbers {
    Integer,
    Float,
    Decimal {
        /// Of the inputs.
        scale: u8,
        /// Of an average.
        average_scale: u8,
    },
}

/// An aggregator was asked to take back what its states cannot give back.
pub(super) const NOT_SUBTRACTABLE: &str = "`remove` is called only where `is_subtractable` is true";
/// A state met another function's aggregator.
pub(super) const FOREIGN_STATE: &str = "a state is used by its own aggregator only";

impl Aggregator {
    /// The aggregator of a function over inputs of the given types.
    ///
    /// # Errors
    /// If [`signature::resolve`] could not have made such a call.
    pub fn new(
        function: &AggregateFunction,
        ignore_nulls: bool,
        inputs: &[DataType],
    ) -> Result<Self, SignatureError> {
        let result = signature::check(function, ignore_nulls, inputs)?;
        let numbers = || match &inputs[0] {
            DataType::Decimal { scale, .. } => Numbers::Decimal {
                scale: *scale,
                average_scale: match signature::average_type(&inputs[0]) {
                    DataType::Decimal { scale, .. } => scale,
                    _ => *scale,
                },
            },
            t if t.is_integer() => Numbers::Integer,
            _ => Numbers::Float,
        };
        let variance = |sample, root| Kind::Variance {
            numbers: numbers(),
            sample,
            root,
        };
        // Limits are at most some millions.
        let kind = match *function {
            AggregateFunction::Count if inputs.is_empty() => Kind::Rows,
            AggregateFunction::Count => Kind::Count,
            AggregateFunction::Sum => Kind::Sum(numbers()),
            AggregateFunction::Avg => Kind::Avg(numbers()),
            AggregateFunction::Min => Kind::Extreme { greatest: false },
            AggregateFunction::Max => Kind::Extreme { greatest: true },
            AggregateFunction::VarPop => variance(false, false),
            AggregateFunction::VarSamp => variance(true, false),
            AggregateFunction::StddevPop => variance(false, true),
            AggregateFunction::StddevSamp => variance(true, true),
            AggregateFunction::FirstValue => Kind::End {
                last: false,
                ignore_nulls,
            },
            AggregateFunction::LastValue => Kind::End {
                last: true,
                ignore_nulls,
            },
            AggregateFunction::FirstN { n } => Kind::Ends {
                last: false,
                ignore_nulls,
                n: n as usize,
            },
            AggregateFunction::LastN { n } => Kind::Ends {
                last: true,
                ignore_nulls,
                n: n as usize,
            },
            AggregateFunction::CountDistinct { limit } => Kind::Distinct {
                limit: limit as usize,
            },
            AggregateFunction::ApproxQuantile { q } => Kind::Quantile(Rank::of(q)),
            AggregateFunction::TopK { k, limit } => Kind::TopK {
                k: k as usize,
                limit: limit as usize,
            },
            AggregateFunction::BoolAnd => Kind::Truth { all: true },
            AggregateFunction::BoolOr => Kind::Truth { all: false },
            AggregateFunction::MinBy => Kind::ExtremeBy { greatest: false },
            AggregateFunction::MaxBy => Kind::ExtremeBy { greatest: true },
        };
        Ok(Aggregator {
            kind,
            inputs: inputs.into(),
            result,
        })
    }

    /// The aggregator of a call.
    ///
    /// # Errors
    /// If the parts of the call do not fit each other.
    pub fn of(call: &AggregateCall) -> Result<Self, SignatureError> {
        let inputs: Vec<DataType> = call.args.iter().map(|a| a.data_type.clone()).collect();
        let aggregator = Aggregator::new(&call.function, call.ignore_nulls, &inputs)?;
        if aggregator.result != call.data_type {
            return Err(signature::malformed(&call.function, &inputs));
        }
        Ok(aggregator)
    }

    /// The types of the inputs.
    pub fn inputs(&self) -> &[DataType] {
        &self.inputs
    }

    /// The type of the result.
    pub fn result(&self) -> &DataType {
        &self.result
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether [`Aggregator::remove`] may be called.
    pub fn is_subtractable(&self) -> bool {
        matches!(
            self.kind,
            Kind::Rows
                | Kind::Count
                | Kind::Sum(_)
                | Kind::Avg(_)
                | Kind::Variance { .. }
                | Kind::Truth { .. }
        )
    }

    /// The state of no events.
    pub fn empty(&self) -> State {
        let body = match self.kind {
            Kind::Rows | Kind::Count => Body::Count(0),
            Kind::Sum(Numbers::Integer) | Kind::Avg(Numbers::Integer) => {
                Body::Integer(IntegerSum::default())
            }
            Kind::Sum(_) | Kind::Avg(_) => Body::Sum(Sum::default()),
            Kind::Variance { .. } => Body::Variance(Box::default()),
            Kind::Extreme { .. } => Body::Extreme(None),
            Kind::ExtremeBy { .. } => Body::ExtremeBy(None),
            Kind::End { .. } => Body::End(None),
            Kind::Ends { .. } => Body::Ends(Vec::new()),
            Kind::Distinct { .. } => Body::Distinct(Distinct::default()),
            Kind::Quantile(_) => Body::Quantile(Quantile::default()),
            Kind::TopK { .. } => Body::TopK(Frequencies::default()),
            Kind::Truth { .. } => Body::Truth { yes: 0, no: 0 },
        };
        State {
            errors: Errors::default(),
            body,
        }
    }

    /// Adds one event's inputs: as many as [`Aggregator::inputs`], each of its type or
    /// missing. NULLs are skipped where the function skips them; an `ERROR` is counted.
    pub fn add(&self, state: &mut State, inputs: &[Value], order: EventOrder<'_>) {
        if self.kind == Kind::Rows {
            let Body::Count(count) = &mut state.body else {
                panic!("{FOREIGN_STATE}")
            };
            *count += 1;
            return;
        }
        if let Some(reason) = inputs.iter().filter_map(Value::error).min() {
            return state.errors.add(reason, 1);
        }
        let input = &inputs[0];
        if input.is_null() && self.skips_nulls() {
            return;
        }
        match (&mut state.body, self.kind) {
            (Body::Count(count), _) => *count += 1,
            (Body::Truth { yes, no }, _) => {
                *if *input == Value::Boolean(true) {
                    yes
                } else {
                    no
                } += 1;
            }
            (Body::Integer(sum), _) => sum.add(Number::of(input).integer(), false),
            (Body::Sum(sum), _) => sum.add(Number::of(input), false),
            (Body::Variance(variance), _) => variance.add(Number::of(input), false),
            (Body::Extreme(extreme), Kind::Extreme { greatest }) => {
                offer_extreme(extreme, greatest, input);
            }
            (Body::ExtremeBy(extreme), Kind::ExtremeBy { greatest }) => {
                placed::add_by(extreme, greatest, &inputs[0], &inputs[1], order);
            }
            (Body::End(end), Kind::End { last, .. }) => placed::add_end(end, last, input, order),
            (Body::Ends(ends), Kind::Ends { last, n, .. }) => {
                placed::add_ends(ends, last, n, input, order);
            }
            (Body::Distinct(distinct), Kind::Distinct { limit }) => distinct.add(input, limit),
            (Body::Quantile(quantile), _) => quantile.add(Number::of(input).float()),
            (Body::TopK(frequencies), Kind::TopK { limit, .. }) => frequencies.add(input, limit),
            _ => panic!("{FOREIGN_STATE}"),
        }
    }

    /// Takes back one event's inputs that were added before.
    ///
    /// # Panics
    /// If the function is not [subtractable](Aggregator::is_subtractable).
    pub fn remove(&self, state: &mut State, inputs: &[Value]) {
        if self.kind == Kind::Rows {
            let Body::Count(count) = &mut state.body else {
                panic!("{FOREIGN_STATE}")
            };
            *count -= 1;
            return;
        }
        if let Some(reason) = inputs.iter().filter_map(Value::error).min() {
            return state.errors.remove(reason);
        }
        let input = &inputs[0];
        if input.is_null() {
            return;
        }
        match &mut state.body {
            Body::Count(count) => *count -= 1,
            Body::Truth { yes, no } => {
                *if *input == Value::Boolean(true) {
                    yes
                } else {
                    no
                } -= 1;
            }
            Body::Integer(sum) => sum.add(Number::of(input).integer(), true),
            Body::Sum(sum) => sum.add(Number::of(input), true),
            Body::Variance(variance) => variance.add(Number::of(input), true),
            _ => panic!("{NOT_SUBTRACTABLE}"),
        }
    }

    /// Adds all that another state stands for.
    pub fn merge(&self, state: &mut State, other: &State) {
        state.errors.merge(&other.errors);
        match (&mut state.body, &other.body) {
            (Body::Count(count), Body::Count(more)) => *count += more,
            (Body::Truth { yes, no }, Body::Truth { yes: y, no: n }) => {
                *yes += y;
                *no += n;
            }
            (Body::Integer(sum), Body::Integer(more)) => sum.merge(more),
            (Body::Sum(sum), Body::Sum(more)) => sum.merge(more),
            (Body::Variance(variance), Body::Variance(more)) => variance.merge(more),
            (Body::Extreme(extreme), Body::Extreme(more)) => {
                let Kind::Extreme { greatest } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                if let Some(value) = more {
                    offer_extreme(extreme, greatest, value);
                }
            }
            (Body::ExtremeBy(extreme), Body::ExtremeBy(more)) => {
                let Kind::ExtremeBy { greatest } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                placed::merge_by(extreme, greatest, more.as_deref());
            }
            (Body::End(end), Body::End(more)) => {
                let Kind::End { last, .. } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                placed::merge_end(end, last, more.as_deref());
            }
            (Body::Ends(ends), Body::Ends(more)) => {
                let Kind::Ends { last, n, .. } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                placed::merge_ends(ends, last, n, more);
            }
            (Body::Distinct(distinct), Body::Distinct(more)) => {
                let Kind::Distinct { limit } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                distinct.merge(more, limit);
            }
            (Body::Quantile(quantile), Body::Quantile(more)) => quantile.merge(more),
            (Body::TopK(frequencies), Body::TopK(more)) => {
                let Kind::TopK { limit, .. } = self.kind else {
                    panic!("{FOREIGN_STATE}")
                };
                frequencies.merge(more, limit);
            }
            _ => panic!("{FOREIGN_STATE}"),
        }
    }

    /// The aggregate of the events that the state stands for.
    pub fn finish(&self, state: &State) -> Value {
        if let Some(reason) = state.errors.smallest() {
            return Value::Error(reason);
        }
        match (&state.body, self.kind) {
            // A count of events in memory is far below 2^63.
            (Body::Count(count), _) => Value::BigInt(*count as i64),
            (Body::Truth { yes: 0, no: 0 }, _) => Value::Null,
            (Body::Truth { no, .. }, Kind::Truth { all: true }) => Value::Boolean(*no == 0),
            (Body::Truth { yes, .. }, _) => Value::Boolean(*yes > 0),
            (Body::Integer(sum), Kind::Avg(_)) => sum.average(),
            (Body::Integer(sum), _) => sum.sum(),
            (Body::Sum(sum), Kind::Sum(numbers)) => sum.sum(numbers),
            (Body::Sum(sum), Kind::Avg(numbers)) => sum.average(numbers),
            (
                Body::Variance(variance),
                Kind::Variance {
                    numbers,
                    sample,
                    root,
                },
            ) => variance.finish(numbers, sample, root),
            (Body::Extreme(extreme), _) => extreme.clone().unwrap_or(Value::Null),
            (Body::ExtremeBy(extreme), _) => extreme
                .as_ref()
                .map_or(Value::Null, |e| e.placed.value.clone()),
            (Body::End(end), _) => end.as_ref().map_or(Value::Null, |e| e.value.clone()),
            (Body::Ends(ends), _) if ends.is_empty() => Value::Null,
            (Body::Ends(ends), _) => {
                Value::Array(ends.iter().map(|placed| placed.value.clone()).collect())
            }
            (Body::Distinct(distinct), _) => Value::BigInt(distinct.count()),
            (Body::Quantile(quantile), Kind::Quantile(rank)) => quantile.finish(rank),
            (Body::TopK(frequencies), Kind::TopK { k, .. }) => frequencies.finish(k),
            _ => panic!("{FOREIGN_STATE}"),
        }
    }

    /// Appends the state's canonical bytes: equal for equal multisets of inputs, and only
    /// then for states of the same aggregator that keep what they were given.
    pub fn encode(&self, state: &State, out: &mut Vec<u8>) {
        wire::encode(state, out);
    }

    /// Reads back what [`Aggregator::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are not a state of this aggregator.
    pub fn decode(&self, bytes: &[u8]) -> Result<State, StateError> {
        wire::decode(self, bytes)
    }

    fn skips_nulls(&self) -> bool {
        match self.kind {
            Kind::End { ignore_nulls, .. } | Kind::Ends { ignore_nulls, .. } => ignore_nulls,
            // Only the second input decides, and `placed` looks at it.
            Kind::ExtremeBy { .. } => false,
            _ => true,
        }
    }
}
