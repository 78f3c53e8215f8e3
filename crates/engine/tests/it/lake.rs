//! Training and verification read the lake and the log behind it, and answer what they do without
//! a lake.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainRequest};
use evenkeel_engine::{DefinitionFile, Engine, ErrorKind, FlushReport};

use crate::partitions::{SOURCES, answers, training_digest, verified, world};
use crate::random_history::Random;
use crate::support::{World, apply};

pub(crate) fn flush(engine: &Engine, sources: &[&str]) -> FlushReport {
    let report = try_flush(engine, sources);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

fn try_flush(engine: &Engine, sources: &[&str]) -> FlushReport {
    let names: Vec<String> = sources.iter().map(|name| (*name).to_owned()).collect();
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    engine.offline().flush(&names, &mut go_on).unwrap()
}

/// The lines of a source's file in pieces, each with the header.
fn pieces(world: &World, source: &str, random: &mut Random) -> Vec<String> {
    let text = fs::read_to_string(world.path().join(format!("{source}.csv"))).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    let mut pieces = Vec::new();
    while !rows.is_empty() {
        let length = (1 + random.below(90) as usize).min(rows.len());
        let piece: Vec<&str> = rows.drain(..length).collect();
        pieces.push(format!("{header}\n{}\n", piece.join("\n")));
    }
    pieces
}

/// A world whose events came in pieces, in an order that the seed says; with a lake that was flushed
/// in between.
fn in_pieces(seed: u64, partitions: u32, has_lake: bool) -> (World, Engine) {
    in_pieces_of(seed, partitions, has_lake, World::engine)
}

/// The same with a store that is opened otherwise.
pub(crate) fn in_pieces_of(
    seed: u64,
    partitions: u32,
    has_lake: bool,
    open: fn(&World) -> Engine,
) -> (World, Engine) {
    let mut random = Random(seed);
    let world = world(partitions);
    let events = 7 + random.below(60);
    world.write(
        "evenkeel.toml",
        &format!("[lake]\nfile_events = {events}\n"),
    );
    let mut left: BTreeMap<&str, Vec<String>> = SOURCES
        .iter()
        .map(|source| (*source, pieces(&world, source, &mut random)))
        .collect();
    let mut engine = open(&world);
    let mut number = 0;
    while let Some(source) = {
        let named: Vec<&str> = left.keys().copied().collect();
        (!named.is_empty()).then(|| *random.pick(&named))
    } {
        let pieces = left.get_mut(source).unwrap();
        let text = pieces.remove(0);
        if pieces.is_empty() {
            left.remove(source);
        }
        number += 1;
        world.ingest_text(&mut engine, source, &format!("piece-{number}.csv"), &text);
        let what = random.below(6);
        // Not behind the last piece, so that something is in the log alone.
        if has_lake && !left.is_empty() {
            match what {
                0 => drop(flush(&engine, &[])),
                1 | 2 => drop(flush(&engine, &[source])),
                3 => drop(engine.offline().keep_up_lake().unwrap()),
                _ => {}
            }
        }
    }
    (world, engine)
}

pub(crate) fn data_files(world: &World, source: &str) -> Vec<PathBuf> {
    let directory = world.path().join(".evenkeel/lake").join(source);
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        .collect()
}

#[test]
fn flushing_at_any_time_changes_no_answer() {
    for (seed, partitions) in [(1, 1), (2, 4), (3, 4)] {
        let (plain, without) = in_pieces(seed, partitions, false);
        let (world, with) = in_pieces(seed, partitions, true);
        let status = with.offline().lake_status().unwrap();
        assert!(!status.tables.is_empty());
        let behind: u64 = status.tables.iter().map(|table| table.behind).sum();
        let flushed: u64 = status.tables.iter().map(|table| table.events).sum();
        assert!(
            behind > 0 && flushed > 0,
            "{behind} behind, {flushed} flushed"
        );
        let digest = training_digest(&without, &plain);
        assert_eq!(training_digest(&with, &world), digest);
        assert_eq!(answers(&with), answers(&without));
        assert_eq!(verified(&with), verified(&without));
        // All of it in the lake, opened again, and put together.
        flush(&with, &[]);
        drop(with);
        let with = world.engine();
        assert_eq!(training_digest(&with, &world), digest);
        with.offline().keep_up_lake().unwrap();
        assert_eq!(training_digest(&with, &world), digest);
        let report = flush(&with, &[]);
        assert!(report.sources.iter().all(|source| source.events == 0));
        let status = with.offline().lake_status().unwrap();
        assert!(status.tables.iter().all(|table| table.behind == 0));
    }
}

#[test]
fn training_does_read_the_lake_and_names_a_damaged_file() {
    let (world, engine) = in_pieces(5, 1, true);
    flush(&engine, &[]);
    let digest = training_digest(&engine, &world);
    let path = data_files(&world, "rides").pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::Query("SELECT driver, id AS ride FROM rides".to_owned()),
        knowledge: KnowledgeMode::Latest,
        cut: None,
        out: world.path().join("none.parquet"),
        statuses: false,
    };
    let error = engine.train(&request, &mut |_, _, _| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        text.push_str(&format!("{error}: "));
        cause = error.source();
    }
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(text.contains(&name) && text.contains("damaged"), "{text}");
    // The log has it all: without the table it is as before, and so it is when it was flushed again.
    fs::remove_dir_all(world.path().join(".evenkeel/lake/rides")).unwrap();
    assert_eq!(training_digest(&engine, &world), digest);
    assert!(flush(&engine, &["rides"]).sources[0].events > 200);
    assert_eq!(training_digest(&engine, &world), digest);
}

