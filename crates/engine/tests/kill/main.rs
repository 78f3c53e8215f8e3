//! The kill loop: a process that pushes events, checkpoints all the time, flushes to the lake and truncates
//! the log, and is killed at any moment, again and again. Nothing acknowledged is lost, nothing is doubled, writing
//! goes on, and what is in the hot tier, or has left it, is what the log says. A derived stream has emitted for every
//! tick, once, and what was answered to a trigger is answered again.
//!
//! `EVENKEEL_KILLS` is the number of kills (30), `EVENKEEL_SEED` where they fall. A kill
//! cannot show a missing sync; the power cuts of `tests/power` do.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and its processes talk through their output"
)]

#[path = "../workload/ticks.rs"]
mod ticks;

use std::io::{BufRead, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::push::Pusher;
use evenkeel_engine::{Asked, Engine, Machine, ResultId, TriggerResult, TruncateOptions};
use evenkeel_log::LogOptions;
use evenkeel_types::codec::encode_values;
use evenkeel_types::{Position, Value};

use ticks::{BATCH_MAX, DEFINITIONS, LIMITS, Ticker, check, mix, number, read_old};

const CHILD: &str = "child";
/// What is made of ticks, also of late ones, and read by who triggers.
const LAPS: &str = "
CREATE STREAM laps AS SELECT t.n, t.part, p.n AS before,
  count(*) OVER (PARTITION BY t.part RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW) AS n_5m
FROM ticks t ASOF JOIN ticks p MATCH_CONDITION (t.at > p.at) ON t.part = p.part ON LATE REVISE;
CREATE FEATURE VIEW laps_of_part ENTITY part AS
SELECT part, count(*) OVER (ALL HISTORY) AS laps, sum(n) OVER (ALL HISTORY) AS total,
  sum(before) OVER (ALL HISTORY) AS before FROM laps;
CREATE FEATURE SERVICE lap_model VERSION 1 AS laps_of_part (*), of_part (*);
";
const PARTS: i64 = 37;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, directory] if word == CHILD => push_for_ever(Path::new(directory)),
        // What the test runner passes: a filter runs the loop if it names it.
        [filter, ..] if !filter.starts_with('-') && !"kill_loop".contains(filter.as_str()) => {}
        _ => kill_loop(),
    }
}

/// The child: applies the definitions, says how many ticks there are, pushes, and says after
/// each push up to where.
fn push_for_ever(directory: &Path) {
    let say = |word: &str, n: u64| {
        println!("{word} {n}");
        std::io::stdout().flush().unwrap();
    };
    let machine = Machine {
        sealed_entries: 4,
        log: LogOptions {
            segment_bytes: 4_000,
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    let mut engine = ticks::open_on(directory, machine);
    ticks::apply(&mut engine);
    let mut ticker = Ticker::over(engine);
    say("ready", ticker.next);
    loop {
        ticker.push();
        say("logged", ticker.next);
        if mix(ticker.next).is_multiple_of(3) {
            let result = trigger(&mut ticker);
            let offset = result.trigger.position().offset.0;
            println!("answered {offset} {}", digest(&result));
            say("logged", ticker.next);
        }
        if mix(ticker.next).is_multiple_of(6) {
            truncate(&mut ticker.engine);
        }
        // One that is wrong ends the process.
        read_old(&ticker.engine, ticker.next, ticker.next);
    }
}

fn asked(engine: &Engine) -> Asked {
    Asked::of_service(engine.catalog(), "lap_model").unwrap()
}

/// The next tick, as a trigger.
fn trigger(ticker: &mut Ticker) -> TriggerResult {
    let source = ticker.engine.source("ticks").unwrap();
    let asked = asked(&ticker.engine);
    let row = ticks::tick(ticker.next, false);
    let engine = &mut ticker.engine;
    let answer = engine.trigger(&mut Pusher::default(), &source, row, &asked);
    ticker.next += 1;
    answer.unwrap().result.unwrap()
}

fn digest(result: &TriggerResult) -> String {
    let row = result.answers.to_rows().remove(0);
    let values: Vec<Value> = row.into_iter().map(|answer| answer.value).collect();
    blake3::hash(&encode_values(&values)).to_hex().to_string()
}

/// There is a lap of every tick, and none twice.
fn check_laps(engine: &Engine, there: u64) {
    assert!(!engine.is_emission_stuck());
    let request = GetRequest {
        service: engine.service("lap_model").unwrap(),
        rows: (0..PARTS).map(|part| vec![Value::BigInt(part)]).collect(),
        ..ticks::request(engine)
    };
    let answer = engine.get(&request).unwrap();
    let sum = |column: usize| -> i64 {
        let values = answer.rows.iter().map(|row| match &row[column].value {
            Value::BigInt(n) => *n,
            _ => 0,
        });
        values.sum()
    };
    let there = there as i64;
    assert_eq!((sum(0), sum(1)), (there, there * (there - 1) / 2));
}

/// Lets leave the log what can.
fn truncate(engine: &mut Engine) {
    engine.checkpoint().unwrap();
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let flushed = engine.offline().flush(&[], &mut go_on).unwrap();
    assert!(flushed.failed.is_empty(), "{:?}", flushed.failed);
    let truncation = engine.log_truncation().unwrap();
    let all = TruncateOptions::default();
    truncation
        .run(&all, &mut |_, _| ControlFlow::Continue(()))
        .unwrap();
}

fn kill_loop() {
    let kills = number("EVENKEEL_KILLS", 30);
    let seed = number("EVENKEEL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let definitions = format!("{DEFINITIONS}{LAPS}");
    std::fs::write(directory.path().join("definitions.sql"), definitions).unwrap();
    std::fs::write(directory.path().join("evenkeel.toml"), LIMITS).unwrap();
    let mut acknowledged = 0;
    let mut answered: Vec<(u64, String)> = Vec::new();
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
            read += 1;
            let (word, rest) = line.split_once(' ').unwrap();
            if word == "answered" {
                let (offset, digest) = rest.split_once(' ').unwrap();
                answered.push((offset.parse().unwrap(), digest.to_owned()));
                continue;
            }
            let n: u64 = rest.parse().unwrap();
            if word == "ready" {
                assert!(
                    n >= acknowledged,
                    "{acknowledged} were acknowledged, {n} are there"
                );
                assert!(n <= acknowledged + 40 * BATCH_MAX, "{n} of {acknowledged}");
            }
            acknowledged = n;
        }
        assert_eq!(
            read, wanted,
            "seed {seed}, kill {kill}: the writer died by itself"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(acknowledged > 0);
    let there = check(directory.path(), acknowledged, 3_000);
    let engine = ticks::open(directory.path());
    check_laps(&engine, ticks::ticks(&engine));
    for (offset, digest_of_then) in &answered {
        let id = ResultId {
            source: "ticks".to_owned(),
            position: Position::new(0, *offset),
            asked: asked(&engine),
            waits: None,
        };
        let result = engine.result(&id).unwrap();
        assert_eq!(digest(&result), *digest_of_then, "the trigger at {offset}");
    }
    assert!(!answered.is_empty());
    let brought_back = read_old(&engine, there, 7);
    assert!(brought_back > 0);
    let segments = engine.reader().segments().unwrap();
    let truncated = segments.iter().filter(|segment| segment.is_truncated);
    let truncated = truncated.count();
    assert!(truncated > 0);
    println!(
        "{kills} kills, {acknowledged} ticks acknowledged, {there} there: none lost, none doubled; {} triggers are answered again; old ones are brought back; {truncated} of {} segments are truncated",
        answered.len(),
        segments.len()
    );
}
