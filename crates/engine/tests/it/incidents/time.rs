//! Incidents of time: what is too late, too early, in another zone, or at an end of the
//! calendar.

use evenkeel_types::time::{DAY, HOUR, TIME_MAX, TIME_MIN};
use evenkeel_types::{ErrorReason, Status, Value};

use super::RIDES;
use crate::support::{
    Spine, World, ingest, one, request, statuses, t, train, values, values_known_at,
};

/// feast-dev/feast#6615: `created_timestamp` only breaks ties, so training rows at T get values
/// that were written after T by a backfill.
#[test]
fn nt_01_a_backfill_is_not_known_before_it_is_logged() {
    let world = World::new(RIDES);
    let mut engine = world.engine();
    let header = "id,driver,fare,at\n";
    world.clock.set(t("2026-03-01T10:00:01Z"));
    let first = format!("{header}a,1,10,2026-03-01T10:00:00Z\n");
    world.ingest_text(&mut engine, "rides", "first.csv", &first);
    world.clock.set(t("2026-03-01T12:00:00Z"));
    let backfill = format!("{header}b,1,5,2026-03-01T09:50:00Z\nc,1,7,2026-03-01T10:10:00Z\n");
    world.ingest_text(&mut engine, "rides", "backfill.csv", &backfill);

    let driver = [1i64.into()];
    let at = "2026-03-01T10:15:00Z";
    let before: [Value; 5] = [
        1i64.into(),
        10.0.into(),
        10.0.into(),
        "a".into(),
        10.0.into(),
    ];
    let after: [Value; 5] = [3i64.into(), 22.0.into(), 7.0.into(), "c".into(), 7.0.into()];
    let as_served = |known_at| values_known_at(&engine, "model", &driver, at, known_at);
    assert_eq!(as_served("2026-03-01T10:15:00Z"), before);
    assert_eq!(as_served("2026-03-01T11:59:59.999999Z"), before);
    assert_eq!(as_served("2026-03-01T12:00:00Z"), after);
    assert_eq!(values(&engine, "model", &driver, at), after);

    // In one training set every row has its own knowledge.
    let rows = vec![driver.to_vec(); 2];
    let spine = Spine {
        rows: &rows,
        times: vec![t(at); 2],
        known_at: Some(vec![t(at), t("2026-03-01T12:00:00Z")]),
    };
    let trained = train(&engine, &engine.service("model").unwrap(), &spine, None);
    let first: Vec<Value> = trained.iter().map(|row| row[0].0.clone()).collect();
    assert_eq!(first, [1i64.into(), 3i64.into()]);
}

/// 4paradigm/OpenMLDB#3749: an online window counts rows later than the request row.
#[test]
fn nt_03_windows_of_every_frame_end_at_the_request() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, zone STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW frames ENTITY driver AS SELECT driver,
           count(*) OVER (LAST 1 HOURS) AS in_range, count(*) OVER (LAST 10 ROWS) AS in_rows,
           count(*) OVER (ALL HISTORY) AS ever, count(*) OVER (SESSION GAP 10 MINUTES) AS in_session,
           count(*) OVER (SINCE START OF DAY) AS today, count(*) OVER (ALL HISTORY BEFORE) AS before
         FROM rides;
         CREATE FEATURE VIEW row_frames ENTITY driver AS SELECT r.driver, r.id,
           count(*) OVER (PARTITION BY r.zone ORDER BY r.at
             RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS zone_1h
         FROM rides r;
         CREATE FEATURE SERVICE model AS frames (*), row_frames (*);",
    );
    world.write(
        "rides.csv",
        "id,driver,zone,at\na,1,x,2026-03-01T10:00:00Z\nb,1,x,2026-03-01T10:05:00Z\n\
         c,2,x,2026-03-01T10:05:00Z\nd,2,x,2026-03-01T10:05:00.000001Z\n",
    );
    let engine = world.loaded(&["rides"]);
    let counts = |at: &str| -> Vec<Value> { values(&engine, "model", &[1i64.into()], at) };
    let expect = |n: i64, before: i64, id: &str, zone: i64| -> Vec<Value> {
        let mut values: Vec<Value> = vec![n.into(); 5];
        values.extend([before.into(), id.into(), zone.into()]);
        values
    };
    assert_eq!(counts("2026-03-01T10:00:00Z"), expect(1, 0, "a", 1));
    assert_eq!(counts("2026-03-01T10:04:59.999999Z"), expect(1, 1, "a", 1));
    // Ride `b` sees ride `c` of its own instant, never ride `d` a microsecond later, whenever
    // it is read.
    assert_eq!(counts("2026-03-01T10:05:00Z"), expect(2, 1, "b", 3));
    assert_eq!(counts("2026-03-01T10:05:00.000001Z"), expect(2, 2, "b", 3));
}

