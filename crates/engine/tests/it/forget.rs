//! A key that is forgotten is nowhere any more, and every other key is answered what it was.

mod going_on;
mod random;
mod stopped;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use evenkeel_connect::Table;
use evenkeel_engine::api::{Answer, GetRequest, VerifyOptions};
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::push::{PushedRow, Pusher, TriggerRow, Write};
use evenkeel_engine::{
    Engine, EngineError, ForgetReport, ForgetRequest, Machine, Offline, TruncateOptions,
    feature_list_of,
};
use evenkeel_log::{
    Compression, DiskFileSystem, File, FileSystem, Lock, LogOptions, OpenMode, ReadOptions,
    Sequence,
};
use evenkeel_types::{Cut, EventTime, Offset, Value};

use crate::lake::flush;
use crate::random_history::Random;
use crate::support::{World, apply};

/// A key and a word of its events that occur nowhere else.
const KEY: &str = "Zaphod-4711";
const WORD: &str = "heart-of-gold";

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer STRING);
CREATE ENTITY shop (shop STRING);
CREATE TABLE customers (customer STRING, city STRING, at TIMESTAMP, PRIMARY KEY (customer), EVENT TIME at)
WITH (connector = 'file', path = 'customers.csv');
CREATE STREAM orders (id STRING, buyer STRING, shop STRING, amount DOUBLE, note STRING, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at)
WITH (connector = 'file', path = 'orders.csv');
CREATE STREAM visits (customer STRING, page STRING, at TIMESTAMP, EVENT TIME at, CHECK (page <> 'wrong'))
WITH (connector = 'file', path = 'visits.csv');
CREATE FEATURE VIEW city ENTITY customer (customer) AS SELECT customer, city FROM customers;
CREATE FEATURE VIEW spent ENTITY customer (buyer) AS
SELECT buyer, count(*) OVER w AS orders, sum(amount) OVER w AS amount, last_n(note, 3) OVER w AS notes
FROM orders WINDOW w AS (LAST 7 DAYS);
CREATE FEATURE VIEW visited ENTITY customer AS
SELECT customer, count(*) OVER (LAST 2 DAYS) AS visits, last_value(page) OVER (ALL HISTORY) AS page FROM visits;
CREATE FEATURE VIEW sold ENTITY shop AS
SELECT shop, count(*) OVER (ALL HISTORY) AS orders, sum(amount) OVER (ALL HISTORY) AS amount,
  count_distinct(buyer) OVER (ALL HISTORY) AS buyers FROM orders;
CREATE STREAM placed AS
SELECT o.buyer AS who, o.note AS said, c.city AS city
FROM orders o ASOF JOIN customers c ON o.buyer = c.customer;
CREATE FEATURE VIEW said ENTITY customer (who) AS
SELECT who, count(*) OVER (ALL HISTORY) AS times, last_value(said) OVER (ALL HISTORY) AS said,
  last_value(city) OVER (ALL HISTORY) AS lived FROM placed;
CREATE SEGMENT buyers AS SELECT customer FROM spent WHERE orders > 0;
";

const FEATURES: [&str; 5] = ["spent:*", "visited:*", "city:*", "said:*", "sold:*"];

/// A store whose files are searched: nothing in the log is compressed.
fn open(world: &World) -> Engine {
    let project = world.project();
    let machine = Machine {
        clock: world.clock.clone(),
        log: LogOptions {
            segment_bytes: 3_000,
            compression: Compression::None,
        },
        ..Machine::default()
    };
    let mut engine = Engine::open_on(&project, machine).unwrap();
    apply(&mut engine, &project.definition_files().unwrap());
    engine
}

/// Who buys what where, among whom `KEY` is number 3.
fn name(number: usize) -> String {
    match number {
        3 => KEY.to_owned(),
        other => format!("customer {other}"),
    }
}

