//! Room that is made ahead: it is never of a log's history, whatever ends the process, whoever looks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_log::{
    Compression, Crash, File, FileSystem, Lock, Log, LogError, LogOptions, LogReader,
    MemoryFileSystem, OpenMode,
};
use evenkeel_types::LoggedEvent;
use proptest::prelude::*;

use crate::support::*;

fn options(segment_bytes: u64) -> LogOptions {
    LogOptions {
        segment_bytes,
        compression: Compression::None,
    }
}

fn reader(fs: &MemoryFileSystem) -> LogReader {
    let (reader, report) = LogReader::open(Arc::new(fs.clone()), directory()).unwrap();
    assert_eq!((report.torn_tail, report.held_back), (None, 0));
    reader
}

/// The segments' files, in order.
fn segments(fs: &MemoryFileSystem) -> Vec<(PathBuf, Vec<u8>)> {
    let is_segment = |p: &PathBuf| p.extension().is_some_and(|e| e == "segment");
    let paths = fs.paths().into_iter().filter(is_segment);
    paths
        .map(|path| (path.clone(), fs.content(&path).unwrap()))
        .collect()
}

fn last_segment(fs: &MemoryFileSystem) -> (PathBuf, Vec<u8>) {
    segments(fs).pop().unwrap()
}

#[test]
fn few_appends_make_a_file_longer_and_none_is_longer_once_it_is_left() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    let (mut all, mut longer, mut length) = (Vec::new(), 0, 0);
    for n in 0..500 {
        all.extend(append(&log, &[events(1, 0, n..n + 1)]).unwrap());
        let (_, bytes) = last_segment(&fs);
        longer += u32::from(bytes.len() > length);
        length = bytes.len();
        let room = usize::try_from(log.room_bytes().unwrap()).unwrap();
        assert!(bytes[length - room..].iter().all(|&byte| byte == 0));
        assert!(room <= length, "a small log is at most twice as long");
    }
    assert!(longer < 15, "{longer}");
    let room = log.room_bytes().unwrap();
    assert!(room > 0);
    // Who reads beside it or after it was killed sees no room.
    let beside = reader(&fs);
    assert_eq!(read_all(&beside).unwrap(), all);
    assert_eq!(beside.room_bytes().unwrap(), room);
    let copy = Path::new("/copy");
    log.copy_to(copy, &mut |_, _| {}).unwrap();
    let (path, whole) = last_segment(&fs);
    let logged = &whole[..whole.len() - usize::try_from(room).unwrap()];
    let copied = fs.content(&copy.join(path.file_name().unwrap()));
    assert_eq!(copied.unwrap(), logged);
    let killed = fs.crash(Crash::KeepUnsynced);
    assert_eq!(read_all(&reader(&killed)).unwrap(), all);
    let (again, report) = open_with(&killed, clock(), options(u64::MAX)).unwrap();
    assert_eq!(report.torn_tail, None);
    assert_eq!(last_segment(&killed).1, logged);
    // Cut off for good: it does not come back when the power goes.
    assert_eq!(last_segment(&killed.crash(Crash::LoseUnsynced)).1, logged);
    drop(again);
    for closes in [true, false] {
        let image = fs.crash(Crash::KeepUnsynced);
        let (log, _) = open_with(&image, clock(), options(u64::MAX)).unwrap();
        for n in 0..3 {
            append(&log, &[events(2, 0, n..n + 1)]).unwrap();
        }
        let room = usize::try_from(log.room_bytes().unwrap()).unwrap();
        let (_, longer) = last_segment(&image);
        match closes {
            true => log.close().unwrap(),
            false => drop(log),
        }
        assert!(room > 0);
        assert_eq!(last_segment(&image).1, longer[..longer.len() - room]);
        assert_eq!(reader(&image).room_bytes().unwrap(), 0);
    }
}

#[test]
fn long_commits_make_none() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    for n in 0..3 {
        append(&log, &[events(1, 0, n * 20_000..(n + 1) * 20_000)]).unwrap();
        assert_eq!(log.room_bytes().unwrap(), 0);
    }
    append(&log, &[events(1, 0, 60_000..60_001)]).unwrap();
    assert!(log.room_bytes().unwrap() > 0);
}

