//! Files that grow, rotate, are cut off and come later: what is followed is what the files
//! hold, each row once, whatever the pieces and restarts.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use evenkeel_engine::api::DeadLetterRow;
use evenkeel_engine::{Engine, FollowReport, Follower, Intake, RowSink};
use evenkeel_log::ReadOptions;
use evenkeel_types::{EventTime, Value};
use proptest::prelude::*;

use crate::support::{World, one, t};

const COLUMNS: &str = "(id BIGINT, world BIGINT, word STRING, x DOUBLE, at TIMESTAMP, ";

/// A source of these files, its events known by their ids or not.
fn world(path: &str, event_id: bool) -> World {
    let id = if event_id { "EVENT ID (id), " } else { "" };
    World::new(&format!(
        "CREATE ENTITY world (world BIGINT);
         CREATE STREAM ticks {COLUMNS}{id}EVENT TIME at, KNOWN AT at)
           WITH (connector = 'file', path = '{path}', format = '{}');
         CREATE FEATURE VIEW v ENTITY world AS
         SELECT world, count(*) OVER w AS n, sum(id) OVER w AS ids, sum(x) OVER w AS xs,
                last_value(word) OVER w AS word
         FROM ticks WINDOW w AS (PARTITION BY world ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
         CREATE FEATURE SERVICE s VERSION 1 AS v (*);",
        if path.contains("csv") { "csv" } else { "jsonl" }
    ))
}

const HEADER: &str = "id,world,word,x,at\n";

fn csv_line(id: u64) -> String {
    format!(
        "{id},1,\"wörd, {id}\n\"\"{}\"\"\",{}.{:03},{}\n",
        "é".repeat((id % 4) as usize),
        id % 7,
        id % 997,
        at(id)
    )
}

fn json_line(id: u64) -> String {
    // Names differ in case from row to row.
    let (key, x) = (["id", "ID"][(id % 2) as usize], id as f64 / 7.0);
    format!(
        "{{\"{key}\":{id},\"world\":1,\"word\":\"wörd {id}\",\"x\":{x},\"at\":\"{}\"}}\n",
        at(id)
    )
}

fn at(id: u64) -> String {
    format!(
        "2026-01-01T{:02}:{:02}:{:02}Z",
        id / 3_600 % 24,
        id / 60 % 60,
        id % 60
    )
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}

/// Steps until nothing more is read.
fn drain(follower: &mut Follower, engine: &mut Engine, finished: bool) -> FollowReport {
    let mut intake = Intake::new(engine);
    while follower.step(&mut intake, finished).unwrap() {}
    follower.report(intake.now())
}

fn follower(engine: &Engine) -> Follower {
    engine.follower("ticks", None).unwrap()
}

/// Follows what is there and stops.
fn follow(engine: &mut Engine, finished: bool) -> FollowReport {
    let mut follower = follower(engine);
    let report = drain(&mut follower, engine, finished);
    Intake::new(engine).finish().unwrap();
    report
}

