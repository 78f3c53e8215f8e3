//! The kill loop: a process that pushes events, checkpoints all the time, flushes to the lake and truncates
//! the log, and is killed at any moment, again and again. Nothing acknowledged is lost, nothing is doubled, writing
//! goes on, and what is in the hot tier, or has left it, is what the log says. A derived stream has emitted for every
//! tick, once, one with a timer for every tick that is due, and periods of a third are made again; what was answered to
//! a trigger is answered again.
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
use evenkeel_engine::{
    Asked, BackfillRequest, Engine, Machine, ResultId, TriggerResult, TruncateOptions,
};
use evenkeel_log::LogOptions;
use evenkeel_types::codec::encode_values;
use evenkeel_types::{EventTime, Position, Value};

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
CREATE STREAM kept AS SELECT t.n, t.part, p.n AS before
FROM ticks t ASOF JOIN ticks p MATCH_CONDITION (t.at > p.at) ON t.part = p.part;
CREATE STREAM due AS SELECT t.n, t.part FROM ticks t AFTER INTERVAL '7' SECOND;
CREATE FEATURE VIEW kept_of_part ENTITY part AS
SELECT part, count(*) OVER (ALL HISTORY) AS kept, sum(before) OVER (ALL HISTORY) AS before FROM kept;
CREATE FEATURE VIEW due_of_part ENTITY part AS
SELECT part, count(*) OVER (ALL HISTORY) AS due, sum(n) OVER (ALL HISTORY) AS total FROM due;
CREATE FEATURE SERVICE later_model VERSION 1 AS kept_of_part (*), due_of_part (*);
";
const PARTS: i64 = 37;
/// Of `AFTER`, in microseconds.
const AFTER: i64 = 7_000_000;

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
        evaluated_max: 5,
        places_max: 80,
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
        if mix(ticker.next).is_multiple_of(4) {
            let end = ticks::time(ticker.next);
            let from = EventTime(end - 60_000_000).to_string();
            backfill(&mut ticker.engine, Some(&from));
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

/// Makes what was kept since a time again, by what is known now; how many rows were others.
fn backfill(engine: &mut Engine, from: Option<&str>) -> u64 {
    let request = BackfillRequest::of(engine.catalog(), "kept", from, None).unwrap();
    let goes_on = &mut |_: &str, _, _| ControlFlow::Continue(());
    let report = engine.backfill(&request, goes_on).unwrap();
    // There is a row of every tick before.
    assert_eq!((report.inserted, report.removed), (0, 0));
    report.replaced
}

/// What a service answers of all parts, summed up by column.
fn sums(engine: &Engine, service: &str) -> Vec<i64> {
    let request = GetRequest {
        service: engine.service(service).unwrap(),
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
    (0..answer.features.len()).map(sum).collect()
}

/// There is a lap of every tick, and none twice; what was kept is what the laps are once all of it is made again;
/// and what is due was emitted, once. Answers how many rows were others.
fn check_laps(engine: &mut Engine, there: u64) -> u64 {
    assert!(!engine.is_emission_stuck());
    let number = |n: u64| n as i64;
    let laps = sums(engine, "lap_model");
    let total = number(there * (there - 1) / 2);
    assert_eq!(laps[..2], [number(there), total]);
    assert_eq!(sums(engine, "later_model")[0], number(there));
    let replaced = backfill(engine, None);
    let greatest = (0..there).map(ticks::time).max().unwrap();
    let is_due = |n: &u64| ticks::time(*n) + AFTER < greatest;
    let due: Vec<u64> = (0..there).filter(is_due).collect();
    let found = sums(engine, "later_model");
    let (count, total) = (number(due.len() as u64), number(due.iter().sum()));
    assert_eq!(found, [number(there), laps[2], count, total]);
    replaced
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
    let mut engine = ticks::open(directory.path());
    let ticks = ticks::ticks(&engine);
    let replaced = check_laps(&mut engine, ticks);
    assert!(replaced > 0);
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
