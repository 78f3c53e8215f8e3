//! What of a run's rows is written: a version of each key that has a row, the end of each that has
//! none any more.
//!
//! The result stays in columns; rows are made of it piece by piece, as they are written.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_connect::{Table, value_to_text};
use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Column, Value};

use super::{BatchView, RUN_COLUMNS, RunRecord};
use crate::error::EngineError;
use crate::offline::Offline;
use crate::push::{ConsideredRows, PushedRow, Undecoded};
use crate::recorder::Recorder;
use crate::slices::{Reading, SourceRows, SourceSlice};

/// The rows of a run, in the order of their keys, each with an identity.
#[derive(Debug)]
pub struct RunRows {
    recorder: Recorder,
    versions: Versions,
    ends: Vec<PushedRow>,
    /// Rows without a key.
    failed: u64,
}

impl RunRows {
    /// Of what the query gave.
    ///
    /// # Errors
    /// If a column is missing or has another type, a key has two rows, or the table cannot be read;
    /// [`EngineError::Stopped`].
    pub fn of(
        offline: &Offline,
        batch: &BatchView,
        record: &RunRecord,
        result: &Table,
        reading: Reading<'_>,
    ) -> Result<Self, EngineError> {
        let (versions, failed) = Versions::of(batch, record, result)?;
        // Of what there is now: an earlier run may have been made since this one began.
        let ended = ended(offline, batch, &versions, reading)?;
        let later = later_ends(offline, batch, &versions, reading)?;
        let producer = &versions.producer;
        // Which keys end may be others when a run goes on: each end has an identity by its key.
        let identity: Arc<str> = format!("{producer}:ended").into();
        let mut ends: Vec<PushedRow> = ended
            .into_iter()
            .map(|(key, values)| PushedRow {
                values: versions.row("delete", record.at, versions.revision, values),
                producer: Some((Arc::clone(&identity), sequence_of(&key))),
            })
            .collect();
        // Whatever the later run says of the key, now or when it is made again, goes before.
        ends.extend(later.into_iter().map(|(at, key, values)| {
            let identity: Arc<str> = format!("{producer}:later:{at}").into();
            PushedRow {
                values: versions.row("delete", at, -1, values),
                producer: Some((identity, sequence_of(&key))),
            }
        }));
        Ok(RunRows {
            recorder: Recorder::new(Arc::clone(&batch.table), offline.row_bytes())?,
            versions,
            ends,
            failed,
        })
    }

    /// How many there are: versions first, then ends.
    pub fn len(&self) -> usize {
        self.versions() + self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are versions.
    pub fn versions(&self) -> usize {
        self.versions.keys.order.len()
    }

    /// Rows of the result without a key.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Some of the rows, considered: as much of writing them as needs nobody to wait.
    pub fn piece(&self, rows: Range<usize>) -> ConsideredRows {
        let count = self.versions();
        let versions = rows.start.min(count)..rows.end.min(count);
        let ends = &self.ends[rows.start.max(count) - count..rows.end.max(count) - count];
        let versions = versions.map(|number| self.versions.version(number));
        ConsideredRows::of_pushed(&self.recorder, versions.chain(ends.iter().cloned()))
    }
}

/// A version of each key that has a row.
#[derive(Debug)]
struct Versions {
    table: Arc<SourceDef>,
    /// Keys, then features.
    columns: Vec<Column>,
    keys: Keys,
    at: i64,
    revision: i64,
    producer: Arc<str>,
}

impl Versions {
    /// Of a result; and how many of its rows have no key.
    fn of(
        batch: &BatchView,
        record: &RunRecord,
        result: &Table,
    ) -> Result<(Self, u64), EngineError> {
        let table = &batch.table;
        let key_count = table.primary_key.len();
        let features = &table.columns[key_count + RUN_COLUMNS..table.stored];
        let columns: Vec<Column> = table.columns[..key_count]
            .iter()
            .chain(features)
            .map(|column| result.column_as(&column.name, &column.data_type))
            .collect::<Result<_, _>>()
            .map_err(EngineError::connect)?;
        let (keys, failed) = Keys::of(&columns[..key_count], result.len());
        if let Some(row) = keys.twice() {
            let parts = table.columns.iter().zip(&columns[..key_count]);
            let key: Vec<String> = parts
                .map(|(part, column)| {
                    let value = value_to_text(&part.data_type, &column.get(row));
                    format!("{}={}", part.name, value.unwrap_or_default())
                })
                .collect();
            return Err(EngineError::RunKeyTwice {
                view: batch.view.name.clone(),
                key: key.join(", "),
            });
        }
        let versions = Versions {
            table: Arc::clone(table),
            columns,
            keys,
            at: record.at,
            revision: i64::from(record.revision),
            producer: record.identity().into(),
        };
        Ok((versions, failed))
    }

    /// One of them, by its number in the order of keys.
    fn version(&self, number: usize) -> PushedRow {
        let row = self.keys.order[number];
        let values = self.columns.iter().map(|column| column.get(row));
        PushedRow {
            values: self.row("upsert", self.at, self.revision, values),
            producer: Some((Arc::clone(&self.producer), number as u64)),
        }
    }

