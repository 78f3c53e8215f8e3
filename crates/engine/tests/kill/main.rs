//! The kill loop: a process that pushes events, checkpoints all the time, flushes to the lake and truncates
//! the log, and is killed at any moment, again and again. Nothing acknowledged is lost, nothing is doubled, writing
//! goes on, and what is in the hot tier, or has left it, is what the log says.
//!
//! `EVENKEEL_KILLS` is the number of kills (50), `EVENKEEL_SEED` where they fall. A kill
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

use evenkeel_engine::{Engine, Machine, TruncateOptions};
use evenkeel_log::LogOptions;

use ticks::{BATCH_MAX, DEFINITIONS, LIMITS, Ticker, check, mix, number, read_old};

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
        if mix(ticker.next).is_multiple_of(6) {
            truncate(&mut ticker.engine);
        }
        // One that is wrong ends the process.
        read_old(&ticker.engine, ticker.next, ticker.next);
    }
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
    let kills = number("EVENKEEL_KILLS", 50);
    let seed = number("EVENKEEL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("definitions.sql"), DEFINITIONS).unwrap();
    std::fs::write(directory.path().join("evenkeel.toml"), LIMITS).unwrap();
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
    assert!(acknowledged > 0);
    let there = check(directory.path(), acknowledged, 3_000);
    let engine = ticks::open(directory.path());
    let brought_back = read_old(&engine, there, 7);
    assert!(brought_back > 0);
    let segments = engine.reader().segments().unwrap();
    let truncated = segments.iter().filter(|segment| segment.is_truncated);
    let truncated = truncated.count();
    assert!(truncated > 0);
    println!(
        "{kills} kills, {acknowledged} ticks acknowledged, {there} there: none lost, none doubled; old ones are brought back; {truncated} of {} segments are truncated",
        segments.len()
    );
}
