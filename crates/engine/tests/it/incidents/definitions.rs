//! Incidents of definitions and of what is kept between commands: registries, caches, views
//! that resemble each other.

use evenkeel_engine::api::ChangeKind;
use evenkeel_engine::{DefinitionFile, Engine, EngineError};
use evenkeel_types::time::MINUTE;
use evenkeel_types::{Status, Value};

use super::RIDES;
use crate::support::{World, apply_text, ingest, one, read, request, t, values};

const FILE: &str = "id,driver,fare,at\na,1,10,2026-03-01T10:00:00Z\nb,1,5,2026-03-01T10:30:00Z\n";
const AT: &str = "2026-03-01T10:30:00Z";

fn loaded() -> (World, Engine) {
    let world = World::new(RIDES);
    world.write("rides.csv", FILE);
    let engine = world.loaded(&["rides"]);
    (world, engine)
}

fn model(engine: &Engine) -> Vec<Value> {
    values(engine, "model", &[1i64.into()], AT)
}

/// feast-dev/feast#2905: applying definitions again erases how far the data was materialised.
#[test]
fn nt_14_applying_again_forgets_nothing() {
    let (world, mut engine) = loaded();
    let before = (engine.cut(), model(&engine));
    let watermark = |engine: &Engine| engine.status().unwrap().sources[0].watermark;
    let watermark_before = watermark(&engine);
    assert!(watermark_before.is_some());
    let described = RIDES.replace(
        "VIEW stats ENTITY driver AS",
        "VIEW stats ENTITY driver COMMENT 'rides of an hour' AS",
    );
    for text in [RIDES, &described, RIDES] {
        apply_text(&mut engine, text);
        assert_eq!((engine.cut(), model(&engine)), before);
        assert_eq!(watermark(&engine), watermark_before);
        assert_eq!(ingest(&mut engine, "rides").recorded, 0);
    }
    drop(engine);
    let engine = world.engine();
    assert_eq!((engine.cut(), model(&engine)), before, "opened again");
}

/// feast-dev/feast#6208, #5766: one registry for all; applying one project overwrites or
/// deletes what another has.
#[test]
fn nt_22_two_projects_share_nothing() {
    let (here, mut engine) = loaded();
    let there = World::new(&RIDES.replace("LAST 1 HOURS", "LAST 10 MINUTES"));
    there.write(
        "rides.csv",
        "id,driver,fare,at\na,1,100,2026-03-01T10:25:00Z\n",
    );
    let mut other = there.loaded(&["rides"]);
    let (before, other_before) = (model(&engine), model(&other));
    assert_eq!(before[..2], [2i64.into(), 15.0.into()]);
    assert_eq!(other_before[..2], [1i64.into(), 100.0.into()]);
    // Each is changed in turn: a view more, an event more.
    let more = "CREATE FEATURE VIEW more ENTITY driver AS SELECT driver, fare FROM rides;";
    apply_text(&mut other, &format!("{RIDES}{more}"));
    let text = "id,driver,fare,at\nz,1,1,2026-03-01T10:26:00Z\n";
    there.ingest_text(&mut other, "rides", "z.csv", text);
    assert_eq!(model(&engine), before);
    assert!(!engine.catalog().views.contains_key("more"));
    drop(engine);
    engine = here.engine();
    assert_eq!(model(&engine), before);
    assert!(!engine.catalog().views.contains_key("more"));
    let text = "id,driver,fare,at\ny,1,1,2026-03-01T10:26:00Z\n";
    here.ingest_text(&mut engine, "rides", "y.csv", text);
    assert_eq!(model(&other)[..2], [2i64.into(), 101.0.into()]);
}

/// feast-dev/feast#2240: deleting one view removes the features of the others, too.
#[test]
fn nt_23_a_view_that_leaves_the_files_takes_nothing_with_it() {
    let (world, mut engine) = loaded();
    let before = model(&engine);
    let text = RIDES
        .replace(
            "CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id, fare FROM rides;\n",
            "",
        )
        .replace("AS stats (*), last_ride (*)", "VERSION 2 AS stats (*)");
    let file = DefinitionFile {
        name: "definitions.sql".to_owned(),
        text: text.clone(),
    };
    let plan = engine.plan(&[file]).unwrap();
    let changes = engine.apply(plan).unwrap();
    let left = changes.iter().find(|c| c.name == "last_ride").unwrap();
    assert_eq!(left.kind, ChangeKind::NotInFiles);
    assert_eq!(model(&engine), before[..3]);
    // The version that was made with it still answers.
    assert_eq!(values(&engine, "model@1", &[1i64.into()], AT), before);
    drop(engine);
    world.write("definitions.sql", &text);
    assert_eq!(
        values(&world.engine(), "model@1", &[1i64.into()], AT),
        before
    );
}

