//! Trials and backtests of a store: stopped and gone on with, compared with what is published,
//! refused with the reason; nothing of the store changes.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use evenkeel_connect::Table;
use evenkeel_engine::api::KnowledgeMode;
use evenkeel_engine::backtest::{BacktestOptions, BacktestReport, Triggers};
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::trial::{Difference, History, TrialOptions, TrialReport};
use evenkeel_engine::{ChangePlan, DefinitionFile, Engine, EngineError, views_of};
use evenkeel_log::{DiskFileSystem, FileSystem, Lock};
use evenkeel_train::Sample;
use evenkeel_types::{DataType, EventTime, Value, VisibleAt};

use crate::support::{Spine, World, t, train_table};

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'paid.jsonl');
CREATE TABLE owner (card STRING, name STRING, since TIMESTAMP, PRIMARY KEY (card), EVENT TIME since)
  WITH (connector = 'file', path = 'owner.jsonl');
CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER (LAST 1 HOURS) AS n, sum(amount) OVER (LAST 1 HOURS) AS total FROM paid;
CREATE FEATURE VIEW context ENTITY card AS
SELECT p.card, p.amount, o.name FROM paid p ASOF JOIN owner o ON p.card = o.card;
CREATE FEATURE SERVICE model AS spent (*), context (name);
";

const SPENT_NOW: &str = "CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER (LAST 2 HOURS) AS n, sum(amount) OVER (LAST 1 HOURS) AS total,
  max(amount) OVER (LAST 1 DAYS) AS most FROM paid;";

/// Twelve payments of three cards, a quarter of an hour apart.
fn payments() -> String {
    let line = |i: i64| {
        let card = ["a", "b", "c"][usize::try_from(i % 3).unwrap()];
        let time = evenkeel_types::time::format_timestamp(
            t("2026-03-02T08:00:00Z") + i * 15 * evenkeel_types::time::MINUTE,
        );
        format!("{{\"id\":\"p{i}\",\"card\":\"{card}\",\"amount\":{i}.25,\"at\":\"{time}\"}}\n")
    };
    (0..12).map(line).collect()
}

fn loaded() -> (World, Engine) {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    world.ingest_text(&mut engine, "paid", "paid.jsonl", &payments());
    let owners = "{\"card\":\"a\",\"name\":\"ada\",\"since\":\"2026-03-01T00:00:00Z\"}\n";
    world.ingest_text(&mut engine, "owner", "owner.jsonl", owners);
    (world, engine)
}

/// A payment that comes an hour after it was made.
fn late(world: &World, engine: &mut Engine) {
    world.clock.set(t("2026-03-02T13:00:00Z"));
    let line = "{\"id\":\"late\",\"card\":\"a\",\"amount\":100,\"at\":\"2026-03-02T08:40:00Z\"}\n";
    world.ingest_text(engine, "paid", "late.jsonl", line);
}

fn part_of(engine: &Engine, sql: &str) -> Result<ChangePlan, EngineError> {
    let file = DefinitionFile {
        name: "try.sql".to_owned(),
        text: sql.to_owned(),
    };
    let store = engine.offline();
    store.plan(&store.with_registered(vec![file]))
}

fn all() -> History {
    History {
        from: i64::MIN,
        to: i64::MAX,
        sample: Sample::ALL,
        cut: None,
    }
}

fn options(out: Option<PathBuf>) -> TrialOptions {
    TrialOptions {
        history: all(),
        out,
        replay: true,
        part_instants: 5,
    }
}

/// Tries the only view of a text; `progress` may stop it.
fn tried_until(
    engine: &Engine,
    sql: &str,
    options: &TrialOptions,
    progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
) -> Result<TrialReport, EngineError> {
    let plan = part_of(engine, sql)?;
    let file = DefinitionFile {
        name: String::new(),
        text: sql.to_owned(),
    };
    let views = plan.views(&views_of(&[file]));
    engine
        .offline()
        .try_view(&plan, &views[0], options, progress)
}

fn tried(engine: &Engine, sql: &str, options: &TrialOptions) -> Result<TrialReport, EngineError> {
    tried_until(engine, sql, options, &mut |_, _, _| {
        ControlFlow::Continue(())
    })
}

/// Every file of a folder with its bytes.
fn files(folder: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files(&path, into),
            false => into.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
}

