//! Sums, averages and variances against Python's, and by name at the edges.

use evenkeel_aggregate::oracle::{Input, evaluate};
use evenkeel_aggregate::{Aggregator, EventOrder};
use evenkeel_types::{ErrorReason, Value};

use crate::events::call;

fn finished(name: &str, column: &str, values: &[Value]) -> Value {
    let call = call(name, &[column]);
    let aggregator = Aggregator::of(&call).unwrap();
    let mut state = aggregator.empty();
    for value in values {
        let order = EventOrder::new(0, b"");
        aggregator.add(&mut state, std::slice::from_ref(value), order);
    }
    let got = aggregator.finish(&state);
    let inputs: Vec<Input> = values
        .iter()
        .map(|value| Input {
            time: 0,
            order: Vec::new(),
            values: vec![value.clone()],
        })
        .collect();
    assert_eq!(
        got,
        evaluate(&call, &inputs),
        "{name}({column}) of {values:?}"
    );
    got
}

fn of_doubles(name: &str, values: &[f64]) -> Value {
    let values: Vec<Value> = values.iter().map(|x| Value::double(*x)).collect();
    finished(name, "x", &values)
}

#[test]
fn like_fsum_and_fractions() {
    let mut cases = 0;
    for line in include_str!("fixtures/fsum.txt").lines() {
        let Some((values, answers)) = line.split_once(" = ") else {
            continue;
        };
        let parse = |text: &str| -> Vec<f64> {
            text.split(' ')
                .map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap()))
                .collect()
        };
        let values = parse(values);
        let answers = parse(answers);
        for (name, answer) in ["sum", "avg", "var_pop"].into_iter().zip(answers) {
            assert_eq!(
                of_doubles(name, &values),
                Value::double(answer),
                "{name} of {values:?}"
            );
        }
        cases += 1;
    }
    assert!(cases > 140, "the fixture is read");
}

#[test]
fn answers_where_fsum_raises() {
    const INF: f64 = f64::INFINITY;
    let nan = Value::double(f64::NAN);
    for (values, sum) in [
        (&[1e308, 1e308, -1e308][..], 1e308),
        (&[1e308, 1e308], INF),
        (&[-1e308, -1e308], -INF),
        (&[f64::MAX, 9.9e291], f64::MAX),
        (&[f64::MAX, 1e292], INF),
        (&[INF, 1.0, -1e308], INF),
        (&[-INF, -INF], -INF),
        (&[-0.0], 0.0),
        (&[1.0, -1.0], 0.0),
    ] {
        let got = of_doubles("sum", values);
        assert_eq!(got, Value::double(sum), "{values:?}");
        assert!(!matches!(got, Value::Double(x) if x == 0.0 && x.is_sign_negative()));
    }
    assert_eq!(of_doubles("sum", &[INF, -INF]), nan);
    assert_eq!(of_doubles("sum", &[f64::NAN, 1.0]), nan);
    // One rounding: the sum would overflow, the average does not.
    assert_eq!(of_doubles("avg", &[1e308, 1e308]), Value::double(1e308));
    assert_eq!(
        of_doubles("avg", &[5e-324, 5e-324, 0.0]),
        Value::double(5e-324)
    );
    assert_eq!(of_doubles("avg", &[5e-324, 0.0]), Value::double(0.0));
    assert_eq!(of_doubles("var_pop", &[INF, 1.0]), nan);
    assert_eq!(of_doubles("var_pop", &[INF]), nan);
    assert_eq!(of_doubles("var_samp", &[INF]), Value::Null);
    assert_eq!(
        of_doubles("var_pop", &[f64::MAX, f64::MIN]),
        Value::double(INF)
    );
    assert_eq!(of_doubles("var_pop", &[0.1; 3]), Value::double(0.0));
    assert_eq!(of_doubles("stddev_samp", &[1.0]), Value::Null);
    assert_eq!(of_doubles("stddev_pop", &[1.0]), Value::double(0.0));
}

#[test]
fn integers_are_exact_or_an_error() {
    let of = |name: &str, values: &[i64]| {
        let values: Vec<Value> = values.iter().map(|x| Value::BigInt(*x)).collect();
        finished(name, "i", &values)
    };
    let overflow = Value::Error(ErrorReason::Overflow);
    assert_eq!(of("sum", &[i64::MAX, 1]), overflow);
    assert_eq!(of("sum", &[i64::MIN, -1]), overflow);
    assert_eq!(of("sum", &[i64::MAX, 1, -1]), Value::BigInt(i64::MAX));
    assert_eq!(of("sum", &[i64::MIN]), Value::BigInt(i64::MIN));
    assert_eq!(
        of("avg", &[i64::MAX, i64::MAX]),
        Value::double(i64::MAX as f64)
    );
    // 2^53 + 1, between two doubles: the mean of these two is a tie, and even wins.
    let tie = (1i64 << 53) + 1;
    assert_eq!(
        of("avg", &[tie, tie]),
        Value::double(9_007_199_254_740_992.0)
    );
    assert_eq!(of("avg", &[1, 2]), Value::double(1.5));
    assert_eq!(
        of("var_pop", &[i64::MAX, i64::MIN]),
        Value::double(8.507_059_173_023_462e37)
    );
}

#[test]
fn decimals_are_exact_or_an_error() {
    let of = |name: &str, values: &[i128]| {
        let values: Vec<Value> = values.iter().map(|x| Value::decimal(*x)).collect();
        finished(name, "d", &values)
    };
    let most = 10i128.pow(38) - 1;
    let overflow = Value::Error(ErrorReason::Overflow);
    assert_eq!(of("sum", &[most, 1]), overflow);
    assert_eq!(of("sum", &[most, most, -most]), Value::decimal(most));
    assert_eq!(of("sum", &[-most, -1]), overflow);
    assert_eq!(of("sum", &vec![most; 20]), overflow);
    assert_eq!(of("avg", &vec![most; 20]), Value::decimal(most));
    // Hundredths: the mean of 0.01 and 0.02 is a tie, and 0.02 is even.
    assert_eq!(of("avg", &[1, 2]), Value::decimal(2));
    assert_eq!(of("avg", &[0, 1]), Value::decimal(0));
    assert_eq!(of("avg", &[0, -3]), Value::decimal(-2));
    assert_eq!(of("var_pop", &[100, 300]), Value::double(1.0));
    assert_eq!(of("stddev_samp", &[10, 20, 30]), Value::double(0.1));
}
