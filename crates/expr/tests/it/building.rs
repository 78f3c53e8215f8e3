//! Types of built expressions, and the words of refusals.

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{BuildError, EXPRESSION_DEPTH_MAX, Program, ReadTime};
use evenkeel_types::{Column, DataType, Expr, ExprKind, Field, Value};

use crate::generate::decimal;

fn column(data_type: DataType) -> Expr {
    Expr::column(0, data_type)
}

#[test]
fn types_follow_the_rules() {
    use DataType as T;
    let array = |t: T| T::Array(Box::new(t));
    for (name, args, want) in [
        ("+", vec![T::Int, T::Int], T::Int),
        ("+", vec![T::Int, T::BigInt], T::BigInt),
        ("*", vec![T::BigInt, T::Double], T::Double),
        ("-", vec![T::Float, T::Float], T::Double),
        ("/", vec![T::Int, T::Int], T::Double),
        ("//", vec![T::Int, T::BigInt], T::BigInt),
        ("+", vec![decimal(10, 2), decimal(8, 5)], decimal(14, 5)),
        ("+", vec![decimal(10, 2), T::Int], decimal(13, 2)),
        ("*", vec![decimal(10, 2), T::BigInt], decimal(29, 2)),
        ("*", vec![decimal(38, 2), decimal(38, 2)], decimal(38, 4)),
        ("%", vec![decimal(10, 2), T::Int], decimal(12, 2)),
        ("/", vec![decimal(10, 2), T::Int], T::Double),
        ("+", vec![decimal(10, 2), T::Double], T::Double),
        ("+", vec![T::Date, T::Interval], T::Timestamp),
        ("+", vec![T::Interval, T::Timestamp], T::Timestamp),
        ("-", vec![T::Date, T::Int], T::Date),
        ("-", vec![T::Date, T::Date], T::BigInt),
        ("*", vec![T::Int, T::Interval], T::Interval),
        ("round", vec![decimal(10, 2)], decimal(9, 0)),
        ("floor", vec![T::Double], T::Double),
        ("abs", vec![T::Int], T::Int),
        ("sqrt", vec![T::Int], T::Double),
        (
            "coalesce",
            vec![T::Null, T::Int, decimal(4, 1)],
            decimal(11, 1),
        ),
        ("greatest", vec![T::Date, T::Timestamp], T::Timestamp),
        ("if", vec![T::Boolean, T::Int, T::Double], T::Double),
        ("nullif", vec![T::Int, T::BigInt], T::BigInt),
        ("array", vec![T::Int, T::Null, T::Double], array(T::Double)),
        ("[]", vec![array(T::String), T::Int], T::String),
        ("year", vec![T::Date], T::BigInt),
        ("length", vec![array(T::Int)], T::BigInt),
        ("=", vec![T::Int, decimal(4, 2)], T::Boolean),
        ("sign", vec![T::Int], T::Int),
        ("read_time", vec![], T::Timestamp),
    ] {
        let exprs = args.iter().cloned().map(column).collect();
        let got = call(name, exprs).unwrap_or_else(|e| panic!("{name}{args:?}: {e}"));
        assert_eq!(got.data_type, want, "{name}{args:?}");
    }
}

#[test]
fn literals_adapt_to_their_neighbours() {
    let price = || column(decimal(10, 2));
    let text = |s: &str| build::string(s);
    let typed = |name: &str, args| call(name, args).unwrap().data_type;
    assert_eq!(
        typed("*", vec![price(), build::number("0.9").unwrap()]),
        decimal(12, 3)
    );
    let minus = call("-", vec![build::number("0.9").unwrap()]).unwrap();
    assert_eq!(typed("*", vec![price(), minus]), decimal(12, 3));
    assert_eq!(
        typed("+", vec![build::double(1e-40), price()]),
        DataType::Double
    );
    let later = call(">", vec![column(DataType::Timestamp), text("2026-01-01")]).unwrap();
    let ExprKind::Call { args, .. } = &later.kind else {
        panic!("a comparison is a call")
    };
    assert_eq!(args[1].data_type, DataType::Timestamp);
    let error = call(">", vec![column(DataType::Date), text("soon")]).unwrap_err();
    assert_eq!(error.argument(), Some(1));
    assert_eq!(error.message(), "`gt` cannot use `soon`: it is no DATE");
    assert_eq!(
        build::number("2147483648").unwrap().data_type,
        DataType::BigInt
    );
    let least = call("-", vec![build::number("2147483648").unwrap()]).unwrap();
    assert_eq!(least, build::integer(i64::from(i32::MIN)));
    assert_eq!(
        build::number("-9223372036854775808").unwrap(),
        build::integer(i64::MIN)
    );
    assert_eq!(build::number("1e3").unwrap(), build::double(1000.0));
    assert_eq!(
        build::decimal("-12.50").unwrap(),
        Expr::literal(Value::decimal(-1250), decimal(4, 2))
    );
    for bad in [
        "",
        "0x1",
        "1_000",
        "inf",
        "nan",
        "99999999999999999999",
        "1e400",
        "--1",
        ".",
    ] {
        assert!(build::number(bad).is_err(), "{bad}");
    }
}

