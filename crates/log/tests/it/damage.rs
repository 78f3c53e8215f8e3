//! Damage: whatever happens to the bytes of an acknowledged log, opening and reading answer
//! with all of it or with an error, never with other events, fewer, or a panic.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_log::{
    Batch, Compression, Crash, DeadLetter, LogError, LogOptions, LogReader, MemoryFileSystem,
    RecoveryReport,
};
use evenkeel_types::{LoggedEvent, SourceId};
use proptest::prelude::*;

use crate::support::*;

/// All that a log shows.
type Shown = (Vec<LoggedEvent>, usize);

fn shown(log: &LogReader) -> Result<Shown, LogError> {
    let mut letters = 0;
    for letter in log.dead_letters(SourceId(1))? {
        letter?;
        letters += 1;
    }
    Ok((read_all(log)?, letters))
}

fn open_and_show(fs: &MemoryFileSystem) -> Result<(Shown, RecoveryReport), LogError> {
    let (log, report) = open(fs)?;
    Ok((shown(&log)?, report))
}

fn letters(count: usize) -> Batch {
    let letter = |n| DeadLetter {
        origin: None,
        code: "SYNTAX".into(),
        reason: format!("line {n}"),
        record: b"{".to_vec(),
        position: None,
    };
    Batch::DeadLetters {
        source: SourceId(1),
        letters: (0..count).map(letter).collect(),
    }
}

/// A log of three commits, cleanly closed, in segments of this size.
fn small(segment_bytes: u64) -> (MemoryFileSystem, Shown) {
    let fs = MemoryFileSystem::new();
    let options = LogOptions {
        segment_bytes,
        compression: Compression::Zstd { level: 1 },
    };
    let (log, _) = open_with(&fs, clock(), options).unwrap();
    log.append(&[events(1, 0, 0..2)]).unwrap();
    log.append(&[events(2, 1, 0..24), letters(2)]).unwrap();
    log.append(&[events(1, 0, 2..4)]).unwrap();
    let all = shown(&log).unwrap();
    log.close().unwrap();
    (fs, all)
}

fn mark() -> PathBuf {
    directory().join("mark")
}

fn segments(fs: &MemoryFileSystem) -> Vec<PathBuf> {
    let is_segment = |p: &PathBuf| p.extension().is_some_and(|e| e == "segment");
    fs.paths().into_iter().filter(is_segment).collect()
}

/// A copy of the files with one of them replaced.
fn replaced(fs: &MemoryFileSystem, path: &Path, bytes: Vec<u8>) -> MemoryFileSystem {
    let copy = fs.crash(Crash::KeepUnsynced);
    copy.set_content(path, bytes);
    copy
}

