//! Calls: with the row laid over, a read answers what it answers once the row is logged, for
//! every kind of view; and nothing is left of a call.

use std::sync::Arc;

use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{Answers, Call, Called, Engine, ReadPlan};
use evenkeel_types::codec::encode_values;
use evenkeel_types::{EventTime, Knowledge, Origin, Value};
use proptest::prelude::*;

use crate::support::{World, t};

const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE ENTITY shop (shop STRING);
CREATE ENTITY loan (loan BIGINT);
CREATE STREAM payments (id BIGINT, card BIGINT, shop STRING, amount DOUBLE, double_amount DOUBLE AS (amount * 2),
  at TIMESTAMP, EVENT ID (id), EVENT TIME at, CHECK (amount >= 0)) WHERE shop <> 'test';
CREATE STREAM swipes (id BIGINT, card BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '12' HOUR);
CREATE STREAM taps (card BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE TABLE loans (loan BIGINT, card BIGINT, amount DOUBLE, op STRING, at TIMESTAMP,
  PRIMARY KEY (loan), EVENT TIME at) WITH (connector = 'file', path = 'loans.csv', operation = 'op');
CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER d AS n, sum(double_amount) OVER d AS total, max(amount) OVER b AS most_before,
  last_n(shop, 3) OVER r AS shops
FROM payments WINDOW d AS (LAST 1 DAYS), b AS (LAST 1 DAYS BEFORE), r AS (ROWS BETWEEN 4 PRECEDING AND CURRENT ROW);
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, avg(amount) OVER (LAST 3 DAYS) AS mean, count_distinct(card) OVER (LAST 3 DAYS) AS cards FROM payments;
CREATE FEATURE VIEW swipes_of ENTITY card AS
SELECT card, count(*) OVER (ALL HISTORY) AS swipes, last_n(id, 3) OVER (LAST 1 DAYS) AS swiped FROM swipes;
CREATE FEATURE VIEW last_swipe ENTITY card AS SELECT card, id AS last_id FROM swipes;
CREATE FEATURE VIEW taps_of ENTITY card AS SELECT card, count(*) OVER (LAST 1 DAYS) AS taps FROM taps;
CREATE FEATURE VIEW owed ENTITY card AS SELECT card, count(*) AS loans, sum(amount) AS owed FROM loans GROUP BY card;
CREATE FEATURE VIEW loan_changes ENTITY card AS
SELECT card, count(*) FILTER (WHERE OLD.amount < NEW.amount) OVER w AS raised,
  count(*) FILTER (WHERE NEW.loan IS NULL) OVER w AS ended, last_n(OLD.amount, 3) OVER w AS amounts_before
FROM loans WINDOW w AS (LAST 3 DAYS);
CREATE FEATURE VIEW loan_now ENTITY loan AS SELECT loan, amount, card AS by_card FROM loans;
CREATE FEATURE VIEW last_payment ENTITY card AS
SELECT p.card, p.shop, p.amount, s.mean AS mean_there, o.owed AS owed_then
FROM payments p ASOF JOIN of_shop s ON p.shop = s.shop ASOF JOIN owed o ON p.card = o.card;
CREATE FEATURE VIEW share ENTITY card AS SELECT s.total / o.owed AS share FROM spent s JOIN owed o USING (card);
CREATE STREAM spending AS SELECT p.card, p.shop, p.amount, s.mean FROM payments p ASOF JOIN of_shop s ON p.shop = s.shop;
CREATE STREAM taps_seen AS SELECT t.card, g.amount FROM taps t ASOF JOIN spending g ON t.card = g.card;
CREATE FEATURE VIEW spending_of ENTITY card AS
SELECT card, sum(mean) OVER (LAST 3 DAYS) AS means, last_n(shop, 3) OVER (LAST 3 DAYS) AS where_to FROM spending;
CREATE FEATURE VIEW seen_of ENTITY card AS SELECT card, sum(amount) OVER (LAST 3 DAYS) AS seen FROM taps_seen;
CREATE FEATURE SERVICE of_card AS spent (*), taps_of (*), owed (*), last_payment (*), share (*), loan_changes (*),
  spending_of (*), seen_of (*), swipes_of (*), last_swipe (*);
CREATE FEATURE SERVICE of_a_shop AS of_shop (*);
CREATE FEATURE SERVICE of_loan AS loan_now (*);
";

/// A value in bytes, its status, its time.
type Said = (Vec<u8>, String, Option<EventTime>);

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) % bound
    }
}

