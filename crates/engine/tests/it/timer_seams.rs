//! Timers, backfills, corrections, partitions, ends of streams, truncation and forgetting, each in the midst
//! of the others: what is emitted is what the walk over the log says, wherever the process died.

use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{EngineError, ForgetRequest};
use evenkeel_types::Value;

use crate::emissions::{at, bits, events};
use crate::random_history::Random;
use crate::support::{World, apply_text};
use crate::timer_history::{
    MORE, SOURCES, STREAMS, Step, customer, of_rows, play, troubled, verified,
};
use crate::timer_server::Served;
use crate::timer_walk::{
    Came, Emitted, KINDS, Walk, check_walked, emission, emitted, logged, sorted, told,
};

/// The sources in so many partitions.
fn definitions(partitions: u32) -> String {
    let sources = SOURCES.replace(
        "MAX FUTURE INTERVAL '1' DAY);",
        &format!("MAX FUTURE INTERVAL '1' DAY) WITH (partitions = '{partitions}');"),
    );
    [&sources, STREAMS, MORE].concat()
}

#[test]
fn whatever_comes_between_what_is_due_and_where_it_dies_is_what_the_walk_says() {
    let (mut found, mut removed, mut deaths, mut truncated) = (0, 0, 0, 0);
    for (seed, partitions, evaluated_max, rows) in [(0, 1, 1, 9), (1, 3, 3, 1), (2, 3, 4_096, 9)] {
        let mut random = Random(seed);
        let steps = troubled(&mut random, 60);
        let definitions = definitions(partitions);
        let plain = World::new(&definitions);
        let whole = play(&plain, &steps, 1, &mut random);
        let world = World::new(&definitions);
        let mut served = Served::new(&world, evaluated_max);
        served.dies_one_in = 8;
        served.play(&steps, rows, &mut random);
        let words = format!("seed {seed}, {evaluated_max} at once");
        let (walked, withdrawn) = check_walked(served.engine(), &words);
        // Rows of one commit are logged partition by partition.
        if partitions == 1 || rows == 1 {
            assert!(told(served.engine()) == told(&whole), "{words}");
        }
        assert!(verified(served.engine(), seed) > 30);
        (found, removed) = (found + walked, removed + withdrawn);
        deaths += served.deaths;
        truncated += served.truncated;
        let used = events(&whole, "orders");
        let used = used.iter().map(|order| order.position.partition.0).max();
        assert_eq!(used, Some(partitions - 1));
    }
    assert!(removed > 3 && found > 90, "{removed} of {found}");
    assert!(
        deaths > 20 && truncated > 0,
        "{deaths} deaths, {truncated} segments"
    );
}

/// Each commit of emissions ends where it has so many bytes, also within what one record makes due.
#[test]
fn wherever_commits_end_by_bytes_it_is_what_the_walk_says() {
    for (seed, commit_bytes) in [(3, 1), (4, 400), (5, 2_500)] {
        let mut random = Random(seed);
        let steps = troubled(&mut random, 40);
        let definitions = definitions(2);
        let plain = World::new(&definitions);
        let whole = play(&plain, &steps, 1, &mut random);
        let world = World::new(&definitions);
        let mut served = Served::with_commits_of(&world, commit_bytes);
        served.dies_one_in = 8;
        served.play(&steps, 1, &mut random);
        let words = format!("seed {seed}, commits of {commit_bytes} bytes");
        let (found, _) = check_walked(served.engine(), &words);
        assert!(told(served.engine()) == told(&whole), "{words}");
        assert!(found > 20 && served.deaths > 3, "{words}: {found}");
    }
}

/// Orders of one customer, a minute apart, and whatever makes them due.
fn orders(count: i64) -> (Vec<Step>, Vec<Step>) {
    let order = |id: i64| {
        let total = Value::Double(id as f64 / 8.0);
        let row = vec![
            Value::BigInt(id),
            customer(id.unsigned_abs()),
            total,
            at(id.unsigned_abs()),
        ];
        Step::Push("orders", row)
    };
    let last = |source: &'static str, row: Vec<Value>| Step::Push(source, row);
    let far = 1_000;
    let due = vec![
        last(
            "payments",
            vec![
                Value::BigInt(0),
                Value::BigInt(-1),
                Value::Double(2.0),
                at(far),
            ],
        ),
        last(
            "orders",
            vec![
                Value::BigInt(far as i64),
                customer(0),
                Value::Double(1.0),
                at(far),
            ],
        ),
    ];
    ((0..count).map(order).collect(), due)
}

