//! Limits reached from every side, and the errors of what is estimated.

use evenkeel_aggregate::oracle::{Input, evaluate};
use evenkeel_aggregate::sweep::slide;
use evenkeel_aggregate::{
    Aggregator, EventOrder, HYPERLOGLOG_STANDARD_ERROR, QUANTILE_EXACT_MAX,
    QUANTILE_RELATIVE_ERROR, State,
};
use evenkeel_types::{AggregateCall, Column, ErrorReason, Value};

use crate::events::call;
use crate::states::bytes;

/// A sequence of well mixed numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }
}

/// The state of values whose events are numbered from `first`.
fn added_from(aggregator: &Aggregator, first: usize, values: &[Value]) -> State {
    let mut state = aggregator.empty();
    for (i, value) in values.iter().enumerate() {
        let order = EventOrder::new((first + i) as i64, b"");
        aggregator.add(&mut state, std::slice::from_ref(value), order);
    }
    state
}

fn added(aggregator: &Aggregator, values: &[Value]) -> State {
    added_from(aggregator, 0, values)
}

fn oracle(call: &AggregateCall, values: &[Value]) -> Value {
    let inputs: Vec<Input> = values
        .iter()
        .enumerate()
        .map(|(i, value)| Input {
            time: i as i64,
            order: Vec::new(),
            values: vec![value.clone()],
        })
        .collect();
    evaluate(call, &inputs)
}

/// Values around a limit, added one by one, merged from parts, and left behind when a
/// window slides on: every way gives the oracle's answer, and the same bytes.
fn check_limit(call: &AggregateCall, values: &[Value], limit: usize) {
    let aggregator = Aggregator::of(call).unwrap();
    let column = Column::from_values(&call.args[0].data_type, values);
    let mut ranges = Vec::new();
    for length in limit - 1..=limit + 1 {
        let prefix = &values[..length];
        let want = oracle(call, prefix);
        let whole = added(&aggregator, prefix);
        assert_eq!(aggregator.finish(&whole), want, "{length} added");
        for cut in [0, 1, length / 2, length] {
            let mut left = added(&aggregator, &prefix[..cut]);
            aggregator.merge(&mut left, &added_from(&aggregator, cut, &prefix[cut..]));
            // Merging what is there already changes nothing about distinct values.
            assert_eq!(bytes(&aggregator, &left), bytes(&aggregator, &whole));
            assert_eq!(aggregator.finish(&left), want, "{length} merged at {cut}");
        }
        ranges.push((0u32, length as u32));
    }
    // From beyond the limit back below it, and beyond it again.
    let length = limit as u32 + 1;
    ranges.extend((1..4).map(|start| (start.min(length), length)));
    ranges.extend((0..6).map(|i| ((4 + i / 2).min(length), length + i)));
    let swept = slide(&aggregator, &[&column], None, &ranges);
    for (i, &(start, end)) in ranges.iter().enumerate() {
        let want = oracle(call, &values[start as usize..end as usize]);
        assert_eq!(swept.get(i), want, "{start}..{end}");
    }
}

#[test]
fn distinct_counts_at_their_limit() {
    for limit in [2usize, 100, 1024] {
        let call = call("count_distinct", &["i", &limit.to_string()]);
        let values: Vec<Value> = (0..limit as i64 + 20).map(Value::BigInt).collect();
        check_limit(&call, &values, limit);
    }
}

#[test]
fn quantiles_at_their_limit() {
    let mut numbers = Numbers(7);
    let values: Vec<Value> = (0..QUANTILE_EXACT_MAX + 20)
        .map(|_| Value::double(numbers.next() as f64 / 1e15 - 9000.0))
        .collect();
    for q in ["0", "0.07", "0.5", "0.999", "1"] {
        check_limit(
            &call("approx_quantile", &["x", q]),
            &values,
            QUANTILE_EXACT_MAX,
        );
    }
}

