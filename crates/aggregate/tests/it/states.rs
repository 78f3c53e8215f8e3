//! States are functions of the multiset, to the byte.

use evenkeel_aggregate::oracle::{Input, evaluate};
use evenkeel_aggregate::{Aggregator, State, StateError};
use evenkeel_types::{AggregateCall, Column, Value};
use proptest::prelude::*;

use crate::events::{Event, call, calls, events, types};

/// The events as columns.
pub(crate) fn columns(events: &[&Event]) -> Vec<Column> {
    types()
        .iter()
        .enumerate()
        .map(|(c, t)| Column::from_values(t, events.iter().map(|e| &e.values[c])))
        .collect()
}

/// What the oracle gets of a call: its inputs for the events that pass its FILTER, computed
/// row by row.
pub(crate) fn oracle_inputs(call: &AggregateCall, events: &[&Event]) -> Vec<Input> {
    let program = |e| evenkeel_expr::Program::compile(e);
    let filter = call.filter.as_ref().map(program);
    let args: Vec<_> = call.args.iter().map(program).collect();
    events
        .iter()
        .filter(|e| {
            filter
                .as_ref()
                .is_none_or(|f| f.eval_row(&e.values, 0) == Value::Boolean(true))
        })
        .map(|e| Input {
            time: e.time,
            order: e.order.clone(),
            values: args.iter().map(|a| a.eval_row(&e.values, 0)).collect(),
        })
        .collect()
}

pub(crate) fn bytes(aggregator: &Aggregator, state: &State) -> Vec<u8> {
    let mut out = Vec::new();
    aggregator.encode(state, &mut out);
    out
}

fn state_of(aggregator: &Aggregator, inputs: &[Input]) -> State {
    let mut state = aggregator.empty();
    for input in inputs {
        let order = evenkeel_aggregate::EventOrder::new(input.time, &input.order);
        aggregator.add(&mut state, &input.values, order);
    }
    state
}

