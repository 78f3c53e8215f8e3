//! Text cases of the binder: files in `cases/bind`, each a text that all its sections share,
//! then sections behind `--- title`. A section is a project of two files: what is shared and
//! its own text. The `.expected` file beside it has for each section the diagnostics as they
//! are shown and, where there are no errors, what the section defines. A title that starts
//! with `spine` has a spine query, one with `list` a list of features, one to a line. Of a
//! title that starts with `altered` or `changed` what is shared is defined already, and its
//! sources have events; a changed project is the section's text alone.
//! `UPDATE_EXPECT=1` writes the expected files.

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

mod version {
    use super::*;

    const SOURCE: &str = "CREATE STREAM s (k STRING, x INT COMMENT 'c', at TIMESTAMP,
        EVENT TIME at LATENESS INTERVAL '1' HOUR)
        WITH (connector = 'file', path = 'a.csv', format = 'csv') COMMENT 'c'";
    const VIEW: &str =
        "CREATE FEATURE VIEW v ENTITY e AS SELECT k, sum(x) OVER (LAST 3 HOURS) AS total FROM s";

    fn project_of(source: &str, view: &str, existing: &Catalog) -> Project {
        let text = format!("CREATE ENTITY e (k STRING);\n{source};\n{view};");
        let bound = bind_files(&[("a.sql", &text)], existing);
        let shown: Vec<String> = bound
            .errors
            .iter()
            .map(|e| e.diagnostic.render(&text, "", false))
            .collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
        bound
    }

    fn changes(project: &Project) -> Vec<(String, evenkeel_ddl::Change)> {
        project
            .objects
            .iter()
            .map(|o| (o.definition.name().to_owned(), o.change))
            .collect()
    }

    #[test]
    fn a_view_gets_a_new_version_when_a_value_can_change() {
        use evenkeel_ddl::Change::{Changed, Described, New, Unchanged};
        let first = project_of(SOURCE, VIEW, &Catalog::default());
        let named = |changes: [evenkeel_ddl::Change; 3]| {
            let names = ["e", "s", "v"].map(str::to_owned);
            names.into_iter().zip(changes).collect::<Vec<_>>()
        };
        assert_eq!(changes(&first), named([New, New, New]));
        assert_eq!(first.catalog.view("v").unwrap().version, 1);

        let again = project_of(SOURCE, VIEW, &first.catalog);
        assert_eq!(changes(&again), named([Unchanged; 3]));
        assert_eq!(again.catalog.view("v").unwrap().version, 1);

        // What describes changes no value.
        for (source, view) in [
            (
                SOURCE.replace("COMMENT 'c'", "COMMENT 'd'"),
                VIEW.to_owned(),
            ),
            (SOURCE.replace("a.csv", "b.csv"), VIEW.to_owned()),
            (SOURCE.replace("'1' HOUR", "'2' HOUR"), VIEW.to_owned()),
            (
                SOURCE.replace("'csv') COMMENT 'c'", "'csv') OWNER 'o' TAGS ('a' = 'b')"),
                VIEW.to_owned(),
            ),
            (
                SOURCE.to_owned(),
                VIEW.replace(
                    "VIEW v",
                    "VIEW v (total COMMENT 'c' DEFAULT 0 EXPECT (total >= 0))",
                ),
            ),
            (
                SOURCE.to_owned(),
                VIEW.replace("ENTITY e AS", "ENTITY e COMMENT 'c' OWNER 'o' AS"),
            ),
        ] {
            let other = project_of(&source, &view, &first.catalog);
            assert!(
                !changes(&other).iter().any(|(_, c)| *c == Changed),
                "{source} {view}"
            );
            assert!(
                changes(&other).iter().any(|(_, c)| *c == Described),
                "{source} {view}"
            );
            assert_eq!(other.catalog.view("v").unwrap().version, 1);
        }

        // What can change a value changes the view and what depends on it.
        for (source, view) in [
            (SOURCE.replace("x INT", "x BIGINT"), VIEW.to_owned()),
            (
                SOURCE.replace("'csv') COMMENT 'c'", "'csv') WHERE x > 0 COMMENT 'c'"),
                VIEW.to_owned(),
            ),
            (
                SOURCE.replace("format = 'csv'", "zone = 'Europe/Berlin'"),
                VIEW.to_owned(),
            ),
            (SOURCE.to_owned(), VIEW.replace("3 HOURS", "4 HOURS")),
            (SOURCE.to_owned(), VIEW.replace("sum(x)", "sum(x + 1)")),
        ] {
            let other = project_of(&source, &view, &first.catalog);
            assert_eq!(
                changes(&other)[2],
                ("v".to_owned(), Changed),
                "{source} {view}"
            );
            assert_eq!(other.catalog.view("v").unwrap().version, 2, "{source}");
            assert_ne!(
                other.catalog.view("v").unwrap().digest,
                first.catalog.view("v").unwrap().digest
            );
            // The older version stays readable.
            assert_eq!(
                other.catalog.view_version("v", 1).unwrap().digest,
                first.catalog.view("v").unwrap().digest
            );
        }
    }

    #[test]
    fn sources_keep_their_numbers() {
        let first = project_of(SOURCE, VIEW, &Catalog::default());
        let id = first.catalog.sources["s"].id;
        let other = "CREATE STREAM a (k STRING, at TIMESTAMP, EVENT TIME at);";
        let second = project_of(&format!("{other}{SOURCE}"), VIEW, &first.catalog);
        assert_eq!(second.catalog.sources["s"].id, id);
        assert_ne!(second.catalog.sources["a"].id, id);
        // A number is never given again, even if its source is gone from the files.
        let mut existing = second.catalog.clone();
        existing.sources.remove("a");
        let third = project_of(
            &format!("CREATE STREAM b (k STRING, at TIMESTAMP, EVENT TIME at);{SOURCE}"),
            VIEW,
            &second.catalog,
        );
        assert_eq!(third.removed, [("stream", "a".to_owned())]);
        assert!(
            second
                .catalog
                .sources
                .values()
                .all(|s| s.name == "s" || s.id != third.catalog.sources["b"].id)
        );
    }

    #[test]
    fn an_older_version_can_be_named() {
        let first = project_of(SOURCE, VIEW, &Catalog::default());
        let second = project_of(SOURCE, &VIEW.replace("3 HOURS", "4 HOURS"), &first.catalog);
        let both = format!(
            "{};\nCREATE ON DEMAND FEATURE VIEW d AS SELECT a.total - b.total AS change FROM v@2 a, v@1 b",
            VIEW.replace("3 HOURS", "4 HOURS")
        );
        let third = project_of(SOURCE, &both, &second.catalog);
        let view = third.catalog.view("d").unwrap();
        let evenkeel_types::definition::ViewBody::Composed(body) = &view.body else {
            panic!("{view:?}");
        };
        let versions: Vec<u32> = body.inputs.iter().map(|v| v.version).collect();
        assert_eq!(versions, [2, 1]);
        // Without a store there is no older version to read.
        let (text, existing) = (
            format!("CREATE ENTITY e (k STRING);\n{SOURCE};\n{both};"),
            Catalog::default(),
        );
        let alone = bind_files(&[("a.sql", &text)], &existing);
        assert_eq!(
            alone.errors[0].diagnostic.message,
            "view `v` has no version 2"
        );
        // A view can be made from its own older version.
        let own = "CREATE FEATURE VIEW v ENTITY e AS SELECT k, total + 1 AS total FROM v@1";
        let fourth = project_of(SOURCE, own, &second.catalog);
        assert_eq!(fourth.catalog.view("v").unwrap().version, 3);
    }

    #[test]
    fn a_service_that_changes_under_its_version_is_warned_about() {
        let service = format!("{VIEW};\nCREATE FEATURE SERVICE m AS v (total)");
        let first = project_of(SOURCE, &service, &Catalog::default());
        assert!(first.warnings.is_empty());
        let other = service.replace("3 HOURS", "4 HOURS");
        let second = project_of(SOURCE, &other, &first.catalog);
        assert_eq!(
            second.warnings[0].diagnostic.message,
            "version 1 of the service `m` changes what it answers"
        );
        let newer = other.replace("SERVICE m", "SERVICE m VERSION 2");
        let third = project_of(SOURCE, &newer, &first.catalog);
        assert!(third.warnings.is_empty());
        assert_eq!(third.catalog.services["m"].len(), 2);
    }

    #[test]
    fn one_statement_binds_alone() {
        let mut catalog = Catalog::default();
        for text in ["CREATE ENTITY e (k STRING)", SOURCE, VIEW] {
            let definition = definition_of(text, &catalog, &catalog);
            catalog.add(definition);
        }
        let Definition::View(view) = definition_of(VIEW, &catalog, &catalog) else {
            panic!();
        };
        assert_eq!(view.version, 1);
        assert_eq!(view.as_ref(), catalog.view("v").unwrap().as_ref());
    }
}

