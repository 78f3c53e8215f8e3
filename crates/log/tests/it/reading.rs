//! Appending and reading without faults.

use evenkeel_log::{LogReader, MemoryFileSystem};
use std::sync::Arc;

use crate::support::*;

#[test]
fn what_was_appended_is_read_back_in_order() {
    let fs = MemoryFileSystem::new();
    let (log, report) = open(&fs).unwrap();
    assert_eq!((report.segments, report.records), (0, 0));
    let mut all = append(&log, &[events(1, 0, 0..3), events(2, 5, 0..2)]).unwrap();
    all.extend(append(&log, &[events(1, 0, 3..4)]).unwrap());
    assert_eq!(read_all(&log).unwrap(), all);
    drop(log);
    let (log, report) = open(&fs).unwrap();
    assert_eq!((report.commits, report.records), (2, 6));
    assert_eq!(read_all(&log).unwrap(), all);
    let (reader, _) = LogReader::open(Arc::new(fs), directory()).unwrap();
    assert_eq!(read_all(&reader).unwrap(), all);
}
