//! Batch views beside a server: asked for, repeated, and run when they are due.

use std::sync::Arc;

use evenkeel_engine::{Machine, ServerLimits};
use evenkeel_log::ManualClock;
use evenkeel_server::Tokens;
use evenkeel_types::Zone;
use evenkeel_types::time::parse_timestamp;
use serde_json::{Value as Json, json};

use crate::checkpoints::metric;
use crate::support::{Answer, DEFINITIONS, World};

fn definitions(schedule: &str) -> String {
    format!(
        "{DEFINITIONS}
CREATE BATCH FEATURE VIEW daily (rides BIGINT, fares DOUBLE) ENTITY driver SCHEDULE '{schedule}' AS
SELECT driver, count(*) AS rides, sum(fare) AS fares FROM rides GROUP BY driver;"
    )
}

fn world(schedule: &str) -> World {
    let definitions = definitions(schedule);
    World::with(&definitions, ServerLimits::default(), Tokens::default())
}

fn micros(time: &str) -> i64 {
    parse_timestamp(time, &Zone::utc()).unwrap()
}

async fn fill(world: &World) {
    let ride = |n: i64| json!({"id": format!("r{n}"), "driver": n % 3, "fare": n, "at": format!("2026-03-0{}T08:00:00Z", 1 + n % 2)});
    let rides: Vec<Json> = (0..60).map(ride).collect();
    world.push("rides", &json!(rides)).await;
}

async fn run(world: &World, at: &str) -> Answer {
    world
        .post_json("/v1/views/daily/run", &json!({"at": at}))
        .await
}

async fn read(world: &World, as_of: &str) -> Json {
    let request = json!({"features": ["daily:rides"], "entities": [{"driver": 1}], "as_of": as_of});
    let answer = world.read(&request).await;
    answer["rows"][0]["values"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_made_once_and_read() {
    // Never due.
    let world = world("0 0 31 2 *");
    fill(&world).await;
    let first = run(&world, "2026-03-01T12:00:00Z").await;
    assert_eq!(first.status, 200, "{}", first.text());
    let first = first.json();
    assert_eq!(
        (&first["rows"], &first["written"], &first["failed"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let second = run(&world, "2026-03-02T12:00:00Z").await.json();
    assert_eq!(second["written"], 3);
    let repeated = run(&world, "2026-03-02T12:00:00Z").await.json();
    assert_eq!(
        (&repeated["written"], &repeated["ignored"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(read(&world, "2026-03-01T11:00:00Z").await, Json::Null);
    assert_eq!(read(&world, "2026-03-01T13:00:00Z").await, 10);
    assert_eq!(read(&world, "2026-03-02T13:00:00Z").await, 20);
    assert_eq!(
        metric(
            &world,
            "evenkeel_batch_runs_total{view=\"daily\",outcome=\"done\"}"
        )
        .await,
        3
    );
    for (path, body, status) in [
        ("/v1/views/dayly/run", json!({}), 404),
        ("/v1/views/daily/run", json!({}), 400),
        ("/v1/views/daily/run", json!({"at": "x"}), 400),
        ("/v1/views/daily/run", json!({"at": "2999-01-01"}), 400),
        ("/v1/views/daily/run", json!({"att": 1}), 400),
    ] {
        let answer = world.post_json(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_run() {
    let clock = Arc::new(ManualClock::new(micros("2026-03-05T00:00:30Z")));
    let machine = Machine {
        clock: clock.clone(),
        ..Machine::default()
    };
    let (limits, tokens) = (ServerLimits::default(), Tokens::default());
    let world = World::on(machine, "", &definitions("0 3 * * *"), limits, tokens);
    fill(&world).await;
    clock.set(micros("2026-03-05T03:00:01Z"));
    while read(&world, "2999-01-01T00:00:00Z").await != json!(20) {
        tokio::task::yield_now().await;
    }
    // The run ends a moment after its rows are read.
    let done = "evenkeel_batch_runs_total{view=\"daily\",outcome=\"done\"}";
    while !world.get("/metrics").await.text().contains(done) {
        tokio::task::yield_now().await;
    }
    let failed = "evenkeel_batch_runs_total{view=\"daily\",outcome=\"failed\"}";
    assert_eq!(metric(&world, failed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_began_is_finished_when_a_server_starts() {
    let mut world = world("0 0 31 2 *");
    fill(&world).await;
    let at = "2026-03-02T12:00:00Z";
    assert_eq!(run(&world, at).await.json()["written"], 3);
    world.stop();
    let begun = micros(at);
    let runs = world.directory.path().join(".evenkeel/runs/daily");
    let path = runs.join(format!("{begun}.0.json"));
    // As it would be had the process been killed behind the last row.
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: Json = serde_json::from_str(&text).unwrap();
    for member in ["checksum", "definitions", "finished"] {
        record.as_object_mut().unwrap().remove(member);
    }
    record["format"] = json!(1);
    std::fs::write(&path, record.to_string()).unwrap();
    world.start();
    let next = runs.join(format!("{begun}.1.json"));
    while !std::fs::read_to_string(&next).is_ok_and(|text| text.contains("\"written\": 3")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&world, "2026-03-02T13:00:00Z").await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_runs_writes_the_results() {
    let world = world("0 0 31 2 *");
    let row = json!([{"driver": 1, "run_operation": "upsert", "run_at": "2026-03-02T00:00:00Z", "run_revision": 9, "rides": 7}]);
    let answer = world.post_json("/v1/sources/daily_runs/events", &row).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID"));
    let hint = answer.json()["error"]["hint"].to_string();
    assert!(hint.contains("evenkeel run"), "{hint}");
}
