//! Training sets beside DuckDB, value by value, wherever integers decide, and beside exact
//! arithmetic where floats are summed. `cargo xtask test` installs the Python environment and
//! names its interpreter in `EVENKEEL_PYTHON`; without it these tests say so and compare nothing.
//!
//! `EVENKEEL_TRANSACTIONS` may be the absolute path of a larger Parquet file with the columns
//! that `bench/transactions.py` writes.

#![expect(
    clippy::print_stdout,
    reason = "how much was compared, for `--nocapture`"
)]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Project;

const FLIGHTS: &str = "
CREATE ENTITY airport (origin STRING);
CREATE ENTITY aircraft (tailnum STRING);
CREATE ENTITY flight (flight_id BIGINT);

CREATE STREAM departures (
  flight_id BIGINT, origin STRING, tailnum STRING, dep_delay DOUBLE, departed_at TIMESTAMP,
  EVENT ID (flight_id), EVENT TIME departed_at, KNOWN AT departed_at
) WITH (connector = 'file', path = 'departures.parquet');

CREATE STREAM weather (
  origin STRING, observed_at TIMESTAMP, wind_speed DOUBLE, visib DOUBLE,
  EVENT ID (origin), EVENT TIME observed_at, KNOWN AT observed_at
) WITH (connector = 'file', path = 'weather.parquet');

CREATE FEATURE VIEW airport_departures ENTITY airport (origin) AS
SELECT origin,
       count(*)                               OVER last_3h  AS departures_3h,
       count(*) FILTER (WHERE dep_delay > 15) OVER last_3h  AS late_3h,
       min(dep_delay)                         OVER last_3h  AS delay_min_3h,
       max(dep_delay)                         OVER last_3h  AS delay_max_3h,
       count(*)                               OVER last_24h AS departures_24h,
       count(*) FILTER (WHERE dep_delay > 15) OVER last_24h AS late_24h,
       min(dep_delay)                         OVER last_24h AS delay_min_24h,
       max(dep_delay)                         OVER last_24h AS delay_max_24h
FROM departures
WINDOW last_3h AS (LAST 3 HOURS), last_24h AS (LAST 24 HOURS BEFORE);

CREATE FEATURE VIEW aircraft_departures ENTITY aircraft (tailnum) AS
SELECT tailnum, last_value(dep_delay) OVER (ALL HISTORY EXCLUDE GROUP) AS dep_delay_before
FROM departures;

CREATE FEATURE VIEW flight_weather ENTITY flight (flight_id) AS
SELECT d.flight_id, w.wind_speed, w.visib
FROM departures d ASOF JOIN weather w ON d.origin = w.origin;

CREATE FEATURE SERVICE compared AS
  airport_departures (*), aircraft_departures (*), flight_weather (*);
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn interpreter() -> Option<OsString> {
    let interpreter = std::env::var_os("EVENKEEL_PYTHON");
    if interpreter.is_none() {
        // Past the capture of what a test that passes prints.
        std::io::stderr()
            .write_all(b"NOT COMPARED: `EVENKEEL_PYTHON` is not set; `cargo xtask test` sets it\n")
            .unwrap();
    }
    interpreter
}

/// Runs a script of the repository; what it prints is shown if it fails.
fn python(interpreter: &OsString, script: &str, arguments: &[&str]) {
    let output = Command::new(interpreter)
        .arg(repository().join(script))
        .args(arguments)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script} {arguments:?} failed:\n{stdout}{stderr}"
    );
    println!("{stdout}");
}

fn compare(interpreter: &OsString, command: &str, project: &Project, more: &[&str]) {
    let folder = project.path().to_str().unwrap();
    let script = "crates/cli/tests/it/compare_duckdb.py";
    python(interpreter, script, &[&[command, folder], more].concat());
}

fn apply_and_ingest(project: &Project) {
    project.run(&["apply"]).ok();
    let ingested = project.run(&["ingest", "--json"]).ok().json();
    for source in ingested["sources"].as_array().unwrap() {
        assert_eq!(source["recorded"], source["rows"], "{source}");
        assert_eq!(source["conflicts"], 0, "{source}");
    }
}

/// Counts, rates and sums of cents over 1, 7 and 30 days; labels that are known a week late,
/// spelled as windows that end a week ago and as a stream that is known a week late.
#[test]
fn fraud_windows_are_those_of_duckdb() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let project = Project::empty();
    for name in ["evenkeel.toml", "definitions.sql"] {
        let from = repository().join("bench/fraud").join(name);
        fs::copy(from, project.path().join(name)).unwrap();
    }
    let transactions = project.path().join("transactions.parquet");
    match std::env::var_os("EVENKEEL_TRANSACTIONS") {
        Some(file) => {
            fs::copy(file, transactions).unwrap();
        }
        None => {
            let size = "--customers=150 --terminals=300 --days=75 --radius=20 --seed=1 --out";
            let mut arguments: Vec<&str> = size.split(' ').collect();
            arguments.push(transactions.to_str().unwrap());
            python(&interpreter, "bench/transactions.py", &arguments);
        }
    }
    compare(&interpreter, "fraud-spine", &project, &[]);
    apply_and_ingest(&project);
    for (service, knowledge, out) in [
        ("fraud_model", "latest", "latest.parquet"),
        ("fraud_model_labels", "as_served", "served.parquet"),
        ("fraud_model_labels", "latest", "labels_latest.parquet"),
    ] {
        let spine = ["--spine", "spine.parquet", "--knowledge", knowledge];
        project
            .run(&[&["train", service, "--out", out][..], &spine].concat())
            .ok();
    }
    compare(&interpreter, "fraud", &project, &[]);
    let verified = project
        .run(&["verify", "--json", "--values", "20000"])
        .ok()
        .json();
    assert_eq!(verified["mismatches"], 0);
    assert!(verified["values_checked"].as_u64().unwrap() >= 20_000);
}

/// A year of departures: windows with and without the events at `t`, filters, extremes, the
/// last value, and an as-of look-up.
#[test]
fn flights_are_those_of_duckdb() {
    let Some(interpreter) = interpreter() else {
        return;
    };
    let project = Project::empty();
    project.write(
        "evenkeel.toml",
        "name = \"flights\"\ndefinitions = [\"*.sql\"]\n",
    );
    project.write("flights.sql", FLIGHTS);
    let raw = repository().join("demo/data/raw");
    compare(
        &interpreter,
        "flights-data",
        &project,
        &[raw.to_str().unwrap()],
    );
    apply_and_ingest(&project);
    project
        .run(&[
            "train",
            "compared",
            "--spine",
            "spine.parquet",
            "--out",
            "train.parquet",
        ])
        .ok();
    compare(&interpreter, "flights", &project, &[]);
}