/// A row of a source; `i` makes its time its own.
fn row(random: &mut Random, i: i64) -> (&'static str, Vec<Value>) {
    let spread = 4 * 24 * 60 * 60 * 1_000_000;
    let at = t("2026-02-20T00:00:00Z") + (random.below(spread) as i64 / 1_000) * 1_000 + i;
    let at = Value::Timestamp(at);
    let card = match random.below(9) {
        0 => Value::Null,
        card => Value::BigInt(card as i64 % 4),
    };
    let amount = Value::Double(random.below(1_000) as f64 / 8.0);
    match random.below(5) {
        0 => ("taps", vec![card, at]),
        // Few ids: another of the same is often within twelve hours.
        4 => {
            let id = Value::BigInt(random.below(4) as i64);
            ("swipes", vec![id, card, at])
        }
        1 => {
            let op = Value::string(["upsert", "upsert", "delete"][random.below(3) as usize]);
            let loan = Value::BigInt(random.below(5) as i64);
            ("loans", vec![loan, card, amount, op, at])
        }
        _ => {
            let shop = Value::string(["a", "b"][random.below(2) as usize]);
            ("payments", vec![Value::BigInt(i), card, shop, amount, at])
        }
    }
}

fn plan(engine: &Engine, service: &str) -> ReadPlan {
    ReadPlan::new(engine.service(service).unwrap())
}

fn bytes(answers: &Answers) -> Vec<Said> {
    let rows = answers.to_rows().into_iter().flatten();
    rows.map(|a| {
        (
            encode_values([&a.value]),
            a.status.to_string(),
            a.event_time,
        )
    })
    .collect()
}

/// What every service says of keys that the row may have, and of others.
fn all(engine: &Engine, read: impl Fn(&ReadPlan, &[Vec<Value>]) -> Answers) -> Vec<Vec<Said>> {
    let numbers = |n: i64| (0..n).map(|i| vec![Value::BigInt(i)]).collect::<Vec<_>>();
    let shops: Vec<Vec<Value>> = ["a", "b", "c"]
        .iter()
        .map(|s| vec![Value::string(*s)])
        .collect();
    [
        ("of_card", numbers(5)),
        ("of_a_shop", shops),
        ("of_loan", numbers(6)),
    ]
    .into_iter()
    .map(|(service, keys)| bytes(&read(&plan(engine, service), &keys)))
    .collect()
}

fn called(engine: &Engine, source: &str, row: &[Value], origin: Option<Origin>) -> Call {
    let source = engine.source(source).unwrap();
    match engine.call(&source, row.to_vec(), origin).unwrap() {
        Called::Row(call) => *call,
        other => panic!("{other:?}"),
    }
}

fn push(engine: &mut Engine, source: &str, row: &[Value]) -> RowAnswer {
    let source = engine.source(source).unwrap();
    let rows = vec![PushedRow {
        values: Ok(row.to_vec()),
        producer: None,
    }];
    let write = Write::Push { source, rows };
    match engine.write(&mut Pusher::default(), write).unwrap() {
        Written::Pushed(mut answer) => answer.rows.remove(0),
        _ => panic!("a push is answered as one"),
    }
}

fn read_at(engine: &Engine, at: EventTime) -> Vec<Vec<Said>> {
    let knowledge = Knowledge {
        cut: engine.cut(),
        known_at: None,
    };
    all(engine, |plan, keys| {
        engine.read(plan, keys, at, &knowledge).unwrap()
    })
}

