//! Power cuts: a script is cut at every operation, and of what was not synced none, all or
//! a seeded part is left. Whatever that gives must open, hold every acknowledged append,
//! hold an unacknowledged one whole or not at all, and take further appends.

use std::sync::Arc;

use evenkeel_log::{
    Appended, Backfill, Batch, Compression, Correlation, Crash, DeadLetter, DeadLetterId, LogError,
    LogOptions, LogReader, MemoryFileSystem, Sequence,
};
use evenkeel_types::{EventTime, LoggedEvent, Origin, Partition, Position, SourceId, VisibleAt};

use crate::support::*;

const SEEDS: u64 = 40;

fn crashes() -> impl Iterator<Item = Crash> {
    let torn = (0..SEEDS).map(|seed| Crash::Tear { seed });
    [Crash::LoseUnsynced, Crash::KeepUnsynced]
        .into_iter()
        .chain(torn)
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    events: Vec<LoggedEvent>,
    /// The reasons of the dead letters of source 1, and whether they were driven again.
    letters: Vec<(String, bool)>,
    /// Those of source 1.
    backfills: Vec<Backfill>,
    /// What events are called.
    correlations: Vec<String>,
}

impl Contents {
    fn of(log: &LogReader) -> Result<Contents, LogError> {
        let letters = log.dead_letters(SourceId(1))?;
        Ok(Contents {
            events: read_all(log)?,
            letters: letters
                .map(|l| l.map(|l| (l.letter.reason, l.redriven)))
                .collect::<Result<_, _>>()?,
            backfills: log
                .backfills(SourceId(1), Sequence(0))?
                .into_iter()
                .map(|logged| logged.backfill)
                .collect(),
            correlations: log.correlations(&all_records(log))?.into_values().collect(),
        })
    }

    fn and(&self, batches: &[Batch], events: Vec<LoggedEvent>) -> Contents {
        let mut after = self.clone();
        after.events.extend(events);
        for batch in batches {
            match batch {
                Batch::Events { .. } => {}
                Batch::DeadLetters { letters, .. } => {
                    let open = letters.iter().map(|l| (l.reason.clone(), false));
                    after.letters.extend(open);
                }
                Batch::Redriven { ids, .. } => {
                    for id in ids {
                        after.letters[id.0 as usize].1 = true;
                    }
                }
                Batch::Backfills { backfills, .. } => after.backfills.extend(backfills),
                Batch::Correlations { correlations, .. } => {
                    let ids = correlations
                        .iter()
                        .map(|correlation| correlation.id.clone());
                    after.correlations.extend(ids);
                }
            }
        }
        after
    }
}

/// Kept outside of the log: what was acknowledged, and what may be there besides.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: Contents,
    /// Without the last append that was acknowledged.
    before: Contents,
    /// With the append that is under way.
    pending: Option<Contents>,
}

const BACKFILL: Backfill = Backfill {
    from: EventTime(5),
    until: EventTime(9),
};

fn letter(reason: &str) -> DeadLetter {
    DeadLetter {
        origin: Some(Origin::Log(Position::new(0, 1))),
        code: "CONFLICT".into(),
        reason: reason.into(),
        record: vec![b'x'; 700],
        position: Some(Position::new(0, 1)),
    }
}

fn script() -> Vec<Vec<Batch>> {
    let letters = |reasons: &[&str]| Batch::DeadLetters {
        source: SourceId(1),
        letters: reasons.iter().map(|r| letter(r)).collect(),
    };
    vec![
        vec![events(1, 0, 0..2)],
        vec![events(1, 0, 2..3), letters(&["a", "b"]), events(2, 0, 0..1)],
        vec![events(1, 3, 0..40)],
        vec![
            Batch::Redriven {
                source: SourceId(1),
                ids: vec![DeadLetterId(1)],
            },
            letters(&["c"]),
            Batch::Backfills {
                source: SourceId(1),
                backfills: vec![BACKFILL],
            },
        ],
        vec![
            events(2, 0, 1..2),
            events(1, 0, 3..4),
            Batch::Correlations {
                source: SourceId(1),
                correlations: vec![Correlation {
                    event: 1,
                    id: "d".into(),
                }],
            },
        ],
    ]
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 1_500,
        compression: Compression::None,
    }
}

