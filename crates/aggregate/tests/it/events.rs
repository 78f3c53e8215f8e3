//! Random events, calls and frames.

use std::sync::Arc;

use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::{Entry, EventOrder};
use evenkeel_expr::build;
use evenkeel_types::time::{DAY, HOUR, parse_timestamp};
use evenkeel_types::{
    AggregateCall, CalendarUnit, DataType, ErrorReason, Expr, Extent, Frame, Interval, Position,
    Value, Zone,
};
use proptest::prelude::*;

/// The columns of every test source.
pub(crate) fn types() -> Arc<[DataType]> {
    Arc::from([
        DataType::Double,
        DataType::BigInt,
        DataType::Decimal {
            precision: 38,
            scale: 2,
        },
        DataType::Boolean,
        DataType::String,
        DataType::Float,
        DataType::Int,
    ])
}

/// Columns by name.
pub(crate) const NAMES: [&str; 7] = ["x", "i", "d", "b", "s", "f", "c"];

/// The column of a name.
pub(crate) fn column(name: &str) -> Expr {
    let index = NAMES.iter().position(|n| *n == name).unwrap();
    Expr::column(index, types()[index].clone())
}

/// A call by name over columns, `args` after the first may be numbers.
pub(crate) fn call(name: &str, args: &[&str]) -> AggregateCall {
    call_with(name, args, false, None)
}

/// A call with modifiers.
pub(crate) fn call_with(
    name: &str,
    args: &[&str],
    ignore_nulls: bool,
    filter: Option<Expr>,
) -> AggregateCall {
    let exprs: Vec<Expr> = args
        .iter()
        .map(|arg| {
            if NAMES.contains(arg) {
                column(arg)
            } else {
                build::number(arg).unwrap()
            }
        })
        .collect();
    over(name, &exprs, ignore_nulls, filter)
}

/// A call over any expressions.
pub(crate) fn over(
    name: &str,
    exprs: &[Expr],
    ignore_nulls: bool,
    filter: Option<Expr>,
) -> AggregateCall {
    let args: Vec<Argument<'_>> = exprs
        .iter()
        .map(|e| Argument {
            data_type: &e.data_type,
            constant: match &e.kind {
                evenkeel_types::ExprKind::Literal(value) => Some(value),
                _ => None,
            },
        })
        .collect();
    let modifiers = Modifiers {
        distinct: false,
        ignore_nulls,
    };
    let signature = resolve(name, &args, modifiers).unwrap();
    signature.into_call(exprs, filter)
}

/// `c > 0`
pub(crate) fn condition() -> Expr {
    build::call(">", vec![column("c"), build::integer(0)]).unwrap()
}

/// `i > 0`, an ERROR or NULL where `i` is.
pub(crate) fn other_condition() -> Expr {
    build::call(">", vec![column("i"), build::integer(0)]).unwrap()
}

/// Every function over every kind of input.
pub(crate) fn calls() -> Vec<AggregateCall> {
    let mut calls = vec![call("count", &[])];
    for x in ["x", "i", "d", "f"] {
        for name in [
            "count",
            "sum",
            "avg",
            "var_pop",
            "var_samp",
            "stddev_pop",
            "stddev_samp",
            "median",
        ] {
            calls.push(call(name, &[x]));
        }
        calls.push(call("approx_quantile", &[x, "0.07"]));
    }
    for x in NAMES {
        for name in ["min", "max", "first", "last"] {
            calls.push(call(name, &[x]));
        }
        for name in ["first", "last"] {
            calls.push(call_with(name, &[x], true, None));
        }
        calls.push(call("first_n", &[x, "3"]));
        calls.push(call("last_n", &[x, "3"]));
        calls.push(call_with("last_n", &[x, "2"], true, None));
        calls.push(call("count_distinct", &[x, "4"]));
        calls.push(call("top_k", &[x, "2", "5"]));
        calls.push(call("min_by", &[x, "x"]));
        calls.push(call("max_by", &["x", x]));
    }
    calls.push(call("bool_and", &["b"]));
    calls.push(call("bool_or", &["b"]));
    calls.push(call("count_if", &["b"]));
    // Computed inputs, some of which overflow or divide by zero.
    let product = build::call("*", vec![column("i"), column("i")]).unwrap();
    let quotient = build::call("/", vec![column("x"), column("f")]).unwrap();
    calls.push(over("sum", std::slice::from_ref(&product), false, None));
    calls.push(over("last", &[product], false, Some(condition())));
    calls.push(over("avg", &[quotient], false, Some(other_condition())));
    for (name, args) in [
        ("count", &[][..]),
        ("sum", &["x"]),
        ("max", &["s"]),
        ("last_n", &["i", "2"]),
        ("count_distinct", &["s", "2"]),
        ("median", &["x"]),
    ] {
        calls.push(call_with(name, args, false, Some(condition())));
        calls.push(call_with(name, args, false, Some(other_condition())));
    }
    calls
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) order: Vec<u8>,
    pub(crate) position: Position,
    pub(crate) visible_at: i64,
    pub(crate) values: Vec<Value>,
}

