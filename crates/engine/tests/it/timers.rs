//! Timers: what is emitted when time has passed, and what must not have come until then did not, is what
//! a naive walk over the log says, record by record, whatever the commits and the restarts were.

use std::collections::BTreeMap;

use evenkeel_engine::Engine;
use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::correction::Correction;
use evenkeel_engine::push::{Pusher, Write};
use evenkeel_types::{Event, LoggedEvent, Operation, Origin, Partition, Position, SourceId, Value};

use crate::emissions::{at, bits, events, push};
use crate::random_history::Random;
use crate::support::{World, apply_text, t, values};

const MINUTE: i64 = 60_000_000;

/// Orders, what is paid, and notes about customers. `LATENESS` of each is another one.
const SOURCES: &str = "
CREATE ENTITY customer (customer STRING);
CREATE STREAM orders (id BIGINT, customer STRING, total DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at
  LATENESS INTERVAL '4' MINUTE, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM payments (id BIGINT, of_order BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at
  LATENESS INTERVAL '7' MINUTE, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM notes (customer STRING, level INT, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '1' DAY);
";

/// What the walk knows of: the first three look the last note up at the time of the row.
const STREAMS: &str = "
CREATE STREAM unpaid AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER INTERVAL '30' MINUTE WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order;
CREATE STREAM never_paid AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER 30 MINUTES WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order ON LATE REVISE;
CREATE STREAM impatient AS SELECT o.id, o.total, n.level FROM orders o ASOF JOIN notes n ON o.customer = n.customer
  WHERE o.total < 90 AFTER 30 MINUTES WITHOUT payments p WHERE (amount > 1) ON o.id = p.of_order
  WAIT FOR WATERMARK TIMEOUT 15 MINUTES;
";

/// What `verify` and the comparison of commits know of besides: timers of timers, windows that end when
/// they are due, and views over them.
const MORE: &str = "
CREATE STREAM asked AS SELECT o.id, o.customer, count(*) OVER (PARTITION BY o.customer LAST 1 HOUR) AS orders_1h
FROM orders o EMIT WHEN count(*) OVER (PARTITION BY o.customer LAST 1 HOUR) > 1 AFTER INTERVAL '10' MINUTE;
CREATE STREAM silent AS SELECT a.customer, a.orders_1h FROM asked a
  AFTER INTERVAL '20' MINUTE WITHOUT notes n ON a.customer = n.customer WITHOUT unpaid u ON a.id = u.id ON LATE REVISE;
CREATE STREAM checked AS SELECT o.id, p.amount FROM orders o ASOF JOIN payments p ON o.id = p.of_order WAIT FOR WATERMARK;
CREATE FEATURE VIEW silence ENTITY customer AS SELECT customer, count(*) OVER (LAST 6 HOURS) AS times FROM silent;
CREATE FEATURE SERVICE silences AS silence (times);
";

/// What is done to a store.
#[derive(Clone, Debug)]
enum Step {
    Push(&'static str, Vec<Value>),
    /// The next version of what was pushed as such a row, or its end.
    Correct(&'static str, Vec<Value>, bool),
}

/// Some minutes before or after, so that much comes late.
fn near(random: &mut Random, minute: u64) -> Value {
    at((minute + random.below(60)).saturating_sub(40))
}

fn customer(id: u64) -> Value {
    Value::string(["ann", "bob", "cy"][id as usize % 3])
}

/// A history in which much comes late, again or is corrected.
fn history(random: &mut Random, length: u64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for number in 0..length {
        let minute = number * 4;
        let id = Value::BigInt(number as i64);
        let amount = |random: &mut Random| Value::Double(random.below(100) as f64);
        match random.below(10) {
            0..4 => {
                let row = vec![id, customer(number), amount(random), near(random, minute)];
                steps.push(Step::Push("orders", row));
            }
            4..7 => {
                let order = Value::BigInt(number.saturating_sub(random.below(12)) as i64);
                let row = vec![id, order, amount(random), near(random, minute)];
                steps.push(Step::Push("payments", row));
            }
            7 => {
                let level = Value::Int(random.below(5) as i32);
                let row = vec![customer(random.below(3)), level, near(random, minute)];
                steps.push(Step::Push("notes", row));
            }
            _ if steps.is_empty() => {}
            kind => match &steps[random.below(steps.len() as u64) as usize] {
                Step::Push("notes", _) | Step::Correct(..) => {}
                Step::Push(source, row) if kind == 8 => {
                    let ends = random.below(3) == 0;
                    let step = Step::Correct(source, row.clone(), ends);
                    steps.push(step);
                }
                again => steps.push(again.clone()),
            },
        }
    }
    steps
}

/// Logs the next version of a row.
fn correct(engine: &mut Engine, source: &str, row: &[Value], ends: bool) {
    let is_it = |e: &LoggedEvent| e.event.row[0] == row[0];
    let versions = events(engine, source).into_iter().filter(is_it);
    let Some(last) = versions.max_by_key(|v| v.event.revision) else {
        return;
    };
    let mut event = last.event;
    event.revision += 1;
    event.before = None;
    event.operation = match ends {
        true => Operation::Remove,
        false => Operation::Replace,
    };
    if !ends && let Value::Double(amount) = event.row[2] {
        event.row[2] = Value::Double((amount * 7.0 + 5.0) % 100.0);
    }
    let write = Write::Corrections {
        source: engine.source(source).unwrap(),
        corrections: vec![Correction {
            event,
            partition: Partition(0),
            corrects: None,
        }],
    };
    engine.write(&mut Pusher::default(), write).unwrap();
}

/// Does all of it, some steps of one source in one commit, and opens the store again now and then.
fn play(world: &World, steps: &[Step], commit: usize, random: &mut Random) -> Engine {
    let mut engine = world.engine();
    let mut rest = steps;
    while let Some(step) = rest.first() {
        match step {
            Step::Correct(source, row, ends) => {
                correct(&mut engine, source, row, *ends);
                rest = &rest[1..];
            }
            Step::Push(source, _) => {
                let same = rest.iter().take(commit).map_while(|step| match step {
                    Step::Push(other, row) if other == source => Some(row.clone()),
                    _ => None,
                });
                let rows: Vec<Vec<Value>> = same.collect();
                rest = &rest[rows.len()..];
                push(&mut engine, source, rows);
            }
        }
        if random.below(8) == 0 {
            if random.below(2) == 0 {
                engine.checkpoint().unwrap();
            }
            drop(engine);
            engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        }
        assert!(!engine.is_emission_stuck());
    }
    engine
}

/// What an emission is: record, operation, the order's id, time, and bits of what is selected.
type Emitted = (u64, Operation, i64, i64, Vec<u8>);

fn emitted(engine: &Engine, stream: &str) -> Vec<Emitted> {
    let part = |logged: LoggedEvent| {
        let Event { row, origin, .. } = logged.event;
        let (Origin::Producer { sequence, .. }, Value::BigInt(id)) = (origin, row[2].clone())
        else {
            panic!("{row:?}");
        };
        let time = logged.event.event_time.0;
        (
            sequence,
            logged.event.operation,
            id,
            time,
            bits(row[2..].to_vec()),
        )
    };
    events(engine, stream).into_iter().map(part).collect()
}

/// The newest version of each identity and its row, if it holds.
type Versions = BTreeMap<(i64, i64), (u32, Option<Vec<Value>>)>;

/// The naive walk: what holds, by id and time, with the revision.
#[derive(Default)]
struct Walk {
    orders: Versions,
    payments: Versions,
    notes: Vec<Vec<Value>>,
    emitted: BTreeMap<(i64, i64), Vec<u8>>,
    found: Vec<Emitted>,
}

/// The time of a row.
fn time_of(row: &[Value]) -> i64 {
    match row.last() {
        Some(Value::Timestamp(time)) => *time,
        other => panic!("{other:?}"),
    }
}

impl Walk {
    fn watermark(&self, wait_at_most: Option<i64>) -> i64 {
        let greatest = |of: &Versions, lateness: i64| {
            let rows = of.values().filter_map(|(_, row)| row.as_ref());
            let times = rows.map(|row| time_of(row) - lateness * MINUTE);
            times.max().unwrap_or(i64::MIN)
        };
        let (own, other) = (greatest(&self.orders, 4), greatest(&self.payments, 7));
        let alone = wait_at_most.map_or(i64::MIN, |wait| own.saturating_sub(wait * MINUTE));
        own.min(other).max(alone)
    }

    /// The row of an order by what holds now; none if it is not due, or left out.
    fn row(&self, order: &[Value], until: i64) -> Option<Vec<u8>> {
        let (from, end) = (time_of(order), time_of(order) + 30 * MINUTE);
        let is_small = matches!(order[2], Value::Double(total) if total < 90.0);
        let pays = |row: &&Vec<Value>| {
            let is_much = matches!(row[2], Value::Double(amount) if amount > 1.0);
            row[1] == order[0] && is_much && time_of(row) > from && time_of(row) <= end
        };
        let mut paid = self.payments.values().filter_map(|(_, row)| row.as_ref());
        if end >= until || !is_small || paid.any(|row| pays(&row)) {
            return None;
        }
        let notes = self.notes.iter();
        let known = notes.filter(|note| note[0] == order[1] && time_of(note) <= end);
        // Of one time the greatest row is last.
        let last = known.max_by_key(|note| (time_of(note), bits(note[..2].to_vec())));
        let level = last.map_or(Value::Null, |note| note[1].clone());
        Some(bits([order[0].clone(), order[2].clone(), level]))
    }

    fn settle(
        &mut self,
        record: u64,
        (id, time): (i64, i64),
        row: Option<Vec<u8>>,
        was_there: bool,
    ) {
        let end = time + 30 * MINUTE;
        let before = self.emitted.get(&(id, time)).cloned();
        let (operation, said) = match (before, &row) {
            (None, None) => return,
            (Some(before), None) => (Operation::Remove, before),
            (None, Some(row)) if was_there => (Operation::Replace, row.clone()),
            (None, Some(row)) => (Operation::Insert, row.clone()),
            (Some(_), Some(row)) => (Operation::Replace, row.clone()),
        };
        self.found.push((record, operation, id, end, said));
        match row {
            None => self.emitted.remove(&(id, time)),
            Some(row) => self.emitted.insert((id, time), row),
        };
    }

    fn was_there(&self, (id, time): (i64, i64)) -> bool {
        let end = time + 30 * MINUTE;
        self.found
            .iter()
            .any(|(_, _, other, at, _)| (*other, *at) == (id, end))
    }

    fn now(&self, key: (i64, i64), until: i64) -> Option<Vec<u8>> {
        let (_, row) = self.orders.get(&key)?;
        self.row(row.as_ref()?, until)
    }

    /// One record of the log.
    fn step(
        &mut self,
        record: u64,
        source: &str,
        event: &Event,
        (revises, wait): (bool, Option<i64>),
    ) {
        let until_before = self.watermark(wait);
        let mut affected: Vec<Vec<Value>> = Vec::new();
        let mut brought = None;
        match source {
            "notes" => {
                self.notes.push(event.row.clone());
                affected.push(event.row.clone());
            }
            _ => {
                let Value::BigInt(id) = event.row[0] else {
                    panic!()
                };
                let key = (id, event.event_time.0);
                let of = match source {
                    "orders" => &mut self.orders,
                    _ => &mut self.payments,
                };
                let known = of.get(&key);
                let is_new = known.is_none_or(|(revision, _)| event.revision > *revision);
                let before = known.and_then(|(_, row)| row.clone());
                let is_there = event.operation != Operation::Remove;
                let row = is_there.then(|| event.row.clone());
                let changes = is_new && (before.is_some() || row.is_some());
                if is_new {
                    of.insert(key, (event.revision, row.clone()));
                }
                if changes {
                    match source {
                        "orders" => brought = Some(key),
                        _ => affected.extend(before.into_iter().chain(row)),
                    }
                }
            }
        }
        let until = self.watermark(wait);
        if let Some(key) = brought {
            let row = self.now(key, until);
            let was_there = self.was_there(key);
            self.settle(record, key, row, was_there);
        }
        let keys: Vec<(i64, i64)> = self.orders.keys().copied().collect();
        for key in keys {
            let Some(order) = self.orders[&key].1.clone() else {
                continue;
            };
            let end = key.1 + 30 * MINUTE;
            let concerns = |row: &Vec<Value>| {
                let same = match source {
                    "notes" => row[0] == order[1],
                    _ => row[1] == order[0],
                };
                same && time_of(row) <= end
            };
            // Where time went back, what was emitted stays.
            if end >= until {
                continue;
            }
            let row = self.now(key, until);
            let is_due_now = end < until && end >= until_before;
            let is_other = self.emitted.get(&key) != row.as_ref();
            let is_first = is_due_now && !self.emitted.contains_key(&key);
            let is_revised = revises && (is_due_now || affected.iter().any(concerns));
            if is_other && (is_first || is_revised) {
                let was_there = self.was_there(key);
                self.settle(record, key, row, was_there);
            }
        }
    }
}

/// What a stream emits by the naive walk over what is logged.
fn walked(engine: &Engine, options: (bool, Option<i64>)) -> Vec<Emitted> {
    let mut logged: Vec<(u64, &str, Event)> = Vec::new();
    for source in ["orders", "payments", "notes"] {
        let id: SourceId = engine.source(source).unwrap().id;
        for event in events(engine, source) {
            let position: Position = event.position;
            let sequence = engine.reader().sequence(id, position).unwrap().unwrap();
            logged.push((sequence.0, source, event.event));
        }
    }
    logged.sort_by_key(|(record, ..)| *record);
    let mut walk = Walk::default();
    for (record, source, event) in logged {
        walk.step(record, source, &event, options);
    }
    walk.found
}

/// Of one record the order is the log's.
fn sorted(mut emitted: Vec<Emitted>) -> Vec<Emitted> {
    emitted.sort();
    emitted
}

fn verified(engine: &Engine, seed: u64) -> u64 {
    let options = VerifyOptions {
        seed,
        values: 400,
        oracle_values: 200,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.emissions_checked
}

#[test]
fn what_did_not_come_is_what_a_walk_over_the_log_says() {
    let definitions = [SOURCES, STREAMS, MORE].concat();
    let (mut removed, mut found) = (0, 0);
    for seed in 0..2 {
        let mut random = Random(seed);
        let steps = history(&mut random, 80);
        let world = World::new(&definitions);
        let single = play(&world, &steps, 1, &mut random);
        let kinds = [
            ("unpaid", (false, None)),
            ("never_paid", (true, None)),
            ("impatient", (false, Some(15))),
        ];
        for (stream, options) in kinds {
            let emitted = emitted(&single, stream);
            let walked = walked(&single, options);
            assert_eq!(
                sorted(emitted),
                sorted(walked.clone()),
                "{stream}, seed {seed}"
            );
            let ends = walked.iter().filter(|(_, op, ..)| *op == Operation::Remove);
            removed += ends.count();
            found += walked.len();
        }
        assert!(verified(&single, seed) > 30);
        let all = |engine: &Engine| {
            let streams = [
                "unpaid",
                "never_paid",
                "impatient",
                "asked",
                "silent",
                "checked",
            ];
            let part = |e: LoggedEvent| (e.event.operation, e.event.revision, bits(e.event.row));
            let of = |stream: &str| events(engine, stream).into_iter().map(part).collect();
            streams
                .map(|stream| (stream, of(stream)))
                .map(|(name, rows): (_, Vec<_>)| (name, rows))
        };
        let expected = all(&single);
        assert!(
            expected.iter().all(|(_, rows)| !rows.is_empty()),
            "{expected:?}"
        );
        for commit in [3, 80] {
            let world = World::new(&definitions);
            let grouped = play(&world, &steps, commit, &mut random);
            assert_eq!(all(&grouped), expected, "seed {seed}, commits of {commit}");
        }
        // A stream that is defined later emits as if it had been there always.
        let world = World::new(SOURCES);
        let mut engine = play(&world, &steps, 7, &mut random);
        apply_text(&mut engine, &definitions);
        assert_eq!(all(&engine), expected, "seed {seed}, defined later");
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
