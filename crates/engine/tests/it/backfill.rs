//! Backfills: the rows of a period are what is known at the record that asks for it, the others stay,
//! whatever reads them follows, and an interrupted one comes to the same end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{BackfillReport, BackfillRequest, Engine, EngineError, Machine};
use evenkeel_types::{EventTime, LoggedEvent, Operation, Status, Value};

use crate::emissions::{
    BEGIN, DEFINITIONS, DERIVED, MATERIALISED, MINUTE, all, at, bits, check, cut_of, events,
    history, play, push, twin,
};
use crate::random_history::Random;
use crate::support::{World, apply, t};

fn time(minute: i64) -> String {
    EventTime(t(BEGIN) + minute * MINUTE).to_string()
}

fn asked(engine: &Engine, name: &str, from: i64, to: i64) -> BackfillRequest {
    let (from, to) = (time(from), time(to));
    BackfillRequest::of(engine.catalog(), name, Some(&from), Some(&to)).unwrap()
}

fn backfill(engine: &mut Engine, request: &BackfillRequest) -> BackfillReport {
    let goes_on = &mut |_: &str, _, _| ControlFlow::Continue(());
    engine.backfill(request, goes_on).unwrap()
}

fn pay(id: i64, card: i64, minute: u64) -> Vec<Value> {
    let amount = Value::Double(id as f64 / 4.0);
    vec![Value::BigInt(id), Value::BigInt(card), amount, at(minute)]
}

fn limit(card: i64, most: f64) -> Vec<Value> {
    vec![Value::BigInt(card), Value::Double(most), at(0)]
}

/// What was emitted last of each trigger: its minute, and the limit that it says.
fn limits(engine: &Engine) -> BTreeMap<i64, Value> {
    let minute = |e: &LoggedEvent| (e.event.event_time.0 - t(BEGIN)) / MINUTE;
    let emitted = events(engine, "spent").into_iter();
    emitted
        .map(|e| (minute(&e), e.event.row[4].clone()))
        .collect()
}

#[test]
fn the_rows_of_a_period_are_what_is_known_now() {
    let world = World::new(MATERIALISED);
    let mut engine = world.engine();
    // Loaded before what they look up.
    let payments = (0..8).map(|n| pay(n, 7, n.unsigned_abs())).collect();
    push(&mut engine, "payments", payments);
    push(&mut engine, "limits", vec![limit(7, 100.0)]);
    let before = limits(&engine);
    assert!(before.values().all(Value::is_null), "{before:?}");
    let late = |engine: &Engine| {
        let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
        let report = report.unwrap();
        assert_eq!(report.mismatches, 0, "{report:?}");
        report.revised_by_late_input
    };
    assert_eq!(late(&engine), 8);
    let request = asked(&engine, "spending", 2, 5);
    let report = backfill(&mut engine, &request);
    assert_eq!((report.events, report.replaced), (3, 3));
    assert_eq!(
        (report.inserted, report.removed, report.resumed),
        (0, 0, false)
    );
    let after = limits(&engine);
    for (minute, most) in after {
        let want = match (2..5).contains(&minute) {
            true => Value::Double(100.0),
            false => Value::Null,
        };
        assert_eq!(bits([most]), bits([want]), "minute {minute}");
    }
    assert_eq!(late(&engine), 5);
    // The same once more changes nothing; nor is it made again when the store is opened.
    let emitted = events(&engine, "spent").len();
    let again = backfill(&mut engine, &request);
    assert_eq!((again.events, again.replaced), (3, 0));
    engine.checkpoint().unwrap();
    drop(engine);
    let engine = Engine::open_to_serve(&world.project()).unwrap();
    let topic = engine.source("spent").unwrap();
    assert_eq!(engine.emission_lag(&topic), 0);
    drop(engine);
    let mut engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(events(&engine, "spent").len(), emitted);
    // Everything: by the name of the stream, and without times.
    let all = BackfillRequest::of(engine.catalog(), "spent", None, None).unwrap();
    assert_eq!(backfill(&mut engine, &all).replaced, 5);
    assert_eq!(late(&engine), 0);
}

