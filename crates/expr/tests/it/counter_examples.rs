//! What was seen to go wrong elsewhere, by name: each of these had different answers for
//! different batches, plans or machines in an engine that people trust.

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{BuildError, Program, ReadTime};
use evenkeel_types::{CANONICAL_NAN, Column, DataType, ErrorReason, Expr, Value};

const OVERFLOW: Value = Value::Error(ErrorReason::Overflow);
const INVALID_CAST: Value = Value::Error(ErrorReason::InvalidCast);

fn alone(expr: &Expr, row: &[Value]) -> Value {
    Program::compile(expr).eval_row(row, 0)
}

/// The value over a column, in a batch of its own and among copies of itself.
fn in_every_shape(expr: &Expr, values: &[Value], data_type: &DataType) -> Vec<Value> {
    let program = Program::compile(expr);
    let rows: Vec<Value> = values
        .iter()
        .map(|v| program.eval_row(std::slice::from_ref(v), 0))
        .collect();
    for size in [1, 3, 4, values.len()] {
        let mut batched = Vec::new();
        for part in values.chunks(size) {
            let column = Column::from_values(data_type, part);
            let got = program.eval_batch(&[&column], part.len(), ReadTime::Constant(0));
            batched.extend(got.iter().collect::<Vec<_>>());
        }
        assert_eq!(batched, rows, "in parts of {size}");
    }
    rows
}

#[test]
fn f8_a_guard_holds_for_every_batch_shape() {
    let a = || Expr::column(0, DataType::BigInt);
    for division in ["/", "//", "%"] {
        let quotient = call(division, vec![build::integer(10), a()]).unwrap();
        let guarded = build::and(vec![
            call("<>", vec![a(), build::integer(0)]).unwrap(),
            call(">", vec![quotient.clone(), build::integer(1)]).unwrap(),
        ])
        .unwrap();
        for values in [
            vec![0],
            vec![0, 0, 0, 7],
            vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
            vec![0; 8],
            vec![1, 2, 3, 4],
        ] {
            let values: Vec<Value> = values.into_iter().map(|x: i64| Value::from(x)).collect();
            for value in in_every_shape(&guarded, &values, &DataType::BigInt) {
                assert!(matches!(value, Value::Boolean(_)), "{value:?}");
            }
        }
        assert_eq!(
            alone(&quotient, &[Value::BigInt(0)]),
            Value::Error(ErrorReason::DivisionByZero)
        );
    }
}

#[test]
fn f8_integers_do_not_wrap() {
    let (int, bigint) = (DataType::Int, DataType::BigInt);
    let sum =
        |t: &DataType| call("+", vec![Expr::column(0, t.clone()), build::integer(1)]).unwrap();
    assert_eq!(alone(&sum(&int), &[Value::Int(i32::MAX)]), OVERFLOW);
    assert_eq!(alone(&sum(&bigint), &[Value::BigInt(i64::MAX)]), OVERFLOW);
    assert_eq!(
        alone(&sum(&bigint), &[Value::BigInt(i64::MAX - 1)]),
        Value::BigInt(i64::MAX)
    );
    let half = |t: &DataType| {
        let column = Expr::column(0, t.clone());
        call("//", vec![column, build::integer(-1)]).unwrap()
    };
    assert_eq!(alone(&half(&int), &[Value::Int(i32::MIN)]), OVERFLOW);
    assert_eq!(alone(&half(&bigint), &[Value::BigInt(i64::MIN)]), OVERFLOW);
}

#[test]
fn f8_a_literal_overflows_as_a_column_does() {
    let widest = DataType::Decimal {
        precision: 38,
        scale: 0,
    };
    let greatest = Value::decimal(10i128.pow(38) - 1);
    let literal = Expr::literal(greatest.clone(), widest.clone());
    let column = Expr::column(0, widest);
    for op in ["+", "*"] {
        let folded = call(op, vec![literal.clone(), literal.clone()]).unwrap();
        let read = call(op, vec![column.clone(), column.clone()]).unwrap();
        assert_eq!(folded.data_type, read.data_type);
        assert_eq!(alone(&folded, &[]), OVERFLOW);
        assert_eq!(alone(&read, std::slice::from_ref(&greatest)), OVERFLOW);
    }
}

