//! Results that wait for streams with timers: these go by what holds, so time goes back for them where the greatest
//! event is removed or left out, and no result is there before the rows up to its time are due.

use std::collections::BTreeMap;
use std::fs;

use evenkeel_engine::{Asked, Engine, EngineError, ReadPlan, ResultId, WaitsError};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, Knowledge, LoggedEvent, Offset, Origin, Partition, Position, Value};
use evenkeel_view::oracle::Oracle;

use super::{
    MINUTE, Said, at, bytes, is_original, logged, of_the_oracle, promise, push, retract, trigger,
};
use crate::random_history::Random;
use crate::support::{World, apply_text};

const STREAMS: &str = "
CREATE STREAM unseen AS SELECT p.id, p.card FROM payments p
  AFTER INTERVAL '5' MINUTE WITHOUT seen s ON p.card = s.card;
CREATE STREAM tapped AS SELECT p.id, p.card, t.pad FROM payments p ASOF JOIN taps t ON p.card = t.card WAIT FOR WATERMARK;
";

fn definitions(streams: &str) -> String {
    format!(
        "CREATE ENTITY card (card BIGINT);
        CREATE STREAM payments (id BIGINT, card BIGINT, at TIMESTAMP,
          EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' MINUTE);
        CREATE STREAM seen (id BIGINT, card BIGINT, at TIMESTAMP,
          EVENT ID (id), EVENT TIME at LATENESS INTERVAL '3' MINUTE);
        CREATE STREAM taps (id BIGINT, card BIGINT, pad BIGINT, at TIMESTAMP,
          EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '10' MINUTE);
        {streams}
        CREATE FEATURE VIEW unseen_of ENTITY card AS
        SELECT card, count(*) OVER (LAST 1 DAYS) AS n, max(id) OVER (LAST 1 DAYS) AS last FROM unseen;
        CREATE FEATURE VIEW tapped_of ENTITY card AS
        SELECT card, count(pad) OVER (LAST 1 DAYS) AS pads, max(pad) OVER (LAST 1 DAYS) AS pad FROM tapped;
        CREATE FEATURE SERVICE of_payment AS unseen_of (*), tapped_of (*);"
    )
}

const WAITS: [&[&str]; 3] = [&[], &["unseen"], &["tapped"]];

fn row(id: i64, minute: i64) -> Vec<Value> {
    vec![Value::BigInt(id), Value::BigInt(id % 3), at(minute)]
}

fn tap(id: i64, minute: i64) -> Vec<Value> {
    let [id, card, time] = row(id, minute).try_into().unwrap();
    vec![id, card, Value::BigInt(minute % 7), time]
}

fn count(engine: &Engine, id: &ResultId) -> Result<Value, String> {
    match engine.result(id) {
        Ok(result) => Ok(result.answers.to_rows()[0][0].value.clone()),
        Err(EngineError::Waits(WaitsError::NotPassed { unmet, .. })) => Err(unmet.source),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_result_waits_for_rows_that_are_not_due_as_time_went_back() {
    let world = World::new(&definitions(STREAMS));
    let mut engine = world.engine();
    push(&mut engine, "payments", row(1, 50));
    push(&mut engine, "seen", row(2, 50));
    // Somebody's clock was ahead, and that is put right.
    push(&mut engine, "payments", row(3, 900));
    push(&mut engine, "seen", row(3, 900));
    retract(&mut engine, "payments");
    retract(&mut engine, "seen");
    // Its row is of 65.
    push(&mut engine, "payments", row(4, 60));
    let unseen = promise(&["unseen"], false);
    let refused = trigger(&mut engine, row(7, 66), &unseen).unwrap_err();
    let EngineError::Waits(WaitsError::NotPassed { result, unmet }) = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (&*unmet.source, &*unmet.reached),
        ("unseen", "2026-02-20T00:47:00Z")
    );
    let id: ResultId = result.parse().unwrap();
    push(&mut engine, "payments", row(5, 68));
    assert_eq!(count(&engine, &id), Err("unseen".to_owned()));
    push(&mut engine, "seen", row(5, 70));
    assert_eq!(count(&engine, &id), Ok(Value::BigInt(2)));
    // It was there once: it stays, wherever time is now.
    retract(&mut engine, "seen");
    push(&mut engine, "payments", row(10, 60));
    assert_eq!(count(&engine, &id), Ok(Value::BigInt(2)));
    // A name that is made up is none, though nothing was ever defined otherwise.
    let mut never = id.clone();
    never.waits.as_mut().unwrap().digest = [1; 8];
    let refused = engine.result(&never).unwrap_err();
    assert!(
        matches!(refused, EngineError::Waits(WaitsError::Undefined { .. })),
        "{refused}"
    );
    let refused = trigger(&mut engine, row(13, 66), &unseen).unwrap_err();
    assert!(
        matches!(refused, EngineError::Waits(WaitsError::NotPassed { .. })),
        "{refused}"
    );
}

/// Up to when rows of each stream are due, given the greatest times of payments, what is seen, and taps.
fn due([payments, seen, taps]: [Option<i64>; 3]) -> BTreeMap<&'static str, Option<i64>> {
    let own = payments.map(|time| time - MINUTE);
    let seen = seen.map(|time| time - 3 * MINUTE);
    BTreeMap::from([("unseen", own.min(seen)), ("tapped", own.min(taps))])
}

const SOURCES: [&str; 3] = ["payments", "seen", "taps"];

/// What the log was up to a record.
struct Prefix {
    record: u64,
    cut: Cut,
    /// Up to when rows were due by what holds, and by what was logged.
    held: BTreeMap<&'static str, Option<i64>>,
    came: BTreeMap<&'static str, Option<i64>>,
}

/// The log, event by event of what others bring.
fn prefixes(catalog: &Catalog, engine: &Engine, events: &[LoggedEvent]) -> Vec<Prefix> {
    let oracle = Oracle::new(events);
    let sources = SOURCES.map(|name| &catalog.sources[name]);
    let mut cut = Cut::empty();
    let mut came = [None; 3];
    let mut found = Vec::new();
    for event in events {
        let Some(number) = sources.iter().position(|def| def.id == event.source) else {
            continue;
        };
        let (partition, offset) = (event.position.partition, event.position.offset);
        cut.set_end(event.source, partition, Offset(offset.0 + 1));
        came[number] = came[number].max(Some(event.event.event_time.0));
        let knowledge = Knowledge::latest(cut.clone());
        let greatest = |def: &SourceDef| oracle.greatest_time(def, &knowledge).map(|time| time.0);
        let sequence = engine
            .reader()
            .sequence(event.source, event.position)
            .unwrap();
        found.push(Prefix {
            record: sequence.unwrap().0,
            cut: cut.clone(),
            held: due(sources.map(|def| greatest(def))),
            came: due(came),
        });
    }
    found
}

/// How many emissions of a stream are for records up to one.
fn emitted(engine: &Engine, stream: &str, events: &[LoggedEvent], record: u64) -> u64 {
    let stream = engine.source(stream).unwrap().id;
    let of = events.iter().filter(|event| event.source == stream);
    let is_before = |event: &&LoggedEvent| match &event.event.origin {
        Origin::Producer { sequence, .. } => *sequence <= record,
        other => panic!("{other:?}"),
    };
    of.filter(is_before).count() as u64
}

/// What was found: results by name.
#[derive(Default)]
struct Found {
    said: BTreeMap<String, (Cut, Vec<Said>)>,
    /// Of how many it would have been another place by what was logged.
    later: usize,
}

fn check(engine: &Engine) -> Found {
    let events = logged(engine);
    let catalog = engine.catalog();
    let prefixes = prefixes(catalog, engine, &events);
    let payments = engine.source("payments").unwrap().id;
    let plan = ReadPlan::new(engine.service("of_payment").unwrap());
    let asked = Asked::of_service(catalog, "of_payment").unwrap();
    let mut found = Found::default();
    let is_trigger = |event: &&LoggedEvent| event.source == payments && is_original(event);
    for event in events.iter().filter(is_trigger) {
        let sequence = engine.reader().sequence(payments, event.position).unwrap();
        let (record, time) = (sequence.unwrap().0, event.event.event_time.0);
        let from = prefixes
            .iter()
            .position(|prefix| prefix.record == record)
            .unwrap();
        for names in WAITS {
            let awaited = engine.awaited(&plan, &promise(names, false)).unwrap();
            let id = ResultId {
                source: "payments".to_owned(),
                position: event.position,
                asked: asked.clone(),
                waits: awaited.map(|awaited| awaited.waits()),
            };
            let passed = |due: &BTreeMap<&str, Option<i64>>| {
                let mut due = due
                    .iter()
                    .filter(|(name, _)| names.is_empty() || names.contains(*name));
                due.all(|(_, due)| due.is_some_and(|due| due > time))
            };
            let mut behind = prefixes[from..].iter();
            let place = behind.clone().find(|prefix| passed(&prefix.held));
            let by_what_came = behind.find(|prefix| passed(&prefix.came));
            let result = engine.result_with(&id, true).unwrap();
            assert_eq!(result.degraded.is_some(), place.is_none(), "{id}");
            let record = place.map_or(record, |place| place.record);
            let mut cut = place
                .map_or(&prefixes[from].cut, |place| &place.cut)
                .clone();
            for stream in ["unseen", "tapped"] {
                let end = Offset(emitted(engine, stream, &events, record));
                cut.set_end(engine.source(stream).unwrap().id, Partition(0), end);
            }
            for (source, partition, end) in cut.iter() {
                assert_eq!(result.trigger.cut().end(source, partition), end, "{id}");
            }
            let of: (_, Position) = (payments, event.position);
            assert_eq!(
                bytes(&result),
                of_the_oracle(engine, &events, of, result.trigger.cut()),
                "{id}"
            );
            if place.is_some() {
                found.later += usize::from(by_what_came.map(|p| p.record) != Some(record));
                let said = (result.trigger.cut().clone(), bytes(&result));
                found.said.insert(id.to_string(), said);
            }
        }
    }
    found
}

/// Each result is there as it was.
fn are_there(engine: &Engine, said: &BTreeMap<String, (Cut, Vec<Said>)>) {
    for (name, (cut, said)) in said {
        let id: ResultId = name.parse().unwrap();
        let result = engine.result(&id).unwrap();
        assert_eq!(
            (result.trigger.cut(), &bytes(&result)),
            (cut, said),
            "{name}"
        );
    }
}

#[test]
fn each_is_where_nothing_up_to_its_time_is_left_to_be_due() {
    let (mut results, mut later) = (0, 0);
    for seed in 0..6 {
        let mut random = Random(seed);
        let world = World::new(&definitions(STREAMS));
        let mut engine = world.engine_of_short_segments();
        let mut now = 30;
        for number in 0..70 {
            now += random.below(5) as i64;
            // Now and then one is far ahead.
            let minute = match random.below(12) {
                0 => now + 25,
                _ => now - random.below(9) as i64,
            };
            match random.below(9) {
                0 => retract(&mut engine, "payments"),
                1 => retract(&mut engine, "seen"),
                2 => retract(&mut engine, "taps"),
                3 | 4 => push(&mut engine, "seen", row(number, minute)),
                5 | 6 => push(&mut engine, "taps", tap(number % 5, minute)),
                _ => push(&mut engine, "payments", row(number, minute)),
            }
            if random.one_in(20) {
                engine.checkpoint().unwrap();
            }
        }
        let found = check(&engine);
        (results, later) = (results + found.said.len(), later + found.later);
        // Also without the streams that they waited for, and without anything that is only a hint.
        apply_text(
            &mut engine,
            &definitions("DROP STREAM unseen; DROP STREAM tapped;"),
        );
        are_there(&engine, &found.said);
        drop(engine);
        fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
        world.write(
            "definitions.sql",
            &definitions("DROP STREAM unseen; DROP STREAM tapped;"),
        );
        are_there(&world.engine_of_short_segments(), &found.said);
    }
    assert!(results > 100 && later > 10, "{later} of {results}");
}
