//! Hostile input: mutations of samples for every decoder and parser. No panic, memory within
//! a cap, whatever the input says of its own size.
//!
//! `EVENKEEL_HOSTILE` is the number of inputs of each kind (400), `EVENKEEL_SEED` what they
//! are. Each kind has a share of that number by how dear it is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it saw"
)]

mod binary;
mod memory;
mod mutate;
#[path = "../workload/ticks.rs"]
mod ticks;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use evenkeel_connect::{
    ChangeColumns, ColumnSpec, Debezium, FileOptions, SourceFile, Table, parse_json, text_to_value,
};
use evenkeel_ddl::{parse_expression, parse_interval, parse_spine_query, parse_statements};
use evenkeel_engine::{DefinitionFile, Engine, Project, ServedAnswer, ServedLog};
use evenkeel_store::{Batch, EmbeddedKv, Kv as _, Space};
use evenkeel_types::{DataType, Zone};
use mutate::{Dice, mutated};
use ticks::{DEFINITIONS, LIMITS, Ticker, number};

/// The most memory of one input: files may say that they are large, and unpack.
/// A change with its schemas.
const DEBEZIUM: &str = r#"{"schema": {"fields": [{"field": "after", "fields": [
    {"field": "amount", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
    {"field": "day", "name": "io.debezium.time.Date"}, {"field": "at", "name": "io.debezium.time.NanoTimestamp"},
    {"field": "bits", "name": "io.debezium.data.Bits"}, {"field": "length", "name": "io.debezium.time.MicroTime"}]}]},
    "payload": {"op": "u", "before": {"id": 1}, "after": {"id": 1, "amount": "MDk=", "day": 20454,
    "at": 1767225600000001000, "bits": "AQI=", "length": -90000000001}, "ts_ms": 1767225600000,
    "source": {"ts_us": 1767225600000000, "file": "binlog.000002", "pos": 400, "row": 3}}}"#;
const MEMORY_BYTES_MAX: usize = 256 << 20;
const UNPACKED_BYTES_MAX: u64 = 16 << 20;
const INPUT_BYTES_MAX: usize = 256 << 10;

/// What reads an input.
type Read<'a> = Box<dyn Fn(&[u8]) + 'a>;

/// A kind of input.
struct Kind<'a> {
    name: &'static str,
    /// One input in so many of the number asked for.
    share: u64,
    samples: Vec<Vec<u8>>,
    read: Read<'a>,
}

fn main() {
    let filter = std::env::args().nth(1);
    if filter.is_some_and(|f| !f.starts_with('-') && !"hostile".contains(f.as_str())) {
        return;
    }
    let count = number("EVENKEEL_HOSTILE", 400);
    let seed = number("EVENKEEL_SEED", 1);
    let world = World::new();
    for kind in world.kinds() {
        let inputs = (count / kind.share).max(1);
        let mut most = 0;
        for n in 0..inputs {
            let mut input = mutated(&kind.samples, &mut Dice::new(seed << 32 | n));
            input.truncate(INPUT_BYTES_MAX);
            let read = || (kind.read)(&input);
            let mut outcome = Ok(());
            let held = memory::most(|| outcome = catch_unwind(AssertUnwindSafe(read)));
            if outcome.is_err() || held > MEMORY_BYTES_MAX {
                let path = std::env::temp_dir().join(format!("hostile-{seed}-{n}"));
                fs::write(&path, &input).unwrap();
                panic!(
                    "{}, seed {seed}, input {n} in `{}`: {}",
                    kind.name,
                    path.display(),
                    match outcome {
                        Err(_) => "it panicked".to_owned(),
                        Ok(()) => format!("{held} bytes"),
                    }
                );
            }
            most = most.max(held);
        }
        println!(
            "{}: {inputs} inputs (seed {seed}), at most {} KiB",
            kind.name,
            most >> 10
        );
    }
    // What was only read with is what it was.
    let World { folder, engine, .. } = world;
    drop(engine);
    ticks::check(&folder.path().join("store"), 4, 90);
}

