//! Pushed events: what becomes of each row, retries, and what a reader sees between the
//! steps of a commit.

use std::fs;
use std::sync::Arc;

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::push::{
    PushAnswer, PushedRow, Pusher, RowAnswer, Undecoded, Write, Written, append,
};
use evenkeel_engine::{Engine, EngineError, Project};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Offset, Partition, Position, Value, Zone};
use proptest::prelude::*;

const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, CHECK (fare >= 0)) WHERE id <> 'ignored';
CREATE STREAM taps (driver BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW ride_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides, sum(fare) OVER h AS fares
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW tap_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS taps FROM taps WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS ride_stats (*), tap_stats (*);
CREATE STREAM spread (driver BIGINT, fare DOUBLE, at TIMESTAMP, EVENT TIME at)
  WITH (partitions = '4');
CREATE FEATURE VIEW spread_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS n, sum(fare) OVER h AS fares
FROM spread WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE of_spread VERSION 1 AS spread_stats (*);
";

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("definitions.sql"), DEFINITIONS).unwrap();
        let world = World { directory };
        let project = world.project();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        world
    }

    fn project(&self) -> Project {
        Project::open(self.directory.path(), None).unwrap()
    }

    fn engine(&self) -> Engine {
        Engine::open(&self.project()).unwrap()
    }
}

fn t(text: &str) -> i64 {
    parse_timestamp(text, &Zone::utc()).unwrap()
}

fn ride(id: &str, fare: f64) -> PushedRow {
    PushedRow {
        values: Ok(vec![
            Value::from(id),
            Value::BigInt(1),
            Value::from(fare),
            Value::Timestamp(t("2026-03-01T10:00:00Z")),
        ]),
        producer: None,
    }
}

fn tap(producer: Option<(&str, u64)>) -> PushedRow {
    PushedRow {
        values: Ok(vec![
            Value::BigInt(1),
            Value::Timestamp(t("2026-03-01T10:00:00Z")),
        ]),
        producer: producer.map(|(id, sequence)| (Arc::from(id), sequence)),
    }
}

fn push(
    engine: &mut Engine,
    pusher: &mut Pusher,
    source: &str,
    rows: Vec<PushedRow>,
) -> PushAnswer {
    let source = engine.catalog().sources[source].clone();
    match engine.write(pusher, Write::Push { source, rows }).unwrap() {
        Written::Pushed(answer) => answer,
        _ => panic!("a push is answered as one"),
    }
}

fn logged(offset: u64) -> RowAnswer {
    RowAnswer::Logged(Position::new(0, offset))
}

fn values(engine: &Engine) -> Vec<Value> {
    values_of(engine, "model")
}

fn values_of(engine: &Engine, service: &str) -> Vec<Value> {
    let request = GetRequest {
        service: engine.service(service).unwrap(),
        rows: vec![vec![Value::BigInt(1)]],
        as_of: EventTime(t("2026-03-01T10:30:00Z")),
        cut: None,
        known_at: None,
    };
    let answer = engine.get(&request).unwrap();
    answer.rows[0].iter().map(|a| a.value.clone()).collect()
}

