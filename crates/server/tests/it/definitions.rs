//! What is defined, what state it is in, probes, paths that are none.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

use crate::support::World;

#[tokio::test]
async fn views_and_services_are_described_with_their_versions() {
    let world = World::new();
    let views = world.get("/v1/views").await.json();
    let names: Vec<&Json> = views["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["name"])
        .collect();
    assert_eq!(names, ["ride_stats", "tap_stats"]);
    let view = world.get("/v1/views/ride_stats").await.json();
    assert_eq!(view["kind"], "window view");
    assert_eq!(view["key"], json!([{"name": "driver", "type": "BIGINT"}]));
    assert!(
        view["sql"]
            .as_str()
            .unwrap()
            .contains("FEATURE VIEW ride_stats")
    );
    let service = world.get("/v1/services/model").await.json();
    assert_eq!(service["version"], 2);
    assert_eq!(
        service["inputs"],
        json!([{"name": "driver", "type": "BIGINT"}])
    );
    let first = world.get("/v1/services/model?version=1").await.json();
    assert_eq!(first["features"].as_array().unwrap().len(), 2);
    assert_eq!(
        first["views"],
        json!([{"name": "ride_stats", "version": 1}])
    );
    let services = world.get("/v1/services").await.json();
    assert_eq!(services["services"].as_array().unwrap().len(), 2);
    for (path, code, hint) in [
        (
            "/v1/views/ride_stat",
            "NOT_FOUND",
            json!("did you mean `ride_stats`?"),
        ),
        ("/v1/views/ride_stats?version=9", "NOT_FOUND", Json::Null),
        (
            "/v1/services/mode",
            "NOT_FOUND",
            json!("did you mean `model`?"),
        ),
        ("/v1/views/%ff", "INVALID", Json::Null),
        ("/v1/services/model?versoin=9", "UNKNOWN_FIELD", Json::Null),
        (
            "/v1/sources/ride/status",
            "NOT_FOUND",
            json!("did you mean `rides`?"),
        ),
        (
            "/v1/sources/ride/dead-letters",
            "NOT_FOUND",
            json!("did you mean `rides`?"),
        ),
        (
            "/v1/sources/rides/dead-letters?limit=0",
            "INVALID",
            Json::Null,
        ),
        (
            "/v1/sources/rides/dead-letters?page=0",
            "UNKNOWN_FIELD",
            Json::Null,
        ),
        ("/v1/view", "NOT_FOUND", json!("did you mean `/v1/views`?")),
        ("/x", "NOT_FOUND", json!("`/openapi.json` has all paths")),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.code(), code, "{path}");
        assert_eq!(answer.json()["error"]["hint"], hint, "{path}");
    }
}

#[tokio::test]
async fn states_follow_what_is_pushed() {
    let world = World::new();
    let rows = json!([
        {"driver": 1, "at": "2026-03-01T10:00:00Z"},
        {"driver": 1, "at": "2026-03-01T11:00:00Z"},
    ]);
    world.push("taps", &rows).await;
    let status = world.get("/v1/sources/taps/status").await.json();
    assert_eq!(status["events"], 2);
    assert_eq!(status["partitions"], json!([{"partition": 0, "end": 2}]));
    assert_eq!(status["watermark"], "2026-03-01T10:50:00Z");
    let store = world.get("/v1/status").await.json();
    assert_eq!(store["sources"].as_array().unwrap().len(), 2);
    assert_eq!(store["sources"][1], status);
    let metrics = world.get("/metrics").await.text();
    assert!(
        metrics.contains("evenkeel_watermark_lag_seconds{source=\"taps\"}"),
        "{metrics}"
    );
}

#[tokio::test]
async fn probes_and_methods() {
    let world = World::new();
    assert_eq!(world.get("/healthz").await.text(), "ok\n");
    assert_eq!(world.get("/readyz").await.text(), "ready\n");
    let delete = Request::delete("/v1/features").body(Body::empty()).unwrap();
    assert_eq!(world.send(delete).await.code(), "METHOD");
    let get = world.get("/v1/features").await;
    assert_eq!(get.code(), "METHOD");
    let text = world.get("/openapi.json").await;
    assert_eq!(text.headers["content-type"], "application/json");
    assert_eq!(text.text(), evenkeel_server::OPENAPI);
}
