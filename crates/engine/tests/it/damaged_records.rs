//! The small files of a store: any byte of them that is another one, or missing, is named with what to do, and nothing
//! goes by it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_engine::doctor::{Damage, Part, doctor};
use evenkeel_engine::{
    CapturePlace, ComparisonRecord, Engine, EngineError, ErrorKind, ForgetError, ForgetRequest,
    backup, restore,
};
use evenkeel_types::EventTime;

use crate::keeping::files;
use crate::lake::flush;
use crate::support::World;

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer STRING);
CREATE STREAM orders (id BIGINT, customer STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
WITH (connector = 'file', path = 'orders.csv');
CREATE STREAM large AS SELECT o.id, o.customer FROM orders o WHERE o.amount > 5;
CREATE FEATURE VIEW spent ENTITY customer AS SELECT customer, sum(amount) OVER (ALL HISTORY) AS amount FROM orders;
";
/// A run of a batch view.
const RUN: &str = include_str!("../fixtures/runs/2.json");
/// Records that a store has: two of what was forgotten, and one each of a request, a run, a capture, a comparison, a pin.
const RECORDS: usize = 7;

fn request(key: &str) -> ForgetRequest {
    ForgetRequest {
        entity: "customer".to_owned(),
        key: key.to_owned(),
        ..ForgetRequest::default()
    }
}

fn forget(engine: Engine, key: &str) {
    let plan = engine.plan_forget(&request(key), &mut |_, _| ControlFlow::Continue(()));
    let report = engine.forget(plan.unwrap()).unwrap();
    assert!(report.changes() > 0, "{report:?}");
}

/// A store that has every kind of record.
fn with_records() -> World {
    let world = World::new(DEFINITIONS);
    world.write(
        "orders.csv",
        "id,customer,amount,at\n1,ann,3,2026-02-01T00:00:00Z\n2,bob,7,2026-02-01T01:00:00Z\n\
         3,eve,9,2026-02-01T02:00:00Z\n",
    );
    forget(world.loaded(&["orders"]), "ann");
    forget(world.engine(), "bob");
    let engine = world.engine();
    flush(&engine, &[]);
    engine.offline().pin_lake("before").unwrap();
    let asked = engine
        .offline()
        .ask_to_forget(&request("eve"), engine.now());
    asked.unwrap();
    drop(engine);
    let store = store(&world);
    fs::create_dir_all(store.join("runs/recent")).unwrap();
    fs::write(store.join("runs/recent/1769922000000000.0.json"), RUN).unwrap();
    let place = CapturePlace {
        server: "a".to_owned(),
        table: "shop.orders".to_owned(),
        file: "binlog.000003".to_owned(),
        created: 1_772_000_000,
        position: 900,
        time: 1_772_323_200_000_000,
        columns: Some(vec!["id type 8 [0, 0] ".to_owned()]),
        gtids: None,
        snapshot: false,
    };
    place.write(&store, "orders").unwrap();
    ComparisonRecord::add(&store, "orders", EventTime(3), 4).unwrap();
    // What it would be built of is not looked at again and again.
    fs::remove_dir_all(store.join("hot")).unwrap();
    world
}

fn store(world: &World) -> PathBuf {
    world.path().join(".evenkeel")
}

fn records(store: &Path) -> Vec<PathBuf> {
    let of_records = [
        "forgotten",
        "forgetting",
        "runs",
        "captures",
        "comparisons",
        "pins",
    ];
    let found = of_records
        .iter()
        .flat_map(|folder| files(&store.join(folder)));
    let found: Vec<PathBuf> = found
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    assert_eq!(found.len(), RECORDS, "{found:?}");
    found
}

fn damages(world: &World) -> Vec<Damage> {
    let go_on = |_: &str, _| ControlFlow::Continue(());
    doctor(&world.project(), false, &go_on).unwrap().damages
}

/// The doctor names this file, and nothing else.
fn is_named(world: &World, path: &Path, what: &str) {
    let found = damages(world);
    let [damage] = &found[..] else {
        panic!("{what}: {found:?}")
    };
    assert_eq!(damage.part, Part::Record, "{what}");
    assert_eq!(damage.place, path.display().to_string(), "{what}");
}

#[test]
fn any_byte_of_a_record_is_proven() {
    let world = with_records();
    assert_eq!(damages(&world), []);
    for path in records(&store(&world)) {
        let whole = fs::read(&path).unwrap();
        let end = whole.len() - usize::from(whole.ends_with(b"\n"));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            let what = format!("bit {} of byte {at} of {}", at % 8, path.display());
            is_named(&world, &path, &what);
        }
        for length in (0..end).step_by(5) {
            fs::write(&path, &whole[..length]).unwrap();
            is_named(
                &world,
                &path,
                &format!("{length} bytes of {}", path.display()),
            );
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(damages(&world), []);
}

fn refused(world: &World) -> EngineError {
    let opened = Engine::open_with(&world.project(), world.clock.clone());
    let error = opened
        .err()
        .expect("who does not know it would emit too much");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("from a backup") && hint.contains("`forgotten`"),
        "{hint}"
    );
    error
}

#[test]
fn what_was_forgotten_is_never_taken_for_less() {
    let world = with_records();
    let folder = store(&world).join("forgotten");
    let (kept, copied) = (world.path().join("copy"), World::new(DEFINITIONS));
    backup(&world.project(), &kept, &mut |_, _| ()).unwrap();
    for path in records(&store(&world)) {
        if path.parent() != Some(&folder) {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        match refused(&world) {
            EngineError::Forget(ForgetError::Record { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
        fs::remove_file(&path).unwrap();
        let error = refused(&world).to_string();
        assert!(error.contains("missing"), "{error}");
        is_named(&world, &folder, "a record that is gone");
        // As the hint says.
        let name = path.file_name().unwrap();
        fs::copy(kept.join("forgotten").join(name), &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(damages(&world), []);
    }
    restore(&copied.project(), &kept).unwrap();
    drop(copied.engine());
    // Without a copy.
    fs::remove_file(records(&store(&world)).swap_remove(0)).unwrap();
    refused(&world);
    fs::rename(&folder, world.path().join("away")).unwrap();
    drop(world.engine());
}

/// Whoever a damaged request names is not forgotten.
#[test]
fn a_damaged_request_forgets_nobody() {
    let world = with_records();
    let is_request = |path: &PathBuf| path.parent().unwrap().ends_with("forgetting");
    let path = records(&store(&world))
        .into_iter()
        .find(is_request)
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("eve", "eva")).unwrap();
    let engine = Engine::open_to_serve(&world.project()).unwrap();
    let told = Engine::not_forgotten(engine.project()).unwrap();
    assert!(
        told[0].contains("checksum") && told[0].contains("remove"),
        "{told:?}"
    );
    drop(engine);
    fs::write(&path, text).unwrap();
    drop(Engine::open_to_serve(&world.project()).unwrap());
    assert_eq!(Engine::not_forgotten(&world.project()).unwrap(), [""; 0]);
}

/// A plan that is damaged is told from one that is under way.
#[test]
fn a_damaged_plan_is_told_by_who_looks_and_by_who_opens() {
    let world = with_records();
    let path = store(&world).join("forgetting/plan.json");
    fs::write(&path, "{\"format\": 1}").unwrap();
    let looked = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(()));
    let opened = Engine::open(&world.project());
    for error in [looked.unwrap_err(), opened.err().unwrap()] {
        let is_of_the_plan = matches!(error, EngineError::Forget(ForgetError::Journal { .. }));
        assert!(
            is_of_the_plan && error.hint().unwrap().contains("backup"),
            "{error}"
        );
    }
}

/// A store that cannot be looked at is not said to be whole.
#[test]
fn a_store_that_cannot_be_locked_is_no_store_without_damage() {
    let world = with_records();
    let lock = store(&world).join("log/lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let looked = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(()));
    let error = looked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert!(error.to_string().contains("lock"), "{error}");
}
