//! A log that is rewritten says something else where it was told to, and is what it was everywhere else.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_log::{
    Compression, DeadLetter, DeadLetterId, EventStream, FileSystem, Log, LogError, LogReader,
    MemoryFileSystem, Next, OlderEvents, ReadOptions, Rewriting, put_rewritten, remove_rewritten,
};
use evenkeel_types::{LoggedEvent, Operation, Partition, SourceId, Value};
use proptest::prelude::*;

use crate::support::{clock, directory, events, open_with};
use crate::truncation::{backfills, copied, correlations, filled, options, read};

/// Every event whose row's number is among these, and every letter of this source, is emptied.
#[derive(Clone, Debug)]
struct Emptied {
    numbers: BTreeSet<i64>,
    letters_of: Option<SourceId>,
}

impl Emptied {
    fn empty(&self, logged: &mut LoggedEvent) {
        let is_it = |value: &Value| matches!(value, Value::BigInt(n) if self.numbers.contains(n));
        if logged.event.row.first().is_some_and(is_it) {
            logged.event.operation = Operation::Remove;
            logged.event.row.fill(Value::Null);
        }
    }
}

impl Rewriting for Emptied {
    /// The numbers of events are their offsets.
    fn touches(&self, _: SourceId, _: Partition, offsets: Range<u64>) -> bool {
        let numbers = offsets.start.cast_signed()..offsets.end.cast_signed();
        self.numbers.range(numbers).next().is_some()
    }

    fn change(&mut self, event: &mut LoggedEvent) {
        self.empty(event);
    }

    fn touches_letters(&self, source: SourceId, _: Range<u64>) -> bool {
        self.letters_of == Some(source)
    }

    fn change_letter(&mut self, _: SourceId, _: DeadLetterId, letter: &mut DeadLetter) {
        letter.record.clear();
    }
}

/// What has the events of truncated segments changed with them.
#[derive(Debug)]
struct Changed(LogReader, Emptied);

struct ChangedStream(Box<dyn EventStream>, Emptied);

impl OlderEvents for Changed {
    fn older(
        &self,
        source: SourceId,
        options: ReadOptions,
    ) -> Result<Box<dyn EventStream>, LogError> {
        let stream = self.0.older(source, options)?;
        Ok(Box::new(ChangedStream(stream, self.1.clone())))
    }
}

impl EventStream for ChangedStream {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        let found = self.0.next_into(logged)?;
        if found {
            self.1.empty(logged);
        }
        Ok(found)
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        match self.next_into(logged)? {
            true => Ok(Next::Event),
            false => Ok(Next::End),
        }
    }
}

fn letters(log: &LogReader, source: SourceId) -> Vec<String> {
    let letters = log.dead_letters(source).unwrap();
    letters
        .map(|letter| format!("{:?}", letter.unwrap()))
        .collect()
}

fn is_beside(fs: &MemoryFileSystem) -> bool {
    let names = fs.list(directory()).unwrap();
    names.iter().any(|name| name.ends_with(".rewritten"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_was_told_changes(
        sizes in prop::collection::vec(0u8..200, 3..40),
        numbers in prop::collection::btree_set(0i64..900, 0..5),
        letters_of in prop::option::of(1u32..4),
        truncated in prop::collection::vec(any::<bool>(), 40),
        ends_segment in any::<bool>(),
    ) {
        let fs = MemoryFileSystem::new();
        let log = filled(&fs, &sizes);
        let whole = copied(&log, &fs);
        log.set_older(Arc::new(whole.clone()));
        let segments = log.segments().unwrap();
        let old = segments.split_last().map_or(&[][..], |(_, old)| old);
        for (segment, _) in old.iter().zip(&truncated).filter(|(_, truncated)| **truncated) {
            log.truncate(segment).unwrap();
        }
        if ends_segment {
            // Of the last one there is a header alone.
            log.begin_segment().unwrap();
        }
        let mut emptied = Emptied { numbers, letters_of: letters_of.map(SourceId) };
        let told: Vec<Vec<String>> = [1, 2].map(|s| letters(&whole, SourceId(s))).into();
        // Not decided, it is as if it had not been.
        log.rewrite(&mut emptied, Compression::None).unwrap();
        remove_rewritten(&fs, directory()).unwrap();
        prop_assert!(!is_beside(&fs));
        prop_assert_eq!(read(&log, &ReadOptions::default()), read(&whole, &ReadOptions::default()));
        log.rewrite(&mut emptied, Compression::Zstd { level: 1 }).unwrap();
        drop(log);
        put_rewritten(&fs, directory()).unwrap();
        put_rewritten(&fs, directory()).unwrap();
        prop_assert!(!is_beside(&fs));
        let check = |log: &Log| {
            log.set_older(Arc::new(Changed(whole.clone(), emptied.clone())));
            let mut expected = read(&whole, &ReadOptions::default());
            expected.iter_mut().for_each(|(event, ..)| emptied.empty(event));
            let mut found = read(log, &ReadOptions::default());
            found.truncate(expected.len());
            prop_assert_eq!(found, expected);
            let end = whole.next_sequence();
            prop_assert_eq!(backfills(log, end), backfills(&whole, end));
            let mut called = correlations(&whole, end);
            for (event, record, _) in read(&whole, &ReadOptions::default()) {
                let offset = event.position.offset.0.cast_signed();
                if emptied.numbers.contains(&offset) {
                    called.iter_mut().for_each(|called| drop(called.remove(&record)));
                }
            }
            prop_assert_eq!(correlations(log, end), called);
            for (source, told) in [1, 2].into_iter().zip(&told) {
                let now = letters(log, SourceId(source));
                match emptied.letters_of == Some(SourceId(source)) {
                    false => prop_assert_eq!(&now, told),
                    true => {
                        prop_assert_eq!(now.len(), told.len());
                        prop_assert!(now.iter().all(|letter| letter.contains("record: []")));
                    }
                }
            }
            Ok(())
        };
        let (log, report) = open_with(&fs, clock(), options()).unwrap();
        prop_assert_eq!(report.torn_tail, None);
        check(&log)?;
        log.append(&[events(1, 0, 1_000..1_010)]).unwrap();
        log.close().unwrap();
        let (log, _) = open_with(&fs, clock(), options()).unwrap();
        check(&log)?;
    }
}
