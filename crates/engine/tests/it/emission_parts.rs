//! Emissions that are more than one commit, and derived streams that cannot go on: nothing is left out,
//! and nobody else is kept waiting.

use std::fs;
use std::path::PathBuf;

use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Asked, Emitter, Engine, Machine, Next};
use evenkeel_log::{Compression, LogOptions};
use evenkeel_types::{LoggedEvent, Operation, Origin, Value};

use crate::emissions::{at, bits, events, push};
use crate::support::{World, apply};

const NAMED: &str = "
CREATE STREAM notes (id BIGINT, kind STRING, text STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE kinds (kind STRING, name STRING, at TIMESTAMP, PRIMARY KEY (kind), EVENT TIME at);
CREATE STREAM named AS SELECT n.id, n.text, k.name FROM notes n ASOF JOIN kinds k ON n.kind = k.kind
  ON LATE REVISE;
CREATE STREAM counted AS SELECT c.id, c.name,
  count(*) OVER (PARTITION BY c.name RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS n
FROM named c ON LATE REVISE;
";
const NOTES: i64 = 12;

fn write(engine: &Engine, source: &str, row: Vec<Value>) -> Write {
    Write::Push {
        source: engine.source(source).unwrap(),
        rows: vec![PushedRow {
            values: Ok(row),
            producer: None,
        }],
    }
}

/// Logs and applies a row, and dies before anything is emitted for it, if nobody goes on.
pub(crate) fn log(engine: &mut Engine, source: &str, row: Vec<Value>) {
    let write = write(engine, source, row);
    let judged = Pusher::default().judge(engine, vec![write]);
    let mut commit = judged.append(&engine.writer().unwrap()).unwrap();
    while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
}

/// A store with notes of a megabyte each, and what comes late for all of them.
fn noted(world: &World) -> (Engine, Vec<Value>) {
    let mut engine = world.engine();
    let text = "x".repeat(1 << 20);
    let note = |id: i64| {
        let text = Value::string(format!("{id}{text}"));
        vec![
            Value::BigInt(id),
            Value::string("a"),
            text,
            at(10 + id as u64),
        ]
    };
    push(&mut engine, "notes", (0..NOTES).map(note).collect());
    let late = vec![Value::string("a"), Value::string("first"), at(5)];
    (engine, late)
}

type Told = (Operation, u32, Vec<u8>);

fn told(engine: &Engine) -> Vec<Told> {
    let streams = ["named", "counted"];
    let all = streams
        .into_iter()
        .flat_map(|stream| events(engine, stream));
    all.map(|e| (e.event.operation, e.event.revision, bits(e.event.row)))
        .collect()
}

/// Whether an emission says that more of its record comes behind it.
fn has_rest(emission: &LoggedEvent) -> bool {
    matches!(&emission.event.origin, Origin::Producer { id, .. } if id.contains('+'))
}

#[test]
fn what_one_record_revises_is_several_commits_and_goes_on_where_it_ended() {
    let world = World::new(NAMED);
    let (mut whole, late) = noted(&world);
    push(&mut whole, "kinds", vec![late]);
    let expected = told(&whole);
    let replaced = |(operation, ..): &&Told| *operation == Operation::Replace;
    assert!(expected.iter().filter(replaced).count() >= NOTES as usize);
    let named = events(&whole, "named");
    let parts = 1 + named.iter().filter(|e| has_rest(e)).count();
    assert!(parts > 2, "{parts}");
    drop(whole);
    for died in 1..=parts {
        let world = World::new(NAMED);
        let (mut engine, late) = noted(&world);
        log(&mut engine, "kinds", late);
        let writer = engine.writer().unwrap();
        let mut emitter = Emitter::default();
        let mut commits = 0;
        while commits < died {
            match emitter.next(&engine) {
                Next::End => panic!("{commits} commits of {died}"),
                Next::Nothing => {}
                Next::Calls(calls) => panic!("{calls:?}"),
                Next::Emissions(judged) => {
                    let mut commit = judged.append(&writer).unwrap();
                    commits += 1;
                    // The last one is durable, and not applied.
                    if commits < died {
                        while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
                        emitter.done();
                    }
                }
            }
        }
        drop((engine, writer));
        let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        assert!(!engine.is_emission_stuck());
        assert!(told(&engine) == expected, "died after {died} commits");
    }
}

#[test]
fn what_comes_while_a_record_is_revised_is_emitted_behind_it() {
    let first = World::new(NAMED);
    let (mut engine, late) = noted(&first);
    let later = vec![Value::string("a"), Value::string("second"), at(12)];
    push(&mut engine, "kinds", vec![late.clone()]);
    push(&mut engine, "kinds", vec![later.clone()]);
    let expected = told(&engine);
    drop(engine);
    let second = World::new(NAMED);
    let (mut engine, _) = noted(&second);
    log(&mut engine, "kinds", late);
    let writer = engine.writer().unwrap();
    let mut emitter = Emitter::default();
    let Next::Emissions(judged) = emitter.next(&engine) else {
        panic!("nothing is emitted");
    };
    let mut commit = judged.append(&writer).unwrap();
    while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
    emitter.done();
    // It is logged between two commits of what the first one revises.
    log(&mut engine, "kinds", later);
    loop {
        match emitter.next(&engine) {
            Next::End => break,
            Next::Nothing => {}
            Next::Calls(calls) => panic!("{calls:?}"),
            Next::Emissions(judged) => {
                let mut commit = judged.append(&writer).unwrap();
                while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
                emitter.done();
            }
        }
    }
    assert!(told(&engine) == expected);
}

const APART: &str = "
CREATE STREAM taps (id BIGINT, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM knocks (id BIGINT, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM of_taps AS SELECT t.id, t.word FROM taps t;
CREATE STREAM of_knocks AS SELECT k.id, k.word FROM knocks k;
CREATE STREAM again AS SELECT k.id, k.word FROM of_knocks k;
CREATE STREAM both AS SELECT t.id, k.word FROM of_taps t ASOF JOIN of_knocks k ON t.id = k.id;
";
const DAMAGED: &str = "THE WORD THAT IS DAMAGED";

/// Where the word is in the log: the file, and its place in it.
fn place_of(engine: &Engine) -> (PathBuf, usize) {
    let files = fs::read_dir(engine.reader().directory()).unwrap();
    let found = files.filter_map(|file| {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let mut places = bytes.windows(DAMAGED.len());
        Some((path, places.position(|b| b == DAMAGED.as_bytes())?))
    });
    found.last().expect("it is logged as it is")
}

fn flip((path, place): &(PathBuf, usize)) {
    let mut bytes = fs::read(path).unwrap();
    bytes[*place] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_cannot_be_read_stops_the_streams_that_need_it_and_no_others() {
    let world = World::new(APART);
    let project = world.project();
    let machine = Machine {
        clock: world.clock.clone(),
        log: LogOptions {
            compression: Compression::None,
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    let mut engine = Engine::open_on(&project, machine).unwrap();
    apply(&mut engine, &project.definition_files().unwrap());
    let row =
        |id: i64, word: &str| vec![Value::BigInt(id), Value::string(word), at(10 + id as u64)];
    push(&mut engine, "taps", vec![row(0, "well")]);
    log(&mut engine, "knocks", row(9, "well"));
    log(&mut engine, "knocks", row(1, DAMAGED));
    let place = place_of(&engine);
    flip(&place);
    let counts = |engine: &Engine| {
        let streams = ["of_taps", "of_knocks", "again", "both"];
        streams.map(|stream| events(engine, stream).len())
    };
    for round in 1..5 {
        push(&mut engine, "taps", vec![row(round, "well")]);
        let stuck = engine.emission_failures();
        let of_knocks = engine.source("of_knocks").unwrap().id;
        assert_eq!(stuck.keys().collect::<Vec<_>>(), [&of_knocks]);
        assert!(engine.is_emission_stuck() && engine.emission_failure().is_none());
        // Who reads what is stopped waits for it, and says nothing.
        assert_eq!(counts(&engine), [round as usize + 1, 1, 1, 1], "{stuck:?}");
        let status = engine.status().unwrap();
        let failing = status
            .sources
            .iter()
            .filter(|s| s.emission_failure.is_some());
        let failing: Vec<&str> = failing.map(|s| s.name.as_str()).collect();
        assert_eq!(failing, ["of_knocks"]);
        let reason = status
            .sources
            .iter()
            .find_map(|s| s.emission_failure.clone());
        assert!(reason.unwrap().contains("damaged"));
    }
    flip(&place);
    // It is tried again, seldom.
    let mut writes = 0;
    while engine.is_emission_stuck() {
        writes += 1;
        assert!(writes < 20);
        push(&mut engine, "taps", vec![row(10 + writes, "well")]);
    }
    let taps = 5 + writes as usize;
    assert_eq!(counts(&engine), [taps, 2, 2, taps]);
    push(&mut engine, "knocks", vec![row(2, "again")]);
    assert_eq!(counts(&engine), [taps, 3, 3, taps]);
    let others = World::new(APART);
    let mut whole = others.engine();
    push(&mut whole, "taps", vec![row(0, "well")]);
    push(&mut whole, "knocks", vec![row(9, "well")]);
    push(&mut whole, "knocks", vec![row(1, DAMAGED)]);
    for round in (1..5).chain(11..11 + writes) {
        push(&mut whole, "taps", vec![row(round, "well")]);
    }
    push(&mut whole, "knocks", vec![row(2, "again")]);
    for stream in ["of_taps", "of_knocks", "again", "both"] {
        let rows = |engine: &Engine| {
            let events = events(engine, stream).into_iter();
            let told = events.map(|e| (e.event.revision, bits(e.event.row)));
            told.collect::<Vec<_>>()
        };
        assert_eq!(rows(&engine), rows(&whole), "{stream}");
    }
}

const ASKED: &str = "
CREATE ENTITY word (word STRING);
CREATE STREAM taps (id BIGINT, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM copied AS SELECT t.id, t.word FROM taps t;
CREATE FEATURE VIEW of_word ENTITY word AS SELECT word, count(*) OVER (ALL HISTORY) AS n FROM copied;
CREATE FEATURE SERVICE said AS of_word (*);
";

#[test]
fn a_result_over_a_derived_stream_is_found_beside_the_process_that_writes() {
    let world = World::new(ASKED);
    world.write("evenkeel.toml", "[limits]\nresults_kept_hours = 800000\n");
    let mut engine = world.engine();
    let source = engine.source("taps").unwrap();
    let asked = Asked::of_service(engine.catalog(), "said").unwrap();
    let mut results = Vec::new();
    for id in 0..3 {
        let row = PushedRow {
            values: Ok(vec![
                Value::BigInt(id),
                Value::string("a"),
                at(10 + id as u64),
            ]),
            producer: None,
        };
        let answer = engine.trigger(&mut Pusher::default(), &source, row, &asked);
        results.push(answer.unwrap().result.unwrap());
    }
    let beside = Engine::open_read_only(&world.project()).unwrap();
    for (number, result) in (1..).zip(results) {
        let again = beside.result(&result.id).unwrap();
        for answers in [result.answers, again.answers] {
            assert_eq!(answers.to_rows()[0][0].value, Value::BigInt(number));
        }
    }
}
