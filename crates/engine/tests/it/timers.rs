//! Timers: what is emitted when time has passed, and what must not have come until then did not, is what
//! a naive walk over the log says, record by record, whatever the commits and the restarts were.

use evenkeel_engine::Engine;
use evenkeel_types::{Operation, Value};

use crate::emissions::{at, push};
use crate::random_history::Random;
use crate::support::{World, apply_text, t, values};
use crate::timer_history::{MORE, SOURCES, STREAMS, customer, history, play, verified};
use crate::timer_walk::{check_walked, emitted, told};

#[test]
fn what_did_not_come_is_what_a_walk_over_the_log_says() {
    let definitions = [SOURCES, STREAMS, MORE].concat();
    let (mut removed, mut found) = (0, 0);
    for seed in 0..2 {
        let mut random = Random(seed);
        let steps = history(&mut random, 80);
        let world = World::new(&definitions);
        let single = play(&world, &steps, 1, &mut random);
        let (walked, withdrawn) = check_walked(&single, &format!("seed {seed}"));
        (found, removed) = (found + walked, removed + withdrawn);
        assert!(verified(&single, seed) > 30);
        let expected = told(&single);
        assert!(
            expected.iter().all(|(_, rows)| !rows.is_empty()),
            "{expected:?}"
        );
        for commit in [3, 80] {
            let world = World::new(&definitions);
            let grouped = play(&world, &steps, commit, &mut random);
            assert_eq!(told(&grouped), expected, "seed {seed}, commits of {commit}");
        }
        // A stream that is defined later emits as if it had been there always.
        let world = World::new(SOURCES);
        let mut engine = play(&world, &steps, 7, &mut random);
        apply_text(&mut engine, &definitions);
        assert_eq!(told(&engine), expected, "seed {seed}, defined later");
    }
    assert!(removed > 3 && found > 60, "{removed} of {found}");
}

#[test]
fn time_goes_as_events_come_and_what_is_idle_is_waited_for_as_long_as_is_said() {
    let world = World::new(&[SOURCES, STREAMS].concat());
    let mut engine = world.engine();
    let order = |id: i64, minute: u64| {
        vec![
            Value::BigInt(id),
            customer(0),
            Value::Double(1.0),
            at(minute),
        ]
    };
    let ids = |engine: &Engine, stream: &str| -> Vec<i64> {
        emitted(engine, stream)
            .into_iter()
            .map(|(_, _, id, ..)| id)
            .collect()
    };
    push(&mut engine, "orders", vec![order(1, 0), order(2, 10)]);
    // Exactly at the end of the wait the watermark has not passed it.
    push(&mut engine, "orders", vec![order(3, 30 + 4 + 15)]);
    assert_eq!(ids(&engine, "impatient"), [] as [i64; 0]);
    push(&mut engine, "orders", vec![order(4, 30 + 4 + 15 + 1)]);
    assert_eq!(ids(&engine, "impatient"), [1]);
    // Nobody paid anything: who waits for payments, waits.
    assert_eq!(ids(&engine, "unpaid"), [] as [i64; 0]);
    let payment = |id: i64, order: i64, minute: u64| {
        let order = Value::BigInt(order);
        vec![Value::BigInt(id), order, Value::Double(9.0), at(minute)]
    };
    push(&mut engine, "payments", vec![payment(0, 77, 37)]);
    assert_eq!(ids(&engine, "unpaid"), [] as [i64; 0]);
    push(&mut engine, "payments", vec![payment(1, 2, 40)]);
    assert_eq!(ids(&engine, "unpaid"), [1]);
    push(&mut engine, "payments", vec![payment(2, 9, 48)]);
    // The second was paid at the last instant that counts.
    assert_eq!(ids(&engine, "unpaid"), [1]);
    let when = emitted(&engine, "unpaid")[0].3;
    assert_eq!(when, t("2026-03-02T00:30:00Z"));
    // An order that comes late and is due brings its row at once; a payment that comes late withdraws
    // it where that is asked for.
    push(&mut engine, "orders", vec![order(5, 1)]);
    assert_eq!(ids(&engine, "unpaid"), [1, 5]);
    assert_eq!(ids(&engine, "never_paid"), [1, 5]);
    push(&mut engine, "payments", vec![payment(3, 5, 20)]);
    assert_eq!(ids(&engine, "unpaid"), [1, 5]);
    let last = emitted(&engine, "never_paid").pop().unwrap();
    assert_eq!((last.1, last.2), (Operation::Remove, 5));
}

#[test]
fn views_over_what_did_not_come_read_it_as_events_of_its_time() {
    let world = World::new(&[SOURCES, STREAMS, MORE].concat());
    let mut engine = world.engine();
    for id in 0..8u64 {
        let row = vec![
            Value::BigInt(id as i64),
            customer(0),
            Value::Double(1.0),
            at(id * 5),
        ];
        push(&mut engine, "orders", vec![row]);
        if id % 2 == 0 {
            let paid = Value::BigInt(id as i64);
            let row = vec![paid.clone(), paid, Value::Double(9.0), at(id * 5 + 1)];
            push(&mut engine, "payments", vec![row]);
        }
    }
    let late = [
        Value::BigInt(99),
        Value::BigInt(99),
        Value::Double(9.0),
        at(300),
    ];
    push(&mut engine, "payments", vec![late.to_vec()]);
    push(
        &mut engine,
        "notes",
        vec![vec![customer(1), Value::Int(1), at(300)]],
    );
    let order = vec![Value::BigInt(98), customer(1), Value::Double(1.0), at(300)];
    push(&mut engine, "orders", vec![order]);
    assert!(verified(&engine, 1) > 5);
    // Each order was asked about 10 minutes later, and was silent 20 minutes behind that, but those that
    // are known as unpaid then.
    let times = |minute: &str| {
        let key = [Value::string("ann")];
        values(
            &engine,
            "silences",
            &key,
            &format!("2026-03-02T{minute}:00Z"),
        )
    };
    assert_eq!(times("00:29"), [Value::BigInt(0)]);
    assert_eq!(times("00:30"), [Value::BigInt(1)]);
    assert_eq!(times("01:30"), [Value::BigInt(4)]);
}
