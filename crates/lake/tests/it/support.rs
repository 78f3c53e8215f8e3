//! A log and a lake in one memory.

use std::path::Path;
use std::sync::Arc;

use evenkeel_ddl::bind_project;
use evenkeel_lake::{Clustering, ColdAndLog, Lake, LakeAddress, LakeError, Table};
use evenkeel_log::{
    Batch, EventSource, FileSystem, Log, LogOptions, LogReader, ManualClock, MemoryFileSystem,
    Next, OWN_POSITION, ReadOptions,
};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{
    Cut, Event, EventTime, LoggedEvent, Offset, Operation, Partition, SourceId, Value, VisibleAt,
};

pub(crate) const STORE: &str = "a store";

/// A stream that has these columns beside `at`.
pub(crate) fn stream(columns: &str) -> Arc<SourceDef> {
    source(&format!(
        "CREATE STREAM things (card STRING, at TIMESTAMP, {columns}, EVENT TIME at);"
    ))
}

pub(crate) fn source(sql: &str) -> Arc<SourceDef> {
    let project = bind_project(
        &[("a.sql", sql)],
        &Catalog::default(),
        &|_| false,
        &mut |_| Err("it is not read".to_owned()),
    );
    let errors: Vec<String> = project
        .errors
        .iter()
        .map(|e| e.diagnostic.render(sql, "a.sql", false))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let found = project.catalog.sources.values().next();
    Arc::clone(found.unwrap())
}

pub(crate) fn bucket_of(key: &[u8]) -> u16 {
    u16::from(key.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))) % 7
}

/// Files, a log in them, and a lake.
pub(crate) struct World {
    pub(crate) files: MemoryFileSystem,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) source: Arc<SourceDef>,
}

impl World {
    pub(crate) fn new(source: Arc<SourceDef>) -> Self {
        World {
            files: MemoryFileSystem::new(),
            clock: Arc::new(ManualClock::new(1_000_000_000_000_000)),
            source,
        }
    }

    /// What is found after the power was cut.
    pub(crate) fn after(&self, crash: evenkeel_log::Crash) -> Self {
        World {
            files: self.files.crash(crash),
            clock: Arc::clone(&self.clock),
            source: Arc::clone(&self.source),
        }
    }

    pub(crate) fn log(&self) -> Log {
        let files: Arc<dyn FileSystem> = Arc::new(self.files.clone());
        let clock = self.clock.clone();
        Log::open(files, Path::new("/store/log"), clock, LogOptions::default())
            .unwrap()
            .0
    }

    pub(crate) fn lake(&self) -> Lake {
        let address = LakeAddress::Directory("/store/lake".into());
        Lake::at(&address, Arc::new(self.files.clone()), self.clock.clone()).unwrap()
    }

    pub(crate) fn table(&self) -> Option<Table> {
        Table::open(&self.lake(), &self.source, STORE, bucket_of, None).unwrap()
    }

    pub(crate) fn create(&self) -> Result<Table, LakeError> {
        let clustering = Clustering {
            slots: vec![0],
            bucket_of,
        };
        Table::create(&self.lake(), &self.source, STORE, &clustering)
    }

    /// Brings the table up to the log, so many events at a time.
    pub(crate) fn flush(&self, log: &LogReader, file_events: usize) -> Result<Table, LakeError> {
        let opened = Table::open(&self.lake(), &self.source, STORE, bucket_of, None)?;
        let mut table = match opened {
            Some(table) => table,
            None => self.create()?,
        };
        table.follow_schema()?;
        let mut ends = table.covered(log)?;
        let options = ReadOptions {
            after: ends.clone(),
            ..ReadOptions::default()
        };
        let mut columns = table.columns();
        let mut events = log.read(options);
        let mut logged = LoggedEvent::blank();
        let unreadable = |source| LakeError::Read {
            table: "the log".to_owned(),
            source: Box::new(source),
        };
        while events.next_into(&mut logged).map_err(unreadable)? {
            self.source.schema.upgrade(&mut logged).unwrap();
            columns.push(&logged, events.sequence())?;
            let end = Offset(logged.position.offset.0 + 1);
            ends.set_end(logged.source, logged.position.partition, end);
            if columns.len() == file_events {
                table.append(&columns, &ends)?;
                columns = table.columns();
            }
        }
        if !columns.is_empty() {
            table.append(&columns, &ends)?;
        }
        Ok(table)
    }
}