#[test]
fn a_trial_compares_profiles_and_replays_and_changes_nothing() {
    let (world, engine) = loaded();
    let stored = |world: &World| {
        let mut found = Vec::new();
        files(&world.project().store, &mut found);
        found
    };
    let before = stored(&world);
    let out = world.path().join("trial.parquet");
    let report = tried(&engine, SPENT_NOW, &options(Some(out.clone()))).unwrap();
    assert_eq!(stored(&world), before);
    assert_eq!(engine.catalog().view("spent").unwrap().version, 1);
    assert_eq!((report.keys, report.instants, report.rows), (3, 12, 12));
    let comparison = report.comparison.unwrap();
    assert_eq!(
        (comparison.version, comparison.added.as_slice()),
        (1, &["most".to_owned()][..])
    );
    let counts: Vec<(u64, u64)> = comparison
        .features
        .iter()
        .map(|(_, d)| (d.equal, d.differ))
        .collect();
    // The second payment of a card on sees one more in two hours.
    assert_eq!(counts, [(6, 6), (12, 0)]);
    assert_eq!(comparison.features[0].1.largest, Some(1.0));
    let (_, most) = &report.features[2];
    assert_eq!((most.statistics.count, most.distinct_values), (12, 12));
    let replay = report.replay.unwrap();
    assert_eq!(
        (replay.mismatches, replay.events, replay.values_checked),
        (0, 12, 72)
    );
    assert!(replay.as_it_came);
    let table = Table::read(&out).unwrap();
    let names: Vec<&str> = table.fields().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["card", "event_time", "n", "total", "most"]);
    assert!(!world.path().join("trial.parquet.parts").exists());
    // What is published is what was tried.
    let same = tried(
        &engine,
        &engine.catalog().view("spent").unwrap().sql.clone(),
        &options(None),
    );
    let same = same.unwrap();
    assert_eq!(
        (same.published_as, same.comparison.is_none()),
        (Some(1), true)
    );
}

#[test]
fn a_row_view_has_the_rows_of_its_triggers() {
    let (_world, engine) = loaded();
    let sql = "CREATE FEATURE VIEW large ENTITY card AS
        SELECT p.card, p.amount, o.name FROM paid p ASOF JOIN owner o ON p.card = o.card WHERE p.amount > 5;";
    let report = tried(&engine, sql, &options(None)).unwrap();
    assert_eq!(
        (report.instants, report.rows, report.published_as),
        (12, 7, None)
    );
    let (_, name) = &report.features[1];
    assert_eq!((name.statistics.count, name.statistics.nulls), (2, 5));
    assert_eq!(report.replay.unwrap().mismatches, 0);
}

/// Of a feature that is compared.
fn difference<'a>(report: &'a TrialReport, feature: &str) -> &'a Difference {
    let comparison = report.comparison.as_ref().unwrap();
    let mut features = comparison.features.iter();
    let found = features.find(|(field, _)| field.name == feature);
    &found.unwrap().1
}

/// How many instants have a row of the new version alone, and of the published one alone.
fn rows_only(report: &TrialReport) -> (u64, u64) {
    let comparison = report.comparison.as_ref().unwrap();
    (comparison.rows_only_new, comparison.rows_only_published)
}

#[test]
fn rows_that_only_one_version_has_are_compared() {
    let (_world, mut engine) = loaded();
    let published = engine.catalog().view("context").unwrap().sql.clone();
    let fewer = "CREATE FEATURE VIEW context ENTITY card AS
        SELECT p.card, p.amount, o.name FROM paid p ASOF JOIN owner o ON p.card = o.card
        WHERE p.amount < 5 OR p.amount > 8;";
    let report = tried(&engine, fewer, &options(None)).unwrap();
    assert_eq!((report.instants, report.rows), (12, 9));
    // Readers behind a dropped row see the one before.
    let amount = difference(&report, "amount");
    assert_eq!((amount.equal, amount.differ), (9, 3));
    assert_eq!(amount.largest, Some(3.0));
    assert_eq!(difference(&report, "name").differ, 0);
    assert_eq!(rows_only(&report), (0, 3));
    let files = engine.with_registered(vec![DefinitionFile {
        name: "fewer.sql".to_owned(),
        text: fewer.to_owned(),
    }]);
    crate::support::apply(&mut engine, &files);
    let report = tried(&engine, &published, &options(None)).unwrap();
    assert_eq!((report.rows, rows_only(&report)), (12, (3, 0)));
    assert_eq!(difference(&report, "amount").differ, 3);
    // Rows that another source brings.
    let other = "CREATE FEATURE VIEW context ENTITY card AS SELECT card, name FROM owner;";
    let report = tried(&engine, other, &options(None)).unwrap();
    assert_eq!((report.instants, report.rows), (1, 1));
    let name = difference(&report, "name");
    assert_eq!((name.equal, name.differ, name.only_first), (12, 1, 1));
    assert_eq!(rows_only(&report), (1, 9));
}

