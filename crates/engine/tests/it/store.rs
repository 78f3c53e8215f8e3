//! A store on disk: files ingested, reopened, read; bad rows; incidents that other feature
//! stores have shipped, by name.

use std::fs;

use evenkeel_engine::api::{GetAnswer, GetRequest, VerifyOptions};
use evenkeel_engine::{DefinitionFile, Engine, EngineError, Project};
use evenkeel_types::{EventTime, Status, Value, VisibleAt};

use crate::support::{World, read, request, t};

const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at, CHECK (fare >= 0))
WITH (connector = 'file', path = 'rides.csv') WHERE id <> 'ignored';
CREATE TABLE profile (driver BIGINT, name STRING, since TIMESTAMP, PRIMARY KEY (driver), EVENT TIME since, KNOWN AT since)
WITH (connector = 'file', path = 'profile.csv');
CREATE FEATURE VIEW ride_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides_1h, sum(fare) OVER h AS fares_1h, count(*) OVER b AS rides_before
FROM rides WINDOW h AS (LAST 1 HOURS), b AS (LAST 1 HOURS BEFORE);
CREATE FEATURE VIEW who ENTITY driver TTL INTERVAL '1' HOUR AS
SELECT r.driver, r.fare, p.name FROM rides r ASOF JOIN profile p ON r.driver = p.driver;
CREATE FEATURE SERVICE model VERSION 1 AS ride_stats (*), who (*);
";

const RIDES: &str = "id,driver,fare,at
a,1,10.0,2026-03-01T10:00:00Z
b,1,5.5,2026-03-01T10:00:00.000001Z
c,1,,2026-03-01T10:30:00Z
d,9007199254740993,1.25,2026-03-01T10:30:00Z
ignored,1,1.0,2026-03-01T10:40:00Z
e,1,-1.0,2026-03-01T10:45:00Z
f,1,x,2026-03-01T10:46:00Z
g,1,1.0,not a time
h,,7.0,2026-03-01T11:00:00Z
";

const PROFILE: &str = "driver,name,since
1,Ada,2026-03-01T10:10:00Z
1,Bob,2026-03-01T10:20:00Z
";

fn world() -> World {
    let world = World::new(DEFINITIONS);
    world.write("rides.csv", RIDES);
    world.write("profile.csv", PROFILE);
    world
}

fn loaded(world: &World) -> Engine {
    world.loaded(&["rides", "profile"])
}

/// Read on both paths.
fn get(engine: &Engine, drivers: &[i64], as_of: &str) -> GetAnswer {
    let rows = drivers.iter().map(|d| vec![Value::BigInt(*d)]).collect();
    read(engine, &request(engine, "model", rows, t(as_of)))
}

fn values(answer: &GetAnswer, row: usize) -> Vec<Value> {
    answer.rows[row].iter().map(|a| a.value.clone()).collect()
}

#[test]
fn rows_are_recorded_left_out_or_rejected_and_counted() {
    let world = world();
    let mut engine = world.engine();
    let report = engine.ingest("rides", None, &mut |_| ()).unwrap();
    assert_eq!((report.rows, report.recorded, report.left_out), (9, 5, 1));
    assert_eq!(report.rejected_total(), 3);
    let letters = engine.dead_letters("rides").unwrap();
    let reasons: Vec<&str> = letters.iter().map(|l| l.reason.as_str()).collect();
    assert_eq!(
        reasons.iter().filter(|r| **r == "DECODE").count(),
        2,
        "{reasons:?}"
    );
    assert!(reasons.contains(&"CHECK"), "{reasons:?}");
    assert!(letters.iter().any(|l| l.record.contains("not a time")));
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let world = world();
    let mut engine = loaded(&world);
    let before = (
        engine.cut(),
        values(&get(&engine, &[1], "2026-03-01T11:00:00Z"), 0),
    );
    let report = engine.ingest("rides", None, &mut |_| ()).unwrap();
    assert_eq!((report.recorded, report.duplicates), (0, 5));
    assert_eq!(engine.dead_letters("rides").unwrap().len(), 3);
    assert_eq!(
        before,
        (
            engine.cut(),
            values(&get(&engine, &[1], "2026-03-01T11:00:00Z"), 0)
        )
    );
}

