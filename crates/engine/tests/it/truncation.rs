//! A log whose events are in the lake alone answers what a whole one does, or says what is missing.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainRequest};
use evenkeel_engine::doctor::{Examination, doctor};
use evenkeel_engine::{Engine, EngineError, TruncateOptions, TruncateReport, backup, restore};
use evenkeel_log::{EventStream, LogError, LogReader, Next, OlderEvents, ReadOptions};
use evenkeel_types::{LoggedEvent, Offset, SourceId, Value, VisibleAt};

use crate::lake::{data_files, flush, in_pieces_of};
use crate::partitions::{SOURCES, answers, training_digest, verified};
use crate::support::{World, apply_text, ingest};

fn truncate(engine: &mut Engine) -> TruncateReport {
    engine.checkpoint().unwrap();
    run(engine, &TruncateOptions::default()).unwrap()
}

fn run(engine: &Engine, options: &TruncateOptions) -> Result<TruncateReport, EngineError> {
    let truncation = engine.log_truncation().unwrap();
    truncation.run(options, &mut |_, _| ControlFlow::Continue(()))
}

fn examined(world: &World) -> Examination {
    doctor(&world.project(), false, &|_, _| ControlFlow::Continue(())).unwrap()
}

/// Dead letters by source.
fn letters(engine: &Engine) -> Vec<String> {
    let letters = SOURCES.iter().flat_map(|s| engine.dead_letters(s).unwrap());
    letters.map(|letter| format!("{letter:?}")).collect()
}

/// The digest of a training set at half of what is known.
fn digest_at_half(engine: &Engine, world: &World) -> String {
    let offline = engine.offline();
    let mut cut = offline.cut().clone();
    for (source, partition, end) in offline.cut().iter() {
        cut.set_end(source, partition, Offset(end.0 / 2));
    }
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::Query("SELECT driver, id AS ride FROM rides".to_owned()),
        knowledge: KnowledgeMode::Latest,
        cut: Some(cut),
        out: world.path().join("half.parquet"),
        statuses: true,
    };
    engine.train(&request, &mut |_, _, _| ()).unwrap().digest
}

fn remove_hot_tier(world: &World) {
    fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
}

const MORE: &str = "
CREATE FEATURE VIEW more ENTITY driver AS
SELECT driver, count(*) OVER (ALL HISTORY) AS pings_ever, last_n(place, 5) OVER (ALL HISTORY) AS places FROM pings;
CREATE FEATURE SERVICE more_model AS more (*);
";

/// What a view says that is defined when the log is truncated.
fn of_new_view(world: &World, engine: &mut Engine) -> Vec<String> {
    let text: String = world
        .project()
        .definition_files()
        .unwrap()
        .iter()
        .map(|file| file.text.clone())
        .collect();
    apply_text(engine, &(text + MORE));
    let keys: Vec<Vec<Value>> = (0..4).map(|d| vec![Value::BigInt(d)]).collect();
    let at = crate::support::t("2026-03-01T05:00:00Z");
    let request = crate::support::request(engine, "more_model", keys, at);
    let read = crate::support::read(engine, &request);
    read.rows.iter().map(|row| format!("{row:?}")).collect()
}

