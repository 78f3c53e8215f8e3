//! The rows of tables and the features of keys as of random times, against naive oracles: the
//! versions that were written, and reads of each key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evenkeel_engine::api::GetRequest;
use evenkeel_types::{EventTime, Value};
use proptest::prelude::*;

use crate::support::{World, time};

const DEFINITIONS: &str = "\
CREATE ENTITY item (id BIGINT);
CREATE TABLE prices (id BIGINT, price BIGINT, at TIMESTAMP, PRIMARY KEY (id), EVENT TIME at)
WITH (connector = 'file', path = 'prices.jsonl');
CREATE STREAM sales (id BIGINT, amount DOUBLE, at TIMESTAMP, EVENT TIME at)
WITH (connector = 'file', path = 'sales.jsonl');
CREATE FEATURE VIEW sold ENTITY item (id) AS
SELECT id, count(*) OVER w AS n, sum(amount) OVER w AS total, avg(amount) OVER w AS mean
FROM sales
WINDOW w AS (PARTITION BY id ORDER BY at RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW);
CREATE FEATURE VIEW priced ENTITY item (id) AS SELECT id, price, price + 1 AS next FROM prices;
CREATE FEATURE SERVICE all_of AS sold (*), priced (*);
";

/// Key, seconds, price.
type Version = (i64, i64, i64);

fn at(seconds: i64) -> EventTime {
    EventTime(time("2026-02-01").0 + seconds * 1_000_000)
}

fn lines(events: &[Version], column: &str) -> String {
    let mut lines = String::new();
    for (id, seconds, value) in events {
        let _ = writeln!(
            lines,
            "{{\"id\": {id}, \"{column}\": {value}, \"at\": \"{}\"}}",
            at(*seconds)
        );
    }
    lines
}

/// One version per key and time: otherwise canonical bytes decide, which other tests show.
fn versions() -> impl Strategy<Value = Vec<Version>> {
    let one = (0i64..4, 0i64..20, -9i64..9);
    prop::collection::vec(one, 0..24).prop_map(|all| {
        let distinct: BTreeMap<(i64, i64), i64> =
            all.into_iter().map(|(id, at, v)| ((id, at), v)).collect();
        distinct
            .into_iter()
            .map(|((id, at), v)| (id, at, v))
            .collect()
    })
}

fn big(value: &Value) -> i64 {
    match value {
        Value::BigInt(n) => *n,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_are_what_was_written_and_features_what_is_read(
        prices in versions().prop_shuffle(),
        sales in versions().prop_shuffle(),
        seconds in -1i64..22,
        from in -1i64..22,
    ) {
        let world = World::new(
            DEFINITIONS,
            &[("prices", &lines(&prices, "price")), ("sales", &lines(&sales, "amount"))],
        );
        let t = at(seconds);

        let mut live: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for &(id, time, price) in prices.iter().filter(|(_, time, _)| *time <= seconds) {
            let newest = live.entry(id).or_insert((time, price));
            if time >= newest.0 {
                *newest = (time, price);
            }
        }
        let found = world.rows(&format!(
            "SELECT id, price FROM prices AS OF TIMESTAMP '{t}' WHERE at >= '{}' ORDER BY id", at(from)
        ));
        let found: Vec<(i64, i64)> = found.iter().map(|row| (big(&row[0]), big(&row[1]))).collect();
        let expected: Vec<(i64, i64)> = live
            .iter()
            .filter(|(_, (time, _))| *time >= from)
            .map(|(id, (_, price))| (*id, *price))
            .collect();
        prop_assert_eq!(found, expected);

        let counted = world.rows(&format!(
            "SELECT count(*) FROM sales AS OF '{t}' WHERE _event_time > '{}'", at(from)
        ));
        let expected = sales.iter().filter(|(_, time, _)| (from + 1..=seconds).contains(time)).count();
        prop_assert_eq!(big(&counted[0][0]), expected as i64);
        let all = world.rows("SELECT count(*), min(_offset) FROM events.sales");
        prop_assert_eq!(big(&all[0][0]), sales.len() as i64);

        let service = world.engine.service("all_of").unwrap();
        for (view, width, features) in [("sold", 4, 0..3), ("priced", 3, 3..5)] {
            let rows = world.rows(&format!("SELECT * FROM {view} AS OF '{t}' ORDER BY id"));
            let keys: Vec<i64> = rows.iter().map(|row| big(&row[0])).collect();
            let mut known: Vec<i64> = match view {
                "sold" => sales.iter().filter(|s| s.1 <= seconds).map(|s| s.0).collect(),
                _ => live.keys().copied().collect(),
            };
            known.sort_unstable();
            known.dedup();
            prop_assert_eq!(&keys, &known, "{}", view);
            let answers = world.engine.get(&GetRequest {
                service: service.clone(),
                rows: keys.iter().map(|id| vec![Value::BigInt(*id)]).collect(),
                as_of: t,
                cut: None,
                known_at: None,
            }).unwrap();
            for (row, answers) in rows.iter().zip(&answers.rows) {
                let read: Vec<String> = answers[features.clone()]
                    .iter()
                    .map(|answer| format!("{:?}", answer.value))
                    .collect();
                let queried: Vec<String> = row[1..width].iter().map(|v| format!("{v:?}")).collect();
                prop_assert_eq!(queried, read, "{} {:?}", view, row);
            }
        }
    }
}