#[test]
fn f8_there_is_one_zero() {
    let x = || Expr::column(0, DataType::Double);
    let minus_zero = call("*", vec![x(), build::double(-1.0)]).unwrap();
    let zero = [Value::double(0.0)];
    let is_true = |expr: Result<Expr, BuildError>| {
        assert_eq!(alone(&expr.unwrap(), &zero), Value::Boolean(true));
    };
    is_true(call("=", vec![minus_zero.clone(), build::double(0.0)]));
    is_true(build::in_list(minus_zero.clone(), vec![build::double(0.0)]));
    let list = [0.0, 1.0, 2.0, 3.0, 4.0].map(build::double).to_vec();
    is_true(build::in_list(minus_zero.clone(), list));
    is_true(build::case_of(
        minus_zero.clone(),
        vec![(build::double(0.0), build::boolean(true))],
        Some(build::boolean(false)),
    ));
    let none = build::nullif(minus_zero.clone(), build::double(0.0)).unwrap();
    assert_eq!(alone(&none, &zero), Value::Null);
    for zero_like in [
        minus_zero.clone(),
        build::double(-0.0),
        call("negate", vec![x()]).unwrap(),
        call(
            "round",
            vec![call("-", vec![x(), build::double(0.25)]).unwrap()],
        )
        .unwrap(),
        call(
            "ceil",
            vec![call("-", vec![x(), build::double(0.25)]).unwrap()],
        )
        .unwrap(),
        call("sin", vec![minus_zero.clone()]).unwrap(),
        call("atan2", vec![minus_zero, build::double(1.0)]).unwrap(),
    ] {
        let Value::Double(got) = alone(&zero_like, &zero) else {
            panic!("{zero_like:?} is no double")
        };
        assert_eq!(got.to_bits(), 0.0f64.to_bits());
    }
}

#[test]
fn f8_nan_is_one_value_and_the_greatest() {
    let nan = || {
        call(
            "-",
            vec![
                Expr::column(0, DataType::Double),
                Expr::column(0, DataType::Double),
            ],
        )
        .unwrap()
    };
    let infinite = [Value::double(f64::INFINITY)];
    let Value::Double(bits) = alone(&nan(), &infinite) else {
        panic!("inf - inf is a double")
    };
    assert_eq!(bits.to_bits(), CANONICAL_NAN.to_bits());
    for (op, other, want) in [
        ("=", nan(), true),
        (">", build::double(f64::INFINITY), true),
        (">", build::double(0.0), true),
        ("<", build::double(0.0), false),
        ("<>", nan(), false),
        (">=", nan(), true),
    ] {
        let expr = call(op, vec![nan(), other]).unwrap();
        assert_eq!(alone(&expr, &infinite), Value::Boolean(want), "NaN {op}");
    }
    let greatest = call("greatest", vec![nan(), build::double(f64::INFINITY)]).unwrap();
    assert_eq!(alone(&greatest, &infinite), Value::double(f64::NAN));
}