#[test]
fn what_cannot_be_backfilled_is_refused() {
    let world = World::new(MATERIALISED);
    let engine = world.engine();
    let of = |name: &str, from: Option<&str>, to: Option<&str>| {
        let error = BackfillRequest::of(engine.catalog(), name, from, to).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        of("spending_rows", None, None),
        "`spending_rows` is evaluated at the read: nothing of it is stored that could be made again"
    );
    assert!(of("spendin", None, None).contains("`spendin`"));
    assert!(
        of("spending", Some("2026-03-02"), Some("2026-03-02")).starts_with("nothing is between")
    );
    assert!(of("spending", Some("soon"), None).contains("from"));
}

/// Of every trip of the period, the newest emission for a record or an earlier one is what the twin says at
/// the cut of that record.
fn check_backfilled(engine: &Engine, stream: &str, record: u64, (from, to): (i64, i64)) -> usize {
    let cut = cut_of(engine, stream, record);
    let mut last: BTreeMap<(Vec<u8>, EventTime), LoggedEvent> = BTreeMap::new();
    for emission in events(engine, stream) {
        if crate::emissions::record_of(&emission) <= record {
            let key = bits([emission.event.row[2].clone()]);
            last.insert((key, emission.event.event_time), emission);
        }
    }
    let period = t(BEGIN) + from * MINUTE..t(BEGIN) + to * MINUTE;
    let trips = events(engine, "trips").into_iter();
    let trips = trips.filter(|trip| period.contains(&trip.event.event_time.0));
    let mut live = 0;
    for trip in trips {
        let (id, time) = (&trip.event.row[0], trip.event.event_time);
        let says = twin(engine, stream, id, time, &cut);
        let is_there = says[0].event_time == Some(time) && says[0].status != Status::NotFound;
        let emitted = last.get(&(bits([id.clone()]), time));
        let emitted = emitted.filter(|e| e.event.operation != Operation::Remove);
        let said = says.iter().map(|a| match a.status {
            Status::Error(reason) => Value::Error(reason),
            _ => a.value.clone(),
        });
        let emitted = emitted.map(|e| bits(e.event.row[3..].iter().cloned()));
        assert_eq!(emitted, is_there.then(|| bits(said)), "{stream} {id:?}");
        live += usize::from(is_there);
    }
    live
}

#[test]
fn every_stream_follows_whatever_was_late_corrected_or_commited_together() {
    for seed in 30..33 {
        let mut random = Random(seed);
        let steps = history(&mut random, 60);
        let mut ends: Option<Vec<_>> = None;
        for commit in [1, 7] {
            let world = World::new(DEFINITIONS);
            // Where it is opened again may differ.
            let mut opened = Random(seed + commit as u64);
            let mut engine = play(&world, &steps, commit, &mut opened);
            let (mut live, mut changed) = (0, 0);
            for (number, stream) in DERIVED.into_iter().enumerate() {
                let (from, to) = (20 * number as i64, 300 - 40 * number as i64);
                let request = asked(&engine, stream, from, to);
                let report = backfill(&mut engine, &request);
                live += check_backfilled(&engine, stream, report.record, (from, to));
                changed += report.inserted + report.replaced + report.removed;
                let repeated = backfill(&mut engine, &request);
                assert_eq!(repeated.inserted + repeated.replaced + repeated.removed, 0);
            }
            assert!(live > 30 && changed > 5, "{live} {changed}");
            check(&engine);
            // It goes on as ever.
            push(
                &mut engine,
                "trips",
                vec![vec![
                    Value::BigInt(1_000),
                    Value::string("a"),
                    Value::Int(1),
                    Value::Double(1.0),
                    at(310),
                ]],
            );
            check(&engine);
            let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
            assert_eq!(report.unwrap().mismatches, 0);
            let end = all(&engine);
            assert_eq!(ends.get_or_insert_with(|| end.clone()), &end, "seed {seed}");
        }
    }
}

/// More than are evaluated for one commit.
const PAYMENTS: i64 = 10_000;

fn with_payments(world: &World) -> Engine {
    let mut engine = world.engine();
    let payments = (0..PAYMENTS).map(|n| pay(n, n % 50, n.unsigned_abs() / 20));
    push(&mut engine, "payments", payments.collect());
    let limits = (0..50).map(|card| limit(card, 10.0 + card as f64));
    push(&mut engine, "limits", limits.collect());
    engine
}