mod limits {
    use evenkeel_ddl::{
        COLUMN_PARTS_MAX, FEATURES_MAX, LOOKUPS_MAX, VIEW_DEPTH_MAX, VIEW_READS_MAX, WINDOWS_MAX,
    };

    use super::*;

    const HEAD: &str = "CREATE ENTITY e (k STRING);
        CREATE STREAM s (k STRING, x DOUBLE, at TIMESTAMP, EVENT TIME at);";

    /// The first error of a project, if it has one.
    fn first_error(text: &str) -> Option<String> {
        let text = format!("{HEAD}\n{text}");
        let bound = bind_files(&[("a.sql", &text)], &Catalog::default());
        let first = bound.errors.first()?;
        Some(first.diagnostic.message.clone())
    }

    /// The same text at a limit, which is good, and one beyond it.
    fn check(limit: usize, text: impl Fn(usize) -> String, message: &str) {
        assert_eq!(first_error(&text(limit)), None);
        let found = first_error(&text(limit + 1)).unwrap();
        assert!(found.contains(message), "{found}");
    }

    fn list(count: usize, item: impl Fn(usize) -> String) -> String {
        let items: Vec<String> = (0..count).map(item).collect();
        items.join(", ")
    }

    #[test]
    fn features_windows_and_look_ups_are_limited() {
        check(
            FEATURES_MAX,
            |n| {
                let columns = list(n, |i| format!("x AS x{i}"));
                format!("CREATE FEATURE VIEW v ENTITY e AS SELECT {columns} FROM s;")
            },
            "a view has at most 4096 features",
        );
        check(
            WINDOWS_MAX,
            |n| {
                let columns: Vec<String> = (0..n).map(|i| format!("sum(x + {i}) OVER w")).collect();
                let columns: Vec<String> = columns
                    .chunks(64)
                    .enumerate()
                    .map(|(i, c)| format!("{} AS x{i}", c.join(" + ")))
                    .collect();
                format!(
                    "CREATE FEATURE VIEW v ENTITY e AS SELECT {} FROM s WINDOW w AS (LAST 1 DAY);",
                    columns.join(", ")
                )
            },
            "a view has at most 4096 windows",
        );
        check(
            LOOKUPS_MAX,
            |n| {
                let joins: String = (0..n)
                    .map(|i| format!(" ASOF JOIN s s{i} ON a.k = s{i}.k"))
                    .collect();
                format!("CREATE FEATURE VIEW v ENTITY e AS SELECT a.x FROM s a{joins};")
            },
            "a view has at most 256 look-ups",
        );
    }

