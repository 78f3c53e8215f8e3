//! Corrections: afterwards every feature is what a store made of the truth alone answers, at
//! older cuts and for those who knew no better it is what it was, and the same truth again
//! changes nothing.

mod exclusion;
mod refused;
mod told;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::correction::{
    Correction, CorrectionReport, Counts, Means, Period, Truth, parse_positions,
};
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Engine, EngineError};
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Cut, EventTime, Status, Value, VisibleAt, Zone};

use crate::random_history::Random;
use crate::support::{World, ingest, request, t};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop STRING);
CREATE STREAM sales (id STRING, shop STRING, pieces INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'sales.jsonl');
CREATE STREAM visits (shop STRING, seconds DOUBLE, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'visits.jsonl', partitions = '2');
CREATE TABLE owners (shop STRING, owner STRING, op STRING, at TIMESTAMP, PRIMARY KEY (shop), EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'owners.jsonl', operation = 'op');
CREATE FEATURE VIEW sold ENTITY shop AS
SELECT shop, sum(pieces) OVER d AS pieces, min(pieces) OVER d AS least, count(*) OVER (ALL HISTORY) AS sales,
  last_value(pieces) OVER (LAST 2 ROWS) AS last
FROM sales WINDOW d AS (LAST 30 MINUTES);
CREATE FEATURE VIEW last_sale ENTITY shop AS
SELECT s.shop, s.pieces, v.seconds, o.owner FROM sales s ASOF JOIN visits v ON s.shop = v.shop
ASOF JOIN owners o ON s.shop = o.shop;
CREATE FEATURE VIEW stay ENTITY shop AS
SELECT shop, sum(seconds) OVER (ALL HISTORY) AS seconds, count(*) OVER (LAST 1 HOUR) AS visits,
  last_n(seconds, 3) OVER (ALL HISTORY) AS three FROM visits;
CREATE FEATURE VIEW owner ENTITY shop AS SELECT shop, owner FROM owners;
CREATE TABLE loans (loan STRING, shop STRING, amount INT, op STRING, at TIMESTAMP, PRIMARY KEY (loan), EVENT TIME at, KNOWN AT at)
WITH (connector = 'file', path = 'loans.jsonl', operation = 'op');
CREATE FEATURE VIEW lent ENTITY shop AS
SELECT shop, count(*) AS loans, sum(amount) AS amount FROM loans WHERE amount > 0 GROUP BY shop;
CREATE FEATURE VIEW moves ENTITY shop AS
SELECT shop, count(*) FILTER (WHERE OLD.shop <> NEW.shop) OVER w AS came, sum(OLD.amount) OVER w AS was,
  count(*) FILTER (WHERE op = 'delete') OVER (LAST 45 MINUTES) AS ended FROM loans WINDOW w AS (ALL HISTORY);
CREATE FEATURE SERVICE model AS sold (*), last_sale (pieces AS last_pieces, seconds AS last_seconds, owner AS sale_owner),
  stay (*), owner (owner AS now_owner), lent (loans, amount AS lent), moves (*);
";

const SOURCES: [&str; 4] = ["sales", "visits", "owners", "loans"];
const SHOPS: [&str; 3] = ["x", "y", "z"];
/// Events are at full minutes of two hours from here.
const BEGIN: &str = "2026-03-01T10:00:00Z";
const MINUTE: i64 = 60_000_000;

/// A row: what of it may be the same in two rows, its minute, and the JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    minute: i64,
    /// What identifies it besides the time; none in `visits`.
    id: Option<String>,
    rest: String,
}

fn time(minute: i64) -> EventTime {
    EventTime(t(BEGIN) + minute * MINUTE)
}

fn json(row: &Row) -> String {
    format!(
        "{{{},\"at\":\"{}\"}}\n",
        row.rest,
        format_timestamp(time(row.minute).0)
    )
}

fn text(rows: &[Row]) -> String {
    rows.iter().map(json).collect()
}

