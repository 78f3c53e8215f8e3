//! A stream's definition from what a file of events looks like.
//!
//! What the file cannot tell is marked CHECK, with what was seen beside it.

use std::fmt::Write as _;
use std::path::Path;

use evenkeel_connect::{FileOptions, FileSet, InferredColumn, InferredSchema, TimeUnit};
use evenkeel_ddl::ast::Ident;
use evenkeel_types::DataType;

use super::NewFile;
use crate::arguments::InitArguments;
use crate::failure::Failure;
use crate::table::{count, plural};

/// Rows that are looked at.
const ROWS_MAX: u64 = 100_000;
/// Where no column looks like a time, this name stands for the one that the user knows.
const EVENT_TIME_UNKNOWN: &str = "event_time";

pub(super) fn files(
    folder: &Path,
    pattern: &str,
    arguments: &InitArguments,
) -> Result<Vec<NewFile>, Failure> {
    let options = FileOptions::default();
    let set = FileSet::expand(folder, pattern, &options)?;
    let Some(file) = set.files().first() else {
        return Err(Failure::request(format!("no file matches `{pattern}`")));
    };
    let schema = file.infer(&options, Some(ROWS_MAX))?;
    if let Some(key) = &arguments.key
        && !schema.columns.iter().any(|c| c.field.name == *key)
    {
        let names: Vec<&str> = schema
            .columns
            .iter()
            .map(|c| c.field.name.as_str())
            .collect();
        return Err(
            Failure::request(format!("`{pattern}` has no column `{key}`"))
                .with_hint(format!("its columns are {}", names.join(", "))),
        );
    }
    let stream = arguments
        .stream
        .clone()
        .unwrap_or_else(|| stream_name(file.path()));
    let mut text = definition(&stream, pattern, set.files().len() as u64, &schema);
    if let Some(key) = &arguments.key {
        text.push_str(&entity_and_view(&stream, key, &schema));
    }
    Ok(vec![NewFile::new(
        format!("definitions/{}.sql", file_name(&stream)),
        text,
    )])
}

/// The file's name without its endings, as an identifier.
fn stream_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    match name.chars().next() {
        None => "events".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("events_{name}"),
        Some(_) => name,
    }
}

