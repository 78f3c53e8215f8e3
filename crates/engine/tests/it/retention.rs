//! `HOT RETENTION`: old events leave the hot tier and no answer changes, on disk, over
//! restarts, when the retention or the views change, and when the log is damaged.

use std::fs;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::doctor::{Examination, Part, doctor};
use evenkeel_engine::{Engine, backup, restore};
use evenkeel_types::Value;

use crate::support::{World, apply_text, ingest, t, values};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE ENTITY till (till BIGINT);
CREATE STREAM sales (id BIGINT, shop BIGINT, till BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at, HOT RETENTION INTERVAL '1' DAY)
  WITH (connector = 'file', path = 'sales.csv');
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, count(*) OVER h AS n, sum(amount) OVER h AS total, avg(amount) OVER d AS mean,
  max(amount) OVER s AS most
FROM sales WINDOW h AS (LAST 6 HOURS), d AS (LAST 2 DAYS), s AS (SINCE START OF DAY IN 'Europe/Berlin');
CREATE FEATURE VIEW of_till ENTITY till AS
SELECT till, count(*) OVER w AS n, last_value(amount) OVER w AS last FROM sales WINDOW w AS (LAST 3 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS of_shop (*);
";

/// Twelve days of sales; some late by days, some twice, some with another amount.
fn sales() -> String {
    let mut text = "id,shop,till,amount,at\n".to_owned();
    let start = t("2026-02-18T00:00:00Z");
    for i in 0..16_000u64 {
        let id = if i % 50 == 49 { i - 3 } else { i };
        let late = if id % 17 == 0 { 200_000 } else { 0 };
        let at =
            evenkeel_types::time::format_timestamp(start + (id as i64 * 65 - late) * 1_000_000);
        let other = u64::from(i % 250 == 49) * 7;
        let (shop, till) = (id % 3, id % 5);
        text.push_str(&format!(
            "{id},{shop},{till},{}.25,{at}\n",
            id % 113 + other
        ));
    }
    text
}

fn world(definitions: &str) -> World {
    let world = World::new(definitions);
    world.write("sales.csv", &sales());
    // Little, so that there are many checkpoints.
    world.write("evenkeel.toml", "[limits]\nmemory_bytes = 2000000\n");
    world
}

fn digest(engine: &Engine) -> String {
    let options = VerifyOptions {
        values: 1_500,
        oracle_values: 20,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.answers_digest
}

/// What is in the hot tier of a store that is closed.
fn examined(world: &World) -> Examination {
    let examination = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(examination.damages, []);
    examination
}

#[test]
fn old_events_leave_and_no_answer_changes() {
    let plain = DEFINITIONS.replace(", HOT RETENTION INTERVAL '1' DAY", "");
    let whole = world(&plain);
    let engine = whole.loaded(&["sales"]);
    let want = digest(&engine);
    drop(engine);
    let all = examined(&whole);
    assert_eq!(all.cold_entries, 0);
    let world = world(DEFINITIONS);
    let engine = world.loaded(&["sales"]);
    assert_eq!(digest(&engine), want);
    drop(engine);
    let left = examined(&world);
    assert_eq!(left.entries + left.cold_entries, all.entries);
    assert!(left.entries * 2 < all.entries, "{left:?}");
    // Opened again, where nothing is in memory.
    let engine = Engine::open(&world.project()).unwrap();
    assert_eq!(digest(&engine), want);
    assert!(engine.reheats().scans > 0);
}

/// With more events than are held, points are of all of them, and the oracle is asked of as many as are.
#[test]
fn what_is_not_held_is_verified_too() {
    let world = world(DEFINITIONS);
    let engine = world.loaded(&["sales"]);
    let verified = |held_events: u64| {
        let options = VerifyOptions {
            values: 1_500,
            oracle_values: 40,
            held_events,
            ..VerifyOptions::default()
        };
        let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
        assert_eq!(report.mismatches, 0, "{report:?}");
        report
    };
    let whole = verified(u64::MAX);
    let sampled = verified(3_000);
    assert!(!whole.is_sampled && sampled.is_sampled);
    assert_eq!(sampled.cuts, whole.cuts + 1);
    assert!(sampled.values_checked >= 1_500, "{sampled:?}");
    // The oracle is asked as often, but of the past.
    assert!((60..=200).contains(&sampled.oracle_checked), "{sampled:?}");
    assert_ne!(sampled.answers_digest, whole.answers_digest);
    assert_eq!(verified(3_000).answers_digest, sampled.answers_digest);
}

#[test]
fn reads_of_now_bring_nothing_back() {
    let world = world(DEFINITIONS);
    drop(world.loaded(&["sales"]));
    let engine = Engine::open(&world.project()).unwrap();
    for shop in 0..4 {
        let request = crate::support::request(
            &engine,
            "model",
            vec![vec![Value::BigInt(shop)]],
            t("2026-03-02T01:00:00Z"),
        );
        engine.get(&request).unwrap();
    }
    assert_eq!(engine.reheats().scans, 0);
    let old = values(
        &engine,
        "model",
        &[Value::BigInt(1)],
        "2026-02-20T00:00:00Z",
    );
    assert!(matches!(old[0], Value::BigInt(n) if n > 0), "{old:?}");
    assert_eq!(engine.reheats().scans, 1);
}

#[test]
fn what_has_to_stay_longer_is_built_again() {
    let world = world(DEFINITIONS);
    let mut engine = world.loaded(&["sales"]);
    let at = "2026-03-02T01:00:00Z";
    // A view that looks further back, over one of the two indexes.
    let longer = format!(
        "{DEFINITIONS}
CREATE FEATURE VIEW ever ENTITY shop AS SELECT shop, count(*) OVER (ALL HISTORY) AS n FROM sales;
CREATE FEATURE SERVICE since VERSION 1 AS ever (*);"
    );
    apply_text(&mut engine, &longer);
    let n = values(&engine, "since", &[Value::BigInt(1)], at);
    assert!(matches!(n[0], Value::BigInt(n) if n > 5_000), "{n:?}");
    assert_eq!(engine.reheats().scans, 0);
    drop(engine);
    let mixed = examined(&world);
    let mut engine = Engine::open(&world.project()).unwrap();
    // A longer retention: nothing is old enough to leave.
    let month = longer.replace("INTERVAL '1' DAY", "INTERVAL '31' DAY");
    apply_text(&mut engine, &month);
    digest(&engine);
    assert_eq!(engine.reheats().scans, 0);
    drop(engine);
    let all = examined(&world);
    assert_eq!(all.cold_entries, 0);
    assert!(mixed.cold_entries > 0 && mixed.entries < all.entries);
    // A shorter one lets them go as checkpoints are made.
    let mut engine = Engine::open(&world.project()).unwrap();
    apply_text(&mut engine, &longer);
    world.write(
        "sales.csv",
        &format!("id,shop,till,amount,at\n9999999,1,1,2.5,{at}\n"),
    );
    ingest(&mut engine, "sales");
    engine.checkpoint().unwrap();
    drop(engine);

    assert!(examined(&world).cold_entries > 0);
}

#[test]
fn a_backup_of_a_store_that_events_left_comes_back_the_same() {
    let world = world(DEFINITIONS);
    let engine = world.loaded(&["sales"]);
    let want = digest(&engine);
    let copy = world.path().join("copy");
    backup(&world.project(), &copy, &mut |_, _| ()).unwrap();
    drop(engine);
    let other = World::new(DEFINITIONS);
    restore(&other.project(), &copy).unwrap();
    let engine = Engine::open(&other.project()).unwrap();
    assert_eq!(digest(&engine), want);
}

#[test]
fn a_log_without_what_left_is_named_by_the_doctor_and_by_reads() {
    let world = world(DEFINITIONS);
    drop(world.loaded(&["sales"]));
    let shop = [Value::BigInt(1)];
    let segment = fs::read_dir(world.path().join(".evenkeel/log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let engine = Engine::open(&world.project()).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.len() / 3;
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let request = |at| {
        let rows = vec![shop.to_vec()];
        engine.get(&crate::support::request(&engine, "model", rows, t(at)))
    };
    assert!(request("2026-03-02T01:00:00Z").is_ok());
    let error = request("2026-02-20T00:00:00Z").unwrap_err().to_string();
    assert!(error.contains("left the hot tier"), "{error}");
    drop(engine);
    let damages = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(()))
        .unwrap()
        .damages;
    assert!(damages.iter().any(|d| d.part == Part::Log), "{damages:?}");
}
