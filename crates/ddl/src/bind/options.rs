//! `WITH (...)`: which options a source has, and which of them can change a value.

use std::collections::BTreeMap;

use evenkeel_types::definition::OptionValue;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Schedule, Zone};

use super::frame;
use super::report::{Report, did_you_mean};
use crate::ast::{self, Ident, Literal, Span, StringLit, WithOption};
use crate::error::Diagnostic;

/// The most partitions of a source.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The most days that are compared at a time.
const COMPARED_DAYS_MAX: u32 = 3_660;

/// Options of every source.
const GENERAL: [&str; 4] = ["connector", "operation", "partitions", "zone"];
/// Options of a file source.
const FILE: [&str; 8] = [
    "change_position",
    "change_time",
    "compression",
    "delimiter",
    "format",
    "missing_columns",
    "null",
    "time_unit",
];
/// Options of a source that is compared with the truth on a schedule.
const COMPARED: [&str; 3] = ["compare_days", "compare_schedule", "compare_with"];
/// Options of a source that is a table of MySQL or MariaDB.
const MYSQL: [&str; 10] = [
    "change_position",
    "change_time",
    "compare_schedule",
    "password",
    "server_id",
    "server_key",
    "snapshot_time",
    "table",
    "url",
    "zero_dates",
];
/// Options of a table that a batch view writes.
const BATCH: [&str; 3] = ["query", "schedule", "schedule_zone"];
/// Connectors that have a name but do not exist yet.
const PLANNED_CONNECTORS: [&str; 4] = ["kafka", "delta", "http", "redis"];
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
pub(super) const DECODING: [&str; 8] = [
    "change_position",
    "change_time",
    "null",
    "operation",
    "query",
    "time_unit",
    "zero_dates",
    "zone",
];

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
    /// `change_time`: the same.
    pub(super) change_time: Option<Ident>,
    /// `change_position`: the same.
    pub(super) change_position: Option<Ident>,
    /// Where the rows are changes of rows that another system tells.
    pub(super) changes: Option<Changes>,
}

/// Who tells changes of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// Files in Debezium's format, with the place that says so.
    Debezium(Span),
    /// A server's log of changes, with the place that says so.
    Mysql(Span),
}