/// The rows in the log, sorted.
fn rows(engine: &Engine) -> Vec<Vec<Value>> {
    let events = engine.reader().read(ReadOptions::default());
    let mut rows: Vec<Vec<Value>> = events.map(|logged| logged.unwrap().event.row).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

fn ids(engine: &Engine) -> Vec<i64> {
    let mut ids: Vec<i64> = rows(engine)
        .iter()
        .map(|row| match row[0] {
            Value::BigInt(id) => id,
            _ => panic!("an id is a number"),
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// What is served of all rows, on both paths.
fn served(engine: &Engine) -> Vec<Value> {
    let answers = one(engine, "s", &[Value::BigInt(1)], t("2026-02-01T00:00:00Z"));
    answers.into_iter().map(|a| a.value).collect()
}

fn letters(engine: &Engine) -> Vec<DeadLetterRow> {
    engine.dead_letters("ticks").unwrap()
}

/// What a whole file says of a row: everything but the digest in its origin.
fn place_and_reason(letters: &[DeadLetterRow]) -> Vec<(String, String, String)> {
    let mut said: Vec<_> = letters
        .iter()
        .map(|l| {
            let row = l.origin.split_once(" row ").unwrap().1.to_owned();
            (row, l.text.clone(), l.record.clone())
        })
        .collect();
    said.sort();
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Bytes that come in any pieces, with restarts between, are logged as those of the whole
    /// file: the same rows, numbers, lines, dead letters, and served bits.
    #[test]
    fn pieces_and_restarts_do_not_matter(
        lines in prop::collection::vec((0u8..12, 1usize..90, prop::bool::weighted(0.1)), 1..30),
        json in any::<bool>(),
        ends in any::<bool>(),
        event_id in any::<bool>(),
    ) {
        let path = if json { "ticks.jsonl" } else { "ticks.csv" };
        let mut text = if json { String::new() } else { HEADER.to_owned() };
        for (id, (kind, ..)) in lines.iter().enumerate() {
            let id = id as u64;
            text.push_str(&match kind {
                0 => "\n".to_owned(),
                1 => "not a row\n".to_owned(),
                2 if !json => format!("{id},1,w,nine,{}\n", at(id)),
                2 => format!("{{\"id\":{id},\"Id\":{id}}}\n"),
                3 if !json => format!("{id},1,w,1.5,\n"),
                _ if json => json_line(id),
                _ => csv_line(id),
            });
        }
        if !ends {
            text.truncate(text.trim_end_matches('\n').len());
        }
        let whole = world(path, event_id);
        whole.write(path, &text);
        // Keys that differ in case are one column for a follower, row by row.
        let same = if json { text.replace("\"ID\":", "\"id\":") } else { text.clone() };
        whole.write(path, &same);
        let mut wanted = whole.engine();
        wanted.ingest("ticks", None, &mut |_| ()).unwrap();

        let pieces = world(path, event_id);
        let mut engine = pieces.engine();
        let mut following = follower(&engine);
        let file = pieces.path().join(path);
        let mut rest = text.as_bytes();
        for (_, length, restart) in lines.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            append(&file, piece);
            rest = after;
            let report = drain(&mut following, &mut engine, false);
            prop_assert_eq!(report.set_aside, vec![]);
            if *restart {
                drop(following);
                drop(engine);
                engine = pieces.engine();
                following = follower(&engine);
            }
        }
        let report = drain(&mut following, &mut engine, true);
        prop_assert_eq!(report.set_aside, vec![]);
        prop_assert_eq!(rows(&engine), rows(&wanted));
        prop_assert_eq!(place_and_reason(&letters(&engine)), place_and_reason(&letters(&wanted)));
        let bits = |values: &[Value], others: &[Value]| {
            values.iter().zip(others).all(|(a, b)| a.same_bits(b))
        };
        prop_assert!(bits(&served(&engine), &served(&wanted)));
        // Nothing more to log, by who reads everything again.
        let again = follow(&mut engine, true);
        prop_assert_eq!(again.ingest.recorded, 0);
        prop_assert_eq!(letters(&engine).len(), letters(&wanted).len());
    }
}

#[test]
fn a_cut_line_waits_for_its_end() {
    let world = world("ticks.csv", false);
    let path = world.write(
        "ticks.csv",
        &format!("{HEADER}1,1,a,1.5,{}\n2,1,b,2", at(1)),
    );
    let mut engine = world.engine();
    let mut following = follower(&engine);
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.bytes_behind), (1, 7));
    append(&path, format!(".5,{}", at(2)).as_bytes());
    assert_eq!(drain(&mut following, &mut engine, false).ingest.recorded, 1);
    append(&path, b"\n");
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.bytes_behind), (2, 0));
    assert_eq!(report.ingest.greatest_time, Some(EventTime(t(&at(2)))));
    let lag = t("2026-03-02T12:00:00Z") - t(&at(2));
    assert_eq!(report.lag_micros, Some(lag));
    assert_eq!(served(&engine)[2], Value::from(4.0));
}

#[test]
fn a_last_line_taken_without_its_end_is_not_taken_again() {
    let world = world("ticks.csv", false);
    let path = world.write("ticks.csv", &format!("{HEADER}1,1,a,1.5,{}", at(1)));
    let mut engine = world.engine();
    assert_eq!(follow(&mut engine, false).ingest.rows, 0);
    assert_eq!(follow(&mut engine, true).ingest.recorded, 1);
    // A last line that waits for its end now is the one that is in the log.
    let report = follow(&mut engine, false);
    assert_eq!((report.ingest.rows, report.set_aside), (0, vec![]));
    append(&path, format!("\n2,1,b,2.5,{}\n", at(2)).as_bytes());
    assert_eq!(follow(&mut engine, false).ingest.recorded, 1);
    assert_eq!(ids(&engine), [1, 2]);
}

