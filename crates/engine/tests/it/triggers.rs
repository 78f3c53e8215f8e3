//! Triggers: each is answered at its own place in the log, whatever shares its commit, and the
//! same bits come of its result for ever.

use std::sync::Arc;

use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::push::{Judged, PushedRow, Pusher, RowAnswer, Undecoded, Write, Written};
use evenkeel_engine::{Asked, Engine, EngineError, ReadPlan, ResultId, Trigger, TriggerResult};
use evenkeel_log::ReadOptions;
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{
    Cut, EventTime, Knowledge, LoggedEvent, Offset, Position, SourceId, Status, Value,
};
use evenkeel_view::oracle::Oracle;
use proptest::prelude::*;

use crate::support::{World, apply_text, t};

const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE ENTITY shop (shop STRING);
CREATE STREAM payments (id BIGINT, card BIGINT, shop STRING, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, CHECK (amount >= 0)) WHERE shop <> 'test' WITH (partitions = '3');
CREATE STREAM taps (card BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE TABLE limits (card BIGINT, most DOUBLE, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER d AS n, sum(amount) OVER d AS total, max(amount) OVER b AS most_before
FROM payments WINDOW d AS (LAST 1 DAYS), b AS (LAST 1 DAYS BEFORE);
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, avg(amount) OVER (LAST 3 DAYS) AS mean, count_distinct(card) OVER (LAST 3 DAYS) AS cards FROM payments;
CREATE FEATURE VIEW taps_of ENTITY card AS SELECT card, count(*) OVER (LAST 1 DAYS) AS taps FROM taps;
CREATE FEATURE VIEW decision ENTITY card AS
SELECT p.card, p.amount, s.mean AS mean_there, l.most AS most_allowed, t.taps
FROM payments p ASOF JOIN of_shop s ON p.shop = s.shop ASOF JOIN limits l ON p.card = l.card
  ASOF JOIN taps_of t ON p.card = t.card;
CREATE FEATURE SERVICE of_payment AS spent (*), of_shop (*), decision (*);
";
const START: &str = "2026-02-20T00:00:00Z";

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) % bound
    }
}

fn payment(id: i64, card: i64, shop: &str, amount: f64, minute: u64) -> Vec<Value> {
    vec![
        Value::BigInt(id),
        Value::BigInt(card),
        Value::string(shop),
        Value::Double(amount),
        at(minute),
    ]
}

fn at(minute: u64) -> Value {
    Value::Timestamp(t(START) + i64::try_from(minute).unwrap() * 60_000_000)
}

fn pushed(row: &[Value]) -> PushedRow {
    PushedRow {
        values: Ok(row.to_vec()),
        producer: None,
    }
}

/// A payment, often one that came before, sometimes with another amount.
fn random_payment(random: &mut Random) -> Vec<Value> {
    let id = random.below(12);
    let amount = if random.below(6) == 0 {
        random.below(5) as f64
    } else {
        id as f64 / 8.0
    };
    let shop = ["a", "b"][(id % 2) as usize];
    payment(id as i64, (id % 3) as i64, shop, amount, 60 * (id % 9))
}

fn random_write(engine: &Engine, random: &mut Random) -> Write {
    let source = |name: &str| engine.source(name).unwrap();
    let card = Value::BigInt(random.below(3) as i64);
    match random.below(6) {
        0 => {
            let row = [card, at(random.below(600))];
            let source = source("taps");
            let rows = vec![pushed(&row), pushed(&row)];
            Write::Push { source, rows }
        }
        1 => {
            let most = Value::Double(random.below(9) as f64);
            let rows = vec![pushed(&[card, most, at(random.below(600))])];
            let source = source("limits");
            Write::Push { source, rows }
        }
        2 => {
            let rows = vec![pushed(&random_payment(random))];
            let source = source("payments");
            Write::Push { source, rows }
        }
        _ => {
            let row = pushed(&random_payment(random)).into();
            let source = source("payments");
            Write::Trigger { source, row }
        }
    }
}

/// A value in bytes, and its status.
type Said = (Vec<u8>, String);

fn said(value: &Value, status: Status) -> Said {
    let value = match status {
        Status::Present => value,
        _ => &Value::Null,
    };
    (encode_values([value]), status.to_string())
}

fn bytes(result: &TriggerResult) -> Vec<Said> {
    let rows = result.answers.to_rows();
    let answers = rows.iter().flatten();
    answers.map(|a| said(&a.value, a.status)).collect()
}

/// The times of the rows that answers are of.
fn times(result: &TriggerResult) -> Vec<Option<EventTime>> {
    let rows = result.answers.to_rows();
    rows.iter().flatten().map(|a| a.event_time).collect()
}

