//! Arrow IPC streams of the same columns again and again: what does not depend on the values is
//! made once.
//!
//! Of a stream of few rows the schema is most of the work. It is kept as bytes; where only
//! metadata changes, and to texts of the same length, those are put into their places. What comes
//! out is the stream that [`super::Table::to_stream`] makes of the same columns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, StreamWriter,
    write_message,
};
use arrow_schema::{ArrowError, Field as ArrowField, Schema, SchemaRef};
use evenkeel_types::{Column, DataType, Field};

use super::CHUNK_ROWS;
use super::flat_batch::FlatBatch;
use crate::arrow_values::{arrow_type, to_array};
use crate::error::{Cause, ConnectError};
use crate::guard::guarded;

/// What errors call it.
const LABEL: &str = "the answer";
/// The first of the bytes that stand for the texts of metadata, and how far the other of each is:
/// ASCII, a pair for each of some thirty texts.
const FILLERS: u8 = 1;
const OTHER_FILLERS: u8 = 64;

/// What ends a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// See the module.
#[derive(Debug)]
pub struct StreamLayout {
    types: Vec<DataType>,
    schema: SchemaRef,
    head: Mutex<Option<Arc<Head>>>,
    /// If all columns are flat.
    flat: Option<FlatBatch>,
}

/// What a column of a stream is.
#[derive(Clone, Copy, Debug)]
pub enum StreamPart<'a> {
    /// These values; ERROR is NULL.
    Values(&'a Column),
    /// The column with this number, which is before it and of the same type, again.
    Again(usize),
}

/// A column of a stream. Cloning shares it.
#[derive(Clone, Debug)]
pub struct StreamColumn(ArrayRef);

/// The message that has the schema.
#[derive(Debug)]
struct Head {
    bytes: Vec<u8>,
    /// Where the text of each name is.
    places: BTreeMap<String, Range<usize>>,
}

