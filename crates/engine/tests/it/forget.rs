//! A key that is forgotten is nowhere any more, and every other key is answered what it was.

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
use evenkeel_engine::{
    Engine, EngineError, ForgetReport, ForgetRequest, Machine, Offline, TruncateOptions,
    feature_list_of,
};
use evenkeel_log::{
    Compression, DiskFileSystem, File, FileSystem, Lock, LogOptions, OpenMode, ReadOptions,
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
fn a_key_that_is_removed_is_nowhere_and_others_are_as_they_were() {
    let (world, engine) = everything(false);
    remove_inputs(&world);
    let before = told(&engine, 3);
    let ends = engine.cut();
    drop(engine);
    assert!(!found(&world, &[KEY]).is_empty() && !found(&world, &[WORD]).is_empty());
    let report = forget(open(&world), None);
    let counts: BTreeMap<&str, (u64, u64)> = report
        .sources
        .iter()
        .map(|s| (s.source.as_str(), (s.events, s.dead_letters)))
        .collect();
    assert_eq!(counts["orders"], (67, 1), "{report:?}");
    assert_eq!(counts["placed"], (66, 0));
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

const HISTORY: &str = "
CREATE ENTITY shop (shop STRING);
CREATE STREAM sales (id STRING, shop STRING, pieces INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
WITH (connector = 'file', path = 'sales.jsonl', partitions = '2');
CREATE TABLE owners (deed STRING, shop STRING, owner STRING, op STRING, at TIMESTAMP, PRIMARY KEY (deed), EVENT TIME at)
WITH (connector = 'file', path = 'owners.jsonl', operation = 'op');
CREATE FEATURE VIEW sold ENTITY shop AS
SELECT shop, sum(pieces) OVER d AS pieces, count(*) OVER (ALL HISTORY) AS sales,
  last_value(pieces) OVER (LAST 2 ROWS) AS last, last_n(id, 9) OVER (ALL HISTORY) AS ids
FROM sales WINDOW d AS (LAST 30 MINUTES);
CREATE STREAM news AS SELECT shop, pieces FROM sales;
CREATE FEATURE VIEW heard ENTITY shop AS
SELECT shop, count(*) OVER (ALL HISTORY) AS times, last_n(pieces, 5) OVER (ALL HISTORY) AS pieces FROM news;
CREATE FEATURE VIEW owned ENTITY shop AS
SELECT shop, count(*) AS deeds, max(owner) AS owner FROM owners GROUP BY shop;
";

/// A random row; ids and deeds are shared by shops, which is a conflict or a change of hands.
fn random_row(random: &mut Random, source: &str) -> String {
    let shop = ["x", "y", "z"][random.below(3) as usize];
    let (n, minute) = (random.below(5), random.below(12));
    let at = format!("2026-03-01T10:{minute:02}:00Z");
    match source {
        "sales" => {
            format!(
                "{{\"id\":\"s{n}\",\"shop\":\"{shop}\",\"pieces\":{},\"at\":\"{at}\"}}\n",
                random.below(4)
            )
        }
        _ => {
            let op = if random.one_in(5) { "delete" } else { "upsert" };
            format!(
                "{{\"deed\":\"d{n}\",\"shop\":\"{shop}\",\"owner\":\"o{}\",\"op\":\"{op}\",\"at\":\"{at}\"}}\n",
                random.below(9)
            )
        }
    }
}

/// One row of each identity, as the truth about the first minutes.
fn random_truth(random: &mut Random) -> String {
    let mut rows: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for _ in 0..random.below(12) {
        let (n, minute) = (random.below(5), random.below(8));
        let shop = ["x", "y", "z"][random.below(3) as usize];
        let row = format!(
            "{{\"id\":\"s{n}\",\"shop\":\"{shop}\",\"pieces\":{},\"at\":\"2026-03-01T10:{minute:02}:00Z\"}}\n",
            random.below(4)
        );
        rows.insert((n, minute), row);
    }
    rows.into_values().collect()
}

/// What is said of shops at some cuts and times.
fn said(engine: &Engine, shops: &[&str], cuts: &[Cut]) -> Vec<String> {
    let items = ["sold:*", "heard:*", "owned:*"].map(str::to_owned);
    let service = feature_list_of(engine.catalog(), &items).unwrap();
    let mut said = Vec::new();
    for cut in cuts {
        for minute in [0, 3, 7, 11, 40] {
            let request = GetRequest {
                service: Arc::clone(&service),
                rows: shops.iter().map(|shop| vec![Value::from(*shop)]).collect(),
                as_of: EventTime(crate::support::t("2026-03-01T10:00:00Z") + minute * 60_000_000),
                cut: Some(cut.clone()),
                known_at: None,
            };
            let rows = engine.get(&request).unwrap().rows;
            said.extend(rows.iter().map(|row| format!("{row:?}")));
        }
    }
    said
}

/// Conflicts, copies, corrections and changes of hands between keys of which one is forgotten: what others
/// are told at any cut is what they were told, and both paths say so.
#[test]
fn whatever_happened_between_keys_the_others_stay() {
    for seed in 1..=6 {
        let random = &mut Random(seed);
        // Of three payloads in conflict the one in the middle cannot be taken out without a trace
        // (`docs/forget.md`): of these shops it is `y`.
        let (shop, others) = match seed % 2 {
            0 => ("x", ["y", "z"]),
            _ => ("z", ["x", "y"]),
        };
        let world = World::new(HISTORY);
        let mut engine = open(&world);
        for round in 0..3 {
            for source in ["sales", "owners"] {
                let rows: String = (0..8).map(|_| random_row(random, source)).collect();
                world.ingest_text(
                    &mut engine,
                    source,
                    &format!("{source}{round}.jsonl"),
                    &rows,
                );
            }
            if round == 1 {
                correct_sales(&world, &mut engine, &random_truth(random));
                if random.one_in(2) {
                    flush(&engine, &[]);
                    truncate(&mut engine);
                }
            }
        }
        let ends = engine.cut();
        let mut cuts = vec![ends.clone()];
        for part in 1..6 {
            let mut cut = Cut::empty();
            for (source, partition, end) in ends.iter() {
                cut.set_end(source, partition, Offset(end.0 * part / 6));
            }
            cuts.push(cut);
        }
        let before = said(&engine, &others, &cuts);
        let request = ForgetRequest {
            entity: "shop".to_owned(),
            key: shop.to_owned(),
            ..ForgetRequest::default()
        };
        let plan = engine
            .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        let report = engine.forget(plan).unwrap();
        let engine = open(&world);
        assert_eq!(engine.cut(), ends, "seed {seed}");
        let after = said(&engine, &others, &cuts);
        let differ = before.iter().zip(&after).find(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}, {report:?}");
        let gone = said(&engine, &[shop], &cuts);
        let nothing = said(&engine, &["nobody"], &cuts);
        assert_eq!(gone, nothing, "seed {seed}");
        let options = VerifyOptions {
            seed,
            values: 200,
            oracle_values: 100,
            ..VerifyOptions::default()
        };
        let verified = engine.verify(&options, &mut |_, _, _| ()).unwrap();
        assert_eq!(verified.mismatches, 0, "seed {seed}, {verified:?}");
    }
}

fn correct_sales(world: &World, engine: &mut Engine, truth: &str) {
    let path = world.write("truth.jsonl", truth);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let begin = crate::support::t("2026-03-01T10:00:00Z");
    let period = Period::new(EventTime(begin), EventTime(begin + 8 * 60_000_000)).unwrap();
    let go_on = || ControlFlow::Continue(());
    let difference = offline
        .difference(&source, truth, &period, engine.means(), &mut |_, _, _| {
            go_on()
        })
        .unwrap();
    engine.correct(&difference, &mut |_, _, _| go_on()).unwrap();
}

/// A disk that refuses every change after so many.
#[derive(Debug)]
struct Failing {
    left: Arc<AtomicI64>,
}

impl Failing {
    fn take(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            true => Ok(()),
            false => Err(io::Error::other("pulled")),
        }
    }
}

#[derive(Debug)]
struct FailingFile(Arc<dyn File>, Arc<AtomicI64>);

impl File for FailingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let left = Arc::clone(&self.1);
        Failing { left }.take()?;
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

impl FileSystem for Failing {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::Create {
            self.take()?;
        }
        let file = DiskFileSystem.open(path, mode)?;
        Ok(Arc::new(FailingFile(file, Arc::clone(&self.left))))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        DiskFileSystem.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        DiskFileSystem.lock(path)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Stopped at any step it did nothing, or is carried out by whoever opens the store next; and nobody reads
/// a store in between.
#[test]
fn stopped_anywhere_it_is_not_begun_or_ends() {
    let world = World::new(DEFINITIONS);
    let mut engine = open(&world);
    load(&world, &mut engine, 0, false);
    flush(&engine, &[]);
    truncate(&mut engine);
    load(&world, &mut engine, 1, false);
    flush(&engine, &["orders"]);
    remove_inputs(&world);
    engine.checkpoint().unwrap();
    let before = told(&engine, 3);
    drop(engine);
    let (mut undone, mut carried_out, mut steps) = (0, 0, 0);
    loop {
        let copied = World::new(DEFINITIONS);
        copy(
            &world.path().join(".evenkeel"),
            &copied.path().join(".evenkeel"),
        );
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let machine = Machine {
            clock: copied.clock.clone(),
            files: Arc::new(Failing {
                left: Arc::clone(&left),
            }),
            log: LogOptions {
                segment_bytes: 3_000,
                compression: Compression::None,
            },
            ..Machine::default()
        };
        let project = copied.project();
        let engine = Engine::open_on(&project, machine).unwrap();
        let request = ForgetRequest {
            entity: "customer".to_owned(),
            key: KEY.to_owned(),
            ..ForgetRequest::default()
        };
        let plan = engine
            .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        left.store(steps, Ordering::SeqCst);
        let done = engine.forget(plan);
        let is_decided = copied
            .path()
            .join(".evenkeel/forgetting/plan.json")
            .exists();
        match (&done, is_decided) {
            (Ok(_), _) => assert!(!is_decided),
            (Err(_), false) if carried_out == 0 => undone += 1,
            (Err(_), true) => {
                carried_out += 1;
                let refused = Offline::open(&project).map(drop).unwrap_err();
                assert!(matches!(refused, EngineError::Forget(_)), "{refused}");
            }
            // The last steps, when nothing of it is left.
            (Err(_), false) => {}
        }
        drop(open(&copied));
        let found = found(&copied, &[KEY, WORD]);
        assert_eq!(
            found.is_empty(),
            done.is_ok() || is_decided || carried_out > 0,
            "step {steps}"
        );
        assert_eq!(told(&open(&copied), 3), before, "step {steps}");
        if done.is_ok() {
            break;
        }
        // Most steps are alike.
        steps += 9;
    }
    assert!(
        undone > 3 && carried_out > 3,
        "{undone} and {carried_out} of {steps} steps"
    );
}