/// The period is asked for when nothing of it is due, and what makes it due is logged before anything is
/// emitted: all three are in one piece. It dies before each step in turn.
#[test]
fn what_is_due_while_a_backfill_is_under_way_is_emitted_once_wherever_it_dies() {
    let definitions = [SOURCES, STREAMS, MORE].concat();
    let (orders, due) = orders(12);
    let note = |level: i32| Step::Push("notes", vec![customer(1), Value::Int(level), at(1)]);
    let again = |from: u64| Step::Backfill("unpaid", from, 200);
    let mut done = [orders, vec![again(0)], due].concat();
    // A note that all rows of a customer look up: late, so that it is for who asks again.
    done.extend([note(3), again(1), note(4), again(2)]);
    let run = |by_bytes: bool, dies_at: Option<usize>| {
        let world = World::new(&definitions);
        let mut served = match by_bytes {
            false => Served::new(&world, 3),
            // Two emissions or three.
            true => Served::with_commits_of(&world, 250),
        };
        let mut rest = &done[..];
        while !rest.is_empty() {
            let logged = served.log(rest, 100);
            rest = &rest[logged..];
        }
        served.dies_at = dies_at;
        served.emit(&mut Random(7));
        check_walked(served.engine(), &format!("{dies_at:?}"));
        assert!(dies_at.is_none() || served.deaths == 1, "{dies_at:?}");
        (told(served.engine()), served.steps)
    };
    let (expected, steps) = run(false, None);
    let rows = |stream: &str| {
        expected
            .iter()
            .find(|(name, _)| *name == stream)
            .unwrap()
            .1
            .len()
    };
    // Two notes change the rows of every third order; who keeps says so when it is asked for.
    assert_eq!(
        (rows("unpaid"), rows("never_paid")),
        (12 + 2 * 4, 12 + 2 * 4)
    );
    assert!(steps > 24, "{steps}");
    let (whole, of_bytes) = run(true, None);
    assert_eq!(whole, expected);
    assert!(of_bytes > 24, "{of_bytes}");
    for (by_bytes, steps) in [(false, steps), (true, of_bytes)] {
        for dies_at in 1..=steps {
            let (found, _) = run(by_bytes, Some(dies_at));
            assert_eq!(found, expected, "died at step {dies_at} of {steps}");
        }
    }
}

/// More emissions of one record than are read one after the other, and who reads them.
#[test]
fn who_reads_a_stream_follows_a_backfill_of_many_rows() {
    const READERS: &str = "
CREATE STREAM followed AS SELECT u.id, u.level FROM unpaid u;
CREATE STREAM counted AS SELECT u.id, count(*) OVER (PARTITION BY u.level LAST 10 MINUTES) AS n FROM unpaid u;
";
    let count = 4_500;
    let unpaid = STREAMS.split_inclusive(';').next().unwrap();
    let definitions = [SOURCES, unpaid, READERS].concat();
    let world = World::new(&definitions);
    // Places are held for some commits alone.
    let mut served = Served::new(&world, 200);
    let mut random = Random(3);
    let order = |id: i64| {
        let time = Value::Timestamp(match at(1) {
            Value::Timestamp(time) => time + id,
            other => panic!("{other:?}"),
        });
        vec![Value::BigInt(id), customer(0), Value::Double(1.0), time]
    };
    let write = of_rows(served.engine(), "orders", (0..count).map(order).collect());
    served.write(write);
    let (_, due) = orders(0);
    for step in &due {
        served.log(std::slice::from_ref(step), 1);
    }
    let note = Step::Push("notes", vec![customer(0), Value::Int(9), at(0)]);
    served.log(&[note], 1);
    served.log(&[Step::Backfill("unpaid", 0, 200)], 1);
    let more = Step::Push("notes", vec![customer(0), Value::Int(10), at(0)]);
    served.log(&[more], 1);
    served.log(&[Step::Backfill("unpaid", 0, 201)], 1);
    served.emit(&mut random);
    for stream in ["unpaid", "followed", "counted"] {
        assert_eq!(
            events(served.engine(), stream).len(),
            3 * count as usize,
            "{stream}"
        );
    }
    let last = events(served.engine(), "followed").pop().unwrap().event;
    assert_eq!(bits([last.row[3].clone()]), bits([Value::Int(10)]));
    assert!(verified(served.engine(), 5) > 30);
}

