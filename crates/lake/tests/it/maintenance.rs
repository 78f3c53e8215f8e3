//! Compaction, vacuum, pins, damage, and who may write a table.

use std::collections::BTreeSet;
use std::path::Path;

use evenkeel_lake::{ColdAndLog, FileLimits, LakeError, Table};
use evenkeel_log::{EventSource, FileSystem, ReadOptions, Sequence};
use evenkeel_types::{Cut, LoggedEvent, Offset, Partition, Value};

use crate::support::{
    STORE, World, append, assert_same, both, bucket_of, end, event, events_of, stream, upgraded,
};

const DIRECTORY: &str = "/store/lake/things";

/// A world with so many events, flushed one by one.
fn flushed(events: i64) -> (World, evenkeel_log::Log, Table) {
    let world = World::new(stream("n BIGINT"));
    let log = world.log();
    for n in 0..events {
        append(
            &log,
            0,
            1,
            vec![event(
                &format!("k{}", n % 5),
                n * 1_000,
                vec![Value::BigInt(n)],
            )],
        );
        world.clock.advance(1_000_000);
    }
    let table = world.flush(&log, 1).unwrap();
    (world, log, table)
}

fn of_events(events: u64) -> FileLimits {
    FileLimits {
        events,
        bytes: u64::MAX,
        memory_bytes: usize::MAX,
    }
}

fn data_files(world: &World) -> usize {
    let names = world.files.list(Path::new(DIRECTORY)).unwrap();
    names
        .iter()
        .filter(|name| name.ends_with(".parquet"))
        .count()
}

#[test]
fn small_files_are_put_together_and_pinned_versions_stay() {
    let (world, log, mut table) = flushed(23);
    let pinned = table.version();
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    let compacted = table.compact(&of_events(10)).unwrap();
    assert_eq!((compacted.before, compacted.after), (23, 3));
    assert_eq!(table.files().unwrap().len(), 3);
    assert_same(
        &events_of(&both(&log, &table), ReadOptions::default()),
        &all,
    );
    assert_eq!(end(&table.covered(&log).unwrap(), &world.source), 23);
    // What is left of the small files is needed by the pinned version.
    assert_eq!(
        table
            .vacuum(&world.lake().hold().unwrap(), &BTreeSet::from([pinned]))
            .unwrap()
            .files,
        0
    );
    let then = table.at(pinned).unwrap();
    assert_same(&events_of(&both(&log, &then), ReadOptions::default()), &all);
    // Without the pin they go, and the version says which file it misses.
    assert_eq!(
        table
            .vacuum(&world.lake().hold().unwrap(), &BTreeSet::new())
            .unwrap()
            .files,
        23
    );
    assert_eq!(data_files(&world), 3);
    let cold = both(&log, &table.at(pinned).unwrap());
    let error = first_error(&cold).to_string();
    assert!(
        error.contains(DIRECTORY) && error.contains("missing"),
        "{error}"
    );
    // Only one writes at a time.
    let hold = world.lake().hold().unwrap();
    assert!(matches!(world.lake().hold(), Err(LakeError::InUse { .. })));
    drop(hold);
    // Compacted again, nothing is to be done; and it goes on.
    assert_eq!(table.compact(&of_events(10)).unwrap().before, 0);
    append(&log, 0, 1, vec![event("k", 5, vec![Value::Null])]);
    let table = world.flush(&log, 100).unwrap();
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_same(
        &events_of(&both(&log, &table), ReadOptions::default()),
        &all,
    );
}

#[test]
fn files_are_put_together_by_bytes_too_and_no_more_is_in_memory_than_may_be() {
    let (world, log, mut table) = flushed(24);
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    let largest = table.files().unwrap().iter().map(|file| file.bytes).max();
    let largest = largest.unwrap();
    // Events that are files of their own in memory are so afterwards: nothing is won.
    let each = FileLimits {
        memory_bytes: 1,
        ..of_events(1_000)
    };
    let version = table.version();
    assert_eq!(table.compact(&each).unwrap(), Default::default());
    assert_eq!(table.version(), version);
    // As many as fit.
    let four = FileLimits {
        bytes: largest * 4,
        ..of_events(1_000)
    };
    let compacted = table.compact(&four).unwrap();
    assert_eq!(compacted.before, 24);
    assert!((5..=7).contains(&compacted.after), "{compacted:?}");
    // All that is left, in pieces that memory has room for.
    let mut columns = table.columns();
    columns.push(&all[0], Sequence(0)).unwrap();
    let ten = FileLimits {
        memory_bytes: columns.bytes() * 10,
        ..of_events(1_000)
    };
    let before = table.files().unwrap().len();
    let compacted = table.compact(&ten).unwrap();
    assert!(compacted.before > compacted.after, "{compacted:?}");
    assert!(table.files().unwrap().len() < before, "{compacted:?}");
    assert_same(
        &events_of(&both(&log, &table), ReadOptions::default()),
        &all,
    );
}

#[test]
fn who_holds_the_lake_removes_what_a_killed_flush_left() {
    let (world, log, table) = flushed(3);
    let left = [
        format!("{DIRECTORY}/part.parquet.17.0.temporary"),
        format!("{DIRECTORY}/_delta_log/00000000000000000009.json.17.1.temporary"),
    ];
    for path in &left {
        world.files.set_content(Path::new(path), b"half".to_vec());
    }
    let others = world.files.paths().len() - left.len();
    let lake = world.lake();
    let hold = lake.hold().unwrap();
    lake.remove_leftovers(&hold, "none of them");
    assert_eq!(world.files.paths().len(), others + left.len());
    lake.remove_leftovers(&hold, "things");
    assert_eq!(world.files.paths().len(), others);
    for path in &left {
        assert!(world.files.content(Path::new(path)).is_none());
    }
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_same(
        &events_of(&both(&log, &table), ReadOptions::default()),
        &all,
    );
}

