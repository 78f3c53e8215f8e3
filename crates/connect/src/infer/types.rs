//! The first pass: names and types.

use evenkeel_types::{DataType, Field};

use super::json_type::JsonGuess;
use super::text_type::TextGuess;
use crate::arrow_values::natural_type;
use crate::columns::COLUMNS_MAX;
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::format::Format;
use crate::options::FileOptions;
use crate::parquet_file;
use crate::text_file::{CsvReader, CsvRecord, Line, LineReader};
use crate::value::{Json, parse_json};

/// The columns of a file.
pub(super) struct Found {
    pub(super) fields: Vec<Field>,
    /// Columns that no type fits, with the reason.
    pub(super) skipped: Vec<(String, String)>,
}

pub(super) fn find(
    file: &SourceFile,
    options: &FileOptions,
    rows_max: Option<u64>,
) -> Result<Found, ConnectError> {
    let rows_max = rows_max.unwrap_or(u64::MAX);
    match file.format() {
        Format::Parquet => parquet(file),
        Format::Csv | Format::Tsv => csv(file, options, rows_max),
        Format::JsonLines => json_lines(file, rows_max),
        Format::Debezium => Err(ConnectError::NotInferred {
            path: file.path().to_owned(),
            format: file.format().name(),
        }),
    }
}

fn parquet(file: &SourceFile) -> Result<Found, ConnectError> {
    let (_, metadata) = parquet_file::open(file.path())?;
    let mut found = Found {
        fields: Vec::new(),
        skipped: Vec::new(),
    };
    for field in metadata.schema().fields() {
        match natural_type(field.data_type()).filter(DataType::is_storable) {
            Some(data_type) => found.fields.push(Field::new(field.name(), data_type)),
            None => found.skipped.push((
                field.name().clone(),
                format!("no column type holds {}", field.data_type()),
            )),
        }
    }
    Ok(found)
}

fn csv(file: &SourceFile, options: &FileOptions, rows_max: u64) -> Result<Found, ConnectError> {
    let mut reader = CsvReader::open(file, options)?;
    let header: Vec<String> = reader
        .header()
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    if let Some(twice) = (1..header.len()).find(|&i| header[..i].contains(&header[i])) {
        return Err(ConnectError::DuplicateColumn {
            path: file.path().to_owned(),
            column: header[twice].clone(),
        });
    }
    let mut guesses: Vec<TextGuess> = header.iter().map(|_| TextGuess::new()).collect();
    loop {
        let (consumed, length, malformed) = match reader.next_record()? {
            CsvRecord::End => break,
            CsvRecord::TooLong(_) => continue,
            CsvRecord::Whole {
                consumed,
                length,
                malformed,
            } => (consumed, length, malformed),
        };
        if reader.place().0 >= rows_max {
            break;
        }
        let fields = reader.fields();
        // Rows that cannot be read are rejected when it comes to that.
        if let Ok(record) = std::str::from_utf8(reader.record(length))
            && malformed.is_none()
            && fields.len() == header.len()
        {
            for (field, guess) in fields.iter().zip(&mut guesses) {
                let text = field.text(record);
                if field.quoted || text != options.null_text {
                    guess.see(&text);
                }
            }
        }
        reader.consume(consumed);
    }
    Ok(Found {
        fields: header
            .into_iter()
            .zip(&guesses)
            .map(|(name, guess)| Field::new(name, guess.data_type()))
            .collect(),
        skipped: Vec::new(),
    })
}

fn json_lines(file: &SourceFile, rows_max: u64) -> Result<Found, ConnectError> {
    let mut lines = LineReader::open(file)?;
    let mut guess = JsonGuess::default();
    loop {
        let (length, consumed) = match lines.next_line()? {
            Line::End => break,
            Line::TooLong(_) => {
                lines.advance(0);
                continue;
            }
            Line::Whole { length, consumed } => (length, consumed),
        };
        if lines.place().0 >= rows_max {
            break;
        }
        if let Ok(text) = std::str::from_utf8(lines.bytes(length))
            && let Ok(object @ Json::Object(_)) = parse_json(text)
        {
            guess.see(&object);
        }
        if guess.members().len() > COLUMNS_MAX {
            return Err(ConnectError::TooManyColumns {
                path: file.path().to_owned(),
                columns: guess.members().len(),
                limit: COLUMNS_MAX,
            });
        }
        lines.advance(consumed);
    }
    let mut found = Found {
        fields: Vec::new(),
        skipped: Vec::new(),
    };
    for (name, member) in guess.members() {
        match member.data_type() {
            Ok(data_type) if data_type.is_storable() => {
                found.fields.push(Field::new(name, data_type));
            }
            Ok(data_type) => found
                .skipped
                .push((name.clone(), format!("no column has type {data_type}"))),
            Err(reason) => found.skipped.push((name.clone(), reason)),
        }
    }
    Ok(found)
}