    #[test]
    fn views_that_read_views_are_limited() {
        let chain = |n: usize| {
            let mut text = String::from(
                "CREATE FEATURE VIEW v0 ENTITY e AS SELECT sum(x) OVER (LAST 1 DAY) AS y FROM s;",
            );
            for i in 1..=n {
                text.push_str(&format!(
                    "CREATE FEATURE VIEW v{i} ENTITY e AS SELECT y + 1 AS y FROM v{};",
                    i - 1
                ));
            }
            text
        };
        check(VIEW_DEPTH_MAX - 1, chain, "through more than 32 others");
        // Twice as many reads with each view.
        let doubling = |n: usize| {
            let mut text = String::from("CREATE FEATURE VIEW v0 ENTITY e AS SELECT x AS y FROM s;");
            for i in 1..=n {
                text.push_str(&format!(
                    "CREATE FEATURE VIEW v{i} ENTITY e AS SELECT a.y + b.y AS y FROM s ASOF JOIN v{0} a ON s.k = a.k ASOF JOIN v{0} b ON s.k = b.k;",
                    i - 1
                ));
            }
            text
        };
        assert_eq!(VIEW_READS_MAX, 10_000);
        check(12, doubling, "takes 16383 reads of sources");
    }

    #[test]
    fn rows_of_rows_do_not_grow_without_limit() {
        // Twice as large with each view: the expression itself, then the columns together.
        let mut text = String::from("CREATE FEATURE VIEW v0 ENTITY e AS SELECT x AS y FROM s;");
        for i in 1..=20 {
            text.push_str(&format!(
                "CREATE FEATURE VIEW v{i} ENTITY e AS SELECT y + y AS y FROM v{};",
                i - 1
            ));
        }
        let found = first_error(&text).unwrap();
        assert!(found.contains("parts"), "{found}");
        let text: Vec<&str> = text.split_inclusive(';').take(15).collect();
        let copies = list(COLUMN_PARTS_MAX / 30_000, |i| format!("y AS y{i}"));
        let text = format!(
            "{}CREATE FEATURE VIEW w ENTITY e AS SELECT {copies} FROM v14;",
            text.concat()
        );
        let found = first_error(&text).unwrap();
        assert!(found.contains("have at most 1000000 parts"), "{found}");
    }
}

