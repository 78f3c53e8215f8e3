//! Batch views: whatever the order of runs, repetitions and deaths in the middle, a read at `t` is
//! what the query gives as of the last run up to `t`.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_engine::batch::RunRecord;
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::push::{PushedRow, Pusher, Write, Written};
use evenkeel_engine::{Asked, Engine, EngineError, Project, backup, restore};
use evenkeel_sql::{BatchRun, GoOn, Limits, RunReport, SqlColumns, SqlError};
use evenkeel_types::{EventTime, Value};
use proptest::prelude::*;

use crate::support::{World, time};

const DEFINITIONS: &str = "\
CREATE ENTITY shop (shop STRING);
CREATE STREAM orders (shop STRING, amount BIGINT, at TIMESTAMP, EVENT TIME at)
WITH (connector = 'file', path = 'orders.jsonl');
CREATE BATCH FEATURE VIEW recent ENTITY shop SCHEDULE '0 3 * * *' AS
SELECT shop, count(*) AS orders, sum(amount) AS total FROM orders
WHERE at > now() - INTERVAL '3 hours' GROUP BY shop;
";
const RECENT: &str = "SELECT shop, count(*) AS orders, sum(amount) AS total FROM orders \
    WHERE at > now() - INTERVAL '3 hours' GROUP BY shop ORDER BY shop";

fn at(hours: i64) -> EventTime {
    EventTime(time("2026-02-01").0 + hours * 3_600_000_000)
}

fn lines(orders: &[(u8, i64, i64)]) -> String {
    let line = |(shop, hours, amount): &(u8, i64, i64)| {
        format!(
            "{{\"shop\": \"s{shop}\", \"amount\": {amount}, \"at\": \"{}\"}}\n",
            at(*hours)
        )
    };
    orders.iter().map(line).collect()
}

/// Runs it, some rows at a time; so many are written, then it dies.
fn run_in_pieces(
    world: &mut World,
    view: &str,
    at: EventTime,
    again: bool,
    (rows_per_write, mut rows_max): (usize, usize),
) -> Result<RunReport, SqlError> {
    let offline = world.engine.offline();
    let go_on: GoOn = Arc::new(|| true);
    let mut pusher = Pusher::default();
    let asked = BatchRun {
        view,
        at,
        now: time("2026-03-01"),
        again,
        limits: Limits::NONE,
        rows_per_write,
    };
    let engine = &mut world.engine;
    asked.run::<SqlError>(
        &offline,
        &go_on,
        &mut |source, mut rows| {
            let is_cut = rows.len() > rows_max;
            rows.truncate(rows_max);
            rows_max -= rows.len();
            let source = Arc::clone(source);
            let written = engine.write(&mut pusher, Write::Considered { source, rows });
            match written.unwrap() {
                Written::Pushed(answer) if !is_cut => Ok(answer.rows),
                _ => Err(SqlError::Stopped),
            }
        },
        &mut |_, _| (),
    )
}

/// Runs it, all rows at once; so many are written, then it dies.
fn run(
    world: &mut World,
    view: &str,
    at: EventTime,
    again: bool,
    rows_max: usize,
) -> Result<RunReport, SqlError> {
    run_in_pieces(world, view, at, again, (usize::MAX, rows_max))
}