/// What the log has, in its order.
fn logged(engine: &Engine) -> Vec<LoggedEvent> {
    let events = engine.reader().read(ReadOptions::default());
    events.map(|event| event.unwrap()).collect()
}

/// What the oracle says of an event by the events up to it.
fn of_the_oracle(
    events: &[LoggedEvent],
    service: &ServiceDef,
    (source, position): (SourceId, Position),
) -> (Cut, Vec<Said>) {
    let mut cut = Cut::empty();
    let end = |event: &LoggedEvent| Offset(event.position.offset.0 + 1);
    let trigger = events
        .iter()
        .find(|event| {
            cut.set_end(event.source, event.position.partition, end(event));
            event.source == source && event.position == position
        })
        .unwrap();
    let knowledge = Knowledge {
        cut: cut.clone(),
        known_at: None,
    };
    let oracle = Oracle::new(events);
    let row = &trigger.event.row;
    let mut said_of = Vec::new();
    for item in &service.items {
        let key = match item.key[0].as_str() {
            "card" => row[1].clone(),
            _ => row[2].clone(),
        };
        let time = trigger.event.event_time.0;
        let read = oracle.read(&item.view, &[key], time, &knowledge, &[]);
        let features = item.features.iter();
        said_of.extend(features.map(|(f, _)| said(&read.values[*f], read.status(*f))));
    }
    (cut, said_of)
}

fn apply(engine: &mut Engine, judged: Judged) -> Vec<Written> {
    let log = engine.writer().unwrap();
    let mut commit = judged.append(&log).unwrap();
    while engine.apply_some(&mut commit, 3).unwrap() {}
    let answers = commit.answers().into_iter();
    answers.map(|answer| answer.unwrap()).collect()
}

fn write(engine: &mut Engine, pusher: &mut Pusher, write: Write) -> Written {
    engine.write(pusher, write).unwrap()
}

fn plain_push(engine: &mut Engine, source: &str, row: &[Value]) {
    let source = engine.source(source).unwrap();
    let rows = vec![pushed(row)];
    write(engine, &mut Pusher::default(), Write::Push { source, rows });
}

/// Removes and replaces some payments.
fn correct(engine: &mut Engine, world: &World, random: &mut Random) {
    let truth: String = (0..12)
        .filter(|_| random.below(3) > 0)
        .map(|id| {
            let minute = t(START) + 60 * (id % 9) * 60_000_000;
            let at = evenkeel_types::time::format_timestamp(minute);
            let shop = ["a", "b"][(id % 2) as usize];
            let card = id % 3;
            format!("{{\"id\":{id},\"card\":{card},\"shop\":\"{shop}\",\"amount\":7.5,\"at\":\"{at}\"}}\n")
        })
        .collect();
    let path = world.write("truth.jsonl", &truth);
    let offline = engine.offline();
    let source = engine.source("payments").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let begin = t(START) - 1;
    let period = Period::new(EventTime(begin), EventTime(t("2026-02-21T00:00:00Z"))).unwrap();
    let go_on = |_: &str, _: u64, _: u64| std::ops::ControlFlow::Continue(());
    let difference = offline
        .difference(&source, truth, &period, engine.means(), &mut { go_on })
        .unwrap();
    engine.correct(&difference, &mut { go_on }).unwrap();
}