/// feast-dev/feast#4222: one run with a future end moves the watermark ahead, and all later
/// incremental runs do nothing.
#[test]
fn nt_13_an_event_of_the_future_holds_nothing_up() {
    let world = World::new(RIDES);
    let mut engine = world.engine();
    let header = "id,driver,fare,at\n";
    // One row beyond `MAX FUTURE`, one exactly at it.
    let text = format!("{header}x,1,1,2026-03-02T13:00:00.000001Z\ny,1,2,2026-03-02T13:00:00Z\n");
    let report = world.ingest_text(&mut engine, "rides", "future.csv", &text);
    assert_eq!((report.recorded, report.rejected["FUTURE"]), (1, 1));
    let text = format!("{header}a,1,4,2026-03-02T10:00:00Z\n");
    let report = world.ingest_text(&mut engine, "rides", "ordinary.csv", &text);
    assert_eq!((report.recorded, report.rejected_total()), (1, 0));
    let at = |at| values(&engine, "model", &[1i64.into()], at)[1].clone();
    assert_eq!(at("2026-03-02T10:00:00Z"), 4.0.into());
    assert_eq!(at("2026-03-02T13:00:00Z"), 2.0.into());
}

/// feast-dev/feast#4133: incremental loads go by event time, so late arrivals are never loaded.
#[test]
fn nt_15_late_events_are_loaded_and_count() {
    let world = World::new(RIDES);
    world.write(
        "rides.csv",
        "id,driver,fare,at\na,1,1,2026-03-01T10:00:00Z\n",
    );
    let mut engine = world.loaded(&["rides"]);
    for (id, at) in [
        ("b", "2026-03-01T09:59:59.999999Z"),
        ("c", "2026-03-01T09:00:00Z"),
        ("d", "1999-01-01T00:00:00Z"),
    ] {
        world.write("rides.csv", &format!("id,driver,fare,at\n{id},1,1,{at}\n"));
        assert_eq!(ingest(&mut engine, "rides").recorded, 1);
    }
    let driver = [1i64.into()];
    assert_eq!(
        values(&engine, "model", &driver, "2026-03-01T10:00:00Z")[0],
        3i64.into()
    );
    let late = values(&engine, "model", &driver, "1999-01-01T00:00:00Z");
    assert_eq!((&late[0], &late[3]), (&1i64.into(), &"d".into()));
}

/// feast-dev/feast#1439, #1475, #3083: naive, aware and other zones are mixed; the zone of the
/// session decides.
#[test]
fn nt_17_zones_are_converted_and_never_guessed() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at IN 'Europe/Berlin')
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id, at FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    world.clock.set(t("2026-12-01T00:00:00Z"));
    // Naive in winter and in summer; with an offset; twice the same local time; an hour that
    // does not exist; a zone name that is none.
    let report = {
        let mut engine = world.engine();
        world.ingest_text(
            &mut engine,
            "rides",
            "rides.csv",
            "id,driver,at\nwinter,1,2026-01-15T12:00:00\nsummer,2,2026-07-15 12:00:00\n\
             aware,3,2026-07-15T12:00:00-07:00\nutc,4,2026-07-15T12:00:00Z\n\
             ambiguous,5,2026-10-25T02:30:00\ngap,6,2026-03-29T02:30:00\nodd,7,2026-01-15T12:00:00 Mars\n",
        )
    };
    assert_eq!((report.recorded, report.rejected["DECODE"]), (5, 2));
    let engine = world.engine();
    for (driver, at) in [
        (1, "2026-01-15T11:00:00Z"),
        (2, "2026-07-15T10:00:00Z"),
        (3, "2026-07-15T19:00:00Z"),
        (4, "2026-07-15T12:00:00Z"),
        (5, "2026-10-25T00:30:00Z"),
    ] {
        let key: [Value; 1] = [Value::BigInt(driver)];
        assert_eq!(
            values(&engine, "model", &key, at)[1],
            Value::Timestamp(t(at))
        );
        let before = one(&engine, "model", &key, t(at) - 1);
        assert_eq!(before[0].status, Status::NotFound, "driver {driver}");
    }
    assert_eq!(
        statuses(&engine, "model", &[6i64.into()], "2026-12-01T00:00:00Z")[0],
        Status::NotFound
    );
}