/// Loads some days. Nobody else buys where `KEY` does, unless `shared`.
fn load(world: &World, engine: &mut Engine, day: usize, shared: bool) {
    let at = |n: usize| format!("2026-02-{:02}T{:02}:{:02}:00Z", day + 1, n / 60, n % 60);
    let (mut orders, mut visits) = (
        String::from("id,buyer,shop,amount,note,at\n"),
        String::new(),
    );
    let mut customers = String::from("customer,city,at\n");
    visits.push_str("customer,page,at\n");
    for n in 0..90 {
        let who = n % 7;
        let shop = match who == 3 && !shared {
            true => 9,
            false => n % 3,
        };
        let note = match who {
            3 => format!("{WORD} {n}"),
            _ => format!("note {n}"),
        };
        let id = format!("{day}-{n}");
        orders.push_str(&format!(
            "{id},{},shop {shop},{n}.25,{note},{}\n",
            name(who),
            at(n)
        ));
        let page = if n == 38 {
            "wrong".to_owned()
        } else {
            format!("page {}", n % 5)
        };
        visits.push_str(&format!("{},{page},{}\n", name(who), at(n + 3)));
    }
    for who in 0..7 {
        let city = if who == 3 { WORD } else { "Vogsphere" };
        customers.push_str(&format!("{},{city} {day},{}\n", name(who), at(who)));
    }
    if day == 0 && !shared {
        // Conflicts that it wins, and loses.
        for (id, other) in [("x1", "customer 1"), ("x2", "Aaron")] {
            for who in [other, KEY] {
                let (shop, note) = if who == KEY { (9, WORD) } else { (0, "x") };
                orders.push_str(&format!("{id},{who},shop {shop},5.25,{note},{}\n", at(1)));
            }
        }
    }
    world.ingest_text(
        engine,
        "customers",
        &format!("customers{day}.csv"),
        &customers,
    );
    world.ingest_text(engine, "orders", &format!("orders{day}.csv"), &orders);
    world.ingest_text(engine, "visits", &format!("visits{day}.csv"), &visits);
}

/// Files of the store, apart from those that were ingested.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}

/// Where words are found: in bytes of files, and in what log and lake say, which may be compressed.
fn found(world: &World, words: &[&str]) -> Vec<String> {
    let store = world.path().join(".evenkeel");
    let mut found: Vec<String> = files(&store)
        .into_iter()
        .filter(|path| {
            let bytes = fs::read(path).unwrap();
            words.iter().any(|word| contains(&bytes, word))
        })
        .map(|path| path.display().to_string())
        .collect();
    // Pages are compressed.
    for path in files(&store) {
        let is_rows = path.extension().is_some_and(|e| e == "parquet");
        let Some(table) = is_rows.then(|| Table::read(&path).ok()).flatten() else {
            continue;
        };
        for (name, _) in table.fields() {
            let text = format!("{:?}", table.column(name));
            let in_bytes = |word: &str| {
                let bytes = format!("{:?}", word.as_bytes());
                text.contains(bytes.trim_matches(['[', ']']))
            };
            if words
                .iter()
                .any(|word| text.contains(word) || in_bytes(word))
            {
                found.push(format!("`{name}` of {}", path.display()));
            }
        }
    }
    let engine = open(world);
    let has = |text: String| words.iter().any(|word| text.contains(word));
    for logged in engine.reader().read(ReadOptions::default()) {
        let logged = logged.unwrap();
        if has(format!("{logged:?}")) {
            found.push(format!("log: {logged:?}"));
        }
    }
    for source in ["customers", "orders", "visits", "placed"] {
        let def = engine.source(source).unwrap();
        for letter in engine.reader().dead_letters(def.id).unwrap() {
            let letter = letter.unwrap();
            let text = String::from_utf8_lossy(&letter.letter.record).into_owned();
            if has(text + &letter.letter.reason) {
                found.push(format!("letter of {source}: {letter:?}"));
            }
        }
    }
    found
}

