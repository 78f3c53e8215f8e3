//! `evenkeel backfill`: killed or interrupted in the middle it goes on where it was, alone and beside a
//! server, and comes to the end of one that nobody disturbed.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use evenkeel_engine::{Offline, topic_of};
use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::{Project, binary};

const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM payments (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'payments.csv');
CREATE TABLE limits (card BIGINT, most DOUBLE, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at)
  WITH (connector = 'file', path = 'limits.csv');
CREATE FEATURE VIEW spending ENTITY card MATERIALIZED EMIT TO 'spent' AS
SELECT p.card, p.amount, l.most, sum(p.amount) OVER (LAST 2 HOURS) AS spent_2h
FROM payments p ASOF JOIN limits l ON p.card = l.card;
";
/// More than one commit of a backfill looks at.
const PAYMENTS: u64 = 16_000;
const CARDS: u64 = 40;

/// Payments that were loaded before what they look up.
fn project() -> Project {
    let project = Project::empty();
    project.write("evenkeel.toml", "[limits]\nmemory_bytes = 4000000\n");
    project.write("definitions.sql", DEFINITIONS);
    let mut payments = "id,card,amount,at\n".to_owned();
    for n in 0..PAYMENTS {
        let (card, minute) = (n % CARDS, n / 20);
        let (hour, minute) = (minute / 60, minute % 60);
        payments.push_str(&format!(
            "{n},{card},{}.25,2026-01-{:02}T{:02}:{minute:02}:00Z\n",
            n % 90,
            1 + hour / 24,
            hour % 24
        ));
    }
    project.write("payments.csv", &payments);
    let limits = (0..CARDS).map(|card| format!("{card},{card}.5,2025-01-01T00:00:00Z\n"));
    let limits: String = limits.collect();
    project.write("limits.csv", &format!("card,most,at\n{limits}"));
    project.run(&["apply"]).ok();
    project.run(&["ingest", "payments"]).ok();
    project.run(&["ingest", "limits"]).ok();
    project
}

fn emitted(project: &Project) -> u64 {
    let project = evenkeel_engine::Project::open(project.path(), None).unwrap();
    let offline = Offline::open(&project).unwrap();
    let topic = topic_of(offline.catalog(), "spent").unwrap();
    offline.emissions_end(&topic)
}

/// Positions, times, operations, revisions and rows of everything that was emitted.
fn emissions(project: &Project) -> Vec<Json> {
    let run = project
        .run(&["tail", "spent", "--from", "0", "--json"])
        .ok();
    let parts = ["position", "event_time", "operation", "revision", "row"];
    let lines = run.stdout.lines();
    let emissions = lines.map(|line| serde_json::from_str::<Json>(line).unwrap());
    emissions
        .map(|e| parts.iter().map(|part| e[*part].clone()).collect())
        .collect()
}

fn log_bytes(project: &Project) -> u64 {
    let files = std::fs::read_dir(project.path().join(".evenkeel/log")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

/// Begins a backfill, and waits until some of it is logged.
fn begun(project: &Project) -> Child {
    let before = log_bytes(project);
    let mut child = binary()
        .current_dir(project.path())
        .args([
            "backfill",
            "spending",
            "--from",
            "2026-01-01",
            "--to",
            "2026-02-01",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // More than the record that asks for it.
    while log_bytes(project) < before + 4_096 && child.try_wait().unwrap().is_none() {}
    child
}

fn backfill(project: &Project) -> Json {
    let command = [
        "backfill",
        "spending",
        "--from",
        "2026-01-01",
        "--to",
        "2026-02-01",
        "--json",
    ];
    project.run(&command).ok().json()
}

fn counts(report: &Json) -> [u64; 4] {
    ["events", "inserted", "replaced", "removed"].map(|name| report[name].as_u64().unwrap())
}

/// What is emitted if nothing ends it.
fn undisturbed() -> &'static Vec<Json> {
    static EMITTED: OnceLock<Vec<Json>> = OnceLock::new();
    EMITTED.get_or_init(|| {
        let whole = project();
        let report = backfill(&whole);
        assert_eq!(counts(&report), [PAYMENTS, 0, PAYMENTS, 0]);
        assert_eq!(report["resumed"], false);
        let emitted = emissions(&whole);
        assert_eq!(emitted.len() as u64, 2 * PAYMENTS);
        // Asked for again it changes nothing.
        assert_eq!(counts(&backfill(&whole)), [PAYMENTS, 0, 0, 0]);
        assert!(emissions(&whole) == emitted);
        emitted
    })
}

#[test]
fn one_that_was_killed_or_interrupted_goes_on() {
    let project = project();
    let interrupted = begun(&project);
    let pid = interrupted.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let ended = interrupted.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(
        said.contains("the same command goes on where it was"),
        "{said}"
    );
    let mut killed = begun(&project);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let after_kill = emitted(&project);
    assert!(
        (PAYMENTS + 1..=2 * PAYMENTS).contains(&after_kill),
        "{after_kill}"
    );
    let report = backfill(&project);
    // It may have been killed with all of it logged.
    if after_kill < 2 * PAYMENTS {
        assert_eq!(counts(&report), [PAYMENTS, 0, PAYMENTS, 0]);
        assert_eq!(report["resumed"], true);
    }
    assert!(&emissions(&project) == undisturbed());
}

#[test]
fn a_server_goes_on_with_one_by_itself() {
    let project = project();
    let server = Server::start(&project, &[]);
    let mut asking = begun(&project);
    // Who goes away stops the waiting.
    asking.kill().unwrap();
    asking.wait().unwrap();
    server.kill();
    let server = Server::start(&project, &[]);
    // It may have come to its end by itself.
    let report = backfill(&project);
    assert!([0, PAYMENTS].contains(&counts(&report)[2]), "{report}");
    server.stop();
    assert!(&emissions(&project) == undisturbed());
}
