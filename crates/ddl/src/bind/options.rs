//! `WITH (...)`: which options a source has, and which of them can change a value.

use std::collections::BTreeMap;

use evenkeel_types::Zone;
use evenkeel_types::definition::OptionValue;

use super::frame;
use super::report::{Report, did_you_mean};
use crate::ast::{self, Ident, Literal, Span, StringLit, WithOption};
use crate::error::Diagnostic;

/// The most partitions of a source.
pub const PARTITIONS_MAX: u32 = 1_024;

/// Options of every source.
const GENERAL: [&str; 4] = ["connector", "operation", "partitions", "zone"];
/// Options of a file source.
const FILE: [&str; 6] = [
    "compression",
    "delimiter",
    "format",
    "missing_columns",
    "null",
    "time_unit",
];
/// Options of a table that a batch view writes.
const BATCH: [&str; 3] = ["query", "schedule", "schedule_zone"];
/// Connectors that have a name but do not exist yet.
const PLANNED_CONNECTORS: [&str; 6] = ["kafka", "mysql", "debezium", "delta", "http", "redis"];
/// Words in the name of an option that must not be written out.
const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "token",
    "secret",
    "credential",
    "api_key",
    "access_key",
    "private_key",
];
/// Options that change what is read from the same bytes: part of the digest.
pub(super) const DECODING: [&str; 5] = ["null", "operation", "query", "time_unit", "zone"];

/// The options of a source, understood.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// All but `zone`.
    pub(super) values: BTreeMap<String, OptionValue>,
    /// `zone`, with its place.
    pub(super) zone: Option<(Zone, Span)>,
    /// `partitions`, where above 1.
    pub(super) several_partitions: Option<Span>,
    /// `operation`: the column that it names, as it is written.
    pub(super) operation: Option<Ident>,
}

/// Binds `WITH (...)`. `source` is underlined where the whole list lacks something.
pub(super) fn bind_options(written: &[WithOption], source: Span, report: &mut Report) -> Options {
    let mut options = Options::default();
    let connector = connector(written, report);
    for option in written {
        let key = option.key.value.as_str();
        let is_secret_key = SECRET_WORDS.iter().any(|word| key.contains(word));
        if is_secret_key && !matches!(option.value, ast::OptionValue::Secret(_)) {
            report.hinted::<()>(
                format!("`{key}` is a secret, and definitions are kept for ever"),
                option_span(option),
                format!(
                    "write `{key} = SECRET '{}'`: it is read from the environment when it is needed",
                    secret_name(key)
                ),
            );
            continue;
        }
        match connector {
            Connector::None | Connector::File | Connector::Batch => {
                if !known_keys(connector).any(|k| k == key) {
                    report.push::<()>(super::scope::with_hint(
                        Diagnostic::error(unknown_message(key, connector), option.key.span),
                        unknown_hint(key, connector),
                    ));
                    continue;
                }
            }
            // What it takes is not known here.
            Connector::Refused => continue,
        }
        bind_value(option, &mut options, report);
    }
    if connector == Connector::File && !written.iter().any(|o| o.key.value == "path") {
        report.hinted::<()>(
            "a file source needs the option `path`",
            source,
            "write `WITH (connector = 'file', path = 'data/*.parquet')`",
        );
    }
    options
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Connector {
    /// Rows are pushed.
    None,
    File,
    /// Rows are the results of a batch view.
    Batch,
    /// Unknown or planned: told already.
    Refused,
}

fn connector(written: &[WithOption], report: &mut Report) -> Connector {
    let Some(option) = written.iter().find(|o| o.key.value == "connector") else {
        return Connector::None;
    };
    let ast::OptionValue::Literal {
        value: Literal::String(name),
        span,
    } = &option.value
    else {
        report.hinted::<()>(
            "the connector must be a text",
            option_span(option),
            "write `connector = 'file'`",
        );
        return Connector::Refused;
    };
    if name == "file" {
        return Connector::File;
    }
    if name == super::BATCH_CONNECTOR {
        return Connector::Batch;
    }
    if PLANNED_CONNECTORS.contains(&name.as_str()) {
        report.hinted::<()>(
            format!("the connector `{name}` is planned: it does not exist yet"),
            *span,
            "write `connector = 'file'`, or leave the connector out and push rows with `evenkeel ingest`",
        );
    } else {
        report.hinted::<()>(
            format!("there is no connector `{name}`"),
            *span,
            "write `connector = 'file'`, or leave the connector out and push rows with `evenkeel ingest`",
        );
    }
    Connector::Refused
}

fn known_keys(connector: Connector) -> impl Iterator<Item = &'static str> + Clone {
    let file: &[&str] = match connector {
        Connector::File => &FILE,
        Connector::Batch => &BATCH,
        _ => &[],
    };
    let path: &[&str] = match connector {
        Connector::File => &["path"],
        _ => &[],
    };
    GENERAL
        .into_iter()
        .chain(file.iter().copied())
        .chain(path.iter().copied())
}

