//! Derived streams go on exactly where they were: what they left out is not emitted later because what it was
//! left out for is forgotten.

use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Emitter, Next};

use super::stopped::{Failing, copy};
use super::*;
use crate::emissions::events;
use crate::healing::Stores;
use crate::support::t;

/// An order where somebody is blocked is left out.
const DEFINITIONS: &str = "
CREATE ENTITY customer (customer STRING);
CREATE STREAM blocks (customer STRING, shop STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM orders (id BIGINT, customer STRING, shop STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE STREAM free AS SELECT o.id, o.customer FROM orders o ASOF JOIN blocks b ON o.shop = b.shop
  WHERE b.customer IS NULL;
CREATE STREAM told AS SELECT f.id FROM free f;
CREATE FEATURE VIEW blocked ENTITY customer AS SELECT customer, count(*) OVER (LAST 1 DAYS) AS times FROM blocks;
CREATE FEATURE VIEW ordered ENTITY customer AS SELECT customer, count(*) OVER (LAST 1 DAYS) AS orders FROM orders;
";

fn at(minute: i64) -> Value {
    Value::Timestamp(t("2026-03-01T10:00:00Z") + minute * 60_000_000)
}

fn push(engine: &mut Engine, source: &str, row: Vec<Value>) {
    let source = engine.source(source).unwrap();
    let row = PushedRow {
        values: Ok(row),
        producer: None,
    };
    let rows = vec![row];
    let write = Write::Push { source, rows };
    engine.write(&mut Pusher::default(), write).unwrap();
    assert!(!engine.is_emission_stuck());
}

fn order(engine: &mut Engine, id: i64, shop: &str) {
    let (id, minute) = (Value::BigInt(id), id);
    let row = vec![id, Value::string("ann"), Value::string(shop), at(minute)];
    push(engine, "orders", row);
}

/// The last emission is of long ago: orders behind it are left out.
fn history(engine: &mut Engine) {
    order(engine, 1, "free");
    push(
        engine,
        "blocks",
        vec![Value::string(KEY), Value::string("shop"), at(1)],
    );
    for id in 2..7 {
        order(engine, id, "shop");
    }
    assert_eq!(ids(engine, "free"), [1]);
}

fn ids(engine: &Engine, stream: &str) -> Vec<i64> {
    let id = |event: evenkeel_types::LoggedEvent| match event.event.row[2] {
        Value::BigInt(id) => id,
        ref other => panic!("{other:?}"),
    };
    events(engine, stream).into_iter().map(id).collect()
}

fn request() -> ForgetRequest {
    ForgetRequest {
        entity: "customer".to_owned(),
        key: KEY.to_owned(),
        ..ForgetRequest::default()
    }
}

fn forget(engine: Engine) -> Result<ForgetReport, EngineError> {
    let plan = engine.plan_forget(&request(), &mut |_, _| ControlFlow::Continue(()));
    engine.forget(plan.unwrap())
}

/// What comes behind is emitted, and nothing that was before.
fn goes_on(mut engine: Engine, told_of: &str) {
    assert_eq!(ids(&engine, "free"), [1], "{told_of}");
    order(&mut engine, 7, "shop");
    for stream in ["free", "told"] {
        assert_eq!(ids(&engine, stream), [1, 7], "{told_of}");
    }
    let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
    assert_eq!(report.unwrap().mismatches, 0, "{told_of}");
}

#[test]
fn what_was_left_out_for_somebody_who_is_forgotten_is_not_emitted_later() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    history(&mut engine);
    assert!(forget(engine).unwrap().changes() > 0);
    // What is only a hint may be lost, in a copy, too.
    let copied = World::new(DEFINITIONS);
    let store = |world: &World| world.path().join(".evenkeel");
    copy(&store(&world), &store(&copied));
    fs::remove_dir_all(store(&copied).join("hot")).ok();
    goes_on(world.engine(), "forgotten");
    drop(world);
    drop(copied.engine());
    fs::remove_dir_all(store(&copied).join("hot")).unwrap();
    goes_on(copied.engine(), "without the hot tier");
}

/// Who was asked knows of the streams no more than what they emitted last: it emits first.
#[test]
fn a_server_that_was_asked_emits_first() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    history(&mut engine);
    engine
        .offline()
        .ask_to_forget(&request(), engine.now())
        .unwrap();
    drop(engine);
    fs::remove_dir_all(world.path().join(".evenkeel/hot")).ok();
    drop(Engine::open_to_serve(&world.project()).unwrap());
    assert!(Engine::not_forgotten(&world.project()).unwrap().is_empty());
    goes_on(world.engine(), "asked for");
}

#[test]
fn wherever_it_is_stopped_streams_go_on_where_they_were() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    history(&mut engine);
    drop(engine);
    let (mut undone, mut carried_out) = (0, 0);
    for steps in 0.. {
        let copied = World::new(DEFINITIONS);
        copy(
            &world.path().join(".evenkeel"),
            &copied.path().join(".evenkeel"),
        );
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let machine = Machine {
            clock: copied.clock.clone(),
            files: Arc::new(Failing {
                left: Arc::clone(&left),
            }),
            ..Machine::default()
        };
        let engine = Engine::open_on(&copied.project(), machine).unwrap();
        let plan = engine.plan_forget(&request(), &mut |_, _| ControlFlow::Continue(()));
        left.store(steps, Ordering::SeqCst);
        let done = engine.forget(plan.unwrap());
        let is_decided = copied
            .path()
            .join(".evenkeel/forgetting/plan.json")
            .exists();
        let mut engine = copied.engine();
        match (&done, is_decided) {
            (Ok(_), _) => {}
            (Err(_), true) => carried_out += 1,
            // Nothing was decided, unless it was the end that was not taken down.
            (Err(_), false) => {
                undone += 1;
                drop(forget(engine).unwrap());
                engine = copied.engine();
            }
        }
        goes_on(engine, &format!("stopped at step {steps}"));
        if done.is_ok() {
            break;
        }
    }
    assert!(undone > 1 && carried_out > 1, "{undone} and {carried_out}");
}

/// The hot tier is made anew, before it has taken down how far streams are, and by who emits anew.
#[test]
fn a_hot_tier_that_is_healed_knows_it_too() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    history(&mut engine);
    forget(engine).unwrap();
    let stores = Arc::new(Stores::default());
    let machine = Machine {
        clock: world.clock.clone(),
        stores: stores.clone(),
        ..Machine::default()
    };
    let mut engine = Engine::open_to_serve_on(&world.project(), machine).unwrap();
    stores.gate.fail(1);
    assert!(engine.checkpoint().is_err());
    engine.heal().unwrap();
    let mut emitter = Emitter::default();
    loop {
        match emitter.next(&engine) {
            Next::Nothing => {}
            Next::End => break,
            Next::Emissions(_) | Next::Calls(_) => panic!("what was left out is emitted"),
        }
    }
    assert!(emitter.failures().is_empty());
    drop(engine);
    goes_on(world.engine(), "healed");
}