    /// A row of the table: of a key, and of its features if there are any.
    fn row(
        &self,
        operation: &str,
        at: i64,
        revision: i64,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Value>, Undecoded> {
        let mut values = values.into_iter();
        let mut row = Vec::with_capacity(self.table.stored);
        row.extend(values.by_ref().take(self.table.primary_key.len()));
        row.extend([
            Value::from(operation),
            Value::Timestamp(at),
            Value::BigInt(revision),
        ]);
        row.extend(values);
        row.resize(self.table.stored, Value::Null);
        Ok(row)
    }
}

/// The encoded keys of rows, and their order.
#[derive(Debug)]
struct Keys {
    bytes: Vec<u8>,
    /// Where the key of each row ends.
    ends: Vec<usize>,
    /// The rows that have a key, by it.
    order: Vec<usize>,
}

impl Keys {
    /// Of rows; and how many have none.
    fn of(parts: &[Column], rows: usize) -> (Self, u64) {
        let mut keys = Keys {
            bytes: Vec::new(),
            ends: Vec::with_capacity(rows),
            order: Vec::with_capacity(rows),
        };
        for row in 0..rows {
            let key = parts.iter().map(|column| column.get(row));
            let start = keys.bytes.len();
            let mut is_missing = false;
            key.for_each(|part| {
                is_missing |= part.is_missing();
                encode_value(&part, &mut keys.bytes);
            });
            match is_missing {
                true => keys.bytes.truncate(start),
                false => keys.order.push(row),
            }
            keys.ends.push(keys.bytes.len());
        }
        let mut order = std::mem::take(&mut keys.order);
        order.sort_unstable_by(|one, other| keys.of_row(*one).cmp(keys.of_row(*other)));
        let failed = (rows - order.len()) as u64;
        keys.order = order;
        (keys, failed)
    }

    fn of_row(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[row]]
    }

    /// A row whose key another has.
    fn twice(&self) -> Option<usize> {
        let mut pairs = self.order.windows(2);
        let found = pairs.find(|pair| self.of_row(pair[0]) == self.of_row(pair[1]));
        found.map(|pair| pair[1])
    }

    fn contains(&self, key: &[u8]) -> bool {
        let place = |row: &usize| -> Ordering { self.of_row(*row).cmp(key) };
        self.order.binary_search_by(place).is_ok()
    }
}

/// A key: its encoding, and its parts.
type Key = (Vec<u8>, Vec<Value>);

/// When a key ends, its encoding, and its parts.
type LaterEnd = (i64, Vec<u8>, Vec<Value>);

/// The keys that have a row at the time of the run, and none in it, in order.
fn ended(
    offline: &Offline,
    batch: &BatchView,
    versions: &Versions,
    reading: Reading<'_>,
) -> Result<Vec<Key>, EngineError> {
    let live = read(offline, batch, (i64::MIN, versions.at), true, reading)?;
    let mut ended: Vec<Key> = Vec::new();
    let mut key = Vec::new();
    for row in 0..live.times.len() {
        key.clear();
        let parts = live.columns.iter().map(|column| column.get(row));
        parts.for_each(|part| encode_value(&part, &mut key));
        if !versions.keys.contains(&key) {
            let parts = live.columns.iter().map(|column| column.get(row));
            ended.push((key.clone(), parts.collect()));
        }
    }
    ended.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(ended)
}

/// The ends of keys that a later run, made before this one, did not have: its time, and the key.
fn later_ends(
    offline: &Offline,
    batch: &BatchView,
    versions: &Versions,
    reading: Reading<'_>,
) -> Result<Vec<LaterEnd>, EngineError> {
    let Some(later) = RunRecord::time_after(offline, &batch.view.name, versions.at)? else {
        return Ok(Vec::new());
    };
    // What the later run wrote may be newer than what this one knows.
    let rows = read(offline, batch, (later, later), false, reading)?;
    let (had, _) = Keys::of(&rows.columns, rows.times.len());
    let keys = &versions.keys;
    let new = keys
        .order
        .iter()
        .filter(|row| !had.contains(keys.of_row(**row)));
    let parts = &versions.columns[..batch.table.primary_key.len()];
    Ok(new
        .map(|row| {
            let values = parts.iter().map(|column| column.get(*row)).collect();
            (later, keys.of_row(*row).to_vec(), values)
        })
        .collect())
}

/// A number of a key.
fn sequence_of(key: &[u8]) -> u64 {
    let digest = blake3::hash(key);
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

fn read(
    offline: &Offline,
    batch: &BatchView,
    (from, until): (i64, i64),
    live: bool,
    reading: Reading<'_>,
) -> Result<SourceRows, EngineError> {
    let slice = SourceSlice {
        source: Arc::clone(&batch.table),
        slots: batch.table.primary_key.clone(),
        from,
        until,
        live,
    };
    offline.source_rows(&slice, Some(offline.cut()), reading)
}
