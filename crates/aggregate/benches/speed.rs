//! Nanoseconds per operation on one core: `cargo bench -p evenkeel-aggregate`.
//!
//! The numbers are for comparing two versions on one machine in one run, nothing else.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement reads a clock and prints what it found"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::sweep::{index_ranges, slide};
use evenkeel_aggregate::{
    Aggregates, Aggregator, Entry, EventOrder, Everything, History, SpecId, WhereId,
};
use evenkeel_types::time::{DAY, SECOND};
use evenkeel_types::{
    AggregateCall, Column, ColumnData, DataType, Expr, Extent, Frame, Position, Value,
};

const TYPES: [DataType; 2] = [DataType::Double, DataType::BigInt];

fn call(name: &str, column: usize, parameter: Option<Value>) -> AggregateCall {
    let mut args = vec![Argument {
        data_type: &TYPES[column],
        constant: None,
    }];
    let mut exprs = vec![Expr::column(column, TYPES[column].clone())];
    if let Some(parameter) = &parameter {
        args.push(Argument {
            data_type: &DataType::Int,
            constant: Some(parameter),
        });
        exprs.push(Expr::literal(parameter.clone(), DataType::Int));
    }
    let signature = resolve(name, &args, Modifiers::default()).unwrap();
    signature.into_call(&exprs, None)
}

fn calls() -> Vec<(&'static str, AggregateCall)> {
    vec![
        ("count", call("count", 0, None)),
        ("sum double", call("sum", 0, None)),
        ("sum bigint", call("sum", 1, None)),
        ("avg double", call("avg", 0, None)),
        ("stddev double", call("stddev", 0, None)),
        ("max double", call("max", 0, None)),
        ("last bigint", call("last", 1, None)),
        ("last_n 10", call("last_n", 1, Some(Value::Int(10)))),
        ("count_distinct", call("count_distinct", 1, None)),
        ("median", call("median", 0, None)),
        ("top_k 5", call("top_k", 1, Some(Value::Int(5)))),
    ]
}

fn timed(operations: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / operations as f64
}

fn numbers(length: usize) -> (Vec<f64>, Vec<i64>) {
    let mut x = 88_172_645_463_325_252u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    (0..length)
        .map(|_| {
            (
                (next() % 10_000) as f64 / 97.0 + 0.001,
                (next() % 900) as i64,
            )
        })
        .unzip()
}

fn main() {
    const EVENTS: usize = 200_000;
    let (doubles, integers) = numbers(EVENTS);
    let columns = [
        Column::from_parts(ColumnData::Double(doubles), Vec::new()),
        Column::from_parts(ColumnData::BigInt(integers), Vec::new()),
    ];
    let times: Vec<i64> = (0..EVENTS as i64).map(|i| i * 60 * SECOND).collect();
    let order = |slot: usize| EventOrder::new(slot as i64, b"");

    println!(
        "ns per event added, per state merged, per finish, per event slid (7 days, a read per event)"
    );
    for (name, call) in calls() {
        let aggregator = Aggregator::of(&call).unwrap();
        let inputs: Vec<&Column> = match call.args[0].data_type {
            DataType::Double => vec![&columns[0]],
            _ => vec![&columns[1]],
        };
        let mut state = aggregator.empty();
        let add = timed(EVENTS, || {
            aggregator.add_slots(&mut state, &inputs, 0..EVENTS, order);
        });
        let mut part = aggregator.empty();
        aggregator.add_slots(&mut part, &inputs, 0..512, order);
        let merge = timed(1_000, || {
            let mut merged = aggregator.empty();
            for _ in 0..1_000 {
                aggregator.merge(&mut merged, black_box(&part));
            }
            black_box(merged);
        });
        let finish = timed(100, || {
            for _ in 0..100 {
                black_box(aggregator.finish(black_box(&part)));
            }
        });
        let mut ranges = Vec::new();
        index_ranges(&Frame::last(7 * DAY), None, &times, &times, 0, &mut ranges);
        let slid = timed(EVENTS, || {
            black_box(slide(&aggregator, &inputs, None, &ranges));
        });
        println!("{name:16} {add:9.1} {merge:9.1} {finish:9.1} {slid:9.1}");
    }

    let mut aggregates = Aggregates::new();
    let specs: Vec<(&str, SpecId)> = calls()
        .into_iter()
        .map(|(name, call)| (name, aggregates.register(&call, WhereId::ALL).unwrap()))
        .collect();
    for length in [60usize, 5_000, EVENTS] {
        let mut history = History::new(Arc::from(TYPES));
        let insert = timed(length, || {
            for (i, &time) in times[..length].iter().enumerate() {
                history.insert(&Entry {
                    time,
                    order: &(i as u64).to_be_bytes(),
                    position: Position::new(0, i as u64),
                    visible_at: time,
                    contested: false,
                    id: i as u64,
                    values: &[columns[0].get(i), columns[1].get(i)],
                });
            }
        });
        println!("history of {length}: {insert:.0} ns per insertion; ns per warm fold:");
        let last = times[length - 1];
        let frames = [
            ("7 days", Frame::last(7 * DAY)),
            ("90 days", Frame::last(90 * DAY)),
            ("unbounded", Frame::unbounded()),
            (
                "rows 1000",
                Frame {
                    extent: Extent::Rows {
                        start: Some(1_000),
                        end: 0,
                    },
                    exclude_group: false,
                },
            ),
        ];
        for (frame_name, frame) in &frames {
            let mut line = format!("  {frame_name:10}");
            let first_three: Vec<SpecId> = specs.iter().map(|s| s.1).skip(1).take(3).collect();
            let sets: Vec<(&str, Vec<SpecId>)> = specs
                .iter()
                .map(|(name, spec)| (*name, vec![*spec]))
                .chain([("three sums", first_three)])
                .collect();
            for (name, ids) in sets {
                let fold = |t: i64| {
                    black_box(history.fold(&aggregates, &ids, frame, None, t, &Everything));
                };
                fold(last);
                let rounds = 200;
                let each = timed(rounds, || {
                    for i in 0..rounds as i64 {
                        fold(last - i * 61 * SECOND / 7);
                    }
                });
                line.push_str(&format!(" {name} {each:.0},"));
            }
            println!("{line}");
        }
    }
}
