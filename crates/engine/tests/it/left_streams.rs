//! Derived streams that are in no file any more: they go on as they were, whatever is defined since, and stand in
//! nobody's way.

use evenkeel_engine::api::{ChangeKind, VerifyOptions};
use evenkeel_engine::{DefinitionFile, Engine, EngineError};
use evenkeel_types::Value;

use crate::emissions::{at, events, push};
use crate::support::{World, apply};

const SOURCES: &str = "
CREATE ENTITY word (word STRING);
CREATE STREAM taps (id BIGINT, word STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
";
const COUNTS: &str = "CREATE FEATURE VIEW counts ENTITY word AS SELECT word, count(*) OVER (LAST 2 HOURS) AS n FROM taps;";
const EMITTED: &str = "CREATE STREAM counted AS SELECT t.id, t.word, c.n FROM taps t ASOF JOIN counts c ON t.word = c.word;";
/// What reads the stream: another stream, a view, a service, a segment, a dataset.
const READERS: &str = "
CREATE STREAM counted_again AS SELECT c.id, c.word, c.n FROM counted c;
CREATE FEATURE VIEW of_word ENTITY word AS SELECT word, max(n) OVER (ALL HISTORY) AS most FROM counted_again;
CREATE FEATURE SERVICE words AS of_word (*);
CREATE SEGMENT often AS SELECT word, most FROM of_word WHERE most > 2;
CREATE TRAINING DATASET trained FROM SERVICE words SPINE (SELECT id, word FROM taps);
CREATE TRAINING DATASET emitted FROM SERVICE plain SPINE (SELECT id, word FROM counted);
";
const PLAIN: &str = "CREATE FEATURE SERVICE plain AS counts (*);";

fn files(statements: &[&str]) -> Vec<DefinitionFile> {
    vec![DefinitionFile {
        name: "definitions.sql".to_owned(),
        text: format!("{SOURCES}{}", statements.join("\n")),
    }]
}

fn one_hour() -> String {
    COUNTS.replace("LAST 2 HOURS", "LAST 1 HOURS")
}

fn tap(engine: &mut Engine, id: i64, minute: u64) {
    let row = vec![Value::BigInt(id), Value::string("a"), at(minute)];
    push(engine, "taps", vec![row]);
}

/// What was emitted last.
fn last(engine: &Engine, stream: &str) -> Value {
    let emitted = events(engine, stream);
    emitted.last().unwrap().event.row.last().unwrap().clone()
}

/// What definitions change over what is registered.
fn changes(engine: &Engine, text: &str) -> Vec<(String, ChangeKind)> {
    let plan = engine.plan(&over_registered(engine, text)).unwrap();
    let changes = plan.changes.into_iter();
    let changes =
        changes.filter(|c| !matches!(c.kind, ChangeKind::Unchanged | ChangeKind::NotInFiles));
    changes.map(|change| (change.name, change.kind)).collect()
}

fn over_registered(engine: &Engine, text: &str) -> Vec<DefinitionFile> {
    engine.with_registered(vec![DefinitionFile {
        name: "more.sql".to_owned(),
        text: text.to_owned(),
    }])
}

#[test]
fn a_stream_that_is_in_no_file_goes_on_with_the_views_that_it_had() {
    let world = World::new(SOURCES);
    let mut engine = world.engine();
    apply(&mut engine, &files(&[COUNTS, EMITTED, READERS, PLAIN]));
    tap(&mut engine, 1, 0);
    tap(&mut engine, 2, 90);
    assert_eq!(last(&engine, "counted"), Value::BigInt(2));
    // It is left out, and what it reads becomes something else.
    apply(&mut engine, &files(&[&one_hour(), PLAIN]));
    // Whatever else is defined then leaves it, and what reads it, as they are.
    let more = "CREATE FEATURE SERVICE more AS counts (n);";
    assert_eq!(
        changes(&engine, more),
        [("more".to_owned(), ChangeKind::Create)]
    );
    let with_more = over_registered(&engine, more);
    apply(&mut engine, &with_more);
    for (id, minute, of_two_hours) in [(3, 170, 2), (4, 180, 3)] {
        tap(&mut engine, id, minute);
        assert_eq!(last(&engine, "counted"), Value::BigInt(of_two_hours));
        assert_eq!(last(&engine, "counted_again"), Value::BigInt(of_two_hours));
        drop(engine);
        engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    }
    let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
    let report = report.unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    assert!(report.emissions_checked >= 8, "{report:?}");
    // As it was it cannot come back over another view,
    let again = files(&[&one_hour(), EMITTED, PLAIN]);
    let Err(EngineError::Definitions(found)) = engine.plan(&again) else {
        panic!("another query under the same name");
    };
    let message = &found[0].1.message;
    assert!(
        message.starts_with("`counted` is a derived stream that emits"),
        "{message}"
    );
    // and the view goes back beside it.
    let rollback = engine.rollback("counts", 1).unwrap();
    let files_back = engine.with_registered(vec![rollback.text]);
    apply(&mut engine, &files_back);
    let plan = engine
        .plan(&files(&[COUNTS, EMITTED, READERS, PLAIN]))
        .unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
    tap(&mut engine, 5, 200);
    assert_eq!(last(&engine, "counted"), Value::BigInt(4));
}

#[test]
fn a_stream_that_could_be_defined_again_is_not_left_out() {
    let world = World::new(SOURCES);
    let mut engine = world.engine();
    apply(&mut engine, &files(&[COUNTS, EMITTED, READERS, PLAIN]));
    tap(&mut engine, 1, 0);
    // Its view changes beside it: refused, whether it is in the files or registered alone.
    let Err(EngineError::Definitions(found)) = engine.plan(&over_registered(&engine, &one_hour()))
    else {
        panic!("another query under the same name");
    };
    let message = &found[0].1.message;
    assert!(
        message.starts_with("`counted` is a derived stream that emits"),
        "{message}"
    );
    // What it does not read may.
    assert_eq!(
        changes(
            &engine,
            "CREATE FEATURE SERVICE more AS counts (n), of_word (most);"
        ),
        [("more".to_owned(), ChangeKind::Create)]
    );
}
