//! Properties of all input: nothing panics, every span lies in the text, what is printed
//! reads back as the same tree.

use evenkeel_ddl::ast::{Span, StatementKind};
use evenkeel_ddl::{
    Diagnostic, parse_expression, parse_interval, parse_spine_query, parse_statements,
};
use proptest::prelude::*;

use crate::cases::{case_files, name_of, without_spans};

/// Words and signs of the language, and some that are not.
const TOKENS: &str = "\
    CREATE DROP ALTER ENTITY STREAM TABLE FEATURE VIEW SERVICE ON DEMAND BATCH FUNCTION ADD \
    COLUMN COMMENT OWNER TAGS WITH WHERE FROM FILE SELECT AS ASOF LEFT FULL JOIN \
    MATCH_CONDITION USING GROUP BY WINDOW OVER PARTITION ORDER RANGE ROWS BETWEEN AND OR \
    NOT UNBOUNDED PRECEDING FOLLOWING CURRENT ROW EXCLUDE TIES NO OTHERS HOP LAST HOURS \
    BEFORE EVENTS SINCE START OF DAY IN SESSION GAP ALL HISTORY INTERVAL DISTINCT FILTER \
    IGNORE NULLS NULL TRUE DATE TIMESTAMP CAST CASE WHEN THEN ELSE END IS LIKE ESCAPE \
    EXTRACT POSITION SUBSTRING TRIM FOR AT TIME ZONE ARRAY STRUCT DECIMAL STRING INT DOUBLE \
    EVENT ID PRIMARY KEY KNOWN SEQUENCE DEDUPLICATE WITHIN MAX FUTURE RETAIN CHECK EXPECT \
    DEFAULT TTL MATERIALIZED EMIT TO LATE KEEP REQUEST VERSION LABEL SECRET WATERMARK TRAINING DATASET SPINE KNOWLEDGE TRANSFORM SPLIT FORMAT IMPUTE STANDARDIZE RANDOM \
    ( ) [ \
    ] , ; . = <> < >= + - * / // % || :: @ a b \"Q\" 's' 1 2.5 X'00'";

fn in_range(text: &str, wrong: &[Diagnostic]) {
    let good = |span: Span| {
        span.start <= span.end
            && text.is_char_boundary(span.start)
            && span.end <= text.len()
            && text.is_char_boundary(span.end)
    };
    for diagnostic in wrong {
        assert!(good(diagnostic.span), "{text:?}: {diagnostic:?}");
        if let Some(related) = &diagnostic.related {
            assert!(good(related.span), "{text:?}: {diagnostic:?}");
        }
        assert!(!diagnostic.message.is_empty());
        let shown = diagnostic.render(text, "f.sql", false);
        assert!(shown.contains("f.sql:"), "{shown}");
        assert!(shown.contains('^') || shown.contains("| "), "{shown}");
    }
}

/// Everything that must hold of any text, read in every way.
fn holds_for(text: &str) {
    let (statements, wrong) = parse_statements(text);
    in_range(text, &wrong);
    let mut end = 0;
    for statement in &statements {
        assert!(statement.span.start >= end && statement.span.end <= text.len());
        end = statement.span.end;
        assert!(text.is_char_boundary(statement.span.start) && text.is_char_boundary(end));
        let printed = statement.to_string();
        let (again, wrong) = parse_statements(&printed);
        assert_eq!(wrong, [], "{text:?} printed as {printed:?}");
        assert_eq!(again.len(), 1, "{printed:?}");
        assert_eq!(
            without_spans(&again[0]),
            without_spans(statement),
            "{printed:?}"
        );
    }
    match parse_expression(text) {
        Err(wrong) => in_range(text, &wrong),
        Ok(expr) => {
            let printed = expr.to_string();
            let again = parse_expression(&printed)
                .unwrap_or_else(|wrong| panic!("{text:?} printed as {printed:?}: {wrong:?}"));
            assert_eq!(without_spans(&again), without_spans(&expr), "{printed:?}");
        }
    }
    match parse_spine_query(text) {
        Err(wrong) => in_range(text, &wrong),
        Ok(spine) => {
            let again = parse_spine_query(&spine.to_string()).unwrap();
            assert_eq!(without_spans(&again), without_spans(&spine));
        }
    }
    if let Err(wrong) = parse_interval(text) {
        in_range(text, &wrong);
    }
}

