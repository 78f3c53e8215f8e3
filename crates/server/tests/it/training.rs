//! Training sets, verification and explanations: the same as in process, stopped in time,
//! bounded.

use std::ops::ControlFlow;

use axum::body::Body;
use axum::http::Request;
use evenkeel_connect::Table;
use evenkeel_engine::api::{KnowledgeMode, SpineSource, VerifyOptions};
use evenkeel_engine::{Offline, ServerLimits, TrainingPlan};
use evenkeel_types::{Column, DataType, Field, Value};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::support::{Answer, World};

const ARROW: &str = "application/vnd.apache.arrow.stream";

async fn filled(limits: ServerLimits) -> World {
    let world = World::limited(limits);
    let rides: Vec<Json> = (0..60)
        .map(|i| {
            json!({"id": format!("r{i}"), "driver": i % 4, "fare": f64::from(i) * 0.1,
                "at": format!("2026-03-01T10:{i:02}:00Z")})
        })
        .collect();
    world.push("rides", &json!(rides)).await;
    world
}

fn spine() -> Table {
    let drivers: Vec<Value> = (0..40).map(|i| Value::BigInt(i % 5)).collect();
    let times: Vec<Value> = (0..40)
        .map(|i| Value::Timestamp(1_772_359_200_000_000 + i * 77_000_000))
        .collect();
    Table::from_columns([
        (
            Field::new("driver", DataType::BigInt),
            Column::from_values(&DataType::BigInt, drivers.iter()),
        ),
        (
            Field::new("event_time", DataType::Timestamp),
            Column::from_values(&DataType::Timestamp, times.iter()),
        ),
    ])
    .unwrap()
}

async fn train(world: &World, query: &str, accept: &str, progress: bool) -> Answer {
    let mut request = Request::post(format!("/v1/training?{query}"))
        .header("content-type", ARROW)
        .header("accept", accept);
    if progress {
        request = request.header("evenkeel-progress", "true");
    }
    let body = Body::from(spine().to_stream().unwrap());
    world.send(request.body(body).unwrap()).await
}

fn in_process(offline: &Offline, name: &str, knowledge: KnowledgeMode) -> (String, Table) {
    let plan = TrainingPlan {
        service: offline.service(name).unwrap(),
        spine: SpineSource::Table {
            table: spine(),
            time_column: None,
            known_at_column: None,
        },
        knowledge,
        cut: None,
        statuses: true,
        values_max: u64::MAX,
    };
    let set = offline.training_set(&plan, &mut |_, _, _| ControlFlow::Continue(()));
    let set = set.unwrap();
    (set.digest, set.table)
}

