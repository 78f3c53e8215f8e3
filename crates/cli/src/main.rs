//! The `evenkeel` binary: arguments in, tables or JSON out.
//!
//! Knows what the user types and reads, and nothing of how a value is computed: the engine
//! does that. Errors become words here, once.

mod arguments;
mod clock;
mod command;
mod failure;
mod flights;
mod output;
mod progress;
mod remote;
mod render;
mod session;
mod table;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::{Exit, Failure};
use output::Output;
use session::{Answer, Session};

/// Columns and rows are let go of and taken again all the time, on several threads: the
/// system's allocator gives pages back in between (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error).into(),
    };
    let session = Session::new(&arguments.common);
    let output = session.output;
    command::run(&arguments.command, &session)
        .and_then(|answer| finish(&answer, output))
        .unwrap_or_else(|failure| failure.report(output))
        .into()
}

fn finish(answer: &Answer, output: Output) -> Result<Exit, Failure> {
    if output.is_json() && !answer.json.is_null() {
        // A JSON value always has a text.
        output.data(&serde_json::to_string_pretty(&answer.json).unwrap_or_default())?;
    } else if !output.is_json() && !answer.text.is_empty() {
        output.data(&answer.text)?;
    }
    Ok(answer.exit)
}

/// Help and versions are data; mistakes are explained, with `--json` as JSON.
fn not_understood(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // A reader that goes away (`evenkeel --help | head -1`) has seen enough.
        let _ = error.print();
        return Exit::Done;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        return Failure::usage(message)
            .with_hint("`--help` behind the command explains its options")
            .report(Output::new(true));
    }
    let _ = error.print();
    Exit::Usage
}
