//! A power cut, a full disk or an error at every operation of a flush.

use std::io::ErrorKind;

use evenkeel_lake::{DataFile, Table};
use evenkeel_log::{Crash, EventSource, ReadOptions};
use evenkeel_types::{LoggedEvent, Value};

use crate::support::{
    STORE, World, append, assert_same, both, bucket_of, event, events_of, stream, upgraded,
};

/// Events that are flushed one by one, and then logged only: the second file of what is left is
/// the commit after which there is a checkpoint of Delta's.
const FLUSHED: i64 = 7;
const EVENTS: i64 = 11;

/// A world whose table is behind its log.
fn behind() -> World {
    let world = World::new(stream("n BIGINT"));
    let log = world.log();
    let row = |n: i64| event("k", n, vec![Value::BigInt(n)]);
    append(&log, 0, 1, (0..FLUSHED).map(row).collect());
    assert_eq!(world.flush(&log, 1).unwrap().version(), 7);
    append(&log, 0, 1, (FLUSHED..EVENTS).map(row).collect());
    log.close().unwrap();
    world
}

/// The same files again.
fn copy(world: &World) -> World {
    world.after(Crash::KeepUnsynced)
}

fn operations_of_a_flush(behind: &World) -> (u64, u64) {
    let world = copy(behind);
    let log = world.log();
    let before = world.files.operations();
    world.flush(&log, 2).unwrap();
    let checkpoint = |path: &std::path::PathBuf| path.to_string_lossy().contains("checkpoint");
    assert!(world.files.paths().iter().any(checkpoint));
    (before, world.files.operations())
}

/// After whatever happened, a flush brings the table to the log's events, each once.
fn recovers(world: &World) {
    let log = world.log();
    // What is there is read, or a flush says that it cannot be; never wrong.
    if let Some(table) = world.table() {
        let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
        assert_same(
            &events_of(&both(&log, &table), ReadOptions::default()),
            &all,
        );
    }
    let table = world.flush(&log, 3).unwrap();
    let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_eq!(all.len(), EVENTS as usize);
    let cold = both(&log, &table);
    assert_same(&events_of(&cold, ReadOptions::default()), &all);
    // All of it from the table.
    let mut stream = cold
        .events(ReadOptions {
            until: Some(cold.covered().clone()),
            ..ReadOptions::default()
        })
        .unwrap();
    let mut logged = LoggedEvent::blank();
    let mut events = 0;
    while stream.next_into(&mut logged).unwrap() {
        events += 1;
    }
    assert_eq!(events, EVENTS);
}

#[test]
fn a_power_cut_at_any_operation_loses_and_doubles_nothing() {
    let behind = behind();
    let (from, to) = operations_of_a_flush(&behind);
    let mut cut_short = 0;
    for at in from..to {
        let world = copy(&behind);
        let log = world.log();
        world.files.power_off_at(at);
        cut_short += u64::from(world.flush(&log, 2).is_err());
        // One of them, and another for the next.
        let crashes = [
            Crash::Tear { seed: at },
            Crash::LoseUnsynced,
            Crash::Tear { seed: at + 7_919 },
            Crash::KeepUnsynced,
        ];
        recovers(&world.after(crashes[(at % 4) as usize]));
    }
    assert!(cut_short > 20, "{cut_short}");
}

#[test]
fn what_was_acknowledged_survives_the_power_cut() {
    let world = behind();
    let log = world.log();
    let version = world.flush(&log, 2).unwrap().version();
    let after = world.after(Crash::LoseUnsynced);
    let table = after.table().unwrap();
    assert_eq!(table.version(), version);
    let events: u64 = table.files().unwrap().iter().map(|file| file.events).sum();
    assert_eq!(events, EVENTS.unsigned_abs());
}

#[test]
fn an_error_at_any_operation_is_an_error_and_no_more() {
    let behind = behind();
    let (from, to) = operations_of_a_flush(&behind);
    for at in from..to {
        let world = copy(&behind);
        let log = world.log();
        let kinds = [ErrorKind::StorageFull, ErrorKind::PermissionDenied];
        world.files.fail_at(at, kinds[(at % 2) as usize]);
        // It may be one of what is tried again, or of what is done after all is durable.
        let _ = world.flush(&log, 2);
        world.files.heal();
        drop(log);
        recovers(&world);
    }
}

#[test]
fn a_full_disk_is_refused_and_left_when_there_is_room() {
    let world = behind();
    let log = world.log();
    let used: usize = world
        .files
        .paths()
        .iter()
        .filter_map(|path| world.files.content(path))
        .map(|bytes| bytes.len())
        .sum();
    world.files.set_capacity(Some(used as u64 + 100));
    let error = world.flush(&log, 2).unwrap_err();
    assert!(
        error.to_string().contains("could not be written"),
        "{error}"
    );
    world.files.set_capacity(None);
    drop(log);
    recovers(&world);
}

#[test]
fn a_disk_that_does_not_sync_is_noticed_by_these_tests() {
    let lost = |ignore: fn(&World)| {
        let world = behind();
        let log = world.log();
        ignore(&world);
        world.flush(&log, 2).unwrap();
        let after = world.after(Crash::LoseUnsynced);
        let opened = Table::open(&after.lake(), &after.source, STORE, bucket_of, None);
        let files = opened.and_then(|table| table.unwrap().files());
        let events = |files: Vec<DataFile>| files.iter().map(|file| file.events).sum::<u64>();
        files.map_or(0, events) < EVENTS.unsigned_abs()
    };
    assert!(lost(|world| world.files.ignore_data_syncs()));
    assert!(lost(|world| world.files.ignore_directory_syncs()));
}