#[test]
fn pins_keep_versions_until_they_are_let_go() {
    let (world, engine) = in_pieces(7, 1, true);
    // Several small files.
    let path = world.write(
        "more.csv",
        "id,driver,fare,at\nlast,1,2.5,2026-03-01T03:00:00Z\n",
    );
    let mut engine = engine;
    flush(&engine, &[]);
    engine.ingest("rides", Some(&path), &mut |_| ()).unwrap();
    flush(&engine, &[]);
    let offline = engine.offline();
    offline.pin_lake("model-1").unwrap();
    let pins = offline.lake_status().unwrap().pins;
    assert_eq!(pins["model-1"].len(), SOURCES.len());
    offline.keep_up_lake().unwrap();
    let kept = data_files(&world, "rides").len();
    offline.unpin_lake("model-1").unwrap();
    let done = offline.keep_up_lake().unwrap();
    let rides = done.iter().find(|upkeep| upkeep.source == "rides").unwrap();
    assert_eq!(data_files(&world, "rides").len(), kept - rides.removed);
    assert!(rides.removed > 0);
    assert_eq!(
        offline.unpin_lake("model-1").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        offline.pin_lake("../x").unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn a_source_that_cannot_be_flushed_keeps_no_other_from_it() {
    let (world, engine) = in_pieces(11, 1, false);
    // A file is where its directory should be.
    let lake = world.path().join(".evenkeel/lake");
    fs::create_dir_all(&lake).unwrap();
    fs::write(lake.join("pings"), "in the way").unwrap();
    let report = try_flush(&engine, &[]);
    let flushed: Vec<&str> = report.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(flushed, ["drivers", "rides"]);
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].source, "pings");
    fs::remove_file(lake.join("pings")).unwrap();
    // What a killed flush left goes with the next.
    let left = [
        lake.join("rides/part.parquet.1.0.temporary"),
        lake.join("rides/_delta_log/00000000000000000007.json.1.0.temporary"),
    ];
    left.iter()
        .for_each(|path| fs::write(path, "half").unwrap());
    assert_eq!(flush(&engine, &[]).sources.len(), 3);
    assert!(left.iter().all(|path| !path.exists()));
}

#[test]
fn who_knows_the_source_as_it_was_reads_on_after_its_table_has_changed() {
    let (world, mut engine) = in_pieces(13, 4, true);
    let digest = training_digest(&engine, &world);
    let before = engine.offline();
    let request = TrainRequest {
        service: engine.service("model").unwrap(),
        spine: SpineSource::Query("SELECT driver, id AS ride FROM rides".to_owned()),
        knowledge: KnowledgeMode::AsServed,
        cut: None,
        out: world.path().join("before.parquet"),
        statuses: true,
    };
    let change = DefinitionFile {
        name: "change.sql".to_owned(),
        text: "ALTER TABLE drivers ADD COLUMN nick STRING; ALTER STREAM rides ADD COLUMN tip INT;"
            .to_owned(),
    };
    let mut files = world.project().definition_files().unwrap();
    files.push(change);
    apply(&mut engine, &files);
    flush(&engine, &[]);
    let report = before.train(&request, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.digest, digest);
    // And does not write it.
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let report = before.flush(&["rides".to_owned()], &mut go_on).unwrap();
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].error.kind(), ErrorKind::Busy);
}

#[test]
fn a_source_may_have_the_name_of_a_file_of_the_lake() {
    let world = World::new(
        "CREATE STREAM lock (id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'lock.csv');
         CREATE STREAM \".lock\" (id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'lock.csv');",
    );
    world.write(
        "lock.csv",
        "id,at\na,2026-03-01T00:00:00Z\nb,2026-03-01T00:00:01Z\n",
    );
    let engine = world.loaded(&["lock", ".lock"]);
    for _ in 0..2 {
        flush(&engine, &[]);
        let status = engine.offline().lake_status().unwrap();
        let events: Vec<(&str, u64)> = status
            .tables
            .iter()
            .map(|table| (table.source.as_str(), table.events))
            .collect();
        assert_eq!(events, [(".lock", 2), ("lock", 2)]);
        engine.offline().keep_up_lake().unwrap();
    }
}
