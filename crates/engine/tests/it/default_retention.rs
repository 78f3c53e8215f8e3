//! What leaves the hot tier where nothing is declared: what is old and in the lake; and no answer changes,
//! whatever comes late behind that, is corrected, truncated, or opened again.

use std::fs;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::doctor::{Examination, doctor};
use evenkeel_engine::{Engine, Machine, TruncateOptions};
use evenkeel_log::LogOptions;
use evenkeel_types::EventTime;
use evenkeel_types::time::format_timestamp;

use crate::lake::flush;
use crate::random_history::Random;
use crate::support::{World, apply, t};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE ENTITY till (till BIGINT);
CREATE STREAM sales (id BIGINT, shop BIGINT, till BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at) WITH (connector = 'file', path = 'sales.csv');
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, count(*) OVER y AS n, sum(amount) OVER y AS total, avg(amount) OVER d AS mean
FROM sales WINDOW y AS (LAST 400 DAYS), d AS (LAST 20 DAYS);
CREATE FEATURE VIEW of_till ENTITY till AS
SELECT till, count(*) OVER w AS n, last_value(amount) OVER w AS last FROM sales WINDOW w AS (LAST 3 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS of_shop (*);
";
const DAY: i64 = 86_400_000_000;
/// Sales of three years, in pieces.
const SALES: u64 = 6_000;
const PIECES: u64 = 12;

fn begin() -> i64 {
    t("2026-03-01T00:00:00Z") - 1_100 * DAY
}

/// A piece of three years of sales, some late by months, some twice, some with another amount.
fn piece(random: &mut Random, number: u64) -> String {
    let mut text = "id,shop,till,amount,at\n".to_owned();
    for i in SALES / PIECES * number..SALES / PIECES * (number + 1) {
        let late = match random.below(10) {
            0 => i.saturating_sub(random.below(3_000)),
            _ => i,
        };
        let at = begin() + i64::try_from(late).unwrap() * 1_100 * DAY / SALES as i64;
        // Half of them are of one till.
        let till = if i % 2 == 0 { 0 } else { i % 9 };
        let id = if random.below(30) == 0 { i / 2 } else { i };
        let amount = random.below(400) as f64 / 4.0;
        let at = format_timestamp(at);
        text.push_str(&format!("{id},{},{till},{amount},{at}\n", i % 2));
    }
    text
}

fn world() -> World {
    let world = World::new(DEFINITIONS);
    // Little, so that there are many checkpoints.
    world.write("evenkeel.toml", "[limits]\nmemory_bytes = 400000\n");
    world
}

/// With short blocks and short segments.
fn open(world: &World) -> Engine {
    let machine = Machine {
        clock: world.clock.clone(),
        sealed_entries: 32,
        log: LogOptions {
            segment_bytes: 40_000,
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    Engine::open_on(&world.project(), machine).unwrap()
}

fn applied(world: &World) -> Engine {
    let mut engine = open(world);
    apply(&mut engine, &world.project().definition_files().unwrap());
    engine
}

fn digest(engine: &Engine) -> String {
    let options = VerifyOptions {
        values: 1_200,
        oracle_values: 30,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.answers_digest
}

fn examined(world: &World) -> Examination {
    let examination = doctor(&world.project(), false, &|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(examination.damages, []);
    examination
}

fn take(world: &World, engine: &mut Engine, number: u64, text: &str) {
    world.ingest_text(engine, "sales", &format!("sales-{number}.csv"), text);
}

fn truncate(engine: &mut Engine) -> u64 {
    engine.checkpoint().unwrap();
    let truncation = engine.log_truncation().unwrap();
    let goes_on = &mut |_, _| ControlFlow::Continue(());
    let report = truncation.run(&TruncateOptions::default(), goes_on);
    report.unwrap().truncated
}

#[test]
fn nothing_leaves_before_the_lake_has_it() {
    let pieces: Vec<String> = (0..PIECES).map(|n| piece(&mut Random(n), n)).collect();
    let plain = world();
    let mut engine = applied(&plain);
    for (number, text) in (0..).zip(&pieces) {
        take(&plain, &mut engine, number, text);
    }
    let want = digest(&engine);
    engine.checkpoint().unwrap();
    drop(engine);
    let all = examined(&plain);
    assert_eq!(all.cold_entries, 0);

    let world = world();
    let mut engine = applied(&world);
    for (number, text) in (0..).zip(&pieces) {
        // The lake has half of it.
        if number == PIECES / 2 {
            flush(&engine, &[]);
        }
        take(&world, &mut engine, number, text);
    }
    engine.checkpoint().unwrap();
    assert_eq!(digest(&engine), want);
    drop(engine);
    let half = examined(&world);
    assert_eq!(half.entries + half.cold_entries, all.entries);
    assert!(
        half.cold_entries > 400 && half.cold_entries < SALES,
        "{half:?}"
    );
    // The rest of it; what is old then leaves with the next checkpoints.
    let mut engine = open(&world);
    assert_eq!(digest(&engine), want);
    flush(&engine, &[]);
    take(
        &world,
        &mut engine,
        PIECES,
        "id,shop,till,amount,at\n0,0,0,1,2026-03-01T00:00:00Z\n",
    );
    engine.checkpoint().unwrap();
    drop(engine);
    let most = examined(&world);
    assert!(most.cold_entries > half.cold_entries, "{most:?}");
    // Without the note of what the lake has, nothing more leaves and all is as it was.
    fs::remove_file(world.path().join(".evenkeel/covered.json")).unwrap();
    let engine = open(&world);
    digest(&engine);
    drop(engine);
    assert_eq!(examined(&world).cold_entries, most.cold_entries);
}

#[test]
fn a_read_across_the_seam_is_a_read_over_everything() {
    for seed in 0..3 {
        let mut random = Random(seed);
        let plain = world();
        let mut without = applied(&plain);
        let world = world();
        let mut engine = applied(&world);
        let mut truncated = 0;
        for number in 0..PIECES {
            let text = piece(&mut random, number);
            take(&plain, &mut without, number, &text);
            take(&world, &mut engine, number, &text);
            if random.below(3) == 0 {
                // Of the truth about a month long ago: half of what was sold then.
                let month = begin() + i64::try_from(random.below(90 * (number + 1))).unwrap() * DAY;
                let period = Period::new(EventTime(month), EventTime(month + 30 * DAY));
                let period = period.unwrap();
                for (world, engine) in [(&plain, &mut without), (&world, &mut engine)] {
                    correct(world, engine, &text, &period);
                }
            }
            match random.below(4) {
                0 => drop(flush(&engine, &[])),
                1 => engine.checkpoint().unwrap(),
                2 => {
                    drop(engine);
                    engine = open(&world);
                }
                _ => {
                    flush(&engine, &[]);
                    truncated += truncate(&mut engine);
                }
            }
        }
        flush(&engine, &[]);
        truncated += truncate(&mut engine);
        assert!(truncated > 0);
        let want = digest(&without);
        assert_eq!(digest(&engine), want, "seed {seed}");
        engine.checkpoint().unwrap();
        drop(engine);
        assert!(examined(&world).cold_entries > 400, "seed {seed}");
        let engine = open(&world);
        assert_eq!(digest(&engine), want, "seed {seed}");
        assert!(engine.reheats().scans > 0);
    }
}

/// Corrects a period by what a file says of it.
fn correct(world: &World, engine: &mut Engine, text: &str, period: &Period) {
    let path = world.write("truth.csv", text);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let goes_on = &mut |_: &str, _, _| ControlFlow::Continue(());
    let difference = offline.difference(&source, truth, period, engine.means(), goes_on);
    engine.correct(&difference.unwrap(), goes_on).unwrap();
}
