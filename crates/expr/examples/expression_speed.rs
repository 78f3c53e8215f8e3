//! How long expressions take, alone and in batches: `cargo run --release --example expression_speed`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::hint::black_box;
use std::time::Instant;

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{BuildError, Program, ReadTime};
use evenkeel_types::{Column, DataType, Expr, Value};

const ROWS: usize = 2_048;
const REPEATS: usize = 1_000;

fn expressions() -> Result<Vec<(&'static str, Expr)>, BuildError> {
    let a = || Expr::column(0, DataType::Double);
    let b = || Expr::column(1, DataType::Double);
    let n = || Expr::column(2, DataType::BigInt);
    let s = || Expr::column(3, DataType::String);
    let t = || Expr::column(4, DataType::Timestamp);
    let guard = call("<>", vec![n(), build::integer(0)])?;
    let tenth = call("//", vec![build::integer(10), n()])?;
    Ok(vec![
        ("a + b", call("+", vec![a(), b()])?),
        (
            "a * 2 + b",
            call("+", vec![call("*", vec![a(), build::integer(2)])?, b()])?,
        ),
        (
            "a / (b + 1)",
            call("/", vec![a(), call("+", vec![b(), build::double(1.0)])?])?,
        ),
        ("n + 1", call("+", vec![n(), build::integer(1)])?),
        ("n / 7", call("/", vec![n(), build::integer(7)])?),
        ("a > b", call(">", vec![a(), b()])?),
        (
            "n <> 0 AND 10 // n > 1",
            build::and(vec![guard, call(">", vec![tenth, build::integer(1)])?])?,
        ),
        (
            "CASE WHEN a > b THEN a ELSE b END",
            build::case(vec![(call(">", vec![a(), b()])?, a())], Some(b()))?,
        ),
        (
            "coalesce(a, 0)",
            build::coalesce(vec![a(), build::double(0.0)])?,
        ),
        (
            "a BETWEEN 0 AND 1",
            build::between(a(), build::double(0.0), build::double(1.0))?,
        ),
        ("ln(a)", call("ln", vec![a()])?),
        ("round(a, 2)", call("round", vec![a(), build::integer(2)])?),
        ("s = 'DFW'", call("=", vec![s(), build::string("DFW")])?),
        (
            "s IN ('DFW', 'ATL', 'ORD')",
            build::in_list(s(), ["DFW", "ATL", "ORD"].map(build::string).to_vec())?,
        ),
        ("s LIKE 'D%'", build::like(s(), build::string("D%"), None)?),
        ("upper(s)", call("upper", vec![s()])?),
        ("hour(t)", call("hour", vec![t()])?),
        (
            "hour(t, 'Europe/Berlin')",
            call("hour", vec![t(), build::string("Europe/Berlin")])?,
        ),
    ])
}

fn columns() -> Vec<Column> {
    let texts = ["DFW", "ATL", "JFK", "SFO"];
    let mut columns = [
        DataType::Double,
        DataType::Double,
        DataType::BigInt,
        DataType::String,
        DataType::Timestamp,
    ]
    .map(|t| Column::new(&t));
    for i in 0..ROWS as i64 {
        let scrambled = (i * 7_919) % 1_009;
        columns[0].push(&Value::double(scrambled as f64 / 64.0));
        columns[1].push(&Value::double((scrambled * 31 % 1_013) as f64 / 64.0));
        columns[2].push(&Value::BigInt(scrambled % 3));
        columns[3].push(&Value::string(texts[(scrambled % 4) as usize]));
        columns[4].push(&Value::Timestamp(scrambled * 1_000_000_007));
    }
    columns.into()
}

/// Nanoseconds for each row in the best of the runs: the others shared the machine.
fn best(runs: usize, mut run: impl FnMut()) -> f64 {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_nanos()
        })
        .min()
        .unwrap_or(0) as f64
        / ROWS as f64
}

fn main() -> Result<(), BuildError> {
    let columns = columns();
    let references: Vec<&Column> = columns.iter().collect();
    let rows: Vec<Vec<Value>> = (0..ROWS)
        .map(|i| columns.iter().map(|c| c.get(i)).collect())
        .collect();
    println!("{:36} {:>14} {:>14}", "", "batch ns/row", "alone ns/row");
    for (name, expr) in expressions()? {
        let program = Program::compile(&expr);
        let batch = best(REPEATS, || {
            black_box(program.eval_batch(black_box(&references), ROWS, ReadTime::Constant(0)));
        });
        let alone = best(REPEATS / 4, || {
            for row in &rows {
                black_box(program.eval_row(black_box(row), 0));
            }
        });
        println!("{name:36} {batch:14.2} {alone:14.1}");
    }
    Ok(())
}
