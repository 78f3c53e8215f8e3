//! What a project refuses and warns of, over all its files.

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
    let first =
        "CREATE ENTITY a (k STRING);\n CREATE STREAM a (k STRING, at TIMESTAMP, EVENT TIME at);";
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
