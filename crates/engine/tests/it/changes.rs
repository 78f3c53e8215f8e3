//! Windows over the changes of a table: rows that were not there, and sources that evolve.

use evenkeel_engine::api::{KnowledgeMode, SpineSource};
use evenkeel_engine::{Engine, TrainingPlan};
use evenkeel_types::Value;

use crate::support::{World, apply_text, statuses, t, values};

const TABLE: &str = "CREATE TABLE accounts (account BIGINT, level INT, tier INT AS (coalesce(level, 0)),
  op STRING, changed TIMESTAMP, hour BIGINT AS (hour(changed)), PRIMARY KEY (account), EVENT TIME changed)
  WITH (connector = 'file', path = 'accounts.csv', operation = 'op');";
const VIEWS: &str = "
CREATE ENTITY account (account BIGINT);
CREATE FEATURE VIEW tiers ENTITY account AS
SELECT account, last_n(OLD.tier, 5) OVER w AS before, last_n(NEW.tier, 5) OVER w AS after,
  count(*) FILTER (WHERE OLD.tier IS NULL) OVER w AS new, last_n(coalesce(hour, OLD.hour), 5) OVER w AS hours
FROM accounts WINDOW w AS (ALL HISTORY);
CREATE FEATURE VIEW filled ENTITY account AS SELECT account, coalesce(level, 7) AS level, 1 AS one FROM accounts;
CREATE FEATURE VIEW of_filled ENTITY account AS
SELECT account, count(*) FILTER (WHERE OLD.level IS NULL) OVER w AS new_levels, max(OLD.one) OVER w AS ones
FROM filled WINDOW w AS (ALL HISTORY);
CREATE FEATURE SERVICE model AS tiers@1 (*), of_filled@1 (*);
";
const AT: &str = "2026-02-25T00:00:00Z";

fn read(engine: &Engine) -> Vec<Value> {
    values(engine, "model", &[Value::BigInt(1)], AT)
}

fn list(values: [Option<i32>; 3]) -> Vec<Value> {
    values
        .into_iter()
        .map(|v| v.map_or(Value::Null, Value::Int))
        .collect()
}

#[test]
fn what_is_computed_of_no_row_is_null_and_stays_so_when_a_column_is_widened() {
    let world = World::new(&format!("{TABLE}{VIEWS}"));
    let mut engine = world.engine();
    let rows = "account,level,op,changed\n1,,upsert,2026-02-20T01:00:00Z\n\
                1,3,upsert,2026-02-21T02:00:00Z\n1,,delete,2026-02-22T03:00:00Z\n";
    world.ingest_text(&mut engine, "accounts", "accounts1.csv", rows);
    let first = read(&engine);
    let array = |value: &Value| match value {
        Value::Array(items) => items.to_vec(),
        other => panic!("{other:?} is no list"),
    };
    assert_eq!(array(&first[0]), list([None, Some(0), Some(3)]));
    assert_eq!(array(&first[1]), list([Some(0), Some(3), None]));
    assert_eq!(first[2], Value::BigInt(1));
    assert_eq!(first[4], Value::BigInt(1));
    let wider = TABLE
        .replace("level INT,", "level BIGINT,")
        .replace("tier INT", "tier BIGINT");
    apply_text(&mut engine, &format!("{wider}{VIEWS}"));
    assert_eq!(read(&engine), first);
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(read(&engine), first);
}

#[test]
fn a_key_whose_rows_have_lapsed_is_still_known() {
    let world = World::new(
        "CREATE ENTITY customer (customer BIGINT);
CREATE TABLE loans (loan BIGINT, customer BIGINT, at TIMESTAMP, PRIMARY KEY (loan), EVENT TIME at,
  RETAIN INTERVAL '10' DAY FOR (loan)) WITH (connector = 'file', path = 'loans.csv');
CREATE FEATURE VIEW open ENTITY customer AS SELECT customer, count(*) AS n FROM loans GROUP BY customer;
CREATE FEATURE SERVICE model AS open (*);",
    );
    let mut engine = world.engine();
    let rows = "loan,customer,at\n1,1,2026-02-01T00:00:00Z\n";
    world.ingest_text(&mut engine, "loans", "loans1.csv", rows);
    assert_eq!(
        values(
            &engine,
            "model",
            &[Value::BigInt(1)],
            "2026-02-05T00:00:00Z"
        ),
        [Value::BigInt(1)]
    );
    let later = crate::support::one(&engine, "model", &[Value::BigInt(1)], t(AT));
    assert_eq!(later[0].value, Value::BigInt(0));
    assert_eq!(
        later[0].event_time.map(|at| at.0),
        Some(t("2026-02-01T00:00:00Z"))
    );
    assert_eq!(statuses(&engine, "model", &[Value::BigInt(2)], AT).len(), 1);
}

/// Windows over changes contain a change at their end, whatever key its event has.
#[test]
fn training_counts_rows_at_the_time_of_a_change() {
    let definitions = "CREATE ENTITY town (town STRING);
        CREATE TABLE shops (shop STRING, town STRING, op STRING, at TIMESTAMP, PRIMARY KEY (shop), EVENT TIME at)
          WITH (connector = 'file', path = 'shops.csv', operation = 'op');
        CREATE FEATURE VIEW moved ENTITY town AS
        SELECT town, count(OLD.town) OVER (ALL HISTORY) AS closed FROM shops;
        CREATE FEATURE SERVICE model AS moved (*);";
    let world = World::new(definitions);
    let mut engine = world.engine();
    let rows =
        "shop,town,op,at\nx,Ulm,upsert,2026-02-20T01:00:00Z\nx,,delete,2026-02-22T03:00:00Z\n";
    world.ingest_text(&mut engine, "shops", "shops1.csv", rows);
    let spine = world.write(
        "spine.csv",
        "town,event_time,known_at\nUlm,2026-02-22T03:00:00Z,2026-02-22T03:00:00Z\n\
         Ulm,2026-02-22T03:00:01Z,2026-03-03T00:00:00Z\nUlm,2026-02-22T03:00:00Z,2026-03-03T00:00:00Z\n\
         Bonn,2026-02-22T03:00:00Z,2026-03-03T00:00:00Z\n",
    );
    let counted = |knowledge| {
        let plan = TrainingPlan {
            service: engine.service("model").unwrap(),
            spine: SpineSource::File {
                path: spine.clone(),
                time_column: None,
                known_at_column: None,
            },
            knowledge,
            cut: None,
            statuses: false,
            values_max: u64::MAX,
        };
        let set = engine.training_set(&plan, &mut |_, _, _| ()).unwrap();
        set.coincident
    };
    // The end of the row has no town: it is the row's.
    assert_eq!(counted(KnowledgeMode::Latest), [("shops".to_owned(), 2)]);
    // The first row does not know of it yet.
    assert_eq!(counted(KnowledgeMode::AsServed), [("shops".to_owned(), 1)]);
}
