//! Tables of a real MariaDB and of a real MySQL, captured: what the store has is what the table was.
//!
//! A program of its own: it starts servers, and ends them whatever happens. Parts of names of cases may be
//! given (`mysql::`, `killed`); `EVENKEEL_SEED` seeds those that choose.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what it saw"
)]

mod cases;
mod database;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};

use database::{Database, Product};

/// Where the account's password is looked for.
const PASSWORD: &str = "EVENKEEL_CAPTURE_PASSWORD";

fn main() -> ExitCode {
    if std::env::var_os(PASSWORD).is_none() {
        return again_with_password();
    }
    if std::env::var_os(world::CHILD).is_some() {
        return world::child();
    }
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut failed = 0;
    for product in [Product::MariaDb, Product::MySql] {
        failed += run(product, &names);
    }
    if failed > 0 {
        println!("databases: {failed} failed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the cases of a database; how many failed.
fn run(product: Product, names: &[String]) -> u32 {
    let full = |name: &str| format!("{}::{name}", product.name());
    let wanted = |name: &str| {
        names.is_empty() || names.iter().any(|part| full(name).contains(part.as_str()))
    };
    let cases: Vec<_> = cases::of(product)
        .filter(|(name, _)| wanted(name))
        .collect();
    if cases.is_empty() {
        return 0;
    }
    let database = match Database::start(product) {
        Ok(database) => database,
        Err(missing) => {
            println!("{}: not run, {missing}", product.title());
            return 0;
        }
    };
    let mut failed = 0;
    for (name, case) in cases {
        let result = catch_unwind(AssertUnwindSafe(|| case(&database)));
        println!(
            "{} ... {}",
            full(name),
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        failed += u32::from(result.is_err());
    }
    failed
}

/// Passwords come from the environment.
fn again_with_password() -> ExitCode {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    let status = command
        .args(std::env::args_os().skip(1))
        .env(PASSWORD, "secret")
        .status();
    if status.is_ok_and(|status| status.success()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
