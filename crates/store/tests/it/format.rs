//! The bytes of versions 1 to 5 (those of 4 are as those of 3): rows that were written once and are read for ever, those of
//! the last version also written the same today. `UPDATE_EXPECT=1` writes its fixture.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::{Aggregates, Entry, Everything, History, WhereId};
use evenkeel_store::{
    Batch, Blocks, BlocksOptions, Horizon, IndexSpec, Kv, MemoryKv, NothingCold, Space,
};
use evenkeel_types::time::HOUR;
use evenkeel_types::{
    DataType, ErrorReason, Expr, Extent, Frame, Interval, Position, Unscaled, Value,
};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v1.txt");
/// With a cold part.
const FIXTURE_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v2.txt");
/// With summary nodes and summaries.
const FIXTURE_3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v3.txt");
/// With packed blocks.
const FIXTURE_5: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows-v5.txt");

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

/// Rows with a directory, sealed blocks, nodes above them, runs and marks: so many events, of
/// which those before a time may leave.
fn written(events: i64, horizon: Option<i64>) -> Arc<MemoryKv> {
    let kv = Arc::new(MemoryKv::new());
    let mut blocks = open(&kv);
    for i in 0..events {
        insert(&mut blocks, i, i * HOUR);
    }
    checkpoint(&kv, &mut blocks, 1, horizon);
    insert(&mut blocks, 600, -HOUR);
    insert(&mut blocks, 601, (events + 385) * HOUR);
    blocks.contest(0, KEY, 5 * HOUR, &order(5));
    checkpoint(&kv, &mut blocks, 2, horizon);
    kv
}

const KEY: &[u8] = b"\x02key";

fn order(i: i64) -> Vec<u8> {
    [b"order".as_slice(), &i.to_be_bytes()].concat()
}

fn insert(blocks: &mut Blocks, i: i64, time: i64) {
    let entry = Entry {
        time,
        order: &order(i),
        position: Position::new((i % 2) as u32, i as u64),
        visible_at: time + i,
        contested: i % 7 == 0,
        id: i as u64,
        values: &values(i),
    };
    blocks.insert(0, KEY, &entry);
}

fn checkpoint(kv: &Arc<MemoryKv>, blocks: &mut Blocks, number: u64, horizon: Option<i64>) {
    let mut batch = Batch::default();
    let horizons = [horizon.map(Horizon::before)];
    let written = blocks.begin(&horizons).write(number, &mut batch).unwrap();
    kv.write(batch).unwrap();
    drop(blocks.end(written));
}

/// A call of each kind of state, also under a WHERE condition.
fn aggregates() -> Aggregates {
    let mut aggregates = Aggregates::new();
    let condition = Expr::column(0, DataType::Boolean);
    let condition = aggregates.register_where(Some(&condition));
    for (name, at) in [
        ("count", 1),
        ("sum", 2),
        ("avg", 4),
        ("stddev_samp", 4),
        ("max", 6),
        ("last", 6),
        ("count_distinct", 8),
        ("median", 4),
        ("bool_or", 0),
    ] {
        let column = Expr::column(at, types()[at].clone());
        let argument = Argument {
            data_type: &column.data_type,
            constant: None,
        };
        let signature = resolve(name, &[argument], Modifiers::default()).unwrap();
        let call = signature.into_call(std::slice::from_ref(&column), None);
        for condition in [WhereId::ALL, condition] {
            aggregates.register(&call, condition).unwrap();
        }
    }
    aggregates
}

fn open(kv: &Arc<MemoryKv>) -> Blocks {
    let spec = IndexSpec {
        number: 9,
        types: types(),
        aggregates: Arc::new(aggregates()),
    };
    let kv: Arc<dyn Kv> = Arc::clone(kv) as Arc<dyn Kv>;
    let numbers = BlocksOptions {
        sealed_entries: 24,
        fan_out: 3,
        ..BlocksOptions::with_cache(0)
    };
    Blocks::open(kv, [spec], Arc::new(NothingCold), numbers).unwrap()
}

