//! Values as numbers, and the exact aggregates of some of them.

use evenkeel_aggregate::{Aggregator, EventOrder, State};
use evenkeel_connect::value_to_text;
use evenkeel_types::{AggregateFunction, DataType, Value};

/// A number as DOUBLE, the nearest; none if the value is missing or no number.
pub(crate) fn double_of(data_type: &DataType, value: &Value) -> Option<f64> {
    Some(match value {
        Value::Int(x) => f64::from(*x),
        #[expect(clippy::cast_precision_loss, reason = "the nearest is meant")]
        Value::BigInt(x) => *x as f64,
        Value::Float(x) => f64::from(*x),
        Value::Double(x) => *x,
        // Reading the digits rounds once.
        Value::Decimal(_) => value_to_text(data_type, value)?.parse().ok()?,
        _ => return None,
    })
}

/// One aggregate of values of one type.
pub(super) struct Running {
    aggregator: Aggregator,
    state: State,
}

impl Running {
    /// None if the function takes no such values.
    pub(super) fn new(function: AggregateFunction, data_type: &DataType) -> Option<Self> {
        let aggregator = Aggregator::new(&function, false, std::slice::from_ref(data_type)).ok()?;
        Some(Running {
            state: aggregator.empty(),
            aggregator,
        })
    }

    pub(super) fn add(&mut self, value: &Value) {
        // None of the functions used here looks at the order.
        let order = EventOrder::new(0, &[]);
        let inputs = std::slice::from_ref(value);
        self.aggregator.add(&mut self.state, inputs, order);
    }

    pub(super) fn result(&self) -> Value {
        self.aggregator.finish(&self.state)
    }

    pub(super) fn result_type(&self) -> &DataType {
        self.aggregator.result()
    }
}

/// Mean, population deviation, least and greatest of numbers as DOUBLE; none without any.
pub(super) struct Moments {
    mean: Running,
    deviation: Running,
    least: Running,
    greatest: Running,
}

impl Moments {
    pub(super) fn new() -> Self {
        let of = |function| {
            Running::new(function, &DataType::Double).expect("these aggregates take DOUBLE")
        };
        Moments {
            mean: of(AggregateFunction::Avg),
            deviation: of(AggregateFunction::StddevPop),
            least: of(AggregateFunction::Min),
            greatest: of(AggregateFunction::Max),
        }
    }

    pub(super) fn add(&mut self, number: f64) {
        let value = Value::Double(number);
        for running in [
            &mut self.mean,
            &mut self.deviation,
            &mut self.least,
            &mut self.greatest,
        ] {
            running.add(&value);
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        number(&self.mean)
    }

    pub(super) fn deviation(&self) -> Option<f64> {
        number(&self.deviation)
    }

    pub(super) fn least(&self) -> Option<f64> {
        number(&self.least)
    }

    pub(super) fn greatest(&self) -> Option<f64> {
        number(&self.greatest)
    }
}

fn number(running: &Running) -> Option<f64> {
    match running.result() {
        Value::Double(number) => Some(number),
        _ => None,
    }
}