/// Binds `WITH (...)`. `source` is underlined where the whole list lacks something.
pub(super) fn bind_options(written: &[WithOption], source: Span, report: &mut Report) -> Options {
    let mut options = Options::default();
    let connector = connector(written, report);
    options.changes = changes(written, connector);
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
            Connector::None | Connector::File | Connector::Mysql | Connector::Batch => {
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
    refuse_half_a_comparison(written, connector, report);
    if connector == Connector::Mysql {
        for key in ["url", "table"] {
            if !written.iter().any(|o| o.key.value == key) {
                report.hinted::<()>(
                    format!("a source of MySQL needs the option `{key}`"),
                    source,
                    "write `WITH (connector = 'mysql', url = 'mysql://user@host:3306', table = \
                     'database.table', password = SECRET 'SHOP_PASSWORD', ...)`",
                );
            }
        }
    }
    options
}

/// A schedule says when, files say with what; a server's table is compared with itself.
fn refuse_half_a_comparison(written: &[WithOption], connector: Connector, report: &mut Report) {
    if !matches!(connector, Connector::File | Connector::None) {
        return;
    }
    let has = |key: &str| written.iter().find(|o| o.key.value == key);
    for (here, missing, hint) in [
        (
            "compare_schedule",
            "compare_with",
            "write `compare_with = 'truth/*.parquet'`, too",
        ),
        (
            "compare_with",
            "compare_schedule",
            "write `compare_schedule = '0 3 * * *'`, too",
        ),
        (
            "compare_days",
            "compare_schedule",
            "write `compare_schedule = '0 3 * * *'`, too",
        ),
    ] {
        if let (Some(option), None) = (has(here), has(missing)) {
            report.hinted::<()>(
                format!("`{here}` says nothing without `{missing}`"),
                option.key.span,
                hint,
            );
        }
    }
}

/// Who tells changes, if the rows are some.
fn changes(written: &[WithOption], connector: Connector) -> Option<Changes> {
    let text_of = |key: &str| {
        let option = written.iter().find(|o| o.key.value == key)?;
        match &option.value {
            ast::OptionValue::Literal {
                value: Literal::String(text),
                span,
            } => Some((text, *span)),
            _ => None,
        }
    };
    match connector {
        Connector::Mysql => text_of("connector").map(|(_, span)| Changes::Mysql(span)),
        Connector::File => {
            let (format, span) = text_of("format")?;
            let is_debezium = format.eq_ignore_ascii_case("debezium");
            is_debezium.then_some(Changes::Debezium(span))
        }
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Connector {
    /// Rows are pushed.
    None,
    File,
    /// Rows are those of a table of MySQL or MariaDB, and its changes.
    Mysql,
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
    if name == "mysql" {
        return Connector::Mysql;
    }
    if name == super::BATCH_CONNECTOR {
        return Connector::Batch;
    }
    if name == "debezium" {
        report.hinted::<()>(
            "Debezium is a format of files, no connector",
            *span,
            "write `connector = 'file', format = 'debezium'`",
        );
    } else if PLANNED_CONNECTORS.contains(&name.as_str()) {
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
        Connector::Mysql => &MYSQL,
        Connector::Batch => &BATCH,
        _ => &[],
    };
    let path: &[&str] = match connector {
        Connector::File => &["path"],
        _ => &[],
    };
    let compared: &[&str] = match connector {
        Connector::File | Connector::None => &COMPARED,
        _ => &[],
    };
    GENERAL
        .into_iter()
        .chain(compared.iter().copied())
        .chain(file.iter().copied())
        .chain(path.iter().copied())
}

fn unknown_message(key: &str, connector: Connector) -> String {
    match connector {
        Connector::File => format!("`{key}` is not an option of a file source"),
        Connector::Mysql => format!("`{key}` is not an option of a source of MySQL"),
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
            let is_of_mysql = MYSQL.contains(&key) && key != "password";
            if is_of_mysql || GENERAL.contains(&key) || FILE.contains(&key) {
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
        "format" => Some(&[
            "parquet", "csv", "tsv", "jsonl", "ndjson", "json", "debezium",
        ]),
        "compression" => Some(&["none", "gzip", "gz", "zstd", "zst"]),
        "time_unit" => Some(&["s", "ms", "us"]),
        "missing_columns" => Some(&["refuse", "null"]),
        "zero_dates" => Some(&["refuse", "null"]),
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
        "operation" | "change_time" | "change_position" => {
            let column = Some(Ident {
                span,
                ..Ident::named(text.as_str())
            });
            match key {
                "operation" => options.operation = column,
                "change_time" => options.change_time = column,
                _ => options.change_position = column,
            }
        }
        "url" => {
            if let Err((message, hint)) = check_url(&text) {
                report.hinted::<()>(message, span, hint);
                return;
            }
        }
        "table" => {
            let parts: Vec<&str> = text.split('.').collect();
            if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) {
                report.hinted::<()>(
                    format!("`{text}` is not a table with its database"),
                    span,
                    "write `table = 'database.table'`",
                );
                return;
            }
        }
        "snapshot_time" => {
            if let Err(error) = parse_timestamp(&text, &Zone::utc()) {
                report.hinted::<()>(
                    error.to_string(),
                    span,
                    "write from when on the rows of the first snapshot hold: \
                     `snapshot_time = '2026-01-01T00:00:00Z'`",
                );
                return;
            }
        }
        "compare_schedule" => {
            if let Err(error) = Schedule::parse(&text, &Zone::utc()) {
                report.hinted::<()>(
                    error.to_string(),
                    span,
                    "write `compare_schedule = '0 3 * * *'`: every day at three, by the clock of the \
                     source's zone",
                );
                return;
            }
        }
        "compare_days" if !is_number_of_days(&text) => {
            report.hinted::<()>(
                format!("`{text}` is not a number of days"),
                span,
                format!("write a whole number from 1 to {COMPARED_DAYS_MAX}"),
            );
            return;
        }
        "server_id" if !text.parse::<u32>().is_ok_and(|id| id > 0) => {
            report.hinted::<()>(
                format!("`{text}` is not the id of a server"),
                span,
                "write a whole number from 1 to 4294967295 that no other server or follower of this \
                 log has",
            );
            return;
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

fn is_number_of_days(text: &str) -> bool {
    let days = text.parse::<u32>();
    days.is_ok_and(|days| (1..=COMPARED_DAYS_MAX).contains(&days))
}

/// `mysql://user@host:port`; with a hint what else to write.
fn check_url(text: &str) -> Result<(), (String, &'static str)> {
    let example = "write `url = 'mysql://user@host:3306'`";
    let Some(rest) = text.strip_prefix("mysql://") else {
        // It may have a password in it.
        return Err((
            "that is not the address of a server of MySQL".to_owned(),
            example,
        ));
    };
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    if user.contains(':') {
        // What stands there is not repeated.
        return Err((
            "the address has a password, and definitions are kept for ever".to_owned(),
            "write `url = 'mysql://user@host:3306', password = SECRET 'SHOP_PASSWORD'`: it is read from \
             the environment when it is needed",
        ));
    }
    let (host, port) = host.rsplit_once(':').unwrap_or((host, "3306"));
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#']);
    if user.is_empty() || !is_host || port.parse::<u16>().is_err() {
        return Err((format!("`{text}` is not the address of a server"), example));
    }
    Ok(())
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
