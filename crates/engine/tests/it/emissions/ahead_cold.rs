//! What is evaluated ahead of its turn and needs what left the hot tier, and the log cannot be read there: its
//! stream stops, and what it emits once the log is whole is what it would have been.

use std::fs;
use std::path::PathBuf;

use evenkeel_engine::Machine;
use evenkeel_log::LogOptions;

use super::*;
use crate::support::{apply, ingest};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM sales (id BIGINT, shop BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at,
  HOT RETENTION INTERVAL '1' DAY) WITH (connector = 'file', path = 'sales.csv');
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, count(*) OVER h AS n, sum(amount) OVER h AS total FROM sales WINDOW h AS (LAST 6 HOURS);
CREATE STREAM asks (id BIGINT, shop BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM asked AS SELECT a.id, v.n, v.total FROM asks a ASOF JOIN of_shop v ON a.shop = v.shop;
";
/// Of twelve days.
const SALES: u64 = 4_000;
/// More than are worth a thread.
const ASKS: u64 = 400;

/// A store whose sales of the first days left the hot tier.
fn loaded() -> (World, Engine) {
    let world = World::new(DEFINITIONS);
    let begin = t("2026-02-18T00:00:00Z");
    let line = |id: u64| {
        let at = evenkeel_types::time::format_timestamp(begin + id as i64 * 4 * MINUTE);
        format!("{id},{},0.{},{at}\n", id % 3, id * 7_919 % 100_003)
    };
    let lines: String = (0..SALES).map(line).collect();
    world.write("sales.csv", &format!("id,shop,amount,at\n{lines}"));
    let mut engine = open(&world);
    apply(&mut engine, &world.project().definition_files().unwrap());
    ingest(&mut engine, "sales");
    engine.checkpoint().unwrap();
    drop(engine);
    let engine = open(&world);
    (world, engine)
}

fn open(world: &World) -> Engine {
    let machine = Machine {
        clock: world.clock.clone(),
        sealed_entries: 16,
        // What was asked is in another segment than the sales.
        log: LogOptions {
            segment_bytes: 10_000,
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    Engine::open_on(&world.project(), machine).unwrap()
}

/// Asks for what was long ago, but for the first and the last of them.
fn ask(engine: &mut Engine) {
    let row = |id: u64| {
        let days = match (ASKS / 4..ASKS * 3 / 4).contains(&id) {
            true => 11,
            false => 0,
        };
        let time = t("2026-03-01T00:00:00Z") - days * 24 * 60 * MINUTE;
        let shop = Value::BigInt((id % 3) as i64);
        let time = Value::Timestamp(time + id as i64 * MINUTE);
        vec![Value::BigInt(id as i64), shop, time]
    };
    push(engine, "asks", (0..ASKS).map(row).collect());
}

fn segment(world: &World) -> PathBuf {
    let files = fs::read_dir(world.path().join(".evenkeel/log")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    segments
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

fn told(engine: &Engine) -> Vec<(u32, Vec<u8>)> {
    let events = events(engine, "asked").into_iter();
    events
        .map(|e| (e.event.revision, bits(e.event.row)))
        .collect()
}

#[test]
fn what_cannot_be_brought_back_ahead_stops_its_stream_until_it_can() {
    let (_world, mut whole) = loaded();
    ask(&mut whole);
    let expected = told(&whole);
    assert_eq!(expected.len(), ASKS as usize);
    assert!(whole.reheats().events > 0, "nothing had left");

    let (world, mut engine) = loaded();
    let segment = segment(&world);
    let place = fs::metadata(&segment).unwrap().len() as usize / 3;
    let flip = || {
        let mut bytes = fs::read(&segment).unwrap();
        bytes[place] ^= 1;
        fs::write(&segment, bytes).unwrap();
    };
    flip();
    ask(&mut engine);
    let failures: Vec<&String> = engine.emission_failures().values().collect();
    assert!(
        failures.len() == 1 && failures[0].contains("left the hot tier"),
        "{failures:?}"
    );
    // Nothing of its commit is.
    assert!(told(&engine).is_empty());
    flip();
    let mut writes = 0;
    while engine.is_emission_stuck() {
        writes += 1;
        assert!(writes < 20);
        push(&mut engine, "asks", Vec::new());
    }
    assert!(told(&engine) == expected);
}