fn without(fs: &MemoryFileSystem, path: &Path) -> MemoryFileSystem {
    let copy = MemoryFileSystem::new();
    for other in fs.paths().iter().filter(|p| *p != path) {
        copy.set_content(other, fs.content(other).unwrap());
    }
    copy
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// The mark of a log to which nothing was acknowledged: as old as a mark can be.
fn first_mark() -> Vec<u8> {
    let fs = MemoryFileSystem::new();
    open(&fs).unwrap();
    fs.content(&mark()).unwrap()
}

#[test]
fn every_flipped_bit_of_a_segment_is_an_error() {
    let (fs, _) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let bytes = fs.content(path).unwrap();
    for bit in 0..bytes.len() * 8 {
        let image = replaced(&fs, path, flipped(&bytes, bit));
        let error = open_and_show(&image).expect_err("a flipped bit went unnoticed");
        assert!(
            matches!(
                &error,
                LogError::Damaged { path: p, .. } | LogError::UnsupportedVersion { path: p, .. }
                    if p == path
            ),
            "bit {bit}: {error:?}"
        );
        // Nothing was cut off: the file can still be looked at, and restored.
        assert_eq!(image.content(path).unwrap().len(), bytes.len());
    }
}

#[test]
fn every_flipped_bit_of_several_segments_is_an_error() {
    let (fs, _) = small(1);
    let paths = segments(&fs);
    assert_eq!(paths.len(), 3);
    for path in &paths {
        let bytes = fs.content(path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let image = replaced(&fs, path, flipped(&bytes, bit));
            let result = open_and_show(&image);
            assert!(result.is_err(), "{} bit {bit}: {result:?}", path.display());
        }
    }
}

#[test]
fn with_the_oldest_mark_only_the_last_commit_can_pass_for_a_torn_one() {
    let (fs, all) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let bytes = fs.content(path).unwrap();
    let fs = replaced(&fs, &mark(), first_mark());
    let mut torn = 0;
    for bit in 0..bytes.len() * 8 {
        let image = replaced(&fs, path, flipped(&bytes, bit));
        if let Ok((shown, report)) = open_and_show(&image) {
            assert_eq!(shown.0, all.0[..26], "bit {bit}");
            let tail = report.torn_tail.expect("a commit is gone without a word");
            assert!(bit as u64 / 8 >= tail.at);
            torn += 1;
        }
    }
    assert!(torn > 0 && torn < bytes.len() * 4, "{torn}");
}

#[test]
fn every_flipped_bit_of_the_mark_is_an_error_or_harmless() {
    let (fs, all) = small(u64::MAX);
    let bytes = fs.content(&mark()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let image = replaced(&fs, &mark(), flipped(&bytes, bit));
        if let Ok((shown, report)) = open_and_show(&image) {
            assert_eq!((shown, report.torn_tail), (all.clone(), None), "bit {bit}");
        }
    }
    let nothing = replaced(&fs, &mark(), vec![0; bytes.len()]);
    assert!(matches!(
        open_and_show(&nothing),
        Err(LogError::Damaged { .. })
    ));
}

#[test]
fn damage_after_opening_is_an_error_when_it_is_read() {
    let (fs, all) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let bytes = fs.content(path).unwrap();
    let mut errors = 0;
    for bit in 0..bytes.len() * 8 {
        let image = fs.crash(Crash::KeepUnsynced);
        let (log, _) = open(&image).unwrap();
        image.set_content(path, flipped(&bytes, bit));
        match shown(&log) {
            Ok(shown) => assert_eq!(shown, all, "bit {bit}"),
            Err(LogError::Damaged { .. } | LogError::UnsupportedVersion { .. }) => errors += 1,
            Err(error) => panic!("bit {bit}: {error:?}"),
        }
    }
    // All but the segment's header, which only opening reads; but for the version, of which all bits but
    // one make a segment that is truncated, or newer.
    assert_eq!(errors, (bytes.len() - 56) * 8 + 15);
}

#[test]
fn a_truncation_at_every_byte_is_an_error() {
    for segment_bytes in [1, u64::MAX] {
        let (fs, _) = small(segment_bytes);
        for path in segments(&fs) {
            let bytes = fs.content(&path).unwrap();
            for length in 0..bytes.len() {
                let image = replaced(&fs, &path, bytes[..length].to_vec());
                let result = open_and_show(&image);
                assert!(result.is_err(), "{} cut to {length}", path.display());
            }
        }
    }
}

#[test]
fn a_truncation_after_the_mark_leaves_whole_commits() {
    let (fs, all) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let bytes = fs.content(path).unwrap();
    let fs = replaced(&fs, &mark(), first_mark());
    let mut lengths = Vec::new();
    for length in 56..bytes.len() {
        let image = replaced(&fs, path, bytes[..length].to_vec());
        let ((events, letters), report) = open_and_show(&image).unwrap();
        assert_eq!(events, all.0[..events.len()]);
        assert_eq!(letters, if events.len() > 2 { 2 } else { 0 });
        if report.torn_tail.is_none() {
            lengths.push(events.len());
        }
    }
    // Only cuts between two commits leave no torn tail.
    assert_eq!(lengths, [0, 2, 26]);
}

#[test]
fn a_missing_file_is_an_error() {
    let (fs, _) = small(1);
    for path in fs.paths() {
        let error = open_and_show(&without(&fs, &path)).expect_err("a file is gone");
        let name = path.file_name().unwrap().to_str().unwrap();
        let named = matches!(
            (name, &error),
            ("mark", LogError::MissingMark { .. })
                | (
                    "00000000000000000000.segment",
                    LogError::MissingSegment {
                        first_sequence: 0,
                        ..
                    }
                )
                | (
                    "00000000000000000002.segment",
                    LogError::MissingSegment {
                        first_sequence: 2,
                        ..
                    }
                )
                | (
                    "00000000000000000028.segment",
                    LogError::LostSuffix {
                        marked: 3,
                        found: 2,
                        ..
                    }
                )
        );
        assert!(named, "{name}: {error:?}");
    }
}

#[test]
fn all_segments_missing_is_an_error() {
    let (fs, _) = small(u64::MAX);
    let error = open_and_show(&without(&fs, &segments(&fs)[0])).expect_err("all is gone");
    assert!(matches!(
        error,
        LogError::MissingSegment {
            first_sequence: 0,
            ..
        }
    ));
}

#[test]
fn an_older_copy_of_a_segment_is_an_error() {
    let (fs, _) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let old = fs.content(path).unwrap();
    let (log, _) = open(&fs).unwrap();
    log.append(&[events(1, 0, 4..5)]).unwrap();
    drop(log);
    assert!(matches!(
        open_and_show(&replaced(&fs, path, old)),
        Err(LogError::LostSuffix {
            marked: 4,
            found: 3,
            ..
        })
    ));
}

#[test]
fn after_a_power_cut_the_mark_still_stands_for_the_segments_before_the_last() {
    let fs = MemoryFileSystem::new();
    let options = LogOptions {
        segment_bytes: 1,
        ..LogOptions::default()
    };
    let (log, _) = open_with(&fs, clock(), options).unwrap();
    for n in 0..3 {
        log.append(&[events(1, 0, n..n + 1)]).unwrap();
    }
    let fs = fs.crash(Crash::LoseUnsynced);
    let paths = segments(&fs);
    let two = without(&fs, &paths[2]);
    assert_eq!(
        open_and_show(&two).unwrap().0.0.len(),
        2,
        "not known to be lost"
    );
    let error = open_and_show(&without(&without(&fs, &paths[2]), &paths[1])).unwrap_err();
    assert!(matches!(
        error,
        LogError::LostSuffix {
            marked: 2,
            found: 1,
            ..
        }
    ));
}

#[test]
fn segments_of_two_logs_do_not_mix() {
    let (fs, _) = small(u64::MAX);
    let other = MemoryFileSystem::new();
    let (log, _) = open(&other).unwrap();
    for n in 0..3 {
        log.append(&[events(1, 0, n..n + 1)]).unwrap();
    }
    drop(log);
    let path = &segments(&fs)[0];
    let mixed = replaced(&fs, path, other.content(path).unwrap());
    assert!(matches!(
        open_and_show(&mixed),
        Err(LogError::Damaged { .. })
    ));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (fs, _) = small(u64::MAX);
    for path in [segments(&fs).remove(0), mark()] {
        let mut bytes = fs.content(&path).unwrap();
        bytes[8] = 4;
        if path == mark() {
            bytes[512 + 8] = 4;
        }
        // A truncated segment is the newest there is.
        let newest = if path == mark() { 2 } else { 3 };
        let error = open_and_show(&replaced(&fs, &path, bytes)).expect_err("a newer format");
        let named = matches!(
            &error,
            LogError::UnsupportedVersion { found: 4, supported, path: p } if *p == path && *supported == newest
        );
        assert!(named, "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_mutation_is_an_error_or_harmless(
        segment_bytes in prop_oneof![Just(1), Just(u64::MAX)],
        file in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        kind in 0..5,
        noise in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let (fs, all) = small(segment_bytes);
        let paths: Vec<_> = segments(&fs).into_iter().chain([mark()]).collect();
        let path = &paths[file.index(paths.len())];
        let mut bytes = fs.content(path).unwrap();
        let other = fs.content(&paths[other.index(paths.len())]).unwrap();
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (low, high) = (from.min(to), from.max(to));
        match kind {
            // Zeros, noise in place, bytes gone, bytes too many, another file's bytes.
            0 => bytes[low..high].fill(0),
            1 => {
                let length = noise.len().min(bytes.len() - low);
                bytes[low..low + length].copy_from_slice(&noise[..length]);
            }
            2 => drop(bytes.drain(low..high)),
            3 => drop(bytes.splice(low..low, noise)),
            _ => {
                let part: Vec<_> = other.iter().copied().skip(low).take(high - low).collect();
                bytes[low..low + part.len()].copy_from_slice(&part);
            }
        }
        if let Ok((shown, report)) = open_and_show(&replaced(&fs, path, bytes)) {
            prop_assert_eq!(shown, all);
            // What was added after the last commit is a torn append, and said to be.
            prop_assert!(report.torn_tail.is_none() || kind == 3);
        }
    }
}

#[test]
fn damage_is_told_with_file_and_byte() {
    let (fs, _) = small(u64::MAX);
    let path = &segments(&fs)[0];
    let bytes = fs.content(path).unwrap();
    let error = open_and_show(&replaced(&fs, path, flipped(&bytes, 60 * 8 + 2))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/log/00000000000000000000.segment` is damaged at byte 56; restore the file from a copy"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "a commit's format version is 6, which it cannot be"
    );
    let reader = LogReader::open(
        Arc::new(replaced(&fs, path, flipped(&bytes, 60 * 8 + 2))),
        directory(),
    );
    assert!(matches!(reader, Err(LogError::Damaged { at: 56, .. })));
}

#[test]
fn what_is_read_once_is_checked_once_unless_nothing_vouches_for_it() {
    for segment_bytes in [1, u64::MAX] {
        let (fs, all) = small(segment_bytes);
        let open_once =
            |fs: &MemoryFileSystem| LogReader::open_once(Arc::new(fs.clone()), directory());
        let (log, report) = open_once(&fs).unwrap();
        assert_eq!(shown(&log).unwrap(), all);
        assert_eq!(
            report,
            LogReader::open(Arc::new(fs.clone()), directory())
                .unwrap()
                .1
        );
        let mut noticed_later = 0;
        for path in segments(&fs) {
            let bytes = fs.content(&path).unwrap();
            for bit in 0..bytes.len() * 8 {
                let image = replaced(&fs, &path, flipped(&bytes, bit));
                let Ok((log, _)) = open_once(&image) else {
                    continue;
                };
                let error = shown(&log).expect_err("a flipped bit went unnoticed");
                assert!(
                    matches!(error, LogError::Damaged { .. }),
                    "bit {bit}: {error:?}"
                );
                noticed_later += 1;
            }
        }
        assert!(noticed_later > 0, "bodies are looked at when they are read");
        // Without the mark's word all is as for everybody: what could be torn is looked at.
        let unmarked = replaced(&fs, &mark(), first_mark());
        for path in segments(&fs) {
            let bytes = fs.content(&path).unwrap();
            for bit in (0..bytes.len() * 8).step_by(7) {
                let image = replaced(&unmarked, &path, flipped(&bytes, bit));
                let opened = LogReader::open(Arc::new(image.clone()), directory());
                let of = |opened: Result<(LogReader, RecoveryReport), LogError>| {
                    opened
                        .map(|(log, report)| (shown(&log).ok(), report))
                        .map_err(|e| e.to_string())
                };
                assert_eq!(of(open_once(&image)), of(opened), "bit {bit}");
            }
        }
    }
}