/// airbnb/chronon#527: what may be used is decided by event time, not by the time of the
/// mutation.
#[test]
fn nt_28_a_version_is_usable_from_when_it_was_known() {
    let world = World::new(
        "CREATE ENTITY ride (id STRING);
         CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE TABLE drivers (driver BIGINT, level INT, since TIMESTAMP, changed TIMESTAMP,
           PRIMARY KEY (driver), EVENT TIME since, KNOWN AT changed)
         WITH (connector = 'file', path = 'drivers.csv');
         CREATE FEATURE VIEW driven ENTITY ride AS
         SELECT r.id, d.level FROM rides r ASOF JOIN drivers d ON r.driver = d.driver;
         CREATE FEATURE SERVICE model AS driven (*);",
    );
    world.write("rides.csv", "id,driver,at\nr,1,2026-03-01T10:00:00Z\n");
    // Level 2 holds from nine o'clock, but was written at eleven.
    world.write(
        "drivers.csv",
        "driver,level,since,changed\n1,1,2026-03-01T08:00:00Z,2026-03-01T08:00:00Z\n\
         1,2,2026-03-01T09:00:00Z,2026-03-01T11:00:00Z\n",
    );
    let engine = world.loaded(&["rides", "drivers"]);
    let key = ["r".into()];
    let level = |known_at| {
        values_known_at(&engine, "model", &key, "2026-03-01T10:00:00Z", known_at)[0].clone()
    };
    assert_eq!(level("2026-03-01T10:00:00Z"), Value::Int(1));
    assert_eq!(level("2026-03-01T10:59:59.999999Z"), Value::Int(1));
    assert_eq!(level("2026-03-01T11:00:00Z"), Value::Int(2));
    assert_eq!(
        values(&engine, "model", &key, "2026-03-01T10:00:00Z")[0],
        Value::Int(2)
    );
}