/// What ends a process between two appends.
#[derive(Clone, Copy, Debug)]
enum End {
    Nothing,
    Closed,
    Dropped,
    BeginsSegment,
    Killed,
    PowerCut,
    /// In the middle of an append, which is left in part.
    Torn(u64),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        8 => Just(End::Nothing),
        1 => Just(End::Closed),
        1 => Just(End::Dropped),
        1 => Just(End::BeginsSegment),
        1 => Just(End::Killed),
        1 => Just(End::PowerCut),
        3 => any::<u64>().prop_map(End::Torn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The oracle is a list of what was appended.
    #[test]
    fn what_is_appended_is_all_that_there_is(
        segment_bytes in prop_oneof![Just(900), Just(5_000), Just(u64::MAX)],
        steps in prop::collection::vec((1i64..30, end()), 1..40),
    ) {
        let open = |fs: &MemoryFileSystem| open_with(fs, clock(), options(segment_bytes)).unwrap();
        let mut fs = MemoryFileSystem::new();
        let mut log = open(&fs).0;
        let mut all: Vec<LoggedEvent> = Vec::new();
        let mut number = 0;
        for (count, end) in steps {
            all.extend(append(&log, &[events(1, 0, number..number + count)]).unwrap());
            number += count;
            prop_assert_eq!(&read_all(&log).unwrap(), &all);
            prop_assert_eq!(&read_all(&reader(&fs)).unwrap(), &all);
            let mut is_torn = false;
            let image = match end {
                End::Nothing => continue,
                End::BeginsSegment => {
                    log.begin_segment().unwrap();
                    continue;
                }
                End::Closed => {
                    log.close().unwrap();
                    fs.crash(Crash::LoseUnsynced)
                }
                End::Dropped => {
                    drop(log);
                    fs.crash(Crash::KeepUnsynced)
                }
                End::Killed => fs.crash(Crash::KeepUnsynced),
                End::PowerCut => fs.crash(Crash::LoseUnsynced),
                End::Torn(seed) => {
                    // The write is done, the sync is not.
                    let operations = fs.operations();
                    fs.power_off_at(operations + 1);
                    append(&log, &[events(1, 0, number..number + 3)]).unwrap_err();
                    is_torn = true;
                    fs.crash(Crash::Tear { seed })
                }
            };
            fs = image;
            let opened = open(&fs);
            log = opened.0;
            let found = read_all(&log).unwrap();
            if is_torn && found.len() > all.len() {
                // It came down whole, so it is kept.
                prop_assert_eq!(found.len(), all.len() + 3);
                prop_assert_eq!(&opened.1.torn_tail, &None);
                all.extend(found[all.len()..].iter().cloned());
                number += 3;
            }
            prop_assert_eq!(&found, &all);
            prop_assert!(is_torn || opened.1.torn_tail.is_none());
            prop_assert_eq!(log.room_bytes().unwrap(), 0);
        }
    }
}

#[test]
fn zeros_where_something_was_acknowledged_are_no_room() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    // Where each commit ends, and how many there were when room was made last.
    let (mut ends, mut synced, mut room) = (vec![56], 0, 0);
    for n in 0..40 {
        append(&log, &[events(1, 0, n..n + 1)]).unwrap();
        let (_, bytes) = last_segment(&fs);
        let now = log.room_bytes().unwrap();
        synced = if now > room { ends.len() } else { synced };
        room = now;
        ends.push(bytes.len() - usize::try_from(room).unwrap());
    }
    assert!((20..40).contains(&synced), "{synced}");
    // A process that was killed has left its mark; after a power cut it is that of the room.
    for (crash, marked) in [(Crash::KeepUnsynced, 40), (Crash::LoseUnsynced, synced)] {
        for (kept, &end) in ends.iter().enumerate().take(40) {
            let image = fs.crash(crash);
            let (path, mut bytes) = last_segment(&image);
            bytes[end..].fill(0);
            image.set_content(&path, bytes);
            let opened = LogReader::open(Arc::new(image.clone()), directory());
            let to_write = open_with(&image, clock(), options(u64::MAX));
            if kept < marked {
                for error in [opened.unwrap_err(), to_write.unwrap_err()] {
                    let at = end as u64;
                    let is_named =
                        matches!(&error, LogError::Damaged { at: found, .. } if *found == at);
                    assert!(is_named, "{kept} of {marked}: {error:?}");
                }
            } else {
                // What is documented: the last commits may be lost without a word then.
                assert_eq!(read_all(&to_write.unwrap().0).unwrap().len(), kept);
            }
        }
    }
}

