//! Sources whose columns change when there are events: what was recorded before is read by
//! what was defined after, on every path, and older versions of views answer as they did.

use std::collections::BTreeMap;

use evenkeel_engine::api::{ChangeKind, VerifyOptions};
use evenkeel_engine::{DefinitionFile, Engine, EngineError};
use evenkeel_types::{Status, Value};

use crate::support::{World, apply_text, ingest, request, t, values};

const BEFORE: &str = "
CREATE ENTITY shop (shop STRING);
CREATE STREAM sales (id STRING, shop STRING, pieces INT, weight FLOAT, price DECIMAL(4, 2), at TIMESTAMP,
  doubled INT AS (pieces * 2), EVENT ID (id), EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'sales.jsonl');
CREATE STREAM visits (shop STRING, seconds FLOAT, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'visits.jsonl');
CREATE FEATURE VIEW sold ENTITY shop AS
SELECT shop, sum(pieces) OVER h AS pieces, min(pieces) OVER h AS least, sum(weight) OVER h AS weight,
  max(weight) OVER h AS heaviest, sum(price) OVER h AS price, sum(doubled) OVER h AS doubled, count(*) OVER h AS sales
FROM sales WINDOW h AS (ALL HISTORY);
CREATE FEATURE VIEW last_sale ENTITY shop AS
SELECT s.shop, s.pieces, s.weight, s.doubled, v.seconds, event_time AS sold_at
FROM sales s ASOF JOIN visits v ON s.shop = v.shop;
CREATE FEATURE VIEW stay ENTITY shop AS
SELECT shop, last_value(seconds) OVER (ALL HISTORY) AS seconds, sum(seconds) OVER (LAST 3 ROWS) AS three FROM visits;
CREATE FEATURE VIEW mixed ENTITY shop AS SELECT a.pieces * b.three AS product FROM sold a JOIN stay b ON a.shop = b.shop;
CREATE FEATURE SERVICE model VERSION 1 AS sold (*), last_sale (pieces AS last_pieces, weight AS last_weight,
  doubled AS last_doubled, seconds AS last_seconds, sold_at), stay (*), mixed (*);
";

/// What is defined then.
fn after() -> String {
    BEFORE
        .replace(
            "pieces INT, weight FLOAT, price DECIMAL(4, 2), at TIMESTAMP,\n  doubled INT AS (pieces * 2)",
            "pieces BIGINT, weight DOUBLE, price DECIMAL(6, 2), at TIMESTAMP, note STRING,\n  \
             words STRING AS (upper(note)), doubled BIGINT AS (pieces * 2)",
        )
        .replace("seconds FLOAT, at", "seconds DOUBLE, at")
        .replace(
            "count(*) OVER h AS sales",
            "count(*) OVER h AS sales, count(note) OVER h AS notes, last_value(words) OVER h AS words",
        )
        .replace("VERSION 1 AS", "VERSION 2 AS")
}

const SALES: &str = r#"{"id":"a","shop":"x","pieces":-2147483648,"weight":0.1,"price":"99.99","at":"2026-03-01T10:00:00Z"}
{"id":"b","shop":"x","pieces":7,"weight":1e-45,"price":null,"at":"2026-03-01T10:00:00Z"}
{"id":"c","shop":"y","pieces":2147483647,"weight":"NaN","price":"0.01","at":"2026-03-01T11:00:00Z"}
{"id":"d","shop":"y","pieces":null,"weight":3.4028235e38,"price":"1.00","at":"2026-03-01T11:00:00Z"}
"#;

const VISITS: &str = r#"{"shop":"x","seconds":0.1,"at":"2026-03-01T09:00:00Z"}
{"shop":"x","seconds":-1e-45,"at":"2026-03-01T09:00:00Z"}
{"shop":"x","seconds":2.5,"at":"2026-03-01T09:00:00Z"}
{"shop":"y","seconds":16777216,"at":"2026-03-01T09:30:00Z"}
"#;

const MORE_SALES: &str = r#"{"id":"e","shop":"x","pieces":9007199254740993,"weight":0.1,"price":"1234.56","at":"2026-03-01T12:00:00Z","note":"gift"}
{"id":"f","shop":"y","pieces":3,"weight":0.5,"price":"1.00","at":"2026-03-01T12:00:00Z"}
{"id":"late","shop":"x","pieces":1,"weight":0.25,"price":"1.00","at":"2026-03-01T09:59:00Z","note":"late"}
"#;

