//! The kill loop: a process that pushes events, checkpoints all the time and is killed at
//! any moment, again and again. Nothing acknowledged is lost, nothing is doubled, writing
//! goes on, and what is in the hot tier is what the log says.
//!
//! `EVENKEEL_KILLS` is the number of kills (50), `EVENKEEL_SEED` where they fall. A kill
//! cannot show a missing sync; the crash images in `evenkeel-log`'s tests do.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and its processes talk through their output"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use evenkeel_engine::api::{GetRequest, VerifyOptions};
use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{Engine, Project};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Value, Zone};

const DEFINITIONS: &str = "
CREATE ENTITY world (world BIGINT);
CREATE ENTITY part (part BIGINT);
CREATE STREAM ticks (n BIGINT, world BIGINT, part BIGINT, x DOUBLE, at TIMESTAMP,
  EVENT ID (n), EVENT TIME at, KNOWN AT at);
CREATE FEATURE VIEW of_world ENTITY world AS
SELECT world, count(*) OVER w AS ticks, sum(n) OVER w AS total, sum(x) OVER w AS xs,
       count(*) OVER s AS session, last_value(n) OVER r AS last
FROM ticks WINDOW w AS (PARTITION BY world ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
  s AS (SESSION GAP 30 SECONDS),
  r AS (PARTITION BY world ORDER BY at ROWS BETWEEN 9 PRECEDING AND CURRENT ROW);
CREATE FEATURE VIEW of_part ENTITY part AS
SELECT part, count(*) OVER h AS ticks, avg(x) OVER h AS x FROM ticks WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS of_world (*);
";
/// A quarter of it is what makes a checkpoint due.
const PROJECT: &str = "[limits]\nmemory_bytes = 200000\n";
const BATCH_MAX: u64 = 20;
const CHILD: &str = "child";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, directory] if word == CHILD => push_for_ever(Path::new(directory)),
        // What the test runner passes: a filter runs the loop if it names it.
        [filter, ..] if !filter.starts_with('-') && !"kill_loop".contains(filter.as_str()) => {}
        _ => kill_loop(),
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn start() -> i64 {
    parse_timestamp("2026-01-01T00:00:00Z", &Zone::utc()).unwrap()
}

fn mix(n: u64) -> u64 {
    let x = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

/// Tick number `n`, now and then late; `other` gives it a payload that loses.
fn tick(n: u64, other: bool) -> PushedRow {
    let late = if mix(n).is_multiple_of(11) { 900 } else { 0 };
    let values = vec![
        Value::BigInt(n as i64),
        Value::BigInt(0),
        Value::BigInt((mix(n) % 37) as i64),
        Value::from(if other { 1e300 } else { mix(n) as f64 / 1e6 }),
        Value::Timestamp(start() + (n as i64 - late) * 1_000_000),
    ];
    PushedRow {
        values: Ok(values),
        producer: None,
    }
}

fn open(directory: &Path) -> Engine {
    Engine::open(&Project::open(directory, None).unwrap()).unwrap()
}

fn push(engine: &mut Engine, pusher: &mut Pusher, rows: Vec<PushedRow>) -> Vec<RowAnswer> {
    let source = engine.catalog().sources["ticks"].clone();
    match engine.write(pusher, Write::Push { source, rows }).unwrap() {
        Written::Pushed(answer) => answer.rows,
        Written::Redriven(_) => unreachable!("a push is answered as one"),
    }
}

/// How many ticks there are; panics if they are not the first ones, each once.
fn ticks(engine: &Engine) -> u64 {
    let request = GetRequest {
        service: engine.service("model").unwrap(),
        rows: vec![vec![Value::BigInt(0)]],
        as_of: EventTime(start() + 1_000_000_000_000_000),
        cut: None,
        known_at: None,
    };
    let answer = engine.get(&request).unwrap();
    let value = |i: usize| answer.rows[0][i].value.clone();
    let Value::BigInt(count) = value(0) else {
        panic!("a count is a number")
    };
    let sum = match value(1) {
        Value::Null => 0,
        Value::BigInt(sum) => sum,
        other => panic!("{other:?} is no sum"),
    };
    assert_eq!(sum, count * (count - 1) / 2, "of {count} ticks");
    count as u64
}

/// The child: applies the definitions, says how many ticks there are, pushes, and says after
/// each push up to where.
fn push_for_ever(directory: &Path) {
    let project = Project::open(directory, None).unwrap();
    let mut engine = Engine::open(&project).unwrap();
    let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
    engine.apply(plan).unwrap();
    let mut pusher = Pusher::default();
    let mut next = ticks(&engine);
    let say = |word: &str, n: u64| {
        println!("{word} {n}");
        std::io::stdout().flush().unwrap();
    };
    say("ready", next);
    loop {
        let end = next + 1 + mix(next) % BATCH_MAX;
        let mut rows: Vec<PushedRow> = (next..end).map(|n| tick(n, false)).collect();
        // What is known is pushed again, and a payload that loses.
        let known = mix(end) % next.max(1);
        if next > 0 {
            rows.push(tick(known, false));
        }
        if mix(end).is_multiple_of(3) {
            rows.push(tick(next, true));
        }
        let answers = push(&mut engine, &mut pusher, rows);
        let new = (end - next) as usize;
        assert!(
            answers[..new]
                .iter()
                .all(|a| matches!(a, RowAnswer::Logged(_))),
            "{answers:?}"
        );
        if next > 0 {
            assert_eq!(answers[new], RowAnswer::Duplicate, "tick {known} of {next}");
        }
        next = end;
        say("logged", next);
    }
}

fn kill_loop() {
    let kills = number("EVENKEEL_KILLS", 50);
    let seed = number("EVENKEEL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("definitions.sql"), DEFINITIONS).unwrap();
    std::fs::write(directory.path().join("evenkeel.toml"), PROJECT).unwrap();
    let mut acknowledged = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(CHILD)
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Now and then before it is ready, the first time while the store is created.
        let wanted =
            (mix(seed * 1_000 + kill) % 30).saturating_sub(3) as usize * usize::from(kill > 0);
        let mut read = 0;
        for line in lines.map_while(Result::ok).take(wanted) {
            let (word, n) = line.split_once(' ').unwrap();
            let n: u64 = n.parse().unwrap();
            if word == "ready" {
                assert!(
                    n >= acknowledged,
                    "{acknowledged} were acknowledged, {n} are there"
                );
                assert!(n <= acknowledged + 40 * BATCH_MAX, "{n} of {acknowledged}");
            }
            acknowledged = n;
            read += 1;
        }
        assert_eq!(
            read, wanted,
            "seed {seed}, kill {kill}: the writer died by itself"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut engine = open(directory.path());
    let there = ticks(&engine);
    assert!(there >= acknowledged && acknowledged > 0);
    let answers = push(
        &mut engine,
        &mut Pusher::default(),
        vec![tick(there, false)],
    );
    assert!(matches!(answers[0], RowAnswer::Logged(_)), "{answers:?}");
    let options = VerifyOptions {
        values: 3_000,
        oracle_values: 100,
        ..VerifyOptions::default()
    };
    let kept = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(kept.mismatches, 0, "{kept:?}");
    drop(engine);
    // The same from the log alone.
    std::fs::remove_dir_all(directory.path().join(".evenkeel/hot")).unwrap();
    let rebuilt = open(directory.path())
        .verify(&options, &mut |_, _, _| ())
        .unwrap();
    assert_eq!(kept.answers_digest, rebuilt.answers_digest);
    println!(
        "{kills} kills, {acknowledged} ticks acknowledged, {there} there: none lost, none doubled"
    );
}
