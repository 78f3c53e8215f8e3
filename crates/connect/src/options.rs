//! How a source file is to be read: the options of `WITH (connector = 'file', ...)`.

use std::collections::BTreeMap;

use evenkeel_types::definition::OptionValue;
use evenkeel_types::{DataType, Zone};

use crate::error::ConnectError;
use crate::format::{Compression, Format};
use crate::suggest::nearest;

/// Rows of a batch, unless [`batch_rows`](field@FileOptions::batch_rows) says fewer.
pub const BATCH_ROWS_MAX: usize = 8_192;

/// A column that a source declares, to be found in the file by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Name; a file's column of another case matches if no other does.
    pub name: String,
    /// Type, storable ([`DataType::is_storable`]).
    pub data_type: DataType,
    /// `NOT NULL`: a row without a value is rejected.
    pub required: bool,
    /// Whether it is NULL in a file that does not have it, whatever
    /// [`FileOptions::missing_columns`] says: files from before it was added.
    pub optional: bool,
}

impl ColumnSpec {
    /// A column that may be NULL.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        ColumnSpec {
            name: name.into(),
            data_type,
            required: false,
            optional: false,
        }
    }

    /// The same column, which a file need not have.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same column, `NOT NULL`.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What a number in a TIMESTAMP column counts, since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds: `time_unit = 's'`.
    Seconds,
    /// Milliseconds: `time_unit = 'ms'`.
    Milliseconds,
    /// Microseconds: `time_unit = 'us'`.
    Microseconds,
}

impl TimeUnit {
    pub(crate) const OPTION_VALUES: &'static str = "'s', 'ms' or 'us'";

    pub(crate) fn from_option(text: &str) -> Option<Self> {
        Some(match text {
            "s" => TimeUnit::Seconds,
            "ms" => TimeUnit::Milliseconds,
            "us" => TimeUnit::Microseconds,
            _ => return None,
        })
    }

    /// The option's value.
    pub fn as_option(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "s",
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Microseconds => "us",
        }
    }

    /// Microseconds in one unit.
    pub(crate) fn micros(self) -> i64 {
        match self {
            TimeUnit::Seconds => 1_000_000,
            TimeUnit::Milliseconds => 1_000,
            TimeUnit::Microseconds => 1,
        }
    }
}

/// What to do with a declared column that a file does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingColumns {
    /// Refuse the file: `missing_columns = 'refuse'`, the default.
    #[default]
    Refuse,
    /// NULL in every row, for columns that may be NULL: `missing_columns = 'null'`.
    Null,
}

/// Which declared columns say what a change of a row is, instead of being the row's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeColumns {
    /// `operation`: what it does, as `c`, `r`, `u` or `d`. Without one no row is changed.
    pub operation: Option<String>,
    /// `change_time`: when the source made it.
    pub time: Option<String>,
    /// `change_position`: where it stands in the source's log.
    pub position: Option<String>,
    /// The primary key.
    pub key: Vec<String>,
}

/// How to read a source file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileOptions {
    /// `format`; by the extension if not given.
    pub format: Option<Format>,
    /// `compression`; by the extension if not given.
    pub compression: Option<Compression>,
    /// The zone of times that come without one. An ambiguous local time takes the earlier
    /// offset, a non-existent one rejects its row.
    pub zone: Zone,
    /// `null`: the unquoted CSV field that is NULL, the empty one by default. A quoted field
    /// is never NULL.
    pub null_text: String,
    /// `delimiter` of CSV: one ASCII character; `,` by default, a tab for TSV.
    pub delimiter: Option<u8>,
    /// `time_unit`: what numbers in TIMESTAMP columns count. Without it they reject the row
    /// (in Parquet: the file).
    pub time_unit: Option<TimeUnit>,
    /// `missing_columns`.
    pub missing_columns: MissingColumns,
    /// Of [`Format::Debezium`].
    pub changes: ChangeColumns,
    /// Rows of a batch, 1 to [`BATCH_ROWS_MAX`].
    pub batch_rows: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            format: None,
            compression: None,
            zone: Zone::utc(),
            null_text: String::new(),
            delimiter: None,
            time_unit: None,
            missing_columns: MissingColumns::Refuse,
            changes: ChangeColumns::default(),
            batch_rows: BATCH_ROWS_MAX,
        }
    }
}

const OPTIONS: [&str; 11] = [
    "connector",
    "path",
    "format",
    "compression",
    "delimiter",
    "null",
    "time_unit",
    "missing_columns",
    "operation",
    "change_time",
    "change_position",
];