impl Event {
    pub(crate) fn entry(&self, id: u64) -> Entry<'_> {
        Entry {
            time: self.time,
            order: &self.order,
            position: self.position,
            visible_at: self.visible_at,
            contested: false,
            id,
            values: &self.values,
        }
    }

    pub(crate) fn event_order(&self) -> EventOrder<'_> {
        EventOrder::new(self.time, &self.order)
    }
}

fn doubles() -> BoxedStrategy<f64> {
    prop_oneof![
        6 => (-40i32..40).prop_map(|n| f64::from(n) / 10.0),
        2 => any::<f64>(),
        1 => prop::sample::select(vec![
            0.0, -0.0, 1e308, -1e308, 1.7e308, f64::MAX, f64::MIN, 5e-324, -5e-324,
            f64::MIN_POSITIVE, 1e16, 1.0, -1e16, 1e-300,
        ]),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
    ]
    .boxed()
}

fn integers() -> BoxedStrategy<i64> {
    prop_oneof![
        6 => -5i64..6,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MAX, i64::MIN, i64::MAX - 1]),
    ]
    .boxed()
}

fn decimals() -> BoxedStrategy<i128> {
    let limit = 10i128.pow(38) - 1;
    prop_oneof![
        6 => -500i128..500,
        1 => -limit..=limit,
        1 => prop::sample::select(vec![limit, -limit]),
    ]
    .boxed()
}

/// Sometimes NULL, and an ERROR if allowed.
fn or_missing(values: BoxedStrategy<Value>, errors: bool) -> BoxedStrategy<Value> {
    let reasons = prop::sample::select(ErrorReason::ALL.to_vec()).prop_map(Value::Error);
    if errors {
        prop_oneof![8 => values, 1 => Just(Value::Null), 1 => reasons].boxed()
    } else {
        prop_oneof![8 => values, 1 => Just(Value::Null)].boxed()
    }
}

/// The values of one event.
pub(crate) fn row(errors: bool) -> BoxedStrategy<Vec<Value>> {
    let of = |values: BoxedStrategy<Value>| or_missing(values, errors);
    (
        of(doubles().prop_map(Value::double).boxed()),
        of(integers().prop_map(Value::BigInt).boxed()),
        of(decimals().prop_map(Value::decimal).boxed()),
        of(any::<bool>().prop_map(Value::Boolean).boxed()),
        of("[ab\\x00é]{0,3}"
            .prop_map(|s: String| Value::string(s))
            .boxed()),
        of(doubles().prop_map(|x| Value::float(x as f32)).boxed()),
        of((-2i32..3).prop_map(Value::Int).boxed()),
    )
        .prop_map(|(x, i, d, b, s, f, c)| vec![x, i, d, b, s, f, c])
        .boxed()
}

fn utc(text: &str) -> i64 {
    parse_timestamp(text, &Zone::utc()).unwrap()
}

/// Times close together with ties, around month ends, and around changes of clocks.
fn times() -> BoxedStrategy<i64> {
    let anchors = prop::sample::select(vec![
        utc("2026-02-28T00:00:00Z"),
        utc("2026-03-29T00:30:00Z"),
        utc("2024-02-29T12:00:00Z"),
        utc("2026-03-31T23:59:59.999999Z"),
        utc("1969-12-31T23:59:59Z"),
    ]);
    let steps = prop_oneof![
        4 => (-6i64..7).prop_map(|n| n * HOUR),
        2 => (-40i64..41).prop_map(|n| n * DAY),
        2 => -3i64..4,
        1 => (-6i64..7).prop_map(|n| n * HOUR / 4 - 1),
    ];
    (anchors, steps).prop_map(|(a, s)| a + s).boxed()
}

