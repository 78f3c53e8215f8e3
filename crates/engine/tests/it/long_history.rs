//! Windows over thousands of events of one key: late and repeated events, conflicts and
//! corrections, ends at events, between them and a microsecond beside them, at the edges of
//! gaps, hops and calendar periods. A history keeps blocks of 256 entries under nodes of 16
//! children; the longest one here has more than one level of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_train::Evaluator;
use evenkeel_types::definition::{Catalog, SourceDef, ViewDef};
use evenkeel_types::time::{DAY, HOUR, MINUTE};
use evenkeel_types::{
    CalendarUnit, Cut, Event, EventTime, Interval, LoggedEvent, Offset, Operation, Origin,
    Position, SourceId, Value, VisibleAt, Zone,
};
use evenkeel_view::Uses;
use evenkeel_view::oracle::Oracle;

use crate::cut_purity::{Case, Paths, interleave, store};
use crate::random_history::{Random, START, catalog, derived, part, whole};

/// Events per card before repetitions and corrections: more than 16 blocks of 256, a few
/// blocks, less than a block.
const CARDS: [(&str, u64); 3] = [("a", 4_400), ("b", 700), ("c", 40)];

const ZONES: [&str; 3] = ["America/Los_Angeles", "Europe/Berlin", "UTC"];

const GAP: i64 = 12 * HOUR;

const SOURCES: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, n INT, ok BOOLEAN, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at + INTERVAL '5' MINUTE);
CREATE STREAM fading (id STRING, card STRING, amount DOUBLE, n INT, ok BOOLEAN, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, RETAIN INTERVAL '12' HOUR FOR (card));
";

/// The name of a view, its source with a filter, and its windows.
const VIEWS: [(&str, &str, &[&str]); 7] = [
    ("sessions", "paid", &SESSIONS),
    ("sessions_of_some", "paid WHERE ok", &SESSIONS),
    ("by_rows", "paid", &ROWS),
    ("by_rows_of_some", "paid WHERE ok", &ROWS),
    ("by_calendar", "paid", &CALENDAR),
    ("by_hop", "paid", &HOPS),
    ("retained", "fading", &RETAINED),
];

const SESSIONS: [&str; 3] = [
    "SESSION GAP INTERVAL '12' HOUR",
    "SESSION GAP INTERVAL '12' HOUR EXCLUDE GROUP",
    "SESSION GAP INTERVAL '3' DAY",
];
const ROWS: [&str; 6] = [
    "LAST 1 ROWS",
    "LAST 300 ROWS",
    "LAST 300 ROWS BEFORE",
    "ROWS BETWEEN 2500 PRECEDING AND 256 PRECEDING",
    "ROWS BETWEEN 255 PRECEDING AND CURRENT ROW",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1000 PRECEDING",
];
const CALENDAR: [&str; 6] = [
    "SINCE START OF DAY IN 'America/Los_Angeles'",
    "SINCE START OF WEEK",
    "RANGE BETWEEN START OF MONTH IN 'Europe/Berlin' AND CURRENT ROW EXCLUDE GROUP",
    "SINCE START OF YEAR",
    "LAST 1 MONTH",
    "RANGE BETWEEN INTERVAL '4' MONTH PRECEDING AND INTERVAL '1' MONTH PRECEDING",
];
const HOPS: [&str; 4] = [
    "LAST 7 DAYS HOP 1 HOUR",
    "LAST 60 DAYS HOP 1 DAY",
    "RANGE BETWEEN INTERVAL '30' DAY PRECEDING AND INTERVAL '6' HOUR PRECEDING HOP INTERVAL '6' HOUR",
    "LAST 30 DAYS",
];
const RETAINED: [&str; 3] = [
    "ALL HISTORY",
    "LAST 300 ROWS",
    "SESSION GAP INTERVAL '6' HOUR",
];

fn definitions() -> String {
    let mut sql = SOURCES.to_owned();
    for (name, from, frames) in VIEWS {
        let columns: Vec<String> = (0..frames.len())
            .map(|i| {
                format!(
                    "count(*) OVER w{i} AS n{i}, sum(amount) OVER w{i} AS sum{i},
                     first_value(id) OVER w{i} AS first{i}, last_value(amount) OVER w{i} AS last{i},
                     max(n) FILTER (WHERE amount > 0) OVER w{i} AS max{i}"
                )
            })
            .collect();
        let windows: Vec<String> = frames
            .iter()
            .zip(0..)
            .map(|(frame, i)| format!("w{i} AS ({frame})"))
            .collect();
        sql.push_str(&format!(
            "CREATE FEATURE VIEW {name} ENTITY card AS SELECT card, {} FROM {from} WINDOW {};\n",
            columns.join(", "),
            windows.join(", ")
        ));
    }
    sql
}

/// Times of a card's events: runs of hundreds, with gaps around twelve hours and ties.
fn times(count: u64, random: &mut Random) -> Vec<i64> {
    let mut at = START;
    (0..count)
        .map(|_| {
            at += match random.below(200) {
                0 => GAP,
                1 => GAP + 1,
                2 => GAP - 1,
                3 => 3 * DAY,
                4 => GAP + random.below(5 * DAY as u64) as i64,
                5..60 => 0,
                _ => random.below(2 * HOUR as u64) as i64 / MINUTE * MINUTE,
            };
            at
        })
        .collect()
}

