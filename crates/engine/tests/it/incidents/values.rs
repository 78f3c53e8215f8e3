//! Incidents of values: widths, NULL and the empty text, what is left when a window empties,
//! ages.

use std::fs;

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainRequest};
use evenkeel_types::{DataType, Status, Value};

use super::RIDES;
use crate::support::{Spine, World, apply_text, one, statuses, t, train_table, values};

/// feast-dev/feast#3232, #2666: a TTL of 0 means "for ever" in one server and "expired" in
/// another.
#[test]
fn nt_11_a_ttl_of_zero_is_refused() {
    let world = World::new(RIDES);
    let engine = world.engine();
    for ttl in ["INTERVAL '0' SECOND", "INTERVAL '-1' DAY"] {
        let text = RIDES.replace(
            "VIEW last_ride ENTITY driver",
            &format!("VIEW last_ride ENTITY driver TTL {ttl}"),
        );
        let file = evenkeel_engine::DefinitionFile {
            name: "definitions.sql".to_owned(),
            text,
        };
        let Err(evenkeel_engine::EngineError::Definitions(found)) = engine.plan(&[file]) else {
            panic!("TTL {ttl} was planned")
        };
        assert!(
            found[0].1.message.contains("`TTL` must be above zero"),
            "{found:?}"
        );
    }
}

/// feast-dev/feast#6703: clearing a TTL is ignored, because the check is truthiness.
#[test]
fn nt_12_clearing_a_ttl_takes_effect() {
    let with_ttl = RIDES.replace(
        "VIEW last_ride ENTITY driver",
        "VIEW last_ride ENTITY driver TTL INTERVAL '1' HOUR",
    );
    let world = World::new(&with_ttl);
    world.write(
        "rides.csv",
        "id,driver,fare,at\na,1,10,2026-03-01T10:00:00Z\n",
    );
    let mut engine = world.loaded(&["rides"]);
    let status = |engine: &_| statuses(engine, "model", &[1i64.into()], "2026-03-01T11:00:00Z")[3];
    assert_eq!(status(&engine), Status::OutsideMaxAge);
    apply_text(&mut engine, RIDES);
    assert_eq!(status(&engine), Status::Present);
    apply_text(&mut engine, &with_ttl);
    assert_eq!(status(&engine), Status::OutsideMaxAge);
    drop(engine);
    world.write("definitions.sql", RIDES);
    assert_eq!(status(&world.engine()), Status::Present, "opened again");
}

/// feast-dev/feast#4110, #3565: JSON numbers become 64 bits wide, a key of 32 bits is not
/// found. A spine from CSV has 64 bits; the command line's half is in its own tests.
#[test]
fn nt_19_a_key_of_32_bits_is_found_from_wider_numbers() {
    let world = World::new(
        "CREATE ENTITY driver (driver INT);
         CREATE STREAM rides (id STRING, driver INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.jsonl');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    world.write(
        "rides.jsonl",
        "{\"id\":\"a\",\"driver\":7,\"at\":\"2026-03-01T10:00:00Z\"}\n\
         {\"id\":\"b\",\"driver\":-2147483648,\"at\":\"2026-03-01T10:00:00Z\"}\n\
         {\"id\":\"c\",\"driver\":2147483648,\"at\":\"2026-03-01T10:00:00Z\"}\n",
    );
    let mut engine = world.engine();
    let report = crate::support::ingest(&mut engine, "rides");
    assert_eq!((report.recorded, report.rejected_total()), (2, 1));
    assert_eq!(
        values(&engine, "model", &[Value::Int(7)], "2026-03-01T10:00:00Z"),
        ["a".into()]
    );
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::File {
            path: world.write(
                "spine.csv",
                "driver,event_time\n7,2026-03-01T10:00:00Z\n-2147483648,2026-03-01T10:00:00Z\n",
            ),
            time_column: None,
            known_at_column: None,
        },
        knowledge: KnowledgeMode::Latest,
        cut: None,
        out: world.path().join("out.csv"),
        statuses: false,
    };
    engine.train(&request, &mut |_, _, _| ()).unwrap();
    assert_eq!(
        fs::read_to_string(&request.out).unwrap(),
        "driver,event_time,id\n7,2026-03-01T10:00:00Z,a\n-2147483648,2026-03-01T10:00:00Z,b\n"
    );
}

