//! Segments over rows of single events, whose conditions are evaluated while the log is read, against
//! reads of every key one by one: events that stand by column and by row, of an older schema, with
//! values that are missing, corrected, too old or ended; from the hot tier on and from the log alone.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::{
    AtOnce, Engine, FrozenSegments, Offline, SegmentAnswer, SegmentPlan, SegmentRequest,
    segment_of, segment_query,
};
use evenkeel_expr::Program;
use evenkeel_log::{DiskFileSystem, EventSource, LogReader, Next, ReadOptions};
use evenkeel_train::Judged;
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::ViewDef;
use evenkeel_types::time::{DAY, HOUR, MINUTE, format_timestamp};
use evenkeel_types::{Cut, EventTime, LoggedEvent};
use proptest::prelude::*;

use crate::judged::{self, Asked, Said};
use crate::random_history::Random;
use crate::support::{World, apply_text, t};
use crate::trial_purity::Logged;

const DEFINITIONS: &str = "
CREATE ENTITY meter (meter BIGINT);
CREATE STREAM readings (meter BIGINT, a DOUBLE, b INT, word STRING, at TIMESTAMP,
  EVENT TIME at, MAX FUTURE INTERVAL '1000' DAY) WITH (connector = 'file', path = 'readings.csv');
CREATE STREAM bills (id BIGINT, meter BIGINT, amount DOUBLE, b INT, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, MAX FUTURE INTERVAL '1000' DAY) WITH (connector = 'file', path = 'bills.csv');
CREATE TABLE owners (meter BIGINT, owner STRING, b INT, op STRING, at TIMESTAMP,
  PRIMARY KEY (meter), EVENT TIME at, MAX FUTURE INTERVAL '1000' DAY)
  WITH (connector = 'file', path = 'owners.csv', operation = 'op');
CREATE FEATURE VIEW reading ENTITY meter AS SELECT meter, a, 12 // b AS c, word, at AS read_at FROM readings;
CREATE FEATURE VIEW fresh_reading ENTITY meter TTL INTERVAL '3' DAY AS SELECT meter, a, b FROM readings;
CREATE FEATURE VIEW bill ENTITY meter AS SELECT meter, amount, b FROM bills;
CREATE FEATURE VIEW owner_of ENTITY meter TTL INTERVAL '5' DAY AS SELECT meter, owner, b FROM owners;
CREATE SEGMENT high AS SELECT meter, a * 2 AS twice, word FROM reading WHERE a > 40 AND c < 6;
";

const QUERIES: [&str; 7] = [
    "SELECT meter, a, c, word FROM reading WHERE c > 1 OR word = 'x'",
    "SELECT meter FROM reading WHERE read_at > read_time() - INTERVAL '36' HOUR AND a IS NOT NULL",
    "SELECT meter, a FROM fresh_reading WHERE a IS NULL OR 12 // b > 3",
    "SELECT r.meter, r.a, f.b FROM reading r JOIN fresh_reading f USING (meter) WHERE f.b > 1 AND r.a > 10",
    "SELECT meter, amount FROM bill WHERE 100 // b > 20 AND meter > 3",
    "SELECT meter, owner, b FROM owner_of WHERE owner <> 'a' OR 5 // b = 1",
    "SELECT meter FROM owner_of",
];

fn start() -> i64 {
    t("2026-02-18T00:00:00Z")
}

/// Keys that are near each other, or far apart.
fn meter(random: &mut Random, far: bool) -> i64 {
    let meter = random.below(30) as i64;
    if far { meter * 1_000_000_007 } else { meter }
}

fn when(random: &mut Random) -> String {
    format_timestamp(start() + random.below(10 * 24 * 6) as i64 * 10 * MINUTE)
}

/// A number, often none.
fn number(random: &mut Random, below: u64) -> String {
    match random.one_in(8) {
        true => String::new(),
        false => random.below(below).to_string(),
    }
}

/// Rows of all sources, `file` tells them from those of other files: sometimes so many that they stand by
/// column.
fn ingest(world: &World, engine: &mut Engine, random: &mut Random, file: u64, far: bool) {
    let rows = *random.pick(&[0, 20, 200]);
    let mut readings = "meter,a,b,word,at\n".to_owned();
    for _ in 0..rows {
        let (meter, at) = (meter(random, far), when(random));
        let (a, b) = (number(random, 80), number(random, 4));
        let word = random.pick(&["x", "y", ""]);
        readings.push_str(&format!("{meter},{a}.5,{b},{word},{at}\n").replace(",.5,", ",,"));
    }
    let mut bills = "id,meter,amount,b,at\n".to_owned();
    for row in 0..rows {
        // Ids that ascend, or do not.
        let id = file * 1_000 + if far { rows - row } else { row };
        let (meter, at) = (meter(random, far), when(random));
        let (amount, b) = (number(random, 50), number(random, 6));
        bills.push_str(&format!("{id},{meter},{amount},{b},{at}\n"));
    }
    let mut owners = "meter,owner,b,op,at\n".to_owned();
    for _ in 0..rows {
        let (meter, at) = (meter(random, far), when(random));
        let owner = random.pick(&["a", "b", "c"]);
        let (b, op) = (
            number(random, 3),
            random.pick(&["upsert", "upsert", "delete"]),
        );
        owners.push_str(&format!("{meter},{owner},{b},{op},{at}\n"));
    }
    for (source, text) in [("readings", readings), ("bills", bills), ("owners", owners)] {
        world.ingest_text(engine, source, &format!("{source}{file}.csv"), &text);
    }
}

