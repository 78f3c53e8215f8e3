//! Appending and reading without faults, against a list of everything that was appended.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_log::{
    Backfill, Batch, DeadLetter, DeadLetterCount, DeadLetterId, Log, LogError, LogOptions,
    LogReader, MemoryFileSystem, ReadOptions, Sequence,
};
use evenkeel_types::{
    Cut, EventTime, LoggedEvent, Offset, Origin, Partition, Position, SourceId, Value, VisibleAt,
};
use proptest::prelude::*;

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

#[test]
fn sources_stand_apart_where_few_blocks_hold_several() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    // More bytes than a block has, as nothing about the numbers is regular.
    let many = |source: u32| Batch::Events {
        source: SourceId(source),
        partition: Partition(0),
        schema_version: 1,
        events: (0..10_000).map(|n| event(n * n % 1_000_003)).collect(),
    };
    for source in [1, 2, 1, 2, 1, 2] {
        log.append(&[many(source)]).unwrap();
    }
    let both = [SourceId(1), SourceId(2)];
    let all = Cut::empty();
    assert!(log.reader().are_apart(&both, &all));
    assert!(log.reader().are_apart(&[], &all));
    for _ in 0..3 {
        log.append(&[many(1), many(2)]).unwrap();
    }
    assert!(!log.reader().are_apart(&both, &all));
    assert!(log.reader().are_apart(&both[..1], &all));
    // What is read from elsewhere is not asked.
    assert!(log.reader().are_apart(&both, &log.reader().ends()));
}

#[test]
fn an_empty_log_has_nothing() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    assert_eq!(log.ends(), Cut::empty());
    assert_eq!(log.timeline(), None);
    assert_eq!(log.next_sequence(), Sequence(0));
    assert_eq!(read_all(&log).unwrap(), []);
    let nowhere = Position::new(0, 0);
    assert_eq!(log.event(SourceId(1), nowhere).unwrap(), None);
    assert_eq!(log.logged_at(SourceId(1), nowhere).unwrap(), None);
    assert_eq!(log.cut_at(VisibleAt(i64::MAX)).unwrap(), Cut::empty());
    assert_eq!(log.cut_before(Sequence(9)).unwrap(), Cut::empty());
    assert_eq!(log.dead_letters(SourceId(1)).unwrap().count(), 0);
}

#[test]
fn an_append_without_records_writes_nothing() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let operations = fs.operations();
    assert_eq!(log.append(&[]).unwrap(), []);
    let places = log.append(&[events(1, 0, 0..0)]).unwrap();
    assert_eq!((places[0].count, places[0].end()), (0, Offset(0)));
    assert_eq!(fs.operations(), operations);
    let places = log
        .append(&[events(1, 0, 0..0), events(1, 0, 0..2)])
        .unwrap();
    assert_eq!((places[0].first, places[1].first), (0, 0));
}

#[test]
fn batches_of_one_partition_in_one_append_follow_each_other() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let all = append(&log, &[events(1, 0, 0..2), events(1, 0, 2..5)]).unwrap();
    let offsets: Vec<_> = all.iter().map(|e| e.position.offset.0).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    assert_eq!(read_all(&log).unwrap(), all);
}

#[test]
fn a_pushed_event_has_its_own_position_as_origin() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let push = |numbers: std::ops::Range<i64>| Batch::Events {
        source: SourceId(1),
        partition: Partition(4),
        schema_version: 2,
        events: numbers.map(pushed).collect(),
    };
    let all = append(&log, &[push(0..2)]).unwrap();
    append(&log, &[push(2..3)]).unwrap();
    let origins: Vec<_> = read_all(&log)
        .unwrap()
        .into_iter()
        .map(|e| (e.schema_version, e.event.origin))
        .collect();
    let own = |offset| (2, Origin::Log(Position::new(4, offset)));
    assert_eq!(origins, [own(0), own(1), own(2)]);
    assert_eq!(all[1].event.origin, own(1).1);
}

