//! What of a run's rows is written: a version of each key that has a row, the end of each that has
//! none any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_types::codec::encode_values;
use evenkeel_types::{Column, EventTime, Value};

use super::{BatchView, RUN_COLUMNS, RunRecord};
use crate::error::EngineError;
use crate::offline::Offline;
use crate::push::PushedRow;
use crate::slices::{Reading, SourceRows, SourceSlice};

/// The rows of a run, in the order of their keys, each with an identity.
#[derive(Debug)]
pub struct RunRows {
    /// Versions and ends.
    pub rows: Vec<PushedRow>,
    /// How many of them, the first, are versions.
    pub versions: usize,
    /// Rows without a key.
    pub failed: u64,
}

type ByKey = BTreeMap<Vec<u8>, Vec<Value>>;

/// When a key ends, its encoding, and its parts.
type LaterEnd = (i64, Vec<u8>, Vec<Value>);

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
        let table = &batch.table;
        let keys = table.primary_key.len();
        let features = &table.columns[keys + RUN_COLUMNS..table.stored];
        let columns: Vec<Column> = table.columns[..keys]
            .iter()
            .chain(features)
            .map(|column| result.column_as(&column.name, &column.data_type))
            .collect::<Result<_, _>>()
            .map_err(EngineError::connect)?;
        let mut versions = ByKey::new();
        let mut failed = 0;
        for row in 0..result.len() {
            let values: Vec<Value> = columns.iter().map(|column| column.get(row)).collect();
            if values[..keys].iter().any(Value::is_missing) {
                failed += 1;
                continue;
            }
            if versions
                .insert(encode_values(&values[..keys]), values)
                .is_some()
            {
                let key: Vec<String> = columns[..keys]
                    .iter()
                    .map(|column| format!("{:?}", column.get(row)))
                    .collect();
                return Err(EngineError::RunKeyTwice {
                    view: batch.view.name.clone(),
                    key: key.join(", "),
                });
            }
        }
        // Of what there is now: an earlier run may have been made since this one began.
        let mut ended = live(offline, batch, EventTime(record.at), reading)?;
        ended.retain(|key, _| !versions.contains_key(key));
        let later = later_ends(offline, batch, record.at, &versions, reading)?;
        let count = versions.len();
        let row = |operation: &str, at: i64, revision: i64, values: Vec<Value>| {
            let (key, features) = values.split_at(keys);
            let of_run = [
                Value::from(operation),
                Value::Timestamp(at),
                Value::BigInt(revision),
            ];
            let mut row = [key, &of_run, features].concat();
            row.resize(table.stored, Value::Null);
            Ok(row)
        };
        let revision = i64::from(record.revision);
        let producer: Arc<str> = record.identity().into();
        let mut rows: Vec<PushedRow> = (0..)
            .zip(versions.into_values())
            .map(|(sequence, values)| PushedRow {
                values: row("upsert", record.at, revision, values),
                producer: Some((Arc::clone(&producer), sequence)),
            })
            .collect();
        // Which keys end may be others when a run goes on: each end has an identity by its key.
        let ends: Arc<str> = format!("{producer}:ended").into();
        rows.extend(ended.into_iter().map(|(key, values)| PushedRow {
            values: row("delete", record.at, revision, values),
            producer: Some((Arc::clone(&ends), sequence_of(&key))),
        }));
        // Whatever the later run says of the key, now or when it is made again, goes before.
        rows.extend(later.into_iter().map(|(at, key, values)| {
            let ends: Arc<str> = format!("{producer}:later:{at}").into();
            PushedRow {
                values: row("delete", at, -1, values),
                producer: Some((ends, sequence_of(&key))),
            }
        }));
        Ok(RunRows {
            rows,
            versions: count,
            failed,
        })
    }
}

/// The keys that have a row at a time.
fn live(
    offline: &Offline,
    batch: &BatchView,
    at: EventTime,
    reading: Reading<'_>,
) -> Result<ByKey, EngineError> {
    let rows = read(offline, batch, (i64::MIN, at.0), true, reading)?;
    Ok(keys_of(&rows, |_| true))
}

/// The ends of keys that a later run, made before this one, did not have: its time, and the key.
fn later_ends(
    offline: &Offline,
    batch: &BatchView,
    at: i64,
    versions: &ByKey,
    reading: Reading<'_>,
) -> Result<Vec<LaterEnd>, EngineError> {
    let Some(later) = RunRecord::time_after(offline, &batch.view.name, at)? else {
        return Ok(Vec::new());
    };
    // What the later run wrote may be newer than what this one knows.
    let rows = read(offline, batch, (later, later), false, reading)?;
    let keys = batch.table.primary_key.len();
    let had = keys_of(&rows, |_| true);
    let new = versions.iter().filter(|(key, _)| !had.contains_key(*key));
    Ok(new
        .map(|(key, values)| (later, key.clone(), values[..keys].to_vec()))
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

fn keys_of(rows: &SourceRows, wanted: impl Fn(usize) -> bool) -> ByKey {
    let key = |row: usize| -> Vec<Value> {
        let parts = rows.columns.iter();
        parts.map(|column| column.get(row)).collect()
    };
    (0..rows.times.len())
        .filter(|row| wanted(*row))
        .map(|row| (encode_values(&key(row)), key(row)))
        .collect()
}
