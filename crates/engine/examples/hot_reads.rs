//! How long single reads in process take, of keys of which nothing is in memory, and of the same
//! keys again: `hot_reads FOLDER SERVICE AS_OF TIMES`, with the keys on stdin, a whole number per
//! line. `AS_OF` is in microseconds; each key is read once, then all of them `TIMES` times more.
//! Prints one JSON object.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::error::Error;
use std::time::Instant;

use evenkeel_engine::{Engine, Project, ReadPlan};
use evenkeel_types::{EventTime, Knowledge, Status, Value};
use serde_json::{Value as Json, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, service, as_of, times] = arguments.as_slice() else {
        return Err("hot_reads FOLDER SERVICE AS_OF TIMES < KEYS".into());
    };
    let (as_of, times) = (EventTime(as_of.parse()?), times.parse::<usize>()?);
    let mut keys = Vec::new();
    for line in std::io::stdin().lines() {
        keys.push(vec![vec![Value::BigInt(line?.trim().parse()?)]]);
    }
    let engine = Engine::open(&Project::open(folder.as_ref(), None)?)?;
    let plan = ReadPlan::new(engine.service(service)?);
    let knowledge = Knowledge {
        cut: engine.cut(),
        known_at: None,
    };
    let read_all = |times: usize| -> Result<(Vec<u64>, usize), Box<dyn Error>> {
        let (mut nanos, mut present) = (Vec::with_capacity(times * keys.len()), 0);
        for rows in (0..times).flat_map(|_| &keys) {
            let start = Instant::now();
            let answers = engine.read(&plan, rows, as_of, &knowledge)?;
            nanos.push(u64::try_from(start.elapsed().as_nanos())?);
            present += answers
                .features()
                .filter(|feature| feature.status(0) == Status::Present)
                .count();
        }
        Ok((nanos, present))
    };
    let first = read_all(1)?;
    let again = read_all(times)?;
    println!(
        "{}",
        json!({"first": report(first), "again": report(again), "features": plan.features().len()})
    );
    Ok(())
}

/// Percentiles in microseconds, and how many values there were.
fn report((mut nanos, present): (Vec<u64>, usize)) -> Json {
    nanos.sort_unstable();
    let mut report = json!({"reads": nanos.len(), "values_present": present});
    for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
        let at = ((nanos.len() as f64 * share) as usize).min(nanos.len().saturating_sub(1));
        report[name] = nanos.get(at).map_or(Json::Null, |n| json!(*n as f64 / 1e3));
    }
    report
}
