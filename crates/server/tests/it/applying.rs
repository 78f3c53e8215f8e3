//! Definitions that are applied while reads and pushes go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Request;
use evenkeel_engine::ServerLimits;
use evenkeel_engine::api::VerifyOptions;
use serde_json::{Value as Json, json};

use crate::support::{DEFINITIONS, World, shared};

const MORE: &str = "
CREATE ENTITY ride (id STRING);
CREATE FEATURE VIEW by_ride ENTITY ride AS
SELECT id, count(*) OVER h AS rides FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE model VERSION 3 AS ride_stats (*), tap_stats (*), ride_day (*);
CREATE FEATURE VIEW ride_day ENTITY driver AS
SELECT driver, max(fare) OVER d AS dearest FROM rides WINDOW d AS (LAST 1 DAYS);
";

fn rides(first: i64, count: i64) -> Json {
    let ride = |i: i64| {
        // Some of them conflict with one of before.
        let id = if i % 9 == 0 { i / 3 } else { i };
        json!({"id": format!("r{id}"), "driver": id % 4, "fare": (i % 50) as f64,
            "at": format!("2026-03-01T{:02}:{:02}:00Z", id / 60 % 24, id % 60)})
    };
    (first..first + count).map(ride).collect()
}

fn files(more: &str) -> Json {
    json!({"files": [{"name": "definitions.sql", "text": DEFINITIONS},
        {"name": "more.sql", "text": more}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_pushes_go_on_and_bits_are_those_of_a_store_built_afterwards() {
    let world = shared(World::new());
    for i in 0..20 {
        world.push("rides", &rides(i * 1000, 1000)).await;
    }
    let applied = Arc::new(AtomicBool::new(false));
    let pushes = tokio::spawn({
        let (world, applied) = (Arc::clone(&world), Arc::clone(&applied));
        async move {
            let mut next = 20_000;
            while !applied.load(Ordering::Relaxed) {
                world.push("rides", &rides(next, 40)).await;
                next += 40;
            }
            next
        }
    });
    let reads = tokio::spawn({
        let (world, applied) = (Arc::clone(&world), Arc::clone(&applied));
        async move {
            let read = json!({"service": "model", "version": 1, "entities": [{"driver": 1}],
                "as_of": "2026-03-01T12:00:00Z", "cut": "rides/0@19000"});
            let first = world.read(&read).await["rows"].clone();
            let mut answered = 0;
            while !applied.load(Ordering::Relaxed) {
                assert_eq!(world.read(&read).await["rows"], first);
                answered += 1;
            }
            answered
        }
    });
    let request = Request::post("/v1/definitions/apply")
        .header("content-type", "application/json")
        .header("evenkeel-progress", "true")
        .body(Body::from(files(MORE).to_string()))
        .unwrap();
    let answer = world.send(request).await;
    applied.store(true, Ordering::Relaxed);
    let last: Json = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
    let changes = last["result"]["changes"]
        .as_array()
        .unwrap_or_else(|| panic!("{last}"));
    assert!(
        changes
            .iter()
            .any(|c| c["name"] == "by_ride" && c["change"] == "create")
    );
    let pushed = pushes.await.unwrap();
    assert!(pushed > 20_000 && reads.await.unwrap() > 0);
    // The newest version of the service is read at once, and what comes is in it.
    world.push("rides", &rides(pushed, 100)).await;
    let read =
        json!({"service": "model", "entities": [{"driver": 1}], "as_of": "2026-03-02T00:00:00Z"});
    assert_eq!(world.read(&read).await["version"], 3);
    let options = json!({"values": 4000, "oracle_values": 10});
    let verified = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(verified["mismatches"], 0, "{verified}");
    let mut world = Arc::into_inner(world).unwrap();
    drop(world.engine());
    std::fs::remove_dir_all(world.directory.path().join(".evenkeel/hot")).unwrap();
    let engine = world.engine();
    let options = VerifyOptions {
        values: 4000,
        oracle_values: 10,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(verified["answers_digest"], report.answers_digest);
}

#[tokio::test]
async fn plans_change_nothing_and_mistakes_have_places() {
    let world = World::limited(ServerLimits::default());
    let plan = |body: Json| {
        let world = &world;
        async move { world.post_json("/v1/definitions/plan", &body).await }
    };
    let planned = plan(files(MORE)).await.json();
    let kinds: Vec<&Json> = planned["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["change"])
        .collect();
    assert_eq!(
        kinds.iter().filter(|k| **k == "create").count(),
        4,
        "{planned}"
    );
    // The project's own files, and what is registered with one more.
    let own = plan(json!({})).await.json();
    let own = own["changes"].as_array().unwrap();
    assert!(own.iter().all(|c| c["change"] == "unchanged"));
    let service = "CREATE FEATURE SERVICE taps AS tap_stats (*);";
    let one = json!({"registered": true, "files": [{"name": "x", "text": service}]});
    let one = plan(one).await.json();
    let changed = one["changes"].as_array().unwrap().iter();
    assert_eq!(
        changed.filter(|c| c["change"] != "unchanged").count(),
        1,
        "{one}"
    );
    let wrong = plan(files(
        "CREATE FEATURE VIEW v ENTITY driver AS\nSELECT drivr FROM rides;",
    ))
    .await;
    assert_eq!(wrong.code(), "INVALID");
    let mistake = wrong.json()["error"]["place"]["all"][0].clone();
    assert_eq!(
        (&mistake["text"], &mistake["line"], &mistake["column"]),
        (&json!("more.sql"), &json!(2), &json!(8)),
        "{mistake}"
    );
    for (body, code) in [
        (json!({"files": []}), "NOT_FOUND"),
        (json!({"file": []}), "UNKNOWN_FIELD"),
        (json!({"files": [{"name": "x"}]}), "INVALID"),
    ] {
        assert_eq!(plan(body).await.code(), code);
    }
    let read = json!({"service": "model", "entities": []});
    assert_eq!(world.read(&read).await["version"], 2);
}

/// Rides as clients of before send them, and taps of which the last column is widened later.
fn numbered_taps(first: i64, count: i64) -> Json {
    let tap = |i: i64| json!({"driver": i % 4, "n": i % 90, "at": format!("2026-03-01T{:02}:{:02}:00Z", i / 240 % 24, i / 4 % 60)});
    (first..first + count).map(tap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_widened_while_reads_and_pushes_go_on() {
    let narrow = DEFINITIONS
        .replace("taps (driver BIGINT, at", "taps (driver BIGINT, n INT, at")
        .replace("fare DOUBLE", "fare FLOAT")
        .replace(
            "count(*) OVER h AS taps",
            "count(*) OVER h AS taps, sum(n) OVER h AS taps_sum, last_n(n, 3) OVER h AS last",
        );
    let wide = narrow
        .replace("n INT", "n BIGINT")
        .replace("fare FLOAT", "fare DOUBLE")
        + "CREATE FEATURE SERVICE model VERSION 3 AS ride_stats (*), tap_stats (*);";
    let world = shared(World::with(
        &narrow,
        ServerLimits::default(),
        evenkeel_server::Tokens::default(),
    ));
    let counted = |first: i64, count: i64| json!({"producer_id": "p", "sequence": first, "rows": numbered_taps(first, count)});
    for i in 0..10 {
        world.push("rides", &rides(i * 1000, 1000)).await;
        world.push("taps", &counted(i * 1000, 1000)).await;
    }
    let applied = Arc::new(AtomicBool::new(false));
    let pushes = tokio::spawn({
        let (world, applied) = (Arc::clone(&world), Arc::clone(&applied));
        async move {
            let mut next = 10_000;
            // A few more after the switch.
            let mut more = 3;
            while more > 0 {
                more -= i32::from(applied.load(Ordering::Relaxed));
                let answer = world.push("taps", &counted(next, 20)).await;
                assert!(
                    answer["rows"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|r| r["status"] == "logged"),
                    "{answer}"
                );
                world.push("rides", &rides(next, 20)).await;
                // What was sent again is known, before, meanwhile and afterwards.
                let again = world.push("taps", &counted(next - 700, 20)).await;
                assert!(
                    again["rows"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|r| r["status"] == "duplicate"),
                    "{again}"
                );
                next += 20;
            }
            next
        }
    });
    let reads = tokio::spawn({
        let (world, applied) = (Arc::clone(&world), Arc::clone(&applied));
        async move {
            let read = json!({"service": "model", "version": 2, "entities": [{"driver": 1}, {"driver": 2}],
                "as_of": "2026-03-01T12:00:00Z", "cut": "rides/0@9000,taps/0@9000"});
            let first = world.read(&read).await["rows"].clone();
            let mut answered = 0;
            let mut more = 3;
            while more > 0 {
                more -= i32::from(applied.load(Ordering::Relaxed));
                assert_eq!(world.read(&read).await["rows"], first);
                answered += 1;
            }
            answered
        }
    });
    let files = json!({"files": [{"name": "definitions.sql", "text": wide}]});
    let changes = world
        .post_json("/v1/definitions/apply", &files)
        .await
        .json();
    applied.store(true, Ordering::Relaxed);
    let changes = changes["changes"]
        .as_array()
        .unwrap_or_else(|| panic!("{changes}"));
    let taps = changes.iter().find(|c| c["name"] == "taps").unwrap();
    assert_eq!(
        (&taps["change"], &taps["version"]),
        (&json!("new version"), &json!(2))
    );
    let pushed = pushes.await.unwrap();
    assert!(pushed > 10_000 && reads.await.unwrap() > 3);
    // All that was sent before is known, and another payload under its identity conflicts.
    let again = world.push("taps", &counted(0, pushed)).await;
    assert!(
        again["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["status"] == "duplicate")
    );
    let other = json!({"producer_id": "p", "sequence": 17,
        "rows": [{"driver": 1, "n": 5_000_000_000_i64, "at": "2026-03-01T00:04:00Z"}]});
    let other = world.push("taps", &other).await;
    assert_eq!(other["rows"][0]["status"], "conflict", "{other}");
    let read =
        json!({"service": "model", "entities": [{"driver": 1}], "as_of": "2026-03-01T12:00:00Z"});
    assert_eq!(world.read(&read).await["version"], 3);
    let options = json!({"values": 4000, "oracle_values": 10});
    let verified = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(verified["mismatches"], 0, "{verified}");
    let mut world = Arc::into_inner(world).unwrap();
    drop(world.engine());
    std::fs::remove_dir_all(world.directory.path().join(".evenkeel/hot")).unwrap();
    let engine = world.engine();
    let options = VerifyOptions {
        values: 4000,
        oracle_values: 10,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(verified["answers_digest"], report.answers_digest);
}
