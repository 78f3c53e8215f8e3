//! Results that wait for watermarks: each is what the oracle says at the first place in the log at which these are
//! past its time, whatever was restarted, lost, moved or defined otherwise since.

mod due;

use std::fs;

use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write};
use evenkeel_engine::{
    Asked, Engine, EngineError, Lack, ReadPlan, ResultId, TriggerPromise, TriggerResult,
    TruncateOptions, WaitsError, backup, restore,
};
use evenkeel_log::ReadOptions;
use evenkeel_types::codec::encode_values;
use evenkeel_types::{
    Cut, Knowledge, LoggedEvent, Offset, Partition, Position, SourceId, Status, Value,
};
use evenkeel_view::oracle::Oracle;
use proptest::prelude::*;

use crate::lake::flush;
use crate::random_history::Random;
use crate::support::{World, apply_text, t};
use crate::timer_history::{Step, write_of};

const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM payments (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at LATENESS INTERVAL '2' MINUTE);
CREATE TABLE limits (card BIGINT, most DOUBLE, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE STREAM taps (card BIGINT, at TIMESTAMP, EVENT TIME at LATENESS INTERVAL '5' MINUTE) WITH (partitions = '2');
CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER (LAST 1 DAYS) AS n, sum(amount) OVER (LAST 1 DAYS) AS total FROM payments;
CREATE FEATURE VIEW taps_of ENTITY card AS SELECT card, count(*) OVER (LAST 1 DAYS) AS taps FROM taps;
CREATE FEATURE VIEW decision ENTITY card AS
SELECT p.card, l.most AS most_allowed, t.taps
FROM payments p ASOF JOIN limits l ON p.card = l.card ASOF JOIN taps_of t ON p.card = t.card;
CREATE FEATURE SERVICE of_payment AS spent (*), decision (*);
";
const START: &str = "2026-02-20T00:00:00Z";
const MINUTE: i64 = 60_000_000;
/// What is waited for, by name, and how late the events of each may be, in minutes.
const LATENESS: [(&str, i64); 3] = [("payments", 2), ("limits", 0), ("taps", 5)];
const WAITS: [&[&str]; 4] = [&[], &["limits"], &["limits", "taps"], &["payments"]];

fn at(minute: i64) -> Value {
    Value::Timestamp(t(START) + minute * MINUTE)
}

fn pushed(row: Vec<Value>) -> PushedRow {
    PushedRow {
        values: Ok(row),
        producer: None,
    }
}

fn payment(id: i64, minute: i64) -> Vec<Value> {
    let amount = Value::Double(id as f64 / 8.0);
    vec![Value::BigInt(id), Value::BigInt(id % 3), amount, at(minute)]
}

fn push(engine: &mut Engine, source: &str, row: Vec<Value>) {
    let source = engine.source(source).unwrap();
    let rows = vec![pushed(row)];
    let write = Write::Push { source, rows };
    engine.write(&mut Pusher::default(), write).unwrap();
}

/// Removes the event of a source that has the greatest time of those that hold.
fn retract(engine: &mut Engine, source: &'static str) {
    if let Some(write) = write_of(engine, &Step::Retract(source)) {
        engine.write(&mut Pusher::default(), write).unwrap();
    }
}

/// Whether it came as a row, and not to put one right.
fn is_original(event: &LoggedEvent) -> bool {
    event.event.revision == 0 && !event.event.operation.is_correction()
}

fn promise(sources: &[&str], degraded: bool) -> TriggerPromise {
    let sources = sources.iter().map(|name| (*name).to_owned());
    TriggerPromise {
        complete: Some(sources.collect()),
        degraded,
    }
}

fn trigger(
    engine: &mut Engine,
    row: Vec<Value>,
    promise: &TriggerPromise,
) -> Result<(RowAnswer, TriggerResult), EngineError> {
    let source = engine.source("payments")?;
    let asked = Asked::of_service(engine.catalog(), "of_payment")?;
    let row = pushed(row);
    let mut answer = engine.trigger_with(&mut Pusher::default(), &source, row, &asked, promise)?;
    Ok((answer.push.rows.remove(0), answer.result.unwrap()))
}

/// The names of what is asked of a payment, by what is waited for.
fn names(engine: &Engine, position: Position) -> Vec<ResultId> {
    let plan = ReadPlan::new(engine.service("of_payment").unwrap());
    let asked = Asked::of_service(engine.catalog(), "of_payment").unwrap();
    let name = |sources: &&[&str]| {
        let awaited = engine.awaited(&plan, &promise(sources, false)).unwrap();
        ResultId {
            source: "payments".to_owned(),
            position,
            asked: asked.clone(),
            waits: awaited.map(|awaited| awaited.waits()),
        }
    };
    WAITS.iter().map(name).collect()
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

fn logged(engine: &Engine) -> Vec<LoggedEvent> {
    let events = engine.reader().read(ReadOptions::default());
    events.map(|event| event.unwrap()).collect()
}

/// The cut that ends with the first event, from a payment on, at which nothing is waited for any more; and
/// the one that ends with the payment.
fn places(
    events: &[LoggedEvent],
    waits: &[(SourceId, i64)],
    (payments, position): (SourceId, Position),
) -> (Cut, Option<Cut>) {
    let is_it = |event: &&LoggedEvent| event.source == payments && event.position == position;
    let time = events.iter().find(is_it).unwrap().event.event_time.0;
    let (mut cut, mut own) = (Cut::empty(), None);
    for (number, event) in events.iter().enumerate() {
        let end = Offset(event.position.offset.0 + 1);
        cut.set_end(event.source, event.position.partition, end);
        if is_it(&event) {
            own = Some(cut.clone());
        }
        let greatest = |source: SourceId| {
            let so_far = events[..=number].iter().filter(|e| e.source == source);
            so_far.map(|e| e.event.event_time.0).max()
        };
        let has_passed = |(source, lateness): &(SourceId, i64)| {
            greatest(*source).is_some_and(|greatest| greatest - lateness * MINUTE > time)
        };
        if let Some(own) = own.clone()
            && waits.iter().all(has_passed)
        {
            return (own, Some(cut));
        }
    }
    (own.unwrap(), None)
}

/// What the oracle says of a payment at a cut.
fn of_the_oracle(
    engine: &Engine,
    events: &[LoggedEvent],
    (payments, position): (SourceId, Position),
    cut: &Cut,
) -> Vec<Said> {
    let is_it = |event: &&LoggedEvent| event.source == payments && event.position == position;
    let payment = &events.iter().find(is_it).unwrap().event;
    let knowledge = Knowledge::latest(cut.clone());
    let oracle = Oracle::new(events);
    let mut said_of = Vec::new();
    for item in &engine.service("of_payment").unwrap().items {
        let key = [payment.row[1].clone()];
        let read = oracle.read(&item.view, &key, payment.event_time.0, &knowledge, &[]);
        let features = item.features.iter();
        said_of.extend(features.map(|(f, _)| said(&read.values[*f], read.status(*f))));
    }
    said_of
}

/// Compares every result of every payment with the oracle; how many were there.
fn check(engine: &Engine) -> usize {
    let events = logged(engine);
    let source = |name: &str| engine.source(name).unwrap().id;
    let payments = source("payments");
    let mut found = 0;
    let is_trigger = |event: &&LoggedEvent| event.source == payments && is_original(event);
    for event in events.iter().filter(is_trigger) {
        let place = (payments, event.position);
        for (id, waits) in names(engine, event.position).iter().zip(WAITS) {
            let is_wanted = |(name, _): &(&str, i64)| waits.is_empty() || waits.contains(name);
            let waits = LATENESS.into_iter().filter(is_wanted);
            let waits: Vec<_> = waits.map(|(name, late)| (source(name), late)).collect();
            let (own, passed) = places(&events, &waits, place);
            let id: ResultId = id.to_string().parse().unwrap();
            let result = engine.result_with(&id, true).unwrap();
            assert_eq!(result.degraded.is_none(), passed.is_some(), "{id}");
            found += usize::from(passed.is_some());
            let cut = passed.unwrap_or(own);
            assert_eq!(result.trigger.cut(), &cut, "{id}");
            let wanted = of_the_oracle(engine, &events, place, &cut);
            assert_eq!(bytes(&result), wanted, "{id}");
            if let Some(unmet) = &result.degraded {
                assert_eq!(unmet.lack, Lack::Watermark);
                let refused = engine.result(&id).unwrap_err();
                let EngineError::Waits(WaitsError::NotPassed {
                    result,
                    unmet: named,
                }) = refused
                else {
                    panic!("{refused}");
                };
                assert_eq!((result, *named), (id.to_string(), unmet.clone()));
            }
        }
    }
    found
}

fn reopened(world: &World, engine: Engine) -> Engine {
    drop(engine);
    world.engine_of_short_segments()
}

/// Events of all sources, of times that mostly go on.
fn some_events(engine: &mut Engine, random: &mut Random, now: &mut i64) {
    for _ in 0..1 + random.below(6) {
        *now += random.below(4) as i64;
        let minute = *now - random.below(9) as i64;
        let card = Value::BigInt(random.below(3) as i64);
        match random.below(9) {
            0 | 1 => push(
                engine,
                "limits",
                vec![card, Value::Double(minute as f64), at(minute)],
            ),
            2 | 3 => push(engine, "taps", vec![card, at(minute)]),
            4 => retract(engine, "payments"),
            // Also another payload under an id that was there.
            _ => push(engine, "payments", payment(random.below(40) as i64, minute)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn each_is_what_the_oracle_says_where_the_watermarks_have_passed(
        seed in any::<u64>(), rounds in 2usize..9,
    ) {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine_of_short_segments();
        let mut now = 30;
        for _ in 0..rounds {
            some_events(&mut engine, &mut random, &mut now);
            if random.one_in(2) {
                engine.checkpoint().unwrap();
            }
            if random.one_in(4) {
                engine = reopened(&world, engine);
            }
            if random.one_in(4) {
                check(&engine);
            }
        }
        let found = check(&engine);
        // Without anything that is only a hint.
        drop(engine);
        fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
        prop_assert_eq!(check(&world.engine_of_short_segments()), found);
    }
}

#[test]
fn it_is_answered_when_the_watermarks_have_passed_and_the_same_for_ever() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let row = payment(1, 60);
    let limits = promise(&["limits"], false);
    let refused = trigger(&mut engine, row.clone(), &limits).unwrap_err();
    let EngineError::Waits(WaitsError::NotPassed { result, unmet }) = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (unmet.source.as_str(), unmet.reached.as_str()),
        ("limits", "no event yet")
    );
    let id: ResultId = result.parse().unwrap();
    // At the time itself others may still come.
    let limit = |most: f64, minute| vec![Value::BigInt(1), Value::Double(most), at(minute)];
    push(&mut engine, "limits", limit(5.0, 60));
    assert!(engine.result(&id).is_err());
    let (_, degraded) = trigger(&mut engine, row.clone(), &promise(&["limits"], true)).unwrap();
    assert_eq!(degraded.degraded.unwrap().reached, "2026-02-20T01:00:00Z");
    let most = |result: &TriggerResult| result.answers.to_rows()[0][2].value.clone();
    assert_eq!(most(&engine.result_with(&id, true).unwrap()), Value::Null);
    push(&mut engine, "limits", limit(6.0, 61));
    let first = engine.result(&id).unwrap();
    assert_eq!(most(&first), Value::Double(5.0));
    // What comes behind the place changes nothing, and sent again it is the same.
    push(&mut engine, "limits", limit(7.0, 59));
    push(&mut engine, "payments", payment(4, 59));
    let (status, again) = trigger(&mut engine, row, &limits).unwrap();
    assert_eq!(status, RowAnswer::Duplicate);
    assert_eq!(
        (again.id.to_string(), again.degraded.is_none()),
        (result, true)
    );
    assert_eq!(again.trigger.cut(), first.trigger.cut());
    assert_eq!(bytes(&again), bytes(&first));
    // Of one that comes when all have passed it is the answer at its own place.
    let (_, late) = trigger(&mut engine, payment(7, 30), &limits).unwrap();
    let own = trigger(&mut engine, payment(7, 30), &TriggerPromise::default());
    let (_, own) = own.unwrap();
    assert_eq!(late.trigger.cut(), own.trigger.cut());
    assert_eq!(bytes(&late), bytes(&own));
}

#[test]
fn sources_that_are_not_read_are_refused_and_nothing_is_logged() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    for names in [&["limit"][..], &["limits", "nothing"]] {
        let refused = trigger(&mut engine, payment(1, 60), &promise(names, true)).unwrap_err();
        let EngineError::Waits(WaitsError::NotRead { source_name, read }) = refused else {
            panic!("{refused}");
        };
        assert_eq!(names.last().copied(), Some(source_name.as_str()));
        assert_eq!(read, ["payments", "limits", "taps"]);
    }
    assert!(logged(&engine).is_empty());
    for (level, good) in [
        ("trigger", true),
        ("complete", true),
        ("complete:limits,taps", true),
        ("complete:", false),
        ("complete:limits,", false),
        ("strong", false),
    ] {
        let understood = TriggerPromise::of_words(Some(level), false);
        assert_eq!(understood.is_ok(), good, "{level}");
    }
}

/// Payments with limits and taps behind them, of which the first have results.
fn history(engine: &mut Engine) {
    let mut random = Random(7);
    let mut now = 30;
    for _ in 0..40 {
        some_events(engine, &mut random, &mut now);
        engine.checkpoint().unwrap();
    }
}

/// Every result that is there, by name.
fn results(engine: &Engine, ids: &[ResultId]) -> Vec<Option<(Cut, Vec<Said>)>> {
    let result = |id: &ResultId| match engine.result(id) {
        Ok(result) => Some((result.trigger.cut().clone(), bytes(&result))),
        Err(EngineError::Waits(WaitsError::NotPassed { .. })) => None,
        Err(error) => panic!("{id}: {error}"),
    };
    ids.iter().map(result).collect()
}

#[test]
fn results_stay_when_the_log_is_truncated_and_come_back_from_a_backup() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine_of_short_segments();
    history(&mut engine);
    let payments = engine.source("payments").unwrap().id;
    let events = logged(&engine);
    let positions = events.iter();
    let positions = positions.filter(|event| event.source == payments && is_original(event));
    let ids: Vec<ResultId> = positions
        .flat_map(|event| names(&engine, event.position))
        .collect();
    let before = results(&engine, &ids);
    assert!(before.iter().any(Option::is_none) && before.iter().any(Option::is_some));
    flush(&engine, &[]);
    let truncation = engine.log_truncation().unwrap();
    let options = TruncateOptions::default();
    let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
    let truncated = truncation.run(&options, go_on).unwrap();
    assert!(truncated.truncated > 3, "{truncated:?}");
    drop(truncation);
    assert_eq!(results(&engine, &ids), before);
    let copy = world.path().join("copy");
    backup(&world.project(), &copy, &mut |_, _| ()).unwrap();
    drop(engine);
    fs::remove_dir_all(world.path().join(".evenkeel")).unwrap();
    restore(&world.project(), &copy).unwrap();
    assert_eq!(results(&world.engine_of_short_segments(), &ids), before);
}

/// Marks that were taken before a source was defined say of it that it had no events.
#[test]
fn results_that_wait_for_a_new_source_are_the_same_with_marks_of_before_and_without() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine_of_short_segments();
    history(&mut engine);
    let more = DEFINITIONS.replace("decision (*);", "decision (*), calls_of (*);")
        + "CREATE STREAM calls (card BIGINT, at TIMESTAMP, EVENT TIME at);
           CREATE FEATURE VIEW calls_of ENTITY card AS SELECT card, count(*) OVER (LAST 1 DAYS) AS calls FROM calls;";
    world.write("definitions.sql", &more);
    apply_text(&mut engine, &more);
    let mut random = Random(8);
    let mut now = 100;
    for _ in 0..20 {
        some_events(&mut engine, &mut random, &mut now);
        push(&mut engine, "calls", vec![Value::BigInt(1), at(now - 3)]);
        engine.checkpoint().unwrap();
    }
    let payments = engine.source("payments").unwrap().id;
    let events = logged(&engine);
    let of = events.iter();
    let of = of.filter(|event| event.source == payments && is_original(event));
    let ids: Vec<ResultId> = of
        .flat_map(|event| names(&engine, event.position))
        .collect();
    let before = results(&engine, &ids);
    let waits_for_all = before.iter().step_by(WAITS.len());
    let found = waits_for_all.filter(|result| result.is_some()).count();
    assert!(found > 20, "{found}");
    drop(engine);
    fs::remove_dir_all(world.path().join(".evenkeel/hot")).unwrap();
    assert_eq!(results(&world.engine_of_short_segments(), &ids), before);
}

