//! How diagnostics are shown.

use evenkeel_ddl::ast::Span;
use evenkeel_ddl::{Diagnostic, line_and_column, parse_expression, parse_interval};

fn shown(source: &str, diagnostic: &Diagnostic) -> String {
    diagnostic.render(source, "a.sql", false)
}

fn underline(source: &str, start: usize, end: usize) -> String {
    let text = shown(source, &Diagnostic::error("m", Span::new(start, end)));
    text.lines().skip(3).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_exact_range_is_underlined() {
    let source = "one\n\ttwo größe 名前 x\r\nthree";
    let at = |text: &str| source.find(text).unwrap();
    assert_eq!(
        underline(source, at("two"), at("two") + 3),
        "2 |     two größe 名前 x\n  |     ^^^"
    );
    assert_eq!(
        underline(source, at("größe"), at(" 名")),
        "2 |     two größe 名前 x\n  |         ^^^^^"
    );
    assert_eq!(
        underline(source, at("名"), at(" x")),
        "2 |     two größe 名前 x\n  |               ^^^^"
    );
    assert_eq!(
        underline(source, at("x"), at("x") + 1),
        "2 |     two größe 名前 x\n  |                    ^"
    );
    assert_eq!(
        underline(source, at("three"), source.len()),
        "3 | three\n  | ^^^^^"
    );
}

#[test]
fn an_empty_range_is_a_place() {
    assert_eq!(underline("ab", 2, 2), "1 | ab\n  |   ^");
    assert_eq!(underline("ab\n", 3, 3), "2 |\n  | ^");
    assert_eq!(underline("", 0, 0), "1 |\n  | ^");
}

#[test]
fn a_range_over_lines_is_underlined_on_each() {
    let source = "a (b,\n   c\n\n) d";
    assert_eq!(
        underline(source, 2, 13),
        "1 | a (b,\n  |   ^^^\n2 |    c\n  |    ^\n3 |\n4 | ) d\n  | ^"
    );
    let long = "a\nb\nc\nd\ne\nf";
    assert_eq!(
        underline(long, 0, long.len()),
        "1 | a\n  | ^\n2 | b\n  | ^\n...\n6 | f\n  | ^"
    );
}

#[test]
fn ranges_outside_of_the_text_do_no_harm() {
    for (start, end) in [
        (0, 99),
        (99, 99),
        (99, 0),
        (5, 2),
        (1, 2),
        (2, 3),
        (usize::MAX, usize::MAX),
    ] {
        let diagnostic =
            Diagnostic::error("m", Span::new(start, end)).with_related(Span::new(end, start), "r");
        assert!(shown("aé\n名", &diagnostic).starts_with("error: m\n"));
    }
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let source = format!("{}HERE{}", "x".repeat(1000), "y".repeat(1000));
    let text = underline(&source, 1000, 1004);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].len() < 260, "{}", lines[0]);
    let at = lines[1].find('^').unwrap();
    assert_eq!(&lines[0][at..at + 4], "HERE");
    assert!(lines[0].ends_with("yyy..."));
}

#[test]
fn related_places_are_shown_in_the_order_of_the_text() {
    let source = "first\nsecond third\nx\nlast";
    let of = |main: &str, related: &str| {
        let span = |text: &str| {
            let at = source.find(text).unwrap();
            Span::new(at, at + text.len())
        };
        let diagnostic = Diagnostic::warning("m", span(main))
            .with_related(span(related), "see here")
            .with_hint("do this");
        shown(source, &diagnostic)
    };
    assert_eq!(
        of("third", "second"),
        "warning: m\n --> a.sql:2:8\n  |\n2 | second third\n  | ------ ^^^^^\n  | see here\n  |\n  = hint: do this\n"
    );
    assert_eq!(
        of("second", "third"),
        "warning: m\n --> a.sql:2:1\n  |\n2 | second third\n  | ^^^^^^ -----\n  |        see here\n  |\n  = hint: do this\n"
    );
    assert_eq!(
        of("second", "first"),
        "warning: m\n --> a.sql:2:1\n  |\n1 | first\n  | ----- see here\n2 | second third\n  | ^^^^^^\n  |\n  = hint: do this\n"
    );
    assert_eq!(
        of("first", "last"),
        "warning: m\n --> a.sql:1:1\n  |\n1 | first\n  | ^^^^^\n...\n4 | last\n  | ---- see here\n  |\n  = hint: do this\n"
    );
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let diagnostic = Diagnostic::error("m", Span::new(0, 1)).with_hint("h");
    let plain = diagnostic.render("a", "f", false);
    let colored = diagnostic.render("a", "f", true);
    assert!(!plain.contains('\x1b'));
    assert!(colored.contains("\x1b[1;31m^\x1b[0m"), "{colored:?}");
    let mut stripped = colored;
    for code in ["1;31", "1;34", "1;36", "1", "0"] {
        stripped = stripped.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let source = "a \x1b[31m\u{202e} b";
    let diagnostic = Diagnostic::error("\x1b[31m", Span::new(2, 8)).with_hint("\u{7}");
    let text = shown(source, &diagnostic);
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn the_file_of_a_diagnostic_wins() {
    let diagnostic = Diagnostic::error("m", Span::new(0, 1)).in_file("own.sql");
    assert!(shown("a", &diagnostic).contains("--> own.sql:1:1\n"));
}

#[test]
fn columns_count_characters() {
    let source = "ab\nö名x";
    assert_eq!(line_and_column(source, 0), (1, 1));
    assert_eq!(line_and_column(source, 3), (2, 1));
    assert_eq!(line_and_column(source, source.len() - 1), (2, 3));
    assert_eq!(line_and_column(source, 999), (2, 4));
}

#[test]
fn one_expression_and_one_length_are_read_alone() {
    assert_eq!(
        parse_expression("a+1 -- one\n").unwrap().to_string(),
        "a + 1"
    );
    assert_eq!(
        parse_expression("a::INT;").unwrap().to_string(),
        "CAST(a AS INT)"
    );
    let wrong = parse_expression("a + 1 b").unwrap_err();
    assert_eq!(
        wrong[0].message,
        "expected the end of the expression, found `b`"
    );
    assert_eq!(parse_expression("").unwrap_err()[0].span, Span::new(0, 0));

    assert_eq!(parse_interval("24h").unwrap().micros, 86_400_000_000);
    assert_eq!(
        parse_interval(" interval '3' hour ").unwrap().micros,
        10_800_000_000
    );
    assert_eq!(
        parse_interval("3").unwrap_err()[0].message,
        "`3` has no unit"
    );
    assert!(parse_interval("INTERVAL '3' HOUR 4").is_err());
}