fn restarted(world: &World, engine: Engine) -> Engine {
    drop(engine);
    Engine::open_with(&world.project(), world.clock.clone()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn each_is_answered_at_its_place_for_ever(seed in any::<u64>(), commits in 2usize..9) {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let mut pusher = Pusher::default();
        let service = engine.service("of_payment").unwrap();
        let plan = ReadPlan::new(Arc::clone(&service));
        let asked = Asked::of_service(engine.catalog(), "of_payment").unwrap();
        let payments = engine.source("payments").unwrap();
        let mut results: Vec<TriggerResult> = Vec::new();
        for _ in 0..commits {
            let count = 1 + random.below(8);
            let writes: Vec<Write> = (0..count)
                .map(|_| random_write(&engine, &mut random))
                .collect();
            let rows: Vec<Option<Vec<Value>>> = writes
                .iter()
                .map(|write| match write {
                    Write::Trigger { row, .. } => row.row.values.clone().ok(),
                    _ => None,
                })
                .collect();
            let judged = pusher.judge(&engine, writes);
            let answers = apply(&mut engine, judged);
            let events = logged(&engine);
            for (row, written) in rows.iter().zip(answers) {
                let (Some(row), Written::Triggered(triggered)) = (row, written) else {
                    continue;
                };
                let position = triggered.at.unwrap();
                let trigger = match Trigger::logged(&engine, &payments, row, &triggered) {
                    Some(trigger) => trigger,
                    None => {
                        prop_assert_eq!(&triggered.push.rows, &[RowAnswer::Duplicate]);
                        Trigger::find(engine.reader(), &payments, position).unwrap().0
                    }
                };
                let inputs = trigger.inputs(&service).unwrap();
                let answers = engine.read_trigger(&plan, &trigger, &inputs).unwrap();
                let id = ResultId::of(&trigger, &asked);
                let result = TriggerResult { id, trigger, inputs, answers, degraded: None };
                let (wanted, of_oracle) = of_the_oracle(&events, &service, (payments.id, position));
                prop_assert_eq!(result.trigger.cut(), &wanted);
                prop_assert_eq!(bytes(&result), of_oracle, "{}", result.id);
                results.push(result);
            }
            if random.below(5) == 0 {
                engine.checkpoint().unwrap();
            }
            if random.below(6) == 0 {
                correct(&mut engine, &world, &mut random);
            }
            if random.below(6) == 0 {
                engine = restarted(&world, engine);
                pusher = Pusher::default();
            }
        }
        for result in results {
            let id = result.id.to_string();
            let again = engine.result(&id.parse().unwrap()).unwrap();
            prop_assert_eq!(again.trigger.cut(), result.trigger.cut());
            prop_assert_eq!(&again.inputs, &result.inputs);
            prop_assert_eq!(bytes(&again), bytes(&result), "{}", id);
            prop_assert_eq!(times(&again), times(&result), "{}", id);
        }
    }
}

/// A payment of one card, triggered.
fn trigger(
    engine: &mut Engine,
    row: &[Value],
) -> Result<(RowAnswer, Option<TriggerResult>), EngineError> {
    let source = engine.source("payments")?;
    let asked = Asked::of_service(engine.catalog(), "of_payment")?;
    let mut answer = engine.trigger(&mut Pusher::default(), &source, pushed(row), &asked)?;
    Ok((answer.push.rows.remove(0), answer.result))
}

fn count(result: &Option<TriggerResult>) -> Value {
    result.as_ref().unwrap().answers.to_rows()[0][0]
        .value
        .clone()
}

#[test]
fn a_trigger_that_comes_again_is_answered_as_the_first_time() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let first = payment(1, 1, "a", 2.0, 60);
    let (row, result) = trigger(&mut engine, &first).unwrap();
    assert!(matches!(row, RowAnswer::Logged(_)));
    assert_eq!(count(&result), Value::BigInt(1));
    plain_push(&mut engine, "payments", &payment(2, 1, "a", 4.0, 30));
    let mut engine = restarted(&world, engine);
    let (row, again) = trigger(&mut engine, &first).unwrap();
    assert_eq!(row, RowAnswer::Duplicate);
    assert_eq!(count(&again), Value::BigInt(1));
    assert_eq!(
        again.map(|r| r.id.to_string()),
        result.map(|r| r.id.to_string())
    );
    // Another payload is another event; which of the two holds, the smaller bytes say.
    let (row, other) = trigger(&mut engine, &payment(1, 1, "a", 1.0, 60)).unwrap();
    assert!(matches!(row, RowAnswer::Conflict(_)));
    assert_eq!(count(&other), Value::BigInt(2));
}

#[test]
fn a_trigger_that_was_logged_and_not_answered_is_answered_when_it_comes_again() {
    let world = World::new(DEFINITIONS);
    let engine = world.engine();
    let source = engine.source("payments").unwrap();
    let row = payment(1, 1, "a", 2.0, 60);
    let write = Write::Trigger {
        source,
        row: pushed(&row).into(),
    };
    let judged = Pusher::default().judge(&engine, vec![write]);
    // Dies between the append and everything else.
    drop(judged.append(&engine.writer().unwrap()).unwrap());
    let mut engine = restarted(&world, engine);
    plain_push(&mut engine, "payments", &payment(2, 1, "a", 4.0, 30));
    let (row, result) = trigger(&mut engine, &row).unwrap();
    assert_eq!(row, RowAnswer::Duplicate);
    assert_eq!(count(&result), Value::BigInt(1));
}