fn event(source: &SourceDef, card: &str, id: u64, at: i64, random: &mut Random) -> Event {
    let value =
        |random: &mut Random, value: Value| if random.one_in(9) { Value::Null } else { value };
    let ok = random.one_in(3);
    let amount = (random.below(1_000) as f64 - 300.0) * 0.1;
    Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(at),
        known_at: source.known_at.as_ref().map(|_| VisibleAt(at + 5 * MINUTE)),
        origin: Origin::File {
            digest: [7; 16],
            row: id,
        },
        row: vec![
            Value::string(format!("{card}{id}")),
            Value::string(card),
            value(random, Value::double(amount)),
            Value::Int(random.below(90) as i32),
            value(random, Value::Boolean(ok)),
            Value::Timestamp(at),
        ],
        before: None,
    }
}

/// Both sources' events in log order: mostly in the order of time, some late by days or by
/// everything, some repeated, contested or corrected later.
fn history(catalog: &Catalog, random: &mut Random) -> Vec<LoggedEvent> {
    let mut arriving: Vec<(i64, Arc<SourceDef>, Event)> = Vec::new();
    for source in catalog.sources.values() {
        for (card, count) in CARDS {
            for (id, at) in (0..).zip(times(count, random)) {
                let late = match random.below(20) {
                    0 => random.below(9 * DAY as u64) as i64,
                    1 => 400 * DAY,
                    _ => 0,
                };
                arriving.push((
                    at + late,
                    source.clone(),
                    event(source, card, id, at, random),
                ));
            }
        }
    }
    arriving.sort_by_key(|(at, ..)| *at);
    let mut logged: Vec<LoggedEvent> = Vec::new();
    let mut next: BTreeMap<(SourceId, u32), u64> = BTreeMap::new();
    let mut log = |logged: &mut Vec<LoggedEvent>,
                   clock: i64,
                   source: SourceId,
                   event: Event,
                   partition: u32| {
        let offset = next.entry((source, partition)).or_default();
        logged.push(LoggedEvent {
            source,
            position: Position::new(partition, *offset),
            logged_at: VisibleAt(clock),
            schema_version: 1,
            event,
        });
        *offset += 1;
    };
    for (clock, source, event) in arriving {
        log(&mut logged, clock, source.id, event, random.below(3) as u32);
        if random.one_in(25) {
            let earlier = random.pick(&logged).clone();
            let def = catalog.source_by_id(earlier.source).unwrap();
            let again = derived(def, &earlier, random, 1_000_000 + clock as u64);
            log(
                &mut logged,
                clock,
                earlier.source,
                again,
                random.below(3) as u32,
            );
        }
    }
    logged
}

/// A time beside an event, or beside an edge that an event makes.
fn time(logged: &[LoggedEvent], random: &mut Random) -> i64 {
    let event = random.pick(logged).event.event_time.0;
    let hop = *random.pick(&[HOUR, 6 * HOUR, DAY]);
    let at = match random.below(10) {
        0 | 1 => event,
        2 | 3 => event + GAP,
        4 => event + random.pick(&[3 * DAY, 6 * HOUR, 7 * DAY, 30 * DAY, 60 * DAY]),
        5 => Interval::from_months(*random.pick(&[1, 4])).after(event),
        6 => (event.div_euclid(hop) + 1) * hop + random.pick(&[0, 7 * DAY, 60 * DAY]),
        7 => {
            let zone = Zone::named(ZONES[random.below(3) as usize]);
            let unit = *random.pick(&[CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month]);
            zone.unwrap().start_of(unit, event)
        }
        _ => event + random.below(DAY as u64) as i64,
    };
    at + random.below(3) as i64 - 1
}

/// Half of everything in every partition, and a cut in the middle of the longest history.
fn cuts(logged: &[LoggedEvent], random: &mut Random) -> Vec<Cut> {
    let all = whole(logged);
    let mut half = Cut::empty();
    for (source, partition, end) in all.iter() {
        half.set_end(source, partition, Offset(end.0 / 2));
    }
    vec![all, half, part(logged, random)]
}

#[test]
fn long_histories_give_the_same_bits_on_every_path() {
    let mut random = Random(45);
    let sql = definitions();
    let catalog = catalog(&sql);
    let logged = history(&catalog, &mut random);
    let in_order: Vec<&LoggedEvent> = logged.iter().collect();
    let ahead = store(&catalog, &in_order, None);
    let other_order = interleave(&logged, &mut random);
    let shuffled = store(&catalog, &other_order, Some((&mut random, 1_500)));
    let oracle = Oracle::new(&logged);
    let views: Vec<Arc<ViewDef>> = catalog
        .views
        .values()
        .filter_map(|v| v.values().next_back().cloned())
        .collect();
    assert_eq!(views.len(), VIEWS.len());
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let mut compared = 0;
    for cut in cuts(&logged, &mut random) {
        let exactly: Vec<&LoggedEvent> = logged
            .iter()
            .filter(|e| cut.contains(e.source, e.position))
            .collect();
        let exact = store(&catalog, &exactly, Some((&mut random, 1_500)));
        let evaluator = Evaluator::from_events(&logged, &uses, &cut);
        let paths = Paths {
            stores: [
                ("ahead of the cut", &ahead),
                ("another order, restarted", &shuffled),
                ("exactly the cut, restarted", &exact),
            ],
            evaluator: &evaluator,
            oracle: &oracle,
        };
        // One for all, so that the oracle prepares its events once.
        let shared_known = VisibleAt(START + 120 * DAY);
        for view in &views {
            let cases: Vec<Case> = (0..10)
                .map(|_| Case {
                    key: vec![Value::string(
                        *random.pick(&["a", "a", "a", "b", "b", "c", "nobody"]),
                    )],
                    time: time(&logged, &mut random),
                    known_at: random.one_in(4).then_some(shared_known),
                    request: Vec::new(),
                })
                .collect();
            compared += paths.agree(view, &cut, &cases, &sql);
        }
    }
    assert!(compared > 4_000, "{compared}");
}
