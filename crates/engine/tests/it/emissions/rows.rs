//! Rows: their order, when they could be known, and how many bytes they are.

use super::*;

const ORDERED: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM payments (id STRING, seq INT, card BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, SEQUENCE BY (seq));
CREATE STREAM taps (card BIGINT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW last_payment ENTITY card MATERIALIZED AS SELECT p.card, p.id FROM payments p;
CREATE FEATURE VIEW last_tap ENTITY card MATERIALIZED AS SELECT t.card, t.n FROM taps t;
CREATE FEATURE SERVICE emitted AS last_payment (*), last_tap (*);
CREATE FEATURE SERVICE evaluated AS last_payment_rows (*), last_tap_rows (*);
";

#[test]
fn emissions_of_one_time_have_the_order_of_their_triggers() {
    let world = World::new(ORDERED);
    let mut engine = world.engine();
    let payment =
        |id: &str, seq: i32| vec![Value::string(id), Value::Int(seq), Value::BigInt(7), at(10)];
    let tap = |n: i32| vec![Value::BigInt(7), Value::Int(n), at(10)];
    push(
        &mut engine,
        "payments",
        vec![payment("a", 2), payment("b", 1)],
    );
    push(&mut engine, "taps", vec![tap(9)]);
    push(&mut engine, "taps", vec![tap(3)]);
    for service in ["emitted", "evaluated"] {
        let key = vec![vec![Value::BigInt(7)]];
        let request = request(&engine, service, key, t(BEGIN) + 11 * MINUTE);
        let answer = read(&engine, &request);
        let values = answer.rows[0].iter().map(|a| a.value.clone());
        let values: Vec<Value> = values.collect();
        assert_eq!(values, [Value::string("a"), Value::Int(9)], "{service}");
    }
}

const DECLARED: &str = "
CREATE STREAM trips (id BIGINT, zone STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at);
CREATE TABLE zones (zone STRING, city STRING, at TIMESTAMP, PRIMARY KEY (zone), EVENT TIME at);
CREATE STREAM plain AS SELECT t.id FROM trips t;
CREATE STREAM placed AS SELECT t.id, z.city FROM trips t ASOF JOIN zones z ON t.zone = z.zone
  WHERE z.city IS NOT NULL ON LATE REVISE;
";

#[test]
fn what_is_made_of_what_came_later_is_not_known_before() {
    let world = World::new(DECLARED);
    let mut engine = world.engine();
    let trip = |id: i64| vec![Value::BigInt(id), Value::string("a"), at(10)];
    push(&mut engine, "trips", vec![trip(1)]);
    assert!(events(&engine, "placed").is_empty());
    let known_at = |stream: &str, engine: &Engine| -> Vec<bool> {
        let emissions = events(engine, stream);
        let declared = |e: &LoggedEvent| e.event.known_at == Some(e.visible_at());
        emissions.iter().map(declared).collect()
    };
    let zone = vec![Value::string("a"), Value::string("north"), at(5)];
    push(&mut engine, "zones", vec![zone]);
    push(&mut engine, "trips", vec![trip(2)]);
    // The first is there because its zone came late, the second knows a zone that was not known then.
    assert_eq!(known_at("placed", &engine), [false, false]);
    assert_eq!(known_at("plain", &engine), [true, true]);
}

const LARGE: &str = "
CREATE STREAM notes (id BIGINT, text STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM copied AS SELECT n.id, n.text FROM notes n;
CREATE STREAM counted AS SELECT c.id, count(*) OVER (PARTITION BY c.text RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS n
FROM copied c;
";

#[test]
fn emissions_that_are_many_bytes_are_several_commits() {
    let world = World::new(LARGE);
    let mut engine = world.engine();
    let text = Value::string("x".repeat(3 << 20));
    let note = |id: i64| vec![Value::BigInt(id), text.clone(), at(10 + id as u64)];
    push(&mut engine, "notes", (0..8).map(note).collect());
    assert_eq!(events(&engine, "copied").len(), 8);
    let counted: Vec<Value> = events(&engine, "counted")
        .into_iter()
        .map(|e| e.event.row[3].clone())
        .collect();
    assert_eq!(counted, (1..=8).map(Value::BigInt).collect::<Vec<_>>());
}