fn rows_at(world: &World, text: &str, at: EventTime) -> Vec<Vec<Value>> {
    let mut query = world.query(text);
    query.at = at;
    crate::support::values(&world.run(&query).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_read_is_the_query_as_of_the_last_run(
        orders in prop::collection::vec((0u8..4, 0i64..12, 1i64..9), 0..24),
        runs in prop::collection::vec((0i64..14, 0usize..6), 1..7),
        rows_per_write in 1usize..4,
    ) {
        let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&orders))]);
        let mut expected: BTreeMap<EventTime, Vec<Vec<Value>>> = BTreeMap::new();
        for (hours, dies_after) in runs {
            let dying = (rows_per_write, dies_after);
            let died = run_in_pieces(&mut world, "recent", at(hours), false, dying);
            let whole = (rows_per_write, usize::MAX);
            let report = run_in_pieces(&mut world, "recent", at(hours), false, whole).unwrap();
            let repeated = run(&mut world, "recent", at(hours), false, usize::MAX).unwrap();
            prop_assert_eq!(repeated.counts.written + repeated.counts.deleted, 0);
            prop_assert_eq!(report.counts.failed, 0);
            if died.is_ok() {
                prop_assert_eq!(report.counts.written, 0);
            }
            expected.insert(at(hours), rows_at(&world, RECENT, at(hours)));
            for hours in -1..15 {
                let t = at(hours);
                let last = expected.range(..=t).next_back();
                let last = last.map_or(Vec::new(), |(_, rows)| rows.clone());
                let read = rows_at(&world, "SELECT shop, orders, total FROM recent ORDER BY shop", t);
                prop_assert_eq!(read, last, "at {}", hours);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_that_were_left_unfinished_end_alike(
        orders in prop::collection::vec((0u8..4, 0i64..12, 1i64..9), 0..24),
        runs in prop::collection::vec((0i64..14, prop_oneof![0usize..4, Just(usize::MAX)]), 1..7),
        backwards in any::<bool>(),
    ) {
        let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&orders))]);
        for (hours, dies_after) in &runs {
            // It may die: that is what is tested.
            let _ = run(&mut world, "recent", at(*hours), false, *dies_after);
        }
        let mut hours: Vec<i64> = runs.iter().map(|(hours, _)| *hours).collect();
        if backwards {
            hours.reverse();
        }
        let mut expected: BTreeMap<EventTime, Vec<Vec<Value>>> = BTreeMap::new();
        for hours in hours {
            run(&mut world, "recent", at(hours), false, usize::MAX).unwrap();
            expected.insert(at(hours), rows_at(&world, RECENT, at(hours)));
        }
        for hours in -1..15 {
            let t = at(hours);
            let last = expected.range(..=t).next_back();
            let last = last.map_or(Vec::new(), |(_, rows)| rows.clone());
            let read = rows_at(&world, "SELECT shop, orders, total FROM recent ORDER BY shop", t);
            prop_assert_eq!(read, last, "at {}", hours);
        }
    }
}

#[test]
fn a_view_that_ran_takes_another_feature() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5)]))]);
    run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    let more = DEFINITIONS.replace("AS total FROM", "AS total, max(amount) AS most FROM");
    world.apply(&more);
    run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    let rows = |t| rows_at(&world, "SELECT total, most FROM recent", t);
    assert_eq!(rows(at(2)), [[Value::BigInt(5), Value::Null]]);
    assert_eq!(rows(at(3)), [[Value::BigInt(5), Value::BigInt(5)]]);
}

#[test]
fn a_run_that_only_began_takes_nothing_away() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5), (2, 1, 7)]))]);
    run(&mut world, "recent", at(3), false, 0).unwrap_err();
    run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    let totals = |world: &World| rows_at(world, "SELECT total FROM recent ORDER BY shop", at(4));
    assert_eq!(totals(&world), [[Value::BigInt(5)], [Value::BigInt(7)]]);
    run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    assert_eq!(totals(&world), [[Value::BigInt(5)], [Value::BigInt(7)]]);
}

#[test]
fn a_run_that_is_made_again_knows_what_came_since() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5), (2, 1, 7)]))]);
    let first = run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    assert_eq!((first.counts.rows, first.counts.written), (2, 2));
    world.ingest("orders", "late.jsonl", &lines(&[(1, 2, 1)]));
    let same = run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    assert_eq!((same.counts.written, same.counts.ignored), (0, 2));
    let again = run(&mut world, "recent", at(2), true, usize::MAX).unwrap();
    assert_eq!((again.record.revision, again.counts.written), (1, 2));
    let rows = rows_at(&world, "SELECT total FROM recent ORDER BY shop", at(3));
    assert_eq!(rows, [[Value::BigInt(6)], [Value::BigInt(7)]]);
    let later = run(&mut world, "recent", at(9), false, usize::MAX).unwrap();
    assert_eq!((later.counts.rows, later.counts.deleted), (0, 2));
    let error = run(&mut world, "recent", time("2026-03-02"), false, 0).unwrap_err();
    assert!(matches!(error, SqlError::RunInFuture { .. }), "{error}");
    let error = run(&mut world, "recnt", at(9), false, 0).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `recent`?");
}

