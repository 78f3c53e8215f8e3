//! Random definitions and histories: late events, duplicates, conflicts, corrections,
//! deletes, ties, several partitions, declared and logged visible times.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_ddl::bind_project;
use evenkeel_types::definition::{Catalog, SourceDef, SourceKind};
use evenkeel_types::time::{DAY, HOUR, MINUTE};
use evenkeel_types::{
    Cut, DataType, Event, EventTime, LoggedEvent, Offset, Operation, Origin, Partition, Position,
    SourceId, Value, VisibleAt,
};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// 2024-02-27: a leap day and month ends are near.
pub(crate) const START: i64 = 19_780 * DAY;

const SOURCES: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY shop (shop BIGINT);
CREATE ENTITY payment (id STRING);
CREATE ENTITY loan (loan STRING);
CREATE STREAM paid (
  id STRING, card STRING, shop BIGINT, amount DOUBLE, cents DECIMAL(9, 2), n INT, ok BOOLEAN, at TIMESTAMP,
  twice DOUBLE AS (amount * 2),
  EVENT ID (id), EVENT TIME at, KNOWN AT at + INTERVAL '5' MINUTE, SEQUENCE BY (n)
);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, word STRING, at TIMESTAMP, EVENT TIME at);
CREATE STREAM once (id STRING, card STRING, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '30' MINUTE);
CREATE STREAM fading (card STRING, amount DOUBLE, at TIMESTAMP, EVENT TIME at, RETAIN INTERVAL '2' HOUR FOR (card));
CREATE TABLE owner (card STRING, name STRING, level INT, since TIMESTAMP, PRIMARY KEY (card), EVENT TIME since);
";

const FRAMES: [&str; 22] = [
    "RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW",
    "RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW EXCLUDE GROUP",
    "RANGE BETWEEN INTERVAL '3' DAY PRECEDING AND INTERVAL '1' DAY PRECEDING",
    "RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW",
    "RANGE BETWEEN INTERVAL '2' MONTH PRECEDING AND INTERVAL '1' MONTH PRECEDING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '10' MINUTE PRECEDING",
    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
    "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE GROUP",
    "ROWS BETWEEN 5 PRECEDING AND 2 PRECEDING",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
    "RANGE BETWEEN START OF DAY IN 'America/Los_Angeles' AND CURRENT ROW",
    "RANGE BETWEEN START OF WEEK AND CURRENT ROW",
    "RANGE BETWEEN START OF MONTH IN 'Europe/Berlin' AND CURRENT ROW EXCLUDE GROUP",
    "SESSION GAP INTERVAL '20' MINUTE",
    "SESSION GAP INTERVAL '3' HOUR",
    "RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW HOP INTERVAL '15' MINUTE",
    "RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND INTERVAL '6' HOUR PRECEDING HOP INTERVAL '6' HOUR",
    "RANGE BETWEEN INTERVAL '0' SECOND PRECEDING AND CURRENT ROW",
    "LAST 90 MINUTES",
    "LAST 2 DAYS BEFORE",
];

const PAID_AGGREGATES: [&str; 26] = [
    "count(*)",
    "count(amount)",
    "sum(amount)",
    "sum(twice)",
    "avg(amount)",
    "sum(n)",
    "avg(n)",
    "sum(cents)",
    "avg(cents)",
    "min(amount)",
    "max(amount)",
    "stddev_samp(amount)",
    "var_pop(n)",
    "first_value(amount)",
    "last_value(amount)",
    "last_value(amount IGNORE NULLS)",
    "last_n(n, 3)",
    "count(DISTINCT shop)",
    "approx_quantile(amount, 0.5)",
    "top_k(shop, 2)",
    "bool_and(ok)",
    "bool_or(ok)",
    "max_by(shop, amount)",
    "min_by(shop, amount)",
    "sum(n * 1000000000)",
    "sum(1 // n)",
];

const SEEN_AGGREGATES: [&str; 6] = [
    "count(*)",
    "sum(score)",
    "last_value(word)",
    "last_n(word, 2)",
    "max(word)",
    "count(DISTINCT word)",
];

const LOAN_AGGREGATES: [&str; 16] = [
    "count(*)",
    "sum(amount)",
    "avg(amount)",
    "sum(level)",
    "min(amount)",
    "max(amount)",
    "stddev_samp(amount)",
    "first_value(status)",
    "last_value(status)",
    "last_n(level, 2)",
    "count(DISTINCT status)",
    "approx_quantile(amount, 0.5)",
    "top_k(status, 2)",
    "bool_or(amount > 0)",
    "max_by(status, amount)",
    "sum(1 // level)",
];