#[test]
fn the_timeline_never_decreases_when_the_clock_jumps_back() {
    let fs = MemoryFileSystem::new();
    let time = clock();
    let (mut log, _) = open_with(&fs, time.clone(), LogOptions::default()).unwrap();
    let mut seen = Vec::new();
    for now in [50, 40, 60, i64::MIN, 10, 70] {
        time.set(now);
        let place = log
            .append(&[events(1, 0, now.max(0)..now.max(0) + 1)])
            .unwrap()[0];
        seen.push(place.logged_at.0);
        if now == 40 {
            drop(log);
            (log, _) = open_with(&fs, time.clone(), LogOptions::default()).unwrap();
        }
    }
    assert_eq!(seen, [50, 50, 60, 60, 60, 70]);
    assert_eq!(log.timeline(), Some(VisibleAt(70)));
    let read: Vec<_> = read_all(&log)
        .unwrap()
        .iter()
        .map(|e| e.logged_at.0)
        .collect();
    assert_eq!(read, seen);
}

#[test]
fn limits_are_errors_and_append_nothing() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let with_row = |row| {
        let mut batch = events(1, 0, 0..1);
        if let Batch::Events { events, .. } = &mut batch {
            events[0].row = row;
        }
        batch
    };
    let deep = (0..9).fold(Value::Null, |v, _| Value::Struct([v].into()));
    assert!(matches!(
        log.append(&[events(1, 0, 0..1), with_row(vec![deep])]),
        Err(LogError::NestedTooDeep { limit: 8 })
    ));
    let large = Value::Bytes(vec![0; (64 << 20) + 1].into());
    assert!(matches!(
        log.append(&[with_row(vec![large])]),
        Err(LogError::BatchTooLarge { .. })
    ));
    assert!(matches!(
        log.append(&vec![with_row(Vec::new()); 65_536]),
        Err(LogError::AppendTooLarge {
            batches: 65_536,
            ..
        })
    ));
    assert!(matches!(
        log.append(&[events(1, u32::MAX, 0..1)]),
        Err(LogError::ReservedPartition)
    ));
    assert_eq!(read_all(&log).unwrap(), []);
    assert_eq!(log.append(&[events(1, 0, 0..1)]).unwrap()[0].first, 0);
}

fn letter(code: &str, record: &[u8]) -> DeadLetter {
    DeadLetter {
        origin: None,
        code: code.into(),
        reason: format!("because of {code}"),
        record: record.into(),
        position: None,
    }
}

#[test]
fn dead_letters_are_listed_counted_and_driven_again() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let source = SourceId(3);
    let conflict = DeadLetter {
        origin: Some(Origin::Kafka {
            topic: "t".into(),
            partition: 2,
            offset: 77,
        }),
        position: Some(Position::new(1, 5)),
        ..letter("CONFLICT", b"\xff\x00raw")
    };
    let letters = |letters: Vec<DeadLetter>| Batch::DeadLetters { source, letters };
    // The letters are in the same commit as the events that they stood among.
    let places = log
        .append(&[
            events(3, 0, 0..2),
            letters(vec![letter("SYNTAX", b"{"), conflict.clone()]),
        ])
        .unwrap();
    assert_eq!(
        (places[1].first, places[1].first_sequence),
        (0, Sequence(2))
    );
    let places = log
        .append(&[letters(vec![letter("SYNTAX", b"[")])])
        .unwrap();
    assert_eq!(places[0].first, 2);
    let redriven = |ids: &[u64]| Batch::Redriven {
        source,
        ids: ids.iter().map(|&id| DeadLetterId(id)).collect(),
    };
    log.append(&[redriven(&[2, 1])]).unwrap();
    log.append(&[redriven(&[1])]).unwrap();
    assert!(matches!(
        log.append(&[redriven(&[3])]),
        Err(LogError::UnknownDeadLetter {
            source_id: SourceId(3),
            id: DeadLetterId(3)
        })
    ));

    let check = |log: &LogReader| {
        let all: Vec<_> = log
            .dead_letters(source)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].letter, conflict);
        assert_eq!(all[1].logged_at, VisibleAt(NOW));
        let flags: Vec<_> = all.iter().map(|l| (l.id.0, l.redriven)).collect();
        assert_eq!(flags, [(0, false), (1, true), (2, true)]);
        let counts = log.dead_letter_counts(source).unwrap();
        let count = |open, redriven| DeadLetterCount { open, redriven };
        let expected = [("CONFLICT", count(0, 1)), ("SYNTAX", count(1, 1))];
        assert_eq!(counts, expected.map(|(k, v)| (k.to_owned(), v)).into());
        assert_eq!(log.dead_letters(SourceId(4)).unwrap().count(), 0);
        assert_eq!(read_all(log).unwrap().len(), 2);
    };
    check(&log);
    drop(log);
    check(&open(&fs).unwrap().0);
}