fn unknown_message(key: &str, connector: Connector) -> String {
    match connector {
        Connector::File => format!("`{key}` is not an option of a file source"),
        _ => format!("`{key}` is not an option of a source without a connector"),
    }
}

fn unknown_hint(key: &str, connector: Connector) -> Option<String> {
    if connector == Connector::None && (key == "path" || FILE.contains(&key)) {
        return Some("write `connector = 'file'` too".to_owned());
    }
    if key == "header" {
        return Some("leave it out: the first line of a CSV file names its columns".to_owned());
    }
    did_you_mean(key, known_keys(connector))
}

fn bind_value(option: &WithOption, options: &mut Options, report: &mut Report) {
    let key = option.key.value.as_str();
    let (text, span) = match &option.value {
        ast::OptionValue::Secret(name) => {
            if GENERAL.contains(&key) || FILE.contains(&key) {
                report.hinted::<()>(
                    format!("`{key}` cannot be a secret: it says what the rows mean"),
                    name.span,
                    "write the value itself",
                );
                return;
            }
            options
                .values
                .insert(key.to_owned(), OptionValue::Secret(name.value.clone()));
            return;
        }
        ast::OptionValue::Literal { value, span } => (text_of(value), *span),
    };
    let allowed: Option<&[&str]> = match key {
        "format" => Some(&["parquet", "csv", "tsv", "jsonl", "ndjson", "json"]),
        "compression" => Some(&["none", "gzip", "gz", "zstd", "zst"]),
        "time_unit" => Some(&["s", "ms", "us"]),
        "missing_columns" => Some(&["refuse", "null"]),
        _ => None,
    };
    let is_case_free = matches!(key, "format" | "compression");
    if let Some(allowed) = allowed {
        let compared = if is_case_free {
            text.to_ascii_lowercase()
        } else {
            text.clone()
        };
        if !allowed.contains(&compared.as_str()) {
            let quoted: Vec<String> = allowed.iter().map(|a| format!("'{a}'")).collect();
            report.hinted::<()>(
                format!("`{text}` is not a value of the option `{key}`"),
                span,
                format!("write one of {}", quoted.join(", ")),
            );
            return;
        }
    }
    match key {
        "zone" => {
            let name = StringLit { value: text, span };
            options.zone = frame::zone(&name, report).map(|zone| (zone, span));
            return;
        }
        "partitions" => match text.parse::<u32>() {
            Ok(n) if (1..=PARTITIONS_MAX).contains(&n) => {
                options.several_partitions = (n > 1).then_some(option.span);
            }
            _ => {
                report.hinted::<()>(
                    format!("`{text}` is not a number of partitions"),
                    span,
                    format!("write a whole number from 1 to {PARTITIONS_MAX}"),
                );
                return;
            }
        },
        "operation" => {
            options.operation = Some(Ident {
                span,
                ..Ident::named(text.as_str())
            });
        }
        "delimiter" => {
            let is_one_byte = text.len() == 1 && text.is_ascii() && !"\"\r\n\0".contains(&text);
            if !is_one_byte && text != "\\t" {
                report.hinted::<()>(
                    format!("`{text}` is not a delimiter"),
                    span,
                    "write one ASCII character, such as ';' or '\\t'",
                );
                return;
            }
        }
        _ => {}
    }
    options
        .values
        .insert(key.to_owned(), OptionValue::Text(text));
}

fn option_span(option: &WithOption) -> Span {
    match &option.value {
        ast::OptionValue::Literal { span, .. } => *span,
        ast::OptionValue::Secret(name) => name.span,
    }
}

/// A name for the secret of an option: `sasl.password` is `sasl_password`.
fn secret_name(key: &str) -> String {
    key.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// A value as text: numbers as they are written.
fn text_of(literal: &Literal) -> String {
    match literal {
        Literal::String(text) => text.clone(),
        Literal::Integer(number) => number.to_string(),
        Literal::Double(number) => number.to_string(),
        Literal::Boolean(truth) => truth.to_string(),
        Literal::Null
        | Literal::Bytes(_)
        | Literal::Date(_)
        | Literal::Timestamp(_)
        | Literal::Interval(_) => String::new(),
    }
}