const CHANGE_AGGREGATES: [&str; 12] = [
    "count(*)",
    "count(OLD.amount)",
    "sum(NEW.amount)",
    "sum(amount - OLD.amount)",
    "max(OLD.level)",
    "last_value(op)",
    "last_n(OLD.status, 3)",
    "last_value(NEW.status)",
    "max(OLD.since)",
    "max(NEW.event_time)",
    "min(visible_at)",
    "top_k(OLD.card, 2)",
];

const CHANGE_FILTERS: [&str; 6] = [
    "",
    "",
    "FILTER (WHERE op = 'delete')",
    "FILTER (WHERE OLD.status = NEW.status)",
    "FILTER (WHERE OLD.card IS NULL OR OLD.card <> card)",
    "FILTER (WHERE op <> 'insert' AND amount > 0)",
];

/// A table whose rows move between keys, and state views over it.
fn state_views(random: &mut Random) -> String {
    let retain = random.pick(&[
        "",
        "",
        ", RETAIN INTERVAL '1' DAY FOR (loan)",
        ", RETAIN INTERVAL '3' HOUR FOR (card)",
        ", RETAIN INTERVAL '20' HOUR FOR (loan), RETAIN INTERVAL '6' HOUR FOR (shop)",
    ]);
    let sequence = random.pick(&["", ", SEQUENCE BY (status)"]);
    let mut sql = format!(
        "CREATE TABLE loans (loan STRING, card STRING, shop BIGINT, amount DOUBLE, level INT, status STRING, since TIMESTAMP,
           PRIMARY KEY (loan), EVENT TIME since{sequence}{retain});\n"
    );
    let wheres = ["", "WHERE amount > 0", "WHERE status <> 'x'"];
    for (name, entity, key) in [
        ("loans_of_card", "card", "card"),
        ("loans_of_shop", "shop", "shop"),
        ("this_loan", "loan", "loan"),
    ] {
        let columns: Vec<String> = (0..4)
            .map(|i| {
                let call = random.pick(&LOAN_AGGREGATES);
                let filter = random.pick(&["", "", "FILTER (WHERE level > 0)"]);
                format!("{call} {filter} AS c{i}")
            })
            .collect();
        let (columns, filter) = (columns.join(", "), random.pick(&wheres));
        sql.push_str(&format!(
            "CREATE FEATURE VIEW {name} ENTITY {entity} AS SELECT {columns} FROM loans {filter} GROUP BY {key};\n"
        ));
    }
    for entity in ["card", "shop", "loan"] {
        let columns: Vec<String> = (0..5)
            .map(|i| {
                let call = random.pick(&CHANGE_AGGREGATES);
                let filter = random.pick(&CHANGE_FILTERS);
                let frame = random.pick(&FRAMES);
                let spec = match frame.starts_with("LAST") || frame.starts_with("SESSION") {
                    true => (*frame).to_owned(),
                    false => format!("ORDER BY since {frame}"),
                };
                format!("{call} {filter} OVER ({spec}) AS c{i}")
            })
            .collect();
        let (columns, filter) = (columns.join(", "), random.pick(&wheres));
        sql.push_str(&format!(
            "CREATE FEATURE VIEW changes_of_{entity} ENTITY {entity} AS SELECT {columns} FROM loans {filter};\n"
        ));
    }
    sql.push_str(
        "CREATE FEATURE VIEW this_loan_now ENTITY loan AS SELECT amount, card,
           count(*) FILTER (WHERE OLD.card <> NEW.card) OVER (PARTITION BY shop ORDER BY since
             RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW) AS moved FROM loans;
         CREATE FEATURE VIEW beside_loans ENTITY card AS SELECT s.word, l.c0 AS l0, l.c1 AS l1, m.c0 AS m0
           FROM seen s ASOF JOIN loans_of_card l ON s.card = l.card ASOF JOIN loans_of_shop m ON s.shop = m.shop;
         CREATE FEATURE VIEW over_loans ENTITY card AS SELECT c.c0 AS c0, p.c1 AS p1 FROM loans_of_card c, by_card p;\n",
    );
    sql
}

