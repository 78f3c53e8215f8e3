//! What can be asked, and what is said where it cannot.

use std::sync::Arc;

use evenkeel_sql::{GoOn, Limits, SqlError};
use evenkeel_types::Value;

use crate::support::{World, time, values};

const DEFINITIONS: &str = "\
CREATE ENTITY shop (shop STRING);
CREATE STREAM orders (
  order_id BIGINT, shop STRING, amount DOUBLE, at TIMESTAMP,
  EVENT ID (order_id), EVENT TIME at, CHECK (amount > 0)
) WITH (connector = 'file', path = 'orders.jsonl');
CREATE TABLE shops (
  shop STRING, city STRING, since TIMESTAMP, PRIMARY KEY (shop), EVENT TIME since
) WITH (connector = 'file', path = 'shops.jsonl');
CREATE FEATURE VIEW sales ENTITY shop (shop) AS
SELECT shop, count(*) OVER w AS orders, sum(amount) OVER w AS total FROM orders
WINDOW w AS (LAST 7 DAYS BEFORE);
CREATE ON DEMAND FEATURE VIEW share REQUEST (part DOUBLE) AS
SELECT part / s.total AS portion FROM sales s;
";

fn world() -> World {
    World::new(
        DEFINITIONS,
        &[
            (
                "orders",
                r#"{"order_id": 1, "shop": "a", "amount": 2.5, "at": "2026-02-01T10:00:00Z"}
{"order_id": 2, "shop": "b", "amount": 4, "at": "2026-02-02T10:00:00Z"}
{"order_id": 3, "shop": "a", "amount": 0.5, "at": "2026-02-03T10:00:00Z"}
{"order_id": 4, "shop": "a", "amount": -1, "at": "2026-02-03T11:00:00Z"}
"#,
            ),
            (
                "shops",
                r#"{"shop": "a", "city": "Oslo", "since": "2026-01-01T00:00:00Z"}
{"shop": "a", "city": "Rome", "since": "2026-02-02T00:00:00Z"}
{"shop": "b", "city": "Bern", "since": "2026-01-01T00:00:00Z"}
"#,
            ),
        ],
    )
}

fn texts(rows: Vec<Vec<Value>>) -> Vec<Vec<String>> {
    let text = |value: Value| match value {
        Value::String(text) => text.to_string(),
        Value::BigInt(n) => n.to_string(),
        Value::Double(x) => x.to_string(),
        Value::Null => "NULL".to_owned(),
        other => format!("{other:?}"),
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(text).collect())
        .collect()
}

#[test]
fn everything_that_a_store_has_can_be_asked() {
    let world = world();
    let rows = |text: &str| texts(world.rows(text));
    assert_eq!(
        rows("SELECT shop, sum(amount), count(*) FROM events.orders GROUP BY shop ORDER BY shop"),
        [["a", "3", "2"], ["b", "4", "1"]]
    );
    assert_eq!(
        rows(
            "SELECT old.shop, old.city, new.city AS city_now
              FROM shops AS OF TIMESTAMP '2026-02-01' old
              JOIN shops AS new ON old.shop = new.shop ORDER BY 1"
        ),
        [["a", "Oslo", "Rome"], ["b", "Bern", "Bern"]]
            .map(|row| row.map(str::to_owned))
            .to_vec()
    );
    assert_eq!(
        rows(
            "SELECT orders.order_id FROM orders AS OF '2026-02-02 12:00' ORDER BY orders.order_id"
        ),
        [["1"], ["2"]]
    );
    assert_eq!(
        rows("SELECT shop, orders, total FROM sales AS OF '2026-02-04' ORDER BY shop"),
        [["a", "2", "3"], ["b", "1", "4"]]
    );
    assert_eq!(
        rows("SELECT reason, record LIKE '%-1%' FROM dead_letters.orders"),
        [["CHECK", "Boolean(true)"]]
    );
    assert_eq!(
        rows("WITH sales AS (SELECT 7 AS n) SELECT n FROM sales"),
        [["7"]],
        "a name of WITH goes before a view's"
    );
    assert_eq!(
        rows("SELECT _operation, _partition, _offset FROM events.orders WHERE order_id = 3"),
        [["insert", "0", "2"]]
    );
    assert_eq!(rows("SELECT count(*) FROM \"sales@1\""), [["2"]]);
}

#[test]
fn now_is_the_time_that_is_asked_for() {
    let world = world();
    let mut query =
        world.query("SELECT count(*), CAST(now() AS DATE) FROM orders WHERE at < now()");
    query.at = time("2026-02-02T11:00:00Z");
    assert_eq!(
        values(&world.run(&query).unwrap()),
        [[Value::BigInt(2), Value::Date(20_486)]]
    );
}

#[test]
fn a_cut_is_what_is_known() {
    let world = world();
    let mut query = world.query("SELECT count(*) FROM events.orders");
    query.cut = Some(world.engine.parse_cut("orders/0@1").unwrap());
    assert_eq!(values(&world.run(&query).unwrap()), [[Value::BigInt(1)]]);
    query.cut = Some(world.engine.parse_cut("orders/0@99").unwrap());
    let error = world.run(&query).map(|_| ()).unwrap_err();
    assert!(matches!(error, SqlError::Store(_)), "{error}");
}

