//! Incidents of order: ties, arrival, conflicts.

use evenkeel_engine::Engine;
use evenkeel_engine::api::GetRequest;
use evenkeel_types::time::MINUTE;
use evenkeel_types::{EventTime, Status, Value};

use super::{HEADER, RIDES, many_rides};
use crate::support::{World, ingest, read, request, t, values};

/// Each list once, in every order of its lines.
fn permutations(lines: &[&str]) -> Vec<Vec<String>> {
    if lines.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (i, first) in lines.iter().enumerate() {
        let mut rest = lines.to_vec();
        rest.remove(i);
        for mut order in permutations(&rest) {
            order.insert(0, (*first).to_owned());
            all.push(order);
        }
    }
    all
}

/// feast-dev/feast#3360: of three or more rows with an equal event time the wrong one wins.
#[test]
fn nt_06_of_equal_times_the_same_row_wins_in_any_order_of_arrival() {
    let definitions = |sequence: &str| {
        format!(
            "CREATE ENTITY driver (driver BIGINT);
             CREATE STREAM rides (id STRING, driver BIGINT, n INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at{sequence})
             WITH (connector = 'file', path = 'rides.csv');
             CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id, n FROM rides;
             CREATE FEATURE VIEW frames ENTITY driver AS SELECT driver, last_value(id) OVER (ALL HISTORY) AS last,
               first_value(id) OVER (ALL HISTORY) AS first, last_n(id, 2) OVER (ALL HISTORY) AS last_two,
               sum(n) OVER (LAST 2 ROWS) AS n_2 FROM rides;
             CREATE FEATURE SERVICE model AS last_ride (*), frames (*);"
        )
    };
    let lines = [
        "a,1,3,2026-03-01T10:00:00Z\n",
        "b,1,1,2026-03-01T10:00:00Z\n",
        "c,1,2,2026-03-01T10:00:00Z\n",
    ];
    let two = |x: &str, y: &str| Value::Array([x.into(), y.into()].into());
    // By sequence b, c, a; by event id a, b, c.
    let by_sequence: [Value; 6] = [
        "a".into(),
        Value::Int(3),
        "a".into(),
        "b".into(),
        two("c", "a"),
        5i64.into(),
    ];
    let by_id: [Value; 6] = [
        "c".into(),
        Value::Int(2),
        "c".into(),
        "a".into(),
        two("b", "c"),
        3i64.into(),
    ];
    for (sequence, expected) in [(", SEQUENCE BY (n)", by_sequence), ("", by_id)] {
        for order in permutations(&lines) {
            let header = "id,driver,n,at\n";
            let at_once = World::new(&definitions(sequence));
            at_once.write("rides.csv", &format!("{header}{}", order.concat()));
            let one_by_one = World::new(&definitions(sequence));
            let mut engines = vec![at_once.loaded(&["rides"]), one_by_one.engine()];
            for line in &order {
                one_by_one.ingest_text(
                    &mut engines[1],
                    "rides",
                    "one.csv",
                    &format!("{header}{line}"),
                );
            }
            for engine in &engines {
                let found = values(engine, "model", &[1i64.into()], "2026-03-01T10:00:00Z");
                assert_eq!(found, expected, "{order:?}{sequence}");
            }
        }
    }
}

/// feast-dev/feast#5163: rows of one key inside one batch all compare with what was before the
/// batch; the last in the list wins.
#[test]
fn nt_07_within_one_batch_the_newest_wins_and_conflicts_are_one() {
    // Ride `a` comes with three payloads, the greater ones twice.
    let lines = [
        "a,1,9,2026-03-01T10:00:00Z\n",
        "a,1,5,2026-03-01T10:00:00Z\n",
        "a,1,7,2026-03-01T10:00:00Z\n",
        "b,1,2,2026-03-01T10:20:00Z\n",
        "c,1,1,2026-03-01T10:10:00Z\n",
    ];
    let mut expected: Option<Vec<Value>> = None;
    for order in permutations(&lines).into_iter().step_by(5) {
        let world = World::new(RIDES);
        let text = format!("{HEADER}{}{}{}", order.concat(), lines[0], lines[2]);
        world.write("rides.csv", &text);
        let mut engine = world.engine();
        let report = ingest(&mut engine, "rides");
        assert_eq!((report.recorded, report.duplicates), (5, 2), "{order:?}");
        let found = values(&engine, "model", &[1i64.into()], "2026-03-01T10:20:00Z");
        assert_eq!((&found[0], &found[3]), (&3i64.into(), &"b".into()));
        let expected = expected.get_or_insert(found.clone());
        assert_eq!(found, *expected, "{order:?}");
        assert_eq!(engine.dead_letters("rides").unwrap().len(), 2, "{order:?}");
    }
}

const VERSIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE TABLE drivers (driver BIGINT, revision INT, level INT, since TIMESTAMP,
  PRIMARY KEY (driver), EVENT TIME since, SEQUENCE BY (revision))
WITH (connector = 'file', path = 'drivers.csv');
CREATE FEATURE VIEW driver_now ENTITY driver AS SELECT driver, level FROM drivers;
CREATE FEATURE SERVICE model AS driver_now (*);
";

/// feast-dev/feast#2795: corrected data with the same or an older timestamp can never be
/// materialised again; it is skipped without a word.
#[test]
fn nt_09_corrected_data_of_the_same_or_an_older_time_counts() {
    let world = World::new(VERSIONS);
    let mut engine = world.engine();
    let add = |engine: &mut Engine, name: &str, line: &str| {
        let text = format!("driver,revision,level,since\n{line}\n");
        assert_eq!(
            world.ingest_text(engine, "drivers", name, &text).recorded,
            1
        );
    };
    let level = |engine: &Engine, at| values(engine, "model", &[1i64.into()], at)[0].clone();
    add(&mut engine, "a.csv", "1,1,10,2026-03-01T10:00:00Z");
    add(&mut engine, "b.csv", "1,3,30,2026-03-01T10:00:00Z");
    assert_eq!(level(&engine, "2026-03-01T11:00:00Z"), Value::Int(30));
    // A lower revision of the same time comes later, and changes nothing.
    add(&mut engine, "c.csv", "1,2,20,2026-03-01T10:00:00Z");
    assert_eq!(level(&engine, "2026-03-01T11:00:00Z"), Value::Int(30));
    // An older time comes later: it holds until the newer begins.
    add(&mut engine, "d.csv", "1,9,5,2026-03-01T09:00:00Z");
    assert_eq!(level(&engine, "2026-03-01T11:00:00Z"), Value::Int(30));
    assert_eq!(level(&engine, "2026-03-01T09:59:59.999999Z"), Value::Int(5));
}

/// 4paradigm/OpenMLDB#1780, #1802: equal timestamps across a union come in any order.
#[test]
fn nt_33_equal_times_of_two_sources_are_one_row_in_any_order() {
    let sql = "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM calls (driver BIGINT, word STRING, at TIMESTAMP, EVENT TIME at)
         WITH (connector = 'file', path = 'calls.csv');
         CREATE STREAM pings (driver BIGINT, place STRING, at TIMESTAMP, EVENT TIME at)
         WITH (connector = 'file', path = 'pings.csv');
         CREATE FEATURE VIEW both ENTITY driver AS
         SELECT c.driver, c.word, p.place FROM calls c ASOF FULL JOIN pings p ON c.driver = p.driver;
         CREATE FEATURE VIEW heard ENTITY driver AS
         SELECT c.driver, c.word AS said, p.place AS at_place, q.place AS place_before
         FROM calls c ASOF JOIN pings p ON c.driver = p.driver
           ASOF JOIN pings q MATCH_CONDITION (c.at > q.at) ON c.driver = q.driver;
         CREATE FEATURE SERVICE model AS both (*), heard (*);";
    let mut answers = Vec::new();
    for order in [["calls", "pings"], ["pings", "calls"]] {
        let world = World::new(sql);
        world.write(
            "calls.csv",
            "driver,word,at\n1,go,2026-03-01T10:00:00Z\n1,stop,2026-03-01T10:05:00Z\n",
        );
        world.write(
            "pings.csv",
            "driver,place,at\n1,x,2026-03-01T10:00:00Z\n1,y,2026-03-01T10:05:00Z\n",
        );
        let engine = world.loaded(&order);
        answers.push(values(
            &engine,
            "model",
            &[1i64.into()],
            "2026-03-01T10:05:00Z",
        ));
    }
    let expected: [Value; 5] = [
        "stop".into(),
        "y".into(),
        "stop".into(),
        "y".into(),
        "x".into(),
    ];
    assert_eq!(answers, [expected.to_vec(), expected.to_vec()]);
}