/// feast-dev/feast#1904, #4031: a float of 32 bits is stored with 64, and 1.111 is read back
/// as 1.1109999418.
#[test]
fn nt_20_a_float_of_32_bits_stays_one() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, rate FLOAT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, rate FROM rides;
         CREATE FEATURE VIEW rates ENTITY driver AS SELECT driver, last_value(rate) OVER (ALL HISTORY) AS last,
           max(rate) OVER (ALL HISTORY) AS most FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*), rates (*);",
    );
    world.write(
        "rides.csv",
        "id,driver,rate,at\na,1,1.111,2026-03-01T10:00:00Z\n",
    );
    let engine = world.loaded(&["rides"]);
    let served = values(&engine, "model", &[1i64.into()], "2026-03-01T10:00:00Z");
    assert!(
        served.iter().all(|v| v.same_bits(&Value::float(1.111))),
        "{served:?}"
    );

    let service = engine.service("model").unwrap();
    assert!(
        service
            .features()
            .iter()
            .all(|f| f.data_type == DataType::Float)
    );
    let rows = [vec![1i64.into()]];
    let spine = || Spine {
        rows: &rows,
        times: vec![t("2026-03-01T10:00:00Z")],
        known_at: None,
    };
    let parquet = train_table(
        &engine,
        &service,
        &spine(),
        None,
        &world.path().join("out.parquet"),
    );
    for name in ["rate", "last", "most"] {
        // In the file's own type, not in one that was asked for.
        assert!(
            parquet
                .column(name)
                .unwrap()
                .get(0)
                .same_bits(&Value::float(1.111))
        );
    }
    let csv = world.path().join("out.csv");
    train_table(&engine, &service, &spine(), None, &csv);
    let text = fs::read_to_string(csv).unwrap();
    assert!(text.contains(",1.111,1.111,1.111,"), "{text}");
}

/// airbnb/chronon#355: taking back to a count of zero leaves NaN or infinity.
#[test]
fn nt_29_a_window_that_empties_is_empty_again() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW sums ENTITY driver AS SELECT driver, count(*) OVER h AS n, sum(fare) OVER h AS total,
           avg(fare) OVER h AS mean, stddev_samp(fare) OVER h AS deviation, min(fare) OVER h AS least,
           sum(fare) OVER h / count(*) OVER h AS ratio
         FROM rides WINDOW h AS (LAST 10 MINUTES);
         CREATE FEATURE SERVICE model AS sums (*);",
    );
    world.write(
        "rides.csv",
        "id,driver,fare,at\na,1,0.1,2026-03-01T10:00:00Z\nb,1,1e308,2026-03-01T10:05:00Z\n\
         c,1,1e308,2026-03-01T10:06:00Z\nd,1,inf,2026-03-01T10:07:00Z\ne,1,-inf,2026-03-01T10:08:00Z\n\
         f,1,NaN,2026-03-01T10:09:00Z\ng,1,0.3,2026-03-01T10:25:00Z\nh,1,0.3,2026-03-01T10:26:00Z\n",
    );
    let engine = world.loaded(&["rides"]);
    let service = engine.service("model").unwrap();
    // One training set whose sweep takes everything back, beside single reads.
    let times: Vec<i64> = (0..80)
        .map(|i| t("2026-03-01T09:59:00Z") + i * 30_000_000)
        .collect();
    let rows = vec![vec![Value::BigInt(1)]; times.len()];
    let spine = Spine {
        rows: &rows,
        times: times.clone(),
        known_at: None,
    };
    let swept = crate::support::train(&engine, &service, &spine, None);
    for (at, swept) in times.iter().zip(&swept) {
        let served = one(&engine, "model", &[1i64.into()], *at);
        for (a, b) in served.iter().zip(swept) {
            assert!(a.value.same_bits(&b.0), "at {at}: {a:?}, {b:?}");
        }
    }
    let empty = one(&engine, "model", &[1i64.into()], t("2026-03-01T10:20:00Z"));
    assert_eq!(empty[0].value, 0i64.into());
    assert!(
        empty[1..5].iter().all(|a| a.status == Status::NullValue),
        "{empty:?}"
    );
    let after = values(&engine, "model", &[1i64.into()], "2026-03-01T10:26:00Z");
    let expected: [Value; 6] = [
        2i64.into(),
        0.6.into(),
        0.3.into(),
        0.0.into(),
        0.3.into(),
        0.3.into(),
    ];
    assert_eq!(after, expected);
    let full = values(&engine, "model", &[1i64.into()], "2026-03-01T10:06:00Z");
    assert_eq!(full[1], f64::INFINITY.into());
}