/// A store to read with, and a folder for files.
struct World {
    folder: tempfile::TempDir,
    engine: Engine,
    /// Another store, whose files are written over.
    other: PathBuf,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn texts(samples: &[&str]) -> Vec<Vec<u8>> {
    samples.iter().map(|s| s.as_bytes().to_vec()).collect()
}

fn store(folder: &Path, pushes: u64) -> Ticker {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("definitions.sql"), DEFINITIONS).unwrap();
    fs::write(folder.join("evenkeel.toml"), LIMITS).unwrap();
    let mut ticker = Ticker::open(folder);
    (0..pushes).for_each(|_| ticker.push());
    ticker.engine.checkpoint().unwrap();
    ticker
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = store(&folder.path().join("store"), 4).engine;
        let other = folder.path().join("other");
        drop(store(&other, 30));
        World {
            folder,
            engine,
            other,
        }
    }

    fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds = self.words();
        kinds.extend(self.files());
        kinds.extend(self.stored());
        kinds.extend(binary::kinds(&self.engine));
        kinds
    }

    /// What people and programs write.
    fn words(&self) -> Vec<Kind<'_>> {
        let statements = DEFINITIONS.split_inclusive(';').collect::<Vec<_>>();
        let project = self.engine.project();
        let kind = |name, share, samples: &[&str], read: Read<'static>| Kind {
            name,
            share,
            samples: texts(samples),
            read,
        };
        let expressions = [
            "sum(x) FILTER (WHERE x > 1.5e3 AND NOT part IN (1, 2)) OVER (LAST 3 DAYS)",
            "CASE WHEN a IS NULL THEN -1 ELSE CAST(b AS DECIMAL(10, 2)) * 2 END",
            "date_trunc('day', at) + INTERVAL '1 02:03:04' DAY TO SECOND || ['x', NULL]",
        ];
        let (zone, debezium) = (Zone::utc(), debezium());
        let values = [
            "2026-03-01T10:00:00.123456+01:00",
            "-1.5e308",
            "0x1f",
            "true",
            "[1, 2]",
        ];
        let types = [
            DataType::BigInt,
            DataType::Double,
            DataType::Boolean,
            DataType::Timestamp,
            DataType::String,
            DataType::Array(Box::new(DataType::Double)),
        ];
        let folder = self.folder.path().join("project");
        fs::create_dir(&folder).unwrap();
        let settings = "name = \"a\"\n[limits]\nrow_bytes = 7\n[server]\nbind = \"[::1]:0\"\n\
                        tokens = [{ name = \"a\", token = \"b\", scopes = [\"read\"] }]\n\
                        [environments.production.store]\npath = \"b\"\n";
        vec![
            kind(
                "statements",
                1,
                &statements,
                Box::new(|b| drop(parse_statements(&text(b)))),
            ),
            Kind {
                name: "definitions",
                share: 2,
                samples: texts(&[DEFINITIONS]),
                read: Box::new(|bytes| {
                    let file = DefinitionFile {
                        name: "d.sql".to_owned(),
                        text: text(bytes),
                    };
                    drop(evenkeel_engine::check(project, &[file]));
                }),
            },
            kind(
                "expressions",
                1,
                &expressions,
                Box::new(|b| drop(parse_expression(&text(b)))),
            ),
            kind(
                "lengths of time",
                1,
                &[
                    "1 day 2 hours",
                    "INTERVAL '1-2' YEAR TO MONTH",
                    "01:30:00",
                    "24h",
                ],
                Box::new(|b| drop(parse_interval(&text(b)))),
            ),
            kind(
                "spine queries",
                1,
                &[
                    "SELECT part, at AS t, LABEL ticks FROM of_part WITHIN INTERVAL '3' DAY FROM ticks WHERE x > 1;",
                ],
                Box::new(|b| drop(parse_spine_query(&text(b)))),
            ),
            Kind {
                name: "cuts and sessions",
                share: 1,
                samples: texts(&["ticks/0@17,ticks/1@2;2026-03-01T10:00:00Z", "ticks/0@1"]),
                read: Box::new(|bytes| {
                    drop(self.engine.parse_cut(&text(bytes)));
                    drop(self.engine.parse_session(&text(bytes)));
                    drop(self.engine.service(&text(bytes)));
                    drop(self.engine.feature_list(&[text(bytes)]));
                }),
            },
            kind(
                "JSON",
                1,
                &["{\"a\": [1, 2.5e3, null, \"\\u00e9\"], \"b\": {}}"],
                Box::new(|b| drop(parse_json(&text(b)))),
            ),
            kind(
                "Debezium's JSON",
                1,
                &[DEBEZIUM],
                Box::new(move |b| drop(debezium.values_of(&text(b)))),
            ),
            kind(
                "values in words",
                1,
                &values,
                Box::new(move |b| {
                    for data_type in &types {
                        drop(text_to_value(data_type, &text(b), &zone));
                    }
                }),
            ),
            kind(
                "evenkeel.toml",
                2,
                &[settings],
                Box::new(move |b| {
                    fs::write(folder.join("evenkeel.toml"), b).unwrap();
                    drop(Project::open(&folder, Some("production")));
                }),
            ),
        ]
    }

    /// Files of rows, and a body of the Arrow format.
    fn files(&self) -> Vec<Kind<'_>> {
        let csv = "n,w,at\n1,\"a\"\"b\",2026-03-01T10:00:00Z\n2,,2026-03-01 10:00:00\n-3,\"x\ny\",1772000000\n";
        let json =
            "{\"n\": 1, \"w\": \"a\", \"l\": [1.5, null]}\n{\"n\": null, \"m\": {\"k\": 1}}\n";
        let sample = self.folder.path().join("sample.csv");
        fs::write(&sample, csv).unwrap();
        let table = Table::read(&sample).unwrap();
        let written = |name: &str| {
            let path = self.folder.path().join(name);
            table.write(&path).unwrap();
            fs::read(path).unwrap()
        };
        let file = |name: &'static str, ending: &'static str, samples: Vec<Vec<u8>>| {
            let path = self.folder.path().join(format!("input.{ending}"));
            Kind {
                name,
                share: 1,
                samples,
                read: Box::new(move |bytes: &[u8]| {
                    fs::write(&path, bytes).unwrap();
                    read_file(&path);
                }),
            }
        };
        vec![
            file("CSV", "csv", texts(&[csv])),
            file("JSON lines", "jsonl", texts(&[json])),
            file("Parquet", "parquet", vec![written("sample.parquet")]),
            file("Arrow files", "arrow", vec![written("sample.arrow")]),
            Kind {
                name: "Arrow streams",
                share: 1,
                samples: vec![table.to_stream().unwrap()],
                read: Box::new(|bytes| {
                    if let Ok(table) = Table::from_stream(bytes.to_vec(), UNPACKED_BYTES_MAX) {
                        read_table(&table);
                    }
                }),
            },
        ]
    }

    /// What a store has on disk, with the checksums of the mutation: what they cannot notice.
    fn stored(&self) -> Vec<Kind<'_>> {
        let store = self.other.join(".evenkeel");
        let open = || {
            let project = Project::open(&self.other, None).unwrap();
            if let Ok(engine) = Engine::open(&project) {
                drop(ticks::request(&engine));
                drop(engine.verify_served(&mut |_| ()));
            }
        };
        let record = store.join("registry/00000001.json");
        let sample = fs::read_to_string(&record).unwrap();
        let (json, _) = sample.split_once('\n').unwrap();
        let (json, sample) = (json.as_bytes().to_vec(), sample.clone());
        let kinds: Vec<Kind<'_>> = vec![
            Kind {
                name: "records of the registry",
                share: 4,
                samples: vec![json],
                read: Box::new(move |bytes| {
                    let line = text(bytes).replace('\n', " ");
                    let digest = blake3::hash(line.as_bytes()).to_hex();
                    fs::write(&record, format!("{line}\nblake3 {digest}\n")).unwrap();
                    let project = Project::open(&self.other, None).unwrap();
                    drop(evenkeel_engine::registered(&project));
                    fs::write(&record, &sample).unwrap();
                }),
            },
            self.served(),
            self.rows(open),
        ];
        kinds
    }

    fn served(&self) -> Kind<'_> {
        let request = ticks::request(&self.engine);
        let answer = self.engine.get(&request).unwrap();
        let plan = evenkeel_engine::ReadPlan::new(request.service);
        let cut = self.engine.format_cut(&answer.cut);
        let (now, at) = (self.engine.now(), request.as_of);
        let served = ServedAnswer::new(
            now,
            &plan,
            false,
            &request.rows,
            at,
            None,
            &cut,
            &answer.rows,
        );
        let mut log = ServedLog::open(self.engine.project(), 1 << 20).unwrap();
        log.append(&served).unwrap();
        let path = self.engine.project().store.join("served/00000001.jsonl");
        let line = fs::read(&path).unwrap();
        // Behind the checksum and a blank, without the end of the line.
        let json = line[17..line.len() - 1].to_vec();
        Kind {
            name: "served answers",
            share: 2,
            samples: vec![json],
            read: Box::new(move |bytes| {
                let json = text(bytes).replace('\n', " ");
                let sum = xxhash_rust::xxh3::xxh3_64(json.as_bytes());
                fs::write(&path, format!("{sum:016x} {json}\n")).unwrap();
                self.engine.verify_served(&mut |_| ()).unwrap();
            }),
        }
    }

    /// Rows of the hot tier: each mutation is put in place of one of them.
    fn rows<'a>(&'a self, open: impl Fn() + 'a) -> Kind<'a> {
        let hot = self.other.join(".evenkeel/hot");
        let mut rows: Vec<(Space, Vec<u8>, Vec<u8>)> = Vec::new();
        let (kv, _) = EmbeddedKv::open(&hot, 1 << 20).unwrap();
        for space in Space::ALL {
            let keep = &mut |key: &[u8], value: Result<&[u8], _>| {
                rows.push((space, key.to_vec(), value.unwrap().to_vec()));
            };
            kv.snapshot().examine(space, keep).unwrap();
        }
        drop(kv);
        let samples = rows.iter().map(|(_, _, value)| value.clone()).collect();
        Kind {
            name: "rows of the hot tier",
            share: 8,
            samples,
            read: Box::new(move |bytes| {
                let put = |at: usize, value: &[u8]| {
                    let (kv, _) = EmbeddedKv::open(&hot, 1 << 20).unwrap();
                    let mut batch = Batch::default();
                    batch.put(rows[at].0, rows[at].1.clone(), value.to_vec());
                    kv.write(batch).unwrap();
                };
                // The row that the mutation resembles most by its length.
                let like = |row: &(Space, Vec<u8>, Vec<u8>)| row.2.len().abs_diff(bytes.len());
                let at = (0..rows.len()).min_by_key(|&at| like(&rows[at])).unwrap();
                put(at, bytes);
                open();
                // As it was, unless opening has begun anew.
                put(at, &rows[at].2);
            }),
        }
    }
}

