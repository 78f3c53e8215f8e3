//! `cargo xtask VERB`: the developer's commands. CI runs `check` and `test`, exactly these.
//!
//! Knows cargo and pip, and no crate of the workspace. Every verb works on the whole
//! workspace, so that there is one set of features and nothing is built twice.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool: it says what it does"
)]

mod edges;
mod golden;
mod planted;
mod python;
mod services;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask VERB

  check   formatting, lints, the allowed edges between crates
  test    all tests; installs what the comparison tests need under target/ (needs python3)
  python  the tests in Python alone; arguments go to pytest
  demo    the demo, in release
  bench   the benchmarks of bench/, beside DuckDB: all, or the one named (needs python3)
  planted bugs that a test must notice: lists them, or plants those named (or `all`) in a copy
  gen     rewrites golden files and the generated pages of docs/
";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let result = match verb.to_str() {
        Some("check") => check(),
        Some("test") => test(&rest),
        Some("python") => python_tests(&rest),
        Some("demo") => demo(&rest),
        Some("bench") => bench(&rest),
        Some("gen") => generate(),
        Some("planted") => planted(&rest),
        Some("" | "help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("there is no verb `{}`\n\n{HELP}", verb.display())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    edges::check(&root())?;
    run(cargo(["fmt", "--all", "--", "--check"]))?;
    run(cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn test(rest: &[OsString]) -> Result<(), String> {
    let python = python::environment(&root())?;
    services::install();
    let mut command = cargo(["test", "--workspace"]);
    if !rest.is_empty() {
        // Behind the dashes: cargo would take a name for a wish to build every test target,
        // that of the extension module, too, which only an interpreter can link.
        command.arg("--").args(rest);
    }
    if let Some(folder) = services::hadoop(&root(), &python) {
        command.env(services::HADOOP, folder);
    }
    if let Some(folder) = services::mysql(&root()) {
        command.env(services::MYSQL, folder);
    }
    run(command.env(python::VARIABLE, &python))?;
    // Arguments are for the tests in Rust.
    if rest.is_empty() {
        python::test(&root(), &python, &[])?;
    }
    Ok(())
}

fn python_tests(rest: &[OsString]) -> Result<(), String> {
    let python = python::environment(&root())?;
    python::test(&root(), &python, rest)
}

/// Without arguments all of them.
fn bench(rest: &[OsString]) -> Result<(), String> {
    let interpreter = python::environment(&root())?;
    let mut command = Command::new(&interpreter);
    command.arg(root().join("bench").join("run"));
    if rest.is_empty() {
        command.arg("all");
    }
    run(command.args(rest).env(python::VARIABLE, &interpreter))
}

fn demo(rest: &[OsString]) -> Result<(), String> {
    run(cargo([
        "run",
        "--release",
        "--quiet",
        "--package",
        "evenkeel",
        "--",
        "demo",
    ])
    .args(rest))
}

fn planted(rest: &[OsString]) -> Result<(), String> {
    let names: Vec<String> = rest
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    planted::run(&root(), &names)
}

fn generate() -> Result<(), String> {
    golden::generate()
}

/// The workspace's folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What cargo says of this program is no matter of what it builds: a build script that asks for
    // it (ring's) would run again, and everything that depends on it would be built again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command; its failure is an error that names it.
fn run(command: impl std::borrow::BorrowMut<Command>) -> Result<(), String> {
    let mut command = command;
    let command = command.borrow_mut();
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    eprintln!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("cannot run `{line}`: {error}")),
    }
}
