//! Pushed views: what is set of a row is there from its time on, everything else stays.

use evenkeel_engine::push::{Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{Engine, EngineError, PushedView};
use evenkeel_types::{EventTime, Status, Value};

use crate::support::{World, apply_text, one, t, values};

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM orders (id BIGINT, customer BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'orders.jsonl');
CREATE PUSHED FEATURE VIEW scores (risk DOUBLE, grade STRING, visits BIGINT) ENTITY customer
  COMMENT 'of the other team';
CREATE FEATURE VIEW order_risk ENTITY customer AS
SELECT o.customer, s.risk AS risk_then FROM orders o ASOF JOIN scores s ON o.customer = s.customer;
CREATE FEATURE SERVICE model AS scores (*);
";
const KEY: i64 = 7;

fn day(text: &str) -> i64 {
    t(&format!("2026-02-{text}T00:00:00Z"))
}

fn write(engine: &mut Engine, write: Write) -> RowAnswer {
    match engine.write(&mut Pusher::default(), write).unwrap() {
        Written::Pushed(mut answer) => answer.rows.remove(0),
        other => panic!("{other:?}"),
    }
}

fn set(engine: &mut Engine, features: &[(usize, Value)], at: Option<i64>) -> RowAnswer {
    let view = PushedView::of(engine.catalog(), "scores").unwrap();
    let key = vec![Value::BigInt(KEY)];
    let change = view.set(key, features.to_vec(), at.map(EventTime));
    write(engine, Write::Change(Box::new(change)))
}

fn delete(engine: &mut Engine, at: Option<i64>) -> RowAnswer {
    let view = PushedView::of(engine.catalog(), "scores").unwrap();
    let change = view.delete(vec![Value::BigInt(KEY)], at.map(EventTime));
    write(engine, Write::Change(Box::new(change)))
}

/// What is there on a day, read on all paths.
fn on(engine: &Engine, at: &str) -> Vec<Value> {
    values(
        engine,
        "model",
        &[Value::BigInt(KEY)],
        &format!("2026-02-{at}T12:00:00Z"),
    )
}

fn row(risk: f64, grade: &str, visits: Option<i64>) -> Vec<Value> {
    let visits = visits.map_or(Value::Null, Value::BigInt);
    vec![Value::Double(risk), Value::string(grade), visits]
}

#[test]
fn what_is_set_leaves_the_rest_of_the_row_as_it_was() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let both = [(0, Value::Double(0.5)), (1, Value::string("b"))];
    assert!(matches!(
        set(&mut engine, &both, Some(day("10"))),
        RowAnswer::Logged(_)
    ));
    set(&mut engine, &[(2, Value::BigInt(3))], Some(day("12")));
    set(&mut engine, &[(0, Value::Double(0.25))], Some(day("14")));
    // Late: it is made of the row of its own time, and holds until the next.
    set(&mut engine, &[(1, Value::string("c"))], Some(day("11")));
    for (at, wanted) in [
        ("10", row(0.5, "b", None)),
        ("11", row(0.5, "c", None)),
        ("12", row(0.5, "b", Some(3))),
        ("14", row(0.25, "b", Some(3))),
    ] {
        assert_eq!(on(&engine, at), wanted, "{at}");
    }
    let before = one(&engine, "model", &[Value::BigInt(KEY)], day("09"));
    assert!(
        before
            .iter()
            .all(|answer| answer.status == Status::NotFound)
    );
    delete(&mut engine, Some(day("16")));
    let ended = one(&engine, "model", &[Value::BigInt(KEY)], day("17"));
    assert!(ended.iter().all(|answer| answer.status == Status::NotFound));
    // What comes after the end begins anew.
    set(&mut engine, &[(0, Value::Double(1.0))], Some(day("18")));
    let anew = vec![Value::Double(1.0), Value::Null, Value::Null];
    assert_eq!(on(&engine, "18"), anew);
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(on(&engine, "14"), row(0.25, "b", Some(3)));
    assert_eq!(on(&engine, "18"), anew);
}

#[test]
fn without_a_time_it_holds_from_now_and_the_later_of_one_moment_wins() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    for visits in 0..20 {
        // The clock stands: all of one time.
        set(&mut engine, &[(2, Value::BigInt(visits))], None);
        set(&mut engine, &[(0, Value::Double(visits as f64))], None);
    }
    let now = engine.now();
    let found = one(&engine, "model", &[Value::BigInt(KEY)], now.0);
    assert_eq!(found[0].value, Value::Double(19.0));
    assert_eq!(found[2].value, Value::BigInt(19));
    assert_eq!(found[0].event_time, Some(now));
}

#[test]
fn others_join_what_was_set_at_their_time() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    set(&mut engine, &[(0, Value::Double(0.5))], Some(day("10")));
    set(&mut engine, &[(0, Value::Double(0.75))], Some(day("12")));
    let text = "{\"id\": 1, \"customer\": 7, \"at\": \"2026-02-11T00:00:00Z\"}\n";
    world.ingest_text(&mut engine, "orders", "orders.jsonl", text);
    apply_text(
        &mut engine,
        &DEFINITIONS.replace("scores (*)", "scores (*), order_risk (*)"),
    );
    let read = on(&engine, "13");
    assert_eq!(
        (&read[0], &read[3]),
        (&Value::Double(0.75), &Value::Double(0.5))
    );
}

#[test]
fn changes_of_one_row_are_not_made_of_each_other_unseen() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let view = PushedView::of(engine.catalog(), "scores").unwrap();
    let change = |feature: usize, value: Value| {
        let key = vec![Value::BigInt(KEY)];
        let change = view.clone().set(key, vec![(feature, value)], None);
        Write::Change(Box::new(change))
    };
    // Of two in one commit the second would not see the first: it is refused.
    let writes = vec![change(0, Value::Double(1.0)), change(2, Value::BigInt(2))];
    let judged = Pusher::default().judge(&engine, writes);
    let mut commit = judged.append(&engine.writer().unwrap()).unwrap();
    while engine.apply_some(&mut commit, 10).unwrap() {}
    let answers = commit.answers();
    assert!(matches!(answers[0], Ok(Written::Pushed(_))));
    assert!(matches!(answers[1], Err(EngineError::RowInUse { .. })));
    let unknown = PushedView::of(engine.catalog(), "order_risk");
    assert!(matches!(
        unknown,
        Err(EngineError::Unknown {
            what: "pushed view",
            ..
        })
    ));
}