#[test]
fn a_truncated_log_answers_what_a_whole_one_does() {
    for (seed, partitions, compacts) in [(1, 1, true), (2, 4, false)] {
        let open = World::engine_of_short_segments;
        let (plain, mut whole) = in_pieces_of(seed, partitions, false, open);
        let (world, mut engine) = in_pieces_of(seed, partitions, true, open);
        let tail = engine.offline().lake_status().unwrap();
        assert!(tail.tables.iter().any(|table| table.behind > 0));
        let first = truncate(&mut engine);
        flush(&engine, &[]);
        if compacts {
            engine.offline().keep_up_lake().unwrap();
        }
        let report = truncate(&mut engine);
        assert_eq!(report.before, first.truncated);
        assert!(report.before + report.truncated > 3, "{report:?}");
        assert_eq!(report.whole, 0);
        for (whole, truncated) in [first.bytes, report.bytes] {
            assert!(truncated <= whole, "{truncated} of {whole}");
        }
        let digest = training_digest(&whole, &plain);
        let half = digest_at_half(&whole, &plain);
        let (told, proven, dead) = (answers(&whole), verified(&whole), letters(&whole));
        assert_eq!(training_digest(&engine, &world), digest);
        assert_eq!(digest_at_half(&engine, &world), half);
        assert_eq!(letters(&engine), dead);
        drop(engine);
        let examination = examined(&world);
        assert_eq!(examination.damages, []);
        let others = records_that_are_no_events(&whole);
        assert_eq!(
            examination.events,
            whole.reader().next_sequence().0 - others
        );
        // Everything that is computed from the log, computed anew from what the lake has.
        remove_hot_tier(&world);
        let mut engine = open(&world);
        // Every answer is trained, too, which takes long from many small files.
        engine.offline().keep_up_lake().unwrap();
        assert_eq!(answers(&engine), told);
        assert_eq!(verified(&engine), proven);
        assert_eq!(letters(&engine), dead);
        // What was truncated is known: its rows are duplicates, and their conflicts are found.
        for source in SOURCES {
            let (again, of_whole) = (ingest(&mut engine, source), ingest(&mut whole, source));
            let counts =
                |r: &evenkeel_engine::api::IngestReport| (r.recorded, r.duplicates, r.conflicts);
            assert_eq!(counts(&again), counts(&of_whole), "{source}");
        }
        assert_eq!(letters(&engine), letters(&whole));
        assert_eq!(answers(&engine), answers(&whole));
        assert_eq!(
            of_new_view(&world, &mut engine),
            of_new_view(&plain, &mut whole)
        );
        flush(&engine, &[]);
        assert_eq!(
            training_digest(&engine, &world),
            training_digest(&whole, &plain)
        );
    }
}

