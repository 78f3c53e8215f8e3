//! Functions that are not of the closed list: who is asked for what, and that both loops agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::{
    Column, ColumnFunction, DataType, ErrorReason, Expr, External, Field, FunctionSignature, Value,
};

/// `x` weighed: its negative where the text is `minus`, NaN where there is none, an ERROR for 13.
struct Weigh {
    signature: FunctionSignature,
    rows_asked: AtomicUsize,
}

impl Weigh {
    fn new() -> Arc<Self> {
        Arc::new(Weigh {
            signature: FunctionSignature {
                name: "weigh".to_owned(),
                digest: [7; 16],
                parameters: vec![
                    Field::new("x", DataType::Double),
                    Field::new("how", DataType::String),
                ],
                result: DataType::Double,
            },
            rows_asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.rows_asked.swap(0, Ordering::Relaxed)
    }
}

impl ColumnFunction for Weigh {
    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn evaluate(&self, arguments: &[Column], rows: usize) -> Column {
        assert!(rows > 0);
        self.rows_asked.fetch_add(rows, Ordering::Relaxed);
        let values: Vec<Value> = (0..rows)
            .map(|row| match (arguments[0].get(row), arguments[1].get(row)) {
                (Value::Error(_), _) | (_, Value::Error(_)) => panic!("an ERROR is an answer"),
                (Value::Double(13.0), _) => Value::Error(ErrorReason::InvalidArgument),
                (Value::Double(x), Value::String(how)) if &*how == "minus" => Value::Double(-x),
                (Value::Double(_), Value::Null) => Value::Double(-f64::NAN),
                (x, _) => x,
            })
            .collect();
        Column::from_values(&DataType::Double, &values)
    }
}

fn weighed(function: &Arc<Weigh>, x: Expr) -> Expr {
    let how = Expr::column(1, DataType::String);
    build::external(External::new(function.clone()), vec![x, how]).expect("two arguments")
}

fn rows() -> Vec<[Value; 2]> {
    let (zero, null) = (|| Value::BigInt(0), || Value::Null);
    vec![
        [Value::BigInt(4), Value::string("minus")],
        [zero(), Value::string("minus")],
        [Value::BigInt(13), Value::string("minus")],
        [null(), Value::string("plus")],
        [Value::BigInt(2), null()],
        [Value::Error(ErrorReason::Overflow), null()],
        [Value::BigInt(3), Value::Error(ErrorReason::Limit)],
        [null(), Value::Error(ErrorReason::Limit)],
        [Value::BigInt(5), Value::string("plus")],
    ]
}

fn batch(program: &Program, rows: &[[Value; 2]]) -> Vec<Value> {
    let columns = [DataType::BigInt, DataType::String];
    let columns: Vec<Column> = (0..)
        .zip(&columns)
        .map(|(c, t): (usize, _)| Column::from_values(t, rows.iter().map(|r| &r[c])))
        .collect();
    let columns: Vec<&Column> = columns.iter().collect();
    let answer = program.eval_batch(&columns, rows.len(), ReadTime::Constant(0));
    answer.iter().collect()
}

#[test]
fn rows_batches_and_parts_agree_and_errors_are_not_asked_about() {
    let function = Weigh::new();
    let program = Program::compile(&weighed(&function, Expr::column(0, DataType::BigInt)));
    let rows = rows();
    let alone: Vec<Value> = rows.iter().map(|row| program.eval_row(row, 0)).collect();
    let error = Value::Error;
    let expected = [
        Value::Double(-4.0),
        Value::Double(0.0),
        error(ErrorReason::InvalidArgument),
        Value::Null,
        Value::double(f64::NAN),
        error(ErrorReason::Overflow),
        error(ErrorReason::Limit),
        error(ErrorReason::Limit),
        Value::Double(5.0),
    ];
    let same = |got: &[Value]| {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            assert!(got.same_bits(expected), "{got:?} {expected:?}");
        }
    };
    same(&alone);
    assert_eq!(function.asked(), 6);
    same(&batch(&program, &rows));
    assert_eq!(function.asked(), 6);
    for at in 0..=rows.len() {
        let (first, second) = rows.split_at(at);
        same(&[batch(&program, first), batch(&program, second)].concat());
        assert_eq!(function.asked(), 6);
    }
}

#[test]
fn nothing_is_asked_that_is_not_needed_and_constants_are_not_folded() {
    let function = Weigh::new();
    let constant = build::external(
        External::new(function.clone()),
        vec![build::integer(4), build::string("minus")],
    )
    .unwrap();
    let program = Program::compile(&constant);
    assert_eq!(function.asked(), 0);
    assert!(program.eval_row(&[], 0).same_bits(&Value::Double(-4.0)));
    let twice = program.eval_batch(&[], 2, ReadTime::Constant(0));
    assert_eq!((twice.len(), function.asked()), (2, 3));
    assert!(program.eval_batch(&[], 0, ReadTime::Constant(0)).is_empty());
    assert_eq!(function.asked(), 0);

    let x = || Expr::column(0, DataType::BigInt);
    let guarded = build::case(
        vec![(
            call(">", vec![x(), build::integer(2)]).unwrap(),
            weighed(&function, x()),
        )],
        None,
    )
    .unwrap();
    let program = Program::compile(&guarded);
    let rows = [1, 2, 3, 4].map(|x| [Value::BigInt(x), Value::string("plus")]);
    batch(&program, &rows);
    assert_eq!(function.asked(), 2);
    for row in &rows {
        program.eval_row(row, 0);
    }
    assert_eq!(function.asked(), 2);
}

#[test]
fn arguments_are_counted_and_typed() {
    let function = Weigh::new();
    let external = |args| build::external(External::new(function.clone()), args);
    let error = external(vec![build::integer(1)]).unwrap_err();
    assert_eq!(error.to_string(), "`weigh` takes 2 arguments, not 1");
    let error = external(vec![build::integer(1), build::boolean(true)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`weigh` takes STRING (`how`) here, not BOOLEAN"
    );
    assert_eq!(error.argument(), Some(1));
    let x = external(vec![build::null(), build::null()]).unwrap();
    assert_eq!(format!("{:?}", x.kind).matches(&"07".repeat(16)).count(), 1);
}