/// The SQL of a random project.
pub(crate) fn definitions(random: &mut Random) -> String {
    let mut sql = SOURCES.to_owned();
    let aggregates = |random: &mut Random, from: &[&str], filter: &str| -> String {
        let mut columns = Vec::new();
        for i in 0..5 {
            let call = random.pick(from);
            let filter = if random.one_in(3) { filter } else { "" };
            let frame = random.pick(&FRAMES);
            let spec = if frame.starts_with("LAST") || frame.starts_with("SESSION") {
                format!("({frame})")
            } else {
                format!("(ORDER BY at {frame})")
            };
            columns.push(format!("{call} {filter} OVER {spec} AS c{i}"));
        }
        columns.join(",\n  ")
    };
    let paid =
        |random: &mut Random| aggregates(random, &PAID_AGGREGATES, "FILTER (WHERE amount > 0.5)");
    let wheres = [
        "",
        "WHERE ok",
        "WHERE amount > 0",
        "WHERE shop <> 2 OR n = 1",
    ];
    for (name, entity, key) in [
        ("by_card", "card", "card"),
        ("by_shop", "shop", "shop"),
        ("by_card_too", "card", "card"),
    ] {
        let columns = paid(random);
        let filter = random.pick(&wheres);
        sql.push_str(&format!(
            "CREATE FEATURE VIEW {name} ENTITY {entity} AS SELECT {key}, {columns} FROM paid {filter};\n"
        ));
    }
    for (name, source, filter) in [
        ("by_sight", "seen", "FILTER (WHERE score < 3)"),
        ("by_fading", "fading", "FILTER (WHERE amount > 1)"),
        ("by_once", "once", "FILTER (WHERE amount > 1)"),
    ] {
        let from: &[&str] = match source {
            "seen" => &SEEN_AGGREGATES,
            _ => &[
                "count(*)",
                "sum(amount)",
                "last_value(amount)",
                "max(amount)",
            ],
        };
        let columns = aggregates(random, from, filter);
        sql.push_str(&format!(
            "CREATE FEATURE VIEW {name} ENTITY card AS SELECT card, {columns} FROM {source};\n"
        ));
    }
    sql.push_str(
        "CREATE FEATURE VIEW changes ENTITY card AS SELECT card, count(*) OVER (LAST 1 DAYS) AS changes_1d,
           last_value(name) OVER (ALL HISTORY) AS last_name FROM owner;\n",
    );
    let age = random.pick(&[
        "",
        "MATCH_CONDITION (p.at >= s.at)",
        "MATCH_CONDITION (p.at > s.at)",
        "MATCH_CONDITION (p.at >= s.at AND s.at > p.at - INTERVAL '20' MINUTE)",
        "MATCH_CONDITION (p.at > s.at AND s.at >= p.at - INTERVAL '2' HOUR)",
    ]);
    let right = random.pick(&["seen s", "(SELECT * FROM seen WHERE score > 1) s"]);
    let ttl = random.pick(&["", "TTL INTERVAL '1' HOUR", "TTL INTERVAL '2' DAY"]);
    let filter = random.pick(&["", "WHERE p.ok", "WHERE p.amount > 0 AND s.score > 0"]);
    // Windows beside a filter on looked-up columns are refused.
    let window = if filter.contains("s.score") {
        "1"
    } else {
        "count(*) OVER (PARTITION BY p.shop ORDER BY p.at
           RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)"
    };
    sql.push_str(&format!(
        "CREATE FEATURE VIEW context ENTITY card {ttl} AS
         SELECT p.card, p.amount AS amount, p.n + 1 AS n1, s.score AS score, s.word AS word, o.name AS name, o.level AS level,
           c.c0 AS c0, c.c1 AS c1, before.amount AS amount_before,
           {window} AS shop_1h
         FROM paid p
           ASOF JOIN {right} {age} ON p.card = s.card
           ASOF JOIN owner o ON p.card = o.card
           ASOF JOIN by_shop c ON p.shop = c.shop
           ASOF JOIN paid before MATCH_CONDITION (p.at > before.at) ON p.card = before.card
         {filter};\n"
    ));
    sql.push_str(
        "CREATE FEATURE VIEW one_payment ENTITY payment (id) AS SELECT p.id, p.amount, f.c0 AS faded, x.amount AS latest_amount
           FROM paid p ASOF JOIN by_fading f ON p.card = f.card ASOF JOIN context x ON p.card = x.card;
         CREATE FEATURE VIEW both ENTITY card AS SELECT a.card, a.amount, b.score, b.word
           FROM paid a ASOF FULL JOIN seen b ON a.card = b.card;
         CREATE FEATURE VIEW owned ENTITY card AS SELECT card, name, level FROM owner WHERE level > 1;
         CREATE FEATURE VIEW as_owned ENTITY card AS SELECT card, level, name FROM owner;
         CREATE FEATURE VIEW as_seen ENTITY card TTL INTERVAL '6' HOUR AS SELECT card, word, score FROM seen;
         CREATE FEATURE VIEW as_paid ENTITY card AS SELECT card, twice, cents, id, amount FROM paid WHERE ok;
         CREATE FEATURE VIEW as_faded ENTITY card AS SELECT card, amount FROM fading;
         CREATE ON DEMAND FEATURE VIEW mixed REQUEST (asked DOUBLE) AS
           SELECT a.c0 AS a0, b.c0 AS b0, asked * 2 AS doubled, o.level AS level FROM by_card a, by_sight b, owned o;\n",
    );
    sql.push_str(&state_views(random));
    sql
}

