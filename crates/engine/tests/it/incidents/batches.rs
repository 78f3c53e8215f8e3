//! Incidents of many rows at once: a training set and a batch answer what single reads do.

use evenkeel_types::time::MINUTE;
use evenkeel_types::{Status, Value};

use super::{HEADER, RIDES, many_rides};
use crate::random_history::Random;
use crate::support::{Spine, World, one, read, request, t, train};

/// 4paradigm/OpenMLDB#1629: the multi-threaded offline engine gives other results.
#[test]
fn nt_34_a_training_set_does_not_depend_on_the_order_of_its_rows() {
    let world = World::new(RIDES);
    world.write(
        "rides.csv",
        &format!("{HEADER}{}", many_rides(300).concat()),
    );
    let engine = world.loaded(&["rides"]);
    let service = engine.service("model").unwrap();
    let mut random = Random(11);
    let start = t("2026-03-01T00:00:00Z");
    let asked: Vec<(Vec<Value>, i64)> = (0..200)
        .map(|_| {
            let at = start + random.below(1_300) as i64 * MINUTE / 2;
            (vec![Value::BigInt(random.below(4) as i64)], at)
        })
        .collect();
    let trained = |asked: &[(Vec<Value>, i64)]| {
        let (rows, times): (Vec<_>, Vec<_>) = asked.iter().cloned().unzip();
        let spine = Spine {
            rows: &rows,
            times,
            known_at: None,
        };
        train(&engine, &service, &spine, None)
    };
    let whole = trained(&asked);
    assert_eq!(whole, trained(&asked), "twice the same");
    let mut backwards = asked.clone();
    backwards.reverse();
    let mut again = trained(&backwards);
    again.reverse();
    assert_eq!(whole, again, "backwards");
    let parts: Vec<_> = asked.chunks(37).flat_map(trained).collect();
    assert_eq!(whole, parts, "in parts");
}

/// 4paradigm/OpenMLDB#2633: batch mode differs from request mode.
#[test]
fn nt_35_a_batch_answers_what_single_requests_do() {
    let world = World::new(RIDES);
    world.write(
        "rides.csv",
        &format!("{HEADER}{}", many_rides(200).concat()),
    );
    let engine = world.loaded(&["rides"]);
    let rows: Vec<Vec<Value>> = [2, 0, 9, 1, 2, 2]
        .iter()
        .map(|d| vec![Value::BigInt(*d)])
        .chain([vec![Value::Null]])
        .collect();
    for minute in [0, 61, 300, 599, 700] {
        let at = t("2026-03-01T00:00:00Z") + minute * MINUTE;
        let batch = read(&engine, &request(&engine, "model", rows.clone(), at));
        for (row, key) in batch.rows.iter().zip(&rows) {
            let single = one(&engine, "model", key, at);
            for (a, b) in row.iter().zip(&single) {
                assert!(a.value.same_bits(&b.value));
                assert_eq!((a.status, a.event_time), (b.status, b.event_time));
            }
        }
        assert_eq!(batch.rows[6][3].status, Status::NotFound);
    }
}

/// featureform#1025: an as-of merge expects sorted input.
#[test]
fn nt_45_a_spine_in_no_order_keeps_its_order() {
    let world = World::new(RIDES);
    world.write(
        "rides.csv",
        &format!("{HEADER}{}", many_rides(100).concat()),
    );
    let engine = world.loaded(&["rides"]);
    let service = engine.service("model").unwrap();
    let start = t("2026-03-01T00:00:00Z");
    let asked: Vec<(i64, i64)> = (0..90)
        .map(|i| ((i * 7) % 4, start + (i * 37) % 600 * MINUTE))
        .collect();
    let rows: Vec<Vec<Value>> = asked.iter().map(|(d, _)| vec![Value::BigInt(*d)]).collect();
    let spine = Spine {
        rows: &rows,
        times: asked.iter().map(|(_, at)| *at).collect(),
        known_at: None,
    };
    let trained = train(&engine, &service, &spine, None);
    for ((driver, at), row) in asked.iter().zip(&trained) {
        let served = one(&engine, "model", &[Value::BigInt(*driver)], *at);
        for (a, b) in served.iter().zip(row) {
            assert!(
                a.value.same_bits(&b.0),
                "driver {driver} at {at}: {a:?}, {b:?}"
            );
        }
    }
}