#[tokio::test]
async fn a_training_set_is_the_one_that_is_built_in_process() {
    let mut world = filled(ServerLimits::default()).await;
    let mut served = Vec::new();
    for knowledge in ["latest", "as_served"] {
        let query = format!("service=model@2&statuses=true&knowledge={knowledge}");
        let answer = train(&world, &query, ARROW, false).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let digest = answer.headers["evenkeel-digest"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(answer.headers["evenkeel-rows"], "40");
        // With progress the same file follows the line of its report.
        let told = train(&world, &query, ARROW, true).await;
        assert_eq!(
            told.headers["content-type"],
            "application/vnd.evenkeel.progress"
        );
        let at = told.body.len() - answer.body.len();
        assert_eq!(told.body[at..], answer.body[..]);
        let lines = std::str::from_utf8(&told.body[..at]).unwrap();
        let last: Json = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["bytes"], answer.body.len());
        assert_eq!(last["result"]["digest"], digest);
        served.push((digest, answer.body.to_vec()));
    }
    // As JSON, from JSON.
    let rows =
        json!([{"driver": 1, "event_time": "2026-03-01T10:30:00Z", "note": "a"}, {"driver": 9}]);
    let wrong = json!({"service": "model", "rows": rows});
    let answer = world.post_json("/v1/training", &wrong).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID"));
    let rows = json!([{"driver": 1, "event_time": "2026-03-01T10:30:00Z", "note": "a"}]);
    let answer = world
        .post_json(
            "/v1/training",
            &json!({"features": ["ride_stats:rides"], "rows": rows}),
        )
        .await
        .json();
    assert_eq!(answer["columns"]["rides"], json!([8]), "{answer}");
    assert_eq!(answer["columns"]["note"], json!(["a"]));
    let query = json!({"service": "model", "query": "SELECT driver FROM rides"});
    let answer = world.post_json("/v1/training", &query).await.json();
    assert_eq!(answer["rows"], 60);
    let spool = world.directory.path().join(".evenkeel/spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0);
    let offline = world.engine().offline();
    for ((digest, bytes), knowledge) in served
        .into_iter()
        .zip([KnowledgeMode::Latest, KnowledgeMode::AsServed])
    {
        let (expected, table) = in_process(&offline, "model@2", knowledge);
        assert_eq!(digest, expected);
        assert_eq!(bytes, table.to_stream().unwrap());
    }
}

#[tokio::test]
async fn verification_and_explanation_are_those_in_process() {
    let mut world = filled(ServerLimits::default()).await;
    let options = json!({"values": 3000, "oracle_values": 50, "seed": 7});
    let served = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(served["mismatches"], 0, "{served}");
    let question = json!({"feature": "ride_stats:fares", "entity": {"driver": 2},
        "as_of": "2026-03-01T10:30:00Z"});
    let explained = world.post_json("/v1/explain", &question).await.json();
    let events = explained["evidence"].as_array().unwrap();
    assert!(events.iter().any(|e| e["inside"] == 8), "{explained}");
    assert_eq!(explained["entity"], json!({"driver": 2}));
    let replayed = world
        .post_json("/v1/verify", &json!({"served": true}))
        .await;
    assert_eq!(replayed.json()["mismatches"], 0);
    let engine = world.engine();
    let options = VerifyOptions {
        values: 3000,
        oracle_values: 50,
        seed: 7,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(served["answers_digest"], report.answers_digest);
    assert_eq!(served["values_checked"], report.values_checked);
}

#[tokio::test]
async fn what_is_wrong_is_said_before_and_after_work_begins() {
    let world = filled(ServerLimits {
        spine_bytes: 2_000,
        training_values: 100,
        long_timeout_ms: 60_000,
        ..ServerLimits::default()
    })
    .await;
    for (path, body, code) in [
        ("/v1/training", json!({}), "INVALID"),
        ("/v1/training", json!({"service": "model"}), "INVALID"),
        (
            "/v1/training",
            json!({"service": "modl", "query": "SELECT 1"}),
            "NOT_FOUND",
        ),
        (
            "/v1/training",
            json!({"service": "model", "query": "SELECT x FROM rides"}),
            "INVALID",
        ),
        ("/v1/training", json!({"servic": "model"}), "UNKNOWN_FIELD"),
        (
            "/v1/training",
            json!({"service": "model", "rows": [], "timeout_ms": 60_001}),
            "TIMEOUT_RANGE",
        ),
        (
            "/v1/training",
            json!({"service": "model", "query": "SELECT driver FROM rides"}),
            "TOO_MANY_VALUES",
        ),
        (
            "/v1/training",
            json!({"service": "model", "cut": "rides/0@99", "rows": []}),
            "CUT_BEYOND",
        ),
        ("/v1/verify", json!({"values": 101}), "TOO_MANY_VALUES"),
        (
            "/v1/verify",
            json!({"values": 5, "oracle_values": 1, "cuts": 0}),
            "INVALID",
        ),
        (
            "/v1/verify",
            json!({"services": ["modl"], "values": 5, "oracle_values": 1}),
            "NOT_FOUND",
        ),
        ("/v1/explain", json!({"feature": "ride_stats:*"}), "INVALID"),
        (
            "/v1/explain",
            json!({"feature": "ride_stats:fares", "entity": {"drivr": 1}}),
            "INVALID",
        ),
        ("/v1/explain", json!({"entity": {}}), "INVALID"),
    ] {
        let answer = world.post_json(path, &body).await;
        assert_eq!(answer.code(), code, "{path} {body}: {}", answer.text());
    }
    let place = world
        .post_json(
            "/v1/training",
            &json!({"service": "model", "query": "SELECT x FROM rides"}),
        )
        .await
        .json();
    assert_eq!(place["error"]["place"]["all"][0]["from"], 7, "{place}");
    let large = world
        .post("/v1/training?service=model", "text/csv", "a".repeat(2_001))
        .await;
    assert_eq!(large.code(), "BODY_TOO_LARGE");
    let damaged = world
        .post("/v1/training?service=model&name=s.arrows", ARROW, "no")
        .await;
    assert_eq!(damaged.code(), "INVALID");
    assert!(damaged.text().contains("`s.arrows`"), "{}", damaged.text());
    let accept = train(&world, "service=model", "image/png", false).await;
    assert_eq!(accept.code(), "INVALID");
    let neither = Request::post("/v1/verify")
        .header("content-type", "application/json")
        .header("evenkeel-progress", "yes")
        .body(Body::from(r#"{"values": 1, "oracle_values": 1}"#));
    let neither = world.send(neither.unwrap()).await;
    assert_eq!(neither.code(), "INVALID");
    // With progress the status is 200 by then, and the last line has the real one.
    let told = train(&world, "service=model@2", ARROW, true).await;
    let text = told.text();
    let last: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["status"], &last["error"]["code"]),
        (&json!(413), &json!("TOO_MANY_VALUES"))
    );
}

#[tokio::test]
async fn work_that_nobody_waits_for_ends_and_gives_its_turn_back() {
    let world = filled(ServerLimits {
        long_work: 1,
        ..ServerLimits::default()
    })
    .await;
    let endless = json!({"values": 100_000_000u64, "oracle_values": 1}).to_string();
    let ask = || {
        Request::post("/v1/verify")
            .header("content-type", "application/json")
            .header("evenkeel-progress", "true")
            .body(Body::from(endless.clone()))
            .unwrap()
    };
    let first = world.router().oneshot(ask()).await.unwrap();
    let second = world.router().oneshot(ask()).await.unwrap();
    let refused = world.send(ask()).await;
    assert_eq!(refused.code(), "OVERLOADED");
    assert!(refused.headers.contains_key("retry-after"));
    // Reads go on meanwhile.
    let read = json!({"service": "model", "entities": [{"driver": 1}]});
    world.read(&read).await;
    let mut first = first.into_body();
    let frame = first.frame().await.unwrap().unwrap();
    assert!(frame.data_ref().unwrap().starts_with(b"{\"progress\""));
    drop((first, second));
    let brief = json!({"values": 10, "oracle_values": 1});
    loop {
        let answer = world.post_json("/v1/verify", &brief).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.code(), "OVERLOADED");
        tokio::task::yield_now().await;
    }
    let late = json!({"values": 100_000_000u64, "oracle_values": 1, "timeout_ms": 50});
    assert_eq!(
        world.post_json("/v1/verify", &late).await.code(),
        "DEADLINE"
    );
}