#[test]
fn a_letter_may_be_driven_again_in_the_append_that_brings_it() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let source = SourceId(3);
    log.append(&[
        Batch::Redriven {
            source,
            ids: vec![DeadLetterId(0)],
        },
        Batch::DeadLetters {
            source,
            letters: vec![letter("SYNTAX", b"{")],
        },
    ])
    .unwrap();
    let letters = log.dead_letters(source).unwrap();
    assert!(letters.map(Result::unwrap).all(|l| l.redriven));
}

#[test]
fn backfills_have_their_places_among_all_records() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let backfill = |from: i64| Backfill {
        from: EventTime(from),
        until: EventTime(from + 10),
    };
    let backfills = |of: u32, times: &[i64]| Batch::Backfills {
        source: SourceId(of),
        backfills: times.iter().map(|&from| backfill(from)).collect(),
    };
    append(&log, &[events(1, 0, 0..3), backfills(1, &[5, 7])]).unwrap();
    append(
        &log,
        &[backfills(2, &[8]), events(1, 0, 3..4), backfills(1, &[9])],
    )
    .unwrap();
    let check = |log: &LogReader| {
        let found = |of: u32, from: u64| -> Vec<(u64, Backfill)> {
            let found = log.backfills(SourceId(of), Sequence(from)).unwrap();
            let found = found.into_iter();
            found
                .map(|logged| (logged.sequence.0, logged.backfill))
                .collect()
        };
        assert_eq!(
            found(1, 0),
            [(3, backfill(5)), (4, backfill(7)), (7, backfill(9))]
        );
        assert_eq!(found(1, 4), [(4, backfill(7)), (7, backfill(9))]);
        assert_eq!(found(1, 8), []);
        assert_eq!(found(2, 0), [(5, backfill(8))]);
        // They are no events, and no cut has them.
        assert_eq!(read_all(log).unwrap().len(), 4);
        assert_eq!(log.ends().iter().count(), 1);
    };
    check(&log);
    drop(log);
    check(&open(&fs).unwrap().0);
}

#[test]
fn a_read_shows_what_was_logged_when_it_began() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let first = append(&log, &[events(1, 0, 0..3)]).unwrap();
    let before = log.read(ReadOptions::default());
    let reader = log.reader();
    let second = append(&log, &[events(1, 0, 3..5)]).unwrap();
    let read: Vec<_> = before.map(Result::unwrap).collect();
    assert_eq!(read, first);
    let options = ReadOptions {
        after: cut_of(&first),
        ..ReadOptions::default()
    };
    let rest: Vec<_> = reader.read(options).map(Result::unwrap).collect();
    assert_eq!(rest, second);
}

#[test]
fn many_blocks_in_one_segment() {
    let fs = MemoryFileSystem::new();
    let (log, _) = open(&fs).unwrap();
    let mut all = Vec::new();
    for n in 0..1_500 {
        let source = if n % 100 == 7 { 2 } else { 1 };
        all.extend(append(&log, &[events(source, 0, n * 2..n * 2 + 2)]).unwrap());
    }
    assert!(
        fs.content(&directory().join("00000000000000000000.segment"))
            .unwrap()
            .len()
            > 200_000
    );
    check_everything(&log, &all);
    drop(log);
    check_everything(&open(&fs).unwrap().0, &all);
}

/// The cut of a list of events.
fn cut_of<'a>(events: impl IntoIterator<Item = &'a LoggedEvent>) -> Cut {
    let mut cut = Cut::empty();
    for event in events {
        let end = Offset(event.position.offset.0 + 1);
        cut.set_end(event.source, event.position.partition, end);
    }
    cut
}

