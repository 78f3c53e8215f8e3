//! What was logged between positions, left out.

use super::*;

fn exclude(engine: &mut Engine, source: &str, places: &str) -> Result<Counts, EngineError> {
    let offline = engine.offline();
    let source = offline.source(source)?;
    let places = parse_positions(places)?;
    let difference = offline.exclusion(&source, &places, engine.means(), &mut |_, _, _| go_on())?;
    let report = engine.correct(&difference, &mut |_, _, _| go_on())?;
    Ok(report.counts)
}

/// What is excluded is as if it had not been logged; what it replaced holds again.
#[test]
fn what_was_logged_between_positions_is_left_out() {
    for seed in 1..=8 {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let mut rows = Vec::new();
        for _ in 0..20 {
            add(&mut rows, random_row(&mut random, "sales"));
        }
        world.ingest_text(&mut engine, "sales", "sales.jsonl", &text(&rows));
        let logged = rows.len() as u64;
        let before = engine.cut();
        let old = answers(&engine, None, None);
        if seed % 2 == 0 {
            // A correction that turns out to be wrong.
            let truth = truth_of(&mut random, "sales", &rows, (20, 90));
            let report = correct(&mut engine, "sales", &world, &text(&truth), (20, 90)).unwrap();
            let (wrong, cut) = (answers(&engine, None, None), engine.cut());
            let end = logged + report.counts.changes();
            assert!(end > logged, "seed {seed}");
            let places = format!("{logged}..{end}");
            exclude(&mut engine, "sales", &places).unwrap();
            assert_eq!(answers(&engine, None, None), old, "seed {seed}");
            assert_eq!(answers(&engine, Some(&cut), None), wrong);
            assert_eq!(exclude(&mut engine, "sales", &places).unwrap().changes(), 0);
        } else {
            // Some of the first events.
            let (from, to) = (random.below(logged / 2), logged / 2 + 1);
            let places = format!("0@{from}..0@{to}");
            let counts = exclude(&mut engine, "sales", &places).unwrap();
            assert_eq!(
                (counts.removed, counts.replaced),
                (to - from, 0),
                "seed {seed}"
            );
            let kept: Vec<Row> = (0..)
                .zip(&rows)
                .filter(|(n, _)| !(from..to).contains(n))
                .map(|(_, row)| row.clone())
                .collect();
            let fresh = World::new(DEFINITIONS);
            let mut other = fresh.engine();
            fresh.ingest_text(&mut other, "sales", "all.jsonl", &text(&kept));
            assert_eq!(
                answers(&engine, None, None),
                answers(&other, None, None),
                "seed {seed}"
            );
            assert_eq!(exclude(&mut engine, "sales", &places).unwrap().changes(), 0);
        }
        assert_eq!(answers(&engine, Some(&before), None), old);
        verify(&engine, seed);
        for wrong in ["0..9999", "5..5", "1@0..1@3"] {
            let refused = exclude(&mut engine, "sales", wrong);
            assert!(
                matches!(refused, Err(EngineError::Positions { .. })),
                "{wrong}"
            );
        }
    }
}

/// What differs is told of a time at which it can differ, however long ago that is, and of each key by itself.
#[test]
fn values_are_compared_behind_the_last_event_of_each_key_that_changes() {
    let world = World::new(
        "CREATE ENTITY shop (shop STRING);
CREATE STREAM sales (id STRING, shop STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'sales.jsonl');
CREATE FEATURE VIEW sold ENTITY shop AS SELECT shop, count(*) OVER (LAST 1 HOURS BEFORE) AS sales, count(*) OVER (LAST 1 HOURS HOP 1 HOURS) AS hopping,
  count(*) OVER (RANGE BETWEEN INTERVAL '2' MONTH PRECEDING AND INTERVAL '1' MONTH PRECEDING) AS earlier,
  count(*) OVER (LAST 1 DAYS) AS all_along FROM sales;",
    );
    let mut engine = world.engine();
    let rows = "{\"id\":\"a\",\"shop\":\"x\",\"at\":\"2020-01-01T10:00:00Z\"}\n\
                {\"id\":\"b\",\"shop\":\"x\",\"at\":\"2020-01-01T10:30:00Z\"}\n\
                {\"id\":\"c\",\"shop\":\"y\",\"at\":\"2020-01-02T10:30:00Z\"}\n";
    world.ingest_text(&mut engine, "sales", "sales.jsonl", rows);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let places = parse_positions("0..3").unwrap();
    let means = engine.means();
    let difference = offline
        .exclusion(&source, &places, means, &mut |_, _, _| go_on())
        .unwrap();
    let foreseen = difference
        .foresee(&offline, &mut |_, _, _| go_on())
        .unwrap();
    let report = engine.correct(&difference, &mut |_, _, _| go_on()).unwrap();
    for report in [&foreseen, &report] {
        let sold = &report.effects.views[0];
        let changed: Vec<u64> = sold.features.iter().map(|f| f.changed).collect();
        assert_eq!((sold.keys, changed), (2, vec![2; 4]));
    }
}