fn first_error(from: &dyn EventSource) -> Box<dyn std::error::Error + Send + Sync> {
    let mut stream = from.events(ReadOptions::default()).unwrap();
    let mut logged = LoggedEvent::blank();
    loop {
        match stream.next_into(&mut logged) {
            Ok(true) => {}
            Ok(false) => panic!("everything could be read"),
            Err(evenkeel_log::LogError::Lake { source }) => return source,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn who_replaces_what_somebody_else_replaced_is_refused() {
    let (world, log, mut table) = flushed(6);
    let mut other = world.table().unwrap();
    table.compact(&of_events(10)).unwrap();
    let error = other.compact(&of_events(10)).unwrap_err();
    assert!(error.is_conflict(), "{error}");
    let newest = world.table().unwrap();
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_same(
        &events_of(&both(&log, &newest), ReadOptions::default()),
        &all,
    );
}

#[test]
fn two_who_flush_at_once_do_not_double() {
    let (world, log, _) = flushed(3);
    append(&log, 0, 1, vec![event("late", 1, vec![Value::BigInt(9)])]);
    let mut tables = [world.table().unwrap(), world.table().unwrap()];
    let mut ends = Cut::empty();
    ends.set_end(world.source.id, Partition(0), Offset(4));
    let last = events_of(&*log, ReadOptions::default()).remove(3);
    let mut outcomes = Vec::new();
    for table in &mut tables {
        let mut columns = table.columns();
        columns.push(&last, Sequence(3)).unwrap();
        outcomes.push(table.append(&columns, &ends));
    }
    assert!(outcomes[0].is_ok());
    assert!(outcomes[1].as_ref().unwrap_err().is_conflict());
    let newest = world.flush(&log, 10).unwrap();
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_same(
        &events_of(&both(&log, &newest), ReadOptions::default()),
        &all,
    );
    // The same for who makes the table.
    let fresh = World::new(stream("n BIGINT"));
    fresh.create().unwrap();
    assert!(fresh.create().is_err());
}

#[test]
fn a_damaged_file_is_named_and_never_served() {
    let (world, log, mut table) = flushed(8);
    table.compact(&of_events(100)).unwrap();
    let path = Path::new(DIRECTORY).join(&table.files().unwrap()[0].path);
    let bytes = world.files.content(&path).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        world.files.set_content(&path, damaged);
        let error = first_error(&both(&log, &table)).to_string();
        assert!(
            error.contains("damaged") && error.contains(DIRECTORY),
            "{error}"
        );
    }
    world
        .files
        .set_content(&path, bytes[..bytes.len() / 2].to_vec());
    assert!(
        first_error(&both(&log, &table))
            .to_string()
            .contains("damaged")
    );
    world.files.set_content(&path, bytes);
    assert_eq!(
        events_of(&both(&log, &table), ReadOptions::default()).len(),
        8
    );
}

#[test]
fn a_table_of_another_store_or_log_is_refused() {
    let (world, log, table) = flushed(4);
    let open = |store: &str| Table::open(&world.lake(), &world.source, store, bucket_of, None);
    assert!(open(STORE).unwrap().is_some());
    assert!(matches!(open("another"), Err(LakeError::NotOurs { .. })));
    // A log that went another way since: the same positions, other events.
    let other = World::new(stream("n BIGINT"));
    let another = other.log();
    for n in 0..5 {
        append(&another, 0, 1, vec![event("k", n, vec![Value::BigInt(-n)])]);
    }
    assert!(matches!(
        table.covered(&another),
        Err(LakeError::Otherwise { .. })
    ));
    assert_eq!(end(&table.covered(&log).unwrap(), &world.source), 4);
}

/// A log that was restored from a backup and went another way: what the table has beyond it was
/// never logged there.
#[test]
fn a_table_that_is_ahead_of_the_log_is_not_read() {
    let (_world, _log, table) = flushed(4);
    let other = World::new(stream("n BIGINT"));
    let shorter = other.log();
    for n in 0..2 {
        append(&shorter, 0, 1, vec![event("k", n, vec![Value::BigInt(-n)])]);
    }
    let both = ColdAndLog::new(shorter.reader(), vec![table]).unwrap();
    assert_eq!(both.covered(), &Cut::empty());
    let mut events = both.events(ReadOptions::default()).unwrap();
    let mut logged = LoggedEvent::blank();
    let mut numbers = Vec::new();
    while events.next_into(&mut logged).unwrap() {
        numbers.push(logged.event.row.last().cloned());
    }
    let expected = (0..2).map(|n| Some(Value::BigInt(-n)));
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

#[test]
fn row_groups_are_by_bucket_and_time() {
    let (world, log, mut table) = flushed(40);
    table.compact(&of_events(100)).unwrap();
    let path = Path::new(DIRECTORY).join(&table.files().unwrap()[0].path);
    let bytes = bytes::Bytes::from(world.files.content(&path).unwrap());
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes);
    let mut keys: Vec<(i32, i64)> = Vec::new();
    for batch in reader.unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let (buckets, times) = (column("_bucket"), column("_event_time"));
        let buckets = buckets
            .as_any()
            .downcast_ref::<arrow_array::Int32Array>()
            .unwrap();
        let times = times
            .as_any()
            .downcast_ref::<arrow_array::TimestampMicrosecondArray>()
            .unwrap();
        keys.extend(
            buckets
                .values()
                .iter()
                .copied()
                .zip(times.values().iter().copied()),
        );
    }
    assert_eq!(keys.len(), 40);
    assert!(keys.is_sorted());
    assert!(keys.iter().any(|(bucket, _)| *bucket != keys[0].0));
    drop(log);
}