/// Events of one key, with one anchor so that they are near each other, in no order.
pub(crate) fn events(most: usize) -> BoxedStrategy<Vec<Event>> {
    (any::<bool>(), prop::bool::weighted(0.3))
        .prop_flat_map(move |(narrow, errors)| {
            let anchor = times();
            let near = if narrow {
                prop_oneof![(-8i64..9).prop_map(|n| n * HOUR), -2i64..3].boxed()
            } else {
                prop_oneof![
                    (-40i64..41).prop_map(|n| n * DAY),
                    (-8i64..9).prop_map(|n| n * HOUR)
                ]
                .boxed()
            };
            (
                anchor,
                prop::collection::vec((near, row(errors), 0u32..2, -2i64..30), 0..=most),
            )
        })
        .prop_map(|(anchor, rows)| {
            rows.into_iter()
                .enumerate()
                .map(|(i, (near, values, partition, delay))| Event {
                    time: anchor + near,
                    // Unique, in another order than that of arrival.
                    order: vec![(i * 7 % 5) as u8, i as u8, (i >> 8) as u8],
                    position: Position::new(partition, i as u64),
                    visible_at: anchor + near + delay * HOUR,
                    values,
                })
                .collect()
        })
        .boxed()
}

fn interval() -> BoxedStrategy<Interval> {
    prop_oneof![
        (0i64..10).prop_map(|n| Interval::from_micros(n * HOUR)),
        (0i64..4).prop_map(Interval::from_micros),
        (1i64..45).prop_map(|n| Interval::from_micros(n * DAY)),
        (1i32..14).prop_map(Interval::from_months),
        (1i32..3, -3i64..4).prop_map(|(months, micros)| Interval {
            months,
            micros: micros.max(0)
        }),
    ]
    .boxed()
}

/// Every kind of frame.
pub(crate) fn frames() -> BoxedStrategy<Frame> {
    let zones = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/St_Johns",
        "America/Sao_Paulo",
        "+05:45",
    ]);
    let units = prop::sample::select(vec![
        CalendarUnit::Day,
        CalendarUnit::Week,
        CalendarUnit::Month,
        CalendarUnit::Year,
    ]);
    let extent = prop_oneof![
        4 => interval().prop_map(|start| Extent::Range { start: Some(start), end: Interval::default() }),
        2 => (interval(), interval()).prop_map(|(a, b)| {
            let (start, end) = (a.max(b), a.min(b));
            Extent::Range { start: Some(start), end }
        }),
        1 => interval().prop_map(|end| Extent::Range { start: None, end }),
        1 => Just(Extent::Range { start: None, end: Interval::default() }),
        2 => (1i64..5, 0i64..3, prop::sample::select(vec![1, 7 * HOUR, DAY, HOUR / 4])).prop_map(|(n, m, hop)| {
            Extent::Hop { start: Some((n + m) * hop), end: m * hop, hop }
        }),
        1 => Just(Extent::Hop { start: None, end: 0, hop: DAY }),
        2 => (units, zones).prop_map(|(unit, zone)| Extent::StartOf { unit, zone: Zone::named(zone).unwrap() }),
        2 => (0u64..6, 0u64..3).prop_map(|(n, end)| Extent::Rows { start: Some(n + end), end }),
        1 => (0u64..3).prop_map(|end| Extent::Rows { start: None, end }),
        1 => Just(Extent::Rows { start: Some(u64::MAX), end: 0 }),
        2 => prop::sample::select(vec![1, HOUR, 3 * HOUR, 2 * DAY]).prop_map(|gap| Extent::Session { gap }),
    ];
    (extent, any::<bool>())
        .prop_map(|(extent, exclude_group)| Frame {
            exclude_group: exclude_group && !matches!(extent, Extent::Hop { .. }),
            extent,
        })
        .boxed()
}

/// Lengths by which a frame's edges may lie away from an event, microseconds.
pub(crate) fn reach(frame: &Frame) -> Vec<i64> {
    match &frame.extent {
        Extent::Range { start, end } => [*start, Some(*end)]
            .into_iter()
            .flatten()
            .map(|i| i64::from(i.months) * 30 * DAY + i.micros)
            .collect(),
        Extent::Hop { start, end, hop } => vec![start.unwrap_or(0), *end, *hop],
        Extent::StartOf { .. } => vec![HOUR, DAY],
        Extent::Rows { .. } => vec![HOUR],
        Extent::Session { gap } => vec![*gap],
    }
}
