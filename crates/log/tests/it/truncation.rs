//! Truncated segments: with the events elsewhere, every read answers what it did before.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use evenkeel_log::{
    Backfill, Batch, Correlation, Crash, DeadLetter, DeadLetterId, EventParts, Events, Log,
    LogError, LogOptions, LogReader, LogSegment, LoggedBackfill, MemoryFileSystem, ReadOptions,
    Sequence,
};
use evenkeel_types::{
    Cut, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, VisibleAt,
};
use proptest::prelude::*;

use crate::support::{DIRECTORY, clock, directory, events as events_of, open_with};

const COPY: &str = "/copy";
/// Batches of the fixture, some with dead letters and marks.
const SIZES: [u8; 14] = [35, 140, 70, 105, 3, 99, 150, 33, 140, 70, 105, 3, 150, 150];

pub(crate) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 3_000,
        ..LogOptions::default()
    }
}

/// A log of many segments: events of two sources and three partitions in batches of 1 to 200, dead letters,
/// marks and backfills in between.
pub(crate) fn filled(fs: &MemoryFileSystem, sizes: &[u8]) -> Log {
    let (log, _) = open_with(fs, clock(), options()).unwrap();
    let mut numbers = [0i64; 3];
    let mut letters = 0;
    for (turn, &size) in sizes.iter().enumerate() {
        let stream = turn % 3;
        let first = numbers[stream];
        numbers[stream] += 1 + i64::from(size);
        let (source, partition) = [(1, 0), (1, 1), (2, 0)][stream];
        let mut batches = vec![events_of(source, partition, first..numbers[stream])];
        if size % 5 == 0 {
            batches.push(Batch::DeadLetters {
                source: SourceId(source),
                letters: vec![DeadLetter {
                    origin: None,
                    position: None,
                    code: "NOT_NULL".to_owned(),
                    reason: format!("turn {turn}"),
                    record: vec![size; 300],
                }],
            });
            letters += u64::from(source == 1);
        }
        if size % 7 == 0 && letters > 0 {
            batches.push(Batch::Redriven {
                source: SourceId(1),
                ids: vec![DeadLetterId(letters - 1)],
            });
        }
        if size % 9 == 1 {
            batches.push(Batch::Backfills {
                source: SourceId(3),
                backfills: vec![Backfill {
                    from: EventTime(i64::from(size)),
                    until: EventTime(i64::from(size) + 1 + turn as i64),
                }],
            });
        }
        if size % 6 == 1 {
            batches.push(Batch::Correlations {
                source: SourceId(source),
                correlations: vec![Correlation {
                    event: u64::from(size / 2),
                    id: format!("call {turn}"),
                }],
            });
        }
        log.append(&batches).unwrap();
    }
    log
}

/// What records are called, of some after each other.
pub(crate) fn correlations(log: &LogReader, end: Sequence) -> Vec<BTreeMap<Sequence, String>> {
    let among = |first: u64| {
        let records = (first..first + 300).step_by(1 + (first % 3) as usize);
        log.correlations(&records.map(Sequence).collect()).unwrap()
    };
    (0..end.0).step_by(97).map(among).collect()
}

/// The backfills of a log, from the first record on and from others before an end.
pub(crate) fn backfills(log: &LogReader, end: Sequence) -> Vec<Vec<LoggedBackfill>> {
    let from = |record| log.backfills(SourceId(3), Sequence(record)).unwrap();
    (0..end.0).step_by(97).map(from).collect()
}

/// What keeps the events: a copy of the log.
pub(crate) fn copied(log: &LogReader, fs: &MemoryFileSystem) -> LogReader {
    log.copy_to(COPY.as_ref(), &mut |_, _| ()).unwrap();
    LogReader::open(Arc::new(fs.clone()), COPY.as_ref())
        .unwrap()
        .0
}

pub(crate) fn read(log: &LogReader, options: &ReadOptions) -> Vec<(LoggedEvent, Sequence, u64)> {
    let mut stream: Events = log.read(options.clone()).numbered();
    let mut logged = LoggedEvent::blank();
    let mut found = Vec::new();
    while stream.next_into(&mut logged).unwrap() {
        found.push((logged.clone(), stream.sequence(), stream.number()));
    }
    found
}

fn cut(ends: [u64; 3]) -> Cut {
    let mut cut = Cut::empty();
    for (end, (source, partition)) in ends.into_iter().zip([(1, 0), (1, 1), (2, 0)]) {
        cut.set_end(SourceId(source), Partition(partition), Offset(end));
    }
    cut
}

