//! Text cases: each `.sql` file beside an `.expected` file with the statements as canonical
//! SQL and the diagnostics as they are shown. `UPDATE_EXPECT=1` writes the expected files.

use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};

use evenkeel_ddl::{Diagnostic, parse_spine_query, parse_statements};

/// What a tree is but for its spans.
pub(crate) fn without_spans(tree: &impl Debug) -> String {
    let text = format!("{tree:?}");
    let mut kept = String::new();
    for (index, part) in text.split('@').enumerate() {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_span = index > 0 && rest.len() < part.len() && rest.starts_with("..");
        kept.push_str(if is_span {
            rest[2..].trim_start_matches(|c: char| c.is_ascii_digit())
        } else {
            part
        });
    }
    kept
}

pub(crate) fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parse");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    files
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn show(out: &mut String, parsed: &[impl Display], wrong: &[Diagnostic], text: &str, file: &str) {
    for item in parsed {
        out.push_str(&format!("{item}\n\n"));
    }
    for diagnostic in wrong {
        out.push_str(&diagnostic.render(text, file, false));
        out.push('\n');
    }
}

/// The output for a file, and what was printed of its trees.
fn output(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let file = name_of(path);
    let mut out = String::new();
    if !file.starts_with("spine_") {
        let (statements, wrong) = parse_statements(&text);
        show(&mut out, &statements, &wrong, &text, &file);
        return out;
    }
    for query in text.split("---\n") {
        match parse_spine_query(query) {
            Ok(spine) => show(&mut out, &[spine], &[], query, &file),
            Err(wrong) => show(&mut out, &[""; 0], &wrong, query, &file),
        }
    }
    out
}

#[test]
fn files_give_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let mut different = Vec::new();
    for path in case_files() {
        let found = output(&path);
        let expected_path = path.with_extension("expected");
        if update {
            std::fs::write(&expected_path, &found).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            let line = found
                .lines()
                .zip(expected.lines())
                .position(|(found, expected)| found != expected)
                .unwrap_or(found.lines().count().min(expected.lines().count()));
            different.push(format!(
                "{} line {}:\n  found    {:?}\n  expected {:?}",
                name_of(&expected_path),
                line + 1,
                found.lines().nth(line),
                expected.lines().nth(line),
            ));
        }
    }
    assert!(
        different.is_empty(),
        "write the expected files with UPDATE_EXPECT=1 and read the difference:\n{}",
        different.join("\n")
    );
}

#[test]
fn good_files_are_good_and_bad_files_are_bad() {
    for path in case_files() {
        let file = name_of(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        if file.starts_with("spine_") {
            for query in text.split("---\n") {
                let is_good = parse_spine_query(query).is_ok();
                assert_eq!(is_good, file == "spine_good.sql", "{file}: {query}");
            }
            continue;
        }
        let (statements, wrong) = parse_statements(&text);
        if file.starts_with("bad_") {
            assert!(!wrong.is_empty(), "{file}");
        } else {
            let shown: Vec<_> = wrong
                .iter()
                .map(|diagnostic| diagnostic.render(&text, &file, false))
                .collect();
            assert!(shown.is_empty(), "{}", shown.join("\n"));
            assert!(!statements.is_empty(), "{file}");
        }
    }
}

#[test]
fn what_is_printed_parses_to_the_same_tree() {
    for path in case_files() {
        let file = name_of(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        if file.starts_with("spine_") {
            for spine in text
                .split("---\n")
                .filter_map(|q| parse_spine_query(q).ok())
            {
                let again = parse_spine_query(&spine.to_string()).unwrap();
                assert_eq!(without_spans(&again), without_spans(&spine));
                assert_eq!(again.to_string(), spine.to_string());
            }
            continue;
        }
        for statement in parse_statements(&text).0 {
            let printed = statement.to_string();
            let (again, wrong) = parse_statements(&printed);
            assert_eq!(wrong, [], "{file}:\n{printed}");
            assert_eq!(again.len(), 1, "{file}:\n{printed}");
            assert_eq!(
                without_spans(&again[0]),
                without_spans(&statement),
                "{file}:\n{printed}"
            );
            assert_eq!(again[0].to_string(), printed);
        }
    }
}