/// Every feature of every other key at some times and cuts, in words.
fn told(engine: &Engine, shops: usize) -> Vec<String> {
    let mut said = Vec::new();
    let ends = engine.cut();
    let mut half = Cut::empty();
    for (source, partition, end) in ends.iter() {
        half.set_end(source, partition, Offset(end.0 / 2));
    }
    for cut in [&ends, &half] {
        for day in 1..6 {
            let as_of = EventTime(crate::support::t(&format!("2026-02-{day:02}T01:00:00Z")));
            for (features, keys) in [
                (
                    &FEATURES[..4],
                    (0..7).filter(|n| *n != 3).map(name).collect::<Vec<_>>(),
                ),
                (
                    &FEATURES[4..],
                    (0..shops).map(|n| format!("shop {n}")).collect(),
                ),
            ] {
                let items: Vec<String> = features.iter().map(|f| (*f).to_owned()).collect();
                let service = feature_list_of(engine.catalog(), &items).unwrap();
                let request = GetRequest {
                    service,
                    rows: keys.iter().map(|k| vec![Value::from(k.as_str())]).collect(),
                    as_of,
                    cut: Some(cut.clone()),
                    known_at: None,
                };
                let rows: Vec<Vec<Answer>> = engine.get(&request).unwrap().rows;
                said.extend(rows.iter().map(|row| format!("{row:?}")));
            }
        }
    }
    said
}

fn forget(engine: Engine, secret: Option<[u8; 32]>) -> ForgetReport {
    let request = ForgetRequest {
        entity: "customer".to_owned(),
        key: KEY.to_owned(),
        secret,
        ..ForgetRequest::default()
    };
    let plan = engine
        .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
        .unwrap();
    engine.forget(plan).unwrap()
}

fn truncate(engine: &mut Engine) {
    engine.checkpoint().unwrap();
    let truncation = engine.log_truncation().unwrap();
    let options = TruncateOptions::default();
    truncation
        .run(&options, &mut |_, _| ControlFlow::Continue(()))
        .unwrap();
}

/// A store with all there is: segments that are truncated and that are not, tables that were put
/// together and kept versions, dead letters, emissions, checkpoints.
fn everything(shared: bool) -> (World, Engine) {
    let world = World::new(DEFINITIONS);
    let mut engine = open(&world);
    for day in 0..5 {
        load(&world, &mut engine, day, shared);
        if day < 4 {
            flush(&engine, &[]);
        }
        match day {
            1 => engine.offline().pin_lake("audit").unwrap(),
            2 => drop(engine.offline().keep_up_lake().unwrap()),
            3 => truncate(&mut engine),
            _ => {}
        }
    }
    engine.checkpoint().unwrap();
    (world, engine)
}