#[test]
fn f8_casts_lose_nothing_silently() {
    let cast = |value: Value, from: DataType, to: DataType| {
        alone(&build::cast(Expr::column(0, from), &to).unwrap(), &[value])
    };
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let (double, bigint) = (DataType::Double, DataType::BigInt);
    assert_eq!(
        cast(Value::double(1.5), double.clone(), bigint.clone()),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::double(3.0), double.clone(), bigint.clone()),
        Value::BigInt(3)
    );
    assert_eq!(
        cast(Value::double(9.3e18), double.clone(), bigint.clone()),
        OVERFLOW
    );
    assert_eq!(
        cast(
            Value::double(-9_223_372_036_854_775_808.0),
            double.clone(),
            bigint.clone()
        ),
        Value::BigInt(i64::MIN)
    );
    assert_eq!(
        cast(Value::double(f64::NAN), double.clone(), bigint.clone()),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::decimal(150), decimal(5, 2), bigint.clone()),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::decimal(1500), decimal(5, 2), bigint.clone()),
        Value::BigInt(15)
    );
    assert_eq!(
        cast(Value::decimal(155), decimal(5, 2), decimal(5, 1)),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::double(0.1), double.clone(), decimal(3, 1)),
        Value::decimal(1)
    );
    assert_eq!(
        cast(Value::double(0.125), double.clone(), decimal(3, 2)),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::double(1e39), double.clone(), DataType::Float),
        OVERFLOW
    );
    assert_eq!(
        cast(Value::BigInt(1 << 40), bigint, DataType::Int),
        OVERFLOW
    );
    assert_eq!(
        cast(Value::string("1.5"), DataType::String, DataType::Int),
        INVALID_CAST
    );
    assert_eq!(
        cast(Value::string(" 15 "), DataType::String, DataType::Int),
        Value::Int(15)
    );
}

#[test]
fn f8_timestamps_reach_the_end_of_9999() {
    let text = Expr::column(0, DataType::String);
    let time = build::cast(text, &DataType::Timestamp).unwrap();
    assert_eq!(
        alone(&time, &[Value::string("9999-12-31")]),
        Value::Timestamp(253_402_214_400_000_000)
    );
    assert_eq!(alone(&time, &[Value::string("yesterday")]), INVALID_CAST);
}

#[test]
fn f8_no_clock_and_no_chance() {
    for name in [
        "now",
        "CURRENT_TIMESTAMP",
        "random",
        "rand",
        "current_date",
        "uuid",
    ] {
        let error = call(name, vec![]).unwrap_err();
        assert!(
            matches!(error, BuildError::RefusedFunction { .. }),
            "{name}"
        );
        assert!(error.hint().is_some(), "{name}");
    }
    let hint = call("now", vec![]).unwrap_err().hint().unwrap();
    assert!(hint.contains("read_time()"), "{hint}");
}

#[test]
fn f16_an_error_is_not_null() {
    let quotient = call(
        "//",
        vec![build::integer(1), Expr::column(0, DataType::Int)],
    )
    .unwrap();
    let error = Value::Error(ErrorReason::DivisionByZero);
    let zero = [Value::Int(0)];
    for expr in [
        build::coalesce(vec![quotient.clone(), build::integer(0)]),
        build::is_null(quotient.clone()),
        build::is_not_null(quotient.clone()),
        build::is_distinct_from(quotient.clone(), build::null()),
        build::case(
            vec![(build::is_null(quotient.clone()).unwrap(), build::integer(1))],
            Some(build::integer(2)),
        ),
        build::nullif(quotient.clone(), build::integer(1)),
        call("greatest", vec![build::integer(7), quotient.clone()]),
        call("hash", vec![quotient.clone()]),
        call("array", vec![quotient.clone()]),
        build::try_cast(quotient.clone(), &DataType::String),
        build::in_list(build::integer(1), vec![build::integer(1), quotient.clone()]),
    ] {
        assert_eq!(alone(&expr.unwrap(), &zero), error);
    }
    // What is not needed is not evaluated.
    let first = build::coalesce(vec![build::integer(0), quotient]).unwrap();
    assert_eq!(alone(&first, &zero), Value::Int(0));
}

#[test]
fn f16_empty_text_is_a_value() {
    let text = || Expr::column(0, DataType::String);
    let empty = [Value::string("")];
    assert_eq!(
        alone(&build::is_null(text()).unwrap(), &empty),
        Value::Boolean(false)
    );
    assert_eq!(
        alone(
            &build::coalesce(vec![text(), build::string("x")]).unwrap(),
            &empty
        ),
        Value::string("")
    );
    assert_eq!(
        alone(&call("length", vec![text()]).unwrap(), &empty),
        Value::BigInt(0)
    );
}
