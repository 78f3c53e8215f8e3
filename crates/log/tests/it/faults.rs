//! Disks that are full or fail: what was refused is not in the log, what was acknowledged
//! is, and only a failure that leaves open what the disk holds closes the log for writes.

use std::io::ErrorKind;
use std::sync::Arc;

use evenkeel_log::{Batch, Compression, Crash, LogError, LogOptions, LogReader, MemoryFileSystem};
use evenkeel_types::LoggedEvent;

use crate::support::*;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 600,
        compression: Compression::None,
    }
}

fn script() -> Vec<Vec<Batch>> {
    (0..6)
        .map(|n| {
            vec![
                events(1, 0, n * 8..(n + 1) * 8),
                events(2, n as u32 % 2, n..n + 1),
            ]
        })
        .collect()
}

fn found(fs: &MemoryFileSystem) -> Vec<LoggedEvent> {
    let (log, _) = open_with(fs, clock(), options()).unwrap();
    read_all(&log).unwrap()
}

#[test]
fn a_disk_of_every_size_refuses_and_goes_on_when_space_returns() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options()).unwrap();
    for batches in script() {
        append(&log, &batches).unwrap();
    }
    let bytes = |fs: &MemoryFileSystem| -> u64 {
        let files = fs.paths();
        files
            .iter()
            .map(|p| fs.content(p).unwrap().len() as u64)
            .sum()
    };
    for capacity in (0..bytes(&fs)).step_by(7) {
        let fs = MemoryFileSystem::new();
        fs.set_capacity(Some(capacity));
        let log = match open_with(&fs, clock(), options()) {
            Ok((log, _)) => log,
            Err(LogError::StorageFull { .. }) => {
                fs.heal();
                open_with(&fs, clock(), options()).unwrap().0
            }
            Err(error) => panic!("{capacity}: {error:?}"),
        };
        let (mut all, mut refused) = (Vec::new(), 0);
        for batches in script() {
            let before = bytes(&fs) - log.room_bytes().unwrap();
            match append(&log, &batches) {
                Ok(events) => all.extend(events),
                Err(LogError::StorageFull { .. }) => {
                    refused += 1;
                    // Nothing of it is left, nor any room, but the next segment may have been begun.
                    assert_eq!(log.room_bytes().unwrap(), 0);
                    let left = bytes(&fs) - before;
                    assert!(left == 0 || left == 56, "{capacity}: {left} bytes");
                    assert_eq!(read_all(&log).unwrap(), all, "reads go on");
                    let again = append(&log, &batches);
                    assert!(matches!(again, Err(LogError::StorageFull { .. })));
                    fs.heal();
                    all.extend(append(&log, &batches).expect("there is space again"));
                }
                Err(error) => panic!("{capacity}: {error:?}"),
            }
            assert_eq!(log.closed(), None);
            assert_eq!(read_all(&log).unwrap(), all);
        }
        assert!(refused <= 1);
        drop(log);
        assert_eq!(found(&fs.crash(Crash::LoseUnsynced)), all);
    }
}

/// Runs the script with one failing operation, going on whatever happens.
fn run_with_fault(at: u64, kind: ErrorKind) -> Option<LogError> {
    let fs = MemoryFileSystem::new();
    fs.fail_at(at, kind);
    let mut failure = None;
    let mut log = match open_with(&fs, clock(), options()) {
        Ok((log, _)) => Some(log),
        Err(error) => {
            failure = Some(error);
            None
        }
    };
    let (mut all, mut pending) = (Vec::new(), None);
    for batches in script() {
        let Some(open) = &log else {
            log = Some(
                open_with(&fs, clock(), options())
                    .expect("the fault is over")
                    .0,
            );
            continue;
        };
        match append(open, &batches) {
            Ok(events) => {
                assert_eq!(
                    pending, None,
                    "an append after a failed one was acknowledged"
                );
                all.extend(events);
            }
            Err(LogError::Closed { .. }) => assert!(open.closed().is_some()),
            Err(error @ LogError::StorageFull { .. }) => {
                assert_eq!(open.closed(), None);
                failure = Some(error);
            }
            Err(error) => {
                assert!(open.closed().is_some(), "{error:?}");
                pending = Some(batches);
                failure = Some(error);
            }
        }
        // The fault may have hit the reading; the one after it is well.
        let read = read_all(open).or_else(|_| read_all(open));
        assert_eq!(read.expect("reads go on"), all);
    }
    drop(log);
    for crash in [
        Crash::LoseUnsynced,
        Crash::KeepUnsynced,
        Crash::Tear { seed: at },
    ] {
        let left = found(&fs.crash(crash));
        assert!(left.starts_with(&all), "{at} {kind}: {crash:?}");
        let more = left.len() - all.len();
        let whole = pending
            .as_ref()
            .map_or(0, |b| b.iter().map(Batch::count).sum());
        assert!(more == 0 || more == whole, "{at} {kind}: {more} of {whole}");
    }
    failure
}

#[test]
fn an_error_at_every_operation_is_told_and_loses_nothing() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options()).unwrap();
    for batches in script() {
        append(&log, &batches).unwrap();
    }
    let operations = fs.operations();
    assert!(operations > 40);
    let (mut full, mut not_durable) = (0, 0);
    for kind in [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::Other,
    ] {
        for at in 0..operations {
            match run_with_fault(at, kind) {
                Some(LogError::StorageFull { .. }) => full += 1,
                Some(LogError::NotDurable { .. }) => not_durable += 1,
                _ => {}
            }
        }
    }
    assert!(full > 20 && not_durable > 30, "{full} {not_durable}");
}

