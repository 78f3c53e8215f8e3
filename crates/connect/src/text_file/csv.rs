//! CSV and TSV with a header line.
//!
//! An unquoted field equal to the option `null` (by default the empty one) is NULL; a quoted
//! one never is, so `""` is the empty string. Blank lines are skipped, except in a file of
//! one column, where they are its NULLs.

use std::sync::Arc;

use evenkeel_types::{DataType, Value, Zone};
use serde_json::{Map, Value as JsonValue};

use crate::batch::BatchBuilder;
use crate::columns::resolve_all;
use crate::error::{Cause, ConnectError};
use crate::file_set::SourceFile;
use crate::growing_file::Place;
use crate::input::{Input, RECORD_BYTES_MAX};
use crate::options::{ColumnSpec, FileOptions, TimeUnit};
use crate::strings::Strings;
use crate::text_file::{Field, Split, Step, TextRows, damaged, split_record};
use crate::value::{Context, ValueError, read_text, text_from_bytes};

/// Bytes of an over-long record that its dead letter keeps.
const RECORD_BYTES_SHOWN: usize = 1_024;

/// The records of a CSV file behind its header.
pub(crate) struct CsvReader {
    file: SourceFile,
    input: Input,
    delimiter: u8,
    header: Vec<String>,
    fields: Vec<Field>,
    /// Of the record last read.
    row: u64,
    next_row: u64,
    line: u64,
    next_line: u64,
}

/// A record of a CSV file.
pub(crate) enum CsvRecord {
    /// Bytes that wait in [`CsvReader::record`], taken apart in [`CsvReader::fields`].
    Whole {
        /// With its line end.
        consumed: usize,
        /// Without.
        length: usize,
        /// The first field that goes on after its closing quote.
        malformed: Option<usize>,
    },
    /// A record beyond [`RECORD_BYTES_MAX`], skipped; with its beginning.
    TooLong(Vec<u8>),
    /// Nothing more.
    End,
}

impl CsvReader {
    pub(crate) fn open(file: &SourceFile, options: &FileOptions) -> Result<Self, ConnectError> {
        CsvReader::over(file, Input::open(file)?, options)
    }

    /// The records of an input that begins with a header.
    pub(crate) fn over(
        file: &SourceFile,
        input: Input,
        options: &FileOptions,
    ) -> Result<Self, ConnectError> {
        let mut reader = CsvReader {
            file: file.clone(),
            input,
            delimiter: options.delimiter_of(file.format()),
            header: Vec::new(),
            fields: Vec::new(),
            row: 0,
            next_row: 0,
            line: 1,
            next_line: 1,
        };
        reader
            .input
            .skip_byte_order_mark()
            .map_err(|e| damaged(file, 0, e))?;
        reader.read_header()?;
        Ok(reader)
    }

    fn read_header(&mut self) -> Result<(), ConnectError> {
        let path = self.file.path().to_owned();
        let damage = |source: Cause| ConnectError::Damaged {
            path: path.clone(),
            place: "in its header".to_owned(),
            source,
        };
        match self.next_record()? {
            CsvRecord::End => return Err(ConnectError::NoHeader { path }),
            CsvRecord::TooLong(_) => {
                return Err(damage(Box::new(ValueError::RecordLength {
                    limit: RECORD_BYTES_MAX,
                })));
            }
            CsvRecord::Whole {
                consumed, length, ..
            } => {
                let bytes = &self.input.data()[..length];
                let text = std::str::from_utf8(bytes).map_err(|e| damage(Box::new(e)))?;
                self.header = self
                    .fields
                    .iter()
                    .map(|f| f.text(text).into_owned())
                    .collect();
                self.input.consume(consumed);
            }
        }
        self.next_row = 0;
        Ok(())
    }

    /// Goes on at a place of the file, with an input that begins there.
    pub(crate) fn go_on(&mut self, input: Input, place: Place) {
        self.input = input;
        self.next_row = place.row;
        self.next_line = place.line;
    }

    /// Where the next record begins; ask when the last one is consumed.
    pub(crate) fn next_place(&self) -> Place {
        Place {
            bytes: self.input.consumed(),
            row: self.next_row,
            line: self.next_line,
        }
    }

