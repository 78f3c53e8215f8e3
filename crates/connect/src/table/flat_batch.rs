//! The message of a record batch whose columns are flat, written straight from columns of values.
//!
//! Of such a message all but lengths and places is the same for every batch of a schema. So one is
//! encoded by Arrow when a layout is made, and kept with the places of its numbers: those are put in,
//! and the values written behind it. What comes out are the bytes that Arrow's writer makes of the
//! same columns, but that a column may be the one before again.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow_ipc::{Message, RecordBatch as BatchMessage, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use evenkeel_types::{Column, ColumnData, DataType, SLOT_PRESENT, Value};

use super::stream_layout::StreamPart;
use crate::arrow_values::to_array;

/// Where buffers begin: at multiples of this, as Arrow's writer does it.
const ALIGNMENT: usize = 64;
/// What stands before a message: a mark, and its length.
const PREFIX: usize = 8;
/// Bytes of a node (its rows and how many are NULL), and of a buffer (its place and length).
const PAIR: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct FlatBatch {
    /// With what stands before it.
    message: Vec<u8>,
    /// Where in it the number of rows is,
    rows_at: usize,
    /// the bytes of the body,
    body_at: usize,
    /// the first node,
    nodes_at: usize,
    /// and the first buffer.
    buffers_at: usize,
    /// By column: the number of its first buffer,
    first_buffers: Vec<usize>,
    /// and an empty one of its type.
    empty: Vec<Column>,
}

/// Whether a column of a type has no others in it.
fn is_flat(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int
            | DataType::BigInt
            | DataType::Float
            | DataType::Double
            | DataType::Decimal { .. }
            | DataType::String
            | DataType::Bytes
            | DataType::Date
            | DataType::Timestamp
    )
}

fn buffers_of(data_type: &DataType) -> usize {
    match data_type {
        DataType::String | DataType::Bytes => 3,
        _ => 2,
    }
}

impl FlatBatch {
    /// The message of batches with these types; none if one of them is not flat.
    pub(super) fn new(types: &[DataType], schema: &SchemaRef) -> Result<Option<Self>, ArrowError> {
        if types.is_empty() || !types.iter().all(is_flat) {
            return Ok(None);
        }
        let column =
            |data_type: &DataType| to_array(data_type, &Column::repeat(data_type, &Value::Null, 1));
        let Some(columns) = types.iter().map(column).collect::<Option<Vec<ArrayRef>>>() else {
            return Ok(None);
        };
        let batch = RecordBatch::try_new(SchemaRef::clone(schema), columns)?;
        let options = IpcWriteOptions::default();
        let (_, encoded) = IpcDataGenerator::default().encode(
            &batch,
            &mut DictionaryTracker::new(false),
            &options,
            &mut IpcWriteContext::default(),
        )?;
        let mut message = Vec::new();
        write_message(&mut message, encoded, &options)?;
        let length = message.get(4..).and_then(|rest| rest.first_chunk());
        let length = length.map_or(0, |four| u32::from_le_bytes(*four));
        message.truncate(PREFIX + length as usize);
        let mut first = 0;
        let first_buffers = types.iter().map(|data_type| {
            let own = first;
            first += buffers_of(data_type);
            own
        });
        let first_buffers: Vec<usize> = first_buffers.collect();
        let buffers = first;
        let parsed = root_as_message(&message[PREFIX..])
            .map_err(|error| ArrowError::IpcError(error.to_string()))?;
        let batch = parsed.header_as_record_batch();
        let lists = batch.and_then(|batch| Some((batch, batch.nodes()?, batch.buffers()?)));
        let Some((batch, nodes, of_buffers)) = lists else {
            return Ok(None);
        };
        if nodes.len() != types.len() || of_buffers.len() != buffers {
            return Ok(None);
        }
        let at = |table: usize, field: u16| match field {
            0 => None,
            field => Some(PREFIX + table + usize::from(field)),
        };
        let rows_at = batch._tab.vtable().get(BatchMessage::VT_LENGTH);
        let body_at = parsed._tab.vtable().get(Message::VT_BODYLENGTH);
        let (Some(rows_at), Some(body_at)) = (
            at(batch._tab.loc(), rows_at),
            at(parsed._tab.loc(), body_at),
        ) else {
            return Ok(None);
        };
        let place = |bytes: &[u8]| bytes.as_ptr().addr() - message.as_ptr().addr();
        let (nodes_at, buffers_at) = (place(nodes.bytes()), place(of_buffers.bytes()));
        Ok(Some(FlatBatch {
            rows_at,
            body_at,
            nodes_at,
            buffers_at,
            first_buffers,
            empty: types.iter().map(Column::new).collect(),
            message,
        }))
    }

