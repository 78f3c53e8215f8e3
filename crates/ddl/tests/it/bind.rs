//! Text cases of the binder: files in `cases/bind`, each a text that all its sections share,
//! then sections behind `--- title`. A section is a project of two files: what is shared and
//! its own text. The `.expected` file beside it has for each section the diagnostics as they
//! are shown and, where there are no errors, what the section defines. A title that starts
//! with `spine` has a spine query, one with `list` a list of features, one to a line. Of a
//! title that starts with `altered` or `changed` what is shared is defined already, and its
//! sources have events; a changed project is the section's text alone.
//! `UPDATE_EXPECT=1` writes the expected files.

mod limits;
mod mutation;
mod project_rules;
mod version;

use std::path::{Path, PathBuf};

use evenkeel_ddl::{
    Change, Diagnostic, FileColumns, FileSource, InFile, Project, ProjectObject, bind,
    bind_feature_list, bind_project, bind_spine_query, describe, parse_spine_query,
    parse_statements,
};
use evenkeel_types::definition::{Catalog, Definition, OptionValue};
use evenkeel_types::{DataType, Field};

use crate::definition;
use crate::models::with_models;

struct Case {
    title: String,
    text: String,
}

/// What the sections of a file share, and the sections.
fn read(path: &Path) -> (String, Vec<Case>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut parts = text.split("\n--- ");
    let shared = parts.next().unwrap().to_owned();
    let cases = parts
        .map(|part| {
            let (title, text) = part.split_once('\n').unwrap_or((part, ""));
            Case {
                title: title.to_owned(),
                text: text.trim_end().to_owned(),
            }
        })
        .collect();
    (shared, cases)
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/bind");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn project(shared: &str, text: &str) -> Project {
    bind_files(
        &[("shared.sql", shared), ("case.sql", text)],
        &Catalog::default(),
    )
}

fn bound(shared: &str, case: &Case) -> Project {
    let is_changed = case.title.starts_with("changed");
    if !is_changed && !case.title.starts_with("altered") {
        return project(shared, &case.text);
    }
    let before = project(shared, "");
    assert!(before.errors.is_empty());
    let after = if is_changed { "" } else { shared };
    let files = [("shared.sql", after), ("case.sql", case.text.as_str())];
    let existing = with_models(&before.catalog);
    bind_project(&files, &existing, &|_| true, &mut columns_of)
}

fn bind_files(files: &[(&str, &str)], existing: &Catalog) -> Project {
    bind_project(files, &with_models(existing), &|_| false, &mut columns_of)
}

/// The files of the cases: `data/orders.csv` and some in which no event time is plain.
fn columns_of(file: &FileSource) -> Result<FileColumns, String> {
    let Some(OptionValue::Text(path)) = file.options.get("path") else {
        return Err("it has no path".to_owned());
    };
    let columns: &[(&str, DataType)] = match path.as_str() {
        "data/orders.csv" => &[
            ("order_id", DataType::String),
            ("Customer", DataType::BigInt),
            ("amount", DataType::Double),
            ("ordered_at", DataType::Timestamp),
        ],
        "data/two_times.csv" => &[
            ("id", DataType::String),
            ("created", DataType::Timestamp),
            ("Changed At", DataType::Timestamp),
        ],
        "data/counted.csv" => &[("id", DataType::String), ("ms", DataType::BigInt)],
        "data/no_time.csv" => &[("id", DataType::String), ("day", DataType::Date)],
        _ => return Err(format!("no file matches `{path}`")),
    };
    let fields = columns.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Ok(FileColumns {
        columns: fields.collect(),
        counted_times: match path.as_str() {
            "data/counted.csv" => vec![("ms".to_owned(), "ms".to_owned())],
            _ => Vec::new(),
        },
    })
}

fn show_all(found: &[InFile], texts: &[&str], out: &mut String) {
    for InFile { file, diagnostic } in found {
        out.push_str(&diagnostic.render(texts[*file], "", false));
        out.push('\n');
    }
}