fn call_all(engine: &Engine, call: &Call) -> Vec<Vec<Said>> {
    let cut = engine.cut();
    all(engine, |plan, keys| {
        engine.read_call(plan, call, keys, &cut).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_call_is_the_read_behind_the_push(seed in any::<u64>(), events in 5i64..60) {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        for i in 0..events {
            let (source, row) = row(&mut random, i);
            let call = called(&engine, source, &row, None);
            prop_assert!(!call.is_known());
            let before = read_at(&engine, call.event_time());
            let with_it = call_all(&engine, &call);
            // Nothing is left of it.
            prop_assert_eq!(&read_at(&engine, call.event_time()), &before);
            prop_assert!(matches!(push(&mut engine, source, &row), RowAnswer::Logged(_)));
            prop_assert_eq!(read_at(&engine, call.event_time()), with_it, "{} {:?}", source, row);
            if source == "payments" {
                // What is there already counts once.
                let again = called(&engine, source, &row, None);
                prop_assert!(again.is_known());
                prop_assert_eq!(call_all(&engine, &again), read_at(&engine, call.event_time()));
            }
            if random.below(10) == 0 {
                engine.checkpoint().unwrap();
            }
            if random.below(15) == 0 {
                drop(engine);
                engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
            }
        }
    }
}

#[test]
fn the_row_sorts_behind_all_of_its_time() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let at = Value::Timestamp(t("2026-02-20T00:00:00Z"));
    let payment = |id: i64, shop: &str| {
        vec![
            Value::BigInt(id),
            Value::BigInt(1),
            Value::string(shop),
            Value::Double(1.0),
            at.clone(),
        ]
    };
    push(&mut engine, "payments", &payment(9, "b"));
    let call = called(&engine, "payments", &payment(1, "a"), None);
    let answers = engine
        .read_call(
            &plan(&engine, "of_card"),
            &call,
            &[vec![Value::BigInt(1)]],
            &engine.cut(),
        )
        .unwrap();
    let Value::Array(shops) = &answers.to_rows()[0][3].value else {
        panic!("shops are a list")
    };
    assert_eq!(shops.as_ref(), [Value::string("b"), Value::string("a")]);
}

#[test]
fn producers_and_rows_that_are_none() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let at = Value::Timestamp(t("2026-02-20T00:00:00Z"));
    let tap = vec![Value::BigInt(1), at.clone()];
    let origin = || Origin::Producer {
        id: "till".to_owned(),
        sequence: 7,
    };
    assert!(!called(&engine, "taps", &tap, Some(origin())).is_known());
    let source = engine.source("taps").unwrap();
    let rows = vec![PushedRow {
        values: Ok(tap.clone()),
        producer: Some((Arc::from("till"), 7)),
    }];
    engine
        .write(&mut Pusher::default(), Write::Push { source, rows })
        .unwrap();
    assert!(called(&engine, "taps", &tap, Some(origin())).is_known());
    assert!(!called(&engine, "taps", &tap, None).is_known());
    let payments = engine.source("payments").unwrap();
    let judged = |shop: &str, amount: f64, at: Value| {
        let row = vec![
            Value::BigInt(1),
            Value::BigInt(1),
            Value::string(shop),
            Value::Double(amount),
            at,
        ];
        engine.call(&payments, row, None).unwrap()
    };
    assert!(matches!(judged("test", 1.0, at.clone()), Called::LeftOut));
    let code = |called: Called| match called {
        Called::Rejected { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(judged("a", -1.0, at)), "CHECK");
    assert_eq!(code(judged("a", 1.0, Value::Null)), "EVENT_TIME");
    assert_eq!(
        code(judged(
            "a",
            1.0,
            Value::Timestamp(t("2027-01-01T00:00:00Z"))
        )),
        "FUTURE"
    );
    assert_eq!(
        engine
            .status()
            .unwrap()
            .sources
            .iter()
            .map(|s| s.dead_letters)
            .sum::<u64>(),
        0
    );
}
