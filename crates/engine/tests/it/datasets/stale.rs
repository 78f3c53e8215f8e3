//! A dataset is stale exactly where its rows would be other ones now.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::Engine;
use evenkeel_engine::correction::{Period, Truth};
use evenkeel_engine::dataset::{DatasetManifest, Staleness};
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_types::{Value, Zone};

use super::{build, cells, loaded, more, part, staleness, world};
use crate::support::{World, apply_text, t};

fn sale(id: &str, shop: &str, pieces: i64, at: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"shop\":\"{shop}\",\"pieces\":{pieces},\"price\":0.5,\"at\":\"{at}\"}}\n"
    )
}

fn rows(stale: &Staleness) -> u64 {
    stale.differing.as_ref().unwrap().rows.unwrap()
}

const TWICE: &str = "
CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv' LABEL day_pieces FROM next_day WITHIN 1 DAY;
CREATE TRAINING DATASET d VERSION 2 FROM SERVICE model SPINE 'spine.csv' LABEL day_pieces FROM next_day WITHIN 1 DAY;
CREATE TRAINING DATASET d VERSION 3 FROM SERVICE model SPINE 'spine.csv' LABEL day_pieces FROM next_day WITHIN 1 DAY;
";

/// A number is what it is, in a wider type too.
fn wide(value: Value) -> Value {
    match value {
        Value::Int(number) => Value::BigInt(number.into()),
        other => other,
    }
}

/// How many rows of two builds differ, and in which columns: read from their files.
fn by_hand(
    world: &World,
    first: &DatasetManifest,
    second: &DatasetManifest,
) -> (u64, BTreeMap<String, u64>) {
    let (a, b) = (
        part(world, first, "all.parquet"),
        part(world, second, "all.parquet"),
    );
    let names = a.fields().into_iter().map(|(name, _)| name.to_owned());
    let names: Vec<String> = names.filter(|n| !n.ends_with("__mature")).collect();
    let mut differs = vec![false; a.len()];
    let mut columns = BTreeMap::new();
    for name in names {
        let pairs = cells(&a, &name).into_iter().zip(cells(&b, &name));
        let mut count = 0;
        for ((x, y), differs) in pairs.zip(&mut differs) {
            if wide(x) != wide(y) {
                *differs = true;
                count += 1;
            }
        }
        if count > 0 {
            columns.insert(name, count);
        }
    }
    (differs.iter().filter(|d| **d).count() as u64, columns)
}

#[test]
fn rows_that_differ_are_those_of_another_build() {
    let world = world(TWICE);
    let mut engine = loaded(&world);
    let first = build(&engine, "d:1");
    let fresh = staleness(&engine, "d:1");
    assert_eq!((fresh.late_events(), rows(&fresh)), (Some(0), 0));
    // Dated after the last row, but in reach of a label.
    more(
        &world,
        &mut engine,
        &sale("l1", "x", 4, "2026-03-01T20:00:00Z"),
    );
    let second = build(&engine, "d:2");
    let stale = staleness(&engine, "d:1");
    let (wanted, columns) = by_hand(&world, &first, &second);
    assert!(wanted > 0);
    assert_eq!(stale.late_events(), Some(1));
    assert_eq!(
        (rows(&stale), &stale.differing.as_ref().unwrap().columns),
        (wanted, &columns)
    );
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["day_pieces"]);
    assert_eq!(rows(&staleness(&engine, "d:2")), 0);
    // In the windows of some rows; of a shop without rows; a town that was known earlier.
    let late = [
        sale("l2", "x", 4, "2026-03-01T10:15:00Z"),
        sale("l3", "q", 4, "2026-03-01T10:15:00Z"),
    ];
    more(&world, &mut engine, &late.concat());
    world.ingest_text(
        &mut engine,
        "shops",
        "more-shops.jsonl",
        "{\"shop\":\"y\",\"town\":\"Köln\",\"at\":\"2026-02-01T00:00:00Z\"}\n",
    );
    let third = build(&engine, "d:3");
    let stale = staleness(&engine, "d:2");
    let (wanted, columns) = by_hand(&world, &second, &third);
    assert!(
        columns.contains_key("town") && columns.contains_key("sales"),
        "{columns:?}"
    );
    assert_eq!(
        (rows(&stale), &stale.differing.as_ref().unwrap().columns),
        (wanted, &columns)
    );
    let late: Vec<(&str, u64)> = stale
        .late
        .iter()
        .map(|l| (l.source.as_str(), l.events))
        .collect();
    assert_eq!(late, [("sales", 2), ("shops", 1)]);
    assert_eq!(rows(&staleness(&engine, "d:3")), 0);
}