/// 4paradigm/OpenMLDB#1650: NULL online is the empty text offline.
#[test]
fn nt_39_null_and_the_empty_text_are_two_values() {
    let world = World::new(
        "CREATE ENTITY driver (driver STRING);
         CREATE STREAM rides (id STRING, driver STRING, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id, word FROM rides;
         CREATE FEATURE VIEW words ENTITY driver AS SELECT driver, count(*) OVER (ALL HISTORY) AS n,
           count(word) OVER (ALL HISTORY) AS n_words, count(DISTINCT word) OVER (ALL HISTORY) AS different
         FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*), words (*);",
    );
    world.write(
        "rides.csv",
        "id,driver,word,at\na,x,\"\",2026-03-01T10:00:00Z\nb,x,,2026-03-01T11:00:00Z\n\
         c,\"\",go,2026-03-01T10:00:00Z\nd,,stop,2026-03-01T10:00:00Z\n",
    );
    let engine = world.loaded(&["rides"]);
    let answers = |key: Value, at: &str| -> Vec<(Value, Status)> {
        let answers = one(&engine, "model", &[key], t(at));
        answers.into_iter().map(|a| (a.value, a.status)).collect()
    };
    let ten = answers("x".into(), "2026-03-01T10:00:00Z");
    assert_eq!(ten[1], ("".into(), Status::Present));
    assert_eq!((&ten[3].0, &ten[4].0), (&1i64.into(), &1i64.into()));
    let eleven = answers("x".into(), "2026-03-01T11:00:00Z");
    assert_eq!(eleven[1], (Value::Null, Status::NullValue));
    assert_eq!((&eleven[2].0, &eleven[3].0), (&2i64.into(), &1i64.into()));
    // The empty text is a key; NULL is none.
    assert_eq!(answers("".into(), "2026-03-01T11:00:00Z")[0].0, "c".into());
    let nobody = answers(Value::Null, "2026-03-01T11:00:00Z");
    assert_eq!(
        (nobody[0].1, &nobody[2].0),
        (Status::NotFound, &0i64.into())
    );

    let rows = [vec!["x".into()], vec!["x".into()]];
    let spine = Spine {
        rows: &rows,
        times: vec![t("2026-03-01T10:00:00Z"), t("2026-03-01T11:00:00Z")],
        known_at: None,
    };
    let csv = world.path().join("out.csv");
    train_table(
        &engine,
        &engine.service("model").unwrap(),
        &spine,
        None,
        &csv,
    );
    let text = fs::read_to_string(csv).unwrap();
    assert!(
        text.contains(",a,\"\",1,1,1,") && text.contains(",b,,2,1,1,"),
        "{text}"
    );
}

/// 4paradigm/OpenMLDB#3859: TTLs of several kinds are merged into one.
#[test]
fn nt_40_every_view_keeps_its_own_ttl() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW short ENTITY driver TTL INTERVAL '1' HOUR AS SELECT driver, id FROM rides;
         CREATE FEATURE VIEW long ENTITY driver TTL INTERVAL '1' MONTH AS SELECT driver, id FROM rides;
         CREATE FEATURE VIEW ever ENTITY driver AS SELECT driver, id FROM rides;
         CREATE FEATURE SERVICE model AS short (id AS a), long (id AS b), ever (id AS c);",
    );
    world.write("rides.csv", "id,driver,at\nr,1,2026-01-31T10:00:00Z\n");
    let engine = world.loaded(&["rides"]);
    let found = |at: &str| -> Vec<bool> {
        let values = values(&engine, "model", &[1i64.into()], at);
        values.iter().map(|v| *v == "r".into()).collect()
    };
    assert_eq!(found("2026-01-31T10:59:59.999999Z"), [true, true, true]);
    assert_eq!(found("2026-01-31T11:00:00Z"), [false, true, true]);
    // A month before March 1 is February 1; a month before the last of February is in January.
    assert_eq!(found("2026-02-28T23:59:59.999999Z"), [false, true, true]);
    assert_eq!(found("2026-03-01T00:00:00Z"), [false, false, true]);
}

/// featureform#598: booleans become integers and integers booleans.
#[test]
fn nt_45_a_boolean_is_no_number() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, ok BOOLEAN, n BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.jsonl');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, ok, n FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    world.write(
        "rides.jsonl",
        "{\"id\":\"a\",\"driver\":1,\"ok\":true,\"n\":1,\"at\":\"2026-03-01T10:00:00Z\"}\n\
         {\"id\":\"b\",\"driver\":1,\"ok\":1,\"n\":1,\"at\":\"2026-03-01T11:00:00Z\"}\n\
         {\"id\":\"c\",\"driver\":1,\"ok\":true,\"n\":true,\"at\":\"2026-03-01T11:00:00Z\"}\n\
         {\"id\":\"d\",\"driver\":1,\"ok\":\"true\",\"n\":\"1\",\"at\":\"2026-03-01T11:00:00Z\"}\n",
    );
    let mut engine = world.engine();
    let report = crate::support::ingest(&mut engine, "rides");
    assert_eq!((report.recorded, report.rejected["DECODE"]), (1, 3));
    assert_eq!(
        values(&engine, "model", &[1i64.into()], "2026-03-01T12:00:00Z"),
        [Value::Boolean(true), 1i64.into()]
    );
}
