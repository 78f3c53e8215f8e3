//! Incidents of loading: retries, duplicates, parts that are skipped, loads that fail half
//! way.

use std::fs;
use std::io::Write as _;

use evenkeel_engine::EngineError;
use evenkeel_types::Value;

use super::RIDES;
use crate::support::{Spine, World, ingest, t, train, values};

/// airbnb/chronon#1111: a random salt makes a task that is tried again duplicate and drop rows.
#[test]
fn nt_26_a_load_that_is_tried_again_adds_nothing() {
    // Without an event id: a row is its place in its file.
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (driver BIGINT, fare DOUBLE, at TIMESTAMP, EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv', partitions = 3);
         CREATE FEATURE VIEW stats ENTITY driver AS
         SELECT driver, count(*) OVER (ALL HISTORY) AS n, sum(fare) OVER (ALL HISTORY) AS total FROM rides;
         CREATE FEATURE SERVICE model AS stats (*);",
    );
    // Equal rows are events of their own.
    let mut text = "driver,fare,at\n".to_owned();
    for i in 0..50 {
        text.push_str(&format!("1,{},2026-03-01T10:00:00Z\n", i % 5));
    }
    world.write("rides.csv", &text);
    for attempt in 0..3 {
        let mut engine = world.engine();
        let report = ingest(&mut engine, "rides");
        let expected = if attempt == 0 { (50, 0) } else { (0, 50) };
        assert_eq!((report.recorded, report.duplicates), expected);
        assert_eq!(
            values(&engine, "model", &[1i64.into()], "2026-03-01T10:00:00Z"),
            [50i64.into(), 100.0.into()]
        );
    }
}

/// airbnb/chronon#1117: early partitions are skipped without a word.
#[test]
fn nt_31_every_file_of_a_pattern_is_read() {
    let world = World::new(&RIDES.replace("rides.csv", "day=*/rides-*.csv"));
    for day in 1..=9 {
        let folder = format!("day=2026-01-0{day}");
        fs::create_dir(world.path().join(&folder)).unwrap();
        world.write(
            &format!("{folder}/rides-0.csv"),
            &format!("id,driver,fare,at\nr{day},1,{day},2026-01-0{day}T10:00:00Z\n"),
        );
    }
    let mut engine = world.engine();
    let report = ingest(&mut engine, "rides");
    assert_eq!((report.files, report.recorded), (9, 9));
    for day in 1..=9 {
        let found = values(
            &engine,
            "model",
            &[1i64.into()],
            &format!("2026-01-0{day}T10:00:00Z"),
        );
        assert_eq!(found[3], format!("r{day}").as_str().into());
    }
    // A pattern that fits nothing is no empty load.
    let nothing = world.path().join("day=2025-*/rides-*.csv");
    assert!(matches!(
        engine.ingest("rides", Some(&nothing), &mut |_| ()),
        Err(EngineError::Connect(_))
    ));
}

/// logicalclocks/hopsworks-api#723, #544: duplicate keys or events become duplicate rows.
#[test]
fn nt_41_duplicates_of_events_are_one_and_rows_of_a_spine_stay_as_many() {
    let world = World::new(&RIDES.replace("rides.csv", "rides-*.csv"));
    let line = "a,1,10,2026-03-01T10:00:00Z\n";
    let header = "id,driver,fare,at\n";
    // Twice in one file, in a copy of it, and in another file with other columns' order.
    world.write("rides-1.csv", &format!("{header}{line}{line}"));
    world.write("rides-2.csv", &format!("{header}{line}{line}"));
    world.write(
        "rides-3.csv",
        "at,fare,driver,id\n2026-03-01T10:00:00Z,10.0,1,a\n",
    );
    let mut engine = world.engine();
    let report = ingest(&mut engine, "rides");
    assert_eq!(
        (report.recorded, report.duplicates, report.conflicts),
        (1, 4, 0)
    );
    let expected: [Value; 5] = [
        1i64.into(),
        10.0.into(),
        10.0.into(),
        "a".into(),
        10.0.into(),
    ];
    assert_eq!(
        values(&engine, "model", &[1i64.into()], "2026-03-01T10:00:00Z"),
        expected
    );
    let rows = vec![vec![Value::BigInt(1)]; 3];
    let spine = Spine {
        rows: &rows,
        times: vec![t("2026-03-01T10:00:00Z"); 3],
        known_at: None,
    };
    let trained = train(&engine, &engine.service("model").unwrap(), &spine, None);
    assert_eq!(trained.len(), 3);
    for row in trained {
        let row: Vec<Value> = row.into_iter().map(|(value, _)| value).collect();
        assert_eq!(row, expected);
    }
}

/// featureform#1113: an error of copying is swallowed, and a partial load "succeeds".
#[test]
fn nt_45_a_file_that_is_cut_short_is_an_error() {
    let world = World::new(&RIDES.replace("rides.csv", "rides.csv.gz"));
    let mut text = "id,driver,fare,at\n".to_owned();
    for i in 0..20_000 {
        text.push_str(&format!("r{i},1,1,2026-03-01T10:{:02}:00Z\n", i % 60));
    }
    let path = world.path().join("rides.csv.gz");
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let whole = gzip(&text);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let mut engine = world.engine();
    assert!(matches!(
        engine.ingest("rides", None, &mut |_| ()),
        Err(EngineError::Connect(_))
    ));
    // What was read before the break may be logged; the whole file then completes it.
    fs::write(&path, &whole).unwrap();
    let known = engine.status().unwrap().sources[0].events;
    let report = ingest(&mut engine, "rides");
    assert_eq!(
        (report.recorded, report.duplicates),
        (20_000 - known, known)
    );
    let found = values(&engine, "model", &[1i64.into()], "2026-03-01T10:59:00Z");
    assert_eq!(found[..2], [20_000i64.into(), 20_000.0.into()]);
}