#[test]
fn most_frequent_values_at_their_limit() {
    for limit in [2usize, 50] {
        let call = call("top_k", &["s", "3", &limit.to_string()]);
        let values: Vec<Value> = (0..limit + 20)
            .map(|i| Value::string(format!("{i}")))
            .collect();
        check_limit(&call, &values, limit);
        let aggregator = Aggregator::of(&call).unwrap();
        let beyond = added(&aggregator, &values);
        assert_eq!(aggregator.finish(&beyond), Value::Error(ErrorReason::Limit));
        assert_eq!(bytes(&aggregator, &beyond).len(), 3);
    }
}

#[test]
fn the_last_few_at_their_number() {
    for name in ["first_n", "last_n"] {
        let values: Vec<Value> = (0..40).map(Value::BigInt).collect();
        check_limit(&call(name, &["i", "10"]), &values, 10);
    }
}

#[test]
fn estimates_of_distinct_values_are_within_their_error() {
    let call = call("approx_count_distinct", &["s"]);
    let aggregator = Aggregator::of(&call).unwrap();
    let mut estimates = Vec::new();
    for (seed, n) in [
        (1, 1_100),
        (2, 5_000),
        (3, 20_000),
        (4, 60_000),
        (5, 200_000),
    ] {
        let mut numbers = Numbers(seed * 1_000_003);
        let mut state = aggregator.empty();
        for _ in 0..n {
            let value = Value::string(format!("{:x}", numbers.next()));
            aggregator.add(&mut state, &[value], EventOrder::new(0, b""));
        }
        let Value::BigInt(estimate) = aggregator.finish(&state) else {
            panic!("a number");
        };
        let error = (estimate as f64 - f64::from(n)).abs() / f64::from(n);
        assert!(error < 3.0 * HYPERLOGLOG_STANDARD_ERROR, "{n}: {estimate}");
        estimates.push(estimate);
    }
    // The same on every platform, and in every version of the format.
    assert_eq!(estimates, [1_105, 5_061, 19_881, 59_743, 199_900]);
}

#[test]
fn quantiles_are_within_their_error() {
    let mut numbers = Numbers(99);
    // Over many orders of magnitude, both signs, and whole numbers.
    let mut values: Vec<f64> = (0..6_000)
        .map(|i| {
            let bits = numbers.next();
            let exponent = 1023 - 30 + bits % 60;
            let x = f64::from_bits(exponent << 52 | bits >> 12);
            if i % 3 == 0 { -x } else { x }
        })
        .collect();
    values.extend((0..257).map(f64::from));
    let inputs: Vec<Value> = values.iter().map(|x| Value::double(*x)).collect();
    values.sort_by(|a, b| a.total_cmp(b));
    for q in ["0", "0.01", "0.25", "0.5", "0.75", "0.99", "1"] {
        let aggregator = Aggregator::of(&call("approx_quantile", &["x", q])).unwrap();
        let Value::Double(got) = aggregator.finish(&added(&aggregator, &inputs)) else {
            panic!("a number");
        };
        let share: f64 = q.parse().unwrap();
        let rank = (share * values.len() as f64).ceil().max(1.0);
        let exact = values[rank as usize - 1];
        assert!(
            (got - exact).abs() <= exact.abs() * QUANTILE_RELATIVE_ERROR,
            "{q}: {got} for {exact}"
        );
    }
}

#[test]
fn whole_numbers_to_256_are_exact_quantiles_for_ever() {
    let values: Vec<Value> = (0..5_000)
        .map(|i| Value::double(f64::from(i % 257)))
        .collect();
    let aggregator = Aggregator::of(&call("approx_quantile", &["x", "0.3"])).unwrap();
    let got = aggregator.finish(&added(&aggregator, &values));
    assert_eq!(got, Value::double(74.0));
}

#[test]
fn a_rank_is_of_the_decimal_that_was_written() {
    // As doubles, 0.07 * 100 is above 7.
    let values: Vec<Value> = (1..=100).map(|i| Value::double(f64::from(i))).collect();
    for (q, want) in [
        ("0.07", 7.0),
        ("0.07000001", 8.0),
        ("0.29", 29.0),
        ("0", 1.0),
        ("1", 100.0),
    ] {
        let aggregator = Aggregator::of(&call("approx_quantile", &["x", q])).unwrap();
        assert_eq!(
            aggregator.finish(&added(&aggregator, &values)),
            Value::double(want),
            "{q}"
        );
    }
}