/// Binds definitions; panics with the rendered errors.
pub(crate) fn catalog(sql: &str) -> Catalog {
    let project = bind_project(
        &[("test.sql", sql)],
        &Catalog::default(),
        &|_| false,
        &mut |_| Err("it is not read".to_owned()),
    );
    let errors: Vec<String> = project
        .errors
        .iter()
        .map(|e| e.diagnostic.render(sql, "test.sql", false))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    project.catalog
}

fn time(random: &mut Random) -> i64 {
    let base = START + random.below(4) as i64 * DAY;
    let t = base + random.below(30) as i64 * 10 * MINUTE;
    match random.below(6) {
        0 => t + 1,
        1 => t - 1,
        2 => t + random.below(3 * HOUR as u64) as i64,
        _ => t,
    }
}

fn value(column: &str, data_type: &DataType, random: &mut Random) -> Value {
    if random.one_in(8) {
        return Value::Null;
    }
    match (column, data_type) {
        ("id", _) => Value::string(format!("i{}", random.below(60))),
        ("card", _) => Value::string(*random.pick(&["", "a", "b"])),
        (_, DataType::String) => Value::string(*random.pick(&["x", "y", "", "zz"])),
        (_, DataType::BigInt) => Value::BigInt(random.below(3) as i64),
        (_, DataType::Bytes) => Value::Bytes([random.below(60) as u8].as_slice().into()),
        (_, DataType::Int) => Value::Int(*random.pick(&[0, 1, 2, -3, i32::MAX])),
        (_, DataType::Boolean) => Value::Boolean(random.one_in(2)),
        (_, DataType::Float) => Value::float(match random.below(24) {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -0.0,
            4 => f32::MAX,
            5 => f32::from_bits(1),
            n => (n as f32 - 8.0) * 0.1,
        }),
        (_, DataType::Decimal { .. }) => Value::decimal(random.below(100_000) as i128 - 50_000),
        (_, DataType::Double) => Value::double(match random.below(24) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => 1e308,
            5 => 5e-324,
            n => (n as f64 - 8.0) * 0.1,
        }),
        _ => Value::Null,
    }
}

/// Logged events of every source in log order.
pub(crate) fn history(catalog: &Catalog, random: &mut Random, events: usize) -> Vec<LoggedEvent> {
    let mut logged = Vec::new();
    go_on(catalog, random, events, &mut logged);
    logged
}

/// So many more events, by what is defined now.
pub(crate) fn go_on(
    catalog: &Catalog,
    random: &mut Random,
    events: usize,
    logged: &mut Vec<LoggedEvent>,
) {
    let sources: Vec<Arc<SourceDef>> = catalog.sources.values().cloned().collect();
    let mut next: BTreeMap<(SourceId, u32), u64> = BTreeMap::new();
    for event in logged.iter() {
        let Position { partition, offset } = event.position;
        next.insert((event.source, partition.0), offset.0 + 1);
    }
    let mut clock = logged.last().map_or(START, |e| e.logged_at.0);
    let events = logged.len() + events;
    // No row of an earlier event.
    let mut row = 1_000 * logged.len() as u64;
    while logged.len() < events {
        let source = random.pick(&sources).clone();
        // Group commits: several events share a time of the timeline.
        if random.one_in(4) {
            clock += random.below(2 * HOUR as u64) as i64;
        }
        row += 1;
        let earlier: Vec<&LoggedEvent> = logged.iter().filter(|e| e.source == source.id).collect();
        let event = if !earlier.is_empty() && random.one_in(5) {
            let mut chosen = (*random.pick(&earlier)).clone();
            source.schema.upgrade(&mut chosen).unwrap();
            chosen.event.row.resize(source.stored, Value::Null);
            derived(&source, &chosen, random, row)
        } else {
            fresh(&source, random, row)
        };
        let partition = random.below(3) as u32;
        let offset = next.entry((source.id, partition)).or_default();
        logged.push(LoggedEvent {
            source: source.id,
            position: Position::new(partition, *offset),
            logged_at: VisibleAt(clock),
            schema_version: source.schema.version(),
            event,
        });
        // Offsets may have gaps.
        *offset += 1 + u64::from(random.one_in(10));
    }
}