fn read_table(table: &Table) {
    for (name, _) in table.fields() {
        drop(table.column(name));
    }
    drop(table.digest());
}

fn read_file(path: &Path) {
    if let Ok(table) = Table::read(path) {
        read_table(&table);
    }
    let options = FileOptions::default();
    if let Ok(file) = SourceFile::open(path, &options) {
        drop(file.infer(&options, None));
    }
}

/// A table of changes with a column of every kind that a schema says something of.
fn debezium() -> Debezium {
    let decimal = DataType::Decimal {
        precision: 12,
        scale: 3,
    };
    let columns = [
        ("id", DataType::BigInt),
        ("amount", decimal),
        ("day", DataType::Date),
        ("at", DataType::Timestamp),
        ("bits", DataType::BigInt),
        ("length", DataType::String),
        ("op", DataType::String),
        ("changed", DataType::Timestamp),
        ("place", DataType::BigInt),
    ];
    let specs: Vec<ColumnSpec> = (columns.into_iter())
        .map(|(name, data_type)| ColumnSpec::new(name, data_type))
        .collect();
    let options = FileOptions {
        changes: ChangeColumns {
            operation: Some("op".to_owned()),
            time: Some("changed".to_owned()),
            position: Some("place".to_owned()),
            key: vec!["id".to_owned()],
        },
        ..FileOptions::default()
    };
    Debezium::new(&specs.into(), &options)
}
