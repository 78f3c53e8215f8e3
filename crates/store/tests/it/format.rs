//! The bytes of versions 1 and 2: rows that were written once and are read for ever, and that
//! are written the same today. `UPDATE_EXPECT=1` writes the fixture of a new version.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_aggregate::{Entry, Everything, History};
use evenkeel_store::{Batch, Blocks, BlocksOptions, IndexSpec, Kv, MemoryKv, NothingCold, Space};
use evenkeel_types::time::HOUR;
use evenkeel_types::{DataType, ErrorReason, Interval, Position, Unscaled, Value};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v1.txt");
/// With a cold part.
const FIXTURE_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v2.txt");

fn types() -> Arc<[DataType]> {
    Arc::from([
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
        DataType::Interval,
        DataType::Array(Box::new(DataType::Int)),
    ])
}

fn values(i: i64) -> Vec<Value> {
    match i % 5 {
        3 => vec![Value::Null; 12],
        4 => vec![Value::Error(ErrorReason::ALL[0]); 12],
        _ => vec![
            Value::Boolean(i % 2 == 0),
            Value::Int(i as i32 - 2),
            Value::BigInt(i64::MAX - i),
            Value::Float(f32::MIN_POSITIVE / (i + 1) as f32),
            Value::Double(-0.5 * i as f64),
            Value::Decimal(Unscaled::from(i128::from(i) - (1 << 70))),
            Value::string(format!("naïve {i}")),
            Value::Bytes(Arc::from([0, i as u8, 255])),
            Value::Date(-i as i32),
            Value::Timestamp(i * HOUR),
            Value::Interval(Interval {
                months: -1,
                micros: i,
            }),
            Value::Array(Arc::from([Value::Int(i as i32), Value::Null])),
        ],
    }
}

/// Rows with a directory, sealed blocks, runs and marks.
fn written() -> Arc<MemoryKv> {
    written_with(515, None)
}

/// The same with so many events, of which those before a time may leave.
fn written_with(events: i64, horizon: Option<i64>) -> Arc<MemoryKv> {
    let kv = Arc::new(MemoryKv::new());
    let mut blocks = open(&kv);
    let key = b"\x02key";
    let order = |i: i64| [b"order".as_slice(), &i.to_be_bytes()].concat();
    let mut number = 0;
    let mut checkpoint = |blocks: &mut Blocks| {
        number += 1;
        let mut batch = Batch::default();
        let written = blocks.begin(&[horizon]).write(number, &mut batch).unwrap();
        kv.write(batch).unwrap();
        blocks.end(written);
    };
    let insert = |blocks: &mut Blocks, i: i64, time: i64| {
        let entry = Entry {
            time,
            order: &order(i),
            position: Position::new((i % 2) as u32, i as u64),
            visible_at: time + i,
            contested: i % 7 == 0,
            id: i as u64,
            values: &values(i),
        };
        blocks.insert(0, key, &entry);
    };
    for i in 0..events {
        insert(&mut blocks, i, i * HOUR);
    }
    checkpoint(&mut blocks);
    insert(&mut blocks, 600, -HOUR);
    insert(&mut blocks, 601, (events + 385) * HOUR);
    blocks.contest(0, key, 5 * HOUR, &order(5));
    checkpoint(&mut blocks);
    kv
}

fn open(kv: &Arc<MemoryKv>) -> Blocks {
    let spec = IndexSpec {
        number: 9,
        types: types(),
    };
    let kv: Arc<dyn Kv> = Arc::clone(kv) as Arc<dyn Kv>;
    let numbers = BlocksOptions::with_cache(0);
    Blocks::open(kv, [spec], Arc::new(NothingCold), numbers).unwrap()
}

fn history(kv: &Arc<MemoryKv>) -> History {
    open(kv).history(0, b"\x02key").unwrap().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a fixture has.
fn of_fixture(path: &str) -> Arc<MemoryKv> {
    let kv = Arc::new(MemoryKv::new());
    let mut batch = Batch::default();
    for line in fs::read_to_string(path).unwrap().lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let space = Space::ALL
            .into_iter()
            .find(|s| s.name() == parts[0])
            .unwrap();
        batch.put(space, unhex(parts[1]), unhex(parts[2]));
    }
    kv.write(batch).unwrap();
    kv
}

/// Compares what is written today with a fixture.
fn check_fixture(path: &str, today: &MemoryKv) {
    let today = text_of(today);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &today).unwrap();
    }
    let fixture = fs::read_to_string(path).unwrap();
    assert!(
        today == fixture,
        "other bytes would be written than in {path}"
    );
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|b| (b as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn text_of(kv: &MemoryKv) -> String {
    let mut text = String::new();
    for space in Space::ALL {
        kv.snapshot()
            .prefix(space, &[], &mut |key, value| {
                text.push_str(&format!("{space} {} {}\n", hex(key), hex(value)));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
    }
    text
}

#[test]
fn rows_of_version_1_are_read_and_written() {
    check_fixture(FIXTURE, &written());
    let kv = of_fixture(FIXTURE);
    let read = history(&kv);
    assert_eq!(read.len(), 517);
    assert!(read.source().unwrap().failure().is_none());
    let times: Vec<i64> = read.iter().map(|e| e.time() / HOUR).collect();
    assert_eq!((times[0], times[1], times[516]), (-1, 0, 900));
    for entry in read.iter() {
        let i = entry.id() as i64;
        let bits = |row: Vec<Value>| evenkeel_types::codec::encode_values(&row);
        assert_eq!(bits(entry.row()), bits(values(i)), "entry {i}");
        assert_eq!(entry.contested(), i % 7 == 0 || i == 5);
        assert_eq!(entry.position(), Position::new((i % 2) as u32, i as u64));
    }
}

#[test]
fn rows_of_version_2_are_read_and_written() {
    // Three blocks, of which two leave.
    check_fixture(FIXTURE_2, &written_with(1_540, Some(1_100 * HOUR)));
    let read = history(&of_fixture(FIXTURE_2));
    assert_eq!(read.len(), 1_542);
    let bounds = read.bounds().unwrap();
    assert_eq!((bounds.first_time, bounds.last_time), (-HOUR, 1_925 * HOUR));
    assert!(bounds.contested);
    // What is behind the cold part: nothing has to come back for it.
    let hot: Vec<i64> = read
        .descending(i64::MAX, false, &Everything)
        .take(517)
        .map(|e| e.time() / HOUR)
        .collect();
    assert_eq!((hot[0], hot[1], hot[516]), (1_925, 1_539, 1_024));
    assert_eq!(read.source().unwrap().failure(), None);
}

#[test]
fn a_newer_version_of_a_row_is_refused() {
    let kv = written();
    let mut rows = Vec::new();
    kv.snapshot()
        .prefix(Space::Runs, &[], &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    for (key, mut value) in rows {
        value[0] = 3;
        let mut batch = Batch::default();
        batch.put(Space::Runs, key.clone(), value.clone());
        kv.write(batch).unwrap();
        let error = open(&kv).history(0, b"\x02key").unwrap_err();
        assert!(error.to_string().contains(" of version 1"), "{error}");
        value[0] = 1;
        let mut batch = Batch::default();
        batch.put(Space::Runs, key, value);
        kv.write(batch).unwrap();
    }
}
