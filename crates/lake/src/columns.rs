//! Logged events as the columns of a data file.
//!
//! Invariant: what [`TableColumns::push`] took comes back from the file as it was
//! ([`crate::file_events`]). An event that the columns cannot hold exactly is kept as its bytes in
//! the log, too.

use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel_log::{Sequence, event_to_bytes};
use evenkeel_types::codec::encode_values;
use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN};
use evenkeel_types::{Column, DataType, Event, Field, LoggedEvent, Operation, Origin, Value};

use crate::error::LakeError;
use crate::layout::{Layout, own, place_of};
use crate::table::Clustering;

/// See the module. One source's events, in the order in which they were logged.
#[derive(Debug)]
pub struct TableColumns {
    pub(crate) layout: Arc<Layout>,
    /// By place in the layout.
    pub(crate) columns: Vec<Column>,
    table: String,
    clustering: Clustering,
    texts: Texts,
    bytes: usize,
}

/// Texts that repeat themselves.
#[derive(Debug)]
struct Texts {
    operations: Vec<Value>,
    kinds: Vec<Value>,
    /// The origin of the event before, and its text.
    last: (Option<Named>, Value),
}

/// What of an origin is a text.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    File([u8; 16]),
    Text(String),
}

impl TableColumns {
    pub(crate) fn new(table: &str, layout: Arc<Layout>, clustering: Clustering) -> Self {
        let columns = layout
            .fields
            .iter()
            .map(|field| Column::new(&field.data_type))
            .collect();
        TableColumns {
            layout,
            columns,
            table: table.to_owned(),
            clustering,
            texts: Texts {
                operations: (0..)
                    .map_while(Operation::from_code)
                    .map(|operation| Value::string(operation.to_string()))
                    .collect(),
                kinds: ["file", "topic", "producer", "log"]
                    .map(Value::string)
                    .into(),
                last: (None, Value::Null),
            },
            bytes: 0,
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.columns[own::OFFSET].len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About the bytes of what they hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event, which has the schema version of the table, with its number in the apply order.
    ///
    /// # Errors
    /// If it has another one.
    pub fn push(&mut self, logged: &LoggedEvent, sequence: Sequence) -> Result<(), LakeError> {
        if logged.schema_version != self.layout.schema_version {
            return Err(LakeError::NotOurs {
                table: self.table.clone(),
                reason: format!(
                    "an event has schema version {}, the table {}",
                    logged.schema_version, self.layout.schema_version
                ),
            });
        }
        let event = &logged.event;
        let exact = self.holds(event);
        let row = &event.row;
        let key = self.clustering.key_of(row);
        let time = |micros: i64| Value::Timestamp(micros);
        let number = |x: u32| Value::BigInt(i64::from(x));
        let (kind, text, partition, origin_number) = self.texts.origin(&event.origin);
        let operation = &self.texts.operations[usize::from(event.operation.code())];
        let columns = &mut self.columns;
        columns[own::EVENT_TIME].push(&time(event.event_time.0));
        columns[own::VISIBLE_AT].push(&time(logged.visible_at().0));
        columns[own::OPERATION].push(operation);
        columns[own::PARTITION].push(&number(logged.position.partition.0));
        columns[own::OFFSET].push(&wrapped(logged.position.offset.0));
        columns[own::SEQUENCE].push(&wrapped(sequence.0));
        columns[own::LOGGED_AT].push(&time(logged.logged_at.0));
        columns[own::KNOWN_AT].push(&event.known_at.map_or(Value::Null, |t| time(t.0)));
        columns[own::REVISION].push(&number(event.revision));
        columns[own::BUCKET].push(&Value::Int(key));
        let width = i32::try_from(row.len()).unwrap_or(i32::MAX);
        columns[own::COLUMNS].push(&Value::Int(width));
        columns[own::ORIGIN_KIND].push(&kind);
        columns[own::ORIGIN].push(&text);
        columns[own::ORIGIN_PARTITION].push(&partition.map_or(Value::Null, number));
        columns[own::ORIGIN_NUMBER].push(&wrapped(origin_number));
        let bytes = if exact {
            Value::Null
        } else {
            let bytes =
                event_to_bytes(event, logged.position).map_err(|source| LakeError::Write {
                    table: self.table.clone(),
                    source: Box::new(source),
                })?;
            self.bytes += bytes.len();
            Value::Bytes(bytes.into())
        };
        columns[own::EXACT].push(&bytes);
        for (slot, field) in self.layout.stored.iter().enumerate() {
            let value = row.get(slot).filter(|value| exact || fits(value, field));
            let value = value.unwrap_or(&Value::Null);
            self.bytes += 8 + size_of(value);
            columns[place_of(slot)].push(value);
        }
        self.bytes += 64;
        Ok(())
    }

    /// Whether the columns hold all of an event.
    fn holds(&self, event: &Event) -> bool {
        let stored = &self.layout.stored;
        event.before.is_none()
            && event.row.len() <= stored.len()
            && event.row.iter().zip(stored).all(|(v, f)| fits(v, f))
    }

    /// The places of the events by bucket, then event time.
    pub(crate) fn clustered(&self) -> Vec<u32> {
        let (buckets, times) = (&self.columns[own::BUCKET], &self.columns[own::EVENT_TIME]);
        let mut order: Vec<(Key, u32)> = (0..)
            .take(self.len())
            .map(|row| (key_at(buckets, times, row as usize), row))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, row)| row).collect()
    }
}