mod project_rules {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        bind_files(files, &Catalog::default())
            .errors
            .iter()
            .map(|e| {
                let text = files[e.file].1;
                let d = &e.diagnostic;
                format!("{}: {} [{}]", files[e.file].0, d.message, d.span.text(text))
            })
            .collect()
    }

    #[test]
    fn statements_may_come_in_any_order_and_file() {
        let service = "CREATE FEATURE SERVICE m AS v (*);";
        let view =
            "CREATE FEATURE VIEW v ENTITY e AS SELECT k, count(*) OVER (LAST 1 HOUR) AS n FROM s;";
        let source =
            "CREATE STREAM s (k STRING, at TIMESTAMP, EVENT TIME at);\nCREATE ENTITY e (k STRING);";
        for files in [
            [("a", service), ("b", view), ("c", source)],
            [("a", source), ("b", view), ("c", service)],
            [("a", view), ("b", service), ("c", source)],
        ] {
            assert_eq!(messages(&files), [""; 0]);
        }
    }

    #[test]
    fn all_errors_of_all_files_are_told_and_none_twice() {
        let found = messages(&[
            ("a", "CREATE ENTITY e (k DOUBLE);\nCREATE ENTITY f (k STRING);\nCREATE ENTITY;"),
            (
                "b",
                "CREATE STREAM s (k STRING, x INT, at TIMESTAMP, EVENT TIME att);
                 CREATE STREAM t (k STRING, x INT, at TIMESTAMP, EVENT TIME at) WITH (conector = 'file');",
            ),
            (
                "c",
                "CREATE FEATURE VIEW v ENTITY e AS SELECT k, count(*) OVER (LAST 1 HOUR) AS n FROM s;
                 CREATE FEATURE VIEW w ENTITY f AS SELECT k, summ(x) OVER (LAST 1 HOUR) AS n FROM t;
                 CREATE FEATURE VIEW x ENTITY f AS SELECT k, sum(y) OVER (LAST 1 HOUR) AS n FROM t;
                 CREATE FEATURE SERVICE m AS v (nothing), w (n), u (*);",
            ),
            (
                "d",
                "CREATE STREAM lost (k STRING, at TIMESTAMP EVENT TIME at);
                 CREATE FEATURE VIEW y ENTITY f AS SELECT count(*) OVER (LAST 1 HOUR) AS n FROM lost;",
            ),
        ]);
        assert_eq!(
            found,
            [
                "a: DOUBLE cannot be a key [DOUBLE]",
                "a: expected the name of the entity, found `;` [;]",
                "b: `s` has no column `att` [att]",
                "b: `conector` is not an option of a source without a connector [conector]",
                "c: there is no aggregate function `summ` [summ]",
                "c: `t` has no column `y` [y]",
                "c: there is no view `u` [u]",
                "d: expected `,` or `)`, found `EVENT` [EVENT]",
            ]
        );
    }

    #[test]
    fn cycles_are_named() {
        let head = "CREATE ENTITY e (k STRING);\nCREATE ON DEMAND FEATURE VIEW";
        let text = format!(
            "{head} a AS SELECT x FROM b;\nCREATE ON DEMAND FEATURE VIEW b AS SELECT x FROM c;\nCREATE ON DEMAND FEATURE VIEW c AS SELECT x FROM a;\nCREATE ON DEMAND FEATURE VIEW d AS SELECT x FROM a;"
        );
        assert_eq!(
            messages(&[("a", &text)]),
            ["a: views read one another in a circle: a → b → c → a [a]"]
        );
        let own = format!("{head} a AS SELECT x FROM a;");
        assert_eq!(messages(&[("a", &own)]), ["a: `a` reads itself [a]"]);
    }

    #[test]
    fn a_name_is_defined_once() {
        let first = "CREATE ENTITY a (k STRING);\n CREATE STREAM a (k STRING, at TIMESTAMP, EVENT TIME at);";
        assert_eq!(
            messages(&[("x", first)]),
            [""; 0],
            "entities are a space of their own"
        );
        let second = "CREATE TABLE a (k STRING, at TIMESTAMP, EVENT TIME at, PRIMARY KEY (k));";
        assert_eq!(
            messages(&[("x", first), ("y", second)]),
            ["y: `a` is defined twice: first at x:2:16 [a]"]
        );
        let both = format!("{first}{second}");
        assert_eq!(messages(&[("x", &both)]), ["x: `a` is defined twice [a]"]);
    }
}

