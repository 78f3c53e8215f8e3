//! Limits of definitions.

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
