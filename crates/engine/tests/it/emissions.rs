//! Emissions: each is what its query says at the trigger, given what was logged before it, bit for
//! bit, whatever the commits, the restarts and the corrections were.

mod ahead;
mod ahead_cold;
mod files;
mod going_on;
mod revised;
mod rows;

use std::collections::BTreeMap;

use evenkeel_engine::api::{Answer, VerifyOptions};
use evenkeel_engine::correction::Correction;
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Emitter, Engine, EngineError, Next, ReadPlan};
use evenkeel_log::{ReadOptions, Sequence};
use evenkeel_types::codec::encode_values;
use evenkeel_types::{
    Cut, EventTime, Knowledge, LoggedEvent, Offset, Operation, Origin, Partition, Status, Value,
};

use crate::random_history::Random;
use crate::support::{World, read, request, t};

/// Each derived stream has a twin: a row view of the same query, by the trigger's id.
pub(crate) const DEFINITIONS: &str = "
CREATE ENTITY trip (id BIGINT);
CREATE ENTITY city (city STRING);
CREATE STREAM trips (id BIGINT, zone STRING, n INT, fare DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at,
  MAX FUTURE INTERVAL '1' DAY);
CREATE TABLE zones (zone STRING, city STRING, op STRING, at TIMESTAMP, PRIMARY KEY (zone), EVENT TIME at,
  MAX FUTURE INTERVAL '1' DAY) WITH (connector = 'file', path = 'zones.csv', operation = 'op');