proptest! {
    #![proptest_config(crate::cases(64))]

    /// Property 10: S(A + B) = S(A) ⊕ S(B), removal undoes addition, bytes round-trip, and
    /// the value is the oracle's.
    #[test]
    fn states_are_functions_of_the_multiset(
        (events, cuts) in events(24).prop_flat_map(|e| {
            let cuts = prop::collection::vec(0..3usize, e.len());
            (Just(e).prop_shuffle(), cuts)
        })
    ) {
        let all: Vec<&Event> = events.iter().collect();
        for call in calls() {
            let aggregator = Aggregator::of(&call).unwrap();
            let inputs = oracle_inputs(&call, &all);
            let mut sorted = inputs.clone();
            sorted.sort_by_key(|i| (i.time, i.order.clone()));
            let whole = state_of(&aggregator, &sorted);
            let want = bytes(&aggregator, &whole);
            prop_assert_eq!(&bytes(&aggregator, &state_of(&aggregator, &inputs)), &want, "{:?}", call);

            // Split in three, merged in two trees.
            let parts: Vec<State> = (0..3)
                .map(|part| {
                    let chosen: Vec<Input> = inputs
                        .iter()
                        .zip(&cuts)
                        .filter(|(_, cut)| **cut == part)
                        .map(|(input, _)| input.clone())
                        .chain(inputs.iter().skip(cuts.len()).filter(|_| part == 0).cloned())
                        .collect();
                    state_of(&aggregator, &chosen)
                })
                .collect();
            let merge = |a: &State, b: &State| {
                let mut merged = a.clone();
                aggregator.merge(&mut merged, b);
                merged
            };
            let left = merge(&merge(&parts[0], &parts[1]), &parts[2]);
            let right = merge(&parts[2], &merge(&parts[1], &parts[0]));
            prop_assert_eq!(&bytes(&aggregator, &left), &want, "{:?}", call);
            prop_assert_eq!(&bytes(&aggregator, &right), &want, "{:?}", call);
            let identity = merge(&whole, &aggregator.empty());
            prop_assert_eq!(&bytes(&aggregator, &identity), &want);

            if aggregator.is_subtractable() {
                let mut state = whole.clone();
                for input in &inputs {
                    aggregator.add(&mut state, &input.values, evenkeel_aggregate::EventOrder::new(0, b""));
                }
                for input in &sorted {
                    aggregator.remove(&mut state, &input.values);
                }
                prop_assert_eq!(&bytes(&aggregator, &state), &want, "{:?}", call);
                for input in &inputs {
                    aggregator.remove(&mut state, &input.values);
                }
                prop_assert_eq!(bytes(&aggregator, &state), bytes(&aggregator, &aggregator.empty()));
            }

            let decoded = aggregator.decode(&want).unwrap();
            prop_assert_eq!(&bytes(&aggregator, &decoded), &want);
            let mut compact = whole.clone();
            compact.compact();
            prop_assert_eq!(&bytes(&aggregator, &compact), &want);

            let value = evaluate(&call, &inputs);
            prop_assert_eq!(aggregator.finish(&whole), value.clone(), "{:?} over {:?}", call, inputs);
            prop_assert_eq!(aggregator.finish(&decoded), value.clone());
            prop_assert_eq!(aggregator.finish(&left), value);
        }
    }

    /// Column by column: whatever the slots are added together with.
    #[test]
    fn columns_add_what_rows_add(events in events(24), cut in 0usize..24) {
        let mut sorted: Vec<&Event> = events.iter().collect();
        sorted.sort_by_key(|e| e.event_order());
        for call in calls() {
            let aggregator = Aggregator::of(&call).unwrap();
            let inputs = oracle_inputs(&call, &sorted);
            let columns: Vec<Column> = aggregator
                .inputs()
                .iter()
                .enumerate()
                .map(|(i, t)| Column::from_values(t, inputs.iter().map(|input| &input.values[i])))
                .collect();
            let columns: Vec<&Column> = columns.iter().collect();
            let order = |slot: usize| {
                evenkeel_aggregate::EventOrder::new(inputs[slot].time, &inputs[slot].order)
            };
            let mut state = aggregator.empty();
            let cut = cut.min(inputs.len());
            aggregator.add_slots(&mut state, &columns, cut..inputs.len(), order);
            aggregator.add_slots(&mut state, &columns, 0..cut, order);
            let want = bytes(&aggregator, &state_of(&aggregator, &inputs));
            prop_assert_eq!(bytes(&aggregator, &state), want, "{:?}", call);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), version in any::<bool>()) {
        for call in calls() {
            let aggregator = Aggregator::of(&call).unwrap();
            let mut bytes = bytes.clone();
            if version && bytes.len() > 1 {
                bytes[0] = 1;
                bytes[1] &= 0x3;
            }
            if let Ok(state) = aggregator.decode(&bytes) {
                // Whatever is read is canonical.
                prop_assert_eq!(self::bytes(&aggregator, &state), bytes);
            }
        }
    }
}

#[test]
fn damage_is_named() {
    let aggregator = Aggregator::of(&call("sum", &["x"])).unwrap();
    let state = aggregator.empty();
    let good = bytes(&aggregator, &state);
    assert!(aggregator.decode(&good).is_ok());
    assert!(matches!(
        aggregator.decode(&good[..good.len() - 1]),
        Err(StateError::Truncated { .. })
    ));
    let mut newer = good.clone();
    newer[0] = 2;
    assert!(matches!(
        aggregator.decode(&newer),
        Err(StateError::Version { found: 2, .. })
    ));
    let mut longer = good;
    longer.push(0);
    assert!(matches!(
        aggregator.decode(&longer),
        Err(StateError::Invalid {
            what: "end of the state",
            ..
        })
    ));
}

#[test]
fn empty_windows_have_sql_answers() {
    for call in calls() {
        let aggregator = Aggregator::of(&call).unwrap();
        let name = evenkeel_aggregate::signature::function_name(&call.function);
        let want = match name {
            "count" | "count_distinct" => Value::BigInt(0),
            _ => Value::Null,
        };
        assert_eq!(aggregator.finish(&aggregator.empty()), want, "{name}");
        assert_eq!(evaluate(&call, &[]), want, "{name}");
    }
}

