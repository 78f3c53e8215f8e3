//! Each format version as it was released: logs written then open now, and what is written now
//! is the bytes of the newest. With `WRITE_FIXTURES=1` in the environment a fixture that is
//! missing is written, for the next version; existing ones never change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_log::{
    Backfill, Batch, Compression, Correlation, Crash, DeadLetter, DeadLetterId, DiskFileSystem,
    LogOptions, LogReader, MemoryFileSystem, OWN_POSITION, Sequence,
};
use evenkeel_types::{
    ErrorReason, Event, EventTime, Interval, LoggedEvent, Operation, Origin, Partition, Position,
    SourceId, Value, VisibleAt,
};

use crate::support::*;

/// One value of every kind.
fn every_kind() -> Vec<Value> {
    let list = |values: &[Value]| Value::Array(values.into());
    vec![
        Value::Null,
        Value::Error(ErrorReason::Overflow),
        Value::Boolean(false),
        Value::Boolean(true),
        Value::Int(-5),
        Value::BigInt(i64::MIN),
        Value::float(1.25),
        Value::double(0.1),
        Value::double(1_500.0),
        Value::double(-0.07),
        Value::double(f64::NAN),
        Value::double(f64::NEG_INFINITY),
        Value::decimal(-170_141_183_460_469_231_731_687_303_715_884_105_728),
        Value::string("a text of more bytes than are remembered"),
        Value::string("äß"),
        Value::string("äß"),
        Value::Bytes([0, 255].into()),
        Value::Date(-719_162),
        Value::Timestamp(1_700_000_000_000_001),
        Value::Interval(Interval {
            months: -1,
            micros: 2,
        }),
        list(&[Value::Int(1), Value::Null]),
        list(&[]),
        list(&[Value::float(0.5), Value::float(-2.0)]),
        list(&[Value::double(0.5)]),
        list(&[Value::Struct(
            [Value::string("äß"), Value::BigInt(3)].into(),
        )]),
    ]
}

fn one(operation: Operation, number: i64, origin: Origin, row: Vec<Value>) -> Event {
    Event {
        operation,
        revision: 0,
        event_time: EventTime(1_700_000_000_000_000 + number),
        known_at: None,
        origin,
        row,
        before: None,
    }
}

fn batches() -> Vec<Vec<Batch>> {
    let file = |row| Origin::File {
        digest: *b"0123456789abcdef",
        row,
    };
    let kafka = |offset| Origin::Kafka {
        topic: "payments".into(),
        partition: 3,
        offset,
    };
    let producer = |sequence| Origin::Producer {
        id: "till-7".into(),
        sequence,
    };
    let short = |n| vec![Value::BigInt(n), Value::string("key")];
    let letter = |reason: &str, position| DeadLetter {
        origin: Some(kafka(9)),
        code: "SYNTAX".into(),
        reason: reason.into(),
        record: b"{\"amount\": }".to_vec(),
        position,
    };
    vec![
        vec![Batch::Events {
            source: SourceId(1),
            partition: Partition(0),
            schema_version: 1,
            events: vec![
                one(Operation::Insert, 0, file(0), every_kind()),
                one(Operation::Insert, -9, file(1), short(1)),
                one(Operation::Insert, 5, kafka(7), short(2)),
                one(Operation::Insert, 5, file(2), Vec::new()),
            ],
        }],
        vec![
            Batch::Events {
                source: SourceId(2),
                partition: Partition(4),
                schema_version: 2,
                events: vec![
                    one(Operation::Upsert, 10, producer(1), short(3)),
                    one(Operation::Delete, 11, OWN_POSITION, short(3)),
                    Event {
                        known_at: Some(VisibleAt(1_700_000_000_500_000)),
                        ..one(Operation::Upsert, 12, producer(2), short(4))
                    },
                    Event {
                        revision: 1,
                        before: Some(short(4)),
                        ..one(Operation::Replace, 12, producer(2), short(5))
                    },
                    Event {
                        revision: 300,
                        ..one(
                            Operation::Remove,
                            12,
                            Origin::Log(Position::new(1, 2)),
                            short(5),
                        )
                    },
                ],
            },
            Batch::DeadLetters {
                source: SourceId(2),
                letters: vec![letter("a", None), letter("b", Some(Position::new(4, 1)))],
            },
        ],
        vec![
            Batch::Redriven {
                source: SourceId(2),
                ids: vec![DeadLetterId(1), DeadLetterId(0)],
            },
            Batch::Events {
                source: SourceId(1),
                partition: Partition(0),
                schema_version: 2,
                events: (0..40).map(event).collect(),
            },
        ],
    ]
}