#[test]
fn what_comes_after_every_row_does_not_touch_it() {
    let world = world(super::PLAIN);
    let mut engine = loaded(&world);
    build(&engine, "plain");
    more(
        &world,
        &mut engine,
        &sale("n", "x", 4, "2026-03-01T13:30:00Z"),
    );
    let stale = staleness(&engine, "plain");
    assert_eq!((stale.late_events(), rows(&stale)), (Some(0), 0));
    // The last row is of 12:59:59.999999: at its very time it counts, and touches nobody else.
    more(
        &world,
        &mut engine,
        &sale("m", "q", 4, "2026-03-01T12:59:59.999999Z"),
    );
    let stale = staleness(&engine, "plain");
    assert_eq!((stale.late_events(), rows(&stale)), (Some(1), 0));
    more(
        &world,
        &mut engine,
        &sale("o", "y", 4, "2026-03-01T12:59:59.999999Z"),
    );
    let stale = staleness(&engine, "plain");
    assert_eq!((stale.late_events(), rows(&stale)), (Some(2), 1));
}

#[test]
fn the_rows_of_a_query_are_those_of_its_cut() {
    let world = world(
        "CREATE TRAINING DATASET q FROM SERVICE model SPINE (SELECT id, shop FROM sales WHERE pieces > 0);",
    );
    let mut engine = loaded(&world);
    let manifest = build(&engine, "q");
    assert_eq!(manifest.rows, 4);
    more(
        &world,
        &mut engine,
        &sale("l", "x", 4, "2026-03-01T10:29:00Z"),
    );
    let stale = staleness(&engine, "q");
    assert_eq!(stale.late_events(), Some(1));
    // Those of x at 10:30; the row at 13:00 is out of its reach, and the one at 10:00 before it.
    assert_eq!(rows(&stale), 1);
    super::expect_same(&engine, &manifest);
}

/// The rows of a query are the same rows when a column of it is wider, and differ where another
/// build says so.
#[test]
fn a_wider_column_of_its_query_changes_no_row() {
    let asked = |version: u32| {
        format!(
            "CREATE TRAINING DATASET q VERSION {version} FROM SERVICE model
               SPINE (SELECT id, shop, pieces AS own FROM sales WHERE pieces > 2 AND id <> 'l');"
        )
    };
    let world = world(&format!("{}{}", asked(1), asked(2)));
    let mut engine = loaded(&world);
    let first = build(&engine, "q:1");
    let text = std::fs::read_to_string(world.path().join("definitions.sql")).unwrap();
    let text = text.replace(
        "pieces INT, price DOUBLE, at",
        "pieces BIGINT, price DOUBLE, at",
    );
    apply_text(&mut engine, &text);
    more(
        &world,
        &mut engine,
        &sale("l", "x", 4_000_000_000, "2026-03-01T10:29:00Z"),
    );
    let stale = staleness(&engine, "q:1");
    let second = build(&engine, "q:2");
    let (wanted, columns) = by_hand(&world, &first, &second);
    assert!(wanted > 0);
    let differing = stale.differing.unwrap();
    assert_eq!((differing.rows, differing.reason), (Some(wanted), None));
    assert_eq!(differing.columns, columns);
    super::expect_same(&engine, &first);
}