/// The message, the position and the hint of a refusal.
fn refused(result: Result<Expr, BuildError>) -> (String, Option<usize>, String) {
    let error = result.expect_err("it is refused");
    (
        error.message(),
        error.argument(),
        error.hint().unwrap_or_default(),
    )
}

#[test]
fn refusals_say_what_to_do() {
    use DataType as T;
    let c = column;
    let says = |result, message: &str, argument, hint: &str| {
        let (got, at, got_hint) = refused(result);
        assert_eq!(
            (got.as_str(), at, got_hint.as_str()),
            (message, argument, hint)
        );
    };
    says(
        call("lenght", vec![c(T::String)]),
        "there is no function `lenght`",
        None,
        "did you mean `length`?",
    );
    says(
        call("charindex", vec![c(T::String)]),
        "there is no function `charindex`",
        None,
        "write `strpos(text, part)`; it counts characters from 1",
    );
    says(
        call("substr", vec![c(T::String)]),
        "`substr` takes 2 to 3 arguments, not 1",
        None,
        "",
    );
    says(
        call("upper", vec![c(T::Int)]),
        "`upper` takes STRING here, not INT",
        Some(0),
        "write `CAST(... AS STRING)`",
    );
    says(
        call("+", vec![c(T::String), c(T::Int)]),
        "`add` takes a number here, not STRING",
        Some(0),
        "cast the text first: `CAST(... AS ...)`",
    );
    says(
        build::and(vec![c(T::Boolean), c(T::Int)]),
        "`and` takes BOOLEAN here, not INT",
        Some(1),
        "compare it with something: `x <> 0`",
    );
    says(
        call("=", vec![c(T::String), c(T::Int)]),
        "`eq` needs arguments of one type, but INT does not go with STRING",
        Some(1),
        "cast one of them: `CAST(... AS STRING)` or `CAST(... AS INT)`",
    );
    says(
        call("-", vec![c(T::Timestamp), c(T::Timestamp)]),
        "`subtract` takes an INTERVAL here, not TIMESTAMP",
        Some(1),
        "the length between two times has a unit: `date_diff('second', a, b)`, or subtract `epoch_us(...)`",
    );
    says(
        call("hour", vec![c(T::Timestamp), build::string("Berlin")]),
        "`hour` cannot use `Berlin`: there is no such time zone",
        Some(1),
        "write an IANA name such as `Europe/Berlin`, `UTC` or an offset such as `+02:00`",
    );
    says(
        call("date_part", vec![build::string("dow"), c(T::Timestamp)]),
        "`date_part` cannot use `dow`: there is no such part of a time",
        Some(0),
        "say which day is first: `day_of_week(ts)` is ISO, Monday 1 to Sunday 7",
    );
    says(
        call("extract", vec![build::string("hour"), c(T::Int)]),
        "`hour` takes TIMESTAMP here, not INT",
        Some(1),
        "",
    );
    says(
        call("hour", vec![c(T::Timestamp), c(T::String)]),
        "`hour` needs a constant here: the time zone",
        Some(1),
        "write it out as a literal, it is fixed by the definition",
    );
    says(
        build::cast(c(T::Timestamp), &T::BigInt),
        "TIMESTAMP cannot be cast to BIGINT",
        None,
        "say in which unit: `epoch(ts)`, `epoch_ms(ts)` or `epoch_us(ts)`",
    );
    says(
        build::coerce(c(T::Double), &T::Int),
        "DOUBLE does not become INT by itself",
        None,
        "write `CAST(... AS INT)`",
    );
    says(
        call("log", vec![c(T::Double)]),
        "`log` takes 2 arguments, not 1",
        None,
        "say which base: `ln(x)`, `log10(x)` or `log2(x)`",
    );
    says(
        call("*", vec![c(decimal(38, 20)), c(decimal(38, 20))]),
        "`multiply` would need 40 digits after the point, but DECIMAL has at most 38",
        None,
        "cast the arguments to fewer digits or to DOUBLE first",
    );
    says(
        call("<", vec![c(T::Interval), c(T::Interval)]),
        "`lt` takes something that has an order here, not INTERVAL",
        Some(0),
        "a month has no fixed length: compare times instead, `a > b + INTERVAL '1' MONTH`",
    );
    says(
        build::like(c(T::String), build::string("50!"), Some(build::string("!"))),
        "`like` cannot use `50!`: it ends with the escape character",
        Some(1),
        "write the escape character twice to mean itself",
    );
    let row = T::Struct(vec![Field::new("value", T::String)]);
    says(
        build::field(c(row), "vale"),
        "`struct_field` cannot use `vale`: the struct has no such field",
        Some(1),
        "it has `value`",
    );
}

