//! Values that are recorded: of functions that do not give equal bits, called once for each emission, and
//! taken from there by whatever needs them again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{BackfillRequest, Called, Engine, EngineError, ReadPlan};
use evenkeel_log::Sequence;
use evenkeel_types::{Cut, EventTime, LoggedEvent, Offset, Operation, Partition, Status, Value};

use crate::emissions::{Step, at, bits, correct, events, history, push, record_of, twin};
use crate::functions::world;
use crate::random_history::Random;
use crate::support::{World, apply, read, request, t, values};

/// Two that say something else whenever they are called.
pub(crate) const MODULE: &str = "
import random

def lot(city):
    return None if city == 'south' else city + str(random.random())

def chance(fare):
    if fare < 50:
        raise ValueError('too little')
    return random.random()
";

/// `drawn_twin` is `drawn` without what is recorded; functions are asked for its columns.
pub(crate) const DRAWN: &str = "
CREATE ENTITY trip (id BIGINT);
CREATE ENTITY city (city STRING);
CREATE FUNCTION lot(city STRING) RETURNS STRING LANGUAGE PYTHON AS 'functions.py:lot';
CREATE FUNCTION chance(fare DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:chance';
CREATE STREAM trips (id BIGINT, zone STRING, n INT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at,
  MAX FUTURE INTERVAL '1' DAY);
CREATE TABLE zones (zone STRING, city STRING, op STRING, at TIMESTAMP, PRIMARY KEY (zone), EVENT TIME at,
  MAX FUTURE INTERVAL '1' DAY) WITH (connector = 'file', path = 'zones.csv', operation = 'op');
CREATE STREAM tips (city STRING, amount DOUBLE, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM drawn AS SELECT t.id, z.city, lot(z.city) AS ticket, t.fare + 1 AS fare, chance(t.fare + 1) AS luck,
  100 / t.n AS share
FROM trips t ASOF JOIN zones z ON t.zone = z.zone WHERE t.fare < 900 AND (z.city IS NULL OR z.city <> 'closed')
ON LATE REVISE;
CREATE FEATURE VIEW drawn_twin ENTITY trip (id) AS SELECT z.city, t.fare + 1 AS fare, 100 / t.n AS share
FROM trips t ASOF JOIN zones z ON t.zone = z.zone WHERE t.fare < 900 AND (z.city IS NULL OR z.city <> 'closed');
CREATE FEATURE VIEW of_city ENTITY city AS
SELECT city, count(*) OVER d AS trips, sum(luck) FILTER (WHERE fare >= 50) OVER d AS luck, last_value(ticket) OVER d AS ticket
FROM drawn WINDOW d AS (LAST 3 HOURS);
CREATE FEATURE SERVICE cities AS of_city (*);
";

/// Of the stored columns of `drawn`: what is asked, and the value.
const CALLS: [(usize, usize); 2] = [(4, 5), (6, 7)];
/// And those of its twin.
const OTHERS: [usize; 3] = [4, 6, 8];

/// Does all of it, and opens the store again now and then. How often `chance` was called.
fn play(world: &World, steps: &[Step], defers: bool, random: &mut Random) -> (Engine, u64) {
    let mut engine = world.engine();
    let mut called = 0;
    if defers {
        engine.defer_cold_reads();
    }
    let mut rest = steps;
    while let Some(step) = rest.first() {
        match step {
            Step::Correct(row, ends) => {
                correct(&mut engine, row, *ends, rest.len() as u64 * 7);
                rest = &rest[1..];
            }
            Step::Push(source, _) => {
                let same = rest.iter().take(1 + random.below(5) as usize);
                let rows: Vec<Vec<Value>> = same
                    .map_while(|step| match step {
                        Step::Push(other, row) if other == source => Some(row.clone()),
                        _ => None,
                    })
                    .collect();
                rest = &rest[rows.len()..];
                push(&mut engine, source, rows);
            }
        }
        assert_eq!(engine.emission_failures().len(), 0);
        assert!(!engine.is_emission_stuck());
        if random.below(8) == 0 {
            called += calls_of(&engine, "chance");
            if random.below(2) == 0 {
                engine.checkpoint().unwrap();
            }
            drop(engine);
            engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
            if defers {
                engine.defer_cold_reads();
            }
        }
    }
    called += calls_of(&engine, "chance");
    (engine, called)
}

pub(crate) fn calls_of(engine: &Engine, function: &str) -> u64 {
    let tallies = engine.project().functions.tallies();
    let tally = tallies.into_iter().find(|(name, _)| name == function);
    tally.map_or(0, |(_, tally)| tally.counts.rows)
}

fn cut_at(engine: &Engine, stream: &str, record: u64) -> Cut {
    let mut cut = engine.reader().cut_before(Sequence(record + 1)).unwrap();
    let id = engine.source(stream).unwrap().id;
    cut.set_end(id, Partition(0), Offset(0));
    cut
}

/// What is not recorded is what the twin says at the emission's cut; what is recorded is what the emission
/// before has where the same was asked, else something that was never said. How many values there are.
pub(crate) fn check_drawn(engine: &Engine) -> u64 {
    let trips = engine.source("trips").unwrap().id;
    let records: Vec<u64> = events(engine, "trips")
        .iter()
        .map(|trip| {
            let found = engine.reader().sequence(trips, trip.position);
            found.unwrap().unwrap().0
        })
        .collect();
    let mut said: Vec<Vec<u8>> = Vec::new();
    let mut last: BTreeMap<(Vec<u8>, EventTime), Vec<Value>> = BTreeMap::new();
    let mut drawn = 0;
    for emission in events(engine, "drawn") {
        let (event, record) = (&emission.event, record_of(&emission));
        let key = (bits([event.row[0].clone()]), event.event_time);
        let cut = cut_at(engine, "drawn", record);
        let says = twin(engine, "drawn", &event.row[3], event.event_time, &cut);
        let is_there = says.iter().all(|a| a.status != Status::NotFound)
            && says.iter().all(|a| a.event_time == Some(event.event_time));
        assert_eq!(
            is_there,
            event.operation != Operation::Remove,
            "{emission:?}"
        );
        let before = last.insert(key, event.row.clone());
        if !is_there {
            assert_eq!(before.map(bits), Some(bits(event.row.clone())));
            continue;
        }
        let says = says.iter().map(|a| match a.status {
            Status::Error(reason) => Value::Error(reason),
            _ => a.value.clone(),
        });
        let others = OTHERS.map(|column| event.row[column].clone());
        assert_eq!(bits(others), bits(says), "{emission:?}");
        for (asked, value) in CALLS {
            let now = bits([event.row[value].clone()]);
            let same = |before: &&Vec<Value>| before[asked].same_bits(&event.row[asked]);
            match before.as_ref().filter(same) {
                Some(before) => assert_eq!(now, bits([before[value].clone()]), "{emission:?}"),
                None => {
                    drawn += u64::from(value == CALLS[1].1);
                    let is_drawn = matches!(event.row[value], Value::Double(_) | Value::String(_));
                    let is_new = is_drawn && !said.contains(&now);
                    assert_eq!(is_drawn, is_new, "said before: {emission:?}");
                }
            }
            said.push(now);
        }
        if event.operation == Operation::Replace && records.binary_search(&record).is_err() {
            let before = before.map(bits);
            assert_ne!(
                before,
                Some(bits(event.row.clone())),
                "nothing changed: {emission:?}"
            );
        }
    }
    drawn
}

pub(crate) fn verified(engine: &Engine) -> u64 {
    let options = VerifyOptions {
        seed: 7,
        values: 400,
        oracle_values: 200,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.emissions_checked
}

#[test]
fn a_value_is_called_for_once_and_recorded() {
    for (seed, defers) in [(3, false), (4, true), (5, true)] {
        let mut random = Random(seed);
        let steps = history(&mut random, 60);
        let Some(world) = world(MODULE, DRAWN) else {
            return;
        };
        let (engine, called) = play(&world, &steps, defers, &mut random);
        let drawn = check_drawn(&engine);
        assert!(drawn > 20, "{drawn}");
        // What is called for beside what is emitted may be called for again; else each value is one call.
        match defers {
            true => assert!(
                (drawn..=2 * drawn).contains(&called),
                "{called} calls, {drawn} values"
            ),
            false => assert_eq!(called, drawn),
        }
        assert!(verified(&engine) > 30);
        let at = t("2026-03-02T05:00:00Z");
        let keys: Vec<Vec<Value>> = ["north", "south"].map(|c| vec![Value::string(c)]).to_vec();
        // Training agrees, and so does a hot tier that is made anew of the log.
        let of_all = read(&engine, &request(&engine, "cities", keys.clone(), at));
        drop(engine);
        std::fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
        let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        let again = read(&engine, &request(&engine, "cities", keys, at));
        assert_eq!(format!("{:?}", of_all.rows), format!("{:?}", again.rows));
        assert_eq!(calls_of(&engine, "chance"), 0);
    }
}

pub(crate) const SCORED: &str = "
CREATE ENTITY card (card BIGINT);
CREATE FUNCTION lot(city STRING) RETURNS STRING LANGUAGE PYTHON AS 'functions.py:lot';
CREATE FUNCTION chance(fare DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:chance';
CREATE STREAM payments (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE homes (card BIGINT, city STRING, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW scored (luck COMMENT 'drawn' DEFAULT 0) ENTITY card MATERIALIZED EMIT TO 'scores' AS
SELECT p.card, h.city, lot(h.city) AS ticket, chance(sum(p.amount) OVER (LAST 1 DAYS)) AS luck
FROM payments p ASOF JOIN homes h ON p.card = h.card;
CREATE FEATURE VIEW best ENTITY card AS SELECT card, max(luck) OVER (LAST 1 DAYS) AS luck FROM scores;
CREATE FEATURE VIEW spent ENTITY card AS SELECT card, sum(amount) OVER (LAST 1 DAYS) AS spent FROM payments;
CREATE FEATURE SERVICE decision AS scored (*), best (luck AS best), spent (*);
CREATE FEATURE SERVICE known AS spent (*);
";

pub(crate) fn pay(id: i64, minute: u64) -> Vec<Value> {
    let amount = Value::Double(100.0 + id as f64);
    vec![Value::BigInt(id), Value::BigInt(id % 2), amount, at(minute)]
}

pub(crate) fn scored() -> Option<(World, Engine)> {
    let world = world(MODULE, SCORED)?;
    let mut engine = world.engine();
    push(
        &mut engine,
        "payments",
        (0..6).map(|n| pay(n, n.unsigned_abs())).collect(),
    );
    let home = |card| vec![Value::BigInt(card), Value::string("north"), at(0)];
    push(&mut engine, "homes", vec![home(0)]);
    Some((world, engine))
}

/// Ticket and luck of every payment, as it is now.
pub(crate) fn drawn(engine: &Engine) -> BTreeMap<EventTime, (Value, Value)> {
    let emitted = events(engine, "scores").into_iter();
    let both = |e: &LoggedEvent| (e.event.row[5].clone(), e.event.row[6].clone());
    emitted.map(|e| (e.event.event_time, both(&e))).collect()
}

#[test]
fn a_materialised_view_has_what_was_recorded_and_a_backfill_keeps_it() {
    let Some((world, mut engine)) = scored() else {
        return;
    };
    let before = drawn(&engine);
    assert!(
        before
            .values()
            .all(|(ticket, luck)| ticket.is_null() && !luck.is_null())
    );
    let key = [Value::BigInt(0)];
    let now = "2026-03-02T06:00:00Z";
    let read = values(&engine, "decision", &key, now);
    assert!(
        read[2].same_bits(&before.values().nth(4).unwrap().1),
        "{read:?}"
    );
    let all = BackfillRequest::of(engine.catalog(), "scored", None, None).unwrap();
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let report = engine.backfill(&all, &mut go_on).unwrap();
    // Those of the card whose home is known now.
    assert_eq!((report.events, report.replaced), (6, 3));
    let after = drawn(&engine);
    for (number, (time, (ticket, luck))) in after.iter().enumerate() {
        assert_eq!(ticket.is_null(), number % 2 == 1, "{number}");
        assert!(luck.same_bits(&before[time].1), "{number}");
    }
    let again = engine.backfill(&all, &mut go_on).unwrap();
    assert_eq!((again.events, again.replaced), (6, 0));
    assert!(verified(&engine) > 6);
    drop(engine);
    // A server's calls are made while nothing is held: all that a backfill needs at once.
    let mut engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    engine.defer_cold_reads();
    let home = vec![Value::BigInt(1), Value::string("west"), at(0)];
    push(&mut engine, "homes", vec![home]);
    let report = engine.backfill(&all, &mut go_on).unwrap();
    assert_eq!((report.events, report.replaced), (6, 3));
    assert_eq!(
        (calls_of(&engine, "lot"), calls_of(&engine, "chance")),
        (3, 0)
    );
    assert!(drawn(&engine).values().all(|(ticket, _)| !ticket.is_null()));
    assert!(verified(&engine) > 6);
}

#[test]
fn what_would_be_recorded_is_not_known_to_a_call() {
    let Some((_world, engine)) = scored() else {
        return;
    };
    let source = engine.source("payments").unwrap();
    let Called::Row(call) = engine.call(&source, pay(6, 6), None).unwrap() else {
        panic!("it is an event");
    };
    let of = |service: &str| {
        let plan = ReadPlan::new(engine.service(service).unwrap());
        engine.read_call(&plan, &call, &[vec![Value::BigInt(0)]], &engine.cut())
    };
    let error = of("decision").unwrap_err();
    assert!(
        matches!(&error, EngineError::CallRecorded { stream, .. } if stream == "scores"),
        "{error}"
    );
    let found = of("known").unwrap().to_rows().remove(0);
    assert_eq!(found[0].value, Value::Double(100.0 + 102.0 + 104.0 + 106.0));
    assert_eq!(calls_of(&engine, "chance"), 6);
}

/// Where nobody is asked the value is known: it is NULL, for a call as for the row that is logged.
#[test]
fn what_nobody_is_asked_for_is_null_to_a_call() {
    const TICKETS: &str = "
CREATE STREAM tickets AS SELECT p.card, lot(h.city) AS ticket FROM payments p ASOF JOIN homes h ON p.card = h.card;
CREATE FEATURE VIEW ticketed ENTITY card AS
SELECT card, count(*) OVER (LAST 1 DAYS) AS rows, count(ticket) OVER (LAST 1 DAYS) AS n FROM tickets;
CREATE FEATURE SERVICE tickets_of AS ticketed (*);
";
    let Some(world) = world(MODULE, &[SCORED, TICKETS].concat()) else {
        return;
    };
    let mut engine = world.engine();
    let home = vec![Value::BigInt(0), Value::string("north"), at(0)];
    push(&mut engine, "homes", vec![home]);
    push(
        &mut engine,
        "payments",
        (0..4).map(|n| pay(n, n.unsigned_abs())).collect(),
    );
    let call = |engine: &Engine, id: i64| {
        let source = engine.source("payments").unwrap();
        let row = pay(id, id.unsigned_abs());
        let Called::Row(call) = engine.call(&source, row, None).unwrap() else {
            panic!("it is an event");
        };
        let plan = ReadPlan::new(engine.service("tickets_of").unwrap());
        engine.read_call(&plan, &call, &[vec![Value::BigInt(id % 2)]], &engine.cut())
    };
    let said = |engine: &Engine| {
        let answers = call(engine, 5).unwrap().to_rows().remove(0);
        answers
            .into_iter()
            .map(|answer| answer.value)
            .collect::<Vec<_>>()
    };
    let before = said(&engine);
    assert_eq!(before, [Value::BigInt(3), Value::BigInt(0)]);
    assert_eq!(
        calls_of(&engine, "lot"),
        8,
        "a row of each payment, by two streams; half of them are NULL, for which nobody is asked"
    );
    let refused = call(&engine, 6).unwrap_err();
    assert!(
        matches!(&refused, EngineError::CallRecorded { stream, .. } if stream == "tickets"),
        "{refused}"
    );
    push(&mut engine, "payments", vec![pay(5, 5)]);
    let after = values(
        &engine,
        "tickets_of",
        &[Value::BigInt(1)],
        "2026-03-02T00:05:00Z",
    );
    assert_eq!(after, before);
}

#[test]
fn what_does_harm_stops_its_stream_and_nothing_of_it_is_recorded() {
    let Some((world, mut engine)) = scored() else {
        return;
    };
    drop(engine);
    // The same text is the same version; what it does differs.
    let python = world.path().join("python");
    let script = "#!/bin/sh\nexit 3\n";
    std::fs::write(&python, script).unwrap();
    let settings = std::fs::read_to_string(world.path().join("evenkeel.toml")).unwrap();
    world.write(
        "evenkeel.toml",
        &format!("[functions]\npython = {python:?}\n"),
    );
    engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    push(&mut engine, "payments", vec![pay(6, 6)]);
    assert_eq!(engine.emission_failures().len(), 1);
    assert_eq!(drawn(&engine).len(), 6);
    let found = values(
        &engine,
        "known",
        &[Value::BigInt(0)],
        "2026-03-02T06:00:00Z",
    );
    assert_eq!(found[0], Value::Double(100.0 + 102.0 + 104.0 + 106.0));
    drop(engine);
    world.write("evenkeel.toml", &settings);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(drawn(&engine).len(), 7);
    assert!(verified(&engine) > 6);
}

#[test]
fn a_stream_over_history_begins_with_its_first_event() {
    let Some((world, mut engine)) = scored() else {
        return;
    };
    let more = "CREATE STREAM later AS SELECT card, chance(amount) AS luck FROM payments;";
    world.write("later.sql", more);
    let called = calls_of(&engine, "chance");
    let files = world.project().definition_files().unwrap();
    apply(&mut engine, &files);
    push(&mut engine, "payments", vec![pay(6, 6)]);
    assert_eq!(events(&engine, "later").len(), 7);
    assert_eq!(calls_of(&engine, "chance"), called + 8);
    // Its query, and with it the function, is the same for ever.
    world.write("functions.py", &format!("# another text\n{MODULE}"));
    let error = engine.plan(&world.project().definition_files().unwrap());
    let EngineError::Definitions(mistakes) = error.unwrap_err() else {
        panic!("it is not refused");
    };
    assert!(
        mistakes.iter().any(|(_, d)| d.message.contains("later")),
        "{mistakes:?}"
    );
}