#[test]
fn a_correction_makes_it_stale() {
    let world = world(TWICE);
    let mut engine = loaded(&world);
    let first = build(&engine, "d:1");
    // Sale `b` never happened, and `a` was of nine pieces.
    let truth = world.write("truth.jsonl", &sale("a", "x", 9, "2026-03-01T10:00:00Z"));
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &truth.to_string_lossy()).unwrap();
    let period = Period::parse("2026-03-01T10:00:00Z", "2026-03-01T10:45:00Z", &Zone::utc());
    let means = engine.means();
    let mut on = |_: &str, _, _| ControlFlow::Continue(());
    let difference = offline
        .difference(&source, truth, &period.unwrap(), means, &mut on)
        .unwrap();
    let report = engine.correct(&difference, &mut on).unwrap();
    assert_eq!((report.counts.replaced, report.counts.removed), (1, 1));
    let second = build(&engine, "d:2");
    let (wanted, columns) = by_hand(&world, &first, &second);
    assert!(
        wanted > 0 && columns.contains_key("day_pieces"),
        "{columns:?}"
    );
    let stale = staleness(&engine, "d:1");
    assert_eq!(stale.late_events(), Some(2));
    assert_eq!(rows(&stale), wanted);
    assert_eq!(stale.differing.unwrap().columns, columns);
    super::expect_same(&engine, &first);
}

#[test]
fn without_its_spine_it_cannot_be_told() {
    let world = world(super::PLAIN);
    let mut engine = loaded(&world);
    build(&engine, "plain");
    std::fs::remove_file(world.path().join("spine.csv")).unwrap();
    // As long as nothing came, it need not be looked at.
    assert_eq!(rows(&staleness(&engine, "plain")), 0);
    more(
        &world,
        &mut engine,
        &sale("l", "x", 4, "2026-03-01T10:29:00Z"),
    );
    let stale = staleness(&engine, "plain");
    assert_eq!(stale.late_events(), Some(1));
    let differing = stale.differing.unwrap();
    assert_eq!(differing.rows, None);
    assert!(differing.reason.unwrap().contains("spine.csv"));
}

/// Of a source without event ids, where an event came from says which it is: another payload
/// may win, and be dated later than the one that a row has seen.
#[test]
fn an_event_that_takes_another_s_place_is_noticed() {
    const TAPS: &str = "
        CREATE STREAM taps (shop STRING, n BIGINT, at TIMESTAMP, EVENT TIME at, KNOWN AT at);
        CREATE FEATURE VIEW tapped ENTITY shop AS SELECT shop, sum(n) OVER (LAST 1 DAYS) AS n FROM taps;
        CREATE FEATURE SERVICE taps_model AS tapped (*);
        CREATE TRAINING DATASET t FROM SERVICE taps_model SPINE 'spine.csv';";
    let world = world(TAPS);
    let mut engine = loaded(&world);
    let push = |engine: &mut Engine, n: i64, at: &str| {
        let row = PushedRow {
            values: Ok(vec![
                Value::from("x"),
                Value::BigInt(n),
                Value::Timestamp(t(at)),
            ]),
            producer: Some((Arc::from("p"), 1)),
        };
        let source = engine.catalog().sources["taps"].clone();
        let write = Write::Push {
            source,
            rows: vec![row],
        };
        engine.write(&mut Pusher::default(), write).unwrap();
    };
    push(&mut engine, 5, "2026-03-01T10:00:00Z");
    build(&engine, "t");
    // The smaller row wins: it is dated after every row of the spine.
    push(&mut engine, 3, "2026-03-01T18:00:00Z");
    let stale = staleness(&engine, "t");
    assert_eq!(stale.late_events(), Some(0));
    assert!(rows(&stale) > 0, "{stale:?}");
}