/// feast-dev/feast#2176, #5604: applies lose each other's updates, caches of the registry are
/// stale, and the list that a request resolves to is changed by requests.
#[test]
fn nt_24_applies_add_up_and_requests_change_no_definition() {
    let (world, mut engine) = loaded();
    let project = world.project();
    let reader = Engine::open_read_only(&project).unwrap();
    for (name, columns) in [("one", "driver, id"), ("two", "driver, fare")] {
        let view =
            format!("CREATE FEATURE VIEW {name} ENTITY driver AS SELECT {columns} FROM rides;");
        apply_text(&mut engine, &format!("{RIDES}{view}"));
    }
    assert!(
        engine.catalog().views.contains_key("one") && engine.catalog().views.contains_key("two")
    );
    // A reader stays with what it opened, whole; the next one has everything.
    assert!(!reader.catalog().views.contains_key("one"));
    assert_eq!(model(&reader), model(&engine));
    let next = Engine::open_read_only(&project).unwrap();
    assert!(next.catalog().views.contains_key("one") && next.catalog().views.contains_key("two"));

    let service = engine.service("model").unwrap();
    let before = model(&engine);
    let list = |features: &[&str]| {
        let features: Vec<String> = features.iter().map(|f| (*f).to_owned()).collect();
        engine.feature_list(&features).unwrap()
    };
    for features in [
        &["stats:rides_1h"][..],
        &["last_ride:fare", "stats:fares_1h"],
    ] {
        let request = evenkeel_engine::api::GetRequest {
            service: list(features),
            ..request(&engine, "model", vec![vec![1i64.into()]], t(AT))
        };
        assert_eq!(read(&engine, &request).rows[0].len(), features.len());
        assert!(engine.service("model").unwrap() == service);
        assert_eq!(model(&engine), before);
    }
}

/// airbnb/chronon#964: a cache of metadata keeps failures.
#[test]
fn nt_30_a_failure_is_not_remembered() {
    let world = World::new(RIDES);
    let mut engine = world.engine();
    // No file, then one.
    assert!(engine.ingest("rides", None, &mut |_| ()).is_err());
    world.write("rides.csv", FILE);
    assert_eq!(ingest(&mut engine, "rides").recorded, 2);
    // No service, then one.
    assert!(engine.service("other").is_err());
    // A definition that is wrong, then right.
    let other = |columns: &str| DefinitionFile {
        name: "definitions.sql".to_owned(),
        text: format!(
            "{RIDES}CREATE FEATURE VIEW more ENTITY driver AS SELECT driver, {columns} FROM rides;
             CREATE FEATURE SERVICE other AS more (*);"
        ),
    };
    assert!(matches!(
        engine.plan(&[other("fair")]),
        Err(EngineError::Definitions(_))
    ));
    assert!(engine.service("other").is_err());
    let plan = engine.plan(&[other("fare")]).unwrap();
    engine.apply(plan).unwrap();
    assert_eq!(values(&engine, "other", &[1i64.into()], AT), [5.0.into()]);
}

/// airbnb/chronon#270: a default accuracy makes offline and online disagree.
#[test]
fn nt_32_windows_move_with_the_read_unless_they_say_otherwise() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW counts ENTITY driver AS SELECT driver, count(*) OVER (LAST 30 MINUTES) AS plain,
           count(*) OVER (LAST 30 MINUTES HOP 15 MINUTES) AS hopping FROM rides;
         CREATE FEATURE SERVICE model AS counts (*);",
    );
    world.write("rides.csv", "id,driver,at\na,1,2026-03-01T10:05:00Z\n");
    let engine = world.loaded(&["rides"]);
    let at = t("2026-03-01T10:05:00Z");
    for (after, plain, hopping) in [
        (-1, 0i64, 0i64),
        (0, 1, 0),
        (10 * MINUTE - 1, 1, 0),
        (10 * MINUTE, 1, 1),
        (30 * MINUTE, 1, 1),
        (30 * MINUTE + 1, 0, 1),
        (40 * MINUTE - 1, 0, 1),
        (40 * MINUTE, 0, 0),
    ] {
        let answers = one(&engine, "model", &[1i64.into()], at + after);
        let found: Vec<Value> = answers.into_iter().map(|a| a.value).collect();
        assert_eq!(
            found,
            [plain.into(), hopping.into()],
            "{after} us after the event"
        );
    }
}