#[test]
fn a_trial_that_was_stopped_goes_on_to_the_same() {
    let (world, mut engine) = loaded();
    let whole = tried(&engine, SPENT_NOW, &options(None)).unwrap();
    let out = world.path().join("trial.csv");
    let asked = options(Some(out.clone()));
    let stopped = tried_until(
        &engine,
        SPENT_NOW,
        &asked,
        &mut |stage, done, _| match stage == "spent" && done >= 10 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        },
    );
    assert!(matches!(stopped, Err(EngineError::Stopped)));
    assert!(!out.exists());
    // The cut is the one at which it was begun, whatever came since.
    late(&world, &mut engine);
    let report = tried(&engine, SPENT_NOW, &asked).unwrap();
    assert_eq!((report.resumed, &report.digest), (10, &whole.digest));
    assert_eq!(
        (&report.cut, &report.comparison.unwrap().features),
        (&whole.cut, &whole.comparison.unwrap().features)
    );
    assert_eq!(report.features, whole.features);
    // Done: the next one is new, and knows more.
    let next = tried(&engine, SPENT_NOW, &asked).unwrap();
    assert_eq!((next.resumed, next.instants), (0, 13));
    assert!(next.digest != whole.digest);
}

/// Stops the trial of [`SPENT_NOW`] when two of its parts are done.
fn stop(engine: &Engine, asked: &TrialOptions) {
    let stopped = tried_until(
        engine,
        SPENT_NOW,
        asked,
        &mut |stage, done, _| match stage == "spent" && done >= 10 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        },
    );
    assert!(matches!(stopped, Err(EngineError::Stopped)));
}

#[test]
fn a_cut_that_is_named_is_part_of_what_is_asked() {
    let (world, mut engine) = loaded();
    let mut asked = options(Some(world.path().join("trial.arrow")));
    asked.history.cut = Some(engine.cut());
    stop(&engine, &asked);
    late(&world, &mut engine);
    let at_cut = asked.history.cut.take();
    let report = tried(&engine, SPENT_NOW, &asked).unwrap();
    assert_eq!((report.resumed, report.instants), (0, 13));
    // Begun without: the cut that is named is another.
    stop(&engine, &asked);
    asked.history.cut = at_cut;
    let report = tried(&engine, SPENT_NOW, &asked).unwrap();
    assert_eq!((report.resumed, report.instants), (0, 12));
    stop(&engine, &asked);
    assert_eq!(tried(&engine, SPENT_NOW, &asked).unwrap().resumed, 10);
}

#[test]
fn what_is_in_the_place_of_the_parts_is_left_alone() {
    let (world, engine) = loaded();
    let asked = options(Some(world.path().join("trial.arrow")));
    let folder = world.path().join("trial.arrow.parts");
    let refused = || tried(&engine, SPENT_NOW, &asked).unwrap_err();
    fs::write(&folder, "mine").unwrap();
    assert!(matches!(refused(), EngineError::NotParts { .. }));
    assert_eq!(fs::read_to_string(&folder).unwrap(), "mine");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert!(matches!(refused(), EngineError::NotParts { .. }));
    assert!(folder.join("notes.txt").exists());
    fs::remove_file(folder.join("notes.txt")).unwrap();
    // One that a crash left empty is taken.
    stop(&engine, &asked);
    let lock = DiskFileSystem.lock(&folder.join("lock")).unwrap();
    assert!(matches!(lock, Lock::Taken(_)));
    let error = refused();
    assert!(matches!(error, EngineError::PartsBusy { .. }), "{error}");
    drop(lock);
    assert_eq!(tried(&engine, SPENT_NOW, &asked).unwrap().resumed, 10);
    assert!(!folder.exists());
}