const MORE_VISITS: &str = r#"{"shop":"x","seconds":0.1,"at":"2026-03-01T09:00:00Z"}
{"shop":"y","seconds":16777217,"at":"2026-03-01T12:30:00Z"}
"#;

const SHOPS: [&str; 3] = ["x", "y", "nowhere"];
const TIMES: [&str; 5] = [
    "2026-03-01T09:00:00Z",
    "2026-03-01T10:00:00Z",
    "2026-03-01T11:00:00Z",
    "2026-03-01T12:00:00Z",
    "2026-03-01T13:00:00Z",
];

fn world() -> World {
    let world = World::new(BEFORE);
    world.write("sales.jsonl", SALES);
    world.write("visits.jsonl", VISITS);
    world
}

/// The answers of a version of the service at the times, each read on both paths.
fn answers(engine: &Engine, version: u32, until: usize) -> Vec<Vec<(Value, Status)>> {
    let mut rows = Vec::new();
    for time in &TIMES[..until] {
        let keys = SHOPS.map(|s| vec![Value::string(s)]).to_vec();
        let mut request = request(engine, "model", keys, t(time));
        request.service = engine.catalog().services["model"][&version].clone();
        let answer = crate::support::read(engine, &request);
        rows.extend(answer.rows.into_iter().map(|row| {
            let answers = row.into_iter().map(|a| (a.value, a.status));
            answers.collect::<Vec<_>>()
        }));
    }
    rows
}

fn same(a: &[Vec<(Value, Status)>], b: &[Vec<(Value, Status)>]) -> bool {
    let same_row = |a: &Vec<(Value, Status)>, b: &Vec<(Value, Status)>| {
        let pairs = a.iter().zip(b);
        a.len() == b.len()
            && pairs
                .clone()
                .all(|(x, y)| x.0.same_bits(&y.0) && x.1 == y.1)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_row(a, b))
}