fn fresh(source: &SourceDef, random: &mut Random, row: u64) -> Event {
    let mut values: Vec<Value> = source.columns[..source.stored]
        .iter()
        .map(|c| value(&c.name, &c.data_type, random))
        .collect();
    for &slot in source.event_id.iter().chain(&source.primary_key) {
        while values[slot].is_null() {
            values[slot] = value(
                &source.columns[slot].name,
                &source.columns[slot].data_type,
                random,
            );
        }
    }
    let at = time(random);
    values[source.event_time] = Value::Timestamp(at);
    let is_table = source.kind == SourceKind::Table;
    let operation = match is_table {
        false => Operation::Insert,
        true if random.one_in(5) => Operation::Delete,
        true => Operation::Upsert,
    };
    // A delete may say more than the key.
    if operation == Operation::Delete && !random.one_in(3) {
        for (slot, value) in values.iter_mut().enumerate() {
            if !source.primary_key.contains(&slot) && slot != source.event_time {
                *value = Value::Null;
            }
        }
    }
    Event {
        operation,
        revision: 0,
        event_time: EventTime(at),
        known_at: source.known_at.as_ref().map(|_| VisibleAt(at + 5 * MINUTE)),
        origin: Origin::File {
            digest: [7; 16],
            row,
        },
        row: values,
        before: None,
    }
}

/// A repetition, a conflict or a correction of an earlier event.
pub(crate) fn derived(
    source: &SourceDef,
    earlier: &LoggedEvent,
    random: &mut Random,
    row: u64,
) -> Event {
    let mut event = earlier.event.clone();
    let same_identity_columns: Vec<usize> = source
        .event_id
        .iter()
        .copied()
        .chain([source.event_time])
        .collect();
    let change = |event: &mut Event, random: &mut Random| {
        for slot in 0..source.stored {
            if !same_identity_columns.contains(&slot)
                && !source.primary_key.contains(&slot)
                && random.one_in(2)
            {
                event.row[slot] = value(
                    &source.columns[slot].name,
                    &source.columns[slot].data_type,
                    random,
                );
            }
        }
    };
    match random.below(4) {
        // The same event again, from elsewhere if it has an id of its own.
        0 => {
            if !source.event_id.is_empty() {
                event.origin = Origin::File {
                    digest: [7; 16],
                    row,
                };
            }
        }
        // Another payload under its identity.
        1 if event.operation != Operation::Delete && !event.operation.is_correction() => {
            change(&mut event, random);
        }
        2 if event.operation != Operation::Delete => {
            event.before = Some(event.row.clone());
            event.operation = Operation::Replace;
            event.revision += 1;
            event.known_at = None;
            change(&mut event, random);
        }
        _ => {
            event.operation = Operation::Remove;
            event.revision += 1;
            event.known_at = None;
        }
    }
    event
}

/// Every partition's end.
pub(crate) fn whole(logged: &[LoggedEvent]) -> Cut {
    let mut cut = Cut::empty();
    for event in logged {
        let Position { partition, offset } = event.position;
        let end = cut.end(event.source, partition).max(Offset(offset.0 + 1));
        cut.set_end(event.source, partition, end);
    }
    cut
}

/// A random part of every partition, none of some.
pub(crate) fn part(logged: &[LoggedEvent], random: &mut Random) -> Cut {
    let mut cut = Cut::empty();
    for (source, partition, end) in whole(logged).iter() {
        if !random.one_in(8) {
            cut.set_end(
                source,
                Partition(partition.0),
                Offset(random.below(end.0 + 1)),
            );
        }
    }
    cut
}
