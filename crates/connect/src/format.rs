//! What a file holds and how it is packed, by option or by the end of its name.

use std::path::Path;

use crate::error::ConnectError;

/// What a source file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated text with a header line (RFC 4180).
    Csv,
    /// Tab-separated text with a header line.
    Tsv,
    /// One JSON object per line.
    JsonLines,
    /// One change of a row per line, as Debezium writes it in JSON.
    Debezium,
}

/// How a source file is packed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), also several members in a row.
    Gzip,
    /// Zstandard (RFC 8878), also several frames in a row.
    Zstd,
}

/// What a table file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableFormat {
    /// Apache Parquet: `.parquet`.
    Parquet,
    /// Comma-separated text with a header line: `.csv`.
    Csv,
    /// The Arrow IPC file format (Feather V2): `.arrow`, `.feather`, `.ipc`.
    Arrow,
    /// The Arrow IPC stream format: `.arrows`.
    ArrowStream,
}

const SOURCE_EXTENSIONS: &str = ".parquet, .csv, .tsv, .jsonl, .ndjson or .json (and .gz or .zst behind the texts), or the option `format`";
const TABLE_EXTENSIONS: &str = ".parquet, .csv, .arrow, .feather, .ipc or .arrows";

fn lower_extension(name: &str) -> Option<(&str, String)> {
    let (stem, extension) = name.rsplit_once('.')?;
    Some((stem, extension.to_ascii_lowercase()))
}

impl Format {
    pub(crate) const OPTION_VALUES: &'static str = "'parquet', 'csv', 'tsv', 'jsonl' or 'debezium'";

    pub(crate) fn from_option(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "parquet" => Format::Parquet,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "jsonl" | "ndjson" | "json" => Format::JsonLines,
            "debezium" => Format::Debezium,
            _ => return None,
        })
    }

    /// Whether a record is a line of JSON.
    pub(crate) fn is_json_lines(self) -> bool {
        matches!(self, Format::JsonLines | Format::Debezium)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::JsonLines => "JSON lines",
            Format::Debezium => "Debezium JSON",
        }
    }
}

impl Compression {
    pub(crate) const OPTION_VALUES: &'static str = "'none', 'gzip' or 'zstd'";

    pub(crate) fn from_option(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "none" => Compression::None,
            "gzip" | "gz" => Compression::Gzip,
            "zstd" | "zst" => Compression::Zstd,
            _ => return None,
        })
    }
}

/// Format and compression of a source file: the options where given, else by extension
/// (whatever its case).
pub(crate) fn of_source(
    path: &Path,
    format: Option<Format>,
    compression: Option<Compression>,
) -> Result<(Format, Compression), ConnectError> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut stem = name.as_str();
    let mut by_name = Compression::None;
    if let Some((rest, extension)) = lower_extension(stem) {
        by_name = match extension.as_str() {
            "gz" => Compression::Gzip,
            "zst" => Compression::Zstd,
            _ => Compression::None,
        };
        if by_name != Compression::None {
            stem = rest;
        }
    }
    let format = format
        .or_else(|| {
            let (_, extension) = lower_extension(stem)?;
            Format::from_option(&extension)
        })
        .ok_or_else(|| ConnectError::UnknownFormat {
            path: path.to_owned(),
            expected: SOURCE_EXTENSIONS,
        })?;
    let compression = compression.unwrap_or(by_name);
    if format == Format::Parquet && compression != Compression::None {
        return Err(ConnectError::OuterCompression {
            path: path.to_owned(),
            format: format.name(),
        });
    }
    Ok((format, compression))
}

impl TableFormat {
    /// The format of a table file, by its extension (whatever its case).
    ///
    /// # Errors
    /// [`ConnectError::UnknownFormat`] for any other extension.
    pub fn of(path: &Path) -> Result<Self, ConnectError> {
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        Ok(match extension.as_str() {
            "parquet" => TableFormat::Parquet,
            "csv" => TableFormat::Csv,
            "arrow" | "feather" | "ipc" => TableFormat::Arrow,
            "arrows" => TableFormat::ArrowStream,
            _ => {
                return Err(ConnectError::UnknownFormat {
                    path: path.to_owned(),
                    expected: TABLE_EXTENSIONS,
                });
            }
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            TableFormat::Parquet => "Parquet",
            TableFormat::Csv => "CSV",
            TableFormat::Arrow | TableFormat::ArrowStream => "Arrow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_hold() {
        let of = |name: &str| of_source(Path::new(name), None, None).ok();
        use Compression::{Gzip, None as Plain, Zstd};
        assert_eq!(of("a/b.parquet"), Some((Format::Parquet, Plain)));
        assert_eq!(of("b.CSV"), Some((Format::Csv, Plain)));
        assert_eq!(of("b.x.tsv.gz"), Some((Format::Tsv, Gzip)));
        assert_eq!(of("b.json.zst"), Some((Format::JsonLines, Zstd)));
        assert_eq!(of("b.ndjson"), Some((Format::JsonLines, Plain)));
        assert_eq!(of("b.parquet.gz"), None);
        assert_eq!(of("b.gz"), None);
        assert_eq!(of("b"), None);
        assert_eq!(of("b.xlsx"), None);
    }

    #[test]
    fn options_win_over_names() {
        assert_eq!(
            of_source(
                Path::new("b.txt.gz"),
                Some(Format::Csv),
                Some(Compression::None)
            )
            .ok(),
            Some((Format::Csv, Compression::None))
        );
        assert!(matches!(
            of_source(Path::new("b.parquet.gz"), None, None),
            Err(ConnectError::OuterCompression { .. })
        ));
    }

    #[test]
    fn table_formats() {
        assert_eq!(
            TableFormat::of(Path::new("x.feather")).ok(),
            Some(TableFormat::Arrow)
        );
        assert!(TableFormat::of(Path::new("x.jsonl")).is_err());
    }
}