/// The statements of all good cases, each alone.
fn good_statements() -> Vec<String> {
    let mut found = Vec::new();
    for path in case_files() {
        let file = name_of(&path);
        if file.starts_with("bad_") || file.starts_with("spine_") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for statement in parse_statements(&text).0 {
            found.push(statement.span.text(&text).to_owned());
        }
    }
    assert!(found.len() > 50);
    found
}

/// A text cut short has errors at its end, not somewhere else: a prefix of a good statement
/// is good itself or its first error is close behind what is left.
#[test]
fn prefixes_of_good_statements_hold() {
    for text in good_statements() {
        let is_planned = |text: &str| matches!(parse_statements(text).0[..], [ref s] if matches!(s.kind, StatementKind::Planned(_)));
        let step = (text.len() / 60).max(1);
        let ends = (0..text.len()).filter(|end| text.is_char_boundary(*end));
        for end in ends.step_by(step) {
            let prefix = &text[..end];
            let (statements, wrong) = parse_statements(prefix);
            in_range(prefix, &wrong);
            if prefix.trim().is_empty() || is_planned(prefix) {
                continue;
            }
            assert!(
                !wrong.is_empty() || statements.len() == 1,
                "{prefix:?} is neither good nor bad"
            );
        }
    }
}

#[test]
fn good_statements_lose_no_token_unnoticed() {
    // With one word or sign left out a statement is another one or an error; never the same.
    for text in good_statements() {
        let (statements, _) = parse_statements(&text);
        if matches!(statements[0].kind, StatementKind::Planned(_)) || text.len() > 700 {
            continue;
        }
        let whole = without_spans(&statements);
        for (start, word) in words(&text) {
            let shorter = format!("{} {}", &text[..start], &text[start + word.len()..]);
            let (statements, wrong) = parse_statements(&shorter);
            in_range(&shorter, &wrong);
            let optional = [
                "AS",
                "ASC",
                "LEFT",
                "INNER",
                "OUTER",
                "COLUMN",
                "GENERATED",
                "ALWAYS",
            ];
            if wrong.is_empty() && !optional.contains(&word) && !is_noise(&text, start, word) {
                assert_ne!(without_spans(&statements), whole, "{shorter:?}");
            }
        }
    }
}

/// Tokens that make no difference: comments, parentheses that group nothing, and what of a type
/// is read and not kept.
fn is_noise(text: &str, start: usize, word: &str) -> bool {
    let inside_comment = text[..start]
        .rfind("--")
        .is_some_and(|at| !text[at..start].contains('\n'));
    let no_meaning = [
        "(",
        ")",
        "PRECISION",
        "VARYING",
        "WITH",
        "WITHOUT",
        "TIME",
        "ZONE",
        "BOTH",
    ];
    inside_comment || no_meaning.contains(&word) || word.chars().all(|c| c.is_ascii_digit())
}

/// Words and single signs of a text, with where they start.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_part(c) {
            text[at..].find(|c| !is_part(c)).unwrap_or(text.len() - at)
        } else {
            c.len_utf8()
        };
        if !c.is_whitespace() && c != '\'' && c != '"' {
            found.push((at, &text[at..at + length]));
        }
        at += length;
    }
    found
}

fn a_statement() -> impl Strategy<Value = String> {
    prop::sample::select(good_statements())
}

fn some_tokens() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(
        prop::sample::select(TOKENS.split(' ').collect::<Vec<_>>()),
        0..40,
    )
}