#[test]
fn a_run_goes_on_as_another_if_a_view_that_it_reads_has_changed() {
    let doubled = "CREATE FEATURE VIEW doubled ENTITY shop AS\n\
        SELECT shop, sum(amount * 2) OVER h AS total FROM orders WINDOW h AS (LAST 1 DAYS);\n\
        CREATE BATCH FEATURE VIEW copied ENTITY shop SCHEDULE '0 3 * * *' AS\n\
        SELECT shop, total FROM doubled WHERE total > 0;\n";
    let definitions = format!("{DEFINITIONS}{doubled}");
    let orders = lines(&[(1, 1, 5), (2, 1, 7), (3, 1, -1)]);
    let mut world = World::batch(&definitions, &[("orders", &orders)]);
    run(&mut world, "copied", at(2), false, 1).unwrap_err();
    world.apply(&definitions.replace("amount * 2", "amount * -3"));
    let report = run(&mut world, "copied", at(2), false, usize::MAX).unwrap();
    assert_eq!(report.record.revision, 1);
    // One key has a row, and the one that the first revision wrote ends.
    let counts = report.counts;
    assert_eq!((counts.written, counts.deleted, counts.failed), (1, 1, 0));
    let rows = rows_at(
        &world,
        "SELECT shop, total FROM copied ORDER BY shop",
        at(3),
    );
    assert_eq!(rows, [[Value::from("s3"), Value::BigInt(3)]]);
    // What was finished stays, whatever is defined later.
    world.apply(&definitions);
    let same = run(&mut world, "copied", at(2), false, usize::MAX).unwrap();
    assert_eq!((same.record.revision, same.counts.written), (1, 0));
}

#[test]
fn what_was_begun_is_known_and_what_failed_before_it_wrote_is_not() {
    let failing = "CREATE BATCH FEATURE VIEW failing ENTITY shop SCHEDULE '0 3 * * *' AS\n\
        SELECT shop, amount FROM orders;\n";
    let definitions = format!("{DEFINITIONS}{failing}");
    let orders = lines(&[(1, 3, 5), (1, 3, 6)]);
    let mut world = World::batch(&definitions, &[("orders", &orders)]);
    let unfinished = |world: &World, view| RunRecord::unfinished(&world.engine.offline(), view);
    assert_eq!(unfinished(&world, "recent").unwrap(), []);
    run(&mut world, "recent", at(5), false, 0).unwrap_err();
    run(&mut world, "recent", at(3), false, 0).unwrap_err();
    run(&mut world, "recent", at(4), false, usize::MAX).unwrap();
    assert_eq!(unfinished(&world, "recent").unwrap(), [at(3), at(5)]);
    run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    assert_eq!(unfinished(&world, "recent").unwrap(), [at(5)]);
    // Two rows for a key.
    run(&mut world, "failing", at(3), false, usize::MAX).unwrap_err();
    assert_eq!(unfinished(&world, "failing").unwrap(), []);
    let path = world
        .path()
        .join(format!(".evenkeel/runs/recent/{}.0.json", at(3).0));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"rows\": 1", "\"rows\": 2")).unwrap();
    let error = run(&mut world, "recent", at(3), false, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("store"), "{error}");
    assert_eq!(unfinished(&world, "recent").unwrap(), [at(3), at(5)]);
    // Made again it is above whatever the damaged one wrote.
    let again = run(&mut world, "recent", at(3), true, usize::MAX).unwrap();
    assert_eq!((again.record.revision, again.counts.written), (1, 1));
    assert_eq!(unfinished(&world, "recent").unwrap(), [at(5)]);
    let same = run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    assert_eq!((same.record.revision, same.counts.written), (1, 0));
}

