//! The documentation is right: the SQL of the reference pages is checked, the commands of the
//! tutorials are run and their output compared. `UPDATE_EXPECT=1` writes the output.
//!
//! A `console` block holds commands behind `$` with their output (stdout, then stderr). A block
//! tagged `LANGUAGE file=NAME` is a file that the reader is asked to write.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::{Project, evenkeel, expect_file};

pub(crate) fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn sql_of(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(tag) => inside = !inside && tag == "sql",
            None if inside => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    text
}

/// Runs the commands of a page in a folder and compares the page with what it says now.
pub(crate) fn replay(page: &Path, folder: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    let mut now = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        now.push_str(line);
        now.push('\n');
        let Some(tag) = line.strip_prefix("```").filter(|tag| !tag.is_empty()) else {
            continue;
        };
        let mut block = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            block.push(line);
        }
        if tag == "console" {
            now.push_str(&console(&block, folder));
        } else {
            let content: String = block.iter().map(|line| format!("{line}\n")).collect();
            if let Some((_, name)) = tag.split_once(" file=") {
                std::fs::write(folder.join(name), &content).unwrap();
            }
            now.push_str(&content);
        }
        now.push_str("```\n");
    }
    expect_file(page, &now);
}

/// A block with the output that its commands have now.
fn console(block: &[&str], folder: &Path) -> String {
    let mut now = String::new();
    let mut lines = block.iter().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("$ ") else {
            continue;
        };
        now.push_str(line);
        now.push('\n');
        let mut command = first.to_owned();
        while let Some(part) = command.strip_suffix('\\') {
            let next = lines.next().expect("a line goes on after `\\`");
            now.push_str(next);
            now.push('\n');
            command = format!("{part} {next}");
        }
        let words = words(&command);
        let (program, arguments) = words.split_first().unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match program.as_str() {
            "evenkeel" => {
                let run = evenkeel(folder, &arguments);
                now.push_str(&run.stdout);
                now.push_str(&run.stderr);
            }
            "cat" => now.push_str(&std::fs::read_to_string(folder.join(arguments[0])).unwrap()),
            other => panic!("a page runs `{other}`"),
        }
        while lines.peek().is_some_and(|line| !line.starts_with("$ ")) {
            lines.next();
        }
        if lines.peek().is_some() {
            now.push('\n');
        }
    }
    // Blanks at the ends of lines would be lost in editors.
    now.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// The words of a command line, as a shell reads them: quotes, no more.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_sql_of_the_pages_is_right() {
    for name in ["docs/sql.md", "docs/windows.md", "docs/cdc.md"] {
        let text = std::fs::read_to_string(page(name)).unwrap();
        let project = Project::empty();
        project.write("page.sql", &sql_of(&text));
        let run = project.run(&["check"]);
        assert_eq!(run.code, 0, "{name}\n{}", run.stderr);
        assert!(!run.stderr.contains("warning"), "{name}\n{}", run.stderr);
    }
}

#[test]
fn the_tutorial_says_what_happens() {
    let project = Project::empty();
    replay(&page("docs/getting-started.md"), project.path());
}

#[test]
fn the_walk_through_of_publishing_says_what_happens() {
    let project = Project::empty();
    replay(&page("docs/publishing.md"), project.path());
}

#[test]
fn the_walk_through_of_models_says_what_happens() {
    let project = Project::empty();
    let model = page("docs/models/risk.onnx");
    std::fs::copy(model, project.path().join("risk.onnx")).unwrap();
    replay(&page("docs/models.md"), project.path());
}

/// Whether functions in Python can run; if not, that is said.
pub(crate) fn has_python() -> bool {
    let named = std::env::var_os("EVENKEEL_PYTHON").is_some();
    if !named {
        // Past the harness, which keeps what a passing test prints.
        std::io::stderr()
            .write_all(b"NOT TESTED: `EVENKEEL_PYTHON` is not set; `cargo xtask test` sets it\n")
            .unwrap();
    }
    named
}

#[test]
fn the_page_of_functions_says_what_happens() {
    if has_python() {
        replay(&page("docs/functions.md"), Project::empty().path());
    }
}

#[test]
fn the_walk_through_says_what_happens() {
    if !has_python() {
        return;
    }
    let project = Project::empty();
    let model = page("docs/models/risk.onnx");
    std::fs::copy(model, project.path().join("risk.onnx")).unwrap();
    replay(&page("docs/walkthrough.md"), project.path());
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(
        words("evenkeel train --spine \"SELECT 'x'\"  --out ''"),
        ["evenkeel", "train", "--spine", "SELECT 'x'", "--out", ""]
    );
}