/// logicalclocks/hopsworks-api#687: a cache's key lacks the feature group's id.
#[test]
fn nt_44_features_that_resemble_each_other_are_not_mixed() {
    let world = World::new(
        "CREATE ENTITY driver (driver BIGINT);
         CREATE ENTITY rider (rider BIGINT);
         CREATE STREAM rides (id STRING, driver BIGINT, rider BIGINT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE STREAM trips (id STRING, driver BIGINT, rider BIGINT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'trips.csv');
         CREATE FEATURE VIEW a ENTITY driver AS SELECT driver, sum(fare) OVER (LAST 1 HOURS) AS n FROM rides;
         CREATE FEATURE VIEW b ENTITY driver AS SELECT driver, sum(fare) OVER (LAST 1 HOURS) AS n FROM trips;
         CREATE FEATURE VIEW c ENTITY driver AS SELECT driver, sum(fare) OVER (LAST 2 HOURS) AS n FROM rides;
         CREATE FEATURE VIEW d ENTITY driver AS SELECT driver, sum(fare) OVER (LAST 1 HOURS) AS n FROM rides WHERE fare > 2;
         CREATE FEATURE VIEW e ENTITY driver AS
         SELECT driver, sum(fare) FILTER (WHERE fare < 2) OVER (LAST 1 HOURS) AS n FROM rides;
         CREATE FEATURE VIEW f ENTITY rider AS SELECT rider, sum(fare) OVER (LAST 1 HOURS) AS n FROM rides;
         CREATE FEATURE VIEW g ENTITY driver AS SELECT driver, sum(fare) OVER (LAST 1 HOURS BEFORE) AS n FROM rides;
         CREATE FEATURE SERVICE model AS a (n AS a), b (n AS b), c (n AS c), d (n AS d), e (n AS e), f (n AS f) FOR (driver), g (n AS g);",
    );
    let header = "id,driver,rider,fare,at\n";
    world.write(
        "rides.csv",
        &format!(
            "{header}a,1,2,1,2026-03-01T10:30:00Z\nb,1,2,4,2026-03-01T10:00:00Z\n\
             c,1,2,16,2026-03-01T09:00:00Z\nd,2,1,64,2026-03-01T10:00:00Z\n"
        ),
    );
    world.write(
        "trips.csv",
        &format!("{header}a,1,2,256,2026-03-01T10:00:00Z\n"),
    );
    let engine = world.loaded(&["rides", "trips"]);
    let found = values(&engine, "model", &[1i64.into()], "2026-03-01T10:30:00Z");
    let expected: Vec<Value> = [5.0, 256.0, 21.0, 4.0, 1.0, 64.0, 4.0]
        .into_iter()
        .map(Value::from)
        .collect();
    assert_eq!(found, expected);
}

/// feathr-ai/feathr#601: the parts of a compound key are taken for one another.
#[test]
fn nt_45_the_parts_of_a_compound_key_stay_apart() {
    let world = World::new(
        "CREATE ENTITY pair (left STRING, right STRING);
         CREATE STREAM rides (id STRING, left STRING, right STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.csv');
         CREATE FEATURE VIEW last_ride ENTITY pair AS SELECT left, right, id FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    let keys = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("", "abc"),
        ("c", "ab"),
        ("a", "a"),
    ];
    let mut text = "id,left,right,at\n".to_owned();
    for (i, (left, right)) in keys.iter().enumerate() {
        text.push_str(&format!(
            "r{i},\"{left}\",\"{right}\",2026-03-01T10:00:00Z\n"
        ));
    }
    text.push_str("half,a,,2026-03-01T11:00:00Z\n");
    world.write("rides.csv", &text);
    let engine = world.loaded(&["rides"]);
    let asked: Vec<Vec<Value>> = keys
        .iter()
        .map(|(l, r)| vec![(*l).into(), (*r).into()])
        .collect();
    let answer = read(
        &engine,
        &request(&engine, "model", asked, t("2026-03-01T11:00:00Z")),
    );
    for (i, row) in answer.rows.iter().enumerate() {
        assert_eq!(row[0].value, format!("r{i}").as_str().into());
    }
    // With a part that is NULL it is no key, neither in an event nor in a request.
    let half = one(
        &engine,
        "model",
        &["a".into(), Value::Null],
        t("2026-03-01T11:00:00Z"),
    );
    assert_eq!(half[0].status, Status::NotFound);
}
