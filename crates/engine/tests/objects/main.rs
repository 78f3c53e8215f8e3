//! A lake in an object store that speaks S3: flushed, read across the seam, kept in shape, truncated by; with
//! requests that fail, answers that are lost, a process that is killed at its requests, and a store that is away.
//!
//! A program of its own: it starts a server, and itself as the process that is killed. Names of cases may be given.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what it saw"
)]

mod cases;
mod proxy;
mod server;
mod shop;
#[path = "../workload/ticks.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod ticks;
mod truncated;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use server::ObjectStore;

/// The word with which this program is a process that flushes.
const FLUSH: &str = "flush";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, directory] = arguments.as_slice()
        && word == FLUSH
    {
        shop::flush(&shop::offline(Path::new(directory)));
        return ExitCode::SUCCESS;
    }
    let names: Vec<String> = arguments
        .into_iter()
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted =
        |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let all = cases::ALL.iter().chain(&truncated::ALL);
    let cases: Vec<_> = all.filter(|(name, _)| wanted(name)).collect();
    if cases.is_empty() {
        return ExitCode::SUCCESS;
    }
    let store = match ObjectStore::start() {
        Ok(store) => store,
        Err(missing) => {
            println!("NOT TESTED: a lake in an object store: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    let mut failed = 0;
    for (name, case) in cases {
        let result = catch_unwind(AssertUnwindSafe(|| case(&store)));
        println!(
            "{name} ... {}",
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        failed += u32::from(result.is_err());
    }
    if failed > 0 {
        println!("object store: {failed} failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