/// The bytes of version 1. If this fails, the format has changed: it needs a new version.
#[test]
fn bytes_stay_as_they_are() {
    let x = |x: f64| vec![Value::double(x)];
    let s = |s: &str| vec![Value::string(s)];
    let cases: Vec<(AggregateCall, Vec<Vec<Value>>)> = vec![
        (call("count", &["x"]), vec![x(1.0); 300]),
        (
            call("bool_or", &["b"]),
            vec![vec![Value::Boolean(true)], vec![Value::Null]],
        ),
        (call("sum", &["i"]), vec![vec![Value::BigInt(-2)]]),
        (
            call("sum", &["x"]),
            vec![x(1.5), x(-1e300), x(f64::INFINITY)],
        ),
        (call("var_pop", &["x"]), vec![x(0.5), x(0.25)]),
        (call("max", &["s"]), vec![s("a"), s("b")]),
        (
            call("last_n", &["s", "2"]),
            vec![s("a"), s("b"), vec![Value::Null]],
        ),
        (
            call("max_by", &["x", "s"]),
            vec![vec![Value::double(2.0), Value::string("z")]],
        ),
        (
            call("count_distinct", &["i", "4"]),
            vec![vec![Value::BigInt(7)]],
        ),
        (call("median", &["x"]), vec![x(3.0), x(-1.0)]),
        (
            call("top_k", &["s", "2", "3"]),
            vec![s("q"), s("q"), s("p")],
        ),
        (
            call("count", &["x"]),
            vec![vec![Value::Error(evenkeel_types::ErrorReason::Overflow)]; 2],
        ),
    ];
    let mut lines = String::new();
    for (call, inputs) in cases {
        let aggregator = Aggregator::of(&call).unwrap();
        let mut state = aggregator.empty();
        for (i, values) in inputs.iter().enumerate() {
            let order = [i as u8];
            aggregator.add(
                &mut state,
                values,
                evenkeel_aggregate::EventOrder::new(256, &order),
            );
        }
        let name = evenkeel_aggregate::signature::function_name(&call.function);
        lines.push_str(name);
        lines.push(' ');
        for byte in bytes(&aggregator, &state) {
            lines.push_str(&format!("{byte:02x}"));
        }
        lines.push('\n');
    }
    assert_eq!(lines, include_str!("fixtures/states-1.txt"));
}

#[test]
fn squares_that_no_numbers_have_are_no_state() {
    for function in ["var_pop", "stddev_samp"] {
        let aggregator = Aggregator::of(&call(function, &["x"])).unwrap();
        let of = |numbers: &[f64]| {
            let mut state = aggregator.empty();
            for x in numbers {
                let order = evenkeel_aggregate::EventOrder::new(0, b"");
                aggregator.add(&mut state, &[Value::double(*x)], order);
            }
            bytes(&aggregator, &state)
        };
        // A sum of squares of one digit: its head, its base, the digit.
        let with_squares = |of_sum: &[f64], of_squares: &[f64]| {
            let mut bytes = of(of_sum);
            bytes.truncate(bytes.len() - 9);
            let squares = of(of_squares);
            bytes.extend(&squares[squares.len() - 9..]);
            aggregator.decode(&bytes)
        };
        assert!(with_squares(&[3.0], &[3.0]).is_ok());
        // One and three have the sum of two twos, and more squares.
        assert!(with_squares(&[2.0, 2.0], &[1.0, 3.0]).is_ok());
        let refused = with_squares(&[3.0], &[2.0]);
        assert!(matches!(refused, Err(StateError::Invalid { .. })));
        let mut negative = of(&[3.0]);
        let head = negative.len() - 9;
        negative[head] |= 1;
        let refused = aggregator.decode(&negative);
        assert!(matches!(refused, Err(StateError::Invalid { .. })));
    }
}
