//! What of a function is recorded: the texts of its modules, and the versions of the packages that
//! they import.
//!
//! Nothing of the project is executed here: a script that is compiled in reads the syntax trees.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use evenkeel_types::definition::{FrozenFunction, FunctionSpec};
use serde::Deserialize;
use serde_json::json;

use super::worker::command;

const SCRIPT: &str = include_str!("inspect.py");

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    lock: BTreeMap<String, String>,
    refused: Option<String>,
}

/// What a function is made of in a project's folder; its class is not known yet.
pub(super) fn inspect(
    interpreter: &Path,
    root: &Path,
    spec: &FunctionSpec,
) -> Result<FrozenFunction, String> {
    let root = std::path::absolute(root).map_err(|error| error.to_string())?;
    let modules: &[&str] = match spec.is_vectorized {
        // What it gets are its arrays.
        true => &["pyarrow"],
        false => &[],
    };
    let asked = json!({ "root": root, "file": spec.file, "modules": modules });
    let run = || -> std::io::Result<Output> {
        let mut child = command(interpreter, SCRIPT).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that ended says why.
            let _ = input.write_all(asked.to_string().as_bytes());
        }
        child.wait_with_output()
    };
    let output = run().map_err(|error| {
        format!(
            "the interpreter `{}` cannot be started: {error}; name another one with `python` of \
             `[functions]` in `evenkeel.toml`",
            interpreter.display()
        )
    })?;
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
        let told = String::from_utf8_lossy(&output.stderr);
        format!(
            "`{}` cannot read its modules: it needs Python 3.10 or newer\n{}",
            interpreter.display(),
            told.trim()
        )
    })?;
    match answer.refused {
        Some(reason) => Err(reason),
        None => Ok(FrozenFunction {
            source: answer.files.into_iter().collect(),
            lock: answer.lock.into_iter().collect(),
            ..FrozenFunction::default()
        }),
    }
}