fn output(shared: &str, case: &Case) -> String {
    let mut out = String::new();
    let text = case.text.as_str();
    if case.title.starts_with("spine") {
        let catalog = project(shared, "").catalog;
        match parse_spine_query(text).map(|query| bind_spine_query(&query, &catalog)) {
            Ok(Ok(spine)) => out.push_str(&definition::spine(&spine)),
            Ok(Err(errors)) | Err(errors) => {
                for error in errors {
                    out.push_str(&error.render(text, "case.sql", false));
                    out.push('\n');
                }
            }
        }
        return out;
    }
    if case.title.starts_with("list") {
        let catalog = project(shared, "").catalog;
        let items: Vec<&str> = text.lines().collect();
        match bind_feature_list(&items, &catalog) {
            Ok(service) => out.push_str(&definition::service(&service)),
            Err(errors) => {
                for (item, error) in errors {
                    out.push_str(&error.render(items[item], "--features", false));
                    out.push('\n');
                }
            }
        }
        return out;
    }
    let bound = bound(shared, case);
    let texts = [shared, text];
    let own: Vec<InFile> = bound.warnings.into_iter().filter(|w| w.file == 1).collect();
    show_all(&bound.errors, &texts, &mut out);
    show_all(&own, &texts, &mut out);
    if bound.errors.is_empty() {
        let is_shown = |o: &&ProjectObject| match o.definition {
            Definition::Source(_) => o.file == 1 || o.change == Change::Changed,
            _ => o.file == 1,
        };
        for object in bound.objects.iter().filter(is_shown) {
            out.push_str(&definition::definition(&object.definition));
            if let Definition::View(view) = &object.definition {
                let words = describe(view);
                out.push_str(&format!("  = {}: {}\n", words.kind, words.reads));
                for line in words.windows.iter().chain(&words.lookups) {
                    out.push_str(&format!("  = {line}\n"));
                }
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn cases_give_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let mut different = Vec::new();
    for path in case_files() {
        let (shared, cases) = read(&path);
        let mut found = String::new();
        for case in &cases {
            found.push_str(&format!("--- {}\n{}", case.title, output(&shared, case)));
        }
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
                .take_while(|(found, expected)| found == expected)
                .count();
            different.push(format!(
                "{} line {}:\n  found    {:?}\n  expected {:?}",
                expected_path.display(),
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

/// Every error has a place in the text and says what to write instead; a section that is
/// called good has none, any other has one.
#[test]
fn errors_have_a_place_and_a_hint() {
    for path in case_files() {
        let (shared, cases) = read(&path);
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let before = project(&shared, "");
        let shown: Vec<String> = before
            .errors
            .iter()
            .map(|e| e.diagnostic.render(&shared, "", false))
            .collect();
        assert!(shown.is_empty(), "{file}: {}", shown.join("\n"));
        for case in &cases {
            let name = format!("{file}: {}", case.title);
            let check = |text: &str, error: &Diagnostic| {
                let place = text.get(error.span.start..error.span.end);
                assert!(place.is_some_and(|p| !p.is_empty()), "{name}: {error:?}");
                assert!(!error.message.ends_with('.'), "{name}: {error}");
                assert!(!error.message.contains("``"), "{name}: {error}");
                assert!(
                    error.hint.as_ref().is_none_or(|h| !h.ends_with('.')),
                    "{name}: {error:?}"
                );
            };
            let mut count = 0;
            if case.title.starts_with("spine") {
                if let Ok(query) = parse_spine_query(&case.text)
                    && let Err(errors) = bind_spine_query(&query, &before.catalog)
                {
                    count = errors.len();
                    errors.iter().for_each(|e| check(&case.text, e));
                }
            } else if case.title.starts_with("list") {
                let items: Vec<&str> = case.text.lines().collect();
                if let Err(errors) = bind_feature_list(&items, &before.catalog) {
                    count = errors.len();
                    errors.iter().for_each(|(i, e)| check(items[*i], e));
                }
            } else {
                let bound = bound(&shared, case);
                count = bound.errors.len();
                for error in &bound.errors {
                    assert_eq!(error.file, 1, "{name}: {error:?}");
                    check(&case.text, &error.diagnostic);
                }
            }
            assert_eq!(
                count == 0,
                case.title.contains("good"),
                "{name}: {count} errors"
            );
        }
    }
}

/// Canonical SQL, parsed and bound again, is the same definition.
#[test]
fn canonical_sql_binds_to_the_same() {
    let mut count = 0;
    for path in case_files() {
        let (shared, cases) = read(&path);
        for case in &cases {
            let others = ["spine", "list", "altered", "changed"];
            if others.iter().any(|o| case.title.starts_with(o)) {
                continue;
            }
            let bound = project(&shared, &case.text);
            if !bound.errors.is_empty() {
                continue;
            }
            let printed: Vec<String> = bound
                .objects
                .iter()
                .map(|o| format!("{};", o.definition.sql()))
                .collect();
            let texts: Vec<(&str, &str)> = printed.iter().map(|p| ("x", p.as_str())).collect();
            let again = bind_files(&texts, &Catalog::default());
            let shown: Vec<String> = again
                .errors
                .iter()
                .map(|e| e.diagnostic.render(texts[e.file].1, "", false))
                .collect();
            assert!(shown.is_empty(), "{}: {}", case.title, shown.join("\n"));
            for (a, b) in bound.objects.iter().zip(&again.objects) {
                assert_eq!(a.definition, b.definition, "{}", case.title);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

/// The project of the demonstration binds, without a warning.
#[test]
fn the_demonstration_binds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder.join("definitions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.display().to_string(), text)
        })
        .collect();
    files.sort();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(n, t)| (n.as_str(), t.as_str()))
        .collect();
    let bound = bind_files(&files, &Catalog::default());
    let shown: Vec<String> = bound
        .errors
        .iter()
        .chain(&bound.warnings)
        .map(|found| found.diagnostic.render(files[found.file].1, "", false))
        .collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    assert!(bound.catalog.views.len() > 5);
    let spine = std::fs::read_to_string(folder.join("spine.sql")).unwrap();
    let query = parse_spine_query(&spine).unwrap();
    let shown: Vec<String> = bind_spine_query(&query, &bound.catalog)
        .err()
        .unwrap_or_default()
        .iter()
        .map(|error| error.render(&spine, "spine.sql", false))
        .collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

/// The first definition from a file freezes its columns.
#[test]
fn columns_of_a_file_are_frozen_by_the_first_definition() {
    let file = |columns: &[(&str, DataType)]| FileColumns {
        columns: columns
            .iter()
            .map(|(name, t)| Field::new(*name, t.clone()))
            .collect(),
        counted_times: Vec::new(),
    };
    let first = [("id", DataType::Int), ("at", DataType::Timestamp)];
    let later = [
        ("id", DataType::String),
        ("created", DataType::Timestamp),
        ("changed", DataType::Timestamp),
    ];
    let text = "CREATE STREAM s FROM FILE 'x.csv';";
    let bound = bind_project(
        &[("a.sql", text)],
        &Catalog::default(),
        &|_| false,
        &mut |_| Ok(file(&first)),
    );
    assert_eq!(bound.errors, []);
    let sql = "CREATE STREAM s (\n  id INT,\n  at TIMESTAMP,\n  EVENT TIME at\n)\n\
               WITH (connector = 'file', path = 'x.csv')";
    assert_eq!(bound.objects[0].definition.sql(), sql);
    assert_eq!(bound.from_files[0].event_time.as_deref(), Some("at"));
    assert!(!bound.from_files[0].is_frozen);

    let existing = bound.catalog;
    let again = |text: &str, now: Result<FileColumns, String>| {
        let bound = bind_project(&[("a.sql", text)], &existing, &|_| false, &mut |_| {
            now.clone()
        });
        assert_eq!(bound.errors, []);
        bound
    };
    // The same file, a changed one and one that is gone: nothing changes.
    for (now, differs) in [
        (Ok(file(&first)), false),
        (Ok(file(&later)), true),
        (Err("no file".to_owned()), false),
    ] {
        let bound = again(text, now);
        assert_eq!(bound.objects[0].definition.sql(), sql);
        assert_eq!(bound.objects[0].change, evenkeel_ddl::Change::Unchanged);
        assert!(bound.from_files[0].is_frozen);
        assert_eq!(bound.warnings.len(), usize::from(differs));
    }
    // The warning says what is different, and the statement that would take it is there
    // where its event time is plain.
    let one_time = [
        ("id", DataType::String),
        ("at", DataType::Timestamp),
        ("n", DataType::Int),
    ];
    let bound = again(text, Ok(file(&one_time)));
    let message = &bound.warnings[0].diagnostic.message;
    assert!(
        message.contains("`id` is STRING, frozen as INT; `n` INT is new"),
        "{message}"
    );
    let now = bound.from_files[0].now.as_deref().unwrap();
    assert!(
        now.contains("id STRING,\n  at TIMESTAMP,\n  n INT"),
        "{now}"
    );
    // Clauses may change and columns may be written: the rest stays frozen.
    let text = "CREATE STREAM s (id BIGINT, EVENT TIME at, KNOWN AT at) FROM FILE 'x.csv';";
    let bound = again(text, Ok(file(&first)));
    assert_eq!(bound.objects[0].change, evenkeel_ddl::Change::Changed);
    assert!(
        bound.objects[0]
            .definition
            .sql()
            .contains("id BIGINT,\n  at TIMESTAMP")
    );
    assert_eq!(bound.warnings, []);
    // Another file, or the same read in another way, is inferred anew.
    for text in [
        "CREATE STREAM s FROM FILE 'y.csv';",
        "CREATE STREAM s FROM FILE 'x.csv' WITH (null = 'NA');",
    ] {
        let bound = again(text, Ok(file(&one_time)));
        assert!(bound.objects[0].definition.sql().contains("id STRING"));
        assert!(!bound.from_files[0].is_frozen);
    }
}

fn definition_of(text: &str, catalog: &Catalog, existing: &Catalog) -> Definition {
    let (statements, errors) = parse_statements(text);
    assert_eq!(errors, []);
    let bound = bind(&statements[0], catalog, existing);
    let bound = bound.unwrap_or_else(|e| panic!("{}", e[0].render(text, "", false)));
    bound.definition
}
