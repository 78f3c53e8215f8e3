//! Orders, payments and streams with timers over them, and what is done to a store that has them: much comes
//! late, again or is corrected, time goes back, periods are made again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::correction::Correction;
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{BackfillRequest, Engine};
use evenkeel_types::{EventTime, LoggedEvent, Operation, Value};

use crate::emissions::{at, bits, events};
use crate::random_history::Random;
use crate::support::World;

/// Orders, what is paid, and notes about customers. `LATENESS` of each is another one.
pub(crate) const SOURCES: &str = "
CREATE ENTITY customer (customer STRING);
CREATE STREAM orders (id BIGINT, customer STRING, total DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at
  LATENESS INTERVAL '4' MINUTE, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM payments (id BIGINT, of_order BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at
  LATENESS INTERVAL '7' MINUTE, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM notes (customer STRING, level INT, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '1' DAY);
";

/// What the walk knows of: the first three look the last note up at the time of the row.
pub(crate) const STREAMS: &str = "
CREATE STREAM unpaid AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER INTERVAL '30' MINUTE WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order;
CREATE STREAM never_paid AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER 30 MINUTES WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order ON LATE REVISE;
CREATE STREAM impatient AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER 30 MINUTES WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order
  WAIT FOR WATERMARK TIMEOUT 15 MINUTES;
";

/// What `verify` and the comparison of commits know of besides: timers of timers, windows that end when
/// they are due, and views over them.
pub(crate) const MORE: &str = "
CREATE STREAM asked AS SELECT o.id, o.customer, count(*) OVER (PARTITION BY o.customer LAST 1 HOUR) AS orders_1h
FROM orders o EMIT WHEN count(*) OVER (PARTITION BY o.customer LAST 1 HOUR) > 1 AFTER INTERVAL '10' MINUTE;
CREATE STREAM silent AS SELECT a.customer, a.orders_1h FROM asked a
  AFTER INTERVAL '20' MINUTE WITHOUT notes n ON a.customer = n.customer WITHOUT unpaid u ON a.id = u.id ON LATE REVISE;
CREATE STREAM checked AS SELECT o.id, p.amount FROM orders o ASOF JOIN payments p ON o.id = p.of_order WAIT FOR WATERMARK;
CREATE FEATURE VIEW silence ENTITY customer AS SELECT customer, count(*) OVER (LAST 6 HOURS) AS times FROM silent;
CREATE FEATURE SERVICE silences AS silence (times);
";

/// What is done to a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Push(&'static str, Vec<Value>),
    /// The next version of what was pushed as such a row, or its end.
    Correct(&'static str, Vec<Value>, bool),
    /// The end of what has the greatest time of a source.
    Retract(&'static str),
    /// The rows of a stream from a minute on and before another are made again.
    Backfill(&'static str, u64, u64),
}

/// Some minutes before or after, so that much comes late.
fn near(random: &mut Random, minute: u64) -> Value {
    at((minute + random.below(60)).saturating_sub(40))
}

pub(crate) fn customer(id: u64) -> Value {
    Value::string(["ann", "bob", "cy"][id as usize % 3])
}

/// A history in which much comes late, again or is corrected.
pub(crate) fn history(random: &mut Random, length: u64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for number in 0..length {
        let minute = number * 4;
        let id = Value::BigInt(number as i64);
        let amount = |random: &mut Random| Value::Double(random.below(100) as f64);
        match random.below(10) {
            0..4 => {
                let row = vec![id, customer(number), amount(random), near(random, minute)];
                steps.push(Step::Push("orders", row));
            }
            4..7 => {
                let order = Value::BigInt(number.saturating_sub(random.below(12)) as i64);
                let row = vec![id, order, amount(random), near(random, minute)];
                steps.push(Step::Push("payments", row));
            }
            7 => {
                let level = Value::Int(random.below(5) as i32);
                let row = vec![customer(random.below(3)), level, near(random, minute)];
                steps.push(Step::Push("notes", row));
            }
            _ if steps.is_empty() => {}
            kind => match &steps[random.below(steps.len() as u64) as usize] {
                Step::Push("notes", _) | Step::Correct(..) => {}
                Step::Push(source, row) if kind == 8 => {
                    let ends = random.below(3) == 0;
                    let step = Step::Correct(source, row.clone(), ends);
                    steps.push(step);
                }
                again => steps.push(again.clone()),
            },
        }
    }
    steps
}

/// A history in which time goes back, too, and periods are made again.
pub(crate) fn troubled(random: &mut Random, length: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, step) in (0..).zip(history(random, length)) {
        steps.push(step);
        match random.below(9) {
            0 => steps.push(Step::Retract(
                ["orders", "payments"][random.below(2) as usize],
            )),
            1 => {
                let stream = ["unpaid", "never_paid", "impatient"][random.below(3) as usize];
                let from = random.below(4 * number + 60);
                // Nothing is to be asked for twice: who is interrupted would go on with the first.
                let to = from + 1 + number;
                steps.push(Step::Backfill(stream, from, to));
            }
            _ => {}
        }
    }
    steps
}

/// The write of some rows.
pub(crate) fn of_rows(engine: &Engine, source: &str, rows: Vec<Vec<Value>>) -> Write {
    let rows = rows.into_iter().map(|values| PushedRow {
        values: Ok(values),
        producer: None,
    });
    Write::Push {
        source: engine.source(source).unwrap(),
        rows: rows.collect(),
    }
}

/// The write of the next version of a row; none of what was never logged.
fn corrected(engine: &Engine, source: &str, row: &[Value], ends: bool) -> Option<Write> {
    let is_it = |e: &LoggedEvent| e.event.row[0] == row[0];
    let versions = events(engine, source).into_iter().filter(is_it);
    let last = versions.max_by_key(|v| v.event.revision)?;
    let mut event = last.event;
    event.revision += 1;
    event.before = None;
    event.operation = match ends {
        true => Operation::Remove,
        false => Operation::Replace,
    };
    if !ends && let Value::Double(amount) = event.row[2] {
        event.row[2] = Value::Double((amount * 7.0 + 5.0) % 100.0);
    }
    Some(Write::Corrections {
        source: engine.source(source).unwrap(),
        corrections: vec![Correction {
            event,
            partition: last.position.partition,
            corrects: None,
        }],
    })
}

/// The write of a step that is one; none if there is nothing to be written.
pub(crate) fn write_of(engine: &Engine, step: &Step) -> Option<Write> {
    match step {
        Step::Push(source, row) => Some(of_rows(engine, source, vec![row.clone()])),
        Step::Correct(source, row, ends) => corrected(engine, source, row, *ends),
        Step::Retract(source) => {
            let mut holds: BTreeMap<Vec<u8>, LoggedEvent> = BTreeMap::new();
            for event in events(engine, source) {
                let id = bits([event.event.row[0].clone()]);
                let known = holds.get(&id);
                if known.is_none_or(|known| known.event.revision < event.event.revision) {
                    holds.insert(id, event);
                }
            }
            let there = |e: &&LoggedEvent| e.event.operation != Operation::Remove;
            let holds = holds.values().filter(there);
            let last = holds.max_by_key(|e| e.event.event_time)?;
            corrected(engine, source, &last.event.row, true)
        }
        Step::Backfill(..) => None,
    }
}

/// What a step asks to be made again.
pub(crate) fn backfill_of(engine: &Engine, step: &Step) -> Option<BackfillRequest> {
    let Step::Backfill(stream, from, to) = step else {
        return None;
    };
    let [from, to] = [from, to].map(|minute| match at(*minute) {
        Value::Timestamp(time) => EventTime(time).to_string(),
        other => panic!("{other:?}"),
    });
    let request = BackfillRequest::of(engine.catalog(), stream, Some(&from), Some(&to));
    Some(request.unwrap())
}

/// The steps that are next as one write: rows of one source, so many at most, or another step.
pub(crate) fn next_steps(rest: &[Step], most: usize) -> usize {
    let Some(Step::Push(source, _)) = rest.first() else {
        return rest.len().min(1);
    };
    let is_same = |step: &&Step| matches!(step, Step::Push(other, _) if other == source);
    rest.iter().take(most).take_while(is_same).count()
}

/// The rows of some pushes.
pub(crate) fn rows_of(steps: &[Step]) -> Vec<Vec<Value>> {
    let row = |step: &Step| match step {
        Step::Push(_, row) => Some(row.clone()),
        _ => None,
    };
    steps.iter().filter_map(row).collect()
}

/// Does all of it, some steps of one source in one commit, and opens the store again now and then.
pub(crate) fn play(world: &World, steps: &[Step], commit: usize, random: &mut Random) -> Engine {
    let mut engine = world.engine();
    let mut rest = steps;
    while let Some(step) = rest.first() {
        let (now, later) = rest.split_at(next_steps(rest, commit));
        rest = later;
        let write = match step {
            Step::Push(source, _) => Some(of_rows(&engine, source, rows_of(now))),
            other => write_of(&engine, other),
        };
        if let Some(write) = write {
            engine.write(&mut Pusher::default(), write).unwrap();
        }
        if let Some(request) = backfill_of(&engine, step) {
            let goes_on = &mut |_: &str, _, _| ControlFlow::Continue(());
            engine.backfill(&request, goes_on).unwrap();
        }
        if random.below(8) == 0 {
            if random.below(2) == 0 {
                engine.checkpoint().unwrap();
            }
            drop(engine);
            engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        }
        assert!(!engine.is_emission_stuck());
    }
    engine
}

pub(crate) fn verified(engine: &Engine, seed: u64) -> u64 {
    let options = VerifyOptions {
        seed,
        values: 400,
        oracle_values: 200,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.emissions_checked
}