#[test]
fn more_zeros_than_room_are_told() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    // None of these makes room, so the mark is as old as the log's opening after a power cut.
    let mut ends = vec![56];
    for n in 0..20 {
        append(&log, &[events(1, 0, n * 20_000..(n + 1) * 20_000)]).unwrap();
        ends.push(last_segment(&fs).1.len());
    }
    let image = fs.crash(Crash::LoseUnsynced);
    let (path, mut bytes) = last_segment(&image);
    let lost = bytes.len() - ends[1];
    assert!(lost > 272 << 10, "{lost}");
    bytes[ends[1]..].fill(0);
    image.set_content(&path, bytes);
    let (log, report) = open_with(&image, clock(), options(u64::MAX)).unwrap();
    let torn = report.torn_tail.unwrap();
    assert_eq!((torn.at, torn.bytes), (ends[1] as u64, lost as u64));
    assert_eq!(read_all(&log).unwrap().len(), 20_000);
}

#[test]
fn room_that_was_given_back_stays_away_once_another_segment_follows() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    let mut all = Vec::new();
    for n in 0..3 {
        all.extend(append(&log, &[events(1, 0, n..n + 1)]).unwrap());
    }
    assert!(log.room_bytes().unwrap() > 0);
    // It is cut off, and not synced.
    drop(log);
    let (log, _) = open_with(&fs, clock(), options(u64::MAX)).unwrap();
    log.begin_segment().unwrap();
    let cut = fs.crash(Crash::LoseUnsynced);
    assert_eq!(read_all(&reader(&cut)).unwrap(), all);
    assert_eq!(segments(&cut).len(), 2);
}

/// A file system where something is appended behind the back of whoever reads.
#[derive(Debug)]
struct Overtaken {
    fs: MemoryFileSystem,
    log: Arc<Log>,
    reads: Arc<AtomicU64>,
    /// After this read of a segment so many commits come.
    at: u64,
    commits: i64,
}

#[derive(Debug)]
struct OvertakenFile {
    file: Arc<dyn File>,
    log: Arc<Log>,
    reads: Arc<AtomicU64>,
    at: u64,
    commits: i64,
}

impl FileSystem for Overtaken {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.fs.open(path, mode)?;
        if path
            .extension()
            .is_none_or(|extension| extension != "segment")
        {
            return Ok(file);
        }
        Ok(Arc::new(OvertakenFile {
            file,
            log: Arc::clone(&self.log),
            reads: Arc::clone(&self.reads),
            at: self.at,
            commits: self.commits,
        }))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.fs.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.fs.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.fs.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.fs.lock(path)
    }
}

impl File for OvertakenFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, buffer)?;
        if self.reads.fetch_add(1, Ordering::SeqCst) == self.at {
            for n in 0..self.commits {
                self.log.append(&[events(7, 0, n..n + 1)]).unwrap();
            }
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

#[test]
fn who_is_overtaken_by_a_writer_sees_no_damage() {
    // So many that the last one ends where the segment may, too.
    for (segment_bytes, commits) in [(u64::MAX, 1), (u64::MAX, 2), (u64::MAX, 5), (6_000, 30)] {
        for at in 0.. {
            let fs = MemoryFileSystem::new();
            let (log, _) = open_with(&fs, clock(), options(segment_bytes)).unwrap();
            let mut before = Vec::new();
            for n in 0..20 {
                before.extend(append(&log, &[events(1, 0, n..n + 1)]).unwrap());
            }
            assert!(log.room_bytes().unwrap() > 0);
            let log = Arc::new(log);
            let reads = Arc::new(AtomicU64::new(0));
            let overtaken = Overtaken {
                fs: fs.clone(),
                log: Arc::clone(&log),
                reads: Arc::clone(&reads),
                at,
                commits,
            };
            let opened = LogReader::open(Arc::new(overtaken), directory());
            let (reader, report) = opened.unwrap_or_else(|e| panic!("read {at}: {e:?}"));
            let is_over = reads.load(Ordering::SeqCst) <= at;
            assert_eq!((report.torn_tail, report.held_back), (None, 0), "read {at}");
            let shown = read_all(&reader).unwrap();
            assert!(shown.starts_with(&before), "read {at}");
            assert!(read_all(&log).unwrap().starts_with(&shown), "read {at}");
            if is_over {
                assert!(at > 2, "the segment was read");
                break;
            }
        }
    }
}
