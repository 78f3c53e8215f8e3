//! Backfills and timers of streams that call functions in Python, for who waits for them and for who does
//! not: the rows are what arithmetic says, wherever the process died.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_engine::Engine;
use evenkeel_engine::push::Pusher;
use evenkeel_types::{LoggedEvent, Operation, Value};

use crate::emissions::{at, bits, events};
use crate::functions;
use crate::random_history::Random;
use crate::timer_history::{Step, backfill_of, of_rows, verified};
use crate::timer_server::Served;

const MODULE: &str = "
def part(amount, n):
    return None if amount is None else amount / n
";
const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM paid (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM rates (card BIGINT, rate DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE FUNCTION part(amount DOUBLE, n BIGINT) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:part';
CREATE STREAM rated AS SELECT p.id, part(p.amount, 2) AS half, part(r.rate, 4) AS rate
FROM paid p ASOF JOIN rates r ON p.card = r.card;
CREATE STREAM later AS SELECT p.id, part(p.amount, 2) AS half, part(r.rate, 4) AS rate
FROM paid p ASOF JOIN rates r ON p.card = r.card AFTER INTERVAL '10' MINUTE ON LATE REVISE;
";
const COUNT: u64 = 60;
/// Of the period that is made again.
const FROM: u64 = 20;
const TO: u64 = 50;

fn paid() -> Vec<Vec<Value>> {
    let row = |id: u64| {
        let card = Value::BigInt((id % 5) as i64);
        let amount = Value::Double(id as f64 / 4.0);
        vec![Value::BigInt(id as i64), card, amount, at(id)]
    };
    (0..COUNT).map(row).collect()
}

fn rate(card: u64) -> f64 {
    card as f64 + 0.5
}

/// They come late.
fn rates() -> Vec<Vec<Value>> {
    let row = |card: u64| vec![Value::BigInt(card as i64), Value::Double(rate(card)), at(0)];
    (0..5).map(row).collect()
}

/// What holds of a stream, by id.
fn holds(engine: &Engine, stream: &str) -> BTreeMap<i64, Vec<u8>> {
    let mut holds = BTreeMap::new();
    for logged in events(engine, stream) {
        let Value::BigInt(id) = logged.event.row[2] else {
            panic!("{logged:?}");
        };
        match logged.event.operation {
            Operation::Remove => holds.remove(&id),
            _ => holds.insert(id, bits(logged.event.row[3..].to_vec())),
        };
    }
    holds
}

/// What arithmetic says, of ids before one: the rate where it is known.
fn said(end: u64, knows_rate: impl Fn(u64) -> bool) -> BTreeMap<i64, Vec<u8>> {
    let row = |id: u64| {
        let rate = match knows_rate(id) {
            true => Value::Double(rate(id % 5) / 4.0),
            false => Value::Null,
        };
        (id as i64, bits([Value::Double(id as f64 / 8.0), rate]))
    };
    (0..end).map(row).collect()
}

fn told(engine: &Engine) -> Vec<(Operation, u32, Vec<u8>)> {
    let all = ["rated", "later"]
        .into_iter()
        .flat_map(|stream| events(engine, stream));
    let part = |e: LoggedEvent| (e.event.operation, e.event.revision, bits(e.event.row));
    all.map(part).collect()
}

fn check(engine: &Engine) {
    // The rows of the others stay as they were emitted.
    assert_eq!(
        holds(engine, "rated"),
        said(COUNT, |id| (FROM..TO).contains(&id))
    );
    // The last ones are not due; the period of a stream with a timer is that of its rows.
    assert_eq!(holds(engine, "later"), said(COUNT - 11, |_| true));
    assert!(verified(engine, 2) > 0);
}

#[test]
fn what_calls_functions_is_made_again_whoever_waits_for_them() {
    let Some(plain) = functions::world(MODULE, DEFINITIONS) else {
        return;
    };
    let again = [
        Step::Backfill("rated", FROM, TO),
        Step::Backfill("later", FROM, TO),
    ];
    let mut engine = plain.engine();
    for (source, rows) in [("paid", paid()), ("rates", rates())] {
        let write = of_rows(&engine, source, rows);
        engine.write(&mut Pusher::default(), write).unwrap();
    }
    for (step, events) in again.iter().zip([TO - FROM, TO - FROM]) {
        let request = backfill_of(&engine, step).unwrap();
        let goes_on = &mut |_: &str, _, _| ControlFlow::Continue(());
        let report = engine.backfill(&request, goes_on).unwrap();
        assert_eq!(report.events, events);
    }
    check(&engine);
    let expected = told(&engine);
    for (seed, evaluated_max) in [(1, 7), (2, 4_096)] {
        let world = functions::world(MODULE, DEFINITIONS).unwrap();
        let mut served = Served::new(&world, evaluated_max);
        served.dies_one_in = 12;
        let mut random = Random(seed);
        for (source, rows) in [("paid", paid()), ("rates", rates())] {
            let write = of_rows(served.engine(), source, rows);
            served.write(write);
        }
        for step in &again {
            served.log(std::slice::from_ref(step), 1);
        }
        served.emit(&mut random);
        check(served.engine());
        assert!(told(served.engine()) == expected, "{evaluated_max} at once");
        assert!(served.calls > 3, "{}", served.calls);
    }
}
