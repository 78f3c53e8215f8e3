//! The real disk: locks, readers beside the writer, threads.

use std::path::Path;
use std::sync::Arc;

use evenkeel_log::{
    DiskFileSystem, Log, LogError, LogOptions, LogReader, ReadOptions, RecoveryReport,
};

use crate::support::*;

fn open_at(directory: &Path) -> Result<(Log, RecoveryReport), LogError> {
    let options = LogOptions {
        segment_bytes: 3_000,
        ..LogOptions::default()
    };
    Log::open(Arc::new(DiskFileSystem), directory, clock(), options)
}

#[test]
fn a_log_on_disk_comes_back() {
    let base = tempfile::tempdir().unwrap();
    let directory = base.path().join("a/b/log");
    let (log, _) = open_at(&directory).unwrap();
    let mut all = Vec::new();
    for n in 0..40 {
        all.extend(append(&log, &[events(1, 0, n * 3..n * 3 + 3)]).unwrap());
    }
    log.close().unwrap();
    let (log, report) = open_at(&directory).unwrap();
    assert!(report.segments > 2, "{report:?}");
    assert_eq!((report.records, report.torn_tail), (120, None));
    assert_eq!(read_all(&log).unwrap(), all);
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let base = tempfile::tempdir().unwrap();
    let (log, _) = open_at(base.path()).unwrap();
    let all = append(&log, &[events(1, 0, 0..3)]).unwrap();
    let error = open_at(base.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the log `{}` is open for writing in process {}; stop it first, or wait until it ends",
            base.path().display(),
            std::process::id()
        )
    );
    let (reader, _) = LogReader::open(Arc::new(DiskFileSystem), base.path()).unwrap();
    assert_eq!(read_all(&reader).unwrap(), all);
    append(&log, &[events(1, 0, 3..4)]).unwrap();
    assert_eq!(
        read_all(&reader).unwrap(),
        all,
        "as it was when it was opened"
    );
    drop(log);
    open_at(base.path()).expect("the lock went with its holder");
}

#[test]
fn reading_where_no_log_is() {
    let base = tempfile::tempdir().unwrap();
    let (reader, report) = LogReader::open(Arc::new(DiskFileSystem), base.path()).unwrap();
    assert_eq!(report, RecoveryReport::default());
    assert_eq!(read_all(&reader).unwrap(), []);
    let nowhere = base.path().join("nowhere");
    let error = LogReader::open(Arc::new(DiskFileSystem), &nowhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("could not list `{}`", nowhere.display())
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "readers in other threads are what this test is about"
)]
fn readers_in_other_threads_see_whole_appends() {
    let base = tempfile::tempdir().unwrap();
    let (log, _) = open_at(base.path()).unwrap();
    let reader = log.reader();
    let thread = std::thread::spawn(move || {
        let (mut reads, mut last) = (0, 0);
        while last < 300 {
            let all: Vec<_> = reader
                .read(ReadOptions::default())
                .collect::<Result<_, _>>()
                .unwrap();
            // An append is three events of one source and two of another.
            assert_eq!(all.len() % 5, 0);
            assert!(all.len() >= last);
            last = all.len();
            reads += 1;
        }
        reads
    });
    for n in 0..60 {
        log.append(&[
            events(1, 0, n * 3..n * 3 + 3),
            events(2, 1, n * 2..n * 2 + 2),
        ])
        .unwrap();
    }
    assert!(thread.join().unwrap() > 0);
}
