//! Tables into CSV files (RFC 4180, `\n` line ends, UTF-8).

use std::io::{self, Write};
use std::path::Path;

use evenkeel_types::{Column, DataType};

use super::column::TableColumn;
use super::{Table, TableType};
use crate::atomic_file::AtomicFile;
use crate::error::{ConnectError, FileAction};
use crate::format::TableFormat;
use crate::value::value_to_text;

pub(super) fn write(table: &Table, path: &Path) -> Result<(), ConnectError> {
    let mut file = AtomicFile::create(path)?;
    write_to(table, &mut file, &|e| {
        ConnectError::io(FileAction::Write, path)(e)
    })?;
    file.commit()
}

/// The table as the bytes of a CSV file.
pub(super) fn bytes(table: &Table) -> Result<Vec<u8>, ConnectError> {
    let mut bytes = Vec::new();
    let path = Path::new("the text");
    write_to(table, &mut bytes, &|e| {
        ConnectError::io(FileAction::Write, path)(e)
    })?;
    Ok(bytes)
}

fn write_to(
    table: &Table,
    file: &mut dyn Write,
    io: &dyn Fn(io::Error) -> ConnectError,
) -> Result<(), ConnectError> {
    let null_text = &table.options.null_text;
    let mut line = String::new();
    for (i, column) in table.columns.iter().enumerate() {
        separate(i, &mut line);
        field(column.name(), false, "", &mut line);
    }
    line.push('\n');
    for rows in table.row_ranges() {
        let start = rows.start;
        let parts = table
            .columns
            .iter()
            .map(|column| part(table, column, rows.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for row in rows {
            for (i, part) in parts.iter().enumerate() {
                separate(i, &mut line);
                match part {
                    Part::Texts(texts) => {
                        let (text, quoted) = texts.get(row);
                        // What was NULL stays unquoted, what was a text stays one.
                        if !quoted && text == null_text {
                            line.push_str(text);
                        } else {
                            field(text, quoted, null_text, &mut line);
                        }
                    }
                    Part::Values(data_type, column) => {
                        match value_to_text(data_type, &column.get(row - start)) {
                            Some(text) => field(&text, false, null_text, &mut line),
                            None => line.push_str(null_text),
                        }
                    }
                }
            }
            line.push('\n');
            file.write_all(line.as_bytes()).map_err(io)?;
            line.clear();
        }
    }
    file.write_all(line.as_bytes()).map_err(io)
}

enum Part<'t> {
    /// Texts of a CSV file, as they were.
    Texts(&'t super::texts::Texts),
    /// Values of some rows.
    Values(DataType, Column),
}

fn part<'t>(
    table: &'t Table,
    column: &'t TableColumn,
    rows: std::ops::Range<usize>,
) -> Result<Part<'t>, ConnectError> {
    if let TableColumn::Text { texts, .. } = column {
        return Ok(Part::Texts(texts));
    }
    match column.table_type() {
        TableType::Known(data_type) => {
            let values = table.values(column, rows, &data_type)?;
            Ok(Part::Values(data_type, values))
        }
        TableType::Opaque(data_type) => Err(ConnectError::NotWritable {
            column: column.name().to_owned(),
            data_type,
            format: TableFormat::Csv.name(),
        }),
    }
}

fn separate(i: usize, line: &mut String) {
    if i > 0 {
        line.push(',');
    }
}

/// Appends a field, in quotes if it was, if it needs them, or if it would be NULL without.
fn field(text: &str, quoted: bool, null_text: &str, line: &mut String) {
    if quoted || text == null_text || text.contains(['"', ',', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}