impl FileOptions {
    /// Reads a source's `WITH (...)` options; the path is returned beside them. `zone` is the
    /// source's own ([`evenkeel_types::definition::SourceDef::zone`]).
    ///
    /// # Errors
    /// An unknown option, a value that an option does not take, a secret, or no `path`.
    pub fn from_source(
        options: &BTreeMap<String, OptionValue>,
        zone: &Zone,
    ) -> Result<(String, FileOptions), ConnectError> {
        let mut read = FileOptions {
            zone: zone.clone(),
            ..FileOptions::default()
        };
        let mut path = None;
        for (option, value) in options {
            let Some(name) = OPTIONS.into_iter().find(|o| o == option) else {
                return Err(ConnectError::UnknownOption {
                    option: option.clone(),
                    hint: nearest(option, OPTIONS),
                });
            };
            let OptionValue::Text(text) = value else {
                return Err(ConnectError::OptionValue {
                    option: name,
                    value: "SECRET".to_owned(),
                    expected: "a text: files need no secrets",
                });
            };
            if name == "path" {
                path = Some(text.clone());
            } else {
                read.set(name, text)?;
            }
        }
        let path = path.ok_or(ConnectError::MissingOption { option: "path" })?;
        Ok((path, read))
    }

    fn set(&mut self, option: &'static str, text: &str) -> Result<(), ConnectError> {
        let refuse = |expected| ConnectError::OptionValue {
            option,
            value: text.to_owned(),
            expected,
        };
        match option {
            "connector" if text == "file" => {}
            "connector" => return Err(refuse("'file'")),
            "format" => {
                self.format = Some(Format::from_option(text).ok_or(refuse(Format::OPTION_VALUES))?);
            }
            "compression" => {
                self.compression =
                    Some(Compression::from_option(text).ok_or(refuse(Compression::OPTION_VALUES))?);
            }
            "delimiter" => {
                self.delimiter = Some(match text {
                    "\\t" => b'\t',
                    _ => match text.as_bytes() {
                        [byte] if byte.is_ascii() && !b"\"\r\n\0".contains(byte) => *byte,
                        _ => return Err(refuse("one ASCII character, such as ';' or '\\t'")),
                    },
                });
            }
            "null" => text.clone_into(&mut self.null_text),
            "operation" => self.changes.operation = Some(text.to_owned()),
            "change_time" => self.changes.time = Some(text.to_owned()),
            "change_position" => self.changes.position = Some(text.to_owned()),
            "time_unit" => {
                self.time_unit =
                    Some(TimeUnit::from_option(text).ok_or(refuse(TimeUnit::OPTION_VALUES))?);
            }
            "missing_columns" => {
                self.missing_columns = match text {
                    "refuse" => MissingColumns::Refuse,
                    "null" => MissingColumns::Null,
                    _ => return Err(refuse("'refuse' or 'null'")),
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// The delimiter for a format.
    pub(crate) fn delimiter_of(&self, format: Format) -> u8 {
        self.delimiter.unwrap_or(match format {
            Format::Tsv => b'\t',
            _ => b',',
        })
    }

    pub(crate) fn batch_rows(&self) -> usize {
        self.batch_rows.clamp(1, BATCH_ROWS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<(String, FileOptions), ConnectError> {
        let options = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), OptionValue::Text((*v).to_owned())))
            .collect();
        FileOptions::from_source(&options, &Zone::utc())
    }

    #[test]
    fn options_are_read() {
        let (path, options) = read(&[
            ("connector", "file"),
            ("path", "a/*.txt"),
            ("format", "csv"),
            ("compression", "gzip"),
            ("delimiter", ";"),
            ("null", "NA"),
            ("time_unit", "ms"),
            ("missing_columns", "null"),
        ])
        .unwrap();
        assert_eq!(path, "a/*.txt");
        assert_eq!(
            options,
            FileOptions {
                format: Some(Format::Csv),
                compression: Some(Compression::Gzip),
                zone: Zone::utc(),
                null_text: "NA".to_owned(),
                delimiter: Some(b';'),
                time_unit: Some(TimeUnit::Milliseconds),
                missing_columns: MissingColumns::Null,
                changes: ChangeColumns::default(),
                batch_rows: BATCH_ROWS_MAX,
            }
        );
    }

    #[test]
    fn errors_say_what_to_write() {
        let text = |options: &[(&str, &str)]| read(options).unwrap_err().to_string();
        assert_eq!(text(&[]), "a file source needs the option `path`");
        assert_eq!(
            text(&[("path", "x"), ("formt", "csv")]),
            "`formt` is not an option of a file source; did you mean `format`?"
        );
        assert_eq!(
            text(&[("path", "x"), ("time_unit", "ns")]),
            "`ns` is not a value of the option `time_unit`: use 's', 'ms' or 'us'"
        );
        assert_eq!(
            text(&[("delimiter", "||"), ("path", "x")]),
            "`||` is not a value of the option `delimiter`: use one ASCII character, such as ';' or '\\t'"
        );
        let secret = [("path".to_owned(), OptionValue::Secret("x".to_owned()))];
        assert!(FileOptions::from_source(&secret.into(), &Zone::utc()).is_err());
    }
}
