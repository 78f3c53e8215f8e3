//! Training datasets: built once, built again to the same bits, read as vectors, stale when
//! the past changes.

mod forgotten;
mod inputs;
mod parity;
mod stale;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_connect::Table;
use evenkeel_engine::dataset::{
    BuildSpine, DatasetBuild, DatasetFolder, DatasetManifest, InputState, RebuildReport, Staleness,
};
use evenkeel_engine::{Engine, EngineError};
use evenkeel_types::Value;

use crate::support::World;

const BASE: &str = "
CREATE ENTITY shop (shop STRING);
CREATE STREAM sales (id STRING, shop STRING, pieces INT, price DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' HOUR, KNOWN AT at)
WITH (connector = 'file', path = 'sales.jsonl');
CREATE TABLE shops (shop STRING, town STRING, at TIMESTAMP, PRIMARY KEY (shop), EVENT TIME at)
WITH (connector = 'file', path = 'shops.jsonl');
CREATE FEATURE VIEW sold ENTITY shop AS
SELECT shop, count(*) OVER h AS sales, sum(pieces) OVER h AS pieces, avg(price) OVER h AS price
FROM sales WINDOW h AS (LAST 2 HOURS);
CREATE FEATURE VIEW last_sale ENTITY shop AS
SELECT s.shop, s.pieces AS last_pieces, s.price AS last_price, t.town
FROM sales s ASOF JOIN shops t ON s.shop = t.shop;
CREATE FEATURE VIEW next_day ENTITY shop AS
SELECT shop, sum(pieces) OVER (LAST 1 DAYS) AS day_pieces FROM sales;
CREATE FEATURE SERVICE model VERSION 1 AS sold (*), last_sale (*);
";

const SALES: &str = r#"{"id":"a","shop":"x","pieces":3,"price":0.1,"at":"2026-03-01T10:00:00Z"}
{"id":"b","shop":"x","pieces":7,"price":0.2,"at":"2026-03-01T10:30:00Z"}
{"id":"c","shop":"y","pieces":5,"price":"NaN","at":"2026-03-01T11:00:00Z"}
{"id":"d","shop":"y","pieces":null,"price":0.7,"at":"2026-03-01T11:00:00Z"}
{"id":"e","shop":"z","pieces":-2,"price":1e300,"at":"2026-03-01T11:30:00Z"}
{"id":"f","shop":"x","pieces":1,"price":0.4,"at":"2026-03-01T13:00:00Z"}
"#;

const SHOPS: &str = r#"{"shop":"x","town":"Ulm","at":"2026-01-01T00:00:00Z"}
{"shop":"y","town":"Bonn","at":"2026-01-01T00:00:00Z"}
{"shop":"z","town":"Ulm","at":"2026-03-01T12:00:00Z"}
"#;

/// Keys that there are, one that there is not, one that is missing; ties; before everything.
const SPINE: &str = "row,shop,event_time
1,x,2026-03-01T10:00:00Z
2,x,2026-03-01T10:30:00Z
3,x,2026-03-01T10:30:00Z
4,y,2026-03-01T11:00:00Z
5,z,2026-03-01T11:45:00Z
6,nowhere,2026-03-01T11:00:00Z
7,,2026-03-01T11:00:00Z
8,x,2026-02-01T00:00:00Z
9,y,2026-03-01T12:59:59.999999Z
10,x,2026-03-01T12:45:00Z
";

/// A project with a dataset, its spine and its events logged.
fn world(datasets: &str) -> World {
    let world = World::new(&format!("{BASE}{datasets}"));
    world.write("sales.jsonl", SALES);
    world.write("shops.jsonl", SHOPS);
    world.write("spine.csv", SPINE);
    world
}

fn loaded(world: &World) -> Engine {
    world.loaded(&["sales", "shops"])
}

fn more(world: &World, engine: &mut Engine, lines: &str) {
    let name = format!("more-{}.jsonl", lines.len());
    let report = world.ingest_text(engine, "sales", &name, lines);
    assert_eq!(report.rejected_total(), 0, "{report:?}");
}

fn go_on(_: &str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn try_build(engine: &Engine, name: &str) -> Result<DatasetManifest, EngineError> {
    let build = DatasetBuild {
        name: name.parse()?,
        spine: BuildSpine::Defined,
        values_max: u64::MAX,
    };
    engine.offline().build_dataset(&build, &mut go_on)
}

fn build(engine: &Engine, name: &str) -> DatasetManifest {
    try_build(engine, name).unwrap()
}

fn rebuild(engine: &Engine, name: &str) -> RebuildReport {
    let offline = engine.offline();
    let name = name.parse().unwrap();
    offline
        .rebuild_dataset(&name, &BuildSpine::Defined, u64::MAX, &mut go_on)
        .unwrap()
}

/// Rebuilds, and expects the same bits.
fn expect_same(engine: &Engine, manifest: &DatasetManifest) {
    let report = rebuild(engine, &manifest.title());
    assert!(report.matches, "{report:?}");
    assert_eq!(report.digest.as_deref(), Some(manifest.digest.as_str()));
    assert_eq!(report.same_bytes, Some(true));
    assert!(report.inputs.iter().all(|i| i.state == InputState::Same));
}

fn staleness(engine: &Engine, name: &str) -> Staleness {
    let offline = engine.offline();
    let manifest = offline.dataset(&name.parse().unwrap()).unwrap();
    offline
        .staleness(&manifest, &BuildSpine::Defined, u64::MAX, &mut go_on)
        .unwrap()
}

fn place(world: &World, manifest: &DatasetManifest) -> PathBuf {
    let folder = DatasetFolder::of(&world.project().store);
    folder.place(&manifest.dataset, manifest.version)
}

fn part(world: &World, manifest: &DatasetManifest, file: &str) -> Table {
    Table::read(&place(world, manifest).join(file)).unwrap()
}

fn cells(table: &Table, column: &str) -> Vec<Value> {
    table.column(column).unwrap().iter().collect()
}

/// Every file of a folder with its bytes.
fn bytes_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

const PLAIN: &str = "CREATE TRAINING DATASET plain FROM SERVICE model SPINE 'spine.csv';";

#[test]
fn a_dataset_is_the_training_set_of_its_service() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let manifest = build(&engine, "plain");
    assert_eq!(manifest.title(), "plain:1");
    assert_eq!((manifest.rows, manifest.left_out), (10, 0));
    let request = evenkeel_engine::api::TrainRequest {
        service: engine.service("model").unwrap(),
        spine: evenkeel_engine::api::SpineSource::File {
            path: world.path().join("spine.csv"),
            time_column: None,
            known_at_column: None,
        },
        knowledge: evenkeel_engine::api::KnowledgeMode::Latest,
        cut: None,
        out: world.path().join("train.parquet"),
        statuses: false,
    };
    let report = engine.train(&request, &mut |_, _, _| ()).unwrap();
    assert_eq!(manifest.training_digest, report.digest);
    let trained = Table::read(&request.out).unwrap();
    let built = part(&world, &manifest, "all.parquet");
    assert_eq!(built.digest().unwrap(), trained.digest().unwrap());
    assert_eq!(manifest.service.name, "model");
    let price = &manifest.features[2];
    assert_eq!(price.name, "price");
    // Row 4 has the average of a NaN, and so has row 9; four have no events.
    assert_eq!((price.statistics.count, price.statistics.nans), (6, 2));
    assert_eq!(price.statistics.nulls, 4);
    let town = &manifest.features[5].statistics;
    assert_eq!(town.distinct, Some(2));
}

#[test]
fn it_is_the_same_after_restarts_events_and_checkpoints() {
    let world = world(&format!(
        "{PLAIN}
        CREATE TRAINING DATASET parted FROM SERVICE model SPINE 'spine.csv'
          LABEL day_pieces FROM next_day WITHIN 1 DAY
          TRANSFORM (sales STANDARDIZE, price IMPUTE MEAN MIN MAX, town IMPUTE 'none' ONE HOT,
            pieces BUCKETIZE (0, 5), last_price IMPUTE 0)
          SPLIT BY TIME (train BEFORE '2026-03-01T11:00:00Z', test)
          FORMAT PARQUET, ARROW, CSV, TFRECORD;
        CREATE TRAINING DATASET asked FROM SERVICE model
          SPINE (SELECT id, shop, LABEL day_pieces FROM next_day WITHIN INTERVAL '1' DAY
                 FROM sales WHERE pieces > 0)
          KNOWLEDGE AS SERVED SPLIT BY ENTITY HASH (train 2, test 1 SEED 5);"
    ));
    let mut engine = loaded(&world);
    let built: Vec<DatasetManifest> = ["plain", "parted", "asked"]
        .into_iter()
        .map(|name| build(&engine, name))
        .collect();
    let files: Vec<_> = built.iter().map(|m| bytes_of(&place(&world, m))).collect();
    let check = |engine: &Engine| {
        for (manifest, files) in built.iter().zip(&files) {
            expect_same(engine, manifest);
            assert_eq!(&bytes_of(&place(&world, manifest)), files);
        }
    };
    check(&engine);
    engine.checkpoint().unwrap();
    drop(engine);
    engine = world.engine();
    check(&engine);
    world.clock.set(crate::support::t("2026-03-03T12:00:00Z"));
    more(
        &world,
        &mut engine,
        r#"{"id":"g","shop":"x","pieces":9,"price":1.5,"at":"2026-03-02T10:00:00Z"}
{"id":"late","shop":"x","pieces":100,"price":1.5,"at":"2026-03-01T10:15:00Z"}
"#,
    );
    check(&engine);
    engine.checkpoint().unwrap();
    drop(engine);
    check(&world.engine());
}

#[test]
fn a_version_is_built_once() {
    let world = world(PLAIN);
    let mut engine = loaded(&world);
    let manifest = build(&engine, "plain:1");
    let files = bytes_of(&place(&world, &manifest));
    more(
        &world,
        &mut engine,
        "{\"id\":\"late\",\"shop\":\"x\",\"pieces\":1,\"price\":1,\"at\":\"2026-03-01T10:15:00Z\"}\n",
    );
    let error = try_build(&engine, "plain").unwrap_err();
    assert!(
        matches!(error, EngineError::DatasetBuilt { version: 1, .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("VERSION 2"));
    assert_eq!(bytes_of(&place(&world, &manifest)), files);
}

#[test]
fn what_a_killed_build_left_is_nothing_and_goes() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let datasets = world.project().store.join("datasets/plain");
    let left = datasets.join("1.building");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("all.parquet"), "half").unwrap();
    let folder = DatasetFolder::of(&world.project().store);
    assert_eq!(folder.built().unwrap(), []);
    let error = folder.manifest(&"plain:1".parse().unwrap()).unwrap_err();
    assert!(matches!(error, EngineError::Unknown { .. }), "{error}");
    build(&engine, "plain");
    assert!(!left.exists());
    assert_eq!(folder.built().unwrap(), [("plain".to_owned(), 1)]);
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let world = world(
        "CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv'
           SPLIT BY ENTITY HASH OF (nothing) (train 1, test 1);
         CREATE TRAINING DATASET e FROM SERVICE model SPINE 'none.csv';
         CREATE TRAINING DATASET f FROM SERVICE model SPINE 'spine.csv'
           LABEL day_pieces FROM next_day FOR (nothing) WITHIN 1 DAY;
         CREATE TRAINING DATASET g FROM SERVICE model SPINE 'spine.csv';",
    );
    let engine = loaded(&world);
    for (name, word) in [("d", "nothing"), ("e", "none.csv"), ("f", "nothing")] {
        let error = try_build(&engine, name).unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains(word), "{text}");
        let left = fs::read_dir(world.project().store.join("datasets").join(name)).unwrap();
        let left: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }
    for bad in ["h", "g:2"] {
        let error = try_build(&engine, bad).unwrap_err();
        assert!(matches!(error, EngineError::Unknown { .. }), "{error}");
    }
    // Stopped in the middle.
    let stop = DatasetBuild {
        name: "g".parse().unwrap(),
        spine: BuildSpine::Defined,
        values_max: u64::MAX,
    };
    let stopped = engine.offline().build_dataset(&stop, &mut |stage, _, _| {
        if stage == "writing" {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(EngineError::Stopped)));
    assert_eq!(
        DatasetFolder::of(&world.project().store).built().unwrap(),
        []
    );
    build(&engine, "g");
}

#[test]
fn a_registered_version_never_changes() {
    let world = world(PLAIN);
    let mut engine = loaded(&world);
    let with = |dataset: &str| {
        vec![evenkeel_engine::DefinitionFile {
            name: "definitions.sql".to_owned(),
            text: format!("{BASE}{dataset}"),
        }]
    };
    let other = "CREATE TRAINING DATASET plain FROM SERVICE model SPINE 'other.csv';";
    let error = engine.plan(&with(other)).unwrap_err();
    let EngineError::Definitions(found) = &error else {
        panic!("{error}")
    };
    assert!(found[0].1.message.contains("registered already, otherwise"));
    assert_eq!(
        found[0].1.hint.as_deref(),
        Some("write `VERSION 2`: a version of a dataset never changes")
    );
    // What cannot change a value may change, and another version may be beside it.
    let described = format!("{} COMMENT 'c';", PLAIN.trim_end_matches(';'));
    let second = other.replace("plain FROM", "plain VERSION 2 FROM");
    let plan = engine.plan(&with(&format!("{described}{second}"))).unwrap();
    engine.apply(plan).unwrap();
    assert_eq!(engine.catalog().datasets["plain"].len(), 2);
    let manifest = build(&engine, "plain:1");
    expect_same(&engine, &manifest);
}

#[test]
fn of_no_rows_there_is_a_dataset() {
    let world = world(
        "CREATE TRAINING DATASET none FROM SERVICE model SPINE 'empty.csv'
           TRANSFORM (sales STANDARDIZE, town ONE HOT, price IMPUTE MEAN)
           SPLIT RANDOM (train 8, test 2 SEED 1) FORMAT PARQUET, CSV, ARROW, TFRECORD;",
    );
    world.write("empty.csv", "shop,event_time\n");
    let mut engine = loaded(&world);
    // Of no rows no type is known: the table says them.
    let columns = ["shop", "event_time"].map(|name| {
        let data_type = match name {
            "shop" => evenkeel_types::DataType::String,
            _ => evenkeel_types::DataType::Timestamp,
        };
        let column = evenkeel_types::Column::new(&data_type);
        (evenkeel_types::Field::new(name, data_type), column)
    });
    let spine = BuildSpine::Table(Table::from_columns(columns).unwrap());
    let asked = DatasetBuild {
        name: "none".parse().unwrap(),
        spine: spine.clone(),
        values_max: u64::MAX,
    };
    let manifest = engine.offline().build_dataset(&asked, &mut go_on).unwrap();
    assert_eq!(manifest.rows, 0);
    assert_eq!(manifest.parts.len(), 2);
    let again = engine
        .offline()
        .rebuild_dataset(&"none".parse().unwrap(), &spine, u64::MAX, &mut go_on)
        .unwrap();
    assert!(again.matches && again.same_bytes == Some(true), "{again:?}");
    more(
        &world,
        &mut engine,
        "{\"id\":\"late\",\"shop\":\"x\",\"pieces\":1,\"price\":1,\"at\":\"2026-03-01T10:15:00Z\"}\n",
    );
    let stale = engine
        .offline()
        .staleness(&manifest, &spine, u64::MAX, &mut go_on)
        .unwrap();
    assert_eq!(stale.late_events(), Some(0));
    assert_eq!(stale.differing.unwrap().rows, Some(0));
}

#[test]
fn parts_are_the_rows_that_they_say() {
    let world = world(
        "CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv'
           SPLIT BY TIME (train BEFORE '2026-03-01T11:00:00Z', test BEFORE '2026-03-01T12:59:59.999999Z')
           FORMAT CSV;
         CREATE TRAINING DATASET h FROM SERVICE model SPINE 'spine.csv'
           SPLIT BY ENTITY HASH (train 1, test 1);",
    );
    let engine = loaded(&world);
    let manifest = build(&engine, "d");
    let rows = |file: &str| -> Vec<i64> {
        let cells = cells(&part(&world, &manifest, file), "row");
        let number = |v: Value| match v {
            Value::BigInt(n) => n,
            other => panic!("{other:?}"),
        };
        cells.into_iter().map(number).collect()
    };
    assert_eq!(rows("train.csv"), [1, 2, 3, 8]);
    assert_eq!(rows("test.csv"), [4, 5, 6, 7, 10]);
    assert_eq!((manifest.rows, manifest.left_out), (9, 1));
    let hashed = build(&engine, "h");
    let shops = |file: &str| cells(&part(&world, &hashed, file), "shop");
    let (train, test) = (shops("train.parquet"), shops("test.parquet"));
    assert_eq!(train.len() + test.len(), 10);
    assert!(train.iter().all(|shop| !test.contains(shop)));
}

/// By both keys together rows of one shop would be in two parts.
#[test]
fn with_several_entities_a_split_says_whose_rows_stay_together() {
    let both = "
CREATE ENTITY town (town STRING);
CREATE FEATURE VIEW of_town ENTITY town AS SELECT town, count(*) OVER (ALL HISTORY) AS shops FROM shops;
CREATE FEATURE SERVICE both AS sold (*), of_town (*);";
    let split = |name: &str, of: &str| {
        format!(
            "CREATE TRAINING DATASET {name} FROM SERVICE both SPINE 'both.csv'
               SPLIT BY ENTITY HASH {of} (train 1, test 1);"
        )
    };
    let datasets =
        split("unsaid", "") + &split("shops", "OF (shop)") + &split("towns", "OF (town)");
    let world = world(&(both.to_owned() + &datasets));
    let rows = (0..60).map(|n| format!("s{},t{},2026-03-01T12:00:00Z\n", n % 10, n % 7));
    let spine = "shop,town,event_time\n".to_owned() + &rows.collect::<String>();
    world.write("both.csv", &spine);
    let engine = loaded(&world);
    let refused = try_build(&engine, "unsaid").unwrap_err();
    assert!(
        matches!(refused, EngineError::SplitEntity { .. }),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains("OF (shop)"));
    for (name, column) in [("shops", "shop"), ("towns", "town")] {
        let manifest = build(&engine, name);
        let of = |file: &str| cells(&part(&world, &manifest, file), column);
        let (train, test) = (of("train.parquet"), of("test.parquet"));
        assert_eq!(train.len() + test.len(), 60);
        assert!(!train.is_empty() && !test.is_empty());
        assert!(train.iter().all(|key| !test.contains(key)), "{name}");
    }
}