mod mutation {
    use std::collections::BTreeSet;

    use evenkeel_ddl::ast::{Statement, StatementKind};

    use evenkeel_types::definition::{
        LookupTarget, SourceDef, SourceWindows, Trigger, ViewBody, ViewDef, WindowRows,
    };
    use evenkeel_types::{DataType, Expr, ExprKind};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// Every column that an expression reads is there, with the type that it says.
    fn check(expr: &Expr, scope: &[DataType], what: &str) {
        expr.walk(&mut |e| {
            if let ExprKind::Column(slot) = e.kind {
                assert_eq!(scope.get(slot), Some(&e.data_type), "{what}: {expr:?}");
            }
        });
    }

    fn check_windows(windows: &SourceWindows, key: usize, name: &str) -> Vec<DataType> {
        let row = windows.source.row_types();
        assert_eq!(windows.key_columns.len(), key, "{name}");
        for slot in &windows.key_columns {
            assert!(row[*slot].is_key(), "{name}");
        }
        let changes = windows.source.change_types();
        for aggregate in &windows.aggregates {
            let call = &aggregate.call;
            for input in call.args.iter().chain(&call.filter) {
                match aggregate.rows {
                    WindowRows::Changes => check(input, &changes, name),
                    WindowRows::Events | WindowRows::Live => check(input, &row, name),
                }
                let mut is_timeless = true;
                input.walk(&mut |e| is_timeless &= e.kind != ExprKind::ReadTime);
                assert!(is_timeless, "{name}");
            }
        }
        if let Some(filter) = &windows.filter {
            check(filter, &row, name);
        }
        windows
            .aggregates
            .iter()
            .map(|a| a.call.data_type.clone())
            .collect()
    }