fn random_row(random: &mut Random, source: &str) -> Row {
    let minute = random.below(120).cast_signed();
    let shop = SHOPS[random.below(2) as usize];
    let number = random.below(5);
    let mut rest = format!("\"shop\":\"{shop}\"");
    let id = match source {
        "sales" => {
            let id = format!("s{}", random.below(6));
            write!(rest, ",\"id\":\"{id}\",\"pieces\":{number}").unwrap();
            Some(id)
        }
        "visits" => {
            write!(rest, ",\"seconds\":{number}.1").unwrap();
            None
        }
        "owners" => {
            let op = if random.one_in(4) { "delete" } else { "upsert" };
            write!(rest, ",\"owner\":\"o{number}\",\"op\":\"{op}\"").unwrap();
            Some(shop.to_owned())
        }
        // Rows that go from one key to another, and end without saying whose they were.
        _ => {
            let loan = format!("l{}", random.below(3));
            rest = match random.one_in(4) {
                true => format!("\"loan\":\"{loan}\",\"op\":\"delete\""),
                false => {
                    format!("{rest},\"loan\":\"{loan}\",\"amount\":{number},\"op\":\"upsert\"")
                }
            };
            Some(loan)
        }
    };
    Row { minute, id, rest }
}

/// Adds a row, unless another has its identity.
fn add(rows: &mut Vec<Row>, row: Row) {
    let is_taken = row.id.is_some()
        && rows
            .iter()
            .any(|r| r.minute == row.minute && r.id == row.id);
    if !is_taken {
        rows.push(row);
    }
}

fn correct(
    engine: &mut Engine,
    source: &str,
    world: &World,
    truth: &str,
    period: (i64, i64),
) -> Result<CorrectionReport, EngineError> {
    let path = world.write("truth.jsonl", truth);
    let offline = engine.offline();
    let source = offline.source(source)?;
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy())?;
    let period = Period::new(time(period.0), time(period.1))?;
    let difference =
        offline.difference(&source, truth, &period, engine.means(), &mut |_, _, _| {
            go_on()
        })?;
    let end = engine.cut();
    let foreseen = difference.foresee(&offline, &mut |_, _, _| go_on())?;
    assert_eq!(engine.cut(), end);
    let report = engine.correct(&difference, &mut |_, _, _| go_on())?;
    assert_eq!(foreseen.counts, report.counts);
    assert_eq!(foreseen.effects, report.effects);
    Ok(report)
}