#[test]
fn a_backup_of_a_truncated_log_has_the_tables() {
    let open = World::engine_of_short_segments;
    let (world, mut engine) = in_pieces_of(7, 4, true, open);
    flush(&engine, &[]);
    assert!(truncate(&mut engine).truncated > 0);
    let (told, digest) = (answers(&engine), training_digest(&engine, &world));
    let target = world.path().join("backup");
    backup(engine.project(), &target, &mut |_, _| ()).unwrap();
    drop(engine);
    for lake in ["", "[lake]\nurl = \"elsewhere\"\n"] {
        let other = crate::partitions::world(4);
        other.write("evenkeel.toml", lake);
        restore(&other.project(), &target).unwrap();
        let engine = other.engine();
        assert_eq!(answers(&engine), told);
        assert_eq!(training_digest(&engine, &other), digest);
        flush(&engine, &[]);
        drop(engine);
        assert_eq!(examined(&other).damages, []);
        // What is there is not written over.
        if !lake.is_empty() {
            fs::remove_dir_all(other.path().join(".evenkeel")).unwrap();
            let error = restore(&other.project(), &target).unwrap_err();
            assert!(
                error.to_string().contains("move them away first"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_backup_beside_flushes_has_no_table_that_is_ahead_of_its_log() {
    let open = World::engine_of_short_segments;
    let (world, mut engine) = in_pieces_of(7, 4, true, open);
    flush(&engine, &[]);
    assert!(truncate(&mut engine).truncated > 0);
    let digest = training_digest(&engine, &world);
    let target = world.path().join("backup");
    let project = engine.project().clone();
    let mut refused = 0;
    let mut lines = (0..).map(|i| format!("driver,place,at\n1,q{i},2026-03-01T09:00:00Z\n"));
    backup(&project, &target, &mut |_, _| {
        let text = lines.next().unwrap();
        world.ingest_text(&mut engine, "pings", "during.csv", &text);
        let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
        match engine.offline().flush(&[], &mut go_on) {
            Err(error) => refused += usize::from(chain(&error).contains("is being written")),
            Ok(report) => assert!(report.failed.is_empty(), "{report:?}"),
        }
    })
    .unwrap();
    assert!(refused > 0);
    // It is given back.
    flush(&engine, &[]);
    drop(engine);
    let other = crate::partitions::world(4);
    restore(&other.project(), &target).unwrap();
    let mut engine = other.engine();
    assert_eq!(training_digest(&engine, &other), digest);
    // What comes now has positions of its own in log and lake.
    let text = "driver,place,at\n2,after,2026-03-01T09:30:00Z\n";
    other.ingest_text(&mut engine, "pings", "after.csv", text);
    flush(&engine, &[]);
    truncate(&mut engine);
    drop(engine);
    assert_eq!(examined(&other).damages, []);
}

#[test]
fn a_lake_that_cannot_be_read_keeps_out_what_competes_with_it_and_nothing_else() {
    let open = World::engine_of_short_segments;
    let (world, mut engine) = in_pieces_of(8, 1, true, open);
    flush(&engine, &[]);
    assert!(truncate(&mut engine).truncated > 3);
    let before = letters(&engine).len();
    let table = world.path().join(".evenkeel/lake/rides");
    let aside = world.path().join("rides.aside");
    fs::rename(&table, &aside).unwrap();
    // Of a ride that came once, another payload.
    let row = |id: &str| format!("id,driver,fare,at\n{id},1,0.5,2026-03-01T09:00:00Z\n");
    let rides = fs::read_to_string(world.path().join("rides.csv")).unwrap();
    let first = |id: &str| {
        let mut lines = rides.lines().filter(|line| line.starts_with(id));
        lines.next().unwrap().to_owned()
    };
    let (header, known) = ("id,driver,fare,at\n", first("r101"));
    let time = known.rsplit_once(',').unwrap().1;
    let other = world.write("other.csv", &format!("{header}r101,1,0.5,{time}\n"));
    let logged = engine.reader().next_sequence();
    let error = engine
        .ingest("rides", Some(&other), &mut |_| ())
        .unwrap_err();
    assert!(chain(&error).contains("`rides`"), "{}", chain(&error));
    assert_eq!(engine.reader().next_sequence(), logged);
    // What needs no lake is written, also beside what is known.
    let report = world.ingest_text(&mut engine, "rides", "new.csv", &row("new"));
    assert_eq!(report.recorded, 1);
    let again = world.ingest_text(
        &mut engine,
        "rides",
        "again.csv",
        &format!("{header}{known}\n"),
    );
    assert_eq!((again.recorded, again.duplicates), (0, 1));
    fs::rename(&aside, &table).unwrap();
    let report = engine.ingest("rides", Some(&other), &mut |_| ()).unwrap();
    assert_eq!((report.recorded, report.conflicts), (1, 1));
    assert_eq!(letters(&engine).len(), before + 1);
    let told = answers(&engine);
    drop(engine);
    remove_hot_tier(&world);
    assert_eq!(answers(&open(&world)), told);
}

fn records_that_are_no_events(engine: &Engine) -> u64 {
    let ends = engine.reader().ends();
    engine.reader().next_sequence().0 - ends.iter().map(|(_, _, end)| end.0).sum::<u64>()
}

#[test]
fn what_may_not_be_truncated_stays() {
    let open = World::engine_of_short_segments;
    let (_world, mut engine) = in_pieces_of(3, 1, false, open);
    engine.checkpoint().unwrap();
    let stays = |engine: &Engine, options: &TruncateOptions| {
        let report = run(engine, options).unwrap();
        assert_eq!(report.truncated, 0);
        assert!(report.whole > 4, "{report:?}");
        report.stays.unwrap()
    };
    let all = TruncateOptions::default();
    let reason = stays(&engine, &all);
    assert!(reason.contains("`evenkeel flush`"), "{reason}");
    flush(&engine, &["rides", "pings"]);
    let reason = stays(&engine, &all);
    assert!(reason.contains("of `drivers`"), "{reason}");
    flush(&engine, &[]);
    let old = TruncateOptions {
        before: Some(VisibleAt(0)),
        ..all
    };
    let reason = stays(&engine, &old);
    assert!(reason.contains("was logged at"), "{reason}");
    let tried = TruncateOptions {
        dry_run: true,
        ..all
    };
    let report = run(&engine, &tried).unwrap();
    assert!(report.truncated > 3 && report.events > 100, "{report:?}");
    let segments = engine.reader().segments().unwrap();
    assert!(segments.iter().all(|segment| !segment.is_truncated));
    // It can be stopped between events.
    let truncation = engine.log_truncation().unwrap();
    let done = run(&engine, &all).unwrap();
    assert_eq!(
        (done.truncated, done.events),
        (report.truncated, report.events)
    );
    let again = truncation
        .run(&all, &mut |_, _| ControlFlow::Break(()))
        .unwrap();
    assert_eq!((again.truncated, again.before), (0, done.truncated));
}

#[test]
fn a_lake_that_lost_what_the_log_had_is_named() {
    let open = World::engine_of_short_segments;
    let (world, mut engine) = in_pieces_of(4, 1, true, open);
    flush(&engine, &[]);
    assert!(truncate(&mut engine).truncated > 3);
    let digest = training_digest(&engine, &world);
    drop(engine);
    let table = world.path().join(".evenkeel/lake/rides");
    let aside = world.path().join("rides.aside");
    fs::rename(&table, &aside).unwrap();
    let examination = examined(&world);
    assert!(
        examination
            .damages
            .iter()
            .any(|damage| damage.reason.contains("`rides`")),
        "{examination:?}"
    );
    let engine = open(&world);
    let error = flush_error(&engine);
    assert!(error.contains("there is no such table"), "{error}");
    assert!(!table.exists());
    drop(engine);
    remove_hot_tier(&world);
    let error = opening_fails(&world);
    assert!(chain(&error).contains("`rides`"), "{}", chain(&error));
    fs::rename(&aside, &table).unwrap();
    // A file of it that is another.
    let path = data_files(&world, "rides").pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut damaged = bytes.clone();
    let middle = bytes.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, damaged).unwrap();
    let error = opening_fails(&world);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(chain(&error).contains(&name), "{}", chain(&error));
    fs::write(&path, bytes).unwrap();
    let engine = open(&world);
    assert_eq!(training_digest(&engine, &world), digest);
    drop(engine);
    assert_eq!(examined(&world).damages, []);
}

fn opening_fails(world: &World) -> EngineError {
    let opened = Engine::open_with(&world.project(), world.clock.clone());
    opened.map(|_| ()).unwrap_err()
}

fn flush_error(engine: &Engine) -> String {
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let report = engine.offline().flush(&["rides".to_owned()], &mut go_on);
    chain(&report.unwrap().failed[0].error)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A lake that has another event than the log.
#[derive(Debug)]
struct Other(LogReader, Offset);

struct OtherStream(Box<dyn EventStream>, Offset);

impl OlderEvents for Other {
    fn older(
        &self,
        source: SourceId,
        options: ReadOptions,
    ) -> Result<Box<dyn EventStream>, LogError> {
        let whole = self.0.older(source, options)?;
        Ok(Box::new(OtherStream(whole, self.1)))
    }
}

impl EventStream for OtherStream {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        let found = self.0.next_into(logged)?;
        if found && logged.position.offset == self.1 {
            logged.event.revision += 1;
        }
        Ok(found)
    }

    fn next_columns(&mut self, _: &mut LoggedEvent) -> Result<Next, LogError> {
        unreachable!("a truncated log reads one by one")
    }
}

#[test]
fn what_the_lake_has_otherwise_is_not_truncated() {
    let open = World::engine_of_short_segments;
    let (_world, mut engine) = in_pieces_of(6, 1, true, open);
    flush(&engine, &[]);
    engine.checkpoint().unwrap();
    let offset = Offset(100);
    let (whole, _) = LogReader::open(
        Arc::new(evenkeel_log::DiskFileSystem),
        engine.reader().directory(),
    )
    .unwrap();
    engine.reader().set_older(Arc::new(Other(whole, offset)));
    let error = run(&engine, &TruncateOptions::default()).unwrap_err();
    assert!(
        matches!(&error, EngineError::LakeDiffers { position, .. } if position.offset == offset),
        "{error}"
    );
    let segments = engine.reader().segments().unwrap();
    let truncated = segments.iter().take_while(|segment| segment.is_truncated);
    assert!(truncated.count() < segments.len());
}