/// What an answer is, but for its time and cut.
fn told(answer: &SegmentAnswer) -> (Vec<Vec<u8>>, [u64; 3], bool) {
    let rows = (0..answer.rows).map(|row| encode_values(&answer.row(row)));
    (
        rows.collect(),
        [answer.matched, answer.asked, answer.undecided],
        answer.complete,
    )
}

/// Asks in every way; the answer key by key, and that of the log alone.
fn check(engine: &Engine, plan: &Arc<SegmentPlan>, as_of: i64, cut: &Cut) -> [SegmentAnswer; 2] {
    let one_by_one = SegmentRequest {
        plan: Arc::clone(plan),
        as_of: Some(EventTime(as_of)),
        not_before: None,
        positions: Cut::empty(),
        cut: Some(cut.clone()),
        known_at: None,
        after: None,
        limit: usize::MAX,
        counts: false,
        at_once: AtOnce {
            keys_first: u64::MAX,
            ..AtOnce::default()
        },
    };
    let by_key = engine.ask_segment(&one_by_one).unwrap();
    let wanted = told(&by_key);
    let counting = |request: &SegmentRequest| SegmentRequest {
        limit: 0,
        counts: true,
        ..request.clone()
    };
    let counted = told(&engine.ask_segment(&counting(&one_by_one)).unwrap());
    assert_eq!(counted.1, wanted.1);
    for keys_first in [0, 5] {
        let at_once = SegmentRequest {
            at_once: AtOnce {
                keys_first,
                events_per_key: u64::MAX,
                ..AtOnce::default()
            },
            ..one_by_one.clone()
        };
        assert_eq!(told(&engine.ask_segment(&at_once).unwrap()), wanted);
        assert_eq!(
            told(&engine.ask_segment(&counting(&at_once)).unwrap()),
            counted
        );
        let page = SegmentRequest {
            limit: 3,
            ..at_once.clone()
        };
        let page_by_key = SegmentRequest {
            limit: 3,
            ..one_by_one.clone()
        };
        let [page, page_by_key] =
            [page, page_by_key].map(|page| engine.ask_segment(&page).unwrap());
        assert_eq!(told(&page), told(&page_by_key));
        assert_eq!(page.next, page_by_key.next);
    }
    let offline = engine.offline();
    let of_log = |offline: &Offline, request: &SegmentRequest| {
        let answer = offline.ask_segment(request, &mut |_| ControlFlow::Continue(()));
        answer.unwrap().expect("few events")
    };
    let at_once = of_log(&offline, &one_by_one);
    assert_eq!(told(&at_once), wanted);
    assert_eq!(told(&of_log(&offline, &counting(&one_by_one))), counted);
    [by_key, at_once]
}

