//! Versions of definitions: what is a new one, and what is refused.

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
