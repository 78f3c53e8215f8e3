//! Runs the binary, and compares with golden files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// A run that ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn new(output: Output) -> Self {
        Run {
            code: output.status.code().expect("the command was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The run, which must have ended well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(
            self.code, 0,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The one object on stdout.
    pub(crate) fn json(&self) -> Json {
        let json: Json = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr));
        assert!(json.is_object());
        json
    }
}

/// The binary, with an environment in which its words are the same everywhere.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// Runs a command line in a folder.
pub(crate) fn evenkeel(folder: &Path, arguments: &[&str]) -> Run {
    Run::new(
        binary()
            .current_dir(folder)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name)
}

/// Compares with a golden file under `tests/it/golden`.
pub(crate) fn expect(name: &str, text: &str) {
    expect_file(&golden(name), text);
}

/// Compares with a file of the repository.
pub(crate) fn expect_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "`{}` is not what is said now; `cargo xtask gen` writes it, then read the difference. \
         Now it is:\n{text}",
        path.display()
    );
}

/// The text without what differs between runs and versions: the folder, digests, wall times,
/// and how well a log with them packs.
pub(crate) fn stable(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "FOLDER");
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if let Some((before, _)) = line.split_once("\"log_bytes\": ") {
            out.push_str(before);
            out.push_str("\"log_bytes\": BYTES,\n");
            continue;
        }
        let wall_time = ["\"visible_at\": \"", "\"logged_at\": \""];
        match wall_time
            .iter()
            .find_map(|key| Some((line.find(key)?, key.len())))
        {
            Some((at, length)) => {
                out.push_str(&line[..at + length]);
                let rest = &line[at + length..];
                out.push_str("TIME");
                out.push_str(&rest[rest.find('"').unwrap_or(0)..]);
            }
            None => out.push_str(line),
        }
    }
    without_digests(&out)
}

/// Runs of at least 32 hexadecimal digits become `HEX`.
fn without_digests(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() >= 32 { "HEX" } else { &run });
        run.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

/// A project in a temporary folder.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Project {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// What `evenkeel init` writes, applied and with its events logged.
    pub(crate) fn sample() -> Self {
        let project = Project::empty();
        project.run(&["init"]).ok();
        project.run(&["apply"]).ok();
        project.run(&["ingest"]).ok();
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        evenkeel(self.path(), arguments)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs a command with `--json` and compares what it says with a golden file.
    pub(crate) fn expect_json(&self, name: &str, arguments: &[&str], code: i32) {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let run = self.run(&arguments);
        assert_eq!(run.code, code, "{}\n{}", run.stdout, run.stderr);
        assert_eq!(run.stderr, "", "with --json there is nothing to say beside");
        run.json();
        expect(
            &format!("json/{name}.json"),
            &stable(&run.stdout, self.path()),
        );
    }

    /// Runs a command and compares both streams with a golden file.
    pub(crate) fn expect_text(&self, name: &str, arguments: &[&str], code: i32) {
        let run = self.run(arguments);
        assert_eq!(run.code, code, "{}\n{}", run.stdout, run.stderr);
        let text = format!(
            "$ evenkeel {}\n{}{}{}",
            arguments.join(" "),
            run.stdout,
            if run.stderr.is_empty() {
                ""
            } else {
                "--- stderr\n"
            },
            run.stderr,
        );
        expect(&format!("text/{name}.txt"), &stable(&text, self.path()));
    }
}
