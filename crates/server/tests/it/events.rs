//! Pushes: each row's answer, retries, the ways to send them, dead letters.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

use crate::support::World;

const RIDES: &str = "/v1/sources/rides/events";

fn ride(id: &str, fare: f64) -> Json {
    json!({"id": id, "driver": 1, "fare": fare, "at": "2026-03-01T10:00:00Z"})
}

#[tokio::test]
async fn each_row_has_its_answer() {
    let world = World::new();
    let rows = json!([
        ride("a", 1.5),
        ride("a", 1.5),
        ride("ignored", 1.0),
        ride("b", -1.0),
        {"id": "c", "drivr": 1},
        7,
        ride("a", 0.5),
    ]);
    let answer = world.push("rides", &rows).await;
    assert_eq!(
        answer,
        json!({
            "source": "rides",
            "positions": "rides/0@2",
            "session": "rides/0@2;2026-03-01T10:00:00Z",
            "counts": {"conflict": 1, "duplicate": 1, "left_out": 1, "logged": 1, "rejected": 3},
            "rows": [
                {"status": "logged", "partition": 0, "offset": 0},
                {"status": "duplicate"},
                {"status": "left_out"},
                {"status": "rejected", "code": "CHECK", "reason": "`CHECK (fare >= 0)` is false"},
                {"status": "rejected", "code": "DECODE", "reason":
                    "column `drivr`: there is no such column; did you mean `driver`?"},
                {"status": "rejected", "code": "DECODE", "reason": "a number is not an object"},
                {"status": "conflict", "partition": 0, "offset": 1},
            ],
        })
    );
    let metrics = world.get("/metrics").await.text();
    for line in [
        "evenkeel_rows_total{source=\"rides\",outcome=\"rejected\"} 3",
        "evenkeel_rows_total{source=\"rides\",outcome=\"logged\"} 1",
        "evenkeel_requests_total{route=\"/v1/sources/{source}/events\",code=\"200\"} 1",
        "evenkeel_requests_in_flight 0",
        "evenkeel_queue_length 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_producer_may_send_again_in_any_form() {
    let world = World::new();
    let row = r#"{"driver":1,"at":"2026-03-01T10:00:00Z"}"#;
    let object = format!("{{\"producer_id\":\"app\",\"sequence\":7,\"rows\":[{row},{row}]}}");
    let answer = world
        .post("/v1/sources/taps/events", "application/json", object)
        .await;
    assert_eq!(answer.json()["counts"]["logged"], 2, "{}", answer.text());
    let session = answer.json()["session"].clone();
    let request = |first: &str, body: String, content: &str| {
        Request::post("/v1/sources/taps/events")
            .header("content-type", content)
            .header("Evenkeel-Producer-Id", "app")
            .header("Evenkeel-Sequence", first)
            .body(Body::from(body))
            .unwrap()
    };
    let lines = request("7", format!("{row}\n\n{row}\n"), "application/x-ndjson");
    let answer = world.send(lines).await.json();
    assert_eq!(answer["counts"]["duplicate"], 2, "{answer}");
    assert_eq!(answer["session"], session);
    let more = request("8", format!("[{row},{row}]"), "application/json");
    let answer = world.send(more).await.json();
    assert_eq!(answer["counts"]["duplicate"], 1, "{answer}");
    assert_eq!(answer["counts"]["logged"], 1, "{answer}");
    let read = json!({"features": ["tap_stats:taps"], "entities": [{"driver": 1}],
        "as_of": "2026-03-01T10:00:00Z"});
    assert_eq!(world.read(&read).await["rows"][0]["values"], json!([3]));
}

#[tokio::test]
async fn lines_that_are_no_json_are_dead_letters_and_the_rest_goes_on() {
    let world = World::new();
    let body = format!("{}\n{{\"id\":\nnull\n{}\n", ride("a", 1.0), ride("b", 1.0));
    let answer = world.post(RIDES, "application/x-ndjson", body).await.json();
    let statuses: Vec<&str> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["logged", "rejected", "rejected", "logged"]);
}

#[tokio::test]
async fn dead_letters_are_paged_and_driven_again() {
    let world = World::new();
    let rows: Vec<Json> = (0..5).map(|i| ride(&format!("bad {i}"), -1.0)).collect();
    world.push("rides", &json!(rows)).await;
    let path = "/v1/sources/rides/dead-letters";
    let first = world.get(&format!("{path}?limit=2")).await.json();
    assert_eq!(first["total"], 5);
    assert_eq!(first["dead_letters"].as_array().unwrap().len(), 2);
    assert_eq!(first["dead_letters"][0]["reason"], "CHECK");
    let after = first["next"].as_u64().unwrap();
    let rest = world
        .get(&format!("{path}?limit=3&after={after}"))
        .await
        .json();
    assert_eq!(rest["dead_letters"].as_array().unwrap().len(), 3);
    assert_eq!(rest["next"], Json::Null);
    let redrive = format!("{path}/redrive");
    let report = world
        .post_json(&redrive, &json!({"ids": "all"}))
        .await
        .json();
    assert_eq!(
        (&report["rows"], &report["rejected"]),
        (&json!(5), &json!(5))
    );
    let report = world
        .post_json(&redrive, &json!({"ids": [0, 1]}))
        .await
        .json();
    assert_eq!(report["rows"], 2);
    assert_eq!(
        world
            .post_json(&redrive, &json!({"ids": [99]}))
            .await
            .code(),
        "NOT_FOUND"
    );
    for body in [
        json!({}),
        json!([1]),
        json!({"ids": "some"}),
        json!({"ids": [-1]}),
    ] {
        assert_eq!(
            world.post_json(&redrive, &body).await.code(),
            "INVALID",
            "{body}"
        );
    }
    let status = world.get("/v1/sources/rides/status").await.json();
    assert_eq!(status["dead_letters"], 5);
}

#[tokio::test]
async fn pushes_that_are_no_pushes_are_refused_whole() {
    let world = World::new();
    for (body, code) in [
        ("{", "JSON"),
        ("\u{1}", "JSON"),
        ("7", "INVALID"),
        ("{}", "INVALID"),
        (r#"{"rows":[],"producer_id":"app"}"#, "INVALID"),
        (r#"{"rows":[],"producer_id":"","sequence":1}"#, "INVALID"),
        (r#"{"rows":[],"sequence":"1","producer_id":"a"}"#, "INVALID"),
        (r#"{"rows":[],"sequence":-1,"producer_id":"a"}"#, "INVALID"),
        (
            r#"{"rows":[{}],"sequence":18446744073709551615,"producer_id":"a"}"#,
            "INVALID",
        ),
        (r#"{"rows":{}}"#, "INVALID"),
        (r#"{"row":[]}"#, "UNKNOWN_FIELD"),
        (r#"{"id":"a"}"#, "UNKNOWN_FIELD"),
    ] {
        let answer = world.post(RIDES, "application/json", body).await;
        assert_eq!(answer.code(), code, "{body}");
    }
    let answer = world
        .post(RIDES, "application/json", vec![b'"', 0xff])
        .await;
    assert_eq!(answer.code(), "JSON");
    let answer = world
        .post("/v1/sources/ride/events", "application/json", "[]")
        .await;
    assert_eq!(answer.code(), "NOT_FOUND");
    assert_eq!(answer.json()["error"]["hint"], "did you mean `rides`?");
    let empty = world.push("rides", &json!([])).await;
    assert_eq!(empty["rows"], json!([]));
}