fn file_name(stream: &str) -> String {
    stream
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// A name as SQL: quoted where it has to be.
fn identifier(name: &str) -> String {
    Ident::named(name).to_string()
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One line behind `--`.
fn comment(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn definition(stream: &str, pattern: &str, files: u64, schema: &InferredSchema) -> String {
    let time = schema.event_time.first();
    let time_unit = time.and_then(|guess| guess.time_unit);
    let time_column = time.map(|guess| guess.column.as_str());
    let looked = if schema.complete && files == 1 {
        "all"
    } else {
        "the first"
    };
    // Writing to a String cannot fail.
    let mut text = format!(
        "-- Inferred from {looked} {} of `{}`. What only you can know is marked CHECK.\n",
        plural(schema.rows, "row"),
        comment(pattern)
    );
    if schema.rejected > 0 {
        let _ = writeln!(
            text,
            "-- {} could not be read.",
            plural(schema.rejected, "row")
        );
    }
    for (name, reason) in &schema.skipped {
        let _ = writeln!(
            text,
            "-- Left out: column {}: {}",
            comment(name),
            comment(reason)
        );
    }
    let _ = writeln!(text, "\nCREATE STREAM {} (", identifier(stream));
    for column in &schema.columns {
        let is_time = time_column == Some(column.field.name.as_str());
        let data_type = if is_time {
            DataType::Timestamp
        } else {
            column.field.data_type.clone()
        };
        let item = format!("  {} {data_type},", identifier(&column.field.name));
        let _ = writeln!(text, "{item:40} -- {}", comment(&seen(column, schema.rows)));
    }
    match schema.event_id.as_slice() {
        [] => text.push_str(
            "  -- CHECK: no column is different in every row. If some columns together identify \
             an event, name them: EVENT ID (...),\n",
        ),
        [id, others @ ..] => {
            let item = format!("  EVENT ID ({}),", identifier(id));
            let others = match others {
                [] => String::new(),
                others => format!(" (also different in every row: {})", others.join(", ")),
            };
            let _ = writeln!(
                text,
                "{item:40} -- CHECK: this identifies an event{}",
                comment(&others)
            );
        }
    }
    let clause = format!(
        "  EVENT TIME {} LATENESS INTERVAL '10' MINUTE,",
        identifier(time_column.unwrap_or(EVENT_TIME_UNKNOWN))
    );
    let why = match &schema.event_time[..] {
        [] => "no column looks like a time: name the one that says when it happened".to_owned(),
        [_] => "this says when it happened".to_owned(),
        [_, others @ ..] => {
            let others: Vec<&str> = others.iter().map(|g| g.column.as_str()).collect();
            format!("this says when it happened (or: {})", others.join(", "))
        }
    };
    let _ = writeln!(text, "{clause:40} -- CHECK: {}", comment(&why));
    let clause = format!(
        "  KNOWN AT {}",
        identifier(time_column.unwrap_or(EVENT_TIME_UNKNOWN))
    );
    let _ = writeln!(
        text,
        "{clause:40} -- CHECK: what is loaded later was known when it happened"
    );
    let unit = time_unit
        .map(|u| format!(", time_unit = '{}'", u.as_option()))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        ") WITH (connector = 'file', path = {}{unit});{}",
        text_literal(pattern),
        time_unit
            .map(|u| format!("  -- CHECK: {} since 1970", unit_name(u)))
            .unwrap_or_default()
    );
    text
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds",
        TimeUnit::Milliseconds => "milliseconds",
        TimeUnit::Microseconds => "microseconds",
    }
}

/// What was seen of a column.
fn seen(column: &InferredColumn, rows: u64) -> String {
    let mut parts = Vec::new();
    if let Some(example) = &column.example {
        parts.push(format!("such as {example}"));
    }
    if rows == 0 {
        parts.push("CHECK: no row says what it is".to_owned());
    }
    if column.nulls > 0 {
        parts.push(format!(
            "missing in {} of {}",
            count(column.nulls),
            plural(rows, "row")
        ));
    }
    if column.unique == Some(true) {
        parts.push("different in every row".to_owned());
    }
    if column.whole && column.field.data_type.is_float() {
        parts.push("whole numbers: perhaps BIGINT".to_owned());
    }
    parts.join("; ")
}

/// A first entity, view and service over the stream.
fn entity_and_view(stream: &str, key: &str, schema: &InferredSchema) -> String {
    let data_type = schema
        .columns
        .iter()
        .find(|c| c.field.name == key)
        .map_or(DataType::String, |c| c.field.data_type.clone());
    let entity = key
        .strip_suffix("_id")
        .filter(|e| !e.is_empty())
        .unwrap_or(key);
    let view = identifier(&format!("{entity}_{stream}"));
    let number = schema.columns.iter().find(|c| {
        c.field.name != key && c.field.data_type.is_float() || {
            matches!(c.field.data_type, DataType::Decimal { .. })
        }
    });
    let average = number
        .map(|c| {
            format!(
                ",\n       avg({}) OVER last_7d AS {}",
                identifier(&c.field.name),
                identifier(&format!("{}_avg_7d", c.field.name))
            )
        })
        .unwrap_or_default();
    let (entity_name, key_name) = (identifier(entity), identifier(key));
    format!(
        "\nCREATE ENTITY {entity_name} ({key_name} {data_type});\n\
         \n\
         CREATE FEATURE VIEW {view} ENTITY {entity_name} ({key_name}) AS\n\
         SELECT {key_name},\n       \
         count(*) OVER last_7d AS events_7d{average}\n\
         FROM {}\n\
         WINDOW last_7d AS (LAST 7 DAYS);\n\
         \n\
         CREATE FEATURE SERVICE {} AS {view} (*);\n",
        identifier(stream),
        identifier(&format!("{entity}_model")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        assert_eq!(
            stream_name(Path::new("data/Orders-2026.csv.gz")),
            "orders_2026"
        );
        assert_eq!(stream_name(Path::new("2026.csv")), "events_2026");
        assert_eq!(identifier("amount_2"), "amount_2");
        assert_eq!(identifier("Amount"), "\"Amount\"");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(identifier("when"), "\"when\"");
        assert_eq!(text_literal("it's"), "'it''s'");
        assert_eq!(comment("a\nDROP"), "a DROP");
    }
}
