//! The syntax tree as canonical SQL.
//!
//! One spelling for one tree: keywords in capitals, names as they are, types and operators
//! by their first names, clauses in a fixed order, parentheses only where they are needed.
//! Invariant: what is printed parses to the same tree but for the spans.

mod batch;
mod dataset;
mod expr;
mod function;
mod model;
mod query;
mod statement;

use std::fmt::{self, Write};

use evenkeel_types::DataType;

use crate::ast::{
    Expr, Ident, IntervalLit, Query, SpineQuery, Statement, StringLit, TypeName, WindowSpec,
};

/// Puts items with `, ` between them.
fn comma_separated<T>(
    f: &mut dyn Write,
    items: &[T],
    mut print: impl FnMut(&mut dyn Write, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    Ok(())
}

/// A string in single quotes.
fn quoted(f: &mut dyn Write, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

fn data_type(f: &mut dyn Write, of: &DataType) -> fmt::Result {
    match of {
        DataType::Array(element) => {
            f.write_str("ARRAY<")?;
            data_type(f, element)?;
            f.write_str(">")
        }
        DataType::Vector { element, length } => {
            data_type(f, element)?;
            write!(f, "[{length}]")
        }
        DataType::Struct(fields) => {
            f.write_str("STRUCT<")?;
            comma_separated(f, fields, |f, field| {
                write!(f, "{} ", Ident::named(field.name.as_str()))?;
                data_type(f, &field.data_type)
            })?;
            f.write_str(">")
        }
        other => write!(f, "{other}"),
    }
}

/// `INTERVAL '3' HOUR`; a length of several units is `INTERVAL '1 day 2 hours'`.
fn interval(f: &mut dyn Write, literal: &IntervalLit) -> fmt::Result {
    let words = literal.value.to_string();
    match words.split_once(' ') {
        Some((number, unit)) if !unit.contains(' ') => {
            let unit = unit.trim_end_matches('s').to_ascii_uppercase();
            write!(f, "INTERVAL '{number}' {unit}")
        }
        _ => write!(f, "INTERVAL '{words}'"),
    }
}

impl fmt::Display for StringLit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(f, &self.value)
    }
}

impl fmt::Display for IntervalLit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        interval(f, self)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        data_type(f, &self.data_type)
    }
}

impl fmt::Display for Expr {
    /// Canonical SQL on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr::print(f, self)
    }
}

impl fmt::Display for WindowSpec {
    /// Canonical SQL on one line, parentheses included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        query::window_spec(f, self)
    }
}

impl fmt::Display for Query {
    /// Canonical SQL over several lines, without a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        query::print(f, self, "\n")
    }
}

impl fmt::Display for SpineQuery {
    /// Canonical SQL over several lines, without a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        query::spine(f, self)
    }
}

impl fmt::Display for Statement {
    /// Canonical SQL over several lines, with its semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        statement::print(f, self)?;
        f.write_str(";")
    }
}