#[test]
fn a_backup_has_what_was_run() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5), (2, 1, 7)]))]);
    run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    run(&mut world, "recent", at(3), false, 1).unwrap_err();
    let target = world.path().join("backup");
    backup(world.engine.project(), &target, &mut |_, _| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let definitions = std::fs::read(world.path().join("definitions.sql")).unwrap();
    std::fs::write(folder.path().join("definitions.sql"), definitions).unwrap();
    let mut project = Project::open(folder.path(), None).unwrap();
    project.queries = Some(Arc::new(SqlColumns));
    restore(&project, &target).unwrap();
    world.engine = Engine::open(&project).unwrap();
    let again = run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    assert_eq!((again.counts.written, again.counts.ignored), (0, 2));
    let resumed = run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    assert_eq!((resumed.counts.written, resumed.counts.ignored), (1, 1));
    assert_eq!(resumed.record.revision, 0);
}

#[test]
fn a_run_that_is_made_while_a_backup_is_goes_on_in_the_copy() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5), (2, 1, 7)]))]);
    run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    let target = world.path().join("backup");
    let project = world.engine.project().clone();
    let mut made = Vec::new();
    backup(&project, &target, &mut |_, _| {
        // The log is being copied, as it was when that began.
        if made.is_empty() {
            made.push(run(&mut world, "recent", at(3), false, usize::MAX).unwrap());
            run(&mut world, "recent", at(4), false, 1).unwrap_err();
        }
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let definitions = std::fs::read(world.path().join("definitions.sql")).unwrap();
    std::fs::write(folder.path().join("definitions.sql"), definitions).unwrap();
    let mut project = Project::open(folder.path(), None).unwrap();
    project.queries = Some(Arc::new(SqlColumns));
    restore(&project, &target).unwrap();
    world.engine = Engine::open(&project).unwrap();
    let offline = world.engine.offline();
    let unfinished = RunRecord::unfinished(&offline, "recent").unwrap();
    assert_eq!(unfinished, [at(3), at(4)]);
    let again = run(&mut world, "recent", at(3), false, usize::MAX).unwrap();
    assert_eq!(again.record.identity(), made[0].record.identity());
    assert_eq!(again.counts.written + again.counts.ignored, 2);
}

#[test]
fn what_the_lake_has_is_read_from_there() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5), (2, 1, 7)]))]);
    let before = rows_at(&world, RECENT, at(2));
    let mut go_on = |_: &str, _, _| std::ops::ControlFlow::Continue(());
    let flushed = world.engine.offline().flush(&[], &mut go_on).unwrap();
    assert!(flushed.failed.is_empty(), "{:?}", flushed.failed);
    assert_eq!(rows_at(&world, RECENT, at(2)), before);
    let made = run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    assert_eq!(made.counts.written, 2);
}