/// What happened on a day is something else, or happened at all.
fn correct(world: &World, engine: &mut Engine, random: &mut Random, far: bool) {
    let day = start() + random.below(10) as i64 * DAY;
    let at = format_timestamp(day + HOUR);
    let (source, truth) = match random.below(3) {
        0 => (
            "readings",
            format!("meter,a,b,word,at\n{},70.5,3,x,{at}\n", meter(random, far)),
        ),
        1 => (
            "bills",
            format!(
                "id,meter,amount,b,at\n7,{},7.5,3,{at}\n",
                meter(random, far)
            ),
        ),
        _ => (
            "owners",
            format!(
                "meter,owner,b,op,at\n{},b,1,upsert,{at}\n",
                meter(random, far)
            ),
        ),
    };
    let path = world.write("truth.csv", &truth);
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let offline = engine.offline();
    let source = offline.source(source).unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let period = Period::new(EventTime(day), EventTime(day + DAY)).unwrap();
    let difference = offline.difference(&source, truth, &period, engine.means(), &mut go_on);
    engine.correct(&difference.unwrap(), &mut go_on).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_the_same_whether_asked_one_by_one_or_beside_the_log(seed in any::<u64>()) {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let far = random.one_in(2);
        let mut cuts = vec![engine.cut()];
        let mut frozen = Vec::new();
        for file in 0..4 {
            ingest(&world, &mut engine, &mut random, file, far);
            match file {
                1 => apply_text(&mut engine, &DEFINITIONS.replace("b INT", "b BIGINT")),
                2 => correct(&world, &mut engine, &mut random, far),
                _ => {}
            }
            if random.one_in(2) {
                engine.checkpoint().unwrap();
            }
            cuts.push(engine.cut());
            let plan = Arc::new(SegmentPlan::new(segment_of(engine.catalog(), "high").unwrap()));
            let as_of = start() + random.below(11 * 24) as i64 * HOUR;
            frozen.push((plan, as_of, engine.cut()));
        }
        let project = world.project();
        let folder = FrozenSegments::of(&project.store);
        for (plan, as_of, cut) in &frozen {
            let words = engine.format_cut(cut);
            let [first, second] = check(&engine, plan, *as_of, cut)
                .map(|answer| folder.freeze(plan, answer, &words).unwrap());
            assert_eq!(first.digest, second.digest);
        }
        for query in QUERIES {
            let plan = Arc::new(SegmentPlan::new(segment_query(engine.catalog(), query).unwrap()));
            let cut = random.pick(&cuts).clone();
            check(&engine, &plan, start() + random.below(11 * 24 * 6) as i64 * 10 * MINUTE, &cut);
        }
    }
}

/// What is said of the keys of a query's views by the events of the log as they stand in it, and by the same events
/// one by one; and how many came by column.
fn judged(engine: &Engine, world: &World, query: &str, at: i64) -> ([Option<Said>; 2], usize) {
    let def = segment_query(engine.catalog(), query).unwrap();
    let views: Vec<ViewDef> = def.inputs.iter().map(|view| (**view).clone()).collect();
    let directory = world.project().store.join("log");
    let (log, _) = LogReader::open(Arc::new(DiskFileSystem), &directory).unwrap();
    let (mut by_column, mut logged) = (0, LoggedEvent::blank());
    let mut events = log.read(ReadOptions::default());
    loop {
        match events.next_columns(&mut logged).unwrap() {
            Next::End => break,
            Next::Event => {}
            Next::Columns(several) => by_column += several.len(),
        }
    }
    let events: Result<Vec<LoggedEvent>, _> = log.read(ReadOptions::default()).collect();
    let one_by_one = Logged(events.unwrap());
    let asked = Asked {
        filter: def.filter.as_ref().map(Program::compile),
        at,
    };
    let of = |log: &dyn EventSource| {
        let mut go_on = |_| ControlFlow::Continue(());
        let judged = Judged::read(log, &views, at, &engine.cut(), &asked, &mut go_on);
        judged.unwrap().as_ref().map(judged::told)
    };
    ([of(&log), of(&one_by_one)], by_column)
}

#[test]
fn events_by_column_are_judged_as_they_are_one_by_one() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let mut random = Random(5);
    let mut readings = "meter,a,b,word,at\n".to_owned();
    for minute in 0..400 {
        let at = format_timestamp(start() + minute * MINUTE);
        let (meter, a, b) = (random.below(30), random.below(80), number(&mut random, 4));
        readings.push_str(&format!("{meter},{a}.5,{b},x,{at}\n"));
    }
    world.ingest_text(&mut engine, "readings", "readings.csv", &readings);
    for query in &QUERIES[..4] {
        let at = start() + 300 * MINUTE;
        let ([by_column, one_by_one], columns) = judged(&engine, &world, query, at);
        assert_eq!(columns, 400);
        assert!(by_column.as_ref().is_some_and(|said| said.len() > 20));
        assert_eq!(by_column, one_by_one);
    }
}

#[test]
fn a_few_events_of_one_time_are_told_apart_and_many_are_left_to_others() {
    for (ties, is_judged) in [(64, true), (65, false)] {
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let mut readings = "meter,a,b,word,at\n".to_owned();
        for row in 0..2 * ties {
            let (meter, a) = (row / 2, (row * 7) % 90);
            readings.push_str(&format!("{meter},{a}.5,3,x,2026-02-19T00:00:00Z\n"));
        }
        world.ingest_text(&mut engine, "readings", "readings.csv", &readings);
        let at = t("2026-02-20T00:00:00Z");
        for query in [QUERIES[0], "SELECT meter, a FROM reading WHERE a > 40"] {
            let (said, _) = judged(&engine, &world, query, at);
            for said in said {
                assert_eq!(said.is_some(), is_judged);
            }
            let plan = SegmentPlan::new(segment_query(engine.catalog(), query).unwrap());
            let [answer, _] = check(&engine, &Arc::new(plan), at, &engine.cut());
            assert_eq!(answer.asked, ties);
        }
    }
}