#[test]
fn each_row_has_its_answer_and_each_rejected_row_a_dead_letter() {
    let world = World::new();
    let mut engine = world.engine();
    let pusher = &mut Pusher::default();
    let undecoded = PushedRow {
        values: Err(Undecoded {
            reason: "no object".to_owned(),
            record: b"7".to_vec(),
        }),
        producer: None,
    };
    let rows = vec![
        ride("a", 1.5),
        ride("a", 1.5),
        ride("ignored", 1.0),
        ride("b", -1.0),
        undecoded,
        ride("a", 0.5),
    ];
    let answer = push(&mut engine, pusher, "rides", rows);
    assert_eq!(answer.rows[0], logged(0));
    assert_eq!(answer.rows[1], RowAnswer::Duplicate);
    assert_eq!(answer.rows[2], RowAnswer::LeftOut);
    assert!(matches!(
        &answer.rows[3],
        RowAnswer::Rejected { code: "CHECK", .. }
    ));
    assert!(matches!(
        &answer.rows[4],
        RowAnswer::Rejected { code: "DECODE", .. }
    ));
    assert_eq!(answer.rows[5], RowAnswer::Conflict(Position::new(0, 1)));
    assert_eq!(
        engine.format_session(&answer.session),
        "rides/0@2;2026-03-01T10:00:00Z"
    );
    assert_eq!(
        engine
            .parse_session("rides/0@2;2026-03-01T10:00:00Z")
            .unwrap(),
        answer.session
    );
    let letters = engine.dead_letters("rides").unwrap();
    let mut reasons: Vec<&str> = letters.iter().map(|l| l.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["CHECK", "CONFLICT", "DECODE"]);
    // The smaller payload holds, now and after opening the store again.
    let expected = [Value::BigInt(1), Value::from(0.5), Value::BigInt(0)];
    assert_eq!(values(&engine), expected);
    drop(engine);
    assert_eq!(values(&world.engine()), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// In the order of identities, which is not looked at twice, and in any other.
    #[test]
    fn a_row_has_the_same_answer_in_one_commit_as_alone(
        picks in prop::collection::vec((0usize..6, 0u8..3), 2..14),
        sorted in any::<bool>(),
    ) {
        let mut picks = picks;
        if sorted {
            picks.sort_unstable();
        }
        let ids = ["a", "b", "c", "d", "e", "f"];
        let rows: Vec<PushedRow> = picks
            .iter()
            .map(|(id, fare)| ride(ids[*id], f64::from(*fare)))
            .collect();
        let (together, alone) = (World::new(), World::new());
        let (mut together, mut alone) = (together.engine(), alone.engine());
        let answer = push(&mut together, &mut Pusher::default(), "rides", rows.clone());
        let pusher = &mut Pusher::default();
        for (row, answer) in rows.into_iter().zip(answer.rows) {
            prop_assert_eq!(push(&mut alone, pusher, "rides", vec![row]).rows, [answer]);
        }
        prop_assert_eq!(values(&together), values(&alone));
    }

    /// The row's bytes say which partition it goes to, the producer's number which event it is.
    #[test]
    fn an_identity_in_several_partitions_of_a_commit_is_one(
        picks in prop::collection::vec((0u64..3, 0u8..4), 2..12),
    ) {
        let row = |(sequence, fare): &(u64, u8)| PushedRow {
            values: Ok(vec![
                Value::BigInt(1),
                Value::from(f64::from(*fare)),
                Value::Timestamp(t("2026-03-01T10:00:00Z")),
            ]),
            producer: Some((Arc::from("app"), *sequence)),
        };
        let (together, alone) = (World::new(), World::new());
        let (mut engine, mut other) = (together.engine(), alone.engine());
        let answer = push(&mut engine, &mut Pusher::default(), "spread", picks.iter().map(row).collect());
        let pusher = &mut Pusher::default();
        for (pick, answer) in picks.iter().zip(answer.rows) {
            prop_assert_eq!(push(&mut other, pusher, "spread", vec![row(pick)]).rows, [answer]);
        }
        let found = values_of(&engine, "of_spread");
        prop_assert_eq!(&found, &values_of(&other, "of_spread"));
        // From the log alone.
        drop(engine);
        fs::remove_dir_all(together.project().store.join("hot")).unwrap();
        prop_assert_eq!(&found, &values_of(&together.engine(), "of_spread"));
    }
}

#[test]
fn many_rows_are_considered_ahead_and_have_the_same_answers() {
    let (one, two) = (World::new(), World::new());
    let (mut ahead, mut in_turn) = (one.engine(), two.engine());
    let rows: Vec<PushedRow> = (0..300u32)
        .map(|n| match n % 7 {
            0 => ride("ignored", 1.0),
            1 => ride(&format!("r{n}"), -1.0),
            2 => PushedRow {
                values: Err(Undecoded {
                    reason: "no object".to_owned(),
                    record: b"7".to_vec(),
                }),
                producer: None,
            },
            // Some come twice, some with another fare.
            _ => ride(&format!("r{}", n % 90), f64::from(n % 4)),
        })
        .collect();
    let source = ahead.catalog().sources["rides"].clone();
    let write = Write::of_pushed(source, 1 << 20, rows.clone()).unwrap();
    assert!(matches!(write, Write::Considered { .. }));
    let Written::Pushed(answer) = ahead.write(&mut Pusher::default(), write).unwrap() else {
        panic!("a push is answered as one")
    };
    let want = push(&mut in_turn, &mut Pusher::default(), "rides", rows);
    assert_eq!(answer.rows, want.rows);
    assert_eq!(values(&ahead), values(&in_turn));
    let letters = |engine: &Engine| {
        let letters = engine.dead_letters("rides").unwrap().into_iter();
        letters.map(|l| (l.reason, l.record)).collect::<Vec<_>>()
    };
    assert_eq!(letters(&ahead), letters(&in_turn));
}

#[test]
fn a_push_that_is_repeated_changes_nothing_and_gives_a_token_that_covers_it() {
    let world = World::new();
    let mut engine = world.engine();
    let pusher = &mut Pusher::default();
    let rows = vec![tap(Some(("app", 7))), tap(Some(("app", 8)))];
    let first = push(&mut engine, pusher, "taps", rows.clone());
    assert_eq!(first.rows, [logged(0), logged(1)]);
    drop(engine);
    // The process died before the producer heard of it.
    let mut engine = world.engine();
    let again = push(&mut engine, &mut Pusher::default(), "taps", rows);
    assert_eq!(again.rows, [RowAnswer::Duplicate, RowAnswer::Duplicate]);
    assert_eq!(again.session, first.session);
    assert_eq!(values(&engine)[2], Value::BigInt(2));
    // Without a producer each is an event of its own, also two alike in one push.
    let answer = push(&mut engine, pusher, "taps", vec![tap(None), tap(None)]);
    assert_eq!(answer.rows, [logged(2), logged(3)]);
    assert_eq!(values(&engine)[2], Value::BigInt(4));
}

#[test]
fn a_rejected_row_of_a_producer_is_one_dead_letter_however_often_it_comes() {
    let world = World::new();
    let mut engine = world.engine();
    let bad = || PushedRow {
        producer: Some((Arc::from("app"), 1)),
        ..ride("b", -1.0)
    };
    let pusher = &mut Pusher::default();
    push(&mut engine, pusher, "rides", vec![bad()]);
    push(&mut engine, pusher, "rides", vec![bad()]);
    push(&mut engine, &mut Pusher::default(), "rides", vec![bad()]);
    assert_eq!(engine.dead_letters("rides").unwrap().len(), 1);
    push(&mut engine, pusher, "rides", vec![ride("b", -1.0)]);
    let letters = engine.dead_letters("rides").unwrap();
    assert_eq!(letters.len(), 2);
    // Both are judged again, and stay: the check still fails.
    let ids: Vec<u64> = letters.iter().map(|l| l.id).collect();
    let report = engine.redrive("rides", &ids).unwrap();
    assert_eq!(
        (report.rows, report.recorded, report.rejected_total()),
        (2, 0, 2)
    );
    let error = engine.redrive("rides", &[9]).unwrap_err();
    assert!(matches!(error, EngineError::NoDeadLetter { id: 9, .. }));
}

#[test]
fn what_is_logged_and_not_applied_is_in_no_cut() {
    let world = World::new();
    let mut engine = world.engine();
    let log = engine.writer().unwrap();
    let source = engine.catalog().sources["taps"].clone();
    let write = Write::Push {
        source: source.clone(),
        rows: vec![tap(None), tap(None), tap(None)],
    };
    let judged = Pusher::default().judge(&engine, vec![write]);
    let mut commit = judged.append(&log).unwrap();
    let logged_end = engine.reader().end(source.id, Partition(0));
    assert_eq!(logged_end, Offset(3));
    for (applied, more) in [(0, true), (2, true), (3, false)] {
        if applied > 0 {
            assert_eq!(engine.apply_some(&mut commit, 2).unwrap(), more);
        }
        assert_eq!(engine.applied_end(source.id, Partition(0)), Offset(applied));
        assert_eq!(
            values(&engine)[2],
            Value::BigInt(i64::try_from(applied).unwrap())
        );
    }
    assert!(engine.conflict_letters(&commit).unwrap().is_empty());
    append(&log, &[]).unwrap();
    let answers = commit.answers();
    assert!(matches!(&answers[..], [Ok(Written::Pushed(a))] if a.rows.len() == 3));
}

#[test]
fn what_is_wrong_with_one_request_is_no_matter_of_the_others() {
    let world = World::new();
    let mut engine = world.engine();
    let log = engine.writer().unwrap();
    let source = engine.catalog().sources["taps"].clone();
    let writes = vec![
        Write::Redrive {
            source: source.clone(),
            ids: Some(vec![3]),
        },
        Write::Push {
            source: source.clone(),
            rows: vec![tap(Some(("app", 1)))],
        },
        Write::Push {
            source,
            rows: vec![tap(Some(("app", 1)))],
        },
    ];
    let judged = Pusher::default().judge(&engine, writes);
    let mut commit = judged.append(&log).unwrap();
    assert!(!engine.apply_some(&mut commit, 10).unwrap());
    let answers = commit.answers();
    assert!(matches!(answers[0], Err(EngineError::NoDeadLetter { .. })));
    let Ok(Written::Pushed(first)) = &answers[1] else {
        panic!("{:?}", answers[1].as_ref().err());
    };
    let Ok(Written::Pushed(second)) = &answers[2] else {
        panic!("{:?}", answers[2].as_ref().err());
    };
    assert_eq!(first.rows, [logged(0)]);
    assert_eq!(second.rows, [RowAnswer::Duplicate]);
    assert_eq!(first.session, second.session);
}

#[test]
fn an_origin_is_one_identity_whatever_time_the_event_says() {
    let world = World::new();
    let mut engine = world.engine();
    let mut pusher = Pusher::default();
    let at = |time: &str| PushedRow {
        values: Ok(vec![Value::BigInt(1), Value::Timestamp(t(time))]),
        producer: Some((Arc::from("meter"), 7)),
    };
    let taps = |engine: &Engine| values(engine)[2].clone();
    let first = push(
        &mut engine,
        &mut pusher,
        "taps",
        vec![at("2026-03-01T10:00:00Z")],
    );
    assert_eq!(first.rows, [logged(0)]);
    // As stored, and from the disk.
    engine.checkpoint().unwrap();
    drop(engine);
    let mut engine = world.engine();
    let mut pusher = Pusher::default();
    let again = push(
        &mut engine,
        &mut pusher,
        "taps",
        vec![at("2026-03-01T10:00:00Z")],
    );
    assert_eq!(again.rows, [RowAnswer::Duplicate]);
    let other = push(
        &mut engine,
        &mut pusher,
        "taps",
        vec![at("2026-03-01T10:20:00Z")],
    );
    assert_eq!(other.rows, [RowAnswer::Conflict(Position::new(0, 1))]);
    assert_eq!(taps(&engine), Value::BigInt(1));
    let options = evenkeel_engine::api::VerifyOptions {
        values: 200,
        oracle_values: 200,
        ..Default::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    engine.checkpoint().unwrap();
    drop(engine);
    assert_eq!(taps(&world.engine()), Value::BigInt(1));
}

#[test]
fn each_payload_that_loses_is_a_dead_letter_once() {
    // In every order of three payloads, in one push or in three.
    for order in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ] {
        for at_once in [true, false] {
            let world = World::new();
            let mut engine = world.engine();
            let pusher = &mut Pusher::default();
            let rows: Vec<PushedRow> = order.iter().map(|n| ride("a", f64::from(*n))).collect();
            match at_once {
                true => drop(push(&mut engine, pusher, "rides", rows)),
                false => rows
                    .into_iter()
                    .for_each(|row| drop(push(&mut engine, pusher, "rides", vec![row]))),
            }
            let source = engine.catalog().sources["rides"].id;
            let letters = engine.reader().dead_letters(source).unwrap();
            let lost: Vec<Position> = letters
                .map(|l| l.unwrap().letter.position.unwrap())
                .collect();
            let place = |n: i32| {
                let offset = order.iter().position(|o| *o == n).unwrap();
                Position::new(0, offset as u64)
            };
            let mut sorted = lost.clone();
            sorted.sort();
            let mut expected = vec![place(2), place(3)];
            expected.sort();
            assert_eq!(sorted, expected, "{order:?}");
        }
    }
}

#[test]
fn rows_that_were_decoded_by_another_definition_are_refused() {
    let world = World::new();
    let mut engine = world.engine();
    let source = engine.source("taps").unwrap();
    let tap = || PushedRow {
        values: Ok(vec![Value::BigInt(1), Value::Timestamp(1)]),
        producer: None,
    };
    let push = |source: &Arc<_>| Write::Push {
        source: Arc::clone(source),
        rows: vec![tap()],
    };
    let redefined = DEFINITIONS.replace(
        "taps (driver BIGINT, at TIMESTAMP,",
        "taps (at TIMESTAMP, driver BIGINT,",
    );
    fs::write(world.directory.path().join("definitions.sql"), redefined).unwrap();
    let plan = engine.plan(&world.project().definition_files().unwrap());
    engine.apply(plan.unwrap()).unwrap();
    let refused = engine.write(&mut Pusher::default(), push(&source));
    assert!(matches!(refused, Err(EngineError::SourceChanged { .. })));
    let end = engine.reader().end(source.id, Partition(0));
    assert_eq!(end, Offset(0));
    let redriven = Write::Redrive { source, ids: None };
    let refused = engine.write(&mut Pusher::default(), redriven);
    assert!(matches!(refused, Err(EngineError::SourceChanged { .. })));
}