/// Answers of a world at many times, on both paths.
fn answers_of(engine: &Engine, times: impl IntoIterator<Item = i64>) -> Vec<Vec<Value>> {
    let keys: Vec<Vec<Value>> = (0..4).map(|d| vec![Value::BigInt(d)]).collect();
    times
        .into_iter()
        .flat_map(|at| read(engine, &request(engine, "model", keys.clone(), at)).rows)
        .map(|row| row.into_iter().map(|answer| answer.value).collect())
        .collect()
}

/// 4paradigm/OpenMLDB#2472: concurrent puts leave the offsets of an aggregate out of order.
#[test]
fn nt_36_any_order_of_arrival_gives_the_same_aggregates() {
    let sorted = {
        let mut lines = many_rides(700);
        lines.sort_by_key(|line| line.rsplit(',').next().map(ToOwned::to_owned));
        lines
    };
    let mut backwards = sorted.clone();
    backwards.reverse();
    let halves: Vec<String> = sorted[350..]
        .iter()
        .zip(&sorted[..350])
        .flat_map(|(a, b)| [a.clone(), b.clone()])
        .collect();
    let start = t("2026-03-01T00:00:00Z");
    let times: Vec<i64> = (0..60).map(|i| start + i * 11 * MINUTE).collect();
    let mut expected: Option<Vec<Vec<Value>>> = None;
    for lines in [sorted, backwards, halves, many_rides(700)] {
        let world = World::new(RIDES);
        let mut engine = world.engine();
        for (number, part) in lines.chunks(90).enumerate() {
            let text = format!("{HEADER}{}", part.concat());
            world.ingest_text(&mut engine, "rides", &format!("{number}.csv"), &text);
        }
        let answers = answers_of(&engine, times.iter().copied());
        let expected = expected.get_or_insert(answers.clone());
        assert!(
            answers
                .iter()
                .flatten()
                .zip(expected.iter().flatten())
                .all(|(a, b)| a.same_bits(b))
        );
    }
}

/// 4paradigm/OpenMLDB#3780, #2637: going through, or deleting among, rows of one timestamp
/// stops at the first.
#[test]
fn nt_37_hundreds_of_events_of_one_time_are_all_gone_through() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, n BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW frames ENTITY driver AS SELECT driver,
           sum(n) OVER (LAST 1 HOURS) AS all_n, sum(n) OVER (LAST 1 HOURS BEFORE) AS before_n,
           sum(n) OVER (LAST 300 ROWS) AS rows_n, sum(n) OVER (LAST 300 ROWS BEFORE) AS rows_before_n,
           sum(n) OVER (ROWS BETWEEN 600 PRECEDING AND 300 PRECEDING) AS middle_n,
           first_value(id) OVER (LAST 650 ROWS) AS first, max_by(id, n) OVER (ALL HISTORY) AS most
         FROM rides;
         CREATE FEATURE SERVICE model AS frames (*);",
    );
    // One event before, 700 of one instant (by id 1 to 700), one a microsecond later.
    let mut text = "id,driver,n,at\n".to_owned();
    for n in (1..=700).rev() {
        text.push_str(&format!("r{n:03},1,{n},2026-03-01T10:00:00Z\n"));
    }
    text.push_str("a,1,10000,2026-03-01T09:59:59.999999Z\nz,1,20000,2026-03-01T10:00:00.000001Z\n");
    world.write("rides.csv", &text);
    let engine = world.loaded(&["rides"]);
    let sum = |from: i64, to: i64| -> i64 { (from..=to).sum() };
    let found = values(&engine, "model", &[1i64.into()], "2026-03-01T10:00:00Z");
    let expected: [Value; 7] = [
        (sum(1, 700) + 10_000).into(),
        10_000i64.into(),
        sum(401, 700).into(),
        10_000i64.into(),
        sum(100, 400).into(),
        "r051".into(),
        "a".into(),
    ];
    assert_eq!(found, expected);
    let found = values(
        &engine,
        "model",
        &[1i64.into()],
        "2026-03-01T10:00:00.000001Z",
    );
    let expected: [Value; 7] = [
        (sum(1, 700) + 30_000).into(),
        (sum(1, 700) + 10_000).into(),
        (sum(402, 700) + 20_000).into(),
        sum(401, 700).into(),
        sum(101, 401).into(),
        "r052".into(),
        "z".into(),
    ];
    assert_eq!(found, expected);
    // Knowing only the first half of the file, the same ties are gone through.
    let half = GetRequest {
        cut: Some(engine.parse_cut("rides/0@350").unwrap()),
        as_of: EventTime(t("2026-03-01T10:00:00Z")),
        ..request(&engine, "model", vec![vec![1i64.into()]], 0)
    };
    let found = read(&engine, &half);
    assert_eq!(found.rows[0][0].value, sum(351, 700).into());
    assert_eq!(found.rows[0][4].value, sum(351, 400).into());
}