#[test]
fn rotation_by_rename_loses_nothing() {
    for pattern in ["app.jsonl*", "app.jsonl"] {
        let world = world(pattern, false);
        let path = world.path().join("app.jsonl");
        let mut engine = world.engine();
        let mut following = follower(&engine);
        assert_eq!(drain(&mut following, &mut engine, false).ingest.rows, 0);
        append(&path, (json_line(0) + &json_line(1)).as_bytes());
        drain(&mut following, &mut engine, false);
        // Between two looks: two more lines, the rename, a line by who has it open still, and
        // a new file.
        append(&path, (json_line(2) + &json_line(3)).as_bytes());
        let old = world.path().join("app.jsonl.1");
        fs::rename(&path, &old).unwrap();
        append(&old, json_line(4).as_bytes());
        append(&path, json_line(5).as_bytes());
        let report = drain(&mut following, &mut engine, false);
        assert_eq!(report.set_aside, vec![], "{pattern}");
        append(&old, json_line(6).as_bytes());
        append(&path, json_line(7).as_bytes());
        drain(&mut following, &mut engine, false);
        assert_eq!(ids(&engine), [0, 1, 2, 3, 4, 5, 6, 7], "{pattern}");
        // A restart finds them under their new names.
        assert_eq!(follow(&mut engine, false).ingest.recorded, 0, "{pattern}");
    }
}

#[test]
fn rotation_by_copy_loses_nothing() {
    let world = world("app.jsonl*", false);
    let path = world.path().join("app.jsonl");
    let mut engine = world.engine();
    let mut following = follower(&engine);
    append(&path, (json_line(0) + &json_line(1)).as_bytes());
    drain(&mut following, &mut engine, false);
    append(&path, json_line(2).as_bytes());
    fs::copy(&path, world.path().join("app.jsonl.1")).unwrap();
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.set_aside), (3, vec![]));
    fs::write(&path, json_line(3)).unwrap();
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.set_aside), (4, vec![]));
    assert_eq!(ids(&engine), [0, 1, 2, 3]);
    assert_eq!(follow(&mut engine, false).ingest.recorded, 0);
}

#[test]
fn a_file_that_was_cut_off_or_written_anew_is_set_aside() {
    let world = world("ticks.jsonl", false);
    let path = world.path().join("ticks.jsonl");
    let text = |ids: &[u64]| ids.iter().map(|id| json_line(*id)).collect::<String>();
    let mut engine = world.engine();
    let mut following = follower(&engine);
    append(&path, text(&[0, 1, 2]).as_bytes());
    drain(&mut following, &mut engine, false);
    let reason = |report: FollowReport| {
        assert_eq!(report.set_aside.len(), 1);
        report.set_aside[0].reason.clone()
    };
    fs::write(&path, text(&[0, 1])).unwrap();
    let cut = reason(drain(&mut following, &mut engine, false));
    assert!(cut.contains("` was cut off: "), "{cut}");
    // It is longer again, with other rows where two were read.
    fs::write(&path, text(&[0, 7, 8, 9])).unwrap();
    let anew = reason(drain(&mut following, &mut engine, false));
    assert!(anew.contains("` was written anew: "), "{anew}");
    // A restart sees that rows are missing.
    fs::write(&path, text(&[0])).unwrap();
    let report = follow(&mut engine, false);
    let fewer = reason(report);
    assert!(
        fewer.ends_with("` was cut off: 3 rows of it are in the log, it has 1"),
        "{fewer}"
    );
    // As it should be, it goes on.
    fs::write(&path, text(&[0, 1, 2, 3])).unwrap();
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.set_aside), (4, vec![]));
    assert_eq!(ids(&engine), [0, 1, 2, 3]);
}