    /// The names of the columns.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The row's number, from 0, and its first line, from 1.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.row, self.line)
    }

    /// The fields of the record last read.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The first bytes that wait to be consumed: the record last read.
    pub(crate) fn record(&self, length: usize) -> &[u8] {
        &self.input.data()[..length]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
    }

    pub(crate) fn packed_bytes(&self) -> u64 {
        self.input.packed_bytes()
    }

    /// Finds the next record; the caller consumes it.
    pub(crate) fn next_record(&mut self) -> Result<CsvRecord, ConnectError> {
        loop {
            let data = self.input.data();
            if data.is_empty() && self.input.at_end() {
                return Ok(CsvRecord::End);
            }
            match split_record(data, self.input.at_end(), self.delimiter, &mut self.fields) {
                Split::Record {
                    length: 0,
                    consumed,
                    lines,
                    ..
                } if self.header.len() != 1 => {
                    self.input.consume(consumed);
                    self.next_line += lines;
                }
                Split::Record {
                    length,
                    consumed,
                    lines,
                    malformed,
                } => {
                    self.advance(lines);
                    return Ok(if length > RECORD_BYTES_MAX {
                        let beginning = self.record(RECORD_BYTES_SHOWN).to_vec();
                        self.input.consume(consumed);
                        CsvRecord::TooLong(beginning)
                    } else {
                        CsvRecord::Whole {
                            consumed,
                            length,
                            malformed,
                        }
                    });
                }
                Split::Incomplete { in_quotes } => {
                    if in_quotes && (self.input.at_end() || data.len() > RECORD_BYTES_MAX) {
                        return Err(ConnectError::UnclosedQuote {
                            path: self.file.path().to_owned(),
                            line: self.next_line,
                        });
                    }
                    if data.len() > RECORD_BYTES_MAX {
                        return self.skip_long_record();
                    }
                    if self.input.is_dry() {
                        return Ok(CsvRecord::End);
                    }
                    self.input
                        .fill()
                        .map_err(|e| damaged(&self.file, self.next_row, e))?;
                }
            }
        }
    }

    fn advance(&mut self, lines: u64) {
        self.row = self.next_row;
        self.next_row += 1;
        self.line = self.next_line;
        self.next_line += lines;
    }

    /// Past the end of a line that is too long to be taken apart.
    fn skip_long_record(&mut self) -> Result<CsvRecord, ConnectError> {
        let beginning = self.record(RECORD_BYTES_SHOWN).to_vec();
        loop {
            let data = self.input.data();
            if let Some(end) = data.iter().position(|b| *b == b'\n') {
                self.input.consume(end + 1);
                break;
            }
            let length = data.len();
            self.input.consume(length);
            if self.input.at_end() {
                break;
            }
            if self.input.is_dry() {
                return Ok(CsvRecord::End);
            }
            self.input
                .fill()
                .map_err(|e| damaged(&self.file, self.next_row, e))?;
        }
        self.advance(1);
        Ok(CsvRecord::TooLong(beginning))
    }
}

/// The rows of a CSV file as declared columns.
pub(crate) struct CsvRows {
    reader: CsvReader,
    /// Behind the last row.
    place: Place,
    decoder: Decoder,
    null_text: Arc<str>,
}

/// What makes values of a record's fields.
struct Decoder {
    specs: Arc<[ColumnSpec]>,
    /// Where each declared column is in the file.
    places: Vec<Option<usize>>,
    zone: Zone,
    time_unit: Option<TimeUnit>,
    null_text: Arc<str>,
    strings: Strings,
    /// Of the record last decoded.
    values: Vec<Value>,
}

