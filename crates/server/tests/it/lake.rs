//! The lake is brought up to the log while the server serves.

use std::sync::Arc;

use evenkeel_engine::{Machine, ServerLimits};
use evenkeel_log::{DiskFileSystem, LogOptions, LogReader};
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::checkpoints::metric;
use crate::support::{DEFINITIONS, World};

fn world(lake: &str) -> World {
    let project = format!("{lake}\n[lake.flush]\nevery_seconds = 1\n");
    World::with_project(
        &project,
        DEFINITIONS,
        ServerLimits::default(),
        Tokens::default(),
    )
}

fn rides(numbers: std::ops::Range<i64>) -> Json {
    let ride = |n| json!({"id": format!("r{n}"), "driver": n % 3, "fare": n, "at": "2026-03-01T08:00:00Z"});
    json!({"rows": numbers.map(ride).collect::<Vec<_>>()})
}

async fn until(world: &World, name: &str, wanted: u64) {
    while metric(world, name).await < wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_flushed_and_trained_from_both() {
    let mut world = world("");
    world.push("rides", &rides(0..50)).await;
    until(&world, "evenkeel_lake_events_total", 50).await;
    world.push("rides", &rides(40..90)).await;
    let verified = world.post_json("/v1/verify", &json!({"values": 500})).await;
    assert_eq!(verified.json()["mismatches"], 0, "{}", verified.text());
    until(&world, "evenkeel_lake_events_total", 90).await;
    assert_eq!(
        metric(&world, "evenkeel_lake_flushes_total{outcome=\"failed\"}").await,
        0
    );
    let engine = world.engine();
    // Where nobody waits on the same thread, as the lake asks for.
    let status = std::thread::scope(|scope| {
        let asked = scope.spawn(|| engine.offline().lake_status().unwrap());
        asked.join().unwrap()
    });
    assert_eq!(
        (
            status.tables.len(),
            status.tables[0].events,
            status.tables[0].behind
        ),
        (1, 90, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_cannot_be_written_is_counted_and_nothing_waits_for_it() {
    // A file is where the directory should be.
    let world = world("[lake]\nurl = \"definitions.sql\"");
    world.push("rides", &rides(0..5)).await;
    until(&world, "evenkeel_lake_flushes_total{outcome=\"failed\"}", 1).await;
    world.push("rides", &rides(5..9)).await;
    let read = json!({"service": "model", "version": 1, "entities": [{"driver": 1}], "as_of": "2026-03-01T08:30:00Z"});
    assert_eq!(world.read(&read).await["rows"][0]["values"][0], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_flushed_is_named_with_the_reason_and_others_are_flushed() {
    let world = world("");
    // A file is where its directory should be.
    let lake = world.directory.path().join(".evenkeel/lake");
    std::fs::create_dir_all(&lake).unwrap();
    std::fs::write(lake.join("taps"), "in the way").unwrap();
    let tap = json!({"rows": [{"driver": 1, "at": "2026-03-01T00:00:00Z"}]});
    world.push("taps", &tap).await;
    world.push("rides", &rides(0..5)).await;
    until(&world, "evenkeel_lake_events_total", 5).await;
    until(&world, "evenkeel_lake_flushes_total{outcome=\"failed\"}", 1).await;
    let failed = "evenkeel_lake_source_failures_total{source=\"taps\"}";
    assert!(metric(&world, failed).await > 0);
    let status = world.get("/v1/status").await.json();
    assert_eq!(status["lake_failures"][0]["source"], "taps");
    assert!(status["lake_failures"][0]["reason"].is_string(), "{status}");
    std::fs::remove_file(lake.join("taps")).unwrap();
    until(&world, "evenkeel_lake_events_total", 6).await;
    while world.get("/v1/status").await.json()["lake_failures"] != json!([]) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_and_in_the_lake_leaves_the_log() {
    let machine = Machine {
        log: LogOptions {
            segment_bytes: 500,
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    let project = "[lake]\nlog_days = 0\n[lake.flush]\nevery_seconds = 1\n";
    let (limits, tokens) = (ServerLimits::default(), Tokens::default());
    let mut world = World::on(machine, project, DEFINITIONS, limits, tokens);
    for first in (0..90).step_by(10) {
        world.push("rides", &rides(first..first + 10)).await;
    }
    let read = json!({"features": ["ride_stats:*"], "entities": [{"driver": 1}, {"driver": 2}], "as_of": "2026-03-01T08:30:00Z"});
    let rows = world.read(&read).await["rows"].clone();
    // All of it is in a checkpoint then.
    world.stop();
    world.start();
    let log = world.directory.path().join(".evenkeel/log");
    let truncated = || {
        let (log, _) = LogReader::open(Arc::new(DiskFileSystem), &log).unwrap();
        let segments = log.segments().unwrap();
        segments
            .iter()
            .filter(|segment| segment.is_truncated)
            .count()
    };
    while truncated() < 3 {
        tokio::task::yield_now().await;
    }
    let verified = world.post_json("/v1/verify", &json!({"values": 500})).await;
    assert_eq!(verified.json()["mismatches"], 0, "{}", verified.text());
    assert_eq!(world.read(&read).await["rows"], rows);
    // Known again, whose events are in the lake alone.
    let pushed = world.push("rides", &rides(0..10)).await;
    assert_eq!(pushed["counts"]["duplicate"], 10, "{pushed}");
    world.stop();
    // Built from nothing.
    std::fs::remove_dir_all(world.directory.path().join(".evenkeel/hot")).unwrap();
    world.start();
    assert_eq!(world.read(&read).await["rows"], rows);
}