#[test]
fn a_result_is_of_the_lateness_that_was_when_it_was_named() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    push(&mut engine, "taps", vec![Value::BigInt(1), at(60)]);
    let taps = promise(&["taps"], false);
    assert!(trigger(&mut engine, payment(1, 60), &taps).is_err());
    let position = Position::new(0, 0);
    let id = names(&engine, position).remove(2);
    push(
        &mut engine,
        "limits",
        vec![Value::BigInt(1), Value::Double(1.0), at(90)],
    );
    push(&mut engine, "taps", vec![Value::BigInt(1), at(63)]);
    push(&mut engine, "taps", vec![Value::BigInt(1), at(66)]);
    let before = engine.result(&id).unwrap();
    let text = DEFINITIONS.replace(
        "LATENESS INTERVAL '5' MINUTE",
        "LATENESS INTERVAL '2' MINUTE",
    );
    apply_text(&mut engine, &text);
    let after = engine.result(&id).unwrap();
    assert_eq!(after.trigger.cut(), before.trigger.cut());
    // By now's it is another one, of another name.
    let now = names(&engine, position).remove(2);
    assert_ne!(now, id);
    assert_ne!(
        engine.result(&now).unwrap().trigger.cut(),
        before.trigger.cut()
    );
    let mut never = id;
    never.waits.as_mut().unwrap().digest = [0; 8];
    let refused = engine.result(&never).unwrap_err();
    let is_it = matches!(&refused, EngineError::Waits(WaitsError::Undefined { .. }));
    assert!(is_it, "{refused}");
}