#[test]
fn parts_of_another_question_and_damaged_parts_are_made_again() {
    let (world, engine) = loaded();
    let asked = options(Some(world.path().join("trial.arrow")));
    stop(&engine, &asked);
    let other = SPENT_NOW.replace("LAST 2 HOURS", "LAST 3 HOURS");
    let report = tried(&engine, &other, &asked).unwrap();
    assert_eq!(report.resumed, 0);
    stop(&engine, &asked);
    let damaged = world.path().join("trial.arrow.parts/000001.arrow");
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&damaged, bytes).unwrap();
    let report = tried(&engine, SPENT_NOW, &asked).unwrap();
    let whole = tried(&engine, SPENT_NOW, &options(None)).unwrap();
    assert_eq!((report.resumed, report.digest), (5, whole.digest));
}

#[test]
fn a_period_and_a_sample_bound_what_is_looked_at() {
    let (_world, engine) = loaded();
    let mut asked = options(None);
    asked.history.from = t("2026-03-02T09:00:00Z");
    asked.history.to = t("2026-03-02T10:00:00Z");
    let report = tried(&engine, SPENT_NOW, &asked).unwrap();
    assert_eq!((report.instants, report.keys), (4, 3));
    // The event at the end of the period is not in it.
    asked.history.to = asked.history.from;
    let empty = tried(&engine, SPENT_NOW, &asked).unwrap_err();
    assert!(matches!(empty, EngineError::EmptyPeriod { .. }), "{empty}");
    asked.history.to = asked.history.from + 1;
    asked.history.from = t("2026-03-02T08:59:00Z");
    assert_eq!(tried(&engine, SPENT_NOW, &asked).unwrap().instants, 1);
    asked.history.to = t("2026-03-02T08:59:30Z");
    let nothing = tried(&engine, SPENT_NOW, &asked).unwrap_err();
    assert!(
        matches!(nothing, EngineError::NothingToTry { .. }),
        "{nothing}"
    );
    assert!(
        nothing.to_string().contains("from 2026-03-02T08:59:00Z"),
        "{nothing}"
    );
}

#[test]
fn what_cannot_be_tried_is_refused_with_what_can() {
    let (_world, engine) = loaded();
    let refused = |sql: &str| tried(&engine, sql, &options(None)).unwrap_err().to_string();
    let on_demand =
        "CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE) AS SELECT x * n AS y FROM spent;";
    assert!(refused(on_demand).contains("no event brings one"));
    let new_source = "CREATE STREAM clicks (card STRING, at TIMESTAMP, EVENT TIME at);
        CREATE FEATURE VIEW clicked ENTITY card AS SELECT card, count(*) OVER (LAST 1 HOURS) AS n FROM clicks;";
    assert!(refused(new_source).contains("`clicks`, which is not in the store"));
    let mut asked = options(None);
    asked.out = Some(PathBuf::from("rows.txt"));
    let error = tried(&engine, SPENT_NOW, &asked).unwrap_err();
    assert!(error.to_string().contains("rows.txt"), "{error}");
    let derived = "CREATE STREAM named AS SELECT p.card, o.name FROM paid p ASOF JOIN owner o ON p.card = o.card;
        CREATE FEATURE VIEW names ENTITY card AS SELECT card, count(*) OVER (LAST 1 HOURS) AS n FROM named;";
    assert!(refused(derived).contains("it begins with the first event of the log"));
    let unknown = "CREATE FEATURE VIEW v ENTITY card AS SELECT card, count(*) OVER (LAST 1 HOURS) AS n FROM pait;";
    let error = part_of(&engine, unknown).unwrap_err();
    assert!(matches!(error, EngineError::Definitions(_)), "{error}");
    let plan = part_of(&engine, SPENT_NOW).unwrap();
    let error = plan.view("spend").unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `spent`?");
}

#[test]
fn what_is_registered_and_does_not_fit_any_more_is_left_out_of_a_trial() {
    let (_world, mut engine) = loaded();
    let more = "CREATE FEATURE VIEW doubled ENTITY card AS SELECT n * 2 AS twice, total FROM spent;
        CREATE FEATURE SERVICE doubling AS doubled (twice);";
    let files = engine.with_registered(vec![DefinitionFile {
        name: "more.sql".to_owned(),
        text: more.to_owned(),
    }]);
    crate::support::apply(&mut engine, &files);
    let text = "CREATE FEATURE VIEW spent ENTITY card AS
        SELECT card, sum(amount) OVER (LAST 2 HOURS) AS total FROM paid;";
    assert!(part_of(&engine, text).is_err());
    let own = |text: &str| {
        vec![DefinitionFile {
            name: "try.sql".to_owned(),
            text: text.to_owned(),
        }]
    };
    let store = engine.offline();
    let apart = store.plan_apart(own(text)).unwrap();
    assert_eq!(apart.left_out, ["doubled", "doubling@1"]);
    let view = apart.plan.view("spent").unwrap();
    let go_on = &mut |_: &str, _, _| ControlFlow::Continue(());
    let report = store.try_view(&apart.plan, &view, &options(None), go_on);
    let comparison = report.unwrap().comparison.unwrap();
    assert_eq!(comparison.removed, ["n"]);
    // Mistakes of one's own are told as ever.
    let wrong = store.plan_apart(own(&text.replace("amount", "amuont")));
    let EngineError::Definitions(found) = wrong.unwrap_err() else {
        panic!("mistakes are told");
    };
    assert_eq!(found[0].0, "try.sql");
    // What fits stays.
    assert!(
        store
            .plan_apart(own(SPENT_NOW))
            .unwrap()
            .left_out
            .is_empty()
    );
}

