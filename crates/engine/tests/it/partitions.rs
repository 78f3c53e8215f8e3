//! A source in several partitions of the log answers what it answers in one.

use evenkeel_engine::api::{GetRequest, KnowledgeMode, SpineSource, TrainRequest, VerifyOptions};
use evenkeel_engine::{Engine, EngineError};
use evenkeel_types::time::{MINUTE, format_timestamp};
use evenkeel_types::{EventTime, Offset, Partition, Value, VisibleAt};

use crate::random_history::Random;
use crate::support::{World, apply_text, ingest, read, request, t};

const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'rides.csv', partitions = '4');
CREATE STREAM pings (driver BIGINT, place STRING, at TIMESTAMP, EVENT TIME at)
WITH (connector = 'file', path = 'pings.csv', partitions = '4');
CREATE TABLE drivers (driver BIGINT, n INT, name STRING, since TIMESTAMP,
  PRIMARY KEY (driver), EVENT TIME since, SEQUENCE BY (n))
WITH (connector = 'file', path = 'drivers.csv', partitions = '4');
CREATE FEATURE VIEW stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides_1h, sum(fare) OVER h AS fares_1h, last_n(id, 3) OVER (ALL HISTORY) AS last_ids,
  sum(fare) OVER (LAST 5 ROWS BEFORE) AS fares_5, count(*) OVER (SESSION GAP 20 MINUTES) AS in_session
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW context ENTITY driver TTL INTERVAL '3' HOUR AS
SELECT r.driver, r.id, p.place, d.name FROM rides r
  ASOF JOIN pings p ON r.driver = p.driver ASOF JOIN drivers d ON r.driver = d.driver;
CREATE FEATURE SERVICE model AS stats (*), context (*);
";

pub(crate) const SOURCES: [&str; 3] = ["rides", "pings", "drivers"];

/// A world whose sources have so many partitions; its files hold ties, equal rows, repetitions
/// and conflicts.
pub(crate) fn world(partitions: u32) -> World {
    let world = World::new(&with_partitions(partitions));
    let mut random = Random(3);
    let start = t("2026-03-01T00:00:00Z");
    let mut at = || format_timestamp(start + random.below(480) as i64 * MINUTE);
    let mut rides = "id,driver,fare,at\n".to_owned();
    let mut pings = "driver,place,at\n".to_owned();
    let mut drivers = "driver,n,name,since\n".to_owned();
    for i in 0..240 {
        let ride = format!("r{:03},{},{}.1,{}\n", i % 220, i % 3, i % 17, at());
        rides.push_str(&ride);
        if i % 10 == 0 {
            rides.push_str(&ride);
            rides.push_str(&ride.replace(".1,", ".7,"));
        }
        pings.push_str(&format!("{},p{},{}\n", i % 3, i % 4, at()));
        if i % 8 == 0 {
            drivers.push_str(&format!("{},{i},name{i},{}\n", i % 3, at()));
        }
    }
    world.write("rides.csv", &rides);
    world.write("pings.csv", &pings);
    world.write("drivers.csv", &drivers);
    world
}

fn with_partitions(partitions: u32) -> String {
    DEFINITIONS.replace("'4'", &format!("'{partitions}'"))
}

/// Everything that is answered at some times, with and without a bound on what was visible.
pub(crate) fn answers(engine: &Engine) -> Vec<String> {
    let keys: Vec<Vec<Value>> = (0..4).map(|d| vec![Value::BigInt(d)]).collect();
    let start = t("2026-03-01T00:00:00Z");
    let mut all = Vec::new();
    for minute in (0..600).step_by(67) {
        let at = start + minute * MINUTE;
        for known_at in [None, Some(VisibleAt(at - 10 * MINUTE))] {
            let request = GetRequest {
                known_at,
                ..request(engine, "model", keys.clone(), at)
            };
            all.extend(
                read(engine, &request)
                    .rows
                    .iter()
                    .map(|row| format!("{row:?}")),
            );
        }
    }
    all
}

fn partitions_used(engine: &Engine) -> Vec<usize> {
    let status = engine.status().unwrap();
    SOURCES
        .iter()
        .map(|name| {
            let source = status.sources.iter().find(|s| s.name == *name).unwrap();
            source.ends.iter().filter(|(_, end)| *end > 0).count()
        })
        .collect()
}