fn verify(engine: &Engine) {
    let options = VerifyOptions {
        values: 2_000,
        oracle_values: 500,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert!(report.values_checked > 10 && report.oracle_checked > 10);
    assert_eq!(report.mismatches, 0, "{report:?}");
}

#[test]
fn events_from_before_and_after_are_one_history() {
    let world = world();
    let mut engine = world.loaded(&["visits", "sales"]);
    let before = answers(&engine, 1, TIMES.len());
    verify(&engine);

    apply_text(&mut engine, &after());
    // Nothing that was logged before is read otherwise by what was defined before.
    assert!(same(&answers(&engine, 1, TIMES.len()), &before));
    verify(&engine);
    // Widened exactly; what was not there is NULL.
    let x: BTreeMap<String, Value> = feature_values(&engine, "x", TIMES[1]);
    assert_eq!(x["pieces"], Value::BigInt(-2147483641));
    assert_eq!(x["least"], Value::BigInt(-2147483648));
    assert_eq!(x["heaviest"], Value::double(f64::from(0.1f32)));
    assert_eq!(x["notes"], Value::BigInt(0));
    assert_eq!(x["words"], Value::Null);
    assert_eq!(
        x["last_weight"],
        Value::double(f64::from(f32::from_bits(1)))
    );
    assert!(feature_values(&engine, "y", TIMES[2])["weight"].same_bits(&Value::double(f64::NAN)));

    world.write("more_sales.jsonl", MORE_SALES);
    world.ingest_text(&mut engine, "sales", "more_sales.jsonl", MORE_SALES);
    let report = world.ingest_text(&mut engine, "visits", "more_visits.jsonl", MORE_VISITS);
    assert_eq!(report.recorded, 2);
    verify(&engine);
    let x = feature_values(&engine, "x", TIMES[4]);
    assert_eq!(x["least"], Value::BigInt(-2147483648));
    assert_eq!(x["notes"], Value::BigInt(2));
    assert_eq!(x["words"], Value::string("GIFT"));
    assert_eq!(x["last_pieces"], Value::BigInt(9007199254740993));
    // By the types of before: a number that is too large is an error, and no other number.
    let old = answers(&engine, 1, TIMES.len());
    let x = &old[(TIMES.len() - 1) * SHOPS.len()];
    assert!(matches!(x[0].1, Status::Error(_)), "{x:?}");
    // The old version is as a store would be that had all the events, but the old definitions.
    let at_ten = old[SHOPS.len()][0].clone();
    assert_eq!(at_ten.0, Value::BigInt(-2147483640));

    // The same after a restart, from what was checkpointed, and from the log alone.
    let both = (
        answers(&engine, 1, TIMES.len()),
        answers(&engine, 2, TIMES.len()),
    );
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert!(same(&answers(&engine, 1, TIMES.len()), &both.0));
    assert!(same(&answers(&engine, 2, TIMES.len()), &both.1));
    let beside = Engine::open_read_only(&world.project()).unwrap();
    assert!(same(&answers(&beside, 1, TIMES.len()), &both.0));
    assert!(same(&answers(&beside, 2, TIMES.len()), &both.1));
    verify(&engine);
}

fn feature_values(engine: &Engine, shop: &str, time: &str) -> BTreeMap<String, Value> {
    let names = engine.service("model").unwrap().features();
    let values = values(engine, "model", &[Value::string(shop)], time);
    names.into_iter().map(|f| f.name).zip(values).collect()
}

#[test]
fn an_old_file_is_known_and_a_new_one_may_lack_what_was_added() {
    let world = World::new(
        "CREATE ENTITY shop (shop STRING);
         CREATE STREAM sales (id STRING, shop STRING, pieces INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at)
         WITH (connector = 'file', path = 'sales.csv');
         CREATE STREAM visits (shop STRING, seconds INT, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
         WITH (connector = 'file', path = 'visits.csv');
         CREATE FEATURE VIEW sold ENTITY shop AS SELECT shop, sum(pieces) OVER (ALL HISTORY) AS pieces FROM sales;
         CREATE FEATURE SERVICE model AS sold (*);",
    );
    world.write(
        "sales.csv",
        "id,shop,pieces,at\na,x,1,2026-03-01T10:00:00Z\nb,x,2,2026-03-01T11:00:00Z\n",
    );
    world.write(
        "visits.csv",
        "shop,seconds,at\nx,1,2026-03-01T10:00:00Z\nx,1,2026-03-01T10:00:00Z\n",
    );
    let mut engine = world.loaded(&["sales", "visits"]);
    let cut = engine.cut();
    let migration = DefinitionFile {
        name: "migration.sql".to_owned(),
        text: "ALTER STREAM sales ADD COLUMN note STRING, ADD COLUMN tip INT;
               ALTER STREAM sales ALTER COLUMN pieces TYPE BIGINT;
               ALTER STREAM visits ALTER COLUMN seconds TYPE DOUBLE, ADD COLUMN door STRING;"
            .to_owned(),
    };
    let mut files = world.project().definition_files().unwrap();
    files.push(migration);
    let plan = engine.plan(&files).unwrap();
    let sales = plan.changes.iter().find(|c| c.name == "sales").unwrap();
    assert_eq!((sales.version, sales.kind), (2, ChangeKind::NewVersion));
    assert_eq!(
        sales.notes,
        [
            "schema version 2: adds `note` STRING, adds `tip` INT, widens `pieces` from INT to BIGINT",
            "2 events up to sales/0@2 stay of version 1",
            "widening builds identities and indexes of the source again from the log; a server answers meanwhile",
        ]
    );
    engine.apply(plan).unwrap();
    // The same project again changes nothing.
    assert!(engine.plan(&files).unwrap().is_empty());

    for source in ["sales", "visits"] {
        let report = ingest(&mut engine, source);
        assert_eq!(
            (report.recorded, report.duplicates, report.conflicts),
            (0, 2, 0),
            "{source}"
        );
    }
    assert_eq!(engine.cut(), cut);
    // A new file without one of the new columns, or both; a column of version 1 must be there.
    let report = world.ingest_text(
        &mut engine,
        "sales",
        "new.csv",
        "id,shop,pieces,at,note\nc,x,4294967296,2026-03-01T12:00:00Z,gift\n",
    );
    assert_eq!((report.recorded, report.rejected_total()), (1, 0));
    let path = world.write(
        "bad.csv",
        "id,shop,at,note\nc,x,2026-03-01T12:00:00Z,gift\n",
    );
    let error = engine
        .ingest("sales", Some(&path), &mut |_| ())
        .unwrap_err();
    assert!(matches!(error, EngineError::Connect(_)), "{error}");
    // The old row with what it did not have then is another payload of its identity.
    let report = world.ingest_text(
        &mut engine,
        "sales",
        "other.csv",
        "id,shop,pieces,at,note\na,x,1,2026-03-01T10:00:00Z,new\n",
    );
    assert_eq!((report.recorded, report.conflicts), (1, 1));

    let third = DefinitionFile {
        name: "second.sql".to_owned(),
        text: "ALTER STREAM sales ADD COLUMN colour STRING;".to_owned(),
    };
    files.push(third);
    let plan = engine.plan(&files).unwrap();
    let sales = plan.changes.iter().find(|c| c.name == "sales").unwrap();
    assert_eq!(
        sales.notes,
        [
            "schema version 3: adds `colour` STRING",
            "2 events up to sales/0@2 stay of version 1",
            "2 events up to sales/0@4 stay of version 2",
        ]
    );
    engine.apply(plan).unwrap();
    let versions: Vec<u32> = engine
        .reader()
        .read(evenkeel_log::ReadOptions::default())
        .map(Result::unwrap)
        .filter(|e| e.source == engine.source("sales").unwrap().id)
        .map(|e| e.schema_version)
        .collect();
    assert_eq!(versions, [1, 1, 2, 2]);
    // Of the two payloads the smaller one holds: that which ends first.
    let x = values(
        &engine,
        "model",
        &[Value::string("x")],
        "2026-03-02T00:00:00Z",
    );
    assert_eq!(x, [Value::BigInt(1 + 2 + 4294967296)]);
    verify(&engine);
}

#[test]
fn a_source_without_events_may_change_as_it_likes() {
    let world = world();
    let mut engine = world.engine();
    let other = BEFORE
        .replace("pieces INT, weight FLOAT", "weight FLOAT, pieces INT")
        .replace("seconds FLOAT", "seconds DOUBLE");
    let file = DefinitionFile {
        name: "d.sql".to_owned(),
        text: other.clone(),
    };
    let plan = engine.plan(&[file]).unwrap();
    assert!(
        plan.changes
            .iter()
            .all(|c| c.object != "stream" || c.version == 1)
    );
    engine.apply(plan).unwrap();
    ingest(&mut engine, "visits");
    ingest(&mut engine, "sales");
    verify(&engine);
}

/// Of a source without event ids the bytes of a row decide its partition, and wider columns have
/// other bytes: a row that is logged is so wherever it is.
#[test]
fn rows_of_several_partitions_are_known_again_after_widening() {
    let world = World::new(
        "CREATE ENTITY shop (shop STRING);
         CREATE STREAM visits (shop STRING, seconds INT, at TIMESTAMP, EVENT TIME at)
         WITH (connector = 'file', path = 'visits.csv', partitions = '4');
         CREATE FEATURE VIEW stay ENTITY shop AS
         SELECT shop, count(*) OVER (ALL HISTORY) AS visits, sum(seconds) OVER (ALL HISTORY) AS seconds FROM visits;
         CREATE FEATURE SERVICE model AS stay (*);",
    );
    let rows = (0..40).map(|n| format!("s{},{n},2026-03-01T10:{n:02}:00Z\n", n % 2));
    let text = "shop,seconds,at\n".to_owned() + &rows.collect::<String>();
    world.write("visits.csv", &text);
    let mut engine = world.loaded(&["visits"]);
    let cut = engine.cut();
    assert!(cut.iter().count() > 2, "{cut:?}");
    let shop = [Value::from("s1")];
    let read = |engine: &Engine| values(engine, "model", &shop, "2026-03-02T00:00:00Z");
    let before = read(&engine);
    let mut files = world.project().definition_files().unwrap();
    files.push(DefinitionFile {
        name: "wider.sql".to_owned(),
        text: "ALTER STREAM visits ALTER COLUMN seconds TYPE BIGINT;".to_owned(),
    });
    crate::support::apply(&mut engine, &files);
    let report = ingest(&mut engine, "visits");
    assert_eq!(
        (report.recorded, report.duplicates, report.conflicts),
        (0, 40, 0)
    );
    assert_eq!(engine.cut(), cut);
    assert_eq!(read(&engine), before);
    // Opened again, too.
    engine.checkpoint().unwrap();
    drop(engine);
    let mut engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(ingest(&mut engine, "visits").duplicates, 40);
    assert_eq!(read(&engine), before);
}
