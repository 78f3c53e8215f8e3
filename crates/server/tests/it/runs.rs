//! Batch views beside a server: asked for, repeated, and run when they are due.

use evenkeel_engine::ServerLimits;
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::checkpoints::metric;
use crate::support::{Answer, DEFINITIONS, World};

fn world(schedule: &str) -> World {
    let definitions = format!(
        "{DEFINITIONS}
CREATE BATCH FEATURE VIEW daily (rides BIGINT, fares DOUBLE) ENTITY driver SCHEDULE '{schedule}' AS
SELECT driver, count(*) AS rides, sum(fare) AS fares FROM rides GROUP BY driver;"
    );
    World::with(&definitions, ServerLimits::default(), Tokens::default())
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
    let world = world("* * * * *");
    fill(&world).await;
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