#[test]
fn a_reopened_store_answers_the_same_bits() {
    let world = world();
    let engine = loaded(&world);
    let options = VerifyOptions {
        values: 2_000,
        oracle_values: 200,
        ..VerifyOptions::default()
    };
    let first = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(first.mismatches, 0);
    assert!(first.values_checked >= 2_000 && first.oracle_checked > 0);
    drop(engine);
    let again = world.engine().verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(first.answers_digest, again.answers_digest);
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let world = world();
    let engine = loaded(&world);
    let project = Project::open(world.path(), None).unwrap();
    let Err(error) = Engine::open(&project) else {
        panic!("two writers")
    };
    assert_eq!(error.code(), "BUSY");
    let mut reader = Engine::open_read_only(&project).unwrap();
    assert_eq!(
        values(&get(&reader, &[1], "2026-03-01T10:30:00Z"), 0),
        values(&get(&engine, &[1], "2026-03-01T10:30:00Z"), 0)
    );
    assert!(matches!(
        reader.ingest("rides", None, &mut |_| ()),
        Err(EngineError::ReadOnly { .. })
    ));
}

#[test]
fn a_directory_without_a_store_is_not_opened_for_reading() {
    let world = world();
    let project = world.project();
    let refused = |open: fn(&Project) -> Result<Engine, EngineError>| {
        let Err(error) = open(&project) else {
            panic!("a store where none is")
        };
        assert!(matches!(error, EngineError::NoStore { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&project.store.display().to_string())
        );
        assert!(error.hint().unwrap().contains("`evenkeel apply`"));
    };
    for _ in 0..2 {
        assert!(!Engine::has_store(&project));
        refused(Engine::open_read_only);
        refused(Engine::open_to_read);
        // The second time there is a directory, with nothing in it.
        fs::create_dir_all(&project.store).unwrap();
    }
    assert_eq!(fs::read_dir(&project.store).unwrap().count(), 0);
    // A first creation that was cut short is a store with nothing in it.
    fs::create_dir(project.store.join("log")).unwrap();
    let reader = Engine::open_read_only(&project).unwrap();
    assert!(reader.catalog().sources.is_empty());
    drop(reader);
    loaded(&world);
    assert!(Engine::has_store(&project));
    Engine::open_read_only(&project).unwrap();
}

#[test]
fn nt_02_nothing_later_than_t_is_ever_read() {
    let world = world();
    let engine = loaded(&world);
    let answer = get(&engine, &[1], "2026-03-01T10:00:00Z");
    // The event at 10:00:00.000001 is one microsecond too late.
    assert_eq!(
        values(&answer, 0)[..3],
        [1i64.into(), 10.0.into(), 0i64.into()]
    );
    let answer = get(&engine, &[1], "2026-03-01T10:00:00.000001Z");
    assert_eq!(
        values(&answer, 0)[..3],
        [2i64.into(), 15.5.into(), 1i64.into()]
    );
}

#[test]
fn nt_05_and_04_every_entity_asked_for_has_its_row_in_order() {
    let world = world();
    let engine = loaded(&world);
    let asked = [1, 1, 77, 1, 77];
    let answer = get(&engine, &asked, "2026-03-01T10:30:00Z");
    assert_eq!(answer.rows.len(), asked.len());
    assert_eq!(values(&answer, 0), values(&answer, 3));
    // A window view never says NOT_FOUND; a row view does.
    let unknown: Vec<Status> = answer.rows[2].iter().map(|a| a.status).collect();
    assert_eq!(unknown[0], Status::Present);
    assert_eq!(unknown[1], Status::NullValue);
    assert_eq!(unknown[3..], [Status::NotFound, Status::NotFound]);
}

#[test]
fn nt_08_events_of_one_second_are_told_apart() {
    let world = world();
    let engine = loaded(&world);
    let answer = get(&engine, &[1], "2026-03-01T10:00:00.000001Z");
    assert_eq!(values(&answer, 0)[3], 5.5.into());
}

#[test]
fn nt_10_ttl_holds_online_and_its_edge_is_exact() {
    let world = world();
    let engine = loaded(&world);
    let status = |at: &str| get(&engine, &[1], at).rows[0][4].status;
    // The last row is of 10:30; at 11:30 it is exactly one hour old, which is too old.
    assert_eq!(status("2026-03-01T11:29:59.999999Z"), Status::Present);
    assert_eq!(status("2026-03-01T11:30:00Z"), Status::OutsideMaxAge);
}

#[test]
fn nt_18_keys_beyond_two_to_the_53_are_found() {
    let world = world();
    let engine = loaded(&world);
    let answer = get(
        &engine,
        &[9_007_199_254_740_993, 9_007_199_254_740_992],
        "2026-03-01T10:30:00Z",
    );
    assert_eq!(values(&answer, 0)[0], 1i64.into());
    assert_eq!(values(&answer, 1)[0], 0i64.into());
}

#[test]
fn nt_21_null_is_null_everywhere_and_never_an_empty_text() {
    let world = world();
    let engine = loaded(&world);
    let answer = get(&engine, &[1], "2026-03-01T10:30:00Z");
    // Ride `c` has no fare: counted, not summed, and its row's fare is NULL.
    assert_eq!(answer.rows[0][0].value, 3i64.into());
    assert_eq!(answer.rows[0][1].value, 15.5.into());
    assert_eq!(answer.rows[0][3].status, Status::NullValue);
    assert_eq!(answer.rows[0][4].value, "Bob".into());
}

#[test]
fn nt_25_reading_changes_nothing() {
    let world = world();
    let engine = loaded(&world);
    let first = values(&get(&engine, &[1], "2026-03-01T10:30:00Z"), 0);
    for _ in 0..50 {
        assert_eq!(
            values(&get(&engine, &[1], "2026-03-01T10:30:00Z"), 0),
            first
        );
    }
}

#[test]
fn an_earlier_cut_stays_readable() {
    let world = world();
    let mut engine = loaded(&world);
    let before = engine.cut();
    let then = get(&engine, &[1], "2026-03-01T10:30:00Z");
    fs::write(
        world.path().join("rides.csv"),
        "id,driver,fare,at\nlate,1,100.0,2026-03-01T10:29:00Z\n",
    )
    .unwrap();
    engine.ingest("rides", None, &mut |_| ()).unwrap();
    assert_eq!(
        values(&get(&engine, &[1], "2026-03-01T10:30:00Z"), 0)[0],
        4i64.into()
    );
    let cut = engine.parse_cut(&engine.format_cut(&before)).unwrap();
    assert_eq!(cut, before);
    let request = GetRequest {
        service: engine.service("model").unwrap(),
        rows: vec![vec![Value::BigInt(1)]],
        as_of: then.as_of,
        cut: Some(cut),
        known_at: None,
    };
    assert_eq!(values(&read(&engine, &request), 0), values(&then, 0));
}

#[test]
fn what_was_visible_bounds_a_read() {
    let world = world();
    let engine = loaded(&world);
    let request = GetRequest {
        service: engine.service("model").unwrap(),
        rows: vec![vec![Value::BigInt(1)]],
        as_of: EventTime(t("2026-03-01T10:30:00Z")),
        cut: None,
        known_at: Some(VisibleAt(t("2026-03-01T10:15:00Z"))),
    };
    let answer = read(&engine, &request);
    // Ride `c` was not visible; the row is of ride `b`, looked up at its own time.
    assert_eq!(values(&answer, 0)[0], 2i64.into());
    assert_eq!(values(&answer, 0)[3..], [5.5.into(), Value::Null]);
}

#[test]
fn conflicts_are_decided_by_payload_and_the_loser_is_a_dead_letter() {
    let world = world();
    let mut engine = loaded(&world);
    fs::write(
        world.path().join("rides.csv"),
        "id,driver,fare,at\na,1,3.0,2026-03-01T10:00:00Z\n",
    )
    .unwrap();
    let report = engine.ingest("rides", None, &mut |_| ()).unwrap();
    assert_eq!((report.recorded, report.conflicts), (1, 1));
    assert_eq!(
        values(&get(&engine, &[1], "2026-03-01T10:00:00Z"), 0)[1],
        3.0.into()
    );
    let letters = engine.dead_letters("rides").unwrap();
    let conflict = letters.iter().find(|l| l.reason == "CONFLICT").unwrap();
    assert!(conflict.record.contains("10.0"), "{}", conflict.record);
}

#[test]
fn dead_letters_are_driven_again_when_the_definition_allows() {
    let world = world();
    let mut engine = loaded(&world);
    let text = DEFINITIONS.replace(", CHECK (fare >= 0)", "");
    let files = [DefinitionFile {
        name: "definitions.sql".to_owned(),
        text,
    }];
    let plan = engine.plan(&files).unwrap();
    engine.apply(plan).unwrap();
    let letters = engine.dead_letters("rides").unwrap();
    let check = letters.iter().find(|l| l.reason == "CHECK").unwrap().id;
    let report = engine.redrive("rides", &[check]).unwrap();
    assert_eq!(report.recorded, 1);
    assert_eq!(engine.dead_letters("rides").unwrap().len(), 2);
    assert!(matches!(
        engine.redrive("rides", &[check]),
        Err(EngineError::NoDeadLetter { .. })
    ));
    assert_eq!(
        values(&get(&engine, &[1], "2026-03-01T10:45:00Z"), 0)[0],
        4i64.into()
    );
}

#[test]
fn a_record_of_a_text_file_is_read_as_text_again() {
    let world = world();
    let mut engine = loaded(&world);
    let letters = engine.dead_letters("rides").unwrap();
    let broken = letters
        .iter()
        .find(|l| l.record.contains("not a time"))
        .unwrap()
        .id;
    let report = engine.redrive("rides", &[broken]).unwrap();
    // Still no time; its driver and its fare were read without complaint.
    assert_eq!(report.recorded, 0);
    let reason = report.first_rejected.unwrap();
    assert!(reason.contains("column `at`"), "{reason}");
    assert_eq!(engine.dead_letters("rides").unwrap().len(), 3);
}

#[test]
fn errors_say_what_to_do() {
    let world = world();
    let mut engine = loaded(&world);
    let error = engine.service("modle").unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `model`?");
    let error = engine.ingest("ride", None, &mut |_| ()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `rides`?");
    for (cut, part) in [
        ("rides", "no `@`"),
        ("rides/x@1", "partition"),
        ("rides@x", "end"),
    ] {
        let error = engine.parse_cut(cut).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let beyond = GetRequest {
        service: engine.service("model").unwrap(),
        rows: Vec::new(),
        as_of: EventTime(0),
        cut: Some(engine.parse_cut("rides@99").unwrap()),
        known_at: None,
    };
    assert!(matches!(
        engine.get(&beyond),
        Err(EngineError::CutBeyond { .. })
    ));
    let changed = DEFINITIONS
        .replace("fare DOUBLE", "fare STRING")
        .replace("CHECK (fare >= 0)", "CHECK (fare <> '')");
    let files = [DefinitionFile {
        name: "d.sql".to_owned(),
        text: changed.replace("sum(fare)", "count(fare)"),
    }];
    let Err(error) = engine.plan(&files) else {
        panic!("an incompatible change was planned")
    };
    let EngineError::Definitions(mistakes) = error else {
        panic!("{error}")
    };
    let messages: Vec<&str> = mistakes.iter().map(|m| m.1.message.as_str()).collect();
    assert_eq!(
        messages,
        ["`fare` cannot become STRING: it is DOUBLE, which does not widen to that"]
    );
}