/// So many events that they stand by column: with values of every kind, some missing.
fn many() -> Batch {
    let row = |n: i64| {
        let kinds = every_kind();
        let some = |value: Value| if n % 7 == 3 { Value::Null } else { value };
        vec![
            Value::BigInt(n),
            some(Value::Int(5 - n as i32)),
            Value::double(n as f64 / 100.0),
            some(Value::double(n as f64)),
            some(Value::double(0.1 * n as f64)),
            Value::float(n as f32 / 3.0),
            Value::from(n % 3 == 0),
            some(Value::string(["äß", "b"][n as usize % 2])),
            Value::string(format!("text {n}")),
            Value::Date(n as i32 - 40),
            Value::Timestamp(1_700_000_000_000_000 + n * n),
            Value::Null,
            kinds[n as usize % kinds.len()].clone(),
        ]
    };
    let events = (0..80).map(|n| Event {
        known_at: (n % 5 == 0).then_some(VisibleAt(1_700_000_000_000_000 + 2 * n)),
        revision: u32::from(n == 70),
        ..one(
            if n == 70 {
                Operation::Replace
            } else {
                Operation::Insert
            },
            n,
            match n {
                0..40 => Origin::File {
                    digest: *b"0123456789abcdef",
                    row: 3 + n.unsigned_abs(),
                },
                40..50 => Origin::Producer {
                    id: "till-7".into(),
                    sequence: 90 - n.unsigned_abs(),
                },
                _ => OWN_POSITION,
            },
            row(n),
        )
    });
    Batch::Events {
        source: SourceId(3),
        partition: Partition(0),
        schema_version: 1,
        events: events.collect(),
    }
}

/// Writes the log of the fixtures; answers what it holds.
fn write(compression: Compression, batches: &[Vec<Batch>]) -> (MemoryFileSystem, Vec<LoggedEvent>) {
    let fs = MemoryFileSystem::new();
    let options = LogOptions {
        segment_bytes: 1_200,
        compression,
    };
    let (log, _) = open_with(&fs, clock(), options).unwrap();
    let all = batches
        .iter()
        .flat_map(|batches| append(&log, batches).unwrap())
        .collect();
    log.close().unwrap();
    (fs, all)
}