/// A row of `source` with these values behind the card and the time.
pub(crate) fn event(card: &str, time: i64, values: Vec<Value>) -> Event {
    let mut row = vec![Value::string(card), Value::Timestamp(time)];
    row.extend(values);
    Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(time),
        known_at: None,
        origin: OWN_POSITION,
        row,
        before: None,
    }
}

pub(crate) fn append(log: &Log, partition: u32, schema_version: u32, events: Vec<Event>) {
    let batch = Batch::Events {
        source: SourceId(source_of_tests()),
        partition: Partition(partition),
        schema_version,
        events,
    };
    log.append(&[batch]).unwrap();
}

/// The number that the first source of a catalog gets.
fn source_of_tests() -> u32 {
    stream("n INT").id.0
}

/// The events, in the order in which they come.
pub(crate) fn events_of(from: &dyn EventSource, options: ReadOptions) -> Vec<LoggedEvent> {
    let mut stream = from.events(options).unwrap();
    let mut events = Vec::new();
    loop {
        let mut logged = LoggedEvent::blank();
        if !stream.next_into(&mut logged).unwrap() {
            break;
        }
        events.push(logged);
    }
    events
}

/// The same events read several at a time where they may be, and how many of them were.
pub(crate) fn by_column(from: &dyn EventSource, options: ReadOptions) -> (Vec<LoggedEvent>, usize) {
    let mut stream = from.events(options).unwrap();
    let (mut events, mut together) = (Vec::new(), 0);
    let mut logged = LoggedEvent::blank();
    loop {
        match stream.next_columns(&mut logged).unwrap() {
            Next::End => return (events, together),
            Next::Event => events.push(logged.clone()),
            Next::Columns(several) => {
                together += several.len();
                let runs: Vec<_> = several.origin_runs().collect();
                assert_eq!(
                    runs.iter().map(|(run, _)| run.len()).sum::<usize>(),
                    several.len()
                );
                for number in 0..several.len() {
                    several.event_into(number, &mut logged);
                    assert_eq!(several.visible_at(number), logged.visible_at());
                    assert!(
                        several
                            .visible_together()
                            .is_none_or(|t| t == logged.visible_at())
                    );
                    assert_eq!(several.times()[number], logged.event.event_time.0);
                    assert_eq!(several.operations()[number], logged.event.operation);
                    events.push(logged.clone());
                }
            }
        }
    }
}

/// The log's events as those of the newest schema.
pub(crate) fn upgraded(source: &SourceDef, mut events: Vec<LoggedEvent>) -> Vec<LoggedEvent> {
    for logged in &mut events {
        source.schema.upgrade(logged).unwrap();
    }
    events
}

/// Compares events to the last bit.
pub(crate) fn assert_same(found: &[LoggedEvent], expected: &[LoggedEvent]) {
    let positions = |events: &[LoggedEvent]| -> Vec<String> {
        events.iter().map(|e| e.position.to_string()).collect()
    };
    assert_eq!(positions(found), positions(expected));
    for (found, expected) in found.iter().zip(expected) {
        let rows = |event: &Event| -> Vec<Value> {
            event
                .row
                .iter()
                .chain(event.before.iter().flatten())
                .cloned()
                .collect()
        };
        let (mut a, mut b) = (found.clone(), expected.clone());
        let (left, right) = (rows(&a.event), rows(&b.event));
        assert_eq!(left.len(), right.len());
        for (x, y) in left.iter().zip(&right) {
            assert!(x.same_bits(y), "{x:?} came back for {y:?}");
        }
        assert_eq!(a.event.before.is_some(), b.event.before.is_some());
        // NaN is not equal to itself.
        for event in [&mut a.event, &mut b.event] {
            event.row.clear();
            event.before = None;
        }
        assert_eq!(a, b);
    }
}

/// The table and what is only in the log.
pub(crate) fn both(log: &LogReader, table: &Table) -> ColdAndLog {
    ColdAndLog::new(log.clone(), vec![table.clone()]).unwrap()
}

/// The end of a cut in partition 0.
pub(crate) fn end(cut: &Cut, source: &SourceDef) -> u64 {
    cut.end(source.id, Partition(0)).0
}

pub(crate) fn known_at(event: Event, micros: i64) -> Event {
    Event {
        known_at: Some(VisibleAt(micros)),
        ..event
    }
}
