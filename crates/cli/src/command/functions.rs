//! `evenkeel functions`, and the reference pages of the documentation.

mod aggregates;

use evenkeel_expr::Function;
use serde_json::{Value as Json, json};

use crate::arguments::FunctionsArguments;
use crate::failure::Failure;
use crate::session::Answer;
use crate::table::table;
use aggregates::{Aggregate, aggregates};

pub(super) fn run(arguments: &FunctionsArguments) -> Result<Answer, Failure> {
    let wanted = arguments.name.as_deref().map(str::to_lowercase);
    let named = |name: &str, aliases: &[&str]| {
        wanted.as_deref().is_none_or(|wanted| {
            name.contains(wanted) || aliases.iter().any(|a| a.contains(wanted))
        })
    };
    let mut expressions: Vec<&Function> = evenkeel_expr::functions()
        .filter(|f| named(f.name, f.aliases))
        .collect();
    expressions.sort_by_key(|f| f.group);
    let mut aggregates = aggregates();
    aggregates.retain(|a| named(a.name, a.aliases));
    if expressions.is_empty() && aggregates.is_empty() {
        let name = wanted.unwrap_or_default();
        return Err(
            Failure::request(format!("no function has `{name}` in its name"))
                .with_hint("`evenkeel functions` lists all of them"),
        );
    }
    let text = if wanted.is_some() {
        details(&expressions, &aggregates)
    } else {
        overview(&expressions, &aggregates)
    };
    Ok(Answer::done(to_json(&expressions, &aggregates), text))
}

fn to_json(expressions: &[&Function], aggregates: &[Aggregate]) -> Json {
    let expressions: Vec<Json> = expressions
        .iter()
        .map(|f| {
            json!({
                "name": f.name,
                "aliases": f.aliases,
                "group": f.group.title(),
                "signatures": f.signatures(),
                "rule": f.rule,
                "nulls": f.nulls,
                "errors": f.errors,
            })
        })
        .collect();
    let aggregates: Vec<Json> = aggregates
        .iter()
        .map(|a| {
            json!({
                "name": a.name,
                "aliases": a.aliases,
                "signature": a.signature,
                "rule": a.rule,
                "empty": a.empty,
            })
        })
        .collect();
    json!({"expressions": expressions, "aggregates": aggregates})
}

/// One line each, by section.
fn overview(expressions: &[&Function], aggregates: &[Aggregate]) -> String {
    let rows = expressions
        .iter()
        .map(|f| [f.group.title(), f.name, f.rule].map(str::to_owned))
        .chain(
            aggregates
                .iter()
                .map(|a| ["Aggregates".to_owned(), a.name.to_owned(), a.rule.clone()]),
        );
    let mut text = table(["section", "function", "rule"], rows);
    text.push_str("`evenkeel functions NAME` shows signatures, other names, NULLs and errors\n");
    text
}

/// Everything about a few.
fn details(expressions: &[&Function], aggregates: &[Aggregate]) -> String {
    let mut text = String::new();
    let mut entry = |name: &str, aliases: &[&str], lines: &[String]| {
        let also = if aliases.is_empty() {
            String::new()
        } else {
            format!(" (also {})", aliases.join(", "))
        };
        text.push_str(&format!("{name}{also}\n"));
        for line in lines {
            text.push_str(&format!("    {line}\n"));
        }
        text.push('\n');
    };
    for f in expressions {
        let mut lines = vec![f.rule.to_owned()];
        lines.extend(f.signatures());
        if !f.nulls.is_empty() {
            lines.push(format!("NULL: {}", f.nulls));
        }
        if !f.errors.is_empty() {
            lines.push(format!("ERROR: {}", f.errors));
        }
        entry(f.name, f.aliases, &lines);
    }
    for a in aggregates {
        let lines = [
            a.rule.clone(),
            a.signature.to_owned(),
            format!("on an empty window: {}", a.empty),
        ];
        entry(a.name, a.aliases, &lines);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The pages are what the code says; `UPDATE_EXPECT=1` writes them.
    fn expect_page(name: &str, page: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
            fs::write(&path, page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/{name} is not current: run `cargo xtask gen`"
        );
    }

    #[test]
    fn the_pages_are_current() {
        expect_page("expressions.md", &evenkeel_expr::function_reference());
        expect_page("aggregates.md", &aggregates::page());
    }
}