/// The log of a process that was killed: room is behind what it wrote.
fn write_and_die() -> (MemoryFileSystem, Vec<LoggedEvent>) {
    let fs = MemoryFileSystem::new();
    let options = LogOptions {
        segment_bytes: u64::MAX,
        compression: Compression::None,
    };
    let (log, _) = open_with(&fs, clock(), options).unwrap();
    let all = batches()
        .iter()
        .flat_map(|batches| append(&log, batches).unwrap())
        .collect();
    assert!(log.room_bytes().unwrap() > 0);
    (fs.crash(Crash::KeepUnsynced), all)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn check(name: &str, written: &MemoryFileSystem, all: &[LoggedEvent]) {
    check_with(name, written, all, 0);
}

fn check_with(name: &str, written: &MemoryFileSystem, all: &[LoggedEvent], backfills: usize) {
    let reader = check_records(name, written, all, backfills);
    let found = reader.backfills(SourceId(1), Sequence(0)).unwrap();
    assert_eq!(found.len(), backfills);
}

/// With so many records that are neither events nor those of the dead letters.
fn check_records(
    name: &str,
    written: &MemoryFileSystem,
    all: &[LoggedEvent],
    others: usize,
) -> LogReader {
    let directory = fixture(name);
    if std::env::var_os("WRITE_FIXTURES").is_some() && !directory.exists() {
        std::fs::create_dir_all(&directory).unwrap();
        for path in written.paths() {
            let file = directory.join(path.file_name().unwrap());
            std::fs::write(file, written.content(&path).unwrap()).unwrap();
        }
    }
    let (reader, report) = LogReader::open(Arc::new(DiskFileSystem), &directory).unwrap();
    assert_eq!(report.records, (all.len() + 4 + others) as u64);
    assert_eq!(report.torn_tail, None);
    assert_eq!(read_all(&reader).unwrap(), all);
    let letters: Vec<_> = reader
        .dead_letters(SourceId(2))
        .unwrap()
        .map(|letter| letter.map(|l| (l.letter.reason, l.letter.position, l.redriven)))
        .collect::<Result<_, _>>()
        .unwrap();
    let second = Some(Position::new(4, 1));
    assert_eq!(
        letters,
        [("a".into(), None, true), ("b".into(), second, true)]
    );
    reader
}

#[test]
fn version_1_opens() {
    let (written, all) = write(Compression::None, &batches());
    check("version-1", &written, &all);
    let (written, all) = write(Compression::Zstd { level: 1 }, &batches());
    check("version-1-zstd", &written, &all);
}

#[test]
fn version_2_opens() {
    let mut batches = batches();
    batches.push(vec![many()]);
    let (written, all) = write(Compression::None, &batches);
    check("version-2", &written, &all);
    is_written_as(&written, "2");
    // The bytes are not compared: they are zstd's, and may differ between its versions.
    let (written, all) = write(Compression::Zstd { level: 1 }, &batches);
    check("version-2-zstd", &written, &all);
}

#[test]
fn version_2_opens_with_room() {
    let (written, all) = write_and_die();
    check("version-2-room", &written, &all);
    is_written_as(&written, "2-room");
    let (log, report) = open_with(&written, clock(), LogOptions::default()).unwrap();
    assert_eq!(report.torn_tail, None);
    assert_eq!(log.room_bytes().unwrap(), 0);
    assert_eq!(read_all(&log).unwrap(), all);
}

#[test]
fn version_3_opens() {
    let mut batches = batches();
    batches.push(vec![
        many(),
        Batch::Backfills {
            source: SourceId(1),
            backfills: vec![
                Backfill {
                    from: EventTime(-5),
                    until: EventTime(1_700_000_000_000_000),
                },
                Backfill {
                    from: EventTime(i64::MIN),
                    until: EventTime(i64::MAX),
                },
            ],
        },
    ]);
    let (written, all) = write(Compression::None, &batches);
    check_with("version-3", &written, &all, 2);
    is_written_as(&written, "3");
}

#[test]
fn version_4_opens() {
    let call = |event, id: &str| Correlation {
        event,
        id: id.to_owned(),
    };
    let mut batches = batches();
    batches.push(vec![
        many(),
        Batch::Correlations {
            source: SourceId(1),
            correlations: vec![call(0, "checkout 7"), call(1, ""), call(2, "é")],
        },
    ]);
    let (written, all) = write(Compression::None, &batches);
    // They are records, as backfills are.
    let (reader, _) = LogReader::open(Arc::new(written.clone()), directory()).unwrap();
    let records = all_records(&reader);
    let named = reader.correlations(&records).unwrap();
    assert_eq!(reader.correlation_count().unwrap(), 2);
    assert_eq!(
        named.values().collect::<Vec<_>>(),
        ["checkout 7", "é"],
        "what has no name is not told"
    );
    let numbers: Vec<u64> = named.keys().map(|record| record.0).collect();
    assert_eq!(numbers[1], numbers[0] + 2);
    check_records("version-4", &written, &all, 3);
    let (released, _) = LogReader::open(Arc::new(DiskFileSystem), &fixture("version-4")).unwrap();
    assert_eq!(released.correlations(&records).unwrap(), named);
    is_written_as(&written, "4");
}

/// That the bytes of a version are what they were.
fn is_written_as(written: &MemoryFileSystem, version: &str) {
    let released = fixture(&format!("version-{version}"));
    for path in written.paths() {
        let released = std::fs::read(released.join(path.file_name().unwrap()));
        assert!(
            released.unwrap() == written.content(&path).unwrap(),
            "{} is written otherwise than version {version} was",
            path.display()
        );
    }
}

#[test]
fn a_log_of_version_1_goes_on_in_version_2() {
    let fs = MemoryFileSystem::new();
    for file in std::fs::read_dir(fixture("version-1")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap();
        fs.set_content(&directory().join(name), std::fs::read(&path).unwrap());
    }
    let (log, report) = open_with(&fs, clock(), LogOptions::default()).unwrap();
    // No mark is left that a program of version 1 could read, before anything is appended.
    let marks = fs.content(&directory().join("mark")).unwrap();
    assert_eq!((marks[8], marks[512 + 8]), (2, 2));
    let before = read_all(&log).unwrap();
    assert_eq!(before.len() as u64 + 4, report.records);
    let after = append(&log, &[many()]).unwrap();
    drop(log);
    let (log, _) = open_with(&fs, clock(), LogOptions::default()).unwrap();
    assert_eq!(read_all(&log).unwrap(), [before, after].concat());
}