impl CsvRows {
    pub(crate) fn open(
        file: &SourceFile,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Result<Self, ConnectError> {
        CsvRows::over(CsvReader::open(file, options)?, file, specs, options)
    }

    /// The rows of records.
    pub(crate) fn over(
        reader: CsvReader,
        file: &SourceFile,
        specs: &Arc<[ColumnSpec]>,
        options: &FileOptions,
    ) -> Result<Self, ConnectError> {
        let names: Vec<&str> = reader.header().iter().map(String::as_str).collect();
        let places = resolve_all(file.path(), &names, specs, options.missing_columns)?;
        let null_text: Arc<str> = Arc::from(options.null_text.as_str());
        Ok(CsvRows {
            place: reader.next_place(),
            reader,
            null_text: Arc::clone(&null_text),
            decoder: Decoder {
                specs: Arc::clone(specs),
                places,
                zone: options.zone.clone(),
                time_unit: options.time_unit,
                null_text,
                strings: Strings::new(),
                values: Vec::new(),
            },
        })
    }
}

impl Decoder {
    /// The values of the declared columns, or the first that has none and why.
    fn decode(
        &mut self,
        record: &str,
        fields: &[Field],
    ) -> Result<&[Value], (Option<usize>, ValueError)> {
        let context = Context {
            zone: &self.zone,
            time_unit: self.time_unit,
        };
        self.values.clear();
        for (i, (spec, place)) in self.specs.iter().zip(&self.places).enumerate() {
            let Some(field) = place.and_then(|p| fields.get(p)) else {
                self.values.push(Value::Null);
                continue;
            };
            let text = field.text(record);
            self.values
                .push(if !field.quoted && text == *self.null_text {
                    Value::Null
                } else if spec.data_type == DataType::String {
                    Value::String(self.strings.get(&text))
                } else {
                    read_text(&spec.data_type, &text, &context).map_err(|e| (Some(i), e))?
                });
        }
        Ok(&self.values)
    }
}

impl TextRows for CsvRows {
    fn step(&mut self, batch: &mut BatchBuilder) -> Result<Step, ConnectError> {
        let found = self.reader.next_record()?;
        let (row, line) = self.reader.place();
        let (consumed, length, malformed) = match found {
            CsvRecord::End => return Ok(Step::End),
            CsvRecord::TooLong(beginning) => {
                let reason = ValueError::RecordLength {
                    limit: RECORD_BYTES_MAX,
                };
                batch.push(row, line, Err((None, reason)), || {
                    text_from_bytes(&beginning)
                });
                self.place = self.reader.next_place();
                return Ok(Step::Row(RECORD_BYTES_MAX));
            }
            CsvRecord::Whole {
                consumed,
                length,
                malformed,
            } => (consumed, length, malformed),
        };
        let bytes = self.reader.record(length);
        let fields = self.reader.fields();
        let wanted = self.reader.header().len();
        let whole = |reason| Err((None, reason));
        let values = match (std::str::from_utf8(bytes), malformed) {
            (Err(_), _) => whole(ValueError::NotUtf8),
            (Ok(_), Some(field)) => whole(ValueError::AfterQuote { field: field + 1 }),
            (Ok(_), None) if fields.len() != wanted => whole(ValueError::FieldCount {
                found: fields.len(),
                wanted,
            }),
            (Ok(record), None) => self.decoder.decode(record, fields),
        };
        batch.push(row, line, values, || {
            record_json(bytes, fields, self.reader.header(), &self.null_text)
        });
        self.reader.consume(consumed);
        self.place = self.reader.next_place();
        Ok(Step::Row(consumed))
    }

    fn place(&self) -> Place {
        self.place
    }

    fn packed_bytes(&self) -> u64 {
        self.reader.packed_bytes()
    }

    fn columns_not_seen(&self) -> Vec<usize> {
        let places = &self.decoder.places;
        (0..places.len()).filter(|&i| places[i].is_none()).collect()
    }
}

/// A record as JSON: an object by the header, or an array if it does not fit.
fn record_json(bytes: &[u8], fields: &[Field], header: &[String], null_text: &str) -> String {
    let Ok(record) = std::str::from_utf8(bytes) else {
        return text_from_bytes(bytes);
    };
    let values = fields.iter().map(|field| {
        let text = field.text(record);
        if !field.quoted && text == null_text {
            JsonValue::Null
        } else {
            JsonValue::from(text.into_owned())
        }
    });
    if fields.len() == header.len() {
        let members = header.iter().cloned().zip(values);
        JsonValue::Object(members.collect::<Map<_, _>>()).to_string()
    } else {
        JsonValue::Array(values.collect()).to_string()
    }
}