/// Asks the log everything that the list of its events can answer. The log has no dead
/// letters, so an event's number is its place in the list.
fn check_everything(log: &LogReader, all: &[LoggedEvent]) {
    assert_eq!(read_all(log).unwrap(), all);
    assert_eq!(log.ends(), cut_of(all));
    assert_eq!(log.next_sequence(), Sequence(all.len() as u64));
    for (n, event) in all.iter().enumerate().step_by(1 + all.len() / 40) {
        let (source, position) = (event.source, event.position);
        assert_eq!(log.event(source, position).unwrap().as_ref(), Some(event));
        assert_eq!(
            log.logged_at(source, position).unwrap(),
            Some(event.logged_at)
        );
        assert_eq!(
            log.sequence(source, position).unwrap(),
            Some(Sequence(n as u64))
        );
        assert_eq!(
            log.cut_before(Sequence(n as u64)).unwrap(),
            cut_of(&all[..n])
        );
        for time in [event.logged_at.0 - 1, event.logged_at.0] {
            let until = all.iter().filter(|e| e.logged_at.0 <= time);
            assert_eq!(log.cut_at(VisibleAt(time)).unwrap(), cut_of(until));
        }
        let mut from = log.read(ReadOptions {
            from: Sequence(n as u64),
            ..ReadOptions::default()
        });
        assert_eq!(from.next().unwrap().unwrap(), *event);
        assert_eq!(from.sequence(), Sequence(n as u64));
        assert_eq!(from.count(), all.len() - n - 1);
    }
    for (source, partition, end) in log.ends().iter() {
        let beyond = Position {
            partition,
            offset: end,
        };
        assert_eq!(log.event(source, beyond).unwrap(), None);
        assert_eq!(log.sequence(source, beyond).unwrap(), None);
        assert_eq!(log.end(source, partition), end);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(u32, u32, i64)>),
    Clock(i64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let batch = (0u32..3, 0u32..2, 0i64..5);
    let step = prop_oneof![
        6 => prop::collection::vec(batch, 1..4).prop_map(Step::Append),
        2 => (-50i64..100).prop_map(Step::Clock),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_log_answers_as_a_list_of_its_events(
        steps in steps(),
        segment_bytes in prop_oneof![Just(1), 300u64..3_000],
        sources in prop::option::of(prop::collection::vec(0u32..4, 0..3)),
        cuts in prop::collection::vec((0u32..3, 0u32..2, 0u64..12, 0u64..12), 0..4),
        bounded in any::<bool>(),
        from in 0u64..30,
        times in (0i64..40_000, 0i64..40_000),
    ) {
        let fs = MemoryFileSystem::new();
        let time = clock();
        let options = LogOptions { segment_bytes, ..LogOptions::default() };
        let mut log: Log = open_with(&fs, time.clone(), options.clone()).unwrap().0;
        let mut all: Vec<LoggedEvent> = Vec::new();
        let mut next: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Clock(by) => time.advance(by),
                Step::Reopen => {
                    drop(log);
                    log = open_with(&fs, time.clone(), options.clone()).unwrap().0;
                }
                Step::Append(batches) => {
                    let start = all.len() as i64;
                    let batches: Vec<_> = batches
                        .into_iter()
                        .map(|(s, p, n)| events(s, p, start..start + n))
                        .collect();
                    for event in append(&log, &batches).unwrap() {
                        // Offsets are dense per partition, times never decrease.
                        let key = (event.source.0, event.position.partition.0);
                        let due = next.entry(key).or_default();
                        prop_assert_eq!(event.position.offset.0, *due);
                        *due += 1;
                        prop_assert!(all.last().is_none_or(|l| l.logged_at <= event.logged_at));
                        all.push(event);
                    }
                }
            }
        }
        check_everything(&log, &all);
        let (reader, _) = LogReader::open(Arc::new(fs.clone()), directory()).unwrap();
        check_everything(&reader, &all);

        let (mut after, mut until) = (Cut::empty(), Cut::empty());
        for (s, p, a, u) in cuts {
            after.set_end(SourceId(s), Partition(p), Offset(a));
            until.set_end(SourceId(s), Partition(p), Offset(u));
        }
        let times = EventTime(times.0.min(times.1))..=EventTime(times.0.max(times.1));
        let wanted = ReadOptions {
            sources: sources.map(|s| s.into_iter().map(SourceId).collect()),
            from: Sequence(from),
            after,
            until: bounded.then_some(until),
            event_times: bounded.then_some(times),
            ..ReadOptions::default()
        };
        let naive: Vec<_> = all
            .iter()
            .skip(from as usize)
            .filter(|e| wanted.sources.as_ref().is_none_or(|s| s.contains(&e.source)))
            .filter(|e| !wanted.after.contains(e.source, e.position))
            .filter(|e| wanted.until.as_ref().is_none_or(|u| u.contains(e.source, e.position)))
            .filter(|e| wanted.event_times.as_ref().is_none_or(|t| t.contains(&e.event.event_time)))
            .cloned()
            .collect();
        let read: Vec<_> = log.read(wanted).map(Result::unwrap).collect();
        prop_assert_eq!(read, naive);
    }
}