#[test]
fn a_failed_sync_closes_the_log_for_writes() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let first = append(&log, &[events(1, 0, 0..1)]).unwrap();
    // The operation after the write is the sync.
    fs.fail_at(fs.operations() + 1, ErrorKind::Other);
    let error = append(&log, &[events(1, 0, 1..2)]).unwrap_err();
    assert!(matches!(
        error,
        LogError::NotDurable {
            operation: "sync",
            ..
        }
    ));
    let error = append(&log, &[events(1, 0, 1..2)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the log is closed for writes since an earlier one failed (sync \
         `/log/00000000000000000000.segment`: other error); check the disk and open it again"
    );
    assert_eq!(read_all(&log).unwrap(), first);
    drop(log);
    let (log, _) = open(&fs).unwrap();
    assert_eq!(log.closed(), None);
    append(&log, &[events(3, 0, 0..1)]).unwrap();
}

#[test]
fn nothing_is_built_on_pages_that_a_failed_sync_dropped() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let mut all = append(&log, &[events(1, 0, 0..1)]).unwrap();
    fs.fail_at(fs.operations() + 1, ErrorKind::Other);
    append(&log, &[events(1, 0, 1..2)]).unwrap_err();
    // The file still shows the append whose sync failed; the disk does not have it.
    let (reader, report) = LogReader::open(Arc::new(fs.clone()), directory()).unwrap();
    assert_eq!(
        (read_all(&reader).unwrap(), report.held_back),
        (all.clone(), 1)
    );
    drop(log);
    let (log, _) = open(&fs).unwrap();
    let shown = read_all(&log).unwrap();
    assert_eq!(shown.len(), 2);
    all = [shown, append(&log, &[events(1, 0, 2..3)]).unwrap()].concat();
    let (log, _) = open(&fs.crash(Crash::LoseUnsynced)).unwrap();
    assert_eq!(read_all(&log).unwrap(), all);
}

#[test]
fn what_a_full_disk_took_does_not_come_back_before_the_next_segment() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options()).unwrap();
    let mut all = append(&log, &[events(1, 0, 0..5)]).unwrap();
    let bytes: usize = fs
        .paths()
        .iter()
        .map(|p| fs.content(p).unwrap().len())
        .sum();
    fs.set_capacity(Some(bytes as u64 + 20));
    let refused = append(&log, &[events(1, 0, 5..6)]).unwrap_err();
    assert!(matches!(refused, LogError::StorageFull { .. }));
    fs.heal();
    // Goes on in another segment: the one before is not the last any more.
    let segments = fs.paths().len();
    all.extend(append(&log, &[events(1, 0, 5..40)]).unwrap());
    assert!(fs.paths().len() > segments);
    for crash in [Crash::LoseUnsynced, Crash::KeepUnsynced]
        .into_iter()
        .chain((0..50).map(|seed| Crash::Tear { seed }))
    {
        assert_eq!(found(&fs.crash(crash)), all, "{crash:?}");
    }
}

#[test]
fn a_full_disk_while_the_log_is_opened_again_stops_nothing() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let all = append(&log, &[events(1, 0, 0..5)]).unwrap();
    drop(log);
    fs.set_capacity(Some(0));
    let (log, _) = open(&fs).unwrap();
    assert_eq!(read_all(&log).unwrap(), all);
    let error = append(&log, &[events(1, 0, 5..6)]).unwrap_err();
    assert!(matches!(error, LogError::StorageFull { .. }));
    let (reader, _) = LogReader::open(Arc::new(fs.clone()), directory()).unwrap();
    assert_eq!(read_all(&reader).unwrap(), all);
    fs.heal();
    append(&log, &[events(1, 0, 5..6)]).unwrap();
}

#[test]
fn a_disk_that_has_space_for_an_append_alone_takes_it() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let bytes = |fs: &MemoryFileSystem| -> u64 {
        let contents = fs.paths().into_iter().filter_map(|path| fs.content(&path));
        contents.map(|content| content.len() as u64).sum()
    };
    let mut all = Vec::new();
    for n in 0..60 {
        let before = bytes(&fs) - log.room_bytes().unwrap();
        // What the last one took, and a little more: none of it is to be had for room.
        fs.set_capacity(Some(before + 260));
        all.extend(append(&log, &[events(1, 0, n..n + 1)]).expect("there is space for it"));
        assert_eq!(log.closed(), None);
        let logged = bytes(&fs) - log.room_bytes().unwrap();
        assert!(
            (before + 120..=before + 260).contains(&logged),
            "{before} {logged}"
        );
        if n > 2 {
            assert_eq!(log.room_bytes().unwrap(), 0, "the rest is others'");
        }
    }
    fs.heal();
    for n in 60..70 {
        all.extend(append(&log, &[events(1, 0, n..n + 1)]).unwrap());
    }
    assert!(log.room_bytes().unwrap() > 0, "there is space again");
    for crash in [Crash::LoseUnsynced, Crash::KeepUnsynced] {
        assert_eq!(found(&fs.crash(crash)), all);
    }
}

#[test]
fn an_unreadable_file_is_an_io_error_that_names_it() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    append(&log, &[events(1, 0, 0..5)]).unwrap();
    // Opening the file is one operation, reading from it the next.
    fs.fail_at(fs.operations() + 1, ErrorKind::Other);
    let error = read_all(&log).unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not read `/log/00000000000000000000.segment`"
    );
    assert_eq!(read_all(&log).unwrap().len(), 5);
}
