//! A store under a seed: recorder, readers, checkpoints, merges, read promises and
//! definitions that change, with clients that are impatient, a network that loses, delays and
//! repeats, a disk that fails and fills up, a clock that jumps, and processes that die at any
//! file operation.
//!
//! `EVENKEEL_SEEDS` is the number of runs (150), `EVENKEEL_SEED` the first seed (1);
//! `EVENKEEL_TRACE` prints what happens. See `docs/decisions/0019-simulation.md`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it saw"
)]

mod disk;
mod server;
mod settings;
mod simulation;
mod trace;
mod words;

use std::collections::BTreeMap;

use simulation::{Simulation, Summary};

/// One of so many seeds runs twice.
const TWICE: u64 = 25;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_breaks_a_promise() {
    let first = number("EVENKEEL_SEED", 1);
    let seeds = number("EVENKEEL_SEEDS", 150);
    let aloud = std::env::var_os("EVENKEEL_TRACE").is_some();
    let mut total = Summary::default();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first + seeds {
        let summary = Simulation::new(seed, aloud).run();
        if seed % TWICE == 1 {
            assert_eq!(Simulation::new(seed, false).run(), summary, "seed {seed}");
        }
        total.steps += summary.steps;
        total.starts += summary.starts;
        total.events += summary.events;
        total.values += summary.values;
        for (what, count) in summary.seen {
            *seen.entry(what).or_default() += count;
        }
    }
    println!(
        "seeds {first} to {}: {} steps, {} starts, {} events, {} values; {seen:?}",
        first + seeds - 1,
        total.steps,
        total.starts,
        total.events,
        total.values
    );
}