impl StreamLayout {
    /// A layout of columns with these names and types.
    ///
    /// # Errors
    /// If a name occurs twice, or a type (INTERVAL) has no arrow type.
    pub fn new(fields: &[Field]) -> Result<Self, ConnectError> {
        let mut names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConnectError::ColumnExists {
                table: LABEL.to_owned(),
                column: pair[0].to_owned(),
            });
        }
        let arrow_fields = fields.iter().map(|field| {
            let arrow = arrow_type(&field.data_type).ok_or_else(|| not_writable(field))?;
            Ok(ArrowField::new(&field.name, arrow, true))
        });
        let arrow_fields = arrow_fields.collect::<Result<Vec<_>, ConnectError>>()?;
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type.clone()).collect();
        let schema = Arc::new(Schema::new(arrow_fields));
        let flat = guarded(|| FlatBatch::new(&types, &schema)).map_err(not_encoded)?;
        Ok(StreamLayout {
            types,
            schema,
            head: Mutex::default(),
            flat,
        })
    }

    /// The stream of columns with so many rows each; none if a column is too large.
    ///
    /// # Errors
    /// If a column is not of the layout.
    pub fn write(
        &self,
        parts: &[StreamPart<'_>],
        rows: usize,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<u8>>, ConnectError> {
        if let Some(flat) = self
            .flat
            .as_ref()
            .filter(|_| (1..=CHUNK_ROWS).contains(&rows))
        {
            let mut out = guarded(|| self.head(metadata)).map_err(not_encoded)?;
            let is_written = flat.append(parts, rows, &mut out);
            if !is_written.map_err(|error| not_encoded(error.into()))? {
                return Ok(None);
            }
            out.extend_from_slice(&END);
            return Ok(Some(out));
        }
        let mut columns: Vec<StreamColumn> = Vec::with_capacity(parts.len());
        for part in parts {
            let column = match part {
                StreamPart::Values(values) => self.column(columns.len(), values),
                StreamPart::Again(before) => columns.get(*before).cloned(),
            };
            let Some(column) = column else {
                return Ok(None);
            };
            columns.push(column);
        }
        self.stream(columns, rows, metadata).map(Some)
    }

    /// A column for the place `at` and others of its type; ERROR is NULL. None if it is too
    /// large.
    pub fn column(&self, at: usize, values: &Column) -> Option<StreamColumn> {
        to_array(&self.types[at], values).map(StreamColumn)
    }

    /// The stream of columns with so many rows each.
    ///
    /// # Errors
    /// If a column is not of the layout.
    pub fn stream(
        &self,
        columns: Vec<StreamColumn>,
        rows: usize,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, ConnectError> {
        let encoded = guarded(|| {
            let mut out = self.head(metadata)?;
            let arrays = columns.into_iter().map(|column| column.0).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let schema = Arc::clone(&self.schema);
            let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
            append(&batch, &mut out)?;
            Ok::<_, ArrowError>(out)
        });
        encoded.map_err(not_encoded)
    }

    /// The first message, with room for others.
    fn head(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, ArrowError> {
        let kept = {
            let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            head.clone()
        };
        let head = match kept {
            Some(head) if head.fits(metadata) => head,
            _ => {
                let head = Arc::new(Head::new(&self.schema, metadata)?);
                let mut kept = self.head.lock().unwrap_or_else(PoisonError::into_inner);
                *kept = Some(Arc::clone(&head));
                head
            }
        };
        let mut out = Vec::with_capacity(head.bytes.len());
        out.extend_from_slice(&head.bytes);
        for (name, text) in metadata {
            out[head.places[name].clone()].copy_from_slice(text.as_bytes());
        }
        Ok(out)
    }
}

impl Head {
    fn new(schema: &Schema, metadata: &BTreeMap<String, String>) -> Result<Self, ArrowError> {
        // Encoded with two fillers in place of each text: where one changes to the other, there
        // is the text.
        let [bytes, other] = [FILLERS, FILLERS + OTHER_FILLERS].map(|first| {
            let texts = metadata.iter().zip(first..);
            let texts = texts.map(|((name, text), byte)| (name.clone(), filler(byte, text.len())));
            let filled = Schema::new_with_metadata(schema.fields().clone(), texts.collect());
            Ok::<_, ArrowError>(
                StreamWriter::try_new(Vec::new(), &filled)?
                    .get_ref()
                    .clone(),
            )
        });
        let (bytes, other) = (bytes?, other?);
        let mut places = BTreeMap::new();
        for ((name, text), byte) in metadata.iter().zip(FILLERS..) {
            let is_text = |at: &usize| {
                let is = |bytes: &[u8], byte| {
                    let found = bytes.get(*at..*at + text.len());
                    found.is_some_and(|found| found == filler(byte, text.len()).as_bytes())
                };
                is(&bytes, byte) && is(&other, byte + OTHER_FILLERS)
            };
            let at = (0..bytes.len()).find(is_text).ok_or_else(|| {
                ArrowError::IpcError(format!("the metadata `{name}` has no place of its own"))
            })?;
            places.insert(name.clone(), at..at + text.len());
        }
        Ok(Head { bytes, places })
    }

    /// Whether there is a place of the right length for each text, and no other.
    fn fits(&self, metadata: &BTreeMap<String, String>) -> bool {
        self.places.len() == metadata.len()
            && self
                .places
                .iter()
                .zip(metadata)
                .all(|((a, place), (b, text))| a == b && place.len() == text.len())
    }
}

fn filler(byte: u8, length: usize) -> String {
    char::from(byte).to_string().repeat(length)
}

/// Appends the messages with the rows, and the end.
fn append(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let options = IpcWriteOptions::default();
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let generator = IpcDataGenerator::default();
    for start in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
        let length = CHUNK_ROWS.min(batch.num_rows() - start);
        let piece = batch.slice(start, length);
        // No column of ours is encoded by a dictionary.
        let (_, encoded) = generator.encode(&piece, &mut tracker, &options, &mut context)?;
        write_message(&mut *out, encoded, &options)?;
    }
    out.extend_from_slice(&END);
    Ok(())
}

fn not_encoded(source: Cause) -> ConnectError {
    ConnectError::Encode {
        path: LABEL.into(),
        source,
    }
}

fn not_writable(field: &Field) -> ConnectError {
    ConnectError::NotWritable {
        column: field.name.clone(),
        data_type: field.data_type.to_string(),
        format: "Arrow",
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{ErrorReason, Value};

    use super::*;
    use crate::Table;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_stream_is_that_of_the_table() {
        let fields = [
            Field::new("double", DataType::Double),
            Field::new("text", DataType::String),
            Field::new("time", DataType::Timestamp),
            Field::new("list", DataType::Array(Box::new(DataType::BigInt))),
        ];
        let column = |data_type: &DataType, value: &Value, rows: usize| {
            let mut column = Column::repeat(data_type, value, rows);
            column.push(&Value::Null);
            column.push(&Value::Error(ErrorReason::Overflow));
            column
        };
        let values = [
            Value::Double(0.1),
            Value::from("ä"),
            Value::Timestamp(1),
            Value::Array([Value::BigInt(7)].into()),
        ];
        let layout = StreamLayout::new(&fields).unwrap();
        // What is kept is of other texts, of texts of other lengths, of other names.
        let all = [
            metadata(&[("a", "one"), ("b", "two")]),
            metadata(&[("a", "two"), ("b", "one")]),
            metadata(&[("a", "three"), ("b", "")]),
            metadata(&[("a", "three"), ("c", "")]),
            metadata(&[]),
        ];
        for (rows, metadata) in [1, 2, CHUNK_ROWS, 3, 4].into_iter().zip(&all) {
            let columns = fields
                .iter()
                .zip(&values)
                .map(|(field, value)| column(&field.data_type, value, rows));
            let columns: Vec<Column> = columns.collect();
            let made = columns.iter().enumerate();
            let made = made.map(|(at, column)| layout.column(at, column).unwrap());
            let stream = layout.stream(made.collect(), rows + 2, metadata).unwrap();
            let table = Table::from_columns(fields.iter().cloned().zip(columns)).unwrap();
            let expected = table.with_metadata(metadata.clone()).to_stream().unwrap();
            let read = |bytes: Vec<u8>| Table::from_stream(bytes, u64::MAX).unwrap();
            let (stream, expected) = (read(stream), read(expected));
            assert_eq!(stream.metadata(), *metadata);
            assert_eq!(stream.metadata(), expected.metadata());
            assert_eq!(stream.fields(), expected.fields());
            assert_eq!(stream.digest().unwrap(), expected.digest().unwrap());
        }
    }
}
