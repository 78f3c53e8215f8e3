//! Hostile input: deep, large, and wrong everywhere.

use evenkeel_ddl::{DEPTH_MAX, DIAGNOSTICS_MAX, QUERY_DEPTH_MAX, TEXT_BYTES_MAX, parse_statements};

use crate::cases::without_spans;

/// Every way to nest expressions: what opens a level, what is inside, what closes it.
const NESTS: [[&str; 3]; 20] = [
    ["(", "a", ")"],
    ["[", "a", "]"],
    ["f(", "a", ")"],
    ["CASE WHEN a THEN ", "b", " END"],
    ["CAST(", "a", " AS INT)"],
    ["a IN (", "b", ")"],
    ["EXTRACT(HOUR FROM ", "a", ")"],
    ["position(", "a", " IN b)"],
    ["trim(", "a", ")"],
    ["a = NOT ", "b", ""],
    ["- ", "a", ""],
    ["", "a", " + a"],
    ["", "a", " OR a"],
    ["", "a", "[1]"],
    ["a[", "1", "]"],
    ["", "f(a)", ".b"],
    ["", "a", ".b"],
    ["", "a", "::INT"],
    ["", "a", " IS NULL"],
    ["(b + b + b + b + b + b + b + b + ", "a", ")"],
];

/// The same for what nests less deep: windows, filters, types and queries.
const QUERY_NESTS: [[&str; 3]; 9] = [
    ["f() OVER (PARTITION BY ", "a", ")"],
    ["f() OVER (ORDER BY a + ", "a", ")"],
    ["f() FILTER (WHERE ", "a", ")"],
    ["f() WITHIN GROUP (ORDER BY ", "a", ")"],
    ["CAST(a AS ARRAY<", "INT", ">)"],
    ["CAST(a AS STRUCT<a ", "INT", ">)"],
    ["CAST(a AS ", "INT", "[])"],
    ["a FROM (SELECT ", "a FROM b", ")"],
    ["a FROM b ASOF JOIN (SELECT ", "a FROM b", ") ON c"],
];

fn nested([open, inner, close]: [&str; 3], levels: usize) -> String {
    // `CAST(a AS` stands once, in front of all levels of the type.
    if let Some(open) = open.strip_prefix("CAST(a AS ")
        && let Some(close) = close.strip_suffix(')')
    {
        let levels = open.repeat(levels) + inner + &close.repeat(levels);
        return format!("CAST(a AS {levels})");
    }
    open.repeat(levels) + inner + &close.repeat(levels)
}

fn view(select: &str) -> String {
    format!("CREATE FEATURE VIEW v ENTITY e AS SELECT {select};")
}

#[test]
fn what_is_nested_too_deep_is_an_error() {
    let expressions = NESTS.map(|nest| (nest, 2 * DEPTH_MAX));
    let queries = QUERY_NESTS.map(|nest| (nest, QUERY_DEPTH_MAX));
    for (nest, most) in expressions.into_iter().chain(queries) {
        for levels in [most + 1, 5_000] {
            let (statements, wrong) = parse_statements(&view(&nested(nest, levels)));
            assert!(statements.is_empty(), "{nest:?}");
            assert!(
                wrong[0].message.contains("levels deep"),
                "{nest:?}: {}",
                wrong[0]
            );
        }
    }
}

#[test]
fn the_deepest_trees_can_be_used() {
    for nest in NESTS.into_iter().chain(QUERY_NESTS) {
        // The deepest that is read, by halving.
        let (mut good, mut bad) = (0, 2 * DEPTH_MAX + 1);
        while bad - good > 1 {
            let levels = (good + bad) / 2;
            match parse_statements(&view(&nested(nest, levels))).0.len() {
                1 => good = levels,
                _ => bad = levels,
            }
        }
        assert!(good >= 10, "{nest:?} only {good} deep");
        let (statements, _) = parse_statements(&view(&nested(nest, good)));
        let again = statements.clone();
        assert_eq!(again, statements);
        let printed = again[0].to_string();
        let (reread, wrong) = parse_statements(&printed);
        assert_eq!(wrong, [], "{nest:?} {good} deep");
        assert_eq!(
            without_spans(&reread[0]),
            without_spans(&again[0]),
            "{nest:?}"
        );
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
    let length = TEXT_BYTES_MAX / 4;
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
        let text = piece.repeat(length / piece.len());
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