#[test]
fn arguments_of_case_count_through() {
    let (truth, int, text) = (
        || column(DataType::Boolean),
        || column(DataType::Int),
        || column(DataType::String),
    );
    let error = build::case(vec![(truth(), int()), (truth(), text())], None).unwrap_err();
    assert_eq!(error.argument(), Some(3));
    let error = build::case(vec![(truth(), int())], Some(text())).unwrap_err();
    assert_eq!(error.argument(), Some(2));
    let error = build::case(vec![(truth(), int()), (int(), int())], None).unwrap_err();
    assert_eq!(error.argument(), Some(2));
    let error = build::case_of(int(), vec![(int(), int()), (text(), int())], None).unwrap_err();
    assert_eq!(error.argument(), Some(2));
}

#[test]
fn hostile_depth_and_size_are_refused() {
    let mut expr = column(DataType::BigInt);
    let mut levels = 1;
    let error = loop {
        match call("+", vec![expr.clone(), build::integer(1)]) {
            Ok(deeper) => expr = deeper,
            Err(error) => break error,
        }
        levels += 1;
    };
    assert_eq!((error, levels), (BuildError::TooDeep, EXPRESSION_DEPTH_MAX));
    // The deepest that is allowed runs.
    let value = Program::compile(&expr).eval_row(&[Value::BigInt(0)], 0);
    assert_eq!(value, Value::BigInt(EXPRESSION_DEPTH_MAX as i64 - 1));

    let batch = Program::compile(&expr).eval_batch(
        &[&Column::from_values(&DataType::BigInt, [&Value::BigInt(0)])],
        1,
        ReadTime::Constant(0),
    );
    assert_eq!(batch.get(0), value);

    // Choices nest as deep, on selections of their rows.
    let mut choice = column(DataType::Boolean);
    while let Ok(deeper) = call(
        "if",
        vec![
            column(DataType::Boolean),
            choice.clone(),
            build::boolean(false),
        ],
    ) {
        choice = deeper;
    }
    let truths = [Value::Boolean(true), Value::Null, Value::Boolean(false)];
    let got = Program::compile(&choice).eval_batch(
        &[&Column::from_values(&DataType::Boolean, &truths)],
        3,
        ReadTime::Constant(0),
    );
    let want = [true, false, false].map(Value::Boolean);
    assert_eq!(got.iter().collect::<Vec<_>>(), want);

    let mut wide = column(DataType::BigInt);
    let error = loop {
        match call("*", vec![wide.clone(), wide.clone()]) {
            Ok(wider) => wide = wider,
            Err(error) => break error,
        }
    };
    assert_eq!(error, BuildError::TooLarge);

    // Connectives of a kind are one level however they are nested.
    let mut chain = column(DataType::Boolean);
    for _ in 0..2 * EXPRESSION_DEPTH_MAX {
        chain = build::or(vec![chain, column(DataType::Boolean)]).unwrap();
    }
}