/// Expressions of the language as text, with too many parentheses and none.
fn an_expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "b.c",
        "\"D\"",
        "1",
        "2.5",
        "'s'",
        "NULL",
        "TRUE",
        "X'00'",
        "DATE '2026-01-31'",
        "INTERVAL '3' HOUR",
        "f()",
        "distinct",
        "both",
        "array",
        "label",
        "filter",
        "date",
        "position",
        "ignore",
        "order",
        "count(*)",
        "[]",
        "end",
        "interval",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        let operator = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "||",
            "=",
            "<>",
            "<",
            ">=",
            "AND",
            "OR",
            "IS DISTINCT FROM",
            "IS NOT DISTINCT FROM",
            "LIKE",
            "NOT ILIKE",
            "AT TIME ZONE",
        ]);
        let prefix = prop::sample::select(vec!["- ", "+", "NOT "]);
        let suffix = prop::sample::select(vec![
            " IS NULL",
            " IS NOT TRUE",
            "::INT",
            "::ARRAY<STRING>",
            "[1]",
            ".x",
            " IS UNKNOWN",
        ]);
        let shape = prop::sample::select(vec![
            "(#)",
            "f(#)",
            "CAST(# AS DOUBLE)",
            "EXTRACT(HOUR FROM #)",
            "[#]",
            "sum(DISTINCT #)",
            "sum(#) FILTER (WHERE #)",
            "CASE WHEN # THEN # ELSE # END",
            "CASE # WHEN # THEN # END",
            "# IN (#, #)",
            "# NOT IN (#)",
            "# BETWEEN # AND #",
            "# LIKE # ESCAPE #",
            "#[#]",
            "position(# IN #)",
            "position(#, #)",
            "substring(# FROM # FOR #)",
            "trim(# FROM #)",
            "last_value(# IGNORE NULLS) OVER w",
            "sum(#) OVER (PARTITION BY # ORDER BY # LAST 3 HOURS)",
        ]);
        prop_oneof![
            (two, operator).prop_map(|((a, b), op)| format!("{a} {op} {b}")),
            (inner.clone(), prefix).prop_map(|(a, op)| format!("{op}{a}")),
            (inner.clone(), suffix).prop_map(|(a, op)| format!("{a}{op}")),
            inner.clone().prop_map(|a| format!("({a})")),
            (three, shape).prop_map(|((a, b, c), shape)| {
                let mut parts = shape.split('#');
                let mut text = parts.next().unwrap_or("").to_owned();
                for (part, value) in parts.zip([a, b, c]) {
                    text.push_str(&value);
                    text.push_str(part);
                }
                text
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds_for(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_characters_hold(text in "[ -~\\néß名\u{202e}'\"();]{0,80}") {
        holds_for(&text);
    }

    #[test]
    fn random_tokens_hold(tokens in some_tokens(), start in 0_usize..8) {
        let starts = [
            "", "CREATE ENTITY", "CREATE STREAM s (", "CREATE STREAM s (a INT,", "SELECT",
            "CREATE FEATURE VIEW v ENTITY e AS SELECT", "CREATE FEATURE SERVICE s AS",
            "CREATE ON DEMAND FEATURE VIEW v AS SELECT f() OVER (",
        ];
        holds_for(&format!("{} {}", starts[start], tokens.join(" ")));
    }

    #[test]
    fn changed_statements_hold(
        text in a_statement(),
        tokens in some_tokens(),
        from in any::<prop::sample::Index>(),
        length in 0_usize..30,
    ) {
        let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        let at = from.index(places.len());
        let (start, end) = (places[at], places[(at + length).min(places.len() - 1)]);
        let put = &tokens[..tokens.len().min(3)];
        holds_for(&format!("{}{}{}", &text[..start], put.join(" "), &text[end..]));
    }

    #[test]
    fn expressions_are_printed_as_they_group(text in an_expression()) {
        holds_for(&text);
    }

    #[test]
    fn whole_expressions_keep_their_meaning_in_parentheses(a in an_expression(), b in an_expression()) {
        // Parentheses around both sides make `*` the last operator, whatever they hold.
        let text = format!("({a}) * ({b})");
        if let (Ok(left), Ok(_), Ok(both)) =
            (parse_expression(&a), parse_expression(&b), parse_expression(&text))
        {
            let tree = without_spans(&both);
            let is_product = tree.starts_with("Expr { kind: Binary { operator: Multiply");
            prop_assert!(is_product, "{}", tree);
            prop_assert!(tree.contains(&without_spans(&left)));
        }
    }

    #[test]
    fn names_are_quoted_when_they_must_be(name in "[a-zA-Z_\"é 0-9]{1,12}") {
        use evenkeel_ddl::ast::Ident;
        let text = format!("{} + \"{}\"", Ident::named(&name), name.replace('"', "\"\""));
        let tree = without_spans(&parse_expression(&text).unwrap());
        let value = format!("value: {name:?}");
        prop_assert_eq!(tree.matches(&value).count(), 2, "{}", tree);
    }
}