    /// Whether columns are of these types, and have so many rows.
    fn fits(&self, parts: &[StreamPart<'_>], rows: usize) -> bool {
        let is_alike = |(number, (part, empty)): (usize, (&StreamPart<'_>, &Column))| match part {
            StreamPart::Values(column) => column.len() == rows && column.has_type_of(empty),
            StreamPart::Again(before) => *before < number && self.empty[*before].has_type_of(empty),
        };
        parts.len() == self.empty.len() && parts.iter().zip(&self.empty).enumerate().all(is_alike)
    }

    /// Appends the message of so many rows; false, and nothing, if a column is too large.
    pub(super) fn append(
        &self,
        parts: &[StreamPart<'_>],
        rows: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, ArrowError> {
        if !self.fits(parts, rows) {
            let message = "the columns are not those of the layout".to_owned();
            return Err(ArrowError::InvalidArgumentError(message));
        }
        let start = out.len();
        let body: usize = parts.iter().map(body_bytes).sum();
        out.reserve(self.message.len() + body);
        out.extend_from_slice(&self.message);
        let mut writing = Writing {
            batch: self,
            start,
            body: out.len(),
            out,
        };
        for (number, part) in parts.iter().enumerate() {
            let is_written = match part {
                StreamPart::Values(column) => writing.values(number, column),
                StreamPart::Again(before) => {
                    writing.again(number, *before);
                    true
                }
            };
            if !is_written {
                out.truncate(start);
                return Ok(false);
            }
        }
        let body = writing.out.len() - writing.body;
        writing.put(self.rows_at, rows);
        writing.put(self.body_at, body);
        Ok(true)
    }
}

/// About the bytes of a column in a body.
fn body_bytes(part: &StreamPart<'_>) -> usize {
    let StreamPart::Values(column) = part else {
        return 0;
    };
    let rows = column.len();
    let values = match column.data() {
        ColumnData::String(texts) => texts.iter().map(|text| text.len()).sum::<usize>() + 4 * rows,
        ColumnData::Bytes(texts) => texts.iter().map(|text| text.len()).sum::<usize>() + 4 * rows,
        ColumnData::Decimal(_) => 16 * rows,
        _ => 8 * rows,
    };
    values + rows / 8 + 4 * ALIGNMENT
}

/// A message that is being written.
struct Writing<'a> {
    batch: &'a FlatBatch,
    out: &'a mut Vec<u8>,
    /// Where the message begins,
    start: usize,
    /// and its body.
    body: usize,
}

impl Writing<'_> {
    /// Puts a number into its place in the message.
    fn put(&mut self, at: usize, number: usize) {
        let at = self.start + at;
        self.out[at..at + 8].copy_from_slice(&(number as u64).to_le_bytes());
    }

    fn node(&mut self, column: usize, rows: usize, nulls: usize) {
        let at = self.batch.nodes_at + column * PAIR;
        self.put(at, rows);
        self.put(at + 8, nulls);
    }

    /// The buffer that begins here and is written by `write`.
    fn buffer(&mut self, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.out.len();
        write(self.out);
        let (place, length) = (begin - self.body, self.out.len() - begin);
        let end = self.body + (place + length).next_multiple_of(ALIGNMENT);
        self.out.resize(end, 0);
        let at = self.batch.buffers_at + number * PAIR;
        self.put(at, place);
        self.put(at + 8, length);
    }

    /// A column that is like one before, which is there once: its buffers are those.
    fn again(&mut self, column: usize, before: usize) {
        let pairs = |at: usize, count: usize| at..at + count * PAIR;
        let batch = self.batch;
        let node = |column: usize| pairs(self.start + batch.nodes_at + column * PAIR, 1);
        let (from, to) = (node(before), node(column));
        self.out.copy_within(from, to.start);
        let next = batch.first_buffers.get(before + 1);
        let count = next.map_or(0, |next| next - batch.first_buffers[before]);
        let buffers = |column: usize| {
            pairs(
                self.start + batch.buffers_at + batch.first_buffers[column] * PAIR,
                count,
            )
        };
        let (from, to) = (buffers(before), buffers(column));
        self.out.copy_within(from, to.start);
    }

    /// A column of values; false if it is too large.
    fn values(&mut self, column: usize, values: &Column) -> bool {
        let states = values.states();
        let nulls = states
            .iter()
            .filter(|state| **state != SLOT_PRESENT)
            .count();
        self.node(column, values.len(), nulls);
        let first = self.batch.first_buffers[column];
        self.buffer(first, |out| {
            if nulls > 0 {
                bits(states.iter().map(|state| *state == SLOT_PRESENT), out);
            }
        });
        let next = first + 1;
        match values.data() {
            ColumnData::Boolean(all) => {
                let is_so = |(row, is_so): (usize, &bool)| *is_so && is_present(states, row);
                self.buffer(next, |out| bits(all.iter().enumerate().map(is_so), out));
            }
            ColumnData::Int(all) | ColumnData::Date(all) => {
                self.buffer(next, |out| numbers(all, i32::to_le_bytes, out));
            }
            ColumnData::BigInt(all) | ColumnData::Timestamp(all) => {
                self.buffer(next, |out| numbers(all, i64::to_le_bytes, out));
            }
            ColumnData::Float(all) => self.buffer(next, |out| numbers(all, f32::to_le_bytes, out)),
            ColumnData::Double(all) => self.buffer(next, |out| numbers(all, f64::to_le_bytes, out)),
            ColumnData::Decimal(all) => {
                self.buffer(next, |out| numbers(all, i128::to_le_bytes, out));
            }
            ColumnData::String(all) => {
                let text = |row: usize| match is_present(states, row) {
                    true => all[row].as_bytes(),
                    false => &[],
                };
                return self.texts(next, all.len(), text);
            }
            ColumnData::Bytes(all) => {
                let text = |row: usize| match is_present(states, row) {
                    true => &all[row][..],
                    false => &[],
                };
                return self.texts(next, all.len(), text);
            }
            ColumnData::Interval(_) | ColumnData::Nested(_) => return false,
        }
        true
    }

    /// Two buffers: where the texts of so many rows end, and the texts.
    fn texts<'t>(&mut self, number: usize, rows: usize, text: impl Fn(usize) -> &'t [u8]) -> bool {
        let lengths = (0..rows).map(|row| text(row).len());
        if i32::try_from(lengths.sum::<usize>()).is_err() {
            return false;
        }
        self.buffer(number, |out| {
            let mut end = 0u32;
            out.extend_from_slice(&end.to_le_bytes());
            for row in 0..rows {
                // All of them together fit.
                end += text(row).len() as u32;
                out.extend_from_slice(&end.to_le_bytes());
            }
        });
        self.buffer(number + 1, |out| {
            for row in 0..rows {
                out.extend_from_slice(text(row));
            }
        });
        true
    }
}

fn is_present(states: &[u8], row: usize) -> bool {
    states.get(row).is_none_or(|state| *state == SLOT_PRESENT)
}

/// Bits, the first the lowest of a byte.
fn bits(all: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    for (number, is_set) in all.enumerate() {
        if number % 8 == 0 {
            out.push(0);
        }
        if let Some(last) = out.last_mut() {
            *last |= u8::from(is_set) << (number % 8);
        }
    }
}

/// Numbers of so many bytes.
fn numbers<T: Copy, const BYTES: usize>(
    all: &[T],
    bytes: impl Fn(T) -> [u8; BYTES],
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    out.resize(begin + all.len() * BYTES, 0);
    for (place, number) in out[begin..].chunks_exact_mut(BYTES).zip(all) {
        place.copy_from_slice(&bytes(*number));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use evenkeel_types::{ErrorReason, Field};
    use proptest::prelude::*;

    use super::super::CHUNK_ROWS;
    use super::super::stream_layout::StreamLayout;
    use super::*;
    use crate::Table;

    fn types() -> [DataType; 10] {
        [
            DataType::Boolean,
            DataType::Int,
            DataType::BigInt,
            DataType::Float,
            DataType::Double,
            DataType::Decimal {
                precision: 20,
                scale: 3,
            },
            DataType::String,
            DataType::Bytes,
            DataType::Date,
            DataType::Timestamp,
        ]
    }

    fn value(data_type: &DataType, number: i64) -> Value {
        match data_type {
            DataType::Boolean => Value::Boolean(number % 2 == 0),
            DataType::Int => Value::Int(number as i32),
            DataType::BigInt => Value::BigInt(number),
            DataType::Float => Value::float(number as f32 / 3.0),
            DataType::Double => Value::double(number as f64 / 3.0),
            DataType::Decimal { .. } => Value::Decimal(i128::from(number).into()),
            DataType::String => {
                Value::from("ä".repeat((number % 5).unsigned_abs() as usize).as_str())
            }
            DataType::Bytes => Value::Bytes(Arc::from(
                &number.to_le_bytes()[..(number % 8).unsigned_abs() as usize],
            )),
            DataType::Date => Value::Date(number as i32),
            _ => Value::Timestamp(number),
        }
    }

    /// A column of a type; what is neither NULL nor ERROR is made of the numbers.
    fn column(data_type: &DataType, numbers: &[Option<i64>]) -> Column {
        let mut column = Column::new(data_type);
        for number in numbers {
            column.push(&match number {
                Some(number) => value(data_type, *number),
                None if column.len().is_multiple_of(3) => Value::Error(ErrorReason::Overflow),
                None => Value::Null,
            });
        }
        column
    }

    proptest! {
        /// A stream has the bytes that Arrow's writer makes; with columns that are there again it
        /// says what it would say with copies of them.
        #[test]
        fn a_stream_is_what_arrow_writes(
            columns in (1..140usize).prop_flat_map(|rows| {
                let number = prop_oneof![6 => any::<i64>().prop_map(Some), 1 => Just(None)];
                let some = proptest::collection::vec(number, rows);
                let all = proptest::collection::vec(any::<i64>().prop_map(Some), rows);
                let column = (0..10usize, prop_oneof![some, all], any::<prop::sample::Index>());
                proptest::collection::vec(column, 1..12)
            }),
        ) {
            let rows = columns[0].1.len();
            let types: Vec<DataType> = columns.iter().map(|(of, ..)| types()[*of].clone()).collect();
            let fields: Vec<Field> = types
                .iter()
                .enumerate()
                .map(|(number, data_type)| Field::new(format!("c{number}"), data_type.clone()))
                .collect();
            let layout = StreamLayout::new(&fields).unwrap();
            let metadata = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
            let values: Vec<Column> = types
                .iter()
                .zip(&columns)
                .map(|(data_type, (_, numbers, _))| column(data_type, numbers))
                .collect();
            let parts: Vec<StreamPart<'_>> = values.iter().map(StreamPart::Values).collect();
            let stream = layout.write(&parts, rows, &metadata).unwrap().unwrap();
            let arrays = values.iter().enumerate();
            let arrays = arrays.map(|(at, column)| layout.column(at, column).unwrap());
            let expected = layout.stream(arrays.collect(), rows, &metadata).unwrap();
            prop_assert_eq!(stream, expected);

            // Columns with another of their type before them are that one again.
            let mut copies = Vec::new();
            let mut parts: Vec<StreamPart<'_>> = Vec::new();
            for (number, (_, _, which)) in columns.iter().enumerate() {
                let alike: Vec<usize> = (0..number).filter(|&n| types[n] == types[number]).collect();
                match alike.is_empty() {
                    true => {
                        parts.push(StreamPart::Values(&values[number]));
                        copies.push(values[number].clone());
                    }
                    false => {
                        let before = *which.get(&alike);
                        parts.push(StreamPart::Again(before));
                        copies.push(copies[before].clone());
                    }
                }
            }
            let stream = layout.write(&parts, rows, &metadata).unwrap().unwrap();
            let found = Table::from_stream(stream, u64::MAX).unwrap();
            let expected = Table::from_columns(fields.iter().cloned().zip(copies)).unwrap();
            prop_assert_eq!(found.fields(), expected.fields());
            prop_assert_eq!(found.digest().unwrap(), expected.digest().unwrap());
        }
    }

    #[test]
    fn what_is_no_one_batch_is_written_by_arrow_and_what_does_not_fit_is_refused() {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::BigInt));
        let layout = StreamLayout::new(&fields).unwrap();
        for rows in [0, CHUNK_ROWS, CHUNK_ROWS + 1] {
            let column = Column::repeat(&DataType::BigInt, &Value::BigInt(7), rows);
            let parts = [StreamPart::Values(&column), StreamPart::Again(0)];
            let stream = layout.write(&parts, rows, &BTreeMap::new()).unwrap();
            let found = Table::from_stream(stream.unwrap(), u64::MAX).unwrap();
            let copies = fields.iter().cloned().zip([column.clone(), column.clone()]);
            let expected = Table::from_columns(copies).unwrap();
            assert_eq!(found.digest().unwrap(), expected.digest().unwrap());
        }
        let of = |data_type: &DataType, rows| Column::repeat(data_type, &Value::Null, rows);
        let (good, short) = (of(&DataType::BigInt, 3), of(&DataType::BigInt, 2));
        let other = of(&DataType::Double, 3);
        let good = StreamPart::Values(&good);
        for parts in [
            vec![good],
            vec![good, StreamPart::Values(&short)],
            vec![good, StreamPart::Values(&other)],
            vec![good, StreamPart::Again(1)],
        ] {
            assert!(layout.write(&parts, 3, &BTreeMap::new()).is_err());
        }
    }
}
