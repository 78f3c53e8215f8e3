//! `DROP STREAM`: what has ended emits nothing any more, and is read as before.

use evenkeel_engine::api::{ChangeKind, VerifyOptions};
use evenkeel_engine::{DefinitionFile, Engine, EngineError, Project, Switched};
use evenkeel_types::{EventTime, Knowledge, Value};

use crate::emission_parts::log;
use crate::emissions::{at, events, push};
use crate::support::{World, apply};

const SOURCES: &str = "
CREATE ENTITY word (word STRING);
CREATE STREAM taps (id BIGINT, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
";
const COPIED: &str = "CREATE STREAM copied AS SELECT t.id, t.word FROM taps t;";
const COUNTED: &str =
    "CREATE STREAM counted AS SELECT c.id, count(*) OVER (PARTITION BY c.word RANGE BETWEEN
  INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS n FROM copied c;";
const VIEW: &str = "CREATE FEATURE VIEW of_word ENTITY word AS
  SELECT word, count(*) OVER (ALL HISTORY) AS n FROM copied;";

fn files(world: &World, statements: &[&str]) -> Vec<DefinitionFile> {
    world.write(
        "definitions.sql",
        &format!("{SOURCES}{}", statements.join("\n")),
    );
    world.project().definition_files().unwrap()
}

fn mistakes(engine: &Engine, files: &[DefinitionFile]) -> Vec<String> {
    match engine.plan(files) {
        Err(EngineError::Definitions(found)) => {
            let words = |(_, mistake): (String, evenkeel_ddl::Diagnostic)| mistake.message;
            found.into_iter().map(words).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn words(engine: &Engine, knowledge: &Knowledge) -> Value {
    let service = engine.feature_list(&["of_word:n".to_owned()]).unwrap();
    let plan = evenkeel_engine::ReadPlan::new(service);
    let key = [vec![Value::string("a")]];
    let now = EventTime(match at(200) {
        Value::Timestamp(time) => time,
        other => panic!("{other:?}"),
    });
    let answers = engine.read(&plan, &key, now, knowledge).unwrap();
    answers.to_rows()[0][0].value.clone()
}

fn reopened(engine: Engine, project: &Project, world: &World) -> Engine {
    drop(engine);
    Engine::open_with(project, world.clock.clone()).unwrap()
}

#[test]
fn a_stream_that_has_ended_emits_nothing_and_is_read_as_before() {
    let world = World::new(SOURCES);
    let tap = |id: i64| vec![Value::BigInt(id), Value::string("a"), at(10 + id as u64)];
    let mut engine = world.engine();
    let begun = files(&world, &[COPIED, COUNTED, VIEW]);
    apply(&mut engine, &begun);
    push(&mut engine, "taps", vec![tap(1)]);
    let older = Knowledge::latest(engine.cut());
    push(&mut engine, "taps", vec![tap(2)]);
    // What reads it ends, too, or is named.
    let one = files(&world, &["DROP STREAM copied;", COUNTED, VIEW]);
    assert_eq!(
        mistakes(&engine, &one),
        ["`copied` cannot end: `counted` is made of it"]
    );
    let gone_from_the_files = files(&world, &["DROP STREAM copied;", VIEW]);
    assert_eq!(
        mistakes(&engine, &gone_from_the_files),
        ["`copied` cannot end: `counted` is made of it"]
    );
    let ended = files(&world, &["DROP STREAM counted; DROP STREAM copied;", VIEW]);
    let plan = engine.plan(&ended).unwrap();
    let copied = plan.changes.iter().find(|c| c.name == "copied").unwrap();
    assert_eq!(copied.kind, ChangeKind::NewVersion);
    assert!(copied.notes[0].starts_with("ended"), "{:?}", copied.notes);
    assert_eq!(copied.notes.last().unwrap(), "read by `of_word`");
    apply(&mut engine, &ended);
    push(&mut engine, "taps", vec![tap(3)]);
    let check = |engine: &Engine| {
        assert!(!engine.is_emission_stuck());
        let counts = ["copied", "counted"].map(|stream| events(engine, stream).len());
        assert_eq!(counts, [2, 2]);
        assert_eq!(words(engine, &older), Value::BigInt(1));
        assert_eq!(
            words(engine, &Knowledge::latest(engine.cut())),
            Value::BigInt(2)
        );
        let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
        let report = report.unwrap();
        assert_eq!(report.mismatches, 0, "{report:?}");
        // By the oracle, which knows what they were.
        assert!(report.emissions_checked >= 2, "{report:?}");
    };
    check(&engine);
    engine = reopened(engine, &world.project(), &world);
    check(&engine);
    // The statement may stay, or go with what reads the stream.
    for statements in [&["DROP STREAM copied;", VIEW][..], &[][..]] {
        let plan = engine.plan(&files(&world, statements)).unwrap();
        assert!(plan.is_empty());
        let names = |kind| {
            let changes = plan.changes.iter().filter(move |c| c.kind == kind);
            changes.map(|c| c.name.as_str()).collect::<Vec<_>>()
        };
        let gone = names(ChangeKind::NotInFiles);
        assert!(
            !gone.contains(&"copied") && !gone.contains(&"counted"),
            "{gone:?}"
        );
    }
    let again = files(&world, &[COPIED]);
    assert_eq!(
        mistakes(&engine, &again),
        ["`copied` has ended: it does not begin again"]
    );
    // What reads it may still be defined; a stream of it has nothing to wait for.
    let late = "CREATE STREAM late AS SELECT c.id, c.word FROM copied c;";
    apply(
        &mut engine,
        &files(&world, &["DROP STREAM copied;", VIEW, late]),
    );
    assert_eq!(events(&engine, "late").len(), 2);
    push(&mut engine, "taps", vec![tap(4)]);
    assert_eq!(events(&engine, "late").len(), 2);
    check(&engine);
}

#[test]
fn only_derived_streams_end() {
    let world = World::new(SOURCES);
    let engine = world.engine();
    let found = |statement: &str| mistakes(&engine, &files(&world, &[statement]));
    // In a store that never had it there is nothing to end.
    let unknown = engine.plan(&files(&world, &["DROP STREAM tips;"])).unwrap();
    assert!(unknown.is_empty());
    let warnings: Vec<&str> = unknown
        .warnings
        .iter()
        .map(|(_, w)| w.message.as_str())
        .collect();
    assert_eq!(warnings, ["there is no stream `tips` here that ends"]);
    let reads = "CREATE STREAM late AS SELECT t.id FROM tips t;";
    assert_eq!(
        found(&format!("DROP STREAM tips; {reads}")),
        ["there is no source or view `tips`"]
    );
    // A statement for each name.
    assert!(found("DROP STREAM taps;")[0].contains("`taps`"));
    world.write("definitions.sql", "DROP STREAM taps;");
    let files = world.project().definition_files().unwrap();
    assert_eq!(
        mistakes(&engine, &files),
        ["`taps` is no derived stream: only what emits can end"]
    );
}

#[test]
fn a_stream_emits_for_what_is_logged_before_it_ends() {
    let world = World::new(SOURCES);
    let tap = |id: i64| vec![Value::BigInt(id), Value::string("a"), at(10 + id as u64)];
    let mut engine = world.engine();
    apply(&mut engine, &files(&world, &[COPIED, COUNTED]));
    push(&mut engine, "taps", vec![tap(1)]);
    // As a server that did not come to emit for it.
    log(&mut engine, "taps", tap(2));
    assert_eq!(events(&engine, "copied").len(), 1);
    let ended = files(&world, &["DROP STREAM counted; DROP STREAM copied;"]);
    let plan = engine.plan(&ended).unwrap();
    let mut applying = engine.begin_apply(plan).unwrap();
    let mut go_on = |_: &str, _, _| std::ops::ControlFlow::Continue(());
    applying.build(&engine, &mut go_on).unwrap();
    assert!(!applying.is_recorded());
    let refused = applying.switch(&mut engine).err().unwrap();
    assert!(
        matches!(refused, EngineError::StillEmitting { .. }),
        "{refused}"
    );
    // It has emitted for it, and for this one.
    push(&mut engine, "taps", vec![tap(3)]);
    let plan = engine.plan(&ended).unwrap();
    let mut applying = engine.begin_apply(plan).unwrap();
    applying.build(&engine, &mut go_on).unwrap();
    let switched = applying.switch(&mut engine).unwrap();
    assert!(matches!(switched, Switched::Done(_)));
    push(&mut engine, "taps", vec![tap(4)]);
    for _ in 0..2 {
        let counts = ["copied", "counted"].map(|stream| events(&engine, stream).len());
        assert_eq!(counts, [3, 3]);
        engine = reopened(engine, &world.project(), &world);
    }
}