/// 4paradigm/OpenMLDB#3780: of rows with one timestamp a delete takes away the wrong ones.
#[test]
fn nt_37_a_delete_among_versions_of_one_time_ends_those_before_it() {
    let sql = "CREATE ENTITY driver (driver BIGINT);
         CREATE TABLE drivers (driver BIGINT, op STRING, n INT, level INT, since TIMESTAMP,
           PRIMARY KEY (driver), EVENT TIME since, SEQUENCE BY (n))
         WITH (connector = 'file', path = 'drivers.csv', operation = 'op');
         CREATE FEATURE VIEW driver_now ENTITY driver AS SELECT driver, level FROM drivers;
         CREATE FEATURE SERVICE model AS driver_now (*);";
    let lines = [
        "1,upsert,1,10,2026-03-01T10:00:00Z\n",
        "1,delete,2,,2026-03-01T10:00:00Z\n",
        "1,upsert,3,30,2026-03-01T10:00:00Z\n",
        "2,upsert,1,10,2026-03-01T10:00:00Z\n",
        "2,delete,2,,2026-03-01T10:00:00Z\n",
    ];
    for order in permutations(&lines).into_iter().step_by(7) {
        let world = World::new(sql);
        world.write(
            "drivers.csv",
            &format!("driver,op,n,level,since\n{}", order.concat()),
        );
        let engine = world.loaded(&["drivers"]);
        let keys = vec![vec![1i64.into()], vec![2i64.into()]];
        let answer = read(
            &engine,
            &request(&engine, "model", keys, t("2026-03-01T10:00:00Z")),
        );
        assert_eq!(answer.rows[0][0].value, Value::Int(30), "{order:?}");
        assert_eq!(answer.rows[1][0].status, Status::NotFound, "{order:?}");
    }
}

/// logicalclocks/hopsworks-api#873: online ingestion has to be "upsert if newer".
#[test]
fn nt_42_an_older_version_that_comes_later_is_not_current() {
    let world = World::new(VERSIONS);
    world.write(
        "drivers.csv",
        "driver,revision,level,since\n1,1,7,2026-03-01T12:00:00Z\n1,1,3,2026-03-01T08:00:00Z\n\
         1,1,5,2026-03-01T10:00:00Z\n",
    );
    let engine = world.loaded(&["drivers"]);
    for (at, level) in [
        ("2026-03-01T08:00:00Z", 3),
        ("2026-03-01T10:00:00Z", 5),
        ("2026-03-01T11:59:59.999999Z", 5),
        ("2026-03-01T12:00:00Z", 7),
        ("2026-03-02T12:00:00Z", 7),
    ] {
        assert_eq!(
            values(&engine, "model", &[1i64.into()], at),
            [Value::Int(level)],
            "{at}"
        );
    }
}