fn history(kv: &Arc<MemoryKv>) -> History {
    open(kv).history(0, KEY).unwrap().unwrap()
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

/// What is read of a key that has so many events and two that came late.
fn check(read: &History, events: i64) {
    assert_eq!(read.len() as i64, events + 2);
    let times: Vec<i64> = read.iter().map(|e| e.time() / HOUR).collect();
    let last = times.len() - 1;
    assert_eq!((times[0], times[1]), (-1, 0));
    assert_eq!((times[last - 1], times[last]), (events - 1, events + 385));
    for entry in read.iter() {
        let i = entry.id() as i64;
        let bits = |row: Vec<Value>| evenkeel_types::codec::encode_values(&row);
        assert_eq!(bits(entry.row()), bits(values(i)), "entry {i}");
        assert_eq!(entry.contested(), i % 7 == 0 || i == 5);
        assert_eq!(entry.position(), Position::new((i % 2) as u32, i as u64));
    }
    assert_eq!(read.source().unwrap().failure(), None);
}

/// What is read of a key whose events before a time are not there.
fn check_hot(read: &History, events: i64, first: i64) {
    assert_eq!(read.len() as i64, events + 2);
    let bounds = read.bounds().unwrap();
    let last = (events + 385) * HOUR;
    assert_eq!((bounds.first_time, bounds.last_time), (-HOUR, last));
    assert!(bounds.contested);
    // What is behind the cold part: nothing has to come back for it.
    let count = (events - first + 1) as usize;
    let hot: Vec<i64> = read
        .descending(i64::MAX, false, &Everything)
        .take(count)
        .map(|e| e.time() / HOUR)
        .collect();
    let (newest, oldest) = (hot[0], hot[count - 1]);
    assert_eq!((newest, hot[1], oldest), (events + 385, events - 1, first));
    assert_eq!(read.source().unwrap().failure(), None);
}

#[test]
fn rows_of_version_1_are_read() {
    check(&history(&of_fixture(FIXTURE)), 515);
}

#[test]
fn rows_of_version_2_are_read() {
    // Three blocks, of which two have left.
    check_hot(&history(&of_fixture(FIXTURE_2)), 1_540, 1_024);
}

#[test]
fn rows_of_version_5_are_read_and_written() {
    check_fixture(FIXTURE_5, &written(500, Some(100 * HOUR)));
    check_counts(&of_fixture(FIXTURE_5));
}

#[test]
fn rows_of_version_3_are_read() {
    check_counts(&of_fixture(FIXTURE_3));
}

fn check_counts(kv: &Arc<MemoryKv>) {
    check_hot(&history(kv), 500, 96);
    // States are read, not made: of all nodes but of the run at the end.
    let read = history(kv);
    let before = read.entries_in_memory();
    let frame = Frame {
        extent: Extent::Range {
            start: Some(Interval {
                months: 0,
                micros: 404 * HOUR,
            }),
            end: Interval::default(),
        },
        exclude_group: false,
    };
    let aggregates = aggregates();
    // Those under the condition: its first column is true.
    let counts = aggregates.specs().nth(1).unwrap();
    let found = read.fold(
        &aggregates,
        &[counts],
        &frame,
        None,
        500 * HOUR,
        &Everything,
    );
    let want = (96..500).filter(|i| i % 5 < 3 && i % 2 == 0).count();
    assert_eq!(found, [Value::BigInt(want as i64)]);
    assert_eq!(read.entries_in_memory(), before);
}

#[test]
fn what_older_versions_wrote_goes_on() {
    // Late events among the last block's, and enough to be sealed.
    let kv = of_fixture(FIXTURE);
    let mut blocks = open(&kv);
    for i in 2_000..2_100 {
        insert(&mut blocks, i, 300 * HOUR + i);
    }
    checkpoint(&kv, &mut blocks, 3, None);
    let read = history(&kv);
    assert_eq!(read.len(), 617);
    let ids: Vec<u64> = read.iter().map(|e| e.id()).collect();
    let late: Vec<u64> = (2_000..2_100).collect();
    assert_eq!((ids[301], &ids[302..402], ids[402]), (300, &late[..], 301));
    assert_eq!(read.source().unwrap().failure(), None);

    let kv = of_fixture(FIXTURE_2);
    let mut blocks = open(&kv);
    for i in 2_000..2_100 {
        insert(&mut blocks, i, 1_500 * HOUR + i);
    }
    checkpoint(&kv, &mut blocks, 3, Some(1_100 * HOUR));
    let read = history(&kv);
    assert_eq!(read.len(), 1_642);
    let newest = read.descending(1_501 * HOUR, true, &Everything);
    let ids: Vec<u64> = newest.take(101).map(|e| e.id()).collect();
    assert_eq!((ids[0], ids[99], ids[100]), (2_099, 2_000, 1_500));
    assert_eq!(read.source().unwrap().failure(), None);
}

#[test]
fn a_newer_version_of_a_row_is_refused() {
    let kv = written(200, None);
    let mut rows = Vec::new();
    for space in [Space::Runs, Space::Blocks] {
        kv.snapshot()
            .prefix(space, &[], &mut |key, value| {
                rows.push((space, key.to_vec(), value.to_vec()));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
    }
    for (space, key, value) in rows {
        let put = |value: Vec<u8>| {
            let mut batch = Batch::default();
            batch.put(space, key.clone(), value);
            kv.write(batch).unwrap();
        };
        let mut newer = value.clone();
        newer[0] += 9;
        put(newer);
        let error = match open(&kv).history(0, KEY) {
            Err(error) => error.to_string(),
            Ok(read) => {
                let read = read.unwrap();
                assert!(read.iter().count() > 0);
                read.source().unwrap().failure().unwrap().to_owned()
            }
        };
        assert!(error.contains(" of version 1"), "{error}");
        put(value);
    }
}