#[test]
fn streams_with_timers_end_and_what_they_go_by_stays() {
    let definitions = [SOURCES, STREAMS, MORE].concat();
    let world = World::new(&definitions);
    let mut random = Random(11);
    let steps = troubled(&mut random, 60);
    let of_ended = |step: &Step| matches!(step, Step::Backfill("never_paid" | "impatient", ..));
    let (first, second) = steps.split_at(steps.len() / 2);
    let mut engine = play(&world, first, 3, &mut random);
    let ended = ["never_paid", "impatient"];
    let then = engine.reader().next_sequence().0;
    let text: String = definitions
        .split_inclusive(';')
        .map(|statement| {
            let of = ended
                .iter()
                .find(|name| statement.contains(&format!("CREATE STREAM {name} ")));
            of.map_or_else(
                || statement.to_owned(),
                |name| format!("\nDROP STREAM {name};"),
            )
        })
        .collect();
    assert_eq!(text.matches("DROP").count(), 2);
    world.write("definitions.sql", &text);
    apply_text(&mut engine, &text);
    drop(engine);
    let second: Vec<Step> = second
        .iter()
        .filter(|step| !of_ended(step))
        .cloned()
        .collect();
    let engine = play(&world, &second, 3, &mut random);
    for (stream, options) in KINDS {
        let mut walk = Walk::default();
        let until = if ended.contains(&stream) {
            then
        } else {
            u64::MAX
        };
        let logged = logged(&engine, stream).into_iter();
        walk.go_on(logged.filter(|(record, _)| *record < until), options);
        assert!(!walk.found.is_empty());
        assert_eq!(
            sorted(emitted(&engine, stream)),
            sorted(walk.found),
            "{stream}"
        );
    }
    assert!(verified(&engine, 3) > 30);
    // By the lateness rows were due: also of streams that have ended.
    let other = text.replace("INTERVAL '4' MINUTE", "INTERVAL '5' MINUTE");
    assert_ne!(other, text);
    world.write("definitions.sql", &other);
    let refused = engine
        .plan(&world.project().definition_files().unwrap())
        .unwrap_err();
    let EngineError::Definitions(found) = refused else {
        panic!("{refused}");
    };
    assert!(
        found[0].1.message.contains("`LATENESS` cannot change"),
        "{found:?}"
    );
}

/// What was emitted of other customers stays, and what is emitted later is what the walk says for whom the
/// one who is forgotten was never there, from then on.
#[test]
fn who_is_forgotten_makes_nothing_due_any_more_and_what_was_emitted_stays() {
    for seed in [21, 22] {
        let definitions = definitions(2);
        let world = World::new(&definitions);
        let mut served = Served::new(&world, 5);
        let mut random = Random(seed);
        let steps = troubled(&mut random, 90);
        let (first, second) = steps.split_at(steps.len() / 2);
        served.play(first, 9, &mut random);
        // The greatest time is the customer's: it goes back when that is forgotten.
        let order = vec![
            Value::BigInt(7_000),
            customer(2),
            Value::Double(5.0),
            at(230),
        ];
        let payment = vec![
            Value::BigInt(7_000),
            Value::BigInt(-7),
            Value::Double(5.0),
            at(230),
        ];
        served.log(&[Step::Push("payments", payment)], 1);
        served.log(&[Step::Push("orders", order)], 1);
        served.emit(&mut random);
        let before: Vec<_> = KINDS
            .map(|(stream, _)| logged(served.engine(), stream))
            .into();
        let forgotten = orders_of(&before[0], &customer(2));
        assert!(forgotten.len() > 3);
        let request = ForgetRequest {
            entity: "customer".to_owned(),
            key: "cy".to_owned(),
            ..ForgetRequest::default()
        };
        let engine = served.take();
        let plan = engine
            .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        let report = engine.forget(plan).unwrap();
        assert!(report.changes() > 3, "{report:?}");
        served.open();
        served.dies_one_in = 9;
        let mut second = second.to_vec();
        // What is forgotten is not corrected, nor does it come again.
        second.retain(|step| match step {
            Step::Push("orders", row) | Step::Correct("orders", row, _) => {
                !forgotten.contains(&id_of(&row[0]))
            }
            _ => true,
        });
        served.play(&second, 9, &mut random);
        let others = |emitted: Vec<Emitted>| {
            let others = emitted
                .into_iter()
                .filter(|(_, _, id, ..)| !forgotten.contains(id));
            sorted(others.collect())
        };
        for ((stream, options), before) in KINDS.into_iter().zip(before) {
            // Everything that was logged was emitted for, also where that was nothing.
            let last = before.iter().map(|(record, _)| *record).max().unwrap();
            let now = logged(served.engine(), stream);
            let mut walk = Walk::default();
            walk.go_on(before, options);
            walk.forget(&customer(2));
            walk.go_on(
                now.into_iter().filter(|(record, _)| *record > last),
                options,
            );
            let found = others(walk.found);
            let is_new = |emission: &&Emitted| emission.0 > last;
            assert!(found.iter().filter(is_new).count() > 2, "{stream}");
            let emitted = events(served.engine(), stream).into_iter();
            let emitted = others(emitted.filter_map(emission).collect());
            assert_eq!(emitted, found, "{stream}, seed {seed}");
        }
        let report = served
            .engine()
            .verify(&VerifyOptions::default(), &mut |_, _, _| ());
        assert_eq!(report.unwrap().mismatches, 0);
    }
}

fn id_of(value: &Value) -> i64 {
    match value {
        Value::BigInt(id) => *id,
        other => panic!("{other:?}"),
    }
}

fn orders_of(logged: &[(u64, Came)], customer: &Value) -> Vec<i64> {
    let of = logged.iter().filter_map(|(_, came)| match came {
        Came::Event("orders", event) if event.row[1] == *customer => Some(id_of(&event.row[0])),
        _ => None,
    });
    of.collect()
}
