//! A lake in an object store that speaks S3, and in HDFS: flushed, read across the seam, kept in shape, truncated by; with
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
mod of_hdfs;
mod proxy;
mod refusals;
mod server;
mod shop;
#[path = "../workload/ticks.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod ticks;
mod truncated;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use server::{ObjectStore, Speaks};

/// The word with which this program is a process that flushes.
const FLUSH: &str = "flush";
/// The word with which it is one that is refused, and says how.
const REFUSED: &str = "refused";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, directory] = arguments.as_slice() {
        let offline = || shop::offline(Path::new(directory));
        if word == FLUSH {
            shop::flush(&offline());
            return ExitCode::SUCCESS;
        }
        if word == REFUSED {
            let error = shop::flush_error(&offline());
            println!("{} {:?}", shop::in_words(&error), error.kind());
            return ExitCode::SUCCESS;
        }
    }
    let names: Vec<String> = arguments
        .into_iter()
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted =
        |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let mut failed = 0;
    for speaks in [Speaks::S3, Speaks::Hdfs] {
        let all = cases::ALL.iter().chain(&refusals::ALL);
        let of_its_own: &[cases::Case] = match speaks {
            Speaks::S3 => &[],
            Speaks::Hdfs => &of_hdfs::ALL,
        };
        let named = all
            .chain(&truncated::ALL)
            .chain(of_its_own)
            .map(|(name, case)| (format!("{} {name}", speaks.name()), case));
        let cases: Vec<_> = named.filter(|(name, _)| wanted(name)).collect();
        if cases.is_empty() {
            continue;
        }
        let store = match ObjectStore::start(speaks) {
            Ok(store) => store,
            Err(missing) => {
                println!("NOT TESTED: a lake in {}: {missing}", speaks.name());
                continue;
            }
        };
        for (name, case) in cases {
            let result = catch_unwind(AssertUnwindSafe(|| case(&store)));
            println!(
                "{name} ... {}",
                if result.is_ok() { "ok" } else { "FAILED" }
            );
            failed += u32::from(result.is_err());
        }
    }
    if failed > 0 {
        println!("object stores: {failed} failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