#[test]
fn nobody_but_runs_writes_the_results() {
    let mut world = World::batch(DEFINITIONS, &[("orders", &lines(&[(1, 1, 5)]))]);
    run(&mut world, "recent", at(2), false, usize::MAX).unwrap();
    let path = world.path().join("rows.jsonl");
    std::fs::write(&path, "{\"shop\": \"s1\", \"total\": 9}\n").unwrap();
    let only_runs = |error: EngineError| {
        let hint = error.hint().unwrap_or_default();
        assert!(matches!(error, EngineError::OnlyRuns { .. }), "{error}");
        assert!(hint.contains("--again"), "{hint}");
    };
    only_runs(
        world
            .engine
            .ingest("recent_runs", Some(&path), &mut |_| ())
            .unwrap_err(),
    );
    let table = world.engine.source("recent_runs").unwrap();
    let asked = Asked::View {
        name: "recent".to_owned(),
        version: 1,
    };
    let row = PushedRow {
        values: Ok(vec![Value::Null; table.stored_fields().len()]),
        producer: None,
    };
    only_runs(
        world
            .engine
            .trigger(&mut Pusher::default(), &table, row, &asked)
            .map(|_| ())
            .unwrap_err(),
    );
    let followed = world.engine.follower("recent_runs", Some(&path));
    only_runs(followed.map(|_| ()).unwrap_err());
    let offline = world.engine.offline();
    let table = offline.source("recent_runs").unwrap();
    let truth = Truth::open(&table, world.path(), "rows.jsonl");
    let period = Period::new(at(0), at(9)).unwrap();
    let means = world.engine.means();
    let difference = offline.difference(&table, truth.unwrap(), &period, means, &mut |_, _, _| {
        std::ops::ControlFlow::Continue(())
    });
    only_runs(difference.map(|_| ()).unwrap_err());
}

#[test]
fn what_cannot_be_a_batch_view_is_refused_at_its_place() {
    let refused = |view: &str| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "CREATE ENTITY shop (shop STRING);\n\
             CREATE STREAM orders (shop STRING, amount BIGINT, at TIMESTAMP, EVENT TIME at);\n{view};"
        );
        std::fs::write(folder.path().join("d.sql"), &text).unwrap();
        let mut project = Project::open(folder.path(), None).unwrap();
        project.queries = Some(Arc::new(SqlColumns));
        let files = project.definition_files().unwrap();
        match evenkeel_engine::check(&project, &files) {
            Ok(_) => String::new(),
            Err(evenkeel_engine::EngineError::Definitions(found)) => found
                .iter()
                .map(|(_, d)| format!("{} @ {}\n", d.message, &text[d.span.start..d.span.end]))
                .collect(),
            Err(other) => other.to_string(),
        }
    };
    let head = "CREATE BATCH FEATURE VIEW v ENTITY shop SCHEDULE '0 3 * * *' AS";
    assert_eq!(
        refused(&format!(
            "{head} SELECT shop, sum(amount) AS s FROM orders GROUP BY shop"
        )),
        ""
    );
    for (view, wanted) in [
        (
            format!("{head} SELECT shop, sum(amuont) AS s FROM orders GROUP BY shop"),
            "there is no column `amuont`",
        ),
        (
            format!("{head} SELECT sum(amount) AS s FROM orders"),
            "has no column `shop`, which is the key",
        ),
        (
            format!("{head} SELECT amount AS shop, 1 AS s FROM orders"),
            "the key `shop` is BIGINT in the query",
        ),
        (
            format!("{head} SELECT shop FROM datasets.x"),
            "which a definition cannot read",
        ),
        (
            format!(
                "{head} SELECT reason AS shop, count(*) AS s FROM dead_letters.orders GROUP BY reason"
            ),
            "cannot read the dead letters of `orders`",
        ),
        (
            head.replace("VIEW v", "VIEW \"../v\"") + " SELECT shop, 1 AS s FROM orders",
            "cannot be the name of a batch view",
        ),
        (format!("{head} DROP TABLE orders"), "only reads"),
        (
            head.replace("0 3 * * *", "0 3 * *") + " SELECT shop FROM orders",
            "has 4 fields",
        ),
        (
            head.replace("ENTITY shop", "ENTITY shap") + " SELECT shop FROM orders",
            "there is no entity `shap`",
        ),
        (
            head.replace("VIEW v", "VIEW v (s DOUBLE)")
                + " SELECT shop, sum(amount) AS s FROM orders GROUP BY shop",
            "`s` is BIGINT in the query, and DOUBLE here",
        ),
        (
            head.replace("'0 3 * * *'", "") + " SELECT 1",
            "expected a schedule such as",
        ),
    ] {
        let said = refused(&view);
        assert!(said.contains(wanted), "{view}: {said}");
    }
}