/// 4paradigm/OpenMLDB#2674, #2181, #2776: overflow at unbounded windows, time 0, negative
/// times.
#[test]
fn nt_38_every_frame_holds_at_the_ends_of_time() {
    let frames = [
        "ALL HISTORY",
        "LAST 1 HOURS",
        "LAST 300000 DAYS",
        "LAST 119988 MONTHS",
        "LAST 1 HOURS HOP 15 MINUTES",
        "LAST 2 ROWS",
        "SINCE START OF DAY IN 'America/Los_Angeles'",
        "SINCE START OF WEEK",
        "SINCE START OF YEAR IN 'Pacific/Kiritimati'",
        "SESSION GAP 100 DAYS",
        "RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '300000' DAY PRECEDING",
    ];
    let columns: Vec<String> = (0..)
        .zip(frames)
        .map(|(i, f)| format!("sum(n) OVER ({f}) AS c{i}"))
        .collect();
    let world = World::new(&format!(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, n BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW frames ENTITY driver AS SELECT driver, {} FROM rides;
         CREATE FEATURE VIEW last_ride ENTITY driver TTL INTERVAL '300000' DAY AS SELECT driver, id FROM rides;
         CREATE FEATURE SERVICE model AS frames (*), last_ride (*);",
        columns.join(", ")
    ));
    world.clock.set(TIME_MAX);
    let times = [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000001Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000001Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    let mut text = "id,driver,n,at\n".to_owned();
    for (i, at) in times.iter().enumerate() {
        text.push_str(&format!("{i},1,{},{at}\n", 1 << i));
    }
    // Beyond both ends, and a sum that no BIGINT holds.
    text.push_str("x,1,1,0000-12-31T23:59:59Z\ny,1,1,10000-01-01T00:00:00Z\n");
    text.push_str(&format!(
        "p,2,{},1970-01-01T00:00:00Z\nq,2,1,1970-01-01T00:00:01Z\n",
        i64::MAX
    ));
    world.write("rides.csv", &text);
    let mut engine = world.engine();
    let report = ingest(&mut engine, "rides");
    assert_eq!((report.recorded, report.rejected_total()), (8, 2));

    let sums = |at: i64| -> Vec<Value> {
        let answers = one(&engine, "model", &[1i64.into()], at);
        answers.into_iter().map(|a| a.value).collect()
    };
    for (at, ever, in_hour) in [
        (TIME_MIN, 1i64, 1i64),
        (TIME_MIN + 1, 3, 3),
        (-1, 7, 4),
        (0, 15, 12),
        (1, 31, 28),
        (HOUR - 1, 31, 28),
        (HOUR, 31, 24),
        (HOUR + 1, 31, 16),
        (TIME_MAX, 63, 32),
    ] {
        let sums = sums(at);
        assert_eq!(
            (&sums[0], &sums[1]),
            (&ever.into(), &in_hour.into()),
            "{at}"
        );
        // Nothing is 300000 days before the first days there are, and nothing is that old.
        assert_eq!(sums[10].is_null(), at < TIME_MIN + 300_000 * DAY, "{at}");
        assert!(!sums[11].is_null(), "{at}");
    }
    // Where no calendar reaches: a spine with such times is refused, a read has an answer.
    let beyond = |at: i64| -> Vec<Value> {
        let request = request(&engine, "model", vec![vec![1i64.into()]], at);
        let mut answer = engine.get(&request).unwrap();
        answer.rows.remove(0).into_iter().map(|a| a.value).collect()
    };
    for at in [i64::MIN, TIME_MIN - HOUR, TIME_MIN - 1] {
        assert!(
            beyond(at).iter().all(Value::is_null),
            "{at}: {:?}",
            beyond(at)
        );
    }
    for at in [TIME_MAX + 1, TIME_MAX + HOUR, i64::MAX] {
        assert_eq!(beyond(at)[0], 63i64.into(), "{at}");
    }
    assert_eq!(beyond(i64::MAX)[1], Value::Null);
    let overflow = one(&engine, "model", &[2i64.into()], HOUR);
    assert_eq!(overflow[0].status, Status::Error(ErrorReason::Overflow));
    assert_eq!(
        one(&engine, "model", &[2i64.into()], 0)[0].value,
        i64::MAX.into()
    );
}

/// logicalclocks/hopsworks-api#739, #1051: precision is dropped, epoch 0 is taken for NULL,
/// milliseconds before it are divided towards zero.
#[test]
fn nt_43_time_zero_is_a_time_and_microseconds_are_kept() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, ended TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.jsonl', time_unit = 'ms');
         CREATE FEATURE VIEW last_ride ENTITY driver AS
         SELECT driver, id, at, ended, epoch_us(ended) AS ended_us FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    world.write(
        "rides.jsonl",
        "{\"id\":\"zero\",\"driver\":1,\"at\":0,\"ended\":0}\n\
         {\"id\":\"before\",\"driver\":2,\"at\":-1,\"ended\":-1500}\n\
         {\"id\":\"text\",\"driver\":3,\"at\":\"1969-12-31T23:59:59.999999Z\",\"ended\":\"2026-03-01T10:00:00.123456Z\"}\n\
         {\"id\":\"none\",\"driver\":4,\"at\":0,\"ended\":null}\n",
    );
    let engine = world.loaded(&["rides"]);
    for (driver, at, ended) in [
        (1, 0, Some(0)),
        (2, -1_000, Some(-1_500_000)),
        (3, -1, Some(t("2026-03-01T10:00:00.123456Z"))),
        (4, 0, None),
    ] {
        let key = [Value::BigInt(driver)];
        let answers = one(&engine, "model", &key, at);
        assert_eq!(answers[1].value, Value::Timestamp(at), "driver {driver}");
        assert_eq!(
            answers[2].value,
            ended.map_or(Value::Null, Value::Timestamp)
        );
        assert_eq!(answers[3].value, ended.map_or(Value::Null, Value::BigInt));
        assert_eq!(answers[0].event_time.map(|t| t.0), Some(at));
        let before = request(&engine, "model", vec![key.to_vec()], at - 1);
        assert_eq!(
            crate::support::read(&engine, &before).rows[0][0].status,
            Status::NotFound
        );
    }
}
