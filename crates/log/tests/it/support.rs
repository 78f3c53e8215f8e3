//! Logs and events for tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use evenkeel_log::{
    Appended, Batch, Clock, Log, LogError, LogOptions, LogReader, ManualClock, MemoryFileSystem,
    OWN_POSITION, ReadOptions, RecoveryReport, Sequence,
};
use evenkeel_types::{
    Event, EventTime, LoggedEvent, Operation, Origin, Partition, SourceId, Value,
};

pub(crate) const DIRECTORY: &str = "/log";

pub(crate) fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

/// Where [`clock`] stands.
pub(crate) const NOW: i64 = 1_000_000;

/// A clock that stands still.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

pub(crate) fn open(fs: &MemoryFileSystem) -> Result<(Log, RecoveryReport), LogError> {
    open_with(fs, clock(), LogOptions::default())
}

pub(crate) fn open_with(
    fs: &MemoryFileSystem,
    clock: Arc<dyn Clock>,
    options: LogOptions,
) -> Result<(Log, RecoveryReport), LogError> {
    Log::open(Arc::new(fs.clone()), directory(), clock, options)
}

/// A small insert whose row says `number`.
pub(crate) fn event(number: i64) -> Event {
    Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(number * 1_000),
        known_at: None,
        origin: Origin::Producer {
            id: "till".into(),
            sequence: number.unsigned_abs(),
        },
        row: vec![
            Value::BigInt(number),
            Value::string(format!("key-{}", number % 7)),
            Value::double(number as f64 / 4.0),
        ],
        before: None,
    }
}

/// An insert without an origin of its own.
pub(crate) fn pushed(number: i64) -> Event {
    Event {
        origin: OWN_POSITION,
        ..event(number)
    }
}

pub(crate) fn events(source: u32, partition: u32, numbers: std::ops::Range<i64>) -> Batch {
    Batch::Events {
        source: SourceId(source),
        partition: Partition(partition),
        schema_version: 1,
        events: numbers.map(event).collect(),
    }
}

/// Appends, and answers the events as they should be read.
pub(crate) fn append(log: &Log, batches: &[Batch]) -> Result<Vec<LoggedEvent>, LogError> {
    let places = log.append(batches)?;
    Ok(expected(batches, &places))
}

/// The events of batches that were appended at these places.
pub(crate) fn expected(batches: &[Batch], places: &[Appended]) -> Vec<LoggedEvent> {
    batches
        .iter()
        .zip(places)
        .flat_map(|(batch, place)| match batch {
            Batch::Events {
                schema_version,
                events,
                ..
            } => place
                .logged(*schema_version, events.iter().cloned())
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect()
}

/// The numbers of all records of a log.
pub(crate) fn all_records(log: &LogReader) -> BTreeSet<Sequence> {
    (0..log.next_sequence().0).map(Sequence).collect()
}

/// Everything in the log.
pub(crate) fn read_all(log: &LogReader) -> Result<Vec<LoggedEvent>, LogError> {
    log.read(ReadOptions::default()).collect()
}