CREATE STREAM tips (city STRING, amount DOUBLE, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM again AS SELECT t.id, c.city AS city_of, c.share AS share_of FROM trips t
  ASOF JOIN city_trips c ON t.id = c.id;
CREATE STREAM tipped AS SELECT c.id, c.city, p.amount AS tip,
  count(*) OVER (PARTITION BY c.city RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS trips_2h,
  sum(c.fare) OVER (PARTITION BY c.city ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS fares
FROM city_trips c ASOF JOIN tips p ON c.city = p.city;
CREATE STREAM city_trips AS SELECT t.id, z.city, t.fare, 100 / t.n AS share
FROM trips t ASOF JOIN zones z ON t.zone = z.zone WHERE t.fare < 900 AND (z.city IS NULL OR z.city <> 'closed');
CREATE FEATURE VIEW again_twin ENTITY trip (id) AS SELECT c.city AS city_of, c.share AS share_of FROM trips t
  ASOF JOIN city_trips c ON t.id = c.id;
CREATE FEATURE VIEW tipped_twin ENTITY trip (id) AS SELECT c.city, p.amount AS tip,
  count(*) OVER (PARTITION BY c.city RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW) AS trips_2h,
  sum(c.fare) OVER (PARTITION BY c.city ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS fares
FROM city_trips c ASOF JOIN tips p ON c.city = p.city;
CREATE FEATURE VIEW city_trips_twin ENTITY trip (id) AS SELECT z.city, t.fare, 100 / t.n AS share
FROM trips t ASOF JOIN zones z ON t.zone = z.zone WHERE t.fare < 900 AND (z.city IS NULL OR z.city <> 'closed');
CREATE FEATURE VIEW of_city ENTITY city AS
SELECT city, count(*) OVER d AS trips, sum(fare) OVER d AS fares, max(share) OVER d AS share, last_n(fare, 3) OVER d AS last
FROM city_trips WINDOW d AS (LAST 3 HOURS);
CREATE FEATURE VIEW tips_of_city ENTITY city AS
SELECT city, sum(tip) OVER (LAST 3 HOURS) AS tips, max(trips_2h) OVER (LAST 3 HOURS) AS most FROM tipped;
";

/// Each after those that it reads.
pub(crate) const DERIVED: [&str; 3] = ["city_trips", "again", "tipped"];
pub(crate) const BEGIN: &str = "2026-03-02T00:00:00Z";
pub(crate) const MINUTE: i64 = 60_000_000;

/// What is done to a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Push(&'static str, Vec<Value>),
    /// The next version of what was pushed as such a row, or its end.
    Correct(Vec<Value>, bool),
}

pub(crate) fn at(minute: u64) -> Value {
    Value::Timestamp(t(BEGIN) + minute as i64 * MINUTE)
}

/// A trip: its id says when it was.
fn trip(random: &mut Random, id: u64) -> Vec<Value> {
    let zone = ["a", "b", "c"][random.below(3) as usize];
    vec![
        Value::BigInt(id as i64),
        Value::string(zone),
        Value::Int(random.below(4) as i32),
        Value::Double(random.below(1_000) as f64 / 1.0),
        at(id * 37 % 300),
    ]
}

/// A history in which much comes late, again or is corrected.
pub(crate) fn history(random: &mut Random, length: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut trips: Vec<Vec<Value>> = Vec::new();
    for _ in 0..length {
        match random.below(10) {
            0 | 1 => {
                let city = ["north", "south", "closed"][random.below(3) as usize];
                let operation = ["upsert", "upsert", "delete"][random.below(3) as usize];
                let zone = ["a", "b", "c"][random.below(3) as usize];
                let [zone, city, operation] = [zone, city, operation].map(Value::string);
                let row = vec![zone, city, operation, at(random.below(300))];
                steps.push(Step::Push("zones", row));
            }
            2 => {
                let city = ["north", "south"][random.below(2) as usize];
                let amount = Value::Double(random.below(50) as f64 / 4.0);
                let row = vec![Value::string(city), amount, at(random.below(300))];
                steps.push(Step::Push("tips", row));
            }
            3 if !trips.is_empty() => {
                let known = &trips[random.below(trips.len() as u64) as usize];
                steps.push(Step::Correct(known.clone(), random.below(3) == 0));
            }
            _ => {
                // Of few identities: some come again, some with another payload.
                let id = random.below(length);
                let row = trip(random, id);
                trips.push(row.clone());
                steps.push(Step::Push("trips", row));
            }
        }
    }
    steps
}

pub(crate) fn push(engine: &mut Engine, source: &str, rows: Vec<Vec<Value>>) {
    let source = engine.source(source).unwrap();
    let rows = rows.into_iter().map(|values| PushedRow {
        values: Ok(values),
        producer: None,
    });
    let write = Write::Push {
        source,
        rows: rows.collect(),
    };
    engine.write(&mut Pusher::default(), write).unwrap();
}

/// Logs the next version of the trip with this id and time.
pub(crate) fn correct(engine: &mut Engine, row: &[Value], ends: bool, salt: u64) {
    if let Some(write) = correction(engine, row, ends, salt) {
        engine.write(&mut Pusher::default(), write).unwrap();
    }
}

/// The next version of the trip with this id and time, if there is one.
fn correction(engine: &Engine, row: &[Value], ends: bool, salt: u64) -> Option<Write> {
    let source = engine.source("trips").unwrap();
    let versions = of_identity(engine, row);
    let last = versions.iter().max_by_key(|v| v.event.revision)?;
    let mut event = last.event.clone();
    event.revision += 1;
    event.operation = if ends {
        Operation::Remove
    } else {
        Operation::Replace
    };
    event.before = None;
    if !ends {
        event.row[1] = Value::string(["a", "b", "c"][salt as usize % 3]);
        event.row[3] = Value::Double((salt % 1_000) as f64);
    }
    let corrections = vec![Correction {
        event,
        partition: Partition(0),
        corrects: None,
    }];
    Some(Write::Corrections {
        source,
        corrections,
    })
}

pub(crate) fn events(engine: &Engine, source: &str) -> Vec<LoggedEvent> {
    let id = engine.source(source).unwrap().id;
    let options = ReadOptions {
        sources: Some(vec![id]),
        ..ReadOptions::default()
    };
    let events = engine.reader().read(options);
    events.map(Result::unwrap).collect()
}

fn of_identity(engine: &Engine, row: &[Value]) -> Vec<LoggedEvent> {
    let same = |e: &LoggedEvent| (&e.event.row[0], &e.event.row[4]) == (&row[0], &row[4]);
    events(engine, "trips").into_iter().filter(same).collect()
}

/// Does all of it, some steps of one source in one commit, and opens the store again now and then.
pub(crate) fn play(world: &World, steps: &[Step], commit: usize, random: &mut Random) -> Engine {
    let mut engine = world.engine();
    let mut rest = steps;
    let mut salt = 0;
    while let Some(step) = rest.first() {
        match step {
            Step::Correct(row, ends) => {
                salt += 1;
                correct(&mut engine, row, *ends, salt * 7);
                rest = &rest[1..];
            }
            Step::Push(source, _) => {
                let rows: Vec<Vec<Value>> = rest
                    .iter()
                    .take(commit)
                    .map_while(|step| match step {
                        Step::Push(other, row) if other == source => Some(row.clone()),
                        _ => None,
                    })
                    .collect();
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

pub(crate) fn record_of(event: &LoggedEvent) -> u64 {
    match &event.event.origin {
        Origin::Producer { sequence, .. } => *sequence,
        other => panic!("{other:?}"),
    }
}

/// What a derived stream knew at a record.
pub(crate) fn cut_of(engine: &Engine, stream: &str, record: u64) -> Cut {
    let mut cut = engine.reader().cut_before(Sequence(record + 1)).unwrap();
    let mut is_before = true;
    for other in DERIVED {
        is_before &= other != stream;
        let until = events(engine, other);
        let until = until.iter().filter(|e| is_before && record_of(e) <= record);
        let id = engine.source(other).unwrap().id;
        cut.set_end(id, Partition(0), Offset(until.count() as u64));
    }
    cut
}

pub(crate) fn twin(
    engine: &Engine,
    stream: &str,
    id: &Value,
    time: EventTime,
    cut: &Cut,
) -> Vec<Answer> {
    let service = engine.feature_list(&[format!("{stream}_twin:*")]).unwrap();
    let knowledge = Knowledge::latest(cut.clone());
    let rows = [vec![id.clone()]];
    let answers = engine.read(&ReadPlan::new(service), &rows, time, &knowledge);
    answers.unwrap().to_rows().remove(0)
}

pub(crate) fn bits(values: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let values: Vec<Value> = values.into_iter().collect();
    encode_values(&values)
}

/// Every emission is what its twin says at its cut; and for every event of the trigger there is one
/// exactly if the twin's row is there then, or was emitted before.
pub(crate) fn check(engine: &Engine) {
    for stream in DERIVED {
        let emissions = events(engine, stream);
        let mut live: BTreeMap<(Vec<u8>, EventTime), u32> = BTreeMap::new();
        for emission in &emissions {
            let event = &emission.event;
            let time = event.event_time;
            let key = (bits([event.row[0].clone()]), time);
            let cut = cut_of(engine, stream, record_of(emission));
            let says = twin(engine, stream, &event.row[2], time, &cut);
            let is_there = says.iter().all(|a| a.status != Status::NotFound)
                && says.iter().all(|a| a.event_time == Some(time));
            match event.operation {
                Operation::Insert => assert!(!live.contains_key(&key) && event.revision == 0),
                _ => assert_eq!(live.get(&key).map(|r| r + 1), Some(event.revision)),
            }
            live.insert(key, event.revision);
            assert_eq!(
                is_there,
                event.operation != Operation::Remove,
                "{emission:?}"
            );
            if is_there {
                let said = says.iter().map(|a| match a.status {
                    Status::Error(reason) => Value::Error(reason),
                    _ => a.value.clone(),
                });
                let emitted = event.row[3..].iter().cloned();
                assert_eq!(bits(said), bits(emitted), "{stream} {emission:?}");
            }
        }
        assert!(
            emissions
                .windows(2)
                .all(|w| record_of(&w[0]) <= record_of(&w[1]))
        );
    }
}

/// For every event of `trips` in the order of the log: whether it has an emission is what its twin
/// says before and after.
fn check_complete(engine: &Engine) {
    let emitted = events(engine, "city_trips");
    let id = engine.source("trips").unwrap().id;
    for trip in events(engine, "trips") {
        let record = engine
            .reader()
            .sequence(id, trip.position)
            .unwrap()
            .unwrap()
            .0;
        let (key, time) = (&trip.event.row[0], trip.event.event_time);
        let after = cut_of(engine, "city_trips", record);
        let mut before = after.clone();
        before.set_end(id, Partition(0), trip.position.offset);
        let is_there = |cut: &Cut| {
            let says = twin(engine, "city_trips", key, time, cut);
            (says[0].event_time == Some(time) && says[0].status != Status::NotFound)
                .then(|| bits(says.into_iter().map(|a| a.value)))
        };
        let (was, is) = (is_there(&before), is_there(&after));
        let of_it = emitted.iter().filter(|e| record_of(e) == record).count();
        match (was, is) {
            (None, Some(_)) => assert_eq!(of_it, 1, "{trip:?}"),
            (Some(was), Some(is)) if was != is => assert_eq!(of_it, 1, "{trip:?}"),
            _ => assert!(of_it <= 1),
        }
    }
}

/// Emissions without their places.
pub(crate) fn all(engine: &Engine) -> Vec<(Operation, u32, EventTime, Vec<u8>)> {
    let all = DERIVED
        .into_iter()
        .flat_map(|stream| events(engine, stream));
    let part = |e: LoggedEvent| {
        (
            e.event.operation,
            e.event.revision,
            e.event.event_time,
            bits(e.event.row),
        )
    };
    all.map(part).collect()
}

#[test]
fn emissions_are_what_their_query_says_at_their_cut_whatever_the_commits_were() {
    for seed in 0..2 {
        let mut random = Random(seed);
        let steps = history(&mut random, 60);
        let world = World::new(DEFINITIONS);
        let single = play(&world, &steps, 1, &mut random);
        check(&single);
        check_complete(&single);
        let options = VerifyOptions {
            seed,
            values: 200,
            oracle_values: 100,
            ..VerifyOptions::default()
        };
        let report = single.verify(&options, &mut |_, _, _| ()).unwrap();
        assert_eq!(report.mismatches, 0, "{report:?}");
        assert!(report.emissions_checked > 30, "{report:?}");
        let emitted = all(&single);
        assert!(emitted.len() > 60, "{}", emitted.len());
        for commit in [2, 5, 60] {
            let world = World::new(DEFINITIONS);
            let grouped = play(&world, &steps, commit, &mut random);
            assert_eq!(all(&grouped), emitted, "seed {seed}, commits of {commit}");
        }
    }
}

#[test]
fn nobody_else_brings_events_to_a_derived_stream() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    push(&mut engine, "trips", vec![trip(&mut Random(1), 1)]);
    let source = engine.source("city_trips").unwrap();
    let emitted = events(&engine, "city_trips").remove(0).event.row;
    let refused = |error: EngineError| {
        assert_eq!(
            error.to_string(),
            "`city_trips` is a derived stream: its events are made of those of `trips`"
        );
        assert!(error.hint().unwrap().contains("push to `trips`"));
    };
    let rows = vec![PushedRow {
        values: Ok(emitted.clone()),
        producer: None,
    }];
    let write = Write::Push {
        source: source.clone(),
        rows,
    };
    refused(engine.write(&mut Pusher::default(), write).unwrap_err());
    refused(engine.call(&source, emitted, None).unwrap_err());
    refused(engine.ingest("city_trips", None, &mut |_| ()).unwrap_err());
    let means = engine.means();
    let positions = [(Partition(0), 0..1)];
    let exclusion = engine
        .offline()
        .exclusion(&source, &positions, means, &mut |_, _, _| {
            std::ops::ControlFlow::Continue(())
        });
    refused(exclusion.unwrap_err());
    assert_eq!(events(&engine, "city_trips").len(), 1);
}

pub(crate) const MATERIALISED: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM payments (id BIGINT, card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE limits (card BIGINT, most DOUBLE, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW spending ENTITY card TTL INTERVAL '1' DAY MATERIALIZED EMIT TO 'spent' AS
SELECT p.card, p.amount, l.most, sum(p.amount) OVER (LAST 2 HOURS) AS spent_2h
FROM payments p ASOF JOIN limits l ON p.card = l.card;
CREATE FEATURE SERVICE model AS spending (*);
";

#[test]
fn a_materialised_view_says_what_was_known_when_its_row_came() {
    let world = World::new(MATERIALISED);
    let mut engine = world.engine();
    let at = |minute: i64| Value::Timestamp(t(BEGIN) + minute * MINUTE);
    let pay = |id: i64, amount: f64, minute: i64| {
        vec![
            Value::BigInt(id),
            Value::BigInt(7),
            Value::Double(amount),
            at(minute),
        ]
    };
    let limit = |most: f64, minute: i64| vec![Value::BigInt(7), Value::Double(most), at(minute)];
    let says = |engine: &Engine, minute: i64| -> Vec<Value> {
        let request = request(
            engine,
            "model",
            vec![vec![Value::BigInt(7)]],
            t(BEGIN) + minute * MINUTE,
        );
        let answer = read(engine, &request);
        answer.rows[0].iter().map(|a| a.value.clone()).collect()
    };
    push(&mut engine, "limits", vec![limit(100.0, 0)]);
    push(
        &mut engine,
        "payments",
        vec![pay(1, 5.0, 10), pay(2, 6.0, 20)],
    );
    let double = Value::Double;
    assert_eq!(
        says(&engine, 30),
        [double(6.0), double(100.0), double(11.0)]
    );
    // They come late: the rows that were emitted stay.
    push(&mut engine, "limits", vec![limit(50.0, 15)]);
    push(&mut engine, "payments", vec![pay(3, 1.0, 12)]);
    assert_eq!(
        says(&engine, 30),
        [double(6.0), double(100.0), double(11.0)]
    );
    assert_eq!(says(&engine, 13), [double(1.0), double(100.0), double(6.0)]);
    assert_eq!(
        says(&engine, 26 * 60),
        [Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(events(&engine, "spent").len(), 3);
    // What is read at the trigger's rows is what is known now.
    let rows = engine
        .feature_list(&["spending_rows:most".to_owned()])
        .unwrap();
    let knowledge = Knowledge::latest(engine.cut());
    let now = EventTime(t(BEGIN) + 30 * MINUTE);
    let key = [vec![Value::BigInt(7)]];
    let known = engine
        .read(&ReadPlan::new(rows), &key, now, &knowledge)
        .unwrap();
    assert_eq!(known.to_rows()[0][0].value, double(50.0));
}