/// Runs the script from `from` on until it ends or something fails.
fn run(fs: &MemoryFileSystem, ledger: &mut Ledger, reopen: bool) -> Result<(), LogError> {
    let mut log = open_with(fs, clock(), options())?.0;
    for (i, batches) in script().iter().enumerate() {
        if reopen && i == 3 {
            log.close()?;
            log = open_with(fs, clock(), options())?.0;
        }
        ledger.pending = Some(ledger.acknowledged.and(batches, predict(&log, batches)));
        append(&log, batches)?;
        let after = ledger.pending.take().expect("it was put there above");
        ledger.before = std::mem::replace(&mut ledger.acknowledged, after);
    }
    log.close()
}

/// What the events of these batches will be once they are appended; no batch of the script
/// has the partition of another one beside it.
fn predict(log: &LogReader, batches: &[Batch]) -> Vec<LoggedEvent> {
    let place = |batch: &Batch| match batch {
        Batch::Events {
            source, partition, ..
        } => Appended {
            source: *source,
            partition: *partition,
            first: log.end(*source, *partition).0,
            count: batch.count() as u64,
            first_sequence: log.next_sequence(),
            logged_at: VisibleAt(NOW),
        },
        other => Appended {
            source: other.source(),
            partition: Partition(0),
            first: 0,
            count: 0,
            first_sequence: log.next_sequence(),
            logged_at: VisibleAt(NOW),
        },
    };
    let places: Vec<_> = batches.iter().map(place).collect();
    expected(batches, &places)
}

/// Whether an image holds what the ledger says, and goes on from there.
fn verify(image: &MemoryFileSystem, ledger: &Ledger) -> Result<(), String> {
    let text = |what: &str, error: LogError| format!("{what}: {error:?}");
    // What a read-only reader shows must be there for ever after.
    let seen = match LogReader::open(Arc::new(image.clone()), directory()) {
        Ok((reader, _)) => Contents::of(&reader).map_err(|e| text("read-only", e))?,
        Err(LogError::Io { .. }) if ledger.acknowledged == Contents::default() => {
            Contents::default()
        }
        Err(error) => return Err(text("open read-only", error)),
    };
    let image = image.crash(Crash::LoseUnsynced);
    let (log, report) = open_with(&image, clock(), options()).map_err(|e| text("open", e))?;
    let found = Contents::of(&log).map_err(|e| text("read", e))?;
    if found != ledger.acknowledged && Some(&found) != ledger.pending.as_ref() {
        return Err(format!("found {} events: {report:?}", found.events.len()));
    }
    let held_back = match found == ledger.acknowledged {
        true => &ledger.before,
        false => &ledger.acknowledged,
    };
    if seen != found && seen != *held_back {
        return Err("read-only shows what is not there".into());
    }
    let more = [events(1, 0, 90..93), events(9, 0, 0..1)];
    let appended = append(&log, &more).map_err(|e| text("append", e))?;
    let after = found.and(&more, appended);
    drop(log);
    let image = image.crash(Crash::LoseUnsynced);
    let (log, report) = open_with(&image, clock(), options()).map_err(|e| text("reopen", e))?;
    if report.torn_tail.is_some() {
        return Err("a torn tail after a clean append".into());
    }
    match Contents::of(&log) {
        Ok(found) if found == after => Ok(()),
        Ok(_) => Err("the append after recovery is not there".into()),
        Err(error) => Err(text("read again", error)),
    }
}