#[test]
fn files_that_begin_alike_are_not_mixed_up() {
    let world = world("*.jsonl", false);
    let text = |ids: &[u64]| ids.iter().map(|id| json_line(*id)).collect::<String>();
    world.write("a.jsonl", &text(&[0, 1]));
    world.write("b.jsonl", &text(&[0, 2]));
    let mut engine = world.engine();
    let mut following = follower(&engine);
    let report = drain(&mut following, &mut engine, false);
    assert_eq!(report.ingest.recorded, 2);
    assert_eq!(report.set_aside.len(), 1);
    assert!(report.set_aside[0].path.ends_with("b.jsonl"));
    let reason = &report.set_aside[0].reason;
    assert!(
        reason.contains("a.jsonl` and goes on differently"),
        "{reason}"
    );
    // The other goes on, and so does a file that comes.
    append(&world.path().join("a.jsonl"), json_line(3).as_bytes());
    world.write("c.jsonl", &text(&[4]));
    drain(&mut following, &mut engine, false);
    assert_eq!(ids(&engine), [0, 1, 3, 4]);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_its_file() {
    let world = world("*.jsonl", false);
    world.write("a.jsonl", &json_line(0));
    std::os::unix::fs::symlink("a.jsonl", world.path().join("current.jsonl")).unwrap();
    let mut engine = world.engine();
    let mut following = follower(&engine);
    drain(&mut following, &mut engine, false);
    append(&world.path().join("current.jsonl"), json_line(1).as_bytes());
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.rows, report.set_aside), (2, vec![]));
    fs::remove_file(world.path().join("a.jsonl")).unwrap();
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.rows, report.set_aside), (2, vec![]));
}

#[test]
fn what_was_ingested_before_is_recognised() {
    for (event_id, known) in [(false, 0), (true, 2)] {
        for end in ["", "\n"] {
            let world = world("ticks.csv", event_id);
            let two = format!("{HEADER}{}{}", csv_line(1), csv_line(2));
            let path = world.write("ticks.csv", &format!("{}{end}", two.trim_end()));
            let mut engine = world.engine();
            engine.ingest("ticks", None, &mut |_| ()).unwrap();
            if end.is_empty() {
                append(&path, b"\n");
            }
            append(&path, csv_line(3).as_bytes());
            let report = follow(&mut engine, false);
            assert_eq!(
                (report.ingest.recorded, report.ingest.duplicates),
                (1, known)
            );
            assert_eq!(ids(&engine), [1, 2, 3]);
        }
    }
}

#[test]
fn packed_files_are_read_whole_when_they_are_complete() {
    let world = world("*.csv*", false);
    let packed = gzip(&format!("{HEADER}{}{}", csv_line(1), csv_line(2)));
    let path = world.path().join("a.csv.gz");
    append(&path, &packed[..packed.len() / 2]);
    let mut engine = world.engine();
    let mut following = follower(&engine);
    let look = |following: &mut Follower, engine: &mut Engine| {
        let report = drain(following, engine, false);
        (report.ingest.recorded, report.set_aside.len())
    };
    // While it changes nobody looks into it; half of it is no file.
    assert_eq!(look(&mut following, &mut engine), (0, 0));
    world.clock.advance(2_000_000);
    assert_eq!(look(&mut following, &mut engine), (0, 1));
    append(&path, &packed[packed.len() / 2..]);
    assert_eq!(look(&mut following, &mut engine), (0, 0));
    world.clock.advance(2_000_000);
    assert_eq!(look(&mut following, &mut engine), (2, 0));
    append(
        &world.path().join("b.csv"),
        (HEADER.to_owned() + &csv_line(3)).as_bytes(),
    );
    assert_eq!(look(&mut following, &mut engine), (3, 0));
    assert_eq!(follow(&mut engine, true).ingest.recorded, 0);
    let error = engine.follower("ticks", Some(&path)).err().unwrap();
    assert!(
        error.hint().unwrap().contains("without `--follow`"),
        "{error}"
    );
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_file_without_the_columns_is_set_aside_until_it_changes() {
    let world = world("*.csv", true);
    world.write("bad.csv", "id,world\n1,1\n");
    world.write("good.csv", &(HEADER.to_owned() + &csv_line(1)));
    let mut engine = world.engine();
    let mut following = follower(&engine);
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.set_aside.len()), (1, 1));
    assert!(report.set_aside[0].reason.contains("has no column `word`"));
    world.write("bad.csv", &(HEADER.to_owned() + &csv_line(2)));
    let report = drain(&mut following, &mut engine, false);
    assert_eq!((report.ingest.recorded, report.set_aside), (2, vec![]));
}