    fn types(view: &ViewDef) -> impl Iterator<Item = DataType> + '_ {
        view.features.iter().map(|f| f.data_type.clone())
    }

    /// A bound view can be evaluated: all slots are there with their types, as the layouts of
    /// `definition.rs` say.
    fn check_view(view: &ViewDef) {
        let name = view.name.as_str();
        let key: Vec<DataType> = view.key.iter().map(|k| k.data_type.clone()).collect();
        let names: BTreeSet<&str> = view.features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names.len(), view.features.len(), "{name}");
        assert!(!view.features.is_empty() && view.version > 0);
        let check_key = |source: &SourceDef, slots: &[usize]| {
            let found: Vec<DataType> = slots
                .iter()
                .map(|s| source.row_types()[*s].clone())
                .collect();
            assert_eq!(found, key, "{name}");
        };
        let (scope, columns) = match &view.body {
            ViewBody::Window(body) => {
                check_key(&body.windows.source, &body.windows.key_columns);
                let results = check_windows(&body.windows, key.len(), name);
                assert!(!results.is_empty());
                ([key.clone(), results].concat(), &body.columns)
            }
            ViewBody::Row(body) => {
                let mut scope: Vec<DataType> = Vec::new();
                let sides = match &body.trigger {
                    Trigger::Source(side) => vec![side],
                    Trigger::Full { left, right } => vec![left, right],
                };
                for side in sides {
                    let row = side.source.row_types();
                    check_key(&side.source, &side.key_columns);
                    if let Some(filter) = &side.filter {
                        check(filter, &row, name);
                    }
                    scope.extend(row);
                }
                assert_eq!(scope.len(), body.trigger_width());
                for group in &body.windows {
                    scope.extend(check_windows(group, group.key_columns.len(), name));
                }
                for lookup in &body.lookups {
                    for key in &lookup.keys {
                        check(key, &scope, name);
                    }
                    let wanted: Vec<DataType> = match &lookup.target {
                        LookupTarget::Source {
                            source,
                            key_columns,
                        } => key_columns
                            .iter()
                            .map(|k| source.row_types()[*k].clone())
                            .collect(),
                        LookupTarget::View(view) => {
                            check_view(view);
                            view.key.iter().map(|k| k.data_type.clone()).collect()
                        }
                    };
                    let found: Vec<DataType> =
                        lookup.keys.iter().map(|k| k.data_type.clone()).collect();
                    assert_eq!(found, wanted, "{name}");
                    let own: Vec<DataType> = match &lookup.target {
                        LookupTarget::Source { source, .. } => source.row_types(),
                        LookupTarget::View(view) => types(view).collect(),
                    };
                    assert_eq!(own.len(), lookup.target.width());
                    if let Some(filter) = &lookup.filter {
                        check(filter, &own, name);
                    }
                    scope.extend(own);
                }
                if let Some(filter) = &body.filter {
                    check(filter, &scope, name);
                }
                (scope, &body.columns)
            }
            ViewBody::Composed(body) => {
                let mut scope = key.clone();
                scope.extend(body.request.iter().map(|f| f.data_type.clone()));
                for input in &body.inputs {
                    check_view(input);
                    assert!(!matches!(&input.body, ViewBody::Composed(c) if !c.request.is_empty()));
                    assert!(input.entity.is_none() || input.entity == view.entity);
                    scope.extend(types(input));
                }
                (scope, &body.columns)
            }
        };
        assert_eq!(columns.len(), view.features.len());
        let own: Vec<DataType> = types(view).collect();
        for (column, feature) in columns.iter().zip(&view.features) {
            assert_eq!(column.data_type, feature.data_type);
            assert!(column.data_type.is_storable(), "{name}");
            check(column, &scope, name);
            if let Some(expect) = &feature.expect {
                check(&expect.expr, &own, name);
            }
        }
    }

    fn check_source(source: &SourceDef) {
        let row = source.row_types();
        for (i, column) in source.columns.iter().enumerate() {
            assert_eq!(i < source.stored, column.computed.is_none());
            if let Some(computed) = &column.computed {
                check(computed, &row[..i], &source.name);
                assert_eq!(computed.data_type, column.data_type);
            }
        }
        assert_eq!(row[source.event_time], DataType::Timestamp);
        for expr in source
            .known_at
            .iter()
            .chain(&source.filter)
            .chain(source.checks.iter().map(|c| &c.expr))
        {
            check(expr, &row[..=source.event_time_slot()], &source.name);
        }
    }

    fn check_project(project: &Project) {
        for object in &project.objects {
            match &object.definition {
                Definition::Entity(entity) => assert!(!entity.keys.is_empty()),
                Definition::Source(source) => check_source(source),
                Definition::View(view) => check_view(view),
                Definition::Service(service) => {
                    for item in &service.items {
                        assert_eq!(item.key.len(), item.view.key.len());
                        assert!(
                            item.features
                                .iter()
                                .all(|(i, _)| *i < item.view.features.len())
                        );
                    }
                }
                Definition::Segment(segment) => {
                    assert_eq!(segment.fields.len(), segment.columns.len());
                    let features = segment.inputs.iter().map(|view| view.features.len());
                    let width = segment.key.len() + features.sum::<usize>();
                    for expr in segment.columns.iter().chain(&segment.filter) {
                        assert!(expr.columns().iter().all(|slot| *slot < width));
                    }
                }
                Definition::Model(model) => {
                    assert_eq!(model.digest, model.function.signature().digest)
                }
                Definition::Function(def) => assert!(!def.spec.parameters.is_empty()),
                Definition::Dataset(dataset) => {
                    assert!(!dataset.formats.is_empty());
                    assert!(!dataset.split.parts().is_empty());
                }
            }
        }
    }

    #[test]
    fn bound_definitions_have_their_layout() {
        let mut count = 0;
        for path in case_files() {
            let (shared, cases) = read(&path);
            for case in &cases {
                if case.title.starts_with("spine") || case.title.starts_with("list") {
                    continue;
                }
                let bound = project(&shared, &case.text);
                check_project(&bound);
                count += bound.objects.len();
            }
        }
        assert!(count > 500, "{count}");
    }

    /// The words and signs of a text.
    fn tokens(text: &str) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        let mut is_word = false;
        for c in text.chars() {
            let continues = c.is_alphanumeric() || c == '_' || c == '\'';
            match tokens.last_mut() {
                Some(last) if is_word && continues => last.push(c),
                _ => tokens.push(c.to_string()),
            }
            is_word = continues;
        }
        tokens
    }

    fn texts() -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for path in case_files() {
            let (shared, cases) = read(&path);
            for case in cases {
                if !case.title.starts_with("spine") && !case.title.starts_with("list") {
                    texts.push((shared.clone(), case.text));
                }
            }
        }
        texts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn no_mutation_makes_the_binder_panic(
            which in any::<Index>(),
            changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..4), 1..4),
        ) {
            let texts = texts();
            let (shared, text) = which.get(&texts);
            let mut tokens = tokens(text);
            for (at, other, kind) in changes {
                let (at, other) = (at.index(tokens.len()), other.index(tokens.len()));
                match kind {
                    0 if tokens.len() > 1 => {
                        tokens.remove(at);
                    }
                    1 => tokens.swap(at, other),
                    2 => tokens[at] = tokens[other].clone(),
                    _ => tokens.insert(at, tokens[other].clone()),
                }
            }
            let text = tokens.concat();
            let bound = project(shared, &text);
            check_project(&bound);
            // Whatever is not bound has an error; an `ALTER` is bound with its `CREATE`.
            let statements = [parse_statements(shared).0, parse_statements(&text).0].concat();
            let is_alter = |s: &&Statement| matches!(s.kind, StatementKind::Alter(_));
            let count = statements.len() - statements.iter().filter(is_alter).count();
            // A view that is emitted is several objects.
            let of = bound.objects.iter().map(|object| (object.file, object.statement));
            let of: BTreeSet<(usize, usize)> = of.collect();
            prop_assert!(
                !bound.errors.is_empty() || of.len() == count,
                "{}", text
            );
            for found in bound.errors.iter().chain(&bound.warnings) {
                let text = if found.file == 0 { shared } else { &text };
                let span = found.diagnostic.span;
                prop_assert!(text.get(span.start..span.end).is_some());
            }
            // The same text in place of what was defined, and has events.
            let before = project(shared, "");
            let files = [("case.sql", text.as_str())];
            check_project(&bind_project(&files, &with_models(&before.catalog), &|_| true, &mut columns_of));
        }
    }
}
