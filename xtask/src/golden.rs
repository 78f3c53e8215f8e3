//! `cargo xtask gen`: the tests that write golden files and pages, and no others.
//!
//! Invariant: a module that is left out here writes none; a test of this file says which does.

use super::{cargo, run};

/// Makes tests write what they expect.
const VARIABLE: &str = "UPDATE_EXPECT";
/// The modules of the command line's tests that write nothing: they kill processes, fill disks, hang, and
/// start databases, which takes minutes.
const WRITE_NOTHING: [&str; 12] = [
    "backfill",
    "captured",
    "comparisons",
    "correct",
    "duckdb",
    "full_disk",
    "functions",
    "ingest",
    "kill",
    "kill_files",
    "read_only",
    "store",
];

pub(crate) fn generate() -> Result<(), String> {
    let mut of_commands = cargo([
        "test",
        "--quiet",
        "--package",
        "evenkeel",
        "--test",
        "it",
        "--",
    ]);
    for module in WRITE_NOTHING {
        of_commands.arg("--skip").arg(format!("{module}::"));
    }
    let of_pages = cargo(["test", "--quiet", "--package", "evenkeel", "--bins"]);
    let of_definitions = cargo([
        "test",
        "--quiet",
        "--package",
        "evenkeel-ddl",
        "--test",
        "it",
        "--",
        "cases::",
        "bind::",
    ]);
    for mut command in [of_commands, of_pages, of_definitions] {
        run(command.env(VARIABLE, "1"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::root;

    /// What writes a golden file, in the words of the tests.
    const WRITES: [&str; 5] = [
        "expect_text(",
        "expect_json(",
        "expect_file(",
        "support::expect(",
        "support::{Project, evenkeel, expect}",
    ];

    #[test]
    fn the_modules_that_are_left_out_write_nothing() {
        let folder = root().join("crates/cli/tests/it");
        let writes = |module: &str| {
            let text = fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
            WRITES.iter().any(|written| text.contains(written))
        };
        let wrong: Vec<&str> = WRITE_NOTHING.into_iter().filter(|m| writes(m)).collect();
        assert!(wrong.is_empty(), "{wrong:?} write golden files");
        // The words are those in use.
        for module in ["commands", "demo", "help", "state_views"] {
            assert!(writes(module), "{module}");
        }
    }
}
