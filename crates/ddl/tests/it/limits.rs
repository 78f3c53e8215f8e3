//! Hostile input: deep, large, and wrong everywhere.

use evenkeel_ddl::{
    DEPTH_MAX, DIAGNOSTICS_MAX, QUERY_DEPTH_MAX, TEXT_BYTES_MAX, parse_expression, parse_statements,
};

/// Every way to nest, as the text of `levels` of it.
fn nests(levels: usize) -> Vec<(&'static str, String)> {
    let around =
        |open: &str, inner: &str, close: &str| open.repeat(levels) + inner + &close.repeat(levels);
    vec![
        ("parentheses", around("(", "a", ")")),
        ("brackets", around("[", "a", "]")),
        ("calls", around("f(", "a", ")")),
        ("filters", around("f() FILTER (WHERE ", "a", ")")),
        ("windows", around("f() OVER (PARTITION BY ", "a", ")")),
        ("orders", around("f() OVER (ORDER BY ", "a", ")")),
        ("cases", around("CASE WHEN a THEN ", "b", " END")),
        ("casts", around("CAST(", "a", " AS INT)")),
        ("lists", around("a IN (", "b", ")")),
        ("extracts", around("EXTRACT(HOUR FROM ", "a", ")")),
        ("positions", around("position(", "a", " IN b)")),
        ("trims", around("trim(", "a", ")")),
        ("nots", around("NOT ", "a", "")),
        ("signs", around("- ", "a", "")),
        ("sums", around("", "a", " + a")),
        ("ors", around("", "a", " OR a")),
        ("indexes", around("", "a", "[1]")),
        ("inner indexes", around("a[", "1", "]")),
        ("fields", around("", "f(a)", ".b")),
        ("names", around("", "a", ".b")),
        ("colons", around("", "a", "::INT")),
        ("tests", around("", "a", " IS NULL")),
        ("zones", around("", "a", " AT TIME ZONE 'UTC'")),
        (
            "windows of sums",
            around("f() OVER (PARTITION BY ", "a", ")")
                .replace("a)", &format!("a{})", " + a".repeat(levels))),
        ),
        (
            "sums in parentheses",
            around("(b + b + b + b + b + b + b + b + ", "a", ")"),
        ),
    ]
}

/// Every way to nest types and queries.
fn query_nests(levels: usize) -> Vec<String> {
    let around =
        |open: &str, inner: &str, close: &str| open.repeat(levels) + inner + &close.repeat(levels);
    let view = |query: String| format!("CREATE FEATURE VIEW v ENTITY e AS {query};");
    let cast = |data_type: String| view(format!("SELECT CAST(a AS {data_type}) FROM b"));
    vec![
        view(around("SELECT a FROM (", "SELECT a FROM b", ")")),
        view(around(
            "SELECT a FROM b ASOF JOIN (",
            "SELECT a FROM b",
            ") ON c",
        )),
        cast(around("ARRAY<", "INT", ">")),
        cast(around("STRUCT<a ", "INT", ">")),
        cast(around("", "INT", "[]")),
        cast(around("ARRAY<", "INT[]", ">[]")),
    ]
}

#[test]
fn what_is_nested_too_deep_is_an_error() {
    for levels in [2 * DEPTH_MAX + 1, 20_000] {
        for (name, text) in nests(levels) {
            let wrong = parse_expression(&text).map(drop).expect_err(name);
            assert!(
                wrong[0].message.contains("levels deep"),
                "{name}: {}",
                wrong[0].message
            );
        }
    }
    for levels in [QUERY_DEPTH_MAX + 1, 20_000] {
        for text in query_nests(levels) {
            let (statements, wrong) = parse_statements(&text);
            assert!(statements.is_empty());
            assert!(wrong[0].message.contains("levels deep"), "{}", wrong[0]);
        }
    }
    for text in query_nests(5) {
        assert_eq!(parse_statements(&text).1, []);
    }
}

#[test]
fn the_deepest_trees_can_be_used() {
    for (name, _) in nests(1) {
        let deepest = (1..=2 * DEPTH_MAX).rev().find_map(|levels| {
            let (_, text) = nests(levels).into_iter().find(|nest| nest.0 == name)?;
            parse_expression(&text).ok()
        });
        let expr = deepest.unwrap_or_else(|| panic!("{name} cannot be nested"));
        let again = expr.clone();
        assert_eq!(again, expr);
        let printed = expr.to_string();
        let reread = parse_expression(&printed);
        assert!(
            reread.is_ok_and(|tree| tree.to_string() == printed),
            "{name}"
        );
        assert!(!format!("{expr:?}").is_empty());
    }
}

#[test]
fn a_reasonable_depth_is_allowed() {
    for (name, text) in nests(30) {
        if name != "sums in parentheses" {
            assert!(parse_expression(&text).is_ok(), "{name}");
        }
    }
}

#[test]
fn a_large_text_is_refused_and_one_at_the_limit_is_read() {
    let line = "CREATE ENTITY e (a STRING); -- and some words behind it\n";
    let text = line.repeat(TEXT_BYTES_MAX / line.len());
    let (statements, wrong) = parse_statements(&text);
    assert_eq!(statements.len(), TEXT_BYTES_MAX / line.len());
    assert_eq!(wrong, []);
    let (statements, wrong) = parse_statements(&(text + line));
    assert!(statements.is_empty());
    assert!(wrong[0].message.contains("too large"), "{}", wrong[0]);
}

#[test]
fn hostile_texts_take_no_longer_than_their_length() {
    let half = TEXT_BYTES_MAX / 2;
    for piece in [
        "'\n",
        "\"\n",
        "E'\\\n",
        "/*",
        "(",
        "create entity ",
        "CREATE ENTITY e (a STRING\n",
        ";",
        "$ ",
        "a ",
        "CREATE STREAM s (a b, ",
        "CREATE ON DEMAND FEATURE VIEW v AS SELECT a, b, c, d ",
        "CREATE FUNCTION f ",
        "1e",
        "1_",
        "'a' ",
        "\u{a0}",
        "é",
        "\"a\" \"",
        "--",
        "-- a\n",
    ] {
        let text = piece.repeat(half / piece.len());
        let (_, wrong) = parse_statements(&text);
        assert!(wrong.len() <= DIAGNOSTICS_MAX);
        if let Some(first) = wrong.first() {
            assert!(first.render(&text, "f.sql", true).len() < 10_000);
        }
    }
    let options: String = (0..20_000).map(|n| format!("k{n} = 1, ")).collect();
    let (statements, _) =
        parse_statements(&format!("CREATE STREAM s (a INT) WITH ({options} z = 1)"));
    assert_eq!(statements.len(), 1);
}

#[test]
fn errors_are_bounded_in_number() {
    let text = "CREATE SOURCE s;\n".repeat(10 * DIAGNOSTICS_MAX);
    let (_, wrong) = parse_statements(&text);
    assert_eq!(wrong.len(), DIAGNOSTICS_MAX);
}