#[test]
fn mistakes_say_what_where_and_what_to_do() {
    let world = world();
    for (text, message, place, hint) in [
        (
            "SELECT * FROM order",
            "there is no table, stream or view `order`",
            "order",
            "did you mean `orders`?",
        ),
        (
            "SELECT amuont FROM orders",
            "there is no column `amuont`",
            "amuont",
            "did you mean `amount`?",
        ),
        (
            "SELECT 1 FROM events.x",
            "`events` has no `x`",
            "x",
            "there are orders, shops",
        ),
        (
            "SELECT 1 FROM datasets.x",
            "no dataset `x` was built",
            "x",
            "",
        ),
        (
            "SELECT 1 FROM other.orders",
            "there is no table, stream or view `other.orders`",
            "orders",
            "there are orders, shops",
        ),
        (
            "SELECT 1 FROM events.orders AS OF '2026-01-01'",
            "`events.orders` is not read as of a time",
            "orders",
            "`orders` alone is",
        ),
        (
            "SELECT * FROM share",
            "`share` needs what a request brings: part",
            "share",
            "`evenkeel train`",
        ),
        (
            "SELECT * FROM 'x.parquet'",
            "no files are read here",
            "'x.parquet'",
            "without a server",
        ),
        (
            "SELECT * FROM \"x.parquet\"",
            "there is no table, stream or view",
            "\"x.parquet\"",
            "there are",
        ),
        ("SELECT shop, shop FROM orders", "", "", ""),
        (
            "SELECT sum(shop) FROM orders",
            "no function matches",
            "",
            "",
        ),
        (
            "SELECT a.shop, b.shop FROM orders a, shops b",
            "two columns `shop`",
            "",
            "`AS ...`",
        ),
        ("SELECT order_id / 0 FROM orders", "divide by zero", "", ""),
        ("SELECT 1 INTO x FROM orders", "", "", ""),
        ("SELECT * FROM read_csv('x')", "", "", ""),
        (
            "SELECT named_struct('a', 1) AS s",
            "the column `s` is",
            "",
            "CAST",
        ),
    ] {
        let (found, found_place, found_hint) = world.refused(text);
        assert!(
            found.to_lowercase().contains(&message.to_lowercase()),
            "{text}: {found}"
        );
        assert!(
            place.is_empty() || found_place == place,
            "{text}: {found_place}"
        );
        assert!(found_hint.contains(hint), "{text}: {found_hint}");
        assert!(
            !found.contains('\u{1}') && !found.contains("bug report"),
            "{text}: {found}"
        );
    }
}

#[test]
fn files_are_read_where_they_may_be() {
    let world = world();
    let path = world.path().join("more.csv");
    std::fs::write(&path, "shop,n\na,7\n").unwrap();
    let mut query = world.query(&format!(
        "SELECT o.order_id, f.n FROM orders o JOIN '{}' f ON o.shop = f.shop ORDER BY 1",
        path.display()
    ));
    query.files = true;
    let rows = values(&world.run(&query).unwrap());
    assert_eq!(texts(rows), [["1", "7"], ["3", "7"]]);
}

#[test]
fn limits_hold() {
    let world = world();
    let mut query = world.query("SELECT order_id FROM orders ORDER BY order_id");
    query.limits.rows_max = 2;
    let answer = world.run(&query).unwrap();
    assert!(answer.more && answer.table.len() == 2);
    query.limits.rows_max = 3;
    assert!(!world.run(&query).unwrap().more);
    let refused = |limits: Limits, text: &str| {
        let mut query = world.query(text);
        query.limits = limits;
        world.run(&query).map(|_| ()).unwrap_err()
    };
    let error = refused(
        Limits {
            values_max: 5,
            ..Limits::NONE
        },
        "SELECT * FROM orders",
    );
    assert!(
        matches!(error, SqlError::TooManyValues { events: 3, .. }),
        "{error}"
    );
    // The limit is one of the query, whatever it reads and how often.
    let values = |values_max| Limits {
        values_max,
        ..Limits::NONE
    };
    let mut query = world.query("SELECT a.order_id FROM orders a, orders b");
    query.limits = values(6);
    assert_eq!(world.run(&query).unwrap().table.len(), 9);
    let error = refused(values(5), &query.text);
    assert!(matches!(error, SqlError::TooManyValues { .. }), "{error}");
    let letters = "SELECT reason FROM dead_letters.orders";
    let error = refused(values(5), letters);
    assert!(
        matches!(error, SqlError::TooManyValues { events: 1, .. }),
        "{error}"
    );
    assert_eq!(world.rows(letters).len(), 1);
    let mut query = world.query(letters);
    query.limits = values(6);
    assert_eq!(world.run(&query).unwrap().table.len(), 1);
    let error = refused(
        Limits {
            bytes_max: 7,
            ..Limits::NONE
        },
        "SELECT * FROM orders",
    );
    assert!(matches!(error, SqlError::TooManyBytes { .. }), "{error}");
    let error = refused(
        Limits {
            memory_bytes_max: Some(1 << 16),
            ..Limits::NONE
        },
        "SELECT * FROM generate_series(1, 100000) a(x) ORDER BY x * 7 % 1000",
    );
    assert!(matches!(error, SqlError::Memory { .. }), "{error}");
}

#[test]
fn a_query_stops_when_it_is_told_to() {
    let world = world();
    let asked = std::sync::atomic::AtomicU32::new(0);
    let go_on: GoOn =
        Arc::new(move || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3);
    let query = world.query(
        "SELECT count(*) FROM generate_series(1, 10000000) a(x), generate_series(1, 10000000) b(y)",
    );
    let stopped = evenkeel_sql::run(&world.engine.offline(), &query, &go_on);
    assert!(matches!(stopped, Err(SqlError::Stopped)));
}