pub(crate) fn verified(engine: &Engine) -> String {
    let options = VerifyOptions {
        values: 2_000,
        oracle_values: 200,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{:?}", report.examples);
    assert!(report.values_checked >= 2_000 && report.oracle_checked > 0);
    report.answers_digest
}

/// The digest of a training set whose spine is a query.
pub(crate) fn training_digest(engine: &Engine, world: &World) -> String {
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::Query("SELECT driver, id AS ride FROM rides".to_owned()),
        knowledge: KnowledgeMode::AsServed,
        cut: None,
        out: world.path().join("out.parquet"),
        statuses: true,
    };
    let report = engine.train(&request, &mut |_, _, _| ()).unwrap();
    assert!(report.rows > 200);
    report.digest
}

#[test]
fn four_partitions_answer_what_one_does() {
    let (one, four) = (world(1), world(4));
    let (mut in_one, mut in_four) = (one.engine(), four.engine());
    for source in SOURCES {
        let (a, b) = (ingest(&mut in_one, source), ingest(&mut in_four, source));
        assert_eq!(
            (a.recorded, a.duplicates, a.conflicts),
            (b.recorded, b.duplicates, b.conflicts),
            "{source}"
        );
    }
    // A table of three keys has at most three partitions in use.
    assert_eq!(partitions_used(&in_one), [1, 1, 1]);
    let used = partitions_used(&in_four);
    assert!(used[0] == 4 && used[1] == 4 && used[2] >= 2, "{used:?}");

    let expected = answers(&in_one);
    assert_eq!(answers(&in_four), expected);
    let digest = training_digest(&in_one, &one);
    assert_eq!(training_digest(&in_four, &four), digest);
    verified(&in_one);
    let proof = verified(&in_four);

    drop(in_four);
    let mut in_four = four.engine();
    assert_eq!(answers(&in_four), expected, "opened again");
    assert_eq!(training_digest(&in_four, &four), digest);
    assert_eq!(verified(&in_four), proof);
    for source in SOURCES {
        assert_eq!(ingest(&mut in_four, source).recorded, 0, "{source}");
    }
    assert_eq!(answers(&in_four), expected, "ingested again");
}

#[test]
fn a_cut_names_every_partition() {
    let world = world(4);
    let engine = world.loaded(&SOURCES);
    let all = engine.cut();
    let words = engine.format_cut(&all);
    assert!(
        words.contains("rides/3@") && words.contains("pings/0@"),
        "{words}"
    );
    assert_eq!(engine.parse_cut(&words).unwrap(), all);
    // Without one partition, its events are not known, on both paths.
    let rides = engine.catalog().sources["rides"].id;
    let mut less = all.clone();
    less.set_end(rides, Partition(2), Offset(0));
    let rows = vec![vec![Value::BigInt(1)]];
    let at = t("2026-03-01T08:00:00Z");
    let count = |cut| {
        let request = GetRequest {
            cut: Some(cut),
            as_of: EventTime(at),
            service: engine
                .feature_list(&["stats:last_ids".to_owned(), "stats:rides_1h".to_owned()])
                .unwrap(),
            ..request(&engine, "model", rows.clone(), at)
        };
        read(&engine, &request).rows.remove(0)
    };
    assert!(!count(all)[0].value.same_bits(&count(less)[0].value));
}

#[test]
fn more_partitions_later_change_no_answer() {
    let world = world(1);
    let mut engine = world.loaded(&SOURCES);
    let expected = answers(&engine);
    apply_text(&mut engine, &with_partitions(4));
    assert_eq!(answers(&engine), expected);
    // The same rows again, most of which now belong elsewhere.
    for source in SOURCES {
        ingest(&mut engine, source);
    }
    assert_eq!(answers(&engine), expected);
    verified(&engine);
    drop(engine);
    world.write("definitions.sql", &with_partitions(4));
    assert_eq!(answers(&world.engine()), expected, "opened again");
}

#[test]
fn a_number_of_partitions_that_is_none_is_refused() {
    for text in ["0", "1025", "four", "-1", ""] {
        let world = World::new(&DEFINITIONS.replace("'4'", &format!("'{text}'")));
        world.write("rides.csv", "id,driver,fare,at\n");
        let project = world.project();
        let engine = Engine::open(&project).unwrap();
        let Err(error) = engine.plan(&project.definition_files().unwrap()) else {
            panic!("`{text}` was planned")
        };
        assert!(
            matches!(error, EngineError::Definitions(_)),
            "`{text}`: {error}"
        );
    }
}
