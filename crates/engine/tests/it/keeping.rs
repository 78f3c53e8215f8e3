//! What a store keeps: over restarts, in little memory, in backups, after damage.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::doctor::{Part, doctor};
use evenkeel_engine::{Engine, Project, backup, restore};
use evenkeel_types::Value;

use crate::support::{World, apply_text, t, values};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM sales (id BIGINT, shop BIGINT, amount DOUBLE, note STRING, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at) WITH (connector = 'file', path = 'sales.csv');
CREATE FEATURE VIEW shop_sales ENTITY shop AS
SELECT shop, count(*) OVER a AS n, sum(amount) OVER d AS day, last_value(note) OVER r AS note
FROM sales WINDOW a AS (PARTITION BY shop ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
  d AS (LAST 1 DAY), r AS (PARTITION BY shop ORDER BY at ROWS BETWEEN 4 PRECEDING AND CURRENT ROW);
CREATE FEATURE SERVICE model VERSION 1 AS shop_sales (*);
";

/// Sales in the order of time but for a few, with some rows twice.
fn sales(rows: u64, note_bytes: usize) -> String {
    let mut text = "id,shop,amount,note,at\n".to_owned();
    let start = t("2026-01-01T00:00:00Z");
    for i in 0..rows {
        let id = if i % 50 == 49 { i - 3 } else { i };
        let late = if id % 17 == 0 { 5_000 } else { 0 };
        let at = evenkeel_types::time::format_timestamp(start + (id as i64 * 7 - late) * 1_000_000);
        let note = format!("{id:0>note_bytes$}");
        text.push_str(&format!("{id},{},{}.25,{note},{at}\n", id % 7, id % 113));
    }
    text
}

fn world(rows: u64) -> World {
    let world = World::new(DEFINITIONS);
    world.write("sales.csv", &sales(rows, 8));
    world
}

fn digest(engine: &Engine) -> String {
    let options = VerifyOptions {
        values: 600,
        oracle_values: 10,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.answers_digest
}

fn store(world: &World) -> PathBuf {
    world.path().join(".evenkeel")
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_view_that_comes_later_is_built_from_the_log_and_kept() {
    let world = world(900);
    let mut engine = world.loaded(&["sales"]);
    let before = digest(&engine);
    let more = format!(
        "{DEFINITIONS}
CREATE ENTITY note (note STRING);
CREATE FEATURE VIEW by_note ENTITY note AS
SELECT note, count(*) OVER w AS n, max(amount) OVER w AS most FROM sales WINDOW w AS (LAST 30 DAYS);
CREATE FEATURE SERVICE notes VERSION 1 AS by_note (*);"
    );
    apply_text(&mut engine, &more);
    let note = [Value::string("00000005")];
    let want = vec![Value::BigInt(1), Value::from(5.25)];
    assert_eq!(
        values(&engine, "notes", &note, "2026-01-02T00:00:00Z"),
        want
    );
    let with_notes = digest(&engine);
    assert_ne!(with_notes, before);
    drop(engine);
    let mut engine = Engine::open(&world.project()).unwrap();
    assert_eq!(
        values(&engine, "notes", &note, "2026-01-02T00:00:00Z"),
        want
    );
    assert_eq!(digest(&engine), with_notes);
    // Without the view again, what it needed is gone and the rest as it was.
    fs::remove_dir_all(store(&world).join("hot")).unwrap();
    drop(engine);
    engine = Engine::open(&world.project()).unwrap();
    assert_eq!(digest(&engine), with_notes);
}

#[test]
fn ten_times_more_data_than_memory_gives_the_same_answers() {
    let world = World::new(DEFINITIONS);
    let text = sales(12_000, 200);
    world.write("sales.csv", &text);
    world.write("evenkeel.toml", "[limits]\nmemory_bytes = 400000\n");
    assert!(text.len() > 6 * 400_000, "{} bytes as text", text.len());
    let engine = world.loaded(&["sales"]);
    let small = digest(&engine);
    drop(engine);
    let engine = Engine::open(&world.project()).unwrap();
    assert_eq!(digest(&engine), small);
    drop(engine);
    let plenty = World::new(DEFINITIONS);
    plenty.write("sales.csv", &text);
    assert_eq!(digest(&plenty.loaded(&["sales"])), small);
}

#[test]
fn a_backup_of_a_store_in_use_comes_back_the_same() {
    let world = world(700);
    let engine = world.loaded(&["sales"]);
    let want = digest(&engine);
    let copy = world.path().join("copy");
    let manifest = backup(&world.project(), &copy, &mut |_, _| ()).unwrap();
    assert!(
        manifest.records >= 680 && manifest.bytes > 0,
        "{manifest:?}"
    );
    let refused = backup(&world.project(), &copy, &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().ends_with("exists already"), "{refused}");
    let other = World::new(DEFINITIONS);
    assert_eq!(restore(&other.project(), &copy).unwrap(), manifest);
    assert_eq!(digest(&Engine::open(&other.project()).unwrap()), want);
    let refused = restore(&other.project(), &copy).unwrap_err();
    assert!(
        refused
            .hint()
            .is_some_and(|h| h.contains("ever overwritten"))
    );
}

#[test]
fn a_damaged_backup_is_refused_whatever_byte_it_is() {
    let world = world(300);
    drop(world.loaded(&["sales"]));
    let copy = world.path().join("copy");
    backup(&world.project(), &copy, &mut |_, _| ()).unwrap();
    for path in files(&copy) {
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            flip(&path, at);
            let other = World::new(DEFINITIONS);
            let result = restore(&other.project(), &copy);
            assert!(result.is_err(), "{} at byte {at}", path.display());
            assert!(!store(&other).exists());
            fs::write(&path, &bytes).unwrap();
        }
    }
    fs::remove_file(copy.join("log/mark")).unwrap();
    assert!(restore(&World::new(DEFINITIONS).project(), &copy).is_err());
}

fn examine(project: &Project, repair: bool) -> evenkeel_engine::doctor::Examination {
    doctor(project, repair, &|_, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn the_doctor_finds_nothing_in_a_healthy_store_and_says_what_it_saw() {
    let world = world(900);
    let engine = world.loaded(&["sales"]);
    let refused = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(refused.code(), "BUSY");
    drop(engine);
    let found = examine(&world.project(), true);
    assert_eq!(found.damages, []);
    assert!(!found.rebuilt);
    assert_eq!((found.events, found.entries), (882, 882));
    assert!(found.rows > 882 && found.registry_records == 1);
}

#[test]
fn damage_of_the_hot_tier_is_named_and_built_again() {
    let world = world(2_500);
    let engine = world.loaded(&["sales"]);
    let want = digest(&engine);
    drop(engine);
    let hot = store(&world).join("hot");
    // Opened and closed once more, so that there are tables and not only a journal.
    drop(Engine::open(&world.project()).unwrap());
    let largest = files(&hot)
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let length = fs::metadata(&largest).unwrap().len() as usize;
    let mut found_some = false;
    for at in [length / 7, length / 3, length / 2] {
        flip(&largest, at);
    }
    let found = examine(&world.project(), false);
    if let Some(damage) = found.damages.first() {
        assert_eq!(damage.part, Part::HotTier);
        found_some = true;
    }
    let repaired = examine(&world.project(), true);
    assert_eq!(repaired.rebuilt, found_some);
    assert!(
        found_some,
        "three flipped bits in {} were not noticed",
        largest.display()
    );
    assert_eq!(examine(&world.project(), false).damages, []);
    assert_eq!(digest(&Engine::open(&world.project()).unwrap()), want);
}

#[test]
fn damage_of_the_log_is_named_with_file_and_byte_and_not_papered_over() {
    let world = world(400);
    drop(world.loaded(&["sales"]));
    let segment = files(&store(&world).join("log"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "segment"))
        .unwrap();
    let middle = fs::metadata(&segment).unwrap().len() as usize / 2;
    flip(&segment, middle);
    let found = examine(&world.project(), true);
    assert!(!found.rebuilt);
    let damage = &found.damages[0];
    assert_eq!(damage.part, Part::Log);
    assert_eq!(damage.place, segment.display().to_string());
    assert!(
        damage.offset.is_some_and(|at| at <= middle as u64),
        "{damage:?}"
    );
}