/// Begins a correction, and stops after its first commit.
fn interrupted(engine: &mut Engine, source: &str, world: &World, truth: &str, period: (i64, i64)) {
    let path = world.write("truth.jsonl", truth);
    let offline = engine.offline();
    let source = offline.source(source).unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let period = Period::new(time(period.0), time(period.1)).unwrap();
    let means = Means {
        commit_events: 1,
        ..engine.means()
    };
    let difference = offline.difference(&source, truth, &period, means, &mut |_, _, _| go_on());
    let difference = difference.unwrap();
    let stopped = engine.correct(&difference, &mut |_, _, _| ControlFlow::Break(()));
    match difference.counts().changes() {
        0 => assert!(stopped.is_ok()),
        _ => assert!(matches!(stopped, Err(EngineError::Stopped))),
    }
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

type Answers = Vec<Vec<(Value, Status)>>;

/// The answers of the read path at times all over the history; `verify` compares the paths.
fn answers(engine: &Engine, cut: Option<&Cut>, known_at: Option<VisibleAt>) -> Answers {
    let mut all = Vec::new();
    for minute in [-1, 0, 13, 30, 31, 59, 60, 61, 90, 119, 150] {
        let keys = SHOPS.map(|s| vec![Value::string(s)]).to_vec();
        let mut request = request(engine, "model", keys, time(minute).0);
        request.cut = cut.cloned();
        request.known_at = known_at;
        let rows = engine.get(&request).unwrap().rows.into_iter();
        all.extend(rows.map(|row| {
            let answers = row.into_iter().map(|a| (a.value, a.status));
            answers.collect::<Vec<_>>()
        }));
    }
    all
}

fn verify(engine: &Engine, seed: u64) {
    let options = VerifyOptions {
        seed,
        values: 500,
        oracle_values: 300,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
}

/// A random truth about a period: the rows with some gone, some changed and some more.
fn truth_of(random: &mut Random, source: &str, rows: &[Row], period: (i64, i64)) -> Vec<Row> {
    let mut truth: Vec<Row> = Vec::new();
    for row in rows {
        if !(period.0..period.1).contains(&row.minute) {
            continue;
        }
        if random.one_in(4) {
            continue;
        }
        if random.one_in(4) {
            let other = random_row(random, source);
            let same = Row {
                minute: row.minute,
                ..other
            };
            add(&mut truth, same);
        } else {
            add(&mut truth, row.clone());
        }
    }
    for _ in 0..random.below(4) {
        let row = random_row(random, source);
        if (period.0..period.1).contains(&row.minute) {
            add(&mut truth, row);
        }
    }
    truth
}

fn shuffle(random: &mut Random, rows: &mut [Row]) {
    for i in (1..rows.len()).rev() {
        rows.swap(i, random.below(i as u64 + 1) as usize);
    }
}

#[test]
fn a_corrected_store_is_one_made_of_the_truth() {
    let seeds: u64 = match std::env::var("EVENKEEL_SEEDS") {
        Ok(text) => text.parse().expect("EVENKEEL_SEEDS is a number"),
        Err(_) => 12,
    };
    for seed in 1..=seeds {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let mut model: Vec<Vec<Row>> = Vec::new();
        for source in SOURCES {
            let mut rows = Vec::new();
            for _ in 0..random.below(25) {
                add(&mut rows, random_row(&mut random, source));
            }
            let (first, second) = rows.split_at(rows.len() / 2);
            world.ingest_text(
                &mut engine,
                source,
                &format!("{source}1.jsonl"),
                &text(first),
            );
            world.ingest_text(
                &mut engine,
                source,
                &format!("{source}2.jsonl"),
                &text(second),
            );
            model.push(rows);
        }
        let mut told: Vec<(Cut, Answers)> = vec![(engine.cut(), answers(&engine, None, None))];
        let at_first = VisibleAt(t("2026-03-02T12:00:00Z"));
        for round in 0..4 {
            world
                .clock
                .set(t("2026-03-02T13:00:00Z") + i64::from(round) * MINUTE);
            let number = random.below(4) as usize;
            let (source, rows) = (SOURCES[number], &mut model[number]);
            let from = random.below(100).cast_signed();
            let period = (from, from + 1 + random.below(60).cast_signed());
            let mut truth = truth_of(&mut random, source, rows, period);
            shuffle(&mut random, &mut truth);
            rows.retain(|row| !(period.0..period.1).contains(&row.minute));
            rows.extend(truth.clone());
            // Rows outside the period are no matter of the truth.
            let mut file = truth.clone();
            file.push(Row {
                minute: period.1,
                ..random_row(&mut random, source)
            });
            if random.one_in(3) {
                interrupted(&mut engine, source, &world, &text(&file), period);
            }
            let report = correct(&mut engine, source, &world, &text(&file), period).unwrap();
            assert_eq!(report.counts.outside, 1);
            assert_eq!(
                report.counts.unchanged + report.counts.replaced + report.counts.added,
                truth.len() as u64,
                "seed {seed}"
            );
            if random.one_in(3) {
                drop(engine);
                engine = world.engine();
            }
            let fresh = World::new(DEFINITIONS);
            let mut other = fresh.engine();
            for (source, rows) in SOURCES.iter().zip(&model) {
                fresh.ingest_text(&mut other, source, "all.jsonl", &text(rows));
            }
            let now = answers(&engine, None, None);
            assert_eq!(
                now,
                answers(&other, None, None),
                "seed {seed}, round {round}"
            );
            for (cut, before) in &told {
                assert_eq!(&answers(&engine, Some(cut), None), before, "seed {seed}");
            }
            // Who knew what was known at first knows no more now.
            assert_eq!(
                answers(&engine, None, Some(at_first)),
                told[0].1,
                "seed {seed}"
            );
            told.push((engine.cut(), now));
            // The same truth again changes nothing, in whichever order it is told.
            shuffle(&mut random, &mut truth);
            let end = engine.cut();
            let again = correct(&mut engine, source, &world, &text(&truth), period).unwrap();
            assert_eq!(again.counts.changes(), 0, "seed {seed}, round {round}");
            assert_eq!(engine.cut(), end);
        }
        verify(&engine, seed);
    }
}

const SALES: &str = r#"{"id":"a","shop":"x","pieces":1,"at":"2026-03-01T10:00:00Z"}
{"id":"b","shop":"x","pieces":2,"at":"2026-03-01T10:10:00Z"}
{"id":"c","shop":"y","pieces":3,"at":"2026-03-01T10:20:00Z"}
"#;

fn sales() -> (World, Engine) {
    let world = World::new(DEFINITIONS);
    world.write("sales.jsonl", SALES);
    let mut engine = world.engine();
    ingest(&mut engine, "sales");
    (world, engine)
}

fn loans(versions: &[(i64, &str, i64)]) -> String {
    let row = |&(minute, shop, amount): &(i64, &str, i64)| {
        let rest =
            format!("\"loan\":\"l\",\"shop\":\"{shop}\",\"amount\":{amount},\"op\":\"upsert\"");
        json(&Row {
            minute,
            id: None,
            rest,
        })
    };
    versions.iter().map(row).collect()
}

#[test]
fn a_correction_and_a_push_of_the_same_payload_are_two_versions() {
    for push_first in [true, false] {
        let (world, mut engine) = sales();
        let truth = SALES.replace("\"pieces\":2", "\"pieces\":9");
        let path = world.write("truth.jsonl", &truth);
        let offline = engine.offline();
        let source = offline.source("sales").unwrap();
        let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
        let period = Period::new(time(0), time(60)).unwrap();
        let means = engine.means();
        let difference = offline
            .difference(&source, truth, &period, means, &mut |_, _, _| go_on())
            .unwrap();
        let mut commit: Vec<Correction> = Vec::new();
        let take = &mut |corrections| {
            commit.extend(corrections);
            Ok(())
        };
        difference
            .commits(&offline, take, &mut |_, _, _| go_on())
            .unwrap();
        let row = commit[0].event.row.clone();
        let push = Write::Push {
            source: source.clone(),
            rows: vec![PushedRow {
                values: Ok(row),
                producer: None,
            }],
        };
        let correction = Write::Corrections {
            source: source.clone(),
            corrections: commit,
        };
        let writes = if push_first {
            vec![push, correction]
        } else {
            vec![correction, push]
        };
        let mut pusher = Pusher::default();
        let judged = pusher.judge(&engine, writes);
        let mut durable = judged.append(&engine.writer().unwrap()).unwrap();
        while engine.apply_some(&mut durable, 1).unwrap() {}
        let mut request = request(&engine, "model", vec![vec![Value::string("x")]], time(20).0);
        request.cut = None;
        let answer = engine.get(&request).unwrap();
        assert_eq!(
            answer.rows[0][0].value,
            Value::BigInt(10),
            "push first: {push_first}"
        );
        verify(&engine, 1);
    }
}

#[test]
fn a_file_that_is_given_twice_says_nothing_more() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let visit = "{\"shop\":\"x\",\"seconds\":1,\"at\":\"2026-03-01T10:00:00Z\"}\n";
    world.write("truth1.jsonl", visit);
    world.write("truth2.jsonl", visit);
    let offline = engine.offline();
    let source = offline.source("visits").unwrap();
    let period = Period::new(time(0), time(60)).unwrap();
    for added in [1, 0] {
        let offline = engine.offline();
        let truth = Truth::open(&source, world.path(), "truth?.jsonl").unwrap();
        let means = engine.means();
        let difference = offline
            .difference(&source, truth, &period, means, &mut |_, _, _| go_on())
            .unwrap();
        let counts = engine
            .correct(&difference, &mut |_, _, _| go_on())
            .unwrap()
            .counts;
        assert_eq!((counts.added, counts.unchanged), (added, 1 - added));
    }
}

#[test]
fn times_without_a_zone_are_in_the_zone_of_the_source() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let day = Period::parse("2026-03-01", "2026-03-02T00:00:00Z", &zone).unwrap();
    let (from, to) = day.bounds();
    assert_eq!(
        (from.0, to.0),
        (t("2026-02-28T23:00:00Z"), t("2026-03-02T00:00:00Z"))
    );
    for (from, to, name) in [
        ("soon", "2026-03-02", "`from`"),
        ("2026-03-01", "late", "`to`"),
    ] {
        let error = Period::parse(from, to, &zone).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}