fn backtested_until(
    engine: &Engine,
    options: &BacktestOptions,
    progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
) -> Result<BacktestReport, EngineError> {
    let service = engine.service("model").unwrap();
    engine.offline().backtest(&service, options, progress)
}

fn backtested(engine: &Engine, options: &BacktestOptions) -> Result<BacktestReport, EngineError> {
    backtested_until(engine, options, &mut |_, _, _| ControlFlow::Continue(()))
}

fn backtest_options(out: Option<PathBuf>) -> BacktestOptions {
    BacktestOptions {
        triggers: Triggers::Source(Some("paid".to_owned())),
        history: all(),
        out,
        part_rows: 5,
    }
}

#[test]
fn a_backtest_says_what_lateness_makes() {
    let (world, mut engine) = loaded();
    let report = backtested(&engine, &backtest_options(None)).unwrap();
    assert_eq!((report.rows, report.differing), (12, 0));
    late(&world, &mut engine);
    let out = world.path().join("backtest.parquet");
    let report = backtested(&engine, &backtest_options(Some(out.clone()))).unwrap();
    assert_eq!((report.rows, report.differing), (13, 2));
    let names: Vec<&str> = report
        .features
        .iter()
        .map(|(f, _)| f.name.as_str())
        .collect();
    assert_eq!(names, ["n", "total", "name"]);
    let (_, total) = &report.features[1];
    // The payments of 08:45 and 09:30 did not see the one of 08:40, which came at 13:00.
    assert_eq!((total.differ, total.largest), (2, Some(100.0)));
    assert_eq!(total.examples[0].time, t("2026-03-02T08:45:00Z"));
    // The same as two training sets.
    let table = Table::read(&out).unwrap();
    let column = |name: &str, t: &DataType| table.column_as(name, t).unwrap();
    let times = |name: &str| -> Vec<i64> {
        let values = column(name, &DataType::Timestamp);
        let micros = |v| match v {
            Value::Timestamp(t) => t,
            other => panic!("{other:?}"),
        };
        values.iter().map(micros).collect()
    };
    let rows: Vec<Vec<Value>> = column("card", &DataType::String)
        .iter()
        .map(|v| vec![v])
        .collect();
    for (suffix, mode) in [
        ("", KnowledgeMode::AsServed),
        ("__latest", KnowledgeMode::Latest),
    ] {
        let spine = Spine {
            rows: &rows,
            times: times("event_time"),
            known_at: (mode == KnowledgeMode::AsServed).then(|| times("known_at")),
        };
        let service = engine.service("model").unwrap();
        let set = train_table(
            &engine,
            &service,
            &spine,
            None,
            &world.path().join("t.parquet"),
        );
        for field in service.features() {
            let trained = set.column_as(&field.name, &field.data_type).unwrap();
            let found = column(&format!("{}{suffix}", field.name), &field.data_type);
            assert!(
                trained
                    .iter()
                    .zip(found.iter())
                    .all(|(a, b)| a.same_bits(&b))
            );
        }
    }
}