/// What was ingested is outside of the store.
fn remove_inputs(world: &World) {
    for path in fs::read_dir(world.path()).unwrap() {
        let path = path.unwrap().path();
        if path.extension().is_some_and(|e| e == "csv") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_damaged_pin_is_known_before_anything_is_forgotten() {
    let (world, engine) = everything(false);
    drop(engine);
    let pin = world.path().join(".evenkeel/pins/audit.json");
    let whole = fs::read_to_string(&pin).unwrap();
    fs::write(&pin, whole.replace("orders", "ordert")).unwrap();
    let engine = open(&world);
    let request = ForgetRequest {
        entity: "customer".to_owned(),
        key: KEY.to_owned(),
        ..ForgetRequest::default()
    };
    let plan = engine.plan_forget(&request, &mut |_, _| ControlFlow::Continue(()));
    let refused = engine.forget(plan.unwrap()).unwrap_err();
    assert!(matches!(refused, EngineError::Pin { .. }), "{refused}");
    // Nothing was decided: the store opens, and the key is there.
    assert!(!found(&world, &[KEY]).is_empty());
    fs::write(&pin, whole).unwrap();
    assert_eq!(forget(open(&world), None).pins, ["audit"]);
}

/// A trigger that its caller gives a name.
fn call(engine: &mut Engine, name: &str, buyer: &str) {
    let note = if buyer == KEY { WORD } else { "called" };
    let at = crate::support::t("2026-02-04T12:00:00Z");
    let row = vec![
        Value::from(name),
        Value::from(buyer),
        Value::from(if buyer == KEY { "shop 9" } else { "shop 0" }),
        Value::Double(1.0),
        Value::from(note),
        Value::Timestamp(at),
    ];
    let row = TriggerRow {
        row: PushedRow {
            values: Ok(row),
            producer: None,
        },
        correlation_id: Some(name.to_owned()),
    };
    let source = engine.source("orders").unwrap();
    let write = Write::Trigger { source, row };
    engine.write(&mut Pusher::default(), write).unwrap();
}

/// What events are called.
fn called(engine: &Engine) -> Vec<String> {
    let log = engine.reader();
    let records = (0..log.next_sequence().0).map(Sequence).collect();
    log.correlations(&records).unwrap().into_values().collect()
}

#[test]
fn a_key_that_is_removed_is_nowhere_and_others_are_as_they_were() {
    let (world, mut engine) = everything(false);
    call(&mut engine, "call-1", KEY);
    call(&mut engine, "call-2", "customer 1");
    remove_inputs(&world);
    let before = told(&engine, 3);
    let ends = engine.cut();
    assert_eq!(called(&engine), ["call-1", "call-2"]);
    drop(engine);
    assert!(!found(&world, &[KEY]).is_empty() && !found(&world, &[WORD]).is_empty());
    let report = forget(open(&world), None);
    let counts: BTreeMap<&str, (u64, u64)> = report
        .sources
        .iter()
        .map(|s| (s.source.as_str(), (s.events, s.dead_letters)))
        .collect();
    assert_eq!(counts["orders"], (68, 1), "{report:?}");
    assert_eq!(counts["placed"], (67, 0));
    assert_eq!(counts["customers"], (5, 0));
    assert_eq!(counts["visits"], (60, 5));
    assert_eq!(report.pins, ["audit"]);
    assert!(
        report.log_segments > 3 && report.lake.len() == 4,
        "{report:?}"
    );
    assert_eq!(found(&world, &[KEY, WORD]), Vec::<String>::new());
    let engine = open(&world);
    assert_eq!(engine.cut(), ends);
    assert_eq!(told(&engine, 3), before);
    assert_eq!(called(&engine), ["call-2"]);
    // Nothing of it is left to be told either.
    let items = ["spent:*".to_owned(), "visited:*".to_owned()];
    let request = GetRequest {
        service: feature_list_of(engine.catalog(), &items).unwrap(),
        rows: vec![vec![Value::from(KEY)]],
        as_of: EventTime(crate::support::t("2026-02-05T12:00:00Z")),
        cut: None,
        known_at: None,
    };
    let answer = engine.get(&request).unwrap();
    assert!(answer.rows[0][0].value.same_bits(&Value::BigInt(0)));
    crate::support::read(&engine, &request);
    // Forgotten once more there is nothing to do.
    let again = forget(engine, None);
    assert_eq!((again.sources.len(), again.log_segments), (0, 0));
    // Everything goes on: flush, truncation, new events.
    let mut engine = open(&world);
    load(&world, &mut engine, 6, false);
    flush(&engine, &[]);
    truncate(&mut engine);
    assert_eq!(told(&engine, 3)[..30], before[..30]);
}

#[test]
fn a_pseudonym_leaves_the_counts_of_others() {
    let (world, engine) = everything(true);
    remove_inputs(&world);
    let before = told(&engine, 3);
    drop(engine);
    let report = forget(open(&world), Some([7; 32]));
    assert_eq!(report.others.keys().collect::<Vec<_>>(), ["shop"]);
    assert_eq!(found(&world, &[KEY]), Vec::<String>::new());
    let engine = open(&world);
    assert_eq!(told(&engine, 3), before);
    drop(engine);
    // Removed, the events of three shops go, too.
    let (world, engine) = everything(true);
    let report = forget(engine, None);
    assert_eq!(report.others["shop"], 3);
    assert_ne!(told(&open(&world), 3), before);
}

#[test]
fn the_tables_are_read_by_others_as_before() {
    let (world, engine) = everything(false);
    forget(engine, None);
    let engine = open(&world);
    let status = engine.offline().lake_status().unwrap();
    for table in status.tables {
        let covered: u64 = table.covered.iter().map(|(_, _, end)| end.0).sum();
        assert_eq!(table.events, covered, "{}", table.source);
    }
}