#[test]
fn what_is_no_event_has_no_result() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let (row, result) = trigger(&mut engine, &payment(1, 1, "test", 2.0, 60)).unwrap();
    assert_eq!((row, result.is_none()), (RowAnswer::LeftOut, true));
    let (row, result) = trigger(&mut engine, &payment(1, 1, "a", -2.0, 60)).unwrap();
    assert!(matches!(row, RowAnswer::Rejected { code: "CHECK", .. }) && result.is_none());
    let asked = Asked::of_service(engine.catalog(), "of_payment").unwrap();
    let row = PushedRow {
        values: Err(Undecoded {
            reason: "no number".to_owned(),
            record: b"{}".to_vec(),
        }),
        producer: None,
    };
    let source = engine.source("payments").unwrap();
    let answer = engine
        .trigger(&mut Pusher::default(), &source, row, &asked)
        .unwrap();
    assert!(answer.result.is_none());
    let status = engine.status().unwrap();
    let letters: u64 = status.sources.iter().map(|s| s.dead_letters).sum();
    assert_eq!(letters, 2);
}

#[test]
fn what_cannot_be_answered_is_not_logged() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let taps = engine.source("taps").unwrap();
    let asked = Asked::of_service(engine.catalog(), "of_payment").unwrap();
    let row = pushed(&[Value::BigInt(1), at(0)]);
    let refused = engine.trigger(&mut Pusher::default(), &taps, row, &asked);
    let Err(EngineError::TriggerInput { input, .. }) = refused else {
        panic!("it has no shop");
    };
    assert_eq!(input, "shop");
    assert!(logged(&engine).is_empty());
    assert!(Asked::of_service(engine.catalog(), "nothing").is_err());
    assert!(Asked::of_view(engine.catalog(), "spent@7").is_err());
}

#[test]
fn results_that_are_not_there_and_results_that_are_gone() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let (_, result) = trigger(&mut engine, &payment(1, 1, "a", 2.0, 60)).unwrap();
    let id = result.unwrap().id;
    let refused = |id: &ResultId, engine: &Engine| engine.result(id).unwrap_err();
    let later = ResultId {
        position: Position {
            offset: Offset(id.position.offset.0 + 1),
            ..id.position
        },
        ..id.clone()
    };
    assert!(matches!(
        refused(&later, &engine),
        EngineError::NoTrigger { .. }
    ));
    let elsewhere = ResultId {
        source: "payment".to_owned(),
        ..id.clone()
    };
    assert!(matches!(
        refused(&elsewhere, &engine),
        EngineError::Unknown { .. }
    ));
    let hours = i64::from(engine.project().limits.results_kept_hours);
    world.clock.advance(hours * 3_600_000_000);
    assert!(engine.result(&id).is_ok());
    world.clock.advance(1);
    let gone = refused(&id, &engine);
    assert!(matches!(gone, EngineError::ResultGone { .. }), "{gone}");
    // It is still there for who has the trigger.
    let (row, again) = trigger(&mut engine, &payment(1, 1, "a", 2.0, 60)).unwrap();
    assert_eq!(
        (row, count(&again)),
        (RowAnswer::Duplicate, Value::BigInt(1))
    );
}

#[test]
fn a_result_is_of_the_definition_that_was_asked() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let source = engine.source("payments").unwrap();
    let (_, result) = trigger(&mut engine, &payment(1, 1, "a", 2.0, 60)).unwrap();
    let of_service = result.unwrap().id;
    let of_view = Asked::of_view(engine.catalog(), "spent").unwrap();
    let row = pushed(&payment(2, 1, "a", 2.0, 90));
    let answer = engine.trigger(&mut Pusher::default(), &source, row, &of_view);
    let of_view = answer.unwrap().result.unwrap();
    assert_eq!(of_view.answers.to_rows()[0].len(), 3);
    // Of another week, and the version of the service follows.
    apply_text(
        &mut engine,
        &DEFINITIONS.replace("d AS (LAST 1 DAYS)", "d AS (LAST 1 MINUTES)"),
    );
    let first = |result: TriggerResult| result.answers.to_rows()[0][0].value.clone();
    assert_eq!(first(engine.result(&of_service).unwrap()), Value::BigInt(1));
    assert_eq!(first(engine.result(&of_view.id).unwrap()), Value::BigInt(2));
    let (_, now) = trigger(&mut engine, &payment(2, 1, "a", 2.0, 90)).unwrap();
    assert_eq!(count(&now), Value::BigInt(1));
    let engine = restarted(&world, engine);
    assert_eq!(first(engine.result(&of_view.id).unwrap()), Value::BigInt(2));
    let unknown = "payments~0~0~service~of_payment~1~0000000000000000";
    let unknown = engine.result(&unknown.parse().unwrap()).unwrap_err();
    assert!(matches!(unknown, EngineError::Unknown { .. }), "{unknown}");
}