#[test]
fn a_trigger_is_backtested_as_it_came_first() {
    let (world, mut engine) = loaded();
    world.clock.set(t("2026-03-05T00:00:00Z"));
    let truth: String = payments()
        .replace(":3.25", ":50")
        .lines()
        .filter(|line| !line.contains("\"p4\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let path = world.write("truth.jsonl", &truth);
    let offline = engine.offline();
    let source = offline.source("paid").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let day = |text| EventTime(t(text));
    let period = Period::new(day("2026-03-02T00:00:00Z"), day("2026-03-03T00:00:00Z")).unwrap();
    let go_on = &mut |_: &str, _, _| ControlFlow::Continue(());
    let difference = offline.difference(&source, truth, &period, engine.means(), go_on);
    engine.correct(&difference.unwrap(), go_on).unwrap();
    // The corrected one and the removed one are there as they came, at noon.
    let report = backtested(&engine, &backtest_options(None)).unwrap();
    assert_eq!((report.rows, report.differing), (12, 4));
    let (_, n) = &report.features[0];
    let (_, total) = &report.features[1];
    assert_eq!((n.differ, total.differ), (2, 4));
    assert_eq!(total.largest, Some(46.75));
    assert_eq!(total.examples[0].time, t("2026-03-02T08:45:00Z"));
}

#[test]
fn columns_of_a_backtest_have_names_of_their_own() {
    let (world, mut engine) = loaded();
    let files = engine.with_registered(vec![DefinitionFile {
        name: "services.sql".to_owned(),
        text: "CREATE FEATURE SERVICE timed AS spent (n AS event_time, total AS known_at);
            CREATE FEATURE SERVICE twice AS spent (n AS x, total AS x__latest);"
            .to_owned(),
    }]);
    crate::support::apply(&mut engine, &files);
    let backtest = |name: &str, out: PathBuf| {
        let service = engine.service(name).unwrap();
        let options = backtest_options(Some(out));
        engine
            .offline()
            .backtest(&service, &options, &mut |_, _, _| ControlFlow::Continue(()))
    };
    let out = world.path().join("timed.parquet");
    backtest("timed", out.clone()).unwrap();
    let table = Table::read(&out).unwrap();
    let names: Vec<&str> = table.fields().into_iter().map(|(name, _)| name).collect();
    let times = ["event_time_", "known_at_"];
    assert_eq!((names[0], &names[1..3]), ("card", &times[..]));
    let error = backtest("twice", world.path().join("twice.parquet")).unwrap_err();
    assert!(
        matches!(&error, EngineError::ColumnTwice { name } if name == "x__latest"),
        "{error}"
    );
}

#[test]
fn a_backtest_that_was_stopped_goes_on_to_the_same() {
    let (world, mut engine) = loaded();
    late(&world, &mut engine);
    let whole = backtested(&engine, &backtest_options(None)).unwrap();
    let asked = backtest_options(Some(world.path().join("b.arrow")));
    let stopped = backtested_until(
        &engine,
        &asked,
        &mut |stage, done, _| match stage == "model" && done >= 5 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        },
    );
    assert!(matches!(stopped, Err(EngineError::Stopped)));
    let report = backtested(&engine, &asked).unwrap();
    assert_eq!((report.resumed, &report.digest), (5, &whole.digest));
    assert_eq!(
        (report.differing, report.features),
        (whole.differing, whole.features)
    );
}

#[test]
fn triggers_are_events_or_rows_of_a_file() {
    let (world, engine) = loaded();
    let mut asked = backtest_options(None);
    asked.triggers = Triggers::Source(None);
    let error = backtested(&engine, &asked).unwrap_err();
    assert_eq!(error.hint().unwrap(), "name one: --source paid");
    asked.triggers = Triggers::Source(Some("pade".to_owned()));
    assert_eq!(
        backtested(&engine, &asked).unwrap_err().hint().unwrap(),
        "did you mean `paid`?"
    );
    let path = world.write(
        "spine.csv",
        "card,event_time,known_at\na,2026-03-02T09:00:00Z,2026-03-02T09:00:00Z\nb,2026-03-02T09:00:00Z,2026-03-02T12:00:00Z\n",
    );
    asked.triggers = Triggers::Spine {
        path,
        time_column: None,
        known_at_column: None,
    };
    let report = backtested(&engine, &asked).unwrap();
    // All events came at noon.
    assert_eq!((report.rows, report.differing, report.source), (2, 1, None));
    let (_, n) = &report.features[0];
    assert_eq!(n.examples[0].key, [serde_json::json!("a")]);
    assert_eq!(
        VisibleAt(n.examples[0].time),
        VisibleAt(t("2026-03-02T09:00:00Z"))
    );
    asked.history.from = t("2026-03-03T00:00:00Z");
    let error = backtested(&engine, &asked).unwrap_err();
    assert!(matches!(error, EngineError::NothingToTry { .. }), "{error}");
}
