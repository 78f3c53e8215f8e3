//! Training over events that were logged in the order of time, against the oracle: the newest
//! events of all keys are found in one pass, or by key where the requests are few; both must see
//! ties, ends of rows and what was not known yet as the oracle does.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_train::Evaluator;
use evenkeel_types::definition::{Catalog, SourceKind, ViewDef};
use evenkeel_types::time::{HOUR, MINUTE};
use evenkeel_types::{
    DataType, Event, EventTime, Knowledge, LoggedEvent, Operation, Origin, Position, SourceId,
    Value, VisibleAt,
};
use evenkeel_view::Uses;
use evenkeel_view::oracle::Oracle;

use crate::cut_purity::{Case, trained};
use crate::random_history::{Random, START, catalog, whole};

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE STREAM paid (id BIGINT, card STRING, shop BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at);
CREATE TABLE owner (card STRING, name STRING, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW seen_last ENTITY card AS SELECT card, shop, score FROM seen;
CREATE FEATURE VIEW seen_fresh ENTITY card TTL INTERVAL '1' HOUR AS
  SELECT card, shop, score FROM seen;
CREATE FEATURE VIEW shop_last ENTITY shop AS SELECT shop, card, score FROM seen;
CREATE FEATURE VIEW owned ENTITY card AS SELECT card, name FROM owner;
CREATE FEATURE VIEW paid_last ENTITY card TTL INTERVAL '2' HOUR AS
  SELECT card, id, amount FROM paid WHERE amount > 1;
CREATE FEATURE VIEW context ENTITY shop AS
  SELECT p.shop, p.amount AS amount, s.score AS score, o.name AS name
  FROM paid p ASOF JOIN seen s MATCH_CONDITION (p.at > s.at) ON p.card = s.card
    ASOF JOIN owner o ON p.card = o.card;
";
pub(crate) const CARDS: [&str; 4] = ["", "a", "b", "c"];

fn value(column: &str, data_type: &DataType, random: &mut Random, id: u64) -> Value {
    match (column, data_type) {
        ("id", _) => Value::BigInt(id as i64),
        (_, DataType::BigInt) => Value::BigInt(random.below(3) as i64),
        (_, DataType::Double) => Value::double(random.below(4) as f64),
        ("card", _) => Value::string(*random.pick(&CARDS)),
        _ => Value::string(format!("n{}", random.below(5))),
    }
}

/// Events in the order of time, many at one time, visible `late` after it.
pub(crate) fn history(
    catalog: &Catalog,
    random: &mut Random,
    events: u64,
    late: i64,
) -> Vec<LoggedEvent> {
    let sources: Vec<_> = catalog.sources.values().collect();
    let mut next: BTreeMap<SourceId, u64> = BTreeMap::new();
    let mut clock = START;
    let logged = |id: u64| {
        if !random.one_in(3) {
            clock += random.below(20 * MINUTE as u64) as i64;
        }
        let source = random.pick(&sources);
        let is_table = source.kind == SourceKind::Table;
        let operation = match is_table {
            false => Operation::Insert,
            true if random.one_in(4) => Operation::Delete,
            true => Operation::Upsert,
        };
        let stored = &source.columns[..source.stored];
        let mut row: Vec<Value> = stored
            .iter()
            .map(|c| match c.data_type {
                // A row may say another time than its event has.
                DataType::Timestamp if !is_table && random.one_in(50) => {
                    Value::Timestamp(clock + 1)
                }
                DataType::Timestamp => Value::Timestamp(clock),
                // A stream's row may have no key.
                _ if !is_table && c.name == "card" && random.one_in(8) => Value::Null,
                _ => value(&c.name, &c.data_type, random, id),
            })
            .collect();
        if operation == Operation::Delete {
            row[1] = Value::Null;
        }
        let offset = next.entry(source.id).or_default();
        *offset += 1;
        LoggedEvent {
            source: source.id,
            position: Position::new(0, *offset - 1),
            logged_at: VisibleAt(clock + late),
            schema_version: source.schema.version(),
            event: Event {
                operation,
                revision: 0,
                event_time: EventTime(clock),
                known_at: None,
                origin: Origin::File {
                    digest: [7; 16],
                    row: id,
                },
                row,
                before: None,
            },
        }
    };
    (0..events).map(logged).collect()
}

fn cases(view: &ViewDef, logged: &[LoggedEvent], random: &mut Random, count: u64) -> Vec<Case> {
    let knows_later = match random.below(3) {
        0 => None,
        _ => Some(random.below(2) as i64 * HOUR),
    };
    let mut case = || {
        let time = random.pick(logged).event.event_time.0 + random.below(3) as i64 - 1;
        let key = match view.key[0].data_type {
            DataType::BigInt => Value::BigInt(random.below(5) as i64),
            _ if random.one_in(8) => Value::string("unknown"),
            _ => Value::string(*random.pick(&CARDS)),
        };
        Case {
            key: vec![key],
            time,
            known_at: knows_later.map(|later| VisibleAt(time + later)),
            request: Vec::new(),
        }
    };
    (0..count).map(|_| case()).collect()
}

#[test]
fn the_newest_events_are_those_of_the_oracle() {
    let catalog = catalog(DEFINITIONS);
    let views: Vec<Arc<ViewDef>> = catalog
        .views
        .values()
        .filter_map(|versions| versions.values().next_back().cloned())
        .collect();
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let mut present = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let late = random.below(2) as i64 * 30 * MINUTE;
        let events = 1 + random.below(150);
        let logged = history(&catalog, &mut random, events, late);
        let cut = whole(&logged);
        let evaluator = Evaluator::from_events(&logged, &uses, &cut);
        let oracle = Oracle::new(&logged);
        for view in &views {
            let count = *random.pick(&[1, 3, 40]);
            let cases = cases(view, &logged, &mut random, count);
            let trained = trained(view, &cases.iter().collect::<Vec<_>>(), &evaluator);
            for (case, trained) in cases.iter().zip(trained) {
                let knowledge = Knowledge {
                    cut: cut.clone(),
                    known_at: case.known_at,
                };
                let truth = oracle.read(view, &case.key, case.time, &knowledge, &[]);
                assert!(
                    trained.same_bits(&truth),
                    "seed {seed}, view {}, {count} requests, key {:?} at {} known at {:?}:\n\
                     oracle {truth:?}\ntraining {trained:?}",
                    view.name,
                    case.key,
                    case.time,
                    case.known_at,
                );
                present += truth.values.iter().filter(|v| !v.is_missing()).count();
            }
        }
    }
    assert!(present > 5_000, "{present} values");
}