fn emitted(engine: &Engine) -> Vec<(u64, u32, Vec<u8>)> {
    let emitted = events(engine, "spent").into_iter();
    emitted
        .map(|e| {
            (
                crate::emissions::record_of(&e),
                e.event.revision,
                bits(e.event.row),
            )
        })
        .collect()
}

#[test]
fn one_that_is_interrupted_goes_on_and_comes_to_the_same_end() {
    let world = World::new(MATERIALISED);
    let mut whole = with_payments(&world);
    let request = asked(&whole, "spending", 50, 450);
    let report = backfill(&mut whole, &request);
    assert_eq!((report.events, report.replaced), (8_000, 8_000));
    let want = emitted(&whole);
    let world = World::new(MATERIALISED);
    let mut engine = with_payments(&world);
    let mut ends = 0;
    let report = loop {
        let mut told = Vec::new();
        let stopped = engine.backfill(&request, &mut |stage, done, total| {
            told.push((stage.to_owned(), done, total));
            ControlFlow::Break(())
        });
        match stopped {
            Ok(report) => break report,
            Err(EngineError::Stopped) => ends += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(
            told.iter().all(|(_, done, total)| done <= total),
            "{told:?}"
        );
        assert!(ends < 20, "{told:?}");
        // As if it was killed: nothing is written that was not yet.
        drop(engine);
        let project = world.project();
        engine = Engine::open_to_serve(&project).unwrap();
    };
    assert!(ends > 0 && report.resumed, "{ends}");
    assert_eq!((report.events, report.replaced), (8_000, 8_000));
    assert_eq!(emitted(&engine), want);
}

const TAPPED: &str = "
CREATE STREAM payments (id BIGINT, card BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE ENTITY card (card BIGINT);
CREATE STREAM taps (card BIGINT, n INT, at TIMESTAMP, EVENT TIME at, HOT RETENTION INTERVAL '1' HOUR);
CREATE FEATURE VIEW tapped ENTITY card AS
SELECT card, count(*) OVER w AS taps, sum(n) OVER w AS n FROM taps WINDOW w AS (LAST 30 MINUTES);
CREATE STREAM seen AS SELECT p.id, t.taps, t.n FROM payments p ASOF JOIN tapped t ON p.card = t.card;
";

/// What has left the hot tier comes back for many triggers at a time.
#[test]
fn a_period_that_has_left_the_hot_tier_is_backfilled_too() {
    let emitted_of = |definitions: &str| {
        let world = World::new(definitions);
        let open = || {
            let machine = Machine {
                clock: world.clock.clone(),
                sealed_entries: 32,
                ..Machine::default()
            };
            Engine::open_on(&world.project(), machine).unwrap()
        };
        let mut engine = open();
        apply(&mut engine, &world.project().definition_files().unwrap());
        let payment = |n: i64| {
            vec![
                Value::BigInt(n),
                Value::BigInt(n % 20),
                at(n.unsigned_abs()),
            ]
        };
        push(&mut engine, "payments", (0..600).map(payment).collect());
        // Taps come after what they would have been counted by.
        for piece in 0..20 {
            let taps = (piece * 300..(piece + 1) * 300).map(|n: i64| {
                vec![
                    Value::BigInt(n % 20),
                    Value::Int(1),
                    at(n.unsigned_abs() / 10),
                ]
            });
            push(&mut engine, "taps", taps.collect());
            engine.checkpoint().unwrap();
        }
        drop(engine);
        let mut engine = open();
        let request = asked(&engine, "seen", 0, 300);
        let report = backfill(&mut engine, &request);
        assert_eq!((report.events, report.inserted), (300, 0));
        assert!(report.replaced > 280, "{report:?}");
        let scans = engine.reheats().scans;
        let seen = events(&engine, "seen").into_iter();
        let seen: Vec<_> = seen
            .map(|e| (e.event.revision, bits(e.event.row)))
            .collect();
        (seen, scans)
    };
    let (found, scans) = emitted_of(TAPPED);
    assert!((1..=12).contains(&scans), "{scans} scans");
    let whole = TAPPED.replace(", HOT RETENTION INTERVAL '1' HOUR", "");
    let (want, scans) = emitted_of(&whole);
    assert_eq!(scans, 0);
    assert!(found == want);
}
