//! How long a model takes: `model_speed MODEL < ROWS`, a line of numbers per row. Prints the
//! seconds of a row in the best of several batches, the median seconds of single rows, and the sum
//! of the answers, to compare with another system.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::error::Error;
use std::time::Instant;

use evenkeel_model::{Choice, Model};
use evenkeel_types::{Column, ColumnFunction, DataType, Value};

/// Batches of all rows.
const REPEATS: usize = 5;
/// Rows that are asked for alone.
const SINGLE_MAX: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("model_speed MODEL < ROWS")?;
    let model = Model::load("m", &std::fs::read(path)?, &Choice::default())?;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for line in std::io::stdin().lines() {
        let numbers = line?
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        rows.push(numbers.into_iter().map(Value::double).collect());
    }
    let width = model.signature().parameters.len();
    let columns: Vec<Column> = (0..width)
        .map(|at| Column::from_values(&DataType::Double, rows.iter().map(|row| &row[at])))
        .collect();
    let mut batch = f64::INFINITY;
    let mut sum = 0.0;
    for _ in 0..REPEATS {
        let start = Instant::now();
        let answers = model.evaluate(&columns, rows.len());
        batch = batch.min(start.elapsed().as_secs_f64());
        sum = answers
            .iter()
            .map(|answer| match answer {
                Value::Float(x) => f64::from(x),
                Value::Double(x) => x,
                _ => 0.0,
            })
            .sum();
    }
    let mut single: Vec<f64> = rows
        .iter()
        .take(SINGLE_MAX)
        .map(|row| {
            let row: Vec<&Value> = row.iter().collect();
            let start = Instant::now();
            std::hint::black_box(model.evaluate_row(&row));
            start.elapsed().as_secs_f64()
        })
        .collect();
    single.sort_by(f64::total_cmp);
    let median = single.get(single.len() / 2).ok_or("no rows")?;
    println!("{} {median} {sum}", batch / rows.len() as f64);
    Ok(())
}