/// Payments behind which nobody was seen.
const UNSEEN: &str = "CREATE STREAM unseen AS SELECT p.card FROM payments p
  AFTER INTERVAL '5' MINUTE WITHOUT seen ON p.card = seen.card WAIT FOR WATERMARK TIMEOUT 20 MINUTES;";

fn of_streams(unseen: &str) -> String {
    format!(
        "CREATE ENTITY card (card BIGINT);
        CREATE STREAM payments (id BIGINT, card BIGINT, at TIMESTAMP,
          EVENT ID (id), EVENT TIME at LATENESS INTERVAL '1' MINUTE);
        CREATE STREAM seen (card BIGINT, at TIMESTAMP, EVENT TIME at LATENESS INTERVAL '3' MINUTE);
        {unseen}
        CREATE FEATURE VIEW unseen_of ENTITY card AS
        SELECT card, count(*) OVER (LAST 1 DAYS) AS n FROM unseen;
        CREATE FEATURE SERVICE of_payment AS unseen_of (*);"
    )
}

#[test]
fn what_a_stream_with_a_timer_emits_is_there_when_it_is_waited_for() {
    for seen_again in [true, false] {
        let world = World::new(&of_streams(UNSEEN));
        let mut engine = world.engine();
        let payment = |id, minute| vec![Value::BigInt(id), Value::BigInt(id % 3), at(minute)];
        push(&mut engine, "payments", payment(1, 50));
        push(&mut engine, "seen", vec![Value::BigInt(2), at(50)]);
        let complete = promise(&[], false);
        let refused = trigger(&mut engine, payment(4, 60), &complete).unwrap_err();
        let EngineError::Waits(WaitsError::NotPassed { result, unmet }) = refused else {
            panic!("{refused}");
        };
        assert_eq!(unmet.source, "unseen");
        let id: ResultId = result.parse().unwrap();
        // What is of 55 is due when payments are past it, and those that are seen, or the patience is over.
        push(&mut engine, "payments", payment(2, 62));
        assert!(engine.result(&id).is_err());
        match seen_again {
            true => push(&mut engine, "seen", vec![Value::BigInt(2), at(64)]),
            false => push(&mut engine, "payments", payment(3, 82)),
        }
        let result = engine.result(&id).unwrap();
        let count = |result: &TriggerResult| result.answers.to_rows()[0][0].value.clone();
        assert_eq!(count(&result), Value::BigInt(1));
        let own = ResultId {
            waits: None,
            ..id.clone()
        };
        assert_eq!(count(&engine.result(&own).unwrap()), Value::BigInt(0));
        let payments = engine.source("payments").unwrap().id;
        let end = result.trigger.cut().end(payments, Partition(0));
        assert_eq!(end.0, if seen_again { 3 } else { 4 });
        // When the stream has ended nothing is waited for, of results that are named then.
        apply_text(&mut engine, &of_streams("DROP STREAM unseen;"));
        let again = engine.result(&id).unwrap();
        assert_eq!(again.trigger.cut(), result.trigger.cut());
        assert_eq!(bytes(&again), bytes(&result));
        let (_, now) = trigger(&mut engine, payment(7, 95), &complete).unwrap();
        assert!(now.degraded.is_none());
    }
}