fn operations(reopen: bool) -> u64 {
    let fs = MemoryFileSystem::new();
    let mut ledger = Ledger::default();
    run(&fs, &mut ledger, reopen).unwrap();
    assert_eq!(verify(&fs.crash(Crash::LoseUnsynced), &ledger), Ok(()));
    let segments = fs.paths().len();
    assert!(segments > 4, "the script must roll: {segments} files");
    fs.operations()
}

/// Cuts the script at every operation; answers what was wrong, and how many images there were.
fn cut_everywhere(prepare: impl Fn(&MemoryFileSystem), reopen: bool) -> (Vec<String>, u64) {
    let (mut wrong, mut images) = (Vec::new(), 0);
    for at in 0..=operations(reopen) {
        let fs = MemoryFileSystem::new();
        prepare(&fs);
        fs.power_off_at(at);
        let mut ledger = Ledger::default();
        let _ = run(&fs, &mut ledger, reopen);
        for crash in crashes() {
            images += 1;
            if let Err(what) = verify(&fs.crash(crash), &ledger) {
                wrong.push(format!("cut at operation {at}, {crash:?}: {what}"));
            }
        }
    }
    (wrong, images)
}

#[test]
fn a_power_cut_at_every_operation_loses_nothing_acknowledged() {
    for reopen in [false, true] {
        let (wrong, images) = cut_everywhere(|_| {}, reopen);
        assert!(images > 1_000, "{images} images");
        assert!(
            wrong.is_empty(),
            "{} of {images}: {:#?}",
            wrong.len(),
            &wrong[..1]
        );
    }
}

#[test]
fn without_syncs_of_files_the_same_test_fails() {
    let (wrong, images) = cut_everywhere(MemoryFileSystem::ignore_data_syncs, false);
    assert!(
        wrong.len() as u64 > images / 4,
        "{} of {images}",
        wrong.len()
    );
}

#[test]
fn without_syncs_of_directories_the_same_test_fails() {
    let (wrong, images) = cut_everywhere(MemoryFileSystem::ignore_directory_syncs, false);
    assert!(
        wrong.len() as u64 > images / 4,
        "{} of {images}",
        wrong.len()
    );
}

#[test]
fn a_power_cut_during_recovery_loses_nothing_either() {
    let few = [
        Crash::LoseUnsynced,
        Crash::KeepUnsynced,
        Crash::Tear { seed: 3 },
    ];
    for at in 0..=operations(false) {
        let fs = MemoryFileSystem::new();
        fs.power_off_at(at);
        let mut ledger = Ledger::default();
        let _ = run(&fs, &mut ledger, false);
        for first in few {
            for recovery_at in 0.. {
                let image = fs.crash(first);
                image.power_off_at(recovery_at);
                let opened = open_with(&image, clock(), options());
                for second in few {
                    let verdict = verify(&image.crash(second), &ledger);
                    assert_eq!(
                        verdict,
                        Ok(()),
                        "{at}, {first:?}, {recovery_at}, {second:?}"
                    );
                }
                if opened.is_ok() {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_a_reader_beside_a_writer_shows_survives_a_power_cut() {
    let operations = operations(false);
    let mut behind = 0;
    for at in 0..=operations {
        let fs = MemoryFileSystem::new();
        fs.power_off_at(at);
        let mut ledger = Ledger::default();
        let _ = run(&fs, &mut ledger, false);
        fs.heal();
        let Ok((reader, _)) = LogReader::open(Arc::new(fs.clone()), directory()) else {
            assert_eq!(ledger.acknowledged, Contents::default());
            continue;
        };
        let shown = read_all(&reader).unwrap();
        if shown != ledger.acknowledged.events {
            // The power went just when the append was to be marked.
            assert_eq!(shown, ledger.before.events, "cut at operation {at}");
            behind += 1;
        }
        for crash in crashes() {
            let (log, _) = open_with(&fs.crash(crash), clock(), options()).unwrap();
            let found = read_all(&log).unwrap();
            assert!(found.starts_with(&shown), "cut at {at}, {crash:?}");
        }
    }
    assert!(behind <= script().len(), "{behind} of {operations}");
}