fn any_options() -> impl Strategy<Value = ReadOptions> {
    let ends = || prop::option::of([0u64..2_000, 0u64..2_000, 0u64..2_000]);
    let times = prop::option::of((0i64..500_000, 0i64..1_500_000));
    let sources = prop_oneof![
        Just(None),
        Just(Some(vec![SourceId(1)])),
        Just(Some(vec![SourceId(2)]))
    ];
    (ends(), ends(), times, sources, 0u64..2_000, any::<bool>()).prop_map(
        |(after, until, times, sources, from, whole)| ReadOptions {
            sources,
            from: Sequence(if whole { 0 } else { from }),
            after: after.map_or(Cut::empty(), cut),
            until: until.map(cut),
            event_times: times.map(|(from, length)| EventTime(from)..=EventTime(from + length)),
            parts: match whole {
                true => Default::default(),
                false => [(
                    SourceId(1),
                    EventParts {
                        columns: vec![false, true],
                        origin: false,
                    },
                )]
                .into(),
            },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_log_reads_as_the_whole_one(
        sizes in prop::collection::vec(0u8..200, 3..60),
        asked in prop::collection::vec(any_options(), 8),
        truncated in prop::collection::vec(any::<bool>(), 60),
    ) {
        let fs = MemoryFileSystem::new();
        let log = filled(&fs, &sizes);
        let whole = copied(&log, &fs);
        log.set_older(Arc::new(whole.clone()));
        let segments = log.segments().unwrap();
        let old = segments.split_last().map_or(&[][..], |(_, old)| old);
        for (segment, is_truncated) in old.iter().zip(&truncated) {
            if *is_truncated {
                let report = log.truncate(segment).unwrap();
                prop_assert!(report.bytes_after > 0);
            }
        }
        let now = log.segments().unwrap();
        prop_assert_eq!(now.len(), segments.len());
        for (at, segment) in now.iter().enumerate() {
            prop_assert_eq!(segment.is_truncated, at + 1 < now.len() && truncated[at]);
        }
        let check = |log: &LogReader| {
            for options in asked.iter().chain([&ReadOptions::default()]) {
                prop_assert_eq!(read(log, options), read(&whole, options), "{:?}", options);
            }
            for source in [1, 2].map(SourceId) {
                let letters = |log: &LogReader| -> Vec<_> {
                    log.dead_letters(source).unwrap().map(Result::unwrap).collect()
                };
                prop_assert_eq!(letters(log), letters(&whole));
                for offset in (0..2_000).step_by(37) {
                    let position = Position::new(0, offset);
                    prop_assert_eq!(
                        log.event(source, position).unwrap(),
                        whole.event(source, position).unwrap()
                    );
                    prop_assert_eq!(
                        log.sequence(source, position).unwrap(),
                        whole.sequence(source, position).unwrap()
                    );
                }
            }
            for sequence in (0..2_000).step_by(101).map(Sequence) {
                prop_assert_eq!(log.cut_before(sequence).unwrap(), whole.cut_before(sequence).unwrap());
            }
            prop_assert_eq!(log.cut_at(VisibleAt(i64::MAX)).unwrap(), whole.ends());
            let end = whole.next_sequence();
            prop_assert_eq!(backfills(log, end), backfills(&whole, end));
            prop_assert_eq!(correlations(log, end), correlations(&whole, end));
            Ok(())
        };
        check(&log)?;
        drop(log);
        let (log, report) = open_with(&fs, clock(), options()).unwrap();
        prop_assert_eq!(report.records, whole.next_sequence().0);
        log.set_older(Arc::new(whole.clone()));
        check(&log)?;
        // A copy of it is truncated, too.
        log.copy_to("/second".as_ref(), &mut |_, _| ()).unwrap();
        let (second, _) = LogReader::open(Arc::new(fs.clone()), "/second".as_ref()).unwrap();
        second.set_older(Arc::new(whole.clone()));
        check(&second)?;
    }
}

#[test]
fn what_is_not_there_is_named() {
    let fs = MemoryFileSystem::new();
    let log = filled(&fs, &[150; 30]);
    let whole = copied(&log, &fs);
    let segments = log.segments().unwrap();
    assert!(segments.len() > 3);
    log.truncate(&segments[1]).unwrap();
    let all = |log: &LogReader| -> Result<Vec<LoggedEvent>, LogError> {
        log.read(ReadOptions::default()).collect()
    };
    let error = all(&log).unwrap_err();
    assert!(matches!(error, LogError::OlderClosed { .. }), "{error}");
    // What keeps the events has fewer than were truncated.
    let fs_of_less = MemoryFileSystem::new();
    let less = filled(&fs_of_less, &[150; 4]);
    log.set_older(Arc::new(less.reader()));
    let error = all(&log).unwrap_err();
    let LogError::OlderMissing {
        path,
        source_id,
        position,
    } = &error
    else {
        panic!("{error}");
    };
    let name = format!("{DIRECTORY}/{:020}.segment", segments[1].first.0);
    assert_eq!(path.display().to_string(), name);
    assert!(less.end(*source_id, position.partition) <= position.offset);
    // So it is if only events of some time are asked for.
    let of_a_time = ReadOptions {
        event_times: Some(EventTime(i64::MIN)..=EventTime(i64::MAX)),
        ..ReadOptions::default()
    };
    let bounded: Result<Vec<LoggedEvent>, LogError> = log.read(of_a_time).collect();
    assert_eq!(bounded.unwrap_err().to_string(), error.to_string());
    for (source, position, is_truncated) in [
        (*source_id, *position, true),
        (SourceId(1), Position::new(0, 0), false),
        (SourceId(7), Position::new(0, 0), false),
    ] {
        assert_eq!(log.is_truncated_at(source, position), is_truncated);
    }
    log.set_older(Arc::new(whole));
    assert_eq!(all(&log).unwrap().len(), 30 * 151);
    // The segment that is appended to stays, and what is no segment.
    let last = segments.last().unwrap();
    let none = LogSegment {
        first: Sequence(7),
        ..last.clone()
    };
    let shorter = LogSegment {
        end: segments[2].first,
        ..segments[2].clone()
    };
    for segment in [last, &none, &shorter] {
        let error = log.truncate(segment).unwrap_err();
        assert!(matches!(error, LogError::NoSegment { .. }), "{error}");
    }
    // Unless another is begun, once.
    log.begin_segment().unwrap();
    log.begin_segment().unwrap();
    assert_eq!(log.segments().unwrap().len(), segments.len());
    log.truncate(last).unwrap();
    assert_eq!(all(&log).unwrap().len(), 30 * 151);
    log.append(&[events_of(2, 0, 0..3)]).unwrap();
    assert_eq!(all(&log).unwrap().len(), 30 * 151 + 3);
    // All of it, copied: it goes on in a segment of its own.
    for segment in &log.segments().unwrap()[..segments.len()] {
        log.truncate(segment).unwrap();
    }
    log.begin_segment().unwrap();
    log.truncate(log.segments().unwrap().last().unwrap())
        .unwrap();
    log.copy_to("/all".as_ref(), &mut |_, _| ()).unwrap();
    let (all_of_it, report) =
        Log::open(Arc::new(fs.clone()), "/all".as_ref(), clock(), options()).unwrap();
    assert_eq!(report.records, log.next_sequence().0);
    all_of_it.append(&[events_of(2, 0, 3..5)]).unwrap();
    drop(all_of_it);
    let (again, _) = LogReader::open(Arc::new(fs.clone()), "/all".as_ref()).unwrap();
    assert_eq!(again.next_sequence().0, report.records + 2);
    let segments = again.segments().unwrap();
    let whole = segments.iter().filter(|segment| !segment.is_truncated);
    assert_eq!(whole.count(), 1);
    // Twice is once.
    let again = log.truncate(&segments[1]).unwrap();
    assert_eq!(again.bytes_before, again.bytes_after);
}

#[test]
fn a_power_cut_at_any_step_leaves_the_one_or_the_other() {
    let mut seen = [false; 2];
    let full = {
        let fs = MemoryFileSystem::new();
        let log = filled(&fs, &[150; 30]);
        let segment = log.segments().unwrap()[1].clone();
        let before = fs.operations();
        log.truncate(&segment).unwrap();
        before..fs.operations()
    };
    let whole_fs = MemoryFileSystem::new();
    let whole = filled(&whole_fs, &[150; 30]).reader();
    let events = read(&whole, &ReadOptions::default());
    for at in full {
        let tears = (0..8).map(|seed| Crash::Tear { seed });
        for crash in [Crash::LoseUnsynced, Crash::KeepUnsynced]
            .into_iter()
            .chain(tears)
        {
            let fs = MemoryFileSystem::new();
            let log = filled(&fs, &[150; 30]);
            let segment = log.segments().unwrap()[1].clone();
            fs.power_off_at(at);
            let truncated = log.truncate(&segment);
            assert!(truncated.is_err(), "operation {at}");
            drop(log);
            let crashed = fs.crash(crash);
            let (log, report) = open_with(&crashed, clock(), options()).unwrap();
            assert_eq!(report.records, whole.next_sequence().0);
            log.set_older(Arc::new(whole.clone()));
            assert_eq!(read(&log, &ReadOptions::default()), events);
            let segment = log.segments().unwrap()[1].clone();
            seen[usize::from(segment.is_truncated)] = true;
            log.append(&[events_of(2, 0, 0..3)]).unwrap();
            log.truncate(&segment).unwrap();
            assert_eq!(read(&log, &ReadOptions::default())[..events.len()], events);
        }
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_a_log_that_reads() {
    let whole_fs = MemoryFileSystem::new();
    let whole = filled(&whole_fs, &[150; 30]).reader();
    let events = read(&whole, &ReadOptions::default());
    let fs = MemoryFileSystem::new();
    let log = filled(&fs, &[150; 30]);
    log.set_older(Arc::new(whole));
    let mut failures = 0;
    let segment = log.segments().unwrap()[1].clone();
    loop {
        fs.fail_at(fs.operations() + failures, io::ErrorKind::StorageFull);
        let truncated = log.truncate(&segment);
        fs.heal();
        assert_eq!(read(&log, &ReadOptions::default()), events);
        match truncated {
            Ok(_) => break,
            Err(_) => failures += 1,
        }
    }
    log.append(&[events_of(3, 0, 0..1)]).unwrap();
    assert_eq!(read(&log, &ReadOptions::default())[..events.len()], events);
    assert!(failures > 3, "{failures}");
}

#[test]
fn damage_of_any_byte_is_noticed() {
    let fs = MemoryFileSystem::new();
    let log = filled(&fs, &[40; 30]);
    let whole = copied(&log, &fs);
    let events = read(&whole, &ReadOptions::default());
    let letters: Vec<_> = whole
        .dead_letters(SourceId(1))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let segment = log.segments().unwrap()[1].clone();
    log.truncate(&segment).unwrap();
    let segment = segment.first;
    drop(log);
    let path = directory().join(format!("{:020}.segment", segment.0));
    let bytes = fs.content(&path).unwrap();
    let mut noticed = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs.set_content(&path, damaged);
        let shown = (|| {
            let (log, _) = open_with(&fs, clock(), options())?;
            log.set_older(Arc::new(whole.clone()));
            let events: Result<Vec<LoggedEvent>, LogError> =
                log.read(ReadOptions::default()).collect();
            let letters: Result<Vec<_>, LogError> = log.dead_letters(SourceId(1))?.collect();
            Ok::<_, LogError>((events?, letters?))
        })();
        match shown {
            Err(_) => noticed += 1,
            Ok((found, found_letters)) => {
                assert!(
                    found.iter().eq(events.iter().map(|(event, ..)| event)),
                    "byte {at}"
                );
                assert_eq!(found_letters, letters, "byte {at}");
            }
        }
    }
    assert_eq!(noticed, bytes.len());
}

#[test]
fn a_truncated_segment_is_written_as_it_was() {
    let fs = MemoryFileSystem::new();
    let log = filled(&fs, &SIZES);
    let segment = log.segments().unwrap()[0].clone();
    log.truncate(&segment).unwrap();
    let segment = segment.first;
    let path = directory().join(format!("{:020}.segment", segment.0));
    let bytes = fs.content(&path).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/truncated.segment");
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        std::fs::write(&fixture, &bytes).unwrap();
    }
    let known = std::fs::read(&fixture).unwrap();
    // It opens for ever, and says the same.
    fs.set_content(&path, known);
    let whole_fs = MemoryFileSystem::new();
    let whole = filled(&whole_fs, &SIZES).reader();
    drop(log);
    let (log, _) = open_with(&fs, clock(), options()).unwrap();
    log.set_older(Arc::new(whole.clone()));
    assert_eq!(
        read(&log, &ReadOptions::default()),
        read(&whole, &ReadOptions::default())
    );
    let reasons = |log: &LogReader| -> Vec<String> {
        let letters = log.dead_letters(SourceId(1)).unwrap();
        letters
            .map(|letter| letter.unwrap().letter.reason)
            .collect()
    };
    assert_eq!(reasons(&log), reasons(&whole));
    assert!(!reasons(&log).is_empty());
    // A newer one is refused by name.
    drop(log);
    let mut newer = bytes;
    newer[8] = 4;
    fs.set_content(&path, newer);
    let error = open_with(&fs, clock(), options()).unwrap_err();
    assert!(
        matches!(
            error,
            LogError::UnsupportedVersion {
                found: 4,
                supported: 3,
                ..
            }
        ),
        "{error}"
    );
}
