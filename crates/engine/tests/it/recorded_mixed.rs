//! Values that are recorded, together with the rest: timers, streams over streams, commits of any size, rows
//! that are too large.

use evenkeel_engine::{Called, Engine, Machine, ReadPlan};
use evenkeel_types::time::MINUTE;
use evenkeel_types::{EventTime, LoggedEvent, Operation, Value};

use crate::emissions::{Step, at, correct, events, history, push};
use crate::functions::world;
use crate::random_history::Random;
use crate::recorded::{DRAWN, MODULE, calls_of, check_drawn, verified};
use crate::support::{apply, read, request};

#[test]
fn a_value_is_called_for_once_however_small_the_commits_are() {
    for (seed, evaluated_max) in [(6, 1), (7, 3)] {
        let mut random = Random(seed);
        let steps = history(&mut random, 40);
        let Some(world) = world(MODULE, DRAWN) else {
            return;
        };
        let project = world.project();
        let machine = Machine {
            clock: world.clock.clone(),
            evaluated_max,
            ..Machine::default()
        };
        let mut engine = Engine::open_on(&project, machine).unwrap();
        apply(&mut engine, &project.definition_files().unwrap());
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Push(source, row) => push(&mut engine, source, vec![row]),
                Step::Correct(row, ends) => correct(&mut engine, &row, ends, number * 7),
            }
            assert!(!engine.is_emission_stuck());
        }
        let drawn = check_drawn(&engine);
        assert!(drawn > 10, "{drawn}");
        assert_eq!(calls_of(&engine, "chance"), drawn);
        assert!(verified(&engine) > 20);
    }
}

const UNSEEN: &str = "
CREATE ENTITY card (card BIGINT);
CREATE FUNCTION chance(fare DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:chance';
CREATE STREAM payments (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM seen (card BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM unseen AS SELECT p.id, p.card, chance(p.amount) AS luck FROM payments p
  AFTER INTERVAL '10' MINUTE WITHOUT seen ON p.card = seen.card ON LATE REVISE;
CREATE STREAM lucky AS SELECT u.id, u.luck * 2 AS twice FROM unseen u;
";

fn pay(id: i64, minute: u64) -> Vec<Value> {
    let amount = Value::Double(100.0 + id as f64);
    vec![Value::BigInt(id), Value::BigInt(id % 2), amount, at(minute)]
}

fn twice(value: &Value) -> Value {
    match value {
        Value::Double(x) => Value::Double(x * 2.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_of_a_timer_is_called_for_when_its_row_is_due_and_read_by_streams_behind_it() {
    let Some(world) = world(MODULE, UNSEEN) else {
        return;
    };
    let mut engine = world.engine();
    let rows = (0..6).map(|id| pay(id, id.unsigned_abs())).collect();
    push(&mut engine, "payments", rows);
    assert!(events(&engine, "unseen").is_empty());
    assert_eq!(calls_of(&engine, "chance"), 0);
    // Time passes.
    push(&mut engine, "seen", vec![vec![Value::BigInt(9), at(200)]]);
    push(&mut engine, "payments", vec![pay(6, 200)]);
    let times = |emitted: &[LoggedEvent]| -> Vec<EventTime> {
        emitted.iter().map(|e| e.event.event_time).collect()
    };
    let unseen = events(&engine, "unseen");
    let Value::Timestamp(begin) = at(10) else {
        panic!("it is a time");
    };
    let due: Vec<EventTime> = (0..6).map(|n| EventTime(begin + n * MINUTE)).collect();
    assert_eq!(times(&unseen), due);
    assert_eq!(calls_of(&engine, "chance"), 6);
    let lucky = events(&engine, "lucky");
    assert_eq!(times(&lucky), due);
    for (unseen, lucky) in unseen.iter().zip(&lucky) {
        let (luck, said) = (&unseen.event.row[5], &lucky.event.row[3]);
        assert!(said.same_bits(&twice(luck)), "{unseen:?} {lucky:?}");
    }
    // What came late withdraws the rows of one card; nobody is asked again.
    push(&mut engine, "seen", vec![vec![Value::BigInt(0), at(6)]]);
    for stream in ["unseen", "lucky"] {
        let emitted = events(&engine, stream);
        let withdrawn = emitted[6..].iter().map(|e| e.event.operation);
        let withdrawn: Vec<Operation> = withdrawn.collect();
        assert_eq!(withdrawn, [Operation::Remove; 3], "{stream}");
    }
    assert_eq!(calls_of(&engine, "chance"), 6);
    assert!(verified(&engine) > 6);
}

const NOTED: &str = "
CREATE ENTITY card (card BIGINT);
CREATE FUNCTION chance(fare DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:chance';
CREATE STREAM notes (id BIGINT, card BIGINT, n INT, note STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM noted AS SELECT n.card, n.note || n.note AS twice, chance(CAST(100 / n.n AS DOUBLE)) AS luck FROM notes n;
CREATE FEATURE VIEW last_note ENTITY card AS
SELECT card, last_value(twice) OVER (LAST 1 DAYS) AS twice, count(*) OVER (LAST 1 DAYS) AS notes FROM noted;
CREATE FEATURE SERVICE last AS last_note (*);
";

#[test]
fn a_call_of_a_row_that_is_too_large_to_be_emitted_says_what_is_read_then() {
    let Some(world) = world(MODULE, NOTED) else {
        return;
    };
    let settings = std::fs::read_to_string(world.path().join("evenkeel.toml")).unwrap();
    let limited = format!("{settings}[limits]\nrow_bytes = 1000\n");
    world.write("evenkeel.toml", &limited);
    let mut engine = world.engine();
    let source = engine.source("notes").unwrap();
    let key = vec![vec![Value::BigInt(0)]];
    let plan = ReadPlan::new(engine.service("last").unwrap());
    for (id, length, notes) in [(0, 10, 1), (1, 600, 1), (2, 20, 2)] {
        // Of an argument that is no value nobody is asked.
        let note = Value::string("x".repeat(length));
        let time = at(10 + id as u64);
        let row = vec![
            Value::BigInt(id),
            Value::BigInt(0),
            Value::Int(0),
            note,
            time.clone(),
        ];
        let Called::Row(call) = engine.call(&source, row.clone(), None).unwrap() else {
            panic!("it is an event");
        };
        let said = engine.read_call(&plan, &call, &key, &engine.cut());
        let said = said.unwrap().to_rows().remove(0);
        assert_eq!(said[1].value, Value::BigInt(notes), "{id}");
        push(&mut engine, "notes", vec![row]);
        let Value::Timestamp(time) = time else {
            panic!("it is a time");
        };
        let known = read(&engine, &request(&engine, "last", key.clone(), time));
        for (said, known) in said.iter().zip(&known.rows[0]) {
            assert!(
                said.value.same_bits(&known.value),
                "{id}: {said:?} {known:?}"
            );
        }
    }
    let is_limit = |e: &&LoggedEvent| matches!(e.event.row[3..], [Value::Error(_), ..]);
    let emitted = events(&engine, "noted");
    assert_eq!(
        (emitted.len(), emitted.iter().filter(is_limit).count()),
        (3, 1)
    );
    assert_eq!(calls_of(&engine, "chance"), 0);
}