type Key = (i32, i64);

fn key_at(buckets: &Column, times: &Column, row: usize) -> Key {
    match (buckets.data(), times.data()) {
        (
            evenkeel_types::ColumnData::Int(buckets),
            evenkeel_types::ColumnData::Timestamp(times),
        ) => (buckets[row], times[row]),
        _ => unreachable!("their types are those of the layout"),
    }
}

impl Texts {
    /// Kind, text, partition and number of an origin.
    fn origin(&mut self, origin: &Origin) -> (Value, Value, Option<u32>, u64) {
        let (kind, named, partition, number) = match origin {
            Origin::File { digest, row } => (0, Some(Named::File(*digest)), None, *row),
            Origin::Kafka {
                topic,
                partition,
                offset,
            } => (
                1,
                Some(Named::Text(topic.clone())),
                Some(*partition),
                *offset,
            ),
            Origin::Producer { id, sequence } => {
                (2, Some(Named::Text(id.clone())), None, *sequence)
            }
            Origin::Log(position) => (3, None, Some(position.partition.0), position.offset.0),
        };
        if self.last.0 != named {
            let text = match &named {
                None => Value::Null,
                Some(Named::Text(text)) => Value::string(text.as_str()),
                Some(Named::File(digest)) => Value::string(hexadecimal(digest)),
            };
            self.last = (named, text);
        }
        (
            self.kinds[kind].clone(),
            self.last.1.clone(),
            partition,
            number,
        )
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Numbers of 64 bits without a sign as those with one: the same bits.
fn wrapped(x: u64) -> Value {
    Value::BigInt(x.cast_signed())
}

impl Clustering {
    /// The bucket of a row; -1 if it has no key.
    fn key_of(&self, row: &[Value]) -> i32 {
        let key = self
            .slots
            .iter()
            .map(|&slot| row.get(slot).unwrap_or(&Value::Null));
        if self.slots.is_empty() || key.clone().any(Value::is_missing) {
            return -1;
        }
        i32::from((self.bucket_of)(&encode_values(key)))
    }
}

/// Whether a column holds a value exactly.
fn fits(value: &Value, field: &Field) -> bool {
    is_of(value, &field.data_type)
}

fn is_of(value: &Value, data_type: &DataType) -> bool {
    match (value, data_type) {
        (Value::Null, _)
        | (Value::Boolean(_), DataType::Boolean)
        | (Value::Int(_), DataType::Int)
        | (Value::BigInt(_), DataType::BigInt)
        | (Value::Float(_), DataType::Float)
        | (Value::Double(_), DataType::Double)
        | (Value::String(_), DataType::String)
        | (Value::Bytes(_), DataType::Bytes) => true,
        (Value::Date(days), DataType::Date) => {
            (TIME_MIN / DAY..=TIME_MAX / DAY).contains(&i64::from(*days))
        }
        (Value::Timestamp(time), DataType::Timestamp) => (TIME_MIN..=TIME_MAX).contains(time),
        (Value::Decimal(unscaled), DataType::Decimal { precision, .. }) => {
            unscaled.get().unsigned_abs() < 10u128.pow(u32::from(*precision))
        }
        (Value::Array(values), DataType::Array(element)) => {
            values.iter().all(|value| is_of(value, element))
        }
        (Value::Array(values), DataType::Vector { element, length }) => {
            values.len() == *length as usize
                && values.iter().all(|v| !v.is_null() && is_of(v, element))
        }
        (Value::Struct(values), DataType::Struct(fields)) => {
            values.len() == fields.len() && values.iter().zip(fields).all(|(v, f)| fits(v, f))
        }
        _ => false,
    }
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) | Value::Struct(values) => {
            values.iter().map(|value| 8 + size_of(value)).sum()
        }
        _ => 0,
    }
}
